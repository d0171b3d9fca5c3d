//! Money back. The row and its reserve come first; the row's id is the provider's key on every try, however often it fails.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::pix::{NewRefund, Refund, RefundStatus};
use vitrine_kit::{Money, ProviderError};

use crate::app::App;
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::jobs::{self, Job, Outcome};
use crate::orders::life::{self, Change};
use crate::payments::apply::{Applied, News, refundable};
use crate::payments::status::Status;
use crate::payments::store::{self, Payment};
use crate::payments::{alert, pix_of, tell};

/// How long to wait before asking again how far a refund is: a quarter of its age, within these.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// A refund as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefundView {
    pub refund_id: RefundId,
    pub payment_id: PaymentId,
    #[schema(value_type = i64)]
    pub amount_cents: Money,
    pub currency: String,
    /// `pending`, `processing`, `unknown`, then `done` or `failed`.
    pub status: String,
    pub reason: String,
    pub restock: bool,
    pub created_at: Timestamp,
}

/// Gives back `amount` of an order's money, or all that is left. The order is locked by the caller, who commits.
/// `true` in the second place: goods came back that were sold out.
///
/// Errors: 409 there is nothing (or not so much) left to give back, or the payment is disputed; 422 goods without all the money.
pub async fn request(
    tx: &impl GenericClient,
    order: OrderId,
    amount: Option<Money>,
    reason: &str,
    restock: bool,
    actor: Actor,
) -> Result<(RefundView, bool)> {
    let payments = store::list_of_order(tx, order).await?;
    if payments.iter().any(|p| p.status == Status::Disputed) {
        return Err(Error::Conflict("The payment is disputed: its money cannot be refunded meanwhile".into()));
    }
    // The order's own payment comes before a surplus whose refund failed.
    let can_refund = |p: &&Payment| p.status.is_captured() && refundable(p) > Money::ZERO;
    let chosen = payments.iter().filter(can_refund).min_by_key(|p| p.status == Status::Surplus);
    let Some(payment) = chosen else {
        return Err(Error::Conflict("Nothing is left to refund".into()));
    };
    let left = refundable(payment);
    let amount = amount.unwrap_or(left);
    let too_much = || Error::Conflict(format!("Only {} centavos are left to refund", left.cents()));
    if amount > left {
        return Err(too_much());
    }
    if restock && amount < payment.captured {
        return Err(Error::field("restock", "goes only with a refund of everything"));
    }
    let id = insert(tx, payment, amount, reason, restock, actor).await?.ok_or_else(too_much)?;
    let back_for_sale = match restock {
        true => {
            life::restock(tx, order, actor, reason).await?.ok_or_else(|| Error::Conflict("The goods are back already".into()))?
        }
        false => false,
    };
    Ok((find_view(tx, id).await?, back_for_sale))
}

/// Gives back all that is left of every payment of a locked order: for a cancel. The caller commits.
pub async fn refund_all(tx: &impl GenericClient, order: OrderId, by: Actor, reason: &str) -> Result<()> {
    // An order has a handful of payments, and rarely more than one with money.
    for payment in store::list_of_order(tx, order).await? {
        let left = refundable(&payment);
        if left > Money::ZERO {
            insert(tx, &payment, left, reason, false, by).await?;
        }
    }
    Ok(())
}

/// Reserves the amount, writes the row, and sends the job. `None`: not so much is left, whoever asked at the same time.
pub async fn insert(
    tx: &impl GenericClient,
    payment: &Payment,
    amount: Money,
    reason: &str,
    restock: bool,
    actor: Actor,
) -> Result<Option<RefundId>> {
    const INSERT: &str = "
        INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, restock, requested_by) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    if !reserve(tx, payment.id, amount).await? {
        return Ok(None);
    }
    let id = RefundId::new();
    let by = actor.to_string();
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &amount, &reason, &restock, &by]).await?;
    tell_refund(tx, payment.order_id, id, None, "pending", reason, actor).await?;
    jobs::push(tx, Job::SendRefund { refund: id }).await?;
    Ok(Some(id))
}

/// The guard that no two refunds can pass together: Σ refunds never exceeds what was captured.
async fn reserve(tx: &impl GenericClient, payment: PaymentId, amount: Money) -> Result<bool> {
    const RESERVE: &str = "
        UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + $2 <= captured_cents AND status IN ('paid', 'partially_refunded', 'surplus')";
    Ok(db::execute(tx, RESERVE, &[&payment, &amount]).await? == 1)
}

async fn find_view(db: &impl GenericClient, id: RefundId) -> Result<RefundView> {
    const FIND: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1";
    Ok(view_of(&db::query_one(db, FIND, &[&id]).await?))
}

/// An order's refunds, the oldest first.
pub async fn list_of_order(db: &impl GenericClient, order: OrderId) -> Result<Vec<RefundView>> {
    const LIST: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.order_id = $1 ORDER BY r.id";
    Ok(db::query(db, LIST, &[&order]).await?.iter().map(view_of).collect())
}

fn view_of(row: &tokio_postgres::Row) -> RefundView {
    RefundView {
        refund_id: row.get("id"),
        payment_id: row.get("payment_id"),
        amount_cents: row.get("amount_cents"),
        currency: row.get("currency"),
        status: row.get("status"),
        reason: row.get("reason"),
        restock: row.get("restock"),
        created_at: row.get("created_at"),
    }
}

async fn tell_refund(
    tx: &impl GenericClient,
    order: OrderId,
    id: RefundId,
    from: Option<&str>,
    to: &str,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    life::tell(tx, order, &Change { subject: "refund", subject_id: Some(id.0), from, to, reason, actor }).await
}

/// A refund in hand.
struct Open {
    id: RefundId,
    payment_id: PaymentId,
    amount: Money,
    status: String,
    reason: String,
    provider: String,
    end_to_end_id: Option<String>,
    payment_ref: Option<String>,
    refund_ref: Option<String>,
    created_at: Timestamp,
}

impl Open {
    /// The provider is asked in the same words on every try.
    fn ask(&self) -> NewRefund {
        NewRefund {
            refund_id: self.id.0,
            payment_id: self.payment_id.0,
            end_to_end_id: self.end_to_end_id.clone(),
            payment_ref: self.payment_ref.clone(),
            refund_ref: self.refund_ref.clone(),
            amount: self.amount,
            reason: self.reason.clone(),
        }
    }
}

async fn find_open(db: &impl GenericClient, id: RefundId) -> Result<Option<Open>> {
    const FIND: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, r.status, r.reason, r.created_at, r.provider_ref AS refund_ref, p.provider, p.end_to_end_id,
               p.provider_ref AS payment_ref
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE r.id = $1 AND r.status IN ('pending', 'processing', 'unknown')";
    Ok(db::query_opt(db, FIND, &[&id]).await?.map(|row| Open {
        id: row.get("id"),
        payment_id: row.get("payment_id"),
        amount: row.get("amount_cents"),
        status: row.get("status"),
        reason: row.get("reason"),
        provider: row.get("provider"),
        end_to_end_id: row.get("end_to_end_id"),
        payment_ref: row.get("payment_ref"),
        refund_ref: row.get("refund_ref"),
        created_at: row.get("created_at"),
    }))
}

/// The job: sends it, or asks how far it is.
pub async fn send(app: &App, id: RefundId) -> Result<Outcome> {
    let Some(refund) = find_open(&app.db().await?, id).await? else { return Ok(Outcome::Done) };
    let outcome = ask(app, &refund).await;
    let outcome = match outcome {
        // A refusal is the end only if they say that no earlier try did it.
        Err(Error::Provider(refused @ ProviderError::Rejected { .. })) => {
            match pix_of(app, &refund.provider)?.read_refund(&refund.ask()).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => return refused_for_good(app, &refund, &refused).await,
                Err(_) => Err(Error::Provider(refused)),
            }
        }
        other => other,
    };
    note(app, &refund, outcome).await
}

async fn ask(app: &App, refund: &Open) -> Result<Refund> {
    let pix = pix_of(app, &refund.provider)?;
    if refund.status == "processing"
        && let Some(found) = pix.read_refund(&refund.ask()).await?
    {
        return Ok(found);
    }
    Ok(pix.refund(&refund.ask()).await?)
}

async fn note(app: &App, refund: &Open, outcome: Result<Refund>) -> Result<Outcome> {
    match outcome {
        Ok(found) if found.amount != refund.amount => Ok(Outcome::Dead(format!(
            "the provider refunds {} centavos instead of {}",
            found.amount.cents(),
            refund.amount.cents()
        ))),
        Ok(Refund { status: RefundStatus::Processing, end_to_end_id, .. }) => {
            mark_open(app, refund, "processing", end_to_end_id.as_deref(), None).await?;
            Ok(Outcome::Again(next_look(refund.created_at)))
        }
        Ok(Refund { status: RefundStatus::Done, end_to_end_id, .. }) => {
            mark_open(app, refund, &refund.status, end_to_end_id.as_deref(), None).await?;
            finish(app, refund, End::Done).await
        }
        Ok(Refund { status: RefundStatus::Failed, .. }) => {
            finish(app, refund, End::Failed("the provider says that it failed")).await
        }
        Err(error) => {
            let to = if matches!(error, Error::Provider(ProviderError::Unknown { .. })) { "unknown" } else { &refund.status };
            mark_open(app, refund, to, None, Some(&error.to_string())).await?;
            Err(error)
        }
    }
}

fn next_look(created_at: Timestamp) -> Timestamp {
    let now = Timestamp::now();
    now + (now.duration_since(created_at) / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

async fn refused_for_good(app: &App, refund: &Open, refused: &ProviderError) -> Result<Outcome> {
    finish(app, refund, End::Failed(&refused.to_string())).await
}

async fn finish(app: &App, refund: &Open, end: End<'_>) -> Result<Outcome> {
    let provider = pix_of(app, &refund.provider)?.name();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    settle(&tx, provider, refund.id, end).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Nothing is settled yet. What a webhook settled meanwhile stays as it is.
async fn mark_open(app: &App, refund: &Open, to: &str, reference: Option<&str>, error: Option<&str>) -> Result<()> {
    const MARK: &str = "
        UPDATE refunds SET status = $2, provider_ref = coalesce($3, provider_ref), error = $4, updated_at = now()
         WHERE id = $1 AND status IN ('pending', 'processing', 'unknown')";
    db::execute(&app.db().await?, MARK, &[&refund.id, &to, &reference, &error]).await?;
    Ok(())
}

/// How a refund ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    Done,
    Failed(&'a str),
}

/// Brings a refund to its end, once. The caller commits.
pub async fn settle(tx: &Transaction<'_>, provider: &'static str, id: RefundId, end: End<'_>) -> Result<News> {
    const OF: &str = "SELECT payment_id FROM refunds WHERE id = $1";
    const LOCK: &str = "SELECT status, amount_cents FROM refunds WHERE id = $1 FOR UPDATE";
    let Some(row) = db::query_opt(tx, OF, &[&id]).await? else { return Ok((Applied::UnknownPayment, None)) };
    let Some((order, payment)) = store::lock(tx, row.get("payment_id")).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    let row = db::query_one(tx, LOCK, &[&id]).await?;
    let (status, amount): (String, Money) = (row.get("status"), row.get("amount_cents"));
    let applied = match (status.as_str(), end) {
        ("done", End::Done) | ("failed", End::Failed(_)) => Applied::AlreadyDone,
        ("done", End::Failed(_)) => Applied::Ignored, // done is the later truth, whatever the order of news
        ("failed", End::Done) if !reserve(tx, payment.id, amount).await? => {
            let text = format!(
                "A devolução {id} do pedido {} foi dada como falha e agora como feita, e já não cabe no valor pago.",
                order.number
            );
            alert(tx, "Devolução acima do valor pago", text).await?;
            Applied::Mismatch
        }
        (from, End::Done) => done(tx, provider, &payment, id, amount, from).await?,
        (from, End::Failed(why)) => failed(tx, provider, &order.number, &payment, id, amount, from, why).await?,
    };
    Ok((applied, Some(order.id)))
}

async fn done(
    tx: &Transaction<'_>,
    provider: &'static str,
    payment: &Payment,
    id: RefundId,
    amount: Money,
    from: &str,
) -> Result<Applied> {
    const DONE: &str = "UPDATE refunds SET status = 'done', error = NULL, updated_at = now() WHERE id = $1";
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, id, 'refund', $2, $3, provider_ref, $4 FROM refunds WHERE id = $1";
    const RETURNED: &str =
        "SELECT coalesce(sum(amount_cents), 0)::bigint FROM money_movements WHERE payment_id = $1 AND kind = 'refund'";
    db::execute(tx, DONE, &[&id]).await?;
    db::execute(tx, ENTER, &[&id, &amount, &provider, &cause::current()]).await?;
    let actor = Actor::Provider(provider);
    tell_refund(tx, payment.order_id, id, Some(from), "done", "", actor).await?;
    let returned: Money = db::query_one(tx, RETURNED, &[&payment.id]).await?.get(0);
    let to = payment.status.after_refunds(payment.captured, returned);
    if to != payment.status {
        mark_refunded(tx, payment, to, actor).await?;
    }
    jobs::push(tx, Job::MailRefunded { refund: id }).await?;
    Ok(Applied::Done)
}

/// The payment's new state, and the order's, if this is the payment that the order took.
async fn mark_refunded(tx: &impl GenericClient, payment: &Payment, to: Status, actor: Actor) -> Result<()> {
    const PAYMENT: &str = "UPDATE payments SET status = $2, updated_at = now() WHERE id = $1";
    const ORDER: &str = "
        WITH before AS (SELECT id, payment_status FROM orders WHERE id = $1)
        UPDATE orders o SET payment_status = $2, updated_at = now() FROM before b
         WHERE o.id = b.id AND o.payment_status IN ('paid', 'partially_refunded') AND o.payment_status <> $2
        RETURNING b.payment_status";
    db::execute(tx, PAYMENT, &[&payment.id, &to.as_str()]).await?;
    tell(tx, payment, Some(payment.status), to, "money went back", actor).await?;
    if payment.status == Status::Surplus {
        return Ok(());
    }
    if let Some(row) = db::query_opt(tx, ORDER, &[&payment.order_id, &to.as_str()]).await? {
        let (from, to) = (Some(row.get("payment_status")), to.as_str());
        let change = Change { subject: "payment_status", subject_id: None, from, to, reason: "money went back", actor };
        life::tell(tx, payment.order_id, &change).await?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // a story needs its names
async fn failed(
    tx: &Transaction<'_>,
    provider: &'static str,
    number: &str,
    payment: &Payment,
    id: RefundId,
    amount: Money,
    from: &str,
    why: &str,
) -> Result<Applied> {
    const FAILED: &str = "UPDATE refunds SET status = 'failed', error = $2, updated_at = now() WHERE id = $1";
    const GIVE_BACK: &str = "UPDATE payments SET refunded_cents = refunded_cents - $2, updated_at = now() WHERE id = $1";
    db::execute(tx, FAILED, &[&id, &why]).await?;
    db::execute(tx, GIVE_BACK, &[&payment.id, &amount]).await?;
    tell_refund(tx, payment.order_id, id, Some(from), "failed", why, Actor::Provider(provider)).await?;
    let text = format!("A devolução {id} de {} centavos do pedido {number} falhou: {why}.", amount.cents());
    alert(tx, "Devolução falhou", text).await?;
    Ok(Applied::Done)
}
