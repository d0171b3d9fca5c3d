//! Categories as the database has them. There are few, so all are read and made into a tree here.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Category, Crumb};
use crate::db;
use crate::error::Result;
use crate::ids::CategoryId;
use crate::tax::TaxData;

/// Most categories that a shop may have: all of them are read for every tree.
pub const MAX: usize = 5_000;
pub const MAX_DEPTH: usize = 8;

/// Every category, each without path and children yet.
pub async fn all(db: &impl GenericClient) -> Result<Vec<Category>> {
    const ALL: &str = "
        SELECT id, parent_id, slug, name, description, position, ncm, cfop, origin, tax, created_at, updated_at
          FROM categories ORDER BY position, plain(name), id";
    Ok(db::query(db, ALL, &[]).await?.iter().map(category).collect())
}

fn category(row: &Row) -> Category {
    Category {
        id: row.get("id"),
        parent_id: row.get("parent_id"),
        slug: row.get("slug"),
        name: row.get("name"),
        description: row.get("description"),
        position: row.get("position"),
        ncm: row.get("ncm"),
        cfop: row.get("cfop"),
        origin: row.get("origin"),
        tax: TaxData::kept(row.get("tax")),
        path: Vec::new(),
        children: Vec::new(),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// The roots, with all that hangs below them.
pub fn tree(all: Vec<Category>) -> Vec<Category> {
    let mut by_parent: HashMap<Option<CategoryId>, Vec<Category>> = HashMap::new();
    for category in all {
        by_parent.entry(category.parent_id).or_default().push(category);
    }
    subtree(None, &[], &mut by_parent)
}

/// Recursion ends: every call takes its categories out of the map.
fn subtree(parent: Option<CategoryId>, path: &[Crumb], rest: &mut HashMap<Option<CategoryId>, Vec<Category>>) -> Vec<Category> {
    let mut branch = rest.remove(&parent).unwrap_or_default();
    for category in &mut branch {
        category.path = path.to_vec();
        category.path.push(Crumb { id: category.id, slug: category.slug.clone(), name: category.name.clone() });
        category.children = subtree(Some(category.id), &category.path, rest);
    }
    branch
}

/// One category of a tree, by id or slug.
pub fn find<'a>(tree: &'a [Category], name: &str) -> Option<&'a Category> {
    let id = name.parse::<Uuid>().ok();
    tree.iter().find_map(|category| {
        let is_it = id == Some(category.id.0) || category.slug == name;
        if is_it { Some(category) } else { find(&category.children, name) }
    })
}

/// The number of levels.
pub fn depth(tree: &[Category]) -> usize {
    tree.iter().map(|category| 1 + depth(&category.children)).max().unwrap_or(0)
}

/// The ids of a category, named by id or slug, and of its descendants. Empty: there is no such category.
pub async fn branch(db: &impl GenericClient, name: &str) -> Result<Vec<CategoryId>> {
    const BRANCH: &str = "
        WITH RECURSIVE branch AS (
            SELECT id FROM categories WHERE id = $1 OR slug = $2
            UNION SELECT c.id FROM categories c JOIN branch b ON c.parent_id = b.id)
        SELECT id FROM branch";
    let id = name.parse::<Uuid>().ok();
    Ok(db::query(db, BRANCH, &[&id, &name]).await?.iter().map(|row| row.get("id")).collect())
}
