//! The processes: PostgreSQL, two servers, a worker and the sandbox. They can be killed, and they end with this process.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::NoTls;
use uuid::Uuid;
use vitrine::dev::postgres::{Cluster, ClusterOptions};

use crate::world::{ADMIN, CNPJ, lock};

/// The longest that a server without a database takes to report that and end.
const AFTERSHOCK: Duration = Duration::from_secs(15);
const PIX_EXPIRY: &str = "15s";

/// A process of ours that can be killed and started again.
struct Process {
    name: &'static str,
    arguments: Vec<&'static str>,
    env: Vec<(&'static str, String)>,
    child: Mutex<Option<Child>>,
}

pub struct Machine {
    pub folder: PathBuf,
    cluster: Mutex<Option<Cluster>>,
    /// When the database last went down or came up.
    crashed: Mutex<Option<Instant>>,
    pub database: String,
    pub database_url: String,
    env: Vec<(&'static str, String)>,
    pub ports: [u16; 2],
    pub sandbox_port: u16,
    processes: Vec<Process>,
    helpers: Mutex<Vec<Child>>,
    watchdog: Mutex<Child>,
    /// ProPay's two secrets: ours, and theirs.
    pub secrets: [String; 2],
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Machine {
    pub async fn start(seed: u64) -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tmp.join("torture");
        let _ = std::fs::remove_dir_all(&folder); // the last run's logs
        std::fs::create_dir_all(&folder).unwrap();
        let options = ClusterOptions { dir: tmp.join("torture-pg"), durable: true, max_connections: 250 };
        let cluster = Cluster::start(options).await.unwrap();
        let database = fresh_database(&cluster.url("postgres")).await;
        let database_url = cluster.url(&database);
        let mut dice = StdRng::seed_from_u64(seed);
        let mut secret = || hex::encode(dice.random::<[u8; 24]>());
        let [
            jwt,
            go,
            back,
            app_id,
            openpix,
            freight,
            mail,
            card,
            hook,
            bank,
            key,
            pix,
            nfe,
            nfe_hook,
            parcel_hook,
            office,
            sms,
            sms_hook,
        ] = std::array::from_fn(|_| secret());
        let data_keys = format!("1:{}", STANDARD.encode(dice.random::<[u8; 32]>()));
        let (ports, sandbox_port) = ([free_port(), free_port()], free_port());
        let provider = |path: &str| format!("http://127.0.0.1:{sandbox_port}/{path}");
        let env: Vec<(&'static str, String)> = vec![
            ("DATABASE_URL", database_url.clone()),
            ("JWT_SECRET", jwt),
            ("DATA_KEYS", data_keys),
            ("ALLOWED_ORIGINS", "https://loja.example".into()),
            ("PIX_PROVIDER", "propay,openpix,bacen".into()),
            ("PIX_EXPIRY", PIX_EXPIRY.into()),
            ("PROPAY_URL", provider("propay")),
            ("PROPAY_TIMEOUT", "2s".into()),
            ("GO_TO_PROPAY_SECRET", go.clone()),
            ("PROPAY_TO_GO_SECRET", back.clone()),
            ("OPENPIX_URL", provider("openpix")),
            ("OPENPIX_TIMEOUT", "2s".into()),
            ("OPENPIX_CALLS_PER_SECOND", "100000".into()),
            ("OPENPIX_APP_ID", app_id),
            ("OPENPIX_WEBHOOK_SECRET", openpix),
            ("PIX_API_URL", provider("bacen/v2")),
            ("PIX_TIMEOUT", "2s".into()),
            ("PIX_CLIENT_ID", bank),
            ("PIX_CLIENT_SECRET", key),
            ("PIX_KEY", "7f2b6c3e-0a1d-4c57-9a37-3f1c52d0e9b4".into()),
            ("PIX_WEBHOOK_SECRET", pix),
            ("STRIPE_URL", provider("stripe")),
            ("STRIPE_TIMEOUT", "2s".into()),
            ("STRIPE_SECRET_KEY", format!("sk_test_{card}")),
            ("STRIPE_WEBHOOK_SECRET", format!("whsec_{hook}")),
            ("STRIPE_PUBLISHABLE_KEY", "pk_test_torture".into()),
            ("MELHORENVIO_URL", provider("melhorenvio")),
            ("SHIPPING_API_KEY", freight),
            ("MELHORENVIO_WEBHOOK_SECRET", parcel_hook),
            ("SHIPPING_SENDER_CEP", "01310-100".into()),
            ("SHIPPING_PROVIDER", "melhorenvio,correios".into()),
            ("CORREIOS_URL", provider("correios")),
            ("CORREIOS_USER", "tortura".into()),
            ("CORREIOS_API_KEY", office),
            ("CORREIOS_POSTAGE_CARD", "0067599079".into()),
            ("NFE_PROVIDER", "focusnfe".into()),
            ("NFE_URL", provider("focusnfe")),
            ("NFE_API_KEY", nfe),
            ("NFE_CNPJ", CNPJ.into()),
            ("NFE_WEBHOOK_SECRET", nfe_hook),
            ("NFE_TIMEOUT", "2s".into()),
            // Periods of days are shortened to minutes.
            ("NFE_CALLS_PER_MINUTE", "100000".into()),
            ("RESEND_URL", provider("resend")),
            ("RESEND_API_KEY", mail),
            ("SMS_PROVIDER", "africastalking".into()),
            ("AFRICASTALKING_URL", provider("africastalking")),
            ("AFRICASTALKING_USERNAME", "tortura".into()),
            ("AFRICASTALKING_API_KEY", sms),
            ("AFRICASTALKING_WEBHOOK_SECRET", sms_hook),
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
            // Providers fail all the time here, so open breakers must close soon.
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
            secrets: [go, back],
        }
    }

    pub fn start_all(&self) {
        for index in 0..self.processes.len() {
            self.start_process(index);
        }
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

    /// More workers for the drain: each process sends a limited number of mails per second.
    pub fn add_workers(&self, count: usize) {
        let env: Vec<_> = self.env.iter().filter(|(name, _)| *name != "DB_MAX_CONNS").cloned().collect();
        let env = [env, vec![("DB_MAX_CONNS", "8".to_owned())]].concat();
        let more = (0..count).map(|n| self.spawn(&format!("worker-{n}"), &["worker"], &env));
        lock(&self.helpers).extend(more);
        self.tell_watchdog();
    }

    /// SIGKILL at any point of its work. 0 and 1 are the servers, 2 is the worker.
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

    /// Restarts processes that ended by themselves, as a supervisor would. Returns name and exit of each, and whether it is the
    /// exit of a process that found no database at its start.
    pub fn start_what_has_ended(&self) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let ended = lock(&process.child).as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                let found_no_database = lock(&self.crashed).is_some_and(|at| at.elapsed() < AFTERSHOCK);
                found.push((format!("{} ended by itself: {status}", process.name), found_no_database));
                self.start_process(index);
            }
        }
        found
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

    /// Lines of the processes' logs that match.
    pub fn log_lines(&self, is_like: impl Fn(&str) -> bool) -> Vec<String> {
        let logs =
            std::fs::read_dir(&self.folder).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().ends_with(".log"));
        let read = |entry: std::fs::DirEntry| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        logs.flat_map(|e| read(e).lines().filter(|line| is_like(line)).map(str::to_owned).collect::<Vec<_>>()).collect()
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

    /// Ends everything. A failed run keeps its database and logs until the next one.
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

/// Kills the processes it was last told of when our end of its pipe closes.
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
