//! Messages: rendered once, stored, and sent under a key of their own, so that every event is told exactly once.
//!
//! A job reads the truth and writes the message in a short transaction, hands it over with no connection held, and
//! records what became of it. The providers' news of deliveries and bounces come in by their webhooks.

mod desk;
pub mod digest;
mod digest_text;
mod facts;
mod http;
mod kind;
pub mod news;
pub mod preview;
mod samples;
mod send;
pub mod sms;
mod store;
mod templates;
#[cfg(test)]
mod tests;

pub use self::http::routes;
use self::templates::Templates;

use deadpool_postgres::Transaction;

use self::facts::{Order, Shop};
use self::kind::Kind;
use self::store::{Channel, Claim, NewMessage};
use self::templates::Story;
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{InvoiceId, MessageId, OrderId, RefundId, ResetId, UserId};
use crate::jobs::{self, Outcome};
use crate::lang::Lang;
use crate::sale::states::OrderStatus;

/// Stands in stored words where a capability belongs. It is put in at the moment of sending: nobody can sign in, or open
/// a guest's order, with what lies in the table.
const TOKEN: &str = "§token§";

/// Your account is there.
pub async fn welcome(app: &App, user: UserId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(account) = facts::account(&tx, user).await? else { return Ok(Outcome::Done) };
    let event = format!("welcome:{user}");
    let story = Story { lang: account.lang, account: Some(&account), ..story(app) };
    let whom = Whom { order: None, user: Some(user), to: Some(&account.recipient) };
    let (claim, _) = write(&tx, app, Kind::Welcome, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, "").await
}

/// "We have your order", with how to pay for it.
pub async fn order_placed(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPlaced, |order| Some(format!("order_placed:{}", order.id))).await
}

/// The PIX is about to run out. Of an order that is paid, ended, or has nothing left to pay by PIX, nothing is told.
pub async fn expiry_reminder(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::ExpiryReminder, |order| {
        (order.awaits_payment && order.pix.is_some()).then(|| format!("expiry_reminder:{}", order.id))
    })
    .await
}

/// The money is here.
pub async fn order_paid(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderPaid, |order| order.paid_at.map(|_| format!("order_paid:{}", order.id))).await
}

/// The parcel left. A corrected tracking number is told again, the same one is not.
pub async fn order_shipped(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderShipped, |order| {
        let tracking =
            order.tracking_number.as_ref().filter(|_| matches!(order.status, OrderStatus::Shipped | OrderStatus::Delivered))?;
        Some(format!("order_shipped:{}:{tracking}", order.id))
    })
    .await
}

/// The carrier says that it arrived.
pub async fn order_delivered(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderDelivered, |order| {
        (order.status == OrderStatus::Delivered).then(|| format!("order_delivered:{}", order.id))
    })
    .await
}

/// Cancelled or expired. An order that was revived meanwhile is not told so; one that is cancelled again is.
pub async fn order_cancelled(app: &App, order: OrderId) -> Result<Outcome> {
    order_mail(app, order, Kind::OrderCancelled, |order| {
        let at = order.cancelled_at.map(|at| at.as_second());
        (order.status == OrderStatus::Cancelled).then(|| format!("order_cancelled:{}:{}", order.id, at.unwrap_or_default()))
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
    let order = facts::complete(&tx, order).await?;
    let event = event(&order);
    // Written by an earlier run that died before it knew what became of it, and overtaken since.
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
    send::hand_over(app, claim, &app.keys.order_token(id)).await
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
    let story = Story { lang: order.lang, order: Some(&order), refund: Some(&refund), ..story(app) };
    let whom = Whom { order: Some(id), user: order.user, to: order.recipient.as_deref() };
    let (claim, _) = write(&tx, app, Kind::Refunded, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, &app.keys.order_token(id)).await
}

/// The NF-e is there. One that was cancelled meanwhile is not told.
pub async fn invoice(app: &App, invoice: InvoiceId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((id, facts)) = facts::invoice(&tx, app, invoice).await? else {
        // Cancelled since: what an earlier run wrote, and died before it knew what became of it, is no longer so.
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
    send::hand_over(app, claim, &app.keys.invoice_token(id)).await
}

/// The link that sets a new password. Nothing is sent for one that was used or has run out.
pub async fn password_reset(app: &App, reset: ResetId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(facts) = facts::reset(&tx, app, reset).await? else { return Ok(Outcome::Done) };
    let event = format!("password_reset:{reset}");
    let story = Story { lang: facts.lang, reset: Some(&facts), ..story(app) };
    let whom = Whom { order: None, user: Some(facts.user), to: Some(&facts.recipient) };
    let (claim, _) = write(&tx, app, Kind::PasswordReset, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, &app.keys.reset_token(reset)).await
}

/// A message that an admin wants sent after all: as it was written.
pub async fn again(app: &App, message: MessageId) -> Result<Outcome> {
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
    let token = match (Kind::named(&kind), order) {
        (Some(Kind::Invoice), Some(order)) => app.keys.invoice_token(order),
        (Some(Kind::PasswordReset), _) => {
            let reset: Option<ResetId> = event.split_once(':').and_then(|(_, id)| id.parse().ok());
            reset.map(|reset| app.keys.reset_token(reset)).unwrap_or_default()
        }
        (_, Some(order)) => app.keys.order_token(order),
        _ => String::new(),
    };
    let claim = store::claim(&tx, app, Channel::Email, &event).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, &token).await
}

/// The shop's own part of every story.
fn story(app: &App) -> Story<'static> {
    Story { lang: Lang::Pt, shop: Shop::of(app), ..Story::default() }
}

/// Whom a mail is for, and what it is about.
struct Whom<'a> {
    order: Option<OrderId>,
    user: Option<UserId>,
    /// `None`: the person was erased.
    to: Option<&'a str>,
}

/// The event's message, written if it was not, and claimed. `true`: it was written by this very run.
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
