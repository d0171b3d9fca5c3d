//! An administrator sets or changes a stock.

use deadpool_postgres::Transaction;
use garde::Validate;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::product_input::MAX_STOCK;
use super::store;
use crate::audit_log::{self, Action};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{ProductId, VariantId};

/// Either `stock` (what it shall be) or `delta` (by how much it moves), of the default variant or of `variant_id`.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"delta": -2}))]
pub struct StockChange {
    /// The variant. Absent or null: the default one.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<Uuid>)]
    pub variant_id: Option<VariantId>,
    /// How many pieces there shall be. Not together with `delta`.
    #[serde(default)]
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 10000000)]
    pub stock: Option<i32>,
    /// By how many pieces the stock moves; negative: down. Not together with `stock`.
    #[serde(default)]
    #[garde(range(min = -MAX_STOCK, max = MAX_STOCK))]
    #[schema(minimum = -10000000, maximum = 10000000)]
    pub delta: Option<i32>,
}

/// Changes the stock and writes its ledger row; without a change, no row. Returns the product's id. The caller commits, and
/// evicts the cache.
pub async fn change(tx: &Transaction<'_>, product: &str, change: &StockChange, actor: Actor) -> Result<ProductId> {
    const LOCK: &str = "
        SELECT id, sku, stock FROM variants
         WHERE product_id = $1 AND deleted_at IS NULL AND CASE WHEN $2::uuid IS NULL THEN is_default ELSE id = $2 END
           FOR NO KEY UPDATE";
    // One statement, so that the stock is never visible without its ledger row.
    const MOVE: &str = "
        WITH moved AS (UPDATE variants SET stock = stock + $2, updated_at = now() WHERE id = $1 RETURNING id)
        INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) SELECT id, $2, 'adjustment', $3, $4 FROM moved";
    let product = store::get(tx, product, true).await?.id;
    let row = db::query_opt(tx, LOCK, &[&product, &change.variant_id]).await?.ok_or(Error::NotFound("The variant"))?;
    let (id, sku, before): (VariantId, String, i32) = (row.get("id"), row.get("sku"), row.get("stock"));
    let after = match (change.stock, change.delta) {
        (Some(stock), None) => stock,
        (None, Some(delta)) => before + delta, // cannot overflow: both are far below the limits of an i32
        _ => return Err(Error::field("stock", "send either stock or delta")),
    };
    if after < 0 {
        return Err(Error::OutOfStock { sku, available: before });
    }
    if after > MAX_STOCK {
        return Err(Error::field("delta", format!("the stock must not be above {MAX_STOCK}")));
    }
    if after != before {
        db::execute(tx, MOVE, &[&id, &(after - before), &cause::current(), &actor.to_string()]).await?;
        let state = |stock: i32| Some(json!({"variant_id": id, "sku": sku, "stock": stock}));
        audit_log::record(tx, actor, Action::ProductStock, &product.to_string(), state(before), state(after)).await?;
    }
    Ok(product)
}
