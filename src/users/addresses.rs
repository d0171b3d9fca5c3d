//! A person's saved addresses: at most fifty. If there is one, exactly one is the default.

use deadpool_postgres::{GenericClient, Transaction};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;
use vitrine_kit::{Cep, Phone};

use super::rules::{self, parsed};
use crate::db::{self, insert, sql};
use crate::error::{Error, Result};
use crate::ids::{AddressId, UserId};
use crate::tax::states::StateCode;

pub const MAX_ADDRESSES: i64 = 50;

/// Where a parcel goes.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSavedAddress)]
#[schema(example = json!({
    "label": "Casa",
    "recipient": "Ana Souza",
    "cep": "01310-100",
    "street": "Avenida Paulista",
    "number": "1000",
    "complement": "Apto 12",
    "district": "Bela Vista",
    "city": "São Paulo",
    "state": "SP",
    "is_default": true
}))]
pub struct NewAddress {
    /// The person's own name for it: `Casa`, `Trabalho`.
    #[garde(inner(custom(rules::persons_line(60))))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub label: Option<String>,
    /// The recipient of the parcel.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub recipient: String,
    /// The CEP, with or without its hyphen.
    #[garde(custom(rules::cep))]
    #[schema(example = "01310-100", pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    pub cep: String,
    /// The street.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub street: String,
    /// The number, as text: `1000`, `12-A`, `s/n`.
    #[garde(custom(rules::persons_detail))]
    #[schema(min_length = 1, max_length = 60)]
    pub number: String,
    /// Flat, block or floor.
    #[garde(inner(custom(rules::persons_detail)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub complement: Option<String>,
    /// Blank where the town has none.
    #[garde(custom(rules::district))]
    #[schema(max_length = 60)]
    pub district: String,
    /// The city.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub city: String,
    /// The two letters of the state, in capitals or not.
    #[garde(custom(rules::state_of(&self.cep)))]
    #[schema(min_length = 2, max_length = 2, example = "SP")]
    pub state: String,
    /// Whom the carrier can ask.
    #[garde(inner(custom(rules::phone)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub phone: Option<String>,
    /// `true` makes it the default. `false` changes nothing: to have another default, send `true` for that one.
    #[serde(default)]
    #[garde(skip)]
    pub is_default: bool,
}

/// A saved address.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SavedAddress)]
pub struct Address {
    /// The address.
    pub id: AddressId,
    /// The person's own name for it; null: none.
    #[schema(required = true, example = "Casa")]
    pub label: Option<String>,
    /// Who receives the parcel.
    #[schema(example = "Ana Souza")]
    pub recipient: String,
    /// `01310-100`
    #[schema(example = "01310-100")]
    pub cep: String,
    /// The street.
    #[schema(example = "Avenida Paulista")]
    pub street: String,
    /// The number in the street, as text.
    #[schema(example = "1000")]
    pub number: String,
    /// Flat, block or floor; null: none.
    #[schema(required = true, example = "Apto 12")]
    pub complement: Option<String>,
    /// The district.
    #[schema(example = "Bela Vista")]
    pub district: String,
    /// The city.
    #[schema(example = "São Paulo")]
    pub city: String,
    /// The state.
    #[schema(value_type = StateCode, example = "SP")]
    pub state: String,
    /// A phone number; null: none.
    #[schema(required = true, example = "+5511999990000")]
    pub phone: Option<String>,
    /// Whether it is the person's default.
    pub is_default: bool,
    /// When it was saved.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl NewAddress {
    /// As the table has it: every text trimmed, the CEP as 8 digits, the state in capitals, the phone as E.164.
    pub fn clean(self) -> Result<Self> {
        let trim = |text: String| text.trim().to_owned();
        Ok(Self {
            label: self.label.map(trim),
            recipient: trim(self.recipient),
            cep: parsed("cep", Cep::parse(&self.cep))?.as_str().to_owned(),
            street: trim(self.street),
            number: trim(self.number),
            complement: self.complement.map(trim),
            district: rules::kept_district(&self.district),
            city: trim(self.city),
            state: self.state.to_ascii_uppercase(),
            phone: self
                .phone
                .map(|text| parsed("phone", Phone::parse(&text)))
                .transpose()?
                .map(|phone| phone.as_str().to_owned()),
            is_default: self.is_default,
        })
    }
}

impl From<&Row> for Address {
    fn from(row: &Row) -> Self {
        let cep: String = row.get("cep");
        Self {
            id: row.get("id"),
            label: row.get("label"),
            recipient: row.get("recipient"),
            cep: Cep::parse(&cep).map_or(cep, |cep| cep.formatted()),
            street: row.get("street"),
            number: row.get("number"),
            complement: row.get("complement"),
            district: row.get("district"),
            city: row.get("city"),
            state: row.get("state"),
            phone: row.get("phone"),
            is_default: row.get("is_default"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        }
    }
}

/// What [`Address`] is read from.
const COLUMNS: &str =
    "id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at";

/// The default first, then the newest; and how many there are.
pub async fn list_addresses(db: &impl GenericClient, owner: UserId, limit: i64, offset: i64) -> Result<(Vec<Address>, i64)> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        ", count(*) OVER () AS total FROM addresses WHERE user_id = $1
         ORDER BY is_default DESC, created_at DESC, id DESC LIMIT $2 OFFSET $3"
    );
    const COUNT: &str = "SELECT count(*) AS total FROM addresses WHERE user_id = $1";
    let rows = db::query(db, LIST, &[&owner, &limit, &offset]).await?;
    let total = match rows.first() {
        Some(row) => row.get("total"),
        None => db::query_one(db, COUNT, &[&owner]).await?.get("total"),
    };
    Ok((rows.iter().map(Address::from).collect(), total))
}

pub async fn find_address(db: &impl GenericClient, owner: UserId, id: AddressId) -> Result<Option<Address>> {
    const FIND: &str = sql!("SELECT ", COLUMNS, " FROM addresses WHERE id = $2 AND user_id = $1");
    Ok(db::query_opt(db, FIND, &[&owner, &id]).await?.as_ref().map(Address::from))
}

/// Saves an address. The first one becomes the default; 409 when there are fifty already.
pub async fn add(tx: &Transaction<'_>, owner: UserId, new: NewAddress) -> Result<Address> {
    const COUNT: &str = "SELECT count(*) AS count FROM addresses WHERE user_id = $1";
    lock_book(tx, owner).await?;
    let count: i64 = db::query_one(tx, COUNT, &[&owner]).await?.get("count");
    if count >= MAX_ADDRESSES {
        return Err(Error::Conflict(format!("There are {MAX_ADDRESSES} addresses, which is the most: delete one first")));
    }
    let a = new.clean()?;
    let is_default = a.is_default || count == 0;
    if is_default {
        clear_default(tx, owner).await?;
    }
    let row = insert!("addresses" {
        id: AddressId::new(),
        user_id: owner,
        label: a.label,
        recipient: a.recipient,
        cep: a.cep,
        street: a.street,
        number: a.number,
        complement: a.complement,
        district: a.district,
        city: a.city,
        state: a.state,
        phone: a.phone,
        is_default: is_default,
        ibge_city: known_city(tx, &a.cep).await?,
    } "RETURNING", COLUMNS);
    Ok(Address::from(&db::query_one(tx, row.sql, &row.values).await?))
}

/// The number of the CEP's city, where somebody looked that up before: an NF-e goes by it.
async fn known_city(db: &impl GenericClient, cep: &str) -> Result<Option<String>> {
    const FIND: &str = "SELECT address ->> 'ibge_city' AS ibge_city FROM cep_cache WHERE cep = $1";
    Ok(db::query_opt(db, FIND, &[&cep]).await?.and_then(|row| row.get("ibge_city")))
}

/// Replaces an address. Whether it is the default changes only if the input says so.
pub async fn replace(tx: &Transaction<'_>, owner: UserId, id: AddressId, new: NewAddress) -> Result<Address> {
    const UPDATE: &str = sql!(
        "UPDATE addresses SET label = $3, recipient = $4, cep = $5::text, street = $6, number = $7, complement = $8, district = $9,
               city = $10, state = $11, phone = $12, is_default = is_default OR $13, updated_at = now(),
               ibge_city = (SELECT address ->> 'ibge_city' FROM cep_cache WHERE cep = $5)
         WHERE id = $2 AND user_id = $1 RETURNING ",
        COLUMNS
    );
    lock_book(tx, owner).await?;
    let a = new.clean()?;
    if a.is_default && find_address(tx, owner, id).await?.is_some() {
        clear_default(tx, owner).await?;
    }
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 13] = [
        &owner,
        &id,
        &a.label,
        &a.recipient,
        &a.cep,
        &a.street,
        &a.number,
        &a.complement,
        &a.district,
        &a.city,
        &a.state,
        &a.phone,
        &a.is_default,
    ];
    let row = db::query_opt(tx, UPDATE, &params).await?.ok_or(Error::NotFound("The address"))?;
    Ok(Address::from(&row))
}

/// Makes an address the default.
pub async fn make_default(tx: &Transaction<'_>, owner: UserId, id: AddressId) -> Result<Address> {
    const UPDATE: &str =
        sql!("UPDATE addresses SET is_default = true, updated_at = now() WHERE id = $2 AND user_id = $1 RETURNING ", COLUMNS);
    lock_book(tx, owner).await?;
    if find_address(tx, owner, id).await?.is_none() {
        return Err(Error::NotFound("The address"));
    }
    clear_default(tx, owner).await?;
    let row = db::query_opt(tx, UPDATE, &[&owner, &id]).await?.ok_or(Error::NotFound("The address"))?;
    Ok(Address::from(&row))
}

/// Removes an address. If it was the default, the newest of the others becomes it.
pub async fn remove(tx: &Transaction<'_>, owner: UserId, id: AddressId) -> Result<()> {
    const DELETE: &str = "DELETE FROM addresses WHERE id = $2 AND user_id = $1 RETURNING is_default";
    const PROMOTE: &str = "
        UPDATE addresses SET is_default = true
         WHERE id = (SELECT id FROM addresses WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1) AND user_id = $1";
    lock_book(tx, owner).await?;
    let row = db::query_opt(tx, DELETE, &[&owner, &id]).await?.ok_or(Error::NotFound("The address"))?;
    if row.get("is_default") {
        db::execute(tx, PROMOTE, &[&owner]).await?;
    }
    Ok(())
}

/// Locks the person's row: the limit and the one default are checked under this lock.
async fn lock_book(tx: &Transaction<'_>, owner: UserId) -> Result<()> {
    const LOCK: &str = "SELECT FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE";
    db::query_opt(tx, LOCK, &[&owner]).await?.map(drop).ok_or(Error::NotFound("The person"))
}

async fn clear_default(tx: &Transaction<'_>, owner: UserId) -> Result<()> {
    db::execute(tx, "UPDATE addresses SET is_default = false WHERE user_id = $1 AND is_default", &[&owner]).await?;
    Ok(())
}
