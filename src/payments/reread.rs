//! What goes back long after it was paid. A payer may contest a PIX for 80 days, and the bank takes it back within eleven more (MED);
//! cards are refunded in Stripe's dashboard. News of it get lost, and the daily comparison looks at the money of its day: so once a week
//! every day of the last fourteen weeks is read again. A bank lists the PIX of a day with what went back of each, a page a call; Stripe
//! lists the refunds of a day.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio_postgres::Row;
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, Returns, TheirRefund};

use crate::alerts::{self, List};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::PaymentId;
use crate::jobs::{self, Job, Outcome};
use crate::payments::books;
use crate::payments::gateway::Gateway;
use crate::payments::refund::adopt;
use crate::payments::store;
use crate::sale::states;

const EVERY: SignedDuration = SignedDuration::from_hours(24 * 7);
/// After so long nothing of a PIX goes back any more. Of cards these are the days on which it went back.
const OLDEST_DAYS: i64 = 95;
/// So many calls in a run, and a pause before the next one: the provider's limits are the buyers' first.
const CALLS: usize = 20;
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// The recurring job: has every provider's list read, from its oldest day on.
pub async fn watch(app: &App) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let day = books::now(&tx).await?.date().saturating_sub(OLDEST_DAYS.days());
    let read = |provider: &str| (Job::ReadReturns { provider: provider.to_owned(), day, page: 0 }, None);
    let jobs: Vec<_> = app.providers.of_payments().into_iter().map(read).collect();
    jobs::push_all(&tx, &jobs).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Again(Timestamp::now() + EVERY))
}

/// A page of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    day: Date,
    page: u32,
}

impl Place {
    fn next_day(self) -> Self {
        Self { day: self.day.saturating_add(1.day()), page: 0 }
    }
}

/// The job: reads on from there for so many calls, and leaves the rest to another one. After an error it is tried again from where
/// it came to. A day that they refuse is left out.
pub async fn read(app: &App, provider: &str, day: Date, page: u32) -> Result<Outcome> {
    let gateway = Gateway::named(app, provider)?;
    let last = books::now(&app.db().await?).await?.date();
    let from = Place { day, page };
    let mut at = from;
    for _ in 0..CALLS {
        if at.day > last {
            return Ok(Outcome::Done);
        }
        at = match read_page(app, &gateway, at).await {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Outcome::Done),
            // Asking again brings the same refusal: a bank keeps its list for 90 days, and a day may have more pages than are read.
            Err(Error::Provider(refused)) if refused.is_refusal() => {
                let what = format!("o que foi devolvido de {}", at.day.strftime("%d/%m/%Y"));
                alerts::raise_list_refused(&app.db().await?, &refused, List::Returns, &what).await?;
                at.next_day()
            }
            Err(error) if at == from => return Err(error),
            Err(error) => {
                tracing::warn!(provider, %at.day, at.page, error = %Chain(&error), "received money could not be read any further");
                break;
            }
        };
    }
    let rest = Job::ReadReturns { provider: provider.to_owned(), day: at.day, page: at.page };
    jobs::push_at(&app.db().await?, rest, Timestamp::now() + PAUSE).await?;
    Ok(Outcome::Done)
}

/// Where to go on. `None`: they have no such list. No connection is held while they are asked.
async fn read_page(app: &App, gateway: &Gateway<'_>, at: Place) -> Result<Option<Place>> {
    let (from, to) = books::bounds(at.day)?;
    let asked_at = db::clock(&app.db().await?).await?;
    let Some(page) = gateway.returns(from, to, at.page).await? else { return Ok(None) };
    take_in(app, gateway.name(), page.received, asked_at).await?;
    Ok(Some(match page.is_last {
        true => at.next_day(),
        false => Place { page: at.page.saturating_add(1), ..at },
    }))
}

/// Brings in what went back of those of which our books say otherwise: a handful, of a page of a hundred.
async fn take_in(app: &App, provider: &'static str, mut received: Vec<Returns>, asked_at: Timestamp) -> Result<()> {
    received.retain(|one| !one.refunds.is_empty());
    let theirs = by_payment(app, provider, received).await?;
    if theirs.is_empty() {
        return Ok(());
    }
    let ids: Vec<PaymentId> = theirs.keys().copied().collect();
    let (ours, ended) = {
        let db = app.db().await?;
        (books::store::returned(&db, &ids).await?, list_ended(&db, &ids).await?)
    };
    for (payment, returns) in theirs {
        let has_all = match returns.is_whole {
            true => ours.get(&payment).is_some_and(|(sum, is_open)| !is_open && is_settled(&returns, *sum)),
            false => returns.refunds.iter().all(|refund| has_ended_so(refund, ended.get(&(payment, refund.reference.clone())))),
        };
        if has_all {
            continue;
        }
        if let Err(error) = take_in_one(app, provider, payment, &returns, asked_at).await {
            // It keeps no other from being read: a job of its own tries it again, and tells if it gives up.
            tracing::warn!(provider, payment.id = %payment, error = %Chain(&error), "what went back of a payment could not be booked");
            jobs::push(&app.db().await?, Job::LookAtRefunds { payment }).await?;
        }
    }
    app.jobs_were_pushed();
    Ok(())
}

/// Whose they are. What is of no payment of ours is left out: the daily comparison tells of money that is nobody's.
async fn by_payment(app: &App, provider: &str, received: Vec<Returns>) -> Result<HashMap<PaymentId, Returns>> {
    const NAMED: &str = "SELECT id, provider_ref FROM payments WHERE provider = $1 AND provider_ref = ANY($2)";
    let references: Vec<String> = received.iter().filter_map(|one| one.reference.clone()).collect();
    let mut named: HashMap<String, PaymentId> = HashMap::new();
    if !references.is_empty() {
        let rows = db::query(&app.db().await?, NAMED, &[&provider, &references]).await?;
        named.extend(rows.iter().map(|row| (row.get("provider_ref"), row.get("id"))));
    }
    let payment_of = |one: &Returns| match &one.reference {
        _ if one.payment_id.is_some() => one.payment_id.map(PaymentId),
        Some(reference) => named.get(reference).copied(),
        None => None,
    };
    Ok(received.into_iter().filter_map(|one| Some((payment_of(&one)?, one))).collect())
}

/// Refunds of payments that have ended here, by the provider's names for them.
async fn list_ended(db: &impl GenericClient, ids: &[PaymentId]) -> Result<HashMap<(PaymentId, String), states::RefundStatus>> {
    const LIST: &str = "
        SELECT payment_id, provider_ref, status FROM refunds
         WHERE payment_id = ANY($1) AND provider_ref IS NOT NULL AND status IN ('done', 'failed')";
    let ended = |row: &Row| Ok(((row.get("payment_id"), row.get("provider_ref")), row.try_get("status")?));
    db::query(db, LIST, &[&ids]).await?.iter().map(ended).collect()
}

fn has_ended_so(theirs: &TheirRefund, ours: Option<&states::RefundStatus>) -> bool {
    match ours {
        Some(states::RefundStatus::Done) => theirs.status == RefundStatus::Done,
        Some(states::RefundStatus::Failed) => matches!(theirs.status, RefundStatus::Failed(_)),
        _ => false,
    }
}

async fn take_in_one(
    app: &App,
    provider: &'static str,
    payment: PaymentId,
    returns: &Returns,
    asked_at: Timestamp,
) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    match store::find(&tx, payment).await?.filter(|payment| payment.provider == provider) {
        Some(known) if known.captured.is_zero() => {
            // That it was paid at all is news too; with the money comes a look at what went back of it.
            jobs::push_now(&tx, Job::CheckPayment { payment }).await?;
        }
        Some(_) => adopt::bring_in_all(&tx, provider, payment, &returns.refunds, asked_at).await?,
        None => {} // of another provider
    }
    tx.commit().await?;
    Ok(())
}

/// All has come to an end, and comes to what our ledger has.
fn is_settled(theirs: &Returns, ours: Money) -> bool {
    let done = theirs.refunds.iter().filter(|refund| refund.status == RefundStatus::Done);
    let is_open = theirs.refunds.iter().any(|refund| refund.status.is_open());
    !is_open && Money::sum(done.map(|refund| refund.amount)) == Some(ours)
}
