//! What a header may say.

use super::{ALGORITHM, Case, HEADER, INVALID, TYPE, case, payload};
use crate::signer::OURS;

pub(super) fn cases() -> Vec<Case> {
    let long_kid = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(4096));
    [
        (HEADER, "ok"),
        (r#"{"alg":"RS256"}"#, "ok"),
        (" {\"alg\":\"RS256\"}\n", "ok"),
        (r#"{"alg":"RS256","oiat":1,"x":[{}]}"#, "ok"),
        (r#"{"alg":"RS256","kid":"../../dev/null"}"#, "ok"),
        (r#"{"alg":"RS256","kid":"a|b"}"#, "ok"),
        (r#"{"alg":"RS256","kid":""}"#, "ok"),
        (
            r#"{"alg":"RS256","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"}"#,
            "ok",
        ),
        (
            r#"{"alg":"RS256","jwk":{"kty":"oct","k":"AA"},"x5c":["AA"]}"#,
            "ok",
        ),
        (&long_kid, INVALID),
        (r#"{"alg":"RS256","kid":7}"#, INVALID),
        (r#"{"alg":"RS256","kid":["ins_1"]}"#, INVALID),
        (r#"{"alg":"RS256","kid":null}"#, INVALID),
        (r#"{"alg":"RS256","typ":"jwt"}"#, INVALID),
        (r#"{"alg":"RS256","typ":"JOSE"}"#, INVALID),
        (r#"{"alg":"RS256","typ":""}"#, INVALID),
        (r#"{"alg":"RS256","typ":null}"#, INVALID),
        (r#"{"alg":"RS256","typ":7}"#, INVALID),
        (r#"{"alg":"RS256","typ":["JWT"]}"#, INVALID),
        (r#"{"alg":"RS256","typ":"at+jwt"}"#, TYPE),
        (r#"{"alg":"RS256","typ":"application/at+jwt"}"#, TYPE),
        (r#"{"alg":"RS256","cat":"cl_B7d4PD111AAA"}"#, "ok"),
        (r#"{"alg":"RS256","cat":"cl_I7d4PD111III"}"#, "ok"),
        (r#"{"alg":"RS256","cat":"cl_B7d4PD222AAA"}"#, TYPE),
        (r#"{"alg":"RS256","cat":"cl_B7d4PD333AAA"}"#, TYPE),
        (r#"{"alg":"RS256","cat":"cl_B7d4PD999AAA"}"#, TYPE),
        (r#"{"alg":"RS256","cat":""}"#, TYPE),
        (r#"{"alg":"RS256","cat":null}"#, TYPE),
        (r#"{"alg":"RS256","cat":7}"#, TYPE),
        (r#"{}"#, ALGORITHM),
        (r#"{"alg":null}"#, ALGORITHM),
        (r#"{"alg":["RS256"]}"#, ALGORITHM),
        (r#"{"alg":"none"}"#, ALGORITHM),
        (r#"{"alg":"None"}"#, ALGORITHM),
        (r#"{"alg":"nOnE"}"#, ALGORITHM),
        (r#"{"alg":"rs256"}"#, ALGORITHM),
        (r#"{"alg":"RS256 "}"#, ALGORITHM),
        (r#"{"alg":"HS256"}"#, ALGORITHM),
        (r#"{"alg":"ES256"}"#, ALGORITHM),
        (r#"{"alg":"RS384"}"#, ALGORITHM),
        (r#"{"alg":"RS512"}"#, ALGORITHM),
        (r#"{"alg":"PS256"}"#, ALGORITHM),
        (r#"{"alg":"EdDSA"}"#, ALGORITHM),
        (r#"{"alg":"RS256","crit":["exp"]}"#, INVALID),
        (r#"{"alg":"RS256","crit":[]}"#, INVALID),
        (r#"{"alg":"RS256","crit":["x"],"x":1}"#, INVALID),
        (r#"{"alg":"RS256","b64":false}"#, INVALID),
        (r#"{"alg":"RS256","b64":true}"#, INVALID),
        (r#"{"alg":"RS256","zip":"DEF"}"#, INVALID),
        (r#"{"alg":"RS256","alg":"RS256"}"#, INVALID),
        (r#"{"alg":"none","alg":"RS256"}"#, INVALID),
        (r#"{"alg":"RS256","kid":"a","kid":"b"}"#, INVALID),
        (r#"{"alg":"RS256","x":{"y":1,"y":2}}"#, INVALID),
        (r#"[]"#, INVALID),
        (r#"["RS256"]"#, INVALID),
        (r#"null"#, INVALID),
        (r#""RS256""#, INVALID),
        (r#"{"alg":"RS256""#, INVALID),
        ("", INVALID),
    ]
    .into_iter()
    .map(|(header, expected)| {
        let name = format!("header {}", header.get(..80).unwrap_or(header));
        case(name, OURS.sign(header, payload(&[])), expected)
    })
    .collect()
}
