//! One part of a process while it runs, and the order in which parts end.

use anyhow::anyhow;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A running part. Its end before it was asked for is a failure, whatever it says.
pub(super) struct Part {
    name: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Part {
    /// Starts it; it is to end when its token is cancelled.
    pub(super) fn start<R>(name: &'static str, run: impl FnOnce(CancellationToken) -> R) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Self {
            name,
            shutdown,
            task,
        }
    }

    /// Waits for its end, which is a failure unless it was asked for. Cancel-safe.
    async fn ended(&mut self) -> Result<(), Failure> {
        let result: Result<_, JoinError> = (&mut self.task).await;
        match result {
            Ok(Ok(())) if self.shutdown.is_cancelled() => Ok(()),
            Ok(Ok(())) => Err(Failure::Run(anyhow!("{} ended by itself", self.name))),
            Ok(Err(error)) => Err(Failure::Run(error)),
            Err(_) => Err(Failure::Run(anyhow!(
                "{} failed on a fault of ours; please report the lines above",
                self.name
            ))),
        }
    }

    /// Asks it to end and waits.
    async fn end(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        self.ended().await
    }
}

/// Waits for `shutdown`, then ends one part after the other. The first part that fails ends it all.
pub(super) async fn end_in_order(
    parts: [Option<Part>; 2],
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let [mut first, mut second] = parts;
    tokio::select! {
        () = shutdown.cancelled() => {}
        failed = of(first.as_mut()) => return failed,
        failed = of(second.as_mut()) => return failed,
    }
    if let Some(first) = first {
        // What the second one does meanwhile is told when its turn comes.
        first.end().await?;
    }
    match second {
        Some(second) => second.end().await,
        None => Ok(()),
    }
}

/// The end of a part; none ever, of a part that is not there.
async fn of(part: Option<&mut Part>) -> Result<(), Failure> {
    match part {
        Some(part) => part.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    type Ended = Arc<Mutex<Vec<&'static str>>>;

    /// A part that takes its time to end.
    fn orderly(name: &'static str, ended: &Ended) -> Option<Part> {
        let ended = Arc::clone(ended);
        Some(Part::start(name, |shutdown| async move {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            ended.lock().push(name);
            Ok(())
        }))
    }

    fn words(result: Result<(), Failure>) -> String {
        match result {
            Err(Failure::Run(error)) => error.to_string(),
            other => panic!("not a failure of running: {other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_part_has_ended_before_the_second_is_asked_to() {
        let ended = Ended::default();
        let parts = [orderly("gateway", &ended), orderly("rooms", &ended)];
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        end_in_order(parts, &shutdown).await.unwrap();
        assert_eq!(*ended.lock(), ["gateway", "rooms"]);
    }

    #[tokio::test]
    async fn a_part_that_fails_ends_it_all_with_its_words() {
        let ended = Ended::default();
        let failing = Part::start("the room service", |_| async { Err(anyhow!("no space")) });
        let parts = [orderly("gateway", &ended), Some(failing)];
        let result = end_in_order(parts, &CancellationToken::new()).await;
        assert_eq!(words(result), "no space");
    }

    #[tokio::test]
    async fn an_end_that_nobody_asked_for_is_a_failure() {
        let quitting = Part::start("the gateway", |_| async { Ok(()) });
        let result = end_in_order([Some(quitting), None], &CancellationToken::new()).await;
        assert_eq!(words(result), "the gateway ended by itself");
    }
}
