#!/usr/bin/env bash
# tokio-postgres 0.7.18 (Rust): what a query returns from a DOMAIN column is plain bigint and text, but its parameters are the domain's.
#
# PostgreSQL describes a result column by its base type and a parameter by the domain. So `i64` reads a column of the domain `cents`, and as
# a parameter for the same column it is refused before it is sent: "cannot convert between the Rust type `i64` and the Postgres
# type `cents`". A cast in the statement (`$1::bigint`), or types named by the client (`query_typed`), lets it through.
. "$(dirname "$0")/lib.sh"
with_postgres
with_rust <<'TOML'
tokio = { version = "=1.54.1", features = ["macros", "rt"] }
tokio-postgres = "=0.7.18"
TOML
cat >src/main.rs <<'RUST'
use std::error::Error;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, NoTls};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut config = Config::new();
    config.host_path(std::env::var("PG_DIR").unwrap()).user("finding").dbname("postgres");
    let (db, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    db.batch_execute("
        CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
        CREATE DOMAIN slug AS text CHECK (VALUE <> '');
        CREATE TABLE products (price cents, name slug);
        INSERT INTO products VALUES (3990, 'caneca')").await.unwrap();

    let row = db.query_one("SELECT price, name FROM products", &[]).await.unwrap();
    println!("result: {} {}, read {} {}", row.columns()[0].type_(), row.columns()[1].type_(), row.get::<_, i64>(0), row.get::<_, String>(1));
    let statement = db.prepare("INSERT INTO products VALUES ($1, $2)").await.unwrap();
    println!("parameters: {} {}", statement.params()[0], statement.params()[1]);

    let (price, name) = (4990_i64, "prato");
    let values: [&(dyn ToSql + Sync); 2] = [&price, &name];
    let refused = db.execute(&statement, &values).await.unwrap_err();
    println!("domain: {refused}: {}", refused.source().map(ToString::to_string).unwrap_or_default());
    let cast = db.execute("INSERT INTO products VALUES ($1::bigint, $2::text)", &values).await;
    println!("cast: {}", cast.unwrap());
    let typed = db.execute_typed("INSERT INTO products VALUES ($1, $2)", &[(&price, Type::INT8), (&name, Type::TEXT)]).await;
    println!("typed: {}", typed.unwrap());
}
RUST
export PG_DIR
run_rust >seen
same seen <<'SEEN'
result: int8 text, read 3990 caneca
parameters: cents slug
domain: error serializing parameter 0: cannot convert between the Rust type `i64` and the Postgres type `cents`
cast: 1
typed: 1
SEEN
