use proto::log::v1::{Delete, Edit, Event, Message, Reaction, event::Kind};

use super::*;

fn event(seq: u64, kind: Kind) -> Event {
    Event {
        seq,
        ts_ms: 1_000 + seq,
        kind: Some(kind),
        ..Event::default()
    }
}

fn message(seq: u64, text: &str) -> Event {
    let text = text.to_owned();
    event(seq, Kind::Message(Message { text, reply_to: 0 }))
}

fn edit(seq: u64, target: u64, text: &str) -> Event {
    let text = text.to_owned();
    event(seq, Kind::Edit(Edit { target, text }))
}

fn delete(seq: u64, target: u64) -> Event {
    let kind = Delete {
        target,
        ..Delete::default()
    };
    event(seq, Kind::Delete(kind))
}

fn react(seq: u64, target: u64, emoji: &str, count: u32) -> Event {
    let kind = Reaction {
        target,
        emoji: emoji.to_owned(),
        on: count > 0,
        count,
    };
    event(seq, Kind::Reaction(kind))
}

fn ring(events: impl IntoIterator<Item = Event>) -> Ring {
    let mut ring = Ring::default();
    for event in events {
        ring.push(Entry::new(event), Instant::now());
    }
    ring
}

fn shown(ring: &Ring, seq: u64) -> Event {
    ring.above(seq - 1).next().unwrap().event().clone()
}

fn text(ring: &Ring, seq: u64) -> String {
    match shown(ring, seq).kind {
        Some(Kind::Message(message)) => message.text,
        Some(Kind::Edit(edit)) => edit.text,
        other => panic!("{other:?} has no text"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_shows_its_last_edit_and_its_reactions() {
    let ring = ring([
        message(5, "one"),
        message(6, "other"),
        edit(7, 5, "two"),
        react(8, 5, "👍", 1),
        react(9, 5, "🎉", 1),
        react(10, 5, "👍", 0),
        edit(11, 5, "three"),
    ]);
    let shown = shown(&ring, 5);
    assert_eq!((text(&ring, 5).as_str(), shown.edited_ms), ("three", 1_011));
    let reactions: Vec<_> = shown
        .reactions
        .iter()
        .map(|r| (&*r.emoji, r.count))
        .collect();
    assert_eq!(reactions, [("🎉", 1)]);
    assert_eq!(
        (text(&ring, 6).as_str(), text(&ring, 7).as_str()),
        ("other", "two")
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_leaves_no_text_of_the_message_and_its_edits() {
    let mut ring = ring([
        message(5, "secret one"),
        edit(6, 5, "secret two"),
        edit(7, 4, "of another"),
        react(8, 5, "👍", 1),
    ]);
    ring.push(Entry::new(delete(9, 5)), Instant::now());
    for seq in [5, 6] {
        assert_eq!(text(&ring, seq), "");
        assert!(shown(&ring, seq).deleted);
    }
    assert_eq!(text(&ring, 7), "of another");
    assert!(shown(&ring, 5).reactions.is_empty());
    // One that overtook it changes nothing any more.
    ring.push(Entry::new(edit(10, 5, "late")), Instant::now());
    assert_eq!(text(&ring, 5), "");
    // The message lies further back than what is kept.
    ring.push(Entry::new(delete(11, 4)), Instant::now());
    assert_eq!(text(&ring, 7), "");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_are_kept_and_more_of_the_last_moments() {
    let mut ring = ring((1..=2_000).map(|seq| message(seq, "")));
    assert_eq!(
        ring.kept.len(),
        MAX_BYTES / Entry::new(message(1, "")).bytes()
    );
    assert_eq!(ring.above(1_998).count(), 2);
    tokio::time::advance(RECENT).await;
    ring.push(Entry::new(message(2_001, "")), Instant::now());
    assert_eq!((ring.kept.len(), ring.first()), (KEEP, Some(1_902)));
    assert!(ring.reaches(1_901) && !ring.reaches(1_900));
    assert_eq!(ring.above(2_001).count(), 0);
    ring.shrink(Instant::now());
    assert!(ring.kept.capacity() <= 4 * KEEP);
}

#[tokio::test(start_paused = true)]
async fn large_ones_are_bounded_in_bytes() {
    let large = "x".repeat(12 * 1024);
    let ring = ring((1..=200).map(|seq| message(seq, &large)));
    assert_eq!(ring.kept.len(), KEEP_LARGE);
    let empty = self::ring([]);
    assert!(!empty.reaches(0));
    assert_eq!(empty.above(0).count(), 0);
}
