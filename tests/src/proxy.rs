//! Stands between a process and nats-server, and loses some of the messages on their way to the process.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// Loses messages as long as it is there.
pub struct Lossy {
    /// Where the process connects instead.
    pub url: String,
    counts: Arc<Counts>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    passed: AtomicU64,
    lost: AtomicU64,
}

/// Which messages are lost.
#[derive(Clone)]
struct Loss {
    /// How their subjects begin.
    subjects: String,
    /// One of so many.
    one_in: u32,
    counts: Arc<Counts>,
}

impl Lossy {
    /// In front of the server at `url`: loses one in `one_in` of the messages whose subjects begin like this,
    /// by chance that `seed` decides.
    ///
    /// # Panics
    /// When the address is no plain one of one server, or no port is free.
    pub async fn before(url: &str, subjects: &str, one_in: u32, seed: u64) -> Self {
        let server = url.strip_prefix("nats://").expect("nats://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a port");
        let counts = Arc::new(Counts::default());
        let loss = Loss {
            subjects: subjects.to_owned(),
            one_in,
            counts: Arc::clone(&counts),
        };
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            for n in 0.. {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                let rng = StdRng::seed_from_u64(seed.wrapping_add(n));
                connections.spawn(pass(client, server, loss.clone(), rng));
            }
        });
        Self {
            url: format!("nats://{address}"),
            counts,
            _accepting: accepting,
        }
    }

    /// How many of these messages were passed on, and how many lost.
    pub fn counted(&self) -> (u64, u64) {
        let Counts { passed, lost } = &*self.counts;
        (passed.load(Ordering::Relaxed), lost.load(Ordering::Relaxed))
    }
}

/// Passes one connection on until either side ends it.
async fn pass(client: TcpStream, server: TcpStream, loss: Loss, rng: StdRng) {
    for stream in [&client, &server] {
        // What is small must not wait: without it the process would be slower, not wrong.
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // The end of either is the end of both.
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        _ = loss.pass(from_server, to_client, rng) => {}
    }
}

impl Loss {
    /// Passes what the server says on, operation by operation.
    async fn pass(
        &self,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        mut rng: StdRng,
    ) -> io::Result<()> {
        let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
        let mut operation = Vec::new();
        loop {
            operation.clear();
            if from.read_until(b'\n', &mut operation).await? == 0 {
                return Ok(());
            }
            let subject = read_payload(&mut from, &mut operation).await?;
            let concerns = subject.is_some_and(|subject| subject.starts_with(&self.subjects));
            if concerns && rng.random_ratio(1, self.one_in) {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                to.write_all(&operation).await?;
                self.counts
                    .passed
                    .fetch_add(u64::from(concerns), Ordering::Relaxed);
            }
            if from.buffer().is_empty() {
                to.flush().await?;
            }
        }
    }
}

/// Reads what belongs to a `MSG` or `HMSG` behind its line; its subject.
async fn read_payload(
    from: &mut BufReader<OwnedReadHalf>,
    operation: &mut Vec<u8>,
) -> io::Result<Option<String>> {
    let line = String::from_utf8_lossy(operation).into_owned();
    let mut words = line.split_ascii_whitespace();
    if !matches!(words.next(), Some("MSG" | "HMSG")) {
        return Ok(None);
    }
    let subject = words.next().map(str::to_owned);
    // Headers and payload together are its last word, and a line's end follows them.
    let bytes: u64 = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
    from.take(bytes + 2).read_to_end(operation).await?;
    Ok(subject)
}
