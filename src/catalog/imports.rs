//! How far the imports of product tables are, and how they ended. What stands is counted in the transaction that wrote it.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use utoipa::ToSchema;

use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::ids::ImportId;

/// Says so of an import that nobody ended: its server or its client went away.
const BROKEN_OFF: &str = "It was broken off between two batches: send the whole table again";

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Products that the table names.
    #[schema(example = 120, minimum = 0)]
    pub products: usize,
    /// Variants that the table names.
    #[schema(example = 310, minimum = 0)]
    pub variants: usize,
    /// Categories that the table names.
    #[schema(example = 9, minimum = 0)]
    pub categories: usize,
    /// Products that are new.
    #[schema(example = 4, minimum = 0)]
    pub created: usize,
    /// Products that were there and are different now.
    #[schema(example = 17, minimum = 0)]
    pub updated: usize,
    /// Variants that kept their stock though the table has another.
    #[schema(example = 2, minimum = 0)]
    pub stock_kept: usize,
    /// Transactions that it took.
    #[schema(example = 1, minimum = 0)]
    pub batches: usize,
}

impl Imported {
    pub(super) fn add(&mut self, part: &Self) {
        self.products += part.products;
        self.variants += part.variants;
        self.created += part.created;
        self.updated += part.updated;
        self.stock_kept += part.stock_kept;
        self.batches += 1;
    }
}

/// How far an import is: `running`; `done`; `stopped`: what it counts stands, the rest of the table does not.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    Running,
    Done,
    Stopped,
}

/// An import of a product table.
#[derive(Debug, Serialize, ToSchema)]
pub struct Import {
    /// The import.
    pub id: ImportId,
    /// How far it is.
    #[schema(value_type = ImportState)]
    pub state: String,
    /// Products of the table.
    #[schema(example = 120, minimum = 0)]
    pub total: i32,
    /// What stands by now.
    #[serde(flatten)]
    pub imported: Imported,
    /// Why it stopped.
    #[schema(example = "It was broken off between two batches: send the whole table again", required = true)]
    pub error: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When its last batch was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it ended; null: not yet.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub finished_at: Option<Timestamp>,
}

/// What [`Import::of`] reads. No batch takes half an hour: one that was not heard of for so long is over.
const COLUMNS: &str = "
    id, CASE WHEN state = 'running' AND updated_at < now() - interval '30 minutes' THEN 'stopped' ELSE state END AS state, total,
    imported, error, started_at, updated_at, finished_at";

impl Import {
    fn of(row: &Row) -> Self {
        let (state, error): (String, Option<String>) = (row.get("state"), row.get("error"));
        Self {
            id: row.get("id"),
            error: error.or_else(|| (state == "stopped").then(|| BROKEN_OFF.to_owned())),
            state,
            total: row.get("total"),
            imported: row.get::<_, Json<Imported>>("imported").0,
            started_at: row.get("started_at"),
            updated_at: row.get("updated_at"),
            finished_at: row.get("finished_at"),
        }
    }
}

/// Imports, newest first.
pub async fn list_imports(db: &impl GenericClient, place: &Place<ImportId>) -> Result<List<Import>> {
    const LIST: &str =
        sql!("SELECT ", COLUMNS, " FROM product_imports WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
    const COUNT: &str = "SELECT count(*) FROM (SELECT FROM product_imports LIMIT $1) counted";
    list_page(db, (LIST, COUNT), &[], place, |row| (row.get("id"), Import::of(row))).await
}

pub async fn find_import(db: &impl GenericClient, id: ImportId) -> Result<Import> {
    const FIND: &str = sql!("SELECT ", COLUMNS, " FROM product_imports WHERE id = $1");
    Ok(Import::of(&db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The import"))?))
}

pub(super) async fn insert_import(
    db: &impl GenericClient,
    id: ImportId,
    imported: &Imported,
    total: i32,
    actor: Actor,
) -> Result<()> {
    const INSERT: &str = "INSERT INTO product_imports (id, actor, total, imported) VALUES ($1, $2, $3, $4)";
    db::execute(db, INSERT, &[&id, &actor.to_string(), &total, &Json(imported)]).await?;
    Ok(())
}

/// Counts a batch, in its own transaction.
pub(super) async fn count_batch(db: &impl GenericClient, id: ImportId, imported: &Imported) -> Result<()> {
    const COUNT: &str = "UPDATE product_imports SET imported = $2, updated_at = now() WHERE id = $1";
    db::execute(db, COUNT, &[&id, &Json(imported)]).await?;
    Ok(())
}

/// `error`: why it stopped. `None`: it is done.
pub(super) async fn end_import(db: &impl GenericClient, id: ImportId, error: Option<&str>) -> Result<()> {
    const END: &str = "
        UPDATE product_imports SET state = CASE WHEN $2::text IS NULL THEN 'done' ELSE 'stopped' END, error = $2, updated_at = now(),
               finished_at = now()
         WHERE id = $1";
    db::execute(db, END, &[&id, &error]).await?;
    Ok(())
}
