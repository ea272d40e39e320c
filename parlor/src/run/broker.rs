//! The broker that the plan names.

use std::path::PathBuf;

use broker::{
    embedded::Embedded,
    nats::{ConnectError, Nats, Options},
};
use tracing::info;

use crate::{config::NatsChoice, failure::Failure};

/// Opens the embedded broker.
pub(crate) async fn open(folder: PathBuf) -> Result<Embedded, Failure> {
    let shown = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    let opened = tokio::task::spawn_blocking(move || Embedded::open(&folder)).await;
    let embedded = opened
        .map_err(anyhow::Error::from)?
        .map_err(anyhow::Error::from)?;
    info!(data.dir = %shown.display(), "messages are kept in this folder");
    Ok(embedded)
}

/// Begins to connect to NATS; it may be away.
pub(crate) async fn connect(choice: NatsChoice, role: &str) -> Result<Nats, Failure> {
    let options = Options {
        url: choice.url,
        creds: choice.creds,
        subjects: choice.subjects,
        role: role.to_owned(),
        replicas: choice.replicas,
    };
    Box::pin(Nats::connect(options))
        .await
        .map_err(|error| match error {
            ConnectError::Url(..) | ConnectError::File(..) => Failure::Config(error.into()),
            error => Failure::Run(error.into()),
        })
}

/// Returns when it is clear that this NATS will never do, and why; never, when it does.
pub(super) async fn unusable(nats: Nats) -> Failure {
    match Box::pin(nats.verify()).await {
        Err(error) => Failure::Run(error.into()),
        Ok(()) => std::future::pending().await,
    }
}
