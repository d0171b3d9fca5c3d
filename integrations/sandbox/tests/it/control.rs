use reqwest::Method;
use serde_json::json;

use crate::harness::{LIMIT, Shop, ask, sandbox, text};

#[actix_web::test]
async fn everything_can_be_done_over_http() {
    let (client, shop) = (sandbox().await, Shop::open());
    let post = |path: &str, body: serde_json::Value| ask(client.call(Method::POST, path).json(&body));
    assert_eq!(post("/control/shop", json!({"url": shop.url})).await.0, 204);
    let id = client.charge(1_000).await;
    let (_, charge) = ask(client.call(Method::GET, &format!("/control/charges/{id}"))).await;

    let (status, paid) =
        post("/control/pay", json!({"order_id": charge["order_id"], "amount_cents": 900, "webhook": "twice"})).await;
    assert_eq!((status, &paid["status"], &paid["paid_cents"]), (200, &json!("paid"), &json!(900)));
    assert_eq!(post("/control/pay", json!({"txid": charge["txid"]})).await.0, 409);
    assert_eq!(post("/control/pay", json!({"payment_id": "none"})).await.0, 404);
    assert_eq!(post("/control/pay", json!({})).await.0, 422);

    let other = client.charge(500).await;
    assert_eq!(post("/control/expire", json!({"payment_id": other})).await.1["status"], "expired");
    assert_eq!(post("/control/pay", json!({"payment_id": other})).await.0, 409);
    assert_eq!(post("/control/pay", json!({"payment_id": other, "force": true, "webhook": "lost"})).await.0, 200);
    assert_eq!(post("/control/webhook", json!({"payment_id": other, "event": "payment.paid"})).await.0, 200);
    let (status, raw) = post("/control/webhook/raw", json!({"path": "/hook", "headers": {}, "body": "x"})).await;
    assert_eq!((status, &raw["status"]), (200, &json!(200)));
    assert!(client.sandbox.control().settled(LIMIT).await);
    assert_eq!(shop.told().len(), 5); // paid twice, expired, paid again, raw

    let (_, state) = ask(client.call(Method::GET, "/control/state")).await;
    assert_eq!(state["charges"].as_array().map(Vec::len), Some(2));
    assert_eq!(state["deliveries"].as_array().map(Vec::len), Some(5));
    assert_eq!(state["calls"], json!({"propay": {"POST /propay/v1/payments": 2}}));
    assert_eq!(state["shop_url"], shop.url);
}

#[actix_web::test]
async fn faults_are_ordered_and_withdrawn_over_http() {
    let client = sandbox().await;
    let order = |body: serde_json::Value| ask(client.call(Method::POST, "/control/fault").json(&body));
    assert_eq!(order(json!({"provider": "propay", "kind": "status", "code": 502, "count": 2})).await.0, 200);
    assert_eq!(order(json!({"provider": "viacep", "kind": "drop_before", "path_contains": "0100"})).await.0, 200);
    assert_eq!(order(json!({"provider": "propay", "kind": "status"})).await.0, 422);
    assert_eq!(order(json!({"provider": "propay", "kind": "nonsense"})).await.0, 422);
    assert_eq!(order(json!({"provider": "nobody", "kind": "hang"})).await.0, 422);
    assert_eq!(ask(client.propay(Method::GET, "/v1/payments/x")).await.0, 502);
    let (_, state) = ask(client.call(Method::GET, "/control/state")).await;
    assert_eq!(
        state["faults"],
        json!([
            {"provider": "propay", "kind": "status", "code": 502, "ms": null, "count": 1, "path_contains": null},
            {"provider": "viacep", "kind": "drop_before", "code": null, "ms": null, "count": 1, "path_contains": "0100"},
        ])
    );
    assert_eq!(ask(client.call(Method::DELETE, "/control/fault")).await.0, 204);
    assert_eq!(ask(client.propay(Method::GET, "/v1/payments/x")).await.0, 404);
}

/// A form of a foreign page cannot send JSON without asking first, and nobody answers that question.
#[actix_web::test]
async fn a_foreign_page_cannot_pay() {
    let client = sandbox().await;
    let id = client.charge(100).await;
    let body = json!({"payment_id": id}).to_string();
    let call = client.call(Method::POST, "/control/pay").header("content-type", "text/plain").body(body);
    assert_eq!(ask(call).await.0, 422);
    assert_eq!(client.status_of(&id).await, "pending");
}

#[actix_web::test]
async fn the_mailbox_is_searched_by_address() {
    let client = sandbox().await;
    for to in ["ana@example.com", "Bia <bia@example.com>"] {
        let body = json!({"from": "oi@loja.test", "to": to, "subject": "Oi", "text": "Oi"});
        let call = client.call(Method::POST, "/resend/emails").json(&body);
        ask(call.bearer_auth(vitrine_sandbox::SandboxConfig::default().resend_api_key)).await;
    }
    let (_, all) = ask(client.call(Method::GET, "/control/mails")).await;
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    let (_, bias) = ask(client.call(Method::GET, "/control/mails?to=bia@example.com")).await;
    assert_eq!((bias.as_array().map(Vec::len), text(&bias[0]["to"][0])), (Some(1), "Bia <bia@example.com>".into()));
}
