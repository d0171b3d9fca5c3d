//! `/api/users/{id}/addresses`: `{id}` is `me` or the own id. An administrator may read other people's, but not change them.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, get, patch, post, put, web};
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::addresses::{self, Address, MAX_ADDRESSES, NewAddress};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::asker::finding;
use crate::http::json::{Json, Path, Query};
use crate::http::page::{List, bounds};
use crate::http::who::SignedIn;
use crate::ids::{AddressId, UserId};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list).service(add).service(show).service(replace).service(remove).service(patch_default).service(put_default);
}

/// Without `limit` all of them.
#[derive(Debug, Deserialize, Validate, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Paging {
    /// How many to show: 1 to 100. Left out: all.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
}

/// The person themselves; for anybody else's id 404.
fn own(me: &SignedIn, id: &str) -> Result<UserId> {
    let is_mine = id == "me" || id.parse::<UserId>().is_ok_and(|id| id == me.id);
    if is_mine { Ok(me.id) } else { Err(Error::NotFound("The person")) }
}

/// The person of the address, who must be the one who asks.
struct Own(UserId);

impl FromRequest for Own {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (me, id) = (SignedIn::from_request(req, payload), req.match_info().get("id").unwrap_or_default().to_owned());
        finding(req, async move { own(&me.await?, &id).map(Self) })
    }
}

/// The person of the address for reading, where an administrator may name anybody.
struct Readable(UserId);

impl FromRequest for Readable {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (me, id) = (SignedIn::from_request(req, payload), req.match_info().get("id").unwrap_or_default().to_owned());
        finding(req, async move {
            let me = me.await?;
            match id.parse::<UserId>() {
                Ok(other) if me.is_admin() => Ok(Self(other)),
                _ => own(&me, &id).map(Self),
            }
        })
    }
}

/// Lists saved addresses
///
/// The default first. Without `limit` all of them.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])),
    params(("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"), Paging),
    responses(
        (status = 200, body = List<Address>, description = "The addresses"),
        (status = 404, body = Problem, description = "`not-found`: it is not you"),
        (status = 422, body = Problem, description = "`invalid`: the page is not possible")))]
#[get("/api/users/{id}/addresses")]
async fn list(app: web::Data<App>, Readable(owner): Readable, paging: Query<Paging>) -> Result<HttpResponse> {
    let (limit, offset) = bounds(paging.0.limit.or(Some(MAX_ADDRESSES)), paging.0.offset)?;
    let (items, total) = addresses::list_addresses(&app.db().await?, owner, limit, offset).await?;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor: None }))
}

/// Saves an address
///
/// The first one becomes the default.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])), request_body = NewAddress,
    params(("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me")),
    responses(
        (status = 201, body = Address, description = "The address"),
        (status = 404, body = Problem, description = "`not-found`: it is not you"),
        (status = 409, body = Problem, description = "`conflict`: there are as many addresses as there may be")))]
#[post("/api/users/{id}/addresses")]
async fn add(app: web::Data<App>, Own(owner): Own, body: Json<NewAddress>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let address = addresses::add(&tx, owner, body.into_inner()).await?;
    tx.commit().await?;
    Ok(HttpResponse::Created().json(address))
}

/// Shows a saved address
///
/// One of your own.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"),
        ("aid" = AddressId, Path, description = "The address")),
    responses(
        (status = 200, body = Address, description = "The address"),
        (status = 404, body = Problem, description = "`not-found`: it is not you, or there is no such address")))]
#[get("/api/users/{id}/addresses/{aid}")]
async fn show(app: web::Data<App>, Readable(owner): Readable, path: Path<(String, AddressId)>) -> Result<HttpResponse> {
    let found = addresses::find_address(&app.db().await?, owner, path.0.1).await?;
    Ok(HttpResponse::Ok().json(found.ok_or(Error::NotFound("The address"))?))
}

/// Replaces a saved address
///
/// Orders keep the address they were placed with.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])), request_body = NewAddress,
    params(
        ("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"),
        ("aid" = AddressId, Path, description = "The address")),
    responses(
        (status = 200, body = Address, description = "The address as it is now"),
        (status = 404, body = Problem, description = "`not-found`: it is not you, or there is no such address")))]
#[put("/api/users/{id}/addresses/{aid}")]
async fn replace(
    app: web::Data<App>,
    Own(owner): Own,
    body: Json<NewAddress>,
    path: Path<(String, AddressId)>,
) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let address = addresses::replace(&tx, owner, path.0.1, body.into_inner()).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(address))
}

/// Removes a saved address
///
/// Where it was the default, the newest takes its place.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"),
        ("aid" = AddressId, Path, description = "The address")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, body = Problem, description = "`not-found`: it is not you, or there is no such address")))]
#[delete("/api/users/{id}/addresses/{aid}")]
async fn remove(app: web::Data<App>, Own(owner): Own, path: Path<(String, AddressId)>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    addresses::remove(&tx, owner, path.0.1).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes an address the default, as PUT does
///
/// The same as `PUT /api/users/{id}/addresses/{aid}/default`.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"),
        ("aid" = AddressId, Path, description = "The address")),
    responses(
        (status = 200, body = Address, description = "The address as it is now"),
        (status = 404, body = Problem, description = "`not-found`: it is not you, or there is no such address")))]
#[patch("/api/users/{id}/addresses/{aid}/default")]
async fn patch_default(app: web::Data<App>, Own(owner): Own, path: Path<(String, AddressId)>) -> Result<HttpResponse> {
    make_default(&app, owner, path.0.1).await
}

/// Makes an address the default
///
/// The one that was it is not any more.
#[utoipa::path(
    tag = "addresses", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "`me`, or the own id", max_length = 36, example = "me"),
        ("aid" = AddressId, Path, description = "The address")),
    responses(
        (status = 200, body = Address, description = "The address as it is now"),
        (status = 404, body = Problem, description = "`not-found`: it is not you, or there is no such address")))]
#[put("/api/users/{id}/addresses/{aid}/default")]
async fn put_default(app: web::Data<App>, Own(owner): Own, path: Path<(String, AddressId)>) -> Result<HttpResponse> {
    make_default(&app, owner, path.0.1).await
}

async fn make_default(app: &App, owner: UserId, address: AddressId) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let address = addresses::make_default(&tx, owner, address).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(address))
}
