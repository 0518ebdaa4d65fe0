//! Credentials: forged, bent, misplaced and repeated.

use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256};
use serde_json::{Value, json};

use super::gate::{Gate, claims, now, request};
use crate::{
    signer::{FOREIGN, OURS, Signer, sign_hs256, unsigned},
    support::{scene::Setting, upstream::Upstream},
};

/// A gateway that verifies by a key of the tests' own.
async fn keyed(clerk: &str) -> Gate {
    let file = crate::support::process::folder().join("key.pem");
    std::fs::write(&file, OURS.pem()).unwrap();
    let clerk = format!(
        "jwt_key_file = \"{}\"\n{clerk}\n[session]\nverify = \"networkless\"",
        file.display()
    );
    let setting = Setting {
        clerk: &clerk,
        routes: super::gate::NETWORKLESS_ROUTES,
        ..Setting::default()
    };
    Gate::set(Upstream::start(), setting).await
}

impl Gate {
    /// A token with this header and these changes to the claims; `null` removes one.
    fn signed_by(&self, signer: &Signer, header: &Value, changes: &Value) -> String {
        signer.sign(header.to_string(), self.changed(changes).to_string())
    }

    fn changed(&self, changes: &Value) -> Value {
        let mut claims = claims(self.sandbox().issuer());
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn ours(&self, changes: &Value) -> String {
        self.signed_by(&OURS, &header(), changes)
    }

    fn refuses_tokens(&self, tokens: &[String]) {
        for token in tokens {
            let line = format!("Authorization: Bearer {token}");
            self.refuses(&[401], &[request("GET", "/app/x", &[&line])]);
            let cookie = format!("Cookie: __session={token}");
            self.refuses(&[401], &[request("GET", "/app/x", &[&cookie])]);
        }
    }

    fn passes(&self, token: &str) {
        let answer = self.get("/app/x", &[&format!("Authorization: Bearer {token}")]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "ins_1", "typ": "JWT" })
}

async fn refuses_headers(headers: &[Value]) {
    let gate = keyed("").await;
    let tokens: Vec<_> = headers
        .iter()
        .map(|header| gate.signed_by(&OURS, header, &json!({})))
        .collect();
    gate.refuses_tokens(&tokens);
}

async fn refuses_claims(clerk: &str, changes: &[Value]) {
    let gate = keyed(clerk).await;
    let tokens: Vec<_> = changes.iter().map(|changes| gate.ours(changes)).collect();
    gate.refuses_tokens(&tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a01_no_algorithm_is_no_signature() {
    let gate = keyed("").await;
    gate.passes(&gate.ours(&json!({})));
    let gate = keyed("").await;
    let payload = gate.changed(&json!({})).to_string();
    let mut tokens = Vec::new();
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(null),
        json!(""),
    ] {
        let header = json!({ "alg": alg, "typ": "JWT" }).to_string();
        tokens.push(format!("{}.", unsigned(&header, &payload)));
        tokens.push(OURS.sign(&header, &payload));
    }
    tokens.push(format!("{}.", unsigned(header().to_string(), &payload)));
    tokens.push(unsigned(header().to_string(), &payload));
    tokens.push(OURS.sign("{}", &payload));
    gate.refuses_tokens(&tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a02_the_public_key_is_no_secret() {
    let gate = keyed("").await;
    let payload = gate.changed(&json!({})).to_string();
    let (pem, jwk) = (OURS.pem(), OURS.jwk("ins_1").to_string());
    let secrets = [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        jwk.as_bytes(),
        b"",
        b"ins_1",
    ];
    let header = r#"{"alg":"HS256","kid":"ins_1","typ":"JWT"}"#;
    let tokens = secrets.map(|secret| sign_hs256(secret, header, &payload));
    gate.refuses_tokens(&tokens);
    let tokens =
        secrets.map(|secret| sign_hs256(secret, &super::tokens::header().to_string(), &payload));
    gate.refuses_tokens(&tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a03_another_algorithm_of_the_right_key_is_refused() {
    let gate = keyed("").await;
    let payload = gate.changed(&json!({})).to_string();
    let with = |alg: &str| json!({ "alg": alg, "kid": "ins_1" }).to_string();
    gate.refuses_tokens(&[
        OURS.sign_as(&RSA_PKCS1_SHA512, with("RS512"), &payload),
        OURS.sign_as(&RSA_PKCS1_SHA512, with("RS256"), &payload),
        OURS.sign_as(&RSA_PSS_SHA256, with("PS256"), &payload),
        OURS.sign_as(&RSA_PSS_SHA256, with("RS256"), &payload),
        OURS.sign(with("ES256"), &payload),
        OURS.sign(with("rs256"), &payload),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a04_a_key_id_is_a_name_and_nothing_else() {
    let gate = Gate::start().await;
    let sandbox = gate.sandbox();
    for kid in [
        json!("../../dev/null"),
        json!("a|b"),
        json!("k".repeat(4096)),
        json!(7),
        json!(["ins_1"]),
        json!({ "a": 1 }),
        json!(""),
        json!("'; DROP TABLE keys"),
    ] {
        let token = sandbox.mint_with(sandbox.session_id(), |header, _| {
            header["kid"] = kid.clone()
        });
        gate.refuses_tokens(&[token]);
    }
    for missing in [true, false] {
        let token = sandbox.mint_with(sandbox.session_id(), |header, _| {
            if missing {
                header.as_object_mut().unwrap().remove("kid");
            } else {
                header["kid"] = Value::Null;
            }
        });
        gate.refuses_tokens(&[token]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a05_a_token_brings_no_key_along() {
    let gate = keyed("").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let tokens = [
        json!({ "alg": "RS256", "kid": "f", "jwk": FOREIGN.jwk("f") }),
        json!({ "alg": "RS256", "kid": "f", "jku": url, "x5u": url }),
        json!({ "alg": "RS256", "x5c": ["AAAA"], "jku": format!("{url}jwks.json") }),
    ]
    .map(|header| gate.signed_by(&FOREIGN, &header, &json!({})));
    gate.refuses_tokens(&tokens);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "the key was fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a06_a_critical_header_is_not_passed_over() {
    refuses_headers(&[
        json!({ "alg": "RS256", "crit": ["exp"], "exp": 1 }),
        json!({ "alg": "RS256", "crit": [] }),
        json!({ "alg": "RS256", "crit": null }),
        json!({ "alg": "RS256", "b64": false, "crit": ["b64"] }),
        json!({ "alg": "RS256", "b64": false }),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a07_a_time_that_cannot_be_read_is_not_absent() {
    let (later, gate) = (now() + 60, keyed("").await);
    let raw = |exp: &str| {
        let text = gate.changed(&json!({ "exp": "EXP" })).to_string();
        OURS.sign(header().to_string(), text.replace("\"EXP\"", exp))
    };
    let exps = [
        "\"99999999999\"",
        "null",
        "[1]",
        "{}",
        "true",
        "1e300",
        "-1",
        "1e999",
        "0",
        "99999999999999999999",
    ];
    gate.refuses_tokens(&exps.map(raw));
    gate.refuses_tokens(
        &[
            json!({ "exp": null }),
            json!({ "nbf": "1" }),
            json!({ "nbf": [1] }),
            json!({ "iat": "x" }),
        ]
        .map(|changes| gate.ours(&changes)),
    );
    gate.passes(&raw(&format!("{later}.5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_another_instances_token_is_another_instances() {
    let gate = Gate::start().await;
    let other = Gate::start().await;
    gate.refuses_tokens(&[other.sandbox().session_token().to_owned()]);
    let sandbox = gate.sandbox();
    let issuer = other.sandbox().issuer().to_owned() + "x";
    gate.refuses_tokens(&[sandbox.mint_with(sandbox.session_id(), |_, claims| {
        claims["iss"] = issuer.into()
    })]);
}

const PARTIES: &str = "authorized_parties = [\"https://app.test\"]";

#[tokio::test(flavor = "multi_thread")]
async fn a10_where_parties_count_one_must_be_named() {
    refuses_claims(
        PARTIES,
        &[
            json!({ "azp": null }),
            json!({ "azp": "" }),
            json!({ "azp": [] }),
            json!({ "azp": ["https://app.test"] }),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a_party_nearly_named_is_not_named() {
    let parties = [
        "https://app.test.evil.test",
        "http://app.test",
        "https://app.test/",
        "https://APP.test",
        "https://app.test:443",
        "https://evil.test/https://app.test",
        " https://app.test",
        "app.test",
        "https://xapp.test",
    ];
    refuses_claims(PARTIES, &parties.map(|azp| json!({ "azp": azp }))).await;
    let gate = keyed(PARTIES).await;
    gate.passes(&gate.ours(&json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_another_kind_of_token_is_no_session_token() {
    refuses_headers(&[
        json!({ "alg": "RS256", "typ": "at+jwt" }),
        json!({ "alg": "RS256", "typ": "application/at+jwt" }),
        json!({ "alg": "RS256", "typ": "dpop+jwt" }),
    ])
    .await;
    refuses_claims(
        "",
        &[
            json!({ "sub": "mch_1" }),
            json!({ "sid": null }),
            json!({ "sid": "" }),
            json!({ "sub": "oauth_1" }),
        ],
    )
    .await;
    let gate = Gate::start().await;
    let sandbox = gate.sandbox();
    gate.refuses_tokens(&[sandbox.template_token(sandbox.session_id(), "hasura")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_a_pending_session_is_signed_out() {
    refuses_claims(
        "",
        &[
            json!({ "sts": "pending" }),
            json!({ "sts": "revoked" }),
            json!({ "sts": "" }),
            json!({ "sts": 7 }),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a_token_for_another_audience_is_refused() {
    let audience = "audience = [\"api\"]";
    refuses_claims(
        audience,
        &[
            json!({ "aud": "other" }),
            json!({ "aud": ["x", "y"] }),
            json!({ "aud": null }),
            json!({ "aud": [] }),
            json!({ "aud": "API" }),
            json!({ "aud": { "api": 1 } }),
        ],
    )
    .await;
    let gate = keyed(audience).await;
    gate.passes(&gate.ours(&json!({ "aud": ["x", "api"] })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_a_member_that_stands_there_twice_is_refused() {
    let gate = keyed("").await;
    let payload = gate.changed(&json!({})).to_string();
    let twice = |member: &str| {
        OURS.sign(
            header().to_string(),
            payload.replacen('{', &format!("{{{member},"), 1),
        )
    };
    gate.refuses_tokens(&[
        twice(r#""sub":"user_admin""#),
        twice(r#""s\u0075b":"user_admin""#),
        twice(r#""exp":99999999999"#),
        twice(r#""x":{"a":1,"a":2}"#),
        OURS.sign(r#"{"alg":"none","alg":"RS256"}"#, &payload),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_token_has_one_spelling() {
    let gate = keyed("").await;
    let good = gate.ours(&json!({}));
    let parts: Vec<_> = good.split('.').collect();
    let list = OURS.sign(
        header().to_string(),
        json!([gate.changed(&json!({}))]).to_string(),
    );
    let [head, body, signature] = parts[..] else {
        panic!()
    };
    // The last character holds two bits of the signature; the others must be zero.
    let (most, last) = signature.split_at(signature.len() - 1);
    let bent = char::from(last.as_bytes()[0] + 1);
    gate.refuses_tokens(&[
        format!("{head}=.{body}.{signature}"),
        format!("{good}="),
        format!("{head}.{body}.{most}{bent}"),
        format!("{good}=="),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}.{signature}.x"),
        format!("{head}.{body}"),
        format!("{head}..{signature}"),
        format!("{head}.{body} .{signature}"),
        format!("{head}.{body}.+/{}", &signature[2..]),
        format!("{head}.{body}.{}", &signature[..signature.len() - 1]),
        list,
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_a_huge_token_is_refused_unread() {
    let gate = keyed("").await;
    for (size, statuses) in [
        (8 * 1024, &[401][..]),
        (64 * 1024, &[401, 431]),
        (1024 * 1024, &[401, 431]),
    ] {
        let line = format!("Authorization: Bearer {}.b.c", "a".repeat(size));
        gate.refuses(statuses, &[request("GET", "/app/x", &[&line])]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_an_encrypted_token_is_not_inflated() {
    let gate = keyed("").await;
    let head = unsigned(r#"{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}"#, "x");
    let head = head.split('.').next().unwrap();
    gate.refuses_tokens(&[format!("{head}.a.b.c.d"), format!("{head}.a.b")]);
    refuses_headers(&[json!({ "alg": "RS256", "zip": "DEF" })]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_signature_of_zeros_is_none() {
    let gate = keyed("").await;
    let payload = gate.changed(&json!({})).to_string();
    let zeros = |count: usize| "A".repeat(count.div_ceil(3) * 4 - (3 - count % 3) % 3);
    let mut tokens = Vec::new();
    for (alg, count) in [("ES256", 64), ("RS256", 64), ("RS256", 256), ("EdDSA", 64)] {
        let head = json!({ "alg": alg, "kid": "ins_1" }).to_string();
        tokens.push(format!("{}.{}", unsigned(&head, &payload), zeros(count)));
    }
    gate.refuses_tokens(&tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a21_the_scheme_is_a_word_and_one_token_follows() {
    let gate = Gate::start().await;
    let token = gate.token(|_| ());
    let lines = [
        format!("Authorization: Basic {token}"),
        "Authorization: Bearer".to_owned(),
        "Authorization: Bearer ".to_owned(),
        format!("Authorization: bearer\t{token}"),
        format!("Authorization: Bearer {token}, Bearer {token}"),
        format!("Authorization: Bearer {token} {token}"),
        format!("Authorization: Bearer{token}"),
        format!("Authorization: BearerX {token}"),
        format!("Authorization: Bearer {token}x"),
        format!("Authorization: Bearer {token};a=b"),
        format!("Authorization: {token}"),
        format!("Authorization: Bearer Bearer {token}"),
        format!("Authorization: \"Bearer {token}\""),
        format!("Authorization: Bearer token={token}"),
        format!("Authorization: Token {token}"),
    ];
    gate.refuses(
        &[401],
        &lines.map(|line| request("GET", "/app/x", &[&line])),
    );
    for scheme in ["bearer", "BEARER"] {
        let token = gate.token(|_| ());
        assert_eq!(
            gate.get("/app/x", &[&format!("Authorization: {scheme} {token}")])
                .status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_the_header_goes_before_the_cookie_and_they_are_never_merged() {
    let gate = Gate::start().await;
    let admin = gate.token(|claims| claims["o"]["rol"] = "admin".into());
    let cookie = format!("Cookie: __session={admin}");
    gate.refuses(
        &[401],
        &[request(
            "GET",
            "/app/x",
            &["Authorization: Bearer bad", &cookie],
        )],
    );
    let member = gate.member();
    gate.refuses(&[403], &[request("GET", "/admin/x", &[&member, &cookie])]);
    assert_eq!(gate.get("/app/x", &[&member, &cookie]).status, 200);
    assert_eq!(gate.upstream().header("x-clerk-org-role"), ["org:member"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_a_broken_cookie_is_401() {
    let gate = Gate::start().await;
    let cookies = [
        "__session=%zz",
        ";;=",
        "__session",
        "__session=",
        "__session=;",
        "=__session",
        "__session.99999999=a",
        "__session=\"a\"",
        "__session=a\tb",
        "a=b;__session=\u{e9}",
    ];
    gate.refuses(
        &[401],
        &cookies.map(|cookie| request("GET", "/app/x", &[&format!("Cookie: {cookie}")])),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_too_many_cookies_are_431() {
    let gate = Gate::start().await;
    let member = gate.member();
    let many: Vec<_> = (0..180).map(|number| format!("c{number}=1")).collect();
    let lines: Vec<_> = many
        .iter()
        .map(|cookie| format!("Cookie: {cookie}"))
        .collect();
    let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
    lines.push(&member);
    let line = format!("Cookie: {}", many.join("; "));
    let large = format!("Cookie: a={}", "b".repeat(64 * 1024));
    gate.refuses(
        &[431],
        &[
            request("GET", "/app/x", &lines),
            request("GET", "/app/x", &[&member, &large]),
            request("GET", "/app/x", &[&member, &line]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_only_the_instances_own_cookie_counts() {
    let gate = Gate::start().await;
    let token = gate.token(|_| ());
    let cookies = [
        format!("__session_evil={token}"),
        format!("__Session={token}"),
        format!("__SESSION={token}"),
        format!("__Host-__session={token}"),
        format!("__Secure-__session={token}"),
        format!("__session=bad; __session={token}"),
        format!("__session={token}; __session=bad"),
        format!("__session_={token}"),
        format!("x__session={token}"),
        format!("a=\"; __session={token}\"; b"),
    ];
    gate.refuses(
        &[401],
        &cookies.map(|cookie| request("GET", "/app/x", &[&format!("Cookie: {cookie}")])),
    );
    assert_eq!(
        gate.get("/app/x", &[&format!("Cookie: __session={token}")])
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_token_in_the_query_is_none() {
    let gate = Gate::start().await;
    let token = gate.token(|_| ());
    for name in [
        "__session",
        "access_token",
        "token",
        "_clerk_session_id",
        "__clerk_db_jwt",
    ] {
        gate.refuses(
            &[401],
            &[request("GET", &format!("/app/x?{name}={token}"), &[])],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a27_a_session_id_that_is_no_id_asks_nobody() {
    let clerk = "[session]\ncredentials = [\"bearer\", \"cookie\", { header = \"x-session-id\" }]\nsession_id_callers = [\"127.0.0.0/8\"]";
    let setting = Setting {
        clerk,
        routes: super::gate::ROUTES,
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    let long = format!("sess_{}", "a".repeat(10 * 1024));
    for id in [
        "sess_../../users",
        "sess_a%2fverify",
        "sess_a?x=1",
        "sess_a/verify",
        "sess_",
        "sess_a b",
        "user_a",
        "sess_a#b",
        "sess_a;b",
        "../sess_a",
        "",
        &long,
    ] {
        gate.refuses(
            &[401],
            &[request("GET", "/app/x", &[&format!("X-Session-Id: {id}")])],
        );
    }
    assert_eq!(gate.sandbox().requests("GetSession"), 0);
    let id = gate.sandbox().session_id();
    assert_eq!(
        gate.get("/app/x", &[&format!("X-Session-Id: {id}")]).status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a28_every_named_condition_must_hold() {
    let gate = Gate::start().await;
    for (role, fva) in [
        ("admin", json!(null)),
        ("admin", json!("0,0")),
        ("admin", json!([])),
        ("admin", json!([0])),
        ("admin", json!(["0", "0"])),
        ("admin", json!([-1, -1])),
        ("admin", json!([0.5, "x"])),
        ("admin", json!([60, 60])),
        ("member", json!([0, 0])),
    ] {
        let bearer = gate.bearer(|claims| {
            claims["o"]["rol"] = role.into();
            claims["fva"] = fva.clone();
        });
        gate.refuses(&[403], &[request("GET", "/fresh/x", &[&bearer])]);
    }
    let fresh = gate.bearer(|claims| claims["fva"] = json!([0, 0]));
    assert_eq!(gate.get("/fresh/x", &[&fresh]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_roles_and_permissions_are_compared_whole() {
    let gate = Gate::start().await;
    for role in [
        "administrator",
        "org:administrator",
        "org:admi",
        "ADMIN",
        "org:admin ",
        "xorg:admin",
        "org:org:admin",
        "org.admin",
        "*",
        "org:*",
    ] {
        let bearer = gate.bearer(|claims| claims["o"]["rol"] = role.into());
        gate.refuses(&[403], &[request("GET", "/admin/x", &[&bearer])]);
    }
    for permissions in [
        "org:inv:read_all",
        "org:inv:rea",
        "org:inv:*",
        "org:inv",
        "ORG:INV:READ",
        "org:inv.read",
    ] {
        let bearer = gate.bearer(|claims| {
            claims["v"] = json!(1);
            claims["org_id"] = claims["o"]["id"].clone();
            claims["org_role"] = "org:member".into();
            claims["org_permissions"] = json!([permissions]);
        });
        gate.refuses(&[403], &[request("GET", "/invoices/x", &[&bearer])]);
    }
    assert_eq!(gate.get("/admin/x", &[&gate.admin()]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a30_an_impersonated_session_does_not_pass_where_none_may() {
    let gate = Gate::start().await;
    for act in [
        json!({ "sub": "user_2" }),
        json!({ "sub": "user_2", "act": { "sub": "user_3" } }),
    ] {
        let bearer = gate.bearer(|claims| claims["act"] = act.clone());
        gate.refuses(&[403], &[request("GET", "/self/x", &[&bearer])]);
    }
    for act in [json!({}), json!("user_2"), json!({ "sub": "" }), json!([])] {
        let bearer = gate.bearer(|claims| claims["act"] = act.clone());
        gate.refuses(&[401, 403], &[request("GET", "/self/x", &[&bearer])]);
    }
    assert_eq!(gate.get("/self/x", &[&gate.member()]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_what_one_route_permits_another_does_not() {
    let gate = Gate::start().await;
    let member = gate.member();
    for _ in 0..3 {
        assert_eq!(gate.get("/app/x", &[&member]).status, 200);
        let hits = gate.upstream().hits();
        assert_eq!(gate.get("/admin/x", &[&member]).status, 403);
        assert_eq!(gate.upstream().hits(), hits);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a33_a_token_that_is_only_there_proves_nothing() {
    let gate = Gate::start().await;
    for line in [
        "Authorization: Bearer anything",
        "Cookie: __session=anything",
        "Authorization: Bearer a.b.c",
        "Cookie: __session=e30.e30.e30",
    ] {
        gate.refuses(
            &[401],
            &[
                request("GET", "/app/x", &[line]),
                request("GET", "/optional/x", &["Authorization: Bearer anything"]),
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a34_a_bad_token_where_one_is_optional_is_401_and_where_none_counts_tells_nothing() {
    let gate = Gate::start().await;
    let other = FOREIGN.sign(
        header().to_string(),
        gate.changed(&json!({ "iss": "https://clerk.other.test" }))
            .to_string(),
    );
    let line = format!("Authorization: Bearer {other}");
    gate.refuses(&[401], &[request("GET", "/optional/x", &[&line])]);
    assert_eq!(gate.get("/public/x", &[&line]).status, 200);
    assert!(!gate.upstream().last().to_lowercase().contains("x-clerk-"));
}
