//! Rendezvous hashing: every replica ranks the living for a partition alike, and when one comes or goes
//! only its own share moves.

use std::cmp::Reverse;

use proto::PartitionId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::process::Process;

/// Who should own the partition. Of two processes with one replica id the earlier one; both would weigh
/// the same.
pub(super) fn winner<'a>(
    pp: PartitionId,
    candidates: impl Iterator<Item = (&'a Process, u64)>,
) -> Option<&'a Process> {
    candidates
        .max_by_key(|(process, start_ms)| {
            (
                weight(process.replica(), pp),
                Reverse((*start_ms, *process)),
            )
        })
        .map(|(process, _)| process)
}

/// xxh3 of the replica id, seeded with the partition. Part of the contract between replicas: all must
/// weigh alike.
fn weight(replica: &str, pp: PartitionId) -> u64 {
    let seed = match pp {
        PartitionId::Meta => u64::MAX,
        PartitionId::Rooms(number) => u64::from(number),
    };
    xxh3_64_with_seed(replica.as_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(count: usize) -> Vec<Process> {
        let name = |n| Process::parse(&format!("room-{n}.0{n}")).unwrap();
        (0..count).map(name).collect()
    }

    fn placed(among: &[Process]) -> Vec<&Process> {
        let of = |pp| winner(PartitionId::Rooms(pp), among.iter().map(|one| (one, 1)));
        (0..1_024).map(|pp| of(pp).unwrap()).collect()
    }

    #[test]
    fn each_replica_gets_about_its_share() {
        let three = processes(3);
        let placed = placed(&three);
        for one in &three {
            let share = placed.iter().filter(|winner| **winner == one).count();
            assert!((280..=400).contains(&share), "{one} has {share}");
        }
    }

    #[test]
    fn only_what_was_its_own_moves_when_a_replica_comes_or_goes() {
        let four = processes(4);
        let (before, after) = (placed(&four), placed(&four[..3]));
        for (before, after) in before.into_iter().zip(after) {
            assert!(before == after || *before == four[3]);
        }
    }

    #[test]
    fn the_earlier_of_two_with_one_replica_id_wins() {
        let early = Process::parse("a.02").unwrap();
        let late = Process::parse("a.01").unwrap();
        let both = [(&late, 2), (&early, 1)];
        assert_eq!(winner(PartitionId::Meta, both.into_iter()), Some(&early));
        assert_eq!(winner(PartitionId::Meta, std::iter::empty()), None);
    }
}
