//! What `scripts/bench` was asked for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Build;

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Catalog calls beside a bare actix-web handler
    Catalog,
    /// Orders beside pgbench with the same statements
    Checkout,
    /// Start, memory, size
    Start,
    /// Notices of payments beside pgbench with the same statements
    Webhooks,
    /// Cart calls
    Carts,
    /// The catalog while many sign in
    Logins,
    /// Calls to a small shop and to a large one
    Growth,
    /// Writes the page anew from the JSON of earlier runs (`--from`)
    Page,
}

/// Measures Vitrine beside its limits and beside another build, in one run.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
pub struct Options {
    /// What to measure; without one, everything
    pub parts: Vec<Part>,
    /// Only the rows of catalog and checkout whose name has this in it
    #[arg(long)]
    pub only: Option<String>,
    /// Rounds that count; one before them warms up
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of each block of wrk; with a thousand connections twice as many
    #[arg(long, default_value_t = 1)]
    pub seconds: u64,
    /// Orders of each block of checkouts
    #[arg(long, default_value_t = 640)]
    pub orders: usize,
    /// Waiting jobs beside the last catalog rows
    #[arg(long, default_value_t = 100_000)]
    pub backlog: usize,
    /// Orders before the loaded memory is read
    #[arg(long, default_value_t = 2_000)]
    pub flood: usize,
    /// Products of the small shop and of the large one
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 20_000])]
    pub products: Vec<i64>,
    /// Orders in the small shop and in the large one
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 200_000])]
    pub past_orders: Vec<i64>,
    /// Calls of each kind, client and round of `growth`
    #[arg(long, default_value_t = 60)]
    pub growth_calls: usize,
    /// One short round, to see that it works
    #[arg(long)]
    pub quick: bool,
    /// Vitrine's binary
    #[arg(long, default_value = env!("CARGO_BIN_EXE_vitrine"))]
    pub binary: PathBuf,
    /// A variable for its servers, as NAME=VALUE: with the same binary as `--other`, what a setting changes
    #[arg(long)]
    pub set: Vec<String>,
    /// Another build's binary
    #[arg(long)]
    pub other: Option<PathBuf>,
    /// What the other build is called
    #[arg(long, default_value = "other")]
    pub other_name: String,
    /// The commit that is measured
    #[arg(long, default_value = "")]
    pub commit: String,
    #[arg(long, default_value = "wrk")]
    pub wrk: PathBuf,
    #[arg(long, default_value = "pgbench")]
    pub pgbench: PathBuf,
    /// For `page`: the JSON of earlier runs
    #[arg(long)]
    pub from: Vec<PathBuf>,
    /// For `page`: the folder of `performance.md`
    #[arg(long, default_value = "docs")]
    pub out: PathBuf,
    /// Runs as a bare handler that answers this file
    #[arg(long, hide = true)]
    pub answer: Option<PathBuf>,
    /// `cargo bench` adds it
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    pub fn read() -> Self {
        let mut options = Self::parse();
        if options.quick {
            (options.rounds, options.seconds, options.orders, options.flood) = (1, 1, 64, 128);
            options.backlog = options.backlog.min(1_000);
            (options.products, options.past_orders, options.growth_calls) = (vec![1_000, 2_000], vec![1_000, 2_000], 8);
        }
        options
    }

    /// Whether a row of that name is measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// The variables of the n-th build.
    pub fn variables(&self, n: usize) -> Vec<(&str, &str)> {
        let set = if n == 0 { self.set.as_slice() } else { &[] };
        set.iter().filter_map(|variable| variable.split_once('=')).collect()
    }

    pub fn chosen(&self) -> Vec<Part> {
        match self.parts.as_slice() {
            [] => Part::value_variants().iter().copied().filter(|part| *part != Part::Page).collect(),
            parts => parts.to_vec(),
        }
    }

    pub fn builds(&self) -> Vec<Build> {
        let ours = Build { name: "Vitrine".into(), binary: self.binary.canonicalize().unwrap() };
        let other =
            self.other.iter().map(|binary| Build { name: self.other_name.clone(), binary: binary.canonicalize().unwrap() });
        std::iter::once(ours).chain(other).collect()
    }
}
