//! nats-servers with the configuration that the manifests mount, one or three that are one; and what they say
//! of their streams.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use broker::{
    Bus as _,
    nats::{Nats, Options},
    testing::NatsServer,
};
use bytes::Bytes;
use proto::subject::Subjects;
use serde_json::Value;

use crate::eventually;

/// How long the leader of a stream may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Passwords of the configuration's users.
pub const GATEWAY: &str = "gatewaysecretofthetest";
/// The room services'.
pub const ROOM_SERVICE: &str = "roomservicesecretofthetest";
const ROUTE: &str = "routesecretofthetest";

/// The configuration of a server of its own.
pub fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats/nats.conf")
}

/// Writes a file for `--nats-creds` and returns its path.
///
/// # Panics
/// When it cannot be written.
pub fn credentials(dir: &Path, user: &str, password: &str) -> String {
    let file = dir.join(format!("{user}.creds"));
    std::fs::write(&file, format!("{user}:{password}\n")).expect("a temporary folder takes files");
    file.to_str()
        .expect("temporary folders have plain names")
        .to_owned()
}

/// Three servers of the cluster's configuration, named `n0` to `n2`, and the address of all.
///
/// # Panics
/// When they do not come up.
pub async fn cluster(dir: &Path) -> (Vec<NatsServer>, String) {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let routes = listeners.map(|listener| listener.local_addr().expect("a port").to_string());
    let url = |peer: &String| format!("\"nats-route://route:{ROUTE}@{peer}\"");
    let peers = routes.iter().map(url).collect::<Vec<_>>().join(", ");
    // Includes go by the folder of who includes.
    let up = "../".repeat(dir.components().count());
    let file = configuration().canonicalize().expect("the configuration");
    let file = file.with_file_name("cluster.conf");
    let mut servers = Vec::new();
    for (n, route) in routes.iter().enumerate() {
        let config = dir.join(format!("{n}.conf"));
        let text = format!("server_name: n{n}\ninclude {up}{}\n", file.display());
        std::fs::write(&config, text).expect("a temporary folder takes files");
        let env = [
            ("GATEWAY_PASSWORD", GATEWAY),
            ("ROOM_SERVICE_PASSWORD", ROOM_SERVICE),
            ("ROUTE_PASSWORD", ROUTE),
            ("ROUTES", &format!("[{peers}]")),
            ("CLUSTER_LISTEN", route),
        ];
        servers.push(NatsServer::start_with(&config, &env).await);
    }
    let urls: Vec<_> = servers.iter().map(NatsServer::url).collect();
    (servers, urls.join(","))
}

/// Asks JetStream about streams.
pub struct Streams {
    nats: Nats,
}

impl Streams {
    /// Connects as a room service does.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn at(url: &str, creds: Option<PathBuf>) -> Self {
        let options = Options {
            url: url.to_owned(),
            creds,
            subjects: Subjects::default(),
            role: "room-service".to_owned(),
            replicas: 1,
        };
        let nats = Nats::connect(options).await.expect("an address");
        nats.connected().await;
        Self { nats }
    }

    /// What the leader says of a stream; `None` when none answers.
    pub async fn info(&self, stream: &str) -> Option<Value> {
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        let asked = self
            .nats
            .request(&subject, Bytes::new(), None, ANSWER_WITHIN);
        let info: Value = serde_json::from_slice(&asked.await.ok()?).ok()?;
        info["state"].is_object().then_some(info)
    }

    /// The name of the server that leads a stream.
    pub async fn leader(&self, stream: &str) -> String {
        let leader = async || {
            let info = self.info(stream).await?;
            info["cluster"]["leader"].as_str().map(str::to_owned)
        };
        eventually("the stream has a leader", leader).await
    }

    /// Waits until every copy of a stream has all of it.
    pub async fn are_whole(&self, streams: &[String]) {
        for stream in streams {
            eventually("every copy is current", async || {
                let info = self.info(stream).await?;
                let copies = info["cluster"]["replicas"].as_array()?;
                let is_current = |copy: &Value| copy["current"] == true;
                copies.iter().all(is_current).then_some(())
            })
            .await;
        }
    }
}
