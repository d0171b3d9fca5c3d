//! The routes of payments.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Money;

use crate::app::App;
use crate::cart::{Cart, Owner};
use crate::catalog;
use crate::currency::Currency;
use crate::error::{Chain, Problem, Result};
use crate::http::idempotency::{Claim, IdempotencyKey};
use crate::http::json::{Json, Query};
use crate::http::page::{List, MAX_LIMIT};
use crate::http::who::{Admin, Visitor};
use crate::ids::PaymentId;
use crate::payments::charge::answer::{self, Started};
use crate::payments::charge::methods::{self, Method, MethodView, Price};
use crate::payments::charge::start;
use crate::payments::dispute::http as disputes;
use crate::payments::refund::http as refunds;
use crate::payments::refund::request::{Requested, request_refund};
use crate::payments::refund::view::{self, RefundView};
use crate::payments::store::{self, Payment};
use crate::sale::goods::{Goods, RestockItem};
use crate::sale::locks;
use crate::sale::named::OrderPath;
use crate::sale::seen::{SeenOrder, ViewedOrder};
use crate::sale::states::PaymentStatus;
use crate::sale::viewer::Viewer;
use crate::text::is_hidden;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(payment_methods).service(pay_order).service(list_payments).service(refund_order);
    cfg.service(refunds::retry_refund).service(refunds::settle_refund);
    cfg.service(disputes::list_disputes).service(disputes::settle_dispute).service(disputes::send_evidence);
}

/// How the buyer wants to pay.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "pix"}))]
struct PayOrder {
    /// The method.
    #[garde(skip)]
    method: Method,
}

/// Starts the payment of an order
///
/// Or gives the one that can still be paid: asking again makes no second charge.
#[utoipa::path(
    tag = "payments", security(("bearer" = []), ()), request_body = PayOrder,
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body answer the first answer again"),
        ("X-Order-Token" = Option<String>, Header)),
    responses(
        (status = 200, body = Started, description = "What the buyer needs to pay"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours"),
        (status = 409, body = Problem,
            description = "`conflict`: it does not wait for money, or the method is not offered; `amount-not-accepted`: the method does not take so much, or so little; `provider-refused`; `idempotency-key-in-flight`"),
        (status = 503, body = Problem,
            description = "`unavailable`: the provider is away. The order stands: ask again, it is the same charge")))]
#[post("/api/orders/{id}/pay")]
async fn pay_order(
    app: web::Data<App>,
    SeenOrder { id, viewer }: SeenOrder,
    body: Json<PayOrder>,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let claim = key.bind(format!("{} pay:{}", viewer.actor(), id), body.fingerprint())?;
    if let Some(claim) = &claim
        && let Some(first) = claim.lease(&app.db().await?).await?
    {
        return Ok(first.answer_with(&answer::first_answer(&app, id, first.body()?).await?));
    }
    let result = start::start_payment(&app, viewer, id, body.method).await;
    if let Some(claim) = claim {
        remember(&app, &claim, &result).await;
    }
    Ok(HttpResponse::Ok().json(result?.answer()?))
}

/// Keeps the answer under the key. If that fails the charge stands, and the lease frees the key later.
async fn remember(app: &App, claim: &Claim, result: &Result<Started>) {
    let write = async {
        let db = app.db().await?;
        match result {
            Ok(started) => claim.finish(&db, StatusCode::OK, &started.kept()?).await,
            Err(_) => claim.release(&db).await,
        }
    };
    if let Err(error) = write.await {
        tracing::warn!(error = %Chain(&error), "an idempotency key could not be settled; it is free again in a moment");
    }
}

/// An attempt to be paid.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    /// The payment.
    payment_id: PaymentId,
    /// The method.
    #[schema(value_type = Method)]
    method: String,
    /// Its state.
    status: PaymentStatus,
    /// What was to be paid, in centavos.
    #[schema(value_type = i64, example = 10782, minimum = 0)]
    amount_cents: Money,
    /// What came in, in centavos.
    #[schema(value_type = i64, example = 10782, minimum = 0)]
    captured_cents: Money,
    /// Refunded, or being refunded.
    #[schema(value_type = i64, example = 0, minimum = 0)]
    refunded_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    #[schema(value_type = Currency)]
    currency: String,
    /// Their name for it: the PIX txid, or Stripe's PaymentIntent.
    #[schema(required = true, example = "9d36b84fc70b478fb95c12729b90ca25")]
    txid: Option<String>,
    /// The bank's name for the PIX that came in; null: none came.
    #[schema(example = "E00038166202611011234abcdef12345", required = true)]
    end_to_end_id: Option<String>,
    /// Until when it can be paid.
    expires_at: Timestamp,
    /// When it was paid; null: not yet.
    #[schema(required = true)]
    paid_at: Option<Timestamp>,
    /// When it was started.
    created_at: Timestamp,
    /// Why it failed. Only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "The provider is away")]
    error: Option<String>,
    /// What went back of it, the oldest first.
    refunds: Vec<RefundView>,
}

impl PaymentView {
    fn of(payment: Payment, refunds: &[RefundView], for_admin: bool) -> Self {
        Self {
            payment_id: payment.id,
            method: payment.method,
            status: payment.status,
            amount_cents: payment.amount,
            captured_cents: payment.captured,
            refunded_cents: payment.refunded,
            currency: payment.currency,
            txid: payment.provider_ref,
            end_to_end_id: payment.end_to_end_id,
            expires_at: payment.expires_at,
            paid_at: payment.paid_at,
            created_at: payment.created_at,
            error: payment.error.filter(|_| for_admin),
            refunds: refunds.iter().filter(|r| r.payment_id == payment.id).map(|r| r.clone().shown(for_admin)).collect(),
        }
    }
}

/// Lists an order's payments
///
/// The oldest first, each with its refunds; all on one page.
#[utoipa::path(
    tag = "payments", security(("bearer" = []), ()),
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("X-Order-Token" = Option<String>, Header)),
    responses(
        (status = 200, body = List<PaymentView>, description = "The payments"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours")))]
#[get("/api/orders/{id}/payments")]
async fn list_payments(app: web::Data<App>, ViewedOrder { id, viewer }: ViewedOrder) -> Result<HttpResponse> {
    let db = app.db().await?;
    locks::find_order(&db, id, viewer).await?;
    let (payments, refunds) = (store::list_of_order(&db, id).await?, view::list_of_order(&db, id).await?);
    let for_admin = matches!(viewer, Viewer::Admin(_));
    let items: Vec<_> = payments.into_iter().map(|p| PaymentView::of(p, &refunds, for_admin)).collect();
    // All on one page: an order has few.
    Ok(HttpResponse::Ok().json(List { total: items.len() as i64, items, limit: MAX_LIMIT, offset: 0, next_cursor: None }))
}

/// Money to give back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "amount_cents": 5990,
    "reason": "Defeito na costura",
    "restock_items": [{"line_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 1}]
}))]
struct RefundOrder {
    /// How much, in centavos. Left out or null: all that is left.
    #[garde(inner(range(min = 1, max = MAX_ASKED)))]
    #[schema(minimum = 1, maximum = 100000000000000i64)]
    amount_cents: Option<i64>,
    /// Why, for the provider and the order's history.
    #[garde(length(chars, min = 1, max = 140), custom(no_control))]
    #[schema(min_length = 1, max_length = 140)]
    reason: String,
    /// Puts all goods that are left back on the shelf; only once all of the money is back, with this refund or before.
    #[serde(default)]
    #[garde(skip)]
    restock: bool,
    /// Puts these pieces back on the shelf, with a refund of any amount.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    restock_items: Vec<RestockItem>,
    /// These pieces are lost or spoilt: they are out of the sale, and go back on no shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    write_off_items: Vec<RestockItem>,
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

/// Gives money back
///
/// A paid order's, whole or in part, and says which goods came back with it. The sum of all refunds never exceeds what came in.
#[utoipa::path(
    tag = "payments", security(("bearer" = [])), request_body = RefundOrder,
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body answer the first answer again")),
    responses(
        (status = 201, body = RefundView, description = "The refund"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: not so much is left, or the payment is disputed; `idempotency-key-in-flight`"),
        (status = 422, body = Problem,
            description = "`invalid`: a field is wrong, or a line is not one of this order; `idempotency-key-reused`")))]
#[post("/api/orders/{id}/refund")]
async fn refund_order(
    app: web::Data<App>,
    admin: Admin,
    body: Json<RefundOrder>,
    OrderPath(id): OrderPath,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let viewer = Viewer::Admin(admin.0.id);
    let claim = key.bind(format!("{} refund:{}", viewer.actor(), id), body.fingerprint())?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(claim) = &claim
        && let Some(first) = claim.take(&tx).await?
    {
        return Ok(first.answer());
    }
    let order = locks::lock_order(&tx, id, viewer).await?;
    let amount = body.amount_cents.map(Money::from_cents);
    let goods = Goods::asked(body.restock, &body.restock_items, &body.write_off_items)?;
    let Requested { refund: made, back_for_sale } =
        request_refund(&tx, &order, amount, &body.reason, &goods, viewer.actor()).await?;
    if let Some(claim) = &claim {
        claim.finish(&tx, StatusCode::CREATED, &made).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    if back_for_sale {
        catalog::changed(&app).await;
    }
    Ok(HttpResponse::Created().json(made))
}

/// What is to be paid, before the discount of a method. What is left out is that of the caller's cart.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PayWhat {
    /// The goods after the coupon, in centavos. Left out: the cart's `total_cents`, signed in or by `X-Cart-Token`.
    #[garde(inner(range(min = 0, max = MAX_ASKED)))]
    #[param(minimum = 0, maximum = 100000000000000i64)]
    goods_cents: Option<i64>,
    /// The freight, in centavos. A cart has none yet: send it once the buyer has chosen one.
    #[garde(inner(range(min = 0, max = MAX_ASKED)))]
    #[param(minimum = 0, maximum = 100000000000000i64)]
    shipping_cents: Option<i64>,
}

/// Above any order: the table's limit of an amount.
const MAX_ASKED: i64 = 100_000_000_000_000;

/// Lists the methods of payment
///
/// How an order can be paid, and which ways work now. Of what is in the caller's cart, or of `goods_cents` and `shipping_cents`, it
/// says which methods take that much, and why another does not.
#[utoipa::path(
    tag = "payments", security((), ("bearer" = [])),
    params(PayWhat, ("X-Cart-Token" = Option<String>, Header)),
    responses(
        (status = 200, body = List<MethodView>, description = "The methods, all on one page"),
        (status = 422, body = Problem, description = "`invalid`: an amount is out of bounds")))]
#[get("/api/payment-methods")]
async fn payment_methods(app: web::Data<App>, visitor: Visitor, what: Query<PayWhat>) -> Result<HttpResponse> {
    let PayWhat { goods_cents, shipping_cents } = what.0;
    let in_cart = match (goods_cents, Owner::of(&visitor)) {
        (None, Some(owner)) => Cart::goods(&app.db().await?, &owner).await?,
        _ => None,
    };
    let (goods, freight) = (goods_cents.map(Money::from_cents).or(in_cart), shipping_cents.map(Money::from_cents));
    let is_asked = goods.is_some() || freight.is_some();
    let price = is_asked.then(|| Price { goods: goods.unwrap_or_default(), freight: freight.unwrap_or_default() });
    let items = methods::list(&app, price).await?;
    let page = List { total: items.len() as i64, items, limit: MAX_LIMIT, offset: 0, next_cursor: None };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(page))
}
