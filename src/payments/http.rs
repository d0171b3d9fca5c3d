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
use crate::error::{Chain, Result};
use crate::http::idempotency::{Claim, IdempotencyKey};
use crate::http::json::{Json, Query};
use crate::http::page::{List, MAX_LIMIT};
use crate::http::who::{AdminSent, Visitor};
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
struct PayOrder {
    #[garde(skip)]
    method: Method,
}

/// Starts the payment of an order, or gives the one that can still be paid.
#[utoipa::path(
    tag = "payments", security(("bearer" = []), ()), request_body = PayOrder,
    params(("id" = String, Path, description = "Its id, or its number"), ("Idempotency-Key" = Option<String>, Header), ("X-Order-Token" = Option<String>, Header)),
    responses(
        (status = 200, body = Started), (status = 404, description = "Not your order"),
        (status = 409, description = "It does not wait for money, or the method is not offered for it: `amount-not-accepted` has the limits"),
        (status = 503, description = "The provider is away; the order stands. Ask again: it is the same charge")))]
#[post("/api/orders/{id}/pay")]
async fn pay_order(
    app: web::Data<App>,
    visitor: Visitor,
    OrderPath(id): OrderPath,
    key: IdempotencyKey,
    body: Json<PayOrder>,
) -> Result<HttpResponse> {
    let viewer = Viewer::of(&app, &visitor, id).await?;
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
    payment_id: PaymentId,
    #[schema(value_type = Method)]
    method: String,
    status: PaymentStatus,
    #[schema(value_type = i64)]
    amount_cents: Money,
    #[schema(value_type = i64)]
    captured_cents: Money,
    /// Refunded, or being refunded.
    #[schema(value_type = i64)]
    refunded_cents: Money,
    currency: String,
    /// Their name for it: the PIX txid, or Stripe's PaymentIntent.
    txid: Option<String>,
    end_to_end_id: Option<String>,
    expires_at: Timestamp,
    paid_at: Option<Timestamp>,
    created_at: Timestamp,
    /// Why it failed. Only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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

/// An order's payments, the oldest first, each with its refunds.
#[utoipa::path(
    tag = "payments", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "Its id, or its number"), ("X-Order-Token" = Option<String>, Header)),
    responses((status = 200, body = List<PaymentView>), (status = 404)))]
#[get("/api/orders/{id}/payments")]
async fn list_payments(app: web::Data<App>, visitor: Visitor, OrderPath(id): OrderPath) -> Result<HttpResponse> {
    let viewer = Viewer::of(&app, &visitor, id).await?;
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
struct RefundOrder {
    /// Left out: all that is left.
    #[garde(inner(range(min = 1)))]
    amount_cents: Option<i64>,
    #[garde(length(chars, min = 1, max = 140), custom(no_control))]
    reason: String,
    /// Puts all goods that are left back on the shelf; only once all of the money is back, with this refund or before.
    #[serde(default)]
    #[garde(skip)]
    restock: bool,
    /// Puts these pieces back on the shelf, with a refund of any amount.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    restock_items: Vec<RestockItem>,
    /// These pieces are lost or spoilt: they are out of the sale, and go back on no shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    write_off_items: Vec<RestockItem>,
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

/// Gives a paid order's money back, whole or in part.
#[utoipa::path(
    tag = "payments", security(("bearer" = [])), request_body = RefundOrder,
    params(("id" = String, Path, description = "Its id, or its number"), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = RefundView), (status = 404), (status = 409, description = "Not so much is left"), (status = 422)))]
#[post("/api/orders/{id}/refund")]
async fn refund_order(
    app: web::Data<App>,
    OrderPath(id): OrderPath,
    key: IdempotencyKey,
    AdminSent(admin, body): AdminSent<Json<RefundOrder>>,
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
    /// The goods after the coupon. Left out: the cart's `total_cents`, signed in or by `X-Cart-Token`.
    #[garde(inner(range(min = 0, max = MAX_ASKED)))]
    goods_cents: Option<i64>,
    /// The freight. A cart has none yet: send it once the buyer has chosen one.
    #[garde(inner(range(min = 0, max = MAX_ASKED)))]
    shipping_cents: Option<i64>,
}

/// Above any order: the table's limit of an amount.
const MAX_ASKED: i64 = 100_000_000_000_000;

/// How an order can be paid, and which ways work now. Of what is in the caller's cart, or of `goods_cents` and `shipping_cents`, it says
/// which methods take that much, and why another does not.
#[utoipa::path(tag = "payments", security((), ("bearer" = [])), params(PayWhat, ("X-Cart-Token" = Option<String>, Header)),
    responses((status = 200, body = List<MethodView>), (status = 422, body = crate::error::Problem)))]
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
