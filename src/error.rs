//! Everything that can go wrong, and the answer for it: problem+json (RFC 9457), made here alone.

pub mod database;
mod types;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use tokio_postgres::error::DbError;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::RefBuilder;
use vitrine_kit::{Forged, Money, ProviderError};

use self::database::{cannot_be_kept, gone, is_away};
pub use self::types::ProblemType;
use crate::request;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One invalid field of a request: where (`items[0].quantity`) and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it stands in the request; empty: the whole body.
    #[schema(example = "items[0].quantity")]
    pub field: String,
    /// What is wrong, in English.
    #[schema(example = "lower than 1")]
    pub message: String,
}

/// How much can be paid by a method, and how much is to be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AmountBounds {
    /// The method of payment.
    #[schema(schema_with = method_of_bounds)]
    pub method: &'static str,
    /// What is to be paid, in centavos, after the method's discount.
    #[schema(value_type = i64, minimum = 0, example = 10782)]
    pub amount_cents: Money,
    /// The least that can be paid so, in centavos.
    #[schema(value_type = i64, minimum = 0, example = 50)]
    pub min_amount_cents: Money,
    /// The most that can be paid so, in centavos.
    #[schema(value_type = i64, minimum = 0, example = 100000000000i64)]
    pub max_amount_cents: Money,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unauthorized(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    /// Absent, or not yours: the answer must not tell which.
    #[error("{0} was not found")]
    NotFound(&'static str),
    /// The address is known, and takes these methods: `GET, HEAD, OPTIONS`.
    #[error("This address takes {0}")]
    MethodNotAllowed(String),
    #[error("The address is longer than 8 KiB")]
    UriTooLong,
    #[error("The body did not come in time: send it again")]
    BodyTooSlow,
    #[error("The body is larger than 1 MB")]
    TooLarge,
    #[error("Send the body as application/json")]
    UnsupportedMedia,
    #[error("Send the body as it is, without Content-Encoding")]
    UnsupportedEncoding,
    #[error("Some fields are invalid")]
    Invalid(Vec<FieldError>),
    #[error("{sku} has not enough stock: {available} left")]
    OutOfStock { sku: String, available: i32 },
    /// It lacks what an invoice needs, and the shop sells no such product.
    #[error("{name} ({sku}) cannot be sold yet: the shop has to complete what an invoice says of it")]
    NotReady { sku: String, name: String },
    #[error("The cart is empty")]
    CartEmpty,
    /// Something costs more than the buyer was shown. With the cart as it is now, once it was read.
    #[error("{why}")]
    PriceChanged { why: String, cart: Option<Box<serde_json::Value>> },
    /// Nobody takes so much, or so little, by the method that was chosen.
    #[error("{} cannot be paid so: this method takes {} to {}; choose another one", .0.amount_cents, .0.min_amount_cents, .0.max_amount_cents)]
    AmountNotAccepted(AmountBounds),
    #[error("There are too many unpaid orders {whose}: pay or cancel one of them, or wait until one has run out")]
    TooManyUnpaid { whose: &'static str },
    #[error("Unpaid orders {whose} would hold too many units: pay or cancel one of them, or order less")]
    TooManyHeld { whose: &'static str },
    #[error("One order takes at most {most} of {sku}: lower its quantity in the cart")]
    TooManyOfOne { sku: String, most: i32 },
    #[error("{0}")]
    Coupon(&'static str),
    /// A code that there is not: somebody may be guessing.
    #[error("There is no such coupon")]
    NoSuchCoupon,
    /// The thing is not in a state that allows this. The text says which and what to do.
    #[error("{0}")]
    Conflict(String),
    /// Money or goods of the order are on their way back, or are back: nobody sends it.
    #[error("{0}")]
    SaleIsOff(&'static str),
    /// `If-Match` names another version than the present one.
    #[error("It was changed since you read it: read it again")]
    Stale,
    /// An invoice or a label has the buyer or the address that somebody wants to change. The text says which.
    #[error("{0}")]
    OnPaper(&'static str),
    #[error("A request with this Idempotency-Key is still being worked on")]
    KeyInFlight,
    #[error("This Idempotency-Key was used with another body")]
    KeyReused,
    #[error("Too many requests: try again in {retry_after_s} s")]
    TooMany { retry_after_s: u64 },
    /// What would answer is away or has too much to do: the password queue is full, freight has neither carrier nor history.
    #[error("{what}")]
    Busy { what: &'static str, retry_after_s: u64 },
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A payment's provider is not configured any more: nobody can be asked about it until it is again.
    #[error("The provider {0} is not configured: its payments cannot be looked after")]
    Unconfigured(String),
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    #[error("the connection pool: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error(transparent)]
    Forged(#[from] Forged),
    /// A bug or a broken machine. The text goes to the log, never to the client.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A single invalid field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// The type of problem that an answer names: a line of `error/types.rs` and a page in `docs/errors`.
    fn problem(&self) -> &'static ProblemType {
        match self {
            Self::Malformed(_) => &ProblemType::MALFORMED,
            Self::Unauthorized(_) => &ProblemType::UNAUTHORIZED,
            Self::Forged(_) => &ProblemType::BAD_SIGNATURE,
            Self::Forbidden(_) => &ProblemType::FORBIDDEN,
            Self::NotFound(_) => &ProblemType::NOT_FOUND,
            Self::MethodNotAllowed(_) => &ProblemType::METHOD_NOT_ALLOWED,
            Self::UriTooLong => &ProblemType::URI_TOO_LONG,
            Self::BodyTooSlow => &ProblemType::REQUEST_TIMEOUT,
            Self::TooLarge => &ProblemType::TOO_LARGE,
            Self::UnsupportedMedia => &ProblemType::UNSUPPORTED_MEDIA_TYPE,
            Self::UnsupportedEncoding => &ProblemType::UNSUPPORTED_CONTENT_ENCODING,
            Self::Invalid(_) => &ProblemType::INVALID,
            Self::KeyReused => &ProblemType::KEY_REUSED,
            Self::OutOfStock { .. } => &ProblemType::OUT_OF_STOCK,
            Self::TooManyUnpaid { .. } => &ProblemType::TOO_MANY_UNPAID_ORDERS,
            Self::TooManyHeld { .. } | Self::TooManyOfOne { .. } => &ProblemType::TOO_MANY_UNITS,
            Self::NotReady { .. } => &ProblemType::PRODUCT_NOT_READY,
            Self::CartEmpty => &ProblemType::CART_EMPTY,
            Self::PriceChanged { .. } => &ProblemType::PRICE_CHANGED,
            Self::AmountNotAccepted(_) => &ProblemType::AMOUNT_NOT_ACCEPTED,
            Self::Coupon(_) | Self::NoSuchCoupon => &ProblemType::COUPON_REFUSED,
            Self::Conflict(_) | Self::Unconfigured(_) => &ProblemType::CONFLICT,
            Self::SaleIsOff(_) => &ProblemType::SALE_IS_OFF,
            Self::Stale => &ProblemType::PRECONDITION_FAILED,
            Self::OnPaper(_) => &ProblemType::ON_PAPER,
            Self::KeyInFlight => &ProblemType::KEY_IN_FLIGHT,
            Self::Provider(error) if error.is_refusal() => &ProblemType::PROVIDER_REFUSED,
            Self::TooMany { .. } => &ProblemType::TOO_MANY_REQUESTS,
            Self::Provider(_) | Self::Pool(_) | Self::Busy { .. } => &ProblemType::UNAVAILABLE,
            Self::Database(error) if is_away(error) => &ProblemType::UNAVAILABLE,
            Self::Database(error) if cannot_be_kept(error) => &ProblemType::INVALID,
            Self::Database(error) => match gone(error) {
                Some("orders_coupon_id_fkey" | "carts_coupon_id_fkey") => &ProblemType::COUPON_REFUSED,
                Some(_) => &ProblemType::CONFLICT,
                None => &ProblemType::INTERNAL,
            },
            Self::Internal(_) => &ProblemType::INTERNAL,
        }
    }

    /// The slug that clients switch on.
    pub fn slug(&self) -> &'static str {
        self.problem().slug
    }

    /// Seconds to wait, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } | Self::Busy { retry_after_s, .. } => Some((*retry_after_s).max(1)),
            Self::Provider(error) if error.is_away() => Some(error.retry_after_s().unwrap_or(5).max(1)),
            Self::KeyInFlight => Some(1),
            _ if self.problem().status == 503 => Some(2),
            _ => None,
        }
    }

    /// The text for the client. From 500 on it is the title alone: the cause goes to the log.
    pub fn detail(&self) -> String {
        match self {
            Self::Provider(error) if error.is_refusal() => "The provider refused the request; nothing was charged".to_owned(),
            Self::Busy { what, .. } => (*what).to_owned(),
            Self::Database(error) if cannot_be_kept(error) => {
                "A text has a character, or a time a year, that cannot be kept".to_owned()
            }
            Self::Database(error) if gone(error).is_some() => "What it names was deleted meanwhile: read it again".to_owned(),
            _ if self.problem().status >= 500 => self.problem().title.to_owned(),
            _ => self.to_string(),
        }
    }

    /// The body of the problem+json answer. Call it while a request is handled: its id and `PUBLIC_URL` come from there.
    pub fn body(&self) -> Problem {
        let ProblemType { status, slug, title, .. } = *self.problem();
        Problem {
            kind: format!("{}/errors/{slug}", request::public_url()),
            title,
            status,
            detail: self.detail(),
            request_id: request::id(),
            errors: if let Self::Invalid(errors) = self { errors.clone() } else { Vec::new() },
            cart: if let Self::PriceChanged { cart, .. } = self { cart.as_deref().cloned() } else { None },
            amount: if let Self::AmountNotAccepted(amount) = self { Some(amount.clone()) } else { None },
        }
    }
}

/// An error as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "https://api.loja.example/errors/out-of-stock",
    "title": "There is not enough stock",
    "status": 409,
    "detail": "CAN-AZUL has not enough stock: 1 left",
    "request_id": "0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d"
}))]
pub struct Problem {
    /// The page about this type of problem, `PUBLIC_URL/errors/{slug}`. The slug is stable: switch on it. `/errors` lists all.
    #[serde(rename = "type")]
    #[schema(format = "uri")]
    pub kind: String,
    /// The same text for every problem of this type.
    pub title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, in English.
    pub detail: String,
    /// The answer's `X-Request-ID`; log lines carry it too.
    pub request_id: String,
    /// Which fields are invalid; only for `invalid` (422).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The cart with its present prices; only for `price-changed` (409).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = cart_of_a_problem)]
    pub cart: Option<serde_json::Value>,
    /// The method, what is to be paid, and its limits; only for `amount-not-accepted` (409).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub amount: Option<AmountBounds>,
}

/// By name: the methods stand above this module.
fn method_of_bounds() -> Ref {
    RefBuilder::new().ref_location_from_schema_name("PaymentMethod").description(Some("The method of payment.")).build()
}

/// By name: the cart stands above this module.
fn cart_of_a_problem() -> Ref {
    RefBuilder::new()
        .ref_location_from_schema_name("Cart")
        .description(Some("The cart with its present prices; only for `price-changed` (409)."))
        .build()
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Busy { .. } => tracing::warn!(error = %self, slug = self.slug(), "request refused: too much to do"),
            _ if self.problem().status >= 500 => tracing::error!(error = %Chain(self), slug = self.slug(), "request failed"),
            Self::Database(_) => tracing::warn!(error = %Chain(self), slug = self.slug(), "the database refused what was sent"),
            _ => {}
        }
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        match self {
            Self::Unauthorized(_) => _ = answer.insert_header((header::WWW_AUTHENTICATE, "Bearer")),
            Self::MethodNotAllowed(methods) => _ = answer.insert_header((header::ALLOW, methods.as_str())),
            _ => {}
        }
        answer.content_type("application/problem+json").body(serde_json::to_string(&self.body()).unwrap_or_default())
    }
}

/// An error with all its causes, on one line: for logs, a job's last error, and the operator's mail.
///
/// Of what PostgreSQL says, only what names no row: its DETAIL holds whole rows, with names and addresses in them.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut next = Some(self.0);
        let mut between = "";
        while let Some(error) = next {
            f.write_str(between)?;
            match error.downcast_ref::<DbError>() {
                Some(said) => without_values(f, said)?,
                None => write!(f, "{error}")?,
            }
            between = ": ";
            next = error.source();
        }
        Ok(())
    }
}

/// `ERROR 23505: duplicate key value violates unique constraint "users_email_key" (table users, constraint users_email_key)`.
/// No detail, hint, context or query: each of them may hold values. Where data are at fault, the message quotes them.
fn without_values(f: &mut std::fmt::Formatter<'_>, said: &DbError) -> std::fmt::Result {
    let code = said.code().code();
    let message = said.message();
    let message = if code.starts_with("22") { message.split('"').next().unwrap_or_default().trim_end() } else { message };
    write!(f, "{} {code}: {message}", said.severity())?;
    let names = [("table", said.table()), ("column", said.column()), ("constraint", said.constraint())];
    let names: Vec<String> = names.iter().filter_map(|(what, name)| name.map(|name| format!("{what} {name}"))).collect();
    if names.is_empty() { Ok(()) } else { write!(f, " ({})", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("alone").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The log lines of an answer.
    fn logged(error: &Error) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(log, || drop(error.error_response()));
        String::from_utf8(lines.0.lock().expect("alone").clone()).expect("text")
    }

    #[test]
    fn a_full_queue_is_a_warning_and_a_broken_shop_an_error() {
        let full = logged(&Error::Busy { what: "Too many people are signing in at this moment", retry_after_s: 2 });
        assert!(full.contains(" WARN ") && !full.contains("ERROR"), "{full}");
        assert!(logged(&Error::Internal("broken".into())).contains("ERROR"));
        assert_eq!(logged(&Error::NotFound("The order")), "");
    }
}
