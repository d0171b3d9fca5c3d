//! The catalog's answers: from the cache where they are kept, and forgotten on every server when something changes.

use std::time::{Duration, Instant};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::app::App;
use crate::cache::{Key, Kind};
use crate::db;
use crate::error::{Chain, Result};
use crate::http::who::is_admins;

const CHANNEL: &str = "vitrine_catalog";
/// Pauses between tries to listen again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

fn spelling(req: &HttpRequest) -> &str {
    req.uri().path_and_query().map_or("", |target| target.as_str())
}

/// The answer to this very request, if it is in hand: nothing is parsed for it but a token. Administrators change what they read, so
/// theirs is never in hand.
pub async fn hit(app: &App, req: &HttpRequest) -> Option<HttpResponse> {
    let answer = app.catalog.find(spelling(req)).await?;
    if is_admins(app, req).await {
        return None;
    }
    Some(answer.respond(req.headers()).await)
}

/// The answer under `key`, read from the database where it is not in hand.
pub async fn answer<T: Serialize>(
    app: &App,
    req: &HttpRequest,
    kind: Kind,
    key: &Key,
    read: impl AsyncFn() -> Result<T>,
) -> Result<HttpResponse> {
    if is_admins(app, req).await {
        return Ok(app.catalog.make_private(&read).await?.respond(req.headers()).await);
    }
    let answer = app.catalog.get_or_make(&key.canonical, kind, &read).await?;
    if key.may_alias && spelling(req) != key.canonical {
        app.catalog.remember(spelling(req), answer.clone()).await;
    }
    Ok(answer.respond(req.headers()).await)
}

/// Tells the other servers that the catalog changed. A statement of its own, never part of a hot transaction:
/// commits that notify wait for each other across the whole database.
pub async fn tell_others(app: &App) -> Result<()> {
    db::query(&app.db().await?, "SELECT pg_notify($1, $2)", &[&CHANNEL, &app.catalog.sender()]).await?;
    Ok(())
}

/// Hears of changes made by other processes. Ends with the process; while nothing can be heard, nothing old is kept
/// beyond the moment the connection is back.
pub async fn listen(app: Data<App>) {
    if !app.catalog.is_on() {
        return;
    }
    let mut pause = RETRY.0;
    loop {
        let started = Instant::now();
        let heard = |notice: Option<&str>| {
            if notice != Some(app.catalog.sender()) {
                app.catalog.forget();
            }
        };
        if let Err(error) = db::listen(&app.config.database, CHANNEL, heard).await {
            tracing::warn!(error = %Chain(&error), "not hearing of catalog changes; trying again");
        }
        app.catalog.forget();
        pause = if started.elapsed() > RETRY.1 { RETRY.0 } else { (pause * 2).min(RETRY.1) };
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}
