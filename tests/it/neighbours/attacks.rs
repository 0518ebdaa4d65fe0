//! What a client tries with every neighbour, in vain.

use super::{HOST, Place};
use crate::support::process::{raw, status_of};

/// What a client might claim to be, in spellings that some app reads alike.
const FORGED: [&str; 12] = [
    "X-Clerk-User-Id: forged",
    "x-clerk-user-id: forged",
    "X_Clerk_User_Id: forged",
    "X.Clerk.User.Id: forged",
    "X_Clerk-User.Id: forged",
    "X-CLERK-ORG-ROLE: forged",
    "X-Clerk-Org_Role: forged",
    "X-Clerk-Actor: forged",
    "X-Clerk-Auth-Status: forged",
    "x-clerk-auth-token: forged",
    "X-Clerk-Auth-Reason: forged",
    "x_clerk_auth_status: forged",
];

pub(super) fn nothing_forged_arrives_on_any_route(place: Place) {
    for path in ["/public/x", "/app/x"] {
        for line in FORGED {
            let answer = place.signed_in(path, &[line]);
            place.expect(200, &answer);
            let last = place.app.last();
            assert!(!last.contains("forged"), "{line} on {path}:\n{last}");
        }
    }
    place.expect(200, &place.signed_in("/app/x", &FORGED[..2]));
    assert_eq!(place.told("x-clerk-user-id"), place.sandbox.user_id());
}

pub(super) fn no_trick_with_a_path_reaches_what_is_closed(place: Place) {
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/..;/admin",
        "/public%2f..%2fadmin",
        "/public/..%2fadmin",
        "/public/%252e%252e%252fadmin",
        "/public\\..\\admin",
        "/public/..%5cadmin",
        "//admin",
        "/./admin",
        "/%61dmin",
        "/admin;x",
        "/admin#/public/",
        "/admin?/public/",
        "http://app.example.com/admin",
        "http://evil.test/admin",
    ] {
        let answer = place.get(path, &[]);
        assert!(status_of(&answer) >= 400, "{path}: {answer}");
        assert_eq!(place.app.hits(), 0, "{path}: {:?}", place.app.all());
    }
}

pub(super) fn the_app_gets_the_path_that_was_decided_on(place: Place) {
    for target in [
        "/app/x?a=%2F..%2f&b=/../y#"[..24].to_owned(),
        "/app/a%20b".to_owned(),
    ] {
        place.expect(200, &place.signed_in(&target, &[]));
        let line = format!("GET {target} HTTP/1.1");
        assert_eq!(place.app.last().lines().next(), Some(line.as_str()));
    }
}

pub(super) fn what_a_client_says_of_its_request_changes_nothing(place: Place) {
    let said = [
        "X-Original-URI: /public/said",
        "X-Original-URL: /public/said",
        "X-Original-Method: SAID",
        "X-Rewrite-URL: /public/said",
        "X-Forwarded-Uri: /public/said",
        "X-Forwarded-Method: SAID",
        "X-Forwarded-Host: said.test",
        "X-Forwarded-Proto: said",
        "X-HTTP-Method-Override: SAID",
        "X-Method-Override: SAID",
        "X-Envoy-Original-Path: /public/said",
        "X-Middleware-Subrequest: said",
        "Proxy: said",
        "Forwarded: for=1.2.3.4;host=said.test",
    ];
    place.refused(401, &place.get("/app/x", &said));
    for line in said {
        place.refused(401, &place.get("/app/x", &[line]));
    }
    place.expect(200, &place.signed_in("/app/x", &said));
    let last = place.app.last().to_lowercase();
    assert!(!last.contains("said"), "{last}");
}

pub(super) fn an_address_is_not_changed_by_what_a_client_says(place: Place) {
    for number in 0..4 {
        let said = format!("X-Forwarded-For: 198.51.100.{number}");
        let forwarded = format!("Forwarded: for=198.51.100.{number}");
        let real = format!("X-Real-IP: 198.51.100.{number}");
        let answer = place.get("/limited/x", &[&said, &forwarded, &real]);
        if number == 3 {
            assert_eq!(status_of(&answer), 429, "{answer}");
        } else {
            place.expect(200, &answer);
            let last = place.app.last();
            assert!(!last.contains("198.51.100."), "{last}");
        }
    }
}

pub(super) fn a_connection_header_takes_nothing_away(place: Place) {
    let line = "Connection: x-clerk-user-id, x-clerk-org-id, x-forwarded-for, cookie";
    let answer = place.signed_in("/app/x", &[line]);
    // Envoy takes no such request.
    if status_of(&answer) == 400 {
        return place.refused(400, &answer);
    }
    place.expect(200, &answer);
    assert_eq!(place.told("x-clerk-user-id"), place.sandbox.user_id());
    assert!(place.told("x-clerk-org-id").starts_with("org_"));
    assert!(place.told("authorization").starts_with("Bearer eyJ"));
}

pub(super) fn a_trailer_tells_the_app_nothing(place: Place) {
    let request = format!(
        "POST /app/x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{}\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Clerk-Org-Role\r\n\r\n4\r\nbody\r\n0\r\nX-Clerk-Org-Role: forged\r\n\r\n",
        place.bearer()
    );
    place.expect(200, &raw(place.address, request.as_bytes()));
    let last = place.app.last();
    assert!(last.contains("body") && !last.contains("forged"), "{last}");
}
