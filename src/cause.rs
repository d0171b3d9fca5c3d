//! The actor and the cause of a piece of work. Every history row has both.

use std::fmt;
use std::future::Future;

use crate::ids::UserId;

tokio::task_local! {
    static CAUSE: String;
}

/// Runs `work` with `kind:id` as its cause, and with `id` as the request id of provider calls inside.
pub async fn scope<F: Future>(kind: &str, id: &str, work: F) -> F::Output {
    let cause = format!("{kind}:{id}");
    vitrine_kit::trace::with_request_id(id.to_owned(), CAUSE.scope(cause, work)).await
}

/// `request:…`, `job:…`, `webhook:…` or `command:…`; `system` outside of them.
pub fn current() -> String {
    CAUSE.try_with(Clone::clone).unwrap_or_else(|_| "system".to_owned())
}

/// Who did it, for a history row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    User(UserId),
    Admin(UserId),
    Shipper(UserId),
    Guest,
    System,
    Provider(&'static str),
    /// The operator, by this command of `vitrine`.
    Command(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Admin(id) => write!(f, "admin:{id}"),
            Self::Shipper(id) => write!(f, "shipper:{id}"),
            Self::Guest => f.write_str("guest"),
            Self::System => f.write_str("system"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Command(name) => write!(f, "command:{name}"),
        }
    }
}
