//! OpenPix's disputes (MED): a list, one by its PIX, evidence, and what is told of them. Its documents have three lists of words for
//! the same states; each of its ways of showing one keeps to its own.

use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::disputes::{AmountForm, Dispute, DisputeStatus, Document};
use crate::books::{Books, Charge};
use crate::formats::time::wire_time_ms;
use crate::providers::openpix::wire::{NAME, PAGE, guarded, parse, refuse};
use crate::providers::pix;
use crate::world::World;
use crate::world::news::News;
use crate::world::orders::{MoveDispute, NewDispute, Refused};
use crate::world::webhooks;

/// So long evidence is taken.
const EVIDENCE_WITHIN: SignedDuration = SignedDuration::from_hours(3 * 24);

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v1/dispute", web::get().to(list))
        .route("/api/v1/dispute/{id}", web::get().to(show))
        .route("/api/v1/dispute/{id}/evidence", web::post().to(evidence));
}

/// The payer's bank wants the money of a PIX back. It is held from here on, which is no movement yet.
pub(crate) fn open(world: &World, books: &mut Books, charge: &Charge, new: &NewDispute) -> Result<Dispute, Refused> {
    if new.is_inquiry {
        return Err(Refused::Invalid("OpenPix knows no inquiries".into()));
    }
    if books.disputes_of(&charge.payment_id).any(|dispute| dispute.status.is_open()) {
        return Err(Refused::Invalid("there is an open dispute of this PIX".into()));
    }
    let most = pix::refundable(books, charge);
    let amount_cents = new.amount_cents.unwrap_or(most);
    if !(1..=most).contains(&amount_cents) {
        return Err(Refused::Invalid("there is not so much left to be disputed".into()));
    }
    let now = Timestamp::now();
    let dispute = Dispute {
        id: Uuid::new_v4().simple().to_string()[..24].to_owned(),
        provider: NAME.to_owned(),
        payment_id: charge.payment_id.clone(),
        status: DisputeStatus::NeedsResponse,
        amount_cents,
        reason: new.reason.clone().unwrap_or_else(|| "Golpe".to_owned()),
        moved_cents: Vec::new(),
        documents: Vec::new(),
        form: new.form,
        created_at: now,
        updated_at: now,
        due_by: now.saturating_add(EVIDENCE_WITHIN).unwrap_or(Timestamp::MAX),
    };
    books.put(dispute.clone());
    webhooks::tell(world, books, &News::Dispute(charge, &dispute, "dispute.created"), new.webhook);
    Ok(dispute)
}

/// Its next step: in review, or an end. Lost is what they call accepted: the payer has the money.
pub(crate) fn go(
    world: &World,
    books: &mut Books,
    charge: &Charge,
    dispute: Dispute,
    step: &MoveDispute,
) -> Result<Dispute, Refused> {
    use DisputeStatus::{Canceled, Lost, UnderReview, Won};
    if !dispute.status.is_open() || dispute.status == step.status || !matches!(step.status, UnderReview | Won | Lost | Canceled) {
        let (from, to) = (dispute.status.name(), step.status.name());
        return Err(Refused::Invalid(format!("a dispute at OpenPix that is {from} cannot become {to}")));
    }
    // What the bank took of it already is a return of its own.
    let taken = dispute.amount_cents.min(pix::left(books, charge));
    let derived = if step.status == Lost && taken > 0 { vec![-taken] } else { Vec::new() };
    let moved_cents = step.moved_cents.clone().unwrap_or(derived);
    let dispute = Dispute { status: step.status, moved_cents, updated_at: Timestamp::now(), ..dispute };
    books.put(dispute.clone());
    let event = if step.status.is_open() { "dispute.updated" } else { "dispute.closed" };
    webhooks::tell(world, books, &News::Dispute(charge, &dispute, event), step.webhook);
    Ok(dispute)
}

/// Their words for an end. An open one is called differently in each place.
fn ended(status: DisputeStatus) -> Option<&'static str> {
    match status {
        DisputeStatus::Lost => Some("ACCEPTED"),
        DisputeStatus::Canceled => Some("CANCELED"),
        status if status.is_open() => None,
        _ => Some("REJECTED"),
    }
}

fn is_in_review(dispute: &Dispute) -> bool {
    dispute.status == DisputeStatus::UnderReview
}

/// What all of their ways to show one have in common.
fn view(charge: &Charge, dispute: &Dispute, open_word: &str) -> Value {
    let open_word = if is_in_review(dispute) { "IN_REVIEW" } else { open_word };
    let status = ended(dispute.status).unwrap_or(open_word);
    let mut view = json!({"status": status, "endToEndId": charge.end_to_end_id});
    if dispute.form == AmountForm::Absent {
        return view;
    }
    let payer = charge.payer.as_ref();
    view["name"] = json!(payer.map_or("", |payer| payer.name.as_str()));
    view["email"] = json!(payer.and_then(|payer| payer.email.as_deref()).unwrap_or(""));
    view["phoneNumber"] = json!(charge.extra["phone"].as_str().unwrap_or(""));
    view["disputeReason"] = json!(dispute.reason);
    view["value"] = match dispute.form {
        AmountForm::Text => json!(dispute.amount_cents.to_string()),
        _ => json!(dispute.amount_cents),
    };
    view
}

/// A webhook's event and body: of the PIX, and of no charge. Only here is their id for it, by which evidence is sent.
pub(crate) fn told(charge: &Charge, dispute: &Dispute, event: &str) -> Option<(&'static str, Value)> {
    let word = match (event, ended(dispute.status)) {
        ("dispute.created" | "dispute.updated" | "OPENPIX:DISPUTE_CREATED", _) => "OPENPIX:DISPUTE_CREATED",
        ("dispute.closed", Some("ACCEPTED")) | ("OPENPIX:DISPUTE_ACCEPTED", _) => "OPENPIX:DISPUTE_ACCEPTED",
        ("dispute.closed", Some("CANCELED")) | ("OPENPIX:DISPUTE_CANCELED", _) => "OPENPIX:DISPUTE_CANCELED",
        ("dispute.closed", Some(_)) | ("OPENPIX:DISPUTE_REJECTED", _) => "OPENPIX:DISPUTE_REJECTED",
        _ => return None,
    };
    let mut object = view(charge, dispute, "OPENED");
    object["id"] = json!(dispute.id);
    Some((word, json!({"dispute": object})))
}

fn known<'a>(books: &'a Books, id: &str) -> Option<(&'a Charge, &'a Dispute)> {
    let with_charge = |dispute: &'a Dispute| Some((books.charges.get(&dispute.payment_id)?, dispute));
    let all = books.disputes().iter().rev().filter(|dispute| dispute.provider == NAME).filter_map(with_charge);
    all.into_iter().find(|(charge, dispute)| dispute.id == id || charge.end_to_end_id.as_deref() == Some(id))
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let Some((charge, dispute)) = known(books, &id) else {
                return refuse("Dispute not found");
            };
            let mut object = view(charge, dispute, "CREATED");
            object["type"] = json!("MED");
            if dispute.form == AmountForm::Absent {
                object["id"] = json!(dispute.id);
            }
            Ok(HttpResponse::Ok().json(json!({"dispute": object})))
        })
    })
}

#[derive(Deserialize)]
struct ListQuery {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    skip: Option<usize>,
    limit: Option<usize>,
}

/// The newest first, by when they began.
async fn list(req: HttpRequest, world: Data<World>, query: Query<ListQuery>) -> HttpResponse {
    guarded(&req, &world, || {
        let (skip, limit) = (query.skip.unwrap_or(0), query.limit.unwrap_or(PAGE).clamp(1, PAGE));
        let in_time = |dispute: &&Dispute| {
            dispute.provider == NAME
                && query.start.is_none_or(|start| dispute.created_at >= start)
                && query.end.is_none_or(|end| dispute.created_at <= end)
        };
        let listed = |books: &Books, dispute: &Dispute| {
            let mut object = view(books.charges.get(&dispute.payment_id)?, dispute, "IN_REVIEW");
            object["type"] = json!("MED");
            object["createdAt"] = json!(wire_time_ms(dispute.created_at));
            object["updatedAt"] = json!(wire_time_ms(dispute.updated_at));
            Some(object)
        };
        let mut found: Vec<Value> = world.write(|books| {
            let wanted = books.disputes().iter().rev().filter(in_time).skip(skip).take(limit + 1);
            wanted.filter_map(|dispute| listed(books, dispute)).collect()
        });
        let more = found.len() > limit;
        found.truncate(limit);
        let page = json!({"skip": skip, "limit": limit, "hasPreviousPage": skip > 0, "hasNextPage": more});
        Ok(HttpResponse::Ok().json(json!({"disputes": found, "pageInfo": page})))
    })
}

#[derive(Deserialize)]
struct Evidence {
    documents: Vec<NewDocument>,
}

#[derive(Deserialize)]
struct NewDocument {
    url: String,
    #[serde(default)]
    description: String,
    #[serde(rename = "correlationID", default)]
    correlation_id: String,
}

/// By their id alone, while the dispute is open. What is at the address they would fetch; the sandbox only notes it.
async fn evidence(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let Evidence { documents } = parse(&body)?;
        if documents.is_empty() || documents.iter().any(|document| document.url.is_empty()) {
            return refuse("Documents are required, each with its url");
        }
        world.write(|books| {
            let Some(mut dispute) = books.disputes.get(&id).filter(|dispute| dispute.provider == NAME).cloned() else {
                return refuse("Dispute not found");
            };
            if let Some(word) = ended(dispute.status) {
                return refuse(&format!("No evidence is taken for a dispute that is {}", word.to_lowercase()));
            }
            let now = Timestamp::now();
            if dispute.due_by < now {
                return refuse("The time for evidence is over");
            }
            let mut shown = Vec::new();
            for NewDocument { url, description, correlation_id } in documents {
                let theirs = format!("{}/openpix/evidence/{}", world.url, Uuid::new_v4());
                shown.push(json!({
                    "url": theirs, "description": description, "correlationID": correlation_id, "createdAt": wire_time_ms(now),
                }));
                dispute.documents.push(Document { url, description, correlation_id, at: now });
            }
            books.put(dispute);
            Ok(HttpResponse::Ok().json(json!({"documents": shown})))
        })
    })
}
