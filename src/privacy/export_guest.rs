//! Export for somebody without an account: what the shop knows of an e-mail's purchases.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use vitrine_kit::Email;

use super::export::{Document, orders, section, snapshot};
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;

/// What the shop knows of an e-mail's purchases without an account. Fields are named as in the rest of the API; amounts are
/// centavos, times are UTC. More fields may be added.
#[derive(Debug, Serialize, ToSchema)]
pub struct GuestExport {
    /// When it was made.
    pub exported_at: Timestamp,
    /// The e-mail address.
    #[schema(format = Email, example = "ana@example.com")]
    pub email: String,
    /// Orders that were placed without an account, with lines, payments, refunds, disputes, parcels, fiscal documents and the whole
    /// history. The CPF or CNPJ is masked: the mailbox proves the e-mail, not the document.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub orders: Value,
    /// Messages that were sent to this e-mail.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub messages: Value,
}

/// Reads everything in one snapshot.
pub async fn export(app: &App, email: &Email) -> Result<GuestExport> {
    const MESSAGES: &str = "
        SELECT coalesce(jsonb_agg(jsonb_build_object('kind', m.kind, 'channel', m.channel, 'order_id', m.order_id, 'recipient', m.recipient,
                   'subject', m.subject, 'status', m.status, 'created_at', m.created_at, 'sent_at', m.sent_at) ORDER BY m.created_at), '[]') AS data
          FROM messages m WHERE m.order_id = ANY($1)";
    let mut db = app.db_for_long().await?;
    let tx = snapshot(&mut db).await?;
    let ids = list_orders(&tx, email).await?;
    let export = GuestExport {
        exported_at: Timestamp::now(),
        email: email.as_str().to_owned(),
        orders: orders(&tx, &app.keys, &ids, Document::Masked).await?,
        messages: section(&tx, MESSAGES, &ids).await?,
    };
    tx.commit().await?;
    Ok(export)
}

/// The orders that were placed without an account under this e-mail.
pub async fn list_orders(db: &impl GenericClient, email: &Email) -> Result<Vec<OrderId>> {
    const FIND: &str = "SELECT id FROM orders WHERE customer_email = $1 AND user_id IS NULL ORDER BY id";
    Ok(db::query(db, FIND, &[&email.as_str()]).await?.iter().map(|row| row.get("id")).collect())
}
