//! The row of a dispute, and its SQL.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use vitrine_kit::Money;
use vitrine_kit::dispute::Dispute as Theirs;

use crate::db::{self, insert, sql};
use crate::error::Result;
use crate::ids::{DisputeId, OrderId, PaymentId};
use crate::sale::states::{DisputeStage, DisputeState};

/// A row of `disputes`.
#[derive(Debug, Clone)]
pub(super) struct Dispute {
    pub id: DisputeId,
    pub payment_id: PaymentId,
    pub provider: String,
    pub reference: String,
    pub stage: DisputeStage,
    pub state: DisputeState,
    pub amount: Option<Money>,
    pub reason: String,
    pub due_by: Option<Timestamp>,
    pub evidence_ref: Option<String>,
    /// When stage or state last changed here.
    pub moved_at: Timestamp,
    /// It has not moved for thirty days.
    pub is_stuck: bool,
    pub closed_by: Option<String>,
}

impl Dispute {
    /// An administrator ended it.
    pub fn is_settled_by_hand(&self) -> bool {
        self.closed_by.as_ref().is_some_and(|by| by.starts_with("admin:"))
    }
}

/// What [`dispute_of`] reads.
const DISPUTE: &str = "
    SELECT d.id, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.amount_cents, d.reason, d.due_by, d.evidence_ref,
           d.moved_at, d.moved_at < now() - interval '30 days' AS is_stuck, d.closed_by
      FROM disputes d ";

fn dispute_of(row: &Row) -> Result<Dispute> {
    Ok(Dispute {
        id: row.get("id"),
        payment_id: row.get("payment_id"),
        provider: row.get("provider"),
        reference: row.get("provider_ref"),
        stage: row.try_get("stage")?,
        state: row.try_get("state")?,
        amount: row.get("amount_cents"),
        reason: row.get("reason"),
        due_by: row.get("due_by"),
        evidence_ref: row.get("evidence_ref"),
        moved_at: row.get("moved_at"),
        is_stuck: row.get("is_stuck"),
        closed_by: row.get("closed_by"),
    })
}

/// By the provider's name for it. Lock its order and payment first.
pub(super) async fn lock_by_ref(tx: &impl GenericClient, provider: &str, reference: &str) -> Result<Option<Dispute>> {
    const LOCK: &str = sql!(DISPUTE, "WHERE d.provider = $1 AND d.provider_ref = $2 FOR NO KEY UPDATE");
    db::query_opt(tx, LOCK, &[&provider, &reference]).await?.as_ref().map(dispute_of).transpose()
}

/// The payment of a dispute that is known.
pub(super) async fn find_payment(db: &impl GenericClient, provider: &str, reference: &str) -> Result<Option<PaymentId>> {
    const FIND: &str = "SELECT payment_id FROM disputes WHERE provider = $1 AND provider_ref = $2";
    Ok(db::query_opt(db, FIND, &[&provider, &reference]).await?.map(|row| row.get("payment_id")))
}

/// One dispute under its lock. Lock its order and payment first.
pub(super) async fn lock(tx: &impl GenericClient, id: DisputeId) -> Result<Option<Dispute>> {
    const LOCK: &str = sql!(DISPUTE, "WHERE d.id = $1 FOR NO KEY UPDATE");
    db::query_opt(tx, LOCK, &[&id]).await?.as_ref().map(dispute_of).transpose()
}

/// One dispute, to find its payment by or to ask its provider about.
pub(super) async fn find(db: &impl GenericClient, id: DisputeId) -> Result<Option<Dispute>> {
    const FIND: &str = sql!(DISPUTE, "WHERE d.id = $1");
    db::query_opt(db, FIND, &[&id]).await?.as_ref().map(dispute_of).transpose()
}

/// Writes the row of a dispute that was not known.
pub(super) async fn insert(
    tx: &impl GenericClient,
    (payment, order): (PaymentId, OrderId),
    provider: &str,
    theirs: &Theirs,
    (stage, state): (DisputeStage, DisputeState),
    closed_by: Option<&str>,
) -> Result<DisputeId> {
    let id = DisputeId::new();
    let now = Timestamp::now();
    let row = insert!("disputes" {
        id: id,
        payment_id: payment,
        order_id: order,
        provider: provider,
        provider_ref: theirs.reference,
        stage: stage,
        state: state,
        amount_cents: theirs.amount.filter(|amount| *amount > Money::ZERO),
        word: theirs.status,
        reason: theirs.reason,
        due_by: theirs.due_by,
        evidence_ref: theirs.evidence_ref,
        opened_at: theirs.opened_at.unwrap_or(now),
        closed_at: closed_by.map(|_| now),
        closed_by: closed_by,
    });
    db::execute(tx, row.sql, &row.values).await?;
    Ok(id)
}

/// It stands elsewhere now. `closed_by`: who ended it, where it has ended.
pub(super) async fn mark_moved(
    tx: &impl GenericClient,
    id: DisputeId,
    (stage, state): (DisputeStage, DisputeState),
    closed_by: Option<&str>,
) -> Result<()> {
    const MARK: &str = "
        UPDATE disputes SET stage = $2, state = $3, moved_at = clock_timestamp(),
               closed_at = CASE WHEN $4::text IS NOT NULL THEN coalesce(closed_at, now()) END, closed_by = $4
         WHERE id = $1";
    db::execute(tx, MARK, &[&id, &stage, &state, &closed_by]).await?;
    Ok(())
}

/// Takes over what they say beside the state. The amount is what it was once the money has moved by it.
pub(super) async fn keep_facts(tx: &impl GenericClient, id: DisputeId, theirs: &Theirs) -> Result<()> {
    const KEEP: &str = "
        UPDATE disputes SET word = CASE WHEN $2 = '' THEN word ELSE $2 END, reason = CASE WHEN $3 = '' THEN reason ELSE $3 END,
               amount_cents = CASE WHEN state = 'lost' THEN amount_cents ELSE coalesce($4, amount_cents) END,
               due_by = coalesce($5, due_by), evidence_ref = coalesce($6, evidence_ref), opened_at = coalesce($7, opened_at)
         WHERE id = $1";
    let amount = theirs.amount.filter(|amount| *amount > Money::ZERO);
    let facts = (&theirs.status, &theirs.reason, &theirs.due_by, &theirs.evidence_ref, &theirs.opened_at);
    db::execute(tx, KEEP, &[&id, facts.0, facts.1, &amount, facts.2, facts.3, facts.4]).await?;
    Ok(())
}

/// What an administrator says of it.
pub(super) async fn note_settlement(tx: &impl GenericClient, id: DisputeId, amount: Option<Money>, note: &str) -> Result<()> {
    const NOTE: &str = "UPDATE disputes SET note = $2, amount_cents = coalesce($3, amount_cents) WHERE id = $1";
    db::execute(tx, NOTE, &[&id, &note, &amount]).await?;
    Ok(())
}

/// The entry of their list of refunds by which it took the money.
pub(super) async fn keep_return(tx: &impl GenericClient, provider: &str, reference: &str, return_ref: &str) -> Result<()> {
    const KEEP_RETURN: &str =
        "UPDATE disputes SET return_ref = $3 WHERE provider = $1 AND provider_ref = $2 AND return_ref IS NULL";
    db::execute(tx, KEEP_RETURN, &[&provider, &reference, &return_ref]).await?;
    Ok(())
}

/// A dispute of that payment took its money by that entry.
pub(super) async fn knows_return(db: &impl GenericClient, payment: PaymentId, return_ref: &str) -> Result<bool> {
    const ASK: &str = "SELECT EXISTS (SELECT FROM disputes WHERE payment_id = $1 AND return_ref = $2)";
    Ok(db::query_one(db, ASK, &[&payment, &return_ref]).await?.get(0))
}

/// An entry of that amount is the one by which a lost dispute took its money. `false`: no dispute of that payment lacks it.
pub(super) async fn match_return(tx: &impl GenericClient, payment: PaymentId, amount: Money, return_ref: &str) -> Result<bool> {
    const MATCH: &str = "
        UPDATE disputes SET return_ref = $3
         WHERE id = (SELECT id FROM disputes WHERE payment_id = $1 AND state = 'lost' AND amount_cents = $2 AND return_ref IS NULL
                      ORDER BY id LIMIT 1)";
    Ok(db::execute(tx, MATCH, &[&payment, &amount, &return_ref]).await? == 1)
}

/// A dispute of that payment can still take its money.
pub(super) async fn holds_money(db: &impl GenericClient, payment: PaymentId) -> Result<bool> {
    const ASK: &str = "
        SELECT EXISTS (SELECT FROM disputes WHERE payment_id = $1 AND stage = 'contested' AND state IN ('open', 'under_review', 'unclear'))";
    Ok(db::query_one(db, ASK, &[&payment]).await?.get(0))
}

/// Payments of a provider whose disputes have not ended, those first that have not moved for longest.
pub(super) async fn list_open_payments(db: &impl GenericClient, provider: &str, most: i64) -> Result<Vec<PaymentId>> {
    const LIST: &str = "
        SELECT payment_id FROM disputes WHERE provider = $1 AND closed_at IS NULL GROUP BY 1 ORDER BY min(moved_at) LIMIT $2";
    Ok(db::query(db, LIST, &[&provider, &most]).await?.iter().map(|row| row.get("payment_id")).collect())
}

/// A dispute that may have got lost at its provider.
pub(super) struct Stuck {
    pub provider: String,
    pub reference: String,
    pub order_id: OrderId,
    pub order_number: String,
}

/// Open disputes that have not moved for thirty days, and that nobody was told of in the last week. Of unclear ones the audit tells.
pub(super) async fn list_stuck(db: &impl GenericClient, most: i64) -> Result<Vec<Stuck>> {
    const STUCK: &str = "
        SELECT d.provider, d.provider_ref, d.order_id, o.number FROM disputes d JOIN orders o ON o.id = d.order_id
         WHERE d.closed_at IS NULL AND d.state <> 'unclear' AND d.moved_at < now() - interval '30 days'
           AND NOT EXISTS (SELECT FROM alerts a WHERE a.key = 'dispute-stays-open:' || d.provider_ref AND a.last_at > now() - interval '7 days')
         ORDER BY d.moved_at LIMIT $1";
    let stuck = |row: &Row| Stuck {
        provider: row.get("provider"),
        reference: row.get("provider_ref"),
        order_id: row.get("order_id"),
        order_number: row.get("number"),
    };
    Ok(db::query(db, STUCK, &[&most]).await?.iter().map(stuck).collect())
}
