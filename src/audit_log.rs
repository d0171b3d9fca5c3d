//! Who did what in the shop's administration: one row per change, before and after, in the change's own transaction.

use deadpool_postgres::GenericClient;
use serde_json::Value;

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;

/// Writes the row. `action` reads `thing.verb` (`user.role`); `before` and `after` hold what changed and never a CPF or CNPJ,
/// a password or a token: the table only grows, so nothing can be taken out again.
pub async fn record(
    tx: &impl GenericClient,
    actor: Actor,
    action: &str,
    entity_id: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    const RECORD: &str = "INSERT INTO audit_log (actor, action, entity_id, before, after, cause) VALUES ($1, $2, $3, $4, $5, $6)";
    let (actor, cause) = (actor.to_string(), cause::current());
    db::execute(tx, RECORD, &[&actor, &action, &entity_id, &before, &after, &cause]).await?;
    Ok(())
}
