//! What holds of every neighbour; what clients try is beside it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use clerk_gateway::sandbox::Outage;

use super::{HOST, Place};
use crate::support::process::raw;

const NAVIGATION: [&str; 3] = [
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Accept: text/html",
];

/// The value of an answer's header.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value)
}

impl Place {
    /// The only value that the app got of a header; empty where it got none.
    pub(super) fn told(&self, name: &str) -> String {
        let values = self.app.header(name);
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.into_iter().next().unwrap_or_default()
    }

    pub(super) fn refused(&self, status: u16, answer: &str) {
        self.expect(status, answer);
        assert_eq!(self.app.hits(), 0, "{:?}", self.app.all());
    }
}

pub(super) fn signed_out_is_401_and_reaches_nobody(place: Place) {
    let bad = format!("{}x", place.bearer());
    for (lines, reason) in [
        (vec![], "session-token-missing"),
        (vec![bad.as_str()], "token-invalid"),
    ] {
        let answer = place.get("/app/x", &lines);
        place.refused(401, &answer);
        assert_eq!(
            header(&answer, "x-clerk-auth-reason"),
            Some(reason),
            "{answer}"
        );
        let challenge = header(&answer, "www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{answer}");
    }
}

pub(super) fn a_signed_out_browser_is_sent_to_the_sign_in_page(place: Place) {
    let answer = place.get("/app/x?y=z", &NAVIGATION);
    place.refused(302, &answer);
    assert_eq!(
        header(&answer, "location"),
        Some(
            "https://accounts.example.com/sign-in\
             ?redirect_url=http%3A%2F%2Fapp.example.com%2Fapp%2Fx%3Fy%3Dz"
        )
    );
}

pub(super) fn an_app_is_told_who_is_signed_in_and_gets_no_session_token(place: Place) {
    let token = place.token();
    let answer = place.get("/app/x", &[&format!("Authorization: Bearer {token}")]);
    place.expect(200, &answer);
    assert_eq!(place.told("x-clerk-user-id"), place.sandbox.user_id());
    assert_eq!(place.told("x-clerk-session-id"), place.sandbox.session_id());
    assert!(place.told("x-clerk-org-id").starts_with("org_"));
    let bearer = place.told("authorization");
    assert!(bearer.starts_with("Bearer eyJ"), "{bearer}");
    assert!(!place.app.last().contains(&token), "{}", place.app.last());
}

pub(super) fn a_session_in_a_cookie_does_not_reach_the_app(place: Place) {
    let token = place.token();
    let cookie = format!("Cookie: theme=dark; __session={token}; __client_uat=1");
    let answer = place.get("/app/x", &[&cookie]);
    place.expect(200, &answer);
    assert_eq!(place.told("x-clerk-user-id"), place.sandbox.user_id());
    assert!(place.told("authorization").starts_with("Bearer eyJ"));
    let cookie = place.told("cookie");
    assert!(
        cookie.starts_with("theme=dark") && !cookie.contains("__session"),
        "{cookie}"
    );
}

pub(super) fn what_a_session_may_not_do_is_403(place: Place) {
    let answer = place.signed_in("/owners/x", &[]);
    place.refused(403, &answer);
    assert_eq!(
        header(&answer, "x-clerk-auth-reason"),
        Some("role-missing"),
        "{answer}"
    );
}

pub(super) fn an_open_route_passes_without_an_identity(place: Place) {
    let bearer = format!(
        "authorization: {}",
        &place.bearer()["Authorization: ".len()..]
    );
    for lines in [&[][..], &[bearer.as_str()]] {
        place.expect(200, &place.get("/public/x", lines));
        for name in ["user-id", "session-id", "org-id", "org-role", "actor"] {
            assert_eq!(place.told(&format!("x-clerk-{name}")), "");
        }
    }
    assert_eq!(place.app.hits(), 2);
}

pub(super) fn a_body_goes_to_the_app(place: Place) {
    let bearer = place.bearer();
    let request = |lines: &str| {
        let head = format!("POST /app/x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        raw(
            place.address,
            format!("{head}Content-Length: 9\r\n{lines}\r\nsome=body").as_bytes(),
        )
    };
    place.refused(401, &request(""));
    place.expect(200, &request(&format!("{bearer}\r\n")));
    let last = place.app.last();
    assert!(
        last.starts_with("POST /app/x ") && last.ends_with("some=body"),
        "{last}"
    );
}

/// Asks for a WebSocket, and returns the connection and the head of the answer.
fn websocket(place: &Place, lines: &str) -> (TcpStream, String) {
    let mut client = TcpStream::connect(place.address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    let head = format!(
        "GET /app/ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    );
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    (client, String::from_utf8(answer).unwrap())
}

pub(super) fn a_websocket_passes_with_a_session_alone(place: Place) {
    let (_, answer) = websocket(&place, "");
    place.refused(401, &answer);
    let (mut client, answer) = websocket(&place, &format!("{}\r\n", place.bearer()));
    place.expect(101, &answer);
    assert_eq!(place.told("x-clerk-user-id"), place.sandbox.user_id());
    let frame = b"\x81\x85\x01\x02\x03\x04ignhn";
    client.write_all(frame).unwrap();
    let mut back = [0; 11];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, frame);
}

pub(super) fn another_sites_page_gets_no_websocket(place: Place) {
    let cookie = format!("Cookie: __session={}\r\n", place.token());
    let (_, answer) = websocket(&place, &format!("{cookie}Origin: https://evil.test\r\n"));
    place.refused(403, &answer);
    let own = format!("{cookie}Origin: http://{HOST}\r\n");
    place.expect(101, &websocket(&place, &own).1);
}

pub(super) fn a_revoked_session_is_refused(place: Place) {
    place.expect(200, &place.signed_in("/app/x", &[]));
    let revoke = format!(
        "POST /sessions/{}/revoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        place.sandbox.session_id()
    );
    place.expect(200, &raw(place.admin, revoke.as_bytes()));
    place.expect(401, &place.signed_in("/app/x", &[]));
    assert_eq!(place.app.hits(), 1);
}

pub(super) fn nothing_passes_while_clerk_is_down(place: Place) {
    place.sandbox.faults().outage(Some(Outage::Unavailable));
    let answer = place.signed_in("/app/x", &[]);
    place.refused(503, &answer);
    place.expect(200, &place.get("/public/x", &[]));
}

pub(super) fn nothing_passes_while_the_gateway_is_gone(place: Place) {
    place.gateway.signal("KILL");
    for path in ["/app/x", "/public/x"] {
        let answer = place.signed_in(path, &[]);
        place.refused(place.gateway_gone, &answer);
    }
}

pub(super) fn too_many_requests_are_told_to_wait(place: Place) {
    for _ in 0..3 {
        place.expect(200, &place.get("/limited/x", &[]));
    }
    let answer = place.get("/limited/x", &[]);
    place.expect(429, &answer);
    assert!(header(&answer, "retry-after").is_some(), "{answer}");
    assert_eq!(place.app.hits(), 3);
}
