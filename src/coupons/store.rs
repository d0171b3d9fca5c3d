//! The SQL of coupons for admins.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::Coupon;
use crate::db::{self, insert, sql};
use crate::error::{Error, Result, broken_constraint};
use crate::http::page::{self, List};
use crate::ids::CouponId;

/// What [`known`] reads.
const COLUMNS: &str = "
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at";

/// A row as the administration sees it.
fn known(row: &Row) -> (Coupon, Times) {
    (Coupon::from_row(row), Times { created_at: row.get("created_at"), updated_at: row.get("updated_at") })
}

#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub created_at: jiff::Timestamp,
    pub updated_at: jiff::Timestamp,
}

/// Newest first. The cursor is the last id of the page before; `q` is the beginning of a code.
pub async fn list_coupons(
    db: &impl GenericClient,
    (limit, offset): (i64, i64),
    after: Option<CouponId>,
    q: Option<&str>,
) -> Result<List<(Coupon, Times)>> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM coupons
           WHERE (id < $3 OR $3::uuid IS NULL) AND ($4::text IS NULL OR starts_with(code, $4))
           ORDER BY id DESC LIMIT $1 OFFSET $2"
    );
    const TOTAL: &str = "SELECT count(*) FROM coupons WHERE $1::text IS NULL OR starts_with(code, $1)";
    let one_more = limit + 1; // tells whether there is a next page
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&one_more, &offset, &after, &q];
    let of_total: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&q];
    let (rows, total) = tokio::try_join!(db::query(db, LIST, &params), db::query_one(db, TOTAL, &of_total))?;
    let mut items: Vec<_> = rows.iter().map(known).collect();
    let has_more = items.len() as i64 > limit;
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next_cursor = items.last().filter(|_| has_more).map(|(coupon, _)| page::cursor_of(&coupon.id));
    Ok(List { items, total: total.get(0), limit, offset, next_cursor })
}

pub async fn find_coupon(db: &impl GenericClient, id: CouponId) -> Result<(Coupon, Times)> {
    const FIND: &str = sql!("SELECT ", COLUMNS, " FROM coupons WHERE id = $1");
    let row = db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The coupon"))?;
    Ok(known(&row))
}

/// The coupon, locked until the transaction ends: no checkout can use it meanwhile.
pub async fn lock_coupon(tx: &impl GenericClient, id: CouponId) -> Result<(Coupon, Times)> {
    const LOCK: &str = sql!("SELECT ", COLUMNS, " FROM coupons WHERE id = $1 FOR UPDATE");
    let row = db::query_opt(tx, LOCK, &[&id]).await?.ok_or(Error::NotFound("The coupon"))?;
    Ok(known(&row))
}

pub async fn insert_coupon(tx: &impl GenericClient, new: &Coupon) -> Result<(Coupon, Times)> {
    let row = insert!("coupons" {
        id: new.id,
        code: new.code,
        kind: new.kind.as_str(),
        value: new.value,
        min_subtotal_cents: new.min_subtotal,
        max_discount_cents: new.max_discount,
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        max_uses: new.max_uses,
        max_uses_per_customer: new.max_uses_per_customer,
        active: new.active,
    } "RETURNING", COLUMNS);
    Ok(known(&written(db::query_one(tx, row.sql, &row.values).await)?))
}

/// Writes all fields but the count of uses. Call it while holding the coupon's lock.
pub async fn update_coupon(tx: &impl GenericClient, changed: &Coupon) -> Result<(Coupon, Times)> {
    const UPDATE: &str = sql!(
        "UPDATE coupons
            SET code = $2, kind = $3, value = $4, min_subtotal_cents = $5, max_discount_cents = $6, starts_at = $7, ends_at = $8,
                max_uses = $9, max_uses_per_customer = $10, active = $11, updated_at = now()
          WHERE id = $1 RETURNING ",
        COLUMNS
    );
    let c = changed;
    let row = db::query_one(
        tx,
        UPDATE,
        &[
            &c.id,
            &c.code,
            &c.kind.as_str(),
            &c.value,
            &c.min_subtotal,
            &c.max_discount,
            &c.starts_at,
            &c.ends_at,
            &c.max_uses,
            &c.max_uses_per_customer,
            &c.active,
        ],
    )
    .await;
    Ok(known(&written(row)?))
}

fn written(row: Result<Row>) -> Result<Row> {
    match row {
        Err(Error::Database(e)) if broken_constraint(&e) == Some("coupons_code_key") => {
            Err(Error::Conflict("There is already a coupon with this code".into()))
        }
        row => row,
    }
}

/// Removes a coupon without uses. `false`: it has been used, and orders refer to it. Call it while holding the coupon's lock.
pub async fn delete_unused(tx: &impl GenericClient, id: CouponId) -> Result<bool> {
    const DELETE: &str = "
        DELETE FROM coupons c
         WHERE id = $1 AND uses = 0
           AND NOT EXISTS (SELECT FROM coupon_persons p WHERE p.coupon_id = c.id)
           AND NOT EXISTS (SELECT FROM orders o WHERE o.coupon_id = c.id)";
    Ok(db::execute(tx, DELETE, &[&id]).await? == 1)
}
