//! What administrators may change. Every handler commits, then evicts the cache here and elsewhere.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, put};
use futures_util::TryStreamExt;
use garde::Validate;
use indicatif::ProgressBar;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::category_admin::{self, CategoryInput};
use super::export::Form;
use super::import::{self, Stock};
use super::imports::{self, Import};
use super::product_admin::{self, Changes, ProductInput};
use super::stock::{self, StockChange};
use super::version::{IfMatch, tagged};
use super::{Category, Product, changed, export, store};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::Place;
use crate::http::page::List;
use crate::http::who::{Admin, AdminSent};
use crate::ids::ImportId;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(create_product).service(set_stock).service(replace_product).service(change_product).service(delete_product);
    cfg.service(create_category).service(replace_category).service(delete_category);
    cfg.service(import_products).service(list_imports).service(show_import).service(export_products);
}

/// Creates a product
#[utoipa::path(tag = "catalog", security(("bearer" = [])), request_body = ProductInput, responses((status = 201, body = Product),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/api/products")]
async fn create_product(app: Data<App>, sent: AdminSent<Json<ProductInput>>) -> Result<HttpResponse> {
    let AdminSent(admin, body) = sent;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let product = product_admin::create(&tx, body.into_inner(), admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    let mut created = HttpResponse::Created();
    created.insert_header(("location", format!("/api/products/{}", product.id)));
    tagged(created, &product)
}

/// Changes a product
///
/// Fields that are left out keep their values. Where `variants` is given, those it does not name are retired. With `If-Match`, the
/// `ETag` of the product as it was read, only that version is changed (412 if it is another by now), and `stock` counts. Without it
/// `stock` is not looked at, but for new variants.
#[utoipa::path(tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id or slug"), ("If-Match" = Option<String>, Header)),
    request_body = ProductInput, responses((status = 200, body = Product), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
#[put("/api/products/{id}")]
async fn replace_product(
    app: Data<App>,
    id: Path<String>,
    if_match: IfMatch,
    sent: AdminSent<Json<Changes>>,
) -> Result<HttpResponse> {
    change(&app, &id.0, &if_match, sent).await
}

/// Changes a product, as PUT does
#[utoipa::path(tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id or slug"), ("If-Match" = Option<String>, Header)),
    request_body = Object, responses((status = 200, body = Product), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
#[patch("/api/products/{id}")]
async fn change_product(
    app: Data<App>,
    id: Path<String>,
    if_match: IfMatch,
    sent: AdminSent<Json<Changes>>,
) -> Result<HttpResponse> {
    change(&app, &id.0, &if_match, sent).await
}

async fn change(app: &App, name: &str, if_match: &IfMatch, sent: AdminSent<Json<Changes>>) -> Result<HttpResponse> {
    let AdminSent(admin, body) = sent;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let product = product_admin::replace(&tx, name, body.into_inner().0, if_match, admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(app).await;
    tagged(HttpResponse::Ok(), &product)
}

/// Takes a product off the shelves
///
/// Orders keep naming it; its slug and SKUs can be used again.
#[utoipa::path(tag = "catalog", security(("bearer" = [])), params(("id" = String, Path, description = "Id or slug")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/products/{id}")]
async fn delete_product(app: Data<App>, admin: Admin, id: Path<String>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    product_admin::delete(&tx, &id.0, admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets or moves a stock
///
/// `{"stock": 10}` sets, `{"delta": -2}` moves; never below zero (409). The default variant's, or that of `variant_id`.
#[utoipa::path(tag = "catalog", security(("bearer" = [])), params(("id" = String, Path, description = "Id or slug")),
    request_body = StockChange, responses((status = 200, body = Product), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/api/products/{id}/stock")]
async fn set_stock(app: Data<App>, id: Path<String>, sent: AdminSent<Json<StockChange>>) -> Result<HttpResponse> {
    let AdminSent(admin, body) = sent;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let id = stock::change(&tx, &id.0, &body, admin.0.actor()).await?;
    tx.commit().await?;
    let product = store::get(&db, &id.to_string(), true).await?;
    drop(db);
    changed(&app).await;
    tagged(HttpResponse::Ok(), &product)
}

/// Creates a category
#[utoipa::path(tag = "catalog", security(("bearer" = [])), request_body = CategoryInput, responses((status = 201, body = Category),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/api/categories")]
async fn create_category(app: Data<App>, sent: AdminSent<Json<CategoryInput>>) -> Result<HttpResponse> {
    let AdminSent(admin, body) = sent;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let category = category_admin::create(&tx, body.into_inner(), admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    let location = format!("/api/categories/{}", category.id);
    Ok(HttpResponse::Created().insert_header(("location", location)).json(category))
}

/// Changes a category
///
/// Fields that are left out keep their values.
#[utoipa::path(tag = "catalog", security(("bearer" = [])), params(("id" = String, Path, description = "Id or slug")),
    request_body = CategoryInput, responses((status = 200, body = Category), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[put("/api/categories/{id}")]
async fn replace_category(app: Data<App>, id: Path<String>, sent: AdminSent<Json<Changes>>) -> Result<HttpResponse> {
    let AdminSent(admin, body) = sent;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let category = category_admin::replace(&tx, &id.0, body.into_inner().0, admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    Ok(HttpResponse::Ok().json(category))
}

/// Deletes an empty category
#[utoipa::path(tag = "catalog", security(("bearer" = [])), params(("id" = String, Path, description = "Id or slug")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "Products or subcategories remain")))]
#[delete("/api/categories/{id}")]
async fn delete_category(app: Data<App>, admin: Admin, id: Path<String>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    category_admin::delete(&tx, &id.0, admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportHow {
    /// `set`: the table's stock replaces that of variants that are there. Otherwise only new variants take it.
    #[serde(default)]
    #[garde(skip)]
    #[param(value_type = Option<Stock>)]
    stock: Stock,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportHow {
    /// As Excel opens it by itself in Brazil: with a byte order mark, semicolons and `\\r\\n`.
    #[serde(default)]
    #[garde(skip)]
    excel: bool,
}

/// Imports products from CSV
///
/// One line per variant, up to 10 MB. Products are known by `product_slug`, variants by `sku`; what the file does not name
/// stays as it is. An invalid file answers with every bad line, and changes nothing. A good one is written in batches of 200 products; should
/// one of them fail, the error says how many products stand. `GET /api/admin/products/import` shows meanwhile how far it is.
/// `docs/product-table.md` has the rules.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ImportHow), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Import), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem, description = "It stopped half-way; `detail` says where and why"), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
#[post("/api/admin/products/import")]
async fn import_products(
    app: Data<App>,
    admin: Admin,
    req: HttpRequest,
    how: Query<ImportHow>,
    body: web::Payload,
) -> Result<HttpResponse> {
    let content_type = req.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if !["text/csv", "application/csv", "text/plain"].iter().any(|t| content_type.starts_with(t)) {
        return Err(Error::UnsupportedMedia);
    }
    let body = tokio::time::timeout(import::BODY_WAIT, body.to_bytes_limited(import::MAX_BODY)).await;
    let body = body.map_err(|_| Error::BodyTooSlow)?.map_err(|_| Error::TooLarge)?;
    let body = body.map_err(|_| Error::Malformed("The body could not be read to its end".into()))?;
    let sheet = web::block(move || super::sheet::read(&body)).await.map_err(|e| Error::Internal(e.to_string()))??;
    let imported = import::run(&app, sheet, how.0.stock, admin.0.actor(), &ProgressBar::hidden()).await?;
    Ok(HttpResponse::Ok().json(imported))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListImports {
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

/// Lists imports, newest first
///
/// Those that run show how many products stand by now.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListImports),
    responses((status = 200, body = List<Import>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/admin/products/import")]
async fn list_imports(app: Data<App>, _admin: Admin, Query(ask): Query<ListImports>) -> Result<HttpResponse> {
    let place = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    Ok(HttpResponse::Ok().json(imports::list_imports(&app.db().await?, &place).await?))
}

/// Shows how far an import is, or how it ended
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = ImportId, Path)),
    responses((status = 200, body = Import), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/admin/products/import/{id}")]
async fn show_import(app: Data<App>, _admin: Admin, id: Path<ImportId>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(imports::find_import(&app.db().await?, id.0).await?))
}

/// Exports all products as CSV
///
/// In the format that the import takes: importing it again changes nothing, also after a spreadsheet saved it.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ExportHow),
    responses((status = 200, content_type = "text/csv", body = String), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/admin/products/export")]
async fn export_products(app: Data<App>, _admin: Admin, how: Query<ExportHow>) -> Result<HttpResponse> {
    let lines = export::lines(app, if how.0.excel { Form::Excel } else { Form::Plain }).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"products.csv\""))
        .insert_header(("cache-control", "private, no-store"))
        .streaming(lines.map_err(actix_web::Error::from)))
}
