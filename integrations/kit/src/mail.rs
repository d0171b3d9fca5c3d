//! The contract of providers of e-mail.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Email, ProviderError};

/// A message as it was rendered and stored. Every try sends exactly this under the same key.
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

    /// How long the provider recognises a repeat under the same key and sends once. `None`: never, so after an unclear answer
    /// another try may send another mail.
    fn notices_repeats_for(&self) -> Option<Duration>;

    /// Sends the mail, and returns the provider's id for it.
    async fn send(&self, mail: &OutgoingMail) -> Result<String, ProviderError>;
}
