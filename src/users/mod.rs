//! People: their accounts, addresses and sessions.

pub mod addresses;
mod addresses_http;
pub mod admin;
pub mod cep;
pub mod consents;
pub mod email_change;
pub mod http;
pub mod profile;
pub mod rules;
pub mod sessions;
pub mod store;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::TaxId;

use crate::error::Result;
use crate::ids::UserId;
use crate::lang::Lang;
use crate::seal::Keys;
use crate::token::Role;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    http::routes(cfg);
    addresses_http::routes(cfg);
    cep::routes(cfg);
    admin::routes(cfg);
    email_change::routes(cfg);
}

/// A person as answers show them: the document masked, no secrets.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct User {
    /// The person's id.
    pub id: UserId,
    /// The name.
    #[schema(example = "Ana Souza")]
    pub name: String,
    /// The e-mail address.
    #[schema(format = Email, example = "ana@example.com")]
    pub email: String,
    /// The role.
    pub role: Role,
    /// CPF or CNPJ with its ends masked; whole only in `GET /api/users/me/export`.
    #[schema(required = true, example = "***.982.247-**")]
    pub cpf: Option<String>,
    /// The phone by E.164; null: none.
    #[schema(required = true, example = "+5511999990000")]
    pub phone: Option<String>,
    /// The language of messages to the person.
    pub locale: Lang,
    /// Whether the person wants texts (SMS) about orders at this phone.
    pub sms_opt_in: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// The columns that [`User::of`] reads, of `users`.
    pub const COLUMNS: &'static str =
        "id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at";

    /// Reads a row of [`User::COLUMNS`].
    pub fn of(row: &Row, keys: &Keys) -> Result<Self> {
        Ok(Self {
            id: row.get("id"),
            name: row.get("name"),
            email: row.get("email"),
            role: Role::of(row.get("role")),
            cpf: tax_id_of(row, keys)?.map(|tax_id| tax_id.masked()),
            phone: row.get("phone"),
            locale: Lang::of(row.get("locale")),
            sms_opt_in: row.get("sms_opt_in"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        })
    }
}

/// Opens the sealed document in a row of `users` or `orders`.
pub fn tax_id_of(row: &Row, keys: &Keys) -> Result<Option<TaxId>> {
    match (row.get::<_, Option<Vec<u8>>>("tax_id_sealed"), row.get::<_, Option<i16>>("tax_id_key")) {
        (Some(sealed), Some(key)) => keys.open(&sealed, key).map(Some),
        _ => Ok(None),
    }
}
