//! One kind of request over HTTP, beside pgbench with the very statements of those requests on the same schema and rows.

use crate::Bench;
use crate::pgbench::Replay;
use crate::recording::{copy, record};
use crate::rows::{Bound, Row};
use crate::shared::buyers::{Call, p95_ms, rate};
use crate::shared::shop::{Shop, drop_database};

/// Recorded transactions beyond those that are sent: the first ones of a connection are not as usual.
const SPARE: f64 = 1.3;

pub struct Work<'a> {
    pub name: &'a str,
    pub unit: &'a str,
    pub clients: usize,
    /// Requests of each client in a block. The first quarter is not counted.
    pub each: usize,
    /// Stands in a statement of these requests and of no others.
    pub marker: &'a str,
    /// Counts in the database what these requests did: each of them adds one. A replay that did nothing would be fast.
    pub effect: &'a str,
    /// Beside the statements, and beside the function.
    pub wanted: [Option<Bound>; 2],
}

/// Requests of clients, as they are sent.
pub type Requests = Vec<Vec<Vec<u8>>>;

/// Opens a shop for each build.
pub async fn open_shops(bench: &Bench, name: &str) -> Vec<Shop> {
    let mut shops = Vec::new();
    for (n, build) in bench.builds.iter().enumerate() {
        let dir = bench.dir.join(&build.name);
        let more = bench.options.variables(n);
        shops.push(Shop::open(&bench.cluster, &dir, &build.binary, &format!("{name}_{n}"), &more).await);
    }
    shops
}

/// One block: `requests` makes them (of the n-th shop, so many for each client), then the clock starts.
pub async fn block(shop: &Shop, requests: Requests) -> Vec<Vec<Call>> {
    shop.db().await.batch_execute("CHECKPOINT").await.unwrap();
    shop.send_all(&requests).await
}

/// Compares all builds with both kinds of pgbench. `requests` makes requests of the n-th shop, so many for each client.
pub async fn beside_pgbench(
    bench: &Bench,
    shops: &mut [Shop],
    work: &Work<'_>,
    requests: impl AsyncFn(&Shop, usize, usize) -> Requests,
) -> Row {
    let each = work.each;
    let skip = each / 4;
    let blocks = each * (bench.options.rounds + 1);
    let all = requests(&shops[0], 0, (blocks as f64 * SPARE) as usize + 4).await;
    let mut replays = replays(bench, &mut shops[0], work, &all).await;
    let mut names = vec!["pgbench, the same statements", "pgbench, one function"];
    names.extend(bench.builds.iter().map(|build| build.name.as_str()));
    let mut row = Row::new(work.name, work.unit, &names);
    for round in 0..=bench.options.rounds {
        for turn in 0..names.len() {
            let side = (turn + round) % names.len();
            let (rate, p95_ms) = match side.checked_sub(2) {
                None => {
                    let block = replays[side].block(bench, work, skip).await;
                    if side == 0 && round == 1 {
                        block.statements.iter().for_each(|(sql, ms)| println!("    {ms:7.3} ms  {sql:.90}"));
                    }
                    (block.rate, block.p95_ms)
                }
                Some(n) => {
                    let calls = block(&shops[n], requests(&shops[n], n, each).await).await;
                    (rate(&calls, skip), p95_ms(&calls, skip))
                }
            };
            if round > 0 {
                row.add(side, rate, Some(p95_ms), 0);
            }
        }
    }
    for side in [0, 1] {
        row.compare(2, side, work.wanted[side]);
    }
    if names.len() > 3 {
        row.compare(2, 3, None);
    }
    for replay in replays {
        drop_database(&bench.cluster, replay.database()).await;
    }
    row
}

/// Two copies of the shop as it is before the requests, and the recorded transactions of those requests.
async fn replays(bench: &Bench, shop: &mut Shop, work: &Work<'_>, requests: &Requests) -> [Replay; 2] {
    shop.db().await.batch_execute("VACUUM ANALYZE").await.unwrap();
    shop.stop_server();
    let copies = ["statements", "function"].map(|name| format!("{}_{name}", shop.database));
    for name in &copies {
        copy(bench, &shop.database, name).await;
    }
    let recording = record(bench, shop, work.marker, async |shop: &Shop| _ = shop.send_all(requests).await).await;
    let [statements, function] = &copies;
    [
        Replay::prepare(&bench.cluster, statements, &recording, false).await,
        Replay::prepare(&bench.cluster, function, &recording, true).await,
    ]
}
