//! The provider of an invoice, and refusals that are about the shop's account there and not about the invoice: a token that was
//! revoked, a certificate that ended, a company that is not enrolled. The invoices wait for whoever mends it, instead of dying one
//! by one.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::fiscal::{ACCOUNT_REFUSED, FiscalProvider};

use super::invoice::Invoice;
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::Outcome;

const WAIT: SignedDuration = SignedDuration::from_mins(30);

/// Who has an invoice, or is to have it.
///
/// Errors: [`Error::Unconfigured`], it is another than the one that is configured now. Its job waits until it is configured again.
pub fn provider_of<'a>(app: &'a App, invoice: &Invoice) -> Result<&'a dyn FiscalProvider> {
    let fiscal = app.providers.fiscal.as_deref().filter(|fiscal| fiscal.name() == invoice.provider);
    fiscal.ok_or_else(|| Error::Unconfigured(invoice.provider.clone()))
}

/// What became of a job of an invoice; if it met such a refusal, it waits, and the operator is told. Credentials that are not
/// accepted (401, 403) are noted here, and waited for as every job waits for them.
pub async fn or_wait(app: &App, id: InvoiceId, result: Result<Outcome>) -> Result<Outcome> {
    let (provider, message) = match result {
        Err(Error::Provider(error @ ProviderError::NotAccepted { .. })) => {
            note(&app.db().await?, id, &error.to_string()).await?;
            return Err(error.into());
        }
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

/// The reason stands on the invoice while it is open.
async fn note(tx: &impl GenericClient, id: InvoiceId, why: &str) -> Result<()> {
    const NOTE: &str = "
        UPDATE invoices SET message = $2, code = NULL, updated_at = now() WHERE id = $1 AND status IN ('pending', 'processing')";
    db::execute(tx, NOTE, &[&id, &why]).await?;
    Ok(())
}

/// All of the shop's invoices wait. The caller commits.
pub async fn wait(tx: &impl GenericClient, id: InvoiceId, provider: &str, why: &str) -> Result<Outcome> {
    const ORDER: &str = "SELECT order_id FROM invoices WHERE id = $1";
    note(tx, id, why).await?;
    let text = format!(
        "O provedor {provider} recusou a conta da loja: {why}. Nenhuma nota é emitida enquanto isso não for corrigido (certificado, \
         habilitação da empresa no provedor, CNPJ ou regime no cadastro da Receita); as que esperam são tentadas de novo a cada 30 minutos."
    );
    let order: Option<OrderId> = db::query_opt(tx, ORDER, &[&id]).await?.map(|row| row.get("order_id"));
    alerts::raise(tx, Alert::new(Key::InvoiceAccount { provider }, text).about(order)).await?;
    Ok(Outcome::Again(Timestamp::now() + WAIT))
}
