//! Writes whole products, one or thousands, in the same few statements. The caller holds [`lock_writers`] and commits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use deadpool_postgres::Transaction;
use serde::Serialize;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::Image;
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::tax::TaxData;

/// The advisory lock of writers: one at a time, because slugs and SKUs are looked up before they are used.
const WRITERS: i64 = 0x0063_6174_616c_6f67;

/// A product as it will be stored.
#[derive(Debug, Serialize)]
pub struct Draft {
    pub id: ProductId,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub category_id: CategoryId,
    pub featured: bool,
    pub active: bool,
    pub weight_grams: i32,
    pub height_cm: i32,
    pub width_cm: i32,
    pub length_cm: i32,
    pub ncm: Option<String>,
    pub cfop: Option<String>,
    pub origin: Option<i16>,
    /// `None`: unchanged.
    pub tax: Option<TaxData>,
    pub attributes: BTreeMap<String, String>,
    #[serde(skip)]
    pub images: Vec<Image>,
    #[serde(skip)]
    pub variants: Vec<DraftVariant>,
}

/// A variant as it will be stored. Without an id it is found by its SKU; without a stock it keeps its own.
#[derive(Debug)]
pub struct DraftVariant {
    pub id: Option<VariantId>,
    pub sku: String,
    pub name: String,
    pub options: BTreeMap<String, String>,
    pub price_cents: i64,
    pub compare_at_cents: Option<i64>,
    pub stock: Option<i32>,
}

/// What happens to variants that a draft does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They are no longer for sale. The first variant of the draft becomes the default.
    Retire,
    /// They stay as they are, and so does the default.
    Keep,
}

/// A variant of a draft that cannot be written: the SKU, or the id, is another product's.
#[derive(Debug)]
pub struct Refused {
    pub draft: usize,
    pub variant: usize,
}

/// The products that were changed.
pub type Changed = HashSet<ProductId>;

#[derive(Debug, Serialize)]
struct VariantRow<'a> {
    id: VariantId,
    product_id: ProductId,
    sku: &'a str,
    name: &'a str,
    options: &'a BTreeMap<String, String>,
    price_cents: i64,
    compare_at_cents: Option<i64>,
    stock: i32,
    is_default: bool,
    position: i32,
}

/// A product's own row, with its search text besides name and description.
#[derive(Debug, Serialize)]
struct ProductRow<'a> {
    #[serde(flatten)]
    draft: &'a Draft,
    keywords: String,
}

struct Standing {
    id: VariantId,
    product: ProductId,
    name: String,
    options: BTreeMap<String, String>,
    stock: i32,
    is_default: bool,
    position: i32,
    is_live: bool,
}

/// Waits until no other writer of products is at work, and keeps them out until the transaction ends.
pub async fn lock_writers(tx: &Transaction<'_>) -> Result<()> {
    db::execute(tx, "SELECT pg_advisory_xact_lock($1)", &[&WRITERS]).await?;
    Ok(())
}

/// Writes products, pictures, variants and the stock ledger. `Err` inside: these variants belong to another product, and
/// nothing was written.
pub async fn save(
    tx: &Transaction<'_>,
    drafts: &[Draft],
    others: Others,
    reason: &str,
    actor: Actor,
) -> Result<Result<Changed, Vec<Refused>>> {
    free_retired_skus(tx, drafts).await?;
    let standing = lock_variants(tx, drafts).await?;
    let (rows, moves) = match resolve(drafts, &standing, others) {
        Ok(resolved) => resolved,
        Err(refused) => return Ok(Err(refused)),
    };
    let mut changed = upsert_products(tx, &product_rows(drafts, &standing, others)).await?;
    changed.extend(replace_images(tx, drafts).await?);
    if others == Others::Retire {
        changed.extend(retire_variants(tx, drafts, &rows).await?);
    }
    changed.extend(upsert_variants(tx, &rows).await?);
    insert_movements(tx, &moves, reason, actor).await?;
    Ok(Ok(changed))
}

/// The SKU of a variant that another product retired is free: the retired one gets another. Orders keep the SKU that they were placed with.
async fn free_retired_skus(tx: &Transaction<'_>, drafts: &[Draft]) -> Result<()> {
    const FREE: &str = "
        UPDATE variants v SET sku = left(v.sku, 27) || '~' || v.id::text, updated_at = now()
          FROM unnest($1::text[], $2::uuid[]) AS wanted (sku, product)
         WHERE v.sku = wanted.sku AND v.product_id <> wanted.product AND v.deleted_at IS NOT NULL";
    let wanted = drafts.iter().flat_map(|d| d.variants.iter().map(|v| (v.sku.as_str(), d.id)));
    let (skus, products): (Vec<&str>, Vec<ProductId>) = wanted.unzip();
    db::execute(tx, FREE, &[&skus, &products]).await?;
    Ok(())
}

/// Every variant of these products or with these SKUs, locked in id order as checkout does it, so that neither deadlocks.
async fn lock_variants(tx: &Transaction<'_>, drafts: &[Draft]) -> Result<HashMap<String, Standing>> {
    const LOCK: &str = "
        SELECT id, product_id, sku, name, options, stock, is_default, position, deleted_at IS NULL AS is_live FROM variants
         WHERE product_id = ANY($1) OR sku = ANY($2) ORDER BY id FOR NO KEY UPDATE";
    let products: Vec<ProductId> = drafts.iter().map(|d| d.id).collect();
    let skus: Vec<&str> = drafts.iter().flat_map(|d| d.variants.iter().map(|v| v.sku.as_str())).collect();
    let rows = db::query(tx, LOCK, &[&products, &skus]).await?;
    let standing = |row: &tokio_postgres::Row| Standing {
        id: row.get("id"),
        product: row.get("product_id"),
        name: row.get("name"),
        options: row.get::<_, Json<_>>("options").0,
        stock: row.get("stock"),
        is_default: row.get("is_default"),
        position: row.get("position"),
        is_live: row.get("is_live"),
    };
    Ok(rows.iter().map(|row| (row.get("sku"), standing(row))).collect())
}

/// A change of stock: the variant, by how much, and whether it is the variant's first.
type Move = (VariantId, i32, bool);

fn resolve<'a>(
    drafts: &'a [Draft],
    standing: &HashMap<String, Standing>,
    others: Others,
) -> std::result::Result<(Vec<VariantRow<'a>>, Vec<Move>), Vec<Refused>> {
    let by_id: HashMap<VariantId, &Standing> = standing.values().map(|s| (s.id, s)).collect();
    let has_default: HashSet<ProductId> = standing.values().filter(|s| s.is_default).map(|s| s.product).collect();
    let (mut rows, mut moves, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (d, draft) in drafts.iter().enumerate() {
        for (n, variant) in draft.variants.iter().enumerate() {
            let by_sku = standing.get(&variant.sku);
            let old = match variant.id {
                Some(id) => by_id.get(&id).copied(),
                None => by_sku,
            };
            let foreign = old.is_some_and(|old| old.product != draft.id) || (variant.id.is_some() && old.is_none());
            let taken = by_sku.is_some_and(|s| old.is_none_or(|old| old.id != s.id));
            if foreign || taken {
                refused.push(Refused { draft: d, variant: n });
                continue;
            }
            let id = old.map_or_else(VariantId::new, |old| old.id);
            let before = old.map_or(0, |old| old.stock);
            let stock = variant.stock.unwrap_or(before);
            if stock != before {
                moves.push((id, stock - before, old.is_none()));
            }
            let keep = old.filter(|_| others == Others::Keep);
            rows.push(VariantRow {
                id,
                product_id: draft.id,
                sku: &variant.sku,
                name: &variant.name,
                options: &variant.options,
                price_cents: variant.price_cents,
                compare_at_cents: variant.compare_at_cents,
                stock,
                is_default: match others {
                    Others::Retire => n == 0,
                    Others::Keep if has_default.contains(&draft.id) => old.is_some_and(|old| old.is_default),
                    Others::Keep => n == 0,
                },
                position: keep.map_or(n as i32, |old| old.position),
            });
        }
    }
    if refused.is_empty() { Ok((rows, moves)) } else { Err(refused) }
}

fn products_of(rows: Vec<tokio_postgres::Row>) -> Changed {
    rows.iter().map(|row| row.get("product_id")).collect()
}

fn product_rows<'a>(drafts: &'a [Draft], standing: &HashMap<String, Standing>, others: Others) -> Vec<ProductRow<'a>> {
    let mut kept: HashMap<ProductId, Vec<(&String, &Standing)>> = HashMap::new();
    for (sku, variant) in standing.iter().filter(|(_, s)| others == Others::Keep && s.is_live) {
        kept.entry(variant.product).or_default().push((sku, variant));
    }
    let row = |draft: &'a Draft| {
        let named: HashSet<&str> = draft.variants.iter().map(|v| v.sku.as_str()).collect();
        let mut words: BTreeSet<&str> = draft.attributes.values().map(String::as_str).collect();
        for variant in &draft.variants {
            words.extend([variant.sku.as_str(), &variant.name]);
            words.extend(variant.options.values().map(String::as_str));
        }
        for (sku, variant) in kept.get(&draft.id).into_iter().flatten().filter(|(sku, _)| !named.contains(sku.as_str())) {
            words.extend([sku.as_str(), &variant.name]);
            words.extend(variant.options.values().map(String::as_str));
        }
        words.remove("");
        ProductRow { draft, keywords: words.into_iter().collect::<Vec<_>>().join(" ") }
    };
    drafts.iter().map(row).collect()
}

async fn upsert_products(tx: &Transaction<'_>, rows: &[ProductRow<'_>]) -> Result<Changed> {
    const UPSERT: &str = "
        INSERT INTO products AS p (id, slug, name, description, category_id, featured, active, weight_grams, height_cm, width_cm,
                                   length_cm, ncm, cfop, origin, tax, attributes, keywords)
        SELECT id, slug, name, description, category_id, featured, active, weight_grams, height_cm, width_cm, length_cm, ncm, cfop,
               origin, coalesce(x.tax, (SELECT was.tax FROM products was WHERE was.id = x.id), '{}'), attributes, keywords
          FROM jsonb_to_recordset($1) AS x (id uuid, slug text, name text, description text, category_id uuid, featured boolean,
               active boolean, weight_grams integer, height_cm integer, width_cm integer, length_cm integer, ncm text, cfop text,
               origin smallint, tax jsonb, attributes jsonb, keywords text)
        ON CONFLICT (id) DO UPDATE SET
               slug = excluded.slug, name = excluded.name, description = excluded.description, category_id = excluded.category_id,
               featured = excluded.featured, active = excluded.active, weight_grams = excluded.weight_grams,
               height_cm = excluded.height_cm, width_cm = excluded.width_cm, length_cm = excluded.length_cm, ncm = excluded.ncm,
               cfop = excluded.cfop, origin = excluded.origin, tax = excluded.tax, attributes = excluded.attributes, keywords = excluded.keywords,
               updated_at = now()
         WHERE (p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
                p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.keywords)
               IS DISTINCT FROM
               (excluded.slug, excluded.name, excluded.description, excluded.category_id, excluded.featured, excluded.active,
                excluded.weight_grams, excluded.height_cm, excluded.width_cm, excluded.length_cm, excluded.ncm, excluded.cfop,
                excluded.origin, excluded.tax, excluded.attributes, excluded.keywords)
        RETURNING p.id AS product_id";
    Ok(products_of(db::query(tx, UPSERT, &[&Json(rows)]).await.map_err(explain)?))
}

async fn replace_images(tx: &Transaction<'_>, drafts: &[Draft]) -> Result<Changed> {
    const DROP: &str = "
        DELETE FROM product_images i USING unnest($1::uuid[], $2::int[]) AS d (id, count)
         WHERE i.product_id = d.id AND i.position >= d.count RETURNING i.product_id";
    const UPSERT: &str = "
        INSERT INTO product_images AS i (product_id, position, url, alt)
        SELECT n.product, n.position, n.url, n.alt
          FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[]) AS n (product, position, url, alt)
        ON CONFLICT (product_id, position) DO UPDATE SET url = excluded.url, alt = excluded.alt
         WHERE (i.url, i.alt) IS DISTINCT FROM (excluded.url, excluded.alt)
        RETURNING i.product_id";
    let counts: (Vec<ProductId>, Vec<i32>) = drafts.iter().map(|d| (d.id, d.images.len() as i32)).unzip();
    let mut changed = products_of(db::query(tx, DROP, &[&counts.0, &counts.1]).await?);
    let images = || drafts.iter().flat_map(|d| d.images.iter().enumerate().map(move |(n, image)| (d.id, n as i16, image)));
    let ids: Vec<ProductId> = images().map(|(id, ..)| id).collect();
    let positions: Vec<i16> = images().map(|(_, n, _)| n).collect();
    let urls: Vec<&str> = images().map(|(.., image)| image.url.as_str()).collect();
    let alts: Vec<&str> = images().map(|(.., image)| image.alt.as_str()).collect();
    changed.extend(products_of(db::query(tx, UPSERT, &[&ids, &positions, &urls, &alts]).await?));
    Ok(changed)
}

async fn retire_variants(tx: &Transaction<'_>, drafts: &[Draft], rows: &[VariantRow<'_>]) -> Result<Changed> {
    // The old default is cleared first: two defaults at once are refused, even within one statement.
    const RETIRE: &str = "
        UPDATE variants SET is_default = false, updated_at = now(),
               deleted_at = CASE WHEN id = ANY($2) THEN deleted_at ELSE coalesce(deleted_at, now()) END
         WHERE product_id = ANY($1) AND ((is_default AND id <> ALL($3)) OR (deleted_at IS NULL AND id <> ALL($2)))
        RETURNING product_id";
    let products: Vec<ProductId> = drafts.iter().map(|d| d.id).collect();
    let kept: Vec<VariantId> = rows.iter().map(|row| row.id).collect();
    let defaults: Vec<VariantId> = rows.iter().filter(|row| row.is_default).map(|row| row.id).collect();
    Ok(products_of(db::query(tx, RETIRE, &[&products, &kept, &defaults]).await?))
}

async fn upsert_variants(tx: &Transaction<'_>, rows: &[VariantRow<'_>]) -> Result<Changed> {
    const UPSERT: &str = "
        INSERT INTO variants AS v (id, product_id, sku, name, options, price_cents, compare_at_cents, stock, is_default, position)
        SELECT id, product_id, sku, name, options, price_cents, compare_at_cents, stock, is_default, position
          FROM jsonb_to_recordset($1) AS x (id uuid, product_id uuid, sku text, name text, options jsonb, price_cents bigint,
               compare_at_cents bigint, stock integer, is_default boolean, position integer)
        ON CONFLICT (id) DO UPDATE SET
               sku = excluded.sku, name = excluded.name, options = excluded.options, price_cents = excluded.price_cents,
               compare_at_cents = excluded.compare_at_cents, stock = excluded.stock, is_default = excluded.is_default,
               position = excluded.position, deleted_at = NULL, updated_at = now()
         WHERE (v.sku, v.name, v.options, v.price_cents, v.compare_at_cents, v.stock, v.is_default, v.position, v.deleted_at)
               IS DISTINCT FROM
               (excluded.sku, excluded.name, excluded.options, excluded.price_cents, excluded.compare_at_cents, excluded.stock,
                excluded.is_default, excluded.position, NULL::timestamptz)
        RETURNING v.product_id";
    Ok(products_of(db::query(tx, UPSERT, &[&Json(rows)]).await.map_err(explain)?))
}

async fn insert_movements(tx: &Transaction<'_>, moves: &[Move], reason: &str, actor: Actor) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
        SELECT m.id, m.delta, CASE WHEN m.is_first THEN 'opening' ELSE $4 END, $5, $6
          FROM unnest($1::uuid[], $2::int[], $3::boolean[]) AS m (id, delta, is_first)";
    let ids: Vec<Uuid> = moves.iter().map(|(id, ..)| id.0).collect();
    let deltas: Vec<i32> = moves.iter().map(|(_, delta, _)| *delta).collect();
    let first: Vec<bool> = moves.iter().map(|(.., first)| *first).collect();
    db::execute(tx, INSERT, &[&ids, &deltas, &first, &reason, &cause::current(), &actor.to_string()]).await?;
    Ok(())
}

/// A broken constraint as an error that names the field.
fn explain(error: Error) -> Error {
    let Error::Database(cause) = &error else { return error };
    match crate::error::database::broken_constraint(cause) {
        Some("products_slug_key") => Error::Conflict("Another product has this slug".into()),
        Some("products_category_id_fkey") => Error::field("category_id", "there is no such category"),
        Some("variants_sku_key") => Error::Conflict("Another variant has this SKU".into()),
        _ => error,
    }
}
