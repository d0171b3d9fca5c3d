//! Administrators' changes to the tree of categories.

use deadpool_postgres::Transaction;
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_postgres::types::{Json, ToSql};
use utoipa::ToSchema;
use uuid::Uuid;

use super::categories::{self, MAX, MAX_DEPTH};
use super::product_admin::object;
use super::save::lock_writers;
use super::slug::{free_slug, slugify};
use super::{Category, ncm, rules};
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::database::broken_constraint;
use crate::error::{Error, Result};
use crate::http::json::{check, parse_value, typed};
use crate::ids::CategoryId;
use crate::tax::TaxData;

/// Fields of a category that clients may send back but not set.
pub(super) const READ_ONLY: [&str; 5] = ["id", "path", "children", "created_at", "updated_at"];

/// A category as an administrator writes it.
#[derive(Debug, Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Camisetas", "parent_id": null, "description": "De algodão e de malha fria", "position": 1, "ncm": "61091000"}))]
pub struct CategoryInput {
    /// The name that buyers read.
    #[garde(length(chars, max = 120), custom(rules::name))]
    #[schema(max_length = 120, min_length = 1)]
    pub name: String,
    /// Derived from the name where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(length(bytes, max = 160), custom(rules::slug)))]
    #[schema(max_length = 160)]
    pub slug: Option<String>,
    /// Absent or null: a root.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<Uuid>)]
    pub parent_id: Option<CategoryId>,
    /// Plain text; may have line breaks.
    #[serde(default)]
    #[garde(length(chars, max = 2000), custom(rules::free_text))]
    #[schema(max_length = 2000)]
    pub description: String,
    /// Order among its siblings.
    #[serde(default)]
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1000000)]
    pub position: i32,
    /// The NCM that products without their own inherit, 8 digits. Absent or null: none.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::ncm)))]
    #[schema(max_length = 20)]
    pub ncm: Option<String>,
    /// The CFOP that products without their own inherit, 4 digits. Absent or null: none.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::cfop)))]
    #[schema(max_length = 20)]
    pub cfop: Option<String>,
    /// The origin that products without their own inherit, 0 to 8. Absent or null: none.
    #[serde(default)]
    #[garde(range(min = 0, max = 8))]
    #[schema(minimum = 0, maximum = 8)]
    pub origin: Option<i16>,
    /// More tax data that products without their own inherit.
    #[serde(default)]
    #[garde(dive)]
    pub tax: TaxData,
}

/// The caller commits, and evicts the cache.
pub async fn create(tx: &Transaction<'_>, input: CategoryInput, actor: Actor) -> Result<Category> {
    const INSERT: &str = "
        INSERT INTO categories (id, slug, parent_id, name, description, position, ncm, cfop, origin, tax)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    lock_writers(tx).await?;
    ncm::check(tx, input.ncm.as_deref(), None).await?;
    let id = CategoryId::new();
    let slug = match &input.slug {
        Some(slug) => slug.clone(),
        None => {
            let all = categories::all(tx).await?;
            free_slug(&slugify(&input.name), &all.into_iter().map(|c| c.slug).collect())
        }
    };
    write(tx, INSERT, id, &slug, &input).await?;
    let category = standing(tx, &id.to_string()).await?;
    audit_log::record(tx, actor, Action::CategoryCreate, &id.to_string(), None, Some(row_of(&category))).await?;
    Ok(category)
}

/// Fields left out keep their values. The caller commits, and evicts the cache.
pub async fn replace(tx: &Transaction<'_>, name: &str, mut changes: Map<String, Value>, actor: Actor) -> Result<Category> {
    const UPDATE: &str = "
        UPDATE categories SET slug = $2, parent_id = $3, name = $4, description = $5, position = $6, ncm = $7, cfop = $8, origin = $9, tax = $10,
               updated_at = now() WHERE id = $1";
    lock_writers(tx).await?;
    let before = standing(tx, name).await?;
    let mut whole = object(row_of(&before));
    for name in READ_ONLY {
        changes.remove(name);
        whole.remove(name);
    }
    whole.extend(changes);
    let input: CategoryInput = parse_value(Value::Object(whole))?;
    check(&input)?;
    ncm::check(tx, input.ncm.as_deref(), before.ncm.as_deref()).await?;
    let slug = input.slug.clone().unwrap_or_else(|| before.slug.clone());
    write(tx, UPDATE, before.id, &slug, &input).await?;
    let category = standing(tx, &before.id.to_string()).await?;
    audit_log::record(tx, actor, Action::CategoryUpdate, &before.id.to_string(), Some(row_of(&before)), Some(row_of(&category)))
        .await?;
    Ok(category)
}

/// Only an empty one: 409 while products or children remain. The caller commits, and evicts the cache.
pub async fn delete(tx: &Transaction<'_>, name: &str, actor: Actor) -> Result<()> {
    const IN_USE: &str = "
        SELECT EXISTS (SELECT FROM categories WHERE parent_id = $1) AS has_children,
               EXISTS (SELECT FROM products WHERE category_id = $1 AND deleted_at IS NULL) AS has_products";
    // Deleted products are kept for the orders that name them; they must not block the deletion of their category.
    const CLEAR_CATEGORY: &str = "UPDATE products SET category_id = NULL WHERE category_id = $1 AND deleted_at IS NOT NULL";
    lock_writers(tx).await?;
    let before = standing(tx, name).await?;
    let in_use = db::query_one(tx, IN_USE, &[&before.id]).await?;
    if in_use.get("has_children") {
        return Err(Error::Conflict("The category has subcategories: move or delete them first".into()));
    }
    if in_use.get("has_products") {
        return Err(Error::Conflict("The category has products: move or delete them first".into()));
    }
    db::execute(tx, CLEAR_CATEGORY, &[&before.id]).await?;
    db::execute(tx, "DELETE FROM categories WHERE id = $1", &[&before.id]).await?;
    audit_log::record(tx, actor, Action::CategoryDelete, &before.id.to_string(), Some(row_of(&before)), None).await
}

async fn write(tx: &Transaction<'_>, sql: &str, id: CategoryId, slug: &str, input: &CategoryInput) -> Result<()> {
    if slug.parse::<Uuid>().is_ok() {
        return Err(Error::field("slug", "must not look like an id"));
    }
    let CategoryInput { parent_id, name, description, position, ncm, cfop, origin, tax, .. } = input;
    let tax = Json(tax);
    let row: [&(dyn ToSql + Sync); 10] = [&id, &slug, parent_id, name, description, position, ncm, cfop, origin, &tax];
    db::execute(tx, sql, &row).await.map_err(explain)?;
    let all = categories::all(tx).await?;
    if all.len() > MAX {
        return Err(Error::Conflict(format!("There are {MAX} categories: that is the most")));
    }
    if categories::depth(&categories::tree(all)) > MAX_DEPTH {
        return Err(Error::field("parent_id", format!("would hang deeper than {MAX_DEPTH} levels")));
    }
    Ok(())
}

fn explain(error: Error) -> Error {
    let Error::Database(cause) = &error else { return error };
    match broken_constraint(cause) {
        Some("categories_slug_key") => Error::Conflict("Another category has this slug".into()),
        Some("categories_parent_id_fkey") => Error::field("parent_id", "there is no such category"),
        Some("categories_no_cycle" | "categories_not_its_own") => {
            Error::field("parent_id", "would hang the category below itself")
        }
        _ => error,
    }
}

async fn standing(tx: &Transaction<'_>, name: &str) -> Result<Category> {
    let tree = categories::tree(categories::all(tx).await?);
    categories::find(&tree, name).cloned().ok_or(Error::NotFound("The category"))
}

/// The category's own fields, as the audit log keeps them.
fn row_of(category: &Category) -> Value {
    json!(Category { path: Vec::new(), children: Vec::new(), ..category.clone() })
}
