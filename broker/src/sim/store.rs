//! The stores: every version of every value, so that a read can be given what was.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use proto::PartitionId;
use tokio::time::Instant;

use super::{
    SimBroker,
    link::{Changed, Link},
    world::World,
};
use crate::{
    MAX_RECORD, Put, Revision, Scan, Store, StoreError, Value,
    subject::{is_below, is_key},
};

/// A partition's store.
#[derive(Default)]
pub(super) struct StoreState {
    /// The last revision given out.
    revision: u64,
    values: BTreeMap<String, Vec<Version>>,
}

/// What a key had from a moment on; `None` after a purge.
struct Version {
    since: Instant,
    value: Option<Value>,
}

impl StoreState {
    /// Keys and values at and below a prefix.
    pub(super) fn current(&self, prefix: &str) -> impl Iterator<Item = (&String, &Value)> {
        let current = self.values.iter().filter_map(|(key, versions)| {
            let value = versions.last()?.value.as_ref()?;
            Some((key, value))
        });
        current.filter(move |(key, _)| is_below(key, prefix))
    }

    /// Versions that were superseded or purged, and not erased.
    pub(super) fn superseded(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter().flat_map(|(key, versions)| {
            let (_, superseded) = versions.split_last().unzip();
            let superseded = superseded.into_iter().flatten();
            superseded.filter_map(move |version| Some((key, version.value.as_ref()?)))
        })
    }

    fn get(&self, key: &str, at: Instant) -> Option<Value> {
        let versions = self.values.get(key)?;
        let version = versions.iter().rev().find(|version| version.since <= at)?;
        version.value.clone()
    }

    fn revision(&self, key: &str) -> Revision {
        let current = self.get(key, Instant::now());
        current.map_or(Revision::NONE, |value| value.revision)
    }

    fn put(&mut self, key: &str, bytes: Bytes, expected: Revision) -> Put {
        let revision = self.revision(key);
        if revision != expected {
            return Put::Conflict { revision };
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        self.push(key, Some(Value { bytes, revision }));
        Put::Written(revision)
    }

    fn purge(&mut self, prefix: &str) {
        let purged: Vec<_> = self.current(prefix).map(|(key, _)| key.clone()).collect();
        for key in purged {
            self.push(&key, None);
        }
    }

    fn erase(&mut self, key: &str, revision: Revision) {
        if self.revision(key) != revision
            && let Some(versions) = self.values.get_mut(key)
        {
            let is_it = |value: &Value| value.revision == revision;
            versions.retain(|version| !version.value.as_ref().is_some_and(is_it));
        }
    }

    /// Forgets all but the current values, which get other revisions.
    fn scrub(&mut self) {
        for versions in self.values.values_mut() {
            let current = versions.pop();
            versions.clear();
            versions.extend(current);
            for value in versions
                .iter_mut()
                .filter_map(|version| version.value.as_mut())
            {
                self.revision += 1;
                value.revision = Revision(self.revision);
            }
        }
    }

    fn push(&mut self, key: &str, value: Option<Value>) {
        let version = Version {
            since: Instant::now(),
            value,
        };
        self.values.entry(key.to_owned()).or_default().push(version);
    }
}

impl World {
    /// The moment whose state a read of the store is answered from.
    fn moment(&mut self) -> Instant {
        let faults = self.faults.reads;
        let age = if self.happens(faults.stale) {
            self.up_to(faults.stale_max)
        } else {
            Duration::ZERO
        };
        let now = Instant::now();
        now.checked_sub(age).unwrap_or(now)
    }
}

impl SimBroker {
    /// A change that is made or not, and may be repeated.
    async fn repeatable(
        &self,
        what: String,
        change: impl FnOnce(&mut World) + Send + 'static,
    ) -> Result<(), StoreError> {
        match self.link.change(what, change).await {
            Changed::Told(()) => Ok(()),
            Changed::Refused(why) => Err(StoreError::Unavailable(why)),
            Changed::Unclear => Err(StoreError::Unavailable("no answer".to_owned())),
        }
    }

    pub(super) async fn scrub_store(&self, pp: PartitionId) -> Result<(), StoreError> {
        let scrub = move |world: &mut World| world.store(pp).scrub();
        self.repeatable(format!("scrub of {pp}"), scrub).await
    }
}

impl Store for SimBroker {
    type Scan = SimScan;

    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        check(key)?;
        self.link.get(pp, key).await
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        if let Err(error) = check(key) {
            let why = error.to_string();
            return Put::Refused { why };
        }
        if value.len() > MAX_RECORD {
            let why = format!("value of {} bytes is above {MAX_RECORD}", value.len());
            return Put::Refused { why };
        }
        let what = format!("put of {key} to {pp} over {}", expected.0);
        let key = key.to_owned();
        let put = move |world: &mut World| world.store(pp).put(&key, value, expected);
        match self.link.change(what, put).await {
            Changed::Told(put) => put,
            Changed::Refused(why) => Put::Refused { why },
            Changed::Unclear => Put::Unclear,
        }
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        check(prefix)?;
        let what = format!("purge of {prefix} from {pp}");
        let prefix = prefix.to_owned();
        self.repeatable(what, move |world| world.store(pp).purge(&prefix))
            .await
    }

    fn scan(&self, pp: PartitionId, prefix: &str) -> SimScan {
        SimScan {
            link: self.link.clone(),
            pp,
            prefix: prefix.to_owned(),
            keys: None,
        }
    }

    async fn erase(
        &self,
        pp: PartitionId,
        key: &str,
        revision: Revision,
    ) -> Result<(), StoreError> {
        check(key)?;
        let what = format!("erasure of {key} {} from {pp}", revision.0);
        let key = key.to_owned();
        self.repeatable(what, move |world| world.store(pp).erase(&key, revision))
            .await
    }
}

impl Link {
    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        let got = self.look(format!("get of {key} from {pp}"), |world| {
            let at = world.moment();
            world.store(pp).get(key, at)
        });
        got.await.map_err(StoreError::Unavailable)
    }
}

/// Keys and values of a simulated store: the keys of one moment, each value of the moment it is given.
pub struct SimScan {
    link: Link,
    pp: PartitionId,
    prefix: String,
    /// Those not yet given; `None` before they are known.
    keys: Option<VecDeque<String>>,
}

impl Scan for SimScan {
    async fn next(&mut self) -> Result<Option<(String, Value)>, StoreError> {
        let keys = match &mut self.keys {
            Some(keys) => keys,
            None => {
                if !self.prefix.is_empty() {
                    check(&self.prefix)?;
                }
                let (pp, prefix) = (self.pp, self.prefix.as_str());
                let list = self
                    .link
                    .look(format!("scan of {prefix:?} in {pp}"), |world| {
                        let current = world.store(pp).current(prefix);
                        current.map(|(key, _)| key.clone()).collect()
                    });
                let listed = list.await.map_err(StoreError::Unavailable)?;
                self.keys.insert(listed)
            }
        };
        while let Some(key) = keys.front() {
            let value = self.link.get(self.pp, key).await?;
            let key = keys.pop_front().unwrap_or_default();
            // Purged since, as far as this read knows.
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}

fn check(key: &str) -> Result<(), StoreError> {
    if is_key(key) {
        Ok(())
    } else {
        Err(StoreError::Key(key.to_owned()))
    }
}
