//! A person's own data, read and changed by themselves.

use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use vitrine_kit::{Email, Phone, TaxId};

use super::rules::{self, parsed};
use super::store::{self, Change};
use super::{User, tax_id_of};
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::lang::Lang;
use crate::seal::Keys;

/// The whole profile: a field that is left out is emptied. Language and SMS consent stay; `PATCH` changes them.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceProfile {
    #[garde(custom(rules::words(120)))]
    pub name: String,
    #[garde(custom(rules::email))]
    pub email: String,
    /// CPF or CNPJ. Sent back masked, as answers show it, it stays as it is.
    #[garde(inner(custom(rules::tax_id_or_masked)))]
    #[serde(default, deserialize_with = "rules::typed")]
    pub cpf: Option<String>,
    #[garde(inner(custom(rules::phone)))]
    #[serde(default, deserialize_with = "rules::typed")]
    pub phone: Option<String>,
}

/// Part of the profile: a field that is left out stays, `null` empties it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeProfile {
    #[garde(inner(custom(rules::words(120))))]
    pub name: Option<String>,
    #[garde(inner(custom(rules::email)))]
    pub email: Option<String>,
    /// CPF or CNPJ. Sent back masked, as answers show it, it stays as it is.
    #[serde(default, deserialize_with = "rules::sent")]
    #[garde(inner(inner(custom(rules::tax_id_or_masked))))]
    pub cpf: Option<Option<String>>,
    #[serde(default, deserialize_with = "rules::sent")]
    #[garde(inner(inner(custom(rules::phone))))]
    pub phone: Option<Option<String>>,
    /// The language of messages to the person.
    #[garde(skip)]
    pub locale: Option<Lang>,
    /// Whether the person wants texts (SMS) about orders at this phone.
    #[garde(skip)]
    pub sms_opt_in: Option<bool>,
}

impl From<ReplaceProfile> for ChangeProfile {
    fn from(new: ReplaceProfile) -> Self {
        let (name, email, cpf, phone) = (Some(new.name), Some(new.email), Some(new.cpf), Some(new.phone));
        Self { name, email, cpf, phone, locale: None, sms_opt_in: None }
    }
}

/// Makes all of the changes, or none.
pub async fn change(app: &App, id: UserId, new: ChangeProfile) -> Result<User> {
    const LOCK: &str = "SELECT email, tax_id_sealed, tax_id_key FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let row = db::query_opt(&tx, LOCK, &[&id]).await?.ok_or(Error::NotFound("The person"))?;
    let known = tax_id_of(&row, &app.keys)?;
    let old_email: String = row.get("email");
    let email = new.email.map(|text| parsed("email", Email::parse(&text))).transpose()?;
    let change = Change {
        name: new.name.map(|name| name.trim().to_owned()),
        email: email.filter(|email| email.as_str() != old_email),
        tax_id: new.cpf.map(|cpf| cpf.map(|text| document(&text, known.as_ref())).transpose()).transpose()?,
        phone: new.phone.map(|phone| phone.map(|text| parsed("phone", Phone::parse(&text))).transpose()).transpose()?,
        lang: new.locale,
        sms_opt_in: new.sms_opt_in,
    };
    let user = store::update_user(&tx, &app.keys, id, &change).await?;
    tx.commit().await?;
    Ok(user)
}

/// The document that was sent; the known one if its masked form was sent.
fn document(text: &str, known: Option<&TaxId>) -> Result<TaxId> {
    match known {
        Some(known) if known.masked() == text => Ok(known.clone()),
        _ => parsed("cpf", TaxId::parse(text)),
    }
}

/// The profile; 404 for a person who was erased at this moment.
pub async fn show(app: &App, id: UserId) -> Result<User> {
    let keys: &Keys = &app.keys;
    store::find_user(&app.db().await?, keys, id).await?.ok_or(Error::NotFound("The person"))
}
