//! Providers of mail and SMS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use vitrine_kit::Email;

use super::env::Env;

#[derive(Debug, Clone)]
pub struct MailConfig {
    pub mailer: MailerSettings,
    /// `whsec_…`; unset: `/api/webhooks/resend` is not served.
    pub resend_webhook_secret: Option<SecretString>,
    pub from: String,
    pub alert_to: Option<Email>,
}

#[derive(Debug, Clone)]
pub enum MailerSettings {
    Resend {
        url: String,
        api_key: SecretString,
    },
    /// The URL contains the password.
    Smtp {
        url: SecretString,
    },
}

#[derive(Debug, Clone)]
pub struct SmsSettings {
    pub url: String,
    pub username: String,
    pub api_key: SecretString,
    /// A sender's name or number that is registered with the provider.
    pub sender: Option<String>,
    /// The token in the URL of delivery reports.
    pub webhook_secret: SecretString,
}

pub(super) fn mail(env: &mut Env<'_>) -> MailConfig {
    let mailer = match env.text("MAILER", "resend").as_str() {
        "smtp" => MailerSettings::Smtp { url: smtp_url(env) },
        other => {
            if other != "resend" {
                env.mistake("MAILER", "must be resend or smtp");
            }
            let url = env.url("RESEND_URL", "https://api.resend.com");
            MailerSettings::Resend { url, api_key: env.secret("RESEND_API_KEY", 1) }
        }
    };
    let alert_to = env.optional("ADMIN_ALERT_EMAIL").and_then(|text| match Email::parse(&text) {
        Ok(email) => Some(email),
        Err(_) => {
            env.mistake("ADMIN_ALERT_EMAIL", "must be an e-mail address");
            None
        }
    });
    let webhook_secret = env.optional("RESEND_WEBHOOK_SECRET");
    let key = |secret: &str| STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok().filter(|key| !key.is_empty());
    if webhook_secret.as_deref().is_some_and(|secret| key(secret).is_none()) {
        env.mistake("RESEND_WEBHOOK_SECRET", "must be the whsec_… that Resend shows for the webhook");
    }
    MailConfig {
        mailer,
        resend_webhook_secret: webhook_secret.map(SecretString::from),
        from: env.text("MAILER_FROM_EMAIL", "Vitrine <no-reply@localhost.localdomain>"),
        alert_to,
    }
}

fn smtp_url(env: &mut Env<'_>) -> SecretString {
    let url = SecretString::from(env.text("SMTP_URL", ""));
    if let Err(why) = vitrine_smtp::check(&url) {
        env.mistake("SMTP_URL", &format!("is no mail server: {why}"));
    }
    url
}

/// SMS is on once a provider is named.
pub(super) fn sms(env: &mut Env<'_>) -> Option<SmsSettings> {
    match env.text("SMS_PROVIDER", "none").as_str() {
        "none" => None,
        "africastalking" => Some(SmsSettings {
            url: env.url("AFRICASTALKING_URL", "https://api.africastalking.com"),
            username: env.required("AFRICASTALKING_USERNAME"),
            api_key: env.secret("AFRICASTALKING_API_KEY", 1),
            sender: env.optional("AFRICASTALKING_SENDER"),
            webhook_secret: env.secret("AFRICASTALKING_WEBHOOK_SECRET", 16),
        }),
        _ => {
            env.mistake("SMS_PROVIDER", "must be africastalking or none");
            None
        }
    }
}
