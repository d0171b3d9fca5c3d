//! The life of a card payment, beside what it shares with PIX: declines, processing.

use jiff::Timestamp;

use crate::books::card::{Card, CardStage, Decline};
use crate::books::{Books, Charge, ChargeStatus};
use crate::providers::stripe::wire::new_id;
use crate::world::news::News;
use crate::world::orders::{Refused, SendWebhook};
use crate::world::{World, webhooks};

fn card_of(charge: &Charge) -> Result<&Card, Refused> {
    charge.card.as_ref().ok_or_else(|| Refused::Invalid("this is not a card payment".into()))
}

fn undecided(charge: &Charge) -> Result<&Card, Refused> {
    let card = card_of(charge)?;
    match charge.status {
        ChargeStatus::Pending => Ok(card),
        status if status.was_paid() => Err(Refused::AlreadyPaid),
        status => Err(Refused::NotPayable(status)),
    }
}

fn enter(world: &World, books: &mut Books, charge: Charge, event: &str, how: SendWebhook) -> Charge {
    books.put(charge.clone());
    webhooks::tell(world, books, &News::Charge(&charge, event), how);
    charge
}

/// The card is good. One that was cancelled cannot be paid any more, by nobody.
pub(crate) fn pay(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    amount_cents: Option<i64>,
    how: SendWebhook,
) -> Result<Charge, Refused> {
    let card = undecided(charge)?;
    let paid_cents = amount_cents.unwrap_or(charge.amount_cents);
    if paid_cents <= 0 {
        return Err(Refused::Invalid("amount_cents must be positive".into()));
    }
    let charge_id = card.charge_id.clone().filter(|_| card.decline.is_none()).unwrap_or_else(|| new_id("ch_3"));
    let card = Card { stage: CardStage::Waiting, charge_id: Some(charge_id), decline: None, ..card.clone() };
    let charge = Charge {
        status: ChargeStatus::Paid,
        paid_cents: Some(paid_cents),
        paid_at: Some(Timestamp::now()),
        card: Some(card),
        ..charge.clone()
    };
    Ok(enter(world, books, charge, "payment.paid", how))
}

/// The card is refused; the payment waits for another one.
pub(crate) fn decline(world: &World, books: &mut Books, charge: &Charge, decline: Decline) -> Result<Charge, Refused> {
    let card = undecided(charge)?;
    let card = Card { stage: CardStage::Waiting, charge_id: Some(new_id("ch_3")), decline: Some(decline), ..card.clone() };
    let charge = Charge { card: Some(card), ..charge.clone() };
    Ok(enter(world, books, charge, "payment.failed", SendWebhook::Once))
}

/// The shop does not want it any more.
pub(crate) fn cancel(world: &World, books: &mut Books, charge: &Charge, reason: Option<&str>) -> Result<Charge, Refused> {
    let card = Card { cancellation_reason: reason.map(str::to_owned), ..undecided(charge)?.clone() };
    let mut charge = Charge { status: ChargeStatus::Cancelled, card: Some(card), ..charge.clone() };
    charge.extra.0["canceled_at"] = serde_json::json!(Timestamp::now().as_second());
    Ok(enter(world, books, charge, "payment.cancelled", SendWebhook::Once))
}

/// The bank takes its time, or asks the holder.
pub(crate) fn wait(world: &World, books: &mut Books, charge: &Charge, stage: CardStage) -> Result<Charge, Refused> {
    let card = undecided(charge)?;
    let (charge_id, event) = match stage {
        CardStage::Processing => (Some(new_id("ch_3")), "payment.processing"),
        CardStage::Action | CardStage::Waiting => (None, "payment.requires_action"),
    };
    let card = Card { stage, charge_id, decline: None, ..card.clone() };
    let charge = Charge { card: Some(card), ..charge.clone() };
    Ok(enter(world, books, charge, event, SendWebhook::Once))
}
