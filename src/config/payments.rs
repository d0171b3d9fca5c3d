//! Providers of payments: PIX providers in order of preference, and Stripe.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Mode;
use super::env::Env;

#[derive(Debug, Clone)]
pub struct PixConfig {
    /// How long a charge can be paid.
    pub expiry: Duration,
    /// For so long the start of a payment goes on to another provider or another try.
    pub pay_wait: Duration,
    /// Take new charges. The first one is used; a later one while the breakers of those before it are open. Never empty.
    pub providers: Vec<PixSettings>,
    /// Take no new charges, and can still be asked about old ones: their credentials are set, and `PIX_PROVIDER` leaves them out.
    pub retired: Vec<PixSettings>,
}

/// One variant per PIX provider, with its address and secrets.
#[derive(Debug, Clone)]
pub enum PixSettings {
    ProPay(ProPaySettings),
    OpenPix(OpenPixSettings),
    Bank(BankSettings),
}

#[derive(Debug, Clone)]
pub struct ProPaySettings {
    pub url: String,
    /// Signs our calls.
    pub outgoing_secret: SecretString,
    /// Signs their webhooks.
    pub incoming_secret: SecretString,
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct OpenPixSettings {
    pub url: String,
    pub app_id: SecretString,
    pub webhook_secret: Option<SecretString>,
    /// PEM; `None`: the platform's documented key.
    pub public_key: Option<String>,
    pub timeout: Duration,
    pub calls_per_second: u32,
}

/// A bank that offers the Central Bank's Pix API.
#[derive(Debug, Clone)]
pub struct BankSettings {
    pub url: String,
    /// `None`: `/oauth/token` of the same host.
    pub token_url: Option<String>,
    pub client_id: String,
    pub client_secret: SecretString,
    /// PEM of the client certificate, its chain and key.
    pub certificate: Option<SecretString>,
    /// The PIX key that receives the money.
    pub key: String,
    pub webhook_secret: SecretString,
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct StripeSettings {
    pub url: String,
    pub secret_key: SecretString,
    /// For the browser. Unset: the storefront has its own, as those of go-cart-api do.
    pub publishable_key: Option<String>,
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    /// `CARD_PROVIDER=none`: no new card payments; old ones are still looked after.
    pub is_retired: bool,
}

/// Each PIX provider, and the variables without which it cannot be asked.
const PIX_CREDENTIALS: [(&str, &[&str]); 3] = [
    ("propay", &["PROPAY_URL", "GO_TO_PROPAY_SECRET", "PROPAY_TO_GO_SECRET"]),
    ("openpix", &["OPENPIX_APP_ID"]),
    ("bacen", &["PIX_API_URL", "PIX_CLIENT_ID", "PIX_CLIENT_SECRET", "PIX_KEY", "PIX_WEBHOOK_SECRET"]),
];

fn pix_settings(env: &mut Env<'_>, name: &str) -> Option<PixSettings> {
    match name {
        "propay" => Some(PixSettings::ProPay(propay(env))),
        "openpix" => Some(PixSettings::OpenPix(openpix(env))),
        "bacen" => Some(PixSettings::Bank(bank(env))),
        _ => None,
    }
}

pub(super) fn pix(env: &mut Env<'_>) -> PixConfig {
    let mut names = env.list("PIX_PROVIDER", "propay");
    names.dedup();
    let mut providers = Vec::new();
    for name in &names {
        match pix_settings(env, name) {
            Some(settings) => providers.push(settings),
            None => env.mistake("PIX_PROVIDER", "must be propay, openpix or bacen, or several of them separated by commas"),
        }
    }
    if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
        env.mistake("PIX_PROVIDER", "names a provider twice");
    }
    let mut retired = Vec::new();
    for (name, credentials) in PIX_CREDENTIALS {
        let is_complete = credentials.iter().all(|variable| env.optional(variable).is_some());
        if is_complete && !names.iter().any(|chosen| chosen == name) {
            retired.extend(pix_settings(env, name));
        }
    }
    PixConfig { expiry: env.duration("PIX_EXPIRY", "30m"), pay_wait: env.duration("PAY_WAIT", "10s"), providers, retired }
}

fn propay(env: &mut Env<'_>) -> ProPaySettings {
    let outgoing = env.secret("GO_TO_PROPAY_SECRET", 16);
    let incoming = env.secret("PROPAY_TO_GO_SECRET", 16);
    if !outgoing.expose_secret().is_empty() && outgoing.expose_secret() == incoming.expose_secret() {
        env.mistake("PROPAY_TO_GO_SECRET", "must differ from GO_TO_PROPAY_SECRET: one secret per direction");
    }
    ProPaySettings {
        url: env.required_url("PROPAY_URL"),
        outgoing_secret: outgoing,
        incoming_secret: incoming,
        timeout: env.duration("PROPAY_TIMEOUT", "5s"),
    }
}

fn openpix(env: &mut Env<'_>) -> OpenPixSettings {
    OpenPixSettings {
        url: env.url("OPENPIX_URL", "https://api.openpix.com.br"),
        app_id: env.secret("OPENPIX_APP_ID", 1),
        webhook_secret: env.optional("OPENPIX_WEBHOOK_SECRET").map(SecretString::from),
        public_key: env.pem("OPENPIX_PUBLIC_KEY"),
        timeout: env.duration("OPENPIX_TIMEOUT", "10s"),
        calls_per_second: env.number("OPENPIX_CALLS_PER_SECOND", u64::from(vitrine_openpix::CALLS_PER_SECOND), 1, 100_000) as u32,
    }
}

fn bank(env: &mut Env<'_>) -> BankSettings {
    let mut url = env.required_url("PIX_API_URL");
    if env.optional("PIX_API_URL").is_some_and(|given| given.ends_with('/')) {
        url.push('/'); // keeps the given path as it is
    }
    let certificate = env.pem("PIX_CERTIFICATE");
    if env.mode == Mode::Serve && certificate.is_none() && url.starts_with("https://") {
        env.mistake(
            "PIX_CERTIFICATE",
            "is required: the bank asks for a client certificate on every call (a PEM file with its key)",
        );
    }
    BankSettings {
        url,
        token_url: env.optional("PIX_TOKEN_URL").map(|_| env.url("PIX_TOKEN_URL", "")),
        client_id: env.required("PIX_CLIENT_ID"),
        client_secret: env.secret("PIX_CLIENT_SECRET", 1),
        certificate: certificate.map(SecretString::from),
        key: env.required("PIX_KEY"),
        webhook_secret: env.secret("PIX_WEBHOOK_SECRET", 16),
        timeout: env.duration("PIX_TIMEOUT", "10s"),
    }
}

/// Stripe can be asked once there is a secret key; then the webhooks' secret is required. It takes new cards unless
/// `CARD_PROVIDER=none`.
pub(super) fn stripe(env: &mut Env<'_>) -> Option<StripeSettings> {
    let cards = env.optional("CARD_PROVIDER");
    if !matches!(cards.as_deref(), None | Some("stripe" | "none")) {
        env.mistake("CARD_PROVIDER", "must be stripe or none");
    }
    env.optional("STRIPE_SECRET_KEY")?;
    Some(StripeSettings {
        is_retired: cards.as_deref() == Some("none"),
        url: env.url("STRIPE_URL", "https://api.stripe.com"),
        secret_key: env.secret("STRIPE_SECRET_KEY", 1),
        publishable_key: env.optional("STRIPE_PUBLISHABLE_KEY"),
        webhook_secret: env.secret("STRIPE_WEBHOOK_SECRET", 1),
        timeout: env.duration("STRIPE_TIMEOUT", "10s"),
    })
}
