//! `/control`: the control in JSON, for scripts and for the page. Bodies must be `application/json`,
//! so that no foreign page in the developer's browser can send one.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::error::JsonPayloadError;
use actix_web::web::{self, Data, Json, JsonConfig, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use crate::books::nfe::Entry;
use crate::books::parcels::ParcelStep;
use crate::providers::openpix::key;
use crate::server::control::answers::{How, Target, answer, control};
use crate::server::control::{disputes, money, nfe};
use crate::world::World;
use crate::world::bank::TokenForm;
use crate::world::chaos::Chaos;
use crate::world::fault::{Fault, FaultOrder, OrderView};
use crate::world::office::Passage;
use crate::world::orders::Refused;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/control")
            .app_data(JsonConfig::default().error_handler(bad_json))
            .route("/state", web::get().to(state))
            .route("/books", web::get().to(books))
            .route("/mails", web::get().to(mails))
            .route("/sms", web::get().to(sms))
            .route("/sms/report", web::post().to(report_sms))
            .route("/charges", web::get().to(charges))
            .route("/charges/{id}", web::get().to(charge))
            .route("/parcels", web::get().to(parcels))
            .route("/parcel", web::post().to(parcel))
            .route("/parcel/webhook", web::post().to(parcel_webhook))
            .route("/labels", web::post().to(labels))
            .route("/webhook", web::post().to(webhook))
            .route("/webhook/raw", web::post().to(webhook_raw))
            .route("/webhook/batch", web::post().to(webhook_batch))
            .route("/pix-tokens/forget", web::post().to(forget_pix_tokens))
            .route("/openpix-limit", web::post().to(limit_openpix))
            .route("/pix-tokens/form", web::post().to(take_pix_tokens_as))
            .route("/correios/tokens/forget", web::post().to(forget_correios_tokens))
            .route("/correios/objects/{code}", web::post().to(pass))
            .route("/shop", web::post().to(shop))
            .route("/fault", web::post().to(fault))
            .route("/fault", web::delete().to(clear_faults))
            .route("/key", web::post().to(key_standing))
            .route("/openpix-public-key", web::get().to(openpix_public_key))
            .route("/chaos", web::get().to(chaos))
            .route("/chaos", web::post().to(begin_chaos))
            .route("/chaos", web::delete().to(end_chaos))
            .configure(money::routes)
            .configure(disputes::routes)
            .configure(nfe::routes),
    );
}

fn bad_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let body = json!({"error": error.to_string()});
    actix_web::error::InternalError::from_response(error, HttpResponse::UnprocessableEntity().json(body)).into()
}

async fn state(world: Data<World>) -> HttpResponse {
    let faults = world.faults().clone();
    let faults: Vec<_> = faults.iter().map(OrderView::from).collect();
    let (shop_url, revoked) = (world.shop_url(), world.revoked());
    let body = world.write(|books| {
        json!({
            "shop_url": shop_url,
            "charges": books.charges(),
            "refunds": books.refunds(),
            "refusals": books.refusals(),
            "disputes": books.disputes(),
            "parcels": books.parcels(),
            "mails": books.mails(),
            "sms": books.sms(),
            "nfes": books.nfes(),
            "deliveries": books.deliveries(),
            "calls": books.call_counts(),
            "last_calls": books.calls().collect::<Vec<_>>(),
            "faults": faults,
            "revoked": revoked,
        })
    });
    HttpResponse::Ok().json(body)
}

/// What the providers hold to be true, to compare a shop with: no calls, no webhooks.
async fn books(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(world.write(|books| {
        json!({
            "charges": books.charges(),
            "refunds": books.refunds(),
            "refusals": books.refusals(),
            "disputes": books.disputes(),
            "parcels": books.parcels(),
            "mails": books.mails(),
            "sms": books.sms(),
            "nfes": books.nfes().iter().map(Entry::from).collect::<Vec<_>>(),
        })
    }))
}

#[derive(Deserialize)]
struct MailQuery {
    to: Option<String>,
}

async fn mails(world: Data<World>, query: Query<MailQuery>) -> HttpResponse {
    let control = control(&world);
    HttpResponse::Ok().json(match &query.to {
        Some(to) => control.mails_to(to),
        None => control.mails(),
    })
}

async fn sms(world: Data<World>, query: Query<MailQuery>) -> HttpResponse {
    let control = control(&world);
    HttpResponse::Ok().json(match &query.to {
        Some(to) => control.sms_to(to),
        None => control.sms(),
    })
}

#[derive(Deserialize)]
struct ReportBody {
    id: String,
    status: String,
    reason: Option<String>,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn report_sms(world: Data<World>, body: Json<ReportBody>) -> HttpResponse {
    let body = body.into_inner();
    let how = body.webhook.with(body.delay_ms);
    answer(control(&world).report_sms(&body.id, &body.status, body.reason.as_deref(), how))
}

async fn charges(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(control(&world).charges())
}

async fn charge(world: Data<World>, id: Path<String>) -> HttpResponse {
    answer(control(&world).charge(&id).ok_or(Refused::NotFound))
}

async fn parcels(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(control(&world).parcels())
}

#[derive(Deserialize)]
struct ParcelBody {
    id: String,
    step: ParcelStep,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn parcel(world: Data<World>, body: Json<ParcelBody>) -> HttpResponse {
    let ParcelBody { id, step, webhook, delay_ms } = body.into_inner();
    answer(control(&world).move_parcel(&id, step, webhook.with(delay_ms)))
}

#[derive(Deserialize)]
struct ParcelWebhookBody {
    id: String,
    event: String,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn parcel_webhook(world: Data<World>, body: Json<ParcelWebhookBody>) -> HttpResponse {
    let ParcelWebhookBody { id, event, webhook, delay_ms } = body.into_inner();
    answer(control(&world).send_parcel_webhook(&id, &event, webhook.with(delay_ms)))
}

#[derive(Deserialize)]
struct LabelsBody {
    balance_cents: Option<i64>,
    takes_ms: Option<u64>,
}

async fn labels(world: Data<World>, body: Json<LabelsBody>) -> HttpResponse {
    if let Some(cents) = body.balance_cents {
        control(&world).set_label_balance(cents);
    }
    if let Some(ms) = body.takes_ms {
        control(&world).set_label_takes(Duration::from_millis(ms));
    }
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct WebhookBody {
    #[serde(flatten)]
    target: Target,
    event: String,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn webhook(world: Data<World>, body: Json<WebhookBody>) -> HttpResponse {
    let body = body.into_inner();
    let how = body.webhook.with(body.delay_ms);
    answer(body.target.id().and_then(|id| control(&world).send_webhook(&id, &body.event, how)))
}

#[derive(Deserialize)]
struct BatchBody {
    ids: Vec<String>,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn webhook_batch(world: Data<World>, body: Json<BatchBody>) -> HttpResponse {
    let body = body.into_inner();
    answer(control(&world).batch_webhook(&body.ids, body.webhook.with(body.delay_ms)))
}

async fn forget_pix_tokens(world: Data<World>) -> HttpResponse {
    control(&world).forget_pix_tokens();
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct LimitBody {
    calls_per_second: u32,
}

async fn limit_openpix(world: Data<World>, body: Json<LimitBody>) -> HttpResponse {
    control(&world).limit_openpix(body.calls_per_second);
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct TokenBody {
    form: Option<TokenForm>,
}

async fn take_pix_tokens_as(world: Data<World>, body: Json<TokenBody>) -> HttpResponse {
    control(&world).take_pix_tokens_as(body.form);
    HttpResponse::NoContent().finish()
}

async fn forget_correios_tokens(world: Data<World>) -> HttpResponse {
    control(&world).forget_correios_tokens();
    HttpResponse::NoContent().finish()
}

async fn pass(world: Data<World>, code: Path<String>, body: Json<Passage>) -> HttpResponse {
    control(&world).pass(&code, body.into_inner());
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct RawBody {
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

async fn webhook_raw(world: Data<World>, body: Json<RawBody>) -> HttpResponse {
    let RawBody { path, headers, body } = body.into_inner();
    answer(control(&world).send_raw(&path, &headers, body).await)
}

#[derive(Deserialize)]
struct Shop {
    url: String,
}

async fn shop(world: Data<World>, body: Json<Shop>) -> HttpResponse {
    world.set_shop_url(&body.url);
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct FaultBody {
    provider: String,
    kind: String,
    code: Option<u16>,
    ms: Option<u64>,
    count: Option<u32>,
    path_contains: Option<String>,
}

impl FaultBody {
    fn order(self) -> Result<FaultOrder, Refused> {
        let invalid = |why: &str| Refused::Invalid(why.into());
        let fault = match self.kind.as_str() {
            "status" | "status_after" => match self.code {
                Some(code @ 200..=599) if self.kind == "status" => Fault::Status(code),
                Some(code @ 200..=599) => Fault::StatusAfterRequest(code),
                _ => return Err(invalid("status needs a code from 200 to 599")),
            },
            "delay" => Fault::Delay(Duration::from_millis(self.ms.ok_or_else(|| invalid("delay needs ms"))?)),
            "hang" => Fault::Hang,
            "hang_after" => Fault::HangAfterRequest,
            "garbage" => Fault::Garbage,
            "wrong_type" => Fault::WrongType,
            "drop_before" => Fault::DropBeforeRequest,
            "drop_after" => Fault::DropAfterRequest,
            _ => return Err(invalid("there is no such kind of fault")),
        };
        let count = self.count.unwrap_or(1);
        Ok(FaultOrder { provider: self.provider, fault, count, path_contains: self.path_contains })
    }
}

async fn fault(world: Data<World>, body: Json<FaultBody>) -> HttpResponse {
    answer(body.into_inner().order().and_then(|order| control(&world).order_fault(order)))
}

async fn clear_faults(world: Data<World>) -> HttpResponse {
    control(&world).clear_faults();
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct KeyBody {
    provider: String,
    revoked: bool,
}

async fn key_standing(world: Data<World>, body: Json<KeyBody>) -> HttpResponse {
    let control = control(&world);
    let done = if body.revoked { control.revoke_key(&body.provider) } else { control.restore_key(&body.provider) };
    answer(done.map(|()| json!({"revoked": world.revoked()})))
}

async fn openpix_public_key() -> HttpResponse {
    HttpResponse::Ok().content_type("application/x-pem-file").body(key::public_pem())
}

/// What is going on, and what it has done.
async fn chaos(world: Data<World>) -> HttpResponse {
    let (chaos, counts) = control(&world).chaos();
    HttpResponse::Ok().json(json!({"on": chaos.is_some(), "chaos": chaos, "counts": counts}))
}

async fn begin_chaos(world: Data<World>, body: Json<serde_json::Value>) -> HttpResponse {
    let invalid = |error: serde_json::Error| Refused::Invalid(error.to_string());
    match body.get("off") {
        Some(serde_json::Value::Bool(true)) => end_chaos(world).await,
        _ => answer(
            serde_json::from_value::<Chaos>(body.into_inner()).map_err(invalid).and_then(|c| control(&world).begin_chaos(c)),
        ),
    }
}

/// Over; the counters stay.
async fn end_chaos(world: Data<World>) -> HttpResponse {
    control(&world).end_chaos();
    HttpResponse::NoContent().finish()
}
