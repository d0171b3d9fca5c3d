//! The providers, on a real socket: a server written from their documents, not from our clients.
//!
//! It keeps its own books (what was charged, paid, refunded, mailed), signs its own webhooks, and
//! misbehaves on demand. Tests run many of them in one process, each on its own port.

mod books;
mod brcode;
mod cep;
mod cep_table;
mod chaos;
mod control;
mod control_http;
mod documents;
mod fault;
mod journal;
mod melhorenvio;
mod page;
mod pix;
mod propay;
mod propay_webhook;
mod quote;
mod resend;
mod server;
mod signature;
mod table;
mod webhooks;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use books::{Attempt, Books, Call, Charge, ChargeStatus, Delivery, DeliveryState, Mail, Payer, Refund, RefundStatus};
pub use chaos::{Chaos, ChaosCounts};
pub use control::{Control, Pay, Refused, SendWebhook, ShopAnswer};
pub use fault::{Fault, FaultOrder};
pub use server::{Sandbox, start};

/// Where the sandbox listens, whom it tells, and the keys it expects. The defaults are the
/// documented ones of a development machine; no real key belongs here.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Port 0 takes a free one: ask `Sandbox::addr`.
    pub listen: SocketAddr,
    /// Base address of the shop that gets the webhooks. `None`: they wait until it is set.
    pub shop_url: Option<String>,
    /// A file of JSON lines that holds the books across a kill. `None`: memory only.
    pub journal: Option<PathBuf>,
    /// Verifies the shop's tokens (the shop's `GO_TO_PROPAY_SECRET`).
    pub propay_incoming_secret: String,
    /// Signs webhooks (the shop's `PROPAY_TO_GO_SECRET`).
    pub propay_webhook_secret: String,
    pub melhorenvio_token: String,
    pub resend_api_key: String,
    /// Name and city in the BR Codes: ASCII, at most 25 and 15 characters.
    pub merchant_name: String,
    pub merchant_city: String,
    /// Waits between the tries of a webhook, after an immediate first one.
    pub webhook_retries: Vec<Duration>,
    /// How long one try may take.
    pub webhook_timeout: Duration,
    /// How long a refund stays `processing`.
    pub refund_settles_after: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shop_url: None,
            journal: None,
            propay_incoming_secret: "go-to-propay-development-only-secret".into(),
            propay_webhook_secret: "propay-to-go-development-only-secret".into(),
            melhorenvio_token: "melhorenvio-development-only-token".into(),
            resend_api_key: "re_development_only_key".into(),
            merchant_name: "LOJA VITRINE".into(),
            merchant_city: "SAO PAULO".into(),
            webhook_retries: [1, 5, 30, 120, 600, 1800].map(Duration::from_secs).into(),
            webhook_timeout: Duration::from_secs(10),
            refund_settles_after: Duration::from_millis(200),
        }
    }
}

// By hand: keys stay out of logs, even these.
impl std::fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("listen", &self.listen)
            .field("shop_url", &self.shop_url)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
