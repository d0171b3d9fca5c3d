//! The shop's own data: who sells, how parcels leave, how one can pay. One row per subject, replaced as a whole.

use actix_web::{HttpResponse, get, put, web};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use vitrine_kit::{Cep, Cnpj};

use super::audit_log;
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::Json;
use crate::http::who::{Admin, AdminSent};
use crate::payments::methods::Methods;
use crate::users::rules;

/// The seller, as it stands on invoices.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Company {
    #[garde(length(chars, min = 1, max = 60), custom(no_control))]
    legal_name: String,
    #[garde(inner(length(chars, min = 1, max = 60), custom(no_control)))]
    trade_name: Option<String>,
    /// With or without punctuation; letters are fine.
    #[garde(custom(is_cnpj))]
    cnpj: String,
    /// Digits, or `ISENTO`.
    #[garde(custom(is_state_registration))]
    state_registration: String,
    #[garde(skip)]
    tax_regime: TaxRegime,
    #[garde(range(max = 969))]
    invoice_series: u16,
    #[garde(dive)]
    address: CompanyAddress,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TaxRegime {
    Simples,
    /// Simples Nacional, above the state's sublimit.
    SimplesExcess,
    Normal,
    Mei,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompanyAddress {
    #[garde(custom(rules::cep))]
    cep: String,
    #[garde(length(chars, min = 1, max = 60), custom(no_control))]
    street: String,
    #[garde(length(chars, min = 1, max = 60), custom(no_control))]
    number: String,
    #[garde(inner(length(chars, min = 1, max = 60), custom(no_control)))]
    complement: Option<String>,
    #[garde(length(chars, min = 1, max = 60), custom(no_control))]
    district: String,
    #[garde(length(chars, min = 1, max = 60), custom(no_control))]
    city: String,
    #[garde(custom(is_state))]
    state: String,
}

/// How parcels leave.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Shipping {
    /// Days between payment and posting, added to every carrier's promise.
    #[garde(range(max = 60))]
    handling_days: u32,
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(char::is_control) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

fn is_cnpj(text: &str, (): &()) -> garde::Result {
    Cnpj::parse(text).map(|_| ()).map_err(|_| garde::Error::new("is not a valid CNPJ"))
}

/// In capitals: it goes onto invoices as it is kept.
fn is_state(text: &str, (): &()) -> garde::Result {
    if text.bytes().all(|b| b.is_ascii_uppercase()) {
        rules::state(text, &())
    } else {
        Err(garde::Error::new("must be in capitals"))
    }
}

fn is_state_registration(text: &str, (): &()) -> garde::Result {
    let digits = (2..=14).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits || text == "ISENTO" { Ok(()) } else { Err(garde::Error::new("must be 2 to 14 digits, or ISENTO")) }
}

/// Everything that is set; null for what is not.
#[derive(Debug, Serialize, ToSchema)]
struct Settings {
    #[schema(value_type = Option<Company>)]
    company: Option<Value>,
    #[schema(value_type = Option<Shipping>)]
    shipping: Option<Value>,
    #[schema(value_type = Option<Methods>)]
    payment_methods: Option<Value>,
}

/// The shop's settings.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 200, body = Settings)))]
#[get("/api/admin/settings")]
pub(super) async fn list_settings(app: web::Data<App>, _admin: Admin) -> Result<HttpResponse> {
    const ALL: &str = "SELECT name, value FROM settings WHERE name IN ('company', 'shipping', 'payment_methods')";
    let rows = db::query(&app.db().await?, ALL, &[]).await?;
    let find = |name: &str| rows.iter().find(|row| row.get::<_, &str>("name") == name).map(|row| row.get("value"));
    Ok(HttpResponse::Ok().json(Settings {
        company: find("company"),
        shipping: find("shipping"),
        payment_methods: find("payment_methods"),
    }))
}

/// Sets who sells.
#[utoipa::path(tag = "admin", security(("bearer" = [])), request_body = Company, responses((status = 200, body = Company), (status = 422)))]
#[put("/api/admin/settings/company")]
pub(super) async fn set_company(app: web::Data<App>, AdminSent(admin, body): AdminSent<Json<Company>>) -> Result<HttpResponse> {
    let mut company = body.into_inner();
    company.cnpj = Cnpj::parse(&company.cnpj).map(|c| c.as_str().to_owned()).unwrap_or(company.cnpj);
    company.address.cep = Cep::parse(&company.address.cep).map(|c| c.as_str().to_owned()).unwrap_or(company.address.cep);
    set(&app, &admin, "company", &company).await
}

/// Sets how parcels leave.
#[utoipa::path(tag = "admin", security(("bearer" = [])), request_body = Shipping, responses((status = 200, body = Shipping), (status = 422)))]
#[put("/api/admin/settings/shipping")]
pub(super) async fn set_shipping(app: web::Data<App>, AdminSent(admin, body): AdminSent<Json<Shipping>>) -> Result<HttpResponse> {
    set(&app, &admin, "shipping", &*body).await
}

/// Sets how one can pay.
#[utoipa::path(tag = "admin", security(("bearer" = [])), request_body = Methods, responses((status = 200, body = Methods), (status = 422)))]
#[put("/api/admin/settings/payment_methods")]
pub(super) async fn set_payment_methods(
    app: web::Data<App>,
    AdminSent(admin, body): AdminSent<Json<Methods>>,
) -> Result<HttpResponse> {
    set(&app, &admin, "payment_methods", &*body).await
}

/// Replaces one subject, and keeps what it was.
async fn set(app: &App, admin: &Admin, name: &'static str, value: &impl Serialize) -> Result<HttpResponse> {
    const OLD: &str = "SELECT value FROM settings WHERE name = $1 FOR UPDATE";
    const SET: &str = "
        INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = now()";
    let value = serde_json::to_value(value).map_err(|e| Error::Internal(e.to_string()))?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let old: Option<Value> = db::query_opt(&tx, OLD, &[&name]).await?.map(|row| row.get("value"));
    db::execute(&tx, SET, &[&name, &value]).await?;
    let (action, hidden) = (format!("settings.{name}"), |value: &Value| without_cnpj(value.clone()));
    audit_log::record(&tx, admin.0.actor(), &action, name, old.as_ref().map(hidden), Some(hidden(&value))).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(value))
}

/// The audit log only grows, so it must not hold a whole CNPJ.
fn without_cnpj(mut value: Value) -> Value {
    let masked = value.get("cnpj").and_then(Value::as_str).and_then(|text| Cnpj::parse(text).ok()).map(|cnpj| cnpj.masked());
    if let Some(masked) = masked {
        value["cnpj"] = json!(masked);
    }
    value
}
