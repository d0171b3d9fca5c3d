//! The SQL of the table `users`.

use deadpool_postgres::{GenericClient, Transaction};
use vitrine_kit::{Email, Phone, TaxId};

use super::User;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::lang::Lang;
use crate::seal::{Keys, Sealed};

/// An account to be created.
#[derive(Debug)]
pub struct NewUser {
    pub name: String,
    pub email: Email,
    /// As `Hasher::hash` made it.
    pub password_hash: String,
    pub tax_id: Option<TaxId>,
    pub phone: Option<Phone>,
    pub lang: Lang,
}

/// Changes to an account. `None` leaves a field as it is; `Some(None)` empties it.
#[derive(Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub tax_id: Option<Option<TaxId>>,
    pub phone: Option<Option<Phone>>,
    pub lang: Option<Lang>,
    pub sms_opt_in: Option<bool>,
}

/// What a sign-in needs of an account.
#[derive(Debug)]
pub struct Credentials {
    pub user: User,
    pub password_hash: String,
    pub needs_totp: bool,
}

/// 409: the e-mail belongs to another account. Registration reveals the same; its rate limit makes that slow to exploit.
pub fn email_taken() -> Error {
    Error::Conflict("There is an account with this e-mail already: sign in, or reset its password".into())
}

/// Creates an account, or 409 where the e-mail has one.
pub async fn insert_user(db: &impl GenericClient, keys: &Keys, new: &NewUser) -> Result<User> {
    const INSERT: &str = sql!(
        "INSERT INTO users (id, name, email, password_hash, phone, tax_id_sealed, tax_id_key, tax_id_hash, locale)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (email) DO NOTHING RETURNING ",
        User::COLUMNS
    );
    let id = UserId::new();
    let (sealed, key, hash) = columns(new.tax_id.as_ref().map(|tax_id| keys.seal(tax_id)).transpose()?);
    let phone = new.phone.as_ref().map(Phone::as_str);
    let (email, locale) = (new.email.as_str(), new.lang.as_str());
    let row =
        db::query_opt(db, INSERT, &[&id, &new.name, &email, &new.password_hash, &phone, &sealed, &key, &hash, &locale]).await?;
    User::of(&row.ok_or_else(email_taken)?, keys)
}

fn columns(sealed: Option<Sealed>) -> (Option<Vec<u8>>, Option<i16>, Option<Vec<u8>>) {
    sealed.map_or((None, None, None), |s| (Some(s.sealed), Some(s.key), Some(s.hash)))
}

/// A person who was not erased.
pub async fn find_user(db: &impl GenericClient, keys: &Keys, id: UserId) -> Result<Option<User>> {
    const FIND: &str = sql!("SELECT ", User::COLUMNS, " FROM users WHERE id = $1 AND erased_at IS NULL");
    db::query_opt(db, FIND, &[&id]).await?.map(|row| User::of(&row, keys)).transpose()
}

/// A person who may sign in, by e-mail: neither blocked nor erased.
pub async fn find_credentials(db: &impl GenericClient, keys: &Keys, email: &Email) -> Result<Option<Credentials>> {
    const FIND: &str = sql!(
        "SELECT ",
        User::COLUMNS,
        ", password_hash, totp_sealed IS NOT NULL AS needs_totp
           FROM users WHERE email = $1 AND password_hash IS NOT NULL AND blocked_at IS NULL AND erased_at IS NULL"
    );
    let row = db::query_opt(db, FIND, &[&email.as_str()]).await?;
    row.map(|row| {
        Ok(Credentials {
            user: User::of(&row, keys)?,
            password_hash: row.get("password_hash"),
            needs_totp: row.get("needs_totp"),
        })
    })
    .transpose()
}

/// The password hash of a person who is signed in, to check the password again.
pub async fn find_password(db: &impl GenericClient, id: UserId) -> Result<Option<String>> {
    const FIND: &str = "SELECT password_hash FROM users WHERE id = $1 AND erased_at IS NULL";
    Ok(db::query_opt(db, FIND, &[&id]).await?.and_then(|row| row.get("password_hash")))
}

/// Changes a person's own data. The e-mail has its own way (`email_change`).
pub async fn update_user(tx: &Transaction<'_>, keys: &Keys, id: UserId, change: &Change) -> Result<User> {
    const UPDATE: &str = sql!(
        "UPDATE users SET name = coalesce($2, name), phone = CASE WHEN $3 THEN $4 ELSE phone END,
               tax_id_sealed = CASE WHEN $5 THEN $6 ELSE tax_id_sealed END,
               tax_id_key = CASE WHEN $5 THEN $7 ELSE tax_id_key END,
               tax_id_hash = CASE WHEN $5 THEN $8 ELSE tax_id_hash END,
               locale = coalesce($9, locale), sms_opt_in = coalesce($10, sms_opt_in),
               updated_at = now()
         WHERE id = $1 AND erased_at IS NULL RETURNING ",
        User::COLUMNS
    );
    let phone = change.phone.as_ref().and_then(|phone| phone.as_ref().map(Phone::as_str));
    let sealed = change.tax_id.as_ref().and_then(|tax_id| tax_id.as_ref().map(|t| keys.seal(t))).transpose()?;
    let (sealed, key, hash) = columns(sealed);
    let (sets_phone, sets_tax_id) = (change.phone.is_some(), change.tax_id.is_some());
    let locale = change.lang.map(Lang::as_str);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
        [&id, &change.name, &sets_phone, &phone, &sets_tax_id, &sealed, &key, &hash, &locale, &change.sms_opt_in];
    let row = db::query_opt(tx, UPDATE, &params).await?;
    User::of(&row.ok_or(Error::NotFound("The person"))?, keys)
}

/// Sets a new password if the old one is still `old`: of two changes at once, one is told to try again.
pub async fn mark_password(db: &impl GenericClient, id: UserId, old: Option<&str>, new: &str) -> Result<bool> {
    const UPDATE: &str = "
        UPDATE users SET password_hash = $3, password_changed_at = now(), updated_at = now()
         WHERE id = $1 AND erased_at IS NULL AND ($2::text IS NULL OR password_hash = $2)";
    Ok(db::execute(db, UPDATE, &[&id, &old, &new]).await? == 1)
}
