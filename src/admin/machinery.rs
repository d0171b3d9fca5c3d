//! The inbox, the breakers and the audit log.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::audit_log;
use crate::db;
use crate::error::Result;
use crate::http::json::{Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{EventId, OrderId};
use crate::webhooks;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListWebhooks {
    #[garde(inner(length(chars, max = 60)))]
    provider: Option<String>,
    /// `applied`, `already done`, `surplus`, `mismatch`, `unknown`, `ignored`, `hint`.
    #[garde(inner(length(chars, max = 60)))]
    outcome: Option<String>,
    #[garde(skip)]
    order_id: Option<OrderId>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

/// An event of a provider.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookView {
    id: EventId,
    provider: String,
    event_id: String,
    event: String,
    /// Its outcome.
    outcome: String,
    order_id: Option<OrderId>,
    request_id: String,
    received_at: Timestamp,
    /// The kept fields of the event: ids, states and amounts, and no names. A string if it is not JSON. Null if nothing is kept:
    /// the event was about something that is not the shop's, is older than 90 days, or its person was erased.
    #[schema(value_type = Option<Object>)]
    body: Option<serde_json::Value>,
}

const WEBHOOK: &str =
    "SELECT id, provider, event_id, event, outcome, order_id, request_id, received_at, body FROM webhook_events WHERE id = $1";

fn webhook(row: &tokio_postgres::Row) -> WebhookView {
    let body: Vec<u8> = row.get("body");
    WebhookView {
        id: row.get("id"),
        provider: row.get("provider"),
        event_id: row.get("event_id"),
        event: row.get("event"),
        outcome: row.get("outcome"),
        order_id: row.get("order_id"),
        request_id: row.get("request_id"),
        received_at: row.get("received_at"),
        body: (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into())),
    }
}

/// Events of providers, newest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListWebhooks), responses((status = 200, body = List<WebhookView>)))]
#[get("/api/admin/webhooks")]
pub(super) async fn list_webhooks(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListWebhooks>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, provider, event_id, event, outcome, order_id, request_id, received_at, body FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6";
    const COUNT: &str = "
        SELECT count(*) FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)";
    let place: Place<EventId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&ask.provider, &ask.outcome, &ask.order_id];
    let page = list_page(&app.db().await?, (LIST, COUNT), &filters, &place, |row| (row.get("id"), webhook(row))).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Applies a kept event again. Effects that it already had are not repeated.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = EventId, Path)),
    responses((status = 200, body = WebhookView), (status = 404), (status = 409, description = "Its provider is not configured, or its body is not kept any more")))]
#[post("/api/admin/webhooks/{id}/replay")]
pub(super) async fn replay_webhook(app: web::Data<App>, admin: Admin, id: Path<EventId>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let outcome = webhooks::replay_event(&app, &tx, id.0).await?;
    let after = Some(json!({"outcome": outcome}));
    audit_log::record(&tx, admin.0.actor(), "webhook.replay", &id.0.to_string(), None, after).await?;
    let event = webhook(&db::query_one(&tx, WEBHOOK, &[&id.0]).await?);
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(event))
}

/// A provider's circuit breaker in this process. `propay` is for calls that a buyer waits for; `propay background` is for checks,
/// voids, refunds and comparisons.
#[derive(Debug, Serialize, ToSchema)]
struct BreakerView {
    provider: &'static str,
    /// `closed`: calls are made; `open`: none is made; `half_open`: one call is tried.
    #[schema(value_type = String)]
    state: vitrine_kit::breaker::State,
    recent_failures: usize,
    retry_after_s: Option<u64>,
}

/// The state of every provider.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = List<BreakerView>)))]
#[get("/api/admin/breakers")]
pub(super) async fn breakers(app: web::Data<App>, _admin: Admin) -> Result<HttpResponse> {
    let view = |(name, breaker): &(&'static str, std::sync::Arc<vitrine_kit::breaker::Breaker>)| {
        let seen = breaker.snapshot();
        BreakerView {
            provider: name,
            state: seen.state,
            recent_failures: seen.recent_failures,
            retry_after_s: seen.retry_after_s,
        }
    };
    let items: Vec<_> = app.providers.breakers.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(List {
        total: items.len() as i64,
        limit: items.len() as i64,
        offset: 0,
        next_cursor: None,
        items,
    }))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAudit {
    /// `user:…`, `admin:…`, `system`.
    #[garde(inner(length(chars, max = 100)))]
    actor: Option<String>,
    /// `product.update`, `settings.company`, …
    #[garde(inner(length(chars, max = 100)))]
    action: Option<String>,
    #[garde(inner(length(chars, max = 100)))]
    entity_id: Option<String>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

/// A change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
struct AuditView {
    id: i64,
    actor: String,
    action: String,
    entity_id: String,
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<serde_json::Value>,
    cause: String,
    at: Timestamp,
}

/// The audit log, newest first: who changed what, with the values before and after.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListAudit), responses((status = 200, body = List<AuditView>)))]
#[get("/api/admin/audit")]
pub(super) async fn list_audit(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListAudit>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, actor, action, entity_id, before, after, cause, at FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)
           AND ($4::bigint IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6";
    const COUNT: &str = "
        SELECT count(*) FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)";
    let place: Place<i64> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let read = |row: &tokio_postgres::Row| {
        let id: i64 = row.get("id");
        let view = AuditView {
            id,
            actor: row.get("actor"),
            action: row.get("action"),
            entity_id: row.get("entity_id"),
            before: row.get("before"),
            after: row.get("after"),
            cause: row.get("cause"),
            at: row.get("at"),
        };
        (id, view)
    };
    let page = list_page(&app.db().await?, (LIST, COUNT), &[&ask.actor, &ask.action, &ask.entity_id], &place, read).await?;
    Ok(HttpResponse::Ok().json(page))
}
