//! The torture run: a whole shop (its own PostgreSQL, two servers, a worker, the providers' sandbox, each a process) with dozens
//! of buyers, while servers are killed, the database crashes, providers fail and webhooks are forged. After that the jobs are
//! finished and every promise is checked: `vitrine audit`, and the providers' books entry by entry.
//!
//! Part of `cargo test` for two minutes (`TORTURE_MINUTES`); longer with `scripts/torture --minutes N --seed S`.
//! Random choices come from the seed; timing does not.
#![allow(clippy::unwrap_used)]

mod books;
mod buyers;
mod contests;
mod heal;
mod labels;
mod machine;
mod operator;
mod outages;
mod papers;
mod relay;
mod sold;
mod texts;
mod trouble;
mod variables;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use world::World;

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    minutes: f64,
    seed: u64,
    buyers: usize,
}

/// Options of the usual test harness that come with a value.
const WITH_VALUE: [&str; 6] = ["--test-threads", "--skip", "--color", "--format", "--logfile", "--shuffle-seed"];

/// `None`: other tests were asked for.
fn plan() -> Option<Plan> {
    let number = |text: Option<String>, what: &str| -> Option<f64> {
        text.map(|text| text.parse().unwrap_or_else(|_| panic!("{what} must be a number, not {text}")))
    };
    let (mut minutes, mut seed, mut buyers, mut names) = (None, None, None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        match name.as_str() {
            "--minutes" => minutes = number(given.or_else(|| arguments.next()), "--minutes"),
            "--seed" => {
                seed = given.or_else(|| arguments.next()).map(|text| text.parse().expect("--seed must be a whole number"))
            }
            "--buyers" => buyers = number(given.or_else(|| arguments.next()), "--buyers"),
            name if WITH_VALUE.contains(&name) && given.is_none() => drop(arguments.next()),
            name if name.starts_with('-') => {}
            _ => names.push(name),
        }
    }
    if !names.is_empty() && !names.iter().any(|name| "torture".contains(name.as_str())) {
        return None;
    }
    let minutes = minutes.or_else(|| number(std::env::var("TORTURE_MINUTES").ok(), "TORTURE_MINUTES")).unwrap_or(2.0);
    Some(Plan { minutes, seed: seed.unwrap_or_else(rand::random), buyers: buyers.map_or(24, |n| n as usize) })
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        println!("torture: test");
        return ExitCode::SUCCESS;
    }
    let Some(plan) = plan() else {
        println!("the torture run is not asked for");
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s\n");
        return ExitCode::SUCCESS;
    };
    println!("\nrunning 1 test");
    println!("torture: seed {}, {} minute(s), {} buyers", plan.seed, plan.minutes, plan.buyers);
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let is_ok = runtime.block_on(run(&plan));
    runtime.shutdown_timeout(Duration::from_secs(5));
    println!("torture: seed {}", plan.seed);
    let (word, passed, failed) = if is_ok { ("ok", 1, 0) } else { ("FAILED", 0, 1) };
    println!("test torture ... {word}");
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        started.elapsed().as_secs_f64()
    );
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The run with its clean-up: nothing keeps running after it.
async fn run(plan: &Plan) -> bool {
    let world = Arc::new(World::start(plan).await);
    let torture = tokio::spawn(torture(Arc::clone(&world)));
    let is_over = tokio::select! {
        ended = torture => ended.is_ok(), // a panic has been printed
        _ = tokio::signal::ctrl_c() => false,
    };
    world.report();
    let is_ok = is_over && world.violations().is_empty();
    world.machine.end(is_ok).await;
    is_ok
}

async fn torture(world: Arc<World>) {
    world.open_shop().await;
    world.sandbox_post("/control/labels", &serde_json::json!({"balance_cents": 10_000_000_000_i64})).await;
    world.sandbox_post("/control/chaos", &world.chaos()).await;
    let mut trouble = trouble::begin(&world);
    outages::begin(&world, &mut trouble);
    contests::begin(&world, &mut trouble);
    buyers::buy_until_the_time_is_over(&world).await;
    world.is_over();
    trouble.shutdown().await;
    heal::heal(&world).await;
    books::check(&world).await;
}
