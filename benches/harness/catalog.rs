//! The catalog beside a bare actix-web handler that answers the same bytes and headers with as many workers.

use crate::Bench;
use crate::bare::Bare;
use crate::beside::open_shops;
use crate::rows::{Bound, Row};
use crate::shared::shop::Shop;
use crate::wrk::{self, Load};

const PATHS: [(&str, &str); 4] = [
    ("list", "/api/products?limit=20"),
    ("detail", "/api/products/bench-7"),
    ("search", "/api/products/search?q=caneca"),
    ("featured", "/api/products/featured"),
];
const WANTED: Bound = Bound::AtLeast(0.9);
/// Jobs that wait for an hour, of a kind that looks an order up and does nothing.
const BACKLOG: &str = "
    INSERT INTO jobs (id, kind, payload, run_at, max_attempts, cause)
    SELECT id, 'expire_order', jsonb_build_object('kind', 'expire_order', 'order', id), now() + interval '1 hour', 60, 'bench'
      FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1::bigint)) ids";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Identity,
    Brotli,
    NotModified,
}

/// One row.
pub struct Work {
    name: String,
    path: &'static str,
    headers: Vec<(String, String)>,
    connections: usize,
    bare: Bare,
}

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let shops = open_shops(bench, "catalog").await;
    let mut all = Vec::new();
    for connections in [64, 1000] {
        for (name, path) in PATHS {
            for answer in [Answer::Identity, Answer::Brotli, Answer::NotModified] {
                // With many connections search and featured are lists like the others.
                if connections == 64 || answer == Answer::Identity || matches!(name, "list" | "detail") {
                    all.push(Work::of(bench, &shops[0], name, path, answer, connections).await);
                }
            }
        }
    }
    all.retain(|work| bench.options.wants(&work.name));
    let mut rows = take_turns(bench, &shops, &all, "", Some(WANTED)).await;
    for shop in &shops {
        shop.db().await.execute(BACKLOG, &[&i64::try_from(bench.options.backlog).unwrap()]).await.unwrap();
    }
    let again = |work: &Work| work.connections == 64 && (work.name.starts_with("list") || work.name.starts_with("detail"));
    all.retain(|work| again(work) && !work.name.contains("304") && !work.name.contains("brotli"));
    let beside = format!(", {} jobs waiting", bench.options.backlog);
    rows.extend(take_turns(bench, &shops, &all, &beside, Some(WANTED)).await);
    for shop in shops {
        shop.close(&bench.cluster).await;
    }
    rows
}

/// Each work by the bare handler and by each shop. `beside` is what else there is.
pub async fn take_turns(bench: &Bench, shops: &[Shop], all: &[Work], beside: &str, wanted: Option<Bound>) -> Vec<Row> {
    let builds = bench.builds.iter().take(shops.len()).map(|build| build.name.as_str());
    let names: Vec<&str> = std::iter::once("bare handler").chain(builds).collect();
    let mut rows: Vec<Row> = all.iter().map(|work| Row::new(format!("{}{beside}", work.name), "/s", &names)).collect();
    for round in 0..=bench.options.rounds {
        for (work, row) in all.iter().zip(&mut rows) {
            let mut sizes = Vec::new();
            for turn in 0..names.len() {
                let side = (turn + round) % names.len();
                let port = if side == 0 { work.bare.port } else { shops[side - 1].port };
                let seconds = if work.connections > 64 { bench.options.seconds * 2 } else { bench.options.seconds };
                let Work { path, headers, connections, .. } = work;
                let outcome =
                    wrk::run(bench, &Load { port, path, headers, connections: *connections, seconds, script: "" }).await;
                if side < 2 {
                    sizes.push(outcome.bytes);
                }
                if round > 0 {
                    row.add(side, outcome.rate, Some(outcome.p95_ms), outcome.errors);
                }
            }
            let apart = (sizes[0] - sizes[1]).abs() / sizes[0];
            assert!(apart < 0.02, "{}: the sides answer {sizes:?} bytes", work.name);
        }
    }
    for row in &mut rows {
        row.compare(1, 0, wanted);
        if names.len() > 2 {
            row.compare(1, 2, None);
        }
    }
    rows
}

impl Work {
    async fn of(bench: &Bench, shop: &Shop, name: &str, path: &'static str, answer: Answer, connections: usize) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let coding = if answer == Answer::Identity { "identity" } else { "br" };
        let mut headers = vec![header("accept-encoding", coding)];
        let kind = match answer {
            Answer::Identity => "identity",
            Answer::Brotli => "brotli",
            Answer::NotModified => "304",
        };
        let name = format!("{name}, {kind}");
        let whole = Self::asked(bench, shop, &name, path, headers.clone(), connections).await;
        if answer != Answer::NotModified {
            return whole;
        }
        headers.push(header("if-none-match", &whole.bare.etag));
        let work = Self::asked(bench, shop, &name, path, headers, connections).await;
        assert_eq!(work.bare.length, 0, "{path}: a 304 has no body");
        work
    }

    /// With a bare handler that answers what the shop answers to that.
    pub async fn asked(
        bench: &Bench,
        shop: &Shop,
        name: &str,
        path: &'static str,
        headers: Vec<(String, String)>,
        connections: usize,
    ) -> Self {
        let bare = Bare::of(shop, path, &headers, bench.dir.join("answer.json")).await;
        let kib = bare.length as f64 / 1024.0;
        Self { name: format!("{name} ({kib:.1} KiB), {connections} connections"), path, headers, connections, bare }
    }
}
