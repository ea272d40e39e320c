//! Subjects of the bus, the log and the store, all below one prefix (`--nats-prefix`). Their list, with
//! who publishes and who listens, is in `docs/OPERATIONS.md`.

use std::fmt::Display;

use crate::{PartitionId, RoomId};

/// Makes every subject of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

/// The prefix is not made of subject tokens.
#[derive(Debug, thiserror::Error)]
#[error("expected 1-32 characters of a-z, 0-9, `_` or `-`, got {0:?}")]
pub struct PrefixError(String);

impl Subjects {
    /// Subjects below `prefix`, one token.
    ///
    /// # Errors
    /// When it is not 1–32 characters of `[a-z0-9_-]`.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(allowed) {
            return Err(PrefixError(prefix.to_owned()));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Requests for a room, to the owner of its partition under `epoch`.
    pub fn inbound(&self, pp: PartitionId, epoch: u64, room: &RoomId) -> String {
        format!("{}.in.{pp}.{epoch}.{}", self.prefix, room.subject_token())
    }

    /// All requests for the rooms of a partition under `epoch`.
    pub fn inbound_all(&self, pp: PartitionId, epoch: u64) -> String {
        format!("{}.in.{pp}.{epoch}.*", self.prefix)
    }

    /// Questions of operators to the owner of a partition under `epoch`.
    pub fn admin(&self, pp: PartitionId, epoch: u64) -> String {
        format!("{}.admin.{pp}.{epoch}", self.prefix)
    }

    /// Questions of operators to any owner.
    pub fn admin_all(&self) -> String {
        format!("{}.admin.*.*", self.prefix)
    }

    /// What happened in a room.
    pub fn outbound(&self, pp: PartitionId, room: &RoomId) -> String {
        format!("{}.out.{pp}.{}", self.prefix, room.subject_token())
    }

    /// Heads of the rooms of a partition that changed lately.
    pub fn heads(&self, pp: PartitionId) -> String {
        format!("{}.heads.{pp}", self.prefix)
    }

    /// Heads of all partitions.
    pub fn heads_all(&self) -> String {
        format!("{}.heads.*", self.prefix)
    }

    /// Announcements of ownership.
    pub fn owners(&self) -> String {
        format!("{}.own", self.prefix)
    }

    /// Asks who owns a partition.
    pub fn who(&self, pp: PartitionId) -> String {
        format!("{}.who.{pp}", self.prefix)
    }

    /// Asks who owns any partition: the pattern owners listen to.
    pub fn who_all(&self) -> String {
        format!("{}.who.*", self.prefix)
    }

    /// Asks a room service's process, by its random id, whether it lives.
    pub fn ping(&self, process: impl Display) -> String {
        format!("{}.ping.{process}", self.prefix)
    }

    /// Asks a room service's process, by its random id, to give a partition up.
    pub fn release(&self, process: impl Display) -> String {
        format!("{}.release.{process}", self.prefix)
    }

    /// What gateways know of the installation, whenever it changes.
    pub fn meta(&self) -> String {
        format!("{}.meta", self.prefix)
    }

    /// Asks for the same.
    pub fn meta_get(&self) -> String {
        format!("{}.meta.get", self.prefix)
    }

    /// Gateways' sockets per room.
    pub fn presence(&self, pp: PartitionId) -> String {
        format!("{}.presence.{pp}", self.prefix)
    }

    /// Gateways' sockets per room, of all partitions.
    pub fn presence_all(&self) -> String {
        format!("{}.presence.*", self.prefix)
    }

    /// Changed nicks.
    pub fn user(&self) -> String {
        format!("{}.user", self.prefix)
    }

    /// The log of a partition.
    pub fn log(&self, pp: PartitionId) -> String {
        format!("{}.log.{pp}", self.prefix)
    }

    /// A value of a partition's store; `key` is tokens joined by dots.
    pub fn store(&self, pp: PartitionId, key: impl Display) -> String {
        format!("{}.room.{pp}.{key}", self.prefix)
    }

    /// Replies to a process of `role`; permissions go by it.
    pub fn inbox(&self, role: &str) -> String {
        format!("{}.inbox.{role}", self.prefix)
    }
}

impl Default for Subjects {
    /// Below `parlor`.
    fn default() -> Self {
        Self {
            prefix: "parlor".to_owned(),
        }
    }
}
