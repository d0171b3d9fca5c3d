//! Mails and texts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A message that was accepted for sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub provider: String,
    pub id: String,
    pub idempotency_key: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Vec<String>,
    pub subject: String,
    pub html: Option<String>,
    pub text: Option<String>,
    /// Name and value, as sent.
    pub tags: Vec<(String, String)>,
    pub headers: BTreeMap<String, String>,
    /// File names only.
    pub attachments: Vec<String>,
    pub scheduled_at: Option<String>,
    pub last_event: String,
    pub created_at: Timestamp,
}

/// A text that was accepted for sending, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    pub provider: String,
    pub id: String,
    pub from: Option<String>,
    pub to: String,
    pub text: String,
    /// So many texts are charged for it.
    pub parts: usize,
    /// Their code for what they did with it: 100 to 102 took it.
    pub status_code: u16,
    /// Their last word on it.
    pub status: String,
    pub created_at: Timestamp,
}

/// `Ana <ana@example.com>` → `ana@example.com`.
pub(crate) fn bare_address(text: &str) -> &str {
    match text.rsplit_once('<') {
        Some((_, rest)) => rest.trim_end().trim_end_matches('>').trim(),
        None => text.trim(),
    }
}
