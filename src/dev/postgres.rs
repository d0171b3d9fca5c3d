//! A PostgreSQL of our own for `vitrine dev` and the tests: no docker, no service, no configuration.
//!
//! The data survive this process (a kill -9, a reboot); the server does not: a watchdog stops it when this process is gone, for
//! whatever reason. The cluster lies in one folder:
//! ```text
//! pg.lock          held while a starter lives      pg/password   of the role `vitrine`, 0600
//! pg/data/         PostgreSQL's own                pg/port       the last one used
//! pg/postgres.log  cut at 10 MB                    pg/run        whose turn it is: read by the watchdog
//! pg/socket/       for psql -h
//! ```
mod error;
mod place;
mod tools;
mod user;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use error::ClusterError;
use error::at;
use place::Place;
use tools::Tools;

/// The superuser's name, and the name of the default database.
pub const NAME: &str = "vitrine";
/// A longer log is emptied at the next start.
const LOG_MAX_BYTES: u64 = 10 * 1024 * 1024;
/// Tries of one start: another program can take the port between our check and PostgreSQL's.
const STARTS_MAX: u32 = 3;
/// A second in all: a process that was killed or is ending needs a moment to release the lock.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How long PostgreSQL may take to start (it may have to recover) and to stop in good order, in seconds.
const START_SECONDS: &str = "60";
const STOP_SECONDS: &str = "20";
/// A socket's whole path must stay below 104 bytes on macOS, 108 on Linux.
const SOCKET_PATH_MAX: usize = 100;

/// The folder of a cluster and its settings.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The cluster's folder, created when absent; beside it stands its lock, `<dir>.lock`.
    pub dir: PathBuf,
    /// `false` gives up safety against a power cut (never against a kill) for speed: tests only.
    pub durable: bool,
    /// PostgreSQL's own `max_connections`.
    pub max_connections: u32,
}

/// A running PostgreSQL. Dropped without [`Cluster::stop`], its watchdog stops it in the background.
pub struct Cluster {
    place: Place,
    tools: Tools,
    port: u16,
    password: String,
    watchdog: Child,
    /// Released last, by the drop: until then nobody else may use the folder.
    _lock: File,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("base", &self.place.base).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts the cluster of `opts.dir` (created on the first call, in about a second), and creates its database `vitrine`.
    /// One process per folder; a server that an earlier process left running is stopped first.
    ///
    /// # Errors
    /// Every [`ClusterError`]; nothing is left running then.
    pub async fn start(opts: ClusterOptions) -> Result<Self, ClusterError> {
        let cluster = tokio::task::spawn_blocking(move || Self::start_blocking(&opts)).await??;
        match cluster.create_database().await {
            Ok(()) => Ok(cluster),
            Err(source) => {
                let port = cluster.port;
                cluster.stop().await;
                Err(ClusterError::Connect { port, source })
            }
        }
    }

    /// `postgres://vitrine:…@127.0.0.1:PORT/database`. It contains the password: never log it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The TCP port on 127.0.0.1; the same at every start as long as it is free.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// PostgreSQL's version, as `15.18`.
    #[must_use]
    pub fn version(&self) -> String {
        self.tools.version.to_string()
    }

    /// Stops PostgreSQL and waits until it has: open sessions are cut off, all committed data are on disk.
    pub async fn stop(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || self.stop_blocking()).await {
            tracing::error!(%error, "stopping PostgreSQL failed");
        }
    }

    /// Stops PostgreSQL like a power cut (`pg_ctl -m immediate`), for tests of the recovery; it blocks.
    ///
    /// # Errors
    /// [`ClusterError::Tool`].
    pub fn crash(&self) -> Result<(), ClusterError> {
        let mut stop = self.tools.command("pg_ctl");
        stop.arg("stop").arg("-D").arg(self.place.data()).args(["-w", "-t", STOP_SECONDS, "-m", "immediate"]);
        run(&mut stop, "pg_ctl stop", &self.place)
    }

    /// Starts it again after a [`Cluster::crash`], on the same port: it recovers first. It blocks.
    ///
    /// # Errors
    /// [`ClusterError::Tool`]; it may be tried again.
    pub fn recover(&self) -> Result<(), ClusterError> {
        let mut start = self.tools.command("pg_ctl");
        start.arg("start").arg("-D").arg(self.place.data()).arg("-l").arg(self.place.log()).args(["-w", "-t", START_SECONDS]);
        run(&mut start, "pg_ctl start", &self.place)
    }

    fn start_blocking(opts: &ClusterOptions) -> Result<Self, ClusterError> {
        let (dir, lock) = lock(&opts.dir)?;
        let place = Place::of(&dir)?;
        let tools = Tools::find(place.user, &place.data())?;
        let password = password(&place)?;
        // An older watchdog that reads this ends without stopping anything; ours is started with it.
        let turn = hex::encode(rand::random::<[u8; 16]>());
        place.write("run", &turn)?;
        if !place.data().join("PG_VERSION").exists() {
            init(&place, &tools)?;
        }
        if fs::metadata(place.log()).is_ok_and(|log| log.len() > LOG_MAX_BYTES) {
            place.write("postgres.log", "")?;
        }
        let mut watchdog = watch(&place, &turn).map_err(at("start a watchdog for", &place.base))?;
        // If the start fails, dropping `watchdog` closes its pipe, and it stops whatever was started.
        let port = start_server(&place, &tools, opts)?;
        place.write("port", &port.to_string())?;
        if let (Some(pipe), Some(pid)) = (&mut watchdog.stdin, running(&place)) {
            let _ = writeln!(pipe, "{pid}"); // used if the data are gone by then; else the watchdog reads postmaster.pid
        }
        Ok(Self { place, tools, port, password, watchdog, _lock: lock })
    }

    fn stop_blocking(mut self) {
        if !stop_server(&self.place, &self.tools) {
            tracing::warn!(log = %self.place.log().display(), "PostgreSQL did not stop; its watchdog keeps trying");
        } else if let Err(error) = fs::remove_file(self.place.base.join("run")) {
            tracing::warn!(%error, "the file `run` of the cluster could not be removed");
        }
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait(); // avoids a zombie; the exit code does not matter
    }

    async fn create_database(&self) -> Result<(), tokio_postgres::Error> {
        let (db, connection) = tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        if db.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&NAME]).await?.is_none() {
            db.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
        }
        drop(db);
        let _ = connection.await; // it ends with `db`; an error at the end does not matter
        Ok(())
    }
}

/// The address of a database in a cluster that another process started. It contains the password: never log it.
///
/// # Errors
/// [`ClusterError::Io`]: there is none, or its files belong to somebody else.
pub fn url_of_running(dir: &Path, database: &str) -> Result<String, ClusterError> {
    let place = Place::of(&canonical(dir)?)?;
    let read = |name: &str| {
        let path = place.base.join(name);
        fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(at("read", &path))
    };
    Ok(format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", read("password")?, read("port")?))
}

fn canonical(dir: &Path) -> Result<PathBuf, ClusterError> {
    let dir = std::path::absolute(dir).map_err(at("find", dir))?;
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(ClusterError::Path(dir));
    };
    fs::create_dir_all(parent).map_err(at("create", parent))?;
    Ok(parent.canonicalize().map_err(at("find", parent))?.join(name))
}

/// The folder's canonical path, and its lock.
fn lock(dir: &Path) -> Result<(PathBuf, File), ClusterError> {
    let dir = canonical(dir)?;
    let path = beside(&dir, ".lock");
    let mut open = OpenOptions::new();
    let file = open.write(true).create(true).truncate(false).open(&path).map_err(at("open", &path))?;
    let mut patience = LOCK_TRIES;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok((dir, file)),
            Err(TryLockError::WouldBlock) if patience == 0 => {
                return Err(ClusterError::AlreadyRunning(dir));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(at("lock", &path)(source)),
        }
        patience -= 1;
    }
}

/// `pg` + `.lock` → `pg.lock`.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The stored password, or a new one; hexadecimal, so that it needs no escaping.
fn password(place: &Place) -> Result<String, ClusterError> {
    let path = place.base.join("password");
    match fs::read_to_string(&path) {
        Ok(kept) if !kept.trim().is_empty() => Ok(kept.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("read", &path)(error)),
        _ => {
            let new = hex::encode(rand::random::<[u8; 24]>());
            place.write("password", &new)?;
            Ok(new)
        }
    }
}

/// initdb under a temporary name, then a rename: a kill in between leaves no half cluster.
fn init(place: &Place, tools: &Tools) -> Result<(), ClusterError> {
    for entry in fs::read_dir(&place.base).map_err(at("read", &place.base))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("data.new-") {
            let _ = fs::remove_dir_all(entry.path()); // left by an earlier kill; a failure to remove it does no harm
        }
    }
    let new = place.base.join(format!("data.new-{}", hex::encode(rand::random::<[u8; 4]>())));
    let mut initdb = tools.command("initdb");
    initdb.arg("-D").arg(&new).args(["--username", NAME, "--locale=C", "-E", "UTF8", "--auth=scram-sha-256", "--pwfile"]);
    run(initdb.arg(place.base.join("password")), "initdb", place)?;
    let conf = new.join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(&conf).map_err(at("open", &conf))?;
    file.write_all(b"\ninclude_if_exists 'vitrine.conf' # written anew at every start\n")
        .and_then(|()| file.sync_all())
        .map_err(at("write", &conf))?;
    fs::rename(&new, place.data()).map_err(at("rename", &new))
}

/// Starts PostgreSQL on the last port, or on a free one, and returns the port once it takes connections.
fn start_server(place: &Place, tools: &Tools, opts: &ClusterOptions) -> Result<u16, ClusterError> {
    let last: Option<u16> = fs::read_to_string(place.base.join("port")).ok().and_then(|port| port.trim().parse().ok());
    let mut attempt = 1;
    loop {
        stop_server(place, tools); // we hold the lock, so a running server is an orphan
        let port = free_port(last.filter(|_| attempt == 1)).map_err(at("find a free port for", &place.base))?;
        place.write("data/vitrine.conf", &settings(place, opts, port))?;
        let mut start = tools.command("pg_ctl");
        start.arg("start").arg("-D").arg(place.data()).arg("-l").arg(place.log()).args(["-w", "-t", START_SECONDS]);
        match run(&mut start, "pg_ctl start", place) {
            Ok(()) => return Ok(port),
            Err(error) if attempt == STARTS_MAX => return Err(error),
            Err(error) => {
                tracing::warn!(%error, port, "PostgreSQL did not start; trying another port")
            }
        }
        attempt += 1;
    }
}

/// A free port on 127.0.0.1; the wanted one if it is free.
fn free_port(wanted: Option<u16>) -> io::Result<u16> {
    if let Some(port) = wanted.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
        return Ok(port);
    }
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The settings file of this start. The log keeps no statements and no row contents: they hold people's data.
fn settings(place: &Place, opts: &ClusterOptions, port: u16) -> String {
    let socket = place.base.join("socket");
    // A crash leaves a stale socket there. The lock is ours, so nobody else uses it.
    let _ = fs::remove_dir_all(&socket);
    // No socket if its path would be too long: we connect by TCP.
    let fits = socket.as_os_str().len() + "/.s.PGSQL.65535".len() < SOCKET_PATH_MAX && place.make_dir(&socket).is_ok();
    let sockets = if fits { format!("\"{}\"", socket.display()) } else { String::new() };
    let mut conf = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{sockets}'\n\
         max_connections = {}\nshared_buffers = '128MB'\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n\
         log_checkpoints = off\nlog_error_verbosity = terse\nlog_min_error_statement = panic\n",
        opts.max_connections
    );
    if !opts.durable {
        conf.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
    }
    conf
}

/// The process id in postmaster.pid, alive or not.
fn running(place: &Place) -> Option<u32> {
    tools::postmaster_pid(&fs::read_to_string(place.data().join("postmaster.pid")).ok()?)
}

/// Stops the postmaster of this data folder, if there is one; `false` if it did not stop.
fn stop_server(place: &Place, tools: &Tools) -> bool {
    let pid_file = place.data().join("postmaster.pid");
    let Some(pid) = running(place) else {
        return true;
    };
    if !tools::is_postmaster(pid, &place.data()) {
        // The id is from before a crash or a reboot and may belong to another program now. It must not be signalled; and
        // PostgreSQL would take it for a running server.
        return fs::remove_file(&pid_file).is_ok();
    }
    ["fast", "immediate"].into_iter().any(|mode| {
        let mut stop = tools.command("pg_ctl");
        stop.arg("stop").arg("-D").arg(place.data()).args(["-w", "-t", STOP_SECONDS, "-m", mode]);
        run(&mut stop, "pg_ctl stop", place).is_ok() || !pid_file.exists()
    })
}

/// Runs a tool to its end; the error is the one line that says why.
fn run(command: &mut Command, tool: &'static str, place: &Place) -> Result<(), ClusterError> {
    let failed = |cause: String| ClusterError::Tool { tool, cause, log: place.log() };
    let before = fs::metadata(place.log()).map_or(0, |log| log.len());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let log = fs::read(place.log()).unwrap_or_default();
    let news = String::from_utf8_lossy(log.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default());
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(tools::telling_line(&news, &said)))
}

/// Starts the process that stops PostgreSQL when this process ends in any way: its standard input is a pipe whose other end
/// only we hold, so the system closes it. It reads the pid and then checks that the turn is still ours. A newer process writes
/// its own turn before it starts a server, so an old watchdog never stops a newer server.
fn watch(place: &Place, turn: &str) -> io::Result<Child> {
    const SCRIPT: &str = r#"
        known=
        while read -r line; do known=$line; done
        [ -d "$1" ] || { [ -n "$known" ] && kill -QUIT "$known"; exit; } # the data were removed under it
        tries=0 absent=0
        while [ "$tries" -lt 300 ] && [ "$absent" -lt 25 ]; do
            pid= now=
            { read -r pid <"$1/postmaster.pid"; } 2>/dev/null
            { read -r now <"$2"; } 2>/dev/null
            [ "$now" = "$3" ] || exit 0
            case $pid in
                '' | *[!0-9]*) [ -z "$known" ] || exit 0; absent=$((absent + 1)) ;; # never known: it may be about to start
                *) known=$pid
                   if [ "$tries" -lt 100 ]; then kill -INT "$pid"; else kill -QUIT "$pid"; fi 2>/dev/null || exit 0 ;;
            esac
            tries=$((tries + 1))
            sleep 0.2
        done"#;
    let mut sh = user::command_as(Path::new("/bin/sh"), place.user);
    sh.args(["-c", SCRIPT, "vitrine-watchdog"]).arg(place.data()).arg(place.base.join("run")).arg(turn);
    sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
