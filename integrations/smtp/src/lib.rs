//! Any SMTP server: one connection per mail. The result says whether the mail may have been sent.
//!
//! SMTP does not detect repeats. A mail whose outcome is unknown (the connection broke after its last line) may be sent again
//! with the same `Message-ID`, by which some mail readers merge the two. The caller decides how often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::SecretString;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Open};
use vitrine_kit::http::{BadConfig, Refusal};
use vitrine_kit::mail::{BatchMailer, Mailer, OutgoingMail};

mod address;
mod letter;
#[cfg(test)]
mod tests;

use address::{Security, Server};
use letter::Letter;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "smtp";

/// How much of the server's text is kept.
const MESSAGE_LIMIT: usize = 500;
/// "Service not available, closing": the one refusal that is about the server and not the mail.
const CLOSING: u16 = 421;
/// "Authentication required": about our credentials, at whichever step it is said.
const AUTHENTICATE: u16 = 530;
const AUTH: &str = "AUTH";
/// How long the end of the session may take: the mail is accepted already.
const QUIT_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// `smtp://[user:password@]host[:587][?tls=required|none]` or `smtps://…[:465]`. `smtp` demands STARTTLS, except on this
    /// machine. `tls=none` is refused where it would send a password in the clear to another machine.
    pub url: SecretString,
    /// For the whole exchange, the connection included.
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

pub struct Smtp {
    server: Server,
    tls: Option<TlsParameters>,
    hello: ClientId,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a URL cannot be used, for the configuration's error message. It does not quote the URL.
pub fn check(url: &SecretString) -> Result<(), String> {
    Server::parse(url).map(drop)
}

/// A failure.
struct Failure {
    error: ProviderError,
    /// It is the server's fault, not the mail's: the breaker counts it.
    is_theirs: bool,
}

impl Smtp {
    /// Fails on a URL that cannot be used, or would send a password in the clear.
    pub fn new(config: SmtpConfig) -> Result<Self, BadConfig> {
        let bad = |reason: String| BadConfig { provider: NAME, reason };
        let server = Server::parse(&config.url).map_err(bad)?;
        let tls = match server.security {
            Security::Plain => None,
            Security::StartTls | Security::Tls => {
                Some(TlsParameters::new(server.host.clone()).map_err(|e| bad(format!("TLS cannot be set up: {}", words(&e))))?)
            }
        };
        let breaker = Breaker::new(NAME, config.breaker);
        Ok(Self { server, tls, hello: ClientId::default(), timeout: config.timeout, breaker })
    }

    pub fn breaker(&self) -> Arc<Breaker> {
        Arc::clone(&self.breaker)
    }

    /// Before the mail's last line nothing was sent; after it the mail may have been.
    async fn hand_over(&self, letter: &Letter, is_sent: &mut bool) -> Result<(), Failure> {
        let mut connection = self.connect().await?;
        let refused = |step: &'static str| move |e: SmtpError| failure(step, &e, false);
        connection.command(Mail::new(Some(letter.from.clone()), vec![])).await.map_err(refused("MAIL"))?;
        connection.command(Rcpt::new(letter.to.clone(), vec![])).await.map_err(refused("RCPT"))?;
        connection.command(Data).await.map_err(refused("DATA"))?;
        *is_sent = true;
        connection.message(&letter.bytes).await.map_err(|e| failure("the mail", &e, true))?;
        let _ = tokio::time::timeout(QUIT_WAIT, connection.quit()).await;
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let refused = |step: &'static str| move |e: SmtpError| failure(step, &e, false);
        let from_the_start = self.tls.clone().filter(|_| self.server.security == Security::Tls);
        let at = (self.server.host.as_str(), self.server.port);
        let half = Some(self.timeout / 2); // shorter than the whole, so that a failed connection is reported as such
        let mut connection = AsyncSmtpConnection::connect_tokio1(at, half, &self.hello, from_the_start, None)
            .await
            .map_err(refused("the connection"))?;
        if let (Security::StartTls, Some(tls)) = (self.server.security, &self.tls) {
            if !connection.can_starttls() {
                connection.abort().await;
                return Err(unavailable("it offers no STARTTLS, and nothing is sent in the clear".to_owned()));
            }
            connection.starttls(tls.clone(), &self.hello).await.map_err(refused("STARTTLS"))?;
        }
        if let Some(credentials) = &self.server.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(refused(AUTH))?;
        }
        Ok(connection)
    }
}

#[async_trait]
impl Mailer for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn notices_repeats_for(&self) -> Option<Duration> {
        None
    }

    fn batches(&self) -> Option<&dyn BatchMailer> {
        None
    }

    /// Returns the `Message-ID` without brackets.
    async fn send(&self, mail: &OutgoingMail) -> Result<String, ProviderError> {
        let letter = Letter::of(mail)?;
        let permit = self.breaker.try_enter().map_err(left_alone)?;
        let (started, mut is_sent) = (Instant::now(), false);
        let outcome = tokio::time::timeout(self.timeout, self.hand_over(&letter, &mut is_sent)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(lost("no answer in time".to_owned(), is_sent)));
        let duration_ms = started.elapsed().as_millis() as u64;
        match outcome {
            Ok(()) => {
                permit.success();
                tracing::info!(provider = NAME, duration_ms, "provider called");
                Ok(letter.id)
            }
            Err(Failure { error, is_theirs }) => {
                if is_theirs {
                    permit.failure()
                } else {
                    permit.success()
                }
                if let ProviderError::NotAccepted { code, message, .. } = &error {
                    self.breaker.refuse(Refusal { code: code.clone(), message: message.clone() });
                }
                tracing::warn!(provider = NAME, duration_ms, %error, "provider call failed");
                Err(error)
            }
        }
    }
}

fn left_alone(open: Open) -> ProviderError {
    match open.refusal {
        Some(refusal) => refusal.not_accepted(NAME),
        None => ProviderError::Unavailable {
            provider: NAME,
            reason: "the circuit breaker is open".to_owned(),
            retry_after_s: Some(open.retry_after.as_millis().div_ceil(1000) as u64),
        },
    }
}

/// 5xx is permanent and 4xx temporary, at any step; a permanent refusal of our password is about us and not about the mail. Any
/// other failure depends on the step.
fn failure(step: &str, error: &SmtpError, is_sent: bool) -> Failure {
    let code = error.status().map(u16::from);
    match code {
        code if (step == AUTH && (error.is_permanent() || error.is_client())) || code == Some(AUTHENTICATE) => {
            let code = code.map_or_else(|| "unusable".to_owned(), |code| code.to_string());
            let message = format!("{step}: {}", words(error)).chars().take(MESSAGE_LIMIT).collect();
            Failure { error: ProviderError::NotAccepted { provider: NAME, code, message }, is_theirs: false }
        }
        Some(code) if error.is_permanent() => {
            let message = format!("{step}: {}", words(error)).chars().take(MESSAGE_LIMIT).collect();
            Failure { error: ProviderError::Rejected { provider: NAME, code: code.to_string(), message }, is_theirs: false }
        }
        // The server's text is left out: it may quote the address, and this is logged.
        Some(code) => Failure { is_theirs: code == CLOSING, ..unavailable(format!("answered {code} to {step}")) },
        None if error.is_client() => {
            let (code, message) = ("unusable".to_owned(), format!("{step}: {}", words(error)));
            Failure { error: ProviderError::Rejected { provider: NAME, code, message }, is_theirs: true }
        }
        None => lost(format!("{step}: {}", words(error)), is_sent),
    }
}

fn lost(reason: String, is_sent: bool) -> Failure {
    if is_sent {
        return Failure { error: ProviderError::Unknown { provider: NAME, reason }, is_theirs: true };
    }
    unavailable(reason)
}

fn unavailable(reason: String) -> Failure {
    Failure { error: ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None }, is_theirs: true }
}

/// The innermost error: the server's text, or the system's.
fn words(error: &SmtpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
