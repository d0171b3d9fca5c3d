//! Cart calls: the first item of a new cart, and a cart that is read.

use serde_json::json;

use crate::Bench;
use crate::beside::{block, open_shops};
use crate::catalog;
use crate::rows::Row;
use crate::shared::buyers::{p95_ms, rate, request};
use crate::shared::shop::{Shop, product};

const CLIENTS: usize = 16;

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let shops = open_shops(bench, "carts").await;
    let added = added(bench, &shops).await;
    let token = cart_of(&shops[0], 3).await;
    let headers = [("accept-encoding", "identity"), ("x-cart-token", &token)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    // A cart is known to its own shop only, so the other build does not take part.
    let read = catalog::Work::asked(bench, &shops[0], "a cart of 3 lines is read", "/api/cart", headers, 64).await;
    let mut rows = catalog::take_turns(bench, &shops[..1], &[read], "", None).await;
    rows.insert(0, added);
    for shop in shops {
        shop.close(&bench.cluster).await;
    }
    rows
}

async fn added(bench: &Bench, shops: &[Shop]) -> Row {
    let names: Vec<&str> = bench.builds.iter().map(|build| build.name.as_str()).collect();
    let each = bench.options.orders * 2 / CLIENTS;
    let mut row = Row::new("the first item of a new cart, 16 connections", "/s", &names);
    for round in 0..=bench.options.rounds {
        for turn in 0..shops.len() {
            let side = (turn + round) % shops.len();
            let add = |n: usize| {
                let item = json!({"product_id": product(1 + n % 1000), "quantity": 1});
                request("POST", "/api/cart/items", &[], &item.to_string())
            };
            let requests = (0..CLIENTS).map(|client| (0..each).map(|n| add(client * each + n)).collect()).collect();
            let calls = block(&shops[side], requests).await;
            if round > 0 {
                row.add(side, rate(&calls, each / 4), Some(p95_ms(&calls, each / 4)), 0);
            }
        }
    }
    if shops.len() > 1 {
        row.compare(0, 1, None);
    }
    row
}

/// The token of a new cart with so many lines.
async fn cart_of(shop: &Shop, lines: usize) -> String {
    let mut token = None;
    for n in 1..=lines {
        let item = json!({"product_id": product(n), "quantity": 1});
        let headers = shop.post("/api/cart/items", token.as_deref(), &item).await.0;
        token = token.or_else(|| Some(headers["x-cart-token"].to_str().unwrap().to_owned()));
    }
    token.unwrap()
}
