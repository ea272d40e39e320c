//! Edits, deletions and reactions.

use proto::{Code, bus::v1::history::Place, log::v1::event::Kind};

use crate::domain::testing::{
    Bench, NOW, acked, acked_at, code, delete, edit, last, later, message, react, redact, unlimited,
};

fn text(bench: &mut Bench, seq: u64) -> Option<String> {
    let view = bench.history("a", Place::Around(seq), 1);
    let event = &view.events[0];
    assert_eq!(event.seq, seq);
    match &event.kind {
        Some(Kind::Message(message)) if !event.deleted => Some(message.text.clone()),
        Some(Kind::Edit(edit)) if !event.deleted => Some(edit.text.clone()),
        _ => None,
    }
}

#[test]
fn an_edit_takes_a_seq_and_shows_in_the_message() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "teh", NOW);
    assert_eq!(bench.act("u", "c2", edit(1, "the"), NOW), acked(2, false));
    assert_eq!(bench.act("u", "c2", edit(1, "the"), NOW), acked(2, true));
    assert_eq!(
        bench.act("u", "c2", edit(1, "thee"), NOW),
        code(Code::CidReused)
    );
    let view = bench.read("a", &last(50));
    assert_eq!(view.events[0].edited_ms, NOW.unix_ms);
    assert_eq!(text(&mut bench, 1).as_deref(), Some("the"));
    // The body as it was first sent is what a retry is compared with.
    assert_eq!(bench.send("a", "u", "c1", "teh", NOW), acked(1, true));
}

#[test]
fn who_may_change_what_and_for_how_long() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", NOW);
    bench.act("u", "c2", edit(1, "ho"), NOW);
    let unknown = code(Code::TargetUnknown);
    for target in [0, 2, 3, 99] {
        assert_eq!(
            bench.act("u", "d", edit(target, "x"), NOW),
            unknown,
            "{target}"
        );
        assert_eq!(
            bench.act("u", "d", delete(target), NOW),
            unknown,
            "{target}"
        );
        assert_eq!(
            bench.act("u", "d", react(target, "👍", true), NOW),
            unknown,
            "{target}"
        );
    }
    assert_eq!(bench.act("v", "d", edit(1, "x"), NOW), code(Code::NotYours));
    assert_eq!(bench.act("v", "d", delete(1), NOW), code(Code::NotYours));
    assert_eq!(
        bench.act("u", "d", edit(1, " "), NOW),
        code(Code::TextEmpty)
    );
    let late = later(15 * 60 * 1_000 + 1);
    assert_eq!(
        bench.act("u", "d", edit(1, "x"), late),
        code(Code::EditTooLate)
    );
    assert_eq!(
        bench.act("u", "d", delete(1), late),
        acked_at(3, false, late)
    );
    for body in [edit(1, "x"), delete(1), react(1, "👍", true)] {
        assert_eq!(bench.act("u", "e", body, late), unknown);
    }
    let other = |cid: &str, body| (cid.to_owned(), body);
    for (cid, body) in [other("f", edit(1, "x")), other("g", delete(1))] {
        bench.submit_body(0, "nowhere", "u", &cid, body, None);
        assert_eq!(bench.commit(NOW)[0].1, unknown);
    }
}

#[test]
fn a_deletion_takes_the_text_and_that_of_its_edits_wherever_they_lie() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "secret", NOW);
    for n in 0..100 {
        bench.send("a", "v", &format!("v{n}"), "x", NOW);
    }
    bench.act("u", "c2", edit(1, "secret 2"), NOW);
    for n in 100..200 {
        bench.send("a", "v", &format!("v{n}"), "x", NOW);
    }
    bench.act("u", "c3", delete(1), NOW);
    assert_eq!((text(&mut bench, 1), text(&mut bench, 102)), (None, None));
    assert_eq!(text(&mut bench, 103).as_deref(), Some("x"));
    assert_eq!(bench.send("a", "u", "c1", "secret", NOW), acked(1, true));
    assert_eq!(
        bench.send("a", "u", "c1", "other", NOW),
        code(Code::CidReused)
    );
}

#[test]
fn a_redacted_cid_is_a_repeat_whatever_its_body() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "secret", NOW);
    assert_eq!(bench.act("operator", "r", redact(1), NOW), acked(2, false));
    assert_eq!(bench.send("a", "u", "c1", "other", NOW), acked(1, true));
    let view = bench.read("a", &last(50));
    assert!(view.events[0].deleted);
    assert_eq!(view.events[0].body_tag, 0);
}

#[test]
fn a_reaction_counts_each_user_once() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", NOW);
    let mut counts = Vec::new();
    for (user, cid, on) in [
        ("u", "1", true),
        ("v", "2", true),
        ("v", "3", true),
        ("u", "4", false),
        ("w", "5", false),
        ("v", "6", false),
    ] {
        bench.act(user, cid, react(1, "👍", on), NOW);
        let view = bench.read("a", &last(1));
        let Some(Kind::Reaction(reaction)) = &view.events[0].kind else {
            panic!("{view:?}");
        };
        counts.push(reaction.count);
    }
    assert_eq!(counts, [1, 2, 2, 1, 1, 0]);
    assert!(bench.read("a", &last(50)).events[0].reactions.is_empty());
    for bad in ["", " ", "a b", "\n", "👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍"]
    {
        assert_eq!(
            bench.act("u", "x", react(1, bad, true), NOW),
            code(Code::TextInvalid)
        );
    }
}

#[test]
fn a_message_has_at_most_twenty_emoji() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", NOW);
    for n in 0..20 {
        bench.act("u", &format!("r{n}"), react(1, &format!("e{n}"), true), NOW);
    }
    assert_eq!(
        bench.act("u", "r20", react(1, "e20", true), NOW),
        code(Code::TextInvalid)
    );
    assert_eq!(
        bench.act("v", "r21", react(1, "e19", true), NOW),
        acked(22, false)
    );
    assert_eq!(bench.read("a", &last(50)).events[0].reactions.len(), 20);
}

#[test]
fn changes_of_one_message_in_one_batch_build_on_each_other() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", NOW);
    bench.submit_body(1, "a", "u", "e", edit(1, "ho"), None);
    bench.submit_body(2, "a", "u", "d", delete(1), None);
    bench.submit_body(3, "a", "u", "e2", edit(1, "late"), None);
    bench.submit_body(4, "a", "v", "m", message("x"), None);
    let mut replies = bench.commit(NOW);
    replies.sort_by_key(|(asker, _)| *asker);
    assert!(
        matches!(&replies[..], [
        (1, proto::bus::v1::reply::Result::Acked(_)),
        (2, proto::bus::v1::reply::Result::Acked(_)),
        (3, refused),
        (4, _),
    ] if *refused == code(Code::TargetUnknown)),
        "{replies:?}"
    );
    assert_eq!(text(&mut bench, 1), None);
    let edits = bench
        .all("a")
        .into_iter()
        .filter(|event| matches!(event.kind, Some(Kind::Edit(_))));
    assert_eq!(edits.map(|edit| edit.deleted).collect::<Vec<_>>(), [true]);
}
