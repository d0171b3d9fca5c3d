//! Load over HTTP: `wrk`, and what it counted.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use tokio::process::Command;

use crate::Bench;

/// wrk calls it when it is done.
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\nFIGURES {"requests":%d,"us":%d,"bytes":%d,"p95":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(95.0), latency:percentile(99.0),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

pub struct Load<'a> {
    pub port: u16,
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub connections: usize,
    pub seconds: u64,
    /// More of wrk's script: another method, a body.
    pub script: &'a str,
}

#[derive(Debug, Deserialize)]
struct Figures {
    requests: f64,
    us: f64,
    bytes: f64,
    p95: f64,
    p99: f64,
    errors: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Requests a second.
    pub rate: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub errors: u64,
    /// Bytes of one answer, head and body.
    pub bytes: f64,
}

pub async fn run(bench: &Bench, load: &Load<'_>) -> Outcome {
    static SCRIPTS: AtomicU32 = AtomicU32::new(0);
    let script = bench.dir.join(format!("wrk-{}.lua", SCRIPTS.fetch_add(1, Ordering::Relaxed)));
    fs::write(&script, format!("{}{REPORT}", load.script)).unwrap();
    let outcome = run_script(&bench.options.wrk, load, &script).await;
    fs::remove_file(script).unwrap();
    outcome
}

async fn run_script(wrk: &Path, load: &Load<'_>, script: &Path) -> Outcome {
    let mut command = Command::new(wrk);
    command.args(["-t", &load.connections.min(2).to_string(), "-c", &load.connections.to_string()]);
    command.args(["-d", &format!("{}s", load.seconds), "--timeout", "10s", "-s"]).arg(script);
    for (name, value) in load.headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let said = command.arg(format!("http://127.0.0.1:{}{}", load.port, load.path)).output().await.unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.unwrap_or_else(|| panic!("wrk: {text}{}", String::from_utf8_lossy(&said.stderr)));
    let Figures { requests, us, bytes, p95, p99, errors } = serde_json::from_str(line).unwrap();
    Outcome { rate: requests / (us / 1e6), p95_ms: p95 / 1000.0, p99_ms: p99 / 1000.0, errors, bytes: bytes / requests.max(1.0) }
}
