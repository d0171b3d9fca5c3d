//! Goods that come back, in any number of calls, before and after the sale's invoice, with money or without: what follows is a
//! function of the sums.

use std::time::Duration;

use serde_json::{Value, json};
use vitrine_sandbox::{Nfe, NfeStatus, ParcelStep, SendWebhook};

use crate::invoices::{goes_on, open};
use crate::seller::buys;
use crate::shop::{Answer, CPF, Product, Shop};

const LIMIT: Duration = Duration::from_secs(20);

/// A guest buys these and pays: the order's id.
async fn paid(shop: &Shop, items: &[(&Product, i32)]) -> String {
    let order = buys(shop, items).await;
    shop.pays(&order).await;
    order
}

pub async fn refund(shop: &Shop, order: &str, body: &Value) -> Answer {
    shop.admin().await.post(&format!("/api/orders/{order}/refund"), body).await
}

pub async fn come_back(shop: &Shop, order: &str, body: &Value) -> Answer {
    shop.admin().await.post(&format!("/api/orders/{order}/returns"), body).await
}

async fn ship(shop: &Shop, order: &str) -> Answer {
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await
}

async fn line(shop: &Shop, sku: &str) -> String {
    shop.sql::<uuid::Uuid>(&format!("SELECT id FROM order_lines WHERE sku = '{sku}'")).await.to_string()
}

fn some(line: &str, quantity: i32) -> Value {
    json!([{"line_id": line, "quantity": quantity}])
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// The sale's invoice and its returns that stand, the oldest first.
fn notes(shop: &Shop) -> (Nfe, Vec<Nfe>) {
    let standing: Vec<Nfe> = shop.control().nfes().into_iter().filter(|nfe| nfe.status == NfeStatus::Authorized).collect();
    let (sales, returns): (Vec<Nfe>, Vec<Nfe>) = standing.into_iter().partition(|nfe| nfe.draft.purpose == 1);
    (sales.into_iter().next().expect("the sale's invoice"), returns)
}

fn totals(returns: &[Nfe]) -> Vec<i64> {
    returns.iter().map(|nfe| nfe.total_cents).collect()
}

/// Holds the next refund at the bank, and has it refused afterwards.
async fn is_refused_later(shop: &Shop) {
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await;
    shop.control().fail_refunds(1);
    shop.drain().await;
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(jiff::SignedDuration::from_mins(1)).await;
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds ORDER BY id DESC LIMIT 1").await, "failed");
    shop.control().clear_faults();
    shop.control().fail_refunds(0);
}

async fn hold_refunds(shop: &Shop) {
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'send_refund'").await;
}

#[actix_web::test]
async fn a_piece_that_is_taken_out_before_the_note_is_not_on_it() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, _) = open(provider).await;
        let mug = shop.ware("SKU-2", 3_333).await;
        let order = paid(&shop, &[(&mug, 3)]).await;
        let freight: i64 = shop.sql("SELECT shipping_cents FROM orders").await;
        let out = json!({"amount_cents": 3_333, "reason": "uma quebrou", "restock_items": some(&line(&shop, "SKU-2").await, 1)});
        assert_eq!(refund(&shop, &order, &out).await.status, 201);
        goes_on(&shop).await;
        let (sale, returns) = notes(&shop);
        assert_eq!((sale.total_cents, sale.draft.totals.freight, returns.len()), (2 * 3_333 + freight, freight, 0), "{provider}");
        assert_eq!((sale.draft.items[0].quantity_e4, sale.draft.weight_grams), (20_000, 600), "{provider}");
        assert_eq!(sale.draft.payments.iter().map(|(_, cents)| cents).sum::<i64>(), sale.total_cents);
        // The label is for what is in the parcel, too.
        let parcel = &shop.control().parcels()[0];
        assert_eq!(
            (&parcel.sent["products"][0]["quantity"], &parcel.sent["options"]["insurance_value"]),
            (&json!(2), &json!(66.66))
        );
        assert_eq!(ship(&shop, &order).await.status, 200);
        assert_eq!(refund(&shop, &order, &json!({"reason": "o resto também", "restock": true})).await.status, 201);
        goes_on(&shop).await;
        let (sale, returns) = notes(&shop);
        assert_eq!(totals(&returns), [sale.total_cents], "{provider}: what stood on it comes back, and no more");
        assert_eq!(state(&shop, &order).await, "returned/refunded");
        assert_eq!(shop.stock(&mug).await, 1000);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_note_that_is_on_its_way_is_followed_by_a_return_and_one_that_was_rejected_is_sent_again_without_the_piece() {
    for is_rejected in [false, true] {
        let (shop, _) = open("focusnfe").await;
        let mug = shop.ware("SKU-2", 3_333).await;
        if is_rejected {
            shop.control().reject_next_nfes(1, "778", "Rejeição: Informado NCM inexistente");
        } else {
            shop.control().tax_authority_away(true);
        }
        let order = paid(&shop, &[(&mug, 3)]).await;
        if is_rejected {
            goes_on(&shop).await
        } else {
            _ = shop.drain().await
        }
        let freight: i64 = shop.sql("SELECT shipping_cents FROM orders").await;
        let out = json!({"amount_cents": 3_333, "reason": "uma quebrou", "restock_items": some(&line(&shop, "SKU-2").await, 1)});
        assert_eq!(refund(&shop, &order, &out).await.status, 201);
        shop.drain().await;
        if is_rejected {
            let id: uuid::Uuid = shop.sql("SELECT id FROM invoices").await;
            let again = shop.admin().await.post(&format!("/api/admin/invoices/{id}/retry"), &json!({})).await;
            assert_eq!(again.status, 200, "{}", again.body);
        } else {
            shop.control().tax_authority_away(false);
        }
        goes_on(&shop).await;
        let (sale, returns) = notes(&shop);
        let expected = if is_rejected { (2 * 3_333 + freight, vec![]) } else { (3 * 3_333 + freight, vec![3_333]) };
        assert_eq!((sale.total_cents, totals(&returns)), expected, "rejected: {is_rejected}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn everything_that_is_left_comes_back_after_part_refunds_and_asking_for_more_says_what_is_left() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(3_333).stock(5).create().await;
    let order = paid(&shop, &[(&mug, 3)]).await;
    let id = shop.sql::<uuid::Uuid>("SELECT id FROM order_lines").await.to_string();
    assert_eq!(refund(&shop, &order, &json!({"amount_cents": 500, "reason": "atraso"})).await.status, 201);
    let ask = |n: i32| json!({"amount_cents": 3_333, "reason": "troca", "restock_items": some(&id, n)});
    assert_eq!(refund(&shop, &order, &ask(1)).await.status, 201);
    let early = refund(&shop, &order, &json!({"amount_cents": 1, "reason": "tudo", "restock": true})).await;
    assert_eq!((early.status, early.invalid_fields()), (422, vec!["restock"]));
    let over = refund(&shop, &order, &ask(3)).await;
    assert_eq!((over.status, over.slug()), (409, "conflict"));
    let detail = over.body["detail"].as_str().unwrap();
    assert_eq!(detail, format!("Not so much is left: of line {id} only 2 can still come back"));
    assert_eq!(shop.stock(&mug).await, 3, "a refusal moves nothing");
    assert_eq!(refund(&shop, &order, &json!({"reason": "tudo de volta", "restock": true})).await.status, 201);
    assert_eq!(shop.stock(&mug).await, 5);
    let shown = shop.admin().await.get(&format!("/api/orders/{order}/returns")).await;
    assert_eq!((&shown.body["items"][0]["left"], &shown.body["money_is_back"]), (&json!(0), &json!(true)), "{}", shown.body);
    let again = come_back(&shop, &order, &json!({"reason": "de novo", "restock": true})).await;
    assert_eq!((again.status, again.body["detail"].as_str()), (409, Some("The goods are back already")));
    shop.drain_ahead(jiff::SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    shop.close().await;
}

#[actix_web::test]
async fn goods_and_money_end_an_order_as_returned_whichever_comes_last() {
    for money_first in [true, false] {
        let (shop, ware) = open("focusnfe").await;
        let order = paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        assert_eq!(ship(&shop, &order).await.status, 200);
        let delivered = shop.admin().await.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
        assert_eq!(delivered.status, 200);
        let goods = [
            json!({"reason": "uma", "restock_items": some(&line(&shop, "SKU-1").await, 1)}),
            json!({"reason": "e a outra", "restock": true}),
        ];
        let money = [json!({"amount_cents": 4_000, "reason": "parte"}), json!({"reason": "o resto"})];
        if money_first {
            for part in &money {
                assert_eq!(refund(&shop, &order, part).await.status, 201);
            }
            goes_on(&shop).await;
            assert_eq!(state(&shop, &order).await, "delivered/refunded");
            let (sale, returns) = notes(&shop);
            assert_eq!(totals(&returns), [sale.total_cents], "lost or not, the sale did not take place");
        }
        for part in &goods {
            let answer = come_back(&shop, &order, part).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        if !money_first {
            goes_on(&shop).await;
            assert_eq!(state(&shop, &order).await, "delivered/paid");
            for part in &money {
                assert_eq!(refund(&shop, &order, part).await.status, 201);
            }
        }
        goes_on(&shop).await;
        assert_eq!(state(&shop, &order).await, "returned/refunded", "money first: {money_first}");
        let (sale, returns) = notes(&shop);
        assert_eq!(totals(&returns).iter().sum::<i64>(), sale.total_cents);
        assert_eq!(returns.len(), if money_first { 1 } else { 2 });
        assert_eq!(shop.stock(&ware).await, 1000);
        shop.close().await;
    }
}

#[actix_web::test]
async fn returns_in_parts_are_the_sale_s_note_to_the_centavo_with_its_discounts_and_its_freight() {
    let (shop, shirt) = open("focusnfe").await;
    let mug = shop.ware("SKU-2", 3_333).await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'CUPOM', 'percent', 7)").await;
    shop.execute("UPDATE products SET weight_grams = 1100 WHERE name = 'Produto SKU-2'").await;
    let items = [(&shirt, 2), (&mug, 5)];
    let cart = shop.guest_cart(&items).await;
    let mut order = shop.guest_order(&items, CPF).await;
    (order["pay"], order["coupon"]) = (json!({"method": "pix"}), json!("CUPOM"));
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    shop.pays(&order).await;
    let mugs = line(&shop, "SKU-2").await;
    let part = |cents: i64, n: i32| json!({"amount_cents": cents, "reason": "troca", "restock_items": some(&mugs, n)});
    assert_eq!(refund(&shop, &order, &part(3_100, 1)).await.status, 201, "before the note");
    goes_on(&shop).await;
    assert_eq!(ship(&shop, &order).await.status, 200);
    for n in [1, 2] {
        assert_eq!(refund(&shop, &order, &part(3_000, n)).await.status, 201);
        goes_on(&shop).await;
    }
    let (_, returns) = notes(&shop);
    let weights: Vec<i64> = returns.iter().map(|nfe| nfe.draft.weight_grams).collect();
    assert_eq!(weights, [1_100, 2_200], "each weighs what came back");
    assert!(returns.iter().all(|nfe| nfe.draft.totals.freight == 0));
    assert_eq!(come_back(&shop, &order, &json!({"reason": "o resto", "restock": true})).await.status, 201);
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!(returns.len(), 3);
    for (name, sum) in [
        ("total", returns.iter().map(|n| n.total_cents).sum::<i64>() - sale.total_cents),
        ("discount", returns.iter().map(|n| n.draft.totals.discount).sum::<i64>() - sale.draft.totals.discount),
        ("freight", returns.iter().map(|n| n.draft.totals.freight).sum::<i64>() - sale.draft.totals.freight),
        ("weight", returns.iter().map(|n| n.draft.weight_grams).sum::<i64>() - sale.draft.weight_grams),
    ] {
        assert_eq!(sum, 0, "{name}");
    }
    assert_eq!(sale.draft.weight_grams, 2 * 300 + 4 * 1_100, "the one that was taken out is not in it");
    assert_eq!(state(&shop, &order).await, "shipped/partially_refunded", "the freight is not with the buyer yet");
    assert_eq!(refund(&shop, &order, &json!({"reason": "e o frete"})).await.status, 201);
    goes_on(&shop).await;
    assert_eq!(state(&shop, &order).await, "returned/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_fails_takes_back_what_was_returned_for_money_alone_and_leaves_what_really_came_back() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 3)]).await;
    goes_on(&shop).await;
    assert_eq!(ship(&shop, &order).await.status, 200);
    let one = json!({"reason": "tudo, e uma voltou", "restock_items": some(&line(&shop, "SKU-1").await, 1)});
    assert_eq!(refund(&shop, &order, &one).await.status, 201);
    hold_refunds(&shop).await;
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!(totals(&returns), [8_250, sale.total_cents - 8_250], "one for the goods, one for the money");
    is_refused_later(&shop).await;
    goes_on(&shop).await;
    let (_, returns) = notes(&shop);
    assert_eq!((totals(&returns), state(&shop, &order).await.as_str()), (vec![8_250], "shipped/paid"));
    // The rest comes back too, and the money for good.
    assert_eq!(come_back(&shop, &order, &json!({"reason": "chegaram", "restock": true})).await.status, 201);
    assert_eq!(refund(&shop, &order, &json!({"reason": "de novo"})).await.status, 201);
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!((totals(&returns).iter().sum::<i64>(), returns.len()), (sale.total_cents, 2));
    assert_eq!((state(&shop, &order).await.as_str(), shop.stock(&ware).await), ("returned/refunded", 1000));
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_fails_after_all_goods_came_back_leaves_the_order_returned_and_its_money_can_be_asked_for_again() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    assert_eq!(ship(&shop, &order).await.status, 200);
    assert_eq!(refund(&shop, &order, &json!({"reason": "arrependimento", "restock": true})).await.status, 201);
    hold_refunds(&shop).await;
    goes_on(&shop).await;
    is_refused_later(&shop).await;
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!((totals(&returns), state(&shop, &order).await.as_str()), (vec![sale.total_cents], "returned/paid"));
    assert_eq!(refund(&shop, &order, &json!({"reason": "de novo"})).await.status, 201);
    goes_on(&shop).await;
    assert_eq!(state(&shop, &order).await, "returned/refunded");
    assert_eq!(notes(&shop).1.len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn after_a_part_was_returned_the_rest_of_a_sale_that_never_left_is_given_back_rather_than_cancelled() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    let one = json!({"amount_cents": 8_250, "reason": "uma só", "restock_items": some(&line(&shop, "SKU-1").await, 1)});
    assert_eq!(refund(&shop, &order, &one).await.status, 201);
    goes_on(&shop).await;
    assert_eq!(totals(&notes(&shop).1), [8_250]);
    let cancelled = shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!(totals(&returns), [8_250, sale.total_cents - 8_250]);
    assert_eq!((state(&shop, &order).await.as_str(), shop.stock(&ware).await), ("cancelled/refunded", 1000));
    shop.close().await;
}

#[actix_web::test]
async fn pieces_that_are_lost_or_spoilt_go_back_on_no_shelf_and_are_out_of_the_sale() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 4)]).await;
    let id = line(&shop, "SKU-1").await;
    let spoilt = json!({"amount_cents": 8_250, "reason": "quebrou aqui", "write_off_items": some(&id, 1)});
    assert_eq!(refund(&shop, &order, &spoilt).await.status, 201, "before the note");
    goes_on(&shop).await;
    let (sale, _) = notes(&shop);
    assert_eq!((sale.draft.items[0].quantity_e4, shop.stock(&ware).await), (30_000, 996));
    assert_eq!(ship(&shop, &order).await.status, 200);
    let both = json!({"reason": "uma boa, uma não", "restock_items": some(&id, 1), "write_off_items": some(&id, 1)});
    let answer = come_back(&shop, &order, &both).await;
    let item = &answer.body["items"][0];
    assert_eq!((&item["restocked"], &item["written_off"], &item["left"]), (&json!(1), &json!(2), &json!(1)), "{}", answer.body);
    let twice = come_back(&shop, &order, &json!({"reason": "x", "write_off_items": [some(&id, 1)[0], some(&id, 1)[0]]})).await;
    assert_eq!((twice.status, twice.invalid_fields()), (422, vec!["write_off_items"]));
    assert_eq!(come_back(&shop, &order, &json!({"reason": "x"})).await.invalid_fields(), ["restock_items"]);
    let last = json!({"reason": "extraviada", "write_off_items": some(&id, 1)});
    assert_eq!(refund(&shop, &order, &last).await.status, 201);
    goes_on(&shop).await;
    let (sale, returns) = notes(&shop);
    assert_eq!(totals(&returns).iter().sum::<i64>(), sale.total_cents);
    assert_eq!((state(&shop, &order).await.as_str(), shop.stock(&ware).await), ("returned/refunded", 997));
    let db = shop.app.db().await.unwrap();
    let story = vitrine::explain::story(&db, &order).await.unwrap().unwrap();
    let told: Vec<_> = story.steps.iter().filter(|step| step.what == "written off of SKU-1").collect();
    assert_eq!(told.len(), 3, "{story:#?}");
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn goods_of_an_order_that_is_not_paid_or_not_yours_do_not_come_back() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let mug = shop.product("Caneca").create().await;
    let order = ana.buy(&[(&mug, 2)]).await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/api/orders/{order}/returns");
    let before = shop.row_counts().await;
    let all = json!({"reason": "tudo", "restock": true});
    assert_eq!(ana.post(&path, &all).await.slug(), "forbidden");
    assert_eq!(ana.get(&path).await.slug(), "forbidden");
    let unpaid = admin.post(&path, &all).await;
    assert_eq!((unpaid.status, unpaid.slug()), (409, "conflict"), "{}", unpaid.body);
    let unknown = format!("/api/orders/{}/returns", uuid::Uuid::now_v7());
    assert_eq!((admin.post(&unknown, &all).await.status, admin.get(&unknown).await.status), (404, 404));
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_return_is_made_once_under_its_key() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").stock(5).create().await;
    let order = paid(&shop, &[(&mug, 3)]).await;
    let admin = shop.admin().await;
    let id = shop.sql::<uuid::Uuid>("SELECT id FROM order_lines").await.to_string();
    let path = format!("/api/orders/{order}/returns");
    let keyed = || admin.request("POST", &path).header("Idempotency-Key", "volta-1");
    let ask = json!({"reason": "uma", "restock_items": some(&id, 1)});
    let (first, again) = (keyed().json(&ask).send().await, keyed().json(&ask).send().await);
    assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body));
    assert_eq!((again.header("idempotency-replayed"), shop.stock(&mug).await), (Some("true"), 3));
    shop.close().await;
}

#[actix_web::test]
async fn nobody_ships_while_the_money_is_on_its_way_back() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "desistiu"})).await.status, 201);
    hold_refunds(&shop).await;
    let admin = shop.admin().await;
    let path = format!("/api/orders/{order}");
    let seen = admin.get(&path).await;
    assert_eq!((&seen.body["payment_status"], &seen.body["refund_pending"]), (&json!("paid"), &json!(true)));
    let refused = ship(&shop, &order).await;
    assert_eq!((refused.status, refused.slug()), (409, "sale-is-off"), "{}", refused.body);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    let shipper = shop.person(vitrine::token::Role::Shipper).await;
    let forced = json!({"tracking_number": "AA123456785BR", "carrier": "Correios", "force": true});
    assert_eq!(shipper.patch(&format!("{path}/tracking"), &forced).await.slug(), "forbidden");
    let log = "SELECT count(*) FROM audit_log WHERE action = 'order.ship_while_refunded'";
    assert_eq!(shop.sql::<i64>(log).await, 0);
    let sent = admin.patch(&format!("{path}/tracking"), &forced).await;
    assert_eq!((sent.status, &sent.body["status"]), (200, &json!("shipped")), "{}", sent.body);
    assert_eq!(shop.sql::<i64>(log).await, 1);
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await;
    goes_on(&shop).await;
    assert_eq!(state(&shop, &order).await, "shipped/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn once_the_money_or_the_goods_are_back_no_force_sends_the_order_and_a_refund_that_fails_lets_it_go_by_a_persons_word() {
    for body in [json!({"reason": "desistiu"}), json!({"reason": "desistiu", "restock": true})] {
        let (shop, ware) = open("focusnfe").await;
        let order = paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        assert_eq!(refund(&shop, &order, &body).await.status, 201);
        let forced = json!({"tracking_number": "AA123456785BR", "carrier": "Correios", "force": true});
        let path = format!("/api/orders/{order}/tracking");
        let has_goods = body["restock"].is_null();
        if has_goods {
            hold_refunds(&shop).await;
            is_refused_later(&shop).await;
            goes_on(&shop).await;
            let held = ship(&shop, &order).await;
            let why = "A refund of all its money failed: it is not sent until an administrator says that the sale goes on";
            assert_eq!((held.slug(), &held.body["detail"]), ("sale-is-off", &json!(why)));
            let resumed = shop.admin().await.post(&format!("/api/admin/orders/{order}/resume"), &json!({})).await;
            assert_eq!(resumed.status, 200, "{}", resumed.body);
            assert_eq!(ship(&shop, &order).await.status, 200, "the shop says that the sale goes on");
        } else {
            let answer = shop.admin().await.patch(&path, &forced).await;
            assert_eq!((answer.status, answer.slug()), (409, "sale-is-off"), "{}", answer.body);
            assert_eq!(answer.body["detail"], "All goods of the order are back: there is nothing to send");
        }
        goes_on(&shop).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn nobody_hands_over_at_the_shop_what_is_being_refunded() {
    let shop = crate::shipments::shop().await;
    shop.offer_pickup().await;
    let order = crate::shipments::paid(&shop).await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "desistiu"})).await.status, 201);
    let admin = shop.admin().await;
    let path = format!("/api/orders/{order}/delivered");
    for request in [admin.request("PATCH", &path), admin.request("PATCH", &path).json(&json!({}))] {
        let refused = request.send().await;
        assert_eq!((refused.status, refused.slug()), (409, "sale-is-off"), "{}", refused.body);
    }
    for (kind, body, status) in
        [("application/json", "{\"force\":", 400), ("text/plain", "force", 415), ("application/json", "{\"now\":1}", 422)]
    {
        let answer = admin.request("PATCH", &path).body(kind, body).send().await;
        assert_eq!(answer.status, status, "what cannot be read is not taken for nothing: {body}");
    }
    assert_eq!(state(&shop, &order).await, "processing/paid");
    let forced = admin.patch(&path, &json!({"force": true})).await;
    assert_eq!((forced.status, &forced.body["status"]), (200, &json!("delivered")), "{}", forced.body);
    shop.drain_ahead(jiff::SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    shop.close().await;
}

#[actix_web::test]
async fn a_parcel_that_the_carrier_has_while_its_money_goes_back_is_recorded_and_told() {
    let shop = crate::shipments::shop().await;
    let order = crate::shipments::labelled(&shop).await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "desistiu"})).await.status, 201);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind IN ('send_refund', 'drop_label')").await;
    let parcel = shop.control().parcels()[0].id.clone();
    shop.control().move_parcel(&parcel, ParcelStep::Post, SendWebhook::Once).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "shipped/paid", "it did leave");
    let alert = "SELECT count(*) FROM (SELECT key FROM alert_occurrences UNION ALL SELECT key FROM alerts) a WHERE key LIKE 'parcel-of-ended-order:%'";
    assert_eq!(shop.sql::<i64>(alert).await, 1);
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind IN ('send_refund', 'drop_label')").await;
    crate::shipments::rest_ahead(&shop).await;
    assert_eq!(state(&shop, &order).await, "shipped/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn a_shipper_acts_under_their_own_name_and_sees_no_person_and_no_price() {
    let shop = crate::shipments::shop().await;
    let order = crate::shipments::paid(&shop).await;
    crate::shipments::rest(&shop).await;
    let shipper = shop.person(vitrine::token::Role::Shipper).await;
    let path = format!("/api/orders/{order}");
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    let sent = shipper.patch(&format!("{path}/tracking"), &tracking).await;
    assert_eq!((sent.status, &sent.body["status"]), (200, &json!("shipped")), "{}", sent.body);
    let arrived = shipper.patch(&format!("{path}/delivered"), &json!({})).await;
    assert_eq!((arrived.status, &arrived.body["status"]), (200, &json!("delivered")), "{}", arrived.body);
    for answer in [&sent, &arrived] {
        let text = String::from_utf8(answer.bytes.clone()).unwrap();
        for hidden in
            ["_cents", "ana@example.com", "Ana", "Paulista", "52998224725", "529.982", "99999", "email", "address", "cep"]
        {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert_eq!(
            answer.body["items"],
            json!([{"sku": answer.body["items"][0]["sku"], "name": "Caneca", "variant_name": "Único", "quantity": 2}])
        );
    }
    let by: Vec<String> = shop
        .sql("SELECT array_agg(DISTINCT actor) FROM order_history WHERE to_state IN ('shipped', 'delivered', 'posted') AND subject IN ('order', 'shipment')")
        .await;
    assert_eq!(by, [format!("shipper:{}", shipper.id)]);
    assert_eq!(shipper.get(&path).await.status, 404, "orders of others are not theirs to read");
    assert_eq!(shop.admin().await.get(&path).await.body["status"], "delivered");
    assert_eq!(shop.customer().await.patch(&format!("{path}/tracking"), &tracking).await.slug(), "forbidden");
    shop.close().await;
}
