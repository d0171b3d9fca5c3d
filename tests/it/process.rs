//! The binary itself, as an operator runs it: killed during purchases, started again, stopped by SIGTERM.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{CEP, CPF, DATA_KEYS, Request, address, cluster, database_for_process, empty_database};

/// Longer than anything here takes.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// `vitrine dev` in a folder of its own, on a database of its own. Ends with the test.
pub struct Process {
    child: Child,
    pub folder: PathBuf,
    pub database: String,
    port: u16,
    sandbox: u16,
    log_level: &'static str,
    pub http: reqwest::Client,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Process {
    async fn start() -> Self {
        Self::start_with("info").await
    }

    pub async fn start_with(log_level: &'static str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dev-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let database = database_for_process().await;
        let (port, sandbox) = (free_port(), free_port());
        let child = Self::spawn(&folder, &database, port, sandbox, log_level).await;
        let process = Self { child, folder, database, port, sandbox, log_level, http: reqwest::Client::new() };
        process.is_ready().await;
        process
    }

    async fn spawn(folder: &PathBuf, database: &str, port: u16, sandbox: u16, log_level: &str) -> Child {
        let limits =
            ["LOGIN", "REGISTER", "FORGOT_PASSWORD", "GLOBAL"].map(|name| (format!("RATE_LIMIT_{name}"), "0".to_owned()));
        Command::new(env!("CARGO_BIN_EXE_vitrine"))
            .arg("dev")
            .current_dir(folder)
            .env_clear()
            .envs(limits)
            .env("DATABASE_URL", cluster().await.url(database))
            .env("PORT", port.to_string())
            .env("SANDBOX_PORT", sandbox.to_string())
            .env("DB_POOL_WAIT", "30s")
            .env("LOG_LEVEL", log_level)
            .stdout(std::fs::File::options().create(true).append(true).open(folder.join("out.log")).unwrap())
            .spawn()
            .unwrap()
    }

    /// SIGKILL, as by the kernel's out-of-memory killer, then a new start.
    async fn kill_and_restart(&mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.folder, &self.database, self.port, self.sandbox, self.log_level).await;
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        self.wait_for("readiness", async || self.get("/ready").await.is_some_and(|(status, _)| status == 200).then_some(()))
            .await;
    }

    pub async fn wait_for<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(started.elapsed() < START_TIMEOUT, "{what} never came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn url(&self, path: &str) -> String {
        let port = if path.starts_with("/control") { self.sandbox } else { self.port };
        format!("http://127.0.0.1:{port}{path}")
    }

    /// `None`: no answer.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let answer = Request::of(self.http.get(self.url(path))).try_whole().await.ok()?;
        Some((answer.status, answer.body))
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Option<(u16, Value, String)> {
        let request = Request::of(self.http.post(self.url(path)));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.json(body).try_whole().await.ok()?;
        let token = answer.header("x-cart-token").unwrap_or_default().to_owned();
        Some((answer.status, serde_json::from_slice(&answer.bytes).ok()?, token))
    }

    async fn status_of(&self, order: &Value) -> Option<String> {
        let path = format!("/api/orders/tracking/{}", order["number"].as_str()?);
        Some(self.get(&path).await?.1["payment_status"].as_str()?.to_owned())
    }

    /// A cart with one coffee, and the order that a guest would send for it.
    pub async fn ready_to_buy(&self) -> (String, Value) {
        let (_, found) = self.get("/api/products/search?q=caffe").await.unwrap();
        let plenty = found["items"].as_array().unwrap().iter().find(|product| product["stock"].as_i64().unwrap() >= 50).unwrap();
        let item = json!({"product_id": plenty["id"], "quantity": 1});
        let (status, body, cart) = self.post("/api/cart/items", &[], &item).await.unwrap();
        assert_eq!(status, 200, "{body}");
        let (_, freight, _) =
            self.post("/api/shipping/calculate", &[], &json!({"cep_destino": CEP, "items": [item]})).await.unwrap();
        let order = json!({
            "email": "ana@example.com", "name": "Ana Silva", "cpf": CPF, "address": address(CEP),
            "quote_token": freight["options"][0]["quote_token"], "pay": {"method": "pix"},
        });
        (cart, order)
    }

    async fn buy(&self, cart: &str, key: &str, order: &Value) -> Option<(u16, Value, String)> {
        self.post("/api/orders", &[("X-Cart-Token", cart), ("Idempotency-Key", key)], order).await
    }

    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "SIGTERM ends it in good order");
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // a failed test leaves no process
    }
}

#[actix_web::test]
async fn an_order_survives_a_kill_and_goes_on_to_paid() {
    let mut shop = Process::start().await;
    let (cart, order) = shop.ready_to_buy().await;
    let (status, placed, _) = shop.buy(&cart, "compra-1", &order).await.unwrap();
    assert_eq!(status, 201, "{placed}");
    assert!(placed["payment"]["copy_paste"].as_str().unwrap().starts_with("000201"));

    shop.kill_and_restart().await;
    let (status, again, _) = shop.buy(&cart, "compra-1", &order).await.unwrap();
    assert_eq!((status, &again["id"]), (201, &placed["id"]), "the same key answers the same order");
    assert_eq!(again["payment"]["copy_paste"], placed["payment"]["copy_paste"], "and the same charge");

    let (status, body, _) = shop.post("/control/pay", &[], &json!({"order_id": placed["id"]})).await.unwrap();
    assert_eq!(status, 200, "{body}");
    shop.wait_for("the payment", async || (shop.status_of(&placed).await? == "paid").then_some(())).await;
    shop.stop();
}

#[actix_web::test]
async fn a_kill_between_the_effect_and_the_answer_does_nothing_twice() {
    let mut shop = Process::start().await;
    let (cart, order) = shop.ready_to_buy().await;
    // The order commits, ProPay creates the charge, and the server dies before it gets the answer.
    let slow = json!({"provider": "propay", "kind": "delay", "ms": 20_000, "count": 1});
    assert_eq!(shop.post("/control/fault", &[], &slow).await.unwrap().0, 200);
    let made = shop.wait_for("the charge", async || {
        let (_, books) = shop.get("/control/charges").await?;
        let charges = books.as_array().or_else(|| books["items"].as_array())?;
        (charges.len() == 1).then(|| charges[0]["payment_id"].clone())
    });
    let payment = tokio::select! {
        payment = made => payment,
        answer = shop.buy(&cart, "morte-1", &order) => panic!("it was answered: {answer:?}"),
    };
    shop.kill_and_restart().await;
    let (status, placed) = shop
        .wait_for("the answer", async || {
            let (status, body, _) = shop.buy(&cart, "morte-1", &order).await?;
            (status != 409 && body["payment"]["copy_paste"].is_string()).then_some((status, body))
        })
        .await;
    assert_eq!((status, &placed["payment"]["payment_id"]), (201, &payment), "{placed}");
    let (_, books) = shop.get("/control/charges").await.unwrap();
    assert_eq!(books.as_array().or_else(|| books["items"].as_array()).unwrap().len(), 1);
    shop.stop();
}

#[actix_web::test]
async fn log_lines_are_json_that_names_request_and_order_and_no_person() {
    let shop = Process::start_with("debug").await;
    let (cart, order) = shop.ready_to_buy().await;
    let headers = [("X-Cart-Token", cart.as_str()), ("X-Request-ID", "pedido-para-o-registro")];
    let (status, placed, _) = shop.post("/api/orders", &headers, &order).await.unwrap();
    assert_eq!(status, 201, "{placed}");
    let folder = shop.folder.clone();
    let read = || std::fs::read_to_string(folder.join("out.log")).unwrap();
    // A request's log line is written after its answer is sent: the mail can be sent before that.
    let both = async || {
        let log = read();
        let mailed = log.lines().any(|line| line.contains("mail_order_placed") && line.contains("Done"));
        (mailed && log.contains(r#""route":"/api/orders""#)).then_some(log)
    };
    let log = shop.wait_for("the request's and the mail's lines", both).await;
    let lines: Vec<Value> =
        log.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let request = lines.iter().find(|line| line["route"] == "/api/orders").expect("the request's own line");
    assert_eq!(request["span"]["request_id"], "pedido-para-o-registro");
    assert_eq!(request["span"]["order.id"], placed["id"]);
    assert_eq!((&request["status"], &request["method"]), (&json!(201), &json!("POST")));
    let job = lines.iter().find(|line| line["span"]["job.kind"] == "mail_order_placed").expect("the job's line");
    assert_eq!(job["span"]["order.id"], placed["id"]);
    for private in ["52998224725", "529.982", "ana@example.com", "Ana Silva", "Paulista"] {
        assert!(!log.contains(private), "{private}");
    }
    shop.stop();
}

#[actix_web::test]
async fn what_was_answered_201_is_there_after_a_kill_in_the_middle_of_a_rush() {
    let mut shop = Process::start().await;
    let mut buyers = Vec::new();
    for _ in 0..24 {
        buyers.push(shop.ready_to_buy().await);
    }
    let answered = AtomicUsize::new(0);
    let answers = {
        let rush = join_all(buyers.iter().enumerate().map(|(i, (cart, order))| {
            let shop = &shop;
            let answered = &answered;
            async move {
                let answer = shop.buy(cart, &format!("pressa-{i}"), order).await;
                answered.fetch_add(usize::from(matches!(answer, Some((201, _, _)))), Ordering::Relaxed);
                answer
            }
        }));
        let pid = shop.child.id().to_string();
        // Killed once the first answers arrived, while the others are on their way.
        let killer = async {
            let some = async || (answered.load(Ordering::Relaxed) >= 3).then_some(());
            shop.wait_for("the first orders", some).await;
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        };
        futures_util::future::join(rush, killer).await.0
    };
    shop.kill_and_restart().await;
    let acknowledged: Vec<_> =
        answers.iter().flatten().filter(|(status, _, _)| *status == 201).map(|(_, order, _)| order).collect();
    assert!(!acknowledged.is_empty());
    for order in &acknowledged {
        assert_eq!(shop.status_of(order).await.as_deref(), Some("pending_payment"), "{}", order["number"]);
    }
    // Clients without an answer ask again with the same key: one order each, never two.
    for (i, (cart, order)) in buyers.iter().enumerate() {
        let (status, placed, _) = shop.buy(cart, &format!("pressa-{i}"), order).await.unwrap();
        assert_eq!(status, 201, "{placed}");
        if let Some(Some((201, first, _))) = answers.get(i) {
            assert_eq!(placed["id"], first["id"]);
        }
        let (status, body, _) = shop.post("/control/pay", &[], &json!({"order_id": placed["id"]})).await.unwrap();
        assert_eq!(status, 200, "{body}");
        shop.wait_for("the payment", async || (shop.status_of(&placed).await? == "paid").then_some(())).await;
    }
    let (client, connection) =
        tokio_postgres::connect(&cluster().await.url(&shop.database), tokio_postgres::NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    let orders: i64 = client.query_one("SELECT count(*) FROM orders WHERE payment_status = 'paid'", &[]).await.unwrap().get(0);
    assert_eq!(orders, 24);
    let audit = Command::new(env!("CARGO_BIN_EXE_vitrine"))
        .arg("audit")
        .current_dir(&shop.folder)
        .env_clear()
        .envs(serving_env(&cluster().await.url(&shop.database)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success() && said.contains(" 0 violation(s)"), "{said}");
    shop.stop();
}

#[actix_web::test]
async fn many_servers_start_at_once_on_an_empty_database_and_each_drains_in_good_order() {
    let database = cluster().await.url(&empty_database().await);
    let ports = [free_port(), free_port(), free_port()];
    let mut servers: Vec<Child> = ports
        .iter()
        .map(|port| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
            command.arg("serve").current_dir(std::env::temp_dir()).env_clear().envs(serving_env(&database));
            command.env("PORT", port.to_string()).env("DB_MIN_CONNS", "1").env("DB_POOL_WAIT", "30s").spawn().unwrap()
        })
        .collect();
    let http = reqwest::Client::new();
    let ready = async |port: u16| {
        let answer = Request::of(http.get(format!("http://127.0.0.1:{port}/ready"))).try_whole().await.ok()?;
        Some((answer.status, String::from_utf8(answer.bytes).ok()?))
    };
    let started = Instant::now();
    for port in ports {
        while ready(port).await.is_none_or(|(status, _)| status != 200) {
            assert!(started.elapsed() < START_TIMEOUT, "a server never became ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for (server, port) in servers.iter_mut().zip(ports) {
        assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
        // After SIGTERM it still answers for a moment, with 503 on `/ready`, so that a load balancer stops sending requests.
        let told = loop {
            match ready(port).await {
                Some((200, _)) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => break other,
            }
        };
        assert_eq!(told, Some((503, r#"{"status":"draining"}"#.to_owned())));
        assert!(server.wait().unwrap().success());
    }
}

/// The variables that `serve` and the other commands need.
pub fn serving_env(database: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("JWT_SECRET", Uuid::new_v4().to_string()),
        ("DATA_KEYS", DATA_KEYS.into()),
        ("PROPAY_URL", "https://propay.internal".into()),
        ("GO_TO_PROPAY_SECRET", Uuid::new_v4().to_string()),
        ("PROPAY_TO_GO_SECRET", Uuid::new_v4().to_string()),
        ("SHIPPING_SENDER_CEP", "01310100".into()),
        ("SHIPPING_API_KEY", "key".into()),
        ("RESEND_API_KEY", "key".into()),
        ("ALLOWED_ORIGINS", "https://loja.example".into()),
        ("LOG_LEVEL", "error".into()),
    ]
}

#[test]
fn a_start_with_a_bad_environment_names_every_mistake_and_prints_no_secret() {
    let folder = std::env::temp_dir();
    let output = Command::new(env!("CARGO_BIN_EXE_vitrine"))
        .arg("serve")
        .current_dir(folder)
        .env_clear()
        .envs([("JWT_SECRET", "changeme-is-what-they-call-it-here"), ("PORT", "many"), ("ALLOWED_ORIGINS", "*")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for name in [
        "DATABASE_URL",
        "JWT_SECRET",
        "DATA_KEYS",
        "PORT",
        "ALLOWED_ORIGINS",
        "PROPAY_URL",
        "GO_TO_PROPAY_SECRET",
        "SHIPPING_SENDER_CEP",
    ] {
        assert!(said.contains(name), "{name} is not named:\n{said}");
    }
    assert!(!said.contains("call-it-here"), "{said}");
}

#[test]
fn neither_server_nor_worker_starts_without_a_key_for_personal_data() {
    for command in ["serve", "worker"] {
        let output = Command::new(env!("CARGO_BIN_EXE_vitrine"))
            .arg(command)
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(serving_env("postgres://nobody@127.0.0.1:1/nothing"))
            .env("DATA_KEYS", "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("1 mistake(s)") && said.contains("DATA_KEYS is required"), "{said}");
    }
}
