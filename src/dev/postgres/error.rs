//! Errors of the development database.
use std::io;
use std::path::{Path, PathBuf};

use super::tools;

/// Why there is no database. Every text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another process holds the folder's lock.
    #[error("PostgreSQL is already running in this folder ({}): stop the other vitrine that uses it first", .0.display())]
    AlreadyRunning(PathBuf),
    /// No usable PostgreSQL on this machine; the text lists what was checked.
    #[error(
        "no PostgreSQL {min} or newer was found{looked_at}; install it (Debian: apt-get install postgresql, macOS: \
         brew install postgresql@17), or set DEV_PG_BIN to the folder of its programs, or DATABASE_URL to a running server",
        min = tools::MAJOR_MIN
    )]
    NoServer {
        /// The folders that were refused, each with the reason; empty when there were none.
        looked_at: String,
    },
    /// The data are of another major version, which PostgreSQL does not read.
    #[error(
        "the data in {} were made by PostgreSQL {made_by}, which was not found{looked_at}; install it or set DEV_PG_BIN to it, \
         or remove that folder to start anew",
        .dir.display()
    )]
    OtherMajor {
        /// The data folder.
        dir: PathBuf,
        /// The major version that made it.
        made_by: u32,
        /// The folders that were refused, each with the reason.
        looked_at: String,
    },
    /// We are not root and the data belong to another user.
    #[error("{} belongs to another user (uid {owner}): run as that user, or remove the folder to start anew", .dir.display())]
    WrongOwner {
        /// The data folder.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// PostgreSQL's tools do not accept this path.
    #[error("the path {} holds a quote, a $, a backslash or bytes that are not UTF-8, which PostgreSQL's tools cannot take: move the folder", .0.display())]
    Path(PathBuf),
    /// Root, and no user to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither a user postgres nor nobody: create one, or run as a plain user"
    )]
    NoUser,
    /// A tool of PostgreSQL failed.
    #[error("{tool} failed: {cause} (the log: {})", .log.display())]
    Tool {
        /// `initdb` or `pg_ctl`.
        tool: &'static str,
        /// The line of its output or of the log that says why.
        cause: String,
        /// The server's log.
        log: PathBuf,
    },
    /// The file system refused an operation.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// A verb: `create`, `read` …
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The server runs but refuses our connection.
    #[error(
        "the development PostgreSQL on port {port} refused us: {source}; if its password file was lost, remove the folder to start anew"
    )]
    Connect {
        /// Its port.
        port: u16,
        /// Its error.
        source: tokio_postgres::Error,
    },
    /// A blocking step panicked: a bug.
    #[error("the start of PostgreSQL broke off: {0}")]
    BrokeOff(#[from] tokio::task::JoinError),
}

/// Adds the path to an [`io::Error`].
pub(super) fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ClusterError + 'a {
    move |source| ClusterError::Io { doing, path: path.to_owned(), source }
}
