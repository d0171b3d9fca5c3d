//! One process from its start to the end of its drain: the server, its workers and its periodic tasks.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::App as ActixApp;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use tokio::sync::watch;

use crate::app::App;
use crate::config::{Config, Mode};
use crate::error::{Error, Result};
use crate::http::connection;
use crate::{db, ops, seed, server, signal, worker};

/// After SIGTERM the server still answers for this long while `/ready` is 503, so that load balancers stop sending requests.
const LAME_DUCK: Duration = Duration::from_secs(2);
/// The longest drain.
const DRAIN: Duration = Duration::from_secs(28);
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Logs where invoices are issued, so that a test environment is not mistaken for production.
fn log_fiscal_environment(app: &App) {
    use vitrine_kit::nfe::Environment;
    let Some(fiscal) = &app.providers.fiscal else { return };
    match app.config.nfe.environment {
        Environment::Homologation => {
            tracing::warn!(provider = fiscal.name(), "NFE_AMBIENTE=homologacao: invoices are tests without fiscal value")
        }
        Environment::Production => tracing::info!(provider = fiscal.name(), "NFE_AMBIENTE=producao: invoices have fiscal value"),
    }
}

/// Serves, with workers inside, until a signal; then drains.
pub async fn serve(config: Config) -> Result<()> {
    let started = Instant::now();
    ops::start_metrics();
    let address = (config.http.host.clone(), config.http.port);
    let listener = TcpListener::bind(&address)
        .map_err(|e| Error::Internal(format!("port {} cannot be opened: {e}; set PORT to a free one", config.http.port)))?;
    let app = Data::new(App::open(config).await?);
    log_fiscal_environment(&app);
    if app.access_log.is_none() && app.config.mode == Mode::Serve {
        tracing::warn!(
            "ACCESS_LOG_DIR is not set: no record of accesses is kept here (Marco Civil da Internet, article 15: six months)"
        );
    }
    seed::first_admin(&app).await?;
    let (stop, stopped) = watch::channel(false);
    let workers = tokio::spawn(worker::run(app.clone(), stopped));
    let housekeeping = tokio::spawn(housekeep(app.clone()));
    let listening = tokio::spawn(crate::catalog::cached::listen(app.clone()));
    let ops_server = ops_port(&app)?;
    let server = server::serve(app.clone(), listener)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    tracing::info!(port = app.config.http.port, start_ms = started.elapsed().as_millis() as u64, "serving");
    let pool = app.pool.clone();
    let warm = app.config.database.min_conns;
    tokio::spawn(async move { db::warm_up(&pool, warm).await });

    signal::stop().await?;
    tracing::info!("draining");
    app.drain();
    if app.config.mode == Mode::Serve {
        tokio::time::sleep(LAME_DUCK).await;
    }
    let _ = stop.send(true);
    let drained = tokio::time::timeout(DRAIN, async {
        handle.stop(true).await;
        let _ = serving.await;
        let _ = workers.await;
    });
    if drained.await.is_err() {
        tracing::warn!("drain took too long; unfinished jobs run again when their lease ends");
    }
    housekeeping.abort();
    listening.abort();
    if let Some(ops_server) = ops_server {
        ops_server.stop(false).await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Only the workers, until a signal.
pub async fn work(config: Config) -> Result<()> {
    ops::start_metrics();
    let app = Data::new(App::open(config).await?);
    log_fiscal_environment(&app);
    let (stop, stopped) = watch::channel(false);
    let workers = tokio::spawn(worker::run(app.clone(), stopped));
    let ops_server = ops_port(&app)?;
    tracing::info!(concurrency = app.config.worker_concurrency, "working");
    signal::stop().await?;
    app.drain();
    let _ = stop.send(true);
    if tokio::time::timeout(DRAIN, workers).await.is_err() {
        tracing::warn!("drain took too long; unfinished jobs run again when their lease ends");
    }
    if let Some(ops_server) = ops_server {
        ops_server.stop(false).await;
    }
    Ok(())
}

fn ops_port(app: &Data<App>) -> Result<Option<actix_web::dev::ServerHandle>> {
    let Some(port) = app.config.http.ops_port else { return Ok(None) };
    let app = app.clone();
    let host = app.config.http.host.clone();
    let shop = app.clone();
    let server = TcpListener::bind((host, port)).and_then(|listener| {
        connection::serve(listener, &app.config, 1, move || {
            ActixApp::new().wrap(from_fn(connection::one_at_a_time)).app_data(shop.clone()).configure(ops::ops_routes)
        })
    });
    let server = server.map_err(|e| Error::Internal(format!("OPS_PORT {port} cannot be opened: {e}")))?;
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Some(handle))
}

/// Periodic tasks of this process; they end with it.
async fn housekeep(app: Data<App>) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    for round in 0_u64.. {
        tick.tick().await;
        ops::metrics_upkeep();
        if let Some(log) = &app.access_log {
            metrics::gauge!("vitrine_access_log_dropped_lines").set(log.dropped() as f64);
        }
        if round % 12 == 0 {
            app.limiters.forget_the_idle();
        }
    }
}
