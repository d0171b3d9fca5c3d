//! The address of the sandbox, the shop's address, and the expected keys.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    pub openpix_app_id: String,
    /// Signs OpenPix's webhooks by HMAC-SHA1; the other signature has a key pair of its own.
    pub openpix_webhook_secret: String,
    /// The bank's PIX API: the shop's credentials there, and its PIX key.
    pub pix_client_id: String,
    pub pix_client_secret: String,
    pub pix_key: String,
    /// The `hmac` in the address that the bank tells.
    pub pix_webhook_secret: String,
    /// How long the bank's access tokens are good for.
    pub pix_token_life: Duration,
    pub stripe_secret_key: String,
    pub stripe_webhook_secret: String,
    /// Stripe's search finds a payment only so long after it was made. Its lists find it at once.
    pub stripe_search_lag: Duration,
    pub melhorenvio_token: String,
    /// The client secret of the shop's app, which signs webhooks. `None`: no address is registered, so none are sent.
    pub melhorenvio_webhook_secret: Option<String>,
    /// What the shop has paid in to buy labels with.
    pub melhorenvio_balance_cents: i64,
    /// How long a label takes to be made.
    pub label_takes: Duration,
    /// A parcel is posted this long after its label was made, and delivered as long after that. `None`: only when told.
    pub parcel_pace: Option<Duration>,
    /// Correios: the portal's user, his access code, his postage card and its contract.
    pub correios_user: String,
    pub correios_access_code: String,
    pub correios_postage_card: String,
    pub correios_contract: String,
    pub correios_token_life: Duration,
    pub resend_api_key: String,
    /// Where mails may also be handed in by SMTP, at the same address; 0 takes a free port: ask `Sandbox::smtp_url`.
    pub smtp_port: u16,
    pub africastalking_username: String,
    pub africastalking_api_key: String,
    /// The `token` in the address that Africa's Talking reports to.
    pub africastalking_webhook_secret: String,
    pub focusnfe_token: String,
    pub enotas_api_key: String,
    /// eNotas' id of the company.
    pub enotas_company_id: String,
    /// In `X-Focus-Token` and in the address that eNotas tells.
    pub nfe_webhook_secret: String,
    /// The only company that may issue.
    pub nfe_cnpj: String,
    /// Its CRT, which eNotas keeps in the company's record.
    pub nfe_regime: u8,
    /// Whether the invoices count. The tax authority wants other names where they do not.
    pub nfe_is_production: bool,
    /// How long the tax authority takes.
    pub nfe_authorizes_after: Duration,
    /// How long after that eNotas has no files yet, which no webhook tells the end of.
    pub enotas_files_after: Duration,
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
            openpix_app_id: "openpix-development-only-app-id".into(),
            openpix_webhook_secret: "openpix-development-only-webhook-secret".into(),
            pix_client_id: "Client_Id_development-only".into(),
            pix_client_secret: "Client_Secret_development-only".into(),
            pix_key: "7f2b6c3e-0a1d-4c57-9a37-3f1c52d0e9b4".into(),
            pix_webhook_secret: "pix-development-only-webhook-secret".into(),
            pix_token_life: Duration::from_secs(3600),
            stripe_secret_key: "sk_test_development-only".into(),
            stripe_webhook_secret: "whsec_development-only".into(),
            stripe_search_lag: Duration::from_secs(60),
            melhorenvio_token: "melhorenvio-development-only-token".into(),
            melhorenvio_webhook_secret: Some("melhorenvio-development-only-webhook-secret".into()),
            melhorenvio_balance_cents: 10_000_000,
            label_takes: Duration::from_millis(200),
            parcel_pace: None,
            correios_user: "loja".into(),
            correios_access_code: "correios-development-only-access-code".into(),
            correios_postage_card: "0067599079".into(),
            correios_contract: "9912345678".into(),
            correios_token_life: Duration::from_secs(24 * 3600),
            resend_api_key: "re_development_only_key".into(),
            smtp_port: 0,
            africastalking_username: "sandbox".into(),
            africastalking_api_key: "atsk_development-only".into(),
            africastalking_webhook_secret: "africastalking-development-only-webhook-secret".into(),
            focusnfe_token: "focusnfe-development-only-token".into(),
            enotas_api_key: "enotas-development-only-key".into(),
            enotas_company_id: "484fb0c5-969e-46ad-a047-8a0db54667b4".into(),
            nfe_webhook_secret: "nfe-development-only-webhook-secret".into(),
            nfe_cnpj: "11222333000181".into(),
            nfe_regime: 1,
            nfe_is_production: false,
            nfe_authorizes_after: Duration::from_millis(200),
            enotas_files_after: Duration::from_millis(300),
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
