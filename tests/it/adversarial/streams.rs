//! Upgrades, streams and gRPC.

use super::gate::{Gate, request};

#[tokio::test(flavor = "multi_thread")]
async fn w08_trailers_arrive_whole() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
                   2\r\nok\r\n0\r\ngrpc-status: 7\r\nSet-Cookie: evil=1\r\n\r\n";
    let gate = Gate::before(answer).await;
    let got = gate.one(request("GET", "/public/x", &["TE: trailers"]));
    assert!(
        got.text.to_lowercase().contains("grpc-status: 7"),
        "{got:?}"
    );
    assert!(!got.text.contains("evil"), "{got:?}");
}
