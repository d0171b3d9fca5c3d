//! The shop's settings: company, shipping, methods of payment, stock, taxes, limits, search. One row per subject, replaced as a whole.

use actix_web::{HttpResponse, get, put, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use vitrine_kit::{Cep, Cnpj};

use crate::invoices::company::Company;
use crate::invoices::settings::InvoiceSettings;
use crate::tax::TaxRules;

use crate::app::App;
use crate::audit_log::{self, Action};
use crate::catalog;
use crate::catalog::low_stock::StockSettings;
use crate::catalog::synonyms::SearchSettings;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::who::Admin;
use crate::orders::limits::OrderLimits;
use crate::payments::charge::methods::Methods;
use crate::shipping::ShippingSettings;

/// All settings; null: not set.
#[derive(Debug, Serialize, ToSchema)]
struct Settings {
    /// The company that sells.
    #[schema(value_type = Option<Company>, required = true)]
    company: Option<Value>,
    /// Handling days, free freight, pickup and labels.
    #[schema(value_type = Option<ShippingSettings>, required = true)]
    shipping: Option<Value>,
    /// The methods of payment.
    #[schema(value_type = Option<Methods>, required = true)]
    payment_methods: Option<Value>,
    /// When the shop is alerted that a variant is nearly sold out.
    #[schema(value_type = Option<StockSettings>, required = true)]
    stock: Option<Value>,
    /// Tax rules of invoices.
    #[schema(value_type = Option<TaxRules>, required = true)]
    taxes: Option<Value>,
    /// How much may be ordered without being paid; null: the defaults apply.
    #[schema(value_type = Option<OrderLimits>, required = true)]
    order_limits: Option<Value>,
    /// The synonyms of the product search.
    #[schema(value_type = Option<SearchSettings>, required = true)]
    search: Option<Value>,
    /// What the checkout does with products that could not be invoiced; null: the defaults apply.
    #[schema(value_type = Option<InvoiceSettings>, required = true)]
    invoices: Option<Value>,
}

/// Shows the shop's settings
///
/// Each one is null until it was set.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    responses(
        (status = 200, body = Settings, description = "The settings")))]
#[get("/api/admin/settings")]
pub(super) async fn list_settings(app: web::Data<App>, _admin: Admin) -> Result<HttpResponse> {
    const ALL: &str = "SELECT name, value FROM settings WHERE name IN ('company', 'shipping', 'payment_methods', 'stock', 'taxes', 'order_limits', 'search', 'invoices')";
    let rows = db::query(&app.db().await?, ALL, &[]).await?;
    let find = |name: &str| rows.iter().find(|row| row.get::<_, &str>("name") == name).map(|row| row.get("value"));
    Ok(HttpResponse::Ok().json(Settings {
        company: find("company"),
        shipping: find("shipping"),
        payment_methods: find("payment_methods"),
        stock: find("stock"),
        taxes: find("taxes"),
        order_limits: find("order_limits"),
        search: find("search"),
        invoices: find("invoices"),
    }))
}

/// Sets the company that sells
///
/// As invoices and labels name it.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = Company,
    responses(
        (status = 200, body = Company, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/company")]
pub(super) async fn set_company(app: web::Data<App>, admin: Admin, body: Json<Company>) -> Result<HttpResponse> {
    let mut company = body.into_inner();
    company.cnpj = Cnpj::parse(&company.cnpj).map(|c| c.as_str().to_owned()).unwrap_or(company.cnpj);
    company.address.cep = Cep::parse(&company.address.cep).map(|c| c.as_str().to_owned()).unwrap_or(company.address.cep);
    set(&app, &admin, "company", Action::SettingsCompany, &company).await
}

/// Sets handling days, free freight and pickup
///
/// And who buys labels. It counts for freight that is quoted from now on.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = ShippingSettings,
    responses(
        (status = 200, body = ShippingSettings, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/shipping")]
pub(super) async fn set_shipping(app: web::Data<App>, admin: Admin, body: Json<ShippingSettings>) -> Result<HttpResponse> {
    set(&app, &admin, "shipping", Action::SettingsShipping, &body.into_inner().tidy()).await
}

/// Sets the methods of payment
///
/// Which are offered, with what discount and within which amounts.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = Methods,
    responses(
        (status = 200, body = Methods, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/payment_methods")]
pub(super) async fn set_payment_methods(app: web::Data<App>, admin: Admin, body: Json<Methods>) -> Result<HttpResponse> {
    set(&app, &admin, "payment_methods", Action::SettingsPaymentMethods, &*body).await
}

/// Sets the tax rules of invoices
///
/// For products without rules of their own.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = TaxRules,
    responses(
        (status = 200, body = TaxRules, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/taxes")]
pub(super) async fn set_taxes(app: web::Data<App>, admin: Admin, body: Json<TaxRules>) -> Result<HttpResponse> {
    set(&app, &admin, "taxes", Action::SettingsTaxes, &*body).await
}

/// Sets the alert of low stock
///
/// When the operator is alerted that a variant is nearly sold out.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = StockSettings,
    responses(
        (status = 200, body = StockSettings, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/stock")]
pub(super) async fn set_stock(app: web::Data<App>, admin: Admin, body: Json<StockSettings>) -> Result<HttpResponse> {
    set(&app, &admin, "stock", Action::SettingsStock, &*body).await
}

/// Sets the limits of unpaid orders
///
/// How much may be ordered without being paid; 0 switches a limit off.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = OrderLimits,
    responses(
        (status = 200, body = OrderLimits, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/order_limits")]
pub(super) async fn set_order_limits(app: web::Data<App>, admin: Admin, body: Json<OrderLimits>) -> Result<HttpResponse> {
    set(&app, &admin, "order_limits", Action::SettingsOrderLimits, &*body).await
}

/// Sets the synonyms of the product search
///
/// It counts at once.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = SearchSettings,
    responses(
        (status = 200, body = SearchSettings, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/search")]
pub(super) async fn set_search(app: web::Data<App>, admin: Admin, body: Json<SearchSettings>) -> Result<HttpResponse> {
    let answer = set(&app, &admin, "search", Action::SettingsSearch, &*body).await?;
    catalog::changed(&app).await;
    Ok(answer)
}

/// Sets what the checkout does with products that could not be invoiced
///
/// It sells them, or refuses the order.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = InvoiceSettings,
    responses(
        (status = 200, body = InvoiceSettings, description = "The setting as it is now"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong")))]
#[put("/api/admin/settings/invoices")]
pub(super) async fn set_invoices(app: web::Data<App>, admin: Admin, body: Json<InvoiceSettings>) -> Result<HttpResponse> {
    set(&app, &admin, "invoices", Action::SettingsInvoices, &*body).await
}

/// Replaces one subject. The audit log keeps the earlier value.
async fn set(app: &App, admin: &Admin, name: &'static str, action: Action, value: &impl Serialize) -> Result<HttpResponse> {
    const OLD: &str = "SELECT value FROM settings WHERE name = $1 FOR UPDATE";
    const SET: &str = "
        INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = now()";
    let value = serde_json::to_value(value).map_err(|e| Error::Internal(e.to_string()))?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let old: Option<Value> = db::query_opt(&tx, OLD, &[&name]).await?.map(|row| row.get("value"));
    db::execute(&tx, SET, &[&name, &value]).await?;
    let hidden = |value: &Value| without_cnpj(value.clone());
    audit_log::record(&tx, admin.0.actor(), action, name, old.as_ref().map(hidden), Some(hidden(&value))).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(value))
}

/// The audit log is never deleted, so the CNPJ in it is masked.
fn without_cnpj(mut value: Value) -> Value {
    let masked = value.get("cnpj").and_then(Value::as_str).and_then(|text| Cnpj::parse(text).ok()).map(|cnpj| cnpj.masked());
    if let Some(masked) = masked {
        value["cnpj"] = json!(masked);
    }
    value
}
