use super::*;

fn at(ms: u64) -> Moment {
    Moment {
        mono: Duration::from_millis(ms),
        unix_ms: 1_800_000_000_000 + ms,
    }
}

fn peer() -> Process {
    Process::parse("b.0b").unwrap()
}

/// Members with one that lives at 0 ms.
fn with_peer() -> Members {
    let mut members = Members::default();
    members.heard(&peer(), Profile::default(), at(0));
    assert_eq!(members.due(at(0)), [peer()]);
    assert!(members.answered(&peer(), at(0), at(0).unix_ms, at(0)));
    members
}

fn is_living(members: &Members) -> bool {
    members.life(&peer()) == Some(Life::Living)
}

#[test]
fn a_member_counts_when_it_has_answered() {
    let mut members = Members::default();
    members.heard(&peer(), Profile::default(), at(0));
    assert_eq!(members.living().count(), 0);
    assert_eq!(members.due(at(0)), [peer()]);
    assert!(members.answered(&peer(), at(0), at(0).unix_ms, at(1)));
    assert_eq!(members.living().count(), 1);
}

#[test]
fn one_that_nobody_answers_for_twice_is_dead_within_tens_of_milliseconds() {
    let mut members = with_peer();
    assert_eq!(members.due(at(200)), [peer()]);
    assert!(!members.silent(&peer(), at(200), Silence::NoResponder, true, at(201)));
    assert!(is_living(&members));
    assert_eq!(members.due(at(250)), []);
    assert_eq!(members.due(at(251)), [peer()]);
    assert!(members.silent(&peer(), at(251), Silence::NoResponder, true, at(252)));
    assert!(!is_living(&members));
}

#[test]
fn one_that_does_not_answer_four_times_is_dead() {
    let mut members = with_peer();
    for ping in 1..=4 {
        assert!(is_living(&members), "{ping}");
        assert_eq!(members.due(at(ping * 200)), [peer()]);
        let deadline = at(ping * 200 + 200);
        let died = members.silent(&peer(), at(ping * 200), Silence::Timeout, true, deadline);
        assert_eq!(died, ping == 4);
    }
    assert!(!is_living(&members));
}

#[test]
fn an_answer_ends_suspicion() {
    let mut members = with_peer();
    for round in 0..10 {
        let begin = 1_000 * round + 200;
        members.silent(&peer(), at(begin), Silence::NoResponder, true, at(begin));
        let next = at(begin + 200);
        assert!(!members.answered(&peer(), next, next.unix_ms, next));
        for ping in 2..=4 {
            let next = at(begin + ping * 200);
            members.silent(&peer(), next, Silence::Timeout, true, next);
        }
        let next = at(begin + 799);
        members.answered(&peer(), next, next.unix_ms, next);
    }
    assert!(is_living(&members));
}

#[test]
fn whoever_slept_suspects_nobody() {
    let mut members = with_peer();
    for ping in 1..=3 {
        members.silent(
            &peer(),
            at(ping * 200),
            Silence::Timeout,
            true,
            at(ping * 200 + 200),
        );
    }
    members.clear(at(10_000));
    // A ping from before the sleep comes to nothing now: that was this process's own fault.
    assert!(!members.silent(&peer(), at(800), Silence::Timeout, true, at(10_001)));
    assert!(!members.silent(&peer(), at(10_000), Silence::Timeout, true, at(10_200)));
    assert!(!members.silent(&peer(), at(10_200), Silence::NoResponder, false, at(10_201)));
    assert!(is_living(&members));
}

#[test]
fn the_dead_come_back_by_answering_and_not_by_announcing() {
    let mut members = with_peer();
    for ms in [200, 250] {
        members.silent(&peer(), at(ms), Silence::NoResponder, true, at(ms));
    }
    assert_eq!(members.due(at(1_000)), [], "nobody hears it");
    members.heard(&peer(), Profile::default(), at(1_100));
    assert!(!is_living(&members));
    assert_eq!(members.due(at(1_100)), [peer()]);
    assert!(members.answered(&peer(), at(1_100), at(1_100).unix_ms, at(1_101)));
    assert!(is_living(&members));
}

#[test]
fn the_dead_are_forgotten_in_the_end() {
    let mut members = with_peer();
    for ms in [200, 250] {
        members.silent(&peer(), at(ms), Silence::NoResponder, true, at(ms));
    }
    members.due(at(9_000));
    assert_eq!(members.life(&peer()), Some(Life::Dead));
    members.due(at(10_300));
    assert_eq!(members.life(&peer()), None);
}
