//! The row of a payment, and its SQL. The order of locks stands in `sale/locks.rs`.

use deadpool_postgres::GenericClient;
use futures_util::try_join;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use vitrine_kit::dispute::Contested;
use vitrine_kit::pix::Charge;
use vitrine_kit::{Money, TaxId};

use crate::app::App;
use crate::cause::{self, Actor};
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::sale::locks::{self, LockedOrder};
use crate::sale::states::PaymentStatus;

/// As the column's default.
const CURRENCY: &str = "BRL";

/// A row of `payments`.
#[derive(Debug, Clone)]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub method: String,
    pub provider: String,
    pub status: PaymentStatus,
    pub amount: Money,
    pub captured: Money,
    /// What went back or is on its way.
    pub refunded: Money,
    /// What disputes took, by the ledger.
    pub lost: Money,
    /// Captured beside the payment that the order took.
    pub is_surplus: bool,
    pub currency: String,
    /// The discount of the method.
    pub method_discount: Money,
    /// Calls to create it, including the next one.
    pub tries: u32,
    /// Their name for it: txid or PaymentIntent.
    pub provider_ref: Option<String>,
    pub end_to_end_id: Option<String>,
    pub copy_paste: Option<String>,
    pub qr_code_url: Option<String>,
    pub error: Option<String>,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// Past `expires_at`, by the database's clock.
    pub is_over: bool,
    /// When a charge that nobody paid is voided: five minutes after its end, because banks settle a payment of the last second some
    /// moments later.
    pub grace_ends_at: Timestamp,
    /// Past `grace_ends_at`, by the database's clock.
    pub is_past_grace: bool,
    /// A call about it may be under way: it was touched within the last half minute.
    pub is_fresh: bool,
}

impl Payment {
    /// A charge that nobody was asked for yet: as its row is written. `times`: when that is, and when the charge expires.
    pub fn creating(
        order: OrderId,
        method: &str,
        provider: &str,
        amount: Money,
        method_discount: Money,
        times: (Timestamp, Timestamp),
    ) -> Self {
        let (created_at, expires_at) = times;
        Self {
            id: PaymentId::new(),
            order_id: order,
            method: method.to_owned(),
            provider: provider.to_owned(),
            status: PaymentStatus::Creating,
            amount,
            captured: Money::ZERO,
            refunded: Money::ZERO,
            lost: Money::ZERO,
            is_surplus: false,
            currency: CURRENCY.to_owned(),
            method_discount,
            tries: 1,
            provider_ref: None,
            end_to_end_id: None,
            copy_paste: None,
            qr_code_url: None,
            error: None,
            expires_at,
            paid_at: None,
            created_at,
            is_over: false,
            grace_ends_at: expires_at + SignedDuration::from_mins(5),
            is_past_grace: false,
            is_fresh: true,
        }
    }

    /// The state of a voided charge: `expired` after its end, else `cancelled`.
    pub fn voided(&self) -> PaymentStatus {
        if self.is_over { PaymentStatus::Expired } else { PaymentStatus::Cancelled }
    }
}

/// What [`payment_of`] reads.
const PAYMENT: &str = "
    SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p ";

fn payment_of(row: &Row) -> Result<Payment> {
    Ok(Payment {
        id: row.get("id"),
        order_id: row.get("order_id"),
        method: row.get("method"),
        provider: row.get("provider"),
        status: row.try_get("status")?,
        amount: row.get("amount_cents"),
        captured: row.get("captured_cents"),
        refunded: row.get("refunded_cents"),
        lost: row.get("lost_cents"),
        is_surplus: row.get("is_surplus"),
        currency: row.get("currency"),
        method_discount: row.get("method_discount_cents"),
        tries: row.get::<_, i32>("tries").unsigned_abs(),
        provider_ref: row.get("provider_ref"),
        end_to_end_id: row.get("end_to_end_id"),
        copy_paste: row.get("copy_paste"),
        qr_code_url: row.get("qr_code_url"),
        error: row.get("error"),
        expires_at: row.get("expires_at"),
        paid_at: row.get("paid_at"),
        created_at: row.get("created_at"),
        is_over: row.get("is_over"),
        grace_ends_at: row.get("grace_ends_at"),
        is_past_grace: row.get("is_past_grace"),
        is_fresh: row.get("is_fresh"),
    })
}

/// A payment and its order, both locked.
pub async fn lock(tx: &impl GenericClient, id: PaymentId) -> Result<Option<(LockedOrder, Payment)>> {
    const LOCK_PAYMENT: &str = sql!(PAYMENT, "WHERE p.id = $1 FOR NO KEY UPDATE");
    // Sent together and run in this order: both are prepared first, so that neither waits for that alone.
    try_join!(db::prepare(tx, locks::LOCK_ORDER_OF_PAYMENT), db::prepare(tx, LOCK_PAYMENT))?;
    let named: [&(dyn ToSql + Sync); 1] = [&id];
    let (order, payment) = try_join!(locks::lock_order_of_payment(tx, id), db::query_opt(tx, LOCK_PAYMENT, &named))?;
    Ok(order.zip(payment.as_ref().map(payment_of).transpose()?))
}

/// For jobs. Requests find a payment through the order, which names the viewer.
pub async fn find(db: &impl GenericClient, id: PaymentId) -> Result<Option<Payment>> {
    const FIND: &str = sql!(PAYMENT, "WHERE p.id = $1");
    db::query_opt(db, FIND, &[&id]).await?.as_ref().map(payment_of).transpose()
}

/// All of these that there are.
pub async fn list(db: &impl GenericClient, ids: &[PaymentId]) -> Result<Vec<Payment>> {
    const LIST: &str = sql!(PAYMENT, "WHERE p.id = ANY($1) ORDER BY p.id");
    db::query(db, LIST, &[&ids]).await?.iter().map(payment_of).collect()
}

/// By the provider's own name for it.
pub async fn find_by_ref(db: &impl GenericClient, provider: &str, reference: &str) -> Result<Option<PaymentId>> {
    const FIND: &str = "SELECT id FROM payments WHERE provider = $1 AND provider_ref = $2";
    Ok(db::query_opt(db, FIND, &[&provider, &reference]).await?.map(|row| row.get("id")))
}

/// By what a dispute names it: our id, their name for it, else the PIX or the charge that it is about.
pub async fn find_contested(db: &impl GenericClient, provider: &str, of: &Contested) -> Result<Option<PaymentId>> {
    const BY_ID: &str = "SELECT id FROM payments WHERE id = $1 AND provider = $2";
    const BY_END_TO_END: &str = "SELECT id FROM payments WHERE end_to_end_id = $1 AND provider = $2 ORDER BY id LIMIT 1";
    if let Some(id) = of.payment_id.map(PaymentId) {
        return Ok(db::query_opt(db, BY_ID, &[&id, &provider]).await?.map(|row| row.get("id")));
    }
    if let Some(reference) = &of.provider_ref {
        return find_by_ref(db, provider, reference).await;
    }
    let Some(id) = &of.end_to_end_id else { return Ok(None) };
    Ok(db::query_opt(db, BY_END_TO_END, &[&id, &provider]).await?.map(|row| row.get("id")))
}

/// Keeps the end-to-end id of a payment that was charged without one.
pub async fn keep_end_to_end_id(tx: &impl GenericClient, id: PaymentId, end_to_end_id: &str) -> Result<()> {
    const KEEP: &str = "UPDATE payments SET end_to_end_id = $2 WHERE id = $1 AND end_to_end_id IS NULL AND captured_cents > 0";
    db::execute(tx, KEEP, &[&id, &end_to_end_id]).await?;
    Ok(())
}

/// The one live payment of a locked order.
pub async fn find_live(tx: &impl GenericClient, order: OrderId) -> Result<Option<Payment>> {
    const FIND: &str = sql!(PAYMENT, "WHERE p.order_id = $1 AND p.status IN ", PaymentStatus::LIVE_SQL, " FOR NO KEY UPDATE");
    db::query_opt(tx, FIND, &[&order]).await?.as_ref().map(payment_of).transpose()
}

/// All payments of a locked order, the oldest first. There are few, because charges per order are limited.
pub async fn list_of_order(db: &impl GenericClient, order: OrderId) -> Result<Vec<Payment>> {
    const LIST: &str = sql!(PAYMENT, "WHERE p.order_id = $1 ORDER BY p.id");
    db::query(db, LIST, &[&order]).await?.iter().map(payment_of).collect()
}

/// The payer, for the provider. An erased person cannot pay.
pub struct Payer {
    pub name: String,
    pub email: Option<String>,
    pub tax_id: TaxId,
}

pub async fn find_payer(app: &App, db: &impl GenericClient, order: OrderId) -> Result<Payer> {
    const FIND: &str = "SELECT customer_name, customer_email, tax_id_sealed, tax_id_key FROM orders WHERE id = $1";
    let row = db::query_one(db, FIND, &[&order]).await?;
    let (sealed, key): (Option<Vec<u8>>, Option<i16>) = (row.get("tax_id_sealed"), row.get("tax_id_key"));
    let (Some(sealed), Some(key)) = (sealed, key) else {
        return Err(Error::Conflict("The order has no CPF or CNPJ any more, so it cannot be paid".into()));
    };
    Ok(Payer { name: row.get("customer_name"), email: row.get("customer_email"), tax_id: app.keys.open(&sealed, key)? })
}

/// How many charges of an order exist or may exist at a provider.
pub async fn count_charges(db: &impl GenericClient, order: OrderId) -> Result<i64> {
    const COUNT: &str = sql!(
        "SELECT count(*) FROM payments WHERE order_id = $1 AND status <> 'failed'
         AND (provider_ref IS NOT NULL OR status IN ",
        PaymentStatus::LIVE_SQL,
        ")"
    );
    Ok(db::query_one(db, COUNT, &[&order]).await?.get(0))
}

/// How many charges by a method were refused, or came back unfit, for an order.
pub async fn count_refused(db: &impl GenericClient, order: OrderId, method: &str) -> Result<i64> {
    const COUNT: &str = "SELECT count(*) FROM payments WHERE order_id = $1 AND method = $2 AND status = 'failed'";
    Ok(db::query_one(db, COUNT, &[&order, &method]).await?.get(0))
}

pub async fn insert(
    tx: &impl GenericClient,
    order: &LockedOrder,
    method: &str,
    provider: &str,
    expiry_s: i64,
) -> Result<Payment> {
    const INSERT: &str = "
        INSERT INTO payments (id, order_id, method, provider, amount_cents, method_discount_cents, tries, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, 1, now() + make_interval(secs => $7::bigint::double precision))";
    let id = PaymentId::new();
    let (total, discount) = (order.total, order.method_discount);
    db::execute(tx, INSERT, &[&id, &order.id, &method, &provider, &total, &discount, &expiry_s]).await?;
    find(tx, id).await?.ok_or_else(|| Error::Internal("a payment that was just inserted is gone".into()))
}

/// The order lives five minutes longer than its charge, and never shorter than before.
pub async fn extend_order(tx: &impl GenericClient, order: OrderId, method: &str, charge_ends: Timestamp) -> Result<()> {
    const EXTEND: &str = "
        UPDATE orders SET expires_at = greatest(expires_at, $3::timestamptz + interval '5 minutes'), payment_method = $2, updated_at = now()
         WHERE id = $1 AND status = 'pending'
           AND (expires_at < $3::timestamptz + interval '5 minutes' OR payment_method IS DISTINCT FROM $2)";
    db::execute(tx, EXTEND, &[&order, &method, &charge_ends]).await?;
    Ok(())
}

/// Counts a call that starts now.
pub async fn touch(tx: &impl GenericClient, payment: Payment) -> Result<Payment> {
    const TOUCH: &str = "UPDATE payments SET tries = tries + 1, updated_at = now() WHERE id = $1";
    db::execute(tx, TOUCH, &[&payment.id]).await?;
    Ok(Payment { tries: payment.tries + 1, ..payment })
}

/// The provider was asked, and nothing changed.
pub async fn mark_checked(db: &impl GenericClient, id: PaymentId) -> Result<()> {
    db::execute(db, "UPDATE payments SET checked_at = now(), ended_unasked = false WHERE id = $1", &[&id]).await?;
    Ok(())
}

/// The provider made the charge: the buyer can pay it, and the order lives as [`extend_order`] says. `false`: the payment is in another
/// state, or the order has another live one. The commit does not wait for the disk: a charge that is lost here is found by its key
/// (docs/decisions/0034).
pub async fn mark_pending(tx: &impl GenericClient, payment: &Payment, charge: &Charge) -> Result<bool> {
    const MARK: &str = sql!("
        WITH marked AS (
            UPDATE payments p
               SET status = 'pending', provider_ref = nullif($2, ''), copy_paste = nullif($3, ''), qr_code_url = $4, expires_at = $5,
                   error = NULL, checked_at = now(), updated_at = now()
             WHERE p.id = $1 AND p.status IN ('creating', 'unknown', 'failed')
               AND NOT EXISTS (SELECT FROM payments q WHERE q.order_id = p.order_id AND q.id <> p.id
                                AND q.status IN ", PaymentStatus::LIVE_SQL, ")
            RETURNING p.id, p.order_id, p.method, p.expires_at + interval '5 minutes' AS until, set_config('synchronous_commit', 'off', true)),
        extended AS (
            UPDATE orders o SET expires_at = greatest(o.expires_at, m.until), payment_method = m.method, updated_at = now()
              FROM marked m
             WHERE o.id = m.order_id AND o.status = 'pending' AND (o.expires_at < m.until OR o.payment_method IS DISTINCT FROM m.method))
        INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause)
        SELECT order_id, 'payment', id, $6::text, 'pending', 'the provider made the charge', $7::text, $8::text FROM marked");
    let c = charge;
    let (actor, cause) = (Actor::System.to_string(), cause::current());
    let marked: [&(dyn ToSql + Sync); 8] =
        [&payment.id, &c.txid, &c.copy_paste, &c.qr_code_url, &c.expires_at, &payment.status, &actor, &cause];
    Ok(db::execute(tx, MARK, &marked).await? == 1)
}

/// Fills in fields that are empty.
pub async fn keep_code(tx: &impl GenericClient, payment: &Payment, charge: &Charge) -> Result<()> {
    const KEEP: &str = "
        UPDATE payments SET provider_ref = coalesce(provider_ref, nullif($2, '')), copy_paste = coalesce(copy_paste, nullif($3, '')),
               qr_code_url = coalesce(qr_code_url, $4), checked_at = now() WHERE id = $1";
    db::execute(tx, KEEP, &[&payment.id, &charge.txid, &charge.copy_paste, &charge.qr_code_url]).await?;
    Ok(())
}

/// A live payment ends without money. `false`: it was not live.
pub async fn mark_ended(tx: &impl GenericClient, id: PaymentId, to: PaymentStatus, error: Option<&str>) -> Result<bool> {
    const MARK: &str = sql!(
        "
        UPDATE payments SET status = $2, error = coalesce($3, error), checked_at = now(), updated_at = now()
         WHERE id = $1 AND status IN ",
        PaymentStatus::LIVE_SQL
    );
    Ok(db::execute(tx, MARK, &[&id, &to, &error]).await? == 1)
}

/// A live payment ends without anybody having been asked: its provider is not configured any more. It is asked about once the
/// provider is configured again. `false`: it was not live.
pub async fn mark_ended_unasked(tx: &impl GenericClient, id: PaymentId, to: PaymentStatus, error: &str) -> Result<bool> {
    const MARK: &str = sql!(
        "
        UPDATE payments SET status = $2, error = $3, ended_unasked = true, updated_at = now()
         WHERE id = $1 AND status IN ",
        PaymentStatus::LIVE_SQL
    );
    Ok(db::execute(tx, MARK, &[&id, &to, &error]).await? == 1)
}

/// Marks an ended payment whose provider could not be asked, so that it is asked about once the provider is configured again.
pub async fn mark_unasked(db: &impl GenericClient, id: PaymentId) -> Result<()> {
    const MARK: &str = "
        UPDATE payments SET ended_unasked = true WHERE id = $1 AND status IN ('expired', 'cancelled', 'failed')";
    db::execute(db, MARK, &[&id]).await?;
    Ok(())
}

/// A card was refused. The intent stays open for another card. `updated_at` does not change: otherwise repeated refusals would keep
/// an order from expiring.
pub async fn note_decline(tx: &impl GenericClient, id: PaymentId, why: &str) -> Result<bool> {
    const NOTE: &str = sql!(
        "
        UPDATE payments SET error = $2 WHERE id = $1 AND status IN ",
        PaymentStatus::LIVE_SQL
    );
    Ok(db::execute(tx, NOTE, &[&id, &why]).await? == 1)
}

/// The create call failed or had no clear result. A payment that was settled meanwhile stays as it is.
pub async fn mark_unclear(tx: &impl GenericClient, id: PaymentId, to: PaymentStatus, error: &str) -> Result<bool> {
    const MARK: &str = "
        UPDATE payments SET status = $2, error = $3, updated_at = now() WHERE id = $1 AND status IN ('creating', 'unknown')";
    Ok(db::execute(tx, MARK, &[&id, &to, &error]).await? == 1)
}

/// The smallest id that a row made since then can have: ids are time-ordered, so the primary key finds recent rows.
pub fn id_floor(since: Timestamp) -> Uuid {
    let millis = u64::try_from(since.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// The order of a payment that was made with that provider.
pub async fn order_of(db: &impl GenericClient, provider: &str, id: PaymentId) -> Result<Option<OrderId>> {
    const FIND: &str = "SELECT order_id FROM payments WHERE id = $1 AND provider = $2";
    Ok(db::query_opt(db, FIND, &[&id, &provider]).await?.map(|row| row.get(0)))
}
