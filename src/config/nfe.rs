//! The provider of invoices, and its environment.

use std::time::Duration;

use secrecy::SecretString;
use vitrine_kit::Cnpj;
use vitrine_kit::nfe::Environment;

use super::env::Env;

#[derive(Debug, Clone)]
pub struct NfeConfig {
    /// `None`: the shop issues no invoices.
    pub provider: Option<NfeSettings>,
    pub environment: Environment,
    /// The CNPJ that the provider's key belongs to; the company in the settings must have the same. Always set with a provider.
    pub cnpj: Option<Cnpj>,
    /// For how many months XMLs are kept (Ajuste SINIEF 2/2025: 132).
    pub retention_months: u32,
}

#[derive(Debug, Clone)]
pub struct NfeSettings {
    pub kind: NfeKind,
    pub url: String,
    pub api_key: SecretString,
    /// Unset: the provider's webhook is not served, and invoices are found by asking.
    pub webhook_secret: Option<SecretString>,
    pub timeout: Duration,
    /// Calls of each process to Focus NFe.
    pub calls_per_minute: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NfeKind {
    FocusNfe,
    /// With eNotas's id of the company.
    Enotas {
        company_id: String,
    },
}

pub(super) fn nfe(env: &mut Env<'_>) -> NfeConfig {
    let environment =
        env.one_of("NFE_AMBIENTE", &[("homologacao", Environment::Homologation), ("producao", Environment::Production)]);
    let retention_months = env.number("FISCAL_RETENTION", 132, 60, 1200) as u32;
    let kind = match env.text("NFE_PROVIDER", "none").as_str() {
        "none" => None,
        "focusnfe" => Some(NfeKind::FocusNfe),
        "enotas" => Some(NfeKind::Enotas { company_id: env.required("NFE_COMPANY_ID") }),
        _ => {
            env.mistake("NFE_PROVIDER", "must be one of none, focusnfe, enotas");
            None
        }
    };
    let cnpj = Cnpj::parse(&env.text("NFE_CNPJ", "")).ok();
    if cnpj.is_none() && (kind.is_some() || env.optional("NFE_CNPJ").is_some()) {
        env.mistake("NFE_CNPJ", "must be the seller's CNPJ, with or without punctuation");
    }
    let provider = kind.map(|kind| settings(env, kind, environment));
    NfeConfig { provider, environment, cnpj, retention_months }
}

fn settings(env: &mut Env<'_>, kind: NfeKind, environment: Environment) -> NfeSettings {
    let default = match (&kind, environment) {
        (NfeKind::FocusNfe, Environment::Homologation) => "https://homologacao.focusnfe.com.br",
        (NfeKind::FocusNfe, Environment::Production) => "https://api.focusnfe.com.br",
        (NfeKind::Enotas { .. }, _) => "https://api.enotasgw.com.br/v2",
    };
    NfeSettings {
        url: env.url("NFE_URL", default),
        api_key: env.secret("NFE_API_KEY", 1),
        webhook_secret: env.optional("NFE_WEBHOOK_SECRET").map(|_| env.secret("NFE_WEBHOOK_SECRET", 16)),
        timeout: env.duration("NFE_TIMEOUT", "20s"),
        calls_per_minute: env.number("NFE_CALLS_PER_MINUTE", u64::from(vitrine_focusnfe::CALLS_PER_MINUTE), 1, 100_000) as u32,
        kind,
    }
}
