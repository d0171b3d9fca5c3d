//! The inbox, the breakers and the audit log.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use vitrine_kit::breaker::State;

use crate::app::App;
use crate::audit_log::{self, Action};
use crate::db;
use crate::error::{Problem, Result};
use crate::http::json::{Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{EventId, OrderId};
use crate::providers::names::{BreakerName, WebhookProvider};
use crate::sale::outcome::EventOutcome;
use crate::webhooks;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListWebhooks {
    /// Only events of this provider.
    #[garde(skip)]
    provider: Option<WebhookProvider>,
    /// Only events with this outcome.
    #[garde(skip)]
    outcome: Option<EventOutcome>,
    /// Only those about this order.
    #[garde(skip)]
    order_id: Option<OrderId>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// An event of a provider.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookView {
    /// The event.
    id: EventId,
    /// Who sent it.
    #[schema(value_type = WebhookProvider)]
    provider: String,
    /// Their name for it.
    #[schema(example = "evt_1Nf8")]
    event_id: String,
    /// Their word for what happened.
    #[schema(example = "charge.completed")]
    event: String,
    /// What it did.
    #[schema(value_type = EventOutcome)]
    outcome: String,
    /// The order that it was about; null: none of ours.
    #[schema(required = true)]
    order_id: Option<OrderId>,
    /// The request that brought it.
    #[schema(example = "0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d")]
    request_id: String,
    /// When it came.
    received_at: Timestamp,
    /// The kept fields of the event: ids, states and amounts, and no names. A string if it is not JSON. Null if nothing is kept:
    /// the event was about something that is not the shop's, is older than 90 days, or its person was erased.
    #[schema(value_type = Option<serde_json::Value>, required = true)]
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

/// Lists events of providers
///
/// The newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListWebhooks),
    responses(
        (status = 200, body = List<WebhookView>, description = "The events of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/webhooks")]
pub(super) async fn list_webhooks(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListWebhooks>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, provider, event_id, event, outcome, order_id, request_id, received_at, body FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6";
    const COUNT: &str = "
        SELECT count(*) FROM (SELECT FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)
         LIMIT $4) counted";
    let place: Place<EventId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let provider = ask.provider.map(<&str>::from);
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&provider, &ask.outcome, &ask.order_id];
    let page = list_page(&app.db().await?, (LIST, COUNT), &filters, &place, |row| (row.get("id"), webhook(row))).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Applies a kept event again
///
/// Effects that it already had are not repeated.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = EventId, Path, description = "The event")),
    responses(
        (status = 200, body = WebhookView, description = "The event as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such event"),
        (status = 409, body = Problem,
            description = "`conflict`: its provider is not configured, or its body is not kept any more"),
        (status = 503, body = Problem, description = "`unavailable`: a provider that has to be asked is away")))]
#[post("/api/admin/webhooks/{id}/replay")]
pub(super) async fn replay_webhook(app: web::Data<App>, admin: Admin, id: Path<EventId>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let outcome = webhooks::replay_event(&app, &tx, id.0).await?;
    let after = Some(json!({"outcome": outcome}));
    audit_log::record(&tx, admin.0.actor(), Action::WebhookReplay, &id.0.to_string(), None, after).await?;
    let event = webhook(&db::query_one(&tx, WEBHOOK, &[&id.0]).await?);
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(event))
}

/// What a circuit breaker does: `closed`, calls are made; `open`, none is made; `half_open`, one call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl From<State> for BreakerState {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
        }
    }
}

/// A provider's circuit breaker in this process.
#[derive(Debug, Serialize, ToSchema)]
struct BreakerView {
    /// The provider, and what for.
    #[schema(value_type = BreakerName, example = "propay background")]
    provider: &'static str,
    /// What it does.
    state: BreakerState,
    /// How many calls failed lately; 0 unless it is closed.
    #[schema(example = 0, minimum = 0)]
    recent_failures: usize,
    /// In how many seconds a call is tried again; null: calls are made.
    #[schema(example = 30, minimum = 0, required = true)]
    retry_after_s: Option<u64>,
}

/// Lists circuit breakers
///
/// The state of every provider in this process, all on one page.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    responses(
        (status = 200, body = List<BreakerView>, description = "The breakers")))]
#[get("/api/admin/breakers")]
pub(super) async fn breakers(app: web::Data<App>, _admin: Admin) -> Result<HttpResponse> {
    let view = |(name, breaker): &(&'static str, std::sync::Arc<vitrine_kit::breaker::Breaker>)| {
        let seen = breaker.snapshot();
        BreakerView {
            provider: name,
            state: seen.state.into(),
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
    /// Only what this actor did: `user:…`, `admin:…`, `system`.
    #[garde(inner(length(chars, max = 100)))]
    #[param(max_length = 100)]
    actor: Option<String>,
    /// Only this action: `product.update`, `settings.company`, …
    #[garde(inner(length(chars, max = 100)))]
    #[param(max_length = 100)]
    action: Option<String>,
    /// Only what was done to this.
    #[garde(inner(length(chars, max = 100)))]
    #[param(max_length = 100)]
    entity_id: Option<String>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// A change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
struct AuditView {
    /// The row; later ones have higher numbers.
    #[schema(example = 4711, minimum = 0)]
    id: i64,
    /// Who did it: `user:…`, `admin:…`, `system`.
    #[schema(example = "admin:01a1fe4e-0785-7243-a93f-cc241c46a4e2")]
    actor: String,
    /// What was done. While another release runs beside this one, its own words may stand here too.
    #[schema(value_type = Action, example = "product.update")]
    action: String,
    /// To what.
    #[schema(example = "01a1fe4e-0785-7243-a93f-cc241c46a4e2")]
    entity_id: String,
    /// The values before; null: there was nothing.
    #[schema(value_type = Option<BTreeMap<String, serde_json::Value>>, required = true)]
    before: Option<serde_json::Value>,
    /// The values after; null: there is nothing.
    #[schema(value_type = Option<BTreeMap<String, serde_json::Value>>, required = true)]
    after: Option<serde_json::Value>,
    /// What led to it: `request:…`, `job:…`, `webhook:…`.
    #[schema(example = "request:0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d")]
    cause: String,
    /// When.
    at: Timestamp,
}

/// Lists the audit log
///
/// Who changed what, with the values before and after, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListAudit),
    responses(
        (status = 200, body = List<AuditView>, description = "The changes of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/audit")]
pub(super) async fn list_audit(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListAudit>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, actor, action, entity_id, before, after, cause, at FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)
           AND ($4::bigint IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6";
    const COUNT: &str = "
        SELECT count(*) FROM (SELECT FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)
         LIMIT $4) counted";
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
