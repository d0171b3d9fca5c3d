//! The harness behind `scripts/bench`: measures the shop beside what it could be at most, in one run, and writes the figures as JSON
//! and as a page with plots. `benches/README.md` says what each part measures.
#![allow(clippy::unwrap_used)]

mod bare;
mod beside;
mod carts;
mod catalog;
mod checkout;
mod growth;
mod logins;
mod options;
mod page;
mod pgbench;
mod plot;
mod recording;
mod rows;
mod start;
mod webhooks;
mod wrk;

#[path = "../shared/mod.rs"]
mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use vitrine::dev::postgres::{Cluster, ClusterOptions};

use options::{Options, Part};
use rows::{Machine, Run, Section};
use shared::connect;
use shared::shop::drop_database;

/// Where a run's clusters, logs and figures are.
fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench")
}

/// One of the builds that are measured.
#[derive(Debug)]
pub struct Build {
    /// `vitrine`, or the name of the other build.
    pub name: String,
    pub binary: PathBuf,
}

/// What each part is given.
#[derive(Debug)]
pub struct Bench {
    pub options: Options,
    /// Ours first, then the other one, if there is one.
    pub builds: Vec<Build>,
    pub cluster: Cluster,
    pub dir: PathBuf,
}

fn main() {
    let options = Options::read();
    if let Some(file) = &options.answer {
        return bare::serve(file);
    }
    if options.parts == [Part::Page] {
        return page::write(&options.from, &options.out);
    }
    actix_web::rt::System::new().block_on(async {
        // Dropping the measurement ends the processes that it started.
        tokio::select! {
            () = measure(options) => {}
            _ = vitrine::signal::stop() => println!("Ended early: what was measured before is kept."),
        }
    });
}

/// Databases of a run that was ended early.
async fn drop_old(cluster: &Cluster) {
    let all = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', 'vitrine')";
    for row in connect(&cluster.url("postgres")).await.query(all, &[]).await.unwrap() {
        drop_database(cluster, row.get(0)).await;
    }
}

async fn measure(options: Options) {
    let dir = home();
    fs::create_dir_all(&dir).unwrap();
    let cluster = Cluster::start(ClusterOptions { dir: dir.join("pg"), durable: true, max_connections: 300 }).await.unwrap();
    drop_old(&cluster).await;
    let machine = Machine::of(&options, &cluster.version());
    println!("{}", machine.line());
    let bench = Bench { builds: options.builds(), options, cluster, dir };
    let mut sections = Vec::new();
    for part in bench.options.chosen() {
        println!("\n{part:?}");
        let rows = match part {
            Part::Catalog => catalog::measure(&bench).await,
            Part::Checkout => checkout::measure(&bench).await,
            Part::Start => start::measure(&bench).await,
            Part::Webhooks => webhooks::measure(&bench).await,
            Part::Carts => carts::measure(&bench).await,
            Part::Logins => logins::measure(&bench).await,
            Part::Growth => growth::measure(&bench).await,
            Part::Page => continue,
        };
        sections.push(Section { part, rows });
        // Written after each part: a run that is ended early keeps what it has.
        let run = Run { machine: machine.clone(), sections: sections.clone() };
        let file = bench.dir.join("figures.json");
        fs::write(&file, serde_json::to_string_pretty(&[&run]).unwrap()).unwrap();
        page::write(&[file], &bench.dir.join("page"));
    }
    let Bench { cluster, dir, .. } = bench;
    cluster.stop().await;
    println!("\nFigures: {0}/figures.json, page: {0}/page/performance.md", dir.display());
}
