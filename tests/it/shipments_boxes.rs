//! Orders of several boxes: each has a label, the first one that is shipped ships the order, and the others follow.

use serde_json::json;
use vitrine::shipments;
use vitrine_sandbox::{Fault, ParcelStatus, ParcelStep, SendWebhook};

use crate::shipments::{
    bought, buy_by_hand, cancel, fault, is_told_whole, order_status, paid, rest, rest_ahead, shop, shop_with,
};
use crate::shop::Shop;

/// Paid, in two boxes by Correios; no job has run.
async fn two_boxes(shop: &Shop) -> String {
    let order = paid(shop).await;
    let boxes = r#"[{"h": 10, "w": 15, "l": 20, "g": 300}, {"h": 10, "w": 15, "l": 20, "g": 600}]"#;
    let set = format!(
        "UPDATE orders SET service = 'Correios', service_code = '1', freight_quote = jsonb_set(freight_quote, '{{volumes}}', '{boxes}') WHERE id = '{order}'"
    );
    shop.execute(&set).await;
    order
}

/// A column of all its labels, by box and age.
async fn states(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT array_agg(volume || ' ' || status ORDER BY volume, id) FROM shipments WHERE order_id = '{order}'"))
        .await
}

/// Moves the live label of a box one step on.
async fn go(shop: &Shop, volume: i16, step: ParcelStep) {
    let live = format!("SELECT id FROM shipments WHERE volume = {volume} AND status NOT IN ('cancelled', 'expired')");
    let tag: uuid::Uuid = shop.sql(&live).await;
    shop.control().move_parcel(&tag.to_string(), step, SendWebhook::Once).unwrap();
    if step == ParcelStep::Expire {
        shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await; // this event has no webhook
        shipments::track(&shop.app).await.unwrap();
    }
    rest(shop).await;
}

/// Refunds the whole order.
async fn refund(shop: &Shop, order: &str) {
    let request = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
    let answer = request.header("Idempotency-Key", "volta").json(&json!({"reason": "desistiu"})).send().await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[actix_web::test]
async fn each_box_for_correios_has_a_label_of_its_own_and_its_share_of_the_price() {
    let shop = shop().await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    assert_eq!(bought(&shop).len(), 2);
    let shares: Vec<i64> = shop.sql("SELECT array_agg(quoted_cents::bigint ORDER BY volume) FROM shipments").await;
    let quoted: i64 = shop.sql("SELECT shipping_quoted_cents FROM orders").await;
    assert_eq!((shares.iter().sum::<i64>(), shares[0] < shares[1]), (quoted, true), "{shares:?}");
    let insured: f64 = bought(&shop).iter().map(|p| p.sent["options"]["insurance_value"].as_f64().unwrap()).sum();
    assert_eq!(insured, 80.0);
    // The order is shipped with the first box and delivered with the last one.
    let tags: Vec<String> = bought(&shop).into_iter().filter_map(|p| p.tag).collect();
    for (tag, step, status) in [
        (0, ParcelStep::Post, "shipped"),
        (0, ParcelStep::Deliver, "shipped"),
        (1, ParcelStep::Post, "shipped"),
        (1, ParcelStep::Deliver, "delivered"),
    ] {
        shop.control().move_parcel(&tags[tag], step, SendWebhook::Once).unwrap();
        rest(&shop).await;
        assert_eq!(order_status(&shop, &order).await, status);
    }
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

/// Both labels in the cart, and a balance for only the first.
async fn the_first_box_left_alone(shop: &Shop) -> String {
    let order = two_boxes(shop).await;
    shop.control().set_label_balance(0);
    rest(shop).await;
    assert_eq!(states(shop, &order).await, ["1 carted", "2 carted"]);
    let price: i64 = shop.sql("SELECT price_cents FROM shipments WHERE volume = 1").await;
    shop.control().set_label_balance(price);
    assert_eq!(buy_by_hand(shop, &order).await.status, 202);
    rest(shop).await;
    assert_eq!(states(shop, &order).await, ["1 generated", "2 carted"]);
    go(shop, 1, ParcelStep::Post).await;
    shop.control().set_label_balance(1_000_000);
    order
}

#[actix_web::test]
async fn a_box_that_was_not_bought_when_the_first_one_left_is_bought_all_the_same() {
    let shop = shop().await;
    let order = the_first_box_left_alone(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), bought(&shop).len()), ("shipped", 1));
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 generated"]);
    go(&shop, 1, ParcelStep::Deliver).await;
    assert_eq!(order_status(&shop, &order).await, "shipped", "one is still to come");
    go(&shop, 2, ParcelStep::Post).await;
    go(&shop, 2, ParcelStep::Deliver).await;
    assert_eq!(order_status(&shop, &order).await, "delivered");
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_box_that_runs_out_after_the_first_one_left_is_bought_again_once_and_then_told() {
    let shop = shop().await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    go(&shop, 1, ParcelStep::Post).await;
    go(&shop, 2, ParcelStep::Expire).await;
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 expired", "2 generated"]);
    go(&shop, 1, ParcelStep::Deliver).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), shop.alerted().await.len()), ("shipped", 0));
    go(&shop, 2, ParcelStep::Expire).await;
    assert_eq!(states(&shop, &order).await, ["1 delivered", "2 expired", "2 expired"]);
    assert_eq!((order_status(&shop, &order).await.as_str(), shop.alerted().await), ("delivered", vec!["label-expired 1".into()]));
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_box_that_is_cancelled_in_the_panel_after_the_first_one_arrived_is_told_and_holds_the_order_no_longer() {
    let shop = shop().await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    go(&shop, 1, ParcelStep::Post).await;
    go(&shop, 1, ParcelStep::Deliver).await;
    assert_eq!(order_status(&shop, &order).await, "shipped");
    go(&shop, 2, ParcelStep::Cancel).await;
    assert_eq!(
        (order_status(&shop, &order).await.as_str(), shop.alerted().await),
        ("delivered", vec!["label-cancelled-elsewhere 1".into()])
    );
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_box_that_is_cancelled_in_the_panel_while_the_first_one_is_underway_is_bought_again_when_asked() {
    let shop = shop().await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    go(&shop, 1, ParcelStep::Post).await;
    go(&shop, 2, ParcelStep::Cancel).await;
    assert_eq!(
        (order_status(&shop, &order).await.as_str(), shop.alerted().await),
        ("shipped", vec!["label-cancelled-elsewhere 1".into()])
    );
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 cancelled", "2 generated"]);
    let insured: Vec<f64> = bought(&shop).iter().map(|p| p.sent["options"]["insurance_value"].as_f64().unwrap()).collect();
    assert_eq!(insured, [40.0, 40.0], "its share is what it was");
    shop.close().await;
}

#[actix_web::test]
async fn boxes_that_were_to_follow_are_given_back_with_the_money_or_when_the_order_arrived_without_them() {
    for by_hand in [false, true] {
        let shop = shop().await;
        let order = the_first_box_left_alone(&shop).await;
        if by_hand {
            let arrived = shop.admin().await.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
            assert_eq!(arrived.status, 200, "{}", arrived.body);
            rest(&shop).await;
        } else {
            assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
            rest(&shop).await;
            refund(&shop, &order).await;
            rest(&shop).await;
            assert_eq!(order_status(&shop, &order).await, "shipped");
            go(&shop, 1, ParcelStep::Deliver).await;
            assert_eq!(shop.alerted().await, ["job-dead:buy_label 2"], "of the empty purse alone");
        }
        let first = if by_hand { "1 posted" } else { "1 delivered" };
        assert_eq!((states(&shop, &order).await, bought(&shop).len()), (vec![first.to_owned(), "2 cancelled".into()], 1));
        assert_eq!(order_status(&shop, &order).await, "delivered");
        is_told_whole(&shop, &order).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_box_that_was_given_back_for_money_that_the_bank_will_not_take_is_bought_again_once_the_shop_says_so() {
    let shop = shop().await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    go(&shop, 1, ParcelStep::Post).await;
    shop.control().fail_refunds(1);
    refund(&shop, &order).await;
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "failed");
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 cancelled"], "no box leaves by itself");
    let resumed = shop.admin().await.post(&format!("/api/admin/orders/{order}/resume"), &serde_json::json!({})).await;
    assert_eq!(resumed.status, 200, "{}", resumed.body);
    rest(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 cancelled", "2 generated"]);
    // A label that was cancelled in the panel is replaced by a person.
    go(&shop, 2, ParcelStep::Cancel).await;
    shipments::buy(&shop.app, order.parse().unwrap()).await.unwrap();
    assert_eq!(states(&shop, &order).await, ["1 posted", "2 cancelled", "2 cancelled"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_box_that_cannot_be_bought_now_keeps_the_other_from_nothing() {
    let shop = shop_with(&[("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let order = two_boxes(&shop).await;
    shop.control().set_label_balance(0);
    rest(&shop).await;
    shop.control().set_label_balance(1_000_000);
    let first: String = shop.sql("SELECT provider_ref FROM shipments WHERE volume = 1").await;
    shop.control().order_fault(fault(&first, Fault::Status(503), 3)).unwrap(); // one call, with its repeats
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 carted", "2 generated"]);
    rest_ahead(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 generated", "2 generated"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_box_that_is_not_taken_back_now_keeps_the_other_from_nothing() {
    let shop = shop_with(&[("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let order = two_boxes(&shop).await;
    rest(&shop).await;
    let first: String = shop.sql("SELECT provider_ref FROM shipments WHERE volume = 1").await;
    shop.control().order_fault(fault(&first, Fault::Status(503), 3)).unwrap();
    cancel(&shop, &order).await;
    rest(&shop).await;
    assert_eq!(states(&shop, &order).await, ["1 generated", "2 cancelled"]);
    rest_ahead(&shop).await;
    assert_eq!((states(&shop, &order).await, bought(&shop).len()), (vec!["1 cancelled".into(), "2 cancelled".to_owned()], 0));
    assert!(shop.control().parcels().iter().all(|parcel| parcel.status == ParcelStatus::Canceled));
    shop.close().await;
}
