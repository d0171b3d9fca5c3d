//! The routes of orders.

use actix_web::{HttpRequest, HttpResponse, ResponseError, get, patch, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::checkout::{self, Placed};
use super::place::{Asked, PlaceOrder};
use super::placed::{PlacedOrder, PlacedPayment};
use super::search::{self, Filter};
use super::view::OrderView;
use super::{cancel, events, handover, link, mend, resume, returns, store, tracking};
use crate::app::App;
use crate::cart::Owner;
use crate::catalog;
use crate::client_ip::counted;
use crate::coupons;
use crate::error::{Error, Problem, Result};
use crate::http::idempotency::{IdempotencyKey, Kept};
use crate::http::json::{Json, OptionalJson, Query, typed};
use crate::http::page::{self, List};
use crate::http::rate_limit;
use crate::http::request_id;
use crate::http::spoken;
use crate::http::who::{SignedIn, Visitor};
use crate::ids::OrderId;
use crate::payments::charge::first::FirstCharge;
use crate::payments::charge::methods::Method;
use crate::payments::charge::start;
use crate::sale::seen::{SeenOrder, ViewedOrder};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(place)
        .service(link::mail_link)
        .service(list)
        .service(tracking::show_tracking)
        .service(show)
        .service(cancel_order);
    cfg.service(handover::set_tracking).service(handover::set_delivered).service(events::events);
    cfg.service(resume::resume_order).service(mend::mend_order);
    cfg.service(returns::return_goods).service(returns::show_returns);
}

/// Places an order
///
/// From the cart, completely or not at all: stock, coupon, order and the emptied cart are one transaction. A guest sends
/// `email`, `name`, `cpf` and `address`, and is answered an `access_token` that opens this order alone. With `pay`, the payment
/// is started as well; if that fails, the order stands and `payment` says why.
///
/// After five wrong coupons in a minute an address is refused for a while.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])), request_body = PlaceOrder,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body answer the first answer again"),
        ("X-Cart-Token" = Option<String>, Header)),
    responses(
        (status = 201, body = PlacedOrder, description = "The order"),
        (status = 404, body = Problem, description = "`not-found`: the saved address is not there"),
        (status = 409, body = Problem,
            description = "`cart-empty`, `out-of-stock`, `price-changed` (with the new cart), `coupon-refused`, `amount-not-accepted`, `product-not-ready`, `too-many-unpaid-orders`, `too-many-units`, `idempotency-key-in-flight`, `conflict`"),
        (status = 422, body = Problem,
            description = "`invalid`: a field is wrong, or the freight has to be asked for again (`quote_token`); `idempotency-key-reused`"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many wrong coupons came from this address")))]
#[post("/api/orders")]
async fn place(
    app: web::Data<App>,
    req: HttpRequest,
    visitor: Visitor,
    body: Json<PlaceOrder>,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor).ok_or(Error::CartEmpty)?;
    let who = match &owner {
        Owner::User(id) => format!("user:{id}"),
        Owner::Guest(hash) => format!("guest:{}", hex::encode(hash)),
    };
    let claim = key.bind(format!("{who} POST /api/orders"), body.fingerprint())?;
    let address = rate_limit::address(&app, &req);
    // Coupon codes can be guessed here and in the cart: both are counted.
    let guess = match &body.coupon {
        Some(code) => Some(app.coupon_guesses.begin(counted(address), &coupons::normalise(code)?).await?),
        None => None,
    };
    let asked = Asked { owner: &owner, actor: visitor.actor(), spoken: spoken(&req), address, key: claim.as_ref() };
    let placed = checkout::place(&app, &asked, &body).await;
    if let Some(guess) = guess
        && !matches!(placed, Err(Error::NoSuchCoupon))
    {
        guess.was_right();
    }
    match placed? {
        Placed::Replay(first) => replay(&app, &visitor, &owner, &body, &first).await,
        Placed::New(new) => {
            request_id::log_order(new.order.id);
            app.jobs_were_pushed();
            if new.sold_out {
                catalog::changed(&app).await;
            }
            let payment = match body.pay {
                Some(_) if new.order.total_cents.is_zero() => Some(PlacedPayment::not_needed()),
                Some(wish) => Some(start_payment(&app, &visitor, new.order.id, wish.method, new.first_charge).await),
                None => None,
            };
            let placed = PlacedOrder { order: new.order, access_token: new.access_token, payment };
            Ok(HttpResponse::Created().json(value_of(&placed)?))
        }
    }
}

/// The first answer again. Its payment was not kept: the present one is added.
async fn replay(app: &App, visitor: &Visitor, owner: &Owner, body: &PlaceOrder, first: &Kept) -> Result<HttpResponse> {
    let mut answer = checkout::first_answer(app, owner, first).await?;
    if let Some(wish) = body.pay
        && let Some(order) = answer["id"].as_str().and_then(|id| id.parse().ok())
    {
        let payment = match answer["total_cents"] == 0 {
            true => PlacedPayment::not_needed(),
            false => start_payment(app, visitor, order, wish.method, None).await,
        };
        answer["payment"] = value_of(&payment)?;
    }
    Ok(first.answer_with(&answer))
}

/// With its fields in the order of a replay's, which is made of what was kept.
fn value_of(answer: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(answer).map_err(|e| Error::Internal(e.to_string()))
}

/// Starts the payment of a placed order. If that fails, the answer says why, and the payment can be asked for again.
async fn start_payment(
    app: &App,
    visitor: &Visitor,
    order: OrderId,
    method: Method,
    first: Option<FirstCharge>,
) -> PlacedPayment {
    let viewer = match &visitor.user {
        Some(user) => Viewer::Customer(user.id),
        None => Viewer::Guest,
    };
    let started = match first {
        Some(first) => start::start_first(app, viewer, order, method, first).await,
        None => start::start_payment(app, viewer, order, method).await,
    };
    match started {
        Ok(started) => PlacedPayment::Started(started),
        Err(error) => {
            error.error_response(); // logged where it is our fault
            PlacedPayment::not_started(&error)
        }
    }
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListOrders {
    /// Only orders that are this far.
    #[garde(skip)]
    status: Option<OrderStatus>,
    /// Only orders whose money stands so.
    #[garde(skip)]
    payment_status: Option<OrderPaymentStatus>,
    /// `true`: those that wait for an administrator, because a refund of all their money failed; `false`: all others.
    #[garde(skip)]
    on_hold: Option<bool>,
    /// Order number, tracking number, e-mail, or the start of a name.
    #[garde(inner(length(chars, max = 120)))]
    #[param(max_length = 120)]
    q: Option<String>,
    /// Placed at this time or later.
    #[garde(skip)]
    from: Option<Timestamp>,
    /// Placed before this time.
    #[garde(skip)]
    to: Option<Timestamp>,
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

/// Lists orders
///
/// Yours, or all of them for an administrator, the newest first. `total` counts up to 10,000: that number means so many, or
/// more. An administrator's `q` that is the beginning of the names on more than 10,000 orders is looked for among the newest
/// 100,000.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])),
    params(ListOrders),
    responses(
        (status = 200, body = List<OrderView>, description = "The orders of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/orders")]
async fn list(app: web::Data<App>, user: SignedIn, Query(ask): Query<ListOrders>) -> Result<HttpResponse> {
    let (limit, offset) = page::bounds(ask.limit, ask.offset)?;
    let viewer = if user.is_admin() { Viewer::Admin(user.id) } else { Viewer::Customer(user.id) };
    let after: Option<OrderId> = ask.cursor.as_deref().map(page::read_cursor).transpose()?;
    let ListOrders { status, payment_status, on_hold, q, from, to, .. } = ask;
    let filter = Filter { status, payment_status, on_hold, q, from, to };
    let url = &app.config.http.public_url;
    let (mut items, total) = search::list_orders(&app.db().await?, viewer, &filter, limit + 1, offset, after, url).await?;
    let more = items.len() as i64 > limit;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|order| page::cursor_of(&order.id));
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// Shows an order
///
/// To its buyer, to who has its token, and to administrators.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("X-Order-Token" = Option<String>, Header)),
    responses(
        (status = 200, body = OrderView, description = "The order"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours")))]
#[get("/api/orders/{id}")]
async fn show(app: web::Data<App>, ViewedOrder { id: order, viewer }: ViewedOrder) -> Result<HttpResponse> {
    let url = &app.config.http.public_url;
    let found = store::find_order(&app.db().await?, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(found))
}

/// Why the order is cancelled.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Comprei o tamanho errado"}))]
struct CancelOrder {
    /// For the order's history.
    #[garde(inner(length(chars, max = 200)))]
    #[serde(default, deserialize_with = "typed")]
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// Cancels an order
///
/// Before it is shipped: stock and coupon are given back, the charge is voided or the money refunded, and the invoice
/// cancelled. Cancelling it again changes nothing.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])), request_body = Option<CancelOrder>,
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = OrderView, description = "The order as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours"),
        (status = 409, body = Problem, description = "`conflict`: it has left, and can only be returned")))]
#[patch("/api/orders/{id}/cancel")]
async fn cancel_order(
    app: web::Data<App>,
    SeenOrder { id: order, viewer }: SeenOrder,
    body: OptionalJson<CancelOrder>,
) -> Result<HttpResponse> {
    let reason = body.0.and_then(|body| body.into_inner().reason).unwrap_or_default();
    cancel::cancel(&app, viewer, order, &reason).await?;
    let url = &app.config.http.public_url;
    let found = store::find_order(&app.db().await?, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
    Ok(HttpResponse::Ok().json(found))
}
