//! Messages: mails and SMS. Each is rendered once, stored, and sent under a key of its own, so that every event has exactly one
//! message.
//!
//! A job reads the present state and writes the message in a short transaction, sends it with no connection held, and records the
//! result. Where more are written than the provider takes calls, one job sends many by a call. Providers report deliveries and
//! bounces by webhook.

mod account;
pub mod batch;
mod desk;
pub mod digest;
mod digest_text;
mod facts;
mod http;
mod kind;
mod link;
pub mod news;
mod notice;
pub mod preview;
mod samples;
mod send;
pub mod sms;
mod store;
mod templates;
#[cfg(test)]
mod tests;

pub use self::account::{email_changed, email_confirm, order_link, password_changed, password_reset, privacy_request, welcome};
pub use self::http::routes;
use self::templates::Templates;

use deadpool_postgres::Transaction;

use self::facts::{Order, Shop};
use self::kind::Kind;
use self::link::Link;
use self::store::{Channel, Claim, NewMessage};
use self::templates::Story;
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{InvoiceId, MessageId, OrderId, RefundId, UserId};
use crate::jobs::{self, Outcome};
use crate::lang::Lang;
use crate::sale::states::OrderStatus;

/// The mark for a capability in a stored text. The capability is inserted when the message is sent: nobody can sign in, or open a
/// guest's order, with the stored text.
const TOKEN: &str = "§token§";

/// Mails that the order was placed, and how to pay.
pub async fn order_placed(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPlaced, |order| Some(format!("order_placed:{}", order.id))).await
}

/// Mails that the PIX is about to expire. Nothing is sent if the order is paid, has ended, or has no live PIX.
pub async fn expiry_reminder(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::ExpiryReminder, |order| {
        (order.awaits_payment && order.pix.is_some()).then(|| format!("expiry_reminder:{}", order.id))
    })
    .await
}

/// Mails that the order is paid.
pub async fn order_paid(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPaid, |order| order.paid_at.map(|_| format!("order_paid:{}", order.id))).await
}

/// Mails that the order was shipped. A corrected tracking number is mailed again, the same one is not.
pub async fn order_shipped(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderShipped, |order| {
        let tracking =
            order.tracking_number.as_ref().filter(|_| matches!(order.status, OrderStatus::Shipped | OrderStatus::Delivered))?;
        Some(format!("order_shipped:{}:{tracking}", order.id))
    })
    .await
}

/// Mails that the order was delivered.
pub async fn order_delivered(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderDelivered, |order| {
        (order.status == OrderStatus::Delivered).then(|| format!("order_delivered:{}", order.id))
    })
    .await
}

/// Mails that the order was cancelled or expired. Nothing is sent if it was paid meanwhile; a second cancellation is mailed
/// again.
pub async fn order_cancelled(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderCancelled, |order| {
        let at = order.cancelled_at.map(|at| at.as_second());
        (order.status == OrderStatus::Cancelled).then(|| format!("order_cancelled:{}:{}", order.id, at.unwrap_or_default()))
    })
    .await
}

/// A mail about an order. `event` gives the event's key; `None`: it is no longer so, and nothing is sent.
async fn order_mail(app: &App, id: OrderId, kind: Kind, event: impl FnOnce(&Order) -> Option<String>) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(order) = facts::lock_order(&tx, app, id).await? else {
        return Ok(Outcome::Dead("there is no such order".into()));
    };
    let order = facts::complete(&tx, order).await?;
    let event = event(&order);
    // An earlier run may have written the message and died before sending it. It is no longer so, and is withdrawn.
    store::withdraw(&tx, id, (Channel::Email, kind), event.as_deref()).await?;
    let Some(event) = event else {
        tx.commit().await?;
        return Ok(Outcome::Done);
    };
    let story = Story { lang: order.lang, order: Some(&order), ..story(app) };
    let whom = Whom { order: Some(id), user: order.user, to: order.recipient.as_deref() };
    let (claim, is_new) = write(&tx, app, kind, &event, &whom, &story).await?;
    if let Some(text) = sms::of(kind, id).filter(|_| is_new && app.providers.sms.is_some() && order.texts_to.is_some()) {
        jobs::push(&tx, text).await?;
    }
    tx.commit().await?;
    drop(db);
    app.jobs_were_pushed();
    send::hand_over(app, claim, Link::Order(id)).await
}

/// Mails that money was refunded. Nothing is sent if the refund failed or came back meanwhile, unless the shop then paid it another way.
pub async fn refunded(app: &App, refund: RefundId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((id, refund)) = facts::refund(&tx, refund).await? else {
        return Ok(Outcome::Dead("there is no such refund".into()));
    };
    let Some(order) = facts::lock_order(&tx, app, id).await? else { return Ok(Outcome::Done) };
    let made = format!("refunded:{}", refund.id);
    let event = if refund.is_paid_otherwise { format!("refunded:{}:otherwise", refund.id) } else { made.clone() };
    if refund.has_failed || refund.is_paid_otherwise {
        store::withdraw_event(&tx, id, &made).await?; // it failed, or came back, after that was written
    }
    if refund.has_failed {
        tx.commit().await?;
        return Ok(Outcome::Done);
    }
    let story = Story { lang: order.lang, order: Some(&order), refund: Some(&refund), ..story(app) };
    let whom = Whom { order: Some(id), user: order.user, to: order.recipient.as_deref() };
    let (claim, _) = write(&tx, app, Kind::Refunded, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, Link::Order(id)).await
}

/// Mails the NF-e. Nothing is sent if it was cancelled meanwhile.
pub async fn invoice(app: &App, invoice: InvoiceId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((id, facts)) = facts::invoice(&tx, app, invoice).await? else {
        // Cancelled meanwhile. An earlier run may have written the message and died before sending it: it is withdrawn.
        const ORDER: &str = "SELECT order_id FROM invoices WHERE id = $1";
        if let Some(row) = db::query_opt(&tx, ORDER, &[&invoice]).await? {
            let order: OrderId = row.get("order_id");
            store::lock_order(&tx, Some(order)).await?;
            store::withdraw_event(&tx, order, &format!("invoice:{invoice}")).await?;
        }
        tx.commit().await?;
        return Ok(Outcome::Done);
    };
    let Some(order) = facts::lock_order(&tx, app, id).await? else { return Ok(Outcome::Done) };
    let event = format!("invoice:{invoice}");
    let story = Story { lang: order.lang, order: Some(&order), invoice: Some(&facts), ..story(app) };
    let whom = Whom { order: Some(id), user: order.user, to: order.recipient.as_deref() };
    let (claim, _) = write(&tx, app, Kind::Invoice, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, Link::Invoice(id)).await
}

/// Sends a message as it was written by a call of its own: it failed and an administrator asked for it, or its batch was refused.
pub async fn send_again(app: &App, message: MessageId) -> Result<Outcome> {
    const FIND: &str = "SELECT event, kind, channel, order_id FROM messages WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(row) = db::query_opt(&tx, FIND, &[&message]).await? else { return Ok(Outcome::Done) };
    let (event, kind, order): (String, String, Option<OrderId>) = (row.get("event"), row.get("kind"), row.get("order_id"));
    store::lock_order(&tx, order).await?;
    if row.get::<_, &str>("channel") == Channel::Sms.word() {
        let claim = store::claim(&tx, app, Channel::Sms, &event).await?;
        tx.commit().await?;
        drop(db);
        return sms::hand_over(app, claim).await;
    }
    let link = Link::of(Kind::named(&kind), order, &event);
    let claim = store::claim(&tx, app, Channel::Email, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over_alone(app, claim, link).await
}

/// The part of a template's data that is the same for every message.
fn story(app: &App) -> Story<'static> {
    Story { lang: Lang::Pt, shop: Shop::of(app), ..Story::default() }
}

/// The recipient of a mail, and what it is about.
struct Whom<'a> {
    order: Option<OrderId>,
    user: Option<UserId>,
    /// `None`: the person was erased.
    to: Option<&'a str>,
}

/// Writes the event's message, unless it is written already, and claims it. `true`: this run wrote it.
async fn write(
    tx: &Transaction<'_>,
    app: &App,
    kind: Kind,
    event: &str,
    whom: &Whom<'_>,
    story: &Story<'_>,
) -> Result<(Claim, bool)> {
    let mut is_new = false;
    if !store::has_message(tx, event).await? {
        let words = Templates::get()?.render(kind, story)?;
        let new = NewMessage {
            event,
            kind,
            channel: Channel::Email,
            order: whom.order,
            user: whom.user,
            to: whom.to,
            subject: &words.subject,
            html: Some(&words.html),
            text: &words.text,
        };
        is_new = store::insert_message(tx, app, &new).await?;
    }
    Ok((store::claim(tx, app, Channel::Email, event).await?, is_new))
}
