//! The figures of a run: what the JSON holds.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::options::{Options, Part};
use crate::shared::median;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub machine: Machine,
    pub sections: Vec<Section>,
}

/// What was measured, and on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub date: String,
    pub commit: String,
    /// The other build, if there was one.
    pub other: Option<String>,
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub postgres: String,
    pub rounds: usize,
    /// The load average before the run: above 0, something else ran beside it.
    pub load_before: f64,
    pub quick: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    pub part: Part,
    pub rows: Vec<Row>,
}

/// One piece of work, done by each side in turns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// `/s`, `ms`, `MiB`.
    pub unit: String,
    pub sides: Vec<Side>,
    pub ratios: Vec<Ratio>,
    /// What is wanted of the first side's figure itself, where there is nothing to compare it with.
    pub wanted: Option<Bound>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Side {
    pub name: String,
    /// One for each round.
    pub figures: Vec<f64>,
    /// Empty where no times were measured.
    pub p95_ms: Vec<f64>,
    /// Requests without their answer, in all rounds.
    pub errors: u64,
}

/// One side's figure divided by another's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ratio {
    pub of: String,
    pub to: String,
    /// One for each round.
    pub rounds: Vec<f64>,
    pub wanted: Option<Bound>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The lowest, the middle and the highest.
pub fn spread(figures: &[f64]) -> [f64; 3] {
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    [low, median(figures), figures.iter().copied().fold(0.0, f64::max)]
}

impl Row {
    pub fn new(name: impl Into<String>, unit: &str, sides: &[&str]) -> Self {
        let sides = sides.iter().map(|name| Side { name: (*name).to_owned(), ..Side::default() }).collect();
        Self { name: name.into(), unit: unit.to_owned(), sides, ratios: Vec::new(), wanted: None }
    }

    pub fn add(&mut self, side: usize, figure: f64, p95_ms: Option<f64>, errors: u64) {
        let side = &mut self.sides[side];
        side.figures.push(figure);
        side.p95_ms.extend(p95_ms);
        side.errors += errors;
    }

    /// Compares two sides round by round, once all rounds are in.
    pub fn compare(&mut self, of: usize, to: usize, wanted: Option<Bound>) {
        let (of, to) = (&self.sides[of], &self.sides[to]);
        let rounds = of.figures.iter().zip(&to.figures).map(|(of, to)| of / to).collect();
        let ratio = Ratio { of: of.name.clone(), to: to.name.clone(), rounds, wanted };
        self.ratios.push(ratio);
        let [low, middle, high] = spread(&self.ratios[self.ratios.len() - 1].rounds);
        let ratio = &self.ratios[self.ratios.len() - 1];
        println!("{}: {} ÷ {} {middle:.2} ({low:.2} to {high:.2})", self.name, ratio.of, ratio.to);
    }
}

impl Bound {
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
        }
    }

    pub fn is_kept_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }

    pub fn figure(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
        }
    }
}

impl Machine {
    pub fn of(options: &Options, postgres: &str) -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        let date = Command::new("date").arg("+%F").output().unwrap();
        Self {
            date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
            commit: options.commit.clone(),
            other: options.other.as_ref().map(|_| options.other_name.clone()),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gib: (kib / 1024.0 / 1024.0).round(),
            postgres: postgres.to_owned(),
            rounds: options.rounds,
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
            quick: options.quick,
        }
    }

    /// What shares the cores: without it no figure can be read.
    pub fn line(&self) -> String {
        let Self { date, commit, processor, cores, memory_gib, postgres, rounds, load_before, .. } = self;
        let other = self.other.as_ref().map(|name| format!(" beside {name}")).unwrap_or_default();
        let quick = if self.quick { " **A quick run: its figures say nothing.**" } else { "" };
        format!(
            "{date}, commit {commit}{other}: {cores} cores ({processor}) and {memory_gib} GiB are shared by the load generator, the servers, the \
             providers' sandbox and PostgreSQL {postgres}; load average before the run {load_before}. Medians of {rounds} rounds, in which the \
             sides take turns; lowest and highest round in brackets.{quick}"
        )
    }
}
