//! The binary: one line per subcommand; the library does the work.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::ResponseError;
use clap::builder::PossibleValuesParser;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use vitrine::catalog::command as products;
use vitrine::catalog::export::Form;
use vitrine::catalog::import::Stock;
use vitrine::config::{Config, Mode};
use vitrine::error::{Chain, Error, Result};
use vitrine::mail::preview;
use vitrine::progress::Progress;
use vitrine::rekey::{self, Wanted};
use vitrine::token::Role;
use vitrine::{audit, db, run, seed, server, telemetry, users};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or the answer is yes
  1  it was refused, or the answer is no: a broken invariant, rows left, not ready, no such order
  2  the arguments are wrong
  3  it could not be tried: a bad environment, no database, a file that cannot be read or written";

/// Backend-for-frontend of a Brazilian online shop. Configured by the environment and `.env` alone.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole shop on this machine: PostgreSQL, demo catalog, sandbox providers, server
    #[cfg(feature = "dev")]
    Dev,
    /// The server, with workers inside
    Serve,
    /// Only the workers
    Worker,
    /// Brings the database's schema up to date
    Migrate,
    /// Fills an empty database with the demo shop
    Seed,
    /// Prints the OpenAPI document
    Openapi {
        /// Writes it to this file instead
        #[arg(long)]
        out: Option<std::path::PathBuf>,
    },
    /// Prints every broken invariant of a live database; exit 1 if there is one
    Audit {
        /// Also how long each rule took
        #[arg(long, conflicts_with = "json")]
        times: bool,
        /// For machines: one object with every rule, what breaks it, and how long it took
        #[arg(long)]
        json: bool,
    },
    /// Prints an order's whole story with its causes; exit 1 if there is no such order
    Explain {
        /// Its id or its number
        order: String,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Seals everything anew with the first of DATA_KEYS, while the shop sells; exit 1 if something is left
    Rekey {
        /// Stop after so many batches of rows; the next run goes on
        #[arg(long)]
        batches: Option<u64>,
        /// Also make another key for tokens: every link that was mailed stops working once the servers are restarted
        #[arg(long)]
        tokens: bool,
    },
    /// Writes a month for the accountant: every XML, sums, and whether they agree with the ledger
    Accountant {
        /// 2026-11
        #[arg(long)]
        month: String,
        /// The ZIP file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Imports a product table (CSV), as the administration's route does: docs/product-table.md
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
        /// The table is a count of the shelves: it sets the stock of variants that are there, too
        #[arg(long)]
        set_stock: bool,
    },
    /// Writes all products as such a table
    Export {
        /// The file; without one to standard output
        file: Option<PathBuf>,
        /// As Excel opens it by itself in Brazil
        #[arg(long)]
        excel: bool,
    },
    /// People's accounts
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// The shop's messages
    Mail {
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Only the sandbox providers
    #[cfg(feature = "dev")]
    Sandbox,
    /// Asks the server on HOST and PORT whether it is ready; exit 1 if not
    Health,
    /// Prints the completions for a shell
    Completions { shell: Shell },
    /// Prints the manual page
    Man {
        /// Writes it and one page for each subcommand into this folder instead
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Gives the account with this e-mail a role, and ends its sessions; written to the audit log
    Promote {
        email: String,
        #[arg(long, default_value = "admin", value_parser = PossibleValuesParser::new(["admin", "shipper", "user"]))]
        role: String,
    },
}

#[derive(Debug, Subcommand)]
enum MailCommand {
    /// Every message with sample data, on a port of this machine or as files
    Preview {
        /// Only this kind: order_paid, invoice …
        kind: Option<String>,
        /// Only this language: pt-BR or en
        #[arg(long)]
        lang: Option<String>,
        /// Writes HTML and text files there
        #[arg(long, conflicts_with = "port")]
        out: Option<PathBuf>,
        /// Where to look at them
        #[arg(long, default_value_t = 4466)]
        port: u16,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let env = environment();
    match actix_web::rt::System::new().block_on(execute(arguments.command, &env)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vitrine: {}", Chain(&error));
            if let Error::Invalid(fields) = &error {
                fields.iter().for_each(|field| eprintln!("  {}: {}", field.field, field.message));
            }
            if error.status_code().is_server_error() { ExitCode::from(3) } else { ExitCode::FAILURE }
        }
    }
}

/// The process's environment, with `.env` for what it lacks.
fn environment() -> HashMap<String, String> {
    let mut env: HashMap<String, String> = dotenvy::from_path_iter(".env").into_iter().flatten().flatten().collect();
    env.extend(std::env::vars());
    env
}

/// What a command that works on the shop's database and ends is given.
struct Workplace {
    config: Config,
    progress: Progress,
    _logs: telemetry::Guard,
    #[cfg(feature = "dev")]
    _shop: Option<vitrine::dev::Found>,
}

/// The beginnings of the variables that commands use. A mistake in another one is none of theirs.
const DATABASE: &[&str] = &["DATABASE_URL", "DB_", "LOG_"];
const DATABASE_AND_KEYS: &[&str] = &["DATABASE_URL", "DB_", "LOG_", "DATA_KEYS"];
const DATABASE_AND_INVOICES: &[&str] = &["DATABASE_URL", "DB_", "LOG_", "NFE_AMBIENTE"];
const ALL: &[&str] = &[""];

impl Workplace {
    /// Where no database is named, and `vitrine dev` keeps a shop in this folder, that one.
    async fn of(env: &HashMap<String, String>, uses: &[&str]) -> Result<Self> {
        #[cfg(feature = "dev")]
        let (env, _shop) = vitrine::dev::shop_of_this_folder(env).await?;
        #[cfg(feature = "dev")]
        let is_devs = _shop.is_some();
        #[cfg(not(feature = "dev"))]
        let is_devs = false;
        let var = |name: &str| env.get(name).cloned();
        let config = if is_devs { Config::from_env(Mode::Dev, var) } else { Config::for_command(uses, var) };
        let mut config = config.map_err(|e| Error::Internal(e.to_string()))?;
        config.log.access_dir = None; // it takes no requests, and may run as another user than the server
        let progress = Progress::on_terminal();
        let _logs = telemetry::start_beside(&config.log, &progress);
        Ok(Self {
            config,
            progress,
            _logs,
            #[cfg(feature = "dev")]
            _shop,
        })
    }
}

fn configured(env: &HashMap<String, String>) -> Result<Config> {
    Config::from_env(Mode::Serve, |name| env.get(name).cloned()).map_err(|e| Error::Internal(e.to_string()))
}

async fn execute(command: Command, env: &HashMap<String, String>) -> Result<ExitCode> {
    match command {
        #[cfg(feature = "dev")]
        Command::Dev => vitrine::dev::dev(env).await?,
        #[cfg(feature = "dev")]
        Command::Sandbox => vitrine::dev::sandbox(env).await?,
        Command::Serve => serve(configured(env)?, false).await?,
        Command::Worker => serve(configured(env)?, true).await?,
        Command::Migrate => migrate(&Workplace::of(env, DATABASE).await?).await?,
        Command::Seed => {
            let at = Workplace::of(env, DATABASE).await?;
            let _spinner = at.progress.spinner("loading the demo shop");
            seed::demo(&at.config).await?;
        }
        Command::Openapi { out: None } => println!("{:#}", server::openapi()),
        Command::Openapi { out: Some(file) } => std::fs::write(&file, format!("{:#}\n", server::openapi()))
            .map_err(|e| Error::Internal(format!("{}: {e}", file.display())))?,
        Command::Audit { times, json } => {
            let at = Workplace::of(env, DATABASE).await?;
            let lines = if times { audit::Form::LinesAndTimes } else { audit::Form::Lines };
            return audit::run(&at.config, if json { audit::Form::Json } else { lines }, &at.progress).await;
        }
        Command::Explain { order, json } => {
            return vitrine::explain::run(&Workplace::of(env, DATABASE).await?.config, &order, json).await;
        }
        Command::Rekey { batches, tokens } => {
            let (at, wanted) =
                (Workplace::of(env, DATABASE_AND_KEYS).await?, Wanted { batches, new_tokens: tokens, ..Wanted::default() });
            return rekey::run(&at.config, wanted, &at.progress).await;
        }
        Command::Accountant { month, out } => {
            let at = Workplace::of(env, DATABASE_AND_INVOICES).await?;
            return vitrine::invoices::pack::run(&at.config, &month, &out).await;
        }
        Command::Import { file, set_stock } => {
            let at = Workplace::of(env, ALL).await?;
            products::import(at.config, &file, if set_stock { Stock::Set } else { Stock::Keep }, &at.progress).await?;
        }
        Command::Export { file, excel } => {
            let at = Workplace::of(env, ALL).await?;
            products::export(at.config, file.as_deref(), if excel { Form::Excel } else { Form::Plain }).await?;
        }
        Command::User { command: UserCommand::Promote { email, role } } => {
            users::admin::promote(&Workplace::of(env, DATABASE).await?.config, &email, Role::of(&role)).await?;
        }
        Command::Mail { command: MailCommand::Preview { kind, lang, out, port } } => {
            let choice = preview::Choice { kind, lang };
            match out {
                Some(folder) => preview::write(&choice, &folder)?,
                None => preview::serve(&choice, port).await?,
            }
        }
        Command::Health => return Ok(health(env).await),
        Command::Completions { shell } => completions(shell).map_err(unprinted)?,
        Command::Man { out } => manual(out.as_deref()).map_err(unprinted)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, only_work: bool) -> Result<()> {
    let _logs = telemetry::start(&config.log);
    db::migrate(&config.database).await?;
    if only_work { run::work(config).await } else { run::serve(config).await }
}

async fn migrate(at: &Workplace) -> Result<()> {
    let spinner = at.progress.spinner("migrating the schema");
    let applied = db::migrate(&at.config.database).await?;
    drop(spinner);
    println!("{applied} migration(s) applied");
    Ok(())
}

fn unprinted(error: std::io::Error) -> Error {
    Error::Internal(format!("it was not written: {error}"))
}

fn completions(shell: Shell) -> std::io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "vitrine", &mut text);
    std::io::stdout().write_all(&text)
}

/// The manual: the main page on standard output, or all pages in a folder, which is made if it is not there.
fn manual(folder: Option<&Path>) -> std::io::Result<()> {
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            clap_mangen::generate_to(Arguments::command(), folder)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            std::io::stdout().write_all(&page)
        }
    }
}

/// For a container's health check: the image has no curl.
async fn health(env: &HashMap<String, String>) -> ExitCode {
    let port = env.get("PORT").and_then(|p| p.trim().parse::<u16>().ok()).unwrap_or(4444);
    let host = match env.get("HOST").map_or("", |host| host.trim()) {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(), // it listens on every address
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let asked = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build();
    let Ok(client) = asked else { return ExitCode::FAILURE };
    match client.get(format!("http://{host}:{port}/ready")).send().await {
        Ok(answer) if answer.status() == reqwest::StatusCode::OK => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
