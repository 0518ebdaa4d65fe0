//! What claims may say.

use super::{
    CLAIM, Case, EARLY, EXPIRED, FUTURE, HEADER, ISS, Judge, LIFETIME, PARTIES, TYPE, case, payload,
};
use crate::signer::OURS;

type Changes<'a> = &'a [(&'a str, &'a str)];

const CLAIMS: &[(Judge, Changes<'_>, &str)] = {
    use Judge::{Audience, NoSkew, Parties, PartiesOrNone, PendingAccepted, Plain};
    &[
        (Plain, &[], "ok"),
        (Plain, &[("custom", "{\"a\":[1,null]}")], "ok"),
        (Plain, &[("__proto__", "{\"sub\":\"user_2\"}")], "ok"),
        (Plain, &[("iss", "-")], ISS),
        (Plain, &[("iss", "null")], ISS),
        (Plain, &[("iss", "\"\"")], ISS),
        (Plain, &[("iss", "\"https://clerk.example.com/\"")], ISS),
        (
            Plain,
            &[("iss", "\"https://clerk.example.com.evil.test\"")],
            ISS,
        ),
        (Plain, &[("iss", "\"https://clerk.other.com\"")], ISS),
        (Plain, &[("iss", "[\"https://clerk.example.com\"]")], ISS),
        (Plain, &[("sub", "-")], CLAIM),
        (Plain, &[("sub", "null")], CLAIM),
        (Plain, &[("sub", "7")], CLAIM),
        (Plain, &[("sub", "\"\"")], CLAIM),
        (Plain, &[("sub", "\"user_\"")], CLAIM),
        (Plain, &[("sub", "\"org_1\"")], CLAIM),
        (Plain, &[("sub", "\"user_1\\r\\nX-Role: admin\"")], CLAIM),
        (Plain, &[("sub", "\"mch_1\"")], TYPE),
        (Plain, &[("sid", "-")], TYPE),
        (Plain, &[("sid", "null")], CLAIM),
        (Plain, &[("sid", "\"\"")], CLAIM),
        (Plain, &[("sid", "\"sess_\"")], CLAIM),
        (Plain, &[("sid", "\"sess_../users\"")], CLAIM),
        (Plain, &[("sid", "\"user_1\"")], CLAIM),
        (Plain, &[("exp", "-")], CLAIM),
        (Plain, &[("exp", "null")], CLAIM),
        (Plain, &[("exp", "\"99999999999\"")], CLAIM),
        (Plain, &[("exp", "[1]")], CLAIM),
        (Plain, &[("exp", "true")], CLAIM),
        (Plain, &[("exp", "8.64e12")], CLAIM),
        (Plain, &[("exp", "253402300800")], CLAIM),
        (Plain, &[("exp", "1e300")], CLAIM),
        (Plain, &[("exp", "-1e300")], CLAIM),
        (Plain, &[("exp", "99999999999999999999")], CLAIM),
        (Plain, &[("exp", "1e10")], LIFETIME),
        (Plain, &[("exp", "0")], EXPIRED),
        (Plain, &[("exp", "-1")], EXPIRED),
        (Plain, &[("exp", "1.5")], EXPIRED),
        (Plain, &[("exp", "now+59.9")], "ok"),
        (Plain, &[("exp", "now-4")], "ok"),
        (Plain, &[("exp", "now-4.5")], EXPIRED),
        (Plain, &[("exp", "now-5")], EXPIRED),
        (Plain, &[("exp", "now-6")], EXPIRED),
        (NoSkew, &[("exp", "now+1")], "ok"),
        (NoSkew, &[("exp", "now")], EXPIRED),
        (NoSkew, &[("nbf", "now")], "ok"),
        (NoSkew, &[("nbf", "now+1")], EARLY),
        (NoSkew, &[("iat", "now+1")], FUTURE),
        (Plain, &[("nbf", "-")], "ok"),
        (Plain, &[("nbf", "null")], CLAIM),
        (Plain, &[("nbf", "\"9999999999\"")], CLAIM),
        (Plain, &[("nbf", "1e300")], CLAIM),
        (Plain, &[("nbf", "-1e300")], CLAIM),
        (Plain, &[("nbf", "0")], CLAIM),
        (Plain, &[("nbf", "now+4")], "ok"),
        (Plain, &[("nbf", "now+5")], "ok"),
        (Plain, &[("nbf", "now+6")], EARLY),
        (Plain, &[("nbf", "now+7")], EARLY),
        (Plain, &[("iat", "-")], "ok"),
        (Plain, &[("iat", "null")], CLAIM),
        (Plain, &[("iat", "\"1\"")], CLAIM),
        (Plain, &[("iat", "1e300")], CLAIM),
        (Plain, &[("iat", "-5")], CLAIM),
        (Plain, &[("iat", "now+4")], "ok"),
        (Plain, &[("iat", "now+5")], "ok"),
        (Plain, &[("iat", "now+6")], FUTURE),
        (Plain, &[("iat", "now+7")], FUTURE),
        (Plain, &[("exp", "now+86400")], "ok"),
        (Plain, &[("exp", "now+86401")], LIFETIME),
        (Plain, &[("iat", "now-86400"), ("exp", "now+60")], LIFETIME),
        (
            Plain,
            &[("iat", "-"), ("nbf", "now-86400"), ("exp", "now+1")],
            LIFETIME,
        ),
        (
            Plain,
            &[("iat", "-"), ("nbf", "-"), ("exp", "now+86401")],
            LIFETIME,
        ),
        (
            Plain,
            &[("iat", "-"), ("nbf", "-"), ("exp", "now+86400")],
            "ok",
        ),
        (Plain, &[("azp", "-")], "ok"),
        (Plain, &[("azp", "\"https://evil.test\"")], "ok"),
        (Plain, &[("azp", "7")], CLAIM),
        (Parties, &[], "ok"),
        (Parties, &[("azp", "\"https://a.example.com\"")], "ok"),
        (Parties, &[("azp", "-")], PARTIES),
        (Parties, &[("azp", "\"\"")], PARTIES),
        (Parties, &[("azp", "null")], PARTIES),
        (
            Parties,
            &[("azp", "[\"https://app.example.com\"]")],
            PARTIES,
        ),
        (Parties, &[("azp", "\"https://app.example.com/\"")], PARTIES),
        (Parties, &[("azp", "\"http://app.example.com\"")], PARTIES),
        (Parties, &[("azp", "\"https://APP.example.com\"")], PARTIES),
        (
            Parties,
            &[("azp", "\"https://app.example.com.evil.test\"")],
            PARTIES,
        ),
        (PartiesOrNone, &[("azp", "-")], "ok"),
        (PartiesOrNone, &[("azp", "\"\"")], PARTIES),
        (PartiesOrNone, &[("azp", "\"https://evil.test\"")], PARTIES),
        (Plain, &[("aud", "\"anything\"")], "ok"),
        (Plain, &[("aud", "7")], "ok"),
        (Audience, &[("aud", "\"api\"")], "ok"),
        (Audience, &[("aud", "[\"x\",\"api\"]")], "ok"),
        (Audience, &[("aud", "-")], CLAIM),
        (Audience, &[("aud", "\"\"")], CLAIM),
        (Audience, &[("aud", "[]")], CLAIM),
        (Audience, &[("aud", "7")], CLAIM),
        (Audience, &[("aud", "null")], CLAIM),
        (Audience, &[("aud", "{\"api\":1}")], CLAIM),
        (Audience, &[("aud", "[\"api\",7]")], CLAIM),
        (Audience, &[("aud", "\"x\"")], CLAIM),
        (Audience, &[("aud", "\"API\"")], CLAIM),
        (Audience, &[("aud", "[\"x\",\"y\"]")], CLAIM),
        (Plain, &[("sts", "\"active\"")], "ok"),
        (Plain, &[("sts", "null")], "ok"),
        (Plain, &[("sts", "\"pending\"")], "session-pending"),
        (Plain, &[("sts", "\"revoked\"")], "session-not-active"),
        (Plain, &[("sts", "7")], CLAIM),
        (PendingAccepted, &[("sts", "\"pending\"")], "ok"),
        (
            PendingAccepted,
            &[("sts", "\"ended\"")],
            "session-not-active",
        ),
        (Plain, &[("act", "{\"sub\":\"user_2\"}")], "ok"),
        (Plain, &[("act", "{}")], CLAIM),
        (Plain, &[("act", "\"user_2\"")], CLAIM),
        (Plain, &[("v", "2"), ("o", "{\"id\":\"org_1\"}")], "ok"),
        (Plain, &[("v", "2"), ("o", "{}")], CLAIM),
        (Plain, &[("org_id", "7")], CLAIM),
        (Parties, &[("azp", "\"x\""), ("exp", "now-60")], PARTIES),
        (Plain, &[("exp", "now-60"), ("nbf", "now+60")], EXPIRED),
        (Plain, &[("nbf", "now+60"), ("iat", "now+60")], EARLY),
        (Plain, &[("sub", "7"), ("exp", "now-60")], CLAIM),
        (Audience, &[("aud", "\"x\""), ("exp", "now-60")], CLAIM),
        (
            Plain,
            &[("iss", "\"https://clerk.other.com\""), ("exp", "now-60")],
            ISS,
        ),
    ]
};

pub(super) fn cases() -> Vec<Case> {
    CLAIMS
        .iter()
        .map(|(judge, changes, expected)| {
            let shown: Vec<_> = changes
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            let name = format!("{judge:?} claims {}", shown.join(", "));
            Case {
                judge: *judge,
                ..case(name, OURS.sign(HEADER, payload(changes)), expected)
            }
        })
        .collect()
}
