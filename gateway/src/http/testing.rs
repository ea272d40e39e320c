//! A gateway on a port of its own with a broker in memory, and clients that say exactly what a test
//! wants them to say. Nobody owns rooms here: tests of the edge end
//! where rooms begin.

use std::{net::SocketAddr, time::Duration};

use broker::{Bus as _, Delivery, Subscription as _, embedded::Embedded};
use futures_util::StreamExt as _;
use prometheus_client::{encoding::text::encode, registry::Registry};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, handshake::client::Response},
};
use tokio_util::sync::CancellationToken;

use crate::{DrainOptions, Error, Gateway, Handle, Options};

pub(crate) type Client = WebSocketStream<TcpStream>;

/// A handshake that is right in every way.
pub(crate) const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A running gateway.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) bus: Embedded,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), Error>>,
    registry: Registry,
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// `None` as long as its head is not whole.
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Some(Self {
            status: status.unwrap_or_else(|| panic!("not an HTTP answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    fn is_whole(&self, method: &str) -> bool {
        let length = self
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let has_body = method != "HEAD" && !matches!(self.status, 101 | 304);
        !has_body || self.body.len() >= length.unwrap_or(0)
    }
}

pub(crate) fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        subjects: proto::subject::Subjects::default(),
        limits: proto::Limits::default(),
        allowed_origins: Vec::new(),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        time_zone: chrono_tz::UTC,
        guests: true,
        drain: DrainOptions {
            delay: Duration::ZERO,
            window: Duration::from_millis(20),
            deadline: Duration::from_secs(10),
        },
        gateway_id: "g1".to_owned(),
    }
}

/// Starts a gateway with these options, in an installation of four partitions.
pub(crate) async fn start(options: Options) -> Running {
    let bus = Embedded::in_memory().unwrap();
    room_service(&bus).await;
    start_on(bus, options).await
}

/// Starts a gateway that reaches nobody.
pub(crate) async fn start_alone(options: Options) -> Running {
    start_on(Embedded::in_memory().unwrap(), options).await
}

/// Answers for the room service, which knows the installation.
pub(crate) async fn room_service(bus: &Embedded) {
    let subjects = proto::subject::Subjects::default();
    let bus = bus.clone();
    let mut asked = bus.subscribe(&subjects.meta_get()).await.unwrap();
    let meta = proto::bus::v1::Meta {
        partitions: 4,
        guest_key: vec![7; 32].into(),
    };
    let _ = bus
        .publish(&subjects.meta(), meta.encode_to_vec().into(), None)
        .await;
    tokio::spawn(async move {
        while let Some(delivery) = asked.next().await {
            if let Delivery::Message(message) = delivery
                && let Some(reply) = message.reply
            {
                let _ = bus.publish(&reply, meta.encode_to_vec().into(), None).await;
            }
        }
    });
}

async fn start_on(bus: Embedded, options: Options) -> Running {
    let mut registry = Registry::default();
    let gateway = Gateway::bind(options, bus.clone(), &mut registry)
        .await
        .unwrap();
    let shutdown = CancellationToken::new();
    Running {
        address: gateway.local_addr(),
        handle: gateway.handle(),
        bus,
        ended: tokio::spawn(gateway.run(shutdown.clone())),
        shutdown,
        registry,
    }
}

impl Running {
    /// Sends these bytes and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request on one connection. `headers` are lines that end in CRLF.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: chat.test\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let read = stream.read_buf(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer);
            if let Some(whole) = Answer::parse(&text).filter(|answer| answer.is_whole(method)) {
                return whole;
            }
            assert_ne!(read, 0, "closed after {text:?}");
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    /// A socket, opened as a client library does.
    pub(crate) async fn connect(&self, path: &str, headers: &[(&'static str, &str)]) -> Client {
        self.handshake(path, headers).await.0
    }

    pub(crate) async fn handshake(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (Client, Response) {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        client_async(request, stream).await.unwrap()
    }

    /// A socket that a session has.
    pub(crate) async fn connect_v1(&self) -> Client {
        self.connect("/ws", &[("sec-websocket-protocol", "parlor.v1.json")])
            .await
    }

    /// The metrics as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// The code and reason of the close that comes, after whatever is said before it.
pub(crate) async fn close_of(client: &mut Client) -> (u16, String) {
    while let Some(message) = client.next().await {
        if let Message::Close(Some(frame)) = message.unwrap() {
            return (frame.code.into(), frame.reason.to_string());
        }
    }
    panic!("no close frame");
}
