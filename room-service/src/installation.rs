//! The installation's own value in partition `meta`: how many partitions there are, and its keys. Made
//! once; gateways ask for what they need of it.

use std::sync::Arc;

use broker::{Broker, Delivery, Put, Revision, Subscription as _};
use prost::Message as _;
use proto::{
    PartitionCount, PartitionId,
    bus::v1::Meta,
    log::v1::{INSTALLATION_FORMAT, Installation},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::service::{Error, Shared};

const KEY: &str = "install";

/// Why the installation is not known; only [`Unknown::Again`] may pass by itself.
pub(crate) enum Unknown {
    /// The store did not answer.
    Again(String),
    /// It is there, but not as this process needs it.
    Fatal(Error),
}

/// Reads the installation's value, or makes it with `wanted` or `default` partitions.
pub(crate) async fn load_or_create<B: Broker>(
    broker: &B,
    wanted: Option<PartitionCount>,
    default: PartitionCount,
    now_ms: u64,
) -> Result<Installation, Unknown> {
    let again = |error: broker::StoreError| Unknown::Again(error.to_string());
    if let Some(value) = broker.get(PartitionId::Meta, KEY).await.map_err(again)? {
        return check(&value.bytes, wanted).map_err(Unknown::Fatal);
    }
    let made = Installation {
        format: INSTALLATION_FORMAT,
        partitions: u32::from(wanted.unwrap_or(default).get()),
        guest_key: rand::random::<[u8; 32]>().to_vec(),
        tag_key: rand::random::<[u8; 32]>().to_vec(),
        create_ms: now_ms,
    };
    let value = made.encode_to_vec().into();
    match broker
        .put(PartitionId::Meta, KEY, value, Revision::NONE)
        .await
    {
        Put::Written(_) => {
            info!(partition.count = made.partitions, "made a new installation");
            Ok(made)
        }
        // Another process made it, or this put may still land: what is stored decides.
        Put::Conflict { .. } | Put::Unclear => Err(Unknown::Again(
            "the installation's value is being made".to_owned(),
        )),
        Put::Refused { why } => Err(Unknown::Again(why)),
    }
}

/// The partitions of the installation that a broker holds; `None` when it holds none. Cancel-safe.
///
/// # Errors
/// [`Error::Installation`], for a store that does not answer as well.
pub async fn partitions_of<B: Broker>(broker: &B) -> Result<Option<PartitionCount>, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Installation(error.to_string());
    let value = broker.get(PartitionId::Meta, KEY).await;
    let Some(value) = value.map_err(|error| broken(&error))? else {
        return Ok(None);
    };
    let installation = check(&value.bytes, None)?;
    PartitionCount::new(installation.partitions)
        .map(Some)
        .map_err(|error| broken(&error))
}

fn check(value: &[u8], wanted: Option<PartitionCount>) -> Result<Installation, Error> {
    let broken = |why: String| Error::Installation(why);
    let installation = Installation::decode(value).map_err(|error| {
        broken(format!(
            "value `{KEY}` of partition meta is damaged: {error}"
        ))
    })?;
    if installation.format > INSTALLATION_FORMAT {
        return Err(broken(format!(
            "the installation has format {}, this version knows {INSTALLATION_FORMAT}: start a newer \
             version",
            installation.format
        )));
    }
    let stored = PartitionCount::new(installation.partitions)
        .map_err(|error| broken(format!("value `{KEY}` of partition meta: {error}")))?;
    match wanted {
        Some(wanted) if wanted != stored => Err(broken(format!(
            "--partitions {wanted}: this installation was made with {stored} partitions, and their \
             number is fixed; leave the flag out or give --partitions {stored}"
        ))),
        _ => Ok(installation),
    }
}

/// Answers gateways that ask for the installation, while this process owns partition meta.
pub(crate) async fn run<B: Broker>(shared: Arc<Shared<B>>, shutdown: CancellationToken) {
    let answer = async {
        let mut asked = shared.subscribe(&shared.subjects.meta_get()).await;
        let installation = shared.installation();
        let meta = Meta {
            partitions: installation.partitions,
            guest_key: installation.guest_key.clone().into(),
        };
        let payload = bytes::Bytes::from(meta.encode_to_vec());
        while let Some(delivery) = asked.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            let Some(reply) = message
                .reply
                .filter(|_| shared.cluster.owns(PartitionId::Meta))
            else {
                continue;
            };
            if let Err(error) = shared.broker.publish(&reply, payload.clone(), None).await {
                debug!(error = %error, "answer was not sent");
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = answer => {}
    }
}
