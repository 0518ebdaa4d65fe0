//! The same tokens before Clerk's own verifier: what it rejects we never accept.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

use clerk_gateway::{
    Timestamp,
    verify::{KeySet, verify_session_token},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    signer::OURS,
    token_cases::{self, AUDIENCE, Case, Judge, NOW, PARTY},
};

/// What `@clerk/backend` accepts and we refuse, each on purpose.
const STRICTER: &[(&str, &[&str])] = &[
    (
        "a key ID is a short text",
        &[
            r#"header {"alg":"RS256","kid":"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"#,
            r#"header {"alg":"RS256","kid":7}"#,
            r#"header {"alg":"RS256","kid":["ins_1"]}"#,
            r#"header {"alg":"RS256","kid":null}"#,
        ],
    ),
    (
        "template tokens and unknown classes are no session tokens (its authenticateRequest agrees)",
        &[
            r#"header {"alg":"RS256","cat":"cl_B7d4PD222AAA"}"#,
            r#"header {"alg":"RS256","cat":"cl_B7d4PD999AAA"}"#,
            r#"header {"alg":"RS256","cat":""}"#,
            r#"header {"alg":"RS256","cat":null}"#,
            r#"header {"alg":"RS256","cat":7}"#,
        ],
    ),
    (
        "what a header demands is obeyed or refused, never ignored (RFC 7515, RFC 7797)",
        &[
            r#"header {"alg":"RS256","crit":["exp"]}"#,
            r#"header {"alg":"RS256","crit":[]}"#,
            r#"header {"alg":"RS256","crit":["x"],"x":1}"#,
            r#"header {"alg":"RS256","b64":false}"#,
            r#"header {"alg":"RS256","b64":true}"#,
            r#"header {"alg":"RS256","zip":"DEF"}"#,
        ],
    ),
    (
        "a member named twice has no one meaning",
        &[
            r#"header {"alg":"RS256","alg":"RS256"}"#,
            r#"header {"alg":"none","alg":"RS256"}"#,
            r#"header {"alg":"RS256","kid":"a","kid":"b"}"#,
            r#"header {"alg":"RS256","x":{"y":1,"y":2}}"#,
            "payload: a duplicate claim",
            "payload: a duplicate claim in escapes",
            "payload: a duplicate custom claim",
            "payload: a duplicate deep inside",
        ],
    ),
    (
        "the issuer is this instance's",
        &[
            r#"Plain claims iss -"#,
            r#"Plain claims iss null"#,
            r#"Plain claims iss """#,
            r#"Plain claims iss "https://clerk.example.com/""#,
            r#"Plain claims iss "https://clerk.example.com.evil.test""#,
            r#"Plain claims iss "https://clerk.other.com""#,
            r#"Plain claims iss ["https://clerk.example.com"]"#,
        ],
    ),
    (
        "user and session are named by IDs that are safe in paths and headers",
        &[
            r#"Plain claims sub """#,
            r#"Plain claims sub "user_""#,
            r#"Plain claims sub "org_1""#,
            r#"Plain claims sub "user_1\r\nX-Role: admin""#,
            r#"Plain claims sub "mch_1""#,
            r#"Plain claims sid -"#,
            r#"Plain claims sid null"#,
            r#"Plain claims sid """#,
            r#"Plain claims sid "sess_""#,
            r#"Plain claims sid "sess_../users""#,
            r#"Plain claims sid "user_1""#,
        ],
    ),
    (
        "a date lies between 1970 and 9999",
        &[
            r#"Plain claims exp 8.64e12"#,
            r#"Plain claims exp 253402300800"#,
            r#"Plain claims exp 1e300"#,
            r#"Plain claims exp -1e300"#,
            r#"Plain claims exp 99999999999999999999"#,
            r#"Plain claims nbf 1e300"#,
            r#"Plain claims nbf -1e300"#,
            r#"Plain claims nbf 0"#,
            r#"Plain claims iat 1e300"#,
            r#"Plain claims iat -5"#,
        ],
    ),
    (
        "a revocation must be able to outlive every token",
        &[
            r#"Plain claims exp 1e10"#,
            r#"Plain claims exp now+86401"#,
            r#"Plain claims iat now-86400, exp now+60"#,
            r#"Plain claims iat -, nbf now-86400, exp now+1"#,
            r#"Plain claims iat -, nbf -, exp now+86401"#,
        ],
    ),
    (
        "an audience that is asked for must be named, in a form that is one",
        &[
            r#"Audience claims aud -"#,
            r#"Audience claims aud """#,
            r#"Audience claims aud []"#,
            r#"Audience claims aud 7"#,
            r#"Audience claims aud null"#,
            r#"Audience claims aud {"api":1}"#,
            r#"Audience claims aud ["api",7]"#,
        ],
    ),
    (
        "only an active session is signed in (its toAuth() agrees)",
        &[
            r#"Plain claims sts "pending""#,
            r#"Plain claims sts "revoked""#,
            r#"Plain claims sts 7"#,
            r#"PendingAccepted claims sts "ended""#,
        ],
    ),
    (
        "a claim that says who acts, and for whom, is readable",
        &[
            r#"Plain claims azp 7"#,
            r#"Plain claims act {}"#,
            r#"Plain claims act "user_2""#,
            r#"Plain claims v 2, o {}"#,
            r#"Plain claims org_id 7"#,
        ],
    ),
    (
        "JSON is what RFC 8259 says, in UTF-8, and of a bounded depth",
        &[
            "payload: a byte order mark",
            "payload: invalid UTF-8",
            "payload: a lone surrogate",
            "payload: deep nesting",
            "payload: a number beyond any float",
        ],
    ),
    (
        "a token has one spelling (RFC 7515 §2) and a bounded size",
        &[
            "spelling: padded signature",
            "spelling: more padded signature",
            "spelling: padded header",
            "spelling: padded payload",
            "spelling: 64 KiB",
            "spelling: 1 MiB",
        ],
    ),
];

/// What both refuse, for another reason.
const OTHER_REASON: &[(&str, &[&str])] = &[
    (
        "other classes have one reason here, as in its authenticateRequest",
        &[
            r#"header {"alg":"RS256","typ":"at+jwt"}"#,
            r#"header {"alg":"RS256","typ":"application/at+jwt"}"#,
            r#"header {"alg":"RS256","cat":"cl_B7d4PD333AAA"}"#,
        ],
    ),
    (
        "the one algorithm is RS256; the SDK trips over the key later",
        &[
            r#"header {"alg":"RS384"}"#,
            r#"header {"alg":"RS512"}"#,
            "signature: RS384, true",
            "signature: RS512, true",
        ],
    ),
    (
        "what is no object is malformed",
        &[
            r#"header []"#,
            r#"header ["RS256"]"#,
            r#"header null"#,
            r#"header "RS256""#,
            "payload: an array",
            "payload: the claims as a string",
            "payload: null",
        ],
    ),
    (
        "the issuer comes before all other claims",
        &[
            r#"Plain claims iss "https://clerk.other.com", exp now-60"#,
            "payload: an empty object",
        ],
    ),
];

#[derive(Deserialize)]
struct Verdict {
    id: String,
    ok: bool,
    #[serde(default)]
    reason: String,
}

/// Says a judge's settings in the SDK's words; `None` where it has none.
fn options(judge: Judge) -> Option<Value> {
    let mut options = json!({ "jwtKey": OURS.pem() });
    match judge {
        Judge::Plain | Judge::PendingAccepted => {}
        Judge::Parties => options["authorizedParties"] = json!(["https://a.example.com", PARTY]),
        Judge::PartiesOrNone => return None,
        Judge::Audience => options["audience"] = json!(["other", AUDIENCE]),
        Judge::NoSkew => options["clockSkewInMs"] = json!(0),
    }
    Some(options)
}

fn comparable() -> Vec<Case> {
    let mut cases = token_cases::all();
    cases.retain(|case| options(case.judge).is_some());
    cases
}

/// Asks `@clerk/backend`, all cases in one process.
fn clerks_verdicts(cases: &[Case]) -> BTreeMap<String, Verdict> {
    let questions: String = cases
        .iter()
        .map(|case| {
            let options = options(case.judge);
            let now_ms = NOW * 1000;
            let question = json!({ "id": case.name, "token": case.token, "options": options, "now_ms": now_ms });
            format!("{question}\n")
        })
        .collect();
    let mut node = Command::new("node")
        .arg("verify_tokens.mjs")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strangers"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut stdin = node.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = node.wait_with_output().unwrap();
    writer.join().unwrap().expect("node reads all questions");
    assert!(output.status.success(), "tests/run installs @clerk/backend");
    let lines = str::from_utf8(&output.stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str::<Verdict>(line).unwrap())
        .map(|verdict| (verdict.id.clone(), verdict))
        .collect()
}

/// Returns every name of a list.
fn listed<'a>(list: &'a [(&str, &[&'a str])]) -> BTreeSet<&'a str> {
    list.iter()
        .flat_map(|(_, names)| names.iter().copied())
        .collect()
}

#[test]
#[ignore = "needs @clerk/backend; tests/run installs it"]
fn we_never_accept_what_clerk_rejects_and_differ_only_where_named() {
    let cases = comparable();
    assert!(cases.len() >= 150);
    let clerk = clerks_verdicts(&cases);
    let keys = KeySet::from_pem(&OURS.pem()).unwrap();
    let now = Timestamp::from_secs(NOW);
    let (mut laxer, mut stricter, mut other) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for case in &cases {
        let theirs = &clerk[&case.name];
        match verify_session_token(&case.token, &keys, &case.judge.profile(), now) {
            Ok(_) if !theirs.ok => laxer.push((&case.name, &theirs.reason)),
            Err(_) if theirs.ok => drop(stricter.insert(case.name.as_str())),
            // Where a mutation strikes decides which check meets it first.
            Err(_) if case.expected == "refused" => {}
            Err(ours) if ours.slug() != theirs.reason => drop(other.insert(case.name.as_str())),
            _ => {}
        }
    }
    assert!(
        laxer.is_empty(),
        "accepted, though Clerk rejects: {laxer:#?}"
    );
    assert_eq!(stricter, listed(STRICTER), "stricter than Clerk's SDK");
    assert_eq!(other, listed(OTHER_REASON), "refused for another reason");
}
