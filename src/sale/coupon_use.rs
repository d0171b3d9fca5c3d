//! The use of a coupon by an order that ends, or that revives. A checkout spends it by `spend_coupon`.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::db;
use crate::error::Result;
use crate::ids::UserId;

/// Takes a use again, where the coupon's limits allow it now. `false`: they do not. The price of the order stays what it was
/// in any case. `person` is the look-up hash of the buyer's CPF or CNPJ, made with the look-up key `key`; `buyer` is
/// the account, and `email` the order's: orders that share any of the three are one customer's. While hashes are being
/// turned to another look-up key (`vitrine rekey`) one hash cannot tell what the person has used: no use is taken then.
pub async fn hold_again(
    tx: &impl GenericClient,
    coupon: Option<Uuid>,
    person: Option<Vec<u8>>,
    key: Option<i16>,
    buyer: Option<UserId>,
    email: Option<&str>,
) -> Result<bool> {
    const HOLD: &str = "
        WITH person AS (
            INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
            SELECT c.id, $2, $3, 1 FROM coupons c
             WHERE c.id = $1 AND (c.max_uses IS NULL OR c.uses < c.max_uses)
               AND (c.max_uses_per_customer IS NULL OR coupon_uses_of(c.id, ARRAY[$2::bytea], $4, $5, NULL) < c.max_uses_per_customer)
               AND NOT EXISTS (SELECT FROM secret_keys k WHERE k.purpose = 'look_up' AND k.turned_at IS NULL)
            ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1
             WHERE p.uses < coalesce((SELECT max_uses_per_customer FROM coupons WHERE id = $1), p.uses + 1)
            RETURNING p.coupon_id)
        UPDATE coupons c SET uses = c.uses + 1 FROM person WHERE c.id = person.coupon_id AND (c.max_uses IS NULL OR c.uses < c.max_uses)";
    const LOCK: &str = "SELECT FROM coupons WHERE id = $1 FOR NO KEY UPDATE";
    let (Some(coupon), Some(person), Some(key)) = (coupon, person, key) else { return Ok(false) };
    db::query_opt(tx, LOCK, &[&coupon]).await?; // under the lock both halves of HOLD read the same counter
    Ok(db::execute(tx, HOLD, &[&coupon, &person, &key, &buyer, &email]).await? == 1)
}

/// Gives a use back.
pub async fn release(tx: &impl GenericClient, coupon: Option<Uuid>, person: Option<Vec<u8>>) -> Result<()> {
    const COUPON: &str = "UPDATE coupons SET uses = uses - 1 WHERE id = $1";
    const PERSON: &str = "UPDATE coupon_persons SET uses = uses - 1 WHERE coupon_id = $1 AND person = $2";
    let Some(coupon) = coupon else { return Ok(()) };
    db::execute(tx, COUPON, &[&coupon]).await?;
    db::execute(tx, PERSON, &[&coupon, &person]).await?;
    Ok(())
}
