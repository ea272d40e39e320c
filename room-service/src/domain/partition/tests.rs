//! Order, dedupe, limits and reading, on one partition that has everything in memory.

mod appends;
mod changes;
mod clock;
mod damage;
mod gone;
mod pages;
mod puts;
mod replay;

use prost::Message as _;
use proto::{
    Code,
    log::v1::{COMMIT_FORMAT, Commit, Event, RoomEvents},
};

use super::*;
use crate::domain::{
    FoldError,
    record::{encode, open},
    testing::{Bench, NOW, acked, after, code, last, message, refusal, unlimited},
};

#[test]
fn a_room_counts_from_one_without_holes() {
    let mut bench = Bench::new(unlimited());
    for seq in 1..=3 {
        assert_eq!(
            bench.send("a", "u", &format!("c{seq}"), "hi", NOW),
            acked(seq, false)
        );
    }
    assert_eq!(bench.send("b", "u", "c1", "hi", NOW), acked(1, false));
}

#[test]
fn a_retry_with_the_same_cid_returns_the_first_seq() {
    let mut bench = Bench::new(unlimited());
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), acked(1, false));
    assert_eq!(bench.send("a", "v", "c", "hi", NOW), acked(2, false));
    let later = Now {
        unix_ms: NOW.unix_ms + 60_000,
        ..NOW
    };
    assert_eq!(bench.send("a", "u", "c", "hi", later), acked(1, true));
    assert_eq!(
        bench.send("a", "u", "c", "other", later),
        code(Code::CidReused)
    );
    assert_eq!(bench.read("a", &last(50)).head, 2);
}

#[test]
fn a_cid_that_comes_twice_before_a_commit_is_written_once() {
    let mut bench = Bench::new(unlimited());
    bench.submit(1, "a", "u", "c", "hi");
    bench.submit(2, "a", "u", "c", "hi");
    bench.submit(3, "a", "u", "d", "ho");
    assert_eq!(
        bench.commit(NOW),
        [
            (1, acked(1, false)),
            (3, acked(2, false)),
            (2, acked(1, true))
        ]
    );
}

#[test]
fn the_stored_cid_is_asked_before_the_text_and_the_text_before_the_rate() {
    let mut bench = Bench::new(Limits {
        sends_burst: 1,
        ..Limits::default()
    });
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), acked(1, false));
    assert_eq!(bench.send("a", "u", "c", "", NOW), code(Code::CidReused));
    assert_eq!(bench.send("a", "u", "d", "", NOW), code(Code::TextEmpty));
    assert_eq!(
        bench.send("a", "u", "d", "hi", NOW),
        refusal(Code::RateLimited, 1_000)
    );
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), acked(1, true));
}

#[test]
fn a_refused_send_costs_no_token() {
    let mut bench = Bench::new(Limits {
        sends_burst: 2,
        ..Limits::default()
    });
    for _ in 0..10 {
        assert_eq!(bench.send("a", "u", "x", "\n", NOW), code(Code::TextEmpty));
    }
    assert_eq!(bench.send("a", "u", "c1", "hi", NOW), acked(1, false));
    assert_eq!(bench.send("a", "u", "c2", "hi", NOW), acked(2, false));
    let second = Now {
        mono_us: 1_000_000,
        ..NOW
    };
    assert_eq!(bench.send("a", "u", "c3", "hi", second), acked(3, false));
}

#[test]
fn guests_of_one_address_share_a_rate_in_a_room() {
    let mut bench = Bench::new(Limits {
        guest_sends_burst: 3,
        ..Limits::default()
    });
    let mut answers = Vec::new();
    for guest in 0..4 {
        bench.submit(guest, "a", &format!("u_{guest}"), "c", "hi");
    }
    for mut waiting in std::iter::from_fn(|| bench.partition.queue.take_turn()) {
        for submission in &mut waiting {
            submission.send.address = 99;
            submission.send.from.as_mut().unwrap().guest = true;
        }
        answers.push(waiting);
    }
    bench.partition.queue.end_turn(answers.remove(0));
    let replies = bench.commit(NOW);
    assert_eq!(replies[2].1, acked(3, false));
    assert_eq!(replies[3].1, refusal(Code::RateLimited, 100));
}

#[test]
fn server_time_never_runs_backwards_in_a_room() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", NOW);
    let earlier = Now {
        unix_ms: NOW.unix_ms - 3_600_000,
        ..NOW
    };
    assert_eq!(bench.send("a", "u", "c2", "hi", earlier), acked(2, false));
}

#[test]
fn a_loud_room_does_not_hold_up_a_quiet_one() {
    let mut bench = Bench::new(unlimited());
    let text = "x".repeat(2_000);
    for n in 0..1_000 {
        bench.submit(n, "loud", "u", &format!("c{n}"), &text);
    }
    bench.submit(9_999, "quiet", "v", "c", "hi");
    let batch = bench.partition.propose(NOW, 1, "me");
    assert!(batch.askers().any(|asker| *asker == 9_999));
    assert!(batch.askers().count() < 200, "{}", batch.askers().count());
}

#[test]
fn a_reader_without_a_cursor_gets_the_last_few() {
    let mut bench = Bench::new(unlimited());
    for n in 1..=60 {
        bench.send("a", "u", &format!("c{n}"), "hi", NOW);
    }
    let view = bench.read("A", &last(50));
    assert_eq!((view.head, view.oldest, view.events.len()), (60, 1, 50));
    assert_eq!(view.events[0].seq, 11);
    assert!(!view.gap && !view.reset && !view.more);
    let none = bench.read("other", &last(50));
    assert_eq!((none.r#gen.as_str(), none.head, none.oldest), ("0", 0, 1));
}

#[test]
fn a_cursor_is_caught_up_or_told_of_the_gap() {
    let mut bench = Bench::new(unlimited());
    for n in 1..=700 {
        bench.send("a", "u", &format!("c{n}"), "hi", NOW);
    }
    let numbering = bench.read("a", &last(1)).r#gen;
    let view = bench.read("a", &after(200, &numbering));
    assert_eq!(
        (view.events.len(), view.events[0].seq, view.gap),
        (500, 201, false)
    );
    let view = bench.read("a", &after(199, &numbering));
    assert_eq!(
        (view.events.len(), view.events[0].seq, view.gap),
        (50, 651, true)
    );
    assert!(bench.read("a", &after(700, "")).events.is_empty());
    for wrong in [after(701, &numbering), after(5, "othergen")] {
        let view = bench.read("a", &wrong);
        assert_eq!((view.events.len(), view.reset, view.gap), (50, true, false));
    }
    assert!(!bench.read("a", &after(0, "0")).reset);
    assert!(bench.read("none", &after(3, "x")).reset);
}

#[test]
fn one_answer_holds_a_quarter_megabyte_and_says_that_there_is_more() {
    let mut bench = Bench::new(unlimited());
    let text = "好".repeat(2_000);
    for n in 1..=100 {
        bench.send("a", "u", &format!("c{n}"), &text, NOW);
    }
    let mut seen = 0;
    loop {
        let view = bench.read("a", &after(seen, ""));
        assert!(view.encoded_len() <= 256 * 1024);
        assert_eq!(view.events[0].seq, seen + 1);
        seen = view.events.last().unwrap().seq;
        if !view.more {
            break;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn a_retry_from_before_what_is_remembered_is_expired_and_never_stored_again() {
    let mut bench = Bench::new(unlimited());
    for n in 1..=4_100 {
        bench.send("a", "u", &format!("c{n}"), "hi", NOW);
    }
    for (since, cid, expected) in [
        (3, "c1", code(Code::CidExpired)),
        (3, "c5", acked(5, true)),
        (4, "new", acked(4_101, false)),
    ] {
        bench.submit_body(0, "a", "u", cid, message("hi"), Some(since));
        assert_eq!(bench.commit(NOW)[0].1, expected, "{cid}");
    }
}

#[test]
fn without_auto_create_talking_makes_no_room() {
    let mut bench = Bench::new(unlimited());
    let rules = Rules {
        limits: unlimited(),
        auto_create: false,
        tagger: BodyTagger::new(b"key"),
        new_rooms: Arc::clone(&bench.rules.new_rooms),
    };
    bench.partition = Partition::new(Arc::new(rules), 0, 0, 7);
    bench.partition.is_listed();
    let unknown = code(Code::RoomUnknown);
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), unknown);
    assert_eq!(bench.answer("a", &last(50)), unknown);
}

#[test]
fn an_answer_to_what_is_not_there_is_refused() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c", "hi", NOW);
    for (reply_to, expected) in [(1, acked(2, false)), (3, code(Code::TargetUnknown))] {
        let body = proto::bus::v1::send::Body::Message(proto::log::v1::Message {
            text: "re".to_owned(),
            reply_to,
        });
        assert_eq!(bench.act("u", &format!("r{reply_to}"), body, NOW), expected);
    }
}

#[test]
fn records_that_cannot_be_folded_are_named() {
    let newer = Commit {
        format: COMMIT_FORMAT + 1,
        ..Commit::default()
    };
    let error = open(4, &encode(&newer)).unwrap_err();
    assert!(error.to_string().contains("TOO_OLD"), "{error}");
    for bad in [&b""[..], b"\xff\xff", b"\x08\x01 of the first days"] {
        let error = open(4, &Bytes::from_static(bad)).unwrap_err();
        assert!(
            matches!(error, FoldError::Undecodable { log_seq: 4, .. }),
            "{error}"
        );
    }
    let mut bench = Bench::new(unlimited());
    let events = vec![Event {
        seq: 2,
        ..Event::default()
    }];
    let rooms = vec![RoomEvents {
        room: "a".to_owned(),
        events,
        ..RoomEvents::default()
    }];
    let error = bench
        .partition
        .fold(
            1,
            Commit {
                rooms,
                ..Commit::default()
            },
            0,
            NOW,
        )
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            FoldError::Discontinuous {
                expected: 1,
                found: 2,
                ..
            }
        ),
        "{error}"
    );
}
