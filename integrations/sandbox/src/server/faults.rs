//! Faults on demand, for all providers: each call passes here, is logged, and may meet a fault.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::books::Call;
use crate::world::fault::{Fault, Met, StoredFailure};
use crate::world::{Provider, World};

/// Whom a call is for. Pictures of QR codes and printed labels are for people: not logged, no faults.
pub(crate) fn provider_of(world: &World, path: &str) -> Option<&'static Provider> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
    world.provider(first).filter(|_| !rest.starts_with("qr/") && !rest.starts_with("labels/"))
}

/// The log of calls, and the faults.
pub(crate) async fn middleware(req: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let world = req.app_data::<Data<World>>().cloned();
    let Some((world, provider)) = world.and_then(|world| Some((world.clone(), provider_of(&world, req.path())?))) else {
        return next.call(req).await;
    };
    let (began, met, n) = begin(&req, &world, provider);
    let answered = answer(req, next, provider, met).await;
    let status = match (&answered, met.map(|met| met.fault)) {
        (_, Some(Fault::Hang | Fault::HangAfterRequest | Fault::DropBeforeRequest | Fault::DropAfterRequest)) | (Err(_), _) => {
            None
        }
        (Ok(answer), _) => Some(answer.status().as_u16()),
    };
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    world.write(|books| books.call_ends(n, status, duration_ms));
    answered
}

fn begin(req: &ServiceRequest, world: &World, provider: &'static Provider) -> (Instant, Option<Met>, u64) {
    let path = req.path().to_owned();
    let met = world.fault(provider.name, &format!("{} {path}", req.method()));
    let pattern = req.match_pattern().unwrap_or_else(|| path.clone());
    let request_id = req.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let call = Call {
        n: 0,
        at: Timestamp::now(),
        provider: provider.name,
        endpoint: format!("{} {pattern}", req.method()),
        path,
        request_id: request_id.map(str::to_owned),
        fault: met.map(|met| met.fault.name().to_owned()),
        status: None,
        duration_ms: None,
    };
    (Instant::now(), met, world.write(|books| books.call_begins(call)))
}

async fn answer(
    req: ServiceRequest,
    next: Next<BoxBody>,
    provider: &Provider,
    met: Option<Met>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(Met { fault, hang }) = met else {
        return next.call(req).await;
    };
    match fault {
        Fault::Status(code) | Fault::StatusAfterRequest(code) if provider.stores_failures && code == 500 => {
            req.extensions_mut().insert(StoredFailure { code, deed: fault == Fault::StatusAfterRequest(code) });
            let answer = next.call(req).await?;
            let met = answer.status().as_u16() == code;
            Ok(if met { answer } else { answer.into_response(refusal(provider, code)) })
        }
        Fault::Status(code) => Ok(req.into_response(refusal(provider, code))),
        Fault::StatusAfterRequest(code) => Ok(next.call(req).await?.into_response(refusal(provider, code))),
        Fault::Delay(by) => {
            let answer = next.call(req).await;
            tokio::time::sleep(by).await;
            answer
        }
        Fault::Hang => {
            tokio::time::sleep(hang).await;
            Ok(req.into_response(hang_up()))
        }
        Fault::HangAfterRequest => {
            let answer = next.call(req).await?;
            tokio::time::sleep(hang).await;
            Ok(answer.into_response(hang_up()))
        }
        Fault::Garbage => {
            let answer = next.call(req).await?;
            let mut garbage = HttpResponse::build(answer.status());
            Ok(answer.into_response(garbage.content_type("application/json").body("\u{1f4a5}{\"status\":\"pa")))
        }
        Fault::WrongType => wrong_type(next.call(req).await?).await,
        Fault::DropBeforeRequest => Ok(req.into_response(hang_up())),
        Fault::DropAfterRequest => Ok(next.call(req).await?.into_response(hang_up())),
    }
}

fn refusal(provider: &Provider, code: u16) -> HttpResponse {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    if matches!(code, 429 | 503) {
        answer.insert_header((header::RETRY_AFTER, "1"));
    }
    answer.json((provider.error)(code))
}

async fn wrong_type(answer: ServiceResponse<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, answer) = answer.into_parts();
    let status = answer.status();
    let body = to_bytes(answer.into_body()).await.map_err(actix_web::error::ErrorInternalServerError)?;
    let body = match serde_json::from_slice(&body).unwrap_or(Value::Null) {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, other_type(&value))).collect(),
        other => other_type(&other),
    };
    Ok(ServiceResponse::new(request, HttpResponse::build(status).json(body)))
}

fn other_type(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Null => json!({"value": 7}),
        Value::Number(_) | Value::Bool(_) => json!("seven"),
        Value::Array(_) => json!("list"),
        Value::Object(_) => json!([7]),
    }
}

/// An answer whose body fails before its first byte: the head is still unsent then, and the
/// connection closes with nothing on it.
fn hang_up() -> HttpResponse {
    HttpResponse::Ok().body(HangUp)
}

struct HangUp;

impl MessageBody for HangUp {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("the sandbox drops this connection, as ordered"))))
    }
}
