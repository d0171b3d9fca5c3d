//! The outermost middleware: gives every request its id, answers `/api/v1` as `/api` and HEAD as GET, and writes the access log.

use std::time::{Duration, Instant};

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, ResponseError};
use jiff::Timestamp;

use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::access_log::Access;
use crate::app::App;
use crate::cause;
use crate::client_ip::client_ip;
use crate::error;
use crate::http::head;
use crate::ids::{OrderId, UserId};
use crate::request;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LEN: usize = 128;
/// The longest address with its query.
const MAX_ADDRESS: usize = 8 * 1024;

pub async fn track(mut req: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = id_of_client(&req).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    answer_v1(&mut req);
    let method = req.method().clone();
    let is_head = head::as_get(&mut req);
    let span = span_of(&id, req.match_info().as_str()); // decoded, as routes are matched
    let base = req.app_data::<Data<App>>().map(|app| app.config.http.public_url.clone()).unwrap_or_default();
    let work = request::at_public_url(base, async move {
        if req.uri().path_and_query().is_some_and(|address| address.as_str().len() > MAX_ADDRESS) {
            return Ok(req.into_response(error::Error::UriTooLong.error_response()).map_into_boxed_body());
        }
        Ok::<_, Error>(next.call(req).await?.map_into_boxed_body())
    });
    let mut res = cause::scope("request", &id, work).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        res.headers_mut().insert(HEADER, value);
    }
    res.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_head {
        res = head::without_body(res);
    }
    let status = res.status().as_u16();
    // Never the path as it was sent: whoever calls writes it, and a person's number may stand in it.
    let route = res.request().match_pattern().unwrap_or_default();
    record_access(&res, &Seen { method: method.as_str(), route: &route, status, id: &id });
    let elapsed = started.elapsed();
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    // Successful reads are many: they are counted, and logged at debug.
    span.in_scope(|| match () {
        () if status >= 500 => tracing::warn!(%method, route, status, duration_ms, "request"),
        () if method.is_safe() && status < 400 => tracing::debug!(%method, route, status, duration_ms, "request"),
        () => tracing::info!(%method, route, status, duration_ms, "request"),
    });
    count_request(&method, status, elapsed);
    Ok(res)
}

/// A finished request, as logs name it.
struct Seen<'a> {
    method: &'a str,
    /// The route's pattern; empty: there is no such route.
    route: &'a str,
    status: u16,
    id: &'a str,
}

/// Adds the request to the record of accesses, where one is kept.
fn record_access(res: &ServiceResponse<BoxBody>, seen: &Seen<'_>) {
    let req = res.request();
    let Some((app, log)) = req.app_data::<Data<App>>().and_then(|app| Some((app, app.access_log.as_ref()?))) else { return };
    let peer = req.peer_addr();
    let address = client_ip(peer.map(|peer| peer.ip()), req.headers(), &app.config.http.trusted_proxies);
    let user = req.extensions().get::<UserId>().copied();
    let Seen { method, route, status, id } = *seen;
    let port = Access::port_of(peer, address);
    log.write(&Access { at: Timestamp::now(), address, port, method, route, status, user, request_id: id });
}

/// The fields of every log line of a request. The user and the order are added when they are known ([`log_user`], [`log_order`]).
/// Answers from memory have no span: it would cost more than the answer.
fn span_of(id: &str, path: &str) -> Span {
    let from_memory =
        ["/api/products", "/api/categories", "/media/", "/health", "/ready"].iter().any(|start| path.starts_with(start));
    if from_memory {
        return Span::none();
    }
    tracing::info_span!("request", request_id = id, user.id = Empty, order.id = Empty)
}

/// Adds the user to the log lines of this request.
pub fn log_user(user: UserId) {
    Span::current().record("user.id", tracing::field::display(user));
}

/// Adds the order to the log lines of this request or job.
pub fn log_order(order: OrderId) {
    Span::current().record("order.id", tracing::field::display(order));
}

/// The request's own id, if it is a plain token of at most 128 characters: a header must not write any text into our logs.
fn id_of_client(req: &ServiceRequest) -> Option<String> {
    let text = req.headers().get(HEADER)?.to_str().ok()?;
    let sane =
        !text.is_empty() && text.len() <= MAX_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    sane.then(|| text.to_owned())
}

fn answer_v1(req: &mut ServiceRequest) {
    let Some(rest) = req.path().strip_prefix("/api/v1").filter(|rest| rest.is_empty() || rest.starts_with('/')) else { return };
    let query = req.query_string();
    let target = if query.is_empty() { format!("/api{rest}") } else { format!("/api{rest}?{query}") };
    if let Ok(uri) = target.parse::<Uri>() {
        req.match_info_mut().get_mut().update(&uri);
        req.head_mut().uri = uri;
    }
}

/// Counts a finished request.
fn count_request(method: &Method, status: u16, elapsed: Duration) {
    let class = match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    metrics::counter!("vitrine_http_requests_total", "method" => method, "class" => class).increment(1);
    metrics::histogram!("vitrine_http_request_seconds", "method" => method).record(elapsed.as_secs_f64());
}
