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

/// A put under way, and the erasure that belongs to it: the commit that redacts is needed in the log until
/// the text is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flight {
    /// Log seq of the first commit after the value was encoded.
    dirty: Option<u64>,
    redacts: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Putting,
    /// It was written; the version before is being erased.
    Erasing(u64),
    /// An earlier put was found in the store; the version before that is being erased, and then the value
    /// is put again.
    ErasingFirst(u64),
}

impl Stored {
    /// As it was read. `erase`: the version before, which whoever put this one may not have erased.
    pub(super) fn read(revision: u64, applied: u64, erase: u64) -> Self {
        let flight = (erase > 0).then(|| Flight {
            stage: Stage::Erasing(erase),
            ..Flight::default()
        });
        Self {
            revision,
            applied,
            flight,
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
        self.flight = Some(Flight::default());
    }

    /// The version that a put as it is now supersedes, when that must be erased; else 0.
    pub(super) fn supersedes(&self) -> u64 {
        if self.redacts { self.revision } else { 0 }
    }

    /// The version that is to be erased now.
    pub(super) fn erasing(&self) -> Option<u64> {
        match self.flight?.stage {
            Stage::Putting => None,
            Stage::Erasing(before) | Stage::ErasingFirst(before) => Some(before),
        }
    }

    /// The log is needed from here on until what is under way is done; `true` when it was as stored before.
    pub(super) fn needs(&mut self, log_seq: u64) -> bool {
        let was_clean = self.dirty.is_none();
        self.dirty.get_or_insert(log_seq);
        was_clean
    }

    /// The put was written. It is settled unless [`erasing`](Self::erasing) tells what to erase first.
    pub(super) fn written(&mut self, revision: u64) {
        let before = self.supersedes();
        self.revision = revision;
        if before > 0 {
            let flight = self.flight.get_or_insert_default();
            flight.stage = Stage::Erasing(before);
        } else {
            self.settle();
        }
    }

    /// The version before is erased.
    pub(super) fn erased(&mut self) {
        match self.flight.map(|flight| flight.stage) {
            Some(Stage::Erasing(_)) => self.settle(),
            Some(Stage::ErasingFirst(_)) => self.flight = None,
            Some(Stage::Putting) | None => {}
        }
    }

    /// The put was not written, or nobody knows.
    pub(super) fn not_written(&mut self) {
        self.flight = None;
    }

    /// Nobody knew whether the put was written, and this is what the store holds: `erase` is the version
    /// before that one, which has to go before the value is put again.
    pub(super) fn found(&mut self, revision: u64, erase: u64) {
        self.revision = revision;
        self.flight = (erase > 0).then(|| Flight {
            stage: Stage::ErasingFirst(erase),
            ..Flight::default()
        });
    }

    /// What was put and erased is what was to be: later commits alone are not in the store.
    fn settle(&mut self) {
        let flight = self.flight.take().unwrap_or_default();
        self.dirty = flight.dirty;
        self.redacts = flight.redacts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_folded_during_a_put_stays_dirty() {
        let mut value = Stored::read(3, 10, 0);
        assert!(value.touch(11));
        assert!(!value.touch(12));
        value.begin();
        assert!(!value.touch(13));
        assert_eq!(value.dirty(), Some(11));
        value.written(4);
        assert_eq!(value.dirty(), Some(13));
        value.begin();
        value.not_written();
        assert_eq!((value.dirty(), value.revision), (Some(13), 4));
        value.begin();
        value.written(5);
        assert!(value.is_clean());
    }

    #[test]
    fn a_redaction_is_settled_when_the_version_before_is_erased() {
        let mut value = Stored::read(3, 10, 0);
        value.touch(11);
        value.begin();
        value.redact();
        value.touch(12);
        value.written(4);
        assert_eq!(
            value.erasing(),
            Some(3),
            "erased once too often is harmless"
        );
        assert_eq!((value.dirty(), value.is_in_flight()), (Some(11), true));
        value.erased();
        assert_eq!((value.dirty(), value.supersedes()), (Some(12), 4));
        value.begin();
        value.written(5);
        assert_eq!(value.erasing(), Some(4));
        value.erased();
        assert!(value.is_clean());
        value.touch(13);
        value.begin();
        value.written(6);
        assert_eq!((value.erasing(), value.is_clean()), (None, true));
    }

    #[test]
    fn what_a_found_or_read_version_left_to_erase_is_erased_first() {
        let mut value = Stored::read(3, 10, 0);
        value.touch(11);
        value.redact();
        value.begin();
        value.found(4, 3);
        assert_eq!(value.erasing(), Some(3));
        value.erased();
        assert_eq!((value.dirty(), value.is_in_flight()), (Some(11), false));
        let mut read = Stored::read(4, 11, 3);
        assert!(read.needs(11));
        assert_eq!(read.erasing(), Some(3));
        read.erased();
        assert!(read.is_clean());
    }
}
