//! Losses that only heads tell of.

use proto::bus::v1::RoomHead;
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn head(generation: &str, head: u64) -> RoomHead {
    RoomHead {
        room: "lobby".to_owned(),
        r#gen: generation.to_owned(),
        head,
    }
}

/// Ann in a room with one event, of which she has read, and the reads that took.
async fn ann_has_one() -> (Core, Owner, Arc<Session>, usize) {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let ann = joined(&core, 1).await;
    assert_eq!(seqs(&taken(&ann)), [1]);
    // The subscription to heads is there.
    settle().await;
    let reads = owner.reads().len();
    (core, owner, ann, reads)
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_last_event_is_noticed_within_two_seconds() {
    let (_core, owner, ann, reads) = ann_has_one().await;
    owner.go_on_telling_heads("lobby");
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    owner.append("lobby", "lost, and nothing comes after it");
    let begin = Instant::now();
    assert_eq!(seqs(&frames_within(&ann, 1, 2 * SECOND).await), [2]);
    assert!(begin.elapsed() < 2 * SECOND, "{:?}", begin.elapsed());
    assert_eq!(owner.reads().len(), reads + 1);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(
        owner.reads().len(),
        reads + 1,
        "heads that say nothing new cost nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_only_late_is_not_read() {
    let (_core, owner, ann, reads) = ann_has_one().await;
    let late = owner.append("lobby", "late");
    owner.tell_heads(&[owner.room_head("lobby")]).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    owner.publish("lobby", &[late]).await;
    assert_eq!(seqs(&frames(&ann, 1).await), [2]);
    tokio::time::sleep(SECOND).await;
    assert_eq!(owner.reads().len(), reads);
}

#[tokio::test(start_paused = true)]
async fn a_head_below_counts_only_when_the_next_owner_tells_it_twice() {
    let (core, owner, ann, _) = ann_has_one().await;
    owner.say("lobby", "2").await;
    let next = Owner::claim(&core.bus, 2).await;
    for text in ["1", "2"] {
        next.append("lobby", text);
    }
    settle().await;
    owner.tell_heads(&[head("gen1", 1), head("gen1", 1)]).await;
    next.tell_heads(&[head("gen1", 1)]).await;
    settle().await;
    assert_eq!(next.reads().len(), 0);
    // The past has nothing to say any more.
    owner.tell_heads(&[head("gen1", 9), head("gen9", 1)]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(next.reads().len(), 0);
    next.tell_heads(&[head("gen1", 1)]).await;
    settle().await;
    let reads = next.reads();
    assert_eq!((reads[0].after, reads[0].min_seq), (Some(2), 2));
    assert_eq!(reads.len(), 1);
    assert_eq!(seqs(&taken(&ann)), [2], "nothing was dropped");
    next.say("lobby", "3").await;
    assert_eq!(seqs(&frames(&ann, 1).await), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_new_numbering_is_noticed_by_its_head() {
    let (_core, owner, ann, _) = ann_has_one().await;
    owner.renumber("gen2");
    owner.append("lobby", "1 again");
    owner.tell_heads(&[owner.room_head("lobby")]).await;
    settle().await;
    assert_eq!(drain(&ann).1, Some(Close::TOO_SLOW));
}

#[tokio::test(start_paused = true)]
async fn silence_has_the_rooms_read_ever_more_rarely() {
    let (_core, owner, ann, reads) = ann_has_one().await;
    owner.append("lobby", "lost");
    assert_eq!(seqs(&frames_within(&ann, 1, 4 * SECOND).await), [2]);
    tokio::time::sleep(60 * SECOND).await;
    let more = owner.reads().len() - reads;
    assert!((4..=6).contains(&more), "{more} in a minute");
}

#[tokio::test(start_paused = true)]
async fn every_room_of_a_silent_partition_is_read_fifty_at_a_time() {
    let (core, owner) = core_with_owner().await;
    let sessions: Vec<_> = (0..120).map(|id| session(id, Form::V1)).collect();
    for (number, session) in sessions.iter().enumerate() {
        let room = RoomId::parse(&format!("room-{number}")).unwrap();
        let wish = Join { room, ..wish(None) };
        join(&core.shared, session, wish).await.unwrap();
        owner.append(&format!("room-{number}"), "lost");
        taken(session);
    }
    owner.shut();
    let seen = *owner.seen.borrow();
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let turns = core.shared.hub.turns(crate::testing::PP);
    assert_eq!(turns.available_permits(), 0);
    owner.open();
    settle().await;
    tokio::time::sleep(SECOND).await;
    assert!(*owner.seen.borrow() >= seen + 120);
    for session in &sessions {
        assert_eq!(seqs(&taken(session)), [1]);
    }
    assert_eq!(turns.available_permits(), 50);
}

async fn frames_within(session: &Session, count: usize, most: Duration) -> Vec<serde_json::Value> {
    let end = Instant::now() + most;
    let mut frames = taken(session);
    while frames.len() < count && Instant::now() < end {
        settle().await;
        frames.extend(taken(session));
    }
    frames
}
