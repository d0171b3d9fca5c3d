//! Labels are bought once, whatever fails on the way, and cancelled when they are no longer wanted.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::ids::OrderId;
use vitrine::jobs::Outcome;
use vitrine::{explain, shipments};
use vitrine_sandbox::{Fault, FaultOrder, Parcel, ParcelStatus, ParcelStep, Pay, SendWebhook};

use crate::shop::{Answer, Shop};

pub const LIMIT: Duration = Duration::from_secs(20);
pub const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub const SECRET: (&str, &str) = ("MELHORENVIO_WEBHOOK_SECRET", "segredo-do-aplicativo");

/// Who sends.
const COMPANY: &str = r#"{"legal_name": "Loja Ltda", "trade_name": null, "cnpj": "11222333000181", "state_registration": "ISENTO",
    "tax_regime": "simples", "invoice_series": 1, "address": {"cep": "01310100", "street": "Avenida Paulista", "number": "1", "complement": null,
    "district": "Bela Vista", "city": "São Paulo", "state": "SP"}}"#;

pub async fn set_company(shop: &Shop) {
    shop.execute(&format!("INSERT INTO settings (name, value) VALUES ('company', '{COMPANY}') ON CONFLICT (name) DO UPDATE SET value = excluded.value"))
        .await;
}

/// A shop with its company set, which gets tracking webhooks.
pub async fn shop() -> Shop {
    shop_with(&[]).await
}

pub async fn shop_with(changes: &[(&str, &str)]) -> Shop {
    let shop = Shop::open_with(&[&[SECRET], changes].concat()).await;
    set_company(&shop).await;
    shop
}

/// Bought and paid for; no job has run.
pub async fn paid(shop: &Shop) -> String {
    let mug = shop.product("Caneca").price(4_000).create().await;
    let cart = shop.guest_cart(&[(&mug, 2)]).await;
    let mut order = shop.guest_order(&[(&mug, 2)], crate::shop::CPF).await;
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order = placed.body["id"].as_str().unwrap().to_owned();
    shop.control().pay(Pay::of(&order)).unwrap();
    settled(shop).await;
    order
}

pub async fn settled(shop: &Shop) {
    assert!(shop.control().settled(LIMIT).await);
}

/// Runs jobs and webhooks until none is left.
pub async fn rest(shop: &Shop) {
    for _ in 0..10 {
        settled(shop).await;
        if shop.drain().await == 0 {
            return;
        }
    }
    panic!("the jobs do not come to an end");
}

/// The same, with waiting jobs brought forward by an hour until all were retried.
pub async fn rest_ahead(shop: &Shop) {
    for _ in 0..6 {
        shop.execute("UPDATE shipments SET claimed_until = now() - interval '1 second' WHERE claim IS NOT NULL").await;
        shop.drain_ahead(HOUR).await;
        rest(shop).await;
    }
}

/// An order whose label can be printed.
pub async fn labelled(shop: &Shop) -> String {
    let order = paid(shop).await;
    rest(shop).await;
    assert_eq!(state(shop, &order).await, "generated");
    order
}

/// A column of its live label.
pub async fn state(shop: &Shop, order: &str) -> String {
    let live = format!(
        "SELECT coalesce((SELECT status FROM shipments WHERE order_id = '{order}' ORDER BY status IN ('cancelled', 'expired'), id DESC LIMIT 1), 'none')"
    );
    shop.sql(&live).await
}

pub async fn order_status(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status FROM orders WHERE id = '{order}'")).await
}

pub fn bought(shop: &Shop) -> Vec<Parcel> {
    shop.control().parcels().into_iter().filter(Parcel::is_bought).collect()
}

/// No story of an order has a gap.
pub async fn is_told_whole(shop: &Shop, order: &str) {
    let story = explain::story(&shop.app.db().await.unwrap(), order).await.unwrap().unwrap();
    let gaps: Vec<_> = story.steps.iter().filter(|step| step.is_gap).collect();
    assert!(gaps.is_empty(), "{gaps:#?}");
}

pub fn fault(at: &str, fault: Fault, count: u32) -> FaultOrder {
    FaultOrder { provider: "melhorenvio".into(), fault, count, path_contains: Some(at.to_owned()) }
}

pub async fn buy_by_hand(shop: &Shop, order: &str) -> Answer {
    shop.admin().await.post(&format!("/api/admin/orders/{order}/label"), &json!({})).await
}

#[actix_web::test]
async fn a_paid_order_gets_one_label_with_all_that_a_carrier_needs() {
    let shop = shop().await;
    shop.execute(r#"UPDATE settings SET value = value || '{"phone": "0800 123 4567"}' WHERE name = 'company'"#).await;
    let order = paid(&shop).await;
    shop.execute("UPDATE order_lines SET name = 'Caneca Preta Škoda', variant_name = 'P'").await;
    rest(&shop).await;
    let [parcel] = bought(&shop).try_into().expect("one");
    assert_eq!(parcel.status, ParcelStatus::Generated);
    let id: uuid::Uuid = shop.sql("SELECT id FROM shipments").await;
    assert_eq!(parcel.tag, Some(id.to_string()));
    let (from, to) = (&parcel.sent["from"], &parcel.sent["to"]);
    assert_eq!((&from["company_document"], &from["name"]), (&json!("11222333000181"), &json!("Loja Ltda")));
    assert_eq!(from["phone"], json!("08001234567"));
    assert_eq!((&to["document"], &to["name"], &to["number"]), (&json!("52998224725"), &json!("Ana Silva"), &json!("1000")));
    let options = &parcel.sent["options"];
    assert_eq!((&options["non_commercial"], &options["insurance_value"]), (&json!(true), &json!(80.0)));
    assert_eq!(parcel.sent["products"], json!([{"name": "Caneca Preta Skoda P", "quantity": 2, "unitary_value": 40.0}]));

    let list = shop.admin().await.get("/api/admin/shipments").await;
    let item = &list.body["items"][0];
    assert_eq!((&item["order_id"], &item["status"], &item["error"]), (&json!(order), &json!("generated"), &Value::Null));
    assert_eq!(item["price_cents"], parcel.price_cents);
    let quoted: i64 = shop.sql("SELECT shipping_quoted_cents FROM orders").await;
    let difference = parcel.price_cents - quoted;
    assert_eq!((&item["quoted_cents"], &item["difference_cents"]), (&json!(quoted), &json!(difference)));
    let totals = json!({"labels": 1, "price_cents": parcel.price_cents, "quoted_cents": quoted, "difference_cents": difference});
    assert_eq!(list.body["totals"], totals);
    let page = shop.http.get(item["label_url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Ana Silva") && page.contains(parcel.tracking.as_deref().unwrap()));
    assert_eq!(order_status(&shop, &order).await, "processing", "it has not left yet");
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

/// Answers that are lost, refusals, or unreadable, at one step.
async fn one_label_whatever_goes_wrong(at: &str, kinds: &[Fault]) {
    for kind in kinds {
        let shop = shop().await;
        shop.control().order_fault(fault(at, *kind, 1)).unwrap();
        let order = paid(&shop).await;
        rest(&shop).await;
        rest_ahead(&shop).await;
        let what = format!("{at}, {kind:?}");
        assert_eq!(state(&shop, &order).await, "generated", "{what}");
        assert_eq!(shop.control().parcels().len(), 1, "{what}: not even a second one in the cart");
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM shipments").await, 1, "{what}");
        assert!(!shop.sql::<bool>("SELECT bool_or(label_url IS NULL) FROM shipments").await, "{what}");
        is_told_whole(&shop, &order).await;
        shop.close().await;
    }
}

const LOST: [Fault; 4] = [Fault::DropAfterRequest, Fault::StatusAfterRequest(500), Fault::Garbage, Fault::WrongType];
const NOT_DONE: [Fault; 3] = [Fault::DropBeforeRequest, Fault::Status(503), Fault::Status(429)];

#[actix_web::test]
async fn an_answer_that_is_lost_after_the_cart_costs_no_second_label() {
    one_label_whatever_goes_wrong("POST /melhorenvio/api/v2/me/cart", &LOST).await;
}

#[actix_web::test]
async fn a_cart_that_is_away_costs_no_label() {
    one_label_whatever_goes_wrong("POST /melhorenvio/api/v2/me/cart", &NOT_DONE).await;
}

#[actix_web::test]
async fn an_answer_that_is_lost_after_the_payment_costs_no_second_one() {
    one_label_whatever_goes_wrong("shipment/checkout", &LOST).await;
}

#[actix_web::test]
async fn a_payment_that_did_not_get_through_is_made_once() {
    one_label_whatever_goes_wrong("shipment/checkout", &NOT_DONE).await;
}

#[actix_web::test]
async fn a_fault_after_the_payment_loses_no_label() {
    for at in ["shipment/generate", "shipment/print", "/me/orders/"] {
        one_label_whatever_goes_wrong(at, &[Fault::DropAfterRequest, Fault::Status(503), Fault::Garbage]).await;
    }
}

#[actix_web::test]
async fn a_hang_at_any_step_ends_with_one_label() {
    for at in ["POST /melhorenvio/api/v2/me/cart", "shipment/checkout", "shipment/generate", "shipment/print"] {
        let shop = shop_with(&[("MELHORENVIO_TIMEOUT", "700ms")]).await;
        shop.control().order_fault(fault(at, Fault::HangAfterRequest, 1)).unwrap();
        let order = paid(&shop).await;
        rest(&shop).await;
        rest_ahead(&shop).await;
        assert_eq!((state(&shop, &order).await.as_str(), shop.control().parcels().len()), ("generated", 1), "{at}");
        shop.close().await;
    }
}

/// A worker that dies keeps its claim until it ends; what it did stays done.
#[actix_web::test]
async fn a_worker_that_dies_between_any_two_steps_leaves_one_label() {
    for at in ["POST /melhorenvio/api/v2/me/cart", "shipment/checkout", "shipment/generate", "shipment/print", "/me/orders/"] {
        for kind in [Fault::HangAfterRequest, Fault::Hang] {
            let shop = shop().await;
            let order = paid(&shop).await;
            shop.control().order_fault(fault(at, kind, 1)).unwrap();
            let id: OrderId = order.parse().unwrap();
            {
                let mut work = std::pin::pin!(shipments::buy(&shop.app, id));
                let asked = shop.control().wait_for(LIMIT, |books| books.calls().any(|call| call.fault.is_some()).then_some(()));
                tokio::select! {
                    _ = &mut work => panic!("{at} hangs"),
                    asked = asked => asked.expect("it gets there"),
                }
                if kind == Fault::HangAfterRequest && at.starts_with("POST") {
                    let done = |books: &vitrine_sandbox::Books| (!books.parcels().is_empty()).then_some(());
                    shop.control().wait_for(LIMIT, done).await.expect("it is done there");
                }
            } // dropped half way, as by a kill
            shop.drain().await;
            assert!(shop.control().parcels().len() <= 1, "while the claim holds, nobody goes on");
            rest_ahead(&shop).await;
            let what = format!("{at}, {kind:?}");
            assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1), "{what}");
            assert_eq!(shop.control().parcels().len(), 1, "{what}");
            shop.close().await;
        }
    }
}

#[actix_web::test]
async fn twenty_workers_at_once_buy_one_label() {
    let shop = shop().await;
    let order: OrderId = paid(&shop).await.parse().unwrap();
    let all = futures_util::future::join_all((0..20).map(|_| shipments::buy(&shop.app, order))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    rest_ahead(&shop).await;
    assert_eq!((shop.control().parcels().len(), bought(&shop).len()), (1, 1));
    assert_eq!(shop.control().calls_to("melhorenvio", "POST /melhorenvio/api/v2/me/shipment/checkout"), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_is_away_for_an_hour_is_waited_for() {
    let shop = shop_with(&[("CIRCUIT_BREAKER_COOLDOWN", "1ms")]).await;
    let order = paid(&shop).await;
    shop.control().next_calls("melhorenvio", Fault::Status(503), 1000);
    rest(&shop).await;
    for _ in 0..8 {
        shop.drain_ahead(HOUR).await;
    }
    assert_eq!((state(&shop, &order).await.as_str(), shop.control().parcels().len()), ("pending", 0));
    let error: String = shop.sql("SELECT error FROM shipments").await;
    assert!(error.contains("unavailable"), "{error}");
    shop.control().clear_faults();
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1));
    assert!(shop.sql::<bool>("SELECT error IS NULL FROM shipments").await);
    shop.close().await;
}

#[actix_web::test]
async fn a_label_that_takes_its_time_is_waited_for() {
    let shop = shop().await;
    shop.control().set_label_takes(Duration::from_secs(3600));
    let order = paid(&shop).await;
    rest(&shop).await;
    assert_eq!(state(&shop, &order).await, "released");
    shop.drain_ahead(SignedDuration::from_secs(10)).await;
    assert_eq!(state(&shop, &order).await, "released");
    let tag = bought(&shop)[0].tag.clone().unwrap();
    shop.control().move_parcel(&tag, ParcelStep::Generate, SendWebhook::Once).unwrap();
    rest(&shop).await; // the webhook brings the job forward
    assert_eq!(state(&shop, &order).await, "generated");
    assert!(!shop.sql::<bool>("SELECT label_url IS NULL FROM shipments").await);
    shop.close().await;
}

#[actix_web::test]
async fn an_empty_purse_is_told_once_and_an_admin_buys_when_it_is_filled() {
    let shop = shop().await;
    shop.control().set_label_balance(0);
    let order = paid(&shop).await;
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("carted", 0));
    assert_eq!(shop.alerted().await, ["job-dead:buy_label 1"]);
    let stuck = shop.admin().await.get("/api/admin/shipments?stuck=true").await;
    assert!(stuck.body["items"][0]["error"].as_str().unwrap().contains("Saldo insuficiente"), "{}", stuck.body);
    assert_eq!(stuck.body["totals"]["labels"], 0, "what is not bought costs nothing");
    shop.control().set_label_balance(100_000);
    let answer = buy_by_hand(&shop, &order).await;
    assert_eq!((answer.status, &answer.body["items"][0]["status"]), (202, &json!("carted")));
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1));
    assert_eq!(shop.control().parcels().len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_without_an_address_is_told_once_and_sells_on() {
    let shop = Shop::open_with(&[SECRET]).await;
    let (first, second) = (paid(&shop).await, paid(&shop).await);
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &first).await.as_str(), shop.control().parcels().len()), ("pending", 0));
    let told = shop.alerted().await;
    assert!(told.len() == 1 && told[0].starts_with("labels-halted "), "one for both of them: {told:?}");
    set_company(&shop).await;
    rest_ahead(&shop).await;
    for order in [first, second] {
        assert_eq!(state(&shop, &order).await, "generated");
    }
    shop.close().await;
}

#[actix_web::test]
async fn where_labels_are_bought_by_hand_none_is_bought_before_somebody_says_so() {
    let shop = shop().await;
    shop.execute("INSERT INTO settings (name, value) VALUES ('shipping', '{\"handling_days\": 0, \"labels\": \"by_hand\"}')")
        .await;
    let order = paid(&shop).await;
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), shop.control().parcels().len()), ("none", 0));
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    assert_eq!(state(&shop, &order).await, "generated");
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202, "again is no second one");
    rest(&shop).await;
    assert_eq!(bought(&shop).len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn what_is_not_the_brokers_or_not_paid_is_not_labelled() {
    let shop = shop().await;
    shop.offer_pickup().await;
    let fetched = paid(&shop).await;
    rest(&shop).await;
    assert_eq!(shop.control().parcels(), []);
    assert_eq!(buy_by_hand(&shop, &fetched).await.slug(), "conflict");
    shop.execute("DELETE FROM settings WHERE name = 'shipping'").await;
    let mug = shop.product("Copo").create().await;
    let unpaid = shop.buy_as_guest(&[(&mug, 1)]).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(buy_by_hand(&shop, &unpaid).await.slug(), "conflict");
    assert_eq!(buy_by_hand(&shop, &OrderId::new().to_string()).await.slug(), "not-found");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM shipments").await, 0);
    shop.close().await;
}

pub async fn cancel(shop: &Shop, order: &str) {
    let answer = shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[actix_web::test]
async fn a_cancelled_order_gives_its_label_back_wherever_it_stands() {
    // Not requested, in the cart, paid, generated.
    for at in ["pending", "carted", "released", "generated"] {
        let shop = shop().await;
        let order = paid(&shop).await;
        match at {
            "pending" => shop.control().order_fault(fault("POST /melhorenvio/api/v2/me/cart", Fault::Status(422), 1)).unwrap(),
            "carted" => shop.control().set_label_balance(0),
            "released" => shop.control().set_label_takes(Duration::from_secs(3600)),
            _ => {}
        }
        rest(&shop).await;
        assert_eq!(state(&shop, &order).await, at);
        cancel(&shop, &order).await;
        rest(&shop).await;
        rest_ahead(&shop).await;
        assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("cancelled", 0), "{at}");
        assert!(shop.control().parcels().iter().all(|p| p.status == ParcelStatus::Canceled), "{at}");
        is_told_whole(&shop, &order).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_order_whose_money_all_goes_back_before_it_leaves_needs_no_label() {
    // Bought already; not begun; and of an order with a partial refund.
    for (is_bought, amounts, state_then) in
        [(true, vec![None], "cancelled"), (false, vec![Some(100), None], "none"), (true, vec![Some(100)], "generated")]
    {
        let shop = shop().await;
        let order = if is_bought { labelled(&shop).await } else { paid(&shop).await };
        for amount in amounts {
            let body = json!({"reason": "desistiu", "amount_cents": amount});
            let request = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
            let answer = request.header("Idempotency-Key", &uuid::Uuid::new_v4().to_string()).json(&body).send().await;
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        rest(&shop).await;
        rest_ahead(&shop).await;
        assert_eq!(state(&shop, &order).await, state_then);
        assert_eq!(bought(&shop).len(), usize::from(state_then == "generated"));
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_label_whose_answers_were_lost_is_given_back_too() {
    for (at, kind) in [
        ("POST /melhorenvio/api/v2/me/cart", Fault::DropAfterRequest),
        ("shipment/checkout", Fault::DropAfterRequest),
        ("shipment/cancel", Fault::DropAfterRequest),
        ("shipment/cancel", Fault::Status(503)),
    ] {
        let shop = shop().await;
        let order = paid(&shop).await;
        shop.control().order_fault(fault(at, kind, 1)).unwrap();
        rest(&shop).await;
        cancel(&shop, &order).await;
        rest(&shop).await;
        rest_ahead(&shop).await;
        assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("cancelled", 0), "{at} {kind:?}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_parcel_that_left_before_its_order_was_cancelled_is_told_to_the_shop() {
    let shop = shop_with(&[]).await;
    let order = labelled(&shop).await;
    shop.control().move_parcel(&bought(&shop)[0].id, ParcelStep::Post, SendWebhook::Lost).unwrap();
    cancel(&shop, &order).await;
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()), ("cancelled", "posted"));
    let told = ["parcel-of-ended-order 1", "label-stranded 1"];
    assert_eq!(shop.alerted().await, told);
    rest_ahead(&shop).await;
    assert_eq!(shop.alerted().await, told, "and not again");
    shop.close().await;
}

#[actix_web::test]
async fn a_label_that_ran_out_is_bought_again_once() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    for (times, live, alarms) in [(1, "generated", 0), (2, "expired", 1)] {
        let tag = bought(&shop)[0].tag.clone().unwrap();
        shop.control().move_parcel(&tag, ParcelStep::Expire, SendWebhook::Once).unwrap();
        shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
        shipments::track(&shop.app).await.unwrap();
        rest(&shop).await;
        let expired: i64 = shop.sql("SELECT count(*) FROM shipments WHERE status = 'expired'").await;
        assert_eq!((expired, state(&shop, &order).await.as_str(), shop.alerted().await.len()), (times, live, alarms));
    }
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1));
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_that_emits_invoices_waits_for_the_key() {
    let nfe = [
        ("NFE_PROVIDER", "focusnfe"),
        ("NFE_API_KEY", "chave"),
        ("NFE_CNPJ", "11222333000181"),
        ("NFE_URL", "http://127.0.0.1:9"),
    ];
    let shop = shop_with(&nfe).await;
    let order = paid(&shop).await;
    shop.execute("UPDATE jobs SET state = 'done', finished_at = now() WHERE kind = 'invoice_order'").await;
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), shop.control().parcels().len()), ("pending", 0));
    assert!(matches!(shipments::buy(&shop.app, order.parse().unwrap()).await, Ok(Outcome::Again(_))));
    let key = "35261011222333000181550010000000011000000010";
    shop.execute(&format!(
        "INSERT INTO invoices (id, order_id, provider, environment, status, chave, total_cents, authorized_at)
         SELECT gen_random_uuid(), id, 'focusnfe', 'homologacao', 'authorized', '{key}', total_cents, now() FROM orders WHERE id = '{order}'"
    ))
    .await;
    assert_eq!(shipments::buy(&shop.app, order.parse().unwrap()).await.unwrap(), Outcome::Done);
    assert_eq!(bought(&shop)[0].invoice_key.as_deref(), Some(key));
    assert_eq!(bought(&shop)[0].sent["options"]["non_commercial"], false);
    shop.execute("DELETE FROM invoices").await; // they have no history
    shop.close().await;
}
