//! All that runs: PostgreSQL, two servers, a worker and the sandbox, as processes of their own that end with us.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;
use vitrine::dev::postgres::{Cluster, ClusterOptions};

use crate::Plan;

/// Nothing of the set-up takes so long on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How long one request may take before its answer counts as lost.
const REQUEST: Duration = Duration::from_secs(8);
/// A server that starts without a database says so and ends, at the latest after this.
const AFTERSHOCK: Duration = Duration::from_secs(15);
const PIX_EXPIRY: &str = "15s";
/// Some things sell out, some do not.
pub const STOCKS: [i32; 6] = [40, 100, 250, 100_000, 100_000, 100_000];
pub const COUPON: &str = "TORTURA";
pub const COUPON_USES: i32 = 60;
const ADMIN: (&str, &str) = ("admin@loja.test", "uma-senha-de-teste-9");

/// What a buyer sent, and what came of it.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub key: String,
    pub cart: String,
    pub body: Value,
    /// The 201: id, number and token.
    pub placed: Option<Placed>,
    /// A clear no.
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

/// A process of ours that can be killed and started again.
struct Process {
    name: &'static str,
    arguments: Vec<&'static str>,
    env: Vec<(&'static str, String)>,
    child: Mutex<Option<Child>>,
}

pub struct World {
    pub plan: Plan,
    started: Instant,
    over: AtomicBool,
    folder: PathBuf,
    cluster: Mutex<Option<Cluster>>,
    /// When the database last went down or came up.
    crashed: Mutex<Option<Instant>>,
    database: String,
    database_url: String,
    env: Vec<(&'static str, String)>,
    pub ports: [u16; 2],
    sandbox_port: u16,
    processes: Vec<Process>,
    helpers: Mutex<Vec<Child>>,
    watchdog: Mutex<Child>,
    pub http: reqwest::Client,
    pub secrets: [String; 2],
    pub products: Mutex<Vec<(Uuid, Uuid)>>,
    pub admin: Mutex<String>,
    pub purchases: Mutex<BTreeMap<String, Purchase>>,
    /// Payments that the buyers' banks took.
    pub paid: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<String, u64>>,
    violations: Mutex<Vec<String>>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A lock that a panic elsewhere does not poison for the clean-up.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    pub async fn start(plan: &Plan) -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tmp.join("torture");
        let _ = std::fs::remove_dir_all(&folder); // the last run's logs
        std::fs::create_dir_all(&folder).unwrap();
        let options = ClusterOptions { dir: tmp.join("torture-pg"), durable: true, max_connections: 250 };
        let cluster = Cluster::start(options).await.unwrap();
        let database = fresh_database(&cluster.url("postgres")).await;
        let database_url = cluster.url(&database);
        let mut dice = StdRng::seed_from_u64(plan.seed);
        let mut secret = || hex::encode(dice.random::<[u8; 24]>());
        let [jwt, go, back, app_id, openpix, freight, mail] = std::array::from_fn(|_| secret());
        let (ports, sandbox_port) = ([free_port(), free_port()], free_port());
        let provider = |path: &str| format!("http://127.0.0.1:{sandbox_port}/{path}");
        let env: Vec<(&'static str, String)> = vec![
            ("DATABASE_URL", database_url.clone()),
            ("JWT_SECRET", jwt),
            ("ALLOWED_ORIGINS", "https://loja.example".into()),
            ("PIX_PROVIDER", "propay,openpix".into()),
            ("PIX_EXPIRY", PIX_EXPIRY.into()),
            ("PROPAY_URL", provider("propay")),
            ("PROPAY_TIMEOUT", "2s".into()),
            ("GO_TO_PROPAY_SECRET", go.clone()),
            ("PROPAY_TO_GO_SECRET", back.clone()),
            ("OPENPIX_URL", provider("openpix")),
            ("OPENPIX_TIMEOUT", "2s".into()),
            ("OPENPIX_APP_ID", app_id),
            ("OPENPIX_WEBHOOK_SECRET", openpix),
            ("OPENPIX_PUBLIC_KEY", String::new()),
            ("MELHORENVIO_URL", provider("melhorenvio")),
            ("SHIPPING_API_KEY", freight),
            ("SHIPPING_SENDER_CEP", "01310-100".into()),
            ("RESEND_URL", provider("resend")),
            ("RESEND_API_KEY", mail),
            ("CEP_URL", provider("viacep")),
            ("BRASILAPI_URL", provider("brasilapi")),
            ("ADMIN_EMAIL", ADMIN.0.into()),
            ("ADMIN_PASSWORD", ADMIN.1.into()),
            ("ADMIN_ALERT_EMAIL", "operador@loja.test".into()),
            ("HTTP_WORKERS", "2".into()),
            ("DB_MIN_CONNS", "1".into()),
            ("DB_MAX_CONNS", "24".into()),
            ("LOG_LEVEL", "warn".into()),
            ("LOG_FORMAT", "json".into()),
            // Providers are in trouble all the time here: open circuits are to be met, not to be waited out.
            ("CIRCUIT_BREAKER_THRESHOLD", "8".into()),
            ("CIRCUIT_BREAKER_TIMEOUT", "5s".into()),
            ("CIRCUIT_BREAKER_COOLDOWN", "1s".into()),
            ("RATE_LIMIT_LOGIN", "0".into()),
            ("RATE_LIMIT_REGISTER", "0".into()),
            ("RATE_LIMIT_FORGOT_PASSWORD", "0".into()),
            ("RATE_LIMIT_GLOBAL", "0".into()),
        ];
        let journal = folder.join("books.jsonl").to_str().unwrap().to_owned();
        let own = |more: Vec<(&'static str, String)>| env.iter().cloned().chain(more).collect::<Vec<_>>();
        let sandbox = own(vec![
            ("SANDBOX_PORT", sandbox_port.to_string()),
            ("SANDBOX_JOURNAL", journal),
            ("PUBLIC_URL", format!("http://127.0.0.1:{}", ports[0])),
        ]);
        let server = |name, port: u16| Process {
            name,
            arguments: vec!["serve"],
            env: own(vec![("PORT", port.to_string())]),
            child: Mutex::new(None),
        };
        let processes = vec![
            Process { name: "sandbox", arguments: vec!["sandbox"], env: sandbox, child: Mutex::new(None) },
            server("server-0", ports[0]),
            server("server-1", ports[1]),
            Process { name: "worker", arguments: vec!["worker"], env: own(Vec::new()), child: Mutex::new(None) },
        ];
        Self {
            plan: plan.clone(),
            started: Instant::now(),
            over: AtomicBool::new(false),
            folder,
            cluster: Mutex::new(Some(cluster)),
            crashed: Mutex::default(),
            database,
            database_url,
            env,
            ports,
            sandbox_port,
            processes,
            helpers: Mutex::default(),
            watchdog: Mutex::new(watchdog()),
            http: reqwest::Client::builder().timeout(REQUEST).build().unwrap(),
            secrets: [go, back],
            products: Mutex::default(),
            admin: Mutex::default(),
            purchases: Mutex::default(),
            paid: Mutex::default(),
            counts: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    /// A sequence of its own for every task, so that one does not change what another draws.
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

    /// Brings everything up and fills the shelves.
    pub async fn open_shop(&self) {
        for index in 0..self.processes.len() {
            self.start_process(index);
        }
        for port in self.ports {
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
            assert!(started.elapsed() < PATIENCE, "the admin cannot sign in");
        }
    }

    async fn fill_shelves(&self) {
        const PRODUCT: &str = "
            WITH category AS (
                INSERT INTO categories (id, slug, name) VALUES ($1, 'tortura', 'Tortura')
                ON CONFLICT (slug) DO UPDATE SET name = 'Tortura' RETURNING id),
            product AS (
                INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm)
                SELECT $2, $3, $3, id, 300, 5, 15, 20 FROM category RETURNING id),
            variant AS (
                INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
                SELECT $4, id, $3, 'Único', $5, $6, true FROM product RETURNING id, stock)
            INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
            SELECT id, stock, 'opening', 'system', 'system' FROM variant";
        const COUPONS: &str =
            "INSERT INTO coupons (id, code, kind, value, max_uses, max_uses_per_customer) VALUES ($1, $2, 'percent', 10, $3, 3)";
        let db = self.db().await.expect("a database");
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
            assert!(started.elapsed() < PATIENCE, "the server on {port} never became ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_ready(&self, port: u16) -> bool {
        let asked = self.http.get(format!("http://127.0.0.1:{port}/ready")).send().await;
        asked.is_ok_and(|answer| answer.status().as_u16() == 200)
    }

    /// One request to a server. `None`: no answer, and nobody knows what became of it.
    pub async fn call(
        &self,
        server: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Option<Answer> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[server]);
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
        let asked = self.http.get(format!("http://127.0.0.1:{}{path}", self.sandbox_port)).timeout(PATIENCE).send();
        asked.await.unwrap().json().await.unwrap()
    }

    /// Status and body.
    pub async fn sandbox_post(&self, path: &str, body: &Value) -> (u16, Value) {
        let asked = self.http.post(format!("http://127.0.0.1:{}{path}", self.sandbox_port)).json(body).send();
        let Ok(answer) = asked.await else { return (0, Value::Null) };
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A connection behind the servers' back; `None` while the database is away.
    pub async fn db(&self) -> Option<tokio_postgres::Client> {
        connect(&self.database_url).await
    }

    /// Time that passes, and the like. Whether it happened.
    pub async fn sql(&self, statement: &str) -> bool {
        match self.db().await {
            Some(db) => db.batch_execute(statement).await.is_ok(),
            None => false,
        }
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Runs one of the binary's own commands on the shop.
    pub fn vitrine(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
        command.args(arguments).current_dir(&self.folder).env_clear().envs(self.env.iter().cloned()).output().unwrap()
    }

    fn start_process(&self, index: usize) {
        let process = &self.processes[index];
        *lock(&process.child) = Some(self.spawn(process.name, &process.arguments, &process.env));
        self.tell_watchdog();
    }

    fn spawn(&self, name: &str, arguments: &[&str], env: &[(&'static str, String)]) -> Child {
        let log = || File::options().create(true).append(true).open(self.folder.join(format!("{name}.log"))).unwrap();
        Command::new(env!("CARGO_BIN_EXE_vitrine"))
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap()
    }

    /// More workers, for the drain: mails are sent at so many a second and process.
    pub fn add_workers(&self, count: usize) {
        let env: Vec<_> = self.env.iter().filter(|(name, _)| *name != "DB_MAX_CONNS").cloned().collect();
        let env = [env, vec![("DB_MAX_CONNS", "8".to_owned())]].concat();
        let more = (0..count).map(|n| self.spawn(&format!("worker-{n}"), &["worker"], &env));
        lock(&self.helpers).extend(more);
        self.tell_watchdog();
    }

    /// SIGKILL, in the middle of whatever it does. 0 and 1 are the servers, 2 is the worker.
    pub fn kill(&self, which: usize) {
        if let Some(mut child) = lock(&self.processes[which + 1].child).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.tell_watchdog();
    }

    pub fn start_again(&self, which: usize) {
        self.start_process(which + 1);
    }

    /// Servers that ended by themselves are started again, as a supervisor would. Only one that found no database at its
    /// start may have done so.
    pub fn look_after_servers(&self) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let ended = lock(&process.child).as_mut().and_then(|child| child.try_wait().ok().flatten());
            let Some(status) = ended else { continue };
            match lock(&self.crashed).is_some_and(|at| at.elapsed() < AFTERSHOCK) {
                true => self.count("starts that found no database"),
                false => self.violation(format!("{} ended by itself: {status}", process.name)),
            }
            self.start_process(index);
        }
    }

    pub fn crash_database(&self) {
        *lock(&self.crashed) = Some(Instant::now());
        let cluster = lock(&self.cluster);
        tokio::task::block_in_place(|| cluster.as_ref().map(Cluster::crash)).transpose().unwrap();
    }

    pub fn recover_database(&self) {
        let cluster = lock(&self.cluster);
        tokio::task::block_in_place(|| cluster.as_ref().map(Cluster::recover)).transpose().unwrap();
        *lock(&self.crashed) = Some(Instant::now());
    }

    /// Lines of the processes' logs that no fault may cause.
    pub fn panics(&self) -> Vec<String> {
        let logs =
            std::fs::read_dir(&self.folder).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().ends_with(".log"));
        let read = |entry: std::fs::DirEntry| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        logs.flat_map(|e| read(e).lines().filter(|l| l.contains("panicked at")).map(str::to_owned).collect::<Vec<_>>()).collect()
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

    fn tell_watchdog(&self) {
        let mut pids: Vec<String> = self
            .processes
            .iter()
            .filter_map(|process| lock(&process.child).as_ref().map(|child| child.id().to_string()))
            .collect();
        pids.extend(lock(&self.helpers).iter().map(|child| child.id().to_string()));
        if let Some(pipe) = &mut lock(&self.watchdog).stdin {
            let _ = writeln!(pipe, "{}", pids.join(" ")); // without it they are still ended by us
        }
    }

    /// Ends everything. What a failed run leaves can be looked at: its database stays until the next one, and its logs.
    pub async fn end(&self, is_ok: bool) {
        for process in &self.processes {
            if let Some(mut child) = lock(&process.child).take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        for mut child in lock(&self.helpers).drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.tell_watchdog();
        drop(lock(&self.watchdog).stdin.take());
        let _ = lock(&self.watchdog).wait();
        if !is_ok {
            println!("torture: the database {} and the logs in {} are kept", self.database, self.folder.display());
        }
        let cluster = lock(&self.cluster).take();
        if let Some(cluster) = cluster {
            cluster.stop().await;
        }
    }
}

/// Kills what it was last told of when our end of its pipe closes, however we went.
fn watchdog() -> Child {
    const SCRIPT: &str = "pids=; while read -r line; do pids=$line; done; [ -z \"$pids\" ] || kill -KILL $pids 2>/dev/null";
    Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn connect(url: &str) -> Option<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn fresh_database(admin_url: &str) -> String {
    let admin = connect(admin_url).await.expect("the cluster that was just started");
    for row in admin.query("SELECT datname FROM pg_database WHERE datname LIKE 'torture\\_%'", &[]).await.unwrap() {
        admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", row.get::<_, &str>(0))).await.unwrap();
    }
    let name = format!("torture_{}", Uuid::new_v4().simple());
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    name
}
