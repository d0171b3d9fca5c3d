//! Logs: JSON, or text on a terminal. A thread of their own writes them, so that a slow pipe slows no request.

use std::io::IsTerminal;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging to standard output. Drop the guard last: it writes what is still in the buffer.
pub fn start(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stdout());
    // At `debug` the database's client writes the parameters of every statement: names, addresses, hashes of passwords.
    let filter =
        EnvFilter::try_new(format!("{},refinery_core=warn,actix_server=warn,actix_http=off,tokio_postgres=info", config.level))
            .unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stdout().is_terminal();
    let json = config.format == LogFormat::Json || (config.format == LogFormat::Auto && !terminal);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second call (tests start many servers in one process) keeps the first subscriber.
    let _ = if json {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).with_target(false).try_init()
    } else {
        logs.with_ansi(terminal).with_target(false).compact().try_init()
    };
    guard
}
