//! What is known of a value in the store: its revision, what is folded into it, and since when it
//! differs from what is stored.

/// A value's state. `flight` is there while a put of it is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The revision that the next put expects; 0 for none.
    pub(super) revision: u64,
    /// Log seq of the last commit folded into it.
    pub(super) applied: u64,
    /// Log seq of the first commit that is not in the store.
    dirty: Option<u64>,
    flight: Option<Flight>,
    /// A redaction is in it that is not in the store: the version before must be erased.
    redacts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    /// Log seq of the first commit after the value was encoded.
    dirty: Option<u64>,
    redacts: bool,
}

/// A put that is known to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// The version before, when it must be erased.
    pub(super) erase: Option<u64>,
    /// Log seq of the first commit that still is not in the store.
    pub(super) dirty: Option<u64>,
}

impl Stored {
    /// As it was read.
    pub(super) fn read(revision: u64, applied: u64) -> Self {
        Self {
            revision,
            applied,
            ..Self::default()
        }
    }

    /// Of a page that has just filled: it comes out of the room's own value.
    pub(super) fn split_off(applied: u64, dirty: u64) -> Self {
        Self {
            applied,
            dirty: Some(dirty),
            ..Self::default()
        }
    }

    /// A commit was folded into it; `true` when it was as stored before.
    pub(super) fn touch(&mut self, log_seq: u64) -> bool {
        self.applied = self.applied.max(log_seq);
        if let Some(flight) = &mut self.flight {
            flight.dirty.get_or_insert(log_seq);
        }
        let was_clean = self.dirty.is_none();
        self.dirty.get_or_insert(log_seq);
        was_clean
    }

    /// A redaction was folded into it.
    pub(super) fn redact(&mut self) {
        if let Some(flight) = &mut self.flight {
            flight.redacts = true;
        }
        self.redacts = true;
    }

    /// Whether a redaction is in it that is not in the store.
    pub(super) fn holds_redaction(&self) -> bool {
        self.redacts
    }

    /// Log seq of the first commit that is not in the store, a put under way notwithstanding.
    pub(super) fn dirty(&self) -> Option<u64> {
        self.dirty
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether it is as stored and stays so.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_none() && self.flight.is_none()
    }

    /// A put of it as it is now begins.
    pub(super) fn begin(&mut self) {
        self.flight = Some(Flight {
            dirty: None,
            redacts: false,
        });
    }

    /// The put was written.
    pub(super) fn written(&mut self, revision: u64) -> Settled {
        let flight = self.flight.take().unwrap_or(Flight {
            dirty: None,
            redacts: false,
        });
        let erase = (self.redacts && self.revision > 0).then_some(self.revision);
        self.revision = revision;
        self.dirty = flight.dirty;
        self.redacts = flight.redacts;
        Settled {
            erase,
            dirty: self.dirty,
        }
    }

    /// The put was not written, or nobody knows.
    pub(super) fn not_written(&mut self) {
        self.flight = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_folded_during_a_put_stays_dirty() {
        let mut value = Stored::read(3, 10);
        assert!(value.touch(11));
        assert!(!value.touch(12));
        value.begin();
        assert!(!value.touch(13));
        assert_eq!(value.dirty(), Some(11));
        let settled = value.written(4);
        assert_eq!(settled.dirty, Some(13));
        value.begin();
        value.not_written();
        assert_eq!((value.dirty(), value.revision), (Some(13), 4));
        value.begin();
        assert_eq!(value.written(5).dirty, None);
        assert!(value.is_clean());
    }

    #[test]
    fn a_redacting_put_has_the_version_before_erased() {
        let mut value = Stored::read(3, 10);
        value.touch(11);
        value.begin();
        value.redact();
        value.touch(12);
        assert_eq!(
            value.written(4).erase,
            Some(3),
            "erased once too often is harmless"
        );
        value.begin();
        assert_eq!(value.written(5).erase, Some(4));
        value.touch(13);
        value.begin();
        assert_eq!(value.written(6).erase, None);
    }
}
