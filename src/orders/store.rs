//! The SQL of orders. Every query that shows an order names its viewer.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::view::{COLUMNS, OrderLine, OrderView};
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;

/// The order with its lines, if this viewer may see it.
pub async fn find_order(db: &impl GenericClient, order: OrderId, viewer: Viewer, public_url: &str) -> Result<Option<OrderView>> {
    let sql = format!("SELECT {COLUMNS} FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)");
    let (all, user) = viewer.scope();
    let Some(row) = db::query_opt(db, &sql, &[&order, &all, &user]).await? else { return Ok(None) };
    let lines = list_lines(db, &[order]).await?;
    let items = lines.iter().map(OrderLine::from_row).collect();
    Ok(Some(OrderView::from_row(&row, items, public_url)?))
}

/// The lines of these orders, in order.
pub async fn list_lines(db: &impl GenericClient, orders: &[OrderId]) -> Result<Vec<Row>> {
    const LINES: &str = "
        SELECT order_id, id, product_id, variant_id, sku, name, variant_name, image_url, quantity, unit_price_cents, line_total_cents,
               discount_cents
          FROM order_lines WHERE order_id = ANY($1) ORDER BY order_id, position";
    db::query(db, LINES, &[&orders]).await
}

/// What a list of orders may be narrowed by. The viewer is not optional.
#[derive(Debug, Default)]
pub struct Filter {
    pub status: Option<OrderStatus>,
    pub payment_status: Option<OrderPaymentStatus>,
    /// Order number, tracking number, e-mail, or the start of a name.
    pub q: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// Newest first; `after` is the last id of the page before.
pub async fn list_orders(
    db: &impl GenericClient,
    viewer: Viewer,
    filter: &Filter,
    limit: i64,
    offset: i64,
    after: Option<OrderId>,
    public_url: &str,
) -> Result<(Vec<OrderView>, i64)> {
    let (all, user) = viewer.scope();
    let text = filter.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    let (exact, email) = (text.map(str::to_uppercase), text.map(str::to_lowercase));
    let name = text.map(|q| format!("{}%", q.to_lowercase().replace(['%', '_', '\\'], "")));
    let mut conditions =
        vec![if all { "($1::bool AND $2::uuid IS NULL)" } else { "(NOT $1::bool AND o.user_id = $2)" }.to_owned()];
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&all, &user];
    let mut narrow = |condition: &str, param| {
        params.push(param);
        conditions.push(condition.replace('?', &format!("${}", params.len())));
    };
    if let Some(status) = &filter.status {
        narrow("o.status = ?", status);
    }
    if let Some(status) = &filter.payment_status {
        narrow("o.payment_status = ?", status);
    }
    if let Some(from) = &filter.from {
        narrow("o.created_at >= ?", from);
    }
    if let Some(to) = &filter.to {
        narrow("o.created_at < ?", to);
    }
    if let (Some(exact), Some(email), Some(name)) = (&exact, &email, &name) {
        narrow("(o.number = ? ", exact);
        narrow("OR upper(o.tracking_number) = ? ", exact);
        narrow("OR o.customer_email = ? ", email);
        narrow("OR lower(o.customer_name) LIKE ?)", name);
    }
    let mut narrowed = String::new();
    for (i, condition) in conditions.iter().enumerate() {
        let joined = i == 0 || condition.starts_with("OR ");
        narrowed.push_str(if joined { " " } else { " AND " });
        narrowed.push_str(condition);
    }
    let count_sql = format!("SELECT count(*) FROM orders o WHERE {narrowed}");
    let count_params = params.clone();
    let next = params.len() + 1;
    let page_sql = format!(
        "SELECT {COLUMNS} FROM orders o WHERE {narrowed} AND (${next}::uuid IS NULL OR o.id < ${next}) ORDER BY o.id DESC LIMIT ${} OFFSET ${}",
        next + 1,
        next + 2
    );
    params.extend([&after as &(dyn ToSql + Sync), &limit, &offset]);
    let (total, rows) =
        futures_util::future::try_join(db::query_one(db, &count_sql, &count_params), db::query(db, &page_sql, &params)).await?;
    let ids: Vec<OrderId> = rows.iter().map(|row| row.get("id")).collect();
    let lines = list_lines(db, &ids).await?;
    let orders = rows
        .iter()
        .map(|row| {
            let id: OrderId = row.get("id");
            let items = lines.iter().filter(|line| line.get::<_, OrderId>("order_id") == id).map(OrderLine::from_row).collect();
            OrderView::from_row(row, items, public_url)
        })
        .collect::<Result<_>>()?;
    Ok((orders, total.get(0)))
}
