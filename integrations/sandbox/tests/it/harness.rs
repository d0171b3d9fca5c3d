//! A client with the documented keys, and a shop that records what it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::{Sandbox, SandboxConfig, start};

/// Nothing here takes so long unless it is broken.
pub const LIMIT: Duration = Duration::from_secs(10);

pub fn config() -> SandboxConfig {
    SandboxConfig {
        webhook_retries: vec![Duration::from_millis(1); 3],
        refund_settles_after: Duration::ZERO,
        ..SandboxConfig::default()
    }
}

pub async fn sandbox() -> Client {
    Client::new(start(config()).await.expect("a free port"))
}

pub struct Client {
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
}

impl Client {
    pub fn new(sandbox: Sandbox) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().expect("a client");
        Self { sandbox, http }
    }

    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sandbox.url()))
    }

    pub fn propay(&self, method: Method, path: &str) -> RequestBuilder {
        let token = jwt(&claims("propay", 60), &SandboxConfig::default().propay_incoming_secret);
        self.call(method, &format!("/propay{path}")).bearer_auth(token)
    }

    pub fn create(&self, body: &Value) -> RequestBuilder {
        let key = body["payment_id"].as_str().expect("an id").to_owned();
        self.propay(Method::POST, "/v1/payments").header("idempotency-key", key).json(body)
    }

    pub fn refund(&self, payment_id: &str, body: &Value) -> RequestBuilder {
        let key = body["refund_id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/payments/{payment_id}/refunds");
        self.propay(Method::POST, &path).header("idempotency-key", key).json(body)
    }

    /// A pending charge; its payment id.
    pub async fn charge(&self, cents: i64) -> String {
        let body = payment(cents);
        let (status, answer) = ask(self.create(&body)).await;
        assert_eq!(status, 201, "{answer}");
        text(&answer["payment_id"])
    }

    pub async fn paid_charge(&self, cents: i64) -> String {
        let id = self.charge(cents).await;
        self.sandbox.control().pay(vitrine_sandbox::Pay::of(&id)).expect("payable");
        id
    }

    pub async fn status_of(&self, payment_id: &str) -> String {
        let (_, answer) = ask(self.propay(Method::GET, &format!("/v1/payments/{payment_id}"))).await;
        text(&answer["status"])
    }
}

pub async fn ask(call: RequestBuilder) -> (u16, Value) {
    let answer = call.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

pub fn payment(cents: i64) -> Value {
    json!({
        "payment_id": Uuid::now_v7(), "order_id": Uuid::now_v7(), "amount_cents": cents, "currency": "BRL",
        "expires_in": 1800, "description": "Pedido 1001",
        "payer": {"name": "Ana Silva", "tax_id": "52998224725", "email": "ana@example.com"},
    })
}

pub fn refund(cents: i64) -> Value {
    json!({"refund_id": Uuid::now_v7(), "amount_cents": cents, "reason": "Troca"})
}

pub fn claims(audience: &str, lives_s: i64) -> Value {
    let now = Timestamp::now().as_second();
    json!({"iss": "vitrine", "sub": "vitrine", "aud": [audience], "iat": now, "exp": now + lives_s, "jti": Uuid::now_v7()})
}

/// Made by a library, so that the sandbox's own reading of tokens is held to it.
pub fn jwt(claims: &Value, secret: &str) -> String {
    jwt_with(jsonwebtoken::Algorithm::HS256, claims, secret)
}

pub fn jwt_with(algorithm: jsonwebtoken::Algorithm, claims: &Value, secret: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), claims, &key).expect("a token")
}

/// What the shop was told: path and query, ProPay's signature, all headers by name, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub path: String,
    pub signature: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct Memory {
    told: Mutex<Vec<Told>>,
    answers: Mutex<VecDeque<u16>>,
}

/// A shop that answers 200, unless told otherwise.
pub struct Shop {
    memory: Arc<Memory>,
    pub url: String,
}

impl Shop {
    pub fn open() -> Self {
        let memory = Arc::new(Memory::default());
        let data = Data::from(Arc::clone(&memory));
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(listen)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        rt::spawn(server.run());
        Self { memory, url }
    }

    pub fn answer_next(&self, statuses: &[u16]) {
        self.memory.answers.lock().expect("unpoisoned").extend(statuses);
    }

    pub fn told(&self) -> Vec<Told> {
        self.memory.told.lock().expect("unpoisoned").clone()
    }
}

async fn listen(memory: Data<Memory>, req: HttpRequest, body: Bytes) -> HttpResponse {
    let header =
        |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned());
    let headers: BTreeMap<String, String> = req.headers().iter().map(header).collect();
    memory.told.lock().expect("unpoisoned").push(Told {
        path: req.uri().to_string(),
        signature: headers.get("x-propay-signature").cloned().unwrap_or_default(),
        headers,
        body: String::from_utf8(body.to_vec()).expect("text"),
    });
    let status = memory.answers.lock().expect("unpoisoned").pop_front().unwrap_or(200);
    let code = actix_web::http::StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(code).json(json!({"received": status == 200}))
}
