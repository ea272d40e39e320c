//! Requests to other replicas and looks at logs: each tells the placement what came of it.

use std::{sync::Arc, time::Duration};

use broker::{Broker, RequestError};
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{Ping, Release, Released},
};
use tracing::debug;

use super::super::{
    members::{PING_EVERY, Silence},
    placement::Input,
    process::Process,
};
use super::owners::Tails;
use crate::{owner::Tail, service::Shared};

/// How long a log has to answer a look.
const LOOK_WITHIN: Duration = Duration::from_millis(500);
/// How long an owner has to release a partition: an append may be under way.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// What this process says in a ping and in its answer.
pub(super) fn ping_of<B: Broker>(shared: &Shared<B>) -> Ping {
    Ping {
        from: shared.cluster.me.to_string(),
        unix_ms: shared.cluster.now().unix_ms,
    }
}

/// Pings a member.
pub(super) async fn ping<B: Broker>(shared: Arc<Shared<B>>, process: Process) {
    let asked = shared.cluster.now();
    let subject = shared.subjects.ping(process.token());
    let payload = ping_of(&shared).encode_to_vec().into();
    let answer = shared
        .broker
        .request(&subject, payload, None, PING_EVERY)
        .await;
    let told = answer.map(Ping::decode);
    shared.cluster.feed(match told {
        Ok(Ok(pong)) => Input::Answered {
            process,
            asked,
            told_unix_ms: pong.unix_ms,
        },
        Ok(Err(_)) | Err(RequestError::Timeout) => Input::Unanswered {
            process,
            asked,
            why: Some(Silence::Timeout),
        },
        Err(RequestError::NoResponder) => Input::Unanswered {
            process,
            asked,
            why: Some(Silence::NoResponder),
        },
        // The broker's fault, not the member's.
        Err(RequestError::TooLarge(_) | RequestError::Unavailable(_)) => Input::Unanswered {
            process,
            asked,
            why: None,
        },
    });
}

/// Sees whether a partition's log answers.
pub(super) async fn look<B: Broker>(shared: Arc<Shared<B>>, pp: PartitionId) {
    let last = tokio::time::timeout(LOOK_WITHIN, shared.broker.last(pp)).await;
    let answers = matches!(last, Ok(Ok(_)));
    if !answers {
        debug!(partition.id = %pp, "the log does not answer");
    }
    shared.cluster.feed(Input::Looked { pp, answers });
}

/// Asks a living owner to release a partition, after having read its log ahead: meanwhile it is served.
pub(super) async fn ask_release<B: Broker>(
    shared: Arc<Shared<B>>,
    tails: Tails,
    pp: PartitionId,
    of: Process,
    epoch: u64,
) {
    let tail = Tail::read_ahead(pp, &shared).await;
    // Before the answer: the announcement of the release may come first.
    tails.lock().insert(pp, tail);
    let subject = shared.subjects.release(of.token());
    let release = Release {
        partition: pp.to_string(),
        epoch,
        by: shared.cluster.me.to_string(),
    };
    let payload = release.encode_to_vec().into();
    let answer = shared
        .broker
        .request(&subject, payload, None, RELEASE_WITHIN)
        .await;
    let released = match answer.map(Released::decode) {
        Ok(Ok(answer)) => {
            if !answer.released {
                debug!(partition.id = %pp, replica.process = %of, release.refused = answer.why, "not released");
            }
            answer.released
        }
        Ok(Err(_)) | Err(_) => false,
    };
    shared
        .cluster
        .feed(Input::ReleaseAnswered { pp, of, released });
}
