//! Orders a second beside another build, in one run: `cargo bench --bench orders -- --beside PATH_OF_ITS_BINARY`.
//!
//! Both builds have a database of their own in one PostgreSQL, and their blocks take turns, so that whatever else the machine does
//! falls on both. What is printed are ratios: a figure of one machine says nothing about another. Sixteen guests place orders of two
//! lines each, from carts that were filled before the clock starts. The last blocks are the same while older orders expire.
//! `--orders 600` per block, `--rounds 5`, `--expiring 40` orders a second.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls};
use vitrine::dev::postgres::{Cluster, ClusterOptions};

const GUESTS: usize = 16;
/// Pairs of variants that are bought, each with one freight quote.
const PAIRS: usize = 100;
const CEP: &str = "01310-100";

const PRODUCTS: &str = "
    INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm)
    SELECT ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid, 'bench-' || n, 'Produto ' || n, c.id, 300, 5, 10, 10
      FROM generate_series(1, 1000) n, (SELECT id FROM categories LIMIT 1) c;
    INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
    SELECT ('00000000-0000-7000-8000-2' || lpad(n::text, 11, '0'))::uuid, ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid,
           'BENCH-' || n, 'Único', 1990, 1000000, true FROM generate_series(1, 1000) n;
    INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
    SELECT id, stock, 'opening', 'bench', 'system' FROM variants WHERE sku LIKE 'BENCH-%'";
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

struct Shop {
    child: Child,
    port: u16,
    http: reqwest::Client,
    database: String,
    db: Client,
    bodies: Vec<([String; 2], Value)>,
    next: Cell<usize>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a block cost: seconds, and seconds of CPU in the server and in its PostgreSQL backends.
#[derive(Clone, Copy)]
struct Block {
    seconds: f64,
    server: f64,
    postgres: f64,
    expired: i64,
}

/// A cart that waits to be ordered.
struct Purchase {
    cart: String,
    body: String,
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
    let cluster = Cluster::start(ClusterOptions { dir: dir.join("pg"), durable: true, max_connections: 100 }).await.unwrap();
    let this = Shop::open(&dir.join("this"), &cluster, &options.this, "this").await;
    let beside = Shop::open(&dir.join("beside"), &cluster, &options.beside, "beside").await;
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
    let databases = [this.database.clone(), beside.database.clone()];
    drop((this, beside));
    let admin = connect(&cluster.url("postgres")).await;
    for database in databases {
        admin.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
    }
    cluster.stop().await;
}

fn median(blocks: &[Block], of: fn(&Block) -> f64) -> f64 {
    let mut figures: Vec<f64> = blocks.iter().map(of).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    client
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Seconds of CPU that these processes have used; 0 where there is no /proc.
fn cpu(is_meant: impl Fn(u32, &str) -> bool) -> f64 {
    let mut ticks = 0.0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if is_meant(pid, &read("cmdline")) {
            let stat = read("stat");
            let of = |field: &&str| f64::from_str(field).unwrap_or_default();
            let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            ticks += rest.get(11..13).map_or(0.0, |times| times.iter().map(of).sum());
        }
    }
    ticks / 100.0
}

impl Shop {
    async fn open(dir: &Path, cluster: &Cluster, binary: &Path, name: &str) -> Self {
        fs::create_dir_all(dir).unwrap();
        let database = format!("orders_{name}_{}", std::process::id());
        connect(&cluster.url("postgres")).await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let url = cluster.url(&database);
        let (port, sandbox) = (free_port(), free_port());
        let limits =
            ["LOGIN", "REGISTER", "FORGOT_PASSWORD", "GLOBAL"].map(|name| (format!("RATE_LIMIT_{name}"), "0".to_owned()));
        let child = Command::new(binary)
            .arg("dev")
            .current_dir(dir)
            .env_clear()
            .envs(limits)
            .env("DATABASE_URL", &url)
            .env("PORT", port.to_string())
            .env("SANDBOX_PORT", sandbox.to_string())
            .env("DB_MAX_CONNS", "24")
            .env("LOG_LEVEL", "warn")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::new();
        let began = Instant::now();
        while !http.get(format!("http://127.0.0.1:{port}/ready")).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(began.elapsed() < Duration::from_secs(60), "{} never got ready", binary.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let db = connect(&url).await;
        db.batch_execute(PRODUCTS).await.unwrap();
        let mut shop = Self { child, port, http, database, db, bodies: Vec::new(), next: Cell::new(0) };
        for pair in 0..PAIRS {
            shop.bodies.push(shop.order_of(pair).await);
        }
        join_all((0..GUESTS).map(|_| shop.fill())).await;
        shop.db.batch_execute("VACUUM ANALYZE").await.unwrap();
        shop
    }

    async fn post(&self, path: &str, cart: Option<&str>, body: &Value) -> (reqwest::header::HeaderMap, Value) {
        let request = self.http.post(format!("http://127.0.0.1:{}{path}", self.port)).json(body);
        let answer = match cart {
            Some(token) => request.header("x-cart-token", token),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        (answer.headers().clone(), answer.json().await.unwrap())
    }

    /// Two products, and an order of them that wants a cart and a buyer.
    async fn order_of(&self, pair: usize) -> ([String; 2], Value) {
        let products = [pair + 1, pair + 501].map(|n| format!("00000000-0000-7000-8000-1{n:011}"));
        let items = products.each_ref().map(|id| json!({"product_id": id, "quantity": 1}));
        let (_, freight) = self.post("/api/shipping/calculate", None, &json!({"cep_destino": CEP, "items": items})).await;
        let address = json!({"cep": CEP, "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista",
                             "city": "São Paulo", "state": "SP"});
        let order = json!({"name": "Ana Silva", "phone": "(11) 99999-0000", "address": address,
                           "quote_token": freight["options"][0]["quote_token"]});
        (products, order)
    }

    async fn fill(&self) -> Purchase {
        let n = self.next.replace(self.next.get() + 1);
        let (products, order) = &self.bodies[n % PAIRS];
        let mut cart = None;
        for id in products {
            let (headers, _) = self.post("/api/cart/items", cart.as_deref(), &json!({"product_id": id, "quantity": 1})).await;
            cart = cart.or_else(|| Some(headers["x-cart-token"].to_str().unwrap().to_owned()));
        }
        let mut order = order.clone();
        order["email"] = json!(format!("pessoa{n}@example.com"));
        order["cpf"] = json!(cpf(n));
        Purchase { cart: cart.unwrap(), body: order.to_string() }
    }

    async fn block(&self, orders: usize, expiring: i64) -> Block {
        let each = orders / GUESTS;
        let carts = join_all((0..GUESTS).map(|_| async {
            let mut carts = Vec::new();
            for _ in 0..each {
                carts.push(self.fill().await);
            }
            carts
        }))
        .await;
        self.db.batch_execute("CHECKPOINT").await.unwrap();
        let pid = self.child.id();
        let used = || (cpu(|id, _| id == pid), cpu(|_, line| line.starts_with("postgres:") && line.contains(&self.database)));
        let (before, expired, began) = (used(), self.expired().await, Instant::now());
        let buyers = join_all(carts.iter().map(|carts| self.buy(carts)));
        tokio::select! {
            _ = buyers => {}
            () = self.expire(expiring) => {}
        }
        let (seconds, after) = (began.elapsed().as_secs_f64(), used());
        let expired = self.expired().await - expired;
        Block { seconds, server: after.0 - before.0, postgres: after.1 - before.1, expired }
    }

    /// One guest after the other, on one connection. What is read is counted, not parsed: the clock is for the shop.
    async fn buy(&self, carts: &[Purchase]) {
        let mut stream = BufStream::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        for Purchase { cart, body } in carts {
            let head = format!(
                "POST /api/orders HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nx-cart-token: {cart}\r\n\
                 idempotency-key: {cart}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let (mut line, mut length, mut status) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).await.unwrap() > 2 {
                if let Some((_, text)) = line.to_lowercase().split_once("content-length: ") {
                    length = text.trim().parse().unwrap();
                }
                status = if status.is_empty() { line.clone() } else { status };
                line.clear();
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await.unwrap();
            assert!(status.starts_with("HTTP/1.1 201"), "{status}{}", String::from_utf8_lossy(&answer));
        }
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

/// The CPF of the n-th person who does not exist.
fn cpf(n: usize) -> String {
    let mut digits: Vec<usize> = format!("{:09}", 100_000_000 + n).bytes().map(|digit| usize::from(digit - b'0')).collect();
    for weight in [10, 11] {
        let sum: usize = digits.iter().zip((2..=weight).rev()).map(|(digit, factor)| digit * factor).sum();
        digits.push(sum * 10 % 11 % 10);
    }
    digits.iter().map(ToString::to_string).collect()
}
