//! Nobody pays more than they were shown; less they may.

use tokio_postgres::Row;
use vitrine_kit::Money;

use crate::error::{Error, Result};

/// Errors: [`Error::PriceChanged`], a line costs more than the cart last showed.
pub(super) fn check_lines(rows: &[Row]) -> Result<()> {
    let price = |row: &Row, column| row.get::<_, Money>(column);
    match rows.iter().find(|row| price(row, "price_cents") > price(row, "shown_price_cents")) {
        Some(row) => {
            let (name, now, before) = (row.get::<_, &str>("name"), price(row, "price_cents"), price(row, "shown_price_cents"));
            changed(format!("{name} now costs {now} instead of {before}"))
        }
        None => Ok(()),
    }
}

/// All lines with their discount: the cart's coupon may be gone by now, or give less. Sums are compared, because a discount also shrinks
/// with a price that fell.
///
/// Errors: [`Error::PriceChanged`], they cost more than the cart last showed.
pub(super) fn check_goods(cart: &Row, rows: &[Row], subtotal: Money, discount: Money) -> Result<()> {
    let less = |sum: Money, discount| sum.checked_sub(discount).unwrap_or_default().max(Money::ZERO);
    let Some(shown) = goods(rows, "shown_price_cents") else { return Ok(()) };
    let (before, now) = (less(shown, cart.get("shown_discount_cents")), less(subtotal, discount));
    if now > before {
        changed(format!("The goods now cost {now} instead of {before}, with what the coupon gives"))
    } else {
        Ok(())
    }
}

/// Errors: [`Error::PriceChanged`], the order costs more than the client said that the buyer expects.
pub(super) fn check_expected(expected: Option<i64>, total: Money) -> Result<()> {
    match expected.map(Money::from_cents) {
        Some(expected) if total > expected => changed(format!("The order costs {total} instead of {expected}")),
        _ => Ok(()),
    }
}

/// The sum over the lines at this column's prices; `None`: it does not fit.
pub(super) fn goods(rows: &[Row], price: &str) -> Option<Money> {
    let line = |row: &Row| row.get::<_, Money>(price).times(row.get::<_, i32>("quantity").unsigned_abs());
    rows.iter().map(line).collect::<Option<Vec<_>>>().and_then(Money::sum)
}

fn changed(why: String) -> Result<()> {
    Err(Error::PriceChanged { why, cart: None })
}
