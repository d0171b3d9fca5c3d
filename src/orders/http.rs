//! The routes of orders.

use actix_web::{HttpRequest, HttpResponse, ResponseError, get, patch, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::checkout::{self, Placed};
use super::place::{Asked, PlaceOrder};
use super::search::{self, Filter};
use super::view::OrderView;
use super::{cancel, events, handover, link, mend, resume, returns, store, tracking};
use crate::app::App;
use crate::cart::Owner;
use crate::catalog;
use crate::client_ip::counted;
use crate::coupons;
use crate::error::{Error, Result};
use crate::http::idempotency::{IdempotencyKey, Kept};
use crate::http::json::{Json, OptionalJson, Query, typed};
use crate::http::page::{self, List};
use crate::http::rate_limit;
use crate::http::request_id;
use crate::http::spoken;
use crate::http::who::{SignedIn, Visitor};
use crate::ids::OrderId;
use crate::payments::charge::methods::Method;
use crate::payments::charge::start;
use crate::sale::named::OrderPath;
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

/// Places an order from the cart, completely or not at all. After five wrong coupons in a minute an address is refused for a
/// while
#[utoipa::path(tag = "orders", security((), ("bearer" = [])), request_body = PlaceOrder,
    params(("Idempotency-Key" = Option<String>, Header), ("X-Cart-Token" = Option<String>, Header)),
    responses((status = 201, body = OrderView), (status = 409, body = crate::error::Problem), (status = 422, body = crate::error::Problem),
        (status = 429, body = crate::error::Problem)))]
#[post("/api/orders")]
async fn place(
    app: web::Data<App>,
    req: HttpRequest,
    visitor: Visitor,
    key: IdempotencyKey,
    body: Json<PlaceOrder>,
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
            let mut answer = new.body;
            if let Some(wish) = body.pay {
                answer["payment"] = match new.order.total_cents.is_zero() {
                    true => nothing_to_pay(),
                    false => start_payment(&app, &visitor, new.order.id, wish.method).await,
                };
            }
            Ok(HttpResponse::Created().json(answer))
        }
    }
}

/// The first answer again. Its payment was not kept: the present one is added.
async fn replay(app: &App, visitor: &Visitor, owner: &Owner, body: &PlaceOrder, first: &Kept) -> Result<HttpResponse> {
    let mut answer = checkout::first_answer(app, owner, first).await?;
    if let Some(wish) = body.pay
        && let Some(order) = answer["id"].as_str().and_then(|id| id.parse().ok())
    {
        answer["payment"] = match answer["total_cents"] == 0 {
            true => nothing_to_pay(),
            false => start_payment(app, visitor, order, wish.method).await,
        };
    }
    Ok(first.answer_with(&answer))
}

/// An order that costs nothing is paid as it is placed.
fn nothing_to_pay() -> serde_json::Value {
    serde_json::json!({"status": "not_needed", "amount_cents": 0, "currency": "BRL"})
}

/// Starts the payment of a placed order. If that fails, the answer says why, and the payment can be asked for again.
async fn start_payment(app: &App, visitor: &Visitor, order: OrderId, method: Method) -> serde_json::Value {
    let viewer = match &visitor.user {
        Some(user) => Viewer::Customer(user.id),
        None => Viewer::Guest,
    };
    match start::start_payment(app, viewer, order, method).await {
        Ok(started) => serde_json::to_value(started).unwrap_or_default(),
        Err(error) => {
            error.error_response(); // logged where it is our fault
            let mut problem = serde_json::to_value(error.body()).unwrap_or_default();
            problem["retry_after_s"] = error.retry_after().into();
            serde_json::json!({"status": "not_started", "error": problem})
        }
    }
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListOrders {
    #[garde(custom(is_status))]
    status: Option<String>,
    #[garde(custom(is_payment_status))]
    payment_status: Option<String>,
    /// `true`: those that wait for an administrator, because a refund of all their money failed; `false`: all others.
    #[garde(skip)]
    on_hold: Option<bool>,
    /// Order number, tracking number, e-mail, or the start of a name.
    #[garde(inner(length(chars, max = 120)))]
    q: Option<String>,
    #[garde(skip)]
    from: Option<Timestamp>,
    #[garde(skip)]
    to: Option<Timestamp>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

fn is_status(text: &Option<String>, _: &()) -> garde::Result {
    one_of(text, OrderStatus::ALL.iter().map(|status| status.as_str()))
}

fn is_payment_status(text: &Option<String>, _: &()) -> garde::Result {
    one_of(text, OrderPaymentStatus::ALL.iter().map(|status| status.as_str()))
}

fn one_of<'a>(text: &Option<String>, words: impl Iterator<Item = &'a str>) -> garde::Result {
    let words: Vec<&str> = words.collect();
    match text {
        Some(text) if !words.contains(&text.as_str()) => Err(garde::Error::new(format!("must be one of {}", words.join(", ")))),
        _ => Ok(()),
    }
}

/// The orders that you may see: yours, or all of them for an admin
///
/// `total` counts up to 10,000: that number means so many, or more. An administrator's `q` that is the beginning of the names on
/// more than 10,000 orders is looked for among the newest 100,000.
#[utoipa::path(tag = "orders", security(("bearer" = [])), params(ListOrders), responses((status = 200, body = List<OrderView>)))]
#[get("/api/orders")]
async fn list(app: web::Data<App>, user: SignedIn, Query(ask): Query<ListOrders>) -> Result<HttpResponse> {
    let (limit, offset) = page::bounds(ask.limit, ask.offset)?;
    let viewer = if user.is_admin() { Viewer::Admin(user.id) } else { Viewer::Customer(user.id) };
    let after: Option<OrderId> = ask.cursor.as_deref().map(page::read_cursor).transpose()?;
    // Validation has checked both words.
    let (status, payment_status) = (
        ask.status.and_then(|word| OrderStatus::parse(&word).ok()),
        ask.payment_status.and_then(|word| OrderPaymentStatus::parse(&word).ok()),
    );
    let filter = Filter { status, payment_status, on_hold: ask.on_hold, q: ask.q, from: ask.from, to: ask.to };
    let url = &app.config.http.public_url;
    let (mut items, total) = search::list_orders(&app.db().await?, viewer, &filter, limit + 1, offset, after, url).await?;
    let more = items.len() as i64 > limit;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|order| page::cursor_of(&order.id));
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// One order
#[utoipa::path(tag = "orders", security((), ("bearer" = [])), params(("X-Order-Token" = Option<String>, Header)),
    responses((status = 200, body = OrderView), (status = 404)))]
#[get("/api/orders/{id}")]
async fn show(app: web::Data<App>, visitor: Visitor, OrderPath(order): OrderPath) -> Result<HttpResponse> {
    let viewer = Viewer::of(&app, &visitor, order).await?;
    let url = &app.config.http.public_url;
    let found = store::find_order(&app.db().await?, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(found))
}

#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelOrder {
    #[garde(inner(length(chars, max = 200)))]
    #[serde(default, deserialize_with = "typed")]
    reason: Option<String>,
}

/// Cancels before shipment: stock and coupon are given back, the charge is voided or the money refunded
#[utoipa::path(tag = "orders", security((), ("bearer" = [])), request_body = Option<CancelOrder>,
    responses((status = 200, body = OrderView), (status = 404), (status = 409)))]
#[patch("/api/orders/{id}/cancel")]
async fn cancel_order(
    app: web::Data<App>,
    visitor: Visitor,
    OrderPath(order): OrderPath,
    body: OptionalJson<CancelOrder>,
) -> Result<HttpResponse> {
    let viewer = Viewer::of(&app, &visitor, order).await?;
    let reason = body.0.and_then(|body| body.into_inner().reason).unwrap_or_default();
    cancel::cancel(&app, viewer, order, &reason).await?;
    let url = &app.config.http.public_url;
    let found = store::find_order(&app.db().await?, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
    Ok(HttpResponse::Ok().json(found))
}
