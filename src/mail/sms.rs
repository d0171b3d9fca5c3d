//! SMS: an order is paid, an order is shipped; to buyers who want them. Each is one part long, and never sent twice.
//!
//! The provider has no idempotency keys. An SMS is sent again only if it was certainly not sent; after an unclear answer it has
//! failed, with the reason.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::{SignedDuration, Timestamp};
use vitrine_africastalking::{NAME, OutgoingSms, PART, Report, SmsNews, clip, plain};
use vitrine_kit::{Phone, ProviderError, said};

use super::facts::{self, Order, Shop};
use super::kind::Kind;
use super::store::{self, Channel, Claim, Claimed, NewMessage};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{MessageId, OrderId, UserId};
use crate::jobs::{Job, Outcome};
use crate::lang::Lang;
use crate::sale::outcome::EventOutcome;
use crate::sale::states::{MessageStatus, OrderStatus};
use crate::sale::transitions::message_may;

/// Most characters of a shop's or carrier's name in an SMS.
const NAME_LIMIT: usize = 24;
/// When to try again while another run sends the SMS.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(30);
/// The error of an SMS after an unclear answer.
pub const UNCLEAR: &str = "there was no clear answer: it may have arrived, and a text is never sent twice";
/// Refusals because of the recipient, not of our account: no alert is raised.
const RECIPIENTS: [&str; 5] = ["403", "404", "406", "407", "409"];
/// The owner of the number has told the provider that they want no more SMS.
const OPTED_OUT: &str = "406";
/// The error of an SMS whose telephone was off.
const ABSENT: &str = "AbsentSubscriber";

/// The job of the SMS that goes with a mail of this kind, if there is one.
pub fn of(kind: Kind, order: OrderId) -> Option<Job> {
    match kind {
        Kind::OrderPaid => Some(Job::SmsOrderPaid { order }),
        Kind::OrderShipped => Some(Job::SmsOrderShipped { order }),
        _ => None,
    }
}

pub async fn order_paid(app: &App, order: OrderId) -> Result<Outcome> {
    text(app, order, Kind::OrderPaid, |order| order.paid_at.map(|_| format!("sms_order_paid:{}", order.id))).await
}

/// A corrected tracking number is sent again, the same one is not.
pub async fn order_shipped(app: &App, order: OrderId) -> Result<Outcome> {
    text(app, order, Kind::OrderShipped, |order| {
        let tracking =
            order.tracking_number.as_ref().filter(|_| matches!(order.status, OrderStatus::Shipped | OrderStatus::Delivered))?;
        Some(format!("sms_order_shipped:{}:{tracking}", order.id))
    })
    .await
}

/// Whether the buyer wants SMS is read now, not when the job was queued.
async fn text(app: &App, id: OrderId, kind: Kind, event: impl FnOnce(&Order) -> Option<String>) -> Result<Outcome> {
    if app.providers.sms.is_none() {
        return Ok(Outcome::Done);
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(order) = facts::lock_order(&tx, app, id).await? else { return Ok(Outcome::Done) };
    let event = event(&order);
    store::withdraw(&tx, id, (Channel::Sms, kind), event.as_deref()).await?;
    let Some(event) = event else {
        tx.commit().await?;
        return Ok(Outcome::Done);
    };
    if !store::has_message(&tx, &event).await? {
        let Some(to) = &order.texts_to else { return Ok(Outcome::Done) };
        let words = words(kind, &Shop::of(app).name, &order);
        let new = NewMessage {
            event: &event,
            kind,
            channel: Channel::Sms,
            order: Some(id),
            user: order.user,
            to: Some(to.as_str()),
            subject: "",
            html: None,
            text: &words,
        };
        store::insert_message(&tx, app, &new).await?;
    }
    let claim = store::claim(&tx, app, Channel::Sms, &event).await?;
    tx.commit().await?;
    drop(db);
    hand_over(app, claim).await
}

/// The text, one part of ASCII: the longest wording that fits.
pub fn words(kind: Kind, shop: &str, order: &Order) -> String {
    let (shop, number, url) = (clip(&plain(shop), NAME_LIMIT), plain(&order.number), plain(&order.tracking_url));
    let carrier = clip(&plain(&order.carrier), NAME_LIMIT);
    let code = plain(order.tracking_number.as_deref().unwrap_or_default());
    let wordings = match (kind, order.lang) {
        (Kind::OrderShipped, Lang::Pt) => vec![
            format!("{shop}: pedido {number} enviado por {carrier}, rastreio {code}. Acompanhe: {url}"),
            format!("{shop}: pedido {number} enviado. Acompanhe: {url}"),
            format!("{shop}: pedido {number} enviado por {carrier}."),
        ],
        (Kind::OrderShipped, Lang::En) => vec![
            format!("{shop}: order {number} shipped by {carrier}, tracking code {code}. Follow it: {url}"),
            format!("{shop}: order {number} shipped. Follow it: {url}"),
            format!("{shop}: order {number} shipped by {carrier}."),
        ],
        (_, Lang::Pt) => vec![
            format!("{shop}: pagamento do pedido {number} confirmado. Acompanhe: {url}"),
            format!("{shop}: pagamento do pedido {number} confirmado."),
        ],
        (_, Lang::En) => vec![
            format!("{shop}: payment of order {number} confirmed. Follow it: {url}"),
            format!("{shop}: payment of order {number} confirmed."),
        ],
    };
    let fits = wordings.iter().find(|wording| wording.len() <= PART).or(wordings.last());
    clip(fits.map_or("", String::as_str), PART)
}

/// Sends a claimed SMS, unless an earlier try may have sent it.
pub(super) async fn hand_over(app: &App, claim: Claim) -> Result<Outcome> {
    let message = match claim {
        Claim::Ours(message) => message,
        Claim::Elsewhere => return Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)),
        Claim::Left | Claim::Nothing => return Ok(Outcome::Done),
    };
    let (Some(provider), Ok(to)) = (&app.providers.sms, Phone::parse(&message.recipient)) else {
        return fail(app, &message, "the number cannot be written to", true, Outcome::Done).await;
    };
    if message.open_tries > 0 {
        return fail_as_unclear(app, &message).await;
    }
    match provider.send(&OutgoingSms { to, text: message.text.clone() }).await {
        Ok(provider_ref) => {
            let mut db = app.db().await?;
            let tx = db.transaction().await?;
            lock_ref(&tx, &provider_ref).await?;
            store::mark_sent(&tx, &message, &provider_ref).await?;
            apply_early_report(&tx, &message, &provider_ref).await?;
            tx.commit().await?;
            Ok(Outcome::Done)
        }
        Err(ProviderError::Rejected { code, message: words, .. }) => {
            let why = said(&code, &words);
            if code == OPTED_OUT {
                opt_out(&app.db().await?, message.user, message.order).await?;
            }
            let end = if RECIPIENTS.contains(&code.as_str()) { Outcome::Done } else { Outcome::Dead(why.clone()) };
            fail(app, &message, &why, true, end).await
        }
        Err(ProviderError::Unknown { .. }) => fail(app, &message, UNCLEAR, false, Outcome::Done).await,
        Err(error) => {
            store::note_trouble(&app.db().await?, &message, &error.to_string(), true).await?;
            Err(error.into())
        }
    }
}

/// An earlier try had an unclear answer: the SMS has failed. Only that try counts; later runs, this one too, sent nothing.
async fn fail_as_unclear(app: &App, message: &Claimed) -> Result<Outcome> {
    const ONE_TRY: &str = "UPDATE messages SET open_tries = 2 WHERE id = $1 AND channel = 'sms' AND open_tries > 2";
    db::execute(&app.db().await?, ONE_TRY, &[&message.id]).await?;
    fail(app, message, UNCLEAR, true, Outcome::Done).await
}

async fn fail(app: &App, message: &Claimed, why: &str, is_unsent: bool, end: Outcome) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    store::mark_failed(&tx, message, why, is_unsent).await?;
    tx.commit().await?;
    tracing::warn!(message.id = %message.id, why, "a text was not sent");
    Ok(end)
}

/// A buyer who opted out at the provider is opted out here.
async fn opt_out(db: &impl GenericClient, user: Option<UserId>, order: Option<OrderId>) -> Result<()> {
    const CUSTOMER: &str = "UPDATE users SET sms_opt_in = false, updated_at = now() WHERE id = $1 AND sms_opt_in";
    const GUEST: &str = "UPDATE orders SET sms_opt_in = false WHERE id = $1 AND user_id IS NULL AND sms_opt_in";
    db::execute(db, CUSTOMER, &[&user]).await?;
    db::execute(db, GUEST, &[&order]).await?;
    Ok(())
}

/// A report may come before we have written down the provider's id of its SMS. This lock makes the two transactions run one after
/// the other, so that the second sees the first.
async fn lock_ref(tx: &Transaction<'_>, provider_ref: &str) -> Result<()> {
    db::query_one(tx, "SELECT pg_advisory_xact_lock(hashtextextended('sms:' || $1, 0))", &[&provider_ref]).await?;
    Ok(())
}

/// Applies a report that came before the answer. Of several, the first; that the telephone was off counts only if there is no
/// other.
async fn apply_early_report(tx: &Transaction<'_>, message: &Claimed, provider_ref: &str) -> Result<()> {
    const EARLY: &str = "
        SELECT convert_from(body, 'UTF8') AS body FROM webhook_events
         WHERE provider = $1
           AND event_id IN ($2 || ':Success', $2 || ':Failed', $2 || ':Rejected', $2 || ':Expired', $2 || ':AbsentSubscriber')
         ORDER BY event_id = $2 || ':AbsentSubscriber', received_at LIMIT 1";
    if let Some(row) = db::query_opt(tx, EARLY, &[&NAME, &provider_ref]).await? {
        let report = vitrine_africastalking::read_report(row.get::<_, &str>("body").as_bytes());
        record_sms_report(tx, message.id, message.order, &report).await?;
    }
    Ok(())
}

/// Applies a report. Returns its outcome for the inbox, and the order that it is about. The caller commits.
///
/// A report about an unknown SMS has no effect: it is not ours, or it is just being sent, and then [`apply_early_report`] finds
/// the report.
pub async fn apply_sms_report(tx: &Transaction<'_>, report: &Report) -> Result<(EventOutcome, Option<OrderId>)> {
    const FIND: &str = "SELECT id, order_id FROM messages WHERE provider_ref = $1 AND provider = $2";
    lock_ref(tx, &report.id).await?;
    let Some(row) = db::query_opt(tx, FIND, &[&report.id, &NAME]).await? else { return Ok((EventOutcome::Unknown, None)) };
    let order = row.get("order_id");
    Ok((record_sms_report(tx, row.get("id"), order, report).await?, order))
}

/// `sent` → `delivered` or `failed`. An SMS that failed because the telephone was off may still be delivered.
async fn record_sms_report(
    tx: &impl GenericClient,
    id: MessageId,
    order: Option<OrderId>,
    report: &Report,
) -> Result<EventOutcome> {
    const FIND: &str = "SELECT status, error, user_id FROM messages WHERE id = $1";
    const MARK: &str = "UPDATE messages SET status = $2, error = nullif($3, '') WHERE id = $1 AND status = $4";
    let (to, why) = match &report.news {
        SmsNews::Delivered => (MessageStatus::Delivered, ""),
        SmsNews::Failed { reason } => (MessageStatus::Failed, reason.as_str()),
        SmsNews::Absent => (MessageStatus::Failed, ABSENT),
        SmsNews::Underway => return Ok(EventOutcome::Ignored),
    };
    let row = db::query_one(tx, FIND, &[&id]).await?;
    let from: MessageStatus = row.try_get("status")?;
    let was_absent = from == MessageStatus::Failed && row.get::<_, Option<&str>>("error") == Some(ABSENT);
    if !message_may(from, to) || (from == MessageStatus::Failed && !was_absent) {
        return Ok(EventOutcome::AlreadyDone);
    }
    if report.news.says_no_more() {
        opt_out(tx, row.get("user_id"), order).await?; // locks the person before the order, as an erasure does
    }
    store::lock_order(tx, order).await?;
    if db::execute(tx, MARK, &[&id, &to, &why, &from]).await? == 0 {
        return Ok(EventOutcome::AlreadyDone);
    }
    store::record_message_history(tx, order, id, (Some(from), to), why, Actor::Provider(NAME)).await?;
    Ok(EventOutcome::Applied)
}

/// The report as the inbox keeps it: without the number, so that an erasure has nothing to do here.
pub fn without_number(report: &Report) -> Vec<u8> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("id", &report.id).append_pair("status", &report.status);
    if let SmsNews::Failed { reason } = &report.news {
        form.append_pair("failureReason", reason);
    }
    form.finish().into_bytes()
}
