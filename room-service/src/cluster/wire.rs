//! Announcements as they go over the bus.

use std::{collections::BTreeSet, time::Duration};

use proto::{
    PartitionId,
    bus::v1::{self, Announcement},
};

use super::{
    members::Profile,
    placement::{Announced, Owned},
    process::Process,
};

/// Reads an announcement. `None` when its owner has no name; partitions that are none are left out.
pub(super) fn announced(said: &Announcement) -> Option<Announced> {
    Some(Announced {
        process: Process::parse(&said.owner)?,
        answers_pings: said.answers_pings,
        left: said.left,
        profile: Profile {
            aside: said.aside,
            start_ms: said.start_ms,
            cannot_own: partitions(&said.cannot_own),
            no_log: partitions(&said.no_log),
        },
        owned: said.partitions.iter().filter_map(owned).collect(),
    })
}

/// What `process` says of itself and of some partitions.
pub(super) fn announcement(process: &Process, profile: &Profile, owned: &[Owned]) -> Announcement {
    let partition = |owned: &Owned| v1::Owned {
        partition: owned.pp.to_string(),
        epoch: owned.epoch,
        released: owned.released,
        log_ok_ms_ago: millis(owned.log_ok_ago),
    };
    Announcement {
        owner: process.to_string(),
        partitions: owned.iter().map(partition).collect(),
        aside: profile.aside,
        start_ms: profile.start_ms,
        cannot_own: profile
            .cannot_own
            .iter()
            .map(PartitionId::to_string)
            .collect(),
        no_log: profile.no_log.iter().map(PartitionId::to_string).collect(),
        answers_pings: false,
        left: false,
    }
}

fn partitions(said: &[String]) -> BTreeSet<PartitionId> {
    said.iter().filter_map(|pp| pp.parse().ok()).collect()
}

fn owned(said: &v1::Owned) -> Option<Owned> {
    Some(Owned {
        pp: said.partition.parse().ok()?,
        epoch: said.epoch,
        released: said.released,
        log_ok_ago: Duration::from_millis(said.log_ok_ms_ago),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_it_was_meant() {
        let process = Process::parse("a.01").unwrap();
        let profile = Profile {
            aside: true,
            start_ms: 7,
            cannot_own: [PartitionId::Meta].into(),
            no_log: [PartitionId::Rooms(1)].into(),
        };
        let owned = [Owned {
            pp: PartitionId::Rooms(3),
            epoch: 9,
            released: true,
            log_ok_ago: Duration::from_millis(2_001),
        }];
        let said = announcement(&process, &profile, &owned);
        let read = announced(&said).unwrap();
        assert_eq!((read.process, read.owned), (process, owned.to_vec()));
        assert_eq!((read.profile.aside, read.profile.start_ms), (true, 7));
        assert_eq!(read.profile.cannot_own, profile.cannot_own);
        assert_eq!(read.profile.no_log, profile.no_log);
    }

    #[test]
    fn what_is_no_partition_is_left_out_and_nobody_is_nobody() {
        let mut said = Announcement {
            owner: "a.01".to_owned(),
            partitions: vec![v1::Owned {
                partition: "70000".to_owned(),
                ..v1::Owned::default()
            }],
            cannot_own: vec!["x".to_owned()],
            ..Announcement::default()
        };
        let read = announced(&said).unwrap();
        assert!(read.owned.is_empty() && read.profile.cannot_own.is_empty());
        said.owner = "nobody".to_owned();
        assert!(announced(&said).is_none());
    }
}
