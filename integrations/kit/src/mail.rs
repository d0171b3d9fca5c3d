//! The contract of whoever carries our e-mail.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Email, ProviderError};

/// A message as it was rendered and stored, once: every repeat sends exactly this under the same key.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    /// Stable across retries: `<kind>/<message id>`.
    pub idempotency_key: String,
    /// `Loja <no-reply@loja.com.br>` or a bare address.
    pub from: String,
    pub to: Email,
    pub subject: String,
    pub html: String,
    pub text: String,
    /// Letters, digits, `_`, `-`: what kind of mail this is, for the provider's statistics.
    pub kind: String,
}

/// Resend, or any SMTP server.
#[async_trait]
pub trait Mailer: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// How long they notice a repeat under the same key, and send once. `None`: they never do, so after an unclear answer
    /// another try may be another mail.
    fn notices_repeats_for(&self) -> Option<Duration>;

    /// Hands the mail over; answers the provider's id of it.
    async fn send(&self, mail: &OutgoingMail) -> Result<String, ProviderError>;
}
