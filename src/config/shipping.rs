//! Providers of freight, and of addresses by CEP.

use std::time::Duration;

use secrecy::SecretString;
use vitrine_kit::Cep;

use super::env::Env;

#[derive(Debug, Clone)]
pub struct ShippingConfig {
    pub sender_cep: Cep,
    /// In the order of `SHIPPING_PROVIDER`; never empty. All are asked at once.
    pub carriers: Vec<CarrierSettings>,
    pub viacep_url: String,
    pub brasilapi_url: Option<String>,
}

/// One variant per provider of freight, with its address and secrets.
#[derive(Debug, Clone)]
pub enum CarrierSettings {
    MelhorEnvio(MelhorEnvioSettings),
    Correios(CorreiosSettings),
}

#[derive(Debug, Clone)]
pub struct MelhorEnvioSettings {
    pub url: String,
    pub token: SecretString,
    /// For buying labels; a quote waits two seconds at most.
    pub timeout: Duration,
    /// The client secret of the app; unset: `/api/webhooks/melhorenvio` is not served.
    pub webhook_secret: Option<SecretString>,
    /// What this process may use of the token's allowance.
    pub calls_per_minute: u32,
}

#[derive(Debug, Clone)]
pub struct CorreiosSettings {
    pub url: String,
    pub user: String,
    pub access_code: SecretString,
    pub postage_card: String,
    /// Empty: the postage card's own.
    pub contract: String,
    /// Codes of the services to quote.
    pub services: Vec<String>,
    /// The smallest box in centimetres: length, width, height.
    pub min_box: [u32; 3],
}

impl ShippingConfig {
    /// Checks the signature of tracking webhooks; `None`: Melhor Envio is not used, or its webhook is off.
    pub fn melhorenvio_webhook_secret(&self) -> Option<&SecretString> {
        self.carriers.iter().find_map(|carrier| match carrier {
            CarrierSettings::MelhorEnvio(settings) => settings.webhook_secret.as_ref(),
            CarrierSettings::Correios(_) => None,
        })
    }
}

pub(super) fn shipping(env: &mut Env<'_>) -> ShippingConfig {
    let sender = env.text("SHIPPING_SENDER_CEP", "");
    let sender_cep = Cep::parse(&sender).unwrap_or_else(|_| {
        env.mistake("SHIPPING_SENDER_CEP", "is required: the CEP that parcels leave from, such as 01310-100");
        Cep::parse("01310100").expect("a CEP that is right by construction")
    });
    let names = env.list("SHIPPING_PROVIDER", "melhorenvio");
    let mut carriers = Vec::new();
    for (i, name) in names.iter().enumerate() {
        match name.as_str() {
            name if names[..i].iter().any(|earlier| earlier == name) => {
                env.mistake("SHIPPING_PROVIDER", &format!("names {name} twice"))
            }
            "melhorenvio" => carriers.push(CarrierSettings::MelhorEnvio(melhorenvio(env))),
            "correios" => carriers.push(CarrierSettings::Correios(correios(env, names.len() == 1))),
            _ => env.mistake("SHIPPING_PROVIDER", "must be melhorenvio, correios, or both separated by a comma"),
        }
    }
    if names.is_empty() {
        env.mistake("SHIPPING_PROVIDER", "must name at least one");
    }
    ShippingConfig {
        sender_cep,
        carriers,
        viacep_url: env.url("CEP_URL", "https://viacep.com.br"),
        brasilapi_url: Some(env.url("BRASILAPI_URL", "https://brasilapi.com.br")),
    }
}

/// A step makes two calls. Both must end before another worker may take the label over.
const LABEL_TIMEOUT_MAX: Duration = Duration::from_secs(50);

fn melhorenvio(env: &mut Env<'_>) -> MelhorEnvioSettings {
    let timeout = env.duration("MELHORENVIO_TIMEOUT", "20s");
    if timeout > LABEL_TIMEOUT_MAX {
        env.mistake("MELHORENVIO_TIMEOUT", "must be at most 50s");
    }
    MelhorEnvioSettings {
        url: env.url("MELHORENVIO_URL", "https://melhorenvio.com.br"),
        token: env.secret("SHIPPING_API_KEY", 1),
        timeout,
        webhook_secret: env.optional("MELHORENVIO_WEBHOOK_SECRET").map(SecretString::from),
        calls_per_minute: env.number(
            "MELHORENVIO_CALLS_PER_MINUTE",
            u64::from(vitrine_melhorenvio::CALLS_PER_MINUTE),
            10,
            1_000_000,
        ) as u32,
    }
}

/// `SHIPPING_API_KEY` is the access code if Correios are alone; beside Melhor Envio it is that provider's token.
fn correios(env: &mut Env<'_>, is_alone: bool) -> CorreiosSettings {
    let own = env.optional("CORREIOS_API_KEY").is_some() || !is_alone;
    let min_box = env.text("CORREIOS_MIN_BOX", "16x11x2");
    let sides: Vec<u32> =
        min_box.split('x').filter_map(|side| side.trim().parse().ok()).filter(|side| (1..=100).contains(side)).collect();
    let min_box = sides.as_slice().try_into().ok().filter(|_| min_box.matches('x').count() == 2).unwrap_or_else(|| {
        env.mistake("CORREIOS_MIN_BOX", "must be length, width and height in centimetres, such as 16x11x2");
        [16, 11, 2]
    });
    CorreiosSettings {
        url: env.url("CORREIOS_URL", "https://api.correios.com.br"),
        user: env.required("CORREIOS_USER"),
        access_code: env.secret(if own { "CORREIOS_API_KEY" } else { "SHIPPING_API_KEY" }, 1),
        postage_card: env.required("CORREIOS_POSTAGE_CARD"),
        contract: env.text("CORREIOS_CONTRACT", ""),
        services: env.list("CORREIOS_SERVICES", "03298,03220,04227"),
        min_box,
    }
}
