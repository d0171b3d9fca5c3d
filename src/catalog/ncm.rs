//! NCM codes as the catalog takes them: by the list that readiness and invoices judge by.

use std::collections::HashSet;

use deadpool_postgres::GenericClient;
use serde_json::Value;

use crate::db;
use crate::error::{Error, Result};
use crate::tax::{TaxRules, ncm};

/// Those of these codes that are neither in the list nor among the settings' newer ones, which are read only where the list knows not all.
pub(super) async fn unknown<'a>(db: &impl GenericClient, codes: impl Iterator<Item = &'a str>) -> Result<HashSet<&'a str>> {
    const TAXES: &str = "SELECT value FROM settings WHERE name = 'taxes'";
    let mut unknown: HashSet<&str> = codes.filter(|code| !ncm::is_known(code)).collect();
    if !unknown.is_empty() {
        let taxes: Option<Value> = db::query_opt(db, TAXES, &[]).await?.map(|row| row.get("value"));
        let rules: TaxRules = taxes.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        unknown.retain(|code| !rules.newer_ncm.iter().any(|newer| newer == code));
    }
    Ok(unknown)
}

/// Errors: 422 that names `ncm`. One that was there before (`kept`) may stay: it may have been in force when it was written.
pub(super) async fn check(db: &impl GenericClient, new: Option<&str>, kept: Option<&str>) -> Result<()> {
    if unknown(db, new.into_iter().filter(|code| Some(*code) != kept)).await?.is_empty() {
        return Ok(());
    }
    Err(Error::field("ncm", why()))
}

pub(super) fn why() -> String {
    format!("is not in the list in force on {}: where it is newer, name it in newer_ncm of the settings' taxes first", ncm::AS_OF)
}
