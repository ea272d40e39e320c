//! Partitions: the unit of ownership and of the log. A room's partition follows from its id alone.

use std::{fmt, num::NonZeroU16, str::FromStr};

use crate::RoomId;

/// The largest number of partitions an installation may have.
pub const MAX_PARTITIONS: u16 = 1024;

/// A partition of the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionId {
    /// The installation's own: partition count, keys, and later tokens, audit, limits.
    Meta,
    /// Partition of rooms, counted from 0.
    Rooms(u16),
}

impl fmt::Display for PartitionId {
    /// As on a subject: `meta` or the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Rooms(number) => write!(f, "{number}"),
        }
    }
}

/// The text is neither `meta` nor a partition number.
#[derive(Debug, thiserror::Error)]
#[error("a partition is `meta` or a number below {MAX_PARTITIONS}, not {0:?}")]
pub struct NotAPartition(String);

impl FromStr for PartitionId {
    type Err = NotAPartition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "meta" {
            return Ok(Self::Meta);
        }
        match text.parse() {
            Ok(number) if number < MAX_PARTITIONS => Ok(Self::Rooms(number)),
            _ => Err(NotAPartition(text.to_owned())),
        }
    }
}

/// How many partitions of rooms an installation has; fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCount(NonZeroU16);

/// The number of partitions is out of range.
#[derive(Debug, thiserror::Error)]
#[error("expected a number of partitions from 1 to {MAX_PARTITIONS}, got {0}")]
pub struct PartitionCountError(String);

impl PartitionCount {
    /// The default of an installation without replicas (DESIGN: 32; 128 with three NATS replicas).
    pub const DEFAULT: Self = Self(NonZeroU16::new(32).expect("32 is not zero"));
    /// The default of an installation with three NATS replicas.
    pub const DEFAULT_REPLICATED: Self = Self(NonZeroU16::new(128).expect("128 is not zero"));

    /// Checks the range 1 to [`MAX_PARTITIONS`].
    ///
    /// # Errors
    /// When `count` is out of range.
    pub fn new(count: u32) -> Result<Self, PartitionCountError> {
        u16::try_from(count)
            .ok()
            .filter(|count| *count <= MAX_PARTITIONS)
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or_else(|| PartitionCountError(count.to_string()))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// The partition of a room: `xxh3_64(room id) % P`.
    pub fn of(self, room: &RoomId) -> PartitionId {
        let hash = xxhash_rust::xxh3::xxh3_64(room.as_str().as_bytes());
        let number = hash % u64::from(self.get());
        PartitionId::Rooms(u16::try_from(number).unwrap_or(0))
    }

    /// All partitions of rooms.
    pub fn rooms(self) -> impl Iterator<Item = PartitionId> {
        (0..self.get()).map(PartitionId::Rooms)
    }
}

impl FromStr for PartitionCount {
    type Err = PartitionCountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let count = text
            .parse()
            .map_err(|_| PartitionCountError(format!("{text:?}")))?;
        Self::new(count)
    }
}

impl fmt::Display for PartitionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
