//! Orders a second beside another build, in one run: `cargo bench --bench orders -- --beside PATH_OF_ITS_BINARY`.
//!
//! Both builds have a database of their own in one PostgreSQL, and their blocks take turns, so that whatever else the machine does
//! falls on both. What is printed are ratios: a figure of one machine says nothing about another. Sixteen guests place orders of two
//! lines each, from carts that were filled before the clock starts. The last blocks are the same while older orders expire.
//! `--orders 600` per block, `--rounds 5`, `--expiring 40` orders a second.
#![allow(clippy::unwrap_used)]

#[path = "../shared/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use vitrine::dev::postgres::{Cluster, ClusterOptions};

use shared::buyers::{Offers, Wish};
use shared::processes::cpu;
use shared::shop::Shop;

const GUESTS: usize = 16;
const WISH: Wish = Wish { lines: 2, hot: false, pix: false };
/// The oldest orders that wait for their money are over, and their jobs due.
const EXPIRE: &str = "
    WITH over AS (
        UPDATE orders SET expires_at = now() - interval '1 second'
         WHERE id IN (SELECT id FROM orders WHERE status = 'pending' AND expires_at > now() ORDER BY id LIMIT $1) RETURNING id)
    UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND dedupe IN (SELECT 'expire_order:' || id FROM over)";

struct Options {
    this: PathBuf,
    beside: PathBuf,
    orders: usize,
    rounds: usize,
    expiring: i64,
}

/// One of the two builds.
struct Side {
    shop: Shop,
    db: Client,
    offers: Offers,
}

/// What a block cost: seconds, and seconds of CPU in the server and in its PostgreSQL backends.
#[derive(Clone, Copy)]
struct Block {
    seconds: f64,
    server: f64,
    postgres: f64,
    expired: i64,
}

fn main() {
    let given: Vec<String> = std::env::args().collect();
    let value = |name: &str| given.iter().position(|a| a == name).and_then(|at| given.get(at + 1));
    let Some(beside) = value("--beside").map(PathBuf::from) else {
        return println!("orders: name another build's binary with --beside, or there is nothing to compare with");
    };
    let options = Options {
        this: value("--this").map_or_else(|| env!("CARGO_BIN_EXE_vitrine").into(), PathBuf::from),
        beside,
        orders: value("--orders").map_or(600, |n| n.parse().unwrap()),
        rounds: value("--rounds").map_or(5, |n| n.parse().unwrap()),
        expiring: value("--expiring").map_or(40, |n| n.parse().unwrap()),
    };
    actix_web::rt::System::new().block_on(measure(&options));
}

async fn measure(options: &Options) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-orders");
    let cluster = Cluster::start(ClusterOptions { dir: dir.join("pg"), durable: true, max_connections: 300 }).await.unwrap();
    let this = Side::open(&dir.join("this"), &cluster, &options.this, "orders_this").await;
    let beside = Side::open(&dir.join("beside"), &cluster, &options.beside, "orders_beside").await;
    for (title, expiring) in [("quiet", 0), ("while orders expire", options.expiring)] {
        let mut blocks = (Vec::new(), Vec::new());
        for round in 0..=options.rounds {
            let (a, b) = if round % 2 == 0 {
                let a = this.block(options.orders, expiring).await;
                (a, beside.block(options.orders, expiring).await)
            } else {
                let b = beside.block(options.orders, expiring).await;
                (this.block(options.orders, expiring).await, b)
            };
            if round == 0 {
                continue; // connections and plans are made in the first one
            }
            println!("{title}, round {round}: {:.2} times the orders a second", b.seconds / a.seconds);
            blocks.0.push(a);
            blocks.1.push(b);
        }
        let ratio = |of: fn(&Block) -> f64| median(&blocks.0, of) / median(&blocks.1, of);
        println!(
            "{title}: {:.2} times the orders a second; CPU per order: {:.2} times in PostgreSQL, {:.2} times in the server",
            1.0 / ratio(|block| block.seconds),
            ratio(|block| block.postgres),
            ratio(|block| block.server)
        );
        if expiring > 0 {
            let expired = |blocks: &[Block]| blocks.iter().map(|block| block.expired).sum::<i64>();
            println!("{title}: {} orders expired beside the one, {} beside the other", expired(&blocks.0), expired(&blocks.1));
        }
    }
    for side in [this, beside] {
        side.shop.close(&cluster).await;
    }
    cluster.stop().await;
}

fn median(blocks: &[Block], of: fn(&Block) -> f64) -> f64 {
    shared::median(&blocks.iter().map(of).collect::<Vec<_>>())
}

impl Side {
    async fn open(dir: &Path, cluster: &Cluster, binary: &Path, name: &str) -> Self {
        let shop = Shop::open(cluster, dir, binary, name, &[]).await;
        let (db, offers) = (shop.db().await, shop.offers(WISH).await);
        Self { shop, db, offers }
    }

    async fn block(&self, orders: usize, expiring: i64) -> Block {
        let carts = self.shop.fill_all(&self.offers, GUESTS, orders / GUESTS).await;
        self.db.batch_execute("CHECKPOINT").await.unwrap();
        let (pid, database) = (self.shop.pid(), &self.shop.database);
        let used = || (cpu(|id, _| id == pid), cpu(|_, line| line.starts_with("postgres:") && line.contains(database)));
        let (before, expired, began) = (used(), self.expired().await, Instant::now());
        tokio::select! {
            _ = self.shop.send_all(&carts) => {}
            () = self.expire(expiring) => {}
        }
        let (seconds, after) = (began.elapsed().as_secs_f64(), used());
        let expired = self.expired().await - expired;
        Block { seconds, server: after.0 - before.0, postgres: after.1 - before.1, expired }
    }

    /// Lets so many orders a second run out, until the buyers are done.
    async fn expire(&self, a_second: i64) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if a_second > 0 {
                self.db.execute(EXPIRE, &[&(a_second / 4).max(1)]).await.unwrap();
            }
        }
    }

    async fn expired(&self) -> i64 {
        self.db.query_one("SELECT count(*) FROM orders WHERE status = 'cancelled'", &[]).await.unwrap().get(0)
    }
}
