#!/usr/bin/env python3
"""Writes seeds for the fuzz targets, a file each: what the test suites already say, in the targets' own forms."""

import base64
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOW = 1_700_000_000
HOST = "\nhost: app.test"
CLAIMS = {
    "iss": '"https://clerk.example.com"',
    "sub": '"user_1"',
    "sid": '"sess_1"',
    "azp": '"https://app.example.com"',
    "iat": str(NOW),
    "nbf": str(NOW - 10),
    "exp": str(NOW + 60),
}
LITERAL = re.compile(r'b?r(#+)"(.*?)"\1|b?r"([^"]*)"|b?"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]+)\}|\n\s*|(.))", re.DOTALL)
PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def literals(*names):
    """Every string literal of the sources, as bytes."""
    for name in names:
        for path in sorted(ROOT.glob(name)):
            for _, hashed, raw, plain in LITERAL.findall(path.read_text()):
                text = hashed or raw or ESCAPE.sub(unescaped, plain)
                yield text.replace("{{", "{").replace("}}", "}")


def unescaped(match):
    code, point, char = match.groups()
    if code or point:
        return chr(int(code or point, 16))
    return PLAIN.get(char, char or "")


def tokens():
    payload = lambda changes: "{" + ",".join(
        f'"{name}":{value}' for name, value in {**CLAIMS, **changes}.items() if value != "-"
    ) + "}"
    header = '{"alg":"RS256","kid":"ins_1","typ":"JWT"}'
    for text in literals("tests/it/token_cases/headers.rs", "src/verify/jws.rs"):
        if text.lstrip().startswith("{"):
            yield f"\0\0{text}\0{payload({})}\0"
    claims = (ROOT / "tests/it/token_cases/claims.rs").read_text()
    for name, value in re.findall(r'\("(\w+)", "((?:[^"\\]|\\.)*)"\)', claims):
        value = ESCAPE.sub(unescaped, value) if "u" in name else value.replace('\\"', '"')
        value = re.sub(r"now([+-][\d.]+)", lambda at: str(NOW + float(at[1])), value)
        for profile in "\0\1\2\3\4":
            yield f"\0{profile}{header}\0{payload({name: value})}\0"
    for text in literals("tests/it/token_cases/payloads.rs", "src/verify/claims.rs", "src/verify/json.rs"):
        if text.startswith("{"):
            yield f"\0\0{header}\0{text}\0"
    for text in literals("tests/it/token_cases/spellings.rs", "src/verify/jws.rs"):
        yield f"t\0{text}"


def jwks():
    pem = (ROOT / "tests/fixtures/keys/rsa_3072.pem").read_text().splitlines()
    der = base64.b64decode("".join(pem[1:-1]))
    start = der.index(b"\x02\x82\x01\x81\0") + 5
    modulus = base64.urlsafe_b64encode(der[start : start + 384]).decode().rstrip("=")
    key = f'{{"kty":"RSA","use":"sig","alg":"RS256","kid":"ins_1","n":"{modulus}","e":"AQAB"}}'
    yield f'{{"keys":[{key}]}}'
    yield f'{{"keys":[{key},{key.replace("ins_1", "ins_2")},{key}]}}'
    for change in ['"d":"AA"', '"use":"enc"', '"alg":"RS512"', '"kid":7', '"x5c":[]']:
        yield f'{{"keys":[{key[:-1]},{change}}},{key.replace("ins_1", "ins_2")}]}}'
    for text in literals("src/verify/keys.rs", "tests/it/jwks.rs", "tests/it/keys.rs"):
        if text.startswith(("{", "[")):
            yield text


def pems():
    for path in sorted(ROOT.glob("tests/fixtures/keys/*.pem")):
        text = path.read_text()
        lines = text.splitlines()
        yield from (text, text.replace("\n", "\\n"), "".join(lines[1:-1]), text.replace("\n", "\r\n"))
    yield from literals("src/verify/keys.rs", "tests/it/keys.rs")


def heads():
    methods = ("GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "CONNECT ", "\r\n", "PRI ")
    for text in literals(
        "src/server/*tests*.rs", "src/server/wire/*.rs", "tests/it/adversarial/*.rs", "tests/it/http2.rs"
    ):
        if text.startswith(methods):
            yield text if "\n" in text else f"{text} HTTP/1.1\r\nHost: app.test\r\n\r\n"
        elif text.startswith("/"):
            yield f"GET {text} HTTP/1.1\r\nHost: app.test\r\n\r\n"
        elif ": " in text:
            yield f"POST / HTTP/1.1\r\nHost: app.test\r\n{text}\r\n\r\n"


def credentials():
    for text in literals("src/credential/*.rs", "src/request/cookies.rs", "tests/it/adversarial/headers.rs"):
        for name in ("cookie", "authorization", "x-session-id"):
            yield f"{text}\n{name}: {text}"
        yield f"a\ncookie: a=b; {text}\ncookie: {text}; __client_uat=1"


def forwarded():
    for text in literals("src/request/forwarded*.rs", "tests/it/adversarial/headers.rs"):
        for trust in "\0\2":
            yield f"{trust}GET /{HOST}\nx-forwarded-for: {text}\nx-forwarded-proto: https\nx-forwarded-host: b.test"
            yield f"{trust}GET /{HOST}\nforwarded: {text}\nx_real_ip: {text}"


def routes():
    for text in literals("tests/it/adversarial/{}.rs".format("*"), "src/request/path.rs", "src/route/*tests.rs"):
        if text.startswith("/"):
            yield f"GET {text}{HOST}"
            yield f"POST /admin{text}{HOST}"
        if ": " in text:
            yield f"GET /x{HOST}\n{text}"
    for text in literals("tests/it/adversarial/subtree.rs"):
        for start in ("/admin/keys", "/x/private", "/api"):
            yield f"GET /x/..{text}{start}{HOST}"
            yield f"PUT {text}{start}/a{HOST}"
    for piece in range(128, 176):
        yield b"GET /" + bytes([piece, 128, 47, piece]) + HOST.encode()
    yield "GET /\nhost: internal.test"


def configs():
    for path in sorted(ROOT.glob("config/*.toml")):
        text = path.read_text()
        yield text
        yield re.sub(r"^#(\S)", r"\1", text, flags=re.MULTILINE)
    for text in literals("tests/it/*.rs", "tests/it/support/*.rs"):
        if " = " in text and ("[" in text or "\n" in text):
            yield text
    yield '[clerk]\nsecret_key = "sk_live_SECRETsecretSECRET"\nissuer = 7\nsecrets = "whsec_SECRETsecret"\n'
    yield '[clerk]\napi_url = "sk_live_SECRETsecret"\n[session]\nverify = "sk_test_SECRETsecret"\n'


def webhooks():
    head = f"svix-id: msg_1\nsvix-timestamp: {NOW}\nsvix-signature: v1,AAAA\n\n"
    for text in literals("src/webhook/event.rs", "tests/it/webhooks/*.rs", "src/sandbox/webhooks.rs"):
        if text.startswith("{"):
            yield "\0" + head + text
            yield "\1" + head + text
    for text in literals("src/webhook/signature.rs"):
        yield f"\0webhook-id: {text}\nwebhook-timestamp: {NOW}\nwebhook-signature: {text}\n\n{{}}"


def clerk():
    for text in literals("src/clerk/*.rs", "tests/it/sessions_api/*.rs", "tests/it/outages/*.rs", "src/verify/shared_status.rs"):
        if text.startswith(("{", "[")):
            yield from (kind + text for kind in "\0\1\2\3\4")
    session = (
        '{"object":"session","id":"sess_1","user_id":"user_1","client_id":"client_1","status":"active","actor":{"sub":"user_2"},'
        '"last_active_at":1,"expire_at":2,"abandon_at":3,"updated_at":4,"created_at":5,"tasks":[{"key":"choose-organization"}]}'
    )
    yield "\0" + session
    yield f"\1[{session}]"
    yield f'\1{{"data":[{session}],"total_count":1}}'
    yield '\2{"object":"token","jwt":"e30.e30.AA"}'
    yield '\3{"object":"cookies","cookies":["__session=a; Path=/"]}'
    yield '\4{"errors":[{"code":"resource_not_found","message":"no template","meta":{}}],"clerk_trace_id":"a"}'


def decisions():
    yield "\1GET /app/a?b=c?d app.test https 192.0.2.7\naccept: */*\n:path: /app/a?b=c?d\n:authority: app.test"
    for text in literals("src/request/path.rs", "tests/it/adversarial/path.rs", "tests/it/decisions.rs"):
        if text.startswith("/"):
            yield f"\1GET {text} app.test http 2001:db8::1\ncookie: a=b"
            for how, what in (("\2", "original"), ("\3", "forwarded")):
                yield (
                    f"{how}GET /\nhost: gw\nx-{what}-method: GET\nx-{what}-uri: {text}\n"
                    "x-forwarded-host: app.test\nx-forwarded-proto: https\nx-forwarded-for: 192.0.2.7"
                )


def wires():
    for text in heads():
        yield "\0" + text
        yield "\3\5\2\1" + text + text
    chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
    yield "\2\7\7" + chunked + chunked
    yield "\1\7GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nmore"


def websockets():
    yield b"\0\x81\x05hello\x89\x00\x88\x02\x03\xe8"
    yield b"\2\1\3\x82\x7e\x00\x80" + b"a" * 128
    yield b"\1\4\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4" + b"b" * 64
    yield b"\0\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"


def bodies():
    return (text for text in literals("src/request/hasura_body.rs", "tests/it/hasura_webhook.rs") if "{" in text)


def messages():
    return (text for text in literals("src/shared/wire.rs", "src/shared/feed.rs") if "{" in text)


SEEDS = {
    "clerk": clerk,
    "config": configs,
    "credentials": credentials,
    "decision": decisions,
    "forwarded": forwarded,
    "hasura": bodies,
    "head": heads,
    "jwks": jwks,
    "pem": pems,
    "route": routes,
    "shared": messages,
    "token": tokens,
    "webhook": webhooks,
    "websocket": websockets,
    "wire": wires,
}


def main():
    out = pathlib.Path(sys.argv[1])
    for target, seeds in SEEDS.items():
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds():
            data = seed if isinstance(seed, bytes) else seed.encode("utf-8", "replace")
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


main()
