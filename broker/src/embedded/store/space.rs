//! Which bytes of the values' file are free. Without IO.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Place;

/// Values begin at multiples of this, so that gaps can be used again.
const GRANULE: u64 = 64;

/// Bytes from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl From<Place> for Span {
    /// All that a value takes.
    fn from(place: Place) -> Self {
        Self {
            offset: place.offset,
            bytes: u64::from(place.bytes.max(1)).next_multiple_of(GRANULE),
        }
    }
}

impl Span {
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }
}

/// Two values claim the same bytes, or one those before the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) at: u64,
}

/// Free and used bytes; all bytes from `end` on are free.
#[derive(Debug)]
pub(super) struct Space {
    /// Offset → bytes of the gaps, no two of them side by side.
    gaps: BTreeMap<u64, u64>,
    /// The same, the smallest first.
    by_bytes: BTreeSet<(u64, u64)>,
    end: u64,
}

impl Space {
    /// What these values leave free, from `begin` on.
    pub(super) fn beside(begin: u64, mut used: Vec<Place>) -> Result<Self, Overlap> {
        used.sort_unstable_by_key(|place| place.offset);
        let mut space = Self {
            gaps: BTreeMap::new(),
            by_bytes: BTreeSet::new(),
            end: begin,
        };
        for place in used {
            let span = Span::from(place);
            if span.offset < space.end {
                return Err(Overlap { at: span.offset });
            }
            space.insert(Span {
                offset: space.end,
                bytes: span.offset - space.end,
            });
            space.end = span.end();
        }
        Ok(space)
    }

    /// Takes bytes for a value: the smallest gap that is large enough, else the end.
    pub(super) fn take(&mut self, bytes: u32) -> Place {
        let place = |offset| Place { offset, bytes };
        let wanted = Span::from(place(0)).bytes;
        let Some((_, offset)) = self.by_bytes.range((wanted, 0)..).next().copied() else {
            let taken = place(self.end);
            self.end += wanted;
            return taken;
        };
        let gap = self.remove(offset);
        self.insert(Span {
            offset: offset + wanted,
            bytes: gap.bytes - wanted,
        });
        place(offset)
    }

    /// Gives back what a value took.
    pub(super) fn give(&mut self, place: Place) {
        let mut span = Span::from(place);
        if let Some((offset, bytes)) = self.gaps.range(..span.offset).next_back()
            && offset + bytes == span.offset
        {
            let before = self.remove(*offset);
            span = Span {
                offset: before.offset,
                bytes: before.bytes + span.bytes,
            };
        }
        if self.gaps.contains_key(&span.end()) {
            span.bytes += self.remove(span.end()).bytes;
        }
        if span.end() == self.end {
            self.end = span.offset;
        } else {
            self.insert(span);
        }
    }

    /// The gaps between values.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Span> {
        self.gaps
            .iter()
            .map(|(&offset, &bytes)| Span { offset, bytes })
    }

    /// Where the last value ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn insert(&mut self, gap: Span) {
        if gap.bytes > 0 {
            self.gaps.insert(gap.offset, gap.bytes);
            self.by_bytes.insert((gap.bytes, gap.offset));
        }
    }

    fn remove(&mut self, offset: u64) -> Span {
        let bytes = self.gaps.remove(&offset).unwrap_or(0);
        self.by_bytes.remove(&(bytes, offset));
        Span { offset, bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_is_used_again_and_an_end_is_given_back() {
        let mut space = Space::beside(64, Vec::new()).unwrap();
        let [a, b, c] = [100, 64, 1].map(|bytes| space.take(bytes));
        assert_eq!([a.offset, b.offset, c.offset], [64, 192, 256]);
        space.give(a);
        assert_eq!(space.take(65).offset, 64);
        space.give(c);
        space.give(b);
        assert_eq!(space.end(), 192);
    }

    #[test]
    fn values_that_overlap_are_told() {
        let place = |offset| Place { offset, bytes: 65 };
        let overlap = Space::beside(64, vec![place(192), place(128)]).map(drop);
        assert_eq!(overlap, Err(Overlap { at: 192 }));
        let overlap = Space::beside(64, vec![place(0)]).map(drop);
        assert_eq!(overlap, Err(Overlap { at: 0 }));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_and_given_no_two_values_overlap_and_nothing_is_forgotten(
            steps in prop::collection::vec((any::<bool>(), 0_u32..500, any::<prop::sample::Index>()), 1..200)
        ) {
            let mut space = Space::beside(64, Vec::new()).unwrap();
            let mut used: Vec<Place> = Vec::new();
            for (take, bytes, which) in steps {
                if take || used.is_empty() {
                    used.push(space.take(bytes));
                } else {
                    space.give(used.swap_remove(which.index(used.len())));
                }
                let again = Space::beside(64, used.clone()).unwrap();
                prop_assert!(again.gaps().eq(space.gaps()));
                prop_assert_eq!(again.end(), space.end());
            }
        }
    }
}
