//! Mail: rendered once, stored, and sent under a key of its own, so that every event is told exactly once.
//!
//! A job reads the truth and writes the message in a short transaction, hands it over with no connection held, and
//! records what became of it. The provider's news of deliveries and bounces come in by its webhook.

mod facts;
mod http;
pub mod news;
mod pace;
mod send;
mod store;
mod templates;
#[cfg(test)]
mod tests;

pub use self::http::routes;
pub use self::pace::Pace;
pub use self::templates::Templates;

use self::facts::{Order, Shop};
use self::store::NewMessage;
use self::templates::{Alert, Kind, Story};
use crate::app::App;
use crate::error::Result;
use crate::ids::{OrderId, RefundId, ResetId};
use crate::jobs::Outcome;

/// Stands in stored words where a capability belongs. It is put in at the moment of sending: nobody can sign in, or open
/// a guest's order, with what lies in the table.
const TOKEN: &str = "§token§";

/// "We have your order", with how to pay for it.
pub async fn order_placed(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPlaced, |order| Some(format!("order_placed:{}", order.id))).await
}

/// The money is here.
pub async fn order_paid(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPaid, |order| order.paid_at.map(|_| format!("order_paid:{}", order.id))).await
}

/// The parcel left. A corrected tracking number is told again, the same one is not.
pub async fn order_shipped(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderShipped, |order| {
        let tracking = order.tracking_number.as_ref().filter(|_| matches!(order.status.as_str(), "shipped" | "delivered"))?;
        Some(format!("order_shipped:{}:{tracking}", order.id))
    })
    .await
}

/// Cancelled or expired. An order that was revived meanwhile is not told so; one that is cancelled again is.
pub async fn order_cancelled(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderCancelled, |order| {
        let at = order.cancelled_at.map(|at| at.as_second());
        (order.status == "cancelled").then(|| format!("order_cancelled:{}:{}", order.id, at.unwrap_or_default()))
    })
    .await
}

/// A mail about an order. `event` names what happened, or says that it is no longer so.
async fn order_mail(app: &App, id: OrderId, kind: Kind, event: impl FnOnce(&Order) -> Option<String>) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(order) = facts::lock_order(&tx, app, id).await? else {
        return Ok(Outcome::Dead("there is no such order".into()));
    };
    let event = event(&order);
    // Written by an earlier run that died before it knew what became of it, and overtaken since.
    store::withdraw(&tx, id, kind, event.as_deref()).await?;
    let Some(event) = event else {
        tx.commit().await?;
        return Ok(Outcome::Done);
    };
    if !store::has_message(&tx, &event).await? {
        let order = facts::complete(&tx, order).await?;
        let subject = kind.subject_of(&order.number);
        let words =
            app.templates.render(kind, &subject, &Story { shop: Shop::of(app), order: Some(&order), ..Story::default() })?;
        let to = order.recipient.as_deref();
        store::insert_message(&tx, app, &NewMessage { event: &event, kind, order: Some(id), user: order.user, to, words })
            .await?;
    }
    let claimed = store::claim(&tx, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claimed, &app.keys.order_token(id)).await
}

/// Money went back. Of a refund that failed or came back meanwhile nothing is told.
pub async fn refunded(app: &App, refund: RefundId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((id, refund)) = facts::refund(&tx, refund).await? else {
        return Ok(Outcome::Dead("there is no such refund".into()));
    };
    let Some(order) = facts::lock_order(&tx, app, id).await? else { return Ok(Outcome::Done) };
    let event = format!("refunded:{}", refund.id);
    if refund.has_failed {
        store::withdraw_event(&tx, id, &event).await?;
        tx.commit().await?;
        return Ok(Outcome::Done);
    }
    if !store::has_message(&tx, &event).await? {
        let subject = format!("Reembolso de {} – pedido {}", refund.amount_cents, order.number);
        let story = Story { shop: Shop::of(app), order: Some(&order), refund: Some(&refund), ..Story::default() };
        let words = app.templates.render(Kind::Refunded, &subject, &story)?;
        let to = order.recipient.as_deref();
        let new = NewMessage { event: &event, kind: Kind::Refunded, order: Some(id), user: order.user, to, words };
        store::insert_message(&tx, app, &new).await?;
    }
    let claimed = store::claim(&tx, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claimed, &app.keys.order_token(id)).await
}

/// The link that sets a new password. Nothing is sent for one that was used or has run out.
pub async fn password_reset(app: &App, reset: ResetId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(facts) = facts::reset(&tx, app, reset).await? else { return Ok(Outcome::Done) };
    let event = format!("password_reset:{reset}");
    if !store::has_message(&tx, &event).await? {
        let shop = Shop::of(app);
        let subject = format!("Redefina sua senha – {}", shop.name);
        let words =
            app.templates.render(Kind::PasswordReset, &subject, &Story { shop, reset: Some(&facts), ..Story::default() })?;
        let (user, to) = (Some(facts.user), Some(facts.recipient.as_str()));
        store::insert_message(&tx, app, &NewMessage { event: &event, kind: Kind::PasswordReset, order: None, user, to, words })
            .await?;
    }
    let claimed = store::claim(&tx, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claimed, &app.keys.reset_token(reset)).await
}

/// Tells the operator. Without an address for that, the log is told.
pub async fn alert(app: &App, subject: &str, text: &str) -> Result<Outcome> {
    let Some(to) = &app.config.mail.alert_to else {
        tracing::error!(subject, text, "an alert that nobody is mailed: ADMIN_ALERT_EMAIL is not set");
        return Ok(Outcome::Done);
    };
    let job = vitrine_kit::trace::request_id().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let event = format!("alert:{job}");
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !store::has_message(&tx, &event).await? {
        let shop = Shop::of(app);
        let title = format!("[{}] {subject}", shop.name);
        let story = Story { shop, alert: Some(Alert { title: subject, text }), ..Story::default() };
        let words = app.templates.render(Kind::Alert, &title, &story)?;
        let new = NewMessage { event: &event, kind: Kind::Alert, order: None, user: None, to: Some(to.as_str()), words };
        store::insert_message(&tx, app, &new).await?;
    }
    let claimed = store::claim(&tx, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claimed, "").await
}
