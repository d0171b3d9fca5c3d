//! What all calls of Stripe share: the key, forms with brackets, errors, idempotency keys, lists.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::card::Card;
use crate::books::{Books, Charge, RememberedKey};
use crate::formats::signature;
use crate::world::World;
use crate::world::fault::StoredFailure;

pub(crate) const NAME: &str = "stripe";
/// The one 400 that is an answer like any other to an idempotency key: what was asked for was right, and was tried.
pub(crate) const NO_BALANCE: &str = "balance_insufficient";
const KEY_MAX: usize = 255;
const KEY_LIFE: SignedDuration = SignedDuration::from_hours(24);
const METADATA_MAX: (usize, usize, usize) = (50, 40, 500);

/// A status, and what stands under `error`.
pub(crate) struct Failure(pub(crate) u16, pub(crate) Value);

pub(crate) fn invalid(code: &str, message: &str, param: &str) -> Failure {
    let mut error = json!({"type": "invalid_request_error", "message": message});
    for (name, value) in [("code", code), ("param", param)] {
        if !value.is_empty() {
            error[name] = json!(value);
        }
    }
    Failure(400, error)
}

pub(crate) fn missing(what: &str, id: &str, param: &str) -> Failure {
    let Failure(_, error) = invalid("resource_missing", &format!("No such {what}: '{id}'"), param);
    Failure(404, error)
}

fn bare(kind: &str, code: &str, message: &str) -> Value {
    let mut error = json!({"type": kind, "message": message});
    if !code.is_empty() {
        error["code"] = json!(code);
    }
    error
}

pub(crate) fn error_body(status: u16) -> Value {
    let message = "ordered by the sandbox's control";
    let error = match status {
        402 => {
            let mut error = bare("card_error", "card_declined", message);
            error["decline_code"] = json!("generic_decline");
            error
        }
        404 => bare("invalid_request_error", "resource_missing", message),
        409 => bare("invalid_request_error", "idempotency_key_in_use", message),
        429 => bare("invalid_request_error", "rate_limit", message),
        400..=499 => bare("invalid_request_error", "", message),
        _ => bare("api_error", "", message),
    };
    json!({"error": error})
}

/// A request's parameters, flat: `metadata[payment_id]` is a name like any other.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// An empty value is none, as there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.0.iter().rev();
        all.filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).find(|value| !value.is_empty())
    }

    pub(crate) fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| invalid("parameter_missing", &format!("Missing required param: {name}."), name))
    }

    /// `name[]=card` or `name[0]=card`, in their order.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let is_item = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']'));
        self.0.iter().filter(|(known, _)| is_item(known)).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let bad = |_| invalid("parameter_invalid_integer", &format!("Invalid integer: {name}"), name);
        self.get(name).map(|text| text.parse().map_err(bad)).transpose()
    }

    pub(crate) fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            Some(value) if !allowed.contains(&value) => {
                Err(invalid("", &format!("Invalid {name}: must be one of {}", allowed.join(", ")), name))
            }
            value => Ok(value),
        }
    }

    /// `expand[]=latest_charge` or `expand[0]=latest_charge`; in a list `data.latest_charge`.
    pub(crate) fn expands(&self, what: &str) -> bool {
        let asked = |value: &str| value.strip_prefix("data.").unwrap_or(value) == what;
        self.0.iter().any(|(name, value)| name.starts_with("expand[") && asked(value))
    }

    /// What they do not know, they refuse. `known`: names up to the first bracket.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let root = |name: &str| name.split('[').next().unwrap_or("").to_owned();
        match self.0.iter().find(|(name, _)| !known.contains(&root(name).as_str())) {
            Some((name, _)) => Err(invalid("parameter_unknown", &format!("Received unknown parameter: {name}"), name)),
            None => Ok(()),
        }
    }

    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut found = BTreeMap::new();
        for (name, value) in &self.0 {
            if let Some(key) = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']')) {
                found.insert(key.to_owned(), value.clone());
            }
        }
        let (keys, key, value) = METADATA_MAX;
        let long = |(name, text): (&String, &String)| name.chars().count() > key || text.chars().count() > value;
        if found.len() > keys || found.iter().any(long) {
            let why = "Metadata can have up to 50 keys, with names up to 40 and values up to 500 characters.";
            return Err(invalid("", why, "metadata"));
        }
        Ok(found)
    }

    /// The same request, however its parts are ordered.
    fn hash(&self, req: &HttpRequest) -> String {
        let mut parts = self.0.clone();
        parts.sort();
        signature::sha256_hex(format!("{} {} {parts:?}", req.method(), req.path()).as_bytes())
    }
}

fn header<'a>(req: &'a HttpRequest, name: &str) -> &'a str {
    req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn authorize(req: &HttpRequest, world: &World) -> Result<(), Failure> {
    match header(req, "authorization").strip_prefix("Bearer ") {
        Some(key) if key == world.cfg.stripe_secret_key && !world.is_revoked(NAME) => Ok(()),
        Some(_) => Err(Failure(401, bare("invalid_request_error", "", "Invalid API Key provided."))),
        None => Err(Failure(401, bare("invalid_request_error", "", "You did not provide an API key."))),
    }
}

fn respond(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = HttpResponse::build(status);
    answer.insert_header(("request-id", new_id("req_"))).json(body)
}

fn as_answer(outcome: Result<Value, Failure>) -> (u16, Value) {
    match outcome {
        Ok(body) => (200, body),
        Err(Failure(status, error)) => (status, json!({"error": error})),
    }
}

/// A GET: its parameters are in the query.
pub(crate) fn read(
    req: &HttpRequest,
    world: &World,
    inside: impl FnOnce(&mut Books, &Form) -> Result<Value, Failure>,
) -> HttpResponse {
    let form = Form::parse(req.query_string().as_bytes());
    let outcome = authorize(req, world).and_then(|()| world.write(|books| inside(books, &form)));
    let (status, body) = as_answer(outcome);
    respond(status, &body)
}

/// A POST, once for each idempotency key. What was refused before it began is not remembered.
pub(crate) fn act(
    req: &HttpRequest,
    world: &World,
    body: &[u8],
    inside: impl FnOnce(&mut Books, &Form) -> Result<Value, Failure>,
) -> HttpResponse {
    let form = Form::parse(body);
    let key = header(req, "idempotency-key");
    if let Err(refused) = authorize(req, world).and_then(|()| check(req, body, key)) {
        let (status, body) = as_answer(Err(refused));
        return respond(status, &body);
    }
    let failure = req.extensions().get::<StoredFailure>().copied();
    let (id, request_hash) = (format!("stripe/{key}"), form.hash(req));
    world.write(|books| {
        let young = |known: &&RememberedKey| Timestamp::now().duration_since(known.created_at) < KEY_LIFE;
        if let Some(known) = books.keys.get(&id).filter(young).filter(|_| !key.is_empty()) {
            return replay(known, &request_hash);
        }
        let (status, body) = match failure {
            Some(StoredFailure { code, deed: false }) => (code, error_body(code)),
            Some(StoredFailure { code, deed: true }) => {
                let _ = inside(books, &form); // done or refused: nobody learns
                (code, error_body(code))
            }
            None => as_answer(inside(books, &form)),
        };
        let was_tried = matches!(status, 200 | 402 | 500..) || body["error"]["code"] == NO_BALANCE;
        if !key.is_empty() && was_tried {
            let answer = json!({"status": status, "body": body});
            books.put(RememberedKey { id, request_hash, answer, created_at: Timestamp::now() });
        }
        respond(status, &body)
    })
}

fn check(req: &HttpRequest, body: &[u8], key: &str) -> Result<(), Failure> {
    if !body.is_empty() && !header(req, "content-type").starts_with("application/x-www-form-urlencoded") {
        return Err(invalid("", "The content type is not application/x-www-form-urlencoded.", ""));
    }
    if key.len() > KEY_MAX {
        return Err(invalid("", "Idempotency keys have up to 255 characters.", ""));
    }
    Ok(())
}

fn replay(known: &RememberedKey, request_hash: &str) -> HttpResponse {
    if known.request_hash != request_hash {
        let why = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        return respond(400, &json!({"error": bare("idempotency_error", "", why)}));
    }
    let status = known.answer["status"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    let mut answer = respond(status, &known.answer["body"]);
    let name = actix_web::http::header::HeaderName::from_static("idempotent-replayed");
    answer.headers_mut().insert(name, actix_web::http::header::HeaderValue::from_static("true"));
    answer
}

/// A page of what was found, the newest first, and whether there is more.
pub(crate) fn page<T>(form: &Form, found: Vec<T>, id: impl Fn(&T) -> String) -> Result<(Vec<T>, bool), Failure> {
    let limit = match form.integer("limit")?.unwrap_or(10) {
        limit @ 1..=100 => usize::try_from(limit).unwrap_or(100),
        _ => return Err(invalid("", "limit must be from 1 to 100", "limit")),
    };
    let from = match form.get("starting_after") {
        Some(after) => {
            let at = found.iter().position(|one| id(one) == after);
            at.ok_or_else(|| missing("object", after, "starting_after"))? + 1
        }
        None => 0,
    };
    let more = found.len() > from + limit;
    Ok((found.into_iter().skip(from).take(limit).collect(), more))
}

/// `created[gte]` and its like, in unix seconds.
pub(crate) fn created_in(form: &Form) -> Result<impl Fn(Timestamp) -> bool, Failure> {
    let bound = |name: &str| form.integer(&format!("created[{name}]"));
    let (gt, gte, lt, lte) = (bound("gt")?, bound("gte")?, bound("lt")?, bound("lte")?);
    Ok(move |at: Timestamp| {
        let at = at.as_second();
        gt.is_none_or(|b| at > b) && gte.is_none_or(|b| at >= b) && lt.is_none_or(|b| at < b) && lte.is_none_or(|b| at <= b)
    })
}

/// A letter and a half say what it is, the rest is luck: `pi_3…`.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", &Uuid::new_v4().simple().to_string()[..24])
}

/// A payment, by its `pi_…`. All rows of this provider have a card.
pub(crate) fn find<'a>(books: &'a Books, id: &str, param: &str) -> Result<(&'a Charge, &'a Card), Failure> {
    let found = books.charges().iter().rev().find(|c| c.provider == NAME && c.txid == id);
    found.and_then(|charge| Some((charge, charge.card.as_ref()?))).ok_or_else(|| missing("payment_intent", id, param))
}

fn find_by_card(books: &Books, fits: impl Fn(&Card) -> bool) -> Option<(&Charge, &Card)> {
    let mut with_card = books.charges().iter().rev().filter_map(|charge| Some((charge, charge.card.as_ref()?)));
    with_card.find(|(_, card)| fits(card))
}

pub(crate) fn by_charge<'a>(books: &'a Books, id: &str) -> Result<(&'a Charge, &'a Card), Failure> {
    find_by_card(books, |card| card.charge_id.as_deref() == Some(id)).ok_or_else(|| missing("charge", id, "id"))
}

/// The payment that a request names.
pub(crate) fn target<'a>(books: &'a Books, form: &Form) -> Result<(&'a Charge, &'a Card), Failure> {
    match (form.get("payment_intent"), form.get("charge")) {
        (Some(intent), _) => find(books, intent, "payment_intent"),
        (None, Some(charge)) => by_charge(books, charge),
        (None, None) => Err(invalid("parameter_missing", "One of payment_intent or charge is required.", "payment_intent")),
    }
}
