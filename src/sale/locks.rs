//! The locks of a sale, each spelled once.
//!
//! Order of locks, the same in every transaction: the order, then its payment, then its refund or dispute, its invoice, its
//! shipment or its message, then its coupon, then variants by id. Whoever takes them in this order never waits in a ring.
//! A checkout has no order yet: it locks the cart first, and the coupon and the variants last.
//!
//! An order is locked by `FOR NO KEY UPDATE`: rows that point at it can still be added by others.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use vitrine_kit::Money;

use super::states::{OrderPaymentStatus, OrderStatus};
use super::viewer::Viewer;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId, PaymentId, ShipmentId, UserId};

/// An order under its lock: what decisions are made by.
#[derive(Debug, Clone)]
pub struct LockedOrder {
    pub id: OrderId,
    pub number: String,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
    pub total: Money,
    /// The goods, after the coupon and before what the method takes off.
    pub goods: Money,
    pub method_discount: Money,
    /// The buyer fetches it: no carrier has it.
    pub is_pickup: bool,
    pub expires_at: Timestamp,
    /// Its time to be paid is over, by the database's clock.
    pub is_over: bool,
    /// Seconds since it was placed, by the database's clock.
    pub age_s: i64,
}

impl LockedOrder {
    /// The buyer or the shop still has something to do for it.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.status, OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Shipped)
    }

    /// It waits for money.
    pub fn is_open(&self) -> bool {
        self.status == OrderStatus::Pending && self.payment_status == OrderPaymentStatus::PendingPayment
    }
}

/// What [`order_of`] reads.
const ORDER: &str = "
    SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o ";

fn order_of(row: &Row) -> Result<LockedOrder> {
    Ok(LockedOrder {
        id: row.get("id"),
        number: row.get("number"),
        status: row.try_get("status")?,
        payment_status: row.try_get("payment_status")?,
        total: row.get("total_cents"),
        goods: row.get("goods_cents"),
        method_discount: row.get("method_discount_cents"),
        is_pickup: row.get("is_pickup"),
        expires_at: row.get("expires_at"),
        is_over: row.get("is_over"),
        age_s: row.get("age_s"),
    })
}

/// Locks an order that this viewer may see. 404 where there is none.
pub async fn lock_order(tx: &impl GenericClient, order: OrderId, viewer: Viewer) -> Result<LockedOrder> {
    const LOCK: &str = sql!(ORDER, "WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) FOR NO KEY UPDATE");
    let (sees_all, owner) = viewer.scope();
    let row = db::query_opt(tx, LOCK, &[&order, &sees_all, &owner]).await?;
    order_of(&row.ok_or(Error::NotFound("The order"))?)
}

/// The same order without a lock, for what only shows it.
pub async fn find_order(db: &impl GenericClient, order: OrderId, viewer: Viewer) -> Result<LockedOrder> {
    const FIND: &str = sql!(ORDER, "WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)");
    let (sees_all, owner) = viewer.scope();
    let row = db::query_opt(db, FIND, &[&order, &sees_all, &owner]).await?;
    order_of(&row.ok_or(Error::NotFound("The order"))?)
}

/// Locks all orders of an account, by their ids.
pub async fn lock_orders_of_user(tx: &impl GenericClient, user: UserId) -> Result<Vec<LockedOrder>> {
    const LOCK: &str = sql!(ORDER, "WHERE o.user_id = $1 ORDER BY o.id FOR NO KEY UPDATE");
    db::query(tx, LOCK, &[&user]).await?.iter().map(order_of).collect()
}

/// Locks all orders that were placed without an account, by the look-up hashes of a document or by an e-mail, by their ids.
pub async fn lock_orders_of_guest(
    tx: &impl GenericClient,
    documents: &[Vec<u8>],
    email: Option<&str>,
) -> Result<Vec<LockedOrder>> {
    const OF_EMAIL: &str = sql!(ORDER, "WHERE o.user_id IS NULL AND o.customer_email = $1 ORDER BY o.id FOR NO KEY UPDATE");
    // No index finds a document among all orders: it is asked for too seldom to be paid for by every checkout.
    const OF_DOCUMENT: &str = sql!(
        ORDER,
        "WHERE o.user_id IS NULL AND (o.tax_id_hash = ANY($1) OR o.customer_email = $2) ORDER BY o.id FOR NO KEY UPDATE"
    );
    let rows = if documents.is_empty() {
        db::query(tx, OF_EMAIL, &[&email]).await?
    } else {
        db::query(tx, OF_DOCUMENT, &[&documents, &email]).await?
    };
    rows.iter().map(order_of).collect()
}

/// Locks an order for the shop itself: jobs and webhooks act for no viewer.
pub async fn lock_order_for_shop(tx: &impl GenericClient, order: OrderId) -> Result<Option<LockedOrder>> {
    const LOCK: &str = sql!(ORDER, "WHERE o.id = $1 FOR NO KEY UPDATE");
    db::query_opt(tx, LOCK, &[&order]).await?.as_ref().map(order_of).transpose()
}

/// The statement of [`lock_order_of_payment`].
pub const LOCK_ORDER_OF_PAYMENT: &str =
    sql!(ORDER, "WHERE o.id = (SELECT order_id FROM payments WHERE id = $1) FOR NO KEY UPDATE");

/// Locks the order of a payment. Lock the payment next.
pub async fn lock_order_of_payment(tx: &impl GenericClient, payment: PaymentId) -> Result<Option<LockedOrder>> {
    db::query_opt(tx, LOCK_ORDER_OF_PAYMENT, &[&payment]).await?.as_ref().map(order_of).transpose()
}

/// Locks the order of an invoice. Lock the invoice next.
pub async fn lock_order_of_invoice(tx: &impl GenericClient, invoice: InvoiceId) -> Result<Option<LockedOrder>> {
    const LOCK: &str = sql!(ORDER, "WHERE o.id = (SELECT order_id FROM invoices WHERE id = $1) FOR NO KEY UPDATE");
    db::query_opt(tx, LOCK, &[&invoice]).await?.as_ref().map(order_of).transpose()
}

/// Locks the order of a shipment. Lock the shipment next.
pub async fn lock_order_of_shipment(tx: &impl GenericClient, shipment: ShipmentId) -> Result<Option<LockedOrder>> {
    const LOCK: &str = sql!(ORDER, "WHERE o.id = (SELECT order_id FROM shipments WHERE id = $1) FOR NO KEY UPDATE");
    db::query_opt(tx, LOCK, &[&shipment]).await?.as_ref().map(order_of).transpose()
}
