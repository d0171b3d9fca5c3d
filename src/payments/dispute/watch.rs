//! Disputes are read where they are held: after a hint that proves little, and every six hours, for news get lost and an answer to a
//! bank has a deadline.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::dispute::Dispute as Theirs;

use super::record::{Source, record_dispute};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::jobs::{self, Job, Outcome};
use crate::payments::books;
use crate::payments::effect::{Applied, Effect};
use crate::payments::gateway::Gateway;
use crate::payments::store;

const EVERY: SignedDuration = SignedDuration::from_hours(6);
/// A dispute that is older has ended, and was heard of while it was younger.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 180);
/// A dispute of money that no payment here brought is told of while it is so young.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// The recurring job: has every dispute of every provider its effect, once, as if its webhook had come.
pub async fn watch(app: &App) -> Result<Outcome> {
    let mut trouble = None;
    for provider in books::configured(app) {
        // One provider that is away keeps no other from being asked.
        match watch_one(app, provider).await {
            // A key that may not read them, or a stand-in that knows none: logged every time, and no reason to stop.
            Err(Error::Provider(error @ ProviderError::Rejected { .. })) => {
                tracing::warn!(provider, error = %Chain(&Error::Provider(error)), "the provider does not show its disputes");
            }
            Err(error) => trouble = trouble.or(Some(error)),
            Ok(()) => {}
        }
    }
    app.jobs_were_pushed();
    trouble.map_or(Ok(Outcome::Again(Timestamp::now() + EVERY)), Err)
}

async fn watch_one(app: &App, provider: &str) -> Result<()> {
    let gateway = Gateway::named(app, provider)?;
    let asked_at = clock(&app.db().await?).await?;
    let since = Timestamp::now().saturating_sub(OLDEST).unwrap_or(Timestamp::UNIX_EPOCH);
    let Some(disputes) = gateway.disputes(since).await? else { return Ok(()) };
    // A handful.
    for theirs in &disputes {
        let mut db = app.db().await?;
        let tx = db.transaction().await?;
        let effect = apply(&tx, gateway.name(), theirs, Source::Books { asked_at }).await?;
        let is_news = theirs.opened_at.is_some_and(|at| asked_at.duration_since(at) < TOLD_WITHIN);
        if effect.applied == Applied::UnknownPayment && is_news && matches!(gateway, Gateway::Pix(_)) {
            tell_of_a_stranger(&tx, provider, theirs).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// The job: one dispute as the provider has it now. `evidence_ref`: from the hint, where the answer leaves it out.
pub async fn look_at_dispute(app: &App, provider: &str, reference: &str, evidence_ref: Option<&str>) -> Result<Outcome> {
    let gateway = Gateway::named(app, provider)?;
    let asked_at = clock(&app.db().await?).await?;
    let Some(theirs) = gateway.read_dispute(reference).await? else { return Ok(Outcome::Done) }; // the hint was untrue
    let theirs = Theirs { evidence_ref: theirs.evidence_ref.clone().or(evidence_ref.map(str::to_owned)), ..theirs };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    apply(&tx, gateway.name(), &theirs, Source::Books { asked_at }).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

async fn apply(tx: &db::Transaction<'_>, provider: &'static str, theirs: &Theirs, source: Source) -> Result<Effect> {
    match store::find_contested(tx, provider, &theirs.payment).await? {
        Some(payment) => record_dispute(tx, provider, payment, theirs, source).await,
        None => Ok(Effect::of(Applied::UnknownPayment)),
    }
}

/// A hint about a dispute, on too weak a proof to believe it: the provider is asked, at once. One that names no payment of ours makes
/// nobody ask: it may be anybody's, and the list of the recurring job holds all that are real. The caller commits.
pub async fn record_hint(tx: &impl GenericClient, provider: &'static str, theirs: &Theirs) -> Result<Effect> {
    let Some(payment) = store::find_contested(tx, provider, &theirs.payment).await? else {
        return Ok(Effect::of(Applied::UnknownPayment));
    };
    let (reference, evidence_ref) = (theirs.reference.clone(), theirs.evidence_ref.clone());
    jobs::push_now(tx, Job::LookAtDispute { provider: provider.to_owned(), reference, evidence_ref }).await?;
    Ok(Effect { applied: Applied::Hint, order: store::order_of(tx, provider, payment).await? })
}

/// The database's: what a provider answers later than that is later than every row that was written before.
async fn clock(db: &impl GenericClient) -> Result<Timestamp> {
    Ok(db::query_one(db, "SELECT clock_timestamp() AS now", &[]).await?.get("now"))
}

/// Money of a PIX account that no payment here brought is contested: the operator may know it all the same.
async fn tell_of_a_stranger(tx: &impl GenericClient, provider: &str, theirs: &Theirs) -> Result<()> {
    let amount = theirs.amount.map(|amount| format!("{} centavos", amount.cents())).unwrap_or_default();
    let text = format!(
        "Um pagamento que não é de nenhum pedido foi contestado em {provider}: disputa {}, {amount}, motivo \"{}\", situação {}. Confira e \
         responda no painel do provedor, dentro do prazo.",
        theirs.reference, theirs.reason, theirs.status
    );
    alerts::raise(tx, Alert::new(Key::PixDisputed { payment: None, text: &theirs.reference }, text)).await
}
