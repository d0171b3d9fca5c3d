//! Start, memory and size of the server.

use std::fs;
use std::time::Duration;

use crate::Bench;
use crate::beside::open_shops;
use crate::rows::{Bound, Row};
use crate::shared::buyers::Wish;
use crate::shared::processes::{peak_mib, pss_mib};
use crate::shared::shop::Shop;
use crate::wrk::{self, Load};

/// How long a server is left alone before its idle memory is read.
const SETTLING: Duration = Duration::from_secs(3);
const GUESTS: usize = 16;
const WISH: Wish = Wish { lines: 2, hot: false, pix: false };

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let names: Vec<&str> = bench.builds.iter().map(|build| build.name.as_str()).collect();
    let mut ready = Row::new("start to ready", "ms", &names);
    let mut idle = Row::new("memory, idle (PSS)", "MiB", &names);
    let flood = bench.options.flood;
    let mut loaded = Row::new(format!("memory after catalog load and {flood} orders (PSS)"), "MiB", &names);
    let mut peak = Row::new("the same, most at any time (RSS)", "MiB", &names);
    let mut size = Row::new("size of the binary", "MB", &names);
    let mut shops = open_shops(bench, "start").await;
    // It is the same file as the server: pages that both use would count half.
    shops.iter_mut().for_each(Shop::stop_sandbox);
    for round in 0..=bench.options.rounds {
        for turn in 0..shops.len() {
            let side = (turn + round) % shops.len();
            let shop = &mut shops[side];
            shop.stop_server();
            let time = shop.start_server().await;
            if round > 0 {
                ready.add(side, time.as_secs_f64() * 1000.0, None, 0);
                tokio::time::sleep(SETTLING).await;
                idle.add(side, pss_mib(shop.pid()), None, 0);
            }
        }
    }
    // Once: a flood of that size takes long.
    for (side, shop) in shops.iter_mut().enumerate() {
        load(bench, shop, flood).await;
        loaded.add(side, pss_mib(shop.pid()), None, 0);
        peak.add(side, peak_mib(shop.pid()), None, 0);
        size.add(side, fs::metadata(&bench.builds[side].binary).unwrap().len() as f64 / 1e6, None, 0);
    }
    for shop in shops {
        shop.close(&bench.cluster).await;
    }
    let mut rows = vec![ready, idle, loaded, peak, size];
    for (row, most) in rows.iter_mut().zip([200.0, 45.0, 120.0, 250.0, 30.0]) {
        row.wanted = Some(Bound::AtMost(most));
        if names.len() > 1 {
            row.compare(0, 1, None);
        }
        println!("{}: {:.1} {} (wanted at most {most})", row.name, crate::rows::spread(&row.sides[0].figures)[1], row.unit);
    }
    rows
}

/// Readers with a thousand connections, then orders. The sandbox ends before memory is read.
async fn load(bench: &Bench, shop: &mut Shop, orders: usize) {
    let list = Load {
        port: shop.port,
        path: "/api/products?limit=20",
        headers: &[("accept-encoding".to_owned(), "br".to_owned())],
        connections: 1000,
        seconds: bench.options.seconds * 2,
        script: "",
    };
    wrk::run(bench, &list).await;
    shop.start_sandbox();
    let offers = shop.offers(WISH).await;
    let requests = shop.fill_all(&offers, GUESTS, orders / GUESTS).await;
    shop.send_all(&requests).await;
    shop.stop_sandbox();
    tokio::time::sleep(SETTLING).await;
}
