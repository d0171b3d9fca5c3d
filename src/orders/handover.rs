//! Orders that leave the shop by hand: with a carrier's number, or fetched by the buyer.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, patch, web};
use deadpool_postgres::GenericClient;
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use vitrine_kit::s10;

use super::store;
use super::view::OrderView;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::asker::finding;
use crate::http::json::{Json, OptionalJson};
use crate::http::who::SignedIn;
use crate::ids::{LineId, OrderId};
use crate::jobs::{self, Job};
use crate::sale::address::tracking_url;
use crate::sale::history::{Change, record_change};
use crate::sale::life;
use crate::sale::locks::{self, LockedOrder};
use crate::sale::named::OrderPath;
use crate::sale::off::{end_hold, is_on_hold, sale_is_off};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::stock;
use crate::sale::transitions;
use crate::sale::viewer::Viewer;
use crate::text::is_hidden;
use crate::token::Role;

/// What the carrier was given.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tracking_number": "AA123456785BR", "carrier": "PAC"}))]
pub struct SetTracking {
    /// 4 to 60 letters and digits. Spaces and dashes between them are left out.
    #[garde(length(chars, max = 100), custom(is_code))]
    #[schema(pattern = "^[0-9A-Za-z -]+$", max_length = 100)]
    pub tracking_number: String,
    /// The carrier's service, as the buyer reads it: `PAC`.
    #[garde(length(chars, min = 1, max = 60), custom(is_name))]
    #[schema(min_length = 1, max_length = 60)]
    pub carrier: String,
    /// Ships an order whose money is on its way back, or that is on hold. Only for administrators; written to the audit log.
    #[serde(default)]
    #[garde(skip)]
    pub force: bool,
}

/// That the order arrived.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"force": false}))]
pub struct SetDelivered {
    /// Hands over an order whose money is on its way back, or that is on hold. Only for administrators; written to the audit log.
    #[serde(default)]
    #[garde(skip)]
    pub force: bool,
}

fn is_code(text: &str, _: &()) -> garde::Result {
    let code = s10::bare(text);
    if !code.bytes().all(|b| b.is_ascii_alphanumeric()) || !(4..=60).contains(&code.len()) {
        return Err(garde::Error::new("must be 4 to 60 letters and digits, with spaces or dashes between them at most"));
    }
    s10::check(&code).map_err(|wrong| garde::Error::new(wrong.to_string()))
}

fn is_name(text: &str, _: &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must be text on one line")) } else { Ok(()) }
}

/// The order as whoever handed it over may see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HandedOver {
    /// For an administrator.
    Order(Box<OrderView>),
    /// For a shipper.
    Parcel(Box<ParcelView>),
}

/// What a shipper needs to know of an order: no name, no e-mail, no address, no document, no price.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParcelView {
    /// The order.
    pub id: OrderId,
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    pub number: String,
    /// How far the order is.
    pub status: OrderStatus,
    /// Money is on its way back to the buyer.
    pub refund_pending: bool,
    /// A refund of all its money failed: it is not sent until an administrator says that the sale goes on.
    pub on_hold: bool,
    /// The buyer fetches it.
    pub is_pickup: bool,
    /// The carrier's service, as the buyer reads it: `PAC`.
    #[schema(example = "PAC")]
    pub carrier: String,
    /// Who carries it: `Correios`; for pickup the shop's address.
    #[schema(example = "Correios")]
    pub service: String,
    /// The carrier's number of the parcel; null: not yet known.
    #[schema(required = true, example = "AA123456785BR")]
    pub tracking_number: Option<String>,
    /// Public: opens without signing in, and shows no person and no price.
    #[schema(format = "uri")]
    pub tracking_url: String,
    /// What is in the parcel.
    pub items: Vec<ParcelItem>,
    /// When it left the shop; null: not yet.
    #[schema(required = true)]
    pub shipped_at: Option<Timestamp>,
    /// When it arrived; null: not yet.
    #[schema(required = true)]
    pub delivered_at: Option<Timestamp>,
}

/// A line of the parcel, without pieces that came back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParcelItem {
    /// The SKU of the variant.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// The product's name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// The variant's name; empty for a product with one variant.
    #[schema(example = "M")]
    pub variant_name: String,
    /// How many pieces.
    #[schema(minimum = 0, example = 2)]
    pub quantity: i32,
}

/// Who may say that an order leaves or arrived: an administrator, or a shipper under their own name.
#[derive(Debug, Clone, Copy)]
pub struct HandsOver(Viewer);

impl FromRequest for HandsOver {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let asked = SignedIn::from_request(req, payload);
        finding(req, async move {
            let user = asked.await?;
            match user.role {
                Role::Admin => Ok(Self(Viewer::Admin(user.id))),
                Role::Shipper => Ok(Self(Viewer::Shipper(user.id))),
                Role::User => Err(Error::Forbidden("This is for administrators and shippers")),
            }
        })
    }
}

fn check_force(viewer: Viewer, force: bool) -> Result<()> {
    if force && !matches!(viewer, Viewer::Admin(_)) {
        return Err(Error::Forbidden("Only an administrator may set force"));
    }
    Ok(())
}

/// Hands an order to a carrier
///
/// It is shipped, and the buyer is told. For administrators and shippers; a shipper is shown no person and no price.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])), request_body = SetTracking,
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = HandedOver, description = "The order as it is now"),
        (status = 403, body = Problem,
            description = "`forbidden`: you are neither administrator nor shipper, or `force` is for administrators"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: it is not paid, or it is over; `sale-is-off`: its money is on its way back")))]
#[patch("/api/orders/{id}/tracking")]
pub async fn set_tracking(
    app: web::Data<App>,
    HandsOver(viewer): HandsOver,
    body: Json<SetTracking>,
    OrderPath(order): OrderPath,
) -> Result<HttpResponse> {
    check_force(viewer, body.force)?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let found = locks::lock_order(&tx, order, viewer).await?;
    ship(&tx, &found, &body, viewer.actor()).await?;
    let answer = show(&tx, &app, order, viewer).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

/// `processing` → `shipped`. A mistyped number can be corrected; setting the same number again changes nothing.
async fn ship(tx: &db::Transaction<'_>, order: &LockedOrder, new: &SetTracking, actor: Actor) -> Result<()> {
    const SHIP: &str = "
        UPDATE orders SET status = $4, tracking_number = $2, carrier = $3, shipped_at = coalesce(shipped_at, now()), updated_at = now()
         WHERE id = $1 AND (status = ANY($5) OR status = $4) AND payment_status = ANY($6)
           AND (tracking_number IS DISTINCT FROM $2 OR carrier <> $3)";
    let code = s10::bare(&new.tracking_number).to_uppercase();
    match (order.status, order.payment_status) {
        (OrderStatus::Processing, _) => may_leave(tx, order, new.force, actor).await?,
        (OrderStatus::Shipped, OrderPaymentStatus::Paid | OrderPaymentStatus::PartiallyRefunded) => {}
        (OrderStatus::Pending, _) => return Err(Error::Conflict("The order is not paid yet: it cannot be shipped".into())),
        (status, payment) => return Err(Error::Conflict(format!("The order is {status} ({payment}): it cannot be shipped"))),
    }
    let step = &transitions::SHIP;
    if db::execute(tx, SHIP, &[&order.id, &code, &new.carrier, &step.to, &step.from, &step.money_from]).await? == 0 {
        return Ok(());
    }
    life::record_parcel_by_hand(tx, order.id, "posted", &code, actor).await?;
    if order.status == OrderStatus::Processing {
        let change = Change {
            subject: "order",
            subject_id: None,
            from: Some(order.status.as_str()),
            to: step.to.as_str(),
            reason: "tracking number set",
            actor,
        };
        record_change(tx, order.id, &change).await?;
        jobs::push(tx, Job::DropLabel { order: order.id }).await?; // a label that was not bought yet is not needed any more
    }
    // A corrected number is mailed too: one mail per number.
    jobs::push(tx, Job::MailOrderShipped { order: order.id }).await
}

/// Refuses a paid order whose sale is off. `force` allows it while its money is on its way back or after a refund failed, with a
/// row in the audit log; never once the money is with the buyer, or without goods.
async fn may_leave(tx: &impl GenericClient, order: &LockedOrder, force: bool, actor: Actor) -> Result<()> {
    if !sale_is_off(tx, order.id).await? {
        return Ok(());
    }
    if stock::find_sums(tx, order.id).await?.is_none_or(|sums| sums.goods_are_back()) {
        return Err(Error::SaleIsOff("All goods of the order are back: there is nothing to send"));
    }
    if order.payment_status == OrderPaymentStatus::Refunded {
        return Err(Error::SaleIsOff("The money of the order went back: it is not sent any more"));
    }
    let is_on_hold = is_on_hold(tx, order.id).await?;
    if !force {
        return Err(Error::SaleIsOff(if is_on_hold {
            "A refund of all its money failed: it is not sent until an administrator says that the sale goes on"
        } else {
            "The money of the order is on its way back: it is not sent meanwhile"
        }));
    }
    if is_on_hold {
        end_hold(tx, order.id, actor).await?;
        jobs::push_now(tx, Job::InvoiceOrder { order: order.id }).await?; // the invoice was given up because of the refund
    }
    let after = Some(json!({"refund_pending": !is_on_hold, "on_hold": is_on_hold}));
    audit_log::record(tx, actor, Action::OrderShipWhileRefunded, &order.id.to_string(), None, after).await
}

/// Marks an order as delivered
///
/// For orders fetched at the shop, and for carriers that do not report it. For administrators and shippers.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])), request_body = Option<SetDelivered>,
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = HandedOver, description = "The order as it is now"),
        (status = 403, body = Problem,
            description = "`forbidden`: you are neither administrator nor shipper, or `force` is for administrators"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: it has not left yet, or it is over; `sale-is-off`: its money is on its way back")))]
#[patch("/api/orders/{id}/delivered")]
pub async fn set_delivered(
    app: web::Data<App>,
    HandsOver(viewer): HandsOver,
    body: OptionalJson<SetDelivered>,
    OrderPath(order): OrderPath,
) -> Result<HttpResponse> {
    let force = body.0.is_some_and(|body| body.force);
    check_force(viewer, force)?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let found = locks::lock_order(&tx, order, viewer).await?;
    hand_over(&tx, &found, force, viewer.actor()).await?;
    let answer = show(&tx, &app, order, viewer).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

/// An order that is fetched leaves and arrives at the same moment. A repeat changes nothing.
async fn hand_over(tx: &db::Transaction<'_>, order: &LockedOrder, force: bool, actor: Actor) -> Result<()> {
    let now = Timestamp::now();
    match order.status {
        OrderStatus::Delivered => return Ok(()),
        OrderStatus::Shipped => jobs::push(tx, Job::DropLabel { order: order.id }).await?, // of a box that was still to follow
        OrderStatus::Processing => {
            if order.is_pickup {
                may_leave(tx, order, force, actor).await?;
            }
            if !order.is_pickup || !life::mark_shipped(tx, order.id, None, now, actor, "fetched at the shop").await? {
                return Err(Error::Conflict("The order has not left yet: set its tracking number first".into()));
            }
        }
        status => return Err(Error::Conflict(format!("The order is {status}: it cannot be delivered"))),
    }
    life::mark_delivered(tx, order.id, now, actor, "delivered by hand").await?;
    life::record_parcel_by_hand(tx, order.id, "delivered", "", actor).await
}

async fn show(db: &impl GenericClient, app: &App, order: OrderId, viewer: Viewer) -> Result<HandedOver> {
    let url = &app.config.http.public_url;
    match viewer {
        Viewer::Shipper(_) => Ok(HandedOver::Parcel(Box::new(parcel(db, order, url).await?))),
        _ => {
            let found = store::find_order(db, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
            Ok(HandedOver::Order(Box::new(found)))
        }
    }
}

async fn parcel(db: &impl GenericClient, order: OrderId, public_url: &str) -> Result<ParcelView> {
    const FIND: &str = "
        SELECT o.number, o.status, o.shipping_provider = 'pickup' AS is_pickup, o.carrier, o.service, o.tracking_number, o.shipped_at, o.delivered_at,
               EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
               o.on_hold AND o.status IN ('processing', 'shipped') AS on_hold
          FROM orders o WHERE o.id = $1";
    let row = db::query_opt(db, FIND, &[&order]).await?.ok_or(Error::NotFound("The order"))?;
    let sums = stock::find_sums(db, order).await?.ok_or(Error::NotFound("The order"))?;
    let lines = store::list_lines(db, &[order]).await?;
    let left = |line: LineId| sums.line(line).map_or(0, |line| line.left());
    let items = lines.iter().map(|row| ParcelItem {
        sku: row.get("sku"),
        name: row.get("name"),
        variant_name: row.get("variant_name"),
        quantity: left(row.get("id")),
    });
    let number: String = row.get("number");
    Ok(ParcelView {
        id: order,
        tracking_url: tracking_url(public_url, &number),
        number,
        status: row.try_get("status")?,
        refund_pending: row.get("refund_pending"),
        on_hold: row.get("on_hold"),
        is_pickup: row.get("is_pickup"),
        carrier: row.get("carrier"),
        service: row.get("service"),
        tracking_number: row.get("tracking_number"),
        items: items.filter(|item| item.quantity > 0).collect(),
        shipped_at: row.get("shipped_at"),
        delivered_at: row.get("delivered_at"),
    })
}
