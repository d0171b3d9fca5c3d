//! The environment of the shop's processes: every provider is the sandbox, and secrets come from the seed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::world::{ADMIN, CNPJ};

/// A variable and its value.
pub type Variable = (&'static str, String);

/// The first of them takes most of the PIX: a third of the seeds is for each.
const PIX_PROVIDERS: [&str; 3] = ["propay,openpix,bacen", "openpix,bacen,propay", "bacen,propay,openpix"];
const PIX_EXPIRY: &str = "15s";
const NFE_COMPANY: &str = "484fb0c5-969e-46ad-a047-8a0db54667b4";

pub struct Variables {
    pub env: Vec<Variable>,
    /// ProPay's two secrets: ours, and theirs.
    pub secrets: [String; 2],
    /// Who issues the invoices of this run.
    pub nfe_provider: &'static str,
}

/// The source of this run's secrets.
struct Secrets(StdRng);

impl Secrets {
    fn next(&mut self) -> String {
        hex::encode(self.0.random::<[u8; 24]>())
    }
}

impl Variables {
    pub fn of(seed: u64, database_url: String, sandbox_port: u16) -> Self {
        let provider = |path: &str| format!("http://127.0.0.1:{sandbox_port}/{path}");
        let mut secrets = Secrets(StdRng::seed_from_u64(seed));
        let [go, back] = [secrets.next(), secrets.next()];
        // Each run has one, as a shop has: half of the seeds are for each.
        let nfe_provider = if secrets.0.random() { "focusnfe" } else { "enotas" };
        let pix_providers = PIX_PROVIDERS[(seed % 3) as usize];
        let env = [
            itself(&mut secrets, database_url),
            payments(&mut secrets, pix_providers, [&go, &back], provider),
            carriers(&mut secrets, provider),
            invoices(&mut secrets, nfe_provider, provider),
            messages(&mut secrets, provider),
        ]
        .concat();
        Self { env, secrets: [go, back], nfe_provider }
    }
}

fn itself(secrets: &mut Secrets, database_url: String) -> Vec<Variable> {
    vec![
        ("DATABASE_URL", database_url),
        ("JWT_SECRET", secrets.next()),
        ("DATA_KEYS", format!("1:{}", STANDARD.encode(secrets.0.random::<[u8; 32]>()))),
        ("ALLOWED_ORIGINS", "https://loja.example".into()),
        ("ADMIN_EMAIL", ADMIN.0.into()),
        ("ADMIN_PASSWORD", ADMIN.1.into()),
        ("ADMIN_ALERT_EMAIL", "operador@loja.test".into()),
        ("HTTP_WORKERS", "2".into()),
        ("DB_MIN_CONNS", "1".into()),
        ("DB_MAX_CONNS", "24".into()),
        ("LOG_LEVEL", "warn".into()),
        ("LOG_FORMAT", "json".into()),
        // Providers fail all the time here, so open breakers must close soon.
        ("CIRCUIT_BREAKER_THRESHOLD", "8".into()),
        ("CIRCUIT_BREAKER_TIMEOUT", "5s".into()),
        ("CIRCUIT_BREAKER_COOLDOWN", "1s".into()),
        ("RATE_LIMIT_LOGIN", "0".into()),
        ("RATE_LIMIT_REGISTER", "0".into()),
        ("RATE_LIMIT_FORGOT_PASSWORD", "0".into()),
        ("RATE_LIMIT_GLOBAL", "0".into()),
        ("RATE_LIMIT_FREIGHT", "0".into()),
        ("RATE_LIMIT_CEP", "0".into()),
    ]
}

fn payments(
    secrets: &mut Secrets,
    pix_providers: &str,
    [go, back]: [&String; 2],
    provider: impl Fn(&str) -> String,
) -> Vec<Variable> {
    vec![
        ("PIX_PROVIDER", pix_providers.into()),
        ("PIX_EXPIRY", PIX_EXPIRY.into()),
        ("PROPAY_URL", provider("propay")),
        ("PROPAY_TIMEOUT", "2s".into()),
        ("GO_TO_PROPAY_SECRET", go.clone()),
        ("PROPAY_TO_GO_SECRET", back.clone()),
        ("OPENPIX_URL", provider("openpix")),
        ("OPENPIX_TIMEOUT", "2s".into()),
        ("OPENPIX_CALLS_PER_SECOND", "100000".into()),
        ("OPENPIX_APP_ID", secrets.next()),
        ("OPENPIX_WEBHOOK_SECRET", secrets.next()),
        ("PIX_API_URL", provider("bacen/v2")),
        ("PIX_TIMEOUT", "2s".into()),
        ("PIX_CLIENT_ID", secrets.next()),
        ("PIX_CLIENT_SECRET", secrets.next()),
        ("PIX_KEY", "7f2b6c3e-0a1d-4c57-9a37-3f1c52d0e9b4".into()),
        ("PIX_WEBHOOK_SECRET", secrets.next()),
        ("STRIPE_URL", provider("stripe")),
        ("STRIPE_TIMEOUT", "2s".into()),
        ("STRIPE_SECRET_KEY", format!("sk_test_{}", secrets.next())),
        ("STRIPE_WEBHOOK_SECRET", format!("whsec_{}", secrets.next())),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_torture".into()),
    ]
}

fn carriers(secrets: &mut Secrets, provider: impl Fn(&str) -> String) -> Vec<Variable> {
    vec![
        ("SHIPPING_PROVIDER", "melhorenvio,correios".into()),
        ("SHIPPING_SENDER_CEP", "01310-100".into()),
        ("MELHORENVIO_URL", provider("melhorenvio")),
        ("MELHORENVIO_CALLS_PER_MINUTE", "1000000".into()),
        ("SHIPPING_API_KEY", secrets.next()),
        ("MELHORENVIO_WEBHOOK_SECRET", secrets.next()),
        ("CORREIOS_URL", provider("correios")),
        ("CORREIOS_USER", "tortura".into()),
        ("CORREIOS_API_KEY", secrets.next()),
        ("CORREIOS_POSTAGE_CARD", "0067599079".into()),
        ("CEP_URL", provider("viacep")),
        ("BRASILAPI_URL", provider("brasilapi")),
    ]
}

fn invoices(secrets: &mut Secrets, nfe_provider: &str, provider: impl Fn(&str) -> String) -> Vec<Variable> {
    vec![
        ("NFE_PROVIDER", nfe_provider.into()),
        ("NFE_URL", provider(if nfe_provider == "enotas" { "enotas/v2" } else { nfe_provider })),
        ("NFE_COMPANY_ID", NFE_COMPANY.into()),
        ("NFE_API_KEY", secrets.next()),
        ("NFE_CNPJ", CNPJ.into()),
        ("NFE_WEBHOOK_SECRET", secrets.next()),
        ("NFE_TIMEOUT", "2s".into()),
        ("NFE_CALLS_PER_MINUTE", "100000".into()),
    ]
}

fn messages(secrets: &mut Secrets, provider: impl Fn(&str) -> String) -> Vec<Variable> {
    vec![
        ("RESEND_URL", provider("resend")),
        ("RESEND_API_KEY", secrets.next()),
        ("SMS_PROVIDER", "africastalking".into()),
        ("AFRICASTALKING_URL", provider("africastalking")),
        ("AFRICASTALKING_USERNAME", "tortura".into()),
        ("AFRICASTALKING_API_KEY", secrets.next()),
        ("AFRICASTALKING_WEBHOOK_SECRET", secrets.next()),
    ]
}
