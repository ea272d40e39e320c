use super::*;

#[test]
fn a_replica_that_joins_is_given_its_share_without_a_gap() {
    let mut world = World::settled(&["a.0a"]);
    world.start("b.0b");
    let placed = world.run_until(5_000, World::is_placed).unwrap();
    assert!(placed >= 1_000, "it listens first");
    assert_eq!(world.owned_by_two, 0);
    assert_eq!(
        world.released,
        world.owned_by("b.0b"),
        "only its own share moved"
    );
    assert!(world.owned_by("b.0b") > 5);
}

#[test]
fn a_move_takes_less_than_a_tenth_of_a_second() {
    let mut world = World::settled(&["a.0a"]);
    world.start("b.0b");
    let mut longest = 0;
    while !world.is_placed() {
        if world
            .run_until(5_000, |world| !world.is_all_owned())
            .is_none()
        {
            break;
        }
        longest = longest.max(world.run_until(5_000, World::is_all_owned).unwrap());
    }
    world.assert_placed();
    assert!(longest < 100, "{longest} ms");
}

#[test]
fn one_that_ends_in_good_order_hands_over_at_once() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let leaving = process("b.0b");
    world.feed(&leaving, Input::Stop);
    let after = world
        .run_until(1_000, World::is_all_owned_by_others)
        .unwrap();
    assert!(after < 100, "{after} ms");
    let left: Vec<_> = world
        .replica("b.0b")
        .placement
        .partitions
        .values()
        .collect();
    assert!(
        left.iter()
            .all(|partition| partition.mine == partition::Mine::No)
    );
    world.announce(&leaving, Vec::new(), true);
    world.set("b.0b", Health::Killed);
    world.run(3_000);
    world.assert_placed();
    let news = &world.replica("a.0a").news;
    assert!(news.contains(&News::Left(leaving.clone())), "{news:?}");
    let died = |news: &News| matches!(news, News::Died { .. });
    assert!(!news.iter().any(died), "{news:?}");
}

impl World {
    fn is_all_owned_by_others(&self) -> bool {
        self.is_all_owned() && self.owned_by("b.0b") == 0
    }
}

#[test]
fn one_that_ends_waits_for_an_heir_no_longer_than_two_seconds_and_for_none_not_at_all() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    // As one that has just begun to answer pings again, and asks for nothing yet.
    world.replica("b.0b").placement.listen_until = Duration::from_secs(3_600);
    world.feed(&process("a.0a"), Input::Stop);
    let owned = world.owned_by("a.0a");
    world.run(1_900);
    assert_eq!(world.owned_by("a.0a"), owned, "it serves meanwhile");
    world.run(200);
    assert_eq!(world.owned_by("a.0a"), 0);

    let mut world = World::settled(&["a.0a"]);
    world.feed(&process("a.0a"), Input::Stop);
    world.run(20);
    assert_eq!(world.owned_by("a.0a"), 0);
}

#[test]
fn a_release_is_refused_to_whom_the_partition_should_not_go() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    let pp = partitions()
        .into_iter()
        .find(|pp| world.owner(*pp) == Some(&process("a.0a")));
    let pp = pp.unwrap();
    let epoch = world.epochs[&pp];
    let now = world.moment(&process("a.0a"));
    for (by, epoch) in [("b.0b", epoch), ("b.0b", epoch + 1), ("nobody.0c", epoch)] {
        let (by, reply) = (process(by), String::new());
        let asked = Input::ReleaseAsked {
            pp,
            epoch,
            by,
            reply,
        };
        let effects = world.replica("a.0a").placement.handle(asked, now);
        let refused = |effect: &Effect| {
            matches!(
                effect,
                Effect::AnswerRelease {
                    refused: Some(_),
                    ..
                }
            )
        };
        assert!(effects.iter().any(refused), "{effects:?}");
    }
    world.run(1_000);
    assert_eq!(world.owner(pp), Some(&process("a.0a")));
}

#[test]
fn an_owner_of_an_older_version_is_asked_nothing_it_would_have_to_know() {
    let mut world = World::new();
    world.start("a.0a");
    let old = process("old.0d");
    world.epochs = partitions().into_iter().map(|pp| (pp, 4)).collect();
    for _ in 0..40 {
        let owned = partitions().into_iter().map(|pp| Owned {
            pp,
            epoch: 4,
            released: false,
            log_ok_ago: Duration::ZERO,
        });
        let announced = Announced {
            process: old.clone(),
            answers_pings: false,
            left: false,
            profile: Profile::default(),
            owned: owned.collect(),
        };
        world.feed(&process("a.0a"), Input::Heard(announced));
        world.run(250);
    }
    assert_eq!(world.replica("a.0a").claims, 0);
    // It falls silent: what it owned is free after a second.
    let after = world.run_until(3_000, World::is_all_owned).unwrap();
    assert!((700..=1_200).contains(&after), "{after} ms");
}

#[test]
fn an_announcement_from_before_a_release_does_not_undo_it() {
    let pp = PartitionId::Meta;
    let at = |ms| Moment {
        mono: Duration::from_millis(ms),
        unix_ms: EPOCH_MS + ms,
    };
    let owned = Owned {
        pp,
        epoch: 3,
        released: false,
        log_ok_ago: Duration::ZERO,
    };
    let announced = || {
        Input::Heard(Announced {
            process: process("a.0a"),
            answers_pings: true,
            left: false,
            profile: Profile::default(),
            owned: vec![owned.clone()],
        })
    };
    let mut placement = Placement::new(process("b.0b"), 0, false);
    placement.handle(Input::Begin(vec![pp]), at(0));
    placement.handle(announced(), at(1_000));
    let (of, released) = (process("a.0a"), true);
    placement.handle(Input::ReleaseAnswered { pp, of, released }, at(1_001));
    placement.handle(announced(), at(1_002));
    let effects = placement.handle(Input::Looked { pp, answers: true }, at(1_003));
    assert!(effects.contains(&Effect::Claim(pp)), "{effects:?}");
}

#[test]
fn a_partition_is_claimed_by_the_winner_alone() {
    let world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let claims: usize = world.replicas.values().map(|replica| replica.claims).sum();
    let epochs: u64 = world.epochs.values().sum();
    assert_eq!(claims as u64, epochs);
    assert_eq!(world.owned_by_two, 0);
}
