//! An invoice as its row stands.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use vitrine_kit::nfe::Environment;
use vitrine_kit::{AccessKey, Money};

use crate::error::Result;
use crate::ids::{InvoiceId, LineId, OrderId, RefundId};
use crate::sale::returned::{Ground, Note, Pieces, Sums};
use crate::sale::states::InvoiceStatus;

/// An invoice as its row stands.
#[derive(Debug, Clone)]
pub struct Invoice {
    pub id: InvoiceId,
    pub order: OrderId,
    pub is_return: bool,
    pub sale: Option<InvoiceId>,
    /// Of a return.
    pub ground: Option<Ground>,
    /// So many of which lines. Of a sale: `None` until it may have been sent.
    pub lines: Option<Vec<(LineId, i32)>>,
    /// Beside `lines`. `None`: the release before this one wrote it.
    pub discounts: Option<Vec<Money>>,
    pub freight: Option<Money>,
    pub provider: String,
    pub environment: Environment,
    pub status: InvoiceStatus,
    pub issued_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub key: Option<AccessKey>,
    pub number: Option<String>,
    pub series: Option<String>,
    pub total: Money,
    pub buyer_city: Option<String>,
    pub cancel_reason: Option<String>,
    /// It was asked to be cancelled, and stays.
    pub is_cancel_refused: bool,
    /// By the shop itself, since its sale was off.
    pub is_given_up: bool,
    pub danfe_ref: Option<String>,
    pub xml_ref: Option<String>,
    pub cancellation_ref: Option<String>,
    pub authorized_at: Option<Timestamp>,
}

impl Invoice {
    /// Under what the provider knows it.
    pub fn reference(&self) -> String {
        self.id.0.simple().to_string()
    }

    pub fn is_open(&self) -> bool {
        self.status.is_open()
    }

    /// What stands on it, of an order of these sums.
    pub fn note(&self, sums: &Sums) -> Note {
        match (&self.lines, &self.discounts) {
            (None, _) => sums.whole(),
            (Some(lines), None) => sums.of_counts(lines),
            (Some(lines), Some(discounts)) => {
                let pieces = |(&(line, quantity), &discount): (&(LineId, i32), &Money)| Pieces { line, quantity, discount };
                let freight = self.freight.unwrap_or_default();
                Note { pieces: lines.iter().zip(discounts).map(pieces).collect(), freight }
            }
        }
    }

    /// Authorised, and nobody has asked for it to be cancelled.
    pub fn stands(&self) -> bool {
        self.status == InvoiceStatus::Authorized && self.cancel_reason.is_none()
    }

    /// The provider may have it, in another state than ours.
    pub fn may_be_there(&self) -> bool {
        match self.status {
            InvoiceStatus::Denied => false,
            InvoiceStatus::Rejected => self.sent_at.is_some(),
            // One that was authorised before has been seen cancelled there.
            InvoiceStatus::Cancelled => self.sent_at.is_some() && self.authorized_at.is_none(),
            InvoiceStatus::Pending | InvoiceStatus::Processing | InvoiceStatus::Authorized => true,
        }
    }

    /// The provider or the tax authority may have its buyer and address.
    pub fn has_its_buyer(&self) -> bool {
        match self.status {
            InvoiceStatus::Pending => self.sent_at.is_some(),
            InvoiceStatus::Processing | InvoiceStatus::Authorized => true,
            InvoiceStatus::Rejected | InvoiceStatus::Denied | InvoiceStatus::Cancelled => false,
        }
    }

    /// Gone, and not because somebody or the tax authority wanted it.
    pub fn was_given_up(&self) -> bool {
        self.is_given_up && self.status == InvoiceStatus::Cancelled
    }
}

/// What [`invoice`] reads, of `invoices i`.
pub const COLUMNS: &str = "
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at";

/// Reads a row of [`COLUMNS`].
pub fn invoice(row: &Row) -> Result<Invoice> {
    let key: Option<String> = row.get("chave");
    let lines: Option<Value> = row.get("lines");
    Ok(Invoice {
        id: row.get("id"),
        order: row.get("order_id"),
        is_return: row.get::<_, &str>("purpose") == "return",
        sale: row.get("sale_id"),
        ground: row.get::<_, Option<InvoiceId>>("sale_id").map(|_| ground(row)),
        lines: lines.and_then(|lines| serde_json::from_value(lines).ok()),
        discounts: row.get("line_discounts"),
        freight: row.get("freight_cents"),
        provider: row.get("provider"),
        environment: environment(row.get("environment")),
        status: row.try_get("status")?,
        issued_at: row.get("issued_at"),
        sent_at: row.get("sent_at"),
        key: key.and_then(|key| AccessKey::parse(&key).ok()),
        number: row.get("number"),
        series: row.get("series"),
        total: row.get("total_cents"),
        buyer_city: row.get("buyer_ibge_city"),
        cancel_reason: row.get("cancel_reason"),
        is_cancel_refused: row.get("is_cancel_refused"),
        is_given_up: row.get("given_up"),
        danfe_ref: row.get("danfe_ref"),
        xml_ref: row.get("xml_ref"),
        cancellation_ref: row.get("cancellation_ref"),
        authorized_at: row.get("authorized_at"),
    })
}

/// The release before this one gave a sale back without a refund for its money alone.
fn ground(row: &Row) -> Ground {
    match row.get::<_, Option<&str>>("ground") {
        Some(word) if word == Ground::Money.as_str() => Ground::Money,
        None if row.get::<_, Option<RefundId>>("refund_id").is_none() => Ground::Money,
        _ => Ground::Goods,
    }
}

/// The word in the table.
pub fn environment_word(environment: Environment) -> &'static str {
    match environment {
        Environment::Homologation => "homologacao",
        Environment::Production => "producao",
    }
}

fn environment(word: &str) -> Environment {
    if word == "producao" { Environment::Production } else { Environment::Homologation }
}
