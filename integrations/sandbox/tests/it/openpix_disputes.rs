//! OpenPix's disputes: what is told, what is read, what is sent to them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::{AmountForm, DisputeStatus, MoveDispute, Nature, NewDispute, Pay, SandboxConfig, SendWebhook, TakeBack};

use crate::harness::{Client, LIMIT, Shop, ask, sandbox, text};

/// As their documents show it.
const EVENT: &str = include_str!("../../../openpix/fixtures/dispute_event.json");

impl Client {
    fn openpix_dispute(&self, method: Method, path: &str) -> RequestBuilder {
        let app_id = SandboxConfig::default().openpix_app_id;
        self.call(method, &format!("/openpix/api/v1/dispute{path}")).header("authorization", app_id)
    }

    async fn read_dispute(&self, id: &str) -> (u16, Value) {
        ask(self.openpix_dispute(Method::GET, &format!("/{id}"))).await
    }
}

/// A paid charge: its correlationID and its end-to-end id.
async fn paid(client: &Client, cents: i64) -> (String, String) {
    let id = client.openpix_charge(cents).await;
    let charge = client.sandbox.control().pay(Pay::of(&id)).expect("payable");
    (id, charge.end_to_end_id.expect("paid"))
}

fn fields(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

#[actix_web::test]
async fn a_dispute_is_told_of_its_pix_alone_and_read_by_it() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let (id, e2eid) = paid(&client, 18_500).await;
    assert_eq!(client.read_dispute(&e2eid).await, (400, json!({"error": "Dispute not found"})));
    assert!(control.settled(LIMIT).await);
    let dispute = control.dispute(&id).expect("paid");
    assert!(control.settled(LIMIT).await);

    let told = shop.told().last().expect("told").json();
    let sample: Value = serde_json::from_str(EVENT).expect("JSON");
    assert_eq!((fields(&told), &told["event"]), (fields(&sample), &sample["event"]));
    let mut object = told["dispute"].clone();
    assert_eq!(object["id"], json!(dispute.id), "their name for it, which evidence needs");
    object.as_object_mut().expect("an object").remove("id");
    assert_eq!(fields(&object), fields(&sample["dispute"]));
    assert_eq!((&object["status"], &object["endToEndId"]), (&json!("OPENED"), &json!(e2eid)));
    assert_eq!((&object["value"], &object["name"]), (&json!(18_500), &json!("Ana Silva")));
    assert!(!shop.told().last().expect("told").body.contains(&id), "no correlationID");

    for name in [&e2eid, &dispute.id] {
        let (status, answer) = client.read_dispute(name).await;
        let read = &answer["dispute"];
        assert_eq!((status, &read["status"], &read["type"]), (200, &json!("CREATED"), &json!("MED")));
        assert_eq!((&read["value"], &read["endToEndId"]), (&json!(18_500), &json!(e2eid)));
        assert_eq!(read["disputeReason"], "Golpe");
    }
    assert!(control.dispute(&id).is_err(), "one at a time");
    assert!(control.open_dispute(&NewDispute::of(&id).inquiry()).is_err());
}

#[actix_web::test]
async fn a_settled_pix_says_what_charge_it_paid() {
    const TRANSACTION: &str = include_str!("../../../openpix/fixtures/transaction.json");
    let client = sandbox().await;
    let (id, e2eid) = paid(&client, 18_500).await;
    let read = async |name: &str| {
        let app_id = SandboxConfig::default().openpix_app_id;
        let path = format!("/openpix/api/v1/transaction/{name}");
        ask(client.call(Method::GET, &path).header("authorization", app_id)).await
    };
    let sample: Value = serde_json::from_str(TRANSACTION).expect("JSON");
    let txid = client.sandbox.control().charge(&id).expect("known").txid;
    for name in [&e2eid, &txid] {
        let (status, answer) = read(name).await;
        let transaction = &answer["transaction"];
        assert_eq!((status, fields(transaction)), (200, fields(&sample["transaction"])));
        assert_eq!(fields(&transaction["charge"]), fields(&sample["transaction"]["charge"]));
        assert_eq!((&transaction["charge"]["correlationID"], &transaction["endToEndId"]), (&json!(id), &json!(e2eid)));
        assert_eq!(transaction["value"], 18_500);
    }
    let unpaid = client.openpix_charge(100).await;
    let txid = client.sandbox.control().charge(&unpaid).expect("known").txid;
    for name in [txid.as_str(), "E99999999202611301200aaaaaaaaaaa"] {
        assert_eq!(read(name).await, (400, json!({"error": "Transaction not found"})));
    }
}

#[actix_web::test]
async fn each_result_has_its_word_and_only_an_accepted_one_moves_money() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    for (end, word, moved) in [
        (DisputeStatus::Lost, "ACCEPTED", vec![-1_000]),
        (DisputeStatus::Won, "REJECTED", vec![]),
        (DisputeStatus::Canceled, "CANCELED", vec![]),
    ] {
        let (id, e2eid) = paid(&client, 1_000).await;
        control.dispute(&id).expect("paid");
        let review = MoveDispute::to(&id, DisputeStatus::UnderReview);
        control.move_dispute(&review).expect("open");
        assert!(control.settled(LIMIT).await);
        let told = shop.told().last().expect("told").json();
        assert_eq!((&told["event"], &told["dispute"]["status"]), (&json!("OPENPIX:DISPUTE_CREATED"), &json!("IN_REVIEW")));
        assert_eq!(client.read_dispute(&e2eid).await.1["dispute"]["status"], "IN_REVIEW");
        control.close_dispute(&id, end).expect("open");
        assert!(control.settled(LIMIT).await);
        let told = shop.told().last().expect("told").json();
        assert_eq!((&told["event"], &told["dispute"]["status"]), (&json!(format!("OPENPIX:DISPUTE_{word}")), &json!(word)));
        assert_eq!(client.read_dispute(&e2eid).await.1["dispute"]["status"], word);
        assert_eq!(control.disputes().last().map(|dispute| dispute.moved_cents.clone()), Some(moved));
        assert!(control.close_dispute(&id, DisputeStatus::Won).is_err(), "it is over");
        let refund = json!({"correlationID": uuid::Uuid::now_v7(), "value": 1_000});
        let (status, _) = ask(client.openpix(Method::POST, &format!("/{id}/refund")).json(&refund)).await;
        assert_eq!(status, if word == "ACCEPTED" { 400 } else { 200 }, "what the payer has cannot be given back");
    }
}

#[actix_web::test]
async fn what_a_dispute_holds_goes_back_by_the_bank_alone_and_no_more_goes_back_than_came() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let refund = async |id: &str, cents: i64| {
        let body = json!({"correlationID": uuid::Uuid::now_v7(), "value": cents});
        ask(client.openpix(Method::POST, &format!("/{id}/refund")).json(&body)).await.0
    };
    let (id, _) = paid(&client, 1_000).await;
    control.open_dispute(&NewDispute::of(&id).amount_cents(600)).expect("paid");
    assert_eq!((refund(&id, 401).await, refund(&id, 400).await), (400, 200), "the rest is the shop's");
    assert!(control.take_back_as(&TakeBack::of(&id, "painel", 1).nature(Nature::Original)).is_err(), "on their pages neither");
    control.take_back(&id, "MED1", 250).expect("the bank takes a part at once");
    control.close_dispute(&id, DisputeStatus::Lost).expect("open");
    assert_eq!(control.disputes()[0].moved_cents, [-350], "and the rest at the end");
    assert_eq!(refund(&id, 1).await, 400);

    let (id, _) = paid(&client, 1_000).await;
    control.dispute(&id).expect("paid");
    assert_eq!(refund(&id, 1_000).await, 400);
    control.close_dispute(&id, DisputeStatus::Won).expect("open");
    assert_eq!(refund(&id, 1_000).await, 200);
}

#[actix_web::test]
async fn amounts_come_as_numbers_as_text_or_not_at_all() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    for (form, value) in [(AmountForm::Number, json!(700)), (AmountForm::Text, json!("700")), (AmountForm::Absent, Value::Null)] {
        let (id, e2eid) = paid(&client, 1_000).await;
        control.open_dispute(&NewDispute::of(&id).amount_cents(700).form(form)).expect("paid");
        assert!(control.settled(LIMIT).await);
        assert_eq!(shop.told().last().expect("told").json()["dispute"]["value"], value);
        assert_eq!(client.read_dispute(&e2eid).await.1["dispute"]["value"], value);
        let (_, list) = ask(client.openpix_dispute(Method::GET, "?limit=1")).await;
        assert_eq!((&list["disputes"][0]["value"], &list["disputes"][0]["endToEndId"]), (&value, &json!(e2eid)));
    }
}

#[actix_web::test]
async fn disputes_are_listed_in_pages_the_newest_first() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (id, e2eid) = paid(&client, 1_000).await;
        control.open_dispute(&NewDispute::of(&id).webhook(SendWebhook::Lost)).expect("paid");
        ids.push(json!(e2eid));
    }
    control.dispute(&client.paid_intent("1000").await).expect("Stripe's");
    let list = |query: &'static str| ask(client.openpix_dispute(Method::GET, query));
    let of = |answer: &Value| {
        answer["disputes"].as_array().expect("a list").iter().map(|d| d["endToEndId"].clone()).collect::<Vec<_>>()
    };
    let (_, first) = list("?skip=0&limit=2").await;
    assert_eq!(of(&first), [ids[2].clone(), ids[1].clone()]);
    assert_eq!(first["pageInfo"], json!({"skip": 0, "limit": 2, "hasPreviousPage": false, "hasNextPage": true}));
    let (_, second) = list("?skip=2&limit=2").await;
    assert_eq!((of(&second), &second["pageInfo"]["hasNextPage"]), (vec![ids[0].clone()], &json!(false)));
    assert_eq!(of(&list("?end=2020-01-01T00:00:00Z").await.1), [] as [Value; 0]);
    assert_eq!(of(&list("?start=2020-01-01T00:00:00Z").await.1).len(), 3);
    assert_eq!((&first["disputes"][0]["status"], &first["disputes"][0]["type"]), (&json!("IN_REVIEW"), &json!("MED")));
    let at = text(&first["disputes"][0]["createdAt"]);
    assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
}

#[actix_web::test]
async fn evidence_is_taken_by_their_id_while_the_dispute_is_open() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let (id, e2eid) = paid(&client, 1_000).await;
    let dispute = control.dispute(&id).expect("paid");
    let document = json!({"url": "https://loja.test/nota.pdf", "description": "Nota fiscal", "correlationID": "doc-1"});
    let send = |of: &str, body: Value| ask(client.openpix_dispute(Method::POST, &format!("/{of}/evidence")).json(&body));
    let (status, answer) = send(&dispute.id, json!({"documents": [document]})).await;
    let made = &answer["documents"][0];
    assert_eq!((status, &made["description"], &made["correlationID"]), (200, &json!("Nota fiscal"), &json!("doc-1")), "{answer}");
    assert_ne!(made["url"], document["url"], "a copy of theirs");
    let kept = &control.disputes()[0].documents;
    assert_eq!((kept.len(), kept[0].url.as_str(), kept[0].correlation_id.as_str()), (1, "https://loja.test/nota.pdf", "doc-1"));
    assert_eq!(send(&e2eid, json!({"documents": [document]})).await, (400, json!({"error": "Dispute not found"})));
    for wrong in [json!({"documents": []}), json!({"documents": [{"url": ""}]}), json!({})] {
        assert_eq!(send(&dispute.id, wrong).await.0, 400);
    }
    control.close_dispute(&dispute.id, DisputeStatus::Lost).expect("open");
    let (status, answer) = send(&dispute.id, json!({"documents": [document]})).await;
    assert_eq!((status, &answer["error"]), (400, &json!("No evidence is taken for a dispute that is accepted")));
}

#[actix_web::test]
async fn an_event_is_told_again_and_all_is_led_over_http() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let (id, _) = paid(&client, 1_000).await;
    let post = |path: &str, body: Value| ask(client.call(Method::POST, &format!("/control{path}")).json(&body));
    let (status, made) = post("/dispute", json!({"payment_id": id, "form": "text", "reason": "Produto não recebido"})).await;
    assert_eq!((status, &made["provider"], &made["form"]), (200, &json!("openpix"), &json!("text")));
    let (status, _) = post("/webhook", json!({"payment_id": id, "event": "OPENPIX:DISPUTE_CREATED"})).await;
    assert_eq!(status, 200);
    let (_, moved) = post("/dispute/move", json!({"payment_id": id, "status": "lost", "webhook": "lost"})).await;
    assert_eq!((&moved["status"], &moved["moved_cents"]), (&json!("lost"), &json!([-1_000])));
    assert!(control.settled(LIMIT).await);
    let bodies: Vec<Value> = shop.told().iter().skip(1).map(|told| told.json()["dispute"]["disputeReason"].clone()).collect();
    assert_eq!(bodies, [json!("Produto não recebido"), json!("Produto não recebido")]);
    let (_, books) = ask(client.call(Method::GET, "/control/books")).await;
    assert_eq!((&books["disputes"][0]["status"], &books["disputes"][0]["moved_cents"]), (&json!("lost"), &json!([-1_000])));
}
