//! The harness: a whole shop per test.
//!
//! `Shop::open()` gives a server on its own port, its own database (cloned from a migrated template) and its own sandbox
//! of providers. Jobs run only when a test calls `shop.drain()`. `shop.close()` drains, then runs the audit:
//! every test checks every invariant.
#![allow(dead_code)]

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;
use uuid::Uuid;
use vitrine::app::App;
use vitrine::config::{Config, DatabaseConfig, Mode};
use vitrine::dev::postgres::{Cluster, ClusterOptions};
use vitrine::ids::{SessionId, UserId};
use vitrine::token::Role;
use vitrine::{alerts, audit, db, dev, mail, ops, server, worker};
use vitrine_sandbox::{Control, Sandbox, SandboxConfig};

use crate::contract::{self, Asked};

/// A valid CPF of nobody.
pub const CPF: &str = "529.982.247-25";
/// `DATA_KEYS` of every shop here.
pub const DATA_KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// A CEP that the sandbox knows and delivers to.
pub const CEP: &str = "01310-100";

pub struct Shop {
    pub url: String,
    pub app: Data<App>,
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    database: String,
    server: ServerHandle,
    env: HashMap<String, String>,
    /// Of the sandbox: Focus NFe's token, eNotas' key and company, the secret of both, the seller's CNPJ.
    fiscal: [String; 5],
}

/// Another server of a shop, on its database.
pub struct Beside {
    pub url: String,
    pub app: Data<App>,
    server: ServerHandle,
}

/// The variables of a shop whose NF-e go through this provider.
fn fiscal_variables(sandbox: &Sandbox, fiscal: &[String; 5], name: &str) -> [(&'static str, String); 6] {
    let [focus, enotas, company, secret, cnpj] = fiscal.clone();
    let (path, key) = if name == "enotas" { ("enotas/v2", enotas) } else { ("focusnfe", focus) };
    [
        ("NFE_PROVIDER", name.to_owned()),
        ("NFE_URL", format!("{}/{path}", sandbox.url())),
        ("NFE_API_KEY", key),
        ("NFE_COMPANY_ID", company),
        ("NFE_WEBHOOK_SECRET", secret),
        ("NFE_CNPJ", cnpj),
    ]
}

impl Beside {
    pub fn request(&self, shop: &Shop, method: &str, path: &str) -> Request {
        Request(shop.http.request(method.parse().unwrap(), format!("{}{path}", self.url)))
    }

    /// Stops the server in good order: answers in hand are finished.
    pub async fn drain(&self) {
        self.server.stop(true).await;
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
        self.app.pool.close();
    }
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// With other environment variables than the tests' defaults.
    pub async fn open_with(changes: &[(&str, &str)]) -> Self {
        ops::start_metrics();
        let database = new_database().await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let cfg = dev::sandbox_config(&HashMap::new(), 0, None);
        // Each webhook is sent once unless a test asks for another try. Tracking webhooks are off unless it sets their secret.
        let parcels =
            changes.iter().find(|(name, _)| *name == "MELHORENVIO_WEBHOOK_SECRET").map(|(_, secret)| (*secret).to_owned());
        let cfg = SandboxConfig {
            shop_url: Some(url.clone()),
            webhook_retries: Vec::new(),
            melhorenvio_webhook_secret: parcels,
            label_takes: Duration::ZERO,
            ..cfg
        };
        let (jwt, go, back) = (Uuid::new_v4().to_string(), cfg.propay_incoming_secret.clone(), cfg.propay_webhook_secret.clone());
        let (app_id, openpix) = (cfg.openpix_app_id.clone(), cfg.openpix_webhook_secret.clone());
        let bank = [&cfg.pix_client_id, &cfg.pix_client_secret, &cfg.pix_key, &cfg.pix_webhook_secret].map(String::clone);
        let stripe = [&cfg.stripe_secret_key, &cfg.stripe_webhook_secret].map(String::clone);
        let fiscal = [&cfg.focusnfe_token, &cfg.enotas_api_key, &cfg.enotas_company_id, &cfg.nfe_webhook_secret, &cfg.nfe_cnpj]
            .map(String::clone);
        let (freight, mail) = (cfg.melhorenvio_token.clone(), cfg.resend_api_key.clone());
        let sms =
            [&cfg.africastalking_username, &cfg.africastalking_api_key, &cfg.africastalking_webhook_secret].map(String::clone);
        let post = [&cfg.correios_user, &cfg.correios_access_code, &cfg.correios_postage_card, &cfg.correios_contract]
            .map(String::clone);
        let sandbox = vitrine_sandbox::start(cfg).await.unwrap();
        let provider = |path: &str| format!("{}/{path}", sandbox.url());
        let mut env: HashMap<String, String> = [
            ("DATABASE_URL", cluster().await.url(&database)),
            ("PORT", port.to_string()),
            ("HTTP_WORKERS", "2".into()),
            ("DB_MAX_CONNS", "24".into()),
            ("DB_MIN_CONNS", "0".into()),
            ("DB_POOL_WAIT", "60s".into()),
            ("DB_STATEMENT_TIMEOUT", "60s".into()),
            ("DB_ANSWER_WAIT", "60s".into()),
            ("JWT_SECRET", jwt),
            ("DATA_KEYS", DATA_KEYS.into()),
            ("PROPAY_URL", provider("propay")),
            ("MELHORENVIO_URL", provider("melhorenvio")),
            ("MELHORENVIO_CALLS_PER_MINUTE", "1000000".into()),
            ("CORREIOS_URL", provider("correios")),
            ("CORREIOS_USER", post[0].clone()),
            ("CORREIOS_API_KEY", post[1].clone()),
            ("CORREIOS_POSTAGE_CARD", post[2].clone()),
            ("CORREIOS_CONTRACT", post[3].clone()),
            ("RESEND_URL", provider("resend")),
            ("CEP_URL", provider("viacep")),
            ("BRASILAPI_URL", provider("brasilapi")),
            ("GO_TO_PROPAY_SECRET", go),
            ("PROPAY_TO_GO_SECRET", back),
            ("OPENPIX_URL", provider("openpix")),
            ("OPENPIX_APP_ID", app_id),
            ("OPENPIX_WEBHOOK_SECRET", openpix),
            ("OPENPIX_CALLS_PER_SECOND", "100000".into()),
            ("STRIPE_URL", provider("stripe")),
            ("STRIPE_SECRET_KEY", stripe[0].clone()),
            ("STRIPE_WEBHOOK_SECRET", stripe[1].clone()),
            ("STRIPE_PUBLISHABLE_KEY", "pk_test_loja".into()),
            ("PIX_API_URL", provider("bacen/v2")),
            ("PIX_CLIENT_ID", bank[0].clone()),
            ("PIX_CLIENT_SECRET", bank[1].clone()),
            ("PIX_KEY", bank[2].clone()),
            ("PIX_WEBHOOK_SECRET", bank[3].clone()),
            ("SHIPPING_API_KEY", freight),
            ("RESEND_API_KEY", mail),
            ("SMTP_URL", sandbox.smtp_url()),
            ("AFRICASTALKING_URL", provider("africastalking")),
            ("AFRICASTALKING_USERNAME", sms[0].clone()),
            ("AFRICASTALKING_API_KEY", sms[1].clone()),
            ("AFRICASTALKING_WEBHOOK_SECRET", sms[2].clone()),
            ("SHIPPING_SENDER_CEP", "01310-100".into()),
            ("ADMIN_ALERT_EMAIL", "operador@loja.test".into()),
            ("MAILER_FROM_EMAIL", "Loja <loja@loja.test>".into()),
            ("RATE_LIMIT_LOGIN", "0".into()),
            ("RATE_LIMIT_REGISTER", "0".into()),
            ("RATE_LIMIT_FORGOT_PASSWORD", "0".into()),
            ("RATE_LIMIT_GLOBAL", "0".into()),
            ("RATE_LIMIT_FREIGHT", "0".into()),
            ("RATE_LIMIT_CEP", "0".into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        if let Some(name) = env.get("NFE_PROVIDER").cloned() {
            for (name, value) in fiscal_variables(&sandbox, &fiscal, &name) {
                env.entry(name.to_owned()).or_insert(value);
            }
        }
        let config = Config::from_env(Mode::Dev, |name| env.get(name).cloned()).unwrap();
        let app = Data::new(App::open(config).await.unwrap());
        let serving = server::serve(app.clone(), listener).unwrap();
        let handle = serving.handle();
        actix_web::rt::spawn(serving);
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, app, sandbox, http, database, server: handle, env, fiscal }
    }

    /// Another server, whose NF-e go through this provider from now on.
    pub async fn beside_with_fiscal(&self, name: &str) -> Beside {
        let variables = fiscal_variables(&self.sandbox, &self.fiscal, name);
        let changes: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.beside(&changes).await.unwrap()
    }

    /// Another server on the same database and the same providers, with other variables; or why it does not start.
    pub async fn beside(&self, changes: &[(&str, &str)]) -> vitrine::error::Result<Beside> {
        let mut env = self.env.clone();
        env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let config = Config::from_env(Mode::Dev, |name| env.get(name).cloned()).unwrap();
        let app = Data::new(App::open(config).await?);
        let serving = server::serve(app.clone(), listener).unwrap();
        let server = serving.handle();
        actix_web::rt::spawn(serving);
        Ok(Beside { url, app, server })
    }

    /// The providers' control: pay, expire, faults, books.
    pub fn control(&self) -> &Control {
        self.sandbox.control()
    }

    /// For the binary's own commands.
    pub async fn database_url(&self) -> String {
        cluster().await.url(&self.database)
    }

    /// Runs all jobs that are due, until none is left. Returns how many ran.
    pub async fn drain(&self) -> usize {
        worker::drain(&self.app, SignedDuration::ZERO).await.unwrap()
    }

    /// The same, for jobs that are due within that time.
    pub async fn drain_ahead(&self, ahead: SignedDuration) -> usize {
        worker::drain(&self.app, ahead).await.unwrap()
    }

    /// What the operator must know, the oldest first, each with how often it was met: `refund-failed 1`, `job-dead:buy_label 2`.
    pub async fn alerted(&self) -> Vec<String> {
        const ALERTED: &str = "
            SELECT coalesce(array_agg(CASE WHEN key LIKE 'job-dead:%' THEN 'job-dead:' || split_part(key, ':', 2)
                                           ELSE split_part(key, ':', 1) END || ' ' || count ORDER BY first_at, id), '{}') FROM alerts";
        alerts::count(&self.app.pool).await.unwrap();
        self.sql(ALERTED).await
    }

    /// A minute later: the operator's next mail goes out, if there is a reason for one.
    pub async fn mail_alerts(&self) {
        alerts::count(&self.app.pool).await.unwrap();
        self.execute("UPDATE alerts SET first_at = first_at - interval '1 minute' WHERE told_at IS NULL").await;
        self.execute("UPDATE messages SET created_at = created_at - interval '1 minute 1 second' WHERE kind = 'alert'").await;
        mail::digest::send_alerts(&self.app).await.unwrap();
    }

    /// Drains the jobs, runs every invariant's query, and takes everything down.
    pub async fn close(self) {
        self.drain().await;
        alerts::count(&self.app.pool).await.unwrap();
        let violations = audit::violations(&self.app.db().await.unwrap()).await.unwrap();
        assert_eq!(violations, Vec::new(), "the audit must be clean after every test");
        self.server.stop(false).await;
        self.sandbox.stop().await;
        self.app.pool.close();
        drop_database(&self.database).await;
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = method.parse().unwrap();
        Request(self.http.request(method, format!("{}{path}", self.url)))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).send().await
    }

    /// One value, read from the database directly.
    pub async fn sql<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, query: &str) -> T {
        self.app.db().await.unwrap().query_one(query, &[]).await.unwrap().get(0)
    }

    /// A change made in the database directly, such as time that passes. Returns the number of rows.
    pub async fn execute(&self, statement: &str) -> u64 {
        self.app.db().await.unwrap().execute(statement, &[]).await.unwrap()
    }

    /// Rows of every table, to check that nothing changed.
    pub async fn row_counts(&self) -> Vec<(String, i64)> {
        let db = self.app.db().await.unwrap();
        let tables = db
            .query("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1", &[])
            .await
            .unwrap();
        let names: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
        let counts: Vec<String> = names.iter().map(|name| format!("(SELECT count(*) FROM {name})")).collect();
        let row = db.query_one(&format!("SELECT {}", counts.join(", ")), &[]).await.unwrap();
        names.into_iter().enumerate().map(|(i, name)| (name, row.get(i))).collect()
    }

    /// A customer with an account and a session, made without the cost of a password.
    pub async fn customer(&self) -> Customer<'_> {
        self.person(Role::User).await
    }

    pub async fn admin(&self) -> Customer<'_> {
        self.person(Role::Admin).await
    }

    pub async fn person(&self, role: Role) -> Customer<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let (id, session) = (UserId::new(), SessionId::new());
        let email = format!("pessoa{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed));
        let db = self.app.db().await.unwrap();
        vitrine::db::execute(
            &db,
            "INSERT INTO users (id, name, email, password_hash, role) VALUES ($1, 'Ana Silva', $2, 'none', $3)",
            &[&id, &email, &role.as_str()],
        )
        .await
        .unwrap();
        db.execute("INSERT INTO sessions (id, user_id) VALUES ($1, $2)", &[&session, &id]).await.unwrap();
        let token = self.app.tokens.issue(id, role, session).unwrap();
        Customer { shop: self, id, email, token }
    }

    /// A product with one variant, ready to sell. Change it with the builder, then `create()`.
    pub fn product(&self, name: &str) -> NewProduct<'_> {
        NewProduct { shop: self, name: name.to_owned(), price_cents: 5_000, stock: 10, weight_grams: 300 }
    }

    pub async fn stock(&self, product: &Product) -> i32 {
        self.sql(&format!("SELECT stock FROM variants WHERE id = '{}'", product.variant_id)).await
    }

    /// Switches pickup on. It is the cheapest option, so `quote` takes it.
    pub async fn offer_pickup(&self) {
        let pickup = r#"{"handling_days": 0, "pickup": {"enabled": true, "label": "Retirar na loja", "address": "Rua Augusta, 1", "days": 1}}"#;
        self.execute(&format!("INSERT INTO settings (name, value) VALUES ('shipping', '{pickup}')")).await;
    }

    /// A signed token for PAC to `cep`, as the storefront gets it.
    pub async fn quote(&self, items: &[(&Product, i32)], cep: &str) -> String {
        let items: Vec<Value> = items
            .iter()
            .map(|(p, quantity)| json!({"product_id": p.id, "variant_id": p.variant_id, "quantity": quantity}))
            .collect();
        let answer = self.post("/api/shipping/calculate", &json!({"cep_destino": cep, "items": items})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["options"][0]["quote_token"].as_str().expect("an option").to_owned()
    }

    /// A guest's cart with these items; its token.
    pub async fn guest_cart(&self, items: &[(&Product, i32)]) -> String {
        let mut token = String::new();
        for (product, quantity) in items {
            let ask = json!({"product_id": product.id, "variant_id": product.variant_id, "quantity": quantity});
            let mut request = self.request("POST", "/api/cart/items");
            if !token.is_empty() {
                request = request.header("X-Cart-Token", &token);
            }
            let answer = request.json(&ask).send().await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            if token.is_empty() {
                token = answer.header("x-cart-token").expect("a token for a new cart").to_owned();
            }
        }
        token
    }

    /// The order that a guest sends for these items.
    pub async fn guest_order(&self, items: &[(&Product, i32)], cpf: &str) -> Value {
        json!({
            "email": "ana@example.com", "name": "Ana Silva", "phone": "(11) 99999-0000", "cpf": cpf,
            "address": address(CEP), "quote_token": self.quote(items, CEP).await,
        })
    }

    /// A guest buys: cart, freight, order. The answer to `POST /api/orders`.
    pub async fn buy_as_guest(&self, items: &[(&Product, i32)]) -> Answer {
        let cart = self.guest_cart(items).await;
        let order = self.guest_order(items, CPF).await;
        self.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await
    }
}

/// Where a parcel goes.
pub fn address(cep: &str) -> Value {
    json!({"recipient": "Ana Silva", "cep": cep, "street": "Avenida Paulista", "number": "1000",
           "district": "Bela Vista", "city": "São Paulo", "state": "SP"})
}

/// The CPF of the n-th person who does not exist.
pub fn cpf(n: u32) -> String {
    let mut digits: Vec<u32> = format!("{:09}", 100_000_000 + n % 800_000_000).chars().filter_map(|c| c.to_digit(10)).collect();
    for weight in [10, 11] {
        let sum: u32 = digits.iter().zip((2..=weight).rev()).map(|(digit, factor)| digit * factor).sum();
        digits.push(sum * 10 % 11 % 10);
    }
    digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

/// Somebody with an account.
pub struct Customer<'a> {
    pub shop: &'a Shop,
    pub id: UserId,
    pub email: String,
    pub token: String,
}

impl Customer<'_> {
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.shop.request(method, path).header("Authorization", &format!("Bearer {}", self.token))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request("PATCH", path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    /// Puts it into the cart.
    pub async fn add(&self, product: &Product, quantity: i32) -> Answer {
        self.post("/api/cart/items", &json!({"product_id": product.id, "variant_id": product.variant_id, "quantity": quantity}))
            .await
    }

    /// Saves an address; its id.
    pub async fn address(&self) -> String {
        let answer = self.post("/api/users/me/addresses", &address(CEP)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// Fills the cart, quotes freight, and returns the order to place.
    pub async fn order_for(&self, items: &[(&Product, i32)]) -> Value {
        for (product, quantity) in items {
            let answer = self.add(product, *quantity).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        json!({"address_id": self.address().await, "cpf": CPF, "quote_token": self.shop.quote(items, CEP).await})
    }

    /// Buys these; the answer to `POST /api/orders`.
    pub async fn buy(&self, items: &[(&Product, i32)]) -> Answer {
        let order = self.order_for(items).await;
        self.post("/api/orders", &order).await
    }
}

pub struct NewProduct<'a> {
    shop: &'a Shop,
    name: String,
    price_cents: i64,
    stock: i32,
    weight_grams: i32,
}

impl NewProduct<'_> {
    pub fn price(mut self, cents: i64) -> Self {
        self.price_cents = cents;
        self
    }

    pub fn stock(mut self, stock: i32) -> Self {
        self.stock = stock;
        self
    }

    pub fn weight(mut self, grams: i32) -> Self {
        self.weight_grams = grams;
        self
    }

    pub async fn create(self) -> Product {
        const CREATE: &str = "
            WITH category AS (
                INSERT INTO categories (id, slug, name) VALUES ($1, 'teste', 'Teste')
                ON CONFLICT (slug) DO UPDATE SET name = 'Teste' RETURNING id),
            product AS (
                INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm, ncm)
                SELECT $2, $3, $4, id, $5, 5, 15, 20, '61091000' FROM category RETURNING id),
            variant AS (
                INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
                SELECT $6, id, $3, 'Único', $7, $8, true FROM product RETURNING id, stock)
            INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
            SELECT id, stock, 'opening', 'test', 'system' FROM variant WHERE stock > 0";
        let (id, variant_id) = (Uuid::now_v7(), Uuid::now_v7());
        let slug = format!("p-{}", id.simple());
        let db = self.shop.app.db().await.unwrap();
        vitrine::db::execute(
            &db,
            CREATE,
            &[&Uuid::now_v7(), &id, &slug, &self.name, &self.weight_grams, &variant_id, &self.price_cents, &self.stock],
        )
        .await
        .unwrap();
        Product { id, variant_id, slug, price_cents: self.price_cents }
    }
}

#[derive(Debug, Clone)]
pub struct Product {
    pub id: Uuid,
    pub variant_id: Uuid,
    /// Also its SKU.
    pub slug: String,
    pub price_cents: i64,
}

pub struct Request(reqwest::RequestBuilder);

impl Request {
    /// To a server that is no [`Shop`]'s.
    pub fn of(request: reqwest::RequestBuilder) -> Self {
        Self(request)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// A body as it stands, of that content type.
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// The whole answer, held to the OpenAPI document.
    pub async fn send(self) -> Answer {
        self.try_whole().await.unwrap()
    }

    /// The same, for servers that may be killed meanwhile.
    pub async fn try_whole(self) -> reqwest::Result<Answer> {
        let (client, request) = self.0.build_split();
        let request = request.unwrap();
        let asked = Asked::of(&request);
        let answer = Answer::of(client.execute(request).await?).await?;
        contract::hold(&asked, answer.status, &answer.headers, Some(&answer.bytes));
        Ok(answer)
    }

    /// For tests that expect the connection to break, and for streams. The head of the answer is held to the document.
    pub async fn try_send(self) -> reqwest::Result<reqwest::Response> {
        let (client, request) = self.0.build_split();
        let request = request.unwrap();
        let asked = Asked::of(&request);
        let response = client.execute(request).await?;
        contract::hold(&asked, response.status().as_u16(), response.headers(), None);
        Ok(response)
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
    /// The JSON; `null` for anything else.
    pub body: Value,
}

impl Answer {
    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?.to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Self { status, headers, bytes, body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The last part of a problem's `type`.
    pub fn slug(&self) -> &str {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        self.body["type"].as_str().unwrap().rsplit('/').next().unwrap()
    }

    /// The fields that a 422 names.
    pub fn invalid_fields(&self) -> Vec<&str> {
        self.body["errors"].as_array().map(|e| e.iter().filter_map(|e| e["field"].as_str()).collect()).unwrap_or_default()
    }
}

/// One PostgreSQL for all tests of this process; a watchdog stops it when the process ends.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pg");
            Cluster::start(ClusterOptions { dir, durable: false, max_connections: 400 }).await.unwrap()
        })
        .await
}

/// The migrated database that all others are copied from. Databases of killed runs are removed first.
pub async fn template() -> &'static str {
    const NAME: &str = "vitrine_template";
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let admin = admin_connection().await;
            let old = admin.query("SELECT datname FROM pg_database WHERE datname LIKE 'vitrine\\_%'", &[]).await.unwrap();
            for row in old {
                admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", row.get::<_, &str>(0))).await.unwrap();
            }
            admin.batch_execute(&format!("CREATE DATABASE {NAME}")).await.unwrap();
            let url = SecretString::from(cluster().await.url(NAME));
            let config = DatabaseConfig {
                url,
                min_conns: 0,
                max_conns: 2,
                statement_timeout: Duration::from_secs(60),
                pool_wait: Duration::from_secs(60),
                answer_wait: Duration::from_secs(60),
                idle_timeout: Duration::from_secs(300),
            };
            db::migrate(&config).await.unwrap();
            // A template must have no session, and the migration's connection closes a moment after its client.
            admin.batch_execute(&format!("ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")).await.unwrap();
            admin
                .batch_execute(&format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{NAME}'"))
                .await
                .unwrap();
        })
        .await;
    NAME
}

async fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let template = template().await;
    let name = format!("vitrine_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    admin_connection().await.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
    name
}

/// A migrated database for a test that runs the binary itself.
pub async fn database_for_process() -> String {
    new_database().await
}

/// One with nothing in it, not even our schema.
pub async fn empty_database() -> String {
    template().await; // removes what an earlier run left behind
    let name = format!("vitrine_empty_{}", Uuid::new_v4().simple());
    admin_connection().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    name
}

pub async fn drop_database(name: &str) {
    admin_connection().await.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
}

pub async fn admin_connection() -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&cluster().await.url("postgres"), NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    client
}
