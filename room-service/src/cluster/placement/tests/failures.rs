use super::*;

#[test]
fn a_replica_alone_listens_for_a_second_and_then_claims_everything() {
    let mut world = World::new();
    world.start("a.0a");
    let after = world.run_until(3_000, World::is_all_owned).unwrap();
    assert!((1_000..1_200).contains(&after), "{after} ms");
}

#[test]
fn without_other_processes_everything_is_claimed_at_once() {
    let mut placement = Placement::new(process("a.0a"), 0, true);
    let at = Moment {
        mono: Duration::ZERO,
        unix_ms: 0,
    };
    let effects = placement.handle(Input::Begin(partitions()), at);
    let claims = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Claim(_)));
    assert_eq!(claims.count(), partitions().len());
}

#[test]
fn each_of_three_owns_its_share_and_none_is_owned_twice() {
    let world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    for name in ["a.0a", "b.0b", "c.0c"] {
        assert!(world.owned_by(name) > 3, "{name}");
    }
    assert_eq!(world.owned_by_two, 0);
}

#[test]
fn what_a_killed_replica_owned_is_claimed_within_half_a_second() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let survivors = [world.owned_by("a.0a"), world.owned_by("c.0c")];
    world.set("b.0b", Health::Killed);
    let after = world.run_until(2_000, World::is_all_owned).unwrap();
    assert!(after <= 500, "{after} ms");
    world.run(2_000);
    world.assert_placed();
    assert!(world.owned_by("a.0a") > survivors[0] && world.owned_by("c.0c") > survivors[1]);
    assert_eq!(world.released, 0, "nothing else moved");
}

#[test]
fn a_frozen_replica_is_dead_within_about_a_second_and_comes_back_without_taking() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    world.set("b.0b", Health::Frozen);
    let after = world.run_until(3_000, World::is_all_owned).unwrap();
    assert!(after <= 1_300, "{after} ms");
    world.run(3_000);
    let released = world.released;
    world.set("b.0b", Health::Well);
    for input in std::mem::take(&mut world.replica("b.0b").unread) {
        world.feed(&process("b.0b"), input);
    }
    world.run(400);
    assert_eq!(world.owned_by("b.0b"), 0, "it was deposed, and listens");
    assert!(world.is_all_owned());
    assert!(matches!(
        world.replica("b.0b").news.last(),
        Some(News::Slept(_))
    ));
    // It is given its share back in good order, once it has rested.
    world.run_until(20_000, World::is_placed).unwrap();
    assert_eq!(world.released - released, world.owned_by("b.0b"));
}

#[test]
fn whoever_slept_claims_nothing_from_those_who_worked_on() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let epochs = world.epochs.clone();
    // Every replica sleeps at once, as on a host that was suspended.
    world.now_ms += 60_000;
    world.run(5_000);
    assert_eq!(world.epochs, epochs);
}

#[test]
fn a_partition_that_was_taken_twice_from_one_is_left_alone_for_longer_each_time() {
    let rest_of = |times: u32| {
        let mut rest = partition::Rest::default();
        for _ in 0..times {
            rest.deposed(&process("a.0a"), PartitionId::Meta, None, Duration::ZERO);
        }
        let over = |ms: &u64| rest.is_over(Duration::from_millis(*ms));
        (0..40_000).find(over).unwrap()
    };
    let rests: Vec<_> = (1..9).map(rest_of).collect();
    for (n, rest) in rests.iter().enumerate() {
        let doubled = 1_000 << n.min(5);
        let range = doubled / 2..=(doubled * 3 / 2).min(30_000);
        assert!(range.contains(rest), "{rests:?}");
    }
}

#[test]
fn the_deposed_claim_at_once_when_the_new_owner_dies() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    world.set("a.0a", Health::Frozen);
    world.run(3_000);
    world.set("a.0a", Health::Well);
    for input in std::mem::take(&mut world.replica("a.0a").unread) {
        world.feed(&process("a.0a"), input);
    }
    world.run(300);
    assert_eq!(world.owned_by("a.0a"), 0, "deposed");
    world.set("b.0b", Health::Killed);
    // It listens for half a second after its sleep, and rests for longer.
    let after = world.run_until(2_000, World::is_all_owned).unwrap();
    assert!(after <= 800, "{after} ms");
}

#[test]
fn an_owner_cut_off_from_its_log_is_superseded_by_one_that_reaches_it() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    world.set("b.0b", Health::NoLog);
    let owned = world.owned_by("b.0b");
    world.run(1_500);
    assert_eq!(
        world.owned_by("b.0b"),
        owned,
        "a short silence is no reason"
    );
    world.run(6_000);
    assert_eq!(world.owned_by("b.0b"), 0);
    assert!(world.is_all_owned());
    let told = |r: &Replica| r.news.iter().any(|n| matches!(n, News::LogSilent { .. }));
    assert!(told(world.replica("a.0a")) || told(world.replica("c.0c")));
}

#[test]
fn while_no_log_answers_nobody_claims_and_nothing_has_moved_when_it_is_back() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let epochs = world.epochs.clone();
    world.logs_away = true;
    world.run(9_000);
    world.logs_away = false;
    world.run(5_000);
    assert_eq!(world.epochs, epochs);
}

#[test]
fn a_claimer_without_log_leaves_the_dead_ones_partitions_to_one_that_has_it() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    world.set("a.0a", Health::NoLog);
    world.set("b.0b", Health::Killed);
    let claims = world.replica("a.0a").claims;
    world.run(8_000);
    assert!(world.is_all_owned());
    assert_eq!(world.owned_by("c.0c"), partitions().len());
    assert_eq!(world.replica("a.0a").claims, claims);
}

#[test]
fn when_the_broker_was_away_nothing_has_moved_though_some_come_back_before_others() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    let epochs = world.epochs.clone();
    for name in ["a.0a", "b.0b", "c.0c"] {
        world.set(name, Health::Cut);
    }
    world.run(5_000);
    for name in ["a.0a", "b.0b", "c.0c"] {
        world.set(name, Health::Well);
        world.run(900);
    }
    world.run(6_000);
    assert_eq!(world.epochs, epochs);
}

#[test]
fn a_partition_that_this_version_cannot_fold_is_owned_by_one_that_can() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    let pp = PartitionId::Rooms(0);
    let owner = world.owner(pp).unwrap().clone();
    let replica = world.replicas.get_mut(&owner).unwrap();
    replica.owned.remove(&pp);
    let how = Ended::CannotOwn("a record is newer".to_owned());
    world.feed(&owner, Input::Ended { pp, how });
    world.run(10_000);
    assert!(world.owner(pp).is_some_and(|now| *now != owner));
    let missing = |world: &World, name: &Process| {
        let now = Duration::from_millis(world.now_ms);
        world.replicas[name].placement.missing(&partitions(), now)
    };
    assert_eq!(missing(&world, &owner), None);
    let now = Duration::from_millis(world.now_ms);
    assert!(!world.replicas[&owner].placement.nobody_can_own(pp, now));
    // With the other one gone nobody can own it, and this one says why.
    let other = world.owner(pp).unwrap().clone();
    world.replicas.get_mut(&other).unwrap().health = Health::Killed;
    world.run(300);
    let words = missing(&world, &owner).unwrap();
    assert_eq!(words, "partition 0 cannot be owned: a record is newer");
    // It may only be restarting, so whoever asks is not sent away before some seconds have passed.
    let now = Duration::from_millis(world.now_ms);
    assert!(!world.replicas[&owner].placement.nobody_can_own(pp, now));
    world.run(5_000);
    let now = Duration::from_millis(world.now_ms);
    let placement = &world.replicas[&owner].placement;
    assert!(placement.nobody_can_own(pp, now));
    assert!(!placement.nobody_can_own(PartitionId::Rooms(1), now));
}

#[test]
fn a_log_that_was_away_from_everybody_is_claimed_from_when_it_is_back() {
    let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
    world.logs_away = true;
    for name in ["a.0a", "b.0b"] {
        world.set(name, Health::Killed);
    }
    world.run(5_000);
    // The last one has looked, and knows that it has no log.
    world.start("d.0d");
    world.run(5_000);
    world.logs_away = false;
    world.run(10_000);
    world.assert_placed();
}
