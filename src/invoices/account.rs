//! Refusals that are about the shop's account at the provider, not about an invoice: a token that was revoked, a certificate that
//! ended, a company that is not enrolled. The invoices wait for whoever mends it, instead of dying one by one.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::fiscal::ACCOUNT_REFUSED;

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::InvoiceId;
use crate::jobs::{self, Job, Outcome};

const WAIT: SignedDuration = SignedDuration::from_mins(30);

/// What became of a job of an invoice; if it met such a refusal, it waits, and the operator is told once a day.
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
    app.jobs_were_pushed();
    Ok(outcome)
}

/// The reason stands on the invoice while it is open; the caller commits.
pub async fn wait(tx: &impl GenericClient, id: InvoiceId, provider: &str, why: &str) -> Result<Outcome> {
    const NOTE: &str = "
        UPDATE invoices SET message = $2, code = NULL, updated_at = now() WHERE id = $1 AND status IN ('pending', 'processing')";
    db::execute(tx, NOTE, &[&id, &why]).await?;
    tell_once_a_day(tx, provider, why).await?;
    Ok(Outcome::Again(Timestamp::now() + WAIT))
}

async fn tell_once_a_day(tx: &impl GenericClient, provider: &str, why: &str) -> Result<()> {
    const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtext('the account at ' || $1))";
    let subject = format!("NF-e paradas: conta em {provider}");
    // Most of those that wait find that it was told, and need not wait for each other.
    if was_told(tx, &subject).await? {
        return Ok(());
    }
    db::query(tx, ALONE, &[&provider]).await?;
    if was_told(tx, &subject).await? {
        return Ok(());
    }
    let text = format!(
        "O provedor {provider} recusou a conta da loja: {why}. Nenhuma nota é emitida enquanto isso não for corrigido (token, certificado \
         ou habilitação da empresa); as que esperam são tentadas de novo a cada 30 minutos."
    );
    jobs::push(tx, Job::MailAlert { subject, text }).await
}

async fn was_told(tx: &impl GenericClient, subject: &str) -> Result<bool> {
    const TOLD: &str = "
        SELECT EXISTS (SELECT FROM jobs WHERE kind = 'mail_alert' AND payload ->> 'subject' = $1
                          AND (state IN ('waiting', 'running') OR finished_at > now() - interval '1 day'))";
    Ok(db::query_one(tx, TOLD, &[&subject]).await?.get(0))
}
