//! The state of the run: purchases, counters, and access to the shop, its database and the providers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::Plan;
use crate::machine::Machine;

/// Longer than any part of the set-up takes.
pub const SETUP_TIMEOUT: Duration = Duration::from_secs(120);
/// How long one request may take before its answer counts as lost.
const REQUEST: Duration = Duration::from_secs(8);
const READY: Duration = Duration::from_secs(2);
/// Some products sell out, some do not.
pub const STOCKS: [i32; 6] = [40, 100, 250, 100_000, 100_000, 100_000];
pub const COUPON: &str = "TORTURA";
pub const COUPON_USES: i32 = 60;
/// The CNPJ of the seller.
pub const CNPJ: &str = "11222333000181";
pub const ADMIN: (&str, &str) = ("admin@loja.test", "uma-senha-de-teste-9");

/// A buyer's purchase and its result.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub key: String,
    pub cart: String,
    pub body: Value,
    /// The 201: id, number and token.
    pub placed: Option<Placed>,
    /// A clear refusal.
    pub is_refused: bool,
}

#[derive(Debug, Clone)]
pub struct Placed {
    pub id: String,
    pub number: String,
    pub token: String,
    pub total_cents: i64,
}

impl Placed {
    pub fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let total_cents = body["total_cents"].as_i64().unwrap_or_default();
        Self { id: text("id"), number: text("number"), token: text("access_token"), total_cents }
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub cart: Option<String>,
    pub is_replay: bool,
}

impl Answer {
    pub fn slug(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
    }
}

pub struct World {
    pub plan: Plan,
    pub machine: Machine,
    started: Instant,
    over: AtomicBool,
    /// Held by whoever kills or stops a part of the shop; wholly, by whoever measures how soon the shop is back.
    pub calm: RwLock<()>,
    pub http: reqwest::Client,
    /// For the sandbox's controls: each call on a connection of its own, so that no kept connection is found closed.
    control: reqwest::Client,
    pub products: Mutex<Vec<(Uuid, Uuid)>>,
    pub admin: Mutex<String>,
    pub purchases: Mutex<BTreeMap<String, Purchase>>,
    /// Payments that the buyers' banks accepted.
    pub paid: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<String, u64>>,
    violations: Mutex<Vec<String>>,
}

/// Locks a mutex, also one that a panic poisoned, for the clean-up.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    pub async fn start(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            machine: Machine::start(plan.seed).await,
            started: Instant::now(),
            over: AtomicBool::new(false),
            calm: RwLock::default(),
            http: reqwest::Client::builder().timeout(REQUEST).build().unwrap(),
            control: reqwest::Client::builder().timeout(SETUP_TIMEOUT).pool_max_idle_per_host(0).build().unwrap(),
            products: Mutex::default(),
            admin: Mutex::default(),
            purchases: Mutex::default(),
            paid: Mutex::default(),
            counts: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    /// A random sequence of its own for every task, so that one task does not change another's choices.
    pub fn dice(&self, task: u64) -> StdRng {
        StdRng::seed_from_u64(self.plan.seed ^ task.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn chaos(&self) -> Value {
        json!({
            "seed": self.plan.seed, "per_mille": 120, "webhook_lost_per_mille": 150, "webhook_twice_per_mille": 200,
            "webhook_late_per_mille": 150, "slow_max_ms": 2500, "webhook_late_max_ms": 20_000,
        })
    }

    pub fn time_is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.started.elapsed().as_secs_f64() > self.plan.minutes * 60.0
    }

    pub fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn count(&self, what: &str) {
        self.add(what, 1);
    }

    pub fn add(&self, what: &str, n: u64) {
        *lock(&self.counts).entry(what.to_owned()).or_default() += n;
    }

    pub fn violation(&self, what: String) {
        println!("torture: VIOLATION {what}");
        lock(&self.violations).push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    pub fn say(&self, what: &str) {
        println!("torture: {:>6.1} s  {what}", self.started.elapsed().as_secs_f64());
    }

    /// Starts everything and fills the stock.
    pub async fn open_shop(&self) {
        self.machine.start_all();
        for port in self.machine.ports {
            self.until_ready(port).await;
        }
        self.fill_shelves().await;
        let (email, password) = ADMIN;
        let started = Instant::now();
        loop {
            let body = json!({"email": email, "password": password});
            if let Some(answer) = self.call(0, "POST", "/api/auth/login", &[], Some(&body)).await
                && let Some(token) = answer.body["token"].as_str()
            {
                *lock(&self.admin) = format!("Bearer {token}");
                return;
            }
            assert!(started.elapsed() < SETUP_TIMEOUT, "the admin cannot sign in");
        }
    }

    async fn fill_shelves(&self) {
        const PRODUCT: &str = "
            WITH category AS (
                INSERT INTO categories (id, slug, name, ncm, origin) VALUES ($1, 'tortura', 'Tortura', '69120000', 0)
                ON CONFLICT (slug) DO UPDATE SET name = 'Tortura' RETURNING id),
            product AS (
                INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm)
                SELECT $2, $3::text, $3::text, id, 300, 5, 15, 20 FROM category RETURNING id),
            variant AS (
                INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
                SELECT $4, id, $3::text, 'Único', $5::bigint, $6::int, true FROM product RETURNING id, stock)
            INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
            SELECT id, stock, 'opening', 'system', 'system' FROM variant";
        const COUPONS: &str = "INSERT INTO coupons (id, code, kind, value, max_uses, max_uses_per_customer) VALUES ($1, $2::text, 'percent', 10, $3::int, 3)";
        const SETTINGS: &str = "INSERT INTO settings (name, value) VALUES ('company', $1), ('taxes', $2), ('order_limits', $3)";
        let company = json!({
            "legal_name": "Loja de Tortura Ltda", "trade_name": null, "cnpj": CNPJ, "state_registration": "110042490114",
            "tax_regime": "simples", "invoice_series": 1, "phone": "+551133334444",
            "address": {"cep": "01310100", "street": "Avenida Paulista", "number": "1000", "complement": null,
                        "district": "Bela Vista", "city": "São Paulo", "state": "SP", "ibge_city": "3550308"},
        });
        let taxes = json!({"products": {"csosn": "102", "pis_cst": "49", "cofins_cst": "49"}});
        // All buyers are at one address here, and leave many orders unpaid.
        let off = json!({"per_document": 0, "per_email": 0, "per_address": 0});
        let no_limits = json!({"unpaid_orders": off, "unpaid_units": off, "units_per_line": 0});
        let db = self.db().await.expect("a database");
        db.execute(SETTINGS, &[&company, &taxes, &no_limits]).await.unwrap();
        for (n, stock) in STOCKS.into_iter().enumerate() {
            let (category, product, variant) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
            let (slug, price) = (format!("coisa-{n}"), 1_990 + 1_337 * n as i64);
            db.execute(PRODUCT, &[&category, &product, &slug, &variant, &price, &stock]).await.unwrap();
            lock(&self.products).push((product, variant));
        }
        db.execute(COUPONS, &[&Uuid::now_v7(), &COUPON, &COUPON_USES]).await.unwrap();
    }

    pub async fn until_ready(&self, port: u16) {
        let started = Instant::now();
        while !self.is_ready(port).await {
            assert!(started.elapsed() < SETUP_TIMEOUT, "the server on {port} never became ready");
            self.look_after_processes();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for a process to do its work, for a while. Of the worker nothing is known.
    pub async fn until_serving(&self, which: usize) {
        let started = Instant::now();
        let Some(port) = self.machine.ports.get(which) else { return };
        while !self.is_ready(*port).await && started.elapsed() < REQUEST && !self.time_is_over() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_ready(&self, port: u16) -> bool {
        let asked = self.http.get(format!("http://127.0.0.1:{port}/ready")).timeout(READY).send().await;
        asked.is_ok_and(|answer| answer.status().as_u16() == 200)
    }

    /// One request to a server. `None`: no answer; whether it was carried out is unknown.
    pub async fn call(
        &self,
        server: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Option<Answer> {
        let url = format!("http://127.0.0.1:{}{path}", self.machine.ports[server]);
        let mut request = self.http.request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => request.json(body).send().await.ok()?,
            None => request.send().await.ok()?,
        };
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (cart, is_replay) = (header("x-cart-token"), header("idempotency-replayed").is_some());
        let body = answer.json().await.ok()?;
        if status == 500 {
            self.count("answers 500");
        }
        Some(Answer { status, body, cart, is_replay })
    }

    pub async fn sandbox(&self, path: &str) -> Value {
        let asked = self.control.get(format!("http://127.0.0.1:{}{path}", self.machine.sandbox_port)).send();
        asked.await.unwrap().json().await.unwrap()
    }

    /// Status and body.
    pub async fn sandbox_post(&self, path: &str, body: &Value) -> (u16, Value) {
        let asked =
            self.control.post(format!("http://127.0.0.1:{}{path}", self.machine.sandbox_port)).timeout(REQUEST).json(body).send();
        let Ok(answer) = asked.await else { return (0, Value::Null) };
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A connection to the database itself; `None` while it is away.
    pub async fn db(&self) -> Option<tokio_postgres::Client> {
        connect(&self.machine.database_url).await
    }

    /// A change in the database, such as time that passes. Returns whether it was made.
    pub async fn sql(&self, statement: &str) -> bool {
        match self.db().await {
            Some(db) => db.batch_execute(statement).await.is_ok(),
            None => false,
        }
    }

    /// The supervisor's check.
    pub fn look_after_processes(&self) {
        for (what, found_no_database) in self.machine.start_what_has_ended() {
            match found_no_database {
                true => self.count("starts that found no database"),
                false => self.violation(what),
            }
        }
    }

    pub fn report(&self) {
        println!("torture: what happened");
        for (what, count) in lock(&self.counts).iter() {
            println!("torture: {count:>8}  {what}");
        }
        println!("torture: {:>8}  violations", lock(&self.violations).len());
        for violation in lock(&self.violations).iter() {
            println!("torture: VIOLATION {violation}");
        }
    }
}

async fn connect(url: &str) -> Option<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}
