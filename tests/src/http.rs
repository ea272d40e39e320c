//! The least of an HTTP client: what probes and Prometheus ask.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::PATIENCE;

/// The whole answer to a GET, head and body.
///
/// # Panics
/// When nobody listens there, or no whole answer comes.
pub async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it takes a request");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    let read = read.expect("it answers in time");
    read.expect("it answers in text");
    answer
}
