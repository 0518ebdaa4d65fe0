//! What is said about bad upstreams and routes: file, line, key, and what to do.

use crate::config_errors::assert_refused;

#[test]
fn bad_upstreams_and_routes_are_errors() {
    assert_refused(
        "route",
        &[
            (
                "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n[[upstream]]\nname = \"a\"\nurl = \"http://b\"\n",
                5,
                "upstream[1].name",
                ["two upstreams", "name of its own"],
            ),
            (
                "[[upstream]]\nname = \"a\"\nurl = \"a:3000\"\n",
                3,
                "upstream[0].url",
                ["http://", "write"],
            ),
            (
                "[[upstream]]\nname = \"a\"\nurl = \"http://a/x\"\n",
                3,
                "upstream[0].url",
                ["path", "write"],
            ),
            (
                "[[upstream]]\nname = \"a\"\n",
                1,
                "upstream[0].url",
                ["missing", "set it"],
            ),
            (
                "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n[[route]]\npath = \"/*\"\nupstream = \"b\"\n",
                6,
                "route[0].upstream",
                ["\"b\"", "use one of: a"],
            ),
            (
                "[[route]]\npath = \"/*\"\n",
                1,
                "route[0].upstream",
                ["nowhere", "--upstream"],
            ),
            (
                "[[route]]\npath = \"api\"\n",
                2,
                "route[0].path",
                ["begin with /", "/api/*"],
            ),
            (
                "[[route]]\npath = \"/a/{x}\"\n[[route]]\npath = \"/a/{y}\"\n",
                4,
                "route[1].path",
                ["route[0]", "tell them apart"],
            ),
            (
                "[[route]]\npath = \"/\"\nhost = \"a:1\"\n",
                3,
                "route[0].host",
                ["host name", "port"],
            ),
            (
                "[[route]]\npath = \"/\"\nmethods = [\"get\"]\n",
                3,
                "route[0].methods[0]",
                ["case", "GET"],
            ),
            (
                "[[route]]\npath = \"/\"\nauth = \"none\"\ntoken = { template = \"a\" }\n",
                4,
                "route[0].token",
                ["needs a session", "required"],
            ),
            (
                "[[route]]\npath = \"/\"\nauth = \"optional\"\nrequire = { role = \"org:admin\" }\n",
                4,
                "route[0].require",
                ["without one", "required"],
            ),
        ],
    );
}

#[test]
fn bad_tokens_and_headers_are_errors() {
    assert_refused(
        "token",
        &[
            (
                "[[route]]\npath = \"/\"\ncredential = \"forward\"\ntoken = { template = \"a\" }\n",
                3,
                "route[0].credential",
                ["Authorization", "header of its own"],
            ),
            (
                "[[route]]\npath = \"/\"\ntoken = { template = \"../x\" }\n",
                3,
                "route[0].token.template",
                ["cannot be", "dashboard"],
            ),
            (
                "[[route]]\npath = \"/\"\ntoken = { template = \"\" }\n",
                3,
                "route[0].token.template",
                ["cannot be", "dashboard"],
            ),
            (
                "[[route]]\npath = \"/\"\ntoken = { template = \"a\", lifetime = \"29s\" }\n",
                3,
                "route[0].token.lifetime",
                ["29s", "315360000s"],
            ),
            (
                "[[route]]\npath = \"/\"\ntoken = { template = \"a\", lifetime = \"315360001s\" }\n",
                3,
                "route[0].token.lifetime",
                ["not a lifetime", "30s"],
            ),
            (
                "[[route]]\npath = \"/\"\nhasura = true\n",
                3,
                "route[0].hasura",
                ["template token", "add token"],
            ),
            (
                "[[route]]\npath = \"/\"\nhasura = true\ntoken = { template = \"a\" }\nheaders = { \"x-hasura-role\" = \"org_role\" }\n",
                5,
                "route[0].headers.x-hasura-role",
                ["wishes for", "remove one"],
            ),
            (
                "[[route]]\npath = \"/\"\nhasura = true\ntoken = { template = \"a\" }\nstrip_headers = [\"X-Hasura-Role\"]\n",
                5,
                "route[0].strip_headers[0]",
                ["wishes for", "remove one"],
            ),
            (
                "[[route]]\npath = \"/\"\nhasura = true\ntoken = { template = \"a\", header = \"X-Hasura-Role\" }\n",
                4,
                "route[0].token.header",
                ["wishes for", "remove one"],
            ),
            (
                "[[route]]\npath = \"/\"\nheaders = { \"X A\" = \"user_id\" }\n",
                3,
                "route[0].headers.X A",
                ["not a header name", "letters"],
            ),
            (
                "[[route]]\npath = \"/\"\nheaders = { \"Connection\" = \"user_id\" }\n",
                3,
                "route[0].headers.Connection",
                ["HTTP itself", "another"],
            ),
            (
                "[[route]]\npath = \"/\"\nheaders = { \"X-A\" = \"user_id\", \"x-a\" = \"org_id\" }\n",
                3,
                "route[0].headers.x-a",
                ["twice", "remove"],
            ),
            (
                "[[route]]\npath = \"/\"\nheaders = { \"Authorization\" = \"user_id\" }\ntoken = { template = \"a\" }\n",
                3,
                "route[0].headers.Authorization",
                ["template token", "another"],
            ),
            (
                "[[route]]\npath = \"/\"\nstrip_headers = [\"Host\"]\n",
                3,
                "route[0].strip_headers[0]",
                ["HTTP", ""],
            ),
        ],
    );
}

#[test]
fn places_for_envoy_to_ask_at_that_cannot_work_are_errors() {
    assert_refused(
        "grpc",
        &[
            (
                "[decision]\ngrpc = \"8082\"\n",
                2,
                "decision.grpc",
                ["is not an address", "127.0.0.1:8080"],
            ),
            (
                "[decision]\ngrpc = \"127.0.0.1:1\"\ntrusted_callers = []\n",
                3,
                "decision.trusted_callers",
                ["nobody could ask", "10.0.0.0/8"],
            ),
        ],
    );
}

#[test]
fn bad_policies_of_hasuras_webhook_are_errors() {
    assert_refused(
        "hasura",
        &[
            (
                "[decision.hasura]\ndefault_role = \"a\"\n",
                1,
                "decision.hasura",
                ["nowhere to ask", "decision.listen"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\ndefalt_role = \"x\"\n",
                4,
                "decision.hasura.defalt_role",
                ["unknown key", "default_role"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\ndefault_role = \" a\"\n",
                4,
                "decision.hasura.default_role",
                ["not a role", "as Hasura has it"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nmax_body_bytes = 0\n",
                4,
                "decision.hasura.max_body_bytes",
                ["no body", "1_048_576"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nroles = [\"\"]\n",
                4,
                "decision.hasura.roles",
                ["not a role", "as Hasura has it"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nroles = {}\n",
                4,
                "decision.hasura.roles",
                ["either a claim or a field", "org_role"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nroles = { claim = \"a\", field = \"org_role\" }\n",
                4,
                "decision.hasura.roles",
                ["either a claim or a field", "a list of roles"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nroles = { claim = \"a..b\" }\n",
                4,
                "decision.hasura.roles.claim",
                ["empty name", "metadata.hasura_roles"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nroles = \"admin\"\n",
                4,
                "decision.hasura.roles",
                ["a list of roles", "org_role"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nvariables = { \"X-Foo\" = \"user_id\" }\n",
                4,
                "decision.hasura.variables.X-Foo",
                ["begin with X-Hasura-", "X-Hasura-Department"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nvariables = { \"x-hasura-role\" = \"org_role\" }\n",
                4,
                "decision.hasura.variables.x-hasura-role",
                ["already", "another name"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\nvariables = { \"X-Hasura-A\" = \"org_id\", \"x-hasura-a\" = \"org_id\" }\n",
                4,
                "decision.hasura.variables.x-hasura-a",
                ["twice", "remove one"],
            ),
            (
                "[decision]\nlisten = \"127.0.0.1:1\"\n[decision.hasura]\ncredentials = [{ header = \"x-id\" }]\n",
                4,
                "decision.hasura.credentials",
                ["anybody", "cookie"],
            ),
        ],
    );
}
