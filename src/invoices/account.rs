//! Refusals that are about the shop's account at the provider, not about an invoice: a token that was revoked, a certificate that
//! ended, a company that is not enrolled. The invoices wait for whoever mends it, instead of dying one by one.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::fiscal::ACCOUNT_REFUSED;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::Outcome;

const WAIT: SignedDuration = SignedDuration::from_mins(30);

/// What became of a job of an invoice; if it met such a refusal, it waits, and the operator is told.
pub async fn or_wait(app: &App, id: InvoiceId, result: Result<Outcome>) -> Result<Outcome> {
    let (provider, message) = match result {
        Err(Error::Provider(ProviderError::Rejected { provider, code, message })) if code == ACCOUNT_REFUSED => {
            (provider, message)
        }
        other => return other,
    };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let outcome = wait(&tx, id, provider, &message).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// The reason stands on the invoice while it is open; the caller commits.
pub async fn wait(tx: &impl GenericClient, id: InvoiceId, provider: &str, why: &str) -> Result<Outcome> {
    const NOTE: &str = "
        UPDATE invoices SET message = $2, code = NULL, updated_at = now() WHERE id = $1 AND status IN ('pending', 'processing')";
    const ORDER: &str = "SELECT order_id FROM invoices WHERE id = $1";
    db::execute(tx, NOTE, &[&id, &why]).await?;
    let text = format!(
        "O provedor {provider} recusou a conta da loja: {why}. Nenhuma nota é emitida enquanto isso não for corrigido (token, certificado \
         ou habilitação da empresa); as que esperam são tentadas de novo a cada 30 minutos."
    );
    let order: Option<OrderId> = db::query_opt(tx, ORDER, &[&id]).await?.map(|row| row.get("order_id"));
    alerts::raise(tx, Alert::new(Key::InvoiceAccount { provider }, text).about(order)).await?;
    Ok(Outcome::Again(Timestamp::now() + WAIT))
}
