//! A mail server that keeps what it is given, in the mailbox where Resend's mails are. In the clear, for this machine alone.
//!
//! `bounced@…` is refused for good, `full@…` for now. Like any mail server it does not recognise repeats: a mail that is sent twice is there twice.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::books::{Call, Mail};
use crate::providers::smtp::mime::Letter;
use crate::world::fault::Fault;
use crate::world::{Provider, World};

mod mime;

pub(crate) const PROVIDER: Provider = Provider { name: "smtp", error: |_| json!(null), ..Provider::SILENT };

/// Lines longer than this are none of SMTP's.
const LINE_MAX: u64 = 64 * 1024;
const MAIL_MAX: usize = 40 * 1024 * 1024;
/// Whoever says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes connections until the server ends.
pub(crate) async fn run(world: Arc<World>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the sandbox takes no mails"),
    };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let world = Arc::clone(&world);
                rt::spawn(async move {
                    let _ = tokio::time::timeout(Duration::from_secs(3600), talk(&world, socket)).await; // who hangs up has said enough
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the sandbox's mail server failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What was said of the mail so far.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

async fn talk(world: &World, socket: TcpStream) -> std::io::Result<()> {
    let mut wire = Wire { stream: BufReader::new(socket) };
    let mut envelope = Envelope::default();
    wire.say("220 sandbox.vitrine.local ESMTP").await?;
    while let Some(line) = wire.line().await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => wire.say("250-sandbox.vitrine.local\r\n250-8BITMIME\r\n250 AUTH PLAIN").await?,
            "HELO" | "NOOP" => wire.say("250 sandbox.vitrine.local").await?,
            "AUTH" => wire.say("235 2.7.0 any password will do").await?,
            "RSET" => {
                envelope = Envelope::default();
                wire.say("250 2.0.0 forgotten").await?;
            }
            "MAIL" => {
                envelope = Envelope { from: Some(address(&line)), to: Vec::new() };
                wire.say("250 2.1.0 sender known").await?;
            }
            "RCPT" if envelope.from.is_none() => wire.say("503 5.5.1 MAIL first").await?,
            "RCPT" => match address(&line) {
                to if to.starts_with("bounced@") => wire.say(&format!("550 5.1.1 <{to}>: no such user")).await?,
                to if to.starts_with("full@") => wire.say(&format!("452 4.2.2 <{to}>: mailbox full")).await?,
                to => {
                    envelope.to.push(to);
                    wire.say("250 2.1.5 recipient known").await?;
                }
            },
            "DATA" if envelope.to.is_empty() => wire.say("503 5.5.1 RCPT first").await?,
            "DATA" => {
                wire.say("354 go on, and end with a dot").await?;
                let Some(bytes) = wire.mail().await? else { return Ok(()) };
                if !take(world, &mut wire, std::mem::take(&mut envelope), &bytes).await? {
                    return Ok(());
                }
            }
            "QUIT" => return wire.say("221 2.0.0 bye").await,
            _ => wire.say("500 5.5.2 what?").await?,
        }
    }
    Ok(())
}

/// Keeps the mail and says so, unless a fault was ordered. `false`: the connection is to be closed.
async fn take(world: &World, wire: &mut Wire, envelope: Envelope, bytes: &[u8]) -> std::io::Result<bool> {
    let began = Instant::now();
    let met = world.fault(PROVIDER.name, "DATA");
    let call = Call {
        n: 0,
        at: Timestamp::now(),
        provider: PROVIDER.name,
        endpoint: "DATA".to_owned(),
        path: String::new(),
        request_id: None,
        fault: met.map(|met| met.fault.name().to_owned()),
        status: None,
        duration_ms: None,
    };
    let n = world.write(|books| books.call_begins(call));
    let fault = met.map(|met| met.fault);
    if !matches!(fault, Some(Fault::Status(_) | Fault::Hang | Fault::DropBeforeRequest)) {
        let mail = mail(envelope, bytes);
        world.write(|books| books.put(mail));
    }
    let answer = match fault {
        None => Some("250 2.0.0 kept".to_owned()),
        Some(Fault::Delay(by)) => {
            tokio::time::sleep(by).await;
            Some("250 2.0.0 kept".to_owned())
        }
        Some(Fault::Status(code)) => Some(format!("{} ordered by the sandbox's control", smtp_code(code))),
        Some(Fault::Garbage | Fault::WrongType) => Some("\u{1f4a5}".to_owned()),
        Some(Fault::Hang | Fault::HangAfterRequest) => {
            tokio::time::sleep(met.map_or(SILENCE, |met| met.hang)).await;
            None
        }
        // A refusal of what was done would be a lie that no mail server tells.
        Some(Fault::StatusAfterRequest(_) | Fault::DropBeforeRequest | Fault::DropAfterRequest) => None,
    };
    let status = answer.as_deref().and_then(|answer| answer.get(..3)?.parse().ok());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    world.write(|books| books.call_ends(n, status, duration_ms));
    match answer {
        Some(answer) => wire.say(&answer).await.map(|()| true),
        None => Ok(false),
    }
}

/// SMTP's own codes stay; HTTP's trouble is "come again".
fn smtp_code(code: u16) -> u16 {
    match code {
        421 | 450..=459 | 550..=559 => code,
        _ => 451,
    }
}

fn mail(envelope: Envelope, bytes: &[u8]) -> Mail {
    let letter = Letter::read(bytes);
    let header = |name: &str| letter.headers.get(name).cloned();
    Mail {
        provider: PROVIDER.name.to_owned(),
        id: Uuid::new_v4().to_string(),
        idempotency_key: header("message-id").map(|id| id.trim_matches(['<', '>']).to_owned()),
        from: header("from").or(envelope.from).unwrap_or_default(),
        to: envelope.to,
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: header("reply-to").into_iter().collect(),
        subject: header("subject").unwrap_or_default(),
        html: letter.html,
        text: letter.text,
        tags: header("x-vitrine-kind").map(|kind| ("kind".to_owned(), kind)).into_iter().collect(),
        headers: letter.headers,
        attachments: Vec::new(),
        scheduled_at: None,
        last_event: "delivered".to_owned(),
        created_at: Timestamp::now(),
    }
}

/// `MAIL FROM:<ana@example.com> SIZE=1` → `ana@example.com`.
fn address(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(address, _)| address).to_ascii_lowercase()
}

struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    async fn say(&mut self, words: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{words}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// Without its end. `None`: they hung up.
    async fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_MAX);
        let read = tokio::time::timeout(SILENCE, limited.read_until(b'\n', &mut line)).await??;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(None);
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Up to the lone dot; the dots that were doubled are single again.
    async fn mail(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut mail = Vec::new();
        while let Some(line) = self.line().await? {
            match line.as_slice() {
                b"." => return Ok(Some(mail)),
                [b'.', rest @ ..] => mail.extend_from_slice(rest),
                line => mail.extend_from_slice(line),
            }
            mail.extend_from_slice(b"\r\n");
            if mail.len() > MAIL_MAX {
                return Ok(None);
            }
        }
        Ok(None)
    }
}
