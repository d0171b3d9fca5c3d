//! For the operator: liveness, readiness and metrics.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::ExposeSecret;
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::who::bearer;

/// How long `/ready` waits for the database before it says no.
const READY_WAIT: Duration = Duration::from_secs(2);

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(health).service(health_live).service(ready).service(health_ready).service(metrics_with_token);
}

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: HealthWord,
    /// The version of the server.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// The word of a process that runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthWord {
    Ok,
}

/// Whether requests can be served.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerReadiness)]
struct Readiness {
    /// What stands in their way, or nothing.
    status: ReadyWord,
}

/// Whether requests can be served: `ready`, `draining` (the server is being stopped), or `database away`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
enum ReadyWord {
    #[serde(rename = "ready")]
    Ready,
    #[serde(rename = "draining")]
    Draining,
    #[serde(rename = "database away")]
    DatabaseAway,
}

/// Says that the process runs
///
/// Always 200 while it does. Asks nobody else.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, body = Health, description = "It runs")))]
#[get("/health")]
async fn health() -> HttpResponse {
    alive()
}

/// Says that the process runs, as /health does
///
/// The same as `GET /health`.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, body = Health, description = "It runs")))]
#[get("/health/live")]
async fn health_live() -> HttpResponse {
    alive()
}

/// Says whether requests can be served
///
/// The database is asked four times a second at most.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, body = Readiness, description = "They can"),
        (status = 503, body = Readiness, description = "They cannot: the database is away, or the server is draining")))]
#[get("/ready")]
async fn ready(app: web::Data<App>) -> HttpResponse {
    readiness(&app).await
}

/// Says whether requests can be served, as /ready does
///
/// The same as `GET /ready`.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, body = Readiness, description = "They can"),
        (status = 503, body = Readiness, description = "They cannot: the database is away, or the server is draining")))]
#[get("/health/ready")]
async fn health_ready(app: web::Data<App>) -> HttpResponse {
    readiness(&app).await
}

/// Shows metrics
///
/// For Prometheus, with `Authorization: Bearer OPS_TOKEN`. On the operations port no token is needed.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, content_type = "text/plain", body = String, description = "The metrics"),
        (status = 404, body = Problem, description = "`not-found`: without the token, or with another")))]
#[get("/metrics")]
async fn metrics_with_token(app: web::Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    let given = req.headers().get("authorization").and_then(|v| v.to_str().ok()).and_then(bearer);
    let allowed = match (&app.config.http.ops_token, given) {
        (Some(token), Some(given)) => bool::from(token.expose_secret().as_bytes().ct_eq(given.as_bytes())),
        _ => false,
    };
    if allowed { Ok(metrics_page(&app)) } else { Err(Error::NotFound("This address")) }
}

/// The routes of the operations port.
pub fn ops_routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/metrics", web::get().to(|app: web::Data<App>| async move { metrics_page(&app) }))
        .route("/health", web::get().to(|| async { alive() }))
        .route("/ready", web::get().to(|app: web::Data<App>| async move { readiness(&app).await }));
}

fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: HealthWord::Ok, version: env!("CARGO_PKG_VERSION") })
}

async fn readiness(app: &App) -> HttpResponse {
    let not =
        |status: ReadyWord| HttpResponse::ServiceUnavailable().insert_header(("retry-after", "2")).json(Readiness { status });
    if app.is_draining() {
        return not(ReadyWord::Draining);
    }
    let ask = async { app.db().await?.batch_execute("").await.map_err(Error::from) };
    let is_there = app.ready.get_with((), async { matches!(tokio::time::timeout(READY_WAIT, ask).await, Ok(Ok(()))) }).await;
    if is_there { HttpResponse::Ok().json(Readiness { status: ReadyWord::Ready }) } else { not(ReadyWord::DatabaseAway) }
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is in place");
        }
        handle
    })
}

/// Starts collecting. Call it before the first measurement.
pub fn start_metrics() {
    recorder();
}

/// Removes exported samples from histograms: call it every few seconds.
pub fn metrics_upkeep() {
    recorder().run_upkeep();
}

fn metrics_page(app: &App) -> HttpResponse {
    let pool = app.pool.status();
    metrics::gauge!("vitrine_db_connections").set(pool.size as f64);
    metrics::gauge!("vitrine_db_connections_free").set(pool.available as f64);
    metrics::gauge!("vitrine_db_waiting").set(pool.waiting as f64);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(recorder().render())
}
