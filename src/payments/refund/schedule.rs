//! When a refund that was refused for now is tried again.

use jiff::{SignedDuration, Timestamp};

/// So long a refund is tried that was refused for now. The try after that is the last.
pub const TRIED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The gap between two tries is half of how long it has waited, within these.
const SHORTEST_GAP: SignedDuration = SignedDuration::from_mins(10);
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(12);

/// A gap is longer by up to so many per cent, by chance: refunds that were refused together are not all tried again at one moment.
const JITTER_MAX: u8 = 20;

/// A jitter for [`next_try`].
pub fn jitter() -> u8 {
    rand::random_range(0..=JITTER_MAX)
}

/// The next try of a refund that was first refused at `since`, and again just now. `None`: that was the last one.
pub fn next_try(since: Timestamp, now: Timestamp, jitter: u8) -> Option<Timestamp> {
    let (waited, end) = (now.duration_since(since), since.saturating_add(TRIED_FOR).ok()?);
    let gap = (waited / 2).clamp(SHORTEST_GAP, LONGEST_GAP);
    (now < end).then(|| (now + gap + gap * i32::from(jitter) / 100).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_grow_and_the_last_try_is_at_the_end_of_the_time() {
        let since = Timestamp::UNIX_EPOCH;
        let (mut now, mut gaps) = (since, Vec::new());
        while let Some(next) = next_try(since, now, 0) {
            gaps.push(next.duration_since(now).as_secs());
            now = next;
        }
        assert_eq!(now.duration_since(since), TRIED_FOR);
        let before_the_end = &gaps[..gaps.len() - 1];
        assert!(before_the_end.is_sorted() && gaps.iter().all(|gap| *gap <= 12 * 3600), "{gaps:?}");
        assert_eq!((gaps.first(), before_the_end.last()), (Some(&600), Some(&(12 * 3600))));
        assert!((20..40).contains(&gaps.len()), "{} tries", gaps.len());
        assert!(gaps.iter().take_while(|gap| **gap < 3600).count() >= 6, "a night is short: {gaps:?}");
    }

    #[test]
    fn refunds_that_were_refused_together_are_tried_again_at_different_moments() {
        let since = Timestamp::UNIX_EPOCH;
        let after = |waited: SignedDuration, jitter| {
            next_try(since, since + waited, jitter).map(|next| next.duration_since(since + waited))
        };
        let night = SignedDuration::from_hours(10);
        assert_eq!(after(night, 0), Some(SignedDuration::from_hours(5)));
        assert_eq!(after(night, JITTER_MAX), Some(SignedDuration::from_hours(6)));
        let nearly_over = TRIED_FOR - SignedDuration::from_mins(1);
        assert_eq!(after(nearly_over, JITTER_MAX), Some(SignedDuration::from_mins(1)), "the last try is at the end of the time");
        let drawn: std::collections::HashSet<u8> = (0..400).map(|_| jitter()).collect();
        assert!(drawn.len() > 10 && drawn.iter().all(|jitter| *jitter <= JITTER_MAX), "{drawn:?}");
    }

    #[test]
    fn a_try_that_comes_late_or_early_changes_no_other() {
        let since = Timestamp::UNIX_EPOCH;
        assert_eq!(next_try(since, since + TRIED_FOR, JITTER_MAX), None);
        assert_eq!(next_try(since, since + TRIED_FOR * 2, 0), None);
        assert_eq!(next_try(since + SHORTEST_GAP, since, 0), Some(since + SHORTEST_GAP)); // clocks differ
    }
}
