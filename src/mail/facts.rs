//! What mails tell: read when the mail is written, not when its job was pushed.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vitrine_kit::{Cep, Money};

use super::TOKEN;
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, RefundId, ResetId, UserId};

/// Who writes.
#[derive(Debug, Default, Serialize)]
pub struct Shop {
    pub name: String,
    pub url: String,
}

impl Shop {
    /// Its name is the one that its mails are from.
    pub fn of(app: &App) -> Self {
        Self { name: name_in(&app.config.mail.from).to_owned(), url: app.config.http.frontend_url.clone() }
    }
}

/// `Loja` of `Loja <no-reply@loja.com.br>`.
pub fn name_in(from: &str) -> &str {
    let name = from.split('<').next().unwrap_or_default().trim().trim_matches('"').trim();
    if name.is_empty() || name.contains('@') { "Vitrine" } else { name }
}

/// An order, as far as its buyer is told about it.
#[derive(Debug, Serialize)]
pub struct Order {
    #[serde(skip)]
    pub id: OrderId,
    #[serde(skip)]
    pub user: Option<UserId>,
    /// `None`: the person was erased.
    #[serde(skip)]
    pub recipient: Option<String>,
    pub number: String,
    pub first_name: String,
    pub status: String,
    pub payment_status: String,
    pub awaits_payment: bool,
    pub subtotal_cents: Money,
    pub discount_cents: Money,
    pub shipping_cents: Money,
    pub total_cents: Money,
    pub coupon_code: Option<String>,
    pub address: Address,
    pub carrier: String,
    pub service: String,
    pub delivery_days: i32,
    pub tracking_number: Option<String>,
    /// Opens the order: for its owner signed in, for a guest with the token in it.
    pub url: String,
    /// Public.
    pub tracking_url: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub items: Vec<Item>,
    pub pix: Option<Pix>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Address {
    pub recipient: String,
    pub cep: String,
    pub street: String,
    pub number: String,
    pub complement: Option<String>,
    pub district: String,
    pub city: String,
    pub state: String,
}

#[derive(Debug, Serialize)]
pub struct Item {
    pub name: String,
    /// `None` where the product has only one.
    pub variant: Option<String>,
    pub quantity: i32,
    pub total_cents: Money,
}

/// A charge that can still be paid.
#[derive(Debug, Serialize)]
pub struct Pix {
    pub copy_paste: String,
    pub expires_at: Timestamp,
}

/// The order under its row lock, so that its history stays in the order of commits; without items and charge.
pub async fn lock_order(tx: &Transaction<'_>, app: &App, id: OrderId) -> Result<Option<Order>> {
    const LOCK: &str = "
        SELECT user_id, customer_name, customer_email, number, status, payment_status, subtotal_cents, discount_cents, shipping_cents,
               total_cents, coupon_code, shipping_address, carrier, service, delivery_days, tracking_number,
               created_at, expires_at, paid_at, cancelled_at
          FROM orders WHERE id = $1 FOR NO KEY UPDATE";
    let Some(row) = db::query_opt(tx, LOCK, &[&id]).await? else { return Ok(None) };
    let (user, number): (Option<UserId>, String) = (row.get("user_id"), row.get("number"));
    let (status, payment_status): (String, String) = (row.get("status"), row.get("payment_status"));
    let http = &app.config.http;
    Ok(Some(Order {
        id,
        recipient: row.get("customer_email"),
        first_name: first_name(row.get("customer_name")),
        awaits_payment: status == "pending" && matches!(payment_status.as_str(), "pending_payment" | "failed"),
        status,
        payment_status,
        subtotal_cents: row.get("subtotal_cents"),
        discount_cents: row.get("discount_cents"),
        shipping_cents: row.get("shipping_cents"),
        total_cents: row.get("total_cents"),
        coupon_code: row.get("coupon_code"),
        address: address(row.get("shipping_address"))?,
        carrier: row.get("carrier"),
        service: row.get("service"),
        delivery_days: row.get("delivery_days"),
        tracking_number: row.get("tracking_number"),
        url: order_url(&http.frontend_url, &number, user.is_none()),
        tracking_url: format!("{}/tracking/{number}", http.public_url),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        paid_at: row.get("paid_at"),
        cancelled_at: row.get("cancelled_at"),
        user,
        number,
        items: Vec::new(),
        pix: None,
    }))
}

/// Where the order is looked at. A guest's link carries the token in place of a session.
pub fn order_url(frontend_url: &str, number: &str, is_guest: bool) -> String {
    let query = if is_guest { format!("?token={TOKEN}") } else { String::new() };
    format!("{frontend_url}/pedidos/{number}{query}")
}

/// Adds what was bought, and the charge that waits to be paid.
pub async fn complete(db: &impl GenericClient, order: Order) -> Result<Order> {
    const LINES: &str =
        "SELECT name, variant_name, quantity, line_total_cents FROM order_lines WHERE order_id = $1 ORDER BY position";
    const PIX: &str = "
        SELECT copy_paste, expires_at FROM payments
         WHERE order_id = $1 AND status = 'pending' AND method = 'pix' AND copy_paste IS NOT NULL AND expires_at > now()";
    let items = db::query(db, LINES, &[&order.id]).await?;
    let items = items
        .iter()
        .map(|row| Item {
            name: row.get("name"),
            variant: variant(row.get("variant_name"), row.get("name")),
            quantity: row.get("quantity"),
            total_cents: row.get("line_total_cents"),
        })
        .collect();
    let pix = db::query_opt(db, PIX, &[&order.id]).await?;
    let pix = pix.map(|row| Pix { copy_paste: row.get("copy_paste"), expires_at: row.get("expires_at") });
    Ok(Order { items, pix, ..order })
}

/// A product's only variant has a name for the shop, not for the buyer.
fn variant(name: String, product: &str) -> Option<String> {
    Some(name).filter(|name| !name.is_empty() && name != product && !["Único", "Única"].contains(&name.as_str()))
}

fn address(value: serde_json::Value) -> Result<Address> {
    let address: Address = serde_json::from_value(value).map_err(|e| Error::Internal(format!("an order's address: {e}")))?;
    let cep = Cep::parse(&address.cep).map_or(address.cep, |cep| cep.formatted());
    Ok(Address { cep, ..address })
}

/// How a person is addressed; empty where nothing is left of the name.
pub fn first_name(name: &str) -> String {
    name.split_whitespace().next().unwrap_or_default().to_owned()
}

#[derive(Debug, Serialize)]
pub struct Refund {
    #[serde(skip)]
    pub id: RefundId,
    pub amount_cents: Money,
    pub is_done: bool,
    #[serde(skip)]
    pub has_failed: bool,
    /// `pix`, `credit_card` or `wallet`: where the money comes back to.
    pub method: String,
}

/// The refund and its order.
pub async fn refund(db: &impl GenericClient, id: RefundId) -> Result<Option<(OrderId, Refund)>> {
    const REFUND: &str = "
        SELECT r.order_id, r.amount_cents, r.status, p.method
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1";
    let row = db::query_opt(db, REFUND, &[&id]).await?;
    Ok(row.map(|row| {
        let status: &str = row.get("status");
        let (is_done, has_failed) = (status == "done", status == "failed");
        (
            row.get("order_id"),
            Refund { id, amount_cents: row.get("amount_cents"), is_done, has_failed, method: row.get("method") },
        )
    }))
}

#[derive(Debug, Serialize)]
pub struct Reset {
    #[serde(skip)]
    pub user: UserId,
    #[serde(skip)]
    pub recipient: String,
    pub first_name: String,
    pub url: String,
    pub expires_at: Timestamp,
}

/// A reset that can still be used.
pub async fn reset(db: &impl GenericClient, app: &App, id: ResetId) -> Result<Option<Reset>> {
    const RESET: &str = "
        SELECT r.user_id, r.expires_at, u.name, u.email
          FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.id = $1 AND r.used_at IS NULL AND r.expires_at > now() AND u.erased_at IS NULL";
    let row = db::query_opt(db, RESET, &[&id]).await?;
    Ok(row.map(|row| Reset {
        user: row.get("user_id"),
        recipient: row.get("email"),
        first_name: first_name(row.get("name")),
        url: reset_url(&app.config.http.frontend_url),
        expires_at: row.get("expires_at"),
    }))
}

/// Where a new password is chosen.
pub fn reset_url(frontend_url: &str) -> String {
    format!("{frontend_url}/redefinir-senha?token={TOKEN}")
}
