//! What a person agreed to, and took back. The record only grows.

use deadpool_postgres::GenericClient;

use crate::db;
use crate::error::Result;
use crate::ids::{ConsentId, UserId};

/// What is agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The shop's privacy notice and terms.
    Privacy,
    /// Texts (SMS) about orders.
    Sms,
}

impl Subject {
    fn word(self) -> &'static str {
        match self {
            Self::Privacy => "privacy",
            Self::Sms => "sms",
        }
    }
}

/// Adds to the record. `version`: of the text that was shown, empty where none was named.
pub async fn record(db: &impl GenericClient, user: UserId, subject: Subject, version: &str, granted: bool) -> Result<()> {
    const INSERT: &str = "INSERT INTO consents (id, user_id, subject, version, granted) VALUES ($1, $2, $3, $4, $5)";
    db::execute(db, INSERT, &[&ConsentId::new(), &user, &subject.word(), &version, &granted]).await?;
    Ok(())
}
