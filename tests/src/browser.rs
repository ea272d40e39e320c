//! A browser's side of the protocol: frames in, frames out, nothing clever.

use std::{collections::VecDeque, net::SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::{ClientRequestBuilder, IntoClientRequest as _},
    },
};

use crate::PATIENCE;

/// A WebSocket with the frames it received and nobody has asked for yet.
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    unread: VecDeque<Value>,
    /// Token of the latest `welcome` or `token`.
    pub token: Option<String>,
}

impl Browser {
    /// A socket of protocol v1, before `hello`.
    pub async fn connect(gateway: SocketAddr) -> Self {
        Self::connect_with(
            gateway,
            "/ws",
            &[("Sec-WebSocket-Protocol", "parlor.v1.json")],
        )
        .await
    }

    /// A socket of the classic protocol; `path` is what follows `/ws/chat/`.
    pub async fn classic(gateway: SocketAddr, path: &str) -> Self {
        Self::connect_with(gateway, &format!("/ws/chat/{path}"), &[]).await
    }

    /// A socket with these headers.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn connect_with(gateway: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let connected = Self::try_connect_with(gateway, path, headers).await;
        connected.expect("the gateway listens, and the handshake succeeds")
    }

    /// A socket of protocol v1, before `hello`, at a gateway that may be gone.
    ///
    /// # Errors
    /// When it is, or goes.
    pub async fn try_connect(gateway: SocketAddr) -> Result<Self, Error> {
        let headers = [("Sec-WebSocket-Protocol", "parlor.v1.json")];
        Self::try_connect_with(gateway, "/ws", &headers).await
    }

    async fn try_connect_with(
        gateway: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let uri = format!("ws://{gateway}{path}").parse().expect("a URI");
        let mut request = ClientRequestBuilder::new(uri);
        for (name, value) in headers {
            request = request.with_header(*name, *value);
        }
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(request.into_client_request()?, stream).await?;
        Ok(Self {
            socket,
            unread: VecDeque::new(),
            token: None,
        })
    }

    /// Connects, says `hello` with this nick and joins these rooms from their last events.
    pub async fn enter(gateway: SocketAddr, nick: &str, rooms: &[&str]) -> Self {
        let mut browser = Self::connect(gateway).await;
        browser.say(json!({"op": "hello", "nick": nick})).await;
        browser.expect("welcome").await;
        for room in rooms {
            browser.say(json!({"op": "join", "room": room})).await;
            browser.expect("joined").await;
        }
        browser
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the socket is gone.
    pub async fn say(&mut self, frame: Value) {
        self.say_raw(Message::text(frame.to_string())).await;
    }

    /// Sends a frame as it is.
    ///
    /// # Panics
    /// When the socket is gone.
    pub async fn say_raw(&mut self, message: Message) {
        self.socket
            .send(message)
            .await
            .expect("the socket takes a frame");
    }

    /// Sends a frame; `false` when the socket is gone.
    pub async fn try_say(&mut self, frame: Value) -> bool {
        self.try_say_raw(Message::text(frame.to_string())).await
    }

    /// Sends a frame as it is; `false` when the socket is gone.
    pub async fn try_say_raw(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// Sends a message and awaits its `ack` or `error`.
    pub async fn send(&mut self, room: &str, cid: &str, text: &str) -> Value {
        self.say(json!({"op": "send", "room": room, "cid": cid, "text": text}))
            .await;
        self.find(&format!("answer to {cid}"), |frame| {
            frame["cid"] == cid && (frame["op"] == "ack" || frame["op"] == "error")
        })
        .await
    }

    /// The next frame of this op; others stay for later.
    pub async fn expect(&mut self, op: &str) -> Value {
        self.find(op, |frame| frame["op"] == op).await
    }

    /// The next `event`s of a room, `count` of them.
    pub async fn events(&mut self, room: &str, count: usize) -> Vec<Value> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let wanted = |frame: &Value| frame["op"] == "event" && frame["room"] == room;
            events.push(self.find(&format!("event of {room}"), wanted).await);
        }
        events
    }

    /// The first frame that is wanted; others stay for later.
    ///
    /// # Panics
    /// When none comes or the socket closes, with what came instead.
    pub async fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.unread.iter().position(&wanted) {
            return self.unread.remove(at).unwrap_or_default();
        }
        loop {
            let frame = match self.receive().await {
                Ok(frame) => frame,
                Err(why) => panic!("no {what}: {why}; unread: {:?}", self.unread),
            };
            if wanted(&frame) {
                return frame;
            }
            self.unread.push_back(frame);
        }
    }

    /// The next frame from the wire, or why there is none.
    ///
    /// # Errors
    /// In words: closed with a code, broken, or nothing within [`PATIENCE`].
    pub async fn receive(&mut self) -> Result<Value, String> {
        // Over all: pings of the server are no frame, and keep nobody waiting.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(deadline, self.socket.next()).await;
            let message = next.map_err(|_| "nothing came".to_owned())?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
                    if let Some(token) = frame["token"].as_str() {
                        self.token = Some(token.to_owned());
                    }
                    return Ok(frame);
                }
                Some(Ok(Message::Close(close))) => {
                    let code = close.map_or(1005, |close| u16::from(close.code));
                    return Err(format!("closed {code}"));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("ended".to_owned()),
            }
        }
    }

    /// The code with which the server closes; frames before it stay for later.
    ///
    /// # Panics
    /// When it does not close.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Ok(frame) => self.unread.push_back(frame),
                Err(why) => {
                    let code = why
                        .strip_prefix("closed ")
                        .and_then(|code| code.parse().ok());
                    return code.unwrap_or_else(|| panic!("not closed: {why}; {:?}", self.unread));
                }
            }
        }
    }

    /// The frames received and not asked for; waits for a `pong`, so that all that was sent before is
    /// there.
    pub async fn settle(&mut self) -> Vec<Value> {
        let mark: u32 = rand::random();
        self.say(json!({"op": "ping", "t": mark})).await;
        self.find("pong", |frame| frame["op"] == "pong" && frame["t"] == mark)
            .await;
        self.unread.drain(..).collect()
    }

    /// Closes from the browser's side.
    pub async fn leave(mut self) {
        // Whether the other side still listens makes no difference to who leaves.
        let _ = self.socket.close(None).await;
    }
}
