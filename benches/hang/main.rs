//! The effect of a payment provider that hangs on everybody else: p99 of catalog and cart while a hundred buyers wait for it,
//! compared with the quiet p99. Both are measured in turns, in one run: `cargo bench --bench hang`.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine::dev::postgres::{Cluster, ClusterOptions};

/// The quiet figure may at most double.
const MOST: f64 = 2.0;
const ROUNDS: usize = 5;
const PHASE: Duration = Duration::from_secs(6);
const TIMEOUT: Duration = Duration::from_secs(2);
const READERS: usize = 8;
const BUYERS: usize = 100;

struct Shop {
    child: Child,
    http: reqwest::Client,
    url: String,
    sandbox: String,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> ExitCode {
    actix_web::rt::System::new().block_on(measure())
}

async fn measure() -> ExitCode {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-hang");
    let cluster = Cluster::start(ClusterOptions { dir: dir.join("pg"), durable: true, max_connections: 60 }).await.unwrap();
    let name = format!("hang_{}", std::process::id());
    let (admin, driver) = tokio_postgres::connect(&cluster.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    actix_web::rt::spawn(driver);
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let shop = start(&dir, &cluster.url(&name)).await;
    let (cart, orders) = prepare(&shop).await;
    let (mut quiet, mut hanging) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        shop.control("DELETE", "/control/fault", &Value::Null).await;
        let calm = read(&shop, &cart).await;
        shop.control("POST", "/control/fault", &json!({"provider": "propay", "kind": "hang", "count": 1_000_000})).await;
        let (busy, waiting) = tokio::join!(read(&shop, &cart), buy(&shop, &orders));
        println!("round {round}: p99 {:.1} ms quiet, {:.1} ms while {waiting} calls timed out", calm, busy);
        quiet.push(calm);
        hanging.push(busy);
    }
    let ratio = median(&mut hanging) / median(&mut quiet);
    println!("catalog and cart: p99 {ratio:.2} times the quiet one while every payment call hangs; at most {MOST} is promised");
    drop(shop);
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    cluster.stop().await;
    if ratio <= MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start(dir: &Path, database: &str) -> Shop {
    let (port, sandbox) = (free_port(), free_port());
    std::fs::create_dir_all(dir).unwrap();
    let limits = ["LOGIN", "REGISTER", "FORGOT_PASSWORD", "GLOBAL"].map(|name| (format!("RATE_LIMIT_{name}"), "0".to_owned()));
    let child = Command::new(env!("CARGO_BIN_EXE_vitrine"))
        .arg("dev")
        .current_dir(dir)
        .env_clear()
        .envs(limits)
        .env("DATABASE_URL", database)
        .env("PORT", port.to_string())
        .env("SANDBOX_PORT", sandbox.to_string())
        .env("DB_MAX_CONNS", "16")
        // An open breaker would hide the effect that is measured.
        .env("CIRCUIT_BREAKER_THRESHOLD", "1000")
        .env("CIRCUIT_BREAKER_TIMEOUT", "1s")
        .env("PROPAY_TIMEOUT", format!("{}s", TIMEOUT.as_secs()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (url, sandbox) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{sandbox}"));
    let shop = Shop { child, http: reqwest::Client::new(), url, sandbox };
    let began = Instant::now();
    while !shop.http.get(format!("{}/ready", shop.url)).send().await.is_ok_and(|answer| answer.status() == 200) {
        assert!(began.elapsed() < Duration::from_secs(60), "the shop never got ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shop
}

impl Shop {
    async fn control(&self, method: &str, path: &str, body: &Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.sandbox)).json(body);
        assert!(request.send().await.unwrap().status().is_success(), "{method} {path}");
    }

    async fn post(&self, path: &str, token: (&str, &str), body: &Value) -> (reqwest::header::HeaderMap, Value) {
        let answer = self.http.post(format!("{}{path}", self.url)).header(token.0, token.1).json(body).send().await.unwrap();
        (answer.headers().clone(), answer.json().await.unwrap())
    }
}

/// A cart to read, and the orders that buyers will try to pay.
async fn prepare(shop: &Shop) -> (String, Vec<(String, String)>) {
    let found: Value = shop.http.get(format!("{}/api/products?limit=100", shop.url)).send().await.unwrap().json().await.unwrap();
    let plenty = found["items"].as_array().unwrap().iter().max_by_key(|product| product["stock"].as_i64()).unwrap();
    let item = json!({"product_id": plenty["id"], "quantity": 1});
    let address = json!({"cep": "01310-100", "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista",
                         "city": "São Paulo", "state": "SP"});
    let none = ("x-none", "-");
    let (mut cart, mut orders) = (String::new(), Vec::new());
    for i in 0..=BUYERS.min(plenty["stock"].as_u64().unwrap() as usize - 1) {
        let (headers, _) = shop.post("/api/cart/items", none, &item).await;
        cart = headers["x-cart-token"].to_str().unwrap().to_owned();
        if i == 0 {
            continue; // the last cart is read, the others become orders
        }
        let (_, freight) =
            shop.post("/api/shipping/calculate", none, &json!({"cep_destino": "01310-100", "items": [item]})).await;
        let order = json!({"email": "ana@example.com", "name": "Ana Silva", "cpf": "529.982.247-25", "address": address,
                           "quote_token": freight["options"][0]["quote_token"]});
        let (_, placed) = shop.post("/api/orders", ("X-Cart-Token", &cart), &order).await;
        orders.push((placed["id"].as_str().unwrap().to_owned(), placed["access_token"].as_str().unwrap().to_owned()));
    }
    shop.post("/api/cart/items", ("X-Cart-Token", &cart), &item).await;
    (cart, orders)
}

/// p99 in milliseconds of catalog and cart, asked in turns.
async fn read(shop: &Shop, cart: &str) -> f64 {
    let until = Instant::now() + PHASE;
    let reader = || async {
        let mut times = Vec::new();
        while Instant::now() < until {
            for path in ["/api/products?limit=20", "/api/cart"] {
                let began = Instant::now();
                let answer = shop.http.get(format!("{}{path}", shop.url)).header("X-Cart-Token", cart).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{path}");
                answer.bytes().await.unwrap();
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        times
    };
    let mut times = join_all((0..READERS).map(|_| reader())).await.concat();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

/// Everybody tries to pay until the phase is over. Returns how many calls got no answer from the provider.
async fn buy(shop: &Shop, orders: &[(String, String)]) -> usize {
    let until = Instant::now() + PHASE;
    let buyer = |(i, order): (usize, &(String, String))| {
        // Buyers start one after the other, not all at once.
        let late = TIMEOUT * u32::try_from(i).unwrap() / u32::try_from(orders.len()).unwrap();
        let (path, token) = (format!("{}/api/orders/{}/pay", shop.url, order.0), order.1.clone());
        async move {
            let mut waited = 0;
            tokio::time::sleep(late).await;
            while Instant::now() < until {
                let ask = shop.http.post(&path).header("X-Order-Token", &token).json(&json!({"method": "pix"}));
                waited += usize::from(ask.send().await.unwrap().status() == 503);
            }
            waited
        }
    };
    join_all(orders.iter().enumerate().map(buyer)).await.into_iter().sum()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
