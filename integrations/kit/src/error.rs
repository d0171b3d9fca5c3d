//! The errors of calls to providers.

use crate::refund::{Obstacle, Retry};
use crate::refusal::{Refusal, said};

/// After how long a call is tried again that failed because of our credentials.
const MENDED_AFTER_S: u64 = 60;

/// The ways a provider call fails. Callers must treat them differently.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ProviderError {
    /// The provider refused (4xx): something is wrong with the input or our account. Repeating the same call cannot help.
    #[error("{provider} refused the request ({code})")]
    Rejected {
        provider: &'static str,
        /// Their stable code, or the HTTP status where they have none. Safe to show to an operator, not to a buyer.
        code: String,
        /// Their words, for the log and the operator only.
        message: String,
    },
    /// A refund was refused, for now or for good. No refund was made, so its id may be used again.
    #[error("{provider} refused the refund ({code})")]
    RefundRefused {
        provider: &'static str,
        /// As in `Rejected`.
        code: String,
        message: String,
        retry: Retry,
    },
    /// Our key, token, certificate or permission is not accepted (401, 403). The call certainly did nothing, and neither will a
    /// repeat until somebody mends it. Until then the provider counts as away, and another provider may do the work.
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
        /// Seconds after which a call may succeed again, by the provider or our breaker.
        retry_after_s: Option<u64>,
    },
    /// The call was sent and no clear answer came: it may have been done. Look it up, or repeat it with the same key.
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

    /// The text for the operator: the error, and a refusal's own words.
    pub fn told(&self) -> String {
        match self {
            Self::Rejected { message, .. } | Self::RefundRefused { message, .. } => said(&self.to_string(), message),
            _ => self.to_string(),
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

    /// Certainly not done, because of the provider or our account there, and not because of the request: another provider may do
    /// it.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::NotAccepted { .. } | Self::Unavailable { .. })
    }

    /// Turns a refusal into the refusal of a refund; `judge` reads its code and words. Any other error is unchanged.
    pub fn of_refund(self, judge: impl FnOnce(&str, &str) -> Retry) -> Self {
        match self {
            Self::Rejected { provider, code, message } => {
                let retry = judge(&code, &message);
                Self::RefundRefused { provider, code, message, retry }
            }
            other => other,
        }
    }

    /// The provider refused the request, for now or for good.
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
    /// For a call that should have made a refund: whether asking again can help. After a refusal the same `refund_id` may be used
    /// again.
    pub fn refund_retry(&self) -> Retry {
        match self {
            Self::RefundRefused { retry, .. } => *retry,
            Self::Rejected { .. } => Retry::Unsaid,
            Self::NotAccepted { .. } | Self::Unavailable { .. } | Self::Unknown { .. } => Retry::Later(Obstacle::TheirSide),
        }
    }
}

impl Refusal {
    /// As the error that says: they do not let us in.
    pub fn not_accepted(self, provider: &'static str) -> ProviderError {
        ProviderError::NotAccepted { provider, code: self.code, message: self.message }
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
