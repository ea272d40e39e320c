mod chaos;
mod heads;
mod reader;
mod slow;
mod storms;

use std::time::Duration;

use proto::frame::Cursor;
use serde_json::json;

use super::*;
use crate::{
    close::Close,
    session::Session,
    testing::{Core, Owner, drain, frames, seqs, session, settle, taken},
};

fn lobby() -> RoomId {
    RoomId::parse("lobby").unwrap()
}

fn wish(after: Option<(&str, u64)>) -> Join {
    Join {
        room: lobby(),
        asked: "Lobby".to_owned(),
        after: after.map(|(generation, seq)| Cursor {
            generation: generation.to_owned(),
            seq,
        }),
        history: 50,
    }
}

async fn joined(core: &Core, id: u64) -> Arc<Session> {
    let session = session(id, Form::V1);
    join(&core.shared, &session, wish(None)).await.unwrap();
    session
}

fn spawn_join(
    core: &Core,
    session: &Arc<Session>,
    after: Option<(&'static str, u64)>,
) -> tokio::task::JoinHandle<Result<(), Refusal>> {
    let (shared, session) = (Arc::clone(&core.shared), Arc::clone(session));
    tokio::spawn(async move { join(&shared, &session, wish(after)).await })
}

async fn core_with_owner() -> (Core, Owner) {
    let core = Core::start().await;
    let owner = Owner::claim(&core.bus, 1).await;
    (core, owner)
}

#[tokio::test(start_paused = true)]
async fn a_room_without_events_is_called_what_the_asker_typed() {
    let (core, owner) = core_with_owner().await;
    let ann = joined(&core, 1).await;
    assert_eq!(
        taken(&ann),
        [json!({
            "op": "joined", "room": "lobby", "asked": "Lobby", "name": "Lobby", "gen": "0",
            "head": 0, "oldest": 1, "events": [], "settings": {}, "you": {"role": "member"},
            "online": 1,
        })]
    );
    owner.say("lobby", "one").await;
    owner.say("lobby", "two").await;
    let frames = frames(&ann, 2).await;
    assert_eq!(frames[0]["gen"], "gen1");
    assert_eq!(frames[1]["gen"], json!(null));
    assert_eq!(seqs(&frames), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn events_during_a_join_come_after_it_and_once() {
    let (core, owner) = core_with_owner().await;
    for text in ["1", "2", "3"] {
        owner.say("lobby", text).await;
    }
    owner.shut();
    let ann = session(1, Form::V1);
    let join = spawn_join(&core, &ann, None);
    owner.has_seen(1).await;
    // These two are on their way before the owner looks, and in its answer as well.
    owner.say("lobby", "4").await;
    owner.say("lobby", "5").await;
    settle().await;
    owner.open();
    join.await.unwrap().unwrap();
    owner.say("lobby", "6").await;
    let frames = frames(&ann, 2).await;
    assert_eq!(frames[0]["op"], "joined");
    assert_eq!(frames[0]["head"], 5);
    assert_eq!(seqs(&frames), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_read_before_what_comes_after_it() {
    let (core, owner) = core_with_owner().await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    owner.say("lobby", "1").await;
    owner.append("lobby", "lost");
    owner.append("lobby", "lost");
    owner.shut();
    owner.say("lobby", "4").await;
    settle().await;
    assert_eq!(seqs(&frames(&ann, 1).await), [1]);
    owner.say("lobby", "5").await;
    settle().await;
    assert!(taken(&ann).is_empty());
    owner.open();
    assert_eq!(seqs(&frames(&ann, 4).await), [2, 3, 4, 5]);
    let repairs: Vec<_> = owner.reads().into_iter().skip(1).collect();
    assert_eq!(repairs.len(), 1, "{repairs:?}");
    assert_eq!((repairs[0].after, repairs[0].min_seq), (Some(1), 4));
    owner.say("lobby", "6").await;
    assert_eq!(seqs(&frames(&ann, 1).await), [6]);
}

#[tokio::test(start_paused = true)]
async fn a_repair_reads_on_while_there_is_more() {
    let (core, owner) = core_with_owner().await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    owner.answer_at_most(3);
    for _ in 0..10 {
        owner.append("lobby", "lost");
    }
    owner.say("lobby", "11").await;
    assert_eq!(seqs(&frames(&ann, 11).await), (1..=11).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn doubled_and_late_events_are_dropped() {
    let (core, owner) = core_with_owner().await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    let one = owner.append("lobby", "1");
    let two = owner.append("lobby", "2");
    owner.publish("lobby", &[one.clone(), two.clone()]).await;
    owner.publish("lobby", &[one]).await;
    owner.publish("lobby", &[two]).await;
    owner.say("lobby", "3").await;
    assert_eq!(seqs(&frames(&ann, 3).await), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_kept_is_a_gap() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    for _ in 0..20 {
        owner.append("lobby", "lost");
    }
    owner.forget_below(10);
    owner.say("lobby", "22").await;
    let frames = frames(&ann, 14).await;
    assert_eq!(
        frames[0],
        json!({"op": "gap", "room": "lobby", "from": 2, "to": 9})
    );
    assert_eq!(seqs(&frames), (10..=22).collect::<Vec<_>>());
    let again = session(2, Form::V1);
    spawn_join(&core, &again, Some(("gen1", 1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken(&again)[0]["gap"], json!({"from": 2, "to": 9}));
}

#[tokio::test(start_paused = true)]
async fn a_new_numbering_sends_everybody_to_resume() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    owner.renumber("gen2");
    owner.say("lobby", "1 again").await;
    settle().await;
    assert_eq!(drain(&ann).1, Some(Close::TOO_SLOW));
    let again = session(2, Form::V1);
    spawn_join(&core, &again, Some(("gen1", 1)))
        .await
        .unwrap()
        .unwrap();
    let frames = taken(&again);
    assert_eq!(frames[0]["gap"], json!({"reset": true}));
    assert_eq!(frames[0]["gen"], "gen2");
    owner.say("lobby", "2").await;
    assert_eq!(seqs(&self::frames(&again, 1).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_catch_up_follows_as_the_socket_drains() {
    let (core, owner) = core_with_owner().await;
    for number in 0..400 {
        owner.append("lobby", &"x".repeat(1_000 + number));
    }
    owner.answer_at_most(100);
    let ann = session(1, Form::V1);
    let join = spawn_join(&core, &ann, Some(("gen1", 0)));
    let first = frames(&ann, 1).await;
    assert_eq!(first[0]["op"], "joined");
    owner.say("lobby", "401").await;
    let mut all = first;
    all.extend(frames(&ann, 301).await);
    join.await.unwrap().unwrap();
    assert_eq!(seqs(&all), (1..=401).collect::<Vec<_>>());
    assert!(all.iter().all(|frame| frame["op"] != "gap"));
}

#[tokio::test(start_paused = true)]
async fn joined_holds_so_much_and_the_rest_follows() {
    let (core, owner) = core_with_owner().await;
    for _ in 0..45 {
        owner.append("lobby", &"\u{1}".repeat(2_000));
    }
    let ann = session(1, Form::V1);
    let join = spawn_join(&core, &ann, None);
    let mut all = frames(&ann, 1).await;
    join.await.unwrap().unwrap();
    let inside = all[0]["events"].as_array().unwrap().len();
    assert!((15..=25).contains(&inside), "{inside}");
    let rest = 45 - seqs(&all).len();
    all.extend(frames(&ann, rest).await);
    assert_eq!(seqs(&all), (1..=45).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn joining_again_counts_events_from_the_new_joined() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let ann = joined(&core, 1).await;
    taken(&ann);
    owner.say("lobby", "2").await;
    settle().await;
    spawn_join(&core, &ann, Some(("gen1", 1)))
        .await
        .unwrap()
        .unwrap();
    owner.say("lobby", "3").await;
    let frames = frames(&ann, 2).await;
    assert_eq!(frames[0]["op"], "joined", "what waited is in it");
    assert_eq!(seqs(&frames), [2, 3]);
    assert_eq!(core.shared.hub.get(&lobby()).unwrap().members(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_joins_at_once_both_see_everything() {
    let (core, owner) = core_with_owner().await;
    owner.shut();
    let sessions: Vec<_> = (0..20).map(|id| session(id, Form::V1)).collect();
    let joins: Vec<_> = sessions
        .iter()
        .map(|session| spawn_join(&core, session, None))
        .collect();
    owner.has_seen(1).await;
    settle().await;
    for _ in 0..5 {
        owner.say("lobby", "x").await;
    }
    owner.open();
    for join in joins {
        join.await.unwrap().unwrap();
    }
    owner.say("lobby", "6").await;
    settle().await;
    for session in &sessions {
        assert_eq!(seqs(&taken(session)), [1, 2, 3, 4, 5, 6]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_is_made_up_for() {
    let (core, owner) = core_with_owner().await;
    owner.delay_answer(Duration::from_millis(50));
    let ann = session(1, Form::V1);
    let slow = spawn_join(&core, &ann, None);
    owner.has_seen(1).await;
    settle().await;
    owner.say("lobby", "1").await;
    let ben = joined(&core, 2).await;
    assert_eq!(seqs(&taken(&ben)), [1]);
    slow.await.unwrap().unwrap();
    assert_eq!(seqs(&taken(&ann)), [1], "from a second reading");
    owner.say("lobby", "2").await;
    assert_eq!(seqs(&frames(&ann, 1).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_room_is_given_up_half_a_minute_after_its_last_member() {
    let (core, owner) = core_with_owner().await;
    let _ann = joined(&core, 1).await;
    let room = core.shared.hub.get(&lobby()).unwrap();
    assert_eq!(core.shared.hub.counts().len(), 1);
    room.leave(1);
    tokio::time::sleep(Duration::from_secs(29)).await;
    let ben = joined(&core, 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    owner.say("lobby", "1").await;
    assert_eq!(seqs(&frames(&ben, 2).await), [1]);
    room.leave(2);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(core.shared.hub.get(&lobby()).is_none());
    assert_eq!(core.shared.metrics.hub_rooms.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_a_join_is_refused_and_leaves_nothing() {
    let core = Core::start().await;
    let ann = session(1, Form::V1);
    let refused = join(&core.shared, &ann, wish(None)).await;
    assert_eq!(refused, Err(Refusal::UNAVAILABLE));
    assert!(ann.membership(&lobby()).is_none());
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(core.shared.hub.get(&lobby()).is_none());
}

#[tokio::test(start_paused = true)]
async fn classic_members_get_lines() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "old").await;
    owner.say("lobby", "older").await;
    let ann = session(1, Form::Classic);
    let wish = Join {
        history: 1,
        ..wish(None)
    };
    join(&core.shared, &ann, wish).await.unwrap();
    owner.say("lobby", "new").await;
    assert_eq!(
        frames(&ann, 2).await,
        [
            json!({"message": "2026-11-23 07:00:00:older"}),
            json!({"message": "2026-11-23 07:00:00:new"}),
        ]
    );
}
