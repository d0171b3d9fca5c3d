//! The SQL of invoices. Every change of state is a conditional UPDATE and a row in the order's story, under the order's lock.

use deadpool_postgres::GenericClient;
use jiff::SignedDuration;
use serde_json::Value;
use vitrine_kit::fiscal::SeenNfe;
use vitrine_kit::nfe::Environment;
use vitrine_kit::{AccessKey, Money};

use super::invoice::{COLUMNS, Invoice, environment_word, invoice};
use super::problem::{self, Problem};
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{InvoiceId, LineId, OrderId, RefundId};
use crate::sale::history::{Change, record_change};
use crate::sale::locks;
use crate::sale::returned::{Ground, Note};
use crate::sale::states::InvoiceStatus;
use crate::sale::transitions;

pub async fn find(db: &impl GenericClient, id: InvoiceId) -> Result<Option<Invoice>> {
    const FIND: &str = sql!("SELECT ", COLUMNS, " FROM invoices i WHERE i.id = $1");
    db::query_opt(db, FIND, &[&id]).await?.as_ref().map(invoice).transpose()
}

/// The invoice under its order's lock and its own: what is read stays so until the commit.
pub async fn lock(tx: &impl GenericClient, id: InvoiceId) -> Result<Option<Invoice>> {
    const LOCK: &str = sql!("SELECT ", COLUMNS, " FROM invoices i WHERE i.id = $1 FOR NO KEY UPDATE");
    locks::lock_order_of_invoice(tx, id).await?;
    db::query_opt(tx, LOCK, &[&id]).await?.as_ref().map(invoice).transpose()
}

/// The newest sale invoice of an order: the live one, if there is one.
pub async fn sale_of(db: &impl GenericClient, order: OrderId) -> Result<Option<Invoice>> {
    const FIND: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM invoices i WHERE i.order_id = $1 AND i.purpose = 'sale'
           ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1"
    );
    db::query_opt(db, FIND, &[&order]).await?.as_ref().map(invoice).transpose()
}

/// All invoices of an order, the oldest first.
pub async fn list_of_order(db: &impl GenericClient, order: OrderId) -> Result<Vec<Invoice>> {
    const LIST: &str = sql!("SELECT ", COLUMNS, " FROM invoices i WHERE i.order_id = $1 ORDER BY i.id");
    db::query(db, LIST, &[&order]).await?.iter().map(invoice).collect()
}

/// The returns of a sale that stand or may come to stand, the oldest first.
pub async fn list_returns(db: &impl GenericClient, sale: InvoiceId) -> Result<Vec<Invoice>> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM invoices i WHERE i.sale_id = $1 AND i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') ORDER BY i.id"
    );
    db::query(db, LIST, &[&sale]).await?.iter().map(invoice).collect()
}

/// A new invoice, before any provider hears of it.
#[derive(Debug)]
pub struct NewInvoice<'a> {
    pub order: OrderId,
    pub provider: &'a str,
    pub environment: Environment,
    pub total: Money,
    pub returned: Option<Returned<'a>>,
}

/// What a return gives back, of which sale, and why.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    pub sale: InvoiceId,
    /// The refund that it came with, if it came with one.
    pub refund: Option<RefundId>,
    pub ground: Ground,
    pub note: &'a Note,
}

/// The columns of a note: `lines`, `line_discounts`, `freight_cents`.
fn columns_of(note: &Note) -> (Value, Vec<Money>, Money) {
    let lines: Vec<(LineId, i32)> = note.pieces.iter().map(|pieces| (pieces.line, pieces.quantity)).collect();
    (serde_json::json!(lines), note.pieces.iter().map(|pieces| pieces.discount).collect(), note.freight)
}

/// `None`: there is a live sale already.
pub async fn insert(tx: &impl GenericClient, new: &NewInvoice<'_>, actor: Actor) -> Result<Option<InvoiceId>> {
    const INSERT: &str = "
        INSERT INTO invoices (id, order_id, purpose, sale_id, refund_id, ground, lines, line_discounts, freight_cents, provider, environment,
               total_cents)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING";
    let id = InvoiceId::new();
    let purpose = if new.returned.is_some() { "return" } else { "sale" };
    let (sale, refund) = new.returned.map(|back| (back.sale, back.refund)).unzip();
    let ground = new.returned.map(|back| back.ground.as_str());
    let note = new.returned.map(|back| columns_of(back.note));
    let (lines, discounts, freight) =
        note.map_or((None, None, None), |(lines, discounts, freight)| (Some(lines), Some(discounts), Some(freight)));
    let environment = environment_word(new.environment);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
        &id,
        &new.order,
        &purpose,
        &sale,
        &refund.flatten(),
        &ground,
        &lines,
        &discounts,
        &freight,
        &new.provider,
        &environment,
        &new.total,
    ];
    if db::execute(tx, INSERT, &params).await? == 0 {
        return Ok(None);
    }
    record_history(tx, new.order, id, (None, InvoiceStatus::Pending), purpose, actor).await?;
    Ok(Some(id))
}

/// The provider may hear of it from now on, with just this on it.
pub async fn mark_sent(db: &impl GenericClient, id: InvoiceId, total: Money, note: &Note) -> Result<bool> {
    const SENT: &str = "
        UPDATE invoices SET sent_at = coalesce(sent_at, now()), total_cents = $2, lines = $3, line_discounts = $4, freight_cents = $5,
               problems = NULL, doubted_at = NULL, updated_at = now()
         WHERE id = $1 AND status IN ('pending', 'processing')";
    let (lines, discounts, freight) = columns_of(note);
    Ok(db::execute(db, SENT, &[&id, &total, &lines, &discounts, &freight]).await? == 1)
}

/// No provider has heard of it: another one gets it. `false`: it was sent meanwhile, or is not wanted any more.
pub async fn hand_to(db: &impl GenericClient, id: InvoiceId, provider: &str) -> Result<bool> {
    const HAND: &str = "
        UPDATE invoices SET provider = $2, updated_at = now()
         WHERE id = $1 AND sent_at IS NULL AND status = 'pending' AND cancel_reason IS NULL";
    Ok(db::execute(db, HAND, &[&id, &provider]).await? == 1)
}

/// The shop was told that it is rejected or denied.
pub async fn mark_told(tx: &impl GenericClient, id: InvoiceId) -> Result<()> {
    const TOLD: &str = "UPDATE invoices SET told_at = now() WHERE id = $1";
    db::execute(tx, TOLD, &[&id]).await?;
    Ok(())
}

/// The provider does not know it, or refused it. `true`: it said so before, at least `apart` ago.
pub async fn doubt(db: &impl GenericClient, id: InvoiceId, apart: SignedDuration) -> Result<bool> {
    const DOUBT: &str = "
        UPDATE invoices SET doubted_at = coalesce(doubted_at, now()), updated_at = now() WHERE id = $1
        RETURNING doubted_at <= now() - make_interval(secs => $2) AS is_certain";
    let row = db::query_opt(db, DOUBT, &[&id, &apart.as_secs_f64()]).await?;
    Ok(row.is_some_and(|row| row.get("is_certain")))
}

/// Another sale invoice of the same order is live. Returns have no twins: several may stand beside each other.
pub async fn has_twin(tx: &impl GenericClient, invoice: &Invoice) -> Result<bool> {
    const TWIN: &str = "
        SELECT EXISTS (SELECT FROM invoices WHERE order_id = $2 AND purpose = 'sale' AND id <> $1 AND status NOT IN ('denied', 'cancelled'))";
    Ok(!invoice.is_return && db::query_one(tx, TWIN, &[&invoice.id, &invoice.order]).await?.get::<_, bool>(0))
}

/// A return of it is there, or on its way.
pub async fn is_given_back(tx: &impl GenericClient, sale: InvoiceId) -> Result<bool> {
    const BACK: &str = "SELECT EXISTS (SELECT FROM invoices WHERE sale_id = $1 AND purpose = 'return' AND status NOT IN ('denied', 'cancelled'))";
    Ok(db::query_one(tx, BACK, &[&sale]).await?.get(0))
}

/// Moves a locked invoice on; `false`: it was in another state meanwhile, or takes no such step.
pub async fn advance(tx: &impl GenericClient, invoice: &Invoice, to: InvoiceStatus, why: &str) -> Result<bool> {
    const ADVANCE: &str = "
        UPDATE invoices SET status = $3::text, updated_at = now(), cancelled_at = CASE WHEN $3::text = 'cancelled' THEN now() END
         WHERE id = $1 AND status = $2";
    let moved = transitions::invoice_may(invoice.status, to)
        && db::execute(tx, ADVANCE, &[&invoice.id, &invoice.status, &to]).await? == 1;
    if moved {
        record_history(tx, invoice.order, invoice.id, (Some(invoice.status), to), why, Actor::System).await?;
    }
    Ok(moved)
}

/// What the provider says of it, beside its state.
pub async fn record_answer(tx: &impl GenericClient, id: InvoiceId, seen: &SeenNfe) -> Result<()> {
    const NOTE: &str = "
        UPDATE invoices SET chave = coalesce($2, chave), number = coalesce($3, number), series = coalesce($4, series), code = $5, message = $6,
               danfe_ref = coalesce($7, danfe_ref), xml_ref = coalesce($8, xml_ref), cancellation_ref = coalesce($9, cancellation_ref),
               authorized_at = CASE WHEN $10 THEN coalesce(authorized_at, $11, now()) ELSE authorized_at END, updated_at = now()
         WHERE id = $1";
    let key = seen.key.as_ref().map(AccessKey::as_str);
    let is_authorized = seen.state == vitrine_kit::fiscal::NfeState::Authorized;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
        &id,
        &key,
        &seen.number,
        &seen.series,
        &seen.code,
        &seen.message,
        &seen.danfe,
        &seen.xml,
        &seen.cancellation_xml,
        &is_authorized,
        &seen.authorized_at,
    ];
    db::execute(tx, NOTE, &params).await?;
    Ok(())
}

/// Refused by us, before the provider heard of it.
pub async fn note_problems(tx: &impl GenericClient, id: InvoiceId, problems: &[Problem]) -> Result<()> {
    const NOTE: &str = "UPDATE invoices SET problems = $2, message = $3, code = NULL, updated_at = now() WHERE id = $1";
    let json = serde_json::to_value(problems).unwrap_or_default();
    db::execute(tx, NOTE, &[&id, &json, &problem::in_words(problems)]).await?;
    Ok(())
}

/// A refused one is tried again, as of now, unless somebody wants it gone.
pub async fn reopen(tx: &impl GenericClient, invoice: &Invoice, city: Option<&str>, actor: Actor) -> Result<bool> {
    const REOPEN: &str = "
        UPDATE invoices SET status = 'pending', issued_at = now(), message = NULL, code = NULL, problems = NULL, doubted_at = NULL,
               buyer_ibge_city = coalesce($2, buyer_ibge_city), told_at = NULL, updated_at = now()
         WHERE id = $1 AND status = 'rejected' AND cancel_reason IS NULL";
    if db::execute(tx, REOPEN, &[&invoice.id, &city]).await? == 0 {
        return Ok(false);
    }
    record_history(tx, invoice.order, invoice.id, (Some(InvoiceStatus::Rejected), InvoiceStatus::Pending), "tried again", actor)
        .await?;
    Ok(true)
}

/// Somebody wants it gone. The first reason stays.
pub async fn ask_to_cancel(tx: &impl GenericClient, id: InvoiceId, reason: &str) -> Result<()> {
    const ASK: &str = "UPDATE invoices SET cancel_reason = coalesce(cancel_reason, $2), cancel_refused = NULL, updated_at = now() WHERE id = $1";
    db::execute(tx, ASK, &[&id, &reason]).await?;
    Ok(())
}

/// Its sale is off.
pub async fn note_given_up(tx: &impl GenericClient, id: InvoiceId) -> Result<()> {
    const GIVEN_UP: &str = "UPDATE invoices SET given_up = true WHERE id = $1 AND status NOT IN ('cancelled', 'denied')";
    db::execute(tx, GIVEN_UP, &[&id]).await?;
    Ok(())
}

/// It stays: the tax authority said no, or it is too late.
pub async fn note_refusal(tx: &impl GenericClient, id: InvoiceId, why: &str) -> Result<bool> {
    const REFUSED: &str = "
        UPDATE invoices SET cancel_reason = NULL, cancel_refused = $2, given_up = false, updated_at = now()
         WHERE id = $1 AND status = 'authorized' AND cancel_reason IS NOT NULL";
    Ok(db::execute(tx, REFUSED, &[&id, &why]).await? == 1)
}

pub async fn record_history(
    tx: &impl GenericClient,
    order: OrderId,
    id: InvoiceId,
    (from, to): (Option<InvoiceStatus>, InvoiceStatus),
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let (from, to) = (from.map(InvoiceStatus::as_str), to.as_str());
    record_change(tx, order, &Change { subject: "invoice", subject_id: Some(id.0), from, to, reason, actor }).await
}
