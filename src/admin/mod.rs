//! What the operator of a shop sees and sets: jobs, the inbox, breakers, the audit log, the daily comparison with the
//! providers' books, and the shop's settings.

pub mod audit_log;
mod jobs;
mod machinery;
mod reconciliation;
mod settings;

use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use tokio_postgres::types::ToSql;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::db;
use crate::error::Result;
use crate::http::page::{self, List};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(jobs::list_jobs).service(jobs::retry_jobs).service(jobs::retry_job);
    cfg.service(machinery::list_webhooks).service(machinery::replay_webhook).service(machinery::breakers);
    cfg.service(machinery::list_audit);
    cfg.service(reconciliation::list_reconciliations)
        .service(reconciliation::compare_day)
        .service(reconciliation::show_reconciliation);
    cfg.service(settings::list_settings).service(settings::set_company).service(settings::set_shipping);
    cfg.service(settings::set_payment_methods).service(settings::set_stock).service(settings::set_taxes);
    cfg.service(settings::set_order_limits);
}

/// Where a page of a list begins: at an offset, or behind a cursor.
pub(crate) struct Place<Key> {
    limit: i64,
    offset: i64,
    after: Option<Key>,
}

impl<Key: DeserializeOwned> Place<Key> {
    pub(crate) fn of(limit: Option<i64>, offset: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        let (limit, offset) = page::bounds(limit, offset)?;
        let after: Option<Key> = cursor.map(page::read_cursor).transpose()?;
        Ok(Self { limit, offset: if after.is_some() { 0 } else { offset }, after })
    }
}

/// A page of rows, newest first. `sql` takes `filters`, then the cursor's key, the limit and the offset; `count` takes `filters`.
pub(crate) async fn list<Key, Item>(
    db: &impl GenericClient,
    (sql, count): (&str, &str),
    filters: &[&(dyn ToSql + Sync)],
    place: &Place<Key>,
    read: impl Fn(&tokio_postgres::Row) -> (Key, Item),
) -> Result<List<Item>>
where
    Key: ToSql + Sync + serde::Serialize,
    Option<Key>: ToSql + Sync,
{
    let one_more = place.limit + 1;
    let own: [&(dyn ToSql + Sync); 3] = [&place.after, &one_more, &place.offset];
    let rows = db::query(db, sql, &[filters, &own].concat()).await?;
    let total: i64 = db::query_one(db, count, filters).await?.get(0);
    let has_more = rows.len() as i64 > place.limit;
    let mut read: Vec<(Key, Item)> = rows.iter().take(place.limit as usize).map(read).collect();
    let next_cursor = read.last().filter(|_| has_more).map(|(key, _)| page::cursor_of(key));
    let items = read.drain(..).map(|(_, item)| item).collect();
    Ok(List { items, total, limit: place.limit, offset: place.offset, next_cursor })
}
