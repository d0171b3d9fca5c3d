//! The memory of a server while five hundred clients ask for large answers and take none of them, above what it needs when idle, and how
//! soon everybody else is answered meanwhile: `cargo bench --bench readers`.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use vitrine::dev::postgres::{Cluster, ClusterOptions};

const READERS: usize = 500;
/// More than this above idle fails.
const MOST_MIB: f64 = 100.0;
/// `HTTP_SEND_WAIT` as delivered, and a little more.
const CLOSED_AFTER: Duration = Duration::from_secs(45);
/// The largest answers that anybody can ask for.
const LARGE: [&str; 4] =
    ["/openapi.json", "/docs/swagger-ui-bundle.js", "/api/products?limit=100", "/docs/swagger-ui-standalone-preset.js"];

struct Shop {
    child: Child,
    http: reqwest::Client,
    address: String,
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
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-readers");
    let cluster = Cluster::start(ClusterOptions { dir: dir.join("pg"), durable: false, max_connections: 60 }).await.unwrap();
    let name = format!("readers_{}", std::process::id());
    let (admin, driver) = tokio_postgres::connect(&cluster.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    actix_web::rt::spawn(driver);
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let shop = start(&dir, &cluster.url(&name)).await;
    for path in LARGE {
        let length = shop.get(path).await;
        println!("{path}: {} KiB", length / 1024);
    }
    let idle = shop.resident_mib();
    let quiet = shop.p99_ms().await;

    let mut readers = Vec::new();
    for i in 0..READERS {
        readers.push(shop.asks(LARGE[i % LARGE.len()]).await);
    }
    let began = Instant::now();
    let (mut peak, mut slowest) = (shop.resident_mib(), 0.0_f64);
    while began.elapsed() < CLOSED_AFTER {
        slowest = slowest.max(shop.p99_ms().await);
        peak = peak.max(shop.resident_mib());
    }
    let mut open = 0;
    for reader in &mut readers {
        open += usize::from(!is_closed(reader).await);
    }
    println!(
        "idle {idle:.0} MiB, {:.0} MiB more at the peak of {READERS} readers; at most {MOST_MIB:.0} is promised",
        peak - idle
    );
    println!("{open} of them still open after {} s", CLOSED_AFTER.as_secs());
    println!("others: p99 {quiet:.1} ms before, {slowest:.1} ms in the slowest second meanwhile");
    drop(shop);
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    cluster.stop().await;
    if peak - idle <= MOST_MIB && open == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start(dir: &Path, database: &str) -> Shop {
    let (port, sandbox) = (free_port(), free_port());
    std::fs::create_dir_all(dir).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_vitrine"))
        .arg("dev")
        .current_dir(dir)
        .env_clear()
        .env("RATE_LIMIT_GLOBAL", "0") // and with it the limit on one address' connections
        .env("DATABASE_URL", database)
        .env("PORT", port.to_string())
        .env("SANDBOX_PORT", sandbox.to_string())
        .env("DB_MAX_CONNS", "16")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let shop = Shop { child, http: reqwest::Client::new(), address: format!("127.0.0.1:{port}") };
    let began = Instant::now();
    while !shop.http.get(format!("http://{}/ready", shop.address)).send().await.is_ok_and(|answer| answer.status() == 200) {
        assert!(began.elapsed() < Duration::from_secs(60), "the shop never got ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shop
}

impl Shop {
    /// The length of an answer.
    async fn get(&self, path: &str) -> usize {
        let answer = self.http.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap().len()
    }

    /// A client that asks and takes nothing, with little room in its own kernel.
    async fn asks(&self, path: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut reader = socket.connect(self.address.parse().unwrap()).await.unwrap();
        reader.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        reader
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// p99 of a second of look-ups in the catalog.
    async fn p99_ms(&self) -> f64 {
        let until = Instant::now() + Duration::from_secs(1);
        let mut times = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            self.get("/api/products?limit=20").await;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() * 99 / 100]
    }
}

/// What the kernel still holds can be read; then comes the end, unless the connection is open.
async fn is_closed(reader: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_millis(50), reader.read_to_end(&mut rest)).await.is_ok_and(|end| end.is_err())
}
