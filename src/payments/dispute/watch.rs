//! Disputes are read where they are held: after a hint that proves little, and every six hours, for news get lost and an answer to a
//! bank has a deadline.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::dispute::Dispute as Theirs;

use super::alert;
use super::record::{Source, record_dispute};
use super::store as rows;
use crate::alerts::{self, Alert, Key, List};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::PaymentId;
use crate::jobs::{self, Job, Outcome};
use crate::payments::effect::Effect;
use crate::payments::gateway::Gateway;
use crate::payments::store;
use crate::sale::outcome::EventOutcome;

/// Hints that name no payment of ours make us ask while so few wait: the payment's end-to-end id may not be known here.
const MAX_STRANGERS: i64 = 20;
const EVERY: SignedDuration = SignedDuration::from_hours(6);
/// Of a provider without a list, so many payments are looked at in a run.
const MAX_OPEN: i64 = 100;
/// A dispute that is older has ended, and was heard of while it was younger.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 180);
/// A dispute of money that no payment here brought is told of while it is so young.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// The recurring job: has every dispute of every provider its effect, once, as if its webhook had come.
pub async fn watch(app: &App) -> Result<Outcome> {
    let mut trouble = None;
    for provider in app.providers.of_payments() {
        // One provider that is away keeps no other from being asked.
        match watch_one(app, provider).await {
            // Nobody hears of a dispute whose webhook is lost, as long as they refuse to show theirs, or our key may not read them.
            Err(Error::Provider(refused)) if refused.is_refusal() => {
                alerts::raise_list_refused(&app.db().await?, &refused, List::Disputes, "as disputas, ou uma delas").await?;
            }
            Err(Error::Provider(error @ ProviderError::NotAccepted { .. })) => {
                alerts::raise_if_refused(&app.db().await?, &error, None).await?;
            }
            Err(error) => trouble = trouble.or(Some(error)),
            Ok(()) => {}
        }
    }
    alert::tell_of_stuck(&app.db().await?).await?;
    app.jobs_were_pushed();
    trouble.map_or(Ok(Outcome::Again(Timestamp::now() + EVERY)), Err)
}

async fn watch_one(app: &App, provider: &str) -> Result<()> {
    let gateway = Gateway::named(app, provider)?;
    let asked_at = db::clock(&app.db().await?).await?;
    let since = Timestamp::now().saturating_sub(OLDEST).unwrap_or(Timestamp::UNIX_EPOCH);
    let Some(disputes) = gateway.disputes(since).await? else { return look_at_open_ones(app, gateway.name()).await };
    let mut trouble = None;
    for theirs in &disputes {
        // One that cannot be read or booked keeps no other from it.
        if let Err(error) = take_in(app, &gateway, theirs, asked_at).await {
            tracing::warn!(provider, dispute = theirs.reference, error = %Chain(&error), "a dispute could not be taken in");
            trouble = trouble.or(Some(error));
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Of one that is known a look at its row is enough; one that names no payment of ours is read by itself, which may.
async fn take_in(app: &App, gateway: &Gateway<'_>, theirs: &Theirs, asked_at: Timestamp) -> Result<()> {
    match find_payment(&app.db().await?, gateway.name(), theirs).await? {
        Some(payment) => apply(app, gateway.name(), payment, theirs, asked_at).await,
        None => look_at_stranger(app, gateway, theirs, asked_at).await,
    }
}

/// A bank shows a dispute as a return alone (MED): those that have not ended are read with their payment's other returns.
async fn look_at_open_ones(app: &App, provider: &str) -> Result<()> {
    let db = app.db().await?;
    let open = rows::list_open_payments(&db, provider, MAX_OPEN).await?;
    let looks: Vec<_> = open.into_iter().map(|payment| (Job::LookAtRefunds { payment }, None)).collect();
    jobs::push_all_now(&db, &looks).await
}

/// The list does not say whose payment it is. Of a card it would: then it is none of ours.
async fn look_at_stranger(app: &App, gateway: &Gateway<'_>, listed: &Theirs, asked_at: Timestamp) -> Result<()> {
    let Gateway::Pix(pix) = gateway else { return Ok(()) };
    let Some(theirs) = pix.read_dispute(&listed.reference).await? else { return Ok(()) };
    if let Some(payment) = find_payment(&app.db().await?, pix.name(), &theirs).await? {
        return apply(app, pix.name(), payment, &theirs, asked_at).await;
    }
    if theirs.opened_at.is_some_and(|at| asked_at.duration_since(at) < TOLD_WITHIN) {
        tell_of_a_stranger(&app.db().await?, pix.name(), &theirs).await?;
    }
    Ok(())
}

/// The job: one dispute as the provider has it now. `evidence_ref`: from the hint, where the answer leaves it out.
pub async fn look_at_dispute(app: &App, provider: &str, reference: &str, evidence_ref: Option<&str>) -> Result<Outcome> {
    read(app, &Gateway::named(app, provider)?, reference, evidence_ref).await?; // unknown to them: the hint was untrue
    Ok(Outcome::Done)
}

/// Reads a dispute in the provider's books and records how it stands. `false`: they do not know it.
pub(super) async fn read(app: &App, gateway: &Gateway<'_>, reference: &str, evidence_ref: Option<&str>) -> Result<bool> {
    let asked_at = db::clock(&app.db().await?).await?;
    let Some(theirs) = gateway.read_dispute(reference).await? else { return Ok(false) };
    let theirs = Theirs { evidence_ref: theirs.evidence_ref.clone().or(evidence_ref.map(str::to_owned)), ..theirs };
    if let Some(payment) = find_payment(&app.db().await?, gateway.name(), &theirs).await? {
        apply(app, gateway.name(), payment, &theirs, asked_at).await?;
        app.jobs_were_pushed();
    }
    Ok(true)
}

/// Whose payment it is: by the dispute's row, else by what it names.
async fn find_payment(db: &impl GenericClient, provider: &str, theirs: &Theirs) -> Result<Option<PaymentId>> {
    match rows::find_payment(db, provider, &theirs.reference).await? {
        Some(known) => Ok(Some(known)),
        None => store::find_contested(db, provider, &theirs.payment).await,
    }
}

async fn apply(app: &App, provider: &'static str, payment: PaymentId, theirs: &Theirs, asked_at: Timestamp) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    record_dispute(&tx, provider, payment, theirs, Source::Books { asked_at }).await?;
    if let Some(id) = &theirs.payment.end_to_end_id {
        store::keep_end_to_end_id(&tx, payment, id).await?; // OpenPix tells it nowhere else
    }
    tx.commit().await?;
    Ok(())
}

/// A hint about a dispute, on too weak a proof to believe it: the provider is asked, at once. The caller commits.
pub async fn record_hint(tx: &impl GenericClient, provider: &'static str, theirs: &Theirs) -> Result<Effect> {
    let payment = find_payment(tx, provider, theirs).await?;
    if payment.is_none() && strangers(tx).await? >= MAX_STRANGERS {
        return Ok(Effect::of(EventOutcome::Unknown)); // anybody may send such hints; the list holds all that are real
    }
    let (reference, evidence_ref) = (theirs.reference.clone(), theirs.evidence_ref.clone());
    jobs::push_now(tx, Job::LookAtDispute { provider: provider.to_owned(), reference, evidence_ref }).await?;
    let order = match payment {
        Some(payment) => store::order_of(tx, provider, payment).await?,
        None => None,
    };
    Ok(Effect { applied: EventOutcome::Hint, order })
}

/// Disputes that wait to be read, up to the limit.
async fn strangers(db: &impl GenericClient) -> Result<i64> {
    const COUNT: &str = "
        SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_') AND kind = 'look_at_dispute'
                               LIMIT $1) waiting";
    Ok(db::query_one(db, COUNT, &[&MAX_STRANGERS]).await?.get(0))
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
