//! A running `parlor`, found beside the test's own binary.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use nix::{sys::signal, unistd::Pid};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::PATIENCE;

/// A `parlor` process; killed when dropped.
pub struct Parlor {
    child: Child,
    stderr: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

/// The binary, built by `cargo build -p parlor` in the profile of this test, or `$PARLOR_BIN`.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("PARLOR_BIN") {
        return named.into();
    }
    let mut path = std::env::current_exe().expect("a test knows its own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("parlor");
    assert!(
        path.exists(),
        "{} is not there: run `cargo build -p parlor`, or ./test",
        path.display()
    );
    path
}

/// A `parlor` to run, without any `PARLOR_` variable of whoever runs the tests; killed when dropped.
pub fn command() -> Command {
    command_of(&binary())
}

/// The same of another program: a copy of `parlor`, or what becomes it.
pub fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("PARLOR_") {
            command.env_remove(key);
        }
    }
    command.kill_on_drop(true);
    command
}

impl Parlor {
    /// Starts `parlor` with these arguments and no `PARLOR_` variable but `env`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.args(args).envs(env.iter().copied());
        Self::run(command)
    }

    /// Starts a [`command`] of `parlor`, or one that becomes it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("parlor starts");
        let pipe = child.stderr.take().expect("stderr is piped");
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (count, lines) = watch::channel(0);
        let sink = Arc::clone(&stderr);
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                if std::env::var_os("TEST_LOGS").is_some() {
                    // The lock of stderr is what libtest does not capture.
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
                let mut lines = sink.lock();
                lines.push(line);
                count.send_replace(lines.len());
            }
        });
        Self {
            child,
            stderr,
            lines,
        }
    }

    /// Everything in one process on `dir`, four partitions, limits as in `more`; ready.
    pub async fn serve(dir: &Path, more: &[&str]) -> Self {
        let dir = dir.to_str().expect("temporary folders have plain names");
        let mut args = vec!["serve", "--data-dir", dir, "--partitions", "4", "--listen"];
        args.extend(["127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        args.extend(["--metrics-listen", "127.0.0.1:0"]);
        args.extend(more);
        let parlor = Self::spawn(&args, &[]);
        parlor.ready().await;
        parlor
    }

    /// A gateway on this NATS; not awaited.
    pub fn gateway(nats: &str, more: &[&str]) -> Self {
        let mut args = vec!["gateway", "--nats", nats, "--listen", "127.0.0.1:0"];
        args.extend(["--metrics-listen", "127.0.0.1:0"]);
        args.extend(more);
        Self::spawn(&args, &[])
    }

    /// A room service on this NATS with four partitions; not awaited.
    pub fn room_service(nats: &str, more: &[&str]) -> Self {
        let mut args = vec!["room-service", "--nats", nats, "--partitions", "4"];
        args.extend([
            "--admin-listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ]);
        args.extend(more);
        Self::spawn(&args, &[])
    }

    /// Waits for the line `ready`.
    pub async fn ready(&self) {
        self.line("ready", |line| line.trim_end().ends_with("ready"))
            .await;
    }

    /// Where it listens: `http`, `admin` or `metrics`.
    pub async fn address(&self, what: &str) -> SocketAddr {
        let key = format!("listening.{what}=");
        let line = self.line(&key, |line| line.contains(&key)).await;
        let value = line.split(&key).nth(1).unwrap_or_default();
        let value = value.split_whitespace().next().unwrap_or_default();
        value
            .parse()
            .unwrap_or_else(|_| panic!("{line:?} has no address"))
    }

    /// Waits for a line on stderr.
    ///
    /// # Panics
    /// When none comes, with all that came.
    pub async fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.line_after(0, what, wanted).await
    }

    /// Waits for a line on stderr after the first `seen`.
    ///
    /// # Panics
    /// When none comes, with all that came.
    pub async fn line_after(
        &self,
        seen: usize,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let mut lines = self.lines.clone();
        let said = || {
            let mut later = self.stderr().into_iter().skip(seen);
            later.find(|line| wanted(line))
        };
        let find = async {
            loop {
                if let Some(line) = said() {
                    return Some(line);
                }
                if lines.changed().await.is_err() {
                    return said();
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line {what:?} in\n{}", self.stderr().join("\n")))
    }

    /// The lines of stderr so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: signal::Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.expect("it still runs");
        signal::kill(Pid::from_raw(pid), signal).expect("it can be signalled");
    }

    /// kill -9, and its end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// SIGTERM, and its end.
    pub async fn terminate(self) -> ExitStatus {
        self.signal(signal::Signal::SIGTERM);
        self.end().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("it does not end:\n{}", self.stderr().join("\n"))
        };
        status.expect("its end can be awaited")
    }

    /// Process id, for /proc.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it still runs")
    }
}
