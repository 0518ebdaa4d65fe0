//! What is said about bad configuration files: file, line, key, and what to do.

use crate::config::check;

/// A bad file: the line and key that are complained about, and parts of what is said.
pub(crate) type Bad = (&'static str, usize, &'static str, [&'static str; 2]);

pub(crate) fn assert_refused(group: &str, cases: &[Bad]) {
    for (index, (text, line, key, parts)) in cases.iter().enumerate() {
        let (file, run) = check(&format!("{group}-{index}.toml"), text);
        assert_eq!(run.status, 2, "{text}\n{}", run.stderr);
        let start = format!("error: {file}:{line}: {key}: ");
        let said = run.stderr.lines().find(|said| said.starts_with(&start));
        let said = said.unwrap_or_else(|| panic!("{start} for\n{text}\nin\n{}", run.stderr));
        for part in parts {
            assert!(said.contains(part), "{part:?} in {said:?}");
        }
    }
}

#[test]
fn unknown_keys_are_errors_at_every_level() {
    assert_refused(
        "unknown",
        &[
            (
                "[clerk]\nisuer = 1\n",
                2,
                "clerk.isuer",
                ["unknown key", "did you mean issuer?"],
            ),
            (
                "[session]\nverfy = 1\n",
                2,
                "session.verfy",
                ["unknown key", "verify"],
            ),
            (
                "[cache]\nsession = 1\n",
                2,
                "cache.session",
                ["unknown key", "sessions"],
            ),
            (
                "\n[server]\nlissten = 1\n",
                3,
                "server.lissten",
                ["unknown key", "listen"],
            ),
            (
                "[server]\nh3 = true\n",
                2,
                "server.h3",
                ["unknown key", "known are"],
            ),
            (
                "[servr]\nlisten = 1\n",
                1,
                "servr",
                ["unknown section", "did you mean server?"],
            ),
            (
                "[decided]\nlisten = 1\n",
                1,
                "decided",
                ["unknown section", "the sections are"],
            ),
            (
                "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\nurll = 1\n",
                4,
                "upstream[0].urll",
                ["unknown key", "url"],
            ),
            (
                "[[route]]\npath = \"/*\"\nnhost = true\n",
                3,
                "route[0].nhost",
                ["unknown key", ""],
            ),
            (
                "[[route]]\npath = \"/*\"\nrequire = { rol = \"org:admin\" }\n",
                3,
                "route[0].require.rol",
                ["unknown key", "did you mean role?"],
            ),
            (
                "[[route]]\npath = \"/*\"\n[route.token]\ntemplate = \"a\"\nlifetim = \"60s\"\n",
                5,
                "route[0].token.lifetim",
                ["unknown key", "lifetime"],
            ),
            (
                "[session]\ncredentials = [\"bearer\",\n  { headr = \"x-session-id\" }]\n",
                3,
                "session.credentials[1].headr",
                ["unknown value", "header"],
            ),
            (
                "[session]\ncredentials = [{ header = \"x\", query = \"y\" }]\n",
                2,
                "session.credentials[0]",
                ["", ""],
            ),
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_are_errors() {
    assert_refused(
        "kind",
        &[
            ("[cache]\nsessions = -1\n", 2, "cache.sessions", ["-1", ""]),
            (
                "[cache]\nsession_ttl = \"15\"\n",
                2,
                "cache.session_ttl",
                ["not a duration", "15s"],
            ),
            (
                "[cache]\nsession_ttl = 15\n",
                2,
                "cache.session_ttl",
                ["integer", "string"],
            ),
            (
                "[session]\nverify = \"api\"\n",
                2,
                "session.verify",
                ["unknown value", "sessions-api"],
            ),
            ("[route]\npath = \"/\"\n", 1, "route", ["list", "[[route]]"]),
            ("server = 5\n", 1, "server", ["not a table", "[server]"]),
            (
                "[[upstream]]\nurl = \"http://a\"\n",
                1,
                "upstream[0]",
                ["name is missing", "set name"],
            ),
            (
                "[[route]]\npath = \"/*\"\ntoken = { lifetime = \"60s\" }\n",
                3,
                "route[0].token",
                ["template is missing", ""],
            ),
            (
                "[[route]]\npath = \"/*\"\nheaders = { \"X-A\" = \"user\" }\n",
                3,
                "route[0].headers.X-A",
                ["unknown value", "user_id"],
            ),
        ],
    );
}

#[test]
fn bad_instances_are_errors() {
    assert_refused(
        "clerk",
        &[
            (
                "[clerk]\nauthorized_parties = []\n",
                2,
                "clerk.authorized_parties",
                ["empty", "origins"],
            ),
            (
                "[clerk]\nauthorized_parties = [\n  \"https://a.example/\"]\n",
                3,
                "clerk.authorized_parties[0]",
                ["not an origin", "final slash"],
            ),
            (
                "[clerk]\nissuer = \"clerk.example.com\"\n",
                2,
                "clerk.issuer",
                ["https://", "as in"],
            ),
            (
                "[clerk]\napi_url = \"http://api.clerk.com\"\n",
                2,
                "clerk.api_url",
                ["plain http://", "https://"],
            ),
            (
                "[clerk]\napi_url = \"api.clerk.com\"\n",
                2,
                "clerk.api_url",
                ["http", "write"],
            ),
            (
                "[clerk]\njwks_url = \"http://keys.example\"\n",
                2,
                "clerk.jwks_url",
                ["plain http://", "https://"],
            ),
            (
                "[clerk]\njwks_file = \"nowhere.json\"\n",
                2,
                "clerk.jwks_file",
                ["nowhere.json", "check"],
            ),
            (
                "[clerk]\nclock_skew = \"1h\"\n",
                2,
                "clerk.clock_skew",
                ["too much", "5m"],
            ),
            (
                "[clerk]\njwks_url = \"https://a\"\njwks_file = \"b\"\n",
                3,
                "clerk.jwks_file",
                ["both", "remove one"],
            ),
        ],
    );
}

#[test]
fn bad_sessions_and_servers_are_errors() {
    assert_refused(
        "session",
        &[
            (
                "[session]\ncredentials = [{ header = \"x-session-id\" }]\n",
                2,
                "session.credentials",
                ["no secret", "session_id_callers"],
            ),
            (
                "[session]\nverify = \"networkless\"\nsession_id_callers = [\"127.0.0.0/8\"]\ncredentials = [{ query = \"id\" }]\n",
                4,
                "session.credentials",
                ["networkless", "sessions-api"],
            ),
            (
                "[session]\ncredentials = []\n",
                2,
                "session.credentials",
                ["empty", "bearer"],
            ),
            (
                "[session]\ncredentials = [\"bearer\", \"bearer\"]\n",
                2,
                "session.credentials[1]",
                ["twice", "remove"],
            ),
            (
                "[session]\nsession_id_callers = [\"0.0.0.0/0\"]\n",
                2,
                "session.session_id_callers[0]",
                ["every address", "10.0.0.0/8"],
            ),
            (
                "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n",
                2,
                "server.trusted_proxies[1]",
                ["every address", "name the networks"],
            ),
            (
                "[server]\nlisten = \"8080\"\n",
                2,
                "server.listen",
                ["not an address", "127.0.0.1:8080"],
            ),
            (
                "[server]\nadmin = \"127.0.0.1:8080\"\n",
                2,
                "server.admin",
                ["taken", "port"],
            ),
            (
                "[server]\nadmin = \"0.0.0.0:8080\"\n",
                2,
                "server.admin",
                ["taken", "port"],
            ),
        ],
    );
}
