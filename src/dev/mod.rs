//! `vitrine dev`: a shop that sells, on a machine without any account. PostgreSQL and the providers' sandbox are included.

pub mod postgres;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vitrine_sandbox::{Sandbox, SandboxConfig};

use self::postgres::{Cluster, ClusterError, ClusterOptions};
use crate::config::{Config, Mode};
use crate::error::{Error, Result};
use crate::{db, run, seed, telemetry};

/// The folder that holds everything of `dev`, in the current folder.
const HOME: &str = ".vitrine";
const SANDBOX_PORT: u16 = 4455;
/// In that folder: the key that seals documents.
const DATA_KEY: &str = "data-key";

/// Time from a label to its posting, and from there to the delivery.
const PARCEL_PACE: Duration = Duration::from_secs(10);

/// Secrets that the sandbox and the shop share.
const GO_TO_PROPAY: &str = "dev-go-to-propay-secret-of-32-bytes!";
const PROPAY_TO_GO: &str = "dev-propay-to-go-secret-of-32-bytes!";
const OPENPIX_APP_ID: &str = "dev-openpix-app-id";
const OPENPIX_WEBHOOK_SECRET: &str = "dev-openpix-webhook-secret-of-32-bytes";
const PIX_CLIENT_ID: &str = "dev-pix-client-id";
const PIX_CLIENT_SECRET: &str = "dev-pix-client-secret";
const PIX_KEY: &str = "7f2b6c3e-0a1d-4c57-9a37-3f1c52d0e9b4";
const PIX_WEBHOOK_SECRET: &str = "dev-pix-webhook-secret-of-32-bytes!!";
const STRIPE_SECRET_KEY: &str = "sk_test_dev";
const STRIPE_PUBLISHABLE_KEY: &str = "pk_test_dev";
const STRIPE_WEBHOOK_SECRET: &str = "whsec_dev";
const MELHORENVIO_TOKEN: &str = "dev-melhorenvio-token";
const MELHORENVIO_WEBHOOK_SECRET: &str = "dev-melhorenvio-webhook-secret";
const CORREIOS_USER: &str = "dev-loja";
const CORREIOS_ACCESS_CODE: &str = "dev-correios-access-code";
const CORREIOS_POSTAGE_CARD: &str = "0067599079";
const CORREIOS_CONTRACT: &str = "9912345678";
const RESEND_KEY: &str = "re_dev";
const AFRICASTALKING_USERNAME: &str = "sandbox";
const AFRICASTALKING_KEY: &str = "dev-africastalking-key";
const AFRICASTALKING_WEBHOOK_SECRET: &str = "dev-africastalking-webhook-secret";
const FOCUSNFE_TOKEN: &str = "focusnfe-development-only-token";
const ENOTAS_KEY: &str = "enotas-development-only-key";
const ENOTAS_COMPANY: &str = "484fb0c5-969e-46ad-a047-8a0db54667b4";
const NFE_WEBHOOK_SECRET: &str = "nfe-development-only-webhook-secret";
/// An invented CNPJ, that of the demo shop.
const NFE_CNPJ: &str = "11222333000181";

/// Runs the whole shop until a signal.
pub async fn dev(env: &HashMap<String, String>) -> Result<()> {
    let home = PathBuf::from(HOME);
    fs::create_dir_all(&home).map_err(|e| Error::Internal(format!("{HOME} cannot be made here: {e}")))?;
    let mut env = env.clone();
    let cluster = start_database(&home, &mut env).await?;
    let sandbox = start_sandbox(&home, &mut env).await?;
    set_keys(&mut env, &home)?;
    set(&mut env, "HOST", "127.0.0.1"); // the admin's password is known to everybody
    set(&mut env, "ADMIN_EMAIL", "admin@vitrine.local");
    set(&mut env, "ADMIN_PASSWORD", "vitrine-admin");
    set(&mut env, "ADMIN_ALERT_EMAIL", "operador@vitrine.local");
    set(&mut env, "MAILER_FROM_EMAIL", "Vitrine <loja@vitrine.local>");
    let config = Config::from_env(Mode::Dev, |name| env.get(name).cloned()).map_err(|e| Error::Internal(e.to_string()))?;
    let logs = telemetry::start(&config.log);
    db::migrate(&config.database).await?;
    seed::demo(&config).await?;
    sandbox.set_shop_url(&format!("http://127.0.0.1:{}", config.http.port));
    banner(&config, &sandbox);
    let served = run::serve(config).await;
    sandbox.stop().await;
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    drop(logs);
    served
}

/// A private cluster, unless the environment names a database.
async fn start_database(home: &Path, env: &mut HashMap<String, String>) -> Result<Option<Cluster>> {
    if env.get("DATABASE_URL").is_some_and(|url| !url.trim().is_empty()) {
        return Ok(None);
    }
    let cluster = Cluster::start(cluster_of(home)).await.map_err(|e| Error::Internal(e.to_string()))?;
    env.insert("DATABASE_URL".into(), cluster.url(postgres::NAME));
    Ok(Some(cluster))
}

fn cluster_of(home: &Path) -> ClusterOptions {
    ClusterOptions { dir: home.join("pg"), durable: true, max_connections: 120 }
}

/// A shop of `dev` that a command found. While this is there, so is its database.
#[derive(Debug)]
pub struct Found {
    /// `None`: `dev` runs, and with it its PostgreSQL.
    _cluster: Option<Cluster>,
}

/// For a command that names no database, in a folder where `dev` keeps a shop: the environment with what that shop has, whether it
/// sells at the moment or not.
pub async fn shop_of_this_folder(env: &HashMap<String, String>) -> Result<(HashMap<String, String>, Option<Found>)> {
    let (home, mut env) = (Path::new(HOME), env.clone());
    if env.get("DATABASE_URL").is_some_and(|url| !url.trim().is_empty()) || !home.join(DATA_KEY).exists() {
        return Ok((env, None));
    }
    let failed = |error: ClusterError| Error::Internal(error.to_string());
    let (url, _cluster) = match Cluster::start(cluster_of(home)).await {
        Ok(cluster) => (cluster.url(postgres::NAME), Some(cluster)),
        Err(ClusterError::AlreadyRunning(_)) => {
            (postgres::url_of_running(&home.join("pg"), postgres::NAME).map_err(failed)?, None)
        }
        Err(error) => return Err(failed(error)),
    };
    env.insert("DATABASE_URL".into(), url);
    let sandbox = format!("http://127.0.0.1:{}", sandbox_port(&env));
    set_secrets(&mut env);
    set_addresses(&mut env, &sandbox);
    set_keys(&mut env, home)?;
    Ok((env, Some(Found { _cluster })))
}

/// All providers on one port. Their books are kept in a file, so that a charge survives a kill.
async fn start_sandbox(home: &Path, env: &mut HashMap<String, String>) -> Result<Sandbox> {
    let port = sandbox_port(env);
    set_secrets(env);
    let described = sandbox_config(env, port, Some(home.join("sandbox.jsonl")));
    let paced = SandboxConfig { parcel_pace: Some(PARCEL_PACE), ..described };
    let sandbox = vitrine_sandbox::start(paced).await.map_err(|e| {
        Error::Internal(format!("the sandbox's port {port} cannot be opened: {e}; set SANDBOX_PORT to a free one"))
    })?;
    set_addresses(env, &sandbox.url());
    set(env, "SMTP_URL", &sandbox.smtp_url());
    Ok(sandbox)
}

fn sandbox_port(env: &HashMap<String, String>) -> u16 {
    env.get("SANDBOX_PORT").and_then(|p| p.parse().ok()).unwrap_or(SANDBOX_PORT)
}

/// What the shop shows to each provider.
fn set_secrets(env: &mut HashMap<String, String>) {
    for (name, value) in [
        ("GO_TO_PROPAY_SECRET", GO_TO_PROPAY),
        ("PROPAY_TO_GO_SECRET", PROPAY_TO_GO),
        ("OPENPIX_APP_ID", OPENPIX_APP_ID),
        ("OPENPIX_WEBHOOK_SECRET", OPENPIX_WEBHOOK_SECRET),
        ("PIX_CLIENT_ID", PIX_CLIENT_ID),
        ("PIX_CLIENT_SECRET", PIX_CLIENT_SECRET),
        ("PIX_KEY", PIX_KEY),
        ("PIX_WEBHOOK_SECRET", PIX_WEBHOOK_SECRET),
        ("STRIPE_SECRET_KEY", STRIPE_SECRET_KEY),
        ("STRIPE_PUBLISHABLE_KEY", STRIPE_PUBLISHABLE_KEY),
        ("STRIPE_WEBHOOK_SECRET", STRIPE_WEBHOOK_SECRET),
        ("SHIPPING_API_KEY", MELHORENVIO_TOKEN),
        ("MELHORENVIO_WEBHOOK_SECRET", MELHORENVIO_WEBHOOK_SECRET),
        ("CORREIOS_USER", CORREIOS_USER),
        ("CORREIOS_API_KEY", CORREIOS_ACCESS_CODE),
        ("CORREIOS_POSTAGE_CARD", CORREIOS_POSTAGE_CARD),
        ("CORREIOS_CONTRACT", CORREIOS_CONTRACT),
        ("RESEND_API_KEY", RESEND_KEY),
        ("SMS_PROVIDER", "africastalking"),
        ("AFRICASTALKING_USERNAME", AFRICASTALKING_USERNAME),
        ("AFRICASTALKING_API_KEY", AFRICASTALKING_KEY),
        ("AFRICASTALKING_WEBHOOK_SECRET", AFRICASTALKING_WEBHOOK_SECRET),
        ("NFE_PROVIDER", "focusnfe"),
        ("NFE_CNPJ", NFE_CNPJ),
        ("NFE_COMPANY_ID", ENOTAS_COMPANY),
        ("NFE_WEBHOOK_SECRET", NFE_WEBHOOK_SECRET),
    ] {
        set(env, name, value);
    }
}

/// The shop's own keys, made once, and where its parcels leave from.
fn set_keys(env: &mut HashMap<String, String>, home: &Path) -> Result<()> {
    set(env, "JWT_SECRET", &kept_secret::<48>(&home.join("jwt-secret"))?);
    set(env, "DATA_KEYS", &format!("1:{}", kept_secret::<32>(&home.join(DATA_KEY))?));
    set(env, "SHIPPING_SENDER_CEP", "01310-100");
    Ok(())
}

/// Where each provider is.
fn set_addresses(env: &mut HashMap<String, String>, url: &str) {
    for (name, path) in [
        ("PROPAY_URL", "propay"),
        ("OPENPIX_URL", "openpix"),
        ("PIX_API_URL", "bacen/v2"),
        ("STRIPE_URL", "stripe"),
        ("MELHORENVIO_URL", "melhorenvio"),
        ("CORREIOS_URL", "correios"),
        ("RESEND_URL", "resend"),
        ("AFRICASTALKING_URL", "africastalking"),
        ("CEP_URL", "viacep"),
        ("BRASILAPI_URL", "brasilapi"),
    ] {
        set(env, name, &format!("{url}/{path}"));
    }
    let is_enotas = env.get("NFE_PROVIDER").is_some_and(|name| name == "enotas");
    let (path, key) = if is_enotas { ("enotas/v2", ENOTAS_KEY) } else { ("focusnfe", FOCUSNFE_TOKEN) };
    set(env, "NFE_URL", &format!("{url}/{path}"));
    set(env, "NFE_API_KEY", key);
}

/// The sandbox as the environment describes it, with the defaults of `dev`.
pub fn sandbox_config(env: &HashMap<String, String>, port: u16, journal: Option<PathBuf>) -> SandboxConfig {
    let var = |name: &str, default: &str| env.get(name).filter(|v| !v.is_empty()).cloned().unwrap_or_else(|| default.to_owned());
    SandboxConfig {
        listen: ([127, 0, 0, 1], port).into(),
        shop_url: Some(var("PUBLIC_URL", &format!("http://127.0.0.1:{}", var("PORT", "4444")))),
        journal,
        propay_incoming_secret: var("GO_TO_PROPAY_SECRET", GO_TO_PROPAY),
        propay_webhook_secret: var("PROPAY_TO_GO_SECRET", PROPAY_TO_GO),
        openpix_app_id: var("OPENPIX_APP_ID", OPENPIX_APP_ID),
        openpix_webhook_secret: var("OPENPIX_WEBHOOK_SECRET", OPENPIX_WEBHOOK_SECRET),
        pix_client_id: var("PIX_CLIENT_ID", PIX_CLIENT_ID),
        pix_client_secret: var("PIX_CLIENT_SECRET", PIX_CLIENT_SECRET),
        pix_key: var("PIX_KEY", PIX_KEY),
        pix_webhook_secret: var("PIX_WEBHOOK_SECRET", PIX_WEBHOOK_SECRET),
        stripe_secret_key: var("STRIPE_SECRET_KEY", STRIPE_SECRET_KEY),
        stripe_webhook_secret: var("STRIPE_WEBHOOK_SECRET", STRIPE_WEBHOOK_SECRET),
        melhorenvio_token: var("SHIPPING_API_KEY", MELHORENVIO_TOKEN),
        melhorenvio_webhook_secret: Some(var("MELHORENVIO_WEBHOOK_SECRET", MELHORENVIO_WEBHOOK_SECRET)),
        correios_user: var("CORREIOS_USER", CORREIOS_USER),
        correios_access_code: var("CORREIOS_API_KEY", CORREIOS_ACCESS_CODE),
        correios_postage_card: var("CORREIOS_POSTAGE_CARD", CORREIOS_POSTAGE_CARD),
        correios_contract: var("CORREIOS_CONTRACT", CORREIOS_CONTRACT),
        resend_api_key: var("RESEND_API_KEY", RESEND_KEY),
        smtp_port: var("SANDBOX_SMTP_PORT", "0").parse().unwrap_or(0),
        africastalking_username: var("AFRICASTALKING_USERNAME", AFRICASTALKING_USERNAME),
        africastalking_api_key: var("AFRICASTALKING_API_KEY", AFRICASTALKING_KEY),
        africastalking_webhook_secret: var("AFRICASTALKING_WEBHOOK_SECRET", AFRICASTALKING_WEBHOOK_SECRET),
        focusnfe_token: var("NFE_API_KEY", FOCUSNFE_TOKEN),
        enotas_api_key: var("NFE_API_KEY", ENOTAS_KEY),
        enotas_company_id: var("NFE_COMPANY_ID", ENOTAS_COMPANY),
        nfe_webhook_secret: var("NFE_WEBHOOK_SECRET", NFE_WEBHOOK_SECRET),
        nfe_cnpj: var("NFE_CNPJ", NFE_CNPJ).to_uppercase().chars().filter(char::is_ascii_alphanumeric).collect(),
        nfe_is_production: var("NFE_AMBIENTE", "homologacao") == "producao",
        ..SandboxConfig::default()
    }
}

/// `vitrine sandbox`: only the providers, until a signal.
pub async fn sandbox(env: &HashMap<String, String>) -> Result<()> {
    let port = env.get("SANDBOX_PORT").and_then(|p| p.parse().ok()).unwrap_or(SANDBOX_PORT);
    let journal = env.get("SANDBOX_JOURNAL").filter(|p| !p.is_empty()).map(PathBuf::from);
    let sandbox = vitrine_sandbox::start(sandbox_config(env, port, journal))
        .await
        .map_err(|e| Error::Internal(format!("port {port} cannot be opened: {e}; set SANDBOX_PORT to a free one")))?;
    println!("Sandbox: {}\nMails are taken at {}", sandbox.url(), sandbox.smtp_url());
    crate::signal::stop().await?;
    sandbox.stop().await;
    Ok(())
}

fn set(env: &mut HashMap<String, String>, name: &str, value: &str) {
    let given = env.get(name).is_some_and(|v| !v.trim().is_empty());
    if !given {
        env.insert(name.to_owned(), value.to_owned());
    }
}

/// A secret of so many bytes, in base64, made once and kept: sessions and sealed data outlive a restart.
fn kept_secret<const BYTES: usize>(path: &Path) -> Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let trouble = |e: std::io::Error| Error::Internal(format!("{}: {e}", path.display()));
    match fs::read_to_string(path) {
        Ok(secret) if STANDARD.decode(&secret).is_ok_and(|bytes| bytes.len() == BYTES) => Ok(secret),
        _ => {
            let secret = STANDARD.encode(rand::random::<[u8; BYTES]>());
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(trouble)?;
            file.write_all(secret.as_bytes()).map_err(trouble)?;
            Ok(secret)
        }
    }
}

fn banner(config: &Config, sandbox: &Sandbox) {
    let (shop, providers) = (&config.http.public_url, sandbox.url());
    println!(
        "\n  Vitrine sells at  {shop}\n  API to try        {shop}/docs/\n  Sandbox providers {providers}   (pay a PIX)\n  Mailbox           {providers}/mailbox   (read the mails and texts)"
    );
    println!("  Admin             admin@vitrine.local / vitrine-admin\n  Ctrl-C stops it; the data stay in {HOME}/\n");
}
