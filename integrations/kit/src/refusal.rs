//! What a provider says when it refuses, in its own code and words.

use crate::ProviderError;

/// Their own code and words for a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Empty where they have none: then it is the status.
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// As the error that says: they do not let us in.
    pub fn not_accepted(self, provider: &'static str) -> ProviderError {
        ProviderError::NotAccepted { provider, code: self.code, message: self.message }
    }
}
