//! How a call to a provider can end when it does not end well.

use crate::refund::{Obstacle, Retry};

/// After so long it is worth asking whether somebody has mended our credentials.
const MENDED_AFTER_S: u64 = 60;

/// The ways a provider call fails. Callers must treat them differently.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ProviderError {
    /// They answered and refused (their 4xx): the input or our account is at fault. Repeating the same call is useless.
    #[error("{provider} refused the request ({code})")]
    Rejected {
        provider: &'static str,
        /// Their stable code, or the HTTP status where they have none. Safe to show to an operator, not to a buyer.
        code: String,
        /// Their words, for the log and the operator only.
        message: String,
    },
    /// The refusal of a refund, and whether it is one for now or for ever. No refund was made, so its id may be used again.
    #[error("{provider} refused the refund ({code})")]
    RefundRefused {
        provider: &'static str,
        /// As in `Rejected`.
        code: String,
        message: String,
        retry: Retry,
    },
    /// They do not let us in (401, 403): our key, token, certificate or permission is not accepted. This call certainly did
    /// nothing, and so will its repeats until somebody mends it: meanwhile they are away, and another provider may do it.
    #[error("{provider} does not accept our credentials ({code})")]
    NotAccepted {
        provider: &'static str,
        /// As in `Rejected`.
        code: String,
        message: String,
    },
    /// Certainly not done: breaker open, connection refused, 429, or a 5xx of a call that can be repeated. Try later.
    #[error("{provider} is unavailable: {reason}")]
    Unavailable {
        provider: &'static str,
        reason: String,
        /// Seconds after which they, or our breaker, expect to be back.
        retry_after_s: Option<u64>,
    },
    /// Sent, and no clear answer came: it may or may not have happened. Look it up, or repeat with the same key.
    #[error("{provider} gave no clear answer: {reason}")]
    Unknown { provider: &'static str, reason: String },
}

impl ProviderError {
    /// The provider's name, as in configuration, metrics and logs.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Rejected { provider, .. }
            | Self::RefundRefused { provider, .. }
            | Self::NotAccepted { provider, .. }
            | Self::Unavailable { provider, .. }
            | Self::Unknown { provider, .. } => provider,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rejected { .. } => false,
            Self::RefundRefused { retry, .. } => matches!(retry, Retry::Later(_)),
            Self::NotAccepted { .. } | Self::Unavailable { .. } | Self::Unknown { .. } => true,
        }
    }

    /// Certainly not done, for a reason that lies with them or with our account there and not with what was asked: another
    /// provider may do it.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::NotAccepted { .. } | Self::Unavailable { .. })
    }

    /// The same refusal as that of a refund, by what `judge` makes of its code and words. Any other error stays what it is.
    pub fn of_refund(self, judge: impl FnOnce(&str, &str) -> Retry) -> Self {
        match self {
            Self::Rejected { provider, code, message } => {
                let retry = judge(&code, &message);
                Self::RefundRefused { provider, code, message, retry }
            }
            other => other,
        }
    }

    /// They refused what was asked, whatever comes of asking again.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::RefundRefused { .. })
    }

    /// Seconds after which asking again is worth it, where that is known.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after_s, .. } => *retry_after_s,
            Self::NotAccepted { .. } => Some(MENDED_AFTER_S),
            Self::Rejected { .. } | Self::RefundRefused { .. } | Self::Unknown { .. } => None,
        }
    }
    /// Of a call that should have made a refund and did not: whether asking again can help. After a refusal the same `refund_id`
    /// may be asked for again.
    pub fn refund_retry(&self) -> Retry {
        match self {
            Self::RefundRefused { retry, .. } => *retry,
            Self::Rejected { .. } => Retry::Unsaid,
            Self::NotAccepted { .. } | Self::Unavailable { .. } | Self::Unknown { .. } => Retry::Later(Obstacle::TheirSide),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refused_call_says_of_another_try() {
        let refused =
            |retry| ProviderError::RefundRefused { provider: "bacen", code: String::new(), message: String::new(), retry };
        let unknown = ProviderError::Unknown { provider: "bacen", reason: String::new() };
        let rejected = ProviderError::Rejected { provider: "bacen", code: String::new(), message: String::new() };
        assert_eq!(refused(Retry::Never).refund_retry(), Retry::Never);
        assert_eq!(rejected.refund_retry(), Retry::Unsaid);
        assert_eq!(unknown.refund_retry(), Retry::Later(Obstacle::TheirSide));
        let transient = [Retry::Later(Obstacle::Balance), Retry::Never, Retry::Unsaid].map(|retry| refused(retry).is_transient());
        assert_eq!(transient, [true, false, false]);
    }
}
