//! The outermost middleware: gives every request its id, answers `/api/v1` as `/api` and HEAD as GET, and writes the access log.

use std::sync::OnceLock;
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
use metrics::{Counter, Histogram};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::access_log::{Access, AccessLog};
use crate::app::App;
use crate::cause;
use crate::client_ip::client_ip;
use crate::error;
use crate::http::{head, memory};
use crate::ids::{OrderId, UserId};
use crate::request;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LEN: usize = 128;
/// The longest address with its query.
const MAX_ADDRESS: usize = 8 * 1024;

pub async fn track(mut req: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = id_of_client(&req).unwrap_or_else(new_id);
    answer_v1(&mut req);
    let method = req.method().clone();
    let is_head = head::as_get(&mut req);
    if let Some(answer) = memory::answer(&req).await {
        return Ok(finish(req.into_response(answer), &id, &method, is_head, started, &Span::none()));
    }
    let span = span_of(&id, req.match_info().as_str()); // decoded, as routes are matched
    let base = req.app_data::<Data<App>>().map(|app| app.config.http.public_url.clone()).unwrap_or_default();
    let work = request::at_public_url(base, async move {
        if req.uri().path_and_query().is_some_and(|address| address.as_str().len() > MAX_ADDRESS) {
            return Ok(req.into_response(error::Error::UriTooLong.error_response()).map_into_boxed_body());
        }
        Ok::<_, Error>(next.call(req).await?.map_into_boxed_body())
    });
    let res = cause::scope("request", &id, work).instrument(span.clone()).await?;
    Ok(finish(res, &id, &method, is_head, started, &span))
}

/// What every answer has and is counted by.
fn finish(
    mut res: ServiceResponse<BoxBody>,
    id: &str,
    method: &Method,
    is_head: bool,
    started: Instant,
    span: &Span,
) -> ServiceResponse<BoxBody> {
    if let Ok(value) = HeaderValue::from_str(id) {
        res.headers_mut().insert(HEADER, value);
    }
    res.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_head {
        res = head::without_body(res);
    }
    let status = res.status().as_u16();
    let elapsed = started.elapsed();
    // Successful reads are many: they are counted, and logged at debug.
    let level = match () {
        () if status >= 500 => Level::WARN,
        () if method.is_safe() && status < 400 => Level::DEBUG,
        () => Level::INFO,
    };
    write_down(&res, &Seen { method, status, id, level, elapsed }, span);
    count_request(method, status, elapsed);
    res
}

/// A finished request.
struct Seen<'a> {
    method: &'a Method,
    status: u16,
    id: &'a str,
    /// Of its line in the log.
    level: Level,
    elapsed: Duration,
}

/// Writes the request into the log and the record of accesses, where they take it. Naming the route compares the path with every route
/// once more, so it is only done for them.
fn write_down(res: &ServiceResponse<BoxBody>, seen: &Seen<'_>, span: &Span) {
    let app = res.request().app_data::<Data<App>>();
    let accesses = app.and_then(|app| Some((app, app.access_log.as_ref()?)));
    let is_logged = tracing::level_filters::LevelFilter::current() >= seen.level;
    if accesses.is_none() && !is_logged {
        return;
    }
    // Never the path as it was sent: whoever calls writes it, and a person's number may stand in it.
    let route = res.request().match_pattern().unwrap_or_default();
    if let Some((app, log)) = accesses {
        record_access(app, log, res, seen, &route);
    }
    let Seen { method, status, .. } = *seen;
    let duration_ms = seen.elapsed.as_secs_f64() * 1000.0;
    span.in_scope(|| match seen.level {
        Level::WARN => tracing::warn!(%method, route, status, duration_ms, "request"),
        Level::DEBUG => tracing::debug!(%method, route, status, duration_ms, "request"),
        _ => tracing::info!(%method, route, status, duration_ms, "request"),
    });
}

/// Adds the request to the record of accesses. Without a route there is no such address.
fn record_access(app: &App, log: &AccessLog, res: &ServiceResponse<BoxBody>, seen: &Seen<'_>, route: &str) {
    let req = res.request();
    let peer = req.peer_addr();
    let address = client_ip(peer.map(|peer| peer.ip()), req.headers(), &app.config.http.trusted_proxies);
    let user = req.extensions().get::<UserId>().copied();
    let port = Access::port_of(peer, address);
    let (method, status, request_id) = (seen.method.as_str(), seen.status, seen.id);
    log.write(&Access { at: Timestamp::now(), address, port, method, route, status, user, request_id });
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

/// A UUID v4, of this thread's generator: no system call for each.
fn new_id() -> String {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()
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

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What counts requests of one method: by class of status, and how long they take.
struct Counters {
    classes: [Counter; CLASSES.len()],
    seconds: Histogram,
}

/// Counts a finished request.
fn count_request(method: &Method, status: u16, elapsed: Duration) {
    // Found by their labels once. The recorder is there before the first request (`ops`).
    static COUNTERS: OnceLock<[Counters; METHODS.len()]> = OnceLock::new();
    let counters = COUNTERS.get_or_init(|| {
        METHODS.map(|method| Counters {
            classes: CLASSES.map(|class| metrics::counter!("vitrine_http_requests_total", "method" => method, "class" => class)),
            seconds: metrics::histogram!("vitrine_http_request_seconds", "method" => method),
        })
    });
    let method = match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        Method::PATCH => 3,
        Method::DELETE => 4,
        _ => 5,
    };
    let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
    counters[method].classes[class].increment(1);
    counters[method].seconds.record(elapsed.as_secs_f64());
}
