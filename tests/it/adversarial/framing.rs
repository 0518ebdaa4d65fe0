//! Bytes that two servers could cut into requests differently.

use super::{
    gate::{Gate, request},
    http2::{self, Outcome, ask},
};

/// A chunked or sized POST to the public part, the body as it is.
fn post(lines: &str, body: &str) -> String {
    format!("POST /public/x HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n\r\n{body}")
}

const INNER: &str = "GET /public/phantom HTTP/1.1\r\nHost: gw.test\r\n\r\n";

/// Each is refused alone, and behind a good request too, and nothing behind it is a request.
async fn refuses_all(statuses: &[u16], requests: &[String]) {
    let gate = Gate::start().await;
    gate.refuses(statuses, requests);
    for bad in requests {
        let good = "GET /public/good HTTP/1.1\r\nHost: gw.test\r\n\r\n";
        let answers = gate.send(format!("{good}{bad}{INNER}"));
        let got: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(
            got.len() == 2 && got[0] == 200 && statuses.contains(&got[1]),
            "{bad:?}: {got:?}"
        );
        assert!(
            gate.upstream().last().starts_with("GET /public/good "),
            "{bad:?}"
        );
    }
    assert_eq!(gate.upstream().hits(), requests.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_a_length_before_chunks_is_refused() {
    let both = "Content-Length: 6\r\nTransfer-Encoding: chunked";
    refuses_all(
        &[400],
        &[
            post(both, "0\r\n\r\nG"),
            post(
                "Content-Length: 0\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_a_length_behind_chunks_is_refused() {
    let both = "Transfer-Encoding: chunked\r\nX-A: b\r\nContent-Length: 4";
    let inner = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    refuses_all(&[400], &[post(both, &inner)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_the_only_transfer_encoding_is_chunked_once() {
    let encodings = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding:\r\n chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Transfer.Encoding: chunked",
        "Content_Length: 5",
        "Transfer-Encoding: chun\u{212a}ed",
        "Transfer-Encoding: chunked\0",
    ];
    refuses_all(&[400, 501], &encodings.map(|line| post(line, "0\r\n\r\n"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_a_body_is_a_body_whatever_the_method() {
    let gate = Gate::start().await;
    let chunked = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{INNER}\r\n0\r\n\r\n",
        INNER.len()
    );
    let sized = format!("Content-Length: {}\r\n\r\n{INNER}", INNER.len());
    for method in ["OPTIONS", "GET", "HEAD", "DELETE", "POST"] {
        for body in [&chunked, &sized] {
            let before = gate.upstream().hits();
            let text = format!(
                "{method} /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n{body}"
            );
            assert_eq!(gate.send(text).len(), 1, "{method}");
            assert_eq!(gate.upstream().hits(), before + 1, "{method}");
            assert!(gate.upstream().last().starts_with(method));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_a_length_is_digits_and_stands_there_once() {
    let lengths = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5,5",
        "Content-Length: 5, 6",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: \u{665}",
        "Content-Length: 18446744073709551621",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 0000000000000000000000005",
        "Content-Length: 5\x0b",
        "Content-Length : 5",
        "Content-Length\r\n: 5",
    ];
    refuses_all(&[400], &lengths.map(|line| post(line, "hello"))).await;
    let gate = Gate::start().await;
    let blank = "Content-Length: 5 \r\nConnection: close";
    assert_eq!(gate.one(post(blank, "hello")).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s06_http_1_0_has_no_chunks() {
    let text = format!(
        "POST /public/x HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"
    );
    let alive = text.replace("Transfer-", "Connection: keep-alive\r\nTransfer-");
    refuses_all(&[400], &[text, alive]).await;
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_chunks_size_is_read_by_nobody_differently() {
    let chunks = [
        "ffffffffffffffff0\r\na\r\n0\r\n\r\n",
        "ffffffffffffffff\r\na\r\n0\r\n\r\n",
        "0000000000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;ext=\n\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t;a\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5;\u{e9}\0\r\nhello\r\n0\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nX-A\r\n\r\n",
        "0\r\n X: folded\r\n\r\n",
        "0\r\nX-A: a\0b\r\n\r\n",
    ];
    refuses_all(&[400], &chunks.map(|body| post(CHUNKED, body))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_lines_of_a_body_end_like_lines() {
    let chunks = [
        "5\nAAAAA\n0\n\n",
        "5\r\nAAAAA\n0\r\n\r\n",
        "5\nAAAAA\r\n0\r\n\r\n",
        "5\r\nAAAAA\r\n0\n\r\n",
        "5\r\nAAAAA\r\n0\r\n\n",
        "5\rAAAAA\r0\r\r",
        "5\r\nAAAAA\r\r\n0\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "5;\nAAAAA\r\n0\r\n\r\n",
    ];
    refuses_all(&[400], &chunks.map(|body| post(CHUNKED, body))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_what_follows_a_refused_upgrade_is_judged_as_a_request() {
    let gate = Gate::start().await;
    let text = format!(
        "GET /ws HTTP/1.1\r\nHost: gw.test\r\n{}\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n{}",
        gate.member(),
        request("GET", "/admin/x", &[])
    );
    let statuses: Vec<_> = gate.send(text).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(gate.upstream().hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_an_expectation_moves_no_boundary() {
    let gate = Gate::start().await;
    for expect in [
        "100-continue",
        "y 100-continue",
        "100-Continue, x",
        "",
        "200-ok",
    ] {
        let body = request("GET", "/admin/phantom", &[]);
        for (target, statuses) in [("/public/x", &[200, 417][..]), ("/app/x", &[401, 417])] {
            let text = format!(
                "POST {target} HTTP/1.1\r\nHost: gw.test\r\nExpect: {expect}\r\nContent-Length: {}\r\n\r\n{body}{}",
                body.len(),
                request("GET", "/public/next", &[])
            );
            let got: Vec<_> = gate.send(text).iter().map(|answer| answer.status).collect();
            assert!(statuses.contains(&got[0]), "{expect:?} {target}: {got:?}");
            assert!(
                got.len() == 1 || got[1..] == [200],
                "{expect:?} {target}: {got:?}"
            );
            assert!(!gate.upstream().last().starts_with("GET /admin"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_refused_requests_body_is_no_request() {
    let gate = Gate::start().await;
    for framing in [
        format!("Content-Length: {}\r\n\r\n{INNER}", INNER.len()),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{INNER}\r\n0\r\n\r\n",
            INNER.len()
        ),
    ] {
        let next = request("GET", "/app/next", &[]);
        let answers = gate.send(format!(
            "POST /app/x HTTP/1.1\r\nHost: gw.test\r\n{framing}{next}"
        ));
        assert!(
            answers.len() <= 2 && answers.iter().all(|answer| answer.status == 401),
            "{answers:?}"
        );
        assert_eq!(gate.upstream().hits(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_connection_has_no_identity() {
    let gate = Gate::start().await;
    let text = format!(
        "GET /app/1 HTTP/1.1\r\nHost: gw.test\r\n{}\r\n\r\nGET /app/2 HTTP/1.1\r\nHost: gw.test\r\n\r\n{}",
        gate.member(),
        request("GET", "/app/3", &["Cookie: __session="])
    );
    let statuses: Vec<_> = gate.send(text).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 401]);
    assert_eq!(gate.upstream().hits(), 1);
}

async fn refuses_in_http2(fields: &[(&'static str, &'static str)]) {
    let gate = Gate::start().await;
    for field in fields {
        let mut all = http2::get("/public/x");
        all.push(*field);
        let outcome = ask(gate.0.address, &all, Some(b"hello"));
        assert!(outcome.is_refusal(), "{field:?}: {outcome:?}");
        assert_eq!(gate.upstream().hits(), 0, "{field:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_an_http2_request_becomes_one_http1_request_or_none() {
    refuses_in_http2(&[
        ("foo", "a\r\nX-Clerk-User-Id: y"),
        ("foo", "a\nb"),
        ("foo", "a\0b"),
        ("transfer-encoding", "chunked"),
        ("content-length", "4"),
        ("content-length", "6"),
        ("content-length", "+5"),
        ("content-length", "5,5"),
        ("foo:bar", "x"),
        ("foo bar", "x"),
        ("foo\r\nx", "y"),
        ("transfer_encoding", "chunked"),
        ("content_length", "5"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_http2_has_no_connection_headers() {
    refuses_in_http2(&[
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ])
    .await;
    let gate = Gate::start().await;
    let mut fields = http2::get("/public/x");
    fields.push(("te", "trailers"));
    assert_eq!(ask(gate.0.address, &fields, None), Outcome::Status(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_an_upstream_connection_with_anything_left_on_it_is_not_used_again() {
    let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";
    let gate = Gate::before(twice).await;
    for _ in 0..5 {
        let answer = gate.get("/public/x", &[]);
        assert!(answer.text.ends_with("first"), "{answer:?}");
    }
    let early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    let gate = Gate::before(early).await;
    for _ in 0..5 {
        let text = post("Content-Length: 5\r\nConnection: close", "hello");
        assert_eq!(gate.one(text).status, 413);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_an_answer_that_can_be_read_in_two_ways_is_502() {
    let answers: [&'static [u8]; 8] = [
        b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok",
        b"SMTP ready\r\n\r\n",
    ];
    for answer in answers {
        let gate = Gate::before(answer).await;
        let got = gate.get("/public/x", &[]);
        assert_eq!(got.status, 502, "{}", String::from_utf8_lossy(answer));
        assert!(!got.text.contains("evil"));
    }
    let both = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let got = Gate::before(both).await.get("/public/x", &[]);
    assert!(
        got.status == 502 || got.header("content-length").is_empty(),
        "{got:?}"
    );
}
