//! Administrators' changes to a product: create, change, delete.

use deadpool_postgres::Transaction;
use garde::Validate;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::product_input::ProductInput;
use super::save::{Draft, Others, lock_writers, save};
use super::slug::{RESERVED, free_slug, slugify};
use super::version::IfMatch;
use super::{Product, ncm, store};
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::{check, parse_value};
use crate::ids::{ProductId, VariantId};

/// Fields of a product that clients may send back but not set.
pub(super) const READ_ONLY: [&str; 5] = ["id", "currency", "in_stock", "created_at", "updated_at"];
/// The same of a variant.
pub(super) const VARIANT_READ_ONLY: [&str; 1] = ["in_stock"];
/// Fields at the top of a product that belong to its default variant.
const OF_THE_DEFAULT: [&str; 4] = ["sku", "price_cents", "compare_at_cents", "stock"];

/// Some fields of a product or category; those left out keep their values.
#[derive(Debug, Deserialize, Validate)]
#[serde(transparent)]
pub struct Changes(#[garde(skip)] pub Map<String, Value>);

/// The caller commits, and evicts the cache.
pub async fn create(tx: &Transaction<'_>, input: ProductInput, actor: Actor) -> Result<Product> {
    lock_writers(tx).await?;
    ncm::check(tx, input.ncm.as_deref(), None).await?;
    let id = ProductId::new();
    let slug = match input.slug.clone() {
        Some(slug) => chosen_slug(slug)?,
        None => made_slug(tx, &input.name).await?,
    };
    write(tx, input.into_draft(id, slug)?, actor).await?;
    let product = store::get(tx, &id.to_string(), true).await?;
    audit_log::record(tx, actor, Action::ProductCreate, &id.to_string(), None, Some(json!(product))).await?;
    Ok(product)
}

/// Fields left out keep their values. Variants that a given list does not name are retired. Without `if_match`, or with `*`, nobody has said which stock
/// they know, so that of existing variants stays as it is. The caller commits, and evicts.
///
/// Errors: [`Error::Stale`], the product is not the version of `if_match`.
pub async fn replace(
    tx: &Transaction<'_>,
    name: &str,
    changes: Map<String, Value>,
    if_match: &IfMatch,
    actor: Actor,
) -> Result<Product> {
    lock_writers(tx).await?;
    let mut before = store::get(tx, name, true).await?;
    let known = lock_variants(tx, before.id).await?;
    if if_match.is_sent() {
        before = store::get(tx, &before.id.to_string(), true).await?; // with all that was sold before the lock
        if_match.check(&before)?;
    }
    let mut input = merged(&before, changes)?;
    check(&input)?;
    if !if_match.names_one() {
        leave_stocks(&mut input, &known);
    }
    ncm::check(tx, input.ncm.as_deref(), before.ncm.as_deref()).await?;
    let slug = match input.slug.clone() {
        Some(slug) if slug != before.slug => chosen_slug(slug)?,
        _ => before.slug.clone(),
    };
    let id = before.id;
    write(tx, input.into_draft(id, slug)?, actor).await?;
    let product = store::get(tx, &id.to_string(), true).await?;
    audit_log::record(tx, actor, Action::ProductUpdate, &id.to_string(), Some(json!(before)), Some(json!(product))).await?;
    Ok(product)
}

/// The ids and SKUs of all of a product's variants, retired ones too, locked in the order of a checkout: nothing is sold until the commit.
async fn lock_variants(tx: &Transaction<'_>, product: ProductId) -> Result<Vec<(VariantId, String)>> {
    const LOCK: &str = "SELECT id, sku FROM variants WHERE product_id = $1 ORDER BY id FOR NO KEY UPDATE";
    Ok(db::query(tx, LOCK, &[&product]).await?.iter().map(|row| (row.get("id"), row.get("sku"))).collect())
}

/// Only a new variant begins with the stock that was sent.
fn leave_stocks(input: &mut ProductInput, known: &[(VariantId, String)]) {
    let is_known = |id: Option<VariantId>, sku: Option<&str>| {
        known.iter().any(|(known_id, known_sku)| id.map_or(sku == Some(known_sku), |id| id == *known_id))
    };
    for variant in &mut input.variants {
        if is_known(variant.id, variant.sku.as_deref()) {
            variant.stock = None;
        }
    }
    if is_known(None, input.sku.as_deref()) {
        input.stock = None;
    }
}

/// Soft: orders keep naming it. Its slug and SKUs are free for another product. The caller commits, and evicts.
pub async fn delete(tx: &Transaction<'_>, name: &str, actor: Actor) -> Result<()> {
    const PRODUCT: &str = "
        UPDATE products SET deleted_at = now(), updated_at = now(), slug = left(slug, 100) || '-deleted-' || replace(id::text, '-', '')
         WHERE id = $1";
    const VARIANTS: &str = "
        UPDATE variants SET deleted_at = coalesce(deleted_at, now()), is_default = false, updated_at = now(),
               sku = left(sku, 27) || '~' || id::text
         WHERE product_id = $1";
    lock_writers(tx).await?;
    let before = store::get(tx, name, true).await?;
    db::execute(tx, VARIANTS, &[&before.id]).await?;
    db::execute(tx, PRODUCT, &[&before.id]).await?;
    audit_log::record(tx, actor, Action::ProductDelete, &before.id.to_string(), Some(json!(before)), None).await
}

async fn write(tx: &Transaction<'_>, draft: Draft, actor: Actor) -> Result<()> {
    let drafts = [draft];
    match save(tx, &drafts, Others::Retire, "adjustment", actor).await? {
        Ok(_) => Ok(()),
        Err(refused) => {
            let sku = refused.first().map_or("", |r| drafts[r.draft].variants[r.variant].sku.as_str());
            Err(Error::Conflict(format!(
                "The SKU {sku} belongs to another product, or the variant's id is not one of this product"
            )))
        }
    }
}

/// A slug must not look like an id: both stand in the same place of an address.
fn chosen_slug(slug: String) -> Result<String> {
    if RESERVED.contains(&slug.as_str()) {
        return Err(Error::field("slug", "is an address of the shop's own"));
    }
    if slug.parse::<Uuid>().is_ok() { Err(Error::field("slug", "must not look like an id")) } else { Ok(slug) }
}

async fn made_slug(tx: &Transaction<'_>, name: &str) -> Result<String> {
    let slug = slugify(name);
    let rows = db::query(tx, "SELECT slug FROM products WHERE slug = $1 OR slug LIKE $1 || '-%'", &[&slug]).await?;
    Ok(free_slug(&slug, &rows.iter().map(|row| row.get("slug")).collect()))
}

/// The product with these changes applied, as input. A product that is sent back unchanged changes nothing.
fn merged(product: &Product, mut changes: Map<String, Value>) -> Result<ProductInput> {
    for name in READ_ONLY {
        changes.remove(name);
    }
    let mut whole = object(json!(product));
    let (mut default, mut variants) = (Map::new(), whole.remove("variants").unwrap_or_default());
    for name in READ_ONLY {
        whole.remove(name);
    }
    for name in OF_THE_DEFAULT {
        let now = whole.remove(name).unwrap_or(Value::Null);
        if let Some(value) = changes.remove(name)
            && value != now
            && !is_blank(&value)
        {
            default.insert(name.to_owned(), value);
        }
    }
    // Existing variants keep their stock unless a new one is given: sales may change it at this moment.
    for variant in variants.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        variant.remove("stock");
    }
    let current_default = product.variants.first();
    if let Some(given) = changes.remove("variants") {
        variants = given;
    }
    for variant in variants.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for name in VARIANT_READ_ONLY {
            variant.remove(name);
        }
        let known = product.variants.iter().find(|known| variant.get("id") == Some(&json!(known.id)));
        if let Some(known) = known.filter(|_| variant.get("sku").is_none_or(is_blank)) {
            variant.insert("sku".to_owned(), known.sku.clone().into());
        }
    }
    if !default.is_empty()
        && let Some(list) = variants.as_array_mut()
    {
        let is_default = |v: &Value| {
            current_default.is_some_and(|d| v["id"] == json!(d.id) || (v["id"].is_null() && v["sku"] == json!(d.sku)))
        };
        if let Some(variant) = list.iter_mut().find(|v| is_default(v)).and_then(Value::as_object_mut) {
            variant.extend(default);
        }
    }
    whole.extend(changes);
    whole.insert("variants".into(), variants);
    parse_value(Value::Object(whole))
}

/// A text that a form leaves blank: it was not filled in.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
