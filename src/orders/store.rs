//! The SQL of orders. Every query that shows an order names its viewer.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::view::{COLUMNS, OrderLine, OrderView};
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::OrderId;
use crate::sale::viewer::Viewer;

/// The order with its lines, if this viewer may see it.
pub async fn find_order(db: &impl GenericClient, order: OrderId, viewer: Viewer, public_url: &str) -> Result<Option<OrderView>> {
    const FIND: &str = sql!("SELECT ", COLUMNS, " FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)");
    let (all, user) = viewer.scope();
    let Some(row) = db::query_opt(db, FIND, &[&order, &all, &user]).await? else { return Ok(None) };
    let lines = list_lines(db, &[order]).await?;
    let items = lines.iter().map(OrderLine::from_row).collect();
    Ok(Some(OrderView::from_row(&row, items, public_url)?))
}

/// The lines of these orders, each order's by position.
pub async fn list_lines(db: &impl GenericClient, orders: &[OrderId]) -> Result<Vec<Row>> {
    const LINES: &str = "
        SELECT order_id, id, product_id, variant_id, sku, name, variant_name, image_url, quantity, unit_price_cents, line_total_cents,
               discount_cents
          FROM order_lines WHERE order_id = ANY($1) ORDER BY order_id, position";
    db::query(db, LINES, &[&orders]).await
}
