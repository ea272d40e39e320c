//! Sockets that read slowly: they miss nothing, hold little, and cost nobody else anything.

use std::collections::VecDeque;

use super::{reader::Reader, *};
use crate::session::socket::Text;

/// What may wait for one socket: live events, a batch, a fill for each of four rooms.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Says so many messages; whoever is quick reads them as they come.
async fn says(owner: &Owner, quick: &mut Reader, count: usize) {
    for _ in 0..count {
        owner.say("lobby", "x").await;
        settle().await;
        while quick.reads_one_write() {}
    }
}

async fn reader(core: &Core, id: u64) -> Reader {
    let mut reader = Reader::of(joined(core, id).await);
    reader.reads().await;
    reader
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_reads_too_slowly_costs_only_itself_and_misses_nothing() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 400).await;
    assert_eq!(quick.seqs, (1..=400).collect::<Vec<_>>());
    assert_eq!(core.shared.metrics.outbox_overflows.get(), 1);
    assert_eq!(
        slow.session.outbox.bytes(),
        0,
        "nothing is held for whoever takes nothing"
    );
    slow.session
        .outbox
        .control(Text::from("{\"op\":\"pong\"}".to_owned()));
    let mut batch = VecDeque::new();
    slow.session.outbox.take(&mut batch);
    assert_eq!(batch[0].text(), Some("{\"op\":\"pong\"}"));
    slow.reads().await;
    assert_eq!(slow.seqs, (1..=400).collect::<Vec<_>>());
    says(&owner, &mut quick, 1).await;
    slow.reads().await;
    assert_eq!((slow.at, slow.close), (Some(401), None));
    assert_eq!(core.shared.metrics.refills.get(), 0, "it was all here");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_here_is_read_from_the_owner() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 3_000).await;
    owner.answer_at_most(700);
    let reads = owner.reads().len();
    slow.reads().await;
    assert_eq!(slow.seqs, (1..=3_000).collect::<Vec<_>>());
    let reads = owner.reads().len() - reads;
    assert!((3..=5).contains(&reads), "{reads}");
    assert_eq!(core.shared.metrics.refills.get(), reads as u64);
}

#[tokio::test(start_paused = true)]
async fn too_far_behind_is_a_gap_and_the_last_events() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 5_000).await;
    slow.reads().await;
    assert_eq!(slow.gaps, [(1, 4_950)]);
    assert_eq!(slow.seqs, (4_951..=5_000).collect::<Vec<_>>());
    assert_eq!(core.shared.metrics.refills.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_owner_no_longer_keeps_is_a_gap() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 2_000).await;
    owner.forget_below(1_500);
    slow.reads().await;
    assert_eq!(slow.gaps, [(1, 1_499)]);
    assert_eq!(slow.seqs, (1_500..=2_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_or_joins_again_while_behind_counts_from_the_new_joined() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 300).await;
    let again = spawn_join(&core, &slow.session, Some(("gen1", 0)));
    settle().await;
    slow.reads().await;
    again.await.unwrap().unwrap();
    slow.reads().await;
    assert_eq!((slow.joins, slow.at), (2, Some(300)));
    assert_eq!(slow.seqs, (1..=300).collect::<Vec<_>>());
    says(&owner, &mut quick, 300).await;
    assert!(core.shared.metrics.outbox_overflows.get() >= 2);
    slow.session.membership(&lobby()).unwrap().room.leave(1);
    slow.reads().await;
    assert_eq!(slow.at, Some(300), "nothing more after it has left");
    says(&owner, &mut quick, 1).await;
    slow.reads().await;
    assert_eq!(slow.at, Some(300));
}

#[tokio::test(start_paused = true)]
async fn a_new_numbering_closes_who_is_behind() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 300).await;
    owner.renumber("gen2");
    owner.say("lobby", "1 again").await;
    settle().await;
    slow.reads().await;
    assert_eq!((slow.close, slow.at), (Some(Close::TOO_SLOW), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_the_refill() {
    let (core, owner) = core_with_owner().await;
    let mut slow = reader(&core, 1).await;
    let mut quick = reader(&core, 2).await;
    says(&owner, &mut quick, 2_000).await;
    owner.shut();
    let seen = *owner.seen.borrow();
    slow.reads_one_write();
    owner.has_seen(seen + 1).await;
    core.shared.hub.get(&lobby()).unwrap().leave(1);
    slow.session.outbox.close(Close::DONE);
    settle().await;
    assert_eq!(Arc::strong_count(&slow.session), 1);
    owner.open();
    settle().await;
    slow.reads().await;
    assert_eq!((slow.close, slow.at), (Some(Close::DONE), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_owner_is_away_holds_up_no_other() {
    let (core, owner) = core_with_owner().await;
    let slow = session(1, Form::V1);
    let rooms = ["lobby".to_owned(), "other".to_owned()];
    for room in &rooms {
        let room = RoomId::parse(room).unwrap();
        let wish = Join { room, ..wish(None) };
        join(&core.shared, &slow, wish).await.unwrap();
    }
    taken(&slow);
    for _ in 0..2_000 {
        owner.say("lobby", "x").await;
        settle().await;
    }
    owner.shut();
    let seen = *owner.seen.borrow();
    assert!(taken(&slow).is_empty());
    owner.has_seen(seen + 1).await;
    for _ in 0..300 {
        owner.say("other", "x").await;
        settle().await;
    }
    let mut had = vec![0; rooms.len()];
    while read_rooms(&slow, &rooms, &mut had) || had[1] == 0 {
        settle().await;
    }
    assert_eq!(had, [0, 300]);
    owner.open();
    settle().await;
    while read_rooms(&slow, &rooms, &mut had) {
        settle().await;
    }
    assert_eq!(had, [2_000, 300]);
}

#[tokio::test(start_paused = true)]
async fn many_rooms_of_large_messages_hold_little_for_a_slow_socket() {
    let (core, owner) = core_with_owner().await;
    let slow = session(1, Form::V1);
    let rooms: Vec<_> = (0..20).map(|number| format!("room-{number}")).collect();
    for room in &rooms {
        let wish = Join {
            room: RoomId::parse(room).unwrap(),
            ..wish(None)
        };
        let joining = join(&core.shared, &slow, wish);
        joining.await.unwrap();
        taken(&slow);
    }
    let mut most = 0;
    let mut seen = vec![0; rooms.len()];
    for round in 0..200 {
        for room in &rooms {
            owner.say(room, &"x".repeat(2_000)).await;
        }
        settle().await;
        most = most.max(slow.outbox.bytes());
        if round % 3 == 0 {
            read_rooms(&slow, &rooms, &mut seen);
        }
    }
    assert!(most < MOST_BYTES, "{most}");
    while read_rooms(&slow, &rooms, &mut seen) {
        settle().await;
        most = most.max(slow.outbox.bytes());
    }
    assert_eq!(seen, vec![200; rooms.len()]);
    assert!(most < MOST_BYTES, "{most}");
}

/// Reads one write; every event must be the next of its room.
fn read_rooms(session: &Session, rooms: &[String], seen: &mut [u64]) -> bool {
    let mut batch = VecDeque::new();
    session.outbox.take(&mut batch);
    for frame in &batch {
        let frame: serde_json::Value = serde_json::from_str(frame.text().unwrap()).unwrap();
        let room = rooms
            .iter()
            .position(|room| frame["room"] == *room)
            .unwrap();
        seen[room] += 1;
        assert_eq!(frame["seq"], seen[room], "{}", rooms[room]);
    }
    !batch.is_empty()
}
