//! Resend, transactional e-mail: `/resend/emails`. Nothing leaves the machine; the page shows the mailbox.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::post::bare_address;
use crate::books::{Books, Mail, RememberedKey};
use crate::formats::signature;
use crate::world::{Provider, World};

pub(crate) const PROVIDER: Provider = Provider { name: "resend", routes, error: error_body, has_key: true, ..Provider::SILENT };

const KEY_MAX: usize = 256;
const KEY_LIFE: SignedDuration = SignedDuration::from_hours(24);
const TO_MAX: usize = 50;
const BATCH_MAX: usize = 100;
const TAG_MAX: usize = 256;
/// Addresses of this domain are refused, so that a test can have one bad mail among good ones.
const REFUSED: &str = "refused.test";
/// Nobody can verify these as his own.
const UNVERIFIED: [&str; 3] = ["gmail.com", "outlook.com", "unverified.test"];

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/emails", web::post().to(send))
        .route("/emails/batch", web::post().to(send_batch))
        .route("/emails/{id}", web::get().to(show));
}

/// An answer that is not a success: status, name, message.
struct Failure(u16, &'static str, String);

fn fail<T>(status: u16, name: &'static str, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(status, name, message.into()))
}

fn error_body(status: u16) -> Value {
    let name = match status {
        400 => "validation_error",
        401 => "missing_api_key",
        403 => "invalid_api_key",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "concurrent_idempotent_requests",
        422 => "missing_required_field",
        429 => "rate_limit_exceeded",
        503 => "service_unavailable",
        _ => "application_error",
    };
    json!({"statusCode": status, "name": name, "message": "ordered by the sandbox's control"})
}

/// Every answer tells the rate, which the sandbox does not enforce.
fn with_rate(mut answer: HttpResponseBuilder, body: &Value) -> HttpResponse {
    answer
        .insert_header(("ratelimit-limit", "5"))
        .insert_header(("ratelimit-remaining", "4"))
        .insert_header(("ratelimit-reset", "1"))
        .json(body)
}

fn answer(outcome: Result<Value, Failure>) -> HttpResponse {
    match outcome {
        Ok(body) => with_rate(HttpResponse::Ok(), &body),
        Err(Failure(status, name, message)) => {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({"statusCode": status, "name": name, "message": message});
            with_rate(HttpResponse::build(code), &body)
        }
    }
}

fn authorize(req: &HttpRequest, world: &World) -> Result<(), Failure> {
    let given = req.headers().get("authorization").and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        None => fail(401, "missing_api_key", "Missing API key in the authorization header"),
        Some(key) if key == world.cfg.resend_api_key && !world.is_revoked(PROVIDER.name) => Ok(()),
        Some(_) => fail(403, "invalid_api_key", "API key is invalid"),
    }
}

fn idempotency_key(req: &HttpRequest) -> Result<Option<String>, Failure> {
    let Some(key) = req.headers().get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => fail(400, "invalid_idempotency_key", "The key must have between 1 and 256 characters"),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(this: Option<Self>) -> Vec<String> {
        match this {
            None => Vec::new(),
            Some(Self::One(one)) => vec![one],
            Some(Self::Many(many)) => many,
        }
    }
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Attachment {
    filename: Option<String>,
    content: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct NewMail {
    from: Option<String>,
    to: Option<OneOrMany>,
    subject: Option<String>,
    html: Option<String>,
    text: Option<String>,
    cc: Option<OneOrMany>,
    bcc: Option<OneOrMany>,
    reply_to: Option<OneOrMany>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    scheduled_at: Option<String>,
}

fn required(field: Option<String>, name: &str) -> Result<String, Failure> {
    match field.filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => fail(422, "missing_required_field", format!("Missing `{name}` field.")),
    }
}

fn check_address(text: &str, field: &str) -> Result<(), Failure> {
    let good = bare_address(text).split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && !bare_address(text).contains(char::is_whitespace)
    });
    if good {
        return Ok(());
    }
    let shape = "must be `email@example.com` or `Name <email@example.com>`";
    fail(422, "invalid_parameter", format!("Invalid `{field}` field: it {shape}."))
}

impl NewMail {
    /// Two fields are not taken in batches.
    fn accept_in_batch(self, idempotency_key: Option<&str>) -> Result<Mail, Failure> {
        if !self.attachments.is_empty() || self.scheduled_at.is_some() {
            return fail(422, "invalid_parameter", "A batch takes no `attachments` and no `scheduled_at`.");
        }
        self.accept(idempotency_key)
    }

    /// The mail as it goes into the books.
    fn accept(self, idempotency_key: Option<&str>) -> Result<Mail, Failure> {
        let from = required(self.from, "from")?;
        check_address(&from, "from")?;
        let to = OneOrMany::list(self.to);
        if to.is_empty() {
            return fail(422, "missing_required_field", "Missing `to` field.");
        }
        if to.len() > TO_MAX {
            return fail(422, "invalid_parameter", "The `to` field takes at most 50 addresses.");
        }
        let (cc, bcc) = (OneOrMany::list(self.cc), OneOrMany::list(self.bcc));
        for address in to.iter().chain(&cc).chain(&bcc) {
            check_address(address, "to")?;
            if bare_address(address).rsplit('@').next() == Some(REFUSED) {
                return fail(422, "invalid_parameter", format!("Invalid `to` field: {REFUSED} takes no mail."));
            }
        }
        let subject = required(self.subject, "subject")?;
        let (html, text) = (self.html.filter(|s| !s.is_empty()), self.text.filter(|s| !s.is_empty()));
        if html.is_none() && text.is_none() {
            return fail(422, "missing_required_field", "Missing `html` or `text` field.");
        }
        check_tags(&self.tags)?;
        if self.attachments.iter().any(|a| a.content.is_none() && a.path.is_none()) {
            return fail(422, "invalid_attachment", "An attachment needs `content` or `path`.");
        }
        let domain = bare_address(&from).rsplit('@').next().unwrap_or("").to_ascii_lowercase();
        if UNVERIFIED.contains(&domain.as_str()) {
            return fail(403, "validation_error", format!("The {domain} domain is not verified."));
        }
        Ok(Mail {
            provider: PROVIDER.name.to_owned(),
            id: Uuid::new_v4().to_string(),
            idempotency_key: idempotency_key.map(str::to_owned),
            last_event: last_event(&to, self.scheduled_at.is_some()).to_owned(),
            from,
            to,
            cc,
            bcc,
            reply_to: OneOrMany::list(self.reply_to),
            subject,
            html,
            text,
            tags: self.tags.into_iter().map(|tag| (tag.name, tag.value)).collect(),
            headers: self.headers,
            attachments: self.attachments.into_iter().map(|a| a.filename.unwrap_or_default()).collect(),
            scheduled_at: self.scheduled_at,
            created_at: Timestamp::now(),
        })
    }
}

fn check_tags(tags: &[Tag]) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let good = |text: &str| (1..=TAG_MAX).contains(&text.len()) && text.bytes().all(plain);
    match tags.iter().find(|tag| !good(&tag.name) || !good(&tag.value)) {
        None => Ok(()),
        Some(_) => fail(422, "invalid_parameter", "Tags take only ASCII letters, numbers, underscores and dashes."),
    }
}

/// The documented test addresses bounce and complain; the rest arrives.
fn last_event(to: &[String], scheduled: bool) -> &'static str {
    let is = |address: &str| to.iter().any(|to| bare_address(to) == address);
    match () {
        () if scheduled => "scheduled",
        () if is("bounced@resend.dev") => "bounced",
        () if is("complained@resend.dev") => "complained",
        () => "delivered",
    }
}

/// Authorizes, reads, and does it once for each key. All or nothing.
fn once(
    req: &HttpRequest,
    world: &World,
    body: &[u8],
    make: impl FnOnce(Value, Option<&str>) -> Result<(Vec<Mail>, Value), Failure>,
) -> Result<Value, Failure> {
    authorize(req, world)?;
    let key = idempotency_key(req)?;
    let document: Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => return fail(400, "validation_error", error.to_string()),
    };
    let request_hash = signature::sha256_hex(format!("{}{document}", req.path()).as_bytes());
    world.write(|books| {
        if let Some(known) = key.as_deref().and_then(|key| remembered(books, key)) {
            if known.request_hash != request_hash {
                let why = "This idempotency key was used with another payload.";
                return fail(409, "invalid_idempotent_request", why);
            }
            return Ok(known.answer.clone());
        }
        let (mails, answer) = make(document, key.as_deref())?;
        mails.into_iter().for_each(|mail| books.put(mail));
        if let Some(id) = key {
            books.put(RememberedKey { id, request_hash, answer: answer.clone(), created_at: Timestamp::now() });
        }
        Ok(answer)
    })
}

fn remembered<'a>(books: &'a Books, key: &str) -> Option<&'a RememberedKey> {
    books.keys.get(key).filter(|known| Timestamp::now().duration_since(known.created_at) < KEY_LIFE)
}

fn read<T: serde::de::DeserializeOwned>(document: Value) -> Result<T, Failure> {
    serde_json::from_value(document).or_else(|error| fail(422, "invalid_parameter", error.to_string()))
}

async fn send(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    answer(once(&req, &world, &body, |document, key| {
        let mail = read::<NewMail>(document)?.accept(key)?;
        let answer = json!({"id": mail.id});
        Ok((vec![mail], answer))
    }))
}

/// All or nothing, unless the header asks for what is possible: then each mail that cannot be sent is named by its place.
async fn send_batch(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    let mode = req.headers().get("x-batch-validation").and_then(|mode| mode.to_str().ok()).unwrap_or("strict").to_owned();
    answer(once(&req, &world, &body, |document, key| {
        let batch: Vec<NewMail> = read(document)?;
        if !(1..=BATCH_MAX).contains(&batch.len()) {
            return fail(422, "invalid_parameter", "A batch has 1 to 100 messages.");
        }
        let is_permissive = match mode.as_str() {
            "permissive" => true,
            "strict" => false,
            _ => return fail(422, "invalid_parameter", "`x-batch-validation` is `strict` or `permissive`."),
        };
        let (mut mails, mut errors) = (Vec::new(), Vec::new());
        for (index, new) in batch.into_iter().enumerate() {
            match new.accept_in_batch(key) {
                Ok(mail) => mails.push(mail),
                Err(Failure(_, _, message)) if is_permissive => errors.push(json!({"index": index, "message": message})),
                Err(failure) => return Err(failure),
            }
        }
        let mut answer = json!({"data": mails.iter().map(|mail| json!({"id": mail.id})).collect::<Vec<Value>>()});
        if is_permissive {
            answer["errors"] = errors.into();
        }
        Ok((mails, answer))
    }))
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    answer(authorize(&req, &world).and_then(|()| match world.read(|books| books.mails.get(&id).map(view)) {
        Some(view) => Ok(view),
        None => fail(404, "not_found", "Email not found"),
    }))
}

fn view(mail: &Mail) -> Value {
    json!({
        "object": "email",
        "id": mail.id,
        "message_id": format!("<{}@sandbox.invalid>", mail.id),
        "to": mail.to,
        "from": mail.from,
        // Their own format: a space, six decimals, a short offset.
        "created_at": mail.created_at.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        "subject": mail.subject,
        "html": mail.html,
        "text": mail.text,
        "cc": mail.cc,
        "bcc": mail.bcc,
        "reply_to": mail.reply_to,
        "last_event": mail.last_event,
    })
}
