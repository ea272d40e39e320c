//! A real nats-server for tests: on a random port of loopback, with a store of its own, killed when
//! dropped. The binary is `$NATS_SERVER`, else `nats-server` on the PATH.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::Instant,
};

/// How long the server may take to listen.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running nats-server with JetStream.
pub struct NatsServer {
    child: Option<Child>,
    /// Chosen by the server when it first comes up.
    port: Option<u16>,
    store: TempDir,
    config: Option<PathBuf>,
    env: Vec<(String, String)>,
}

impl NatsServer {
    /// Starts a server without a configuration file.
    ///
    /// # Panics
    /// When there is no nats-server, or it does not come up.
    pub async fn start() -> Self {
        Self::launch(None, &[]).await
    }

    /// Starts a server with a configuration file and these variables; port and store are ours.
    ///
    /// # Panics
    /// When there is no nats-server, or it does not come up.
    pub async fn start_with(config: &Path, env: &[(&str, &str)]) -> Self {
        Self::launch(Some(config.to_owned()), env).await
    }

    async fn launch(config: Option<PathBuf>, env: &[(&str, &str)]) -> Self {
        let store = tempfile::tempdir().expect("a temporary folder");
        let env = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut server = Self {
            child: None,
            port: None,
            store,
            config,
            env,
        };
        server.restart().await;
        server
    }

    /// `nats://127.0.0.1:<port>`, the same after a restart.
    pub fn url(&self) -> String {
        let port = self.port.expect("it came up once");
        format!("nats://127.0.0.1:{port}")
    }

    /// Folder of the streams.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// Process id of the running server.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts again on the same port and store; a running server is killed first. Returns when it takes
    /// connections.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.kill().await;
        let give_up = Instant::now() + START_WITHIN;
        loop {
            match self.try_start().await {
                Ok(port) => {
                    self.port = Some(port);
                    return;
                }
                // Somebody's outgoing connection may have been given the port meanwhile.
                Err(log) => assert!(
                    Instant::now() < give_up,
                    "nats-server did not come up:\n{log}"
                ),
            }
        }
    }

    /// Starts it; the port it listens on, or what it said.
    async fn try_start(&mut self) -> Result<u16, String> {
        let binary = std::env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
        let port = self
            .port
            .map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let mut command = Command::new(&binary);
        command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]);
        command.arg(self.store.path());
        if let Some(config) = &self.config {
            // Monitoring on a port of its own: several servers may run at once.
            command.args(["-m", "-1"]).arg("-c").arg(config);
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap_or_else(|error| {
            panic!(
                "{} cannot be started ({error}): run ./test, which installs it",
                binary.display()
            )
        });
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut lines = BufReader::new(stderr).lines();
        let mut log = Vec::new();
        let up = async {
            let mut port = None;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, address)) = line.split_once("Listening for client connections on ")
                {
                    port = address
                        .rsplit(':')
                        .next()
                        .and_then(|port| port.trim().parse().ok());
                }
                if line.contains("Server is ready") {
                    return port;
                }
                log.push(line);
            }
            None
        };
        let up = tokio::time::timeout(START_WITHIN, up).await.ok().flatten();
        let port = up.ok_or_else(|| log.join("\n"))?;
        self.child = Some(child);
        // Whoever logs must be listened to, or it stops at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(port)
    }

    /// SIGSTOP: connections stay open, nothing answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        // A signal takes its time; until then it answers.
        while !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    /// Whether every thread of it is stopped, as the kernel tells (proc(5), `stat`).
    fn is_stopped(&self) -> bool {
        let pid = self.pid().expect("a running nats-server");
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        tasks.flatten().all(|task| {
            // A thread that has ended meanwhile answers nobody.
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            state.is_empty() || state.starts_with('T')
        })
    }

    /// SIGCONT: goes on where it was paused, with all that has arrived meanwhile.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGTERM, and its end: how an operator stops it. The store stays.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        if let Some(mut child) = self.child.take() {
            let ended = tokio::time::timeout(START_WITHIN, child.wait()).await;
            assert!(ended.is_ok(), "nats-server does not end on SIGTERM");
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let pid = Pid::from_raw(pid.expect("a running nats-server"));
        kill(pid, signal).expect("our own child takes signals");
    }

    /// kill -9, and its end. The store stays.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill().await;
        }
    }
}
