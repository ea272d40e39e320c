//! Raw frames over a real connection: whatever is wrong with them, the right close frame arrives and the
//! connection ends.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::http::testing::{Running, UPGRADE, options, start};

/// A masked frame with a mask of zeros: `first` is FIN, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

struct Raw(TcpStream);

impl Raw {
    async fn open(gateway: &Running) -> Self {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: chat.test\r\n{UPGRADE}Sec-WebSocket-Protocol: parlor.v1.json\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        Self(stream)
    }

    async fn greeted(gateway: &Running) -> Self {
        let mut raw = Self::open(gateway).await;
        raw.write(&frame(0x81, br#"{"op":"hello"}"#)).await;
        let (opcode, welcome) = raw.read().await;
        assert_eq!(opcode, 1);
        assert!(String::from_utf8(welcome).unwrap().contains("welcome"));
        raw
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn read(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        assert_eq!(first & 0xf0, 0x80, "whole, without reserved bits");
        let len = match self.0.read_u8().await.unwrap() {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            127 => usize::try_from(self.0.read_u64().await.unwrap()).unwrap(),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).await.unwrap();
        (first & 0x0f, payload)
    }

    /// The code of the close frame that comes; then confirms it and sees the end, not a reset.
    async fn closed(mut self) -> u16 {
        let code = loop {
            if let (8, payload) = self.read().await {
                break u16::from_be_bytes([payload[0], payload[1]]);
            }
        };
        let confirm = self.0.write_all(&frame(0x88, &code.to_be_bytes())).await;
        confirm.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(2), self.0.read_u8()).await;
        let error = end.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        code
    }
}

#[tokio::test]
async fn what_breaks_the_rules_gets_its_close_and_the_end() {
    let gateway = start(options()).await;
    let fragments = [frame(0x01, &[b'x'; 10_000]), frame(0x80, &[b'x'; 10_000])].concat();
    for (bytes, code) in [
        (frame(0x81, &[0xff, 0xfe]), 1007),
        (frame(0x81, &vec![b'x'; 16_385]), 1009),
        (frame(0x82, &vec![b'x'; 70_000]), 1009),
        (fragments, 1009),
        (vec![0x81, 2, b'h', b'i'], 1002),
        (frame(0x83, b""), 1002),
        (frame(0xc1, b"{}"), 1002),
        (frame(0x80, b"{}"), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x88, &[3]), 1002),
    ] {
        let mut raw = Raw::greeted(&gateway).await;
        raw.write(&bytes).await;
        assert_eq!(
            raw.closed().await,
            code,
            "{:?}",
            &bytes[..bytes.len().min(12)]
        );
    }
}

#[tokio::test]
async fn the_largest_message_and_one_in_pieces_are_answered() {
    let gateway = start(options()).await;
    let mut raw = Raw::greeted(&gateway).await;
    let ping = format!("{:<16384}", r#"{"op":"ping","t":1}"#);
    raw.write(&frame(0x81, ping.as_bytes())).await;
    assert_eq!(raw.read().await.0, 1);
    raw.write(&frame(0x01, br#"{"op":"ping","#)).await;
    raw.write(&frame(0x89, b"beat")).await;
    assert_eq!(raw.read().await, (10, b"beat".to_vec()));
    raw.write(&frame(0x80, br#""t":"x"}"#)).await;
    let (_, pong) = raw.read().await;
    assert!(String::from_utf8(pong).unwrap().contains(r#""t":"x""#));
    raw.write(&frame(0x82, b"{}")).await;
    let (_, error) = raw.read().await;
    assert!(String::from_utf8(error).unwrap().contains("MALFORMED"));
}

#[tokio::test]
async fn a_close_is_answered_with_the_same_code() {
    let gateway = start(options()).await;
    let mut raw = Raw::greeted(&gateway).await;
    raw.write(&frame(0x88, &4321_u16.to_be_bytes())).await;
    assert_eq!(raw.read().await, (8, 4321_u16.to_be_bytes().to_vec()));
    assert!(raw.0.read_u8().await.is_err());
    let mut raw = Raw::greeted(&gateway).await;
    raw.write(&frame(0x88, b"")).await;
    assert_eq!(raw.read().await, (8, Vec::new()));
    assert!(raw.0.read_u8().await.is_err());
}

#[tokio::test]
async fn an_operation_before_hello_closes() {
    let gateway = start(options()).await;
    let mut raw = Raw::open(&gateway).await;
    raw.write(&frame(0x81, br#"{"op":"ping","t":1}"#)).await;
    assert_eq!(raw.closed().await, 4001);
}
