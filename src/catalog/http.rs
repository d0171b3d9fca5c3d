//! The public catalog. A cached answer is found before anything is parsed.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get};
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig;

use super::cached;
use super::search::{Ask, ListQuery};
use super::version::tagged;
use super::{Category, Product, categories, store};
use crate::app::App;
use crate::cache::{Key, Kind};
use crate::error::{Error, Problem, Result};
use crate::http::page::List;
use crate::http::who::Admin;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    // A product comes before the products of a category: the fewer routes with a `{segment}` stand before it, the faster it is found.
    cfg.service(search).service(featured).service(list).service(show).service(in_category).service(tree).service(branch);
}

/// Lists products
///
/// `total` is exact up to 10,000 (up to 1,000 where `q` is given) and an estimate above. `sort=relevance` ranks the first 1,000
/// matches; any other order reaches them all.
#[utoipa::path(
    tag = "catalog",
    params(ListQuery),
    responses(
        (status = 200, body = List<Product>, description = "The products of this page"),
        (status = 304, description = "The page that `If-None-Match` names is the present one"),
        (status = 422, body = Problem, description = "`invalid`: a filter, the order or the page is not possible")))]
#[get("/api/products")]
async fn list(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    listed(&app, &req, "/api/products", Ask::of).await
}

/// Searches products
///
/// Portuguese full text: accents, plurals, upper case, a space before a unit and small typing errors do not matter. A product's
/// own title finds it first. Takes the list's filters too; `total` is exact up to 1,000 and an estimate above.
#[utoipa::path(
    tag = "catalog",
    params(ListQuery),
    responses(
        (status = 200, body = List<Product>, description = "The products of this page, the best match first"),
        (status = 304, description = "The page that `If-None-Match` names is the present one"),
        (status = 422, body = Problem,
            description = "`invalid`: `q` is missing, or a filter, the order or the page is not possible")))]
#[get("/api/products/search")]
async fn search(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    listed(&app, &req, "/api/products/search", |query| {
        if query.q.is_none() {
            return Err(Error::field("q", "is required"));
        }
        Ask::of(query)
    })
    .await
}

/// Lists featured products
///
/// Those that the shop shows first. Takes the list's filters too.
#[utoipa::path(
    tag = "catalog",
    params(ListQuery),
    responses(
        (status = 200, body = List<Product>, description = "The products of this page"),
        (status = 304, description = "The page that `If-None-Match` names is the present one"),
        (status = 422, body = Problem, description = "`invalid`: a filter, the order or the page is not possible")))]
#[get("/api/products/featured")]
async fn featured(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    listed(&app, &req, "/api/products/featured", |query| Ask::of(ListQuery { featured: Some(true), ..query })).await
}

/// Lists the products of a category
///
/// Those of the category and of its descendants. Takes the list's filters too.
#[utoipa::path(
    tag = "catalog",
    params(("id" = String, Path, description = "The category's id or slug", max_length = 200, example = "camisetas"), ListQuery),
    responses(
        (status = 200, body = List<Product>, description = "The products of this page"),
        (status = 304, description = "The page that `If-None-Match` names is the present one"),
        (status = 404, body = Problem, description = "`not-found`: there is no such category"),
        (status = 422, body = Problem, description = "`invalid`: a filter, the order or the page is not possible")))]
#[get("/api/products/category/{id}")]
async fn in_category(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    let name = named(&req, "The category")?.to_owned();
    listed(&app, &req, &format!("/api/products/category/{name}"), |query| {
        let ask = Ask::of(ListQuery { category: Some(name.clone()), ..query })?;
        Ok(Ask { category_must_exist: true, ..ask })
    })
    .await
}

/// Shows a product
///
/// By its id or its slug. Its `ETag` is what a change takes as `If-Match`.
#[utoipa::path(
    tag = "catalog",
    params(
        ("id" = String, Path, description = "The product's id or slug", max_length = 200, example = "camiseta-azul"),
        ("include_inactive" = Option<bool>, Query, description = "Administrators only: also a product that is not sold")),
    responses(
        (status = 200, body = Product, description = "The product"),
        (status = 304, description = "The version that `If-None-Match` names is the present one"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product, or it is not sold"),
        (status = 422, body = Problem, description = "`invalid`: `include_inactive` is not a truth value")))]
#[get("/api/products/{id}")]
async fn show(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    let name = named(&req, "The product")?;
    let (query, foreign) = read(&req, Ok).await?;
    if query.include_inactive == Some(true) {
        Admin::extract(&req).await?;
        let mut answer = HttpResponse::Ok();
        answer.insert_header((header::CACHE_CONTROL, PRIVATE));
        return tagged(answer, &store::get(&app.db().await?, name, true).await?);
    }
    let key = Key { canonical: format!("/api/products/{name}"), may_alias: !foreign && req.query_string().is_empty() };
    cached::answer(&app, &req, Kind::Products, &key, async || store::get(&app.db().await?, name, false).await).await
}

/// Shows the tree of categories
///
/// All categories on one page: the roots, each with all that is below it.
#[utoipa::path(
    tag = "catalog",
    responses(
        (status = 200, body = List<Category>, description = "The roots"),
        (status = 304, description = "The version that `If-None-Match` names is the present one")))]
#[get("/api/categories")]
async fn tree(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    let key = Key { canonical: "/api/categories".into(), may_alias: false };
    cached::answer(&app, &req, Kind::Categories, &key, async || {
        let items = categories::tree(categories::all(&app.db().await?).await?);
        let total = items.len() as i64;
        Ok(List { items, total, limit: total.max(1), offset: 0, next_cursor: None })
    })
    .await
}

/// Shows a category
///
/// By its id or its slug, with its path and its descendants.
#[utoipa::path(
    tag = "catalog",
    params(("id" = String, Path, description = "The category's id or slug", max_length = 200, example = "camisetas")),
    responses(
        (status = 200, body = Category, description = "The category"),
        (status = 304, description = "The version that `If-None-Match` names is the present one"),
        (status = 404, body = Problem, description = "`not-found`: there is no such category")))]
#[get("/api/categories/{id}")]
async fn branch(app: Data<App>, req: HttpRequest) -> Result<HttpResponse> {
    if let Some(answer) = cached::hit(&app, &req).await {
        return Ok(answer);
    }
    let name = named(&req, "The category")?;
    let key = Key { canonical: format!("/api/categories/{name}"), may_alias: false };
    cached::answer(&app, &req, Kind::Categories, &key, async || {
        let roots = categories::tree(categories::all(&app.db().await?).await?);
        categories::find(&roots, name).cloned().ok_or(Error::NotFound("The category"))
    })
    .await
}

/// Reads the query; also whether it held parameters that mean nothing here. A query that asks for what only administrators see is judged
/// before an administrator alone.
async fn read<T>(req: &HttpRequest, shape: impl FnOnce(ListQuery) -> Result<T>) -> Result<(T, bool)> {
    let read = ListQuery::read(req.query_string()).and_then(|(query, foreign)| Ok((shape(query)?, foreign)));
    if read.is_err() && ListQuery::asks_for_all(req.query_string()) {
        Admin::extract(req).await?;
    }
    read
}

async fn listed(app: &App, req: &HttpRequest, path: &str, shape: impl FnOnce(ListQuery) -> Result<Ask>) -> Result<HttpResponse> {
    let (ask, foreign) = read(req, shape).await?;
    if ask.query.include_inactive == Some(true) {
        Admin::extract(req).await?;
        return Ok(private(&store::list(&app.db().await?, &ask).await?));
    }
    let key = Key { canonical: ask.canonical(path), may_alias: !foreign };
    cached::answer(app, req, Kind::Products, &key, async || store::list(&app.db().await?, &ask).await).await
}

/// The id or slug in the path; 404 for a text that can be neither.
fn named<'a>(req: &'a HttpRequest, what: &'static str) -> Result<&'a str> {
    let name = req.match_info().get("id").unwrap_or_default();
    let sane = !name.is_empty() && name.len() <= 200 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if sane { Ok(name) } else { Err(Error::NotFound(what)) }
}

/// Of what only administrators see: never cached.
const PRIVATE: &str = "private, no-store";

/// An answer for an administrator.
fn private(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, PRIVATE)).json(value)
}
