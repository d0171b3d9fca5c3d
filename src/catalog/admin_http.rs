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
use super::change::{CategoryChange, ProductChange};
use super::export::Form;
use super::import::{self, Stock};
use super::imports::{self, Import};
use super::product_admin::{self, Changes};
use super::product_input::ProductInput;
use super::stock::{self, StockChange};
use super::version::{IfMatch, tagged};
use super::{Category, Product, changed, export, store};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::body::{self, Bounds};
use crate::http::json::{Json, Path, Query};
use crate::http::list::Place;
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::ImportId;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(create_product).service(set_stock).service(replace_product).service(change_product).service(delete_product);
    cfg.service(create_category).service(replace_category).service(delete_category);
    cfg.service(import_products).service(list_imports).service(show_import).service(export_products);
}

/// Creates a product
///
/// With its variants, or with the price, SKU and stock of the only one.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])), request_body = ProductInput,
    responses(
        (status = 201, body = Product, description = "The product"),
        (status = 409, body = Problem, description = "`conflict`: another product has the slug, or another variant the SKU"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or there is no such category")))]
#[post("/api/products")]
async fn create_product(app: Data<App>, admin: Admin, body: Json<ProductInput>) -> Result<HttpResponse> {
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

/// Changes a product, as PATCH does
///
/// The same as `PATCH /api/products/{id}`: fields that are left out keep their values.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The product's id or slug", max_length = 200, example = "camiseta-azul"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the product as it was read")),
    request_body = ProductChange,
    responses(
        (status = 200, body = Product, description = "The product as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product"),
        (status = 409, body = Problem,
            description = "`conflict`: another product has the slug or a SKU, or a variant's id is not one of this product"),
        (status = 412, body = Problem, description = "`precondition-failed`: it was changed since it was read"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or there is no such category")))]
#[put("/api/products/{id}")]
async fn replace_product(
    app: Data<App>,
    admin: Admin,
    body: Json<Changes>,
    id: Path<String>,
    if_match: IfMatch,
) -> Result<HttpResponse> {
    change(&app, &id.0, &if_match, admin, body).await
}

/// Changes a product
///
/// Fields that are left out keep their values. Where `variants` is given, those it does not name are retired. With `If-Match`,
/// the `ETag` of the product as it was read, only that version is changed (412 if it is another by now), and `stock` counts.
/// Without it `stock` is not looked at, but for new variants.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The product's id or slug", max_length = 200, example = "camiseta-azul"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the product as it was read")),
    request_body = ProductChange,
    responses(
        (status = 200, body = Product, description = "The product as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product"),
        (status = 409, body = Problem,
            description = "`conflict`: another product has the slug or a SKU, or a variant's id is not one of this product"),
        (status = 412, body = Problem, description = "`precondition-failed`: it was changed since it was read"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or there is no such category")))]
#[patch("/api/products/{id}")]
async fn change_product(
    app: Data<App>,
    admin: Admin,
    body: Json<Changes>,
    id: Path<String>,
    if_match: IfMatch,
) -> Result<HttpResponse> {
    change(&app, &id.0, &if_match, admin, body).await
}

async fn change(app: &App, name: &str, if_match: &IfMatch, admin: Admin, body: Json<Changes>) -> Result<HttpResponse> {
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
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path, description = "The product's id or slug", max_length = 200, example = "camiseta-azul")),
    responses(
        (status = 204, description = "It is not sold any more"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product")))]
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
/// `{"stock": 10}` sets, `{"delta": -2}` moves; never below zero. The default variant's, or that of `variant_id`.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])), request_body = StockChange,
    params(("id" = String, Path, description = "The product's id or slug", max_length = 200, example = "camiseta-azul")),
    responses(
        (status = 200, body = Product, description = "The product as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product, or no such variant of it"),
        (status = 409, body = Problem, description = "`out-of-stock`: it would go below zero"),
        (status = 422, body = Problem,
            description = "`invalid`: both or none of `stock` and `delta` are sent, or the stock would be too large")))]
#[patch("/api/products/{id}/stock")]
async fn set_stock(app: Data<App>, admin: Admin, body: Json<StockChange>, id: Path<String>) -> Result<HttpResponse> {
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
///
/// A root, or below `parent_id`. There are at most 5,000 categories on 8 levels.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])), request_body = CategoryInput,
    responses(
        (status = 201, body = Category, description = "The category"),
        (status = 409, body = Problem, description = "`conflict`: another category has the slug, or there are too many"),
        (status = 422, body = Problem,
            description = "`invalid`: a field is wrong, there is no such parent, or it would hang too deep")))]
#[post("/api/categories")]
async fn create_category(app: Data<App>, admin: Admin, body: Json<CategoryInput>) -> Result<HttpResponse> {
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
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path, description = "The category's id or slug", max_length = 200, example = "camisetas")),
    request_body = CategoryChange,
    responses(
        (status = 200, body = Category, description = "The category as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such category"),
        (status = 409, body = Problem, description = "`conflict`: another category has the slug"),
        (status = 422, body = Problem,
            description = "`invalid`: a field is wrong, there is no such parent, or it would hang too deep or below itself")))]
#[put("/api/categories/{id}")]
async fn replace_category(app: Data<App>, admin: Admin, body: Json<Changes>, id: Path<String>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let category = category_admin::replace(&tx, &id.0, body.into_inner().0, admin.0.actor()).await?;
    tx.commit().await?;
    drop(db);
    changed(&app).await;
    Ok(HttpResponse::Ok().json(category))
}

/// Deletes an empty category
///
/// One with neither products nor subcategories.
#[utoipa::path(
    tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path, description = "The category's id or slug", max_length = 200, example = "camisetas")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, body = Problem, description = "`not-found`: there is no such category"),
        (status = 409, body = Problem, description = "`conflict`: products or subcategories remain")))]
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
/// stays as it is. An invalid file answers with every bad line, and changes nothing. A good one is written in batches of 200
/// products; should one of them fail, the error says how many products stand. `GET /api/admin/products/import` shows meanwhile how far it
/// is. `docs/product-table.md` has the rules.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    request_body(content = String, content_type = "text/csv", description = "The table, as the export writes it",
        example = "product_slug;sku;stock\n"),
    params(ImportHow),
    responses(
        (status = 200, body = Import, description = "What it did"),
        (status = 409, body = Problem,
            description = "`conflict`: it stopped between two batches; the text says how many products stand, and why"),
        (status = 422, body = Problem, description = "`invalid`: each bad line; nothing was changed"),
        (status = 503, body = Problem,
            description = "`unavailable`: the database is away, or it stopped between two batches: send the table again")))]
#[post("/api/admin/products/import")]
async fn import_products(
    app: Data<App>,
    admin: Admin,
    req: HttpRequest,
    how: Query<ImportHow>,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let content_type = req.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if !["text/csv", "application/csv", "text/plain"].iter().any(|t| content_type.starts_with(t)) {
        return Err(Error::UnsupportedMedia);
    }
    let bounds = Bounds { most: import::MAX_BODY, wait: import::BODY_WAIT };
    let body = body::read(&req, &mut payload.into_inner(), bounds).await?;
    let sheet = web::block(move || super::sheet::read(&body)).await.map_err(|e| Error::Internal(e.to_string()))??;
    let imported = import::run(&app, sheet, how.0.stock, admin.0.actor(), &ProgressBar::hidden()).await?;
    Ok(HttpResponse::Ok().json(imported))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListImports {
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

/// Lists imports
///
/// The newest first. Those that run show how many products stand by now.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListImports),
    responses(
        (status = 200, body = List<Import>, description = "The imports of this page"),
        (status = 422, body = Problem, description = "`invalid`: the page is not possible")))]
#[get("/api/admin/products/import")]
async fn list_imports(app: Data<App>, _admin: Admin, Query(ask): Query<ListImports>) -> Result<HttpResponse> {
    let place = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    Ok(HttpResponse::Ok().json(imports::list_imports(&app.db().await?, &place).await?))
}

/// Shows an import
///
/// How far it is, or how it ended.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = ImportId, Path, description = "The import")),
    responses(
        (status = 200, body = Import, description = "The import"),
        (status = 404, body = Problem, description = "`not-found`: there is no such import")))]
#[get("/api/admin/products/import/{id}")]
async fn show_import(app: Data<App>, _admin: Admin, id: Path<ImportId>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(imports::find_import(&app.db().await?, id.0).await?))
}

/// Exports all products as CSV
///
/// In the format that the import takes: importing it again changes nothing, also after a spreadsheet saved it.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ExportHow),
    responses(
        (status = 200, content_type = "text/csv", body = String, description = "The table")))]
#[get("/api/admin/products/export")]
async fn export_products(app: Data<App>, _admin: Admin, how: Query<ExportHow>) -> Result<HttpResponse> {
    let lines = export::lines(app, if how.0.excel { Form::Excel } else { Form::Plain }).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"products.csv\""))
        .insert_header(("cache-control", "private, no-store"))
        .streaming(lines.map_err(actix_web::Error::from)))
}
