//! Imports a CSV of products, batch by batch, each in one transaction and a fixed number of statements. What the table leaves as it is, is
//! neither locked nor written: checkouts go on. The demo shop is loaded this way too.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_postgres::{GenericClient, Transaction};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::categories::{self, MAX};
use super::imports::{self, Import, Imported};
use super::save::{Draft, Others, lock_writers, save};
use super::sheet::{Entry, Sheet};
use super::slug::{free_slug, slugify};
use super::{Product, changed, diff, ncm, store};
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db::{self, Connection};
use crate::error::{Chain, Error, FieldError, Result};
use crate::ids::{CategoryId, ImportId, ProductId};

pub use super::sheet::read;

/// The largest CSV that is accepted, in bytes.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// How long it may take to come.
pub const BODY_WAIT: Duration = Duration::from_secs(5 * 60);

/// Products of one transaction. A checkout that buys one of those that change waits for so many at most.
const BATCH: usize = 200;

/// What the column `stock` does to variants that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// They keep their stock: sales went on since the table was made. New variants take the table's.
    #[default]
    Keep,
    /// The table is a count of the shelves: it sets them.
    Set,
}

/// Imports a table, so many products at a time. What is found wrong before the first batch changes nothing. Should a later batch fail, the
/// earlier ones stand, and the error says how many products those are; sent again, the table changes only the rest. How far it is, is
/// read meanwhile by `GET /api/admin/products/import`; the bar counts products.
pub async fn run(app: &App, sheet: Sheet, stock: Stock, actor: Actor, bar: &ProgressBar) -> Result<Import> {
    let mut db = app.db_for_long().await?;
    refuse_foreign(&db, &sheet.products).await?;
    refuse_unknown_ncm(&db, &sheet.products).await?;
    let (id, total) = (ImportId::new(), sheet.products.len());
    let paths: HashSet<&Vec<String>> = sheet.products.iter().map(|entry| &entry.category).collect();
    let mut whole = Imported { categories: paths.len(), ..Imported::default() };
    imports::insert_import(&db, id, &whole, i32::try_from(total).unwrap_or(i32::MAX), actor).await?;
    let mut rest = sheet.products;
    while !rest.is_empty() {
        let next = rest.split_off(rest.len().min(BATCH));
        let batch = std::mem::replace(&mut rest, next);
        match write_batch(&mut db, id, &whole, batch, stock, actor).await {
            Ok(now) => {
                if (now.created, now.updated) != (whole.created, whole.updated) {
                    changed(app).await;
                }
                bar.inc((now.products - whole.products) as u64);
                whole = now;
            }
            Err(error) => {
                let error = stopped(error, whole.products, total);
                // Where the database is away this fails too. The import then reads as stopped after a while.
                if let Err(lost) = imports::end_import(&db, id, Some(&told(&error))).await {
                    tracing::warn!(error = %Chain(&lost), import = %id, "the end of an import could not be written down");
                }
                return Err(error);
            }
        }
        tracing::info!(products = whole.products, of = total, "a part of a product table was imported");
    }
    imports::end_import(&db, id, None).await?;
    imports::find_import(&db, id).await
}

/// Writes one batch, and counts it with those before it. Returns what stands.
async fn write_batch(
    db: &mut Connection,
    id: ImportId,
    before: &Imported,
    batch: Vec<Entry>,
    stock: Stock,
    actor: Actor,
) -> Result<Imported> {
    let tx = db.transaction().await?;
    let mut whole = before.clone();
    whole.add(&apply(&tx, batch, stock, actor).await?);
    imports::count_batch(&tx, id, &whole).await?;
    tx.commit().await?;
    Ok(whole)
}

/// Why an import ended behind the first `done` products.
fn stopped(error: Error, done: usize, total: usize) -> Error {
    let why = match &error {
        _ if done == 0 => return error,
        Error::Invalid(_) | Error::Conflict(_) => told(&error),
        other => {
            tracing::error!(error = %Chain(other), done, total, "an import stopped between two batches");
            return Error::Busy {
                what: "The import stopped half-way, between two products: send the table again",
                retry_after_s: 5,
            };
        }
    };
    Error::Conflict(format!(
        "{done} of {total} products were imported, then it stopped: {why}. Mend it and send the whole table again"
    ))
}

/// What an administrator reads of an error.
fn told(error: &Error) -> String {
    match error {
        Error::Invalid(fields) => fields.iter().map(|f| format!("{} {}", f.field, f.message)).collect::<Vec<_>>().join("; "),
        error => error.detail(),
    }
}

/// One batch. Products are known by slug, variants by SKU; what the table does not name stays as it is, and so does a stock where its cell
/// is blank. Products that the table does not change are neither locked nor written. The caller commits, and evicts the cache. Many
/// products take longer than a statement usually may: the connection is one for long statements.
pub async fn apply(tx: &Transaction<'_>, entries: Vec<Entry>, stock: Stock, actor: Actor) -> Result<Imported> {
    lock_writers(tx).await?;
    refuse_foreign(tx, &entries).await?; // nobody else writes any more
    let paths: HashSet<Vec<String>> = entries.iter().map(|entry| entry.category.clone()).collect();
    let categories = categories_at(tx, &paths).await?;
    let slugs: Vec<&str> = entries.iter().map(|entry| entry.slug.as_str()).collect();
    let known = store::list_by_slugs(tx, &slugs).await?;
    let known: HashMap<String, Product> = known.into_iter().map(|product| (product.slug.clone(), product)).collect();
    let stocks = stocks(tx, &entries).await?;
    let mut imported = Imported { products: entries.len(), categories: paths.len(), batches: 1, ..Imported::default() };
    let mut drafts: Vec<Draft> = Vec::new();
    for Entry { slug, category, mut input, .. } in entries {
        input.category_id = categories[&category];
        let old = known.get(&slug);
        let mut draft = input.into_draft(old.map_or_else(ProductId::new, |product| product.id), slug)?;
        imported.variants += draft.variants.len();
        if stock == Stock::Keep {
            imported.stock_kept += keep_stock(&mut draft, &stocks);
        }
        if old.is_none_or(|product| diff::differs(product, &draft)) {
            imported.created += usize::from(old.is_none());
            drafts.push(draft);
        }
    }
    if drafts.is_empty() {
        return Ok(imported);
    }
    let Ok(changed) = save(tx, &drafts, Others::Keep, "import", actor).await? else {
        return Err(Error::Internal("a SKU of an import changed hands under the lock of writers".into()));
    };
    imported.updated = changed.len().saturating_sub(imported.created);
    let (before, after) = diff::prices(&known, &drafts);
    let after = json!({"imported": imported, "prices": after});
    audit_log::record(tx, actor, Action::ProductImport, "catalog", Some(json!({"prices": before})), Some(after)).await?;
    Ok(imported)
}

/// Variants that are there keep their stock. Returns how many of them the table gives another.
fn keep_stock(draft: &mut Draft, stocks: &HashMap<(String, String), i32>) -> usize {
    let mut kept = 0;
    for variant in &mut draft.variants {
        if let Some(now) = stocks.get(&(draft.slug.clone(), variant.sku.clone())) {
            kept += usize::from(variant.stock.take().is_some_and(|wanted| wanted != *now));
        }
    }
    kept
}

/// The present stock of the table's variants, by product and SKU, retired ones too.
async fn stocks(tx: &Transaction<'_>, entries: &[Entry]) -> Result<HashMap<(String, String), i32>> {
    const STOCKS: &str =
        "SELECT p.slug, v.sku, v.stock FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = ANY($1)";
    let rows = db::query(tx, STOCKS, &[&skus(entries)]).await?;
    Ok(rows.iter().map(|row| ((row.get("slug"), row.get("sku")), row.get("stock"))).collect())
}

fn skus(entries: &[Entry]) -> Vec<&str> {
    entries.iter().flat_map(|entry| entry.input.variants.iter().filter_map(|variant| variant.sku.as_deref())).collect()
}

/// Errors: 422 with the line of each product whose NCM is unknown, unless it has it already.
async fn refuse_unknown_ncm(db: &impl GenericClient, entries: &[Entry]) -> Result<()> {
    const KEPT: &str = "SELECT slug, ncm FROM products WHERE slug = ANY($1) AND ncm = ANY($2)";
    let unknown: Vec<&str> =
        ncm::unknown(db, entries.iter().filter_map(|entry| entry.input.ncm.as_deref())).await?.into_iter().collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let with_one = || entries.iter().filter(|entry| entry.input.ncm.as_deref().is_some_and(|ncm| unknown.contains(&ncm)));
    let slugs: Vec<&str> = with_one().map(|entry| entry.slug.as_str()).collect();
    let rows = db::query(db, KEPT, &[&slugs, &unknown]).await?;
    let kept: HashSet<(&str, &str)> = rows.iter().map(|row| (row.get("slug"), row.get("ncm"))).collect();
    let is_new = |entry: &&Entry| !kept.contains(&(entry.slug.as_str(), entry.input.ncm.as_deref().unwrap_or_default()));
    let line = |entry: &Entry| entry.lines.first().copied().unwrap_or_default();
    let mistake = |entry: &Entry| FieldError { field: format!("line {}: ncm", line(entry)), message: ncm::why() };
    let mistakes: Vec<FieldError> = with_one().filter(is_new).map(mistake).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Invalid(mistakes)) }
}

/// Errors: 422 with the line of each SKU that another product has.
async fn refuse_foreign(db: &impl GenericClient, entries: &[Entry]) -> Result<()> {
    const OWNERS: &str = "
        SELECT v.sku, p.slug FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = ANY($1) AND v.deleted_at IS NULL";
    let rows = db::query(db, OWNERS, &[&skus(entries)]).await?;
    let owners: HashMap<&str, &str> = rows.iter().map(|row| (row.get("sku"), row.get("slug"))).collect();
    let mut mistakes = Vec::new();
    for entry in entries {
        for (variant, line) in entry.input.variants.iter().zip(&entry.lines) {
            let owner = variant.sku.as_deref().and_then(|sku| owners.get(sku)).filter(|slug| **slug != entry.slug);
            if let Some(slug) = owner {
                let message = format!("belongs to the product {slug}: give it another SKU");
                mistakes.push(FieldError { field: format!("line {line}: sku"), message });
            }
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Invalid(mistakes)) }
}

/// The ids of the categories at these paths. Missing ones are created.
async fn categories_at(tx: &Transaction<'_>, paths: &HashSet<Vec<String>>) -> Result<HashMap<Vec<String>, CategoryId>> {
    const INSERT: &str = "
        INSERT INTO categories (id, parent_id, slug, name, position)
        SELECT n.id, n.parent, n.slug, n.name, n.position
          FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[]) AS n (id, parent, slug, name, position)";
    let all = categories::all(tx).await?;
    let mut slugs: HashSet<String> = all.iter().map(|c| c.slug.clone()).collect();
    let exact: HashMap<(Option<CategoryId>, &str), CategoryId> =
        all.iter().map(|c| ((c.parent_id, c.name.as_str()), c.id)).collect();
    // `Café`, `café` and `CAFÉ ` are one category: the first that there is.
    let mut places: HashMap<(Option<CategoryId>, String), CategoryId> =
        all.iter().rev().map(|c| ((c.parent_id, folded(&c.name)), c.id)).collect();
    let (mut ids, mut parents, mut new_slugs, mut names, mut positions) = (vec![], vec![], vec![], vec![], vec![]);
    let mut found = HashMap::with_capacity(paths.len());
    let mut sorted: Vec<&Vec<String>> = paths.iter().collect();
    sorted.sort(); // the same CSV creates the same tree
    for path in sorted {
        let (mut parent, mut above) = (None, String::new());
        for name in path {
            let made = || {
                let own = slugify(name);
                let wanted = if slugs.contains(&own) && !above.is_empty() { format!("{above}-{own}") } else { own };
                let slug = free_slug(&wanted, &slugs);
                let id = CategoryId::new();
                slugs.insert(slug.clone());
                ids.push(id);
                parents.push(parent);
                new_slugs.push(slug);
                names.push(name.clone());
                positions.push(ids.len() as i32);
                id
            };
            let id = match exact.get(&(parent, name.as_str())) {
                Some(id) => *id,
                None => *places.entry((parent, folded(name))).or_insert_with(made),
            };
            (parent, above) = (Some(id), slugify(name));
        }
        if let Some(id) = parent {
            found.insert(path.clone(), id);
        }
    }
    if all.len() + ids.len() > MAX {
        return Err(Error::field("file", format!("would make more than {MAX} categories")));
    }
    db::execute(tx, INSERT, &[&ids, &parents, &new_slugs, &names, &positions]).await?;
    Ok(found)
}

/// A category's name without case, accents and needless spaces.
fn folded(name: &str) -> String {
    let bare = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let slug = slugify(&bare);
    // A name of signs alone has no slug of its own.
    if bare.chars().any(char::is_alphanumeric) { slug } else { bare }
}
