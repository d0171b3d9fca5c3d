//! `/api/admin/coupons`.

use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Money;

use super::input::{CouponChange, NewCoupon};
use super::store::{self, Times};
use super::{Coupon, Kind};
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::currency::Currency;
use crate::db::Transaction;
use crate::error::{Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::Place;
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::CouponId;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list_coupons).service(create_coupon);
    cfg.service(show_coupon).service(replace_coupon).service(change_coupon).service(delete_coupon);
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
struct Listing {
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(length(chars, max = 200))]
    #[param(max_length = 200)]
    cursor: Option<String>,
    /// The beginning of a code; case and accents do not matter.
    #[garde(length(chars, max = 40))]
    #[param(max_length = 40)]
    q: Option<String>,
}

/// A coupon as admins see it.
#[derive(Debug, Serialize, ToSchema)]
struct CouponView {
    /// The coupon.
    id: CouponId,
    /// Its code.
    #[schema(example = "BEMVINDO10")]
    code: String,
    /// What it takes off.
    kind: Kind,
    /// Per cent, centavos, or 0 for free freight.
    #[schema(example = 10, minimum = 0)]
    value: i64,
    /// The least subtotal that it is for, in centavos; null: any.
    #[schema(value_type = Option<i64>, example = 10000, minimum = 0, required = true)]
    min_subtotal_cents: Option<Money>,
    /// The most that it takes off, in centavos; null: no limit.
    #[schema(value_type = Option<i64>, example = 5000, minimum = 0, required = true)]
    max_discount_cents: Option<Money>,
    /// From when it can be used; null: at once.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    starts_at: Option<Timestamp>,
    /// The end; at this moment the coupon is over; null: none.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    ends_at: Option<Timestamp>,
    /// How many orders may use it; null: any number.
    #[schema(example = 100, minimum = 0, required = true)]
    max_uses: Option<i32>,
    /// How many orders of one person may use it; null: any number.
    #[schema(example = 1, minimum = 0, required = true)]
    max_uses_per_customer: Option<i32>,
    /// Orders that use it now: placed, and neither cancelled nor expired.
    #[schema(example = 12, minimum = 0)]
    uses: i32,
    /// Whether it can be used.
    active: bool,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    currency: Currency,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<(Coupon, Times)> for CouponView {
    fn from((c, times): (Coupon, Times)) -> Self {
        Self {
            id: c.id,
            code: c.code,
            kind: c.kind,
            value: c.value,
            min_subtotal_cents: c.min_subtotal,
            max_discount_cents: c.max_discount,
            starts_at: c.starts_at,
            ends_at: c.ends_at,
            max_uses: c.max_uses,
            max_uses_per_customer: c.max_uses_per_customer,
            uses: c.uses,
            active: c.active,
            currency: Currency::Brl,
            created_at: times.created_at,
            updated_at: times.updated_at,
        }
    }
}

/// Lists coupons
///
/// The newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(Listing),
    responses(
        (status = 200, body = List<CouponView>, description = "The coupons of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/coupons")]
async fn list_coupons(app: web::Data<App>, _admin: Admin, query: Query<Listing>) -> Result<HttpResponse> {
    let Listing { limit, offset, cursor, q } = query.0;
    let place = Place::of(limit, offset, cursor.as_deref())?;
    let beginning = q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    let list = store::list_coupons(&app.db().await?, &place, beginning).await?;
    let items: Vec<CouponView> = list.items.into_iter().map(CouponView::from).collect();
    let List { total, limit, offset, next_cursor, .. } = list;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// Creates a coupon
///
/// Of a share of the subtotal, of an amount, or of the freight.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = NewCoupon,
    responses(
        (status = 201, body = CouponView, description = "The coupon"),
        (status = 409, body = Problem, description = "`conflict`: there is already a coupon with this code"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or fields do not go together")))]
#[post("/api/admin/coupons")]
async fn create_coupon(app: web::Data<App>, admin: Admin, body: Json<NewCoupon>) -> Result<HttpResponse> {
    let new = body.into_inner().into_coupon(CouponId::new(), 0)?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let view = CouponView::from(store::insert_coupon(&tx, &new).await?);
    audit_log::record(&tx, admin.0.actor(), Action::CouponCreate, &new.id.to_string(), None, Some(json!(view))).await?;
    tx.commit().await?;
    Ok(HttpResponse::Created().insert_header(("location", format!("/api/admin/coupons/{}", new.id))).json(view))
}

/// Shows a coupon
///
/// With how many orders use it now.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = CouponId, Path, description = "The coupon")),
    responses(
        (status = 200, body = CouponView, description = "The coupon"),
        (status = 404, body = Problem, description = "`not-found`: there is no such coupon")))]
#[get("/api/admin/coupons/{id}")]
async fn show_coupon(app: web::Data<App>, _admin: Admin, id: Path<CouponId>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(CouponView::from(store::find_coupon(&app.db().await?, id.0).await?)))
}

/// Replaces a coupon
///
/// A limit that is left out is removed. Orders keep the discount that they were placed with.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = NewCoupon,
    params(("id" = CouponId, Path, description = "The coupon")),
    responses(
        (status = 200, body = CouponView, description = "The coupon as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such coupon"),
        (status = 409, body = Problem, description = "`conflict`: there is already a coupon with this code"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or fields do not go together")))]
#[put("/api/admin/coupons/{id}")]
async fn replace_coupon(app: web::Data<App>, admin: Admin, body: Json<NewCoupon>, id: Path<CouponId>) -> Result<HttpResponse> {
    let new = body.into_inner();
    change(&app, admin, id.0, |old| new.into_coupon(old.id, old.uses)).await
}

/// Changes a coupon
///
/// A field that is left out stays, `null` removes a limit. Orders keep the discount that they were placed with.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = CouponChange,
    params(("id" = CouponId, Path, description = "The coupon")),
    responses(
        (status = 200, body = CouponView, description = "The coupon as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such coupon"),
        (status = 409, body = Problem, description = "`conflict`: there is already a coupon with this code"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or fields do not go together")))]
#[patch("/api/admin/coupons/{id}")]
async fn change_coupon(app: web::Data<App>, admin: Admin, body: Json<CouponChange>, id: Path<CouponId>) -> Result<HttpResponse> {
    let wanted = body.into_inner();
    change(&app, admin, id.0, |old| wanted.applied_to(old)).await
}

/// Deletes a coupon
///
/// One that no order ever used is deleted. One that was used is only deactivated, because orders refer to it.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = CouponId, Path, description = "The coupon")),
    responses(
        (status = 200, body = CouponView, description = "It was used: it is deactivated"),
        (status = 204, description = "It is deleted"),
        (status = 404, body = Problem, description = "`not-found`: there is no such coupon")))]
#[delete("/api/admin/coupons/{id}")]
async fn delete_coupon(app: web::Data<App>, admin: Admin, id: Path<CouponId>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let (old, times) = store::lock_coupon(&tx, id.0).await?;
    if !store::delete_unused(&tx, id.0).await? {
        let off = Coupon { active: false, ..old.clone() };
        return write(tx, admin, Action::CouponDeactivate, (old, times), &off).await;
    }
    let before = json!(CouponView::from((old, times)));
    audit_log::record(&tx, admin.0.actor(), Action::CouponDelete, &id.0.to_string(), Some(before), None).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Changes a coupon under its lock.
async fn change(app: &App, admin: Admin, id: CouponId, make: impl FnOnce(Coupon) -> Result<Coupon>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let (old, times) = store::lock_coupon(&tx, id).await?;
    let new = make(old.clone())?;
    write(tx, admin, Action::CouponUpdate, (old, times), &new).await
}

/// Writes a locked coupon with its row in the audit log, and commits.
async fn write(tx: Transaction<'_>, admin: Admin, action: Action, old: (Coupon, Times), new: &Coupon) -> Result<HttpResponse> {
    let before = json!(CouponView::from(old));
    let view = CouponView::from(store::update_coupon(&tx, new).await?);
    audit_log::record(&tx, admin.0.actor(), action, &new.id.to_string(), Some(before), Some(json!(view))).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(view))
}
