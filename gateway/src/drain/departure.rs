//! How a gateway ends (DESIGN section 6): unready, a delay in which load balancers notice and whoever
//! still comes is served, no more connections, sockets closed over a window, and a deadline for what is
//! left. Whenever nobody is connected any more it is over at once.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Life, Lifecycle};
use crate::{DrainOptions, close::Close, shared::Shared};

/// How long sockets that are cut may take, and HTTP answers under way.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Everything that has to come to rest.
pub(crate) struct Departure<B> {
    pub(crate) options: DrainOptions,
    pub(crate) life: Life,
    pub(crate) shared: Arc<Shared<B>>,
    /// Ends the accepting of connections.
    pub(crate) stop_accepting: CancellationToken,
    /// The connections that speak HTTP.
    pub(crate) connections: TaskTracker,
}

impl<B: Bus> Departure<B> {
    /// Sees everybody off.
    pub(crate) async fn run(self) {
        self.life.advance(Lifecycle::Draining);
        let sockets = self.shared.admission.sockets();
        sockets.close();
        tracing::info!(gateway.sockets = sockets.len(), "draining");
        // An empty tracker ends each of these waits at once.
        let _ = timeout(self.options.delay, sockets.wait()).await;
        self.stop_accepting.cancel();
        self.shared.sessions.drain(self.options.window);
        if timeout(self.options.deadline, sockets.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                gateway.sockets = sockets.len(),
                "drain deadline; closing what is left"
            );
            self.shared.sessions.close_all(Close::DRAIN);
            let _ = timeout(LAST_WORDS, sockets.wait()).await;
        }
        self.connections.close();
        let _ = timeout(LAST_WORDS, self.connections.wait()).await;
    }
}
