//! The invoices of a month, page by page.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::Money;
use vitrine_kit::nfe::Environment;

use crate::db;
use crate::error::Result;
use crate::ids::InvoiceId;
use crate::invoices::invoice::environment_word;
use crate::sale::states::InvoiceStatus;

/// Invoices read at once.
pub const PAGE: i64 = 50;

/// One that was issued or cancelled in the month.
#[derive(Debug)]
pub struct Entry {
    pub id: InvoiceId,
    pub key: String,
    pub order_number: String,
    pub is_return: bool,
    pub status: InvoiceStatus,
    /// In the month; else it was only cancelled in it.
    pub is_issued: bool,
    pub total: Money,
    pub xml: Option<Vec<u8>>,
    cancellation: Option<Vec<u8>>,
}

/// In order of their ids, behind `after`.
pub async fn list(
    db: &impl GenericClient,
    environment: Environment,
    (from, to): (Timestamp, Timestamp),
    after: Option<InvoiceId>,
) -> Result<Vec<Entry>> {
    const LIST: &str = "
        SELECT i.id, i.chave, i.purpose = 'return' AS is_return, i.status, i.total_cents, i.xml, i.cancellation_xml,
               i.issued_at >= $2 AND i.issued_at < $3 AS is_issued, o.number
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.environment = $1 AND i.chave IS NOT NULL AND i.status IN ('authorized', 'cancelled')
           AND ((i.issued_at >= $2 AND i.issued_at < $3) OR (i.cancelled_at >= $2 AND i.cancelled_at < $3))
           AND ($4::uuid IS NULL OR i.id > $4) ORDER BY i.id LIMIT $5";
    let rows = db::query(db, LIST, &[&environment_word(environment), &from, &to, &after, &PAGE]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                id: row.get("id"),
                key: row.get("chave"),
                order_number: row.get("number"),
                is_return: row.get("is_return"),
                status: row.try_get("status")?,
                is_issued: row.get("is_issued"),
                total: row.get("total_cents"),
                xml: row.get("xml"),
                cancellation: row.get("cancellation_xml"),
            })
        })
        .collect()
}

impl Entry {
    /// It counts in the month's sums.
    pub fn stands(&self) -> bool {
        self.is_issued && self.status == InvoiceStatus::Authorized
    }

    /// Names and contents.
    pub fn files(&self) -> Vec<(String, &[u8])> {
        let folder = match (self.status, self.is_return) {
            (InvoiceStatus::Cancelled, _) => "canceladas",
            (_, true) => "devolucoes",
            (_, false) => "vendas",
        };
        let own = self.xml.as_deref().filter(|_| self.is_issued).map(|xml| (format!("{folder}/{}-nfe.xml", self.key), xml));
        let cancelled = self.cancellation.as_deref().map(|xml| (format!("cancelamentos/{}-can.xml", self.key), xml));
        own.into_iter().chain(cancelled).collect()
    }
}
