//! The contract of providers of e-mail.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Email, ProviderError};

/// A message as it was rendered and stored. Every try sends exactly this under the same key.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    /// Stable across retries: `<kind>/<message id>`. Not used for a mail of a batch, which has one key for all.
    pub idempotency_key: String,
    /// Our id of the message: letters, digits, `-`.
    pub id: String,
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

    /// `None`: the provider takes one mail a call.
    fn batches(&self) -> Option<&dyn BatchMailer>;
}

/// A provider that takes many mails in one call.
#[async_trait]
pub trait BatchMailer: Send + Sync {
    /// The most mails of a call.
    fn most(&self) -> i64;

    /// Sends these mails by one call under one key. The same mails in the same order under the same key are sent once, as long as
    /// [`Mailer::notices_repeats_for`] says.
    ///
    /// Errors: as of one mail. `Rejected`: the provider accepted none of them.
    async fn send_batch(&self, key: &str, mails: &[OutgoingMail]) -> Result<BatchAnswer, ProviderError>;
}

/// What the provider says to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchAnswer {
    /// For each mail, in their order, the provider's id; `None`: it refused this mail alone, and says why if it is sent alone.
    Taken(Vec<Option<String>>),
    /// The provider knows the key, with other mails. Those may have been sent, and these were not.
    Changed,
}
