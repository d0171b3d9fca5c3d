//! What waits for an administrator: refunds that a provider refuses, and orders on hold because one of them failed.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vitrine_sandbox::Shortage;

use crate::plans::{plans, statement};
use crate::shop::{Answer, Customer, Shop};

/// A paid order whose refund a provider that has no balance refuses for now. Its id and number.
async fn refused(shop: &Shop) -> (String, String) {
    let shirt = shop.product("Camiseta").price(5_000).create().await;
    let ana = shop.customer().await;
    let placed = ana.buy(&[(&shirt, 1)]).await.body;
    let (id, number) = (placed["id"].as_str().unwrap().to_owned(), placed["number"].as_str().unwrap().to_owned());
    let paying = ana.post(&format!("/api/orders/{id}/pay"), &json!({"method": "pix"})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    shop.pays(paying.body["payment_id"].as_str().unwrap()).await;
    settle(shop).await;
    let refund = shop.admin().await.post(&format!("/api/orders/{id}/refund"), &json!({"reason": "desistiu"})).await;
    assert_eq!(refund.status, 201, "{}", refund.body);
    settle(shop).await;
    (id, number)
}

/// What is due happens, and the providers tell of it; no try that is minutes away.
async fn settle(shop: &Shop) {
    for _ in 0..3 {
        shop.drain_ahead(SignedDuration::from_secs(30)).await;
        assert!(shop.control().settled(Duration::from_secs(20)).await);
    }
}

/// The time of the last try comes, and the provider refuses it too.
async fn give_up(shop: &Shop, order: &str) {
    shop.execute(&format!("UPDATE refunds SET waits_since = now() - interval '7 days' WHERE order_id = '{order}'")).await;
    shop.execute(&format!(
        "UPDATE jobs SET run_at = now() WHERE kind = 'send_refund' AND state = 'waiting'
            AND dedupe = (SELECT 'send_refund:' || id FROM refunds WHERE order_id = '{order}')"
    ))
    .await;
    settle(shop).await;
}

async fn listed(admin: &Customer<'_>, query: &str) -> (Vec<(String, String)>, Value) {
    let answer: Answer = admin.get(&format!("/api/admin/refunds{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    let items = answer.body["items"].as_array().unwrap();
    (items.iter().map(|item| (text(item, "order_number"), text(item, "status"))).collect(), answer.body)
}

#[actix_web::test]
async fn an_administrator_sees_which_refunds_wait_or_failed_why_and_when_they_are_tried_next() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "openpix"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    shop.control().lack_balance("openpix", Shortage::AtOnce, None).unwrap();
    let (first, first_number) = refused(&shop).await;
    let (second, second_number) = refused(&shop).await;
    give_up(&shop, &first).await;
    let admin = shop.admin().await;

    let (waiting, body) = listed(&admin, "?status=waiting").await;
    assert_eq!(waiting, [(second_number.clone(), "waiting".into())]);
    let refund = &body["items"][0];
    let total: i64 = shop.sql(&format!("SELECT captured_cents FROM payments WHERE order_id = '{second}'")).await;
    assert_eq!(
        (&refund["order_id"], &refund["provider"], &refund["amount_cents"], &refund["currency"], &refund["reason"]),
        (&json!(second), &json!("openpix"), &json!(total), &json!("BRL"), &json!("desistiu"))
    );
    let said: String = shop.sql(&format!("SELECT error FROM refunds WHERE order_id = '{second}'")).await;
    assert_eq!(refund["error"], said, "the provider's words");
    let time = |field: &str| refund[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let next: String = shop
        .sql(&format!(
            "SELECT to_jsonb(run_at) #>> '{{}}' FROM jobs WHERE state = 'waiting' AND dedupe = 'send_refund:' || '{}'",
            refund["refund_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(time("next_try_at"), next.parse::<Timestamp>().unwrap());
    assert!(time("waits_since") < time("next_try_at"));

    let (failed, body) = listed(&admin, "?status=failed").await;
    assert_eq!((failed, &body["total"]), (vec![(first_number.clone(), "failed".into())], &json!(1)));
    assert_eq!(body["items"][0]["next_try_at"], Value::Null, "nobody tries it by itself any more");
    assert_eq!(listed(&admin, "?status=done").await.0, []);

    let newest = (second_number, "waiting".to_owned());
    let (page, body) = listed(&admin, "?limit=1").await;
    assert_eq!((page, &body["total"]), (vec![newest], &json!(2)));
    let cursor = body["next_cursor"].as_str().unwrap();
    let (page, body) = listed(&admin, &format!("?limit=1&cursor={cursor}")).await;
    assert_eq!((page, &body["next_cursor"]), (vec![(first_number, "failed".into())], &Value::Null));

    shop.control().fund("openpix").unwrap();
    for order in [&first, &second] {
        let id: String = shop.sql(&format!("SELECT id::text FROM refunds WHERE order_id = '{order}'")).await;
        assert_eq!(admin.post(&format!("/api/admin/refunds/{id}/retry"), &Value::Null).await.status, 202);
    }
    settle(&shop).await;
    assert_eq!(listed(&admin, "?status=done").await.1["total"], 2);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_on_hold_is_found_among_all_others_until_it_goes_on() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "openpix"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    shop.control().lack_balance("openpix", Shortage::AtOnce, None).unwrap();
    let (held, number) = refused(&shop).await;
    give_up(&shop, &held).await;
    let shirt = shop.product("Camiseta").create().await;
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    let admin = shop.admin().await;
    let numbers = async |query: &str| {
        let answer = admin.get(&format!("/api/orders?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        assert_eq!(answer.body["total"], items.len());
        items.iter().map(|order| order["number"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let other: String = shop.sql(&format!("SELECT number FROM orders WHERE id <> '{held}'")).await;
    let none: [&str; 0] = [];
    assert_eq!(numbers("on_hold=true").await, [number.as_str()]);
    assert_eq!(numbers("on_hold=false").await, [other.as_str()]);
    assert_eq!(numbers("").await, [other.as_str(), number.as_str()]);
    assert_eq!(numbers("on_hold=true&status=shipped").await, none);
    assert_eq!(numbers(&format!("on_hold=true&q={number}")).await, [number.as_str()]);
    assert_eq!(numbers(&format!("on_hold=false&q={number}")).await, none);
    assert_eq!(shop.customer().await.get("/api/orders?on_hold=true").await.body["total"], 0, "of others nobody learns");
    assert_eq!(admin.post(&format!("/api/admin/orders/{held}/resume"), &Value::Null).await.status, 200);
    assert_eq!(numbers("on_hold=true").await, none);
    shop.drain().await;
    shop.close().await;
}

/// So many refunds that are done, of as many orders, and a few that failed.
const MANY: &str = "
    INSERT INTO orders (id, number, customer_name, status, payment_status, subtotal_cents, shipping_cents, shipping_quoted_cents, total_cents,
           shipping_address, shipping_provider, carrier, service, service_code, delivery_days, freight_quote, tracking_number, expires_at, paid_at)
    SELECT ('019' || lpad(n::text, 5, '0') || '-0000-7000-8000-000000000000')::uuid, 'N' || n, 'n', 'delivered', 'refunded', 100, 0, 0, 100,
           '{\"cep\": \"01310100\", \"city\": \"São Paulo\", \"state\": \"SP\"}', 'melhorenvio', 'c', 's', '1', 1, '{}', 'BR' || n || 'BR', now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, refunded_cents, provider_ref, paid_at, expires_at)
    SELECT o.id, o.id, 'pix', 'openpix', 'refunded', 100, 100, 100, 'tx' || o.number, now(), now() FROM orders o;
    INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, waits_since)
    SELECT p.id, p.id, p.id, p.order_id, 100, CASE WHEN p.provider_ref LIKE '%007' THEN 'failed' ELSE 'done' END, 'x', 'system', now()
      FROM payments p;
    INSERT INTO jobs (id, kind, payload, dedupe, state, max_attempts, cause, finished_at)
    SELECT r.id, 'send_refund', '{}', 'send_refund:' || r.id, 'done', 1, 'test', now() FROM refunds r;
    ANALYZE";

#[actix_web::test]
async fn the_list_of_refunds_reads_no_whole_table() {
    let shop = Shop::open().await;
    shop.app.db().await.unwrap().batch_execute(MANY).await.unwrap();
    let file = Path::new("src/admin/refunds.rs").display();
    for (name, values, index) in [
        ("ALL", "NULL, 20, 0", "refunds_pkey"),
        ("OF_STATUS", "'failed', NULL, 20, 0", "refunds_status"),
        ("COUNT_OF_STATUS", "'failed', 10000", "refunds_status"),
    ] {
        // The plan for these values: one for any values costs more than all of them, so it is never kept.
        let [plan, _] = plans(&shop, &statement(&format!("{file} {name}")), values).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        for table in ["refunds", "orders", "payments", "jobs"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
        }
    }
    assert_eq!(listed(&shop.admin().await, "?status=failed&limit=2").await.1["total"], 19);
    shop.app.db().await.unwrap().batch_execute("TRUNCATE orders CASCADE; DELETE FROM jobs WHERE cause = 'test'").await.unwrap();
    shop.close().await;
}
