//! The shop's own keys: random, made once, and kept in the database under one of `DATA_KEYS`.
//!
//! A key for tokens makes what stands in links (an order, an invoice, a password reset) and signs freight quotes. A look-up key
//! makes the hash by which a CPF or CNPJ is found; each of `DATA_KEYS` has one.

use deadpool_postgres::{GenericClient, Transaction};

use crate::config::AuthConfig;
use crate::db;
use crate::error::{Error, Result};
use crate::seal::{Keys, Kind, LookUp, Vault};

/// Held while keys are made, so that N servers may start at once.
const MAKING: i64 = 0x7669_7472_6b65_7973;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    LookUp,
    Tokens,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Tokens => "tokens",
        }
    }
}

/// Reads all keys, and makes those that are missing.
///
/// Errors: `DATA_KEYS` lacks one that the database is sealed with, or one of them is another key than it was.
pub async fn load(db: &mut db::Connection, auth: &AuthConfig) -> Result<Keys> {
    let vault = Vault::new(auth)?;
    let tx = db.transaction().await?;
    make_missing(&tx, auth, &vault).await?;
    let keys = read(&tx, vault).await?;
    tx.commit().await?;
    Ok(keys)
}

/// A look-up key for each of `DATA_KEYS`, in the order of their ids, and one for tokens.
async fn make_missing(tx: &Transaction<'_>, auth: &AuthConfig, vault: &Vault) -> Result<()> {
    const KNOWN: &str = "SELECT purpose, id FROM secret_keys";
    db::execute(tx, "SELECT pg_advisory_xact_lock($1)", &[&MAKING]).await?;
    let known: Vec<(String, i16)> =
        db::query(tx, KNOWN, &[]).await?.iter().map(|row| (row.get("purpose"), row.get("id"))).collect();
    let has = |purpose: Purpose, id: i16| known.iter().any(|(word, known)| word == purpose.as_str() && *known == id);
    let mut ids: Vec<i16> = auth.data_keys.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    for id in ids.into_iter().filter(|id| !has(Purpose::LookUp, *id)) {
        make(tx, vault, Purpose::LookUp, id, id).await?; // at most as many as DATA_KEYS names, once in their life
    }
    if !known.iter().any(|(word, _)| word == Purpose::Tokens.as_str()) {
        make(tx, vault, Purpose::Tokens, 1, vault.current()).await?;
    }
    Ok(())
}

/// The first look-up key has nothing to turn.
async fn make(tx: &Transaction<'_>, vault: &Vault, purpose: Purpose, id: i16, data_key: i16) -> Result<()> {
    const MAKE: &str = "
        INSERT INTO secret_keys (purpose, id, sealed, data_key, turned_at)
        VALUES ($1, $2, $3, $4, CASE WHEN $1 = 'look_up' AND NOT EXISTS (SELECT FROM secret_keys WHERE purpose = 'look_up') THEN now() END)";
    let sealed = vault.seal_with(data_key, Kind::Key, &rand::random::<[u8; 32]>())?;
    db::execute(tx, MAKE, &[&purpose.as_str(), &id, &sealed, &data_key]).await?;
    tracing::info!(purpose = purpose.as_str(), id, "a key of the shop's own was made");
    Ok(())
}

async fn read(db: &impl GenericClient, vault: Vault) -> Result<Keys> {
    const READ: &str = "SELECT purpose, id, sealed, data_key FROM secret_keys ORDER BY position";
    let rows = db::query(db, READ, &[]).await?;
    let (mut look_ups, mut tokens) = (Vec::new(), None);
    for row in &rows {
        let (id, data_key): (i16, i16) = (row.get("id"), row.get("data_key"));
        if !vault.has(data_key) {
            return Err(Error::Internal(format!(
                "DATA_KEYS lacks key {data_key}, which this database is sealed with: add it again (`vitrine rekey` frees the shop from it)"
            )));
        }
        let key = vault.open(Kind::Key, row.get("sealed"), data_key).ok().and_then(|bytes| bytes.try_into().ok());
        let key: [u8; 32] = key.ok_or_else(|| {
            Error::Internal(format!("key {data_key} of DATA_KEYS is not the one that this database is sealed with"))
        })?;
        match row.get::<_, &str>("purpose") {
            "look_up" => look_ups.push(LookUp { id, key }),
            _ => tokens = Some(key), // the newest is the last
        }
    }
    let tokens = tokens.ok_or_else(|| Error::Internal("the shop has no key for tokens".into()))?;
    Keys::new(vault, look_ups, &tokens)
}

/// Makes another key for tokens: whatever was made by the one before opens nothing any more. The caller commits.
pub async fn replace_tokens(tx: &Transaction<'_>, vault: &Vault) -> Result<()> {
    const NEXT: &str = "SELECT (max(id) + 1)::smallint AS id FROM secret_keys WHERE purpose = 'tokens'";
    let next: i16 = db::query_one(tx, NEXT, &[]).await?.get("id");
    make(tx, vault, Purpose::Tokens, next, vault.current()).await
}

/// Seals all of the shop's own keys with the current one of `DATA_KEYS`. The caller commits.
pub async fn seal_anew(tx: &Transaction<'_>, vault: &Vault) -> Result<()> {
    const OLD: &str = "SELECT position, sealed, data_key FROM secret_keys WHERE data_key <> $1 FOR UPDATE";
    const SEAL: &str = "
        UPDATE secret_keys k SET sealed = s.sealed, data_key = $3 FROM unnest($1::int[], $2::bytea[]) AS s (position, sealed)
         WHERE k.position = s.position";
    let rows = db::query(tx, OLD, &[&vault.current()]).await?;
    let (mut positions, mut sealed): (Vec<i32>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for row in &rows {
        let plain = vault.open(Kind::Key, row.get("sealed"), row.get("data_key"))?;
        positions.push(row.get("position"));
        sealed.push(vault.seal(Kind::Key, &plain)?);
    }
    db::execute(tx, SEAL, &[&positions, &sealed, &vault.current()]).await?;
    Ok(())
}
