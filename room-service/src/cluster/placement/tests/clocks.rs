use super::*;

const HOUR: i64 = 3_600_000;

fn missing(world: &mut World, name: &str) -> Option<String> {
    let now = Duration::from_millis(world.now_ms);
    world.replica(name).placement.missing(&partitions(), now)
}

#[test]
fn a_replica_whose_clock_jumps_gives_all_up_and_says_so_until_it_is_right() {
    for (jump, words) in [
        (-HOUR, "this machine's clock is 3600.0 s behind its peers'"),
        (
            24 * HOUR,
            "this machine's clock is 86400.0 s ahead of its peers'",
        ),
    ] {
        let mut world = World::settled(&["a.0a", "b.0b", "c.0c"]);
        world.replica("b.0b").clock_ms = jump;
        world.run(1_000);
        assert_eq!(world.owned_by("b.0b"), 0);
        assert!(world.is_all_owned());
        let why = missing(&mut world, "b.0b").unwrap();
        assert!(why.starts_with(words), "{why}");
        assert_eq!(missing(&mut world, "a.0a"), None);
        world.replica("b.0b").clock_ms = 0;
        world.run(5_000);
        world.assert_placed();
        assert_eq!(missing(&mut world, "b.0b"), None);
    }
}

#[test]
fn of_two_the_one_whose_clock_jumped_gives_up_and_the_other_goes_on() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    world.replica("b.0b").clock_ms = HOUR;
    world.run(1_000);
    assert_eq!(world.owned_by("a.0a"), partitions().len());
    let told = |news: &News| matches!(news, News::Clock(Verdict::Unclear(_)));
    assert!(world.replica("a.0a").news.iter().any(told));
    assert_eq!(missing(&mut world, "a.0a"), None);
}

#[test]
fn between_two_whose_clocks_never_agreed_nothing_moves() {
    let mut world = World::settled(&["a.0a"]);
    world.start("b.0b");
    world.replica("b.0b").clock_ms = -HOUR;
    world.run(5_000);
    assert_eq!(world.owned_by("a.0a"), partitions().len());
    assert_eq!((world.released, world.refused), (0, 0));
    // What is left without an owner is claimed all the same.
    world.set("a.0a", Health::Killed);
    world.run(1_000);
    assert_eq!(world.owned_by("b.0b"), partitions().len());
}

#[test]
fn two_processes_with_one_replica_id_the_later_one_owns_nothing_and_says_why() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    world.start("a.01");
    world.run(5_000);
    assert_eq!(world.owned_by("a.01"), 0);
    assert_eq!(world.replica("a.01").claims, 0);
    assert!(world.owned_by("a.0a") > 5);
    let why = missing(&mut world, "a.01").unwrap();
    assert!(
        why.starts_with("replica ids doubled: process a.0a runs"),
        "{why}"
    );
    assert_eq!(missing(&mut world, "a.0a"), None);
    // Once the first one is gone the id is its own.
    world.set("a.0a", Health::Killed);
    world.run(2_000);
    assert!(world.owned_by("a.01") > 5);
    assert_eq!(missing(&mut world, "a.01"), None);
}

#[test]
fn the_later_of_two_with_one_replica_id_gives_up_what_it_has_when_the_first_one_wakes() {
    let mut world = World::settled(&["a.0a", "b.0b"]);
    let share = world.owned_by("a.0a");
    world.set("a.0a", Health::Frozen);
    world.start("a.01");
    world.run(5_000);
    assert_eq!(world.owned_by("a.01"), share, "as after a restart");
    world.set("a.0a", Health::Well);
    world.run(3_000);
    assert_eq!(world.owned_by("a.01"), 0);
    assert!(world.is_all_owned());
}
