use proto::log::v1::{Delete, Edit, Message, Reaction};

use super::*;

fn event(seq: u64, kind: Kind) -> Event {
    Event {
        seq,
        ts_ms: 1_000 + seq,
        body_tag: 9,
        kind: Some(kind),
        ..Event::default()
    }
}

fn message(seq: u64) -> Event {
    let message = Message {
        text: format!("text {seq}"),
        reply_to: 0,
    };
    event(seq, Kind::Message(message))
}

fn text(page: &Page, seq: u64) -> &str {
    match &page.get(seq).unwrap().kind {
        Some(Kind::Message(message)) => &message.text,
        Some(Kind::Edit(edit)) => &edit.text,
        other => panic!("{other:?}"),
    }
}

fn edit(seq: u64, target: u64) -> Event {
    let edit = Edit {
        target,
        text: format!("edit {seq}"),
    };
    event(seq, Kind::Edit(edit))
}

#[test]
fn pages_hold_64_events_from_the_first_of_theirs() {
    assert_eq!((page_of(1), page_of(64), page_of(65)), (0, 0, 1));
    assert_eq!((first_of(0), first_of(1)), (1, 65));
    let events: Vec<_> = (65..=128).map(message).collect();
    let page = Page::of(1, events.clone()).unwrap();
    assert!(page.is_full());
    assert_eq!(page.get(128).unwrap().seq, 128);
    assert_eq!(page.get(64), None);
    assert_eq!(Page::of(0, events.clone()), None);
    assert_eq!(Page::of(1, events[1..].to_vec()), None);
    let value = page.value("g", 7, 0);
    assert_eq!(Page::of(1, value.events), Some(page));
}

#[test]
fn a_change_made_twice_or_late_is_made_once() {
    let mut page = Page::of(0, (1..=3).map(message).collect()).unwrap();
    let thumbs = |count| {
        let reaction = Reaction {
            target: 1,
            emoji: "👍".to_owned(),
            on: true,
            count,
        };
        event(6, Kind::Reaction(reaction))
    };
    page.amend(1, &edit(4, 1));
    page.amend(1, &edit(5, 1));
    page.amend(1, &thumbs(2));
    let once = page.clone();
    page.amend(1, &edit(4, 1));
    page.amend(1, &edit(5, 1));
    page.amend(1, &thumbs(2));
    assert_eq!(page, once);
    assert_eq!(text(&page, 1), "edit 5");
    let changed = page.get(1).unwrap();
    assert_eq!(
        (changed.edited_ms, changed.edits.as_slice()),
        (1_005, &[4, 5][..])
    );
    assert_eq!(changed.reactions[0].count, 2);
    page.amend(1, &thumbs(0));
    assert!(page.get(1).unwrap().reactions.is_empty());
}

#[test]
fn a_deletion_blanks_the_message_and_its_edits_for_good() {
    let mut page = Page::of(0, vec![message(1), edit(2, 1), message(3)]).unwrap();
    let deletion = |redact| {
        let delete = Delete {
            target: 1,
            redact,
            edits: vec![2],
        };
        event(4, Kind::Delete(delete))
    };
    assert_eq!(targets(&deletion(false)).collect::<Vec<_>>(), [1, 2]);
    for seq in [1, 2] {
        page.amend(seq, &deletion(false));
        assert!(page.get(seq).unwrap().deleted);
        assert_eq!(text(&page, seq), "");
    }
    page.amend(1, &edit(5, 1));
    assert_eq!(text(&page, 1), "");
    assert_eq!(page.get(1).unwrap().body_tag, 9);
    page.amend(1, &deletion(true));
    assert_eq!(
        page.get(1).unwrap().body_tag,
        crate::domain::body_tag::ANY_BODY
    );
    assert_eq!(text(&page, 3), "text 3");
}
