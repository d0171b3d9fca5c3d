//! A shop in processes of its own: `vitrine serve`, with `vitrine sandbox` for its providers, and a database in a cluster of ours.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use vitrine::dev::postgres::Cluster;

use super::connect;

/// ProPay's key for what it tells the shop.
pub const PROPAY_SECRET: &str = "bench-propay-to-go-secret-of-32-bytes!";
pub const ADMIN: (&str, &str) = ("admin@loja.example", "a password of the bench");
/// A category and a thousand products with a variant each, as releases from 320fec7 on take them.
const GOODS: &str = "
    INSERT INTO categories (id, slug, name) VALUES ('00000000-0000-7000-8000-000000000001', 'tudo', 'Tudo');
    INSERT INTO products (id, slug, name, description, category_id, featured, weight_grams, height_cm, width_cm, length_cm)
    SELECT ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid, 'bench-' || n,
           (ARRAY['Camiseta', 'Caneca', 'Caderno', 'Mochila', 'Lanterna'])[1 + n % 5] || ' ' || n,
           repeat('Algodão penteado, costura reforçada. ', 8), '00000000-0000-7000-8000-000000000001', n % 20 = 0, 300, 5, 10, 10
      FROM generate_series(1, 1000) n;
    INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
    SELECT ('00000000-0000-7000-8000-2' || lpad(n::text, 11, '0'))::uuid, ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid,
           'BENCH-' || n, 'Único', 1990 + n, 1000000, true FROM generate_series(1, 1000) n;
    INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
    SELECT id, stock, 'opening', 'bench', 'system' FROM variants;
    VACUUM ANALYZE";

/// The id of the n-th product, from 1 to 1,000.
pub fn product(n: usize) -> String {
    format!("00000000-0000-7000-8000-1{n:011}")
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub struct Shop {
    binary: PathBuf,
    dir: PathBuf,
    env: Vec<(String, String)>,
    server: Option<Child>,
    sandbox: Option<Child>,
    pub port: u16,
    pub http: reqwest::Client,
    pub database: String,
    /// Its address. It contains the password.
    pub url: String,
    /// How many people have bought here.
    pub people: Cell<usize>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop_server();
        self.stop_sandbox();
    }
}

impl Shop {
    /// A new database with a thousand products, and the processes on it. `more` are variables of the environment.
    pub async fn open(cluster: &Cluster, dir: &Path, binary: &Path, name: &str, more: &[(&str, &str)]) -> Self {
        let database = format!("{name}_{}", std::process::id());
        connect(&cluster.url("postgres")).await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let mut shop = Self::on(dir, binary, database.clone(), cluster.url(&database), more);
        shop.start_sandbox();
        shop.start_server().await;
        let db = shop.db().await;
        for statement in GOODS.split(";\n") {
            db.batch_execute(statement).await.unwrap();
        }
        shop
    }

    /// The same without a process, on a database that is there.
    pub fn on(dir: &Path, binary: &Path, database: String, url: String, more: &[(&str, &str)]) -> Self {
        fs::create_dir_all(dir).unwrap();
        let (port, sandbox_port) = (free_port(), free_port());
        let mut env = variables(&url, port, sandbox_port);
        env.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (server, sandbox) = (None, None);
        let (binary, dir, http) = (binary.to_owned(), dir.to_owned(), reqwest::Client::new());
        Self { binary, dir, env, server, sandbox, port, http, database, url, people: Cell::new(0) }
    }

    pub async fn db(&self) -> Client {
        connect(&self.url).await
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Child::id)
    }

    pub fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts the server. Returns the time until it said that it is ready.
    pub async fn start_server(&mut self) -> Duration {
        let began = Instant::now();
        self.server = Some(self.spawn("serve"));
        let ready = self.address("/ready");
        while !self.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(began.elapsed() < Duration::from_secs(60), "{} never got ready", self.binary.display());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }

    pub fn stop_server(&mut self) {
        end(&mut self.server);
    }

    pub fn start_sandbox(&mut self) {
        self.sandbox = Some(self.spawn("sandbox"));
    }

    pub fn stop_sandbox(&mut self) {
        end(&mut self.sandbox);
    }

    fn spawn(&self, command: &str) -> Child {
        let mut process = Command::new(&self.binary);
        process.arg(command).current_dir(&self.dir).env_clear().envs(self.env.iter().cloned()).stdout(Stdio::null());
        process.spawn().unwrap()
    }

    /// Stops the server and drops its database.
    pub async fn close(mut self, cluster: &Cluster) {
        self.stop_server();
        drop_database(cluster, &self.database).await;
    }
}

pub async fn drop_database(cluster: &Cluster, database: &str) {
    let admin = connect(&cluster.url("postgres")).await;
    admin.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The environment as delivered, but for rate limits: one machine plays all clients, so they are off.
fn variables(database: &str, port: u16, sandbox_port: u16) -> Vec<(String, String)> {
    let provider = |path: &str| format!("http://127.0.0.1:{sandbox_port}/{path}");
    let mut variables = vec![
        ("DATABASE_URL", database.to_owned()),
        ("HOST", "127.0.0.1".into()),
        ("PORT", port.to_string()),
        ("SANDBOX_PORT", sandbox_port.to_string()),
        ("PUBLIC_URL", format!("http://127.0.0.1:{port}")),
        ("ALLOWED_ORIGINS", "https://loja.example".into()),
        ("JWT_SECRET", "x".repeat(48)),
        ("DATA_KEYS", "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into()),
        ("ADMIN_EMAIL", ADMIN.0.into()),
        ("ADMIN_PASSWORD", ADMIN.1.into()),
        ("PROPAY_URL", provider("propay")),
        ("GO_TO_PROPAY_SECRET", "bench-go-to-propay-secret-of-32-bytes!".into()),
        ("PROPAY_TO_GO_SECRET", PROPAY_SECRET.into()),
        ("MELHORENVIO_URL", provider("melhorenvio")),
        ("MELHORENVIO_CALLS_PER_MINUTE", "1000000".into()),
        ("SHIPPING_API_KEY", "bench-melhorenvio-token".into()),
        ("SHIPPING_SENDER_CEP", "01310-100".into()),
        ("RESEND_URL", provider("resend")),
        ("RESEND_API_KEY", "re_bench".into()),
        ("CEP_URL", provider("viacep")),
        ("BRASILAPI_URL", provider("brasilapi")),
    ];
    let limits = ["LOGIN", "REGISTER", "FORGOT_PASSWORD", "GLOBAL", "FREIGHT", "CEP", "ACCOUNT"];
    variables.extend([("LOG_LEVEL", "info".into())]);
    let limits = limits.map(|name| (format!("RATE_LIMIT_{name}"), "0".to_owned()));
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(limits).collect()
}
