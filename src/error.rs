//! Everything that can go wrong, and what its reader is told: problem+json (RFC 9457), made here alone.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use tokio_postgres::error::DbError;
use utoipa::ToSchema;
use vitrine_kit::{Forged, ProviderError};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One invalid field of a request: where (`items[0].quantity`) and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    pub field: String,
    pub message: String,
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
    #[error("The cart is empty")]
    CartEmpty,
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
    #[error("A request with this Idempotency-Key is still being worked on")]
    KeyInFlight,
    #[error("This Idempotency-Key was used with another body")]
    KeyReused,
    #[error("Too many requests: try again in {retry_after_s} s")]
    TooMany { retry_after_s: u64 },
    /// Nobody who could answer is there: passwords are queued up, freight has neither carrier nor history.
    #[error("{what}")]
    Busy { what: &'static str, retry_after_s: u64 },
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    #[error("the connection pool: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error(transparent)]
    Forged(#[from] Forged),
    /// A bug or a broken machine. Told to the log, never to the reader.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A single invalid field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Status, slug and title. Clients switch on the slug: it never changes.
    fn problem(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (400, "malformed", "The request could not be read"),
            Self::Unauthorized(_) => (401, "unauthorized", "Sign in first"),
            Self::Forged(_) => (401, "bad-signature", "The signature is missing or wrong"),
            Self::Forbidden(_) => (403, "forbidden", "You may not do this"),
            Self::NotFound(_) => (404, "not-found", "There is no such thing, or it is not yours"),
            Self::TooLarge => (413, "too-large", "The request is too large"),
            Self::UnsupportedMedia => (415, "unsupported-media-type", "This content type is not understood"),
            Self::UnsupportedEncoding => (415, "unsupported-content-encoding", "Compressed bodies are not read"),
            Self::Invalid(_) => (422, "invalid", "Some fields are invalid"),
            Self::KeyReused => (422, "idempotency-key-reused", "This Idempotency-Key belongs to another request"),
            Self::OutOfStock { .. } => (409, "out-of-stock", "There is not enough stock"),
            Self::TooManyUnpaid { .. } => (409, "too-many-unpaid-orders", "Too many orders wait for their money"),
            Self::TooManyHeld { .. } | Self::TooManyOfOne { .. } => {
                (409, "too-many-units", "That is more than can be ordered at once")
            }
            Self::CartEmpty => (409, "cart-empty", "The cart is empty"),
            Self::Coupon(_) | Self::NoSuchCoupon => (409, "coupon-refused", "The coupon cannot be used"),
            Self::Conflict(_) => (409, "conflict", "This is not possible now"),
            Self::KeyInFlight => (409, "idempotency-key-in-flight", "The first request with this key is not finished"),
            Self::Provider(ProviderError::Rejected { .. }) => (409, "provider-refused", "The provider refused it"),
            Self::TooMany { .. } => (429, "too-many-requests", "Too many requests"),
            Self::Provider(_) | Self::Pool(_) | Self::Busy { .. } => (503, "unavailable", "Please try again soon"),
            Self::Database(error) if is_away(error) => (503, "unavailable", "Please try again soon"),
            Self::Database(_) | Self::Internal(_) => (500, "internal", "Something went wrong on our side"),
        }
    }

    /// The slug that clients switch on.
    pub fn slug(&self) -> &'static str {
        self.problem().1
    }

    /// Seconds to wait, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } | Self::Busy { retry_after_s, .. } => Some((*retry_after_s).max(1)),
            Self::Provider(ProviderError::Unavailable { retry_after_s, .. }) => Some(retry_after_s.unwrap_or(5).max(1)),
            Self::KeyInFlight => Some(1),
            _ if self.problem().0 == 503 => Some(2),
            _ => None,
        }
    }

    /// What the reader is told. From 500 on only the title: the cause is for the log.
    fn detail(&self) -> String {
        match self {
            Self::Provider(ProviderError::Rejected { .. }) => "The provider refused the request; nothing was charged".to_owned(),
            Self::Busy { what, .. } => (*what).to_owned(),
            _ if self.problem().0 >= 500 => self.problem().2.to_owned(),
            _ => self.to_string(),
        }
    }

    /// The problem+json answer without a request id (the middleware adds it).
    pub fn body(&self) -> Problem {
        let (status, slug, title) = self.problem();
        Problem {
            kind: format!("https://vitrine.dev/errors/{slug}"),
            title,
            status,
            detail: self.detail(),
            request_id: crate::http::request_id::current(),
            errors: if let Self::Invalid(errors) = self { errors.clone() } else { Vec::new() },
        }
    }
}

/// Connection lost, server shutting down or starting, or the statement ran out of time: not our fault, try again.
fn is_away(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::SqlState as S;
    error.is_closed()
        || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
        || error.code().is_some_and(|code| {
            let away =
                [&S::ADMIN_SHUTDOWN, &S::CRASH_SHUTDOWN, &S::CANNOT_CONNECT_NOW, &S::QUERY_CANCELED, &S::TOO_MANY_CONNECTIONS];
            let retry = [&S::T_R_SERIALIZATION_FAILURE, &S::T_R_DEADLOCK_DETECTED, &S::LOCK_NOT_AVAILABLE];
            away.contains(&code) || retry.contains(&code) || code.code().starts_with("08") || code.code().starts_with("53")
        })
}

/// The constraint that a failed statement broke, if that is why it failed.
pub fn broken_constraint(error: &tokio_postgres::Error) -> Option<&str> {
    error.as_db_error().and_then(|e| e.constraint())
}

/// An error as clients see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Ends in a stable slug: switch on it.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    pub request_id: String,
    /// Which fields are invalid, for status 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if self.problem().0 >= 500 {
            tracing::error!(error = %Chain(self), slug = self.slug(), "request failed");
        }
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        if matches!(self, Self::Unauthorized(_)) {
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
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
