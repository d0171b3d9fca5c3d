//! The lines of an order that is placed: what may be sold, how many, for how much, and their columns.

use tokio_postgres::Row;
use vitrine_kit::Money;

use super::limits::OrderLimits;
use super::shown;
use super::view::OrderLine;
use crate::error::{Error, Result};
use crate::ids::{LineId, OrderId, ProductId, VariantId};

/// Before the freight is compared with the lines: a line that is not sold any more has none, and is named.
pub(super) fn check_for_sale(rows: &[Row]) -> Result<()> {
    match rows.iter().find(|row| !row.get::<_, bool>("for_sale")) {
        Some(row) => Err(Error::OutOfStock { sku: row.get("sku"), available: 0 }),
        None => Ok(()),
    }
}

/// How many units the order takes. Errors: a line has more units than one order may.
pub(super) fn units(lines: &[(VariantId, i32)], rows: &[Row], limits: &OrderLimits) -> Result<i32> {
    if let Some(row) = rows.iter().find(|row| !limits.allows_line(row.get("quantity"))) {
        return Err(Error::TooManyOfOne { sku: row.get("sku"), most: limits.units_per_line });
    }
    lines.iter().try_fold(0_i32, |sum, (_, quantity)| sum.checked_add(*quantity)).ok_or_else(too_much)
}

pub(super) fn subtotal(rows: &[Row]) -> Result<Money> {
    shown::goods(rows, "price_cents").ok_or_else(too_much)
}

/// The lines as sold, with the discount divided among them to the last centavo.
pub(super) fn order_lines(rows: &[Row], discount: Money) -> Result<Vec<OrderLine>> {
    let totals: Option<Vec<Money>> =
        rows.iter().map(|row| row.get::<_, Money>("price_cents").times(row.get::<_, i32>("quantity") as u32)).collect();
    let totals = totals.ok_or_else(too_much)?;
    let shares = Money::apportion(discount, &totals);
    let lines = rows.iter().zip(totals).zip(shares).map(|((row, total), share)| OrderLine {
        id: LineId::new(),
        product_id: row.get("product_id"),
        variant_id: row.get("variant_id"),
        sku: row.get("sku"),
        name: row.get("name"),
        variant_name: row.get("variant_name"),
        image_url: row.get("image_url"),
        quantity: row.get("quantity"),
        unit_price_cents: row.get("price_cents"),
        line_total_cents: total,
        discount_cents: share,
    });
    Ok(lines.collect())
}

pub(super) fn too_much() -> Error {
    Error::Conflict("The order is worth more than this shop can sell at once".into())
}

/// The lines, column by column.
pub(super) struct LineColumns<'a> {
    pub(super) ids: Vec<LineId>,
    pub(super) orders: Vec<OrderId>,
    pub(super) positions: Vec<i16>,
    pub(super) products: Vec<ProductId>,
    pub(super) variants: Vec<VariantId>,
    pub(super) skus: Vec<&'a str>,
    pub(super) names: Vec<&'a str>,
    pub(super) variant_names: Vec<&'a str>,
    pub(super) images: Vec<Option<&'a str>>,
    pub(super) quantities: Vec<i32>,
    pub(super) prices: Vec<Money>,
    pub(super) totals: Vec<Money>,
    pub(super) discounts: Vec<Money>,
}

impl<'a> LineColumns<'a> {
    pub(super) fn of(order: OrderId, lines: &'a [OrderLine]) -> Self {
        Self {
            ids: lines.iter().map(|l| l.id).collect(),
            orders: vec![order; lines.len()],
            positions: (1..).take(lines.len()).collect(),
            products: lines.iter().map(|l| l.product_id).collect(),
            variants: lines.iter().map(|l| l.variant_id).collect(),
            skus: lines.iter().map(|l| l.sku.as_str()).collect(),
            names: lines.iter().map(|l| l.name.as_str()).collect(),
            variant_names: lines.iter().map(|l| l.variant_name.as_str()).collect(),
            images: lines.iter().map(|l| l.image_url.as_deref()).collect(),
            quantities: lines.iter().map(|l| l.quantity).collect(),
            prices: lines.iter().map(|l| l.unit_price_cents).collect(),
            totals: lines.iter().map(|l| l.line_total_cents).collect(),
            discounts: lines.iter().map(|l| l.discount_cents).collect(),
        }
    }
}
