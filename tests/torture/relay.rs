//! What stands between the shop's processes and PostgreSQL, as a network does: it carries every byte, and can go silent. A silent
//! network refuses nothing and closes nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// For so long the database's machine keeps a connection whose other end has vanished: until its kernel's questions stay unanswered.
const FORGOTTEN: Duration = Duration::from_secs(25);
/// A process of ours that ran out of files is tried again.
const BREATH: Duration = Duration::from_millis(20);

/// How a silence treats the connections that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nothing is lost: what was sent meanwhile arrives afterwards, as after packets that were sent again.
    Holds,
    /// What was under way is lost, and those connections stay dumb for ever, as after a failover to another machine.
    Loses,
    /// The same, and the database is not told either: its sessions stay, with their locks, as after a way that was lost between two
    /// machines.
    Forgets,
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    is_silent: bool,
    /// So many times all connections were lost.
    losses: u64,
    /// The last time the database was not told.
    is_forgotten: bool,
}

pub struct Relay {
    pub port: u16,
    line: watch::Sender<Line>,
    /// Its own, so that nothing else of the run holds it up. `None`: it has ended.
    runtime: Option<Runtime>,
}

impl Relay {
    /// Carries between a new port and the database's, both on 127.0.0.1.
    pub fn start(database: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, listening) = watch::channel(Line::default());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(tokio::spawn(carry(client, database, listening.clone()))),
                    Err(_) => tokio::time::sleep(BREATH).await,
                }
            }
        });
        Self { port, line, runtime: Some(runtime) }
    }

    pub fn go_silent(&self, silence: Silence) {
        self.line.send_modify(|line| {
            line.is_silent = true;
            line.losses += u64::from(silence != Silence::Holds);
            line.is_forgotten = silence == Silence::Forgets;
        });
    }

    pub fn is_silent(&self) -> bool {
        self.line.borrow().is_silent
    }

    pub fn come_back(&self) {
        self.line.send_modify(|line| line.is_silent = false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection. One that is made during a silence waits for its end, as one whose first packets were sent again.
async fn carry(mut client: TcpStream, database: u16, mut line: watch::Receiver<Line>) {
    let Ok(born) = line.wait_for(|line| !line.is_silent).await.map(|line| line.losses) else { return };
    // Who gave up meanwhile sends no more packets: the database never hears of it. A client speaks first.
    if client.ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed()) {
        return;
    }
    // A database that is down refuses; the client's connection then ends, as it has been accepted already.
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", database)).await else { return };
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
    let (to_server, to_client) = (line.clone(), line.clone());
    {
        let ((from_client, into_client), (from_server, into_server)) = (client.split(), server.split());
        let both = async { tokio::join!(pump(from_client, into_server, to_server), pump(from_server, into_client, to_client)) };
        tokio::select! {
            _ = both => return,
            lost = line.wait_for(|line| line.losses > born) => if lost.is_err() { return },
        }
    }
    // The client is not told. The database is, if its side ends here.
    let is_forgotten = line.borrow().is_forgotten;
    let databases_side = async {
        if is_forgotten {
            let _ = tokio::time::timeout(FORGOTTEN, swallow(server)).await;
        }
    };
    tokio::join!(swallow(client), databases_side);
}

/// Until the other side closes.
async fn swallow(mut from: TcpStream) {
    let mut lost = vec![0; CHUNK];
    while from.read(&mut lost).await.is_ok_and(|count| count > 0) {}
}

/// One direction, to its end.
async fn pump(mut from: ReadHalf<'_>, mut into: WriteHalf<'_>, mut line: watch::Receiver<Line>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count) = from.read(&mut chunk).await {
        let is_open = line.wait_for(|line| !line.is_silent).await.is_ok();
        if count == 0 || !is_open || into.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
    let _ = into.shutdown().await;
}
