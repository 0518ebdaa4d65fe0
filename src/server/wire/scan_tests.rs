use proptest::prelude::*;

use super::*;

/// Feeds bytes whole, every request for an upgrade answered without one.
fn scan(bytes: &str) -> Scanner {
    let mut scanner = Scanner::default();
    feed(&mut scanner, bytes.as_bytes());
    scanner
}

fn feed(scanner: &mut Scanner, mut bytes: &[u8]) {
    while !bytes.is_empty() && !scanner.is_closed() && !scanner.is_broken() {
        let passed = scanner.scan(bytes);
        bytes = &bytes[passed..];
        scanner.answered(false);
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn heads_are_counted_behind_bodies_of_every_framing() {
    for body in [
        "",
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 5\r\n\r\nGET /",
        "content-length:5 \r\n\r\n\n\n\n\n\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding:\tChunked\r\n\r\n5\r\nGET /\r\na;x=1\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        "Upgrade: foo\r\nConnection: upgrade\r\n\r\n",
    ] {
        let post = match body {
            "" => GET.to_owned(),
            body => format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"),
        };
        let scanner = scan(&format!("{post}\r\n{GET}"));
        assert_eq!((scanner.heads(), scanner.fault()), (2, None), "{body:?}");
        assert!(!scanner.is_in_head());
    }
}

#[test]
fn ambiguous_heads_are_told_by_their_number() {
    use HeadFault::{Fragment, Framing, Line};
    for (head, fault) in [
        ("GET /a#b HTTP/1.1\r\n\r\n", Fragment),
        (
            "POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            Framing,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            Framing,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", Framing),
        ("POST / HTTP/1.1\r\nContent-Length: 5,5\r\n\r\n", Framing),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", Framing),
        (
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n",
            Framing,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Framing,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing,
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing,
        ),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Line),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Line),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Line),
        ("GET / HTTP/1.1\r\nX-A: a\rb\r\n\r\n", Line),
        ("GET / HTTP/1.1\r\nX-A: 1\r\n X-B: 2\r\n\r\n", Line),
        ("\nGET / HTTP/1.1\r\n\r\n", Line),
    ] {
        assert_eq!(scan(head).fault(), Some((1, fault)), "{head:?}");
        let second = scan(&format!("{GET}{head}"));
        assert_eq!(second.fault(), Some((2, fault)), "{head:?}");
    }
}

#[test]
fn nothing_is_handed_on_behind_a_bad_head() {
    let head = "POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut scanner = Scanner::default();
    assert_eq!(
        scanner.scan(format!("{head}0\r\n\r\nG").as_bytes()),
        head.len()
    );
    assert!(scanner.is_closed());
    assert_eq!(scanner.scan(GET.as_bytes()), 0);
}

#[test]
fn chunks_that_cannot_be_followed_end_their_request_and_every_further_one() {
    for chunks in [
        "x\r\n",
        "5 \r\n",
        "00000000000000000005\r\n",
        "ffffffffffffffff\r\n",
        "5;a=\x01\r\n",
        "0\r\nX : y\r\n",
        "0\r\n\n",
        "5\nhello",
        "5\r\nhelloX\r\n",
        "ffffffffffffffff0\r\n",
        "+5\r\n",
        "\r\n",
    ] {
        let scanner = scan(&format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        assert_eq!(scanner.fault(), Some((1, HeadFault::Framing)), "{chunks:?}");
        assert!(scanner.is_broken());
    }
}

#[test]
fn what_follows_a_request_for_an_upgrade_waits_for_its_answer() {
    let upgrade = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let both = format!("{upgrade}\x01\x01#\n");
    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(both.as_bytes()), upgrade.len());
    assert!(scanner.is_undecided());
    scanner.answered(true);
    assert_eq!(scanner.scan(b"\x01\x01#\n"), 4);
    assert_eq!((scanner.heads(), scanner.fault()), (1, None));
}

/// Requests of all kinds, in any order and with any damage.
fn bytes() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        GET,
        "POST / HTTP/1.1\r\n",
        "GET /#x HTTP/1.1\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: a\r\n",
        "\r\n",
        "\n",
        "\r",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "abc",
        " ",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_verdict(bytes in bytes(), cuts in prop::collection::vec(1usize..9, 1..20)) {
        let whole = scan(&bytes);
        let mut split = Scanner::default();
        let mut rest = bytes.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            feed(&mut split, now);
            rest = later;
        }
        prop_assert_eq!(split.fault(), whole.fault());
        prop_assert_eq!(split.heads(), whole.heads());
        prop_assert_eq!(split.is_in_head(), whole.is_in_head());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        feed(&mut Scanner::default(), &bytes);
    }
}
