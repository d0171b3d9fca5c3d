//! How long `vitrine audit` takes on a shop of a million orders: `cargo bench --bench audit -- --orders 1000000`.
//!
//! The work is PostgreSQL's, so `--profile dev` measures the same. The filled database is kept under the target folder for
//! the next run; `--fill` fills it anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio_postgres::NoTls;
use vitrine::config::DatabaseConfig;
use vitrine::db;
use vitrine::dev::postgres::{Cluster, ClusterOptions};

/// The longest that a million orders may take.
const BUDGET: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let orders = arguments.iter().position(|a| a == "--orders").map_or(1_000_000, |at| arguments[at + 1].parse().unwrap());
    actix_web::rt::System::new().block_on(measure(orders, arguments.iter().any(|a| a == "--fill")))
}

async fn measure(orders: u64, anew: bool) -> ExitCode {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-pg");
    let cluster = Cluster::start(ClusterOptions { dir, durable: false, max_connections: 20 }).await.unwrap();
    let name = format!("audit_{orders}");
    fill(&cluster, &name, orders, anew).await;
    let url = cluster.url(&name);
    // The kept database has aged: its unpaid orders have jobs that would be overdue.
    connect(&url)
        .await
        .batch_execute("UPDATE jobs SET run_at = now() + interval '10 minutes' WHERE state = 'waiting'")
        .await
        .unwrap();
    let mut best = Duration::MAX;
    for round in 1..=3 {
        let started = Instant::now();
        let clean = Command::new(env!("CARGO_BIN_EXE_vitrine"))
            .args(["audit", "--times"])
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(environment(&url))
            .status()
            .unwrap()
            .success();
        best = best.min(started.elapsed());
        println!("round {round}: {orders} orders audited in {:.1} s", started.elapsed().as_secs_f64());
        assert!(clean, "the filled shop is clean");
    }
    cluster.stop().await;
    println!("best of 3: {:.1} s; the budget for a million is {} s", best.as_secs_f64(), BUDGET.as_secs());
    if orders <= 1_000_000 && best > BUDGET { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    client
}

/// A database of that name with so many orders; one whose filling was interrupted is filled again.
async fn fill(cluster: &Cluster, name: &str, orders: u64, anew: bool) {
    let admin = connect(&cluster.url("postgres")).await;
    let (found, half) = (format!("SELECT FROM pg_database WHERE datname = '{name}'"), format!("{name}_half"));
    if !anew && !admin.query(&found, &[]).await.unwrap().is_empty() {
        return;
    }
    for old in [name, &half] {
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {old} WITH (FORCE)")).await.unwrap();
    }
    admin.batch_execute(&format!("CREATE DATABASE {half}")).await.unwrap();
    let started = Instant::now();
    let timeout = Duration::from_secs(3600);
    let url = SecretString::from(cluster.url(&half));
    db::migrate(&DatabaseConfig {
        url,
        min_conns: 0,
        max_conns: 2,
        statement_timeout: timeout,
        pool_wait: timeout,
        answer_wait: timeout,
        idle_timeout: Duration::from_secs(300),
    })
    .await
    .unwrap();
    let filling = connect(&cluster.url(&half)).await;
    // One by one: VACUUM must not run in a transaction. No statement contains a `;`.
    for statement in include_str!("fill.sql").split(";\n") {
        filling.batch_execute(&statement.replace("{orders}", &orders.to_string())).await.unwrap();
    }
    drop(filling);
    admin
        .batch_execute(&format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{half}'"))
        .await
        .unwrap();
    admin.batch_execute(&format!("ALTER DATABASE {half} RENAME TO {name}")).await.unwrap();
    println!("filled with {orders} orders in {:.0} s", started.elapsed().as_secs_f64());
}

/// The least that the commands beside `serve` accept.
fn environment(database: &str) -> [(&'static str, String); 11] {
    [
        ("DATABASE_URL", database.to_owned()),
        ("JWT_SECRET", "x".repeat(48)),
        ("DATA_KEYS", "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into()),
        ("PROPAY_URL", "https://propay.internal".into()),
        ("GO_TO_PROPAY_SECRET", "a".repeat(32)),
        ("PROPAY_TO_GO_SECRET", "b".repeat(32)),
        ("SHIPPING_SENDER_CEP", "01310100".into()),
        ("SHIPPING_API_KEY", "key".into()),
        ("RESEND_API_KEY", "key".into()),
        ("ALLOWED_ORIGINS", "https://loja.example".into()),
        ("LOG_LEVEL", "error".into()),
    ]
}
