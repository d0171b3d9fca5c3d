//! The files of an invoice, fetched from the provider and kept here: the XML for as long as the law wants it
//! (`FISCAL_RETENTION`), the DANFE so that the buyer's link outlives the provider.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use vitrine_kit::fiscal::{Document, FiscalProvider, NfeState, SeenNfe};

use super::account;
use super::invoice::Invoice;
use super::provider_state::record_provider_state;
use super::store;
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::InvoiceId;
use crate::jobs::{self, Job, Outcome};
use crate::sale::states::InvoiceStatus;

/// They write their files some time after the authorisation: asked again after a quarter of that, within these.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// Fetches what is still missing. The buyer is told when it is all there.
pub async fn fetch_files(app: &App, id: InvoiceId) -> Result<Outcome> {
    const HAS: &str = "
        SELECT xml IS NOT NULL AS xml, danfe IS NOT NULL AS danfe, cancellation_xml IS NOT NULL AS cancellation FROM invoices WHERE id = $1";
    let db = app.db().await?;
    let Some(invoice) = store::find(&db, id).await? else { return Ok(Outcome::Dead("there is no such invoice".into())) };
    let has = db::query_one(&db, HAS, &[&id]).await?;
    drop(db);
    let fiscal = account::provider_of(app, &invoice)?;
    let result = fetch_all(app, fiscal, invoice, &has).await;
    account::or_wait(app, id, result).await
}

async fn fetch_all(app: &App, fiscal: &dyn FiscalProvider, invoice: Invoice, has: &Row) -> Result<Outcome> {
    let lacks = |document: &str, address: &Option<String>| !has.get::<_, bool>(document) && address.is_none();
    let is_unknown = lacks("xml", &invoice.xml_ref)
        || lacks("danfe", &invoice.danfe_ref)
        || (invoice.status == InvoiceStatus::Cancelled && lacks("cancellation", &invoice.cancellation_ref));
    let invoice = if is_unknown { look_again(app, fiscal, invoice).await? } else { invoice };
    let id = invoice.id;
    let mut is_all_here = true;
    let is_cancelled = invoice.status == InvoiceStatus::Cancelled;
    for (document, is_here, is_due) in [
        (Document::Xml, has.get("xml"), invoice.key.is_some()),
        (Document::Danfe, has.get("danfe"), invoice.key.is_some()),
        (Document::CancellationXml, has.get("cancellation"), is_cancelled && invoice.key.is_some()),
    ] {
        let is_here: bool = is_here;
        is_all_here &= is_here || !is_due || fetch(app, fiscal, &invoice, document).await?;
    }
    if !is_all_here {
        let age = invoice.authorized_at.map_or(SignedDuration::ZERO, |at| Timestamp::now().duration_since(at));
        return Ok(Outcome::Again(Timestamp::now() + (age / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT)));
    }
    if invoice.status == InvoiceStatus::Authorized && !invoice.is_return {
        jobs::push(&app.db().await?, Job::MailInvoice { invoice: id }).await?;
        app.jobs_were_pushed();
    }
    Ok(Outcome::Done)
}

/// When it was authorised they had not yet said where its files are, and news of it may be lost.
async fn look_again(app: &App, fiscal: &dyn FiscalProvider, invoice: Invoice) -> Result<Invoice> {
    let Some(seen) = fiscal.find(&invoice.reference()).await? else { return Ok(invoice) };
    record_provider_state(app, &invoice, &seen).await?;
    Ok(store::find(&app.db().await?, invoice.id).await?.unwrap_or(invoice))
}

/// `false`: it is not there yet.
async fn fetch(app: &App, fiscal: &dyn FiscalProvider, invoice: &Invoice, document: Document) -> Result<bool> {
    const XML: &str = "UPDATE invoices SET xml = $2, xml_sha256 = sha256($2) WHERE id = $1 AND xml IS NULL";
    const DANFE: &str = "UPDATE invoices SET danfe = $2 WHERE id = $1 AND danfe IS NULL";
    const CANCELLATION: &str = "UPDATE invoices SET cancellation_xml = $2 WHERE id = $1 AND cancellation_xml IS NULL";
    let Some(bytes) = fiscal.download(&seen(invoice), document).await? else { return Ok(false) };
    let key = invoice.key.as_ref().map(|key| key.as_str().as_bytes()).unwrap_or_default();
    let sql = match document {
        Document::Xml if !holds(&bytes, key) => {
            return Err(Error::Internal("the provider's XML is not this invoice's: its key is not in it".into()));
        }
        Document::Xml => XML,
        Document::Danfe => DANFE,
        Document::CancellationXml => CANCELLATION,
    };
    db::execute(&app.db().await?, sql, &[&invoice.id, &&bytes[..]]).await?;
    Ok(true)
}

/// The row in the provider's words, for its own `download`.
fn seen(invoice: &Invoice) -> SeenNfe {
    SeenNfe {
        reference: invoice.reference(),
        state: if invoice.status == InvoiceStatus::Cancelled { NfeState::Cancelled } else { NfeState::Authorized },
        key: invoice.key.clone(),
        number: invoice.number.clone(),
        series: invoice.series.clone(),
        code: None,
        message: None,
        danfe: invoice.danfe_ref.clone(),
        xml: invoice.xml_ref.clone(),
        cancellation_xml: invoice.cancellation_ref.clone(),
        authorized_at: invoice.authorized_at,
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}
