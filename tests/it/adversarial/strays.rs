//! Heads from the corners of RFC 9112, beside the known attacks.

use super::gate::{Gate, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_has_three_parts_and_single_blanks() {
    let gate = Gate::start().await;
    let lines = [
        "GET  /public/x HTTP/1.1",
        "GET\t/public/x HTTP/1.1",
        "GET /public/x  HTTP/1.1",
        "GET /public/x\tHTTP/1.1",
        "GET /public/x HTTP/1.1 ",
        " GET /public/x HTTP/1.1",
        "GET /public/x y HTTP/1.1",
        "GET /public/x ",
        "GET /public/x",
        "GET /public/x HTTP/1.2",
        "GET /public/x HTTP/2.0",
        "GET /public/x http/1.1",
        "GET /public/x HTTP/1.10",
        "GET /public/x HTTP/01.1",
        "GET /public/x HTTP/1.1\r",
        "\rGET /public/x HTTP/1.1",
        "\u{feff}GET /public/x HTTP/1.1",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /public/x HTTP/1.1",
        "Host: gw.test\r\nGET /public/x HTTP/1.1",
    ];
    gate.refuses(
        &[400],
        &lines.map(|line| format!("{line}\r\nHost: gw.test\r\n\r\n")),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_of_no_known_form_are_refused() {
    let gate = Gate::start().await;
    let targets = [
        "?x",
        "gw.test:80",
        "http:///public/x",
        "http:/public/x",
        "http:\\\\gw.test\\public",
        "ws://gw.test/public/x",
        "http://gw.test:80/public/x",
        "//evil.test/public/x",
        "/.//evil.test/x",
        "/public/x?a\x01b",
        "/public/x?a\x7fb",
    ];
    gate.refuses(&[400], &targets.map(|target| request("GET", target, &[])));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_fields_are_refused() {
    let gate = Gate::start().await;
    let lines = [
        "X\tA: 1",
        "X[a]: 1",
        "X-A: \x1b[31m",
        " ",
        "X-A: 1\r",
        "Host: gw.test\x0c",
        "Content-Length: 5\u{a0}",
    ];
    gate.refuses(
        &[400],
        &lines.map(|line| request("GET", "/public/x", &[line])),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_merely_looks_odd_passes_once() {
    let gate = Gate::start().await;
    let chunked = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n";
    for text in [
        format!("\r\n\r\n{}", request("GET", "/public/x", &[])),
        format!(
            "{chunked}tRANSFER-eNCODING:\tcHUNKED\t\r\n\r\nA\r\n0123456789\r\n000;x=\"y\"\r\nX: y\r\n\r\n"
        ),
        request("GET", "HTTP://GW.TEST./public/x", &[]),
        request("GET", "/public/x?%zz&\u{e9}", &["X-A:", "X-B: "]),
        "GET /public/x HTTP/1.0\r\n\r\nGET /public/y HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let hits = gate.upstream().hits();
        assert_eq!(gate.one(&text).status, 200, "{text:?}");
        assert_eq!(gate.upstream().hits(), hits + 1, "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_ends_of_lines_are_refused_and_answered() {
    let gate = Gate::start().await;
    let requests = [
        "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\r\n\r\n",
        "\n\nGET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "\n\r\nGET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    ];
    gate.refuses(&[400], &requests.map(str::to_owned));
}
