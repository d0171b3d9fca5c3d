//! Administrators' changes to a product: create, change, delete.

use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::Transaction;
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::save::{Draft, DraftVariant, Others, lock_writers, save};
use super::slug::{RESERVED, free_slug, slugify};
use super::version::IfMatch;
use super::{Image, Product, ncm, rules, store};
use crate::audit_log;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::{check, parse_value, typed};
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::tax::TaxData;

pub const MAX_PRICE: i64 = 100_000_000_000;
pub const MAX_STOCK: i32 = 10_000_000;
/// Why a price before is refused: it is shown crossed out, so it must not be the lower one.
pub const BELOW_THE_PRICE: &str = "must not be below the price";
/// Fields of a product that clients may send back but not set.
pub(super) const READ_ONLY: [&str; 5] = ["id", "currency", "in_stock", "created_at", "updated_at"];
/// The same of a variant.
pub(super) const VARIANT_READ_ONLY: [&str; 1] = ["in_stock"];
/// Fields at the top of a product that belong to its default variant.
const OF_THE_DEFAULT: [&str; 4] = ["sku", "price_cents", "compare_at_cents", "stock"];

/// A product as an administrator writes it. Either `variants` (the first one is the default), or `price_cents`, `sku` and
/// `stock` of the only one.
#[derive(Debug, Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Camiseta azul",
    "category_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2",
    "weight_grams": 250,
    "height_cm": 4,
    "width_cm": 25,
    "length_cm": 30,
    "description": "Malha de algodão, corte reto.",
    "ncm": "61091000",
    "attributes": {"Tecido": "Algodão"},
    "images": [{"url": "/media/camiseta-azul.jpg", "alt": "Camiseta azul, de frente"}],
    "variants": [{"sku": "CAM-AZUL-M", "name": "M", "options": {"Tamanho": "M"}, "price_cents": 5990, "stock": 12}]
}))]
pub struct ProductInput {
    /// The name that buyers, invoices and labels show.
    #[garde(length(chars, max = 200), custom(rules::title))]
    #[schema(max_length = 200, min_length = 1)]
    pub name: String,
    /// Derived from the name where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(length(bytes, max = 160), custom(rules::slug)))]
    #[schema(max_length = 160)]
    pub slug: Option<String>,
    /// Plain text; may have line breaks.
    #[serde(default)]
    #[garde(length(chars, max = 20_000), custom(rules::free_text))]
    #[schema(max_length = 20000)]
    pub description: String,
    /// The category; it must exist.
    #[garde(skip)]
    #[schema(value_type = Uuid)]
    pub category_id: CategoryId,
    /// Whether the shop shows it first.
    #[serde(default)]
    #[garde(skip)]
    pub featured: bool,
    /// Whether it is sold.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub active: bool,
    /// Weight with its packing, in grams.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1000000)]
    pub weight_grams: i32,
    /// Height with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub height_cm: i32,
    /// Width with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub width_cm: i32,
    /// Length with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub length_cm: i32,
    /// Its class of goods by the tax tables (NCM), 8 digits. Absent or null: its category's.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::ncm)))]
    #[schema(max_length = 20)]
    pub ncm: Option<String>,
    /// The code of its sale on invoices (CFOP), 4 digits. Absent or null: its category's, or the shop's.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::cfop)))]
    #[schema(max_length = 20)]
    pub cfop: Option<String>,
    /// Where the goods come from, by the invoice's table of origins, 0 (national) to 8. Absent or null: its category's.
    #[serde(default)]
    #[garde(range(min = 0, max = 8))]
    #[schema(minimum = 0, maximum = 8)]
    pub origin: Option<i16>,
    /// More tax data for the invoice, where the category's or the shop's do not fit.
    #[serde(default)]
    #[garde(dive)]
    pub tax: Option<TaxData>,
    /// Labels and values, at most 50: `{"Tecido": "Algodão"}`.
    #[serde(default)]
    #[garde(custom(rules::labels))]
    #[schema(max_length = 300)]
    pub attributes: BTreeMap<String, String>,
    /// Pictures, the main one first.
    #[serde(default)]
    #[garde(length(max = 50), dive)]
    #[schema(max_items = 50)]
    pub images: Vec<Image>,
    /// The only variant's SKU. Derived from the slug where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::sku)))]
    #[schema(max_length = 60)]
    pub sku: Option<String>,
    /// The only variant's price in centavos. Required where `variants` is empty.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub price_cents: Option<i64>,
    /// The only variant's price before, for a crossed-out "de R$ …"; not below the price.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub compare_at_cents: Option<i64>,
    /// In a change of what exists it counts only with an `If-Match` that names the version: sales go on meanwhile. `PATCH …/stock` sets it alone.
    #[serde(default)]
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 10000000)]
    pub stock: Option<i32>,
    /// What can be bought, the default first. Left out or empty: one variant, of the fields above.
    #[serde(default)]
    #[garde(length(max = 200), dive)]
    #[schema(max_items = 200)]
    pub variants: Vec<VariantInput>,
}

/// A variant as an administrator writes it; an existing one is known by its id or its SKU.
#[derive(Debug, Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "CAM-AZUL-M", "name": "M", "options": {"Tamanho": "M"}, "price_cents": 5990, "stock": 12}))]
pub struct VariantInput {
    /// The id of an existing variant. Absent or null: the variant with this SKU, or a new one.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<Uuid>)]
    pub id: Option<VariantId>,
    /// Derived from the slug where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::sku)))]
    #[schema(max_length = 60)]
    pub sku: Option<String>,
    /// What tells it from the others.
    #[serde(default)]
    #[garde(length(chars, max = 200), custom(rules::variant))]
    #[schema(max_length = 200)]
    pub name: String,
    /// What it is made of, at most 50: `{"Tamanho": "M"}`.
    #[serde(default)]
    #[garde(custom(rules::labels))]
    #[schema(max_length = 300)]
    pub options: BTreeMap<String, String>,
    /// The price in centavos.
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub price_cents: i64,
    /// The price before, for a crossed-out "de R$ …"; not below the price.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub compare_at_cents: Option<i64>,
    /// How many pieces there are. Absent or null: an existing variant keeps its stock, a new one begins with 0.
    #[serde(default)]
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 10000000)]
    pub stock: Option<i32>,
}

fn yes() -> bool {
    true
}

/// Some fields of a product or category; those left out keep their values.
#[derive(Debug, Deserialize, Validate)]
#[serde(transparent)]
pub struct Changes(#[garde(skip)] pub Map<String, Value>);

impl ProductInput {
    /// The product as it shall be stored.
    pub fn into_draft(self, id: ProductId, slug: String) -> Result<Draft> {
        let variants = self.lines(&slug, id)?;
        Ok(Draft {
            id,
            slug,
            name: self.name,
            description: self.description,
            category_id: self.category_id,
            featured: self.featured,
            active: self.active,
            weight_grams: self.weight_grams,
            height_cm: self.height_cm,
            width_cm: self.width_cm,
            length_cm: self.length_cm,
            ncm: self.ncm,
            cfop: self.cfop,
            origin: self.origin,
            tax: self.tax,
            attributes: self.attributes,
            images: self.images,
            variants,
        })
    }

    fn lines(&self, slug: &str, id: ProductId) -> Result<Vec<DraftVariant>> {
        let only = || {
            let price_cents = self.price_cents.ok_or_else(|| Error::field("price_cents", "is required"))?;
            Ok::<_, Error>(VariantInput {
                id: None,
                sku: self.sku.clone(),
                name: String::new(),
                options: BTreeMap::new(),
                price_cents,
                compare_at_cents: self.compare_at_cents,
                stock: self.stock,
            })
        };
        let given = if self.variants.is_empty() { vec![only()?] } else { self.variants.clone() };
        let mut seen = HashSet::new();
        let mut lines = Vec::with_capacity(given.len());
        for (n, variant) in given.into_iter().enumerate() {
            let sku = variant.sku.unwrap_or_else(|| made_sku(slug, id, n));
            if !seen.insert(sku.clone()) {
                return Err(Error::field(format!("variants[{n}].sku"), "is there twice"));
            }
            if variant.compare_at_cents.is_some_and(|before| before < variant.price_cents) {
                let field = "compare_at_cents".to_owned();
                let field = if self.variants.is_empty() { field } else { format!("variants[{n}].{field}") };
                return Err(Error::field(field, BELOW_THE_PRICE));
            }
            lines.push(DraftVariant {
                id: variant.id,
                sku,
                name: variant.name,
                options: variant.options,
                price_cents: variant.price_cents,
                compare_at_cents: variant.compare_at_cents,
                stock: variant.stock,
            });
        }
        Ok(lines)
    }
}

/// A SKU for a product without one: the slug's beginning, and enough of the id to be unique.
fn made_sku(slug: &str, id: ProductId, n: usize) -> String {
    let start: String = slug.chars().take(40).collect::<String>().to_uppercase();
    let tail = id.0.simple().to_string()[24..].to_uppercase();
    if n == 0 { format!("{start}-{tail}") } else { format!("{start}-{tail}-{}", n + 1) }
}

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
    audit_log::record(tx, actor, "product.create", &id.to_string(), None, Some(json!(product))).await?;
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
    audit_log::record(tx, actor, "product.update", &id.to_string(), Some(json!(before)), Some(json!(product))).await?;
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
    audit_log::record(tx, actor, "product.delete", &before.id.to_string(), Some(json!(before)), None).await
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
