//! Cartas de correção: words that mend an authorised invoice. They cannot touch value, tax, or who buys (Ajuste SINIEF 07/2005).

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use vitrine_kit::fiscal::{ACCOUNT_REFUSED, Corrected, Correction};
use vitrine_kit::{ProviderError, said};

use super::provider_state::alert;
use super::{account, store};
use crate::alerts::Key;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{CorrectionId, InvoiceId};
use crate::jobs::{self, Job, Outcome};
use crate::sale::states::InvoiceStatus;

/// For how long after the authorisation they are taken: 720 hours in most states.
const WINDOW: SignedDuration = SignedDuration::from_hours(720);
const MOST: i16 = 20;
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(15);

/// Writes a new letter and has it sent.
///
/// Errors: 404 no such invoice; 409 it is not authorised, too old, has 20 letters, or one is on its way.
pub async fn request(app: &App, id: InvoiceId, text: &str, actor: Actor) -> Result<CorrectionId> {
    const LAST: &str = "
        SELECT coalesce(max(sequence) FILTER (WHERE status <> 'refused'), 0)::int2 AS last, coalesce(bool_or(status = 'pending'), false) AS open
          FROM invoice_corrections WHERE invoice_id = $1";
    const INSERT: &str = "
        INSERT INTO invoice_corrections (id, invoice_id, sequence, text) VALUES ($1, $2, $3, $4)
        ON CONFLICT (invoice_id, sequence) DO UPDATE SET text = EXCLUDED.text, status = 'pending', message = NULL, updated_at = now()
         WHERE invoice_corrections.status = 'refused' RETURNING id";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let invoice = store::lock(&tx, id).await?.ok_or(Error::NotFound("The invoice"))?;
    if invoice.status != InvoiceStatus::Authorized {
        return Err(Error::Conflict(format!("The invoice is {}: only an authorised one can be corrected", invoice.status)));
    }
    if invoice.authorized_at.is_some_and(|at| Timestamp::now().duration_since(at) > WINDOW) {
        return Err(Error::Conflict("The invoice was authorised more than 720 hours ago: it is too late to correct it".into()));
    }
    let row = db::query_one(&tx, LAST, &[&id]).await?;
    let (last, is_open): (i16, bool) = (row.get("last"), row.get("open"));
    if is_open || last >= MOST {
        let why =
            if is_open { "A correction of this invoice is on its way" } else { "The invoice has its 20 corrections already" };
        return Err(Error::Conflict(why.into()));
    }
    let correction: CorrectionId = db::query_one(&tx, INSERT, &[&CorrectionId::new(), &id, &(last + 1), &text]).await?.get("id");
    store::record_history(
        &tx,
        invoice.order,
        id,
        (Some(InvoiceStatus::Authorized), InvoiceStatus::Authorized),
        "a correction was asked for",
        actor,
    )
    .await?;
    audit_log::record(&tx, actor, Action::InvoiceCorrect, &id.to_string(), None, Some(json!({"text": text}))).await?;
    jobs::push(&tx, Job::CorrectInvoice { correction }).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(correction)
}

/// Sends a letter, or asks how far it is.
pub async fn correct(app: &App, id: CorrectionId) -> Result<Outcome> {
    const FIND: &str = "SELECT invoice_id, sequence, text FROM invoice_corrections WHERE id = $1 AND status = 'pending'";
    const SETTLE: &str = "
        UPDATE invoice_corrections SET status = $2, message = $3, updated_at = now() WHERE id = $1 AND status = 'pending'";
    let db = app.db().await?;
    let Some(row) = db::query_opt(&db, FIND, &[&id]).await? else { return Ok(Outcome::Done) };
    let invoice = store::find(&db, row.get("invoice_id")).await?;
    let Some((invoice, key)) = invoice.and_then(|invoice| invoice.key.clone().map(|key| (invoice, key))) else {
        return Ok(Outcome::Dead("the invoice has no key".into()));
    };
    drop(db);
    let fiscal = account::provider_of(app, &invoice)?;
    let letter = Correction {
        reference: invoice.reference(),
        key,
        environment: invoice.environment,
        sequence: row.get::<_, i16>("sequence").unsigned_abs(),
        text: row.get("text"),
    };
    let (status, message) = match fiscal.correct(&letter).await {
        Ok(Corrected::Processing) => return Ok(Outcome::Again(Timestamp::now() + ASK_AGAIN)),
        Ok(Corrected::Accepted { .. }) => ("accepted", None),
        Ok(Corrected::Refused { code, message }) => ("refused", Some(said(&code, &message))),
        // The provider's own no ends it as well: else no other letter could follow.
        Err(ProviderError::Rejected { code, message, .. }) if code != ACCOUNT_REFUSED => ("refused", Some(said(&code, &message))),
        Err(error) => return account::or_wait(app, invoice.id, Err(error.into())).await,
    };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    store::lock(&tx, invoice.id).await?;
    if db::execute(&tx, SETTLE, &[&id, &status, &message]).await? == 1 {
        let why = if status == "accepted" { "a correction was accepted" } else { "a correction was refused" };
        store::record_history(
            &tx,
            invoice.order,
            invoice.id,
            (Some(InvoiceStatus::Authorized), InvoiceStatus::Authorized),
            why,
            Actor::System,
        )
        .await?;
        if let Some(message) = &message {
            alert(&tx, Key::CorrectionRefused(id), &invoice, message).await?;
        }
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}
