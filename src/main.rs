//! The binary: one line per subcommand; the library does the work.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vitrine::config::{Config, Mode};
use vitrine::error::{Chain, Error, Result};
use vitrine::mail::preview;
use vitrine::rekey::{self, Wanted};
use vitrine::{db, dev, run, seed, server, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Backend-for-frontend of a Brazilian online shop. Configured by the environment and `.env` alone.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole shop on this machine: PostgreSQL, demo catalog, sandbox providers, server
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
    Openapi,
    /// Prints every broken invariant of a live database; exit 1 if there is one
    Audit {
        /// Also how long each rule took
        #[arg(long)]
        times: bool,
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
        out: std::path::PathBuf,
    },
    /// The shop's messages
    Mail {
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Only the sandbox providers
    Sandbox,
    /// Asks the server on PORT whether it is ready; exit 1 if not
    Health,
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
        out: Option<std::path::PathBuf>,
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
            ExitCode::FAILURE
        }
    }
}

/// The process's environment, with `.env` for what it lacks.
fn environment() -> HashMap<String, String> {
    let mut env: HashMap<String, String> = dotenvy::from_path_iter(".env").into_iter().flatten().flatten().collect();
    env.extend(std::env::vars());
    env
}

async fn execute(command: Command, env: &HashMap<String, String>) -> Result<ExitCode> {
    match command {
        Command::Dev => dev::dev(env).await?,
        Command::Sandbox => dev::sandbox(env).await?,
        Command::Openapi => println!("{}", server::openapi().to_pretty_json().map_err(|e| Error::Internal(e.to_string()))?),
        Command::Mail { command: MailCommand::Preview { kind, lang, out, port } } => {
            let choice = preview::Choice { kind, lang };
            match out {
                Some(folder) => preview::write(&choice, &folder)?,
                None => preview::serve(&choice, port).await?,
            }
        }
        Command::Health => return Ok(health(env).await),
        Command::Serve
        | Command::Worker
        | Command::Migrate
        | Command::Seed
        | Command::Audit { .. }
        | Command::Explain { .. }
        | Command::Accountant { .. }
        | Command::Rekey { .. } => {
            let config =
                Config::from_env(Mode::Serve, |name| env.get(name).cloned()).map_err(|e| Error::Internal(e.to_string()))?;
            let _logs = telemetry::start(&config.log);
            match command {
                Command::Worker => {
                    db::migrate(&config.database).await?;
                    run::work(config).await?;
                }
                Command::Migrate => println!("{} migration(s) applied", db::migrate(&config.database).await?),
                Command::Seed => seed::demo(&config).await?,
                Command::Audit { times } => return vitrine::audit::run(&config, times).await,
                Command::Rekey { batches, tokens } => {
                    return rekey::run(&config, Wanted { batches, new_tokens: tokens, ..Wanted::default() }).await;
                }
                Command::Accountant { month, out } => return vitrine::invoices::pack::run(config, &month, &out).await,
                Command::Explain { order, json } => return vitrine::explain::run(&config, &order, json).await,
                _ => {
                    db::migrate(&config.database).await?;
                    run::serve(config).await?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// For a container's health check: the image has no curl.
async fn health(env: &HashMap<String, String>) -> ExitCode {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let port = env.get("PORT").and_then(|p| p.parse::<u16>().ok()).unwrap_or(4444);
    let ask = async {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        socket.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = [0_u8; 12];
        socket.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    match tokio::time::timeout(std::time::Duration::from_secs(3), ask).await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
