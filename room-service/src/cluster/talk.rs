//! Carries out what the placement decides: announces, pings, asks, and runs a task for each partition that
//! is claimed; and tells the placement what it hears. Decides nothing.

mod errands;
mod owners;

use std::{sync::Arc, time::Duration};

use broker::{Broker, Delivery, Message, Subscription};
use bytes::Bytes;
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{Announcement, Release, Released},
};
use tokio::{sync::Notify, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    news,
    placement::{Effect, Input, Owned, TICK},
    process::Process,
    wire,
};
use crate::service::Shared;
use owners::Owners;

/// How long the end of this process waits to hear its own farewell, by which all before it is out.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);
/// After this long without a change operators are told how many partitions are owned.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Owns what this process should own until shutdown, then releases it all. Returns when that is done and
/// told.
pub(crate) async fn run<B: Broker>(
    shared: Arc<Shared<B>>,
    partitions: Vec<PartitionId>,
    shutdown: CancellationToken,
) {
    let subjects = &shared.subjects;
    let mine = shared.cluster.me.token();
    let (own, who) = (subjects.owners(), subjects.who_all());
    let (ping, release) = (subjects.ping(mine), subjects.release(mine));
    let subscribe = async {
        tokio::join!(
            shared.subscribe(&own),
            shared.subscribe(&who),
            shared.subscribe(&ping),
            shared.subscribe(&release),
        )
    };
    let subscribed = shutdown.run_until_cancelled(subscribe).await;
    let Some((announcements, who, pings, releases)) = subscribed else {
        return;
    };
    // Whoever hears of this process may ask at once, so it listens first.
    shared.cluster.feed(Input::Begin(partitions));
    let farewell = Notify::new();
    let listen = async {
        tokio::join!(
            each(announcements, |message| hear(&shared, &farewell, message)),
            each(who, |message| answer_who(&shared, message)),
            each(pings, |message| answer_ping(&shared, message)),
            each(releases, |message| take_release(&shared, message)),
            tick(&shared),
        );
    };
    tokio::select! {
        () = carry_out(&shared, &shutdown, &farewell) => {}
        () = listen => {}
    }
}

/// Does each effect in turn; what takes time goes on beside.
async fn carry_out<B: Broker>(
    shared: &Arc<Shared<B>>,
    shutdown: &CancellationToken,
    farewell: &Notify,
) {
    let cluster = &shared.cluster;
    let mut owners = Owners::default();
    let mut errands = JoinSet::new();
    let mut stopping = false;
    loop {
        for effect in cluster.take_effects() {
            match effect {
                Effect::Announce(owned) => announce(shared, &owned, false).await,
                Effect::Ping(process) => {
                    errands.spawn(errands::ping(Arc::clone(shared), process));
                }
                Effect::Look(pp) => {
                    errands.spawn(errands::look(Arc::clone(shared), pp));
                }
                Effect::AskRelease { pp, of, epoch } => {
                    let (shared, tails) = (Arc::clone(shared), owners.tails());
                    errands.spawn(errands::ask_release(shared, tails, pp, of, epoch));
                }
                Effect::AnswerRelease { reply, refused } => {
                    let released = Released {
                        released: refused.is_none(),
                        why: refused.unwrap_or_default().to_owned(),
                    };
                    publish(shared, &reply, released.encode_to_vec()).await;
                }
                Effect::Claim(pp) => owners.claim(pp, shared),
                Effect::Stop(pp) => owners.stop(pp),
                Effect::Tell(told) => news::tell(&told),
            }
        }
        if stopping && owners.is_empty() {
            break;
        }
        tokio::select! {
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                cluster.feed(Input::Stop);
            }
            () = cluster.work.notified() => {}
            Some((pp, how)) = owners.ended() => cluster.feed(Input::Ended { pp, how }),
            Some(_) = errands.join_next() => {}
        }
    }
    announce(shared, &[], true).await;
    if tokio::time::timeout(FAREWELL_WITHIN, farewell.notified())
        .await
        .is_err()
    {
        debug!("the farewell was not heard");
    }
}

async fn announce<B: Broker>(shared: &Shared<B>, owned: &[Owned], left: bool) {
    let cluster = &shared.cluster;
    let announcement = Announcement {
        answers_pings: cluster.answers_pings(),
        left,
        ..wire::announcement(&cluster.me, &cluster.profile(), owned)
    };
    publish(
        shared,
        &shared.subjects.owners(),
        announcement.encode_to_vec(),
    )
    .await;
}

async fn publish<B: Broker>(shared: &Shared<B>, subject: &str, payload: Vec<u8>) {
    if let Err(error) = shared
        .broker
        .publish(subject, Bytes::from(payload), None)
        .await
    {
        debug!(bus.subject = subject, error = %error, "not published");
    }
}

/// Hands each message over until the bus is closed.
async fn each<S: Subscription, F: Future<Output = ()>>(
    mut from: S,
    mut to: impl FnMut(Message) -> F,
) {
    while let Some(delivery) = from.next().await {
        // What was lost is repeated all the time.
        if let Delivery::Message(message) = delivery {
            to(message).await;
        }
    }
}

async fn hear<B: Broker>(shared: &Shared<B>, farewell: &Notify, message: Message) {
    let Ok(said) = Announcement::decode(message.payload) else {
        return;
    };
    let Some(announced) = wire::announced(&said) else {
        return;
    };
    if announced.process != shared.cluster.me {
        shared.cluster.feed(Input::Heard(announced));
    } else if announced.left {
        farewell.notify_one();
    }
}

async fn answer_who<B: Broker>(shared: &Shared<B>, message: Message) {
    let token = message.subject.rsplit('.').next();
    let pp = token.and_then(|token| token.parse().ok());
    let (Some(pp), Some(reply)) = (pp, message.reply) else {
        return;
    };
    let cluster = &shared.cluster;
    let owned = cluster.epoch(pp).map(|epoch| Owned {
        pp,
        epoch,
        released: false,
        log_ok_ago: Duration::ZERO,
    });
    if owned.is_none() && !cluster.nobody_can_own(pp) {
        return;
    }
    // Nobody waits for an owner where none can be: the profile says so.
    let answer = wire::announcement(&cluster.me, &cluster.profile(), owned.as_slice());
    publish(shared, &reply, answer.encode_to_vec()).await;
}

async fn answer_ping<B: Broker>(shared: &Shared<B>, message: Message) {
    if let Some(reply) = message.reply {
        publish(shared, &reply, errands::ping_of(shared).encode_to_vec()).await;
    }
}

async fn take_release<B: Broker>(shared: &Shared<B>, message: Message) {
    let Ok(asked) = Release::decode(message.payload) else {
        return;
    };
    let (Ok(pp), Some(by), Some(reply)) = (
        asked.partition.parse(),
        Process::parse(&asked.by),
        message.reply,
    ) else {
        return;
    };
    debug!(partition.id = %pp, replica.process = %by, "asked for a release");
    shared.cluster.feed(Input::ReleaseAsked {
        pp,
        epoch: asked.epoch,
        by,
        reply,
    });
}

/// Tells the time, and operators how many partitions are owned once that has settled.
async fn tick<B: Broker>(shared: &Shared<B>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut seen) = (0, (0, tick.tick().await));
    loop {
        let now = tick.tick().await;
        let connected = shared.broker.is_connected();
        shared.cluster.feed(Input::Tick { connected });
        let owned = shared.cluster.owned_count();
        if owned != seen.0 {
            seen = (owned, now);
        } else if owned != told && now.duration_since(seen.1) >= SETTLED_AFTER {
            info!(
                partitions.owned = owned,
                partitions.before = told,
                "owns partitions"
            );
            told = owned;
        }
    }
}
