//! Flipped bits in records: what is refused for them, and that nothing else is.

use bytes::Bytes;
use proto::{
    Code, RoomId,
    log::v1::{COMMIT_FORMAT, Commit, RoomEvents, RoomValue, VALUE_FORMAT},
};

use crate::domain::{
    FoldError, Loaded, Now, codec, record,
    testing::{Bench, NOW, acked_at, code, edit, last, later, react, redact, unlimited},
};

/// A commit of three rooms with all kinds of events.
fn commit() -> Commit {
    let mut bench = Bench::new(unlimited());
    for n in 0..3 {
        bench.send("a", "u", &format!("c{n}"), "first", NOW);
    }
    bench.submit_body(0, "a", "u", "e", edit(1, "edited"), None);
    bench.submit_body(0, "a", "v", "r", react(2, "👍", true), None);
    bench.submit_body(0, "a", "o", "x", redact(3), None);
    bench.submit(0, "b", "v", "c", "other");
    bench.submit(0, "好", "w", "c", "another");
    let commit = bench.partition.propose(NOW, 7, "me").commit.unwrap();
    assert_eq!(commit.rooms.len(), 3);
    commit
}

/// What can be read of a record: the rooms' events, an error for each that is refused.
type Read = Vec<(RoomId, Result<RoomEvents, FoldError>)>;

fn read(bytes: Vec<u8>) -> Result<Read, FoldError> {
    let record = record::open(9, &bytes.into())?;
    assert_eq!((record.frame.epoch, record.frame.owner.as_str()), (7, "me"));
    let parts = record.parts.into_iter();
    let read = |(room, part)| {
        let events = record::open_part(9, &room, &part);
        (room, events)
    };
    Ok(parts.map(read).collect())
}

#[test]
fn any_flipped_bit_is_refused_for_whom_it_concerns_and_never_read_as_something_else() {
    let commit = commit();
    let whole = record::encode(&commit);
    let parts: Vec<_> = commit.rooms.iter().map(record::seal_part).collect();
    let frame_end = whole.len() - parts.iter().map(Bytes::len).sum::<usize>();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = match read(bytes) {
            Ok(read) => read,
            Err(error) => {
                assert!(bit / 8 < frame_end, "bit {bit}: {error}");
                assert!(error.to_string().contains("record 9"), "{error}");
                continue;
            }
        };
        assert!(bit / 8 >= frame_end, "bit {bit} of the frame went unseen");
        let mut ends = frame_end;
        for ((room, found), (meant, part)) in read.iter().zip(commit.rooms.iter().zip(&parts)) {
            let is_hit = (ends..ends + part.len()).contains(&(bit / 8));
            ends += part.len();
            match found {
                Ok(events) => assert!(!is_hit && events == meant, "bit {bit}"),
                Err(error) => {
                    assert!(is_hit, "bit {bit} is not of {room}");
                    let words = error.to_string();
                    let names = format!("record 9 of the log, events of room {:?}", meant.room);
                    assert!(words.contains(&names), "{words}");
                }
            }
        }
    }
}

#[test]
fn a_record_cut_anywhere_gives_what_is_whole() {
    let commit = commit();
    let whole = record::encode(&commit);
    let mut whole_rooms = 0;
    for len in 0..whole.len() {
        for (at, (_, found)) in read(whole[..len].to_vec())
            .into_iter()
            .flatten()
            .enumerate()
        {
            match found {
                Ok(events) => assert_eq!(events, commit.rooms[at]),
                Err(FoldError::DamagedPart { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
            whole_rooms = whole_rooms.max(at + 1);
        }
    }
    assert_eq!(
        whole_rooms, 2,
        "the last room is whole in the whole record only"
    );
}

#[test]
fn a_record_of_a_newer_version_is_refused_in_words() {
    let newer = Commit {
        format: COMMIT_FORMAT + 1,
        ..commit()
    };
    let error = record::open(9, &record::encode(&newer)).unwrap_err();
    assert!(
        error.to_string().contains("start a newer version"),
        "{error}"
    );
}

/// Three rooms, of which `b` is damaged in the second of three commits.
fn damaged() -> Bench {
    let mut bench = Bench::new(unlimited());
    for n in 1..=3 {
        for room in ["a", "b", "c"] {
            bench.submit(0, room, "u", &format!("c{n}"), &format!("text {n}"));
        }
        bench.commit(NOW);
    }
    bench.damage(2, "b");
    bench.restart(NOW);
    bench
}

fn head(bench: &Bench, room: &str) -> u64 {
    let (bytes, _) = &bench.store[&format!("room.{room}")];
    let value = codec::open(bytes, |v: &RoomValue| v.format, VALUE_FORMAT);
    value.unwrap().head
}

#[test]
fn a_room_with_damage_in_the_log_is_refused_and_the_others_go_on() {
    let mut bench = damaged();
    assert_eq!(bench.send("b", "u", "x", "on", NOW), code(Code::Internal));
    assert_eq!(bench.answer("b", &last(50)), code(Code::Internal));
    let told = bench.partition.take_damage();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("record 2 of the log, events of room \"b\""),
        "{told:?}"
    );
    for room in ["a", "c"] {
        assert_eq!(bench.read(room, &last(50)).head, 3);
        assert_eq!(
            bench.send(room, "u", "x", "on", NOW),
            acked_at(4, false, NOW)
        );
    }
}

#[test]
fn what_came_before_the_damage_is_put_and_the_log_kept_from_there() {
    let (mut bench, mut ms) = (damaged(), 0);
    for _ in 0..400 {
        while bench.put_one(later(ms)).is_some() {}
        bench.partition.sweep(later(ms), 0);
        if let Some(log_seq) = bench.partition.next_checkpoint(later(ms)) {
            bench.partition.checkpointed(log_seq);
            bench.trimmed = log_seq;
        }
        ms += 250;
    }
    assert_eq!(bench.trimmed, 1, "nothing is trimmed that was not folded");
    assert_eq!(
        (head(&bench, "a"), head(&bench, "b"), head(&bench, "c")),
        (3, 1, 3)
    );
    assert_eq!(bench.partition.take_damage().len(), 1, "told once");
    let now = later(ms);
    assert_eq!(
        bench.send("b", "u", "y", "anew?", now),
        code(Code::Internal)
    );
    // Whoever claims next finds the same, and never begins the room anew.
    bench.restart(now);
    assert_eq!(
        bench.send("b", "u", "y", "anew?", now),
        code(Code::Internal)
    );
    assert_eq!(
        bench.send("a", "u", "y", "on", now),
        acked_at(4, false, now)
    );
    assert_eq!(bench.partition.take_damage().len(), 1);
}

#[test]
fn a_room_in_memory_that_meets_damage_goes_no_further() {
    let bench = damaged();
    let mut owner = Bench::new(unlimited());
    let first = bench.log[0].clone();
    owner.partition.fold(1, first, 100, NOW).unwrap();
    for log_seq in 2..=3 {
        let bytes = bench.record(log_seq);
        let found = record::open(log_seq, &bytes).unwrap();
        let done = owner
            .partition
            .fold_record(log_seq, found, bytes.len(), NOW);
        let told: Vec<_> = done.fanouts.iter().map(|(room, _)| room.as_str()).collect();
        assert_eq!(told, ["a", "c"]);
    }
    owner.log.clone_from(&bench.log);
    assert_eq!(owner.partition.take_damage().len(), 1);
    assert_eq!(owner.answer("b", &last(50)), code(Code::Internal));
    assert_eq!(owner.read("a", &last(50)).head, 3);
    let told = owner.partition.heads(NOW, 1);
    assert!(
        !told
            .iter()
            .any(|heads| heads.windows(3).any(|w| w == [10, 1, b'b']))
    );
    while owner.put_one(later(60_000)).is_some() {}
    assert_eq!((head(&owner, "a"), head(&owner, "b")), (3, 1));
    assert_eq!(owner.partition.next_checkpoint(later(70_000)), Some(1));
}

/// A room in pages with a reaction, everything of it stored, and its values by key.
fn stored() -> (Bench, u64, Vec<String>) {
    let mut bench = super::pages::filled(100);
    bench.act("u", "r", react(1, "👍", true), NOW);
    let (_, ms) = bench.put_all(0);
    let keys: Vec<_> = bench.store.keys().cloned().collect();
    assert_eq!(keys, ["page.a.0", "react.a.0", "room.a"]);
    (bench, ms, keys)
}

/// What a new owner makes of a value that it needs.
fn load(bench: &mut Bench, key: &str, bytes: Bytes, now: Now) -> Loaded {
    bench.restart(now);
    bench.submit_body(0, "a", "u", "x", react(1, "👍", false), None);
    loop {
        bench.partition.propose(now, bench.epoch, "me");
        let load = bench.partition.next_load().expect("the value is needed");
        let (held, revision) = bench.store[&load.key()].clone();
        if load.key() == key {
            return bench.partition.loaded(&load, Some((bytes, revision)), now);
        }
        let loaded = bench.partition.loaded(&load, Some((held, revision)), now);
        assert_eq!(loaded, Loaded::Done);
    }
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_value_is_refused_with_its_key() {
    let (mut bench, ms, keys) = stored();
    for key in keys {
        let whole = bench.store[&key].0.clone();
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            match load(&mut bench, &key, bytes.into(), later(ms)) {
                Loaded::Broken(words) => assert!(words.contains(&key), "{words}"),
                other => panic!("byte {at} of {key}: {other:?}"),
            }
        }
        let loaded = load(&mut bench, &key, whole, later(ms));
        assert_eq!(loaded, Loaded::Done, "{key}");
    }
}

#[test]
fn a_value_of_a_newer_version_is_refused_in_words_and_left_as_it_is() {
    let (mut bench, ms, _) = stored();
    let newer = codec::seal(&RoomValue {
        format: VALUE_FORMAT + 1,
        ..RoomValue::default()
    });
    let loaded = load(&mut bench, "room.a", newer, later(ms));
    let Loaded::Broken(words) = loaded else {
        panic!("{loaded:?}");
    };
    assert!(
        words.contains("room.a") && words.contains("TOO_OLD"),
        "{words}"
    );
    for ms in (ms..ms + 100_000).step_by(250) {
        assert!(bench.partition.next_put(later(ms)).is_none());
    }
}
