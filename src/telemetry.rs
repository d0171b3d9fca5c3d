//! Logs: JSON, or text on a terminal. A thread of their own writes them, so that a slow pipe slows no request.

use std::io::{IsTerminal, Write};

pub use tracing_appender::non_blocking::WorkerGuard as Guard;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::progress::Progress;

/// A server's log, on standard output. Drop the guard last: it writes what is still in the buffer.
pub fn start(config: &LogConfig) -> Guard {
    write_to(std::io::stdout(), std::io::stdout().is_terminal(), config)
}

/// A command's log, on standard error: its answer alone goes to standard output.
pub fn start_beside(config: &LogConfig, progress: &Progress) -> Guard {
    write_to(progress.stderr(), std::io::stderr().is_terminal(), config)
}

fn write_to(target: impl Write + Send + 'static, terminal: bool, config: &LogConfig) -> Guard {
    let (writer, guard) = tracing_appender::non_blocking(target);
    // At `debug` the database's client writes the parameters of every statement (names, addresses, hashes of passwords), and the server's
    // library the paths that it cannot read.
    const OTHERS: &str = "refinery_core=warn,actix_server=warn,actix_http=off,actix_web=info,tokio_postgres=info";
    let filter = EnvFilter::try_new(format!("{},{OTHERS}", config.level)).unwrap_or_else(|_| EnvFilter::new("info"));
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
