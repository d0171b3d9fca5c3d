//! Stripe's inquiries and chargebacks, one by one.

use reqwest::Method;
use serde_json::{Value, json};
use vitrine_sandbox::{DisputeStatus, MoveDispute, NewDispute, Pay, RefundOrigin, SendWebhook};

use crate::harness::{Client, LIMIT, Shop, ask, sandbox, text};
use crate::stripe::code;

async fn paid(client: &Client, shop: &Shop, cents: &str) -> String {
    client.sandbox.set_shop_url(&shop.url);
    let id = client.paid_intent(cents).await;
    assert!(client.sandbox.control().settled(LIMIT).await);
    id
}

/// What was told since then: the types in their order where each was awaited, sorted where several went at once.
async fn told_since(client: &Client, shop: &Shop, from: &mut usize) -> Vec<String> {
    assert!(client.sandbox.control().settled(LIMIT).await);
    let mut types: Vec<String> = shop.told()[*from..].iter().map(|told| text(&told.json()["type"])).collect();
    *from += types.len();
    types.sort();
    types
}

async fn read(client: &Client, id: &str) -> Value {
    let (status, dispute) = client.stripe_get(&format!("/disputes/{id}")).await;
    assert_eq!(status, 200, "{dispute}");
    dispute
}

#[actix_web::test]
async fn an_inquiry_moves_nothing_may_be_refunded_and_closes() {
    let (client, shop) = (sandbox().await, Shop::open());
    let control = client.sandbox.control();
    let id = paid(&client, &shop, "1000").await;
    let mut seen = shop.told().len();
    let inquiry = control.open_dispute(&NewDispute::of(&id).inquiry().reason("product_not_received")).expect("paid");
    assert_eq!(told_since(&client, &shop, &mut seen).await, ["charge.dispute.created"]);
    let object = read(&client, &inquiry.id).await;
    assert_eq!((&object["status"], &object["reason"]), (&json!("warning_needs_response"), &json!("product_not_received")));
    assert_eq!((&object["balance_transactions"], &object["is_charge_refundable"]), (&json!([]), &json!(true)));
    assert_eq!(object["payment_method_details"]["card"]["case_type"], "inquiry");
    assert!(object["evidence_details"]["due_by"].as_i64().expect("seconds") > jiff::Timestamp::now().as_second());

    control.take_back(&id, "", 400).expect("in the dashboard");
    assert_eq!(told_since(&client, &shop, &mut seen).await, ["charge.refunded", "refund.created", "refund.updated"]);
    let (_, refunds) = client.stripe_get(&format!("/refunds?payment_intent={id}")).await;
    assert_eq!((&refunds["data"][0]["amount"], &refunds["data"][0]["metadata"]), (&json!(400), &json!({})));
    assert_eq!(control.refunds()[0].origin, RefundOrigin::Dashboard);

    control.move_dispute(&MoveDispute::to(&id, DisputeStatus::WarningUnderReview)).expect("open");
    assert_eq!(told_since(&client, &shop, &mut seen).await, ["charge.dispute.updated"]);
    control.move_dispute(&MoveDispute::to(&inquiry.id, DisputeStatus::WarningClosed)).expect("open");
    assert_eq!(told_since(&client, &shop, &mut seen).await, ["charge.dispute.closed"]);
    let object = read(&client, &inquiry.id).await;
    assert_eq!((&object["status"], &object["balance_transactions"]), (&json!("warning_closed"), &json!([])));
    assert!(control.move_dispute(&MoveDispute::to(&inquiry.id, DisputeStatus::Lost)).is_err(), "it is over");
}

#[actix_web::test]
async fn an_inquiry_that_becomes_a_chargeback_takes_the_money_and_may_give_it_back() {
    let (client, shop) = (sandbox().await, Shop::open());
    let control = client.sandbox.control();
    let id = paid(&client, &shop, "1000").await;
    let mut seen = shop.told().len();
    let dispute = control.open_dispute(&NewDispute::of(&id).inquiry()).expect("paid");
    control.move_dispute(&MoveDispute::to(&dispute.id, DisputeStatus::NeedsResponse)).expect("open");
    let types = told_since(&client, &shop, &mut seen).await;
    assert_eq!(types, ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.updated"]);
    let (status, answer) = client.stripe_post("/refunds", &[("payment_intent", &id)]).await;
    assert_eq!((status, code(&answer)), (400, &json!("charge_disputed")));
    assert!(control.take_back(&id, "", 100).is_err(), "nor in the dashboard");
    for (step, amounts, types) in [
        (DisputeStatus::UnderReview, json!([-1_000]), vec!["charge.dispute.updated"]),
        (DisputeStatus::Lost, json!([-1_000]), vec!["charge.dispute.closed"]),
        (DisputeStatus::Won, json!([-1_000, 1_000]), vec!["charge.dispute.closed", "charge.dispute.funds_reinstated"]),
    ] {
        control.move_dispute(&MoveDispute::to(&dispute.id, step)).expect("a step");
        assert_eq!(told_since(&client, &shop, &mut seen).await, types, "{step:?}");
        let moved = read(&client, &dispute.id).await["balance_transactions"].clone();
        let moved: Vec<Value> = moved.as_array().expect("a list").iter().map(|one| one["amount"].clone()).collect();
        assert_eq!(json!(moved), amounts, "{step:?}");
    }
    assert_eq!(client.stripe_post("/refunds", &[("payment_intent", &id)]).await.0, 200, "the money is the shop's again");
}

#[actix_web::test]
async fn a_charge_can_be_disputed_twice_in_parts_and_each_has_its_own_end() {
    let (client, shop) = (sandbox().await, Shop::open());
    let control = client.sandbox.control();
    let id = paid(&client, &shop, "1000").await;
    let first = control.open_dispute(&NewDispute::of(&id).amount_cents(300)).expect("paid");
    let second = control.open_dispute(&NewDispute::of(&id).amount_cents(700).webhook(SendWebhook::Lost)).expect("the rest");
    assert!(control.open_dispute(&NewDispute::of(&id).amount_cents(1)).is_err(), "there is no more");
    assert_ne!(first.id, second.id);
    control.close_dispute(&first.id, DisputeStatus::Won).expect("open");
    control.close_dispute(&second.id, DisputeStatus::Lost).expect("open");
    assert!(control.settled(LIMIT).await);
    let kept: Vec<_> = control.disputes().into_iter().map(|d| (d.id, d.status, d.amount_cents, d.moved_cents)).collect();
    assert_eq!(
        kept,
        [(first.id.clone(), DisputeStatus::Won, 300, vec![-300, 300]), (second.id.clone(), DisputeStatus::Lost, 700, vec![-700])]
    );
    let charge = text(&client.stripe_get(&format!("/payment_intents/{id}")).await.1["latest_charge"]);
    for query in [format!("?payment_intent={id}"), format!("?charge={charge}"), "?created[gte]=1".into(), String::new()] {
        let (_, list) = client.stripe_get(&format!("/disputes{query}")).await;
        let ids: Vec<&Value> = list["data"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, [&json!(second.id), &json!(first.id)], "{query}: the newest first");
    }
    let (_, page) = client.stripe_get("/disputes?limit=1").await;
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(second.id), &json!(true)));
    let (_, page) = client.stripe_get(&format!("/disputes?limit=1&starting_after={}", second.id)).await;
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(first.id), &json!(false)));
    assert_eq!(client.stripe_get("/disputes?created[lt]=1").await.1["data"], json!([]));
    assert_eq!(client.stripe_get("/disputes/du_none").await.0, 404);
    let told: Vec<Value> = shop.told().iter().map(|told| told.json()["data"]["object"].clone()).collect();
    let of = |id: &str| told.iter().filter(|object| object["id"] == id).count();
    assert_eq!((of(&first.id), of(&second.id)), (4, 1), "created, withdrawn, closed, reinstated; closed");
}

#[actix_web::test]
async fn a_dispute_may_be_prevented_with_and_without_the_money_and_stand_beside_a_refund() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let shown = async |id: &str| {
        let object = read(&client, id).await;
        let moved: Vec<Value> =
            object["balance_transactions"].as_array().expect("a list").iter().map(|m| m["amount"].clone()).collect();
        (text(&object["status"]), json!(moved))
    };
    let id = client.paid_intent("1000").await;
    let inquiry = control.open_dispute(&NewDispute::of(&id).inquiry()).expect("paid");
    control.move_dispute(&MoveDispute::to(&inquiry.id, DisputeStatus::Prevented)).expect("open");
    assert_eq!(shown(&inquiry.id).await, ("prevented".into(), json!([])));

    client.stripe_post("/refunds", &[("payment_intent", &id), ("amount", "900")]).await;
    assert_eq!(control.dispute(&id).expect("a part is left").amount_cents, 100);
    let whole = control.open_dispute(&NewDispute::of(&id).amount_cents(900)).expect("in spite of the refund");
    let kept = MoveDispute::to(&whole.id, DisputeStatus::Prevented).moved_cents(&[-900]);
    control.move_dispute(&kept).expect("open");
    assert_eq!(shown(&whole.id).await, ("prevented".into(), json!([-900])));
    let (_, charge) = client.stripe_get(&format!("/payment_intents/{id}?expand[]=latest_charge")).await;
    assert_eq!(charge["latest_charge"]["disputed"], true);
}

#[actix_web::test]
async fn disputes_are_led_over_http_and_stand_in_the_books_one_by_one() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let post = |path: &str, body: Value| ask(client.call(Method::POST, &format!("/control/dispute{path}")).json(&body));
    let id = client.paid_intent("1000").await;
    let body = json!({"txid": id, "amount_cents": 400, "inquiry": true, "reason": "duplicate", "webhook": "lost"});
    let (status, inquiry) = post("", body).await;
    assert_eq!((status, &inquiry["status"], &inquiry["amount_cents"]), (200, &json!("warning_needs_response"), &json!(400)));
    let (_, second) = post("", json!({"txid": id})).await;
    assert_eq!((&second["status"], &second["amount_cents"]), (&json!("needs_response"), &json!(600)));
    let (status, moved) = post("/move", json!({"dispute_id": inquiry["id"], "status": "under_review"})).await;
    assert_eq!((status, &moved["status"], &moved["moved_cents"]), (200, &json!("under_review"), &json!([-400])));
    assert_eq!(post("/move", json!({"dispute_id": inquiry["id"], "status": "canceled"})).await.0, 422, "not a word of Stripe's");
    assert_eq!(post("/close", json!({"txid": id, "status": "lost"})).await.1["id"], second["id"], "the charge's last one");
    let (_, list) = ask(client.call(Method::GET, "/control/disputes")).await;
    assert_eq!(list, ask(client.call(Method::GET, "/control/books")).await.1["disputes"]);
    let seen: Vec<_> = list.as_array().expect("a list").iter().map(|one| (&one["status"], &one["moved_cents"])).collect();
    assert_eq!(seen, [(&json!("under_review"), &json!([-400])), (&json!("lost"), &json!([-600]))]);
    let pix = client.paid_charge(100).await;
    assert_eq!(post("", json!({"payment_id": pix})).await.0, 422);
    assert_eq!(control.disputes().len(), 2);
}

#[actix_web::test]
async fn the_methods_that_an_intent_allows_are_known_and_those_of_old_versions_are_not() {
    let client = sandbox().await;
    let new = |more: &'static [(&'static str, &'static str)]| {
        let form: Vec<_> = [("amount", "1000"), ("currency", "brl")].iter().chain(more).copied().collect();
        let call = client.stripe(Method::POST, "/payment_intents").form(&form);
        async move { ask(call).await }
    };
    for name in ["allowed_payment_method_types[]", "allowed_payment_method_types[0]"] {
        let form = [("amount", "1000"), ("currency", "brl"), (name, "card")];
        let (status, intent) = ask(client.stripe(Method::POST, "/payment_intents").form(&form)).await;
        assert_eq!((status, &intent["allowed_payment_method_types"]), (200, &json!(["card"])), "{intent}");
        assert_eq!(intent["payment_method_types"], json!(["card"]));
    }
    let (_, intent) = new(&[("allowed_payment_method_types[]", "card"), ("allowed_payment_method_types[]", "boleto")]).await;
    assert_eq!(intent["payment_method_types"], json!(["card", "boleto"]));
    assert_eq!(new(&[]).await.1["allowed_payment_method_types"], Value::Null);
    assert_eq!(new(&[("excluded_payment_method_types[]", "boleto")]).await.0, 200);
    assert_eq!(new(&[("allowed_payment_method_types[]", "cheque")]).await.0, 400);
    let (status, answer) = new(&[("payment_method_types[]", "card")]).await;
    assert_eq!((status, code(&answer)), (400, &json!("parameter_unknown")));
    let paid = text(&intent["id"]);
    client.sandbox.control().pay(Pay::of(&paid)).expect("payable");
}
