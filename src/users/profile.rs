//! A person's own data, read and changed by themselves.

use garde::Validate;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::{Email, Phone, TaxId};

use super::consents::{self, Subject};
use super::email_change;
use super::rules::{self, parsed};
use super::store::{self, Change};
use super::{User, tax_id_of};
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::lang::Lang;

/// The whole profile: a field that is left out is emptied. Language and SMS consent stay; `PATCH` changes them.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ana Souza", "email": "ana@example.com", "cpf": "529.982.247-25", "phone": "(11) 99999-0000"}))]
pub struct ReplaceProfile {
    /// The name.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub name: String,
    /// Another one than now needs `current_password`.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// The present password, where the e-mail changes.
    #[garde(inner(custom(rules::secret)))]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 1000)]
    pub current_password: Option<SecretString>,
    /// CPF or CNPJ. Sent back masked, as answers show it, it stays as it is.
    #[garde(inner(custom(rules::tax_id_or_masked)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub cpf: Option<String>,
    /// A Brazilian phone number with area code.
    #[garde(inner(custom(rules::phone)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub phone: Option<String>,
}

/// Part of the profile: a field that is left out stays, `null` or a blank text empties it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"phone": "(11) 99999-0000", "locale": "pt-BR", "sms_opt_in": true}))]
pub struct ChangeProfile {
    /// The name. Null: as it is.
    #[garde(inner(custom(rules::persons_words)))]
    #[schema(min_length = 2, max_length = 60)]
    pub name: Option<String>,
    /// Another one than now needs `current_password`. Null: as it is.
    #[garde(inner(custom(rules::email)))]
    #[schema(format = "email", max_length = 254)]
    pub email: Option<String>,
    /// The present password, where the e-mail changes.
    #[garde(inner(custom(rules::secret)))]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 1000)]
    pub current_password: Option<SecretString>,
    /// CPF or CNPJ. Sent back masked, as answers show it, it stays as it is.
    #[serde(default, deserialize_with = "rules::sent_typed")]
    #[garde(inner(inner(custom(rules::tax_id_or_masked))))]
    #[schema(max_length = 30)]
    pub cpf: Option<Option<String>>,
    /// A Brazilian phone number with area code; `null` empties it.
    #[serde(default, deserialize_with = "rules::sent_typed")]
    #[garde(inner(inner(custom(rules::phone))))]
    #[schema(max_length = 30)]
    pub phone: Option<Option<String>>,
    /// The language of messages to the person. Null: as it is.
    #[garde(skip)]
    pub locale: Option<Lang>,
    /// Whether the person wants texts (SMS) about orders at this phone. Null: as it is.
    #[garde(skip)]
    pub sms_opt_in: Option<bool>,
    /// The version of the privacy notice that the person accepts with this. It is recorded.
    #[garde(inner(custom(rules::version)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 40)]
    pub privacy_version: Option<String>,
}

impl From<ReplaceProfile> for ChangeProfile {
    fn from(new: ReplaceProfile) -> Self {
        let (name, email, cpf, phone) = (Some(new.name), Some(new.email), Some(new.cpf), Some(new.phone));
        Self {
            name,
            email,
            cpf,
            phone,
            current_password: new.current_password,
            locale: None,
            sms_opt_in: None,
            privacy_version: None,
        }
    }
}

/// A person's own data, as they see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Profile {
    #[serde(flatten)]
    pub user: User,
    /// The new e-mail, until the link that was mailed to it is opened, for an hour at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Email, example = "ana.souza@example.com")]
    pub pending_email: Option<String>,
}

/// Makes all of the changes, or none. Another e-mail is only begun: it needs the password here, and its mailbox after that. `guard`
/// is asked before a password is tried.
pub async fn change(app: &App, id: UserId, new: ChangeProfile, guard: impl FnOnce() -> Result<()>) -> Result<Profile> {
    const LOCK: &str =
        "SELECT email, sms_opt_in, tax_id_sealed, tax_id_key FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE";
    let email = new.email.as_deref().map(|text| parsed("email", Email::parse(text))).transpose()?;
    let knows_password = match (&email, new.current_password) {
        (Some(_), Some(password)) => {
            guard()?;
            let stored = store::find_password(&app.db().await?, id).await?;
            Some(app.hasher.verify(password, stored).await?)
        }
        _ => None,
    };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let row = db::query_opt(&tx, LOCK, &[&id]).await?.ok_or(Error::NotFound("The person"))?;
    let known = tax_id_of(&row, &app.keys)?;
    let old_email: String = row.get("email");
    let change = Change {
        name: new.name.map(|name| name.trim().to_owned()),
        tax_id: new.cpf.map(|cpf| cpf.map(|text| document(&text, known.as_ref())).transpose()).transpose()?,
        phone: new.phone.map(|phone| phone.map(|text| parsed("phone", Phone::parse(&text))).transpose()).transpose()?,
        lang: new.locale,
        sms_opt_in: new.sms_opt_in,
    };
    let version = new.privacy_version.as_deref();
    if let Some(version) = version {
        consents::record(&tx, id, Subject::Privacy, version, true).await?;
    }
    if let Some(granted) = new.sms_opt_in.filter(|granted| *granted != row.get::<_, bool>("sms_opt_in")) {
        consents::record(&tx, id, Subject::Sms, version.unwrap_or_default(), granted).await?;
    }
    let user = store::update_user(&tx, &app.keys, id, &change).await?;
    if let Some(email) = email.filter(|email| email.as_str() != old_email) {
        match knows_password {
            Some(true) => email_change::begin(&tx, app, id, &old_email, &email).await?,
            Some(false) => return Err(Error::field("current_password", "is not the password of this account")),
            None => return Err(Error::field("current_password", "is needed for another e-mail")),
        }
    }
    let pending_email = email_change::find_pending(&tx, id).await?;
    tx.commit().await?;
    Ok(Profile { user, pending_email })
}

/// The document that was sent; the known one if its masked form was sent.
fn document(text: &str, known: Option<&TaxId>) -> Result<TaxId> {
    match known {
        Some(known) if known.masked() == text => Ok(known.clone()),
        _ => parsed("cpf", TaxId::parse(text)),
    }
}

/// The profile; 404 for a person who was erased at this moment.
pub async fn show(app: &App, id: UserId) -> Result<Profile> {
    let db = app.db().await?;
    let user = store::find_user(&db, &app.keys, id).await?.ok_or(Error::NotFound("The person"))?;
    Ok(Profile { user, pending_email: email_change::find_pending(&db, id).await? })
}
