//! Orders over HTTP, beside pgbench with the very statements of those orders.

use crate::Bench;
use crate::beside::{Work, beside_pgbench, block, open_shops};
use crate::rows::{Bound, Row};
use crate::shared::buyers::{Wish, p95_ms, rate};
use crate::shared::shop::Shop;

struct Kind {
    name: &'static str,
    wish: Wish,
    guests: usize,
    /// Orders of a block, as a share of `--orders`: large carts take long to fill.
    share: f64,
    /// Beside the statements, and beside the function.
    wanted: [f64; 2],
}

const fn wish(lines: usize, hot: bool) -> Wish {
    Wish { lines, hot, pix: false }
}

const ALL: [Kind; 6] = [
    Kind { name: "2 lines, 16 guests", wish: wish(2, false), guests: 16, share: 1.0, wanted: [1.0, 0.6] },
    Kind { name: "1 line, 16 guests", wish: wish(1, false), guests: 16, share: 1.0, wanted: [1.0, 0.6] },
    Kind { name: "20 lines, 16 guests", wish: wish(20, false), guests: 16, share: 0.3, wanted: [1.0, 0.6] },
    Kind { name: "2 lines, 64 guests", wish: wish(2, false), guests: 64, share: 1.6, wanted: [1.0, 0.6] },
    Kind { name: "everybody wants one product, 16 guests", wish: wish(1, true), guests: 16, share: 1.0, wanted: [1.0, 0.8] },
    Kind { name: "everybody wants one product, 64 guests", wish: wish(1, true), guests: 64, share: 1.6, wanted: [1.0, 0.8] },
];

const WITH_PIX: &str = "2 lines, 16 guests, PIX in the call";

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let mut shops = open_shops(bench, "checkout").await;
    let mut rows = Vec::new();
    for kind in ALL.iter().filter(|kind| bench.options.wants(kind.name)) {
        let mut offers = Vec::new();
        for shop in &shops {
            offers.push(shop.offers(kind.wish).await);
        }
        let work = Work {
            name: kind.name,
            unit: "orders/s",
            clients: kind.guests,
            each: ((bench.options.orders as f64 * kind.share) as usize / kind.guests).max(4),
            marker: "INSERT INTO orders",
            effect: "SELECT count(*) FROM carts c WHERE NOT EXISTS (SELECT FROM cart_items i WHERE i.cart_id = c.id)",
            wanted: kind.wanted.map(|ratio| Some(Bound::AtLeast(ratio))),
        };
        let carts = async |shop: &Shop, n: usize, each| shop.fill_all(&offers[n], kind.guests, each).await;
        rows.push(beside_pgbench(bench, &mut shops, &work, carts).await);
    }
    if bench.options.wants(WITH_PIX) {
        rows.push(with_pix(bench, &shops).await);
    }
    for shop in shops {
        shop.close(&bench.cluster).await;
    }
    rows
}

/// The order call with a PIX in it, beside the same without. The provider is the sandbox, on the same machine.
async fn with_pix(bench: &Bench, shops: &[Shop]) -> Row {
    const GUESTS: usize = 16;
    let mut row = Row::new(WITH_PIX, "orders/s", &["without PIX", "Vitrine"]);
    let each = (bench.options.orders / 2 / GUESTS).max(4);
    let mut offers = Vec::new();
    for pix in [false, true] {
        offers.push(shops[0].offers(Wish { pix, ..wish(2, false) }).await);
    }
    for round in 0..=bench.options.rounds {
        for turn in 0..2 {
            let side = (turn + round) % 2;
            let calls = block(&shops[0], shops[0].fill_all(&offers[side], GUESTS, each).await).await;
            if round > 0 {
                row.add(side, rate(&calls, each / 4), Some(p95_ms(&calls, each / 4)), 0);
            }
        }
    }
    row.compare(1, 0, Some(Bound::AtLeast(0.8)));
    row
}
