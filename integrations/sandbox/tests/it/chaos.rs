use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vitrine_sandbox::{Chaos, Fault, Pay};

use crate::harness::{Client, LIMIT, Shop, ask, payment, sandbox};

/// What became of some creations: a status, or none.
async fn weather(client: &Client, calls: usize) -> Vec<Option<u16>> {
    let mut seen = Vec::new();
    for _ in 0..calls {
        let answer = client.create(&payment(100)).timeout(Duration::from_secs(2)).send().await;
        seen.push(answer.ok().map(|answer| answer.status().as_u16()));
    }
    seen
}

#[actix_web::test]
async fn the_same_seed_is_the_same_weather_and_off_is_fair() {
    let chaos = Chaos { seed: 42, per_mille: 600, slow_max_ms: 5, ..Chaos::default() };
    let (one, two) = (sandbox().await, sandbox().await);
    for client in [&one, &two] {
        client.sandbox.control().begin_chaos(chaos.clone()).expect("fair");
    }
    let first = weather(&one, 40).await;
    assert_eq!(first, weather(&two, 40).await);
    assert!(first.contains(&None) && first.contains(&Some(201)), "{first:?}");

    one.sandbox.control().end_chaos();
    assert_eq!(weather(&one, 5).await, [Some(201); 5]);
    let (off, counts) = one.sandbox.control().chaos();
    assert_eq!((off, counts.calls), (None, 40));
    assert_eq!(counts.by_provider["propay"], counts.faults.values().sum::<u64>());
}

#[actix_web::test]
async fn a_hanging_call_is_let_go_after_a_while() {
    let client = sandbox().await;
    let chaos = Chaos { per_mille: 1_000, slow_max_ms: 50, kinds: vec!["hang".into()], ..Chaos::default() };
    client.sandbox.control().begin_chaos(chaos).expect("fair");
    let error = client.create(&payment(100)).send().await.expect_err("no answer");
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(client.sandbox.control().charges(), []);
}

#[actix_web::test]
async fn a_fault_that_was_ordered_comes_first() {
    let client = sandbox().await;
    let chaos = Chaos { per_mille: 1_000, kinds: vec!["drop_before".into()], ..Chaos::default() };
    client.sandbox.control().begin_chaos(chaos).expect("fair");
    client.sandbox.next("propay", Fault::StatusAfterRequest(503));
    assert_eq!(ask(client.create(&payment(100))).await.0, 503);
    assert_eq!(client.sandbox.control().charges().len(), 1);
}

#[actix_web::test]
async fn webhooks_get_lost_but_not_the_ones_that_were_ordered() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    control.begin_chaos(Chaos { webhook_lost_per_mille: 1_000, ..Chaos::default() }).expect("fair");
    client.paid_charge(100).await;
    let twice = client.charge(100).await;
    control.pay(Pay::of(&twice).webhook(vitrine_sandbox::SendWebhook::Twice)).expect("payable");
    assert!(control.settled(LIMIT).await);
    assert_eq!(shop.told().len(), 2);
    assert_eq!(control.chaos().1.webhooks["lost"], 1);
}

#[actix_web::test]
async fn chaos_is_begun_read_and_ended_over_http() {
    let client = sandbox().await;
    let post = |body: serde_json::Value| ask(client.call(Method::POST, "/control/chaos").json(&body));
    let read = || ask(client.call(Method::GET, "/control/chaos"));
    assert_eq!(read().await.1["on"], false);
    let begun = json!({"seed": 9, "per_mille": 1_000, "kinds": ["drop_after"], "webhook_lost_per_mille": 300});
    assert_eq!(post(begun).await.0, 200);
    client.create(&payment(100)).send().await.expect_err("dropped");
    let (_, seen) = read().await;
    assert_eq!((&seen["on"], &seen["chaos"]["seed"]), (&json!(true), &json!(9)));
    assert_eq!(seen["counts"], json!({"calls": 1, "faults": {"drop_after": 1}, "by_provider": {"propay": 1}, "webhooks": {}}));
    assert_eq!(post(json!({"per_mille": 2_000})).await.0, 422);
    assert_eq!(post(json!({"per_mile": 1})).await.0, 422);
    assert_eq!(post(json!({"off": true})).await.0, 204);
    let (_, seen) = read().await;
    assert_eq!((&seen["on"], &seen["counts"]["calls"]), (&json!(false), &json!(1)));
    assert_eq!(ask(client.call(Method::DELETE, "/control/chaos")).await.0, 204);

    let (_, books) = ask(client.call(Method::GET, "/control/books")).await;
    assert_eq!(books["charges"][0]["provider"], "propay");
    assert_eq!((&books["refunds"], &books["mails"]), (&json!([]), &json!([])));
}
