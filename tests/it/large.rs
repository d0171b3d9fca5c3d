//! No statement reads a table that grows with the shop's years. Each is planned on a database of a year's sales, as a server comes to
//! have it: five times for its values, then as PostgreSQL decides.

mod listed;
mod reads;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;
use vitrine::config::DatabaseConfig;
use vitrine::db::{self, Connection, Patience};

use self::listed::{LISTED, SMALL, WHOLE_BY_NATURE};
use self::reads::{Read, reads};
use crate::shop::{admin_connection, cluster, template};
use crate::sql::{name, statements};

/// So many rows a statement may read of one table: two batches of the clean-up, a twentieth of the orders that are filled in.
const MOST: f64 = 2_000.0;
/// A server plans a prepared statement so often for its values before it may keep one plan for all.
const PLANNED_FOR_VALUES: usize = 5;
/// Not C: what finds the beginning of a text by an index there does not do so in most shops' databases.
const LOCALE: &str = "C.UTF-8";

/// A migrated database, filled, by its name. That of the whole run: the next one removes it.
async fn large() -> Connection {
    const NAME: &str = "vitrine_large";
    static FILLED: OnceCell<()> = OnceCell::const_new();
    let config = DatabaseConfig {
        url: SecretString::from(cluster().await.url(NAME)),
        min_conns: 0,
        max_conns: 1,
        statement_timeout: Duration::from_secs(300),
        pool_wait: Duration::from_secs(60),
        answer_wait: Duration::from_secs(300),
        idle_timeout: Duration::from_secs(300),
    };
    let open = async || db::pool(&config, Patience::Command).unwrap().get().await.unwrap();
    FILLED
        .get_or_init(|| async {
            template().await; // removes what an earlier run left behind
            let admin = admin_connection().await;
            let create = format!("CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'UTF8' LOCALE '{LOCALE}'");
            admin.batch_execute(&create).await.unwrap();
            db::migrate(&config).await.unwrap();
            open().await.batch_execute(include_str!("large/fill.sql")).await.unwrap_or_else(|e| panic!("{e:?}"));
        })
        .await;
    open().await
}

/// The rows of every table and index by the statistics.
async fn sizes(db: &Connection) -> HashMap<String, f64> {
    const SIZES: &str = "SELECT relname::text, reltuples::float8 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')";
    db.query(SIZES, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What a server sends for a parameter of this type: ids and times of yesterday, as what is asked for is mostly recent.
fn value(of: &Type) -> &'static str {
    match name(of) {
        "uuid" => "'01909c36-0000-7000-8000-000000000000'",
        "_uuid" => "'{01909c36-0000-7000-8000-000000000000, 01909c35-0000-7000-8000-000000000000}'",
        "text" => "'1 day'",
        "_text" => "'{pending, 1 day}'",
        "name" => "'n'",
        "int2" | "int4" | "int8" => "20",
        "_int2" | "_int4" | "_int8" => "'{1, 2}'",
        "float8" => "1",
        "bool" => "true",
        "_bool" => "'{true, false}'",
        "bytea" => "sha256('7')",
        "_bytea" => "ARRAY[sha256('7'), sha256('8')]",
        "jsonb" => "'[]'",
        "_jsonb" => "'{}'",
        "timestamptz" => "now() - interval '1 day'",
        "_timestamptz" => "ARRAY[now()]",
        "date" => "current_date - 1",
        "_date" => "ARRAY[current_date]",
        other => panic!("say what a parameter of type {other} is like"),
    }
}

/// A filter that may be left out is asked for its absence.
fn may_be_left_out(sql: &str, n: usize) -> bool {
    sql.match_indices(&format!("${n}")).any(|(at, found)| {
        let rest = &sql[at + found.len()..];
        let rest = rest
            .strip_prefix("::")
            .map_or(rest, |cast| cast.trim_start_matches(|c: char| c.is_alphanumeric() || "[]".contains(c)));
        rest.starts_with(" IS NULL")
    })
}

/// The arguments of a statement: with all its filters, and with none.
fn arguments(sql: &str, types: &[Type]) -> BTreeSet<String> {
    let list = |leaves_out: bool| -> String {
        let given = |(of, n): (&Type, usize)| match value(of) {
            _ if leaves_out && may_be_left_out(sql, n) => "NULL",
            "true" if leaves_out => "false",
            value => value,
        };
        types.iter().zip(1..).map(given).collect::<Vec<_>>().join(", ")
    };
    BTreeSet::from([list(false), list(true)])
}

/// The plan that a server has once it has run the statement often.
async fn settled_plan(db: &Connection, sql: &str, types: &[Type], arguments: &str) -> Value {
    let names: Vec<&str> = types.iter().map(name).collect();
    let (takes, given) = (format!("({})", names.join(", ")), format!("({arguments})"));
    let (takes, given) = if types.is_empty() { ("", "") } else { (&*takes, &*given) };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE looked_at {given};").repeat(PLANNED_FOR_VALUES + 1);
    let script = format!("PREPARE looked_at {takes} AS {sql}; {explain} DEALLOCATE looked_at");
    let answers = db.simple_query(&script).await.unwrap_or_else(|e| panic!("{e:?}: {sql}\n{arguments}"));
    let last = answers.iter().rev().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str::<Value>(last.unwrap()).unwrap()[0]["Plan"].take()
}

fn is_too_much(read: &Read) -> bool {
    let grows = !SMALL.iter().any(|(table, _)| *table == read.table);
    grows && (read.is_scan || read.rows > MOST)
}

#[actix_web::test]
async fn no_statement_reads_a_table_that_grows() {
    let db = large().await;
    let sizes = sizes(&db).await;
    assert_eq!(sizes["orders"], 40_000.0, "it is filled and analysed");
    let mut wrong = Vec::new();
    let mut met = BTreeSet::new();
    for statement in statements() {
        if WHOLE_BY_NATURE.iter().any(|(folder, _)| statement.place.starts_with(folder)) {
            continue;
        }
        let types =
            db::prepare(&db, &statement.sql).await.unwrap_or_else(|e| panic!("{e:?}: {}", statement.place)).params().to_vec();
        let mut most: BTreeMap<String, Read> = BTreeMap::new();
        for arguments in arguments(&statement.sql, &types) {
            let plan = settled_plan(&db, &statement.sql, &types, &arguments).await;
            for read in reads(&plan, &sizes).into_iter().filter(is_too_much) {
                let known = most.entry(read.table.clone()).or_insert_with(|| read.clone());
                known.rows = known.rows.max(read.rows);
                known.is_scan |= read.is_scan;
            }
        }
        for read in most.into_values() {
            let listed = LISTED.iter().find(|(place, table, _)| (*place, *table) == (&*statement.place, &*read.table));
            if let Some((place, table, _)) = listed {
                met.insert((*place, *table));
                continue;
            }
            let how = if read.is_scan { "scans" } else { "reads" };
            wrong.push(format!("{} {how} {:.0} rows of {}", statement.place, read.rows, read.table));
        }
    }
    assert!(wrong.is_empty(), "find it by an index, or say in tests/it/large/listed.rs why not:\n{}", wrong.join("\n"));
    let idle: Vec<_> = LISTED.iter().filter(|(place, table, _)| !met.contains(&(*place, *table))).collect();
    assert!(idle.is_empty(), "listed, but it reads little: {idle:#?}");
}

/// What the statements' functions, triggers and foreign keys read is not in their plans.
#[actix_web::test]
async fn functions_and_foreign_keys_look_their_rows_up() {
    const READ_WHOLE: &str = "SELECT relname::text FROM pg_stat_xact_user_tables WHERE seq_scan > 0";
    let (ids, id) = (
        "'{01900065-0000-7000-8000-0000000000a1, 01900066-0000-7000-8000-0000000000a1}'",
        "'01909c36-0000-7000-8000-000000000000'",
    );
    let (person, coupon) = ("sha256('77')", "'01900007-0000-7000-8000-0000000000d0'");
    let calls = [
        format!("SELECT take_stock({ids}, '{{1, 1}}', '{{01900065-0000-7000-8000-000000000001, 01900066-0000-7000-8000-000000000001}}', 7::smallint, 't', 't')"),
        format!("SELECT check_unpaid({person}, ARRAY[{person}], 'pessoa77@example.com', sha256('9'), '{{9, 9, 9}}', '{{99, 99, 99}}')"),
        format!("SELECT coupon_uses_of({coupon}, ARRAY[{person}], {id}, 'pessoa77@example.com', {id})"),
        format!("SELECT spend_coupon({coupon}, ARRAY[{person}], 1::smallint, {id}, 'pessoa77@example.com', {id})"),
        "INSERT INTO categories (id, slug, name) VALUES (gen_random_uuid(), 'vazia', 'Vazia'); DELETE FROM categories WHERE slug = 'vazia'".to_owned(),
        "INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'NOVO', 'percent', 1); DELETE FROM coupons WHERE code = 'NOVO'".to_owned(),
        "DELETE FROM carts WHERE id = '01900001-0000-7000-8000-000000000020'".to_owned(),
        "DELETE FROM sessions WHERE id = '01900001-0000-7000-8000-000000000013'".to_owned(),
    ];
    let mut db = large().await;
    for call in calls {
        let tx = db.transaction().await.unwrap();
        tx.batch_execute(&call).await.unwrap_or_else(|e| panic!("{e:?}: {call}"));
        let rows = tx.query(READ_WHOLE, &[]).await.unwrap();
        let whole: Vec<&str> =
            rows.iter().map(|row| row.get(0)).filter(|table| !SMALL.iter().any(|(small, _)| small == table)).collect();
        assert!(whole.is_empty(), "{call} scans {whole:?}");
        tx.rollback().await.unwrap();
    }
}
