//! For the operator: liveness, readiness and metrics.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::who::bearer;

/// How long `/ready` waits for the database before it says no.
const READY_WAIT: Duration = Duration::from_secs(2);

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(health).service(health_live).service(ready).service(health_ready).service(metrics_with_token);
}

/// Always 200 while the process runs.
#[utoipa::path(tag = "operations", responses((status = 200)))]
#[get("/health")]
async fn health() -> HttpResponse {
    alive()
}

/// The same as /health.
#[utoipa::path(tag = "operations", responses((status = 200)))]
#[get("/health/live")]
async fn health_live() -> HttpResponse {
    alive()
}

/// 200 when requests can be served; 503 without the database or while draining. The database is asked four times a second at most.
#[utoipa::path(tag = "operations", responses((status = 200), (status = 503)))]
#[get("/ready")]
async fn ready(app: web::Data<App>) -> HttpResponse {
    readiness(&app).await
}

/// The same as /ready.
#[utoipa::path(tag = "operations", responses((status = 200), (status = 503)))]
#[get("/health/ready")]
async fn health_ready(app: web::Data<App>) -> HttpResponse {
    readiness(&app).await
}

/// Prometheus metrics, with `Authorization: Bearer OPS_TOKEN`. On the operations port no token is needed.
#[utoipa::path(tag = "operations", responses((status = 200), (status = 404)))]
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
    HttpResponse::Ok().json(serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

async fn readiness(app: &App) -> HttpResponse {
    let not = |why: &str| {
        HttpResponse::ServiceUnavailable().insert_header(("retry-after", "2")).json(serde_json::json!({"status": why}))
    };
    if app.is_draining() {
        return not("draining");
    }
    let ask = async { app.db().await?.batch_execute("").await.map_err(Error::from) };
    let is_there = app.ready.get_with((), async { matches!(tokio::time::timeout(READY_WAIT, ask).await, Ok(Ok(()))) }).await;
    if is_there { HttpResponse::Ok().json(serde_json::json!({"status": "ready"})) } else { not("database away") }
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
