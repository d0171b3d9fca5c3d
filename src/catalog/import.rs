//! Imports a CSV of products, in one transaction and a fixed number of statements. The demo shop is loaded this way too.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::categories::{self, MAX};
use super::save::{Draft, Others, Refused, lock_writers, save};
use super::sheet::{Entry, Sheet};
use super::slug::{free_slug, slugify};
use crate::audit_log;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, FieldError, Result};
use crate::ids::{CategoryId, ProductId};

pub use super::sheet::read;

/// The largest CSV that is accepted.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// How long it may take to come.
pub const BODY_WAIT: Duration = Duration::from_secs(5 * 60);

/// What an import did.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Imported {
    /// Products, variants and categories that the table names.
    pub products: usize,
    pub variants: usize,
    pub categories: usize,
    /// Products that are new.
    pub created: usize,
    /// Products that were there and are different now.
    pub updated: usize,
}

/// Takes all of it or nothing. Products are known by slug, variants by SKU; what the table does not name stays as it is,
/// and so does a stock where its cell is blank. The caller commits, and evicts the cache. Ten megabytes take longer than a statement
/// usually may: the connection is one for long statements.
pub async fn apply(tx: &Transaction<'_>, sheet: Sheet, actor: Actor) -> Result<Imported> {
    lock_writers(tx).await?;
    let paths: HashSet<Vec<String>> = sheet.products.iter().map(|entry| entry.category.clone()).collect();
    let categories = categories_at(tx, &paths).await?;
    let known = known_products(tx, &sheet.products).await?;
    let lines: Vec<Vec<u64>> = sheet.products.iter().map(|entry| entry.lines.clone()).collect();
    let mut drafts: Vec<Draft> = Vec::with_capacity(sheet.products.len());
    for Entry { slug, category, mut input, .. } in sheet.products {
        input.category_id = categories[&category];
        drafts.push(input.into_draft(known.get(&slug).copied().unwrap_or_else(ProductId::new), slug)?);
    }
    let changed = match save(tx, &drafts, Others::Keep, "import", actor).await? {
        Ok(changed) => changed,
        Err(refused) => return Err(refusal(&refused, &lines)),
    };
    let created = drafts.len() - known.len();
    let imported = Imported {
        products: drafts.len(),
        variants: drafts.iter().map(|draft| draft.variants.len()).sum(),
        categories: paths.len(),
        created,
        updated: changed.len() - created,
    };
    audit_log::record(tx, actor, "product.import", "catalog", None, Some(json!(imported))).await?;
    Ok(imported)
}

fn refusal(refused: &[Refused], lines: &[Vec<u64>]) -> Error {
    let mistake = |r: &Refused| FieldError {
        field: format!("line {}: sku", lines[r.draft][r.variant]),
        message: "belongs to another product".to_owned(),
    };
    Error::Invalid(refused.iter().map(mistake).collect())
}

async fn known_products(tx: &Transaction<'_>, entries: &[Entry]) -> Result<HashMap<String, ProductId>> {
    let slugs: Vec<&str> = entries.iter().map(|entry| entry.slug.as_str()).collect();
    let rows = db::query(tx, "SELECT slug, id FROM products WHERE slug = ANY($1) AND deleted_at IS NULL", &[&slugs]).await?;
    Ok(rows.iter().map(|row| (row.get("slug"), row.get("id"))).collect())
}

/// The ids of the categories at these paths. Missing ones are created.
async fn categories_at(tx: &Transaction<'_>, paths: &HashSet<Vec<String>>) -> Result<HashMap<Vec<String>, CategoryId>> {
    const INSERT: &str = "
        INSERT INTO categories (id, parent_id, slug, name, position)
        SELECT n.id, n.parent, n.slug, n.name, n.position
          FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[]) AS n (id, parent, slug, name, position)";
    let all = categories::all(tx).await?;
    let mut slugs: HashSet<String> = all.iter().map(|c| c.slug.clone()).collect();
    let mut places: HashMap<(Option<CategoryId>, String), CategoryId> =
        all.iter().map(|c| ((c.parent_id, c.name.clone()), c.id)).collect();
    let (mut ids, mut parents, mut new_slugs, mut names, mut positions) = (vec![], vec![], vec![], vec![], vec![]);
    let mut found = HashMap::with_capacity(paths.len());
    let mut sorted: Vec<&Vec<String>> = paths.iter().collect();
    sorted.sort(); // the same CSV creates the same tree
    for path in sorted {
        let (mut parent, mut above) = (None, String::new());
        for name in path {
            let id = *places.entry((parent, name.clone())).or_insert_with(|| {
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
            });
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
