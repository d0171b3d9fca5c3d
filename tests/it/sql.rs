//! Every statement of the code is prepared against the schema, and so is every statement of the last release: its servers go on
//! while the first server of this one migrates.

mod scan;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use scan::{Statement, distinct, scan};
use tokio_postgres::error::DbError;
use tokio_postgres::types::{Kind, Type};
use vitrine::db::{self, GenericClient};

use crate::shop::Shop;

/// Set, the statements of this release are written down. `scripts/statements` does.
const WRITE: &str = "VITRINE_WRITE_STATEMENTS";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && !path.ends_with("db/text.rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The statements of this code, each once.
pub fn statements() -> Vec<Statement> {
    let (found, wrong) = scan(&sources(), root());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    distinct(found)
}

/// Why it does not prepare.
async fn refusal(db: &impl GenericClient, sql: &str) -> Option<String> {
    let error = db::prepare(db, sql).await.err()?;
    let told = |e: &DbError| format!("{} {}", e.message(), e.detail().unwrap_or_default());
    Some(error.as_db_error().map_or_else(|| error.to_string(), told))
}

#[actix_web::test]
async fn every_statement_of_the_code_prepares_and_names_its_columns() {
    let statements = statements();
    assert!(statements.len() > 420, "the scan itself works: {}", statements.len());
    for (place, part) in [
        ("src/orders/checkout.rs", "INSERT INTO orders (id, number, user_id"),
        ("src/orders/checkout.rs", "($13::bigint[])[n] FROM unnest($1"),
        ("src/orders/search.rs LOOK_UP", "UNION SELECT id FROM orders WHERE upper(tracking_number) = ANY ($8)"),
        ("src/users/store.rs FIND", "SELECT id, name, email, role"),
        ("src/users/addresses.rs", "RETURNING id, label"),
    ] {
        assert!(statements.iter().any(|s| s.place.starts_with(place) && s.sql.contains(part)), "{place}: {part}");
    }
    let shop = Shop::open().await;
    let db = shop.app.db().await.unwrap();
    let mut refused = Vec::new();
    for statement in &statements {
        // The audit fills the transition table in.
        let sql = statement.sql.replace("{steps}", "('order', 'pending', 'processing')");
        if let Some(why) = refusal(&db, &sql).await {
            refused.push(format!("{}: {why}\n{}", statement.place, statement.sql));
        }
    }
    assert!(refused.is_empty(), "{} statements do not prepare:\n{}", refused.len(), refused.join("\n\n"));
    let listed = vitrine::catalog::list_statements().unwrap();
    assert!(listed.len() > 100, "{}", listed.len());
    for (sql, types) in &listed {
        db.prepare_typed(sql, types).await.unwrap_or_else(|e| panic!("{e:?}\n{sql}"));
    }
    drop(db);
    shop.close().await;
}

/// `uuid, text -> id uuid, name text`: what a statement takes and gives, in the words of PostgreSQL.
async fn shape(db: &impl GenericClient, sql: &str) -> Result<String, String> {
    let statement = match refusal(db, sql).await {
        Some(why) => return Err(why),
        None => db::prepare(db, sql).await.map_err(|e| e.to_string())?,
    };
    let takes: Vec<&str> = statement.params().iter().map(name).collect();
    let gives: Vec<String> = statement.columns().iter().map(|c| format!("{} {}", c.name(), name(c.type_()))).collect();
    Ok(format!("{} -> {}", takes.join(", "), gives.join(", ")))
}

pub fn name(of: &Type) -> &str {
    match of.kind() {
        Kind::Domain(of) => name(of),
        _ => of.name(),
    }
}

fn folder() -> PathBuf {
    root().join("tests/statements")
}

/// `0.12.3.sql` comes after `0.2.0.sql`.
fn version(file: &Path) -> Vec<u32> {
    file.file_stem().unwrap().to_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect()
}

async fn write_down(db: &impl GenericClient) {
    let release = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "-- The statements of Vitrine {release}, as its servers prepare them. `scripts/statements` writes this file, tests/it/sql.rs\n\
         -- prepares them against the schema of the next release. Nothing here is run.\n"
    );
    for statement in statements().into_iter().filter(|statement| !statement.sql.contains("{steps}")) {
        let shape = shape(db, &statement.sql).await.unwrap();
        write!(text, "\n-- @ {}\n-- {shape}\n{}\n", statement.place, statement.sql.trim()).unwrap();
    }
    fs::create_dir_all(folder()).unwrap();
    fs::write(folder().join(format!("{release}.sql")), text).unwrap();
}

/// Table → the columns that every INSERT has to name.
async fn required_columns(db: &impl GenericClient) -> BTreeMap<String, Vec<String>> {
    const REQUIRED: &str = "
        SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'";
    let mut required = BTreeMap::<String, Vec<String>>::new();
    for row in db.query(REQUIRED, &[]).await.unwrap() {
        required.entry(row.get(0)).or_default().push(row.get(1));
    }
    required
}

/// What the INSERTs of a statement leave out: a new column that is not told what to be breaks every row of the release before.
fn left_out(sql: &str, required: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    for insert in sql.split("INSERT INTO ").skip(1) {
        let Some((head, rest)) = insert.split_once(" (") else { continue };
        let table = head.split_whitespace().next().unwrap_or_default();
        let named: Vec<&str> = rest.split_once(')').map_or("", |(list, _)| list).split(',').map(str::trim).collect();
        let columns = required.get(table).into_iter().flatten();
        missing
            .extend(columns.filter(|column| !named.contains(&column.as_str())).map(|column| (table.to_owned(), column.clone())));
    }
    missing
}

#[test]
fn an_insert_that_leaves_out_a_required_column_is_found() {
    let required = BTreeMap::from([("carts".to_owned(), vec!["id".to_owned(), "owner".to_owned()])]);
    let missing = left_out("WITH x AS (INSERT INTO carts (id, token) VALUES ($1, $2)) SELECT 1", &required);
    assert_eq!(missing, [("carts".to_owned(), "owner".to_owned())]);
    assert!(left_out("INSERT INTO carts (owner,\n  id) VALUES ($1, $2)", &required).is_empty());
}

#[actix_web::test]
async fn the_last_releases_statements_run_on_this_schema() {
    let shop = Shop::open().await;
    let db = shop.app.db().await.unwrap();
    if std::env::var_os(WRITE).is_some() {
        write_down(&db).await;
    }
    let files = fs::read_dir(folder()).expect("tests/statements: write it with scripts/statements");
    let kept: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    // That of a release which is not out yet says what its own statements are; the one before it has servers that still run.
    let ours = version(Path::new(concat!(env!("CARGO_PKG_VERSION"), ".sql")));
    let before = kept.iter().filter(|file| version(file) < ours).max_by_key(|file| version(file));
    let last = before.or_else(|| kept.iter().max_by_key(|file| version(file))).unwrap();
    let text = fs::read_to_string(last).unwrap();
    let mut broken = Vec::new();
    let kept: Vec<&str> = text.split("\n-- @ ").skip(1).collect();
    assert!(kept.len() > 420, "{} holds a release's statements: {}", last.display(), kept.len());
    let required = required_columns(&db).await;
    for statement in kept {
        let (place, rest) = statement.split_once('\n').unwrap();
        let (was, sql) = rest.strip_prefix("-- ").and_then(|rest| rest.split_once('\n')).unwrap();
        for (table, column) in left_out(sql, &required) {
            broken
                .push(format!("{place}: {table}.{column} may not be NULL and has no default, and this does not name it\n{sql}"));
        }
        match shape(&db, sql).await {
            Err(why) => broken.push(format!("{place}: {why}\n{sql}")),
            Ok(is) if is != was => broken.push(format!("{place}: takes and gives other types\n  was {was}\n  is  {is}\n{sql}")),
            Ok(_) => {}
        }
    }
    let release = last.file_stem().unwrap().display();
    assert!(
        broken.is_empty(),
        "servers of {release} cannot run beside this schema (a release that is not out yet: scripts/statements):\n{}",
        broken.join("\n\n")
    );
    drop(db);
    shop.close().await;
}
