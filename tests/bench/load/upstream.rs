//! The upstream: answers every request at once, and says how many connections it has taken.

use std::io::Write;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) fn run() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        println!("{port}");
        std::io::stdout().flush().unwrap();
        for number in 1_u32.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(answer(stream, number));
        }
    });
}

async fn answer(mut stream: TcpStream, number: u32) {
    let body = r#"{"items":[{"id":1,"name":"one"},{"id":2,"name":"two"}],"next":null}"#;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-connection: {number}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut head = Vec::with_capacity(8192);
    loop {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
