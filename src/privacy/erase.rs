//! Erasure (LGPD, article 18, VI): the person is removed from every table; what was sold stays.
//!
//! What stays, and on which ground: orders, lines, payments and their history without the person (the shop's own books);
//! fiscal documents as they were issued (tax law); `coupon_persons`, a keyed hash that counts a coupon's uses and names nobody.

use deadpool_postgres::Transaction;
use secrecy::SecretString;

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, UserId};
use crate::sale::locks::{self, LockedOrder};
use crate::users::store;

/// Erases the person who knows the password. 409 while an order is open or its invoice is being issued, and for administrators.
pub async fn erase(app: &App, id: UserId, password: SecretString) -> Result<()> {
    const MESSAGES: &str = "
        UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL WHERE user_id = $1";
    let stored = store::find_password(&app.db().await?, id).await?;
    if !app.hasher.verify(password, stored.clone()).await? {
        return Err(Error::field("password", "is not the password of this account"));
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    lock(&tx, id, stored.as_deref()).await?;
    let orders = not_open(&locks::lock_orders_of_user(&tx, id).await?)?;
    invoices_are_kept(&tx, &orders).await?;
    forget_person(&tx, id).await?;
    db::execute(&tx, MESSAGES, &[&id]).await?;
    forget_in_orders(&tx, &orders).await?;
    tx.commit().await?;
    app.standings.forget(id);
    tracing::info!(user.id = %id, "a person was erased");
    Ok(())
}

/// Locks the cart, then the person: the same order as in a checkout, so that the two cannot deadlock and no order is missed.
async fn lock(tx: &Transaction<'_>, id: UserId, password_hash: Option<&str>) -> Result<()> {
    const CART: &str = "SELECT FROM carts WHERE user_id = $1 FOR UPDATE";
    const PERSON: &str = "SELECT role FROM users WHERE id = $1 AND password_hash = $2 AND erased_at IS NULL FOR UPDATE";
    db::query(tx, CART, &[&id]).await?;
    let row = db::query_opt(tx, PERSON, &[&id, &password_hash]).await?;
    let row = row.ok_or_else(|| Error::Conflict("The password was changed at this moment: try again".into()))?;
    if row.get::<_, &str>("role") == "admin" {
        return Err(Error::Conflict("An administrator cannot be erased: let another one take the role away first".into()));
    }
    Ok(())
}

/// The ids of these orders, none of which is open: an open one needs its person.
pub(super) fn not_open(orders: &[LockedOrder]) -> Result<Vec<OrderId>> {
    match orders.iter().find(|order| order.is_unfinished()) {
        None => Ok(orders.iter().map(|order| order.id).collect()),
        Some(order) => {
            Err(Error::Conflict(format!("Order {} is still open: cancel it or wait until it has arrived", order.number)))
        }
    }
}

/// The invoice of a sale names its buyer, and a return names the same one: it has to stand, and its XML to be here, before the buyer is
/// erased. An XML that the provider has not given in three days is waited for no longer.
///
/// Errors: 409 it is still on its way, or the shop has to mend it first.
pub(super) async fn invoices_are_kept(tx: &Transaction<'_>, orders: &[OrderId]) -> Result<()> {
    const MISSING: &str = "
        SELECT o.number FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.order_id = ANY ($1) AND i.purpose = 'sale' AND i.cancel_reason IS NULL
           AND ((i.status IN ('pending', 'processing', 'rejected') AND o.status = 'delivered')
                OR (i.status = 'authorized' AND i.xml IS NULL AND i.authorized_at > now() - interval '3 days'))
         ORDER BY o.id LIMIT 1";
    match db::query_opt(tx, MISSING, &[&orders]).await? {
        None => Ok(()),
        Some(row) => {
            let number: String = row.get("number");
            let why = "is still being issued, which tax law asks of the shop: try again later, or ask the shop";
            Err(Error::Conflict(format!("The invoice of order {number} {why}")))
        }
    }
}

/// Empties the account and deletes what belongs to it alone. An address that cannot receive mail takes the e-mail's place.
async fn forget_person(tx: &Transaction<'_>, id: UserId) -> Result<()> {
    const PERSON: &str = "
        UPDATE users SET name = '(removido)', email = 'removido-' || id || '@invalid', password_hash = NULL, role = 'user', phone = NULL,
               tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL, totp_sealed = NULL, totp_key = NULL, totp_last_step = NULL,
               sms_opt_in = false, locale = 'pt-BR', mail_blocked_at = NULL, erased_at = now(), updated_at = now()
         WHERE id = $1";
    const BELONGINGS: [&str; 5] = [
        "DELETE FROM addresses WHERE user_id = $1",
        "DELETE FROM carts WHERE user_id = $1",
        "DELETE FROM sessions WHERE user_id = $1",
        "DELETE FROM password_resets WHERE user_id = $1",
        "DELETE FROM email_changes WHERE user_id = $1",
    ];
    const FIRST_ANSWERS: &str = "
        DELETE FROM idempotency_keys WHERE starts_with(scope, 'user:' || $1::text) OR starts_with(scope, 'admin:' || $1::text)";
    db::execute(tx, PERSON, &[&id]).await?;
    for belongings in BELONGINGS {
        db::execute(tx, belongings, &[&id]).await?;
    }
    db::execute(tx, FIRST_ANSWERS, &[&id.to_string()]).await?;
    Ok(())
}

/// Of an order, the region it went to stays (freight is disputed by it), of a change that it was made but not the words that
/// people wrote about it, of a message that it was sent, of a provider's event that it came.
pub(super) async fn forget_in_orders(tx: &Transaction<'_>, orders: &[OrderId]) -> Result<()> {
    const ORDERS: &str = "
        UPDATE orders SET customer_name = '(removido)', customer_email = NULL, customer_phone = NULL, locale = 'pt-BR', sms_opt_in = false, notes = NULL, cancel_reason = NULL,
               tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL, state_registration = NULL, updated_at = now(),
               shipping_address = jsonb_build_object('city', shipping_address -> 'city', 'state', shipping_address -> 'state',
                                                     'cep', shipping_address -> 'cep')
         WHERE id = ANY($1)";
    const MESSAGES: &str = "
        UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL WHERE order_id = ANY($1)";
    const EVENTS: &str = "
        UPDATE webhook_events SET body = '' WHERE order_id = ANY($1)";
    const REASONS: &str = "
        UPDATE order_history SET reason = ''
         WHERE order_id = ANY($1) AND actor ~ '^(user|admin|guest)' AND reason <> ''";
    const REFUNDS: &str = "
        UPDATE refunds SET reason = '(removido)', note = CASE WHEN note IS NOT NULL THEN '(removido)' END WHERE order_id = ANY($1)";
    const DISPUTES: &str = "
        UPDATE disputes SET note = '(removido)' WHERE note IS NOT NULL AND order_id = ANY($1)";
    // A label shows the recipient to everybody who has its link.
    const LABELS: &str = "
        UPDATE shipments SET label_url = NULL, error = NULL WHERE order_id = ANY($1)";
    for forget in [ORDERS, MESSAGES, EVENTS, REASONS, REFUNDS, DISPUTES, LABELS] {
        db::execute(tx, forget, &[&orders]).await?;
    }
    Ok(())
}
