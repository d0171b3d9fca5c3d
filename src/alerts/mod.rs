//! What the operator must know: raised inside the transaction that found it, counted by one job, mailed as a digest.
//!
//! One cause is one alert a day, however often it is met ([`Key`]). [`raise`] only inserts a row, so transactions that raise the
//! same key at once do not wait for each other, and none of them touches the jobs of customers' mails.

mod count;
mod due;
mod key;
mod key_words;
mod refused;

pub use self::count::count;
pub use self::due::{Told, find_due, is_due, mark_told, mark_untold};
pub use self::key::{Key, List, Severity};
pub use self::key_words::WORDS;
pub use self::refused::{raise_if_refused, raise_list_refused};

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use crate::cause;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;

/// Longer texts are cut: a provider's words may be a page.
const MAX_TEXT: usize = 2000;
const MAX_SUBJECT: usize = 150;

/// One occurrence of something that a person should look at. The text is in Portuguese and names no person.
#[derive(Debug, Clone)]
pub struct Alert<'a> {
    key: Key<'a>,
    text: String,
    order: Option<OrderId>,
}

impl<'a> Alert<'a> {
    pub fn new(key: Key<'a>, text: impl Into<String>) -> Self {
        Self { key, text: text.into(), order: None }
    }

    /// The order that it is about: its number stands in the list of those concerned.
    pub fn about(self, order: impl Into<Option<OrderId>>) -> Self {
        Self { order: order.into(), ..self }
    }
}

/// Writes an [`Occurrence`].
pub const RAISE: &str = "
    INSERT INTO alert_occurrences (key, severity, subject, text, order_number, cause)
    VALUES ($1::text, $2::text, $3, $4, (SELECT number FROM orders WHERE id = $5), $6)";

/// Writes an occurrence into the caller's transaction. It takes no lock that another transaction waits for.
pub async fn raise(tx: &impl GenericClient, alert: Alert<'_>) -> Result<()> {
    let occurrence = Occurrence::of(&alert);
    db::execute(tx, RAISE, &occurrence.values()).await?;
    occurrence.log();
    Ok(())
}

/// An occurrence as [`RAISE`] writes it, for who sends statements without waiting for each.
#[derive(Debug)]
pub struct Occurrence {
    key: String,
    severity: &'static str,
    subject: String,
    text: String,
    order: Option<OrderId>,
    cause: String,
}

impl Occurrence {
    pub fn of(alert: &Alert<'_>) -> Self {
        Self {
            key: alert.key.to_string(),
            severity: alert.key.severity().as_str(),
            subject: cut(&alert.key.subject(), MAX_SUBJECT),
            text: cut(&alert.text, MAX_TEXT),
            order: alert.order,
            cause: cause::current(),
        }
    }

    pub fn values(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.key, &self.severity, &self.subject, &self.text, &self.order, &self.cause]
    }

    /// Call it once it is committed, or is about to be.
    pub fn log(&self) {
        tracing::warn!(alert.key = self.key, alert.severity = self.severity, subject = self.subject, "alert");
    }
}

/// PostgreSQL keeps no NUL in a text.
fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most).collect()
}
