//! Stripe, card payments: `/stripe/v1/payment_intents`.

use std::collections::BTreeMap;

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::books::card::{Card, CardStage, Decline};
use crate::books::{Books, Charge, ChargeStatus, Extra};
use crate::formats::signature;
use crate::providers::stripe::card;
use crate::providers::stripe::view::{attempt, decline_error, intent, status_of};
use crate::providers::stripe::wire::{Failure, Form, NAME, act, created_in, find, invalid, missing, new_id, page, read};
use crate::world::World;
use crate::world::orders::SendWebhook;

const AMOUNT_MAX: i64 = 99_999_999;
/// Smallest amounts of the currencies that it takes.
const CURRENCIES: [(&str, i64); 3] = [("brl", 50), ("eur", 50), ("usd", 50)];
/// An unpaid card payment stays open; the books want a time.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v1/payment_intents", web::post().to(create))
        .route("/v1/payment_intents", web::get().to(list))
        .route("/v1/payment_intents/search", web::get().to(search))
        .route("/v1/payment_intents/{id}", web::get().to(show))
        .route("/v1/payment_intents/{id}/confirm", web::post().to(confirm))
        .route("/v1/payment_intents/{id}/cancel", web::post().to(cancel));
}

fn view(books: &Books, id: &str, form: &Form) -> Result<Value, Failure> {
    let (charge, card) = find(books, id, "intent")?;
    let mut view = intent(charge, card);
    if card.charge_id.is_some() && form.expands("latest_charge") {
        view["latest_charge"] = attempt(books, charge, card);
    }
    Ok(view)
}

const KNOWN: [&str; 20] = [
    "allowed_payment_method_types",
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "currency",
    "customer",
    "description",
    "excluded_payment_method_types",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_options",
    "receipt_email",
    "return_url",
    "shipping",
    "statement_descriptor_suffix",
    "setup_future_usage",
];

/// Some of those that it knows.
const METHODS: [&str; 5] = ["boleto", "card", "link", "pix", "us_bank_account"];

fn amount_of(form: &Form, least: i64) -> Result<i64, Failure> {
    form.need("amount")?;
    match form.integer("amount")?.unwrap_or(0) {
        amount if amount < 0 => Err(invalid("parameter_invalid_integer", "Invalid non-negative integer", "amount")),
        amount if amount < least => Err(invalid("amount_too_small", "Amount must be at least R$0.50 brl", "amount")),
        amount if amount > AMOUNT_MAX => Err(invalid("amount_too_large", "Amount must be no more than 999,999.99", "amount")),
        amount => Ok(amount),
    }
}

/// The payment that a request asks for, once all is right.
fn new_charge(form: &Form) -> Result<Charge, Failure> {
    form.only(&KNOWN)?;
    let currency = form.need("currency")?.to_lowercase();
    let known = CURRENCIES.iter().find(|(name, _)| *name == currency);
    let least = known.ok_or_else(|| invalid("", &format!("Invalid currency: {currency}."), "currency"))?.1;
    let amount_cents = amount_of(form, least)?;
    let metadata = form.metadata()?;
    if form.one_of("capture_method", &["automatic", "automatic_async", "manual"])? == Some("manual") {
        return Err(invalid("", "The sandbox captures automatically.", "capture_method"));
    }
    let automatic = form.one_of("automatic_payment_methods[enabled]", &["true", "false"])?.map(|enabled| enabled == "true");
    let redirects = form.one_of("automatic_payment_methods[allow_redirects]", &["always", "never"])?;
    for name in ["allowed_payment_method_types", "excluded_payment_method_types"] {
        if let Some(strange) = form.list(name).into_iter().find(|method| !METHODS.contains(method)) {
            return Err(invalid("", &format!("Invalid {name}: {strange} is not a payment method."), name));
        }
    }
    if form.get("receipt_email").is_some_and(|email| !email.contains('@')) {
        return Err(invalid("email_invalid", "Invalid email address", "receipt_email"));
    }
    if form.get("statement_descriptor_suffix").is_some_and(|text| text.chars().count() > 22) {
        return Err(invalid("", "A suffix has up to 22 characters.", "statement_descriptor_suffix"));
    }
    let (now, id) = (Timestamp::now(), new_id("pi_3"));
    Ok(Charge {
        provider: NAME.into(),
        payment_id: metadata.get("payment_id").cloned().unwrap_or_else(|| id.clone()),
        order_id: metadata.get("order_id").cloned().unwrap_or_default(),
        status: ChargeStatus::Pending,
        amount_cents,
        paid_cents: None,
        refunded_cents: 0,
        description: form.get("description").unwrap_or_default().to_owned(),
        payer: None,
        copy_paste: format!("{id}_secret_{}", &new_id("")[..22]),
        created_at: now,
        expires_at: now.saturating_add(OPEN_FOR).unwrap_or(Timestamp::MAX),
        paid_at: None,
        end_to_end_id: None,
        request_hash: signature::sha256_hex(id.as_bytes()),
        card: Some(Card {
            currency,
            stage: CardStage::Waiting,
            charge_id: None,
            decline: None,
            cancellation_reason: None,
            metadata,
        }),
        extra: Extra(json!({
            "allowed_payment_method_types": Some(form.list("allowed_payment_method_types")).filter(|list| !list.is_empty()),
            "automatic_payment_methods":
                automatic.map(|enabled| json!({"enabled": enabled, "allow_redirects": redirects.unwrap_or("always")})),
            "customer": form.get("customer"),
            "receipt_email": form.get("receipt_email"),
            "payment_method": form.get("payment_method"),
        })),
        txid: id,
    })
}

async fn create(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    act(&req, &world, &body, |books, form| {
        let mut charge = new_charge(form)?;
        let at_once = form.one_of("confirm", &["true", "false"])? == Some("true");
        if at_once {
            let method = form.need("payment_method")?;
            test_card(method).ok_or_else(|| missing("PaymentMethod", method, "payment_method"))?;
        }
        if books.charges.get(&charge.payment_id).is_some() {
            charge.payment_id = charge.txid.clone(); // a second one for the same payment is a row of its own
        }
        books.put(charge.clone());
        if at_once {
            return try_card(&world, books, &charge, form);
        }
        view(books, &charge.txid, form)
    })
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    read(&req, &world, |books, form| view(books, &id, form))
}

fn unexpected(charge: &Charge, card: &Card, what: &str) -> Failure {
    let why = format!("This PaymentIntent could not be {what} because it has a status of {}.", status_of(charge, card));
    let Failure(status, mut error) = invalid("payment_intent_unexpected_state", &why, "");
    error["payment_intent"] = intent(charge, card);
    Failure(status, error)
}

/// With the documented test cards, so that nobody needs a browser.
async fn confirm(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    act(&req, &world, &body, |books, form| {
        form.only(&["payment_method", "return_url", "expand", "receipt_email", "off_session"])?;
        let (charge, card) = find(books, &id, "intent")?;
        if charge.status != ChargeStatus::Pending || card.stage == CardStage::Processing {
            return Err(unexpected(charge, card, "confirmed"));
        }
        let charge = charge.clone();
        try_card(&world, books, &charge, form)
    })
}

enum TestCard {
    Good,
    Asks,
    Bad(&'static str),
}

fn test_card(method: &str) -> Option<TestCard> {
    Some(match method {
        "pm_card_visa" | "pm_card_mastercard" | "pm_card_br" => TestCard::Good,
        "pm_card_authenticationRequired" | "pm_card_threeDSecure2Required" => TestCard::Asks,
        "pm_card_chargeDeclined" | "pm_card_visa_chargeDeclined" => TestCard::Bad("generic_decline"),
        "pm_card_chargeDeclinedInsufficientFunds" | "pm_card_visa_chargeDeclinedInsufficientFunds" => {
            TestCard::Bad("insufficient_funds")
        }
        "pm_card_chargeDeclinedExpiredCard" => TestCard::Bad("expired_card"),
        "pm_card_chargeDeclinedIncorrectCvc" => TestCard::Bad("incorrect_cvc"),
        "pm_card_chargeDeclinedProcessingError" => TestCard::Bad("processing_error"),
        _ => return None,
    })
}

fn try_card(world: &World, books: &mut Books, charge: &Charge, form: &Form) -> Result<Value, Failure> {
    let method = form.get("payment_method").or(charge.extra["payment_method"].as_str()).unwrap_or("pm_card_visa").to_owned();
    let mut charge = charge.clone();
    charge.extra.0["payment_method"] = json!(method);
    let outcome = match test_card(&method) {
        Some(TestCard::Good) => card::pay(world, books, &charge, None, SendWebhook::Once),
        Some(TestCard::Asks) => card::wait(world, books, &charge, CardStage::Action),
        Some(TestCard::Bad(why)) => card::decline(world, books, &charge, Decline::of(why)),
        None => return Err(missing("PaymentMethod", &method, "payment_method")),
    };
    let charge = outcome.map_err(|why| invalid("payment_intent_unexpected_state", &why.to_string(), ""))?;
    match &charge.card {
        Some(card) if card.decline.is_some() => {
            let mut error = decline_error(card);
            error["charge"] = json!(card.charge_id);
            error["payment_intent"] = intent(&charge, card);
            Err(Failure(402, error))
        }
        _ => view(books, &charge.txid, form),
    }
}

async fn cancel(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    act(&req, &world, &body, |books, form| {
        form.only(&["cancellation_reason", "expand"])?;
        let reasons = ["requested_by_customer", "abandoned", "duplicate", "fraudulent"];
        let reason = form.one_of("cancellation_reason", &reasons)?;
        let (charge, card) = find(books, &id, "intent")?;
        if charge.status != ChargeStatus::Pending || card.stage == CardStage::Processing {
            return Err(unexpected(charge, card, "canceled"));
        }
        let charge = charge.clone();
        card::cancel(&world, books, &charge, reason)
            .map_err(|why| invalid("payment_intent_unexpected_state", &why.to_string(), ""))?;
        view(books, &id, form)
    })
}

fn views(books: &Books, found: Vec<&Charge>, form: &Form) -> Result<Vec<Value>, Failure> {
    found.into_iter().map(|charge| view(books, &charge.txid, form)).collect()
}

/// The newest first, and at once.
async fn list(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["limit", "starting_after", "created", "customer", "expand"])?;
        let in_time = created_in(form)?;
        let wanted = |c: &&Charge| {
            c.provider == NAME
                && in_time(c.created_at)
                && form.get("customer").is_none_or(|customer| c.extra["customer"] == customer)
        };
        let (here, more) = page(form, books.charges().iter().rev().filter(wanted).collect(), |c| c.txid.clone())?;
        let data = views(books, here, form)?;
        Ok(json!({"object": "list", "url": "/v1/payment_intents", "has_more": more, "data": data}))
    })
}

/// By metadata and status. It runs behind the truth, as theirs does.
async fn search(req: HttpRequest, world: Data<World>) -> HttpResponse {
    read(&req, &world, |books, form| {
        form.only(&["query", "limit", "page", "expand"])?;
        let clauses = clauses(form.need("query")?)?;
        let lag = SignedDuration::try_from(world.cfg.stripe_search_lag).unwrap_or(SignedDuration::ZERO);
        let now = Timestamp::now();
        let fits = |charge: &Charge, card: &Card| {
            clauses.iter().all(|(field, value)| match field.as_str() {
                "status" => status_of(charge, card) == value,
                key => card.metadata.get(key.trim_start_matches("metadata.")) == Some(value),
            })
        };
        let wanted = |c: &&Charge| now.duration_since(c.created_at) >= lag && c.card.as_ref().is_some_and(|card| fits(c, card));
        let (here, more) = page(form, books.charges().iter().rev().filter(wanted).collect(), |c| c.txid.clone())?;
        let data = views(books, here, form)?;
        let url = "/v1/payment_intents/search";
        Ok(json!({"object": "search_result", "url": url, "has_more": more, "next_page": null, "data": data}))
    })
}

/// `metadata['payment_id']:'0193' AND status:'succeeded'` → `metadata.payment_id` and its value, and so on.
fn clauses(query: &str) -> Result<BTreeMap<String, String>, Failure> {
    let bad = || invalid("", "The search query could not be read.", "query");
    let quoted = |text: &str| {
        let text = text.trim();
        let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
        inner('\'').or_else(|| inner('"')).map(str::to_owned)
    };
    let mut found = BTreeMap::new();
    for clause in query.split(" AND ") {
        let (field, value) = clause.split_once(':').ok_or_else(bad)?;
        let metadata = field.trim().strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
        let field = match (field.trim(), metadata) {
            (_, Some(key)) => format!("metadata.{}", quoted(key).ok_or_else(bad)?),
            ("status", None) => "status".to_owned(),
            _ => return Err(bad()),
        };
        found.insert(field, quoted(value).ok_or_else(bad)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_either_quote_and_nothing_is_guessed() {
        let read = |query: &str| clauses(query).ok();
        let wanted = BTreeMap::from([("metadata.payment_id".to_owned(), "0193".to_owned())]);
        assert_eq!(read("metadata['payment_id']:'0193'"), Some(wanted.clone()));
        assert_eq!(read(r#"metadata["payment_id"]:"0193""#), Some(wanted));
        assert_eq!(read("metadata['a']:'1' AND status:'succeeded'").map(|found| found.len()), Some(2));
        for bad in ["", "payment_id", "metadata[payment_id]:'0193'", "metadata['a']:0193", "customer:'x'"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
