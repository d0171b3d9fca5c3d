//! How a call to a provider can end when it does not end well.

/// The three ways a provider call fails. Callers must treat them differently.
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
            Self::Rejected { provider, .. } | Self::Unavailable { provider, .. } | Self::Unknown { provider, .. } => provider,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Rejected { .. })
    }
}
