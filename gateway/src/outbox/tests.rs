use super::*;

fn text(text: &str) -> Text {
    Text::from(text.to_owned())
}

fn taken(outbox: &Outbox) -> (Vec<String>, Option<Close>) {
    let mut batch = VecDeque::new();
    let close = outbox.take(&mut batch);
    let texts = batch
        .iter()
        .filter_map(|frame| frame.text().map(str::to_owned));
    (texts.collect(), close)
}

/// A feed that has everything up to `at`, and that is all there is.
fn live(outbox: &Outbox, at: u64) -> FeedId {
    let feed = outbox.open(Weak::new(), at);
    assert!(outbox.fill(feed, at, [], at, true));
    feed
}

fn say(outbox: &Outbox, feed: FeedId, seqs: impl IntoIterator<Item = u64>) -> Fed {
    let events = seqs.into_iter();
    outbox.events(
        feed,
        events.map(|seq| (seq, Some(text(&format!("e{seq}"))))),
    )
}

#[test]
fn answers_and_joined_go_before_events() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    assert_eq!(say(&outbox, feed, 1..=2).queued, 2);
    outbox.control(text("ack"));
    outbox.backlog([text("history")]);
    outbox.control(text("joined"));
    let all = taken(&outbox).0;
    assert_eq!(all, ["ack", "joined", "e1", "e2", "history"]);
}

#[test]
fn what_runs_over_is_dropped_and_filled_up_from_where_the_socket_was() {
    let outbox = Outbox::default();
    let (busy, quiet) = (live(&outbox, 0), live(&outbox, 10));
    say(&outbox, busy, 1..=100);
    assert_eq!(taken(&outbox).0.len(), 100);
    say(&outbox, quiet, [11]);
    outbox.control(text("ack"));
    let fed = say(&outbox, busy, 101..=356);
    assert!(fed.has_overflown && fed.starts_refill, "{fed:?}");
    assert_eq!(
        (outbox.behind(busy), outbox.behind(quiet)),
        (Some(100), Some(10))
    );
    assert_eq!(
        say(&outbox, busy, [357]),
        Fed::default(),
        "it takes no more"
    );
    let ack = text("ack").len();
    assert_eq!(outbox.bytes(), ack);
    let first = outbox.claim().unwrap().feed;
    assert_eq!(first, busy);
    assert_eq!(outbox.claim().unwrap().feed, quiet);
    assert!(outbox.claim().is_none() && !outbox.ends_refill());
    assert!(outbox.fill(quiet, 10, [text("e11")], 11, true));
    assert!(
        !outbox.fill(busy, 99, [text("x")], 100, true),
        "not from there"
    );
    assert!(outbox.fill(busy, 100, [text("e101")], 101, false));
    assert!(outbox.fill(busy, 101, [text("e102")], 102, true));
    assert!(outbox.ends_refill());
    assert_eq!(say(&outbox, busy, 102..=103).queued, 1);
    assert_eq!(taken(&outbox).0, ["ack", "e11", "e101", "e102", "e103"]);
}

#[test]
fn many_events_at_once_are_no_sign_of_a_slow_socket() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    assert_eq!(say(&outbox, feed, 1..=500).queued, 500);
    assert!(say(&outbox, feed, [501]).has_overflown);
}

#[test]
fn bytes_run_over_too() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    let big = "x".repeat(MAX_EVENT_BYTES / 2 - 100);
    let say = |seq| outbox.events(feed, [(seq, Some(text(&big)))].into_iter());
    assert_eq!(say(1).queued, 1);
    assert_eq!(say(2).queued, 1);
    assert!(say(3).has_overflown);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_hole_leaves_the_feed_behind_and_what_was_queued_after_it_goes_with_it() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    say(&outbox, feed, [1]);
    assert!(say(&outbox, feed, [9]).starts_refill);
    assert!(outbox.fill(feed, 1, [text("gap"), text("e9")], 9, true));
    let fed = say(&outbox, feed, 10..=300);
    assert!(
        fed.has_overflown && !fed.starts_refill,
        "one refill is enough"
    );
    assert_eq!((outbox.behind(feed), outbox.bytes()), (Some(0), 0));
}

#[test]
fn a_shut_feed_takes_its_events_along() {
    let outbox = Outbox::default();
    let (one, other) = (live(&outbox, 0), live(&outbox, 0));
    say(&outbox, one, 1..=3);
    say(&outbox, other, [1]);
    outbox.shut(one);
    assert_eq!(say(&outbox, one, [4]), Fed::default());
    assert!(!outbox.fill(one, 3, [text("late")], 4, true));
    assert_eq!(taken(&outbox).0, ["e1"]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn nothing_is_filled_once_the_socket_is_being_closed() {
    let outbox = Outbox::default();
    let feed = outbox.open(Weak::new(), 0);
    assert!(outbox.starts_refill());
    outbox.close(Close::DRAIN);
    assert!(outbox.claim().is_none() && outbox.behind(feed).is_none());
    assert!(!outbox.fill(feed, 0, [text("e1")], 1, true));
    assert!(outbox.ends_refill());
    assert_eq!(taken(&outbox), (Vec::new(), Some(Close::DRAIN)));
}

#[test]
fn too_many_answers_close() {
    let outbox = Outbox::default();
    for _ in 0..MAX_CONTROL_BYTES / (256 * 1024) {
        outbox.control(text(&"x".repeat(256 * 1024 - 10)));
    }
    assert!(!outbox.is_closing());
    outbox.control(text("one more"));
    assert!(outbox.is_closing());
}

#[test]
fn the_close_waits_for_what_was_queued_before() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    let big = text(&"x".repeat(BATCH_BYTES));
    outbox.events(feed, (1..=2).map(|seq| (seq, Some(big.clone()))));
    outbox.close(Close::DRAIN);
    outbox.control(text("late"));
    assert_eq!(taken(&outbox).1, None);
    assert_eq!(taken(&outbox).1, None);
    assert_eq!(taken(&outbox), (Vec::new(), Some(Close::DRAIN)));
}

#[tokio::test]
async fn history_waits_until_the_socket_has_taken_some() {
    let outbox = Outbox::default();
    outbox.backlog([text(&"x".repeat(LOW_BYTES + 1))]);
    let wait = outbox.wait_low();
    tokio::pin!(wait);
    assert!(futures_util::poll!(wait.as_mut()).is_pending());
    taken(&outbox);
    wait.await;
}

#[tokio::test]
async fn a_shut_feed_makes_room_for_others() {
    let outbox = Outbox::default();
    let feed = outbox.open(Weak::new(), 0);
    assert!(outbox.fill(feed, 0, [text(&"x".repeat(LOW_BYTES + 1))], 1, true));
    let wait = outbox.wait_low();
    tokio::pin!(wait);
    assert!(futures_util::poll!(wait.as_mut()).is_pending());
    outbox.shut(feed);
    wait.await;
}

#[tokio::test]
async fn who_fills_others_is_told_of_feeds_that_fall_behind() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    outbox.open(Weak::new(), 0);
    assert!(outbox.starts_refill());
    assert!(!say(&outbox, feed, [9]).starts_refill);
    outbox.more_behind().await;
    outbox.open(Weak::new(), 0);
    assert!(!outbox.starts_refill());
    outbox.more_behind().await;
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_not_filled_up() {
    let outbox = Outbox::default();
    let feed = live(&outbox, 0);
    say(&outbox, feed, [1]);
    assert!(say(&outbox, feed, 2..=300).has_overflown);
    let wait = outbox.wait_low();
    tokio::pin!(wait);
    assert!(futures_util::poll!(wait.as_mut()).is_pending());
    assert_eq!(taken(&outbox), (Vec::new(), None));
    wait.await;
}
