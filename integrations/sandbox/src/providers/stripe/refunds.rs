//! Stripe's refunds, and what can only be read: charges, events.

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::books::disputes::{Dispute, DisputeStatus};
use crate::books::{Books, Charge, Delivery, Extra, Refund, RefundOrigin};
use crate::providers::pix::{self, NewRefund};
use crate::providers::stripe::view;
use crate::providers::stripe::wire::{
    Failure, Form, NAME, NO_BALANCE, act, by_charge, created_in, invalid, missing, new_id, page, read, target,
};
use crate::world::news::News;
use crate::world::orders::{Refused, SendWebhook};
use crate::world::{World, webhooks};

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v1/refunds", web::post().to(create))
        .route("/v1/refunds", web::get().to(list))
        .route("/v1/refunds/{id}", web::get().to(show))
        .route("/v1/charges/{id}", web::get().to(show_charge))
        .route("/v1/events", web::get().to(list_events))
        .route("/v1/events/{id}", web::get().to(show_event));
}

/// A chargeback has the money, or may get it. An inquiry has nothing yet: the charge may be refunded.
fn is_contested(books: &Books, charge: &Charge) -> bool {
    let holds = |dispute: &Dispute| match dispute.status {
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview | DisputeStatus::Lost => true,
        _ => dispute.taken_cents() > 0,
    };
    books.disputes_of(&charge.payment_id).any(holds)
}

/// How much goes back, if it may.
fn refundable(books: &Books, charge: &Charge, form: &Form) -> Result<i64, Failure> {
    if !charge.status.was_paid() {
        let why = "This PaymentIntent does not have a successful charge to refund.";
        return Err(invalid("payment_intent_unexpected_state", why, "payment_intent"));
    }
    if is_contested(books, charge) {
        return Err(invalid("charge_disputed", "The charge has been charged back; cannot issue a refund.", ""));
    }
    let rest = pix::refundable(books, charge);
    if rest == 0 {
        return Err(invalid("charge_already_refunded", "The charge has already been refunded.", ""));
    }
    match form.integer("amount")?.unwrap_or(rest) {
        amount if amount < 1 => Err(invalid("parameter_invalid_integer", "Invalid positive integer", "amount")),
        amount if amount > rest => {
            let why = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({rest})");
            Err(invalid("amount_too_large", &why, "amount"))
        }
        amount => Ok(amount),
    }
}

async fn create(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    act(&req, &world, &body, |books, form| {
        form.only(&["payment_intent", "charge", "amount", "reason", "metadata", "expand"])?;
        let reason = form.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?.unwrap_or_default();
        let metadata = form.metadata()?;
        let (charge, _) = target(books, form)?;
        let amount_cents = refundable(books, charge, form)?;
        let (id, charge) = (new_id("re_3"), charge.clone());
        let known = metadata.get("refund_id").filter(|known| books.refunds.get(known).is_none());
        let new = NewRefund {
            refund_id: known.unwrap_or(&id).clone(),
            amount_cents,
            reason: reason.to_owned(),
            request_hash: String::new(), // their keys do that
            origin: RefundOrigin::Shop,
            extra: Extra(json!({"id": id, "metadata": metadata})),
        };
        let refund = pix::refund(&world, books, &charge, new).map_err(|why| match why {
            Refused::NoBalance => invalid(NO_BALANCE, "Your Stripe balance holds too little for this refund.", ""),
            why => invalid("", &why.to_string(), ""),
        })?;
        webhooks::tell(&world, books, &News::Refund(&charge, &refund, "refund.created"), SendWebhook::Once);
        pix::pass_time(&world, books, Timestamp::now()); // it may be done already
        view(books, &id)
    })
}

/// Somebody refunds it in the dashboard: the shop did not ask for it, and gives it no metadata.
pub(crate) fn in_dashboard(world: &World, books: &mut Books, charge: &Charge, amount_cents: i64) -> Result<Refund, Refused> {
    if is_contested(books, charge) {
        return Err(Refused::Invalid("the charge is contested: it cannot be refunded".into()));
    }
    let id = new_id("re_3");
    let extra = Extra(json!({"id": id, "metadata": {}}));
    let origin = RefundOrigin::Dashboard;
    let new = NewRefund { refund_id: id, amount_cents, extra, origin, ..NewRefund::default() };
    let refund = pix::refund(world, books, charge, new)?;
    webhooks::tell(world, books, &News::Refund(charge, &refund, "refund.created"), SendWebhook::Once);
    Ok(refund)
}

fn view(books: &Books, id: &str) -> Result<Value, Failure> {
    let found = books.refunds().iter().rev().find(|r| r.provider == NAME && r.extra["id"] == id);
    found.and_then(|refund| object(books, refund)).ok_or_else(|| missing("refund", id, "refund"))
}

fn object(books: &Books, refund: &Refund) -> Option<Value> {
    let charge = books.charges.get(&refund.payment_id)?;
    Some(view::refund(charge, charge.card.as_ref()?, refund))
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, _| view(books, &id))
}

async fn list(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["payment_intent", "charge", "limit", "starting_after", "created", "expand"])?;
        let in_time = created_in(form)?;
        let named = form.get("payment_intent").or(form.get("charge")).is_some();
        let of = if named { Some(target(books, form)?.0.payment_id.as_str()) } else { None };
        let wanted =
            |r: &&Refund| r.provider == NAME && in_time(r.created_at) && of.is_none_or(|payment_id| r.payment_id == payment_id);
        let id = |r: &&Refund| r.extra["id"].as_str().unwrap_or("").to_owned();
        let (here, more) = page(form, books.refunds().iter().rev().filter(wanted).collect(), id)?;
        let data: Vec<Value> = here.into_iter().filter_map(|refund| object(books, refund)).collect();
        Ok(json!({"object": "list", "url": "/v1/refunds", "has_more": more, "data": data}))
    })
}

async fn show_charge(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, _| {
        let (charge, card) = by_charge(books, &id)?;
        Ok(view::attempt(books, charge, card))
    })
}

/// The newest first; one that was sent twice is one.
fn events(books: &Books) -> impl Iterator<Item = &Delivery> {
    let mut seen = std::collections::HashSet::new();
    let ours = books.deliveries().iter().rev().filter(|d| d.provider == NAME);
    ours.filter(move |delivery| seen.insert(delivery.event_id.as_str()))
}

fn event(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.body).unwrap_or(Value::Null) // we wrote it
}

async fn show_event(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, _| {
        let found = events(books).find(|delivery| delivery.event_id == *id);
        found.map(event).ok_or_else(|| missing("event", &id, "id"))
    })
}

async fn list_events(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["type", "limit", "starting_after", "created", "expand"])?;
        let in_time = created_in(form)?;
        let wanted = |d: &&Delivery| {
            let created_at = event(d)["created"].as_i64().and_then(|at| Timestamp::from_second(at).ok());
            form.get("type").is_none_or(|kind| d.event == kind) && created_at.is_some_and(&in_time)
        };
        let (here, more) = page(form, events(books).filter(wanted).collect(), |d| d.event_id.clone())?;
        let data: Vec<Value> = here.into_iter().map(event).collect();
        Ok(json!({"object": "list", "url": "/v1/events", "has_more": more, "data": data}))
    })
}
