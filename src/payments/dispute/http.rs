//! Disputes as an administrator sees and ends them.

use actix_web::{HttpResponse, get, post, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::dispute::Document;

use super::settle::{Settlement, is_known_there, settle};
use super::store as rows;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::currency::Currency;
use crate::db::{self, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{DisputeId, OrderId, PaymentId};
use crate::payments::gateway::Gateway;
use crate::providers::names::PaymentProvider;
use crate::sale::states::{DisputeStage, DisputeState};

/// A contested payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisputeView {
    /// The dispute.
    id: DisputeId,
    /// The order.
    order_id: OrderId,
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    order_number: String,
    /// The payment.
    payment_id: PaymentId,
    /// Whose payment it is.
    #[schema(value_type = PaymentProvider)]
    provider: String,
    /// Their name for it.
    #[schema(example = "dp_1Nf8")]
    reference: String,
    /// What it is about.
    stage: DisputeStage,
    /// How it stands.
    state: DisputeState,
    /// Their word for the state.
    #[schema(example = "needs_response")]
    word: String,
    /// Theirs: `fraudulent`, `Golpe`, `MED_FRAUDE` …
    #[schema(example = "fraudulent")]
    reason: String,
    /// What it is about; null: they do not say.
    #[schema(value_type = Option<i64>, example = 10782, minimum = 0, required = true)]
    amount_cents: Option<Money>,
    /// What it has taken, by the ledger.
    #[schema(value_type = i64, example = 10782, minimum = 0)]
    taken_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    #[schema(value_type = Currency)]
    currency: String,
    /// When the payer's bank began it.
    opened_at: Timestamp,
    /// Until when evidence is taken; null: they do not say, or take none.
    #[schema(required = true)]
    due_by: Option<Timestamp>,
    /// `POST …/evidence` can send some.
    takes_evidence: bool,
    /// When it ended; null: not yet.
    #[schema(required = true)]
    closed_at: Option<Timestamp>,
    /// Who ended it: `provider:…`, or `admin:…` by hand; null: nobody yet.
    #[schema(example = "provider:stripe", required = true)]
    closed_by: Option<String>,
    /// What an administrator wrote when settling it; null: nothing.
    #[schema(required = true, example = "Conferido no extrato")]
    note: Option<String>,
}

/// What [`view_of`] reads.
const VIEW: &str = "
    SELECT d.id, d.order_id, o.number, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.word, d.reason, d.amount_cents, p.currency,
           coalesce((SELECT sum(CASE m.kind WHEN 'dispute_out' THEN m.amount_cents ELSE -m.amount_cents END) FROM money_movements m
                      WHERE m.dispute_id = d.id), 0)::bigint AS taken_cents,
           d.opened_at, d.due_by, d.evidence_ref IS NOT NULL AND d.state IN ('open', 'under_review', 'unclear') AS takes_evidence,
           d.closed_at, d.closed_by, d.note
      FROM disputes d JOIN orders o ON o.id = d.order_id JOIN payments p ON p.id = d.payment_id ";

fn view_of(row: &Row) -> Result<DisputeView> {
    Ok(DisputeView {
        id: row.get("id"),
        order_id: row.get("order_id"),
        order_number: row.get("number"),
        payment_id: row.get("payment_id"),
        provider: row.get("provider"),
        reference: row.get("provider_ref"),
        stage: row.try_get("stage")?,
        state: row.try_get("state")?,
        word: row.get("word"),
        reason: row.get("reason"),
        amount_cents: row.get("amount_cents"),
        taken_cents: row.get("taken_cents"),
        currency: row.get("currency"),
        opened_at: row.get("opened_at"),
        due_by: row.get("due_by"),
        takes_evidence: row.get("takes_evidence"),
        closed_at: row.get("closed_at"),
        closed_by: row.get("closed_by"),
        note: row.get("note"),
    })
}

async fn find_view(db: &impl GenericClient, id: DisputeId) -> Result<DisputeView> {
    const FIND: &str = sql!(VIEW, "WHERE d.id = $1");
    view_of(&db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The dispute"))?)
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListDisputes {
    /// `true`: those that have not ended; `false`: those that have.
    #[garde(skip)]
    open: Option<bool>,
    /// Only those that stand so.
    #[garde(skip)]
    state: Option<DisputeState>,
    /// Only those that are about this.
    #[garde(skip)]
    stage: Option<DisputeStage>,
    /// Only those of this provider's payments.
    #[garde(skip)]
    provider: Option<PaymentProvider>,
    /// Only those of this order.
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

/// Lists disputes
///
/// Contested payments, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListDisputes),
    responses(
        (status = 200, body = List<DisputeView>, description = "The disputes of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/disputes")]
pub(in crate::payments) async fn list_disputes(
    app: web::Data<App>,
    _admin: Admin,
    Query(ask): Query<ListDisputes>,
) -> Result<HttpResponse> {
    const WANTED: &str = "
        WHERE ($1::boolean IS NULL OR (d.closed_at IS NULL) = $1) AND ($2::text IS NULL OR d.state = $2) AND ($3::text IS NULL OR d.stage = $3)
          AND ($4::text IS NULL OR d.provider = $4) AND ($5::uuid IS NULL OR d.order_id = $5)";
    const LIST: &str = sql!(VIEW, WANTED, " AND ($6::uuid IS NULL OR d.id < $6) ORDER BY d.id DESC LIMIT $7 OFFSET $8");
    const COUNT: &str = sql!("SELECT count(*) FROM (SELECT FROM disputes d ", WANTED, " LIMIT $6) counted");
    let place: Place<DisputeId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let provider = ask.provider.map(<&str>::from);
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [&ask.open, &ask.state, &ask.stage, &provider, &ask.order_id];
    let page = list_page(&app.db().await?, (LIST, COUNT), &filters, &place, |row| (row.get("id"), view_of(row))).await?;
    let List { items, total, limit, offset, next_cursor } = page;
    let items = items.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// How a dispute ended: `won`, the money is the shop's; `lost`, the payer's bank took it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DisputeOutcome)]
enum Ended {
    /// The money is the shop's.
    Won,
    /// The payer's bank took it.
    Lost,
}

/// How a dispute ended.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"outcome": "lost", "amount_cents": 10782, "note": "Extrato do dia 3: valor retirado"}))]
struct SettleDispute {
    /// How it ended.
    #[garde(skip)]
    outcome: Ended,
    /// What was taken, of a lost one; left out: what the dispute is about.
    #[garde(inner(range(min = 1, max = 100_000_000_000_000)))]
    #[schema(minimum = 1, maximum = 100000000000000i64)]
    amount_cents: Option<i64>,
    /// Where it was looked up, or why it is believed.
    #[garde(length(chars, min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500)]
    note: String,
}

/// Ends a dispute by hand
///
/// One of which the provider does not say where the money is, that it does not know any more, or that has not moved for thirty
/// days. The provider of an open one is asked first, and what it says is recorded.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = SettleDispute,
    params(("id" = DisputeId, Path, description = "The dispute")),
    responses(
        (status = 200, body = DisputeView, description = "The dispute as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such dispute"),
        (status = 409, body = Problem, description = "`conflict`: the provider decides it, or has decided"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or the amount is more than came in"),
        (status = 503, body = Problem, description = "`unavailable`: the provider is away: ask again")))]
#[post("/api/admin/disputes/{id}/settle")]
pub(in crate::payments) async fn settle_dispute(
    app: web::Data<App>,
    admin: Admin,
    body: Json<SettleDispute>,
    id: Path<DisputeId>,
) -> Result<HttpResponse> {
    let found = rows::find(&app.db().await?, id.0).await?.ok_or(Error::NotFound("The dispute"))?;
    let is_known_there = is_known_there(&app, &found).await?;
    let to = match body.outcome {
        Ended::Won => DisputeState::Won,
        Ended::Lost => DisputeState::Lost,
    };
    let amount = body.amount_cents.map(Money::from_cents);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    settle(&tx, id.0, &Settlement { to, amount, note: &body.note, actor: admin.0.actor(), is_known_there }).await?;
    let answer = find_view(&tx, id.0).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

/// A file that the provider fetches.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://loja.example/provas/entrega.pdf", "description": "Comprovante de entrega assinado"}))]
struct EvidenceDocument {
    /// Where it can be fetched, by https.
    #[garde(length(chars, max = 2000), custom(is_https))]
    #[schema(format = "uri", pattern = "^https://", min_length = 13, max_length = 2000)]
    url: String,
    /// What it shows.
    #[garde(length(chars, min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500)]
    description: String,
}

fn is_https(url: &str, (): &()) -> garde::Result {
    let is_plain = url.bytes().all(|b| b.is_ascii_graphic());
    if is_plain && url.len() > 12 && url.starts_with("https://") {
        Ok(())
    } else {
        Err(garde::Error::new("must begin with https://"))
    }
}

/// What speaks for the shop.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"documents": [{"url": "https://loja.example/provas/entrega.pdf", "description": "Comprovante de entrega assinado"}]}))]
struct SendEvidence {
    /// Files that the provider fetches.
    #[garde(length(min = 1, max = 10), dive)]
    #[schema(min_items = 1, max_items = 10)]
    documents: Vec<EvidenceDocument>,
}

/// Sends evidence
///
/// What speaks for the shop, to a provider that takes it by its API. The same address is the same document, so a repeat is
/// known as one.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = SendEvidence,
    params(("id" = DisputeId, Path, description = "The dispute")),
    responses(
        (status = 200, body = DisputeView, description = "The dispute as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such dispute"),
        (status = 409, body = Problem,
            description = "`conflict`: it has ended, or the provider takes evidence only in its own panel; `provider-refused`"),
        (status = 503, body = Problem, description = "`unavailable`: the provider is away: ask again")))]
#[post("/api/admin/disputes/{id}/evidence")]
pub(in crate::payments) async fn send_evidence(
    app: web::Data<App>,
    admin: Admin,
    body: Json<SendEvidence>,
    id: Path<DisputeId>,
) -> Result<HttpResponse> {
    let found = rows::find(&app.db().await?, id.0).await?.ok_or(Error::NotFound("The dispute"))?;
    if !found.state.is_open() {
        return Err(Error::Conflict(format!("The dispute is {}: it takes no evidence any more", found.state)));
    }
    let Some(evidence_ref) = &found.evidence_ref else {
        return Err(Error::Conflict(format!("{} names no place for evidence: send it in its own panel", found.provider)));
    };
    let document = |sent: &EvidenceDocument| Document {
        id: document_id(id.0, &sent.url),
        url: sent.url.clone(),
        description: sent.description.clone(),
    };
    let documents: Vec<Document> = body.documents.iter().map(document).collect();
    Gateway::named(&app, &found.provider)?.submit_evidence(evidence_ref, &documents).await?; // no connection is held meanwhile
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let after = json!({"documents": documents.iter().map(|document| document.id).collect::<Vec<_>>()});
    audit_log::record(&tx, admin.0.actor(), Action::DisputeEvidence, &id.0.to_string(), None, Some(after)).await?;
    let answer = find_view(&tx, id.0).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The same for the same file of the same dispute.
fn document_id(dispute: DisputeId, url: &str) -> Uuid {
    let hash = Sha256::new().chain_update(dispute.0.as_bytes()).chain_update(url.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
