//! The SQL of coupons for admins.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::Coupon;
use crate::db::{self, insert, sql};
use crate::error::database::broken_constraint;
use crate::error::{Error, Result};
use crate::http::list::{Place, last_letter, list_page};
use crate::http::page::List;
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

/// Newest first. `q` is the beginning of a code; case and accents do not matter.
pub async fn list_coupons(db: &impl GenericClient, place: &Place<CouponId>, q: Option<&str>) -> Result<List<(Coupon, Times)>> {
    const ALL: &str =
        sql!("SELECT ", COLUMNS, " FROM coupons WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
    const COUNT_ALL: &str = "SELECT count(*) FROM (SELECT FROM coupons LIMIT $1) counted";
    // Statements of their own: with an OR for "all" a kept plan could not use the index of the codes.
    const BEGINNING: &str = "
        WITH found AS MATERIALIZED (
            SELECT id FROM coupons WHERE code ~>=~ upper(plain($1)) AND code ~<~ (upper(plain($1)) || $2))";
    const LIST: &str = sql!(
        BEGINNING,
        " SELECT ",
        COLUMNS,
        " FROM coupons WHERE id = ANY(ARRAY(SELECT found.id FROM found)) AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC LIMIT $4 OFFSET $5"
    );
    const COUNT: &str = sql!(BEGINNING, " SELECT count(*) FROM (SELECT FROM found LIMIT $3) counted");
    let read = |row: &Row| {
        let (coupon, times) = known(row);
        (coupon.id, (coupon, times))
    };
    match q {
        Some(q) => list_page(db, (LIST, COUNT), &[&q, &last_letter()], place, read).await,
        None => list_page(db, (ALL, COUNT_ALL), &[], place, read).await,
    }
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
