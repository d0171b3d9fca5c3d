//! Stripe's refunds, and what can only be read: charges, disputes, events.

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::books::card::{Card, DisputeStatus};
use crate::books::{Books, Charge, Delivery, Extra, Refund};
use crate::providers::pix::{self, NewRefund};
use crate::providers::stripe::view;
use crate::providers::stripe::wire::{
    Failure, Form, NAME, NO_BALANCE, act, created_in, find, invalid, missing, new_id, page, read,
};
use crate::world::news::News;
use crate::world::orders::{Refused, SendWebhook};
use crate::world::{World, webhooks};

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v1/refunds", web::post().to(create))
        .route("/v1/refunds", web::get().to(list))
        .route("/v1/refunds/{id}", web::get().to(show))
        .route("/v1/charges/{id}", web::get().to(show_charge))
        .route("/v1/disputes", web::get().to(list_disputes))
        .route("/v1/disputes/{id}", web::get().to(show_dispute))
        .route("/v1/events", web::get().to(list_events))
        .route("/v1/events/{id}", web::get().to(show_event));
}

fn find_by_card(books: &Books, fits: impl Fn(&Card) -> bool) -> Option<(&Charge, &Card)> {
    let mut with_card = books.charges().iter().rev().filter_map(|charge| Some((charge, charge.card.as_ref()?)));
    with_card.find(|(_, card)| fits(card))
}

fn by_charge<'a>(books: &'a Books, id: &str) -> Result<(&'a Charge, &'a Card), Failure> {
    find_by_card(books, |card| card.charge_id.as_deref() == Some(id)).ok_or_else(|| missing("charge", id, "id"))
}

/// The payment that a request names.
fn target<'a>(books: &'a Books, form: &Form) -> Result<(&'a Charge, &'a Card), Failure> {
    match (form.get("payment_intent"), form.get("charge")) {
        (Some(intent), _) => find(books, intent, "payment_intent"),
        (None, Some(charge)) => by_charge(books, charge),
        (None, None) => Err(invalid("parameter_missing", "One of payment_intent or charge is required.", "payment_intent")),
    }
}

/// How much goes back, if it may.
fn refundable(books: &Books, charge: &Charge, card: &Card, form: &Form) -> Result<i64, Failure> {
    if !charge.status.was_paid() {
        let why = "This PaymentIntent does not have a successful charge to refund.";
        return Err(invalid("payment_intent_unexpected_state", why, "payment_intent"));
    }
    if card.dispute.as_ref().is_some_and(|dispute| dispute.status != DisputeStatus::Won) {
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
        let (charge, card) = target(books, form)?;
        let amount_cents = refundable(books, charge, card, form)?;
        let (id, charge) = (new_id("re_3"), charge.clone());
        let known = metadata.get("refund_id").filter(|known| books.refunds.get(known).is_none());
        let new = NewRefund {
            refund_id: known.unwrap_or(&id).clone(),
            amount_cents,
            reason: reason.to_owned(),
            request_hash: String::new(), // their keys do that
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

async fn list_disputes(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["payment_intent", "charge", "limit", "starting_after", "created", "expand"])?;
        let in_time = created_in(form)?;
        let named = form.get("payment_intent").or(form.get("charge")).is_some();
        let of = if named { Some(target(books, form)?.0.payment_id.as_str()) } else { None };
        let contested = books.charges().iter().filter_map(|charge| {
            let card = charge.card.as_ref()?;
            Some((charge, card, card.dispute.as_ref()?))
        });
        let mut wanted: Vec<_> = contested
            .filter(|(charge, _, dispute)| in_time(dispute.created_at) && of.is_none_or(|id| charge.payment_id == id))
            .collect();
        wanted.sort_by_key(|(_, _, dispute)| std::cmp::Reverse(dispute.created_at));
        let (here, more) = page(form, wanted, |(_, _, dispute)| dispute.id.clone())?;
        let data: Vec<Value> = here.into_iter().map(|(charge, card, _)| view::dispute(charge, card)).collect();
        Ok(json!({"object": "list", "url": "/v1/disputes", "has_more": more, "data": data}))
    })
}

async fn show_dispute(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, _| {
        let found = find_by_card(books, |card| card.dispute.as_ref().is_some_and(|dispute| dispute.id == *id));
        let (charge, card) = found.ok_or_else(|| missing("dispute", &id, "dispute"))?;
        Ok(view::dispute(charge, card))
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
