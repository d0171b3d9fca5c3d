use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::{DeliveryState, ParcelStatus, ParcelStep, SandboxConfig, SendWebhook, start};

use crate::harness::{Client, LIMIT, Shop, ask, config, sandbox, text};

const AGENT: &str = "Vitrine (oi@loja.test)";

fn call(client: &Client, method: Method, path: &str) -> RequestBuilder {
    let call = client.call(method, &format!("/melhorenvio/api/v2/me/{path}")).header("user-agent", AGENT);
    call.bearer_auth(SandboxConfig::default().melhorenvio_token)
}

async fn post(client: &Client, path: &str, body: Value) -> (u16, Value) {
    ask(call(client, Method::POST, path).json(&body)).await
}

async fn get(client: &Client, path: &str) -> (u16, Value) {
    ask(call(client, Method::GET, path)).await
}

fn place(document: Value) -> Value {
    let mut place = json!({"name": "Ana <b>Silva</b>", "phone": "21999990000", "email": "ana@example.com", "address": "Rua A", "number": "10",
        "district": "Centro", "city": "Rio de Janeiro", "state_abbr": "RJ", "country_id": "BR", "postal_code": "20040002"});
    place.as_object_mut().expect("an object").extend(document.as_object().expect("an object").clone());
    place
}

fn label(tag: &str) -> Value {
    json!({"service": 1, "from": place(json!({"company_document": "11222333000181", "postal_code": "01310100"})), "to": place(json!({"document": "52998224725"})),
        "products": [{"name": "Caneca", "quantity": 2, "unitary_value": 92.5}],
        "volumes": [{"height": 34, "width": 11, "length": 11, "weight": 0.6}],
        "options": {"insurance_value": 185.0, "receipt": false, "own_hand": false, "reverse": false, "non_commercial": true,
                    "platform": "Vitrine", "tags": [{"tag": tag, "url": "https://loja.test"}]}})
}

async fn in_cart(client: &Client, tag: &str) -> String {
    let (status, answer) = post(client, "cart", label(tag)).await;
    assert_eq!(status, 201, "{answer}");
    text(&answer["id"])
}

async fn bought(client: &Client, tag: &str) -> String {
    let id = in_cart(client, tag).await;
    assert_eq!(post(client, "shipment/checkout", json!({"orders": [id]})).await.0, 200);
    id
}

/// Bought and made.
async fn made(client: &Client, tag: &str) -> String {
    client.sandbox.control().set_label_takes(Duration::ZERO);
    let id = bought(client, tag).await;
    assert_eq!(post(client, "shipment/generate", json!({"orders": [id]})).await.0, 200);
    id
}

async fn status(client: &Client, id: &str) -> String {
    text(&get(client, &format!("orders/{id}")).await.1["status"])
}

#[actix_web::test]
async fn a_label_costs_what_was_quoted_and_nothing_before_it_is_paid() {
    let client = sandbox().await;
    let (_, before) = get(&client, "balance").await;
    let (status, answer) = post(&client, "cart", label("tag-1")).await;
    assert_eq!((status, &answer["price"], &answer["status"]), (201, &json!(23.37), &json!("pending")));
    assert_eq!(get(&client, "balance").await.1, before);
    let id = text(&answer["id"]);
    let (status, paid) = post(&client, "shipment/checkout", json!({"orders": [id]})).await;
    assert_eq!((status, &paid["purchase"]["status"], &paid["purchase"]["total"]), (200, &json!("paid"), &json!("23.37")));
    assert_eq!(get(&client, "balance").await.1["balance"], "99976.63");
    assert_eq!(post(&client, "shipment/checkout", json!({"orders": [id]})).await.0, 422, "it is not in the cart any more");
    assert_eq!(get(&client, "balance").await.1["balance"], "99976.63");
}

#[actix_web::test]
async fn the_same_label_put_in_twice_is_there_twice() {
    let client = sandbox().await;
    let (first, second) = (in_cart(&client, "tag-1").await, in_cart(&client, "tag-1").await);
    assert_ne!(first, second);
    let (_, cart) = get(&client, "cart").await;
    assert_eq!(cart["total"], 2);
    assert_eq!(get(&client, "orders/search?q=52998224725").await.0, 204, "the search does not look into the cart");
    assert_eq!(ask(call(&client, Method::DELETE, &format!("cart/{first}"))).await.0, 204);
    assert_eq!(ask(call(&client, Method::DELETE, &format!("cart/{first}"))).await.0, 404);
    assert_eq!(get(&client, &format!("orders/{first}")).await.0, 404);
    assert_eq!(post(&client, "shipment/checkout", json!({"orders": [second]})).await.0, 200);
    assert_eq!(get(&client, "orders/search?q=tag-1").await.0, 204, "a tag is not searched for");
    let (_, found) = get(&client, "orders/search?q=52998224725").await;
    assert_eq!((found[0]["id"].as_str(), found.as_array().map(Vec::len)), (Some(second.as_str()), Some(1)));
}

#[actix_web::test]
async fn what_is_missing_or_too_much_is_named() {
    let client = sandbox().await;
    let fields = async |body: Value| {
        let (status, answer) = post(&client, "cart", body).await;
        assert_eq!(status, 422, "{answer}");
        answer["errors"].as_object().expect("fields").keys().cloned().collect::<Vec<_>>()
    };
    let with = |path: &[&str], value: Value| {
        let mut body = label("t");
        let last = path.iter().fold(&mut body, |at, key| &mut at[*key]);
        *last = value;
        body
    };
    assert_eq!(fields(with(&["to", "document"], json!(""))).await, ["to.document"]);
    assert_eq!(fields(with(&["agency"], Value::Null)).await, ["agency"]);
    assert_eq!(fields(with(&["options", "non_commercial"], json!(false))).await, ["options.invoice.key"]);
    let box_ = json!({"height": 10, "width": 11, "length": 11, "weight": 0.6});
    assert_eq!(fields(with(&["volumes"], json!([box_, box_]))).await, ["volumes"], "Correios takes one");
    assert_eq!(fields(with(&["service"], json!(99))).await, ["service"]);
    assert_eq!(fields(with(&["to", "postal_code"], json!("00000000"))).await, ["service"]);
    let mut two = with(&["volumes"], json!([box_, box_]));
    two["service"] = json!(3);
    assert_eq!(post(&client, "cart", two).await.0, 201, "Jadlog takes two");
}

#[actix_web::test]
async fn an_empty_purse_buys_nothing() {
    let client = sandbox().await;
    let id = in_cart(&client, "tag-1").await;
    client.sandbox.control().set_label_balance(2_336);
    let (code, answer) = post(&client, "shipment/checkout", json!({"orders": [id]})).await;
    assert_eq!((code, answer["errors"]["balance"].is_array()), (422, true));
    assert_eq!(status(&client, &id).await, "pending");
    client.sandbox.control().set_label_balance(2_337);
    assert_eq!(post(&client, "shipment/checkout", json!({"orders": [id]})).await.0, 200);
}

#[actix_web::test]
async fn a_label_is_made_after_a_while_and_printed_for_a_person() {
    let client = sandbox().await;
    client.sandbox.control().set_label_takes(Duration::from_secs(3600));
    let id = bought(&client, "tag-1").await;
    let (_, answer) = post(&client, "shipment/generate", json!({"orders": [id]})).await;
    assert_eq!(answer[&id]["status"], true);
    let (_, again) = post(&client, "shipment/generate", json!({"orders": [id]})).await;
    assert_eq!(again[&id]["status"], false);
    assert_eq!(status(&client, &id).await, "released");
    assert_eq!(post(&client, "shipment/print", json!({"mode": "public", "orders": [id]})).await.0, 422);
    client.sandbox.control().move_parcel(&id, ParcelStep::Generate, SendWebhook::Once).expect("paid");
    let (_, link) = post(&client, "shipment/print", json!({"mode": "public", "orders": [id]})).await;
    let page = client.http.get(text(&link["url"])).send().await.expect("an answer").text().await.expect("text");
    let tracking = client.sandbox.control().parcel("tag-1").and_then(|p| p.tracking).expect("a number");
    assert!(tracking.starts_with("ME") && tracking.ends_with("BR") && tracking.len() == 13, "{tracking}");
    for shown in [tracking.as_str(), "Ana &lt;b&gt;Silva", "20040-002", "Declaração de conteúdo", "Caneca"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(!page.contains("{{") && !page.contains("<b>Silva"));
}

#[actix_web::test]
async fn the_shop_is_told_of_every_step_and_the_signature_is_right() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    made(&client, "tag-1").await;
    for step in [ParcelStep::Post, ParcelStep::OutForDelivery, ParcelStep::Return, ParcelStep::Deliver] {
        assert!(control.settled(LIMIT).await);
        control.move_parcel("tag-1", step, SendWebhook::Once).expect("in order");
    }
    assert!(control.settled(LIMIT).await);
    let told = shop.told();
    let events: Vec<String> = told.iter().map(|one| text(&one.json()["event"])).collect();
    let steps = ["created", "released", "generated", "posted", "undelivered", "delivered"];
    assert_eq!(events, steps.map(|step| format!("order.{step}")));
    assert!(told.iter().all(|one| one.path == "/api/webhooks/melhorenvio"));
    let last = told.last().expect("several");
    assert_eq!(last.headers["x-me-signature"], signature(&last.body));
    assert_eq!(last.json()["data"]["tags"], json!([{"tag": "tag-1", "url": "https://loja.test"}]));
    let scans: Vec<String> =
        control.parcel("tag-1").expect("there").scans.iter().map(|s| format!("{}{}", s.code, s.kind)).collect();
    assert_eq!(scans, ["PO01", "OEC01", "BDE20", "BDE01"]);
}

fn signature(body: &str) -> String {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let secret = SandboxConfig::default().melhorenvio_webhook_secret.expect("set");
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[actix_web::test]
async fn a_parcel_travels_by_itself_where_a_pace_is_set() {
    let cfg = SandboxConfig { parcel_pace: Some(Duration::from_millis(40)), label_takes: Duration::ZERO, ..config() };
    let client = Client::new(start(cfg).await.expect("a free port"));
    let id = bought(&client, "tag-1").await;
    post(&client, "shipment/generate", json!({"orders": [id]})).await;
    let delivered = client
        .sandbox
        .control()
        .wait_for(LIMIT, |books| books.parcels().iter().find(|p| p.status == ParcelStatus::Delivered).map(|p| p.scans.len()));
    assert_eq!(delivered.await, Some(3));
}

#[actix_web::test]
async fn a_label_is_given_back_until_it_is_posted() {
    let client = sandbox().await;
    let (id, other) = (made(&client, "tag-1").await, made(&client, "tag-2").await);
    let cancel = async |id: &str| {
        post(&client, "shipment/cancel", json!({"order": {"id": id, "reason_id": "2", "description": "x"}})).await.1
    };
    assert_eq!(post(&client, "shipment/cancellable", json!({"orders": [id]})).await.1[&id]["cancellable"], true);
    for _ in 0..2 {
        assert_eq!(cancel(&id).await[&id]["canceled"], true);
    }
    assert_eq!(get(&client, "balance").await.1["balance"], "99976.63", "the money of one is back");
    client.sandbox.control().move_parcel(&other, ParcelStep::Post, SendWebhook::Once).expect("made");
    assert_eq!(post(&client, "shipment/cancellable", json!({"orders": [other]})).await.1[&other]["cancellable"], false);
    assert_eq!(cancel(&other).await[&other]["canceled"], false);
    let (_, tracked) = post(&client, "shipment/tracking", json!({"orders": [id, other, "nobody"]})).await;
    assert_eq!((tracked[&id]["status"].as_str(), tracked[&other]["status"].as_str()), (Some("canceled"), Some("posted")));
    assert_eq!(tracked.as_object().map(serde_json::Map::len), Some(2));
}

#[actix_web::test]
async fn a_person_sees_the_parcels_and_moves_them() {
    let client = sandbox().await;
    let id = made(&client, "tag-1").await;
    let (_, page) = (0, client.call(Method::GET, "/").send().await.expect("an answer").text().await.expect("text"));
    assert!(page.contains(&format!("data-act=\"parcel\" data-step=\"post\" data-id=\"{id}\"")));
    assert!(page.contains(&format!("href=\"/melhorenvio/labels/{id}\"")));
    let step = json!({"id": id, "step": "post"});
    let (code, moved) = ask(client.call(Method::POST, "/control/parcel").json(&step)).await;
    assert_eq!((code, &moved["status"]), (200, &json!("posted")));
    assert_eq!(ask(client.call(Method::POST, "/control/parcel").json(&step)).await.0, 422);
    let (_, books) = ask(client.call(Method::GET, "/control/books")).await;
    assert_eq!((&books["parcels"][0]["tag"], &books["parcels"][0]["price_cents"]), (&json!("tag-1"), &json!(2337)));
}

#[actix_web::test]
async fn news_are_lost_and_lied_about_as_ordered() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = made(&client, "tag-1").await;
    control.move_parcel(&id, ParcelStep::Post, SendWebhook::Lost).expect("made");
    control.send_parcel_webhook(&id, "order.delivered", SendWebhook::Twice).expect("known");
    assert!(control.settled(LIMIT).await);
    let lost = control.deliveries().iter().filter(|d| d.state == DeliveryState::Lost).count();
    let events: Vec<String> = shop.told().iter().map(|one| text(&one.json()["event"])).collect();
    assert_eq!((lost, events.iter().filter(|e| *e == "order.delivered").count()), (1, 2));
    assert!(!events.contains(&"order.posted".to_owned()));
}

#[actix_web::test]
async fn without_a_registered_address_nobody_is_told() {
    let cfg = SandboxConfig { melhorenvio_webhook_secret: None, ..config() };
    let client = Client::new(start(cfg).await.expect("a free port"));
    made(&client, "tag-1").await;
    assert_eq!(client.sandbox.control().deliveries(), []);
}
