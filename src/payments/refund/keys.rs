//! The keys by which a provider knows a refund. A refund keeps its key on every try. It gets another one only where the provider made
//! it under that key and it failed there: the key is used up. Earlier keys are remembered, because news of them still come.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::sale::states::RefundStatus;

/// A refund of ours, by a name that a provider has for it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub id: RefundId,
    pub status: RefundStatus,
    /// The key that the name stands for, if it is not the refund's present one.
    pub earlier: Option<Uuid>,
}

/// The refund of a payment that has this key, or that the provider calls so.
pub async fn find_of_payment(
    db: &impl GenericClient,
    payment: PaymentId,
    key: Option<Uuid>,
    reference: &str,
) -> Result<Option<Known>> {
    const PRESENT: &str = "
        SELECT id, status FROM refunds WHERE payment_id = $1 AND (key = $2 OR provider_ref = $3) ORDER BY id LIMIT 1";
    const EARLIER: &str = "
        SELECT r.id, r.status, k.key FROM refund_keys k JOIN refunds r ON r.id = k.refund_id
         WHERE r.payment_id = $1 AND (k.key = $2 OR k.provider_ref = $3) ORDER BY r.id LIMIT 1";
    if let Some(row) = db::query_opt(db, PRESENT, &[&payment, &key, &reference]).await? {
        return Ok(Some(Known { id: row.get("id"), status: row.try_get("status")?, earlier: None }));
    }
    let Some(row) = db::query_opt(db, EARLIER, &[&payment, &key, &reference]).await? else { return Ok(None) };
    Ok(Some(Known { id: row.get("id"), status: row.try_get("status")?, earlier: Some(row.get("key")) }))
}

/// A refund made with that provider, by a key, and the payment that it is of.
pub async fn find(db: &impl GenericClient, provider: &str, key: Uuid) -> Result<Option<(PaymentId, Known)>> {
    const FIND: &str = "
        SELECT r.payment_id, r.id, r.status, r.key <> $2 AS is_earlier
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE p.provider = $1 AND (r.key = $2 OR r.id = (SELECT refund_id FROM refund_keys WHERE key = $2))";
    let Some(row) = db::query_opt(db, FIND, &[&provider, &key]).await? else { return Ok(None) };
    let earlier = row.get::<_, bool>("is_earlier").then_some(key);
    Ok(Some((row.get("payment_id"), Known { id: row.get("id"), status: row.try_get("status")?, earlier })))
}

/// Whether it was made, and came back. News that it was made may still come then.
pub async fn came_back(db: &impl GenericClient, id: RefundId) -> Result<bool> {
    const ASK: &str = "SELECT EXISTS (SELECT FROM money_movements WHERE refund_id = $1 AND kind = 'refund_back')";
    Ok(db::query_one(db, ASK, &[&id]).await?.get(0))
}

/// The present key becomes an earlier one, and the refund gets a new one, under which nothing was asked yet. Its row is locked.
pub async fn take_another(tx: &impl GenericClient, id: RefundId) -> Result<()> {
    const TAKE: &str = "UPDATE refunds SET key = $2, provider_ref = NULL, tries = 0 WHERE id = $1";
    leave(tx, id).await?;
    db::execute(tx, TAKE, &[&id, &Uuid::now_v7()]).await?;
    Ok(())
}

/// The other way round: what was made under an earlier key is what the refund is. Its row is locked.
pub async fn go_back_to(tx: &impl GenericClient, id: RefundId, earlier: Uuid) -> Result<()> {
    const GO_BACK: &str = "
        WITH taken AS (DELETE FROM refund_keys WHERE key = $2 AND refund_id = $1 RETURNING key, provider_ref)
        UPDATE refunds r SET key = taken.key, provider_ref = taken.provider_ref, tries = greatest(r.tries, 1) FROM taken WHERE r.id = $1";
    leave(tx, id).await?;
    db::execute(tx, GO_BACK, &[&id, &earlier]).await?;
    Ok(())
}

async fn leave(tx: &impl GenericClient, id: RefundId) -> Result<()> {
    const LEAVE: &str =
        "INSERT INTO refund_keys (key, refund_id, provider_ref) SELECT key, id, provider_ref FROM refunds WHERE id = $1";
    db::execute(tx, LEAVE, &[&id]).await?;
    Ok(())
}
