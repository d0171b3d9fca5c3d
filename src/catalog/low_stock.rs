//! Low stock: one alert to the operator per variant, when a sale brings it to the shop's limit.

use garde::Validate;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::jobs::Outcome;

/// Time between two checks. Checkout does none of this, so that a hot variant's row is not touched once more.
const EVERY: SignedDuration = SignedDuration::from_mins(5);
/// An alert names this many variants and counts the rest.
const NAMED_MAX: usize = 50;

/// When the shop wants the alert.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"alert_below": 5}))]
pub struct StockSettings {
    /// An alert is sent once a sale leaves this many of a variant, or fewer; 0: never.
    #[garde(range(min = 0, max = 9999))]
    #[schema(minimum = 0, maximum = 9999)]
    pub alert_below: i32,
}

/// Job: one alert for all variants that reached the limit since the last check. A variant that was refilled may alert again.
pub async fn watch(app: &App) -> Result<Outcome> {
    const SETTING: &str = "SELECT value FROM settings WHERE name = 'stock'";
    const FORGET: &str = "
        DELETE FROM stock_alerts a
         WHERE NOT EXISTS (SELECT FROM variants v WHERE v.id = a.variant_id AND v.deleted_at IS NULL AND v.stock <= $1)";
    const TELL: &str = "
        WITH told AS (
            INSERT INTO stock_alerts (variant_id)
            SELECT v.id FROM variants v
             WHERE v.stock <= $1 AND v.deleted_at IS NULL
               AND EXISTS (SELECT FROM stock_movements m WHERE m.variant_id = v.id AND m.reason = 'sale')
            ON CONFLICT DO NOTHING RETURNING variant_id, told_at)
        SELECT v.id, t.told_at, p.name, v.name AS variant, v.sku, v.stock
          FROM told t JOIN variants v ON v.id = t.variant_id JOIN products p ON p.id = v.product_id ORDER BY v.stock, v.sku";
    let again = Ok(Outcome::Again(Timestamp::now() + EVERY));
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let setting: Option<serde_json::Value> = db::query_opt(&tx, SETTING, &[]).await?.map(|row| row.get("value"));
    let mark = setting.and_then(|value| serde_json::from_value::<StockSettings>(value).ok()).unwrap_or_default().alert_below;
    if mark == 0 {
        return again;
    }
    db::execute(&tx, FORGET, &[&mark]).await?;
    let rows = db::query(&tx, TELL, &[&mark]).await?;
    let Some(first) = rows.first() else {
        tx.commit().await?;
        return again;
    };
    let line = |row: &tokio_postgres::Row| {
        let (name, variant, sku, stock): (&str, &str, &str, i32) =
            (row.get("name"), row.get("variant"), row.get("sku"), row.get("stock"));
        let name = if variant.is_empty() || variant == name { name.to_owned() } else { format!("{name} ({variant})") };
        format!("{name}, SKU {sku}: {}", if stock == 0 { "esgotado".to_owned() } else { format!("restam {stock}") })
    };
    let mut text: Vec<String> = rows.iter().take(NAMED_MAX).map(line).collect();
    if rows.len() > NAMED_MAX {
        text.push(format!("e mais {}", rows.len() - NAMED_MAX));
    }
    let key = Key::LowStock { first: first.get("id"), at: first.get("told_at"), count: rows.len() };
    alerts::raise(&tx, Alert::new(key, text.join("\n"))).await?;
    tx.commit().await?;
    again
}
