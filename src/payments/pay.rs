//! Starting a payment: the row first, the provider's call between two transactions, the outcome recorded whatever it is.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::breaker::State;
use vitrine_kit::pix::{self, NewCharge, PixProvider};
use vitrine_kit::{Email, Money, ProviderError};

use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::jobs::{self, Job};
use crate::orders::Viewer;
use crate::payments::learn::{self, Learned};
use crate::payments::status::Status;
use crate::payments::store::{self, Order, Payment};
use crate::payments::{alert, pix_of, qr, tell, void};

/// An order that lets one charge after another run out would hold its stock for ever.
const MAX_CHARGES: i64 = 10;
/// Each round but the last has put an old charge out of the way.
const ROUNDS: usize = 3;
/// When a job looks after a charge that nobody brought to an end.
const FIRST_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// How a buyer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Pix,
    CreditCard,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pix => "pix",
            Self::CreditCard => "credit_card",
        }
    }
}

/// What the buyer needs to pay.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Started {
    pub payment_id: PaymentId,
    pub method: Method,
    /// `pending`; `paid` where the money was faster than this answer.
    pub status: Status,
    #[schema(value_type = i64)]
    pub amount_cents: Money,
    pub currency: String,
    /// The picture of the code: `data:image/png;base64,…`
    pub qr_code: String,
    pub qr_code_url: Option<String>,
    /// PIX "copia e cola".
    pub copy_paste: Option<String>,
    pub txid: Option<String>,
    pub expires_at: Timestamp,
}

/// A charge to be asked for, under a row that is committed.
struct Attempt {
    payment: Payment,
    charge: NewCharge,
    /// An earlier call with this key may have succeeded.
    is_repeat: bool,
}

enum Begun {
    /// It can be paid as it is.
    Live(Payment),
    /// Its time is over: it has to be made unpayable before there is another.
    Over(PaymentId),
    Call(Attempt),
}

/// A payment of an order, or the one that is already there: asking again never makes a second.
///
/// Errors: 404 not the viewer's order; 409 it does not wait for money, or the method is not offered; 503 the provider is
/// away or gave no clear answer: the order stands, and asking again repeats the call under the same key.
pub async fn start(app: &App, viewer: Viewer, order: OrderId, method: Method) -> Result<Started> {
    if method == Method::CreditCard {
        return Err(Error::Conflict("Card payment is not available in this shop yet: pay by PIX".into()));
    }
    for _ in 0..ROUNDS {
        match begin(app, viewer, order).await? {
            Begun::Live(payment) => return started(&payment, None),
            Begun::Over(old) => void::end(app, old).await?,
            Begun::Call(attempt) => {
                let outcome = call(pix_of(app, &attempt.payment.provider)?, &attempt).await; // no connection is held while they think
                let picture = outcome.as_ref().ok().and_then(|charge| charge.qr_code.clone());
                let recorded = record(app, &attempt, outcome).await;
                app.jobs_were_pushed();
                if let Some(payment) = recorded? {
                    return started(&payment, picture);
                }
            }
        }
    }
    Err(Error::Busy { what: "The payment is being changed by another request", retry_after_s: 2 })
}

/// Seconds until the breaker lets a call out again; `None`: it may go out now.
pub fn closed_for(app: &App, provider: &str) -> Option<u64> {
    let (_, breaker) = app.providers.breakers.iter().find(|(name, _)| *name == provider)?;
    let seen = breaker.snapshot();
    (seen.state == State::Open).then_some(seen.retry_after_s.unwrap_or(1))
}

async fn begin(app: &App, viewer: Viewer, order: OrderId) -> Result<Begun> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let order = store::lock_order(&tx, viewer, order).await?;
    must_wait_for_money(&order)?;
    let begun = match store::find_live(&tx, order.id).await? {
        Some(old) if old.is_over => return Ok(Begun::Over(old.id)),
        Some(old) if old.status == Status::Pending && old.copy_paste.is_some() => return Ok(Begun::Live(old)),
        Some(old) => {
            breaker_must_be_closed(app)?;
            store::touch(&tx, old.id).await?;
            attempt(app, &tx, &order, old, true).await?
        }
        None => {
            breaker_must_be_closed(app)?;
            let new = new_payment(app, &tx, &order, viewer.actor()).await?;
            attempt(app, &tx, &order, new, false).await?
        }
    };
    tx.commit().await?; // before money can move
    Ok(Begun::Call(begun))
}

fn must_wait_for_money(order: &Order) -> Result<()> {
    let no = |why: &str| Err(Error::Conflict(why.to_owned()));
    match (order.status.as_str(), order.payment_status.as_str()) {
        ("pending", "pending_payment") if order.is_over => no("The order's time to be paid is over: place it again"),
        ("pending", "pending_payment") if order.total <= Money::ZERO => no("There is nothing to pay"),
        ("pending", "pending_payment") => Ok(()),
        (_, "paid" | "partially_refunded") => no("The order is already paid"),
        (_, "refunded") => no("The order was paid and refunded"),
        (_, "expired") => no("The order expired unpaid: place it again"),
        ("cancelled", _) => no("The order was cancelled"),
        _ => no("The order does not wait for a payment"),
    }
}

fn breaker_must_be_closed(app: &App) -> Result<()> {
    let provider = app.providers.pix[0].name();
    match closed_for(app, provider) {
        Some(wait) => {
            Err(ProviderError::Unavailable { provider, reason: "the circuit breaker is open".into(), retry_after_s: Some(wait) }
                .into())
        }
        None => Ok(()),
    }
}

async fn new_payment(app: &App, tx: &impl GenericClient, order: &Order, actor: Actor) -> Result<Payment> {
    const SWITCHED_OFF: &str =
        "SELECT coalesce((SELECT value #>> '{pix,enabled}' FROM settings WHERE name = 'payment_methods'), 'true') = 'false'";
    if db::query_one(tx, SWITCHED_OFF, &[]).await?.get(0) {
        return Err(Error::Conflict("This shop does not take PIX at the moment".into()));
    }
    if store::count_charges(tx, order.id).await? >= MAX_CHARGES {
        return Err(Error::Conflict("Too many charges of this order ran out unpaid: place it again".into()));
    }
    let (method, provider) = (Method::Pix.as_str(), app.providers.pix[0].name());
    let payment = store::insert(tx, order, method, provider, app.config.pix.expiry.as_secs() as i64).await?;
    store::extend_order(tx, order.id, method, payment.expires_at).await?;
    tell(tx, &payment, None, Status::Creating, "payment asked for", actor).await?;
    jobs::push_at(tx, Job::CheckPayment { payment: payment.id }, Timestamp::now() + FIRST_CHECK).await?;
    Ok(payment)
}

/// The same words on every repeat, for the provider compares them.
async fn attempt(app: &App, tx: &impl GenericClient, order: &Order, payment: Payment, is_repeat: bool) -> Result<Attempt> {
    let payer = store::find_payer(app, tx, order.id).await?;
    let life = payment.expires_at.duration_since(payment.created_at).as_secs();
    let charge = NewCharge {
        payment_id: payment.id.0,
        order_id: order.id.0,
        amount: payment.amount,
        expires_in_s: u32::try_from(life.max(1)).unwrap_or(u32::MAX),
        description: format!("Pedido {}", order.number),
        payer: pix::Payer {
            name: payer.name,
            tax_id: payer.tax_id,
            email: payer.email.and_then(|text| Email::parse(&text).ok()),
        },
        is_repeat,
    };
    Ok(Attempt { payment, charge, is_repeat })
}

/// A refusal is only believed once they say that an earlier try did not create it.
async fn call(provider: &dyn PixProvider, attempt: &Attempt) -> Result<pix::Charge, ProviderError> {
    let refused = match provider.create_charge(&attempt.charge).await {
        Err(refused @ ProviderError::Rejected { .. }) => refused,
        other => return other,
    };
    match provider.read_charge(attempt.payment.id.0).await {
        Ok(Some(charge)) => Ok(charge),
        Err(_) if attempt.is_repeat => {
            Err(ProviderError::Unknown { provider: refused.provider(), reason: format!("{refused}, after an earlier try") })
        }
        Ok(None) | Err(_) => Err(refused),
    }
}

/// `None`: the charge is of no use any more; another round makes a new one or says why not.
async fn record(app: &App, attempt: &Attempt, outcome: Result<pix::Charge, ProviderError>) -> Result<Option<Payment>> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let id = attempt.payment.id;
    let Some((order, payment)) = store::lock(&tx, id).await? else {
        return Err(Error::Internal(format!("payment {id} is gone")));
    };
    let result = match outcome {
        Ok(charge) => match learn::learn(&tx, app.providers.pix[0].name(), &order, &payment, &charge).await? {
            Learned::Payable | Learned::Paid(_) => Ok(store::find(&tx, id).await?),
            Learned::Over => Ok(None),
            Learned::Unfit => {
                let reason = "the code cannot be shown".to_owned();
                Err(Error::Provider(ProviderError::Rejected {
                    provider: app.providers.pix[0].name(),
                    code: reason.clone(),
                    message: reason,
                }))
            }
        },
        Err(error) => {
            note_failure(&tx, &order, &payment, &error).await?;
            Err(Error::Provider(error))
        }
    };
    tx.commit().await?;
    result
}

/// Unknown is not failed, and neither is away: asking again repeats both under the same key.
async fn note_failure(tx: &impl GenericClient, order: &Order, payment: &Payment, error: &ProviderError) -> Result<()> {
    let why = error.to_string();
    let to = match error {
        ProviderError::Unknown { .. } => Status::Unknown,
        ProviderError::Unavailable { .. } => payment.status,
        ProviderError::Rejected { .. } => Status::Failed,
    };
    if !store::mark_unclear(tx, payment.id, to, &why).await? || to == payment.status {
        return Ok(());
    }
    tell(tx, payment, Some(payment.status), to, &why, Actor::System).await?;
    if let ProviderError::Rejected { message, .. } = error {
        let text = format!(
            "O provedor {} recusou a cobrança {} do pedido {}: {why}. {message}",
            payment.provider, payment.id, order.number
        );
        alert(tx, "Cobrança PIX recusada", text).await?;
    }
    Ok(())
}

fn started(payment: &Payment, theirs: Option<String>) -> Result<Started> {
    let qr_code = match (&payment.copy_paste, theirs) {
        (Some(code), _) => qr::data_uri(code)?,
        (None, Some(picture)) if picture.starts_with("data:image/png;base64,") => picture,
        _ => return Err(Error::Conflict("The order is already paid".into())),
    };
    Ok(Started {
        payment_id: payment.id,
        method: Method::Pix,
        status: payment.status,
        amount_cents: payment.amount,
        currency: payment.currency.clone(),
        qr_code,
        qr_code_url: payment.qr_code_url.clone(),
        copy_paste: payment.copy_paste.clone(),
        txid: payment.txid.clone(),
        expires_at: payment.expires_at,
    })
}
