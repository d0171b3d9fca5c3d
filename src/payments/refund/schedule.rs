//! When a refund that was refused for now is tried again.

use jiff::{SignedDuration, Timestamp};

/// So long a refund is tried that was refused for now. The try after that is the last.
pub const TRIED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The gap between two tries is half of how long it has waited, within these.
const SHORTEST_GAP: SignedDuration = SignedDuration::from_mins(10);
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(12);

/// The next try of a refund that was first refused at `since`, and again just now. `None`: that was the last one.
pub fn next_try(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let (waited, end) = (now.duration_since(since), since.saturating_add(TRIED_FOR).ok()?);
    (now < end).then(|| (now + (waited / 2).clamp(SHORTEST_GAP, LONGEST_GAP)).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_grow_and_the_last_try_is_at_the_end_of_the_time() {
        let since = Timestamp::UNIX_EPOCH;
        let (mut now, mut gaps) = (since, Vec::new());
        while let Some(next) = next_try(since, now) {
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
    fn a_try_that_comes_late_or_early_changes_no_other() {
        let since = Timestamp::UNIX_EPOCH;
        assert_eq!(next_try(since, since + TRIED_FOR), None);
        assert_eq!(next_try(since, since + TRIED_FOR * 2), None);
        assert_eq!(next_try(since + SHORTEST_GAP, since), Some(since + SHORTEST_GAP)); // clocks differ
    }
}
