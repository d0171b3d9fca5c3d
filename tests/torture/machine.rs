//! The processes: PostgreSQL, two servers, a worker and the sandbox. They can be killed, and they end with this process.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;
use uuid::Uuid;
use vitrine::dev::postgres::{Cluster, ClusterOptions};

use crate::relay::{Relay, Silence};
use crate::variables::{Variable, Variables};
use crate::world::lock;

/// The longest that a server without a database takes to report that and end.
const AFTERSHOCK: Duration = Duration::from_secs(15);

/// A process of ours that can be killed and started again.
struct Process {
    name: &'static str,
    arguments: Vec<&'static str>,
    env: Vec<Variable>,
    child: Mutex<Option<Child>>,
    /// It was started with other variables than its usual ones.
    is_changed: AtomicBool,
}

impl Process {
    fn new(name: &'static str, command: &'static str, env: Vec<Variable>) -> Self {
        Self { name, arguments: vec![command], env, child: Mutex::default(), is_changed: AtomicBool::new(false) }
    }
}

/// Variables that are not as usual; `None`: it is left out.
pub type Change = &'static [(&'static str, Option<&'static str>)];

pub struct Machine {
    pub folder: PathBuf,
    cluster: Mutex<Option<Cluster>>,
    /// When the database last went away or came back.
    crashed: Mutex<Option<Instant>>,
    pub database: String,
    /// The database's own address. Our processes have the relay's.
    pub database_url: String,
    relay: Relay,
    env: Vec<Variable>,
    changed: Mutex<Change>,
    pub ports: [u16; 2],
    pub sandbox_port: u16,
    processes: Vec<Process>,
    helpers: Mutex<Vec<Child>>,
    watchdog: Mutex<Child>,
    /// ProPay's two secrets: ours, and theirs.
    pub secrets: [String; 2],
    pub nfe_provider: &'static str,
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
        let options = ClusterOptions { dir: tmp.join("torture-pg"), durable: true, max_connections: 400 };
        let cluster = Cluster::start(options).await.unwrap();
        let database = fresh_database(&cluster.url("postgres")).await;
        let database_url = cluster.url(&database);
        let relay = Relay::start(cluster.port());
        let through_relay = database_url.replace(&format!(":{}/", cluster.port()), &format!(":{}/", relay.port));
        let (ports, sandbox_port) = ([free_port(), free_port()], free_port());
        let Variables { env, secrets, nfe_provider } = Variables::of(seed, through_relay, sandbox_port);
        let journal = folder.join("books.jsonl").to_str().unwrap().to_owned();
        let own = |more: Vec<(&'static str, String)>| env.iter().cloned().chain(more).collect::<Vec<_>>();
        let sandbox = own(vec![
            ("SANDBOX_PORT", sandbox_port.to_string()),
            ("SANDBOX_JOURNAL", journal),
            ("PUBLIC_URL", format!("http://127.0.0.1:{}", ports[0])),
        ]);
        let server = |name, port: u16| Process::new(name, "serve", own(vec![("PORT", port.to_string())]));
        let processes = vec![
            Process::new("sandbox", "sandbox", sandbox),
            server("server-0", ports[0]),
            server("server-1", ports[1]),
            Process::new("worker", "worker", own(Vec::new())),
        ];
        Self {
            folder,
            cluster: Mutex::new(Some(cluster)),
            crashed: Mutex::default(),
            database,
            database_url,
            relay,
            env,
            changed: Mutex::default(),
            ports,
            sandbox_port,
            processes,
            helpers: Mutex::default(),
            watchdog: Mutex::new(watchdog()),
            secrets,
            nfe_provider,
        }
    }

    /// Starts what does not run.
    pub fn start_all(&self) {
        for index in 0..self.processes.len() {
            self.start_process(index);
        }
    }

    /// Runs one of the binary's own commands on the shop.
    pub fn vitrine(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
        command.args(arguments).current_dir(&self.folder).env_clear().envs(self.env.iter().cloned());
        tokio::task::block_in_place(|| command.output()).unwrap()
    }

    /// Starts it unless it runs.
    fn start_process(&self, index: usize) {
        let process = &self.processes[index];
        let mut child = lock(&process.child);
        if child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none())) {
            return;
        }
        let changed = *lock(&self.changed);
        let is_usual = |(name, _): &&Variable| !changed.iter().any(|(other, _)| other == name);
        let given = changed.iter().filter_map(|(name, value)| value.map(|value| (*name, value.to_owned())));
        let env: Vec<Variable> = process.env.iter().filter(is_usual).cloned().chain(given).collect();
        *child = Some(self.spawn(process.name, &process.arguments, &env));
        process.is_changed.store(!changed.is_empty(), Ordering::Relaxed);
        drop(child);
        self.tell_watchdog();
    }

    /// From now on processes start with these variables in place of their usual ones.
    pub fn change(&self, change: Change) {
        *lock(&self.changed) = change;
    }

    /// From now on with the usual variables; whoever runs with others is started again.
    pub fn change_back(&self) {
        self.change(&[]);
        for which in 0..3 {
            if self.processes[which + 1].is_changed.load(Ordering::Relaxed) {
                self.kill(which);
                self.start_again(which);
            }
        }
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

    /// The network to the database: it vanishes without a word, and comes back.
    pub fn silence_database(&self, silence: Silence) {
        *lock(&self.crashed) = Some(Instant::now());
        self.relay.go_silent(silence);
    }

    pub fn end_silence(&self) {
        self.relay.come_back();
        *lock(&self.crashed) = Some(Instant::now());
    }

    /// Restarts processes that ended by themselves, as a supervisor would. Returns name and exit of each, and whether it is the
    /// exit of a process that found no database at its start.
    pub fn start_what_has_ended(&self) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let ended = lock(&process.child).as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                let was_just_away = lock(&self.crashed).is_some_and(|at| at.elapsed() < AFTERSHOCK);
                let found_no_database = self.relay.is_silent() || was_just_away;
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
