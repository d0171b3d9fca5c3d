//! Which provider serves what. The only file that names them all.

pub mod names;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use secrecy::ExposeSecret;
use vitrine_africastalking::{AfricasTalking, AfricasTalkingConfig};
use vitrine_bacen::{Bacen, BacenConfig};
use vitrine_cep::{CepConfig, CepLookup};
use vitrine_correios::{Correios, CorreiosConfig, MinBox};
use vitrine_enotas::{Enotas, EnotasConfig};
use vitrine_focusnfe::{FocusNfe, FocusNfeConfig};
use vitrine_kit::Cnpj;
use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::fiscal::FiscalProvider;
use vitrine_kit::http::BadConfig;
use vitrine_kit::mail::Mailer;
use vitrine_kit::nfe::Environment;
use vitrine_kit::pace::Turns;
use vitrine_kit::pix::PixProvider;
use vitrine_kit::shipping::{FreightOption, ShippingProvider};
use vitrine_melhorenvio::{MelhorEnvio, MelhorEnvioConfig};
use vitrine_openpix::{OpenPix, OpenPixConfig};
use vitrine_propay::{ProPay, ProPayConfig};
use vitrine_resend::{Resend, ResendConfig};
use vitrine_smtp::{Smtp, SmtpConfig};
use vitrine_stripe::{Stripe, StripeConfig};

use crate::config::{
    CarrierSettings, Config, CorreiosSettings, MailerSettings, MelhorEnvioSettings, NfeKind, NfeSettings, PixSettings,
    SmsSettings, StripeSettings,
};
use crate::error::{Error, Result};
use crate::pace::Pace;

/// How long a freight quote may take; a slower carrier is left out.
const QUOTE_TIMEOUT: Duration = Duration::from_secs(2);
const MAIL_TIMEOUT: Duration = Duration::from_secs(10);
/// Mail servers scan a mail before they accept it.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);
/// An SMS with an unclear outcome is never sent again, so waiting longer for the answer is better.
const SMS_TIMEOUT: Duration = Duration::from_secs(20);
const CEP_TIMEOUT: Duration = Duration::from_secs(2);

/// The same question is not put to a carrier twice within this.
const QUOTES_KEPT_FOR: Duration = Duration::from_secs(60);
const MAX_QUOTES: u64 = 10_000;
/// Each freight quote meets a carrier that does not accept our credentials: it is counted so often at most.
const REFUSAL_COUNTED_EVERY: Duration = Duration::from_secs(60);

/// What carriers answered lately, by carrier and question. Failures are not kept.
pub type QuoteCache = Cache<(&'static str, [u8; 32]), Arc<Vec<FreightOption>>>;

/// Every provider that this process talks to.
#[derive(Debug, Clone)]
pub struct Providers {
    /// In order of preference: a later one is used while the breakers of those before it are open.
    pub pix: Vec<Arc<dyn PixProvider>>,
    /// Take no new charges, and are asked about old ones.
    pub retired_pix: Vec<Arc<dyn PixProvider>>,
    /// Card payments. `None`: nobody can be asked about cards.
    pub stripe: Option<Arc<Stripe>>,
    /// New card payments can be made. `false` beside `stripe`: only old ones are looked after.
    pub takes_cards: bool,
    /// The carriers that are asked for freight: the configured ones of the next two, in the configured order.
    pub carriers: Vec<Arc<dyn ShippingProvider>>,
    pub quotes: QuoteCache,
    /// Carriers that did not accept our credentials within the last minute, and of which the operator was told then.
    pub refusing: Cache<&'static str, ()>,
    pub correios: Option<Arc<Correios>>,
    /// Buys labels; `None` if it quotes no freight.
    pub melhorenvio: Option<Arc<MelhorEnvio>>,
    pub mailer: Arc<dyn Mailer>,
    /// SMS; `None` if the shop sends none.
    pub sms: Option<Arc<AfricasTalking>>,
    pub cep: Arc<CepLookup>,
    /// Invoices; `None` if the shop issues none.
    pub fiscal: Option<Arc<dyn FiscalProvider>>,
    /// By their names, for `/api/admin/breakers` and for the list of payment methods.
    pub breakers: Vec<(&'static str, Arc<Breaker>)>,
}

impl Providers {
    /// `mail_pace` gives out the turns of mails.
    pub fn new(config: &Config, mail_pace: &Arc<Pace>) -> Result<Self> {
        let user_agent = format!("Vitrine/{} ({})", env!("CARGO_PKG_VERSION"), contact(config));
        let bad = |e: BadConfig| Error::Internal(format!("a provider cannot be set up: {e}"));
        let all = |settings: &[PixSettings]| -> Result<Vec<_>, BadConfig> {
            settings.iter().map(|one| pix(one, config.breaker)).collect()
        };
        let (pix, retired_pix) = (all(&config.pix.providers).map_err(bad)?, all(&config.pix.retired).map_err(bad)?);
        let takes_cards = config.stripe.as_ref().is_some_and(|settings| !settings.is_retired);
        let stripe = config.stripe.as_ref().map(|settings| stripe(settings, config.breaker)).transpose().map_err(bad)?;
        let (mut correios, mut melhorenvio) = (None, None);
        let mut carriers: Vec<Arc<dyn ShippingProvider>> = Vec::new();
        for settings in &config.shipping.carriers {
            match settings {
                CarrierSettings::MelhorEnvio(s) => {
                    let one = Arc::new(self::melhorenvio(s, &user_agent, config.breaker).map_err(bad)?);
                    carriers.push(one.clone());
                    melhorenvio = Some(one);
                }
                CarrierSettings::Correios(s) => {
                    let one = Arc::new(self::correios(s, config.breaker).map_err(bad)?);
                    carriers.push(one.clone());
                    correios = Some(one);
                }
            }
        }
        let (mailer, mailers_breaker) = mailer(&config.mail.mailer, config.breaker, mail_pace).map_err(bad)?;
        let sms = config.sms.as_ref().map(|settings| sms(settings, config.breaker)).transpose().map_err(bad)?;
        let cep = CepLookup::new(CepConfig {
            viacep_url: config.shipping.viacep_url.clone(),
            brasilapi_url: config.shipping.brasilapi_url.clone(),
            timeout: CEP_TIMEOUT,
            breaker: config.breaker,
        })
        .map_err(bad)?;
        let fiscal = config.nfe.provider.as_ref().zip(config.nfe.cnpj.clone());
        let fiscal =
            fiscal.map(|(s, cnpj)| fiscal_provider(s, cnpj, config.nfe.environment, config.breaker)).transpose().map_err(bad)?;
        let of_lanes = pix.iter().chain(&retired_pix).flat_map(|one| one.breakers());
        let of_lanes = of_lanes.chain(stripe.iter().flat_map(|one| one.breakers()));
        let mut breakers: Vec<_> = of_lanes.map(|breaker| (breaker.name(), breaker)).collect();
        breakers.extend(
            melhorenvio.iter().flat_map(|one| [("melhorenvio", one.breaker()), ("melhorenvio labels", one.label_breaker())]),
        );
        breakers.extend(correios.iter().flat_map(|one| one.breakers()).map(|breaker| (breaker.name(), breaker)));
        breakers.push((mailer.name(), mailers_breaker));
        breakers.extend(sms.iter().map(|one| (vitrine_africastalking::NAME, one.breaker())));
        breakers.extend(fiscal.iter().map(|one| (one.name(), one.breaker())));
        breakers.extend(cep.breakers().into_iter().map(|breaker| (breaker.name(), breaker)));
        let quotes = Cache::builder().max_capacity(MAX_QUOTES).time_to_live(QUOTES_KEPT_FOR).build();
        Ok(Self {
            pix,
            retired_pix,
            stripe,
            takes_cards,
            carriers,
            quotes,
            refusing: Cache::builder().max_capacity(16).time_to_live(REFUSAL_COUNTED_EVERY).build(),
            correios,
            melhorenvio,
            mailer,
            sms,
            cep: Arc::new(cep),
            fiscal,
            breakers,
        })
    }
}

/// One line per PIX provider.
fn pix(settings: &PixSettings, breaker: BreakerConfig) -> Result<Arc<dyn PixProvider>, BadConfig> {
    Ok(match settings {
        PixSettings::ProPay(s) => Arc::new(ProPay::new(ProPayConfig {
            base_url: s.url.clone(),
            outgoing_secret: s.outgoing_secret.clone(),
            incoming_secret: s.incoming_secret.clone(),
            timeout: s.timeout,
            breaker,
        })?),
        PixSettings::OpenPix(s) => Arc::new(OpenPix::new(OpenPixConfig {
            base_url: s.url.clone(),
            app_id: s.app_id.clone(),
            webhook_secret: s.webhook_secret.clone(),
            public_key_pem: s.public_key.clone(),
            timeout: s.timeout,
            calls_per_second: s.calls_per_second,
            breaker,
        })?),
        PixSettings::Bank(s) => Arc::new(Bacen::new(BacenConfig {
            base_url: s.url.clone(),
            token_url: s.token_url.clone(),
            client_id: s.client_id.clone(),
            client_secret: s.client_secret.clone(),
            certificate_pem: s.certificate.as_ref().map(|pem| pem.expose_secret().as_bytes().to_vec()),
            pix_key: s.key.clone(),
            webhook_secret: s.webhook_secret.clone(),
            timeout: s.timeout,
            breaker,
        })?),
    })
}

/// One arm per provider of invoices.
fn fiscal_provider(
    settings: &NfeSettings,
    cnpj: Cnpj,
    environment: Environment,
    breaker: BreakerConfig,
) -> Result<Arc<dyn FiscalProvider>, BadConfig> {
    let s = settings;
    // Without a secret the webhook is not served: a random secret refuses everybody.
    let webhook_secret = s.webhook_secret.clone().unwrap_or_else(|| crate::seal::random_token().into());
    Ok(match &s.kind {
        NfeKind::FocusNfe => Arc::new(FocusNfe::new(FocusNfeConfig {
            base_url: s.url.clone(),
            token: s.api_key.clone(),
            cnpj,
            environment,
            webhook_secret,
            timeout: s.timeout,
            calls_per_minute: s.calls_per_minute,
            breaker,
        })?),
        NfeKind::Enotas { company_id } => Arc::new(Enotas::new(EnotasConfig {
            base_url: s.url.clone(),
            api_key: s.api_key.clone(),
            company_id: company_id.clone(),
            cnpj,
            environment,
            webhook_secret,
            timeout: s.timeout,
            breaker,
        })?),
    })
}

fn melhorenvio(s: &MelhorEnvioSettings, user_agent: &str, breaker: BreakerConfig) -> Result<MelhorEnvio, BadConfig> {
    MelhorEnvio::new(MelhorEnvioConfig {
        base_url: s.url.clone(),
        token: s.token.clone(),
        user_agent: user_agent.to_owned(),
        timeout: QUOTE_TIMEOUT,
        label_timeout: s.timeout,
        breaker,
        calls_per_minute: s.calls_per_minute,
    })
}

fn correios(s: &CorreiosSettings, breaker: BreakerConfig) -> Result<Correios, BadConfig> {
    let [length_cm, width_cm, height_cm] = s.min_box;
    Correios::new(CorreiosConfig {
        base_url: s.url.clone(),
        user: s.user.clone(),
        access_code: s.access_code.clone(),
        postage_card: s.postage_card.clone(),
        contract: s.contract.clone(),
        services: s.services.clone(),
        min_box: MinBox { length_cm, width_cm, height_cm },
        timeout: QUOTE_TIMEOUT,
        breaker,
    })
}

fn stripe(settings: &StripeSettings, breaker: BreakerConfig) -> Result<Arc<Stripe>, BadConfig> {
    let s = settings;
    Ok(Arc::new(Stripe::new(StripeConfig {
        base_url: s.url.clone(),
        secret_key: s.secret_key.clone(),
        webhook_secret: s.webhook_secret.clone(),
        timeout: s.timeout,
        breaker,
    })?))
}

fn mailer(
    settings: &MailerSettings,
    breaker: BreakerConfig,
    pace: &Arc<Pace>,
) -> Result<(Arc<dyn Mailer>, Arc<Breaker>), BadConfig> {
    Ok(match settings {
        MailerSettings::Resend { url, api_key } => {
            let (base_url, api_key) = (url.clone(), api_key.clone());
            let turns = Some(Arc::clone(pace) as Arc<dyn Turns>);
            let resend = Resend::new(ResendConfig { base_url, api_key, timeout: MAIL_TIMEOUT, breaker, turns })?;
            let breaker = resend.breaker();
            (Arc::new(resend), breaker)
        }
        MailerSettings::Smtp { url } => {
            let smtp = Smtp::new(SmtpConfig { url: url.clone(), timeout: SMTP_TIMEOUT, breaker })?;
            let breaker = smtp.breaker();
            (Arc::new(smtp), breaker)
        }
    })
}

fn sms(settings: &SmsSettings, breaker: BreakerConfig) -> Result<Arc<AfricasTalking>, BadConfig> {
    let s = settings;
    Ok(Arc::new(AfricasTalking::new(AfricasTalkingConfig {
        base_url: s.url.clone(),
        username: s.username.clone(),
        api_key: s.api_key.clone(),
        sender: s.sender.clone(),
        webhook_secret: s.webhook_secret.clone(),
        timeout: SMS_TIMEOUT,
        breaker,
    })?))
}

impl Providers {
    /// A PIX provider that can be asked, whether it takes new charges or not.
    pub fn pix_named(&self, name: &str) -> Option<&dyn PixProvider> {
        self.pix.iter().chain(&self.retired_pix).map(|pix| &**pix).find(|pix| pix.name() == name)
    }

    /// The names of all that can be asked about payments, those that take new ones first.
    pub fn of_payments(&self) -> Vec<&'static str> {
        let stripe = self.stripe.iter().map(|_| vitrine_stripe::NAME);
        self.pix.iter().chain(&self.retired_pix).map(|pix| pix.name()).chain(stripe).collect()
    }

    /// The names of those that take new payments.
    pub fn of_new_payments(&self) -> Vec<&'static str> {
        self.of_payments().into_iter().filter(|name| self.takes_new(name)).collect()
    }

    /// New payments can be made with it.
    pub fn takes_new(&self, name: &str) -> bool {
        let is_card = name == vitrine_stripe::NAME;
        (is_card && self.takes_cards) || self.pix.iter().any(|pix| pix.name() == name)
    }
}

/// Melhor Envio asks for a contact: the operator's address, else the sender's of our mails.
fn contact(config: &Config) -> &str {
    let from = config.mail.from.as_str();
    let sender = from.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(from, |(address, _)| address);
    config.mail.alert_to.as_ref().map_or(sender, |email| email.as_str())
}
