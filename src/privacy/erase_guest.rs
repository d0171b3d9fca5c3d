//! Erasure of people without an account (LGPD, article 18, VI): by CPF or CNPJ, or by e-mail, once the shop has made sure who asks.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::{Email, TaxId};

use super::erase::{forget_in_orders, invoices_are_kept, not_open};
use super::export_guest::{self, GuestExport};
use super::http::as_file;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::list;
use crate::http::who::Admin;
use crate::ids::OrderId;
use crate::sale::locks;
use crate::users::rules;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(erase_guest).service(export_guest_for_admin);
}

/// Who is to be forgotten. One of the two at least.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cpf": "529.982.247-25", "email": "ana@example.com"}))]
struct EraseGuest {
    /// CPF or CNPJ.
    #[garde(inner(length(chars, max = 20)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 20)]
    cpf: Option<String>,
    /// The e-mail address that the orders were placed with. Blank: none.
    #[garde(inner(length(chars, max = 254)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 254)]
    email: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasedGuest {
    /// Guests' orders that no longer say whose they were.
    #[schema(minimum = 0, example = 2)]
    pub orders: usize,
    /// Accounts with this CPF, CNPJ or e-mail. They are not touched: their people erase them, signed in.
    #[schema(minimum = 0, example = 0)]
    pub accounts: i64,
}

/// Erases a guest
///
/// Every order without an account that has this CPF or CNPJ, or this e-mail, with its messages and events. Make sure first that
/// it is this person who asks. The orders themselves, payments and fiscal documents stay.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = EraseGuest,
    responses(
        (status = 200, body = ErasedGuest, description = "What was found"),
        (status = 409, body = Problem, description = "`conflict`: an order is still open"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or none is sent")))]
#[post("/api/admin/guests/erase")]
async fn erase_guest(app: web::Data<App>, admin: Admin, body: Json<EraseGuest>) -> Result<HttpResponse> {
    let document = body.cpf.as_deref().map(TaxId::parse).transpose().map_err(|e| Error::field("cpf", e.to_string()))?;
    let email = body.email.as_deref().map(Email::parse).transpose().map_err(|e| Error::field("email", e.to_string()))?;
    if document.is_none() && email.is_none() {
        return Err(Error::field("cpf", "send this, or an email"));
    }
    let persons = document.map(|document| app.keys.persons(&document)).unwrap_or_default();
    let email = email.as_ref().map(Email::as_str);
    let mut db = app.db_for_long().await?;
    let tx = db.transaction().await?;
    let found = erase(&tx, &persons, email).await?;
    // Who asked stands in no table that only grows: numbers of orders, and nobody's data.
    let after = json!({"orders": found.orders, "by": {"cpf": body.cpf.is_some(), "email": body.email.is_some()}});
    audit_log::record(&tx, admin.0.actor(), Action::GuestErase, "guest", None, Some(after)).await?;
    tx.commit().await?;
    tracing::info!(orders = found.orders, "a guest was erased");
    Ok(HttpResponse::Ok().json(found))
}

/// Whose purchases are asked for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ana@example.com"}))]
struct ExportGuest {
    /// The e-mail address that the orders were placed with.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    email: String,
}

/// Exports a guest's purchases
///
/// For the person who asked the shop for them (LGPD, article 18). Make sure first that it is this person who asks, or let them
/// use the link that `POST /api/privacy/requests` mails.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = ExportGuest,
    responses(
        (status = 200, body = GuestExport, description = "The purchases")))]
#[post("/api/admin/guests/export")]
async fn export_guest_for_admin(app: web::Data<App>, admin: Admin, body: Json<ExportGuest>) -> Result<HttpResponse> {
    let email = rules::parsed("email", Email::parse(&body.email))?;
    let export = export_guest::export(&app, &email).await?;
    let found = json!({"orders": export.orders.as_array().map_or(0, Vec::len)});
    audit_log::record(&app.db().await?, admin.0.actor(), Action::GuestExport, "guest", None, Some(found)).await?;
    Ok(as_file(&export))
}

/// Erases whoever has one of these look-up hashes or this e-mail from the orders without an account.
pub(super) async fn erase(tx: &Transaction<'_>, persons: &[Vec<u8>], email: Option<&str>) -> Result<ErasedGuest> {
    const OF_EMAIL: &str = "SELECT count(*) AS accounts FROM users WHERE email = $1";
    const OF_DOCUMENT: &str = "SELECT count(*) AS accounts FROM users WHERE tax_id_hash = ANY($1) OR email = $2";
    // By the index of the administrators' search, whose parts the second condition asks for.
    const MESSAGES: &str = "
        UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL
         WHERE user_id IS NULL AND recipient = $1 AND plain(coalesce(recipient, '') || ' ' || subject) LIKE plain($2)";
    // The kept answer to the order, which shows all of it, and those about it.
    const FIRST_ANSWERS: &str = "
        DELETE FROM idempotency_keys
         WHERE (scope LIKE 'guest:%' AND status = 201 AND convert_from(body, 'UTF8')::jsonb ->> 'id' = ANY($1))
            OR scope IN (SELECT 'guest pay:' || id FROM unnest($1::text[]) AS id)";
    let orders = not_open(&locks::lock_orders_of_guest(tx, persons, email).await?)?;
    invoices_are_kept(tx, &orders).await?;
    let ids: Vec<String> = orders.iter().map(OrderId::to_string).collect();
    db::execute(tx, FIRST_ANSWERS, &[&ids]).await?;
    if let Some(email) = email {
        db::execute(tx, MESSAGES, &[&email, &list::holding(email)]).await?;
    }
    forget_in_orders(tx, &orders).await?;
    let counted = if persons.is_empty() {
        db::query_one(tx, OF_EMAIL, &[&email]).await?
    } else {
        db::query_one(tx, OF_DOCUMENT, &[&persons, &email]).await?
    };
    Ok(ErasedGuest { orders: orders.len(), accounts: counted.get("accounts") })
}
