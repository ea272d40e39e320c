use super::*;
use crate::journal::Reads;

/// A room, two messages that were sent and acked, and a reader.
fn record(deeds: &[(&str, Deed)]) -> Account {
    let from = Instant::now();
    let mut record = Record {
        readers: vec![Reads {
            name: "Ann".to_owned(),
            rooms: vec!["lobby".to_owned()],
            is_steady: true,
        }],
        entries: Vec::new(),
    };
    let said = [
        ("a", Deed::Sent),
        ("b", Deed::Sent),
        ("a", Deed::Acked { seq: 1 }),
        ("b", Deed::Acked { seq: 2 }),
    ];
    for (n, (cid, deed)) in said.iter().chain(deeds).enumerate() {
        record.entries.push(Entry {
            at: from + Duration::from_millis(n as u64),
            room: "lobby".to_owned(),
            cid: (*cid).to_owned(),
            deed: deed.clone(),
        });
    }
    let name = "no fault".to_owned();
    check(&record, &[Phase { name, from }])
}

fn shown(seq: u64) -> Deed {
    Deed::Shown { reader: 0, seq }
}

#[track_caller]
fn assert_wrongs(deeds: &[(&str, Deed)], wrongs: [usize; 3]) {
    let account = record(deeds);
    let row = account.total();
    let counted = [row.missing, row.doubled, row.disordered];
    assert_eq!(counted, wrongs, "{:?}", account.wrongs);
}

#[test]
fn what_is_shown_once_and_in_order_is_right() {
    let account = record(&[("a", shown(1)), ("b", shown(2))]);
    account.insist();
    let row = account.total();
    assert_eq!(row.acked, 2);
    assert_eq!(row.longest, Duration::from_millis(2));
    assert_eq!(row.latest, Duration::from_millis(2));
}

#[test]
fn each_wrong_is_found() {
    let right = [("a", shown(1)), ("b", shown(2))];
    assert_wrongs(&right[..1], [1, 0, 0]);
    assert_wrongs(&[], [2, 0, 0]);
    // Shown out of order: neither follows what was before it.
    assert_wrongs(&[("b", shown(2)), ("a", shown(1))], [0, 0, 2]);
    // A second time, under another place or the same.
    let [first, second] = right;
    let again = [first.clone(), second.clone(), ("a", shown(3))];
    assert_wrongs(&again, [0, 1, 1]);
    let again = [first.clone(), first.clone(), second.clone()];
    assert_wrongs(&again, [0, 1, 1]);
    // Two messages in one place, one that nobody sent, one told to be forgotten.
    assert_wrongs(&[first.clone(), ("b", shown(1))], [0, 1, 2]);
    let alien = [first.clone(), second.clone(), ("c", shown(3))];
    assert_wrongs(&alien, [0, 1, 0]);
    let forgot = ("", Deed::Forgot { reader: 0 });
    assert_wrongs(&[first, second, forgot], [0, 0, 1]);
    assert_wrongs(
        &[
            ("c", Deed::Sent),
            ("c", Deed::Acked { seq: 2 }),
            ("a", shown(1)),
            ("b", shown(2)),
        ],
        [1, 1, 0],
    );
}

#[test]
#[should_panic(expected = "missing: Ann never saw")]
fn a_wrong_is_told_in_words() {
    record(&[("a", shown(1))]).insist();
}
