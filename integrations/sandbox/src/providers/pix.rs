//! The life of a charge and its refunds, the same at every PIX provider.

use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::books::disputes::Dispute;
use crate::books::{Books, Charge, ChargeStatus, Extra, Refund, RefundOrigin, RefundStatus, Refusal, Shortage};
use crate::formats::brcode;
use crate::world::news::News;
use crate::world::orders::{Nature, Refused, SendWebhook, TakeBack};
use crate::world::{World, webhooks};

/// Expires and settles all that is due.
pub(crate) fn pass_time(world: &World, books: &mut Books, now: Timestamp) {
    while let Some(charge) = books.charges.first_due(now).cloned() {
        expire(world, books, charge, now); // it leaves the waiting ones, so this ends
    }
    while let Some(refund) = books.refunds.first_due(now).cloned() {
        let fails = |n: u32| n.checked_sub(1);
        let is_to_fail = match refund.shortage {
            Some(Shortage::Fails) => true,
            _ => world.refunds_to_fail.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok(),
        };
        let status = if is_to_fail { RefundStatus::Failed } else { RefundStatus::Done };
        settle_refund(world, books, refund, status, SendWebhook::Once);
    }
}

pub(crate) fn expire(world: &World, books: &mut Books, mut charge: Charge, now: Timestamp) -> Charge {
    charge.status = ChargeStatus::Expired;
    charge.expires_at = charge.expires_at.min(now);
    books.put(charge.clone());
    webhooks::tell(world, books, &News::Charge(&charge, "payment.expired"), SendWebhook::Once);
    charge
}

/// Voids an unpaid charge. One that has ended unpaid stays as it is.
pub(crate) fn cancel(world: &World, books: &mut Books, charge: &Charge) -> Result<Charge, Refused> {
    let mut charge = charge.clone();
    if charge.status.was_paid() {
        return Err(Refused::AlreadyPaid);
    }
    if charge.status == ChargeStatus::Pending {
        charge.status = ChargeStatus::Cancelled;
        books.put(charge.clone());
        webhooks::tell(world, books, &News::Charge(&charge, "payment.cancelled"), SendWebhook::Once);
    }
    Ok(charge)
}

/// The payer's bank settles. `force`: even a charge that expired or was cancelled, as banks do.
pub(crate) fn pay(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    amount_cents: Option<i64>,
    webhook: SendWebhook,
    force: bool,
) -> Result<Charge, Refused> {
    let mut charge = charge.clone();
    let paid_cents = amount_cents.unwrap_or(charge.amount_cents);
    if paid_cents <= 0 {
        return Err(Refused::Invalid("amount_cents must be positive".into()));
    }
    match charge.status {
        ChargeStatus::Pending => {}
        ChargeStatus::Expired | ChargeStatus::Cancelled if force => {}
        ChargeStatus::Expired | ChargeStatus::Cancelled => {
            return Err(Refused::NotPayable(charge.status));
        }
        _ => return Err(Refused::AlreadyPaid),
    }
    let now = Timestamp::now();
    charge.status = ChargeStatus::Paid;
    charge.paid_cents = Some(paid_cents);
    charge.paid_at = Some(now);
    charge.end_to_end_id = Some(end_to_end_id('E', now));
    books.put(charge.clone());
    webhooks::tell(world, books, &News::Charge(&charge, "payment.paid"), webhook);
    Ok(charge)
}

/// What a refund is asked with.
#[derive(Default)]
pub(crate) struct NewRefund {
    pub(crate) refund_id: String,
    pub(crate) amount_cents: i64,
    pub(crate) reason: String,
    pub(crate) request_hash: String,
    pub(crate) origin: RefundOrigin,
    pub(crate) extra: Extra,
}

/// A new refund that the shop asks for, `processing`. The caller has seen that its id is new.
pub(crate) fn refund(world: &World, books: &mut Books, charge: &Charge, new: NewRefund) -> Result<Refund, Refused> {
    if new.amount_cents > refundable(books, charge) {
        return Err(Refused::RefundExceedsPayment);
    }
    let shortage = world.take_shortage(&charge.provider);
    if shortage == Some(Shortage::AtOnce) {
        books.put(Refusal {
            id: Uuid::now_v7().to_string(),
            provider: charge.provider.clone(),
            refund_id: new.refund_id,
            payment_id: charge.payment_id.clone(),
            amount_cents: new.amount_cents,
            at: Timestamp::now(),
        });
        return Err(Refused::NoBalance);
    }
    enter_refund(world, books, charge, new, shortage)
}

fn enter_refund(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    new: NewRefund,
    shortage: Option<Shortage>,
) -> Result<Refund, Refused> {
    // What a dispute holds is the payer's bank's to take.
    let most = if new.origin == RefundOrigin::Bank { left(books, charge) } else { refundable(books, charge) };
    if new.amount_cents > most {
        return Err(Refused::RefundExceedsPayment);
    }
    let now = Timestamp::now();
    let wait = SignedDuration::try_from(world.cfg.refund_settles_after).unwrap_or(SignedDuration::ZERO);
    let settles_at = match shortage {
        Some(Shortage::Waits) => Timestamp::MAX,
        _ => now.saturating_add(wait).unwrap_or(now),
    };
    let refund = Refund {
        provider: charge.provider.clone(),
        refund_id: new.refund_id,
        payment_id: charge.payment_id.clone(),
        amount_cents: new.amount_cents,
        reason: new.reason,
        status: RefundStatus::Processing,
        end_to_end_id: if charge.card.is_some() { String::new() } else { end_to_end_id('D', now) },
        created_at: now,
        settles_at,
        origin: new.origin,
        shortage,
        request_hash: new.request_hash,
        extra: new.extra,
    };
    books.put(refund.clone());
    Ok(refund)
}

/// The account of a provider holds enough again: what waited for that settles.
pub(crate) fn fund(world: &World, books: &mut Books, provider: &str) {
    world.end_shortage(provider);
    let waiting = |refund: &&Refund| refund.provider == provider && refund.waits_for_balance();
    let waiting: Vec<Refund> = books.refunds().iter().filter(waiting).cloned().collect();
    let now = Timestamp::now();
    for refund in waiting {
        books.put(Refund { settles_at: now, ..refund });
    }
    pass_time(world, books, now);
}

/// What was paid, is not on its way back, and was neither taken by a dispute nor is held by one: OpenPix blocks it until the dispute
/// ends, so that no more goes back than came.
pub(crate) fn refundable(books: &Books, charge: &Charge) -> i64 {
    less(books, charge, Dispute::held_cents)
}

/// The same with what is held: the most that the payer's bank can take.
pub(crate) fn left(books: &Books, charge: &Charge) -> i64 {
    less(books, charge, Dispute::taken_cents)
}

fn less(books: &Books, charge: &Charge, disputed: fn(&Dispute) -> i64) -> i64 {
    let back: i64 =
        books.refunds_of(&charge.payment_id).filter(|r| r.status != RefundStatus::Failed).map(|r| r.amount_cents).sum();
    let disputed: i64 = books.disputes_of(&charge.payment_id).map(disputed).sum();
    charge.paid_cents.unwrap_or(0) - back - disputed
}

pub(crate) fn settle_refund(world: &World, books: &mut Books, mut refund: Refund, status: RefundStatus, how: SendWebhook) {
    refund.status = status;
    books.put(refund.clone());
    let Some(mut charge) = books.charges.get(&refund.payment_id).cloned() else {
        return;
    };
    let event = if status == RefundStatus::Done {
        charge.refunded_cents += refund.amount_cents;
        let whole = Some(charge.refunded_cents) >= charge.paid_cents;
        charge.status = if whole { ChargeStatus::Refunded } else { ChargeStatus::PartiallyRefunded };
        books.put(charge.clone());
        "refund.done"
    } else {
        "refund.failed"
    };
    webhooks::tell(world, books, &News::Refund(&charge, &refund, event), how);
}

/// The payer's bank takes money back, or somebody uses the provider's own pages: the shop did not ask for it, and is told once
/// it is done.
pub(crate) fn take_back(world: &World, books: &mut Books, charge: &Charge, order: &TakeBack) -> Result<Refund, Refused> {
    if !matches!(charge.provider.as_str(), "bacen" | "openpix") {
        return Err(Refused::Invalid("only a bank, OpenPix and Stripe send back what nobody asked for".into()));
    }
    let refund_id = format!("{}-{}", charge.payment_id, order.name);
    if order.amount_cents <= 0 || books.refunds.get(&refund_id).is_some() {
        return Err(Refused::Invalid("the amount is not positive, or the name is taken".into()));
    }
    let extra = Extra(serde_json::json!({"id": order.name, "natureza": order.nature, "motivo": order.motivo}));
    let origin = if order.nature == Nature::Original { RefundOrigin::Dashboard } else { RefundOrigin::Bank };
    let amount_cents = order.amount_cents;
    let new = NewRefund { refund_id, amount_cents, extra, origin, ..NewRefund::default() };
    let refund = enter_refund(world, books, charge, new, None)?;
    if order.is_held {
        let held = Refund { settles_at: Timestamp::MAX, ..refund };
        books.put(held.clone());
        return Ok(held);
    }
    settle_refund(world, books, refund.clone(), RefundStatus::Done, order.webhook);
    Ok(books.refunds.get(&refund.refund_id).cloned().unwrap_or(refund))
}

/// A return that is in process ends.
pub(crate) fn decide_return(world: &World, books: &mut Books, refund: &Refund, is_done: bool) -> Result<Refund, Refused> {
    if refund.status != RefundStatus::Processing || refund.origin == RefundOrigin::Shop {
        return Err(Refused::Invalid("only a return that nobody asked for, and that is in process, is decided".into()));
    }
    let status = if is_done { RefundStatus::Done } else { RefundStatus::Failed };
    let ended = Refund { settles_at: Timestamp::now(), ..refund.clone() };
    settle_refund(world, books, ended, status, SendWebhook::Once);
    Ok(books.refunds.get(&refund.refund_id).cloned().unwrap_or_else(|| refund.clone()))
}

/// A refund that was done comes back after all, as cards' do.
pub(crate) fn bounce_refund(world: &World, books: &mut Books, refund: &Refund) -> Result<Refund, Refused> {
    if refund.status != RefundStatus::Done {
        return Err(Refused::Invalid("only a refund that is done comes back".into()));
    }
    let refund = Refund { status: RefundStatus::Failed, ..refund.clone() };
    books.put(refund.clone());
    if let Some(mut charge) = books.charges.get(&refund.payment_id).cloned() {
        charge.refunded_cents -= refund.amount_cents;
        charge.status = if charge.refunded_cents > 0 { ChargeStatus::PartiallyRefunded } else { ChargeStatus::Paid };
        books.put(charge.clone());
        webhooks::tell(world, books, &News::Refund(&charge, &refund, "refund.failed"), SendWebhook::Once);
    }
    Ok(refund)
}

/// Makes a charge so much older, as if it had been made and paid long ago.
pub(crate) fn age(books: &mut Books, charge: &Charge, by: SignedDuration) -> Charge {
    let before = |at: Timestamp| at.saturating_sub(by).unwrap_or(Timestamp::MIN);
    let charge = Charge {
        created_at: before(charge.created_at),
        expires_at: before(charge.expires_at),
        paid_at: charge.paid_at.map(before),
        ..charge.clone()
    };
    books.put(charge.clone());
    charge
}

/// The picture of a charge's code, for people.
pub(crate) async fn qr(world: Data<World>, file: Path<String>) -> HttpResponse {
    let id = file.strip_suffix(".png").unwrap_or(&file);
    let code = world.read(|books| books.charges.get(id).map(|charge| charge.copy_paste.clone()));
    match code.and_then(|code| brcode::qr_png(&code)) {
        Some(png) => HttpResponse::Ok().content_type("image/png").body(png),
        None => HttpResponse::NotFound().finish(),
    }
}

/// The bank network's id: kind, participant, minute, 11 characters of the bank's own. 32 in all.
pub(crate) fn end_to_end_id(kind: char, now: Timestamp) -> String {
    let minute = now.strftime("%Y%m%d%H%M");
    let tail = hex::encode(rand::random::<[u8; 6]>());
    format!("{kind}99999999{minute}{}", &tail[..11])
}
