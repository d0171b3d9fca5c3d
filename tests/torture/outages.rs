//! What is away for a while and comes back: providers that the shop retires or has no credentials of, keys that providers forget,
//! accounts that hold too little for refunds, and a database behind a network that goes silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::task::JoinSet;

use crate::machine::Change;
use crate::relay::Silence;
use crate::trouble::{pause, some_order};
use crate::world::World;

/// How soon every server must answer again after the network to its database is back.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// How long one such request may take.
const ONE_ANSWER: Duration = Duration::from_secs(3);
/// So many requests at once must all be answered: a pool with some dead connections answers only some.
const AT_ONCE: usize = 8;

pub fn begin(world: &Arc<World>, trouble: &mut JoinSet<()>) {
    trouble.spawn(retire_providers(Arc::clone(world)));
    trouble.spawn(revoke_keys(Arc::clone(world)));
    trouble.spawn(run_dry(Arc::clone(world)));
    trouble.spawn(silence_the_database(Arc::clone(world)));
}

/// A change of the shop's variables after which a provider takes no new payments.
struct Retirement {
    what: &'static str,
    change: Change,
    /// Without these credentials nobody can be asked about its payments.
    gone: Option<&'static str>,
}

const RETIREMENTS: [Retirement; 9] = [
    retired("propay, with its credentials", &[("PIX_PROVIDER", Some("openpix,bacen"))]),
    retired("openpix, with its credentials", &[("PIX_PROVIDER", Some("bacen,propay"))]),
    retired("bacen, with its credentials", &[("PIX_PROVIDER", Some("openpix,propay"))]),
    retired("propay and openpix, with their credentials", &[("PIX_PROVIDER", Some("bacen"))]),
    retired("stripe, with its credentials", &[("CARD_PROVIDER", Some("none"))]),
    gone("propay", "propay, without its credentials", &[("PIX_PROVIDER", Some("bacen,openpix")), ("GO_TO_PROPAY_SECRET", None)]),
    gone("openpix", "openpix, without its credentials", &[("PIX_PROVIDER", Some("propay,bacen")), ("OPENPIX_APP_ID", None)]),
    gone("bacen", "bacen, without its credentials", &[("PIX_PROVIDER", Some("openpix,propay")), ("PIX_CLIENT_SECRET", None)]),
    gone("stripe", "stripe, without its credentials", &[("STRIPE_SECRET_KEY", None)]),
];

const fn retired(what: &'static str, change: Change) -> Retirement {
    Retirement { what, change, gone: None }
}

const fn gone(provider: &'static str, what: &'static str, change: Change) -> Retirement {
    Retirement { what, change, gone: Some(provider) }
}

/// The operator takes a provider out, restarts one process after the other, and later puts the provider back.
async fn retire_providers(world: Arc<World>) {
    let mut dice = world.dice(40);
    loop {
        pause(&mut dice, 1_000..6_000).await;
        if world.time_is_over() {
            return;
        }
        let Retirement { what, change, gone } = &RETIREMENTS[dice.random_range(0..RETIREMENTS.len())];
        world.machine.change(change);
        restart_all(&world).await;
        world.count(&format!("providers retired: {what}"));
        pause(&mut dice, 2_000..6_000).await;
        if let Some(provider) = gone {
            world.sql(&their_time_is_over(provider)).await;
            pause(&mut dice, 1_000..3_000).await;
        }
        world.machine.change(&[]);
        restart_all(&world).await;
        world.count("providers brought back");
    }
}

async fn restart_all(world: &World) {
    for which in 0..3 {
        {
            let _turn = world.calm.read().await;
            world.machine.kill(which);
            world.machine.start_again(which);
        }
        world.until_serving(which).await;
    }
}

/// Ends the time that a provider's charges may wait for it; they are looked at now.
fn their_time_is_over(provider: &str) -> String {
    format!(
        "UPDATE payments SET expires_at = least(expires_at, now() - interval '6 minutes')
          WHERE provider = '{provider}' AND status IN ('creating', 'unknown', 'pending');
         UPDATE jobs SET run_at = now() WHERE kind = 'check_payment' AND state = 'waiting' AND run_at > now()"
    )
}

/// A provider forgets the shop's key for a while, and answers its calls as a stranger's.
async fn revoke_keys(world: Arc<World>) {
    let mut dice = world.dice(41);
    let invoices = world.machine.nfe_provider;
    let providers = ["propay", "openpix", "bacen", "stripe", "resend", "africastalking", "melhorenvio", "correios", invoices];
    loop {
        pause(&mut dice, 1_500..6_000).await;
        if world.time_is_over() {
            return;
        }
        let provider = providers[dice.random_range(0..providers.len())];
        if world.sandbox_post("/control/key", &json!({"provider": provider, "revoked": true})).await.0 == 200 {
            world.count(&format!("keys revoked for a while at {provider}"));
        }
        pause(&mut dice, 500..4_000).await;
        world.sandbox_post("/control/key", &json!({"provider": provider, "revoked": false})).await;
    }
}

/// The shop's account at a provider holds too little for refunds, until it is funded.
async fn run_dry(world: Arc<World>) {
    let mut dice = world.dice(42);
    loop {
        pause(&mut dice, 1_000..4_000).await;
        if world.time_is_over() {
            return;
        }
        let provider = PAYMENT_PROVIDERS[dice.random_range(0..PAYMENT_PROVIDERS.len())];
        let how = ["at_once", "fails", "waits"][dice.random_range(0..3)];
        if world.sandbox_post("/control/refunds/no-balance", &json!({"provider": provider, "how": how})).await.0 == 200 {
            world.count(&format!("times without balance for refunds at {provider}: {how}"));
        }
        pause(&mut dice, 2_000..6_000).await;
        world.sandbox_post("/control/refunds/funded", &json!({"provider": provider})).await;
    }
}

pub const PAYMENT_PROVIDERS: [&str; 4] = ["propay", "openpix", "bacen", "stripe"];

/// The network to the database swallows everything, refuses nothing and closes nothing; then it is back.
async fn silence_the_database(world: Arc<World>) {
    let mut dice = world.dice(43);
    pause(&mut dice, 1_000..4_000).await;
    loop {
        pause(&mut dice, 2_000..4_000).await;
        // In some of them processes are killed and started all the while.
        let calm = if dice.random_range(0..3) > 0 { Some(world.calm.write().await) } else { None };
        if world.time_is_over() {
            return;
        }
        let (silence, what) = [
            (Silence::Holds, "databases silent, and then all arrived"),
            (Silence::Loses, "databases silent, and all under way was lost"),
            (Silence::Forgets, "databases silent, and all under way was lost without the database being told"),
        ][dice.random_range(0..3)];
        world.machine.silence_database(silence);
        world.count(what);
        let longest = [6_000, 10_000, 20_000][dice.random_range(0..3)];
        pause(&mut dice, 3_000..longest).await;
        world.machine.end_silence();
        let calm = match calm {
            Some(calm) => calm,
            None => world.calm.write().await,
        };
        all_answer_again(&world, &mut dice).await;
        drop(calm);
        pause(&mut dice, 12_000..30_000).await;
    }
}

/// Every server answers several requests at once, from its database.
async fn all_answer_again(world: &World, dice: &mut StdRng) {
    let Some(placed) = some_order(world, dice) else { return };
    let since = Instant::now();
    let path = format!("/api/orders/{}", placed.id);
    let answers = async |port: u16| {
        let asked = world.http.get(format!("http://127.0.0.1:{port}{path}")).header("X-Order-Token", &placed.token);
        asked.timeout(ONE_ANSWER).send().await.is_ok_and(|answer| answer.status().as_u16() == 200)
    };
    let back = async |port: u16| {
        while !join_all((0..AT_ONCE).map(|_| answers(port))).await.iter().all(|is_answered| *is_answered) {
            if since.elapsed() > BACK_WITHIN {
                return false;
            }
            world.look_after_processes();
        }
        true
    };
    let [left, right] = world.machine.ports;
    let (left, right) = tokio::join!(back(left), back(right));
    let waited = since.elapsed().as_secs_f64();
    world.say(&format!("the database is back; {:.1} s later its servers answered", waited));
    if !(left && right) {
        world.violation(format!("not every server answered within {waited:.0} s of the database's return"));
    }
}
