//! Stripe's disputes: inquiries and chargebacks, several on one charge if need be. They are only read here; the control leads them.

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::books::disputes::{Dispute, DisputeStatus};
use crate::books::{Books, Charge};
use crate::providers::pix;
use crate::providers::stripe::view;
use crate::providers::stripe::wire::{Failure, NAME, created_in, missing, new_id, page, read, target};
use crate::world::World;
use crate::world::news::News;
use crate::world::orders::{MoveDispute, NewDispute, Refused, SendWebhook};
use crate::world::webhooks;

/// So long the shop may answer.
const ANSWER_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v1/disputes", web::get().to(list)).route("/v1/disputes/{id}", web::get().to(show));
}

fn tell(world: &World, books: &mut Books, charge: &Charge, dispute: &Dispute, events: &[&str], how: SendWebhook) {
    for event in events {
        webhooks::tell(world, books, &News::Dispute(charge, dispute, event), how);
    }
}

/// The holder's bank wants the money back, and takes it; or only asks.
pub(crate) fn open(world: &World, books: &mut Books, charge: &Charge, new: &NewDispute) -> Result<Dispute, Refused> {
    let amount_cents = disputable(books, charge, new.amount_cents)?;
    let now = Timestamp::now();
    let (status, moved_cents) = match new.is_inquiry {
        true => (DisputeStatus::WarningNeedsResponse, Vec::new()),
        false => (DisputeStatus::NeedsResponse, vec![-amount_cents]),
    };
    let dispute = Dispute {
        id: new_id("du_1"),
        provider: NAME.to_owned(),
        payment_id: charge.payment_id.clone(),
        status,
        amount_cents,
        reason: new.reason.clone().unwrap_or_else(|| "fraudulent".to_owned()),
        moved_cents,
        documents: Vec::new(),
        form: new.form,
        created_at: now,
        updated_at: now,
        due_by: now.saturating_add(ANSWER_WITHIN).unwrap_or(Timestamp::MAX),
    };
    books.put(dispute.clone());
    let events: &[&str] = if new.is_inquiry { &["dispute.created"] } else { &["dispute.created", "dispute.funds_withdrawn"] };
    tell(world, books, charge, &dispute, events, new.webhook);
    Ok(dispute)
}

/// How much may be contested: what was paid, less what is or was contested already. A refund does not stand in the way of an amount
/// that was named: holders do both.
fn disputable(books: &Books, charge: &Charge, wanted: Option<i64>) -> Result<i64, Refused> {
    if !charge.status.was_paid() {
        return Err(Refused::Invalid("only a paid card payment can be disputed".into()));
    }
    let counts = |dispute: &&Dispute| dispute.status.is_open() || dispute.taken_cents() > 0;
    let contested: i64 = books.disputes_of(&charge.payment_id).filter(counts).map(|dispute| dispute.amount_cents).sum();
    let most = charge.paid_cents.unwrap_or(0) - contested;
    match wanted.unwrap_or_else(|| most.min(pix::refundable(books, charge))) {
        cents if (1..=most).contains(&cents) => Ok(cents),
        _ => Err(Refused::Invalid("there is not so much left to be disputed".into())),
    }
}

/// Its next step, and what that moves.
pub(crate) fn go(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    dispute: Dispute,
    step: &MoveDispute,
) -> Result<Dispute, Refused> {
    let moved = moved_by(&dispute, step)?;
    let mut events = vec![if step.status.is_open() { "dispute.updated" } else { "dispute.closed" }];
    for cents in moved.iter().skip(dispute.moved_cents.len()) {
        events.push(if *cents < 0 { "dispute.funds_withdrawn" } else { "dispute.funds_reinstated" });
    }
    let dispute = Dispute { status: step.status, moved_cents: moved, updated_at: Timestamp::now(), ..dispute };
    books.put(dispute.clone());
    tell(world, books, charge, &dispute, &events, step.webhook);
    Ok(dispute)
}

/// Told as an end, whatever it is: "closed" and yet under review was seen as well.
pub(crate) fn close(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    dispute: Dispute,
    end: DisputeStatus,
) -> Result<Dispute, Refused> {
    if end.is_open() {
        let moved_cents = moved_by(&dispute, &MoveDispute::to(&dispute.id, end))?;
        let dispute = Dispute { status: end, moved_cents, updated_at: Timestamp::now(), ..dispute };
        books.put(dispute.clone());
        tell(world, books, charge, &dispute, &["dispute.closed"], SendWebhook::Once);
        return Ok(dispute);
    }
    let step = MoveDispute::to(&dispute.id, end);
    go(world, books, charge, dispute, &step)
}

/// All that it has moved after a step, if it is one from here: an open one may become anything, a lost one may be won by an appeal.
fn moved_by(dispute: &Dispute, step: &MoveDispute) -> Result<Vec<i64>, Refused> {
    use DisputeStatus::{Canceled, Lost, NeedsResponse, Prevented, UnderReview, WarningClosed, Won};
    let may = match dispute.status {
        Lost => step.status == Won,
        from => from.is_open() && from != step.status && step.status != Canceled,
    };
    if !may {
        return Err(Refused::Invalid(format!(
            "a dispute that is {} cannot become {}",
            dispute.status.name(),
            step.status.name()
        )));
    }
    if let Some(moved) = &step.moved_cents {
        return Ok(moved.clone());
    }
    let mut moved = dispute.moved_cents.clone();
    match step.status {
        NeedsResponse | UnderReview | Lost if dispute.taken_cents() == 0 => moved.push(-dispute.amount_cents),
        Won if dispute.taken_cents() > 0 => moved.push(dispute.taken_cents()),
        Prevented | WarningClosed => moved.clear(), // it never became a chargeback
        _ => {}
    }
    Ok(moved)
}

fn object(books: &Books, dispute: &Dispute) -> Option<Value> {
    let charge = books.charges.get(&dispute.payment_id)?;
    Some(view::dispute(charge, charge.card.as_ref()?, dispute))
}

/// The newest first.
async fn list(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["payment_intent", "charge", "limit", "starting_after", "created", "expand"])?;
        let in_time = created_in(form)?;
        let named = form.get("payment_intent").or(form.get("charge")).is_some();
        let of = if named { Some(target(books, form)?.0.payment_id.as_str()) } else { None };
        let wanted = |d: &&Dispute| d.provider == NAME && in_time(d.created_at) && of.is_none_or(|id| d.payment_id == id);
        let (here, more) = page(form, books.disputes().iter().rev().filter(wanted).collect(), |dispute| dispute.id.clone())?;
        let data: Vec<Value> = here.into_iter().filter_map(|dispute| object(books, dispute)).collect();
        Ok(json!({"object": "list", "url": "/v1/disputes", "has_more": more, "data": data}))
    })
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, _| {
        let found = books.disputes.get(&id).filter(|dispute| dispute.provider == NAME);
        found.and_then(|dispute| object(books, dispute)).ok_or_else(|| missing_dispute(&id))
    })
}

fn missing_dispute(id: &str) -> Failure {
    missing("dispute", id, "dispute")
}
