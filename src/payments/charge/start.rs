//! Starts a payment: first the row, then the provider's call between two transactions, then the outcome, whatever it is.

use std::time::{Duration, Instant};

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::pix::{self, NewCharge};
use vitrine_kit::{Email, Money, ProviderError};

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::jobs::{self, Job};
use crate::payments::charge::answer::{Extras, Started, started};
use crate::payments::charge::attempt::{Attempt, FIRST_CHECK, description};
use crate::payments::charge::first::FirstCharge;
use crate::payments::charge::methods::{self, Method, Methods};
use crate::payments::charge::record::{self, ChargeState};
use crate::payments::charge::{price, void};
use crate::payments::gateway::{Gateway, ProviderCharge};
use crate::payments::history::record_payment;
use crate::payments::store::{self, Payment};
use crate::sale::locks::{self, LockedOrder};
use crate::sale::states::{OrderPaymentStatus, OrderStatus, PaymentStatus};
use crate::sale::viewer::Viewer;

/// The limit for all providers and rounds together. It is shorter than the lease of an `Idempotency-Key`: the key is free again
/// before another server can take it. A call that is cut off counts as one without an answer.
const DEADLINE: Duration = Duration::from_secs(13);
/// Most charges of one order. Without this bound an order could hold its stock for ever.
const MAX_CHARGES: i64 = 10;
/// Most refused charges of one order and method. Each further try would only make the order live longer.
const MAX_REFUSED: i64 = 5;
/// An unpaid order holds its stock for at most this many charge lifetimes (`PIX_EXPIRY`), counted from when it was placed, plus
/// the grace. A buyer who changes the method again and again gets shorter charges, then none.
const MAX_LIVES: i64 = 3;
/// A charge that could be paid for a shorter time is not made.
const SHORTEST_LIFE_S: i64 = 60;
/// Each round but the last has voided an old charge or passed over a provider that is away.
const ROUNDS: usize = 5;

enum Begun {
    /// It can be paid as it is.
    Live(Box<Payment>),
    /// It has expired, or the buyer chose another method: it must be voided before there is a new charge.
    InTheWay(PaymentId),
    Call(Box<Attempt>),
}

/// The result of a call.
enum Recorded {
    Ready(Box<(Payment, Extras)>),
    /// The charge can no longer be used; another round makes a new one or says why not.
    Over,
    /// It was certainly not made, and another provider may make it.
    Away(&'static str),
}

/// Starts a payment of an order, or returns the live one: asking again never makes a second.
///
/// Errors: 404 not the viewer's order; 409 it does not wait for money, or the method is not offered; 503 the provider is
/// away, gave no clear answer, or `PAY_WAIT` is over: the order stands, and asking again repeats the call under the same key.
pub async fn start_payment(app: &App, viewer: Viewer, order: OrderId, method: Method) -> Result<Started> {
    in_time(order, rounds(app, viewer, order, method, None)).await
}

/// The same for an order that was just placed with its first charge.
pub async fn start_first(app: &App, viewer: Viewer, order: OrderId, method: Method, first: FirstCharge) -> Result<Started> {
    in_time(order, rounds(app, viewer, order, method, Some(Box::new(first.0)))).await
}

async fn in_time(order: OrderId, rounds: impl Future<Output = Result<Started>>) -> Result<Started> {
    let started = tokio::time::timeout(DEADLINE, rounds).await;
    started.unwrap_or_else(|_| {
        tracing::warn!(order.id = %order, "a payment took too long to start: what was asked for is looked up by its key");
        Err(Error::Busy { what: "The provider takes too long: ask again in a moment", retry_after_s: 2 })
    })
}

/// `first`: a charge that is written and that nobody was asked for yet.
async fn rounds(app: &App, viewer: Viewer, order: OrderId, method: Method, mut first: Option<Box<Attempt>>) -> Result<Started> {
    let (began, mut away) = (Instant::now(), Vec::new());
    for round in 0..ROUNDS {
        if round > 0 && began.elapsed() > app.config.pix.pay_wait {
            return Err(Error::Busy { what: "The providers of this payment take too long: ask again", retry_after_s: 5 });
        }
        let begun = match first.take() {
            Some(attempt) => Begun::Call(attempt),
            None => begin(app, viewer, order, method, &away).await?,
        };
        match begun {
            Begun::Live(payment) => return started(app, &payment, None),
            Begun::InTheWay(old) => void::void_or_give_up(app, old).await?,
            Begun::Call(attempt) => {
                let gateway = Gateway::named(app, &attempt.payment.provider)?;
                let outcome = gateway.create(&attempt.payment, &attempt.charge).await; // no connection is held during the call
                let recorded = record(app, gateway.name(), method, &attempt, &away, outcome).await;
                app.jobs_were_pushed();
                match recorded? {
                    Recorded::Ready(ready) => return started(app, &ready.0, Some(ready.1)),
                    Recorded::Over => {}
                    Recorded::Away(provider) => away.push(provider),
                }
            }
        }
    }
    Err(Error::Busy { what: "The payment is being changed by another request", retry_after_s: 2 })
}

async fn begin(app: &App, viewer: Viewer, order: OrderId, method: Method, away: &[&'static str]) -> Result<Begun> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let order = locks::lock_order(&tx, order, viewer).await?;
    must_wait_for_money(&order)?;
    if let Some(old) = store::find_live(&tx, order.id).await? {
        let can_be_asked = Gateway::named(app, &old.provider).is_ok();
        if old.is_over || old.method != method.as_str() || !can_be_asked {
            price_by(&tx, &order, method).await?; // before the old charge is voided for it
            return Ok(Begun::InTheWay(old.id));
        }
        if old.status == PaymentStatus::Pending && old.copy_paste.is_some() {
            return Ok(Begun::Live(Box::new(old)));
        }
        if !app.providers.takes_new(&old.provider) && old.status != PaymentStatus::Pending {
            return Ok(Begun::InTheWay(old.id)); // the buyer never saw it, and a retired provider makes no new charge
        }
        if methods::closed_for(app, &old.provider).is_none() && !away.contains(&old.provider.as_str()) {
            let old = store::touch(&tx, old).await?;
            let attempt = attempt(app, &tx, &order, old).await?;
            tx.commit().await?;
            return Ok(Begun::Call(Box::new(attempt)));
        }
        // The breaker of its provider is open. The buyer has seen no code of it, so another provider may make the charge.
        let instead = methods::provider_for(app, method, away)?;
        tracing::warn!(payment.id = %old.id, from = old.provider, to = instead, "another provider takes over");
        void::give_up_charge(&tx, &old, "its provider is being left alone").await?;
    }
    let provider = methods::provider_for(app, method, away)?;
    let new = new_payment(app, &tx, order, method, provider, viewer.actor()).await?;
    tx.commit().await?; // before money can move
    Ok(Begun::Call(Box::new(new)))
}

fn must_wait_for_money(order: &LockedOrder) -> Result<()> {
    let no = |why: &str| Err(Error::Conflict(why.to_owned()));
    use OrderPaymentStatus as Money;
    match (order.status, order.payment_status) {
        (OrderStatus::Pending, Money::PendingPayment) if order.is_over => {
            no("The order's time to be paid is over: place it again")
        }
        (OrderStatus::Pending, Money::PendingPayment) if order.total.is_zero() => no("There is nothing to pay"),
        (OrderStatus::Pending, Money::PendingPayment) => Ok(()),
        (_, Money::Paid | Money::PartiallyRefunded) => no("The order is already paid"),
        (_, Money::Refunded) => no("The order was paid and refunded"),
        (_, Money::Expired) => no("The order expired unpaid: place it again"),
        (OrderStatus::Cancelled, _) => no("The order was cancelled"),
        _ => no("The order does not wait for a payment"),
    }
}

/// The method's discount on this order.
///
/// Errors: 409 the shop does not offer the method, or nobody takes so much or so little by it.
async fn price_by(tx: &impl GenericClient, order: &LockedOrder, method: Method) -> Result<Money> {
    let offers = Methods::find(tx).await?;
    if !offers.offer(method).enabled {
        return Err(Error::Conflict("This shop does not take this method of payment at the moment".into()));
    }
    let discount = offers.discount(method, order.goods);
    let before = order.total.checked_add(order.method_discount);
    let total = before.and_then(|before| before.checked_sub(discount));
    let total = total.ok_or_else(|| Error::Internal(format!("the price of order {} by another method", order.id)))?;
    offers.check_amount(method, total)?;
    Ok(discount)
}

/// No payment is live: the order gets the method's price, and a new row is written before the call.
async fn new_payment(
    app: &App,
    tx: &impl GenericClient,
    order: LockedOrder,
    method: Method,
    provider: &'static str,
    actor: Actor,
) -> Result<Attempt> {
    let discount = price_by(tx, &order, method).await?;
    if store::count_charges(tx, order.id).await? >= MAX_CHARGES {
        return Err(Error::Conflict("Too many charges of this order ran out unpaid: place it again".into()));
    }
    if store::count_refused(tx, order.id, method.as_str()).await? >= MAX_REFUSED {
        let why = "The provider refused to charge this order too often: pay by another method, or place the order again";
        return Err(Error::Conflict(why.into()));
    }
    let expiry_s = i64::try_from(app.config.pix.expiry.as_secs()).unwrap_or(i64::MAX);
    let life_s = expiry_s.min(expiry_s.saturating_mul(MAX_LIVES).saturating_sub(order.age_s));
    if life_s < SHORTEST_LIFE_S.min(expiry_s) {
        return Err(Error::Conflict("The order was kept unpaid for as long as it can be: place it again".into()));
    }
    let order = price::reprice(tx, order, method, discount, actor).await?;
    let payment = store::insert(tx, &order, method.as_str(), provider, life_s).await?;
    store::extend_order(tx, order.id, method.as_str(), payment.expires_at).await?;
    record_payment(tx, &payment, None, PaymentStatus::Creating, "payment asked for", actor).await?;
    jobs::push_at(tx, Job::CheckPayment { payment: payment.id }, Timestamp::now() + FIRST_CHECK).await?;
    attempt(app, tx, &order, payment).await
}

/// The same request on every repeat, because the provider compares them.
async fn attempt(app: &App, tx: &impl GenericClient, order: &LockedOrder, payment: Payment) -> Result<Attempt> {
    let payer = store::find_payer(app, tx, order.id).await?;
    let life = payment.expires_at.duration_since(payment.created_at).as_secs();
    let charge = NewCharge {
        payment_id: payment.id.0,
        order_id: order.id.0,
        amount: payment.amount,
        expires_in_s: u32::try_from(life.max(1)).unwrap_or(u32::MAX),
        description: description(&order.number),
        payer: pix::Payer {
            name: payer.name,
            tax_id: payer.tax_id,
            email: payer.email.and_then(|text| Email::parse(&text).ok()),
        },
        is_repeat: payment.tries > 1,
    };
    Ok(Attempt { payment, charge })
}

async fn record(
    app: &App,
    provider: &'static str,
    method: Method,
    attempt: &Attempt,
    away: &[&'static str],
    outcome: Result<ProviderCharge, ProviderError>,
) -> Result<Recorded> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let id = attempt.payment.id;
    let Some((order, payment)) = store::lock(&tx, id).await? else {
        return Err(Error::Internal(format!("payment {id} is gone")));
    };
    let result = match outcome {
        Ok(seen) => match record::record_provider_charge(&tx, provider, &order, &payment, &seen).await? {
            ChargeState::Payable | ChargeState::Paid(_) => {
                let payment = store::find(&tx, id).await?.unwrap_or(payment);
                let extras = Extras { picture: seen.charge.qr_code, client_secret: seen.client_secret };
                Ok(Recorded::Ready(Box::new((payment, extras))))
            }
            ChargeState::Over => Ok(Recorded::Over),
            ChargeState::Unfit => {
                let reason = "the code cannot be shown".to_owned();
                Err(Error::Provider(ProviderError::Rejected { provider, code: reason.clone(), message: reason }))
            }
        },
        // The first try certainly made nothing: the next provider in the list may make the charge.
        Err(error)
            if error.is_away()
                && !attempt.charge.is_repeat
                && methods::provider_for(app, method, &[away, &[provider]].concat()).is_ok() =>
        {
            alerts::raise_if_refused(&tx, &error, Some(order.id)).await?;
            void::give_up_charge(&tx, &payment, &error.to_string()).await?;
            Ok(Recorded::Away(provider))
        }
        Err(error) => {
            note_failure(&tx, &order, &payment, &error).await?;
            Err(Error::Provider(error))
        }
    };
    tx.commit().await?;
    result
}

/// An unknown outcome and a provider that is away are no failure: asking again repeats the call with the same key.
async fn note_failure(tx: &impl GenericClient, order: &LockedOrder, payment: &Payment, error: &ProviderError) -> Result<()> {
    alerts::raise_if_refused(tx, error, Some(order.id)).await?;
    let why = error.to_string();
    let to = match error {
        ProviderError::Unknown { .. } => PaymentStatus::Unknown,
        ProviderError::Unavailable { .. } | ProviderError::NotAccepted { .. } => payment.status,
        ProviderError::Rejected { .. } | ProviderError::RefundRefused { .. } => PaymentStatus::Failed,
    };
    if !store::mark_unclear(tx, payment.id, to, &why).await? || to == payment.status {
        return Ok(());
    }
    record_payment(tx, payment, Some(payment.status), to, &why, Actor::System).await?;
    if let ProviderError::Rejected { provider, code, .. } = error {
        let told = error.told();
        let text =
            format!("O provedor {} recusou a cobrança {} do pedido {}: {told}.", payment.provider, payment.id, order.number);
        alerts::raise(tx, Alert::new(Key::ChargeRefused { provider, code }, text).about(order.id)).await?;
    }
    Ok(())
}
