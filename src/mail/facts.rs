//! The data of messages, read when the message is written, not when its job was queued.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vitrine_kit::{Cep, Money, Phone};

use super::TOKEN;
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId, RefundId, ResetId, UserId};
use crate::lang::Lang;
use crate::sale::locks;
use crate::sale::states::{OrderPaymentStatus, OrderStatus, RefundStatus};

/// The shop as messages name it.
#[derive(Debug, Default, Serialize)]
pub struct Shop {
    pub name: String,
    pub url: String,
}

impl Shop {
    /// The shop's name is the name in the sender of its mails.
    pub fn of(app: &App) -> Self {
        Self { name: name_in(&app.config.mail.from).to_owned(), url: app.config.http.frontend_url.clone() }
    }
}

/// `Loja` of `Loja <no-reply@loja.com.br>`.
pub fn name_in(from: &str) -> &str {
    let name = from.split('<').next().unwrap_or_default().trim().trim_matches('"').trim();
    if name.is_empty() || name.contains('@') { "Vitrine" } else { name }
}

/// What messages say about an order.
#[derive(Debug, Serialize)]
pub struct Order {
    #[serde(skip)]
    pub id: OrderId,
    #[serde(skip)]
    pub user: Option<UserId>,
    /// `None`: the person was erased.
    #[serde(skip)]
    pub recipient: Option<String>,
    #[serde(skip)]
    pub lang: Lang,
    /// The number for SMS, if the buyer wants them and it is a mobile number.
    #[serde(skip)]
    pub texts_to: Option<Phone>,
    pub number: String,
    pub first_name: String,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
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
    /// The address of the order. A customer has to be signed in; a guest's has the token in it.
    pub url: String,
    /// The public tracking page.
    pub tracking_url: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
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

/// Locks and reads the order, without items and charge. The lock keeps its history in the order of the commits.
pub async fn lock_order(tx: &Transaction<'_>, app: &App, id: OrderId) -> Result<Option<Order>> {
    const FACTS: &str = "
        SELECT user_id, customer_name, customer_email, customer_phone, locale,
               coalesce((SELECT u.sms_opt_in FROM users u WHERE u.id = o.user_id), o.sms_opt_in) AS wants_texts, subtotal_cents, discount_cents, shipping_cents,
               total_cents, coupon_code, shipping_address, carrier, service, delivery_days, tracking_number,
               created_at, expires_at, paid_at, delivered_at, cancelled_at
          FROM orders o WHERE id = $1";
    let Some(locked) = locks::lock_order_for_shop(tx, id).await? else { return Ok(None) };
    let row = db::query_one(tx, FACTS, &[&id]).await?;
    let (user, number): (Option<UserId>, String) = (row.get("user_id"), locked.number);
    let (status, payment_status) = (locked.status, locked.payment_status);
    let http = &app.config.http;
    Ok(Some(Order {
        id,
        recipient: row.get("customer_email"),
        lang: Lang::of(row.get("locale")),
        texts_to: row
            .get::<_, Option<&str>>("customer_phone")
            .and_then(|phone| Phone::parse(phone).ok())
            .filter(|phone| phone.is_mobile() && row.get("wants_texts")),
        first_name: first_name(row.get("customer_name")),
        awaits_payment: status == OrderStatus::Pending && payment_status.is_unpaid(),
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
        delivered_at: row.get("delivered_at"),
        cancelled_at: row.get("cancelled_at"),
        user,
        number,
        items: Vec::new(),
        pix: None,
    }))
}

/// The address of the order's page. A guest's link has the token, because a guest has no session.
pub fn order_url(frontend_url: &str, number: &str, is_guest: bool) -> String {
    let query = if is_guest { format!("?token={TOKEN}") } else { String::new() };
    format!("{frontend_url}/pedidos/{number}{query}")
}

/// Adds the lines and the live charge.
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

/// The variant's name, unless it is the only one of its product.
fn variant(name: String, product: &str) -> Option<String> {
    Some(name).filter(|name| !name.is_empty() && name != product && !["Único", "Única"].contains(&name.as_str()))
}

fn address(value: serde_json::Value) -> Result<Address> {
    let address: Address = serde_json::from_value(value).map_err(|e| Error::Internal(format!("an order's address: {e}")))?;
    let cep = Cep::parse(&address.cep).map_or(address.cep, |cep| cep.formatted());
    Ok(Address { cep, ..address })
}

/// The longest first name of a greeting.
const FIRST_NAME_MAX: usize = 30;

/// The first name for a greeting; empty if there is none. Anybody can have a mail sent to anybody, so what a mailbox would make a link of
/// is no name: doors refuse most of it, and names of older releases are here.
pub fn first_name(name: &str) -> String {
    let first = name.split_whitespace().next().unwrap_or_default();
    let has_dot_inside = first.trim_end_matches('.').contains('.');
    if has_dot_inside || first.contains(['/', ':', '@']) { String::new() } else { first.chars().take(FIRST_NAME_MAX).collect() }
}

#[derive(Debug, Serialize)]
pub struct Refund {
    #[serde(skip)]
    pub id: RefundId,
    pub amount_cents: Money,
    pub is_done: bool,
    #[serde(skip)]
    pub has_failed: bool,
    /// The shop paid it another way than by the payment that it is of.
    pub is_paid_otherwise: bool,
    /// `pix`, `credit_card` or `wallet`: where the money goes back to.
    pub method: String,
}

/// The refund and its order.
pub async fn refund(db: &impl GenericClient, id: RefundId) -> Result<Option<(OrderId, Refund)>> {
    const REFUND: &str = "
        SELECT r.order_id, r.amount_cents, r.status, r.paid_otherwise_at IS NOT NULL AS is_paid_otherwise, p.method
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1";
    let Some(row) = db::query_opt(db, REFUND, &[&id]).await? else { return Ok(None) };
    let status: RefundStatus = row.try_get("status")?;
    let refund = Refund {
        id,
        amount_cents: row.get("amount_cents"),
        is_done: status == RefundStatus::Done,
        has_failed: status == RefundStatus::Failed,
        is_paid_otherwise: row.get("is_paid_otherwise"),
        method: row.get("method"),
    };
    Ok(Some((row.get("order_id"), refund)))
}

#[derive(Debug, Serialize)]
pub struct Reset {
    #[serde(skip)]
    pub user: UserId,
    #[serde(skip)]
    pub recipient: String,
    #[serde(skip)]
    pub lang: Lang,
    pub first_name: String,
    pub url: String,
    pub expires_at: Timestamp,
}

/// A reset that can still be used.
pub async fn reset(db: &impl GenericClient, app: &App, id: ResetId) -> Result<Option<Reset>> {
    const RESET: &str = "
        SELECT r.user_id, r.expires_at, u.name, u.email, u.locale
          FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.id = $1 AND r.used_at IS NULL AND r.expires_at > now() AND u.erased_at IS NULL";
    let row = db::query_opt(db, RESET, &[&id]).await?;
    Ok(row.map(|row| Reset {
        user: row.get("user_id"),
        recipient: row.get("email"),
        lang: Lang::of(row.get("locale")),
        first_name: first_name(row.get("name")),
        url: reset_url(&app.config.http.frontend_url),
        expires_at: row.get("expires_at"),
    }))
}

/// The address where a new password is chosen.
pub fn reset_url(frontend_url: &str) -> String {
    format!("{frontend_url}/redefinir-senha?token={TOKEN}")
}

/// A new account.
#[derive(Debug, Serialize)]
pub struct Account {
    #[serde(skip)]
    pub recipient: String,
    #[serde(skip)]
    pub lang: Lang,
    pub first_name: String,
}

pub async fn account(db: &impl GenericClient, id: UserId) -> Result<Option<Account>> {
    const ACCOUNT: &str = "SELECT name, email, locale FROM users WHERE id = $1 AND erased_at IS NULL";
    let row = db::query_opt(db, ACCOUNT, &[&id]).await?;
    Ok(row.map(|row| Account {
        recipient: row.get("email"),
        lang: Lang::of(row.get("locale")),
        first_name: first_name(row.get("name")),
    }))
}

/// An authorized invoice.
#[derive(Debug, Serialize)]
pub struct Invoice {
    pub number: String,
    pub series: String,
    /// The access key in groups of four characters.
    pub chave: String,
    pub total_cents: Money,
    /// Capabilities: anybody with these addresses can open the files.
    pub danfe_url: String,
    pub xml_url: String,
}

/// The invoice of a sale and its order. `None`: it is not authorized, or not any more.
pub async fn invoice(db: &impl GenericClient, app: &App, id: InvoiceId) -> Result<Option<(OrderId, Invoice)>> {
    const INVOICE: &str = "
        SELECT order_id, number, series, chave, total_cents FROM invoices
         WHERE id = $1 AND status = 'authorized' AND purpose = 'sale'";
    let row = db::query_opt(db, INVOICE, &[&id]).await?;
    Ok(row.map(|row| {
        let order: OrderId = row.get("order_id");
        let (danfe_url, xml_url) = invoice_urls(&app.config.http.public_url, order);
        let invoice = Invoice {
            number: row.get::<_, Option<String>>("number").unwrap_or_default(),
            series: row.get::<_, Option<String>>("series").unwrap_or_default(),
            chave: grouped(row.get::<_, Option<&str>>("chave").unwrap_or_default()),
            total_cents: row.get("total_cents"),
            danfe_url,
            xml_url,
        };
        (order, invoice)
    }))
}

/// The addresses of its files, with a mark for the capability.
pub fn invoice_urls(public_url: &str, order: OrderId) -> (String, String) {
    let url = |file: &str| format!("{public_url}/api/orders/{order}/invoice/{file}?token={TOKEN}");
    (url("danfe"), url("xml"))
}

fn grouped(chave: &str) -> String {
    let groups: Vec<String> = chave.chars().collect::<Vec<_>>().chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// `R$ 1.234,56`, and in English `R$ 1,234.56`.
pub fn money(amount: Money, lang: Lang) -> String {
    let text = amount.to_string();
    match lang {
        Lang::Pt => text,
        Lang::En => text
            .chars()
            .map(|c| {
                if c == ',' {
                    '.'
                } else if c == '.' {
                    ','
                } else {
                    c
                }
            })
            .collect(),
    }
}
