//! Stands between a server and PostgreSQL, carries every byte, and counts what the server asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A statement that is not counted. Its answer comes after that of all that its connection was asked before.
pub const MARK: &str = "SELECT 'all before this was counted'";
/// Nobody waits for it.
const ROLLBACK: &str = "ROLLBACK";

/// What was asked since the start.
#[derive(Debug, Default, Clone)]
pub struct Asked {
    /// The statements that ran, `BEGIN` and `COMMIT` among them. A statement that is only prepared does not run.
    pub statements: Vec<String>,
    /// How often the server asked while no answer was owed to it: it waited that often. Preparing waits too.
    pub round_trips: usize,
}

pub struct Counter {
    pub port: u16,
    asked: Arc<Mutex<Asked>>,
}

impl Counter {
    /// Carries between a new port and the database's, both on 127.0.0.1.
    pub async fn start(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Asked::default()));
        let counted = Arc::clone(&asked);
        actix_web::rt::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", database)).await else { continue };
                let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let line = Arc::new(Mutex::new(Line::new(Arc::clone(&counted))));
                actix_web::rt::spawn(pump(from_client, to_server, Arc::clone(&line), Line::hears));
                actix_web::rt::spawn(pump(from_server, to_client, line, Line::answers));
            }
        });
        Self { port, asked }
    }

    pub fn asked(&self) -> Asked {
        self.asked.lock().unwrap().clone()
    }
}

async fn pump(mut from: OwnedReadHalf, mut into: OwnedWriteHalf, line: Arc<Mutex<Line>>, sees: fn(&mut Line, &[u8])) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        sees(&mut line.lock().unwrap(), &chunk[..count]);
        if into.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
    let _ = into.shutdown().await;
}

/// One connection, as its messages show it (PostgreSQL's manual, "Message Formats").
struct Line {
    asked: Arc<Mutex<Asked>>,
    from_client: Messages,
    from_server: Messages,
    /// So many answers are owed.
    owed: usize,
    prepared: HashMap<String, String>,
    bound: String,
}

impl Line {
    fn new(asked: Arc<Mutex<Asked>>) -> Self {
        // The first message of a client has no letter, and the database answers it as it answers statements.
        let from_client = Messages { rest: Vec::new(), is_first: true };
        let from_server = Messages { rest: Vec::new(), is_first: false };
        Self { asked, from_client, from_server, owed: 1, prepared: HashMap::new(), bound: String::new() }
    }

    fn hears(&mut self, bytes: &[u8]) {
        let mut asked = self.asked.lock().unwrap();
        for (letter, body) in self.from_client.take(bytes) {
            let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            let mut text = || texts.next().unwrap_or_default();
            match letter {
                b'P' => drop(self.prepared.insert(text(), text())),
                b'B' => {
                    let _portal = text();
                    self.bound = self.prepared.get(&text()).cloned().unwrap_or_default();
                }
                b'E' => asked.statements.push(self.bound.clone()),
                b'Q' => {
                    // An empty one only asks whether the database is there. A transaction that is dropped ends behind the answer.
                    let sql = Some(text()).filter(|sql| !sql.is_empty() && sql != MARK && sql != ROLLBACK);
                    asked.round_trips += usize::from(self.owed == 0 && sql.is_some());
                    asked.statements.extend(sql);
                    self.owed += 1;
                }
                b'S' => {
                    asked.round_trips += usize::from(self.owed == 0);
                    self.owed += 1;
                }
                _ => {}
            }
        }
    }

    fn answers(&mut self, bytes: &[u8]) {
        let ready = self.from_server.take(bytes).iter().filter(|(letter, _)| *letter == b'Z').count();
        self.owed = self.owed.saturating_sub(ready);
    }
}

/// A stream cut into its messages.
struct Messages {
    rest: Vec<u8>,
    is_first: bool,
}

impl Messages {
    /// The messages that are whole now, each with its letter.
    fn take(&mut self, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.rest.extend_from_slice(bytes);
        let mut whole = Vec::new();
        loop {
            let head = usize::from(!self.is_first);
            let Some(length) = self.rest.get(head..head + 4) else { return whole };
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.rest.len() < head + length {
                return whole;
            }
            let message: Vec<u8> = self.rest.drain(..head + length).collect();
            whole.push((if self.is_first { 0 } else { message[0] }, message[head + 4..].to_vec()));
            self.is_first = false;
        }
    }
}
