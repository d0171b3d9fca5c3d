//! The environment → `Config`. All mistakes are reported in one message.

mod credentials;
mod env;
mod messages;
mod nfe;
mod payments;
mod shipping;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use vitrine_kit::Email;
use vitrine_kit::breaker::BreakerConfig;

pub use self::credentials::credentials_of;
use self::env::Env;
pub use self::messages::{MailConfig, MailerSettings, SmsSettings};
pub use self::nfe::{NfeConfig, NfeKind, NfeSettings};
pub use self::payments::{BankSettings, OpenPixSettings, PixConfig, PixSettings, ProPaySettings, StripeSettings};
pub use self::shipping::{CarrierSettings, CorreiosSettings, MelhorEnvioSettings, ShippingConfig};

/// How strict the checks are: `Dev` accepts what would be dangerous with real customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Dev,
    Serve,
}

#[derive(Debug, Clone)]
pub struct Config {
    pub mode: Mode,
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    pub auth: AuthConfig,
    pub cache: CacheConfig,
    pub pix: PixConfig,
    /// `None`: the shop takes no cards.
    pub stripe: Option<StripeSettings>,
    pub shipping: ShippingConfig,
    pub mail: MailConfig,
    /// `None`: the shop sends no SMS.
    pub sms: Option<SmsSettings>,
    pub nfe: NfeConfig,
    pub breaker: BreakerConfig,
    pub limits: RateLimits,
    /// Jobs that one process works on at once.
    pub worker_concurrency: usize,
    pub log: LogConfig,
}

#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub host: String,
    pub port: u16,
    /// Where `/metrics` answers without a token. Unset: only with `ops_token`, on the public port.
    pub ops_port: Option<u16>,
    pub ops_token: Option<SecretString>,
    pub allowed_origins: Vec<String>,
    /// Base of the links in mails: the storefront.
    pub frontend_url: String,
    /// Base of links to this server: the tracking page, invoice files, the `type` of problems.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Actix workers; 0: one per core.
    pub workers: usize,
    pub connections: ConnectionLimits,
}

/// What clients' connections may use up. `None`: no such limit.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    pub most: Option<usize>,
    /// Of one address (of IPv6 per /64). Those of `trusted_proxies` are not counted so.
    pub most_per_address: Option<usize>,
    /// Bytes of large bodies that are read at once.
    pub body_bytes: Option<usize>,
    /// How long a client may take nothing of its answer before the connection is closed.
    pub send_wait: Duration,
}

#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    pub url: SecretString,
    pub min_conns: usize,
    pub max_conns: usize,
    pub statement_timeout: Duration,
    /// How long a request waits for a free connection before it is answered with 503.
    pub pool_wait: Duration,
    /// How long the database may take to answer that it is there. A connection on which it does not is closed.
    pub answer_wait: Duration,
    /// A connection above `min_conns` that was not used for so long is closed.
    pub idle_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub jwt_secret: SecretString,
    pub jwt_ttl: Duration,
    pub refresh_ttl: Duration,
    /// (id, key), one at least: the first one seals, all of them open.
    pub data_keys: Vec<(i16, SecretString)>,
    pub first_admin: Option<(Email, SecretString)>,
}

#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub enabled: bool,
    /// The cache's capacity, as a number of answers of 64 KiB; the real limit is their weight.
    pub max_answers: u64,
    pub products_ttl: Duration,
    pub categories_ttl: Duration,
}

/// `5/20s`: a burst of 5, refilled over 20 s. `None`: switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub burst: u32,
    pub per: Duration,
}

#[derive(Debug, Clone)]
pub struct RateLimits {
    pub login: Option<Limit>,
    /// Wrong passwords per account, from devices that it was never signed in on.
    pub account: Option<Limit>,
    pub register: Option<Limit>,
    pub forgot_password: Option<Limit>,
    pub global: Option<Limit>,
    /// Freight quotes per address: each may cost a call to every carrier.
    pub freight: Option<Limit>,
    /// Look-ups of a CEP per address.
    pub cep: Option<Limit>,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
    /// The folder of the record of accesses. Unset: none is kept.
    pub access_dir: Option<PathBuf>,
    /// How many days of it are kept.
    pub access_days: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Json,
    Text,
}

/// Everything that is wrong with the environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("The configuration has {} mistake(s):\n{}", .0.len(), .0.iter().map(|m| format!("  - {m}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Reads the configuration through `var` (the process environment, or a test's table).
    pub fn from_env(mode: Mode, var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let (config, mistakes) = Self::read(mode, var);
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors(mistakes)) }
    }

    /// For a command that uses variables with these beginnings alone: the others may be missing or wrong.
    pub fn for_command(uses: &[&str], var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let (config, mut mistakes) = Self::read(Mode::Serve, var);
        mistakes.retain(|mistake| uses.iter().any(|start| mistake.starts_with(start)));
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors(mistakes)) }
    }

    /// The configuration, with defaults in the places of mistakes.
    fn read(mode: Mode, var: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut env = Env::new(mode, &var);
        let port = env.number("PORT", 4444, 1, 65_535) as u16;
        let limits = rate_limits(&mut env);
        let config = Self {
            mode,
            http: http(&mut env, port, limits.global.is_some()),
            database: DatabaseConfig {
                url: env.database_url(),
                min_conns: env.number("DB_MIN_CONNS", 10, 0, 10_000) as usize,
                max_conns: env.number("DB_MAX_CONNS", 100, 2, 10_000) as usize,
                statement_timeout: env.duration("DB_STATEMENT_TIMEOUT", "10s"),
                pool_wait: env.duration("DB_POOL_WAIT", "3s"),
                answer_wait: env.duration("DB_ANSWER_WAIT", "3s"),
                idle_timeout: env.duration("DB_IDLE_TIMEOUT", "5m"),
            },
            auth: auth(&mut env),
            cache: CacheConfig {
                enabled: env.flag("CACHE_ENABLED", true),
                max_answers: env.number("CACHE_L1_MAX_SIZE", 1000, 1, 1_000_000),
                products_ttl: env.duration("CACHE_TTL_PRODUCTS", "5m"),
                categories_ttl: env.duration("CACHE_TTL_CATEGORIES", "15m"),
            },
            pix: payments::pix(&mut env),
            stripe: payments::stripe(&mut env),
            shipping: shipping::shipping(&mut env),
            mail: messages::mail(&mut env),
            sms: messages::sms(&mut env),
            nfe: nfe::nfe(&mut env),
            breaker: BreakerConfig {
                threshold: env.number("CIRCUIT_BREAKER_THRESHOLD", 5, 1, 1000) as u32,
                window: env.duration("CIRCUIT_BREAKER_TIMEOUT", "60s"),
                cooldown: env.duration("CIRCUIT_BREAKER_COOLDOWN", "30s"),
            },
            limits,
            worker_concurrency: env.number("WORKER_CONCURRENCY", 8, 1, 256) as usize,
            log: LogConfig {
                level: env.text("LOG_LEVEL", "info"),
                format: env
                    .one_of("LOG_FORMAT", &[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)]),
                access_dir: env.optional("ACCESS_LOG_DIR").map(PathBuf::from),
                access_days: env.number("ACCESS_LOG_DAYS", 184, 1, 3660) as usize,
            },
        };
        if config.database.min_conns > config.database.max_conns {
            env.mistake("DB_MIN_CONNS", "must not be above DB_MAX_CONNS");
        }
        (config, env.mistakes)
    }
}

/// Where the limit on all requests is off, as for a load test from one address, the narrower ones of public look-ups are off by default;
/// and where the one on sign-ins is off, the one on an account's wrong passwords.
fn rate_limits(env: &mut Env<'_>) -> RateLimits {
    let global = env.limit("RATE_LIMIT_GLOBAL", "300/1m");
    let login = env.limit("RATE_LIMIT_LOGIN", "5/20s");
    let look_ups = if global.is_some() { "60/1m" } else { "0" };
    let passwords = if login.is_some() { "10/15m" } else { "0" };
    RateLimits {
        login,
        account: env.limit("RATE_LIMIT_ACCOUNT", passwords),
        register: env.limit("RATE_LIMIT_REGISTER", "3/1h"),
        forgot_password: env.limit("RATE_LIMIT_FORGOT_PASSWORD", "5/1h"),
        global,
        freight: env.limit("RATE_LIMIT_FREIGHT", look_ups),
        cep: env.limit("RATE_LIMIT_CEP", look_ups),
    }
}

fn http(env: &mut Env<'_>, port: u16, counts_requests: bool) -> HttpConfig {
    let local = format!("http://localhost:{port}");
    let origins = env.list("ALLOWED_ORIGINS", if env.mode == Mode::Dev { "*" } else { "" });
    if env.mode == Mode::Serve && origins.iter().any(|o| o.contains('*')) {
        env.mistake("ALLOWED_ORIGINS", "a wildcard lets every site act for a signed-in customer: name the origins");
    }
    let ops_port = env.optional("OPS_PORT").and_then(|text| match text.parse::<u16>() {
        Ok(ops) if ops != 0 && ops != port => Some(ops),
        _ => {
            env.mistake("OPS_PORT", "must be a port other than PORT");
            None
        }
    });
    let proxies = env.list("TRUSTED_PROXIES", "");
    let trusted_proxies = proxies
        .iter()
        .filter_map(|text| {
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
            if net.is_none() {
                env.mistake("TRUSTED_PROXIES", "must be addresses or networks such as 10.0.0.0/8, separated by commas");
            }
            net
        })
        .collect();
    HttpConfig {
        host: env.text("HOST", "0.0.0.0"),
        port,
        ops_port,
        ops_token: env.optional("OPS_TOKEN").map(SecretString::from),
        allowed_origins: origins,
        frontend_url: env.url("FRONTEND_URL", &local),
        public_url: env.url("PUBLIC_URL", &local),
        trusted_proxies,
        workers: env.number("HTTP_WORKERS", 0, 0, 512) as usize,
        connections: connection_limits(env, counts_requests),
    }
}

/// Where requests are not counted, as for a load test from one address, connections of an address are not by default.
fn connection_limits(env: &mut Env<'_>, counts_requests: bool) -> ConnectionLimits {
    let mut most = |name, default| Some(env.number(name, default, 0, 1_000_000) as usize).filter(|most| *most > 0);
    ConnectionLimits {
        most: most("HTTP_MAX_CONNECTIONS", 4096),
        most_per_address: most("HTTP_MAX_CONNECTIONS_PER_ADDRESS", if counts_requests { 256 } else { 0 }),
        body_bytes: Some(env.number("HTTP_MAX_BODIES_MB", 64, 0, 1_000_000) as usize * 1024 * 1024).filter(|most| *most > 0),
        send_wait: env.duration("HTTP_SEND_WAIT", "30s"),
    }
}

fn auth(env: &mut Env<'_>) -> AuthConfig {
    let jwt_secret = env.secret("JWT_SECRET", 32);
    let email = env.optional("ADMIN_EMAIL");
    let password = env.optional("ADMIN_PASSWORD");
    let first_admin = match (email, password) {
        (None, None) => None,
        (Some(email), Some(password)) => match Email::parse(&email) {
            Ok(email) if password.chars().count() >= 8 => Some((email, SecretString::from(password))),
            Ok(_) => {
                env.mistake("ADMIN_PASSWORD", "must have at least 8 characters");
                None
            }
            Err(_) => {
                env.mistake("ADMIN_EMAIL", "must be an e-mail address");
                None
            }
        },
        _ => {
            env.mistake("ADMIN_EMAIL", "and ADMIN_PASSWORD go together: set both or none");
            None
        }
    };
    AuthConfig {
        jwt_secret,
        jwt_ttl: env.duration("JWT_TTL", "24h"),
        refresh_ttl: env.duration("REFRESH_TTL", "7d"),
        data_keys: env.data_keys(),
        first_admin,
    }
}

#[cfg(test)]
mod tests;
