//! Many who come at once, and what they are shown without the owner being asked.

use proto::log::v1::{Delete, Edit, Reaction, event::Kind};
use serde_json::Value;

use super::{reader::Reader, *};

const CLIENTS: u64 = 5_000;

/// All join at once, each with its own cursor; returns what they are shown.
async fn storm(core: &Core, cursor: impl Fn(u64) -> Option<u64>) -> Vec<Value> {
    let sessions: Vec<_> = (1..=CLIENTS).map(|id| session(id, Form::V1)).collect();
    let joins: Vec<_> = sessions
        .iter()
        .map(|session| spawn_join(core, session, cursor(session.id).map(|seq| ("gen1", seq))))
        .collect();
    for join in joins {
        join.await.unwrap().unwrap();
    }
    let shown = sessions.iter().map(|session| taken(session).remove(0));
    shown.collect()
}

#[tokio::test(start_paused = true)]
async fn those_who_come_back_to_a_room_that_nobody_knows_share_one_reading() {
    let (core, owner) = core_with_owner().await;
    for _ in 0..600 {
        owner.append("lobby", "x");
    }
    // Most had everything; some had not read for a while.
    let shown = storm(&core, |id| Some(600 - id % 100)).await;
    for (joined, id) in shown.iter().zip(1..) {
        let missed: Vec<_> = (601 - id % 100..=600).collect();
        assert_eq!(seqs(std::slice::from_ref(joined)), missed);
        assert_eq!(joined["gap"], Value::Null);
    }
    assert!(owner.reads().len() <= 2, "{}", owner.reads().len());
    assert_eq!(core.shared.metrics.ring_joins.get(), CLIENTS);
}

#[tokio::test(start_paused = true)]
async fn those_who_come_for_the_first_time_share_one_reading() {
    let (core, owner) = core_with_owner().await;
    for _ in 0..600 {
        owner.append("lobby", "x");
    }
    let shown = storm(&core, |_| None).await;
    for joined in &shown {
        assert_eq!(
            seqs(std::slice::from_ref(joined)),
            (551..=600).collect::<Vec<_>>()
        );
        assert_eq!(
            (&joined["name"], &joined["head"]),
            (&json!("Room"), &json!(600))
        );
    }
    assert!(owner.reads().len() <= 2, "{}", owner.reads().len());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_lost_all_its_sockets_still_knows_the_room() {
    let (core, owner) = core_with_owner().await;
    owner.go_on_telling_heads("lobby");
    for _ in 0..20 {
        owner.append("lobby", "x");
    }
    let room = {
        let _ann = joined(&core, 0).await;
        core.shared.hub.get(&lobby()).unwrap()
    };
    room.leave(0);
    for _ in 0..200 {
        owner.say("lobby", "x").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reads = owner.reads().len();
    let shown = storm(&core, |id| Some(20 + id % 200)).await;
    for (joined, id) in shown.iter().zip(1..) {
        let missed: Vec<_> = (21 + id % 200..=220).collect();
        assert_eq!(seqs(std::slice::from_ref(joined)), missed);
    }
    assert_eq!(owner.reads().len(), reads);
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_all_are_refused() {
    let core = Core::start().await;
    let refused = (0..20).map(|id| spawn_join(&core, &session(id, Form::V1), None));
    let refused: Vec<_> = refused.collect();
    for join in refused {
        assert_eq!(join.await.unwrap(), Err(Refusal::UNAVAILABLE));
    }
    // The next one finds an owner.
    let _owner = Owner::claim(&core.bus, 1).await;
    joined(&core, 21).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_owner_said_is_asked_for_again_after_ten_seconds() {
    let (core, owner) = core_with_owner().await;
    owner.go_on_telling_heads("lobby");
    let _ann = joined(&core, 1).await;
    for id in 2..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        joined(&core, id).await;
    }
    assert_eq!(owner.reads().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    joined(&core, 10).await;
    assert_eq!(owner.reads().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_ahead_of_what_is_here_has_the_owner_asked_first() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let mut ann = Reader::of(joined(&core, 1).await);
    // Another gateway had it; here it was lost.
    owner.append("lobby", "2");
    let back = session(2, Form::V1);
    spawn_join(&core, &back, Some(("gen1", 2)))
        .await
        .unwrap()
        .unwrap();
    let shown = taken(&back);
    assert_eq!((seqs(&shown), &shown[0]["gap"]), (Vec::new(), &Value::Null));
    assert_eq!(owner.reads().last().unwrap().min_seq, 2);
    ann.reads().await;
    assert_eq!(ann.at, Some(2), "what was asked for one is there for all");
    for (after, reset) in [(3, true), (2, false)] {
        let back = session(after, Form::V1);
        spawn_join(&core, &back, Some(("gen1", after)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(taken(&back)[0]["gap"]["reset"] == true, reset);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_shown_as_they_are_now() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "one").await;
    let _ann = joined(&core, 1).await;
    owner.say("lobby", "a secret").await;
    let edit = |target, text: &str| {
        let text = text.to_owned();
        Kind::Edit(Edit { target, text })
    };
    let reaction = Reaction {
        target: 1,
        emoji: "👍".to_owned(),
        on: true,
        count: 1,
    };
    let delete = Delete {
        target: 2,
        ..Delete::default()
    };
    for kind in [
        edit(1, "two"),
        Kind::Reaction(reaction),
        edit(2, "another secret"),
        Kind::Delete(delete),
    ] {
        let event = owner.append_kind("lobby", kind);
        owner.publish("lobby", &[event]).await;
    }
    settle().await;
    let ben = joined(&core, 2).await;
    let shown = taken(&ben).remove(0);
    assert_eq!(owner.reads().len(), 1, "the room was here");
    let events = &shown["events"];
    assert_eq!(
        (&events[0]["text"], &events[0]["reactions"]),
        (&json!("two"), &json!({"👍": 1}))
    );
    assert!(events[0]["edited_at"].is_string());
    assert_eq!(events[1]["deleted"], true);
    assert!(!shown.to_string().contains("secret"));
}
