//! The record of accesses that the law asks for (Lei 12.965/2014, Marco Civil da Internet, article 15): who runs an application for
//! profit keeps for six months, in secret and safe from change, which address used it at what time. It is apart from all other logs, with
//! its own retention, and holds nothing beyond that purpose: no path with a person in it, no query, no body.
//!
//! Files of one day each, `access.AAAA-MM-DD.jsonl`, in `ACCESS_LOG_DIR`. One line a request: `at`, `address`, `port` (where nobody stands
//! between, because providers of mobile access share addresses), `method`, `route`, `status`, `user`, `request_id`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use crate::error::{Error, Result};
use crate::ids::UserId;

/// Lines that wait for the disk. When they are too many, new ones are dropped and counted: a full disk must not stop the shop.
const WAITING_LINES: usize = 100_000;

/// One access.
#[derive(Debug, Serialize)]
pub struct Access<'a> {
    pub at: Timestamp,
    pub address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub method: &'a str,
    /// The route's pattern, such as `/api/orders/{id}`.
    pub route: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    pub request_id: &'a str,
}

impl Access<'_> {
    /// The client's port: known where the connection is the client's own.
    pub fn port_of(peer: Option<SocketAddr>, address: IpAddr) -> Option<u16> {
        peer.filter(|peer| peer.ip().to_canonical() == address).map(|peer| peer.port())
    }
}

/// Writes the record from a thread of its own.
pub struct AccessLog {
    lines: NonBlocking,
    /// What waits is written when this is dropped.
    _writer: Mutex<WorkerGuard>,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessLog")
    }
}

impl AccessLog {
    /// Opens today's file in the folder, which is made if it is not there. Files beyond `days` are deleted, the oldest first.
    pub fn open(folder: &Path, days: usize) -> Result<Self> {
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("access")
            .filename_suffix("jsonl")
            .max_log_files(days)
            .build(folder)
            .map_err(|e| Error::Internal(format!("ACCESS_LOG_DIR {}: {e}", folder.display())))?;
        let (lines, writer) =
            NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true).thread_name("access-log").finish(files);
        Ok(Self { lines, _writer: Mutex::new(writer) })
    }

    /// Adds an access. It does not wait for the disk.
    pub fn write(&self, access: &Access<'_>) {
        let Ok(mut line) = serde_json::to_vec(access) else { return };
        line.push(b'\n');
        let mut lines = self.lines.clone();
        if lines.write_all(&line).is_err() {
            tracing::warn!("a line of the access log was lost");
        }
    }

    /// Lines that were dropped since the start, because the disk was too slow.
    pub fn dropped(&self) -> usize {
        self.lines.error_counter().dropped_lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(at: Timestamp) -> Access<'static> {
        Access {
            at,
            address: IpAddr::from([203, 0, 113, 9]),
            port: Some(50_123),
            method: "POST",
            route: "/api/orders",
            status: 201,
            user: None,
            request_id: "r-1",
        }
    }

    #[test]
    fn an_access_is_one_line_of_todays_file_and_old_files_go() -> Result<(), Box<dyn std::error::Error>> {
        let folder = std::env::temp_dir().join(format!("access-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        for day in 1..=5 {
            std::fs::write(folder.join(format!("access.2026-01-0{day}.jsonl")), "{}\n")?;
        }
        let now = Timestamp::now();
        let log = AccessLog::open(&folder, 3)?;
        log.write(&access(now));
        log.write(&access(now));
        assert_eq!(log.dropped(), 0);
        drop(log); // waits for the writer
        let mut names: Vec<String> = Vec::new();
        for file in std::fs::read_dir(&folder)? {
            names.push(file?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        assert!(names.len() <= 3, "{names:?}");
        let today = names.last().ok_or("a file")?;
        let text = std::fs::read_to_string(folder.join(today))?;
        let line: serde_json::Value = serde_json::from_str(text.lines().next().ok_or("a line")?)?;
        assert_eq!(text.lines().count(), 2, "{today}: {text}");
        assert_eq!(
            line,
            serde_json::json!({"at": now.to_string(), "address": "203.0.113.9", "port": 50_123, "method": "POST",
                               "route": "/api/orders", "status": 201, "request_id": "r-1"})
        );
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    }

    #[test]
    fn behind_a_proxy_the_port_is_nobodys() {
        let peer: Option<SocketAddr> = "10.0.0.1:4000".parse().ok();
        assert_eq!(Access::port_of(peer, IpAddr::from([10, 0, 0, 1])), Some(4000));
        assert_eq!(Access::port_of(peer, IpAddr::from([203, 0, 113, 9])), None);
        assert_eq!(Access::port_of(None, IpAddr::from([10, 0, 0, 1])), None);
    }
}
