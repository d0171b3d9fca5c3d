//! `vitrine rekey`: everything that is sealed, and every look-up hash, is turned to the first of `DATA_KEYS`, while the shop sells.
//!
//! A batch is a transaction: a row is turned whole, with what is counted by its hash, or not at all. So it may be killed at any
//! moment, and goes on where it was. Rows that somebody is at work on are left for the next pass.

use std::process::ExitCode;
use std::time::Duration;

use deadpool_postgres::Pool;
use indicatif::ProgressBar;
use uuid::Uuid;

use crate::config::Config;
use crate::db::{self, Connection, Patience, Transaction};
use crate::error::{Error, Result};
use crate::ids::CouponId;
use crate::key_store;
use crate::progress::Progress;
use crate::seal::{Keys, Kind};

/// Rows per transaction.
const BATCH: i64 = 500;
/// So often all tables are gone through. The second time is for rows that were locked, or written meanwhile with an old key.
const PASSES: usize = 10;
/// Between two passes: whoever holds a row is through with it by then.
const PAUSE: Duration = Duration::from_millis(500);
/// One at a time.
const LOCK: i64 = 0x7265_6b65_7920_7669;

/// What is wanted of a run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Rows per transaction.
    pub batch: i64,
    /// Stop after so many batches; the next run goes on.
    pub batches: Option<u64>,
    /// Also replace the key that makes tokens: every link that was mailed stops working.
    pub new_tokens: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { batch: BATCH, batches: None, new_tokens: false }
    }
}

/// What a run did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub users: u64,
    pub second_factors: u64,
    pub orders: u64,
    pub coupon_persons: u64,
    /// Rows that no key opens: which table, which row.
    pub broken: Vec<String>,
    /// All rows are by the current key, and so are the shop's own keys: the others may leave `DATA_KEYS`.
    pub is_complete: bool,
}

/// The command. Exit 1: rows are left.
pub async fn run(config: &Config, wanted: Wanted, progress: &Progress) -> Result<ExitCode> {
    let pool = db::pool(&config.database, Patience::Command)?;
    let keys = key_store::load(&mut pool.get().await?, &config.auth).await?;
    let report = rekey_showing(&pool, &keys, wanted, &progress.bar("sealing anew", 0)).await?;
    let Report { users, second_factors, orders, coupon_persons, .. } = report;
    println!(
        "turned to key {}: {users} user(s), {second_factors} second factor(s), {orders} order(s), {coupon_persons} count(s) of coupons",
        keys.vault().current()
    );
    for row in &report.broken {
        println!("cannot be opened: {row}");
    }
    if report.is_complete {
        println!("complete: once `vitrine audit` is clean, the other keys may leave DATA_KEYS");
        return Ok(ExitCode::SUCCESS);
    }
    println!("not complete: run it again");
    Ok(ExitCode::FAILURE)
}

/// Turns what is not by the current key yet.
///
/// Errors: another run is at work; the current key is not the newest one.
pub async fn rekey(pool: &Pool, keys: &Keys, wanted: Wanted) -> Result<Report> {
    rekey_showing(pool, keys, wanted, &ProgressBar::hidden()).await
}

/// The same with a bar that counts rows.
async fn rekey_showing(pool: &Pool, keys: &Keys, wanted: Wanted, bar: &ProgressBar) -> Result<Report> {
    let mut db = pool.get().await?;
    if keys.look_up_ids().last() != Some(keys.vault().current()) {
        return Err(Error::Conflict(
            "A newer key is known than the first of DATA_KEYS: put the newest one first, restart all servers, then run this"
                .into(),
        ));
    }
    if !db::query_one(&db, "SELECT pg_try_advisory_lock($1) AS mine", &[&LOCK]).await?.get::<_, bool>("mine") {
        return Err(Error::Conflict("Another `vitrine rekey` is at work".into()));
    }
    let outcome = turn_all(&mut db, keys, wanted, bar).await;
    drop(Connection::take(db)); // the lock and the settings end with the session
    outcome
}

async fn turn_all(db: &mut Connection, keys: &Keys, wanted: Wanted, bar: &ProgressBar) -> Result<Report> {
    db.batch_execute("SET statement_timeout = 0").await?;
    let left = wanted.batches.unwrap_or(u64::MAX);
    let mut run = Run { keys, batch: wanted.batch, left, bar, report: Report::default() };
    bar.set_length(count_old(db, keys).await?.unsigned_abs());
    if wanted.new_tokens {
        let tx = db.transaction().await?;
        key_store::replace_tokens(&tx, keys.vault()).await?;
        tx.commit().await?;
    }
    for pass in 0..PASSES {
        if pass > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        run.report.broken.clear();
        for table in [Table::Users, Table::SecondFactors, Table::Orders, Table::CouponPersons] {
            if !run.turn_table(db, table).await? {
                return Ok(run.report); // it was told to stop here
            }
        }
        if count_old(db, keys).await? <= run.report.broken.len() as i64 {
            break;
        }
    }
    if count_old(db, keys).await? == 0 {
        complete(db, keys).await?;
        run.report.is_complete = true;
    }
    Ok(run.report)
}

/// Rows that are not by the current key.
async fn count_old(db: &Connection, keys: &Keys) -> Result<i64> {
    const COUNT: &str = "
        SELECT (SELECT count(*) FROM users WHERE tax_id_key <> $1) + (SELECT count(*) FROM users WHERE totp_key <> $1)
             + (SELECT count(*) FROM orders WHERE tax_id_key <> $1) + (SELECT count(*) FROM coupon_persons WHERE key <> $1) AS old";
    Ok(db::query_one(db, COUNT, &[&keys.vault().current()]).await?.get("old"))
}

/// Last: from here on the older of `DATA_KEYS` open nothing that is needed.
async fn complete(db: &mut Connection, keys: &Keys) -> Result<()> {
    const TURNED: &str = "UPDATE secret_keys SET turned_at = now() WHERE purpose = 'look_up' AND turned_at IS NULL";
    let tx = db.transaction().await?;
    key_store::seal_anew(&tx, keys.vault()).await?;
    db::execute(&tx, TURNED, &[]).await?;
    tx.commit().await?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Table {
    Users,
    SecondFactors,
    Orders,
    CouponPersons,
}

/// Where the next batch begins: behind this id, and, in `coupon_persons`, behind this person.
type Place = (Uuid, Vec<u8>);

struct Run<'a> {
    keys: &'a Keys,
    batch: i64,
    /// Batches that may still be done.
    left: u64,
    bar: &'a ProgressBar,
    report: Report,
}

impl Run<'_> {
    /// One pass over a table, in the order of its primary key. `false`: no batch is left.
    async fn turn_table(&mut self, db: &mut Connection, table: Table) -> Result<bool> {
        let mut place: Place = (Uuid::nil(), Vec::new());
        loop {
            if self.left == 0 {
                return Ok(false);
            }
            let tx = db.transaction().await?;
            let (turned, next) = match table {
                Table::Users => self.turn_users(&tx, place.0).await?,
                Table::SecondFactors => self.turn_second_factors(&tx, place.0).await?,
                Table::Orders => self.turn_orders(&tx, place.0).await?,
                Table::CouponPersons => self.turn_coupon_persons(&tx, &place).await?,
            };
            tx.commit().await?;
            let Some(next) = next else { return Ok(true) }; // ends with the table
            place = next;
            self.left -= 1;
            self.bar.inc(turned);
            match table {
                Table::Users => self.report.users += turned,
                Table::SecondFactors => self.report.second_factors += turned,
                Table::Orders => self.report.orders += turned,
                Table::CouponPersons => self.report.coupon_persons += turned,
            }
            tracing::info!(?table, turned, "a batch was turned");
        }
    }

    async fn turn_users(&mut self, tx: &Transaction<'_>, after: Uuid) -> Result<(u64, Option<Place>)> {
        const OLD: &str = "
            SELECT id, tax_id_sealed, tax_id_key, tax_id_hash FROM users WHERE id > $1 AND tax_id_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED";
        const TURN: &str = "
            UPDATE users u SET tax_id_sealed = t.sealed, tax_id_key = $4, tax_id_hash = t.hash
              FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS t (id, sealed, hash) WHERE u.id = t.id";
        let (turned, next) = self.old_documents(tx, OLD, "user", after).await?;
        let count = db::execute(tx, TURN, &[&turned.ids, &turned.sealed, &turned.hashes, &self.keys.vault().current()]).await?;
        Ok((count, next))
    }

    /// The uses of coupons that the orders hold move with them, so that who gives one back finds it where the order says.
    async fn turn_orders(&mut self, tx: &Transaction<'_>, after: Uuid) -> Result<(u64, Option<Place>)> {
        const OLD: &str = "
            SELECT id, tax_id_sealed, tax_id_key, tax_id_hash FROM orders WHERE id > $1 AND tax_id_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED";
        // After the orders, as everybody takes them. From here on nobody spends or gives back a use of these.
        const LOCK_COUPONS: &str = "
            SELECT id FROM coupons WHERE id IN (SELECT coupon_id FROM orders WHERE id = ANY($1) AND coupon_held)
             ORDER BY id FOR NO KEY UPDATE";
        const TURN: &str = "
            WITH turned AS (
                UPDATE orders o SET tax_id_sealed = t.sealed, tax_id_key = $5, tax_id_hash = t.hash
                  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[]) AS t (id, sealed, hash, old_hash) WHERE o.id = t.id
                RETURNING o.coupon_id, o.coupon_held, t.old_hash, t.hash),
            moved AS (
                SELECT coupon_id, old_hash, hash, count(*)::int AS uses FROM turned WHERE coupon_held GROUP BY 1, 2, 3),
            taken AS (
                UPDATE coupon_persons p SET uses = p.uses - m.uses FROM moved m
                 WHERE p.coupon_id = m.coupon_id AND p.person = m.old_hash),
            given AS (
                INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
                SELECT coupon_id, hash, $5, sum(uses)::int FROM moved GROUP BY 1, 2
                ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + excluded.uses)
            SELECT count(*) AS turned FROM turned";
        let (turned, next) = self.old_documents(tx, OLD, "order", after).await?;
        db::query(tx, LOCK_COUPONS, &[&turned.ids]).await?;
        let Documents { ids, sealed, hashes, old_hashes } = &turned;
        let row = db::query_one(tx, TURN, &[ids, sealed, hashes, old_hashes, &self.keys.vault().current()]).await?;
        Ok((row.get::<_, i64>("turned").unsigned_abs(), next))
    }

    /// What no order holds any more: uses that were given back, and those of people who were erased. Nobody has their
    /// document, and it is not needed.
    async fn turn_coupon_persons(&mut self, tx: &Transaction<'_>, after: &Place) -> Result<(u64, Option<Place>)> {
        const COUPONS: &str = "
            SELECT coupon_id, person, key FROM coupon_persons WHERE (coupon_id, person) > ($1, $2) AND key <> $3
             ORDER BY coupon_id, person LIMIT $4";
        const LOCK_COUPONS: &str = "SELECT id FROM coupons WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
        // A row whose uses an order holds stays: it is turned with the order, in the next pass.
        const TURN: &str = "
            WITH gone AS (
                DELETE FROM coupon_persons p USING unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS t (coupon, old, new)
                 WHERE p.coupon_id = t.coupon AND p.person = t.old
                   AND NOT EXISTS (SELECT FROM orders o WHERE o.coupon_id = t.coupon AND o.coupon_held AND o.tax_id_hash = t.old)
                RETURNING p.coupon_id, t.new, p.uses),
            given AS (
                INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
                SELECT coupon_id, new, $4, sum(uses)::int FROM gone GROUP BY 1, 2
                ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + excluded.uses)
            SELECT count(*) AS turned FROM gone";
        let current = self.keys.vault().current();
        let rows = db::query(tx, COUPONS, &[&after.0, &after.1, &current, &self.batch]).await?;
        let next = rows.last().map(|row| (row.get("coupon_id"), row.get("person")));
        let (mut coupons, mut old, mut new): (Vec<CouponId>, Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        for row in &rows {
            let (coupon, person): (CouponId, Vec<u8>) = (row.get("coupon_id"), row.get("person"));
            match self.keys.turn(&person, row.get("key")) {
                Some(turned) => {
                    coupons.push(coupon);
                    old.push(person);
                    new.push(turned);
                }
                None => self.report.broken.push(format!("a person's uses of coupon {coupon}")),
            }
        }
        db::query(tx, LOCK_COUPONS, &[&coupons]).await?;
        let row = db::query_one(tx, TURN, &[&coupons, &old, &new, &current]).await?;
        Ok((row.get::<_, i64>("turned").unsigned_abs(), next))
    }

    async fn turn_second_factors(&mut self, tx: &Transaction<'_>, after: Uuid) -> Result<(u64, Option<Place>)> {
        const OLD: &str = "
            SELECT id, totp_sealed, totp_key FROM users WHERE id > $1 AND totp_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED";
        const TURN: &str = "
            UPDATE users u SET totp_sealed = t.sealed, totp_key = $3 FROM unnest($1::uuid[], $2::bytea[]) AS t (id, sealed) WHERE u.id = t.id";
        let vault = self.keys.vault();
        let rows = db::query(tx, OLD, &[&after, &vault.current(), &self.batch]).await?;
        let next = rows.last().map(|row| (row.get("id"), Vec::new()));
        let (mut ids, mut sealed): (Vec<Uuid>, Vec<Vec<u8>>) = Default::default();
        for row in &rows {
            let id: Uuid = row.get("id");
            match vault.open(Kind::Totp, row.get("totp_sealed"), row.get("totp_key")) {
                Ok(plain) => {
                    ids.push(id);
                    sealed.push(vault.seal(Kind::Totp, &plain)?);
                }
                Err(_) => self.report.broken.push(format!("the second factor of user {id}")),
            }
        }
        Ok((db::execute(tx, TURN, &[&ids, &sealed, &vault.current()]).await?, next))
    }

    /// The next rows with a document, locked, and what they are to hold.
    async fn old_documents(
        &mut self,
        tx: &Transaction<'_>,
        sql: &str,
        what: &str,
        after: Uuid,
    ) -> Result<(Documents, Option<Place>)> {
        let rows = db::query(tx, sql, &[&after, &self.keys.vault().current(), &self.batch]).await?;
        let next = rows.last().map(|row| (row.get("id"), Vec::new()));
        let mut turned = Documents::default();
        for row in &rows {
            let id: Uuid = row.get("id");
            match self.keys.open(row.get("tax_id_sealed"), row.get("tax_id_key")) {
                Ok(document) => {
                    let new = self.keys.seal(&document)?;
                    turned.ids.push(id);
                    turned.sealed.push(new.sealed);
                    turned.hashes.push(new.hash);
                    turned.old_hashes.push(row.get("tax_id_hash"));
                }
                Err(_) => self.report.broken.push(format!("{what} {id}")),
            }
        }
        Ok((turned, next))
    }
}

/// Rows that are turned in one statement, column by column.
#[derive(Debug, Default)]
struct Documents {
    ids: Vec<Uuid>,
    sealed: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    old_hashes: Vec<Vec<u8>>,
}
