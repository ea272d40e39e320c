//! Whether this machine's clock can be trusted: events are stamped with it. It is compared with those of
//! the living peers, whose pings carry theirs.

use super::process::Moment;

/// How far a clock may be off the median of its peers (DESIGN section 5, Who owns what).
const TOLERANCE_MS: i64 = 2_000;

/// What is thought of this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes like those of the peers, or there are none.
    Right,
    /// The peers are this far ahead of it; negative: behind.
    Off(i64),
    /// There is one peer, which is this far ahead or behind, and nothing tells whose clock is wrong.
    Unclear(i64),
}

/// Judges this machine's clock.
#[derive(Default)]
pub(super) struct ClockCheck {
    is_off: bool,
    /// Wall clock less monotone clock when they last agreed with the peers: it changes when the wall clock
    /// jumps, and then the jump was here.
    agreed_ms: Option<i64>,
}

impl ClockCheck {
    /// Judges by how far each living peer's clock is ahead of this one.
    pub(super) fn judge(&mut self, mut ahead_ms: Vec<i64>, now: Moment) -> Verdict {
        let base_ms = difference_ms(now);
        ahead_ms.sort_unstable();
        let Some(off_by) = disagreement(&ahead_ms) else {
            self.is_off = false;
            self.agreed_ms = Some(base_ms);
            return Verdict::Right;
        };
        let jumped = self
            .agreed_ms
            .is_some_and(|agreed| agreed.abs_diff(base_ms) > TOLERANCE_MS.unsigned_abs() / 2);
        // A majority says so, or the jump was seen; whoever was found wrong stays so until it agrees.
        self.is_off |= ahead_ms.len() > 1 || jumped;
        if self.is_off {
            Verdict::Off(off_by)
        } else {
            Verdict::Unclear(off_by)
        }
    }
}

/// How far the median is away, if it is too far. Between the two middle ones of an even number this clock
/// is right.
fn disagreement(sorted_ms: &[i64]) -> Option<i64> {
    let count = sorted_ms.len();
    let (low, high) = (
        *sorted_ms.get(count.checked_sub(1)? / 2)?,
        *sorted_ms.get(count / 2)?,
    );
    if low > TOLERANCE_MS {
        Some(low)
    } else if high < -TOLERANCE_MS {
        Some(high)
    } else {
        None
    }
}

/// How far a peer's clock is ahead, by the time it told between asking and its answer.
pub(super) fn ahead_ms(asked: Moment, told_unix_ms: u64, answered: Moment) -> i64 {
    let way = answered.mono.saturating_sub(asked.mono) / 2;
    let way_ms = i64::try_from(way.as_millis()).unwrap_or(i64::MAX);
    signed(told_unix_ms)
        .saturating_add(way_ms)
        .saturating_sub(signed(answered.unix_ms))
}

fn difference_ms(now: Moment) -> i64 {
    let mono_ms = i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX);
    signed(now.unix_ms).saturating_sub(mono_ms)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000;

    /// The moment `mono_ms` after the start, on a clock that is `wrong_ms` ahead of the true time.
    fn moment(mono_ms: u64, wrong_ms: i64) -> Moment {
        let true_ms = 1_800_000_000_000 + mono_ms;
        Moment {
            mono: Duration::from_millis(mono_ms),
            unix_ms: true_ms.checked_add_signed(wrong_ms).unwrap(),
        }
    }

    #[test]
    fn among_three_the_one_that_jumped_is_off_until_it_agrees_again() {
        for jump in [-HOUR, 24 * HOUR, 2_500, -2_500] {
            let mut clock = ClockCheck::default();
            assert_eq!(clock.judge(vec![3, -40], moment(0, 0)), Verdict::Right);
            let seen = clock.judge(vec![-jump, -jump], moment(200, jump));
            assert_eq!(seen, Verdict::Off(-jump));
            // One of the peers goes: still it was this clock.
            let seen = clock.judge(vec![-jump], moment(400, jump));
            assert_eq!(seen, Verdict::Off(-jump));
            assert_eq!(clock.judge(vec![9], moment(600, 0)), Verdict::Right);
        }
    }

    #[test]
    fn among_three_the_others_are_right_when_one_jumps() {
        let mut clock = ClockCheck::default();
        for peers in [vec![HOUR, 0], vec![0, -HOUR], vec![HOUR, -HOUR], vec![]] {
            assert_eq!(clock.judge(peers, moment(0, 0)), Verdict::Right);
        }
    }

    #[test]
    fn of_two_the_one_whose_wall_clock_moved_is_off() {
        let mut jumped = ClockCheck::default();
        let mut steady = ClockCheck::default();
        assert_eq!(jumped.judge(vec![0], moment(0, 0)), Verdict::Right);
        assert_eq!(steady.judge(vec![0], moment(0, 0)), Verdict::Right);
        let seen = jumped.judge(vec![HOUR], moment(200, -HOUR));
        assert_eq!(seen, Verdict::Off(HOUR));
        let seen = steady.judge(vec![-HOUR], moment(200, 0));
        assert_eq!(seen, Verdict::Unclear(-HOUR));
    }

    #[test]
    fn two_that_never_agreed_cannot_tell_who_is_wrong() {
        let mut clock = ClockCheck::default();
        assert_eq!(clock.judge(vec![], moment(0, 0)), Verdict::Right);
        let seen = clock.judge(vec![5_000], moment(1_000, 0));
        assert_eq!(seen, Verdict::Unclear(5_000));
    }

    #[test]
    fn a_peers_time_is_taken_from_the_middle_of_the_way() {
        let (asked, answered) = (moment(1_000, 0), moment(1_100, 0));
        assert_eq!(ahead_ms(asked, moment(1_050, 0).unix_ms, answered), 0);
        assert_eq!(
            ahead_ms(asked, moment(1_050, 7_000).unix_ms, answered),
            7_000
        );
    }
}
