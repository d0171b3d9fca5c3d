#!/usr/bin/env bash
# deadpool-postgres 0.14.2 (Rust): no way of recycling heals a connection whose cached `SELECT *` went stale; it fails for good.
#
# `prepare_cached` keeps a statement with its connection. After `ALTER TABLE … ADD COLUMN` PostgreSQL refuses a prepared `SELECT *` with 0A000
# (cached plan must not change result type). The cache keeps the statement, the pool hands the connection out again, and the same query fails
# each time, until somebody clears the cache or closes the connection. `Fast` and `Verified` find the connection in order, and
# `Clean` does not touch prepared statements. A statement that names its columns goes on.
. "$(dirname "$0")/lib.sh"
with_postgres
with_rust <<'TOML'
deadpool-postgres = "=0.14.2"
tokio = { version = "=1.54.1", features = ["macros", "rt"] }
tokio-postgres = "=0.7.18"
TOML
cat >src/main.rs <<'RUST'
use deadpool_postgres::{Config, ManagerConfig, Pool, PoolConfig, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

fn pool(method: RecyclingMethod) -> Pool {
    let config = Config {
        host: std::env::var("PG_DIR").ok(),
        user: Some("finding".into()),
        dbname: Some("postgres".into()),
        manager: Some(ManagerConfig { recycling_method: method }),
        pool: Some(PoolConfig::new(1)),
        ..Config::default()
    };
    config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap()
}

/// The outcome of one query, on a connection that is taken from the pool and given back.
async fn ask(pool: &Pool, query: &str) -> String {
    let client = pool.get().await.unwrap();
    let statement = match client.prepare_cached(query).await {
        Ok(statement) => statement,
        Err(error) => return format!("prepare: {error}"),
    };
    match client.query(&statement, &[]).await {
        Ok(_) => "ok".into(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for method in [RecyclingMethod::Fast, RecyclingMethod::Verified, RecyclingMethod::Clean] {
        let (pool, name) = (pool(method.clone()), format!("{method:?}"));
        let all = "SELECT * FROM products";
        pool.get().await.unwrap().batch_execute("DROP TABLE IF EXISTS products; CREATE TABLE products (id int)").await.unwrap();
        print!("{name}: before {}, {};", ask(&pool, all).await, ask(&pool, "SELECT id FROM products").await);
        pool.get().await.unwrap().batch_execute("ALTER TABLE products ADD COLUMN name text").await.unwrap();
        let after = [ask(&pool, all).await, ask(&pool, all).await, ask(&pool, all).await];
        print!(" after {}; with columns {};", after.join(" "), ask(&pool, "SELECT id FROM products").await);
        pool.get().await.unwrap().statement_cache.clear();
        println!(" with the cache cleared {}", ask(&pool, all).await);
    }
}
RUST
export PG_DIR
run_rust >seen
same seen <<'SEEN'
Fast: before ok, ok; after 0A000 0A000 0A000; with columns ok; with the cache cleared ok
Verified: before ok, ok; after 0A000 0A000 0A000; with columns ok; with the cache cleared ok
Clean: before ok, ok; after 0A000 0A000 0A000; with columns ok; with the cache cleared ok
SEEN
