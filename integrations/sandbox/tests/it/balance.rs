//! Refunds that the shop's account holds too little for: refused at once, failing later, or waiting.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::{ChargeStatus, Pay, RefundStatus, Shortage};

use crate::bacen::bank;
use crate::harness::{Client, LIMIT, Shop, ask, refund, sandbox, text};
use crate::stripe::code;

/// What a refusal leaves in the books: nothing but its own line.
fn refused(client: &Client, provider: &str, payment_id: &str, cents: i64) {
    let control = client.sandbox.control();
    let seen = control.books(|books| books.refusals().to_vec());
    let last = seen.last().expect("it is written down");
    assert_eq!((last.provider.as_str(), last.payment_id.as_str(), last.amount_cents), (provider, payment_id, cents));
    assert!(control.refunds().iter().all(|refund| refund.refund_id != last.refund_id));
    assert_eq!(control.charge(payment_id).map(|charge| (charge.status, charge.refunded_cents)), Some((ChargeStatus::Paid, 0)));
}

#[actix_web::test]
async fn propay_refuses_so_many_refunds_and_makes_the_next() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let id = client.paid_charge(1_000).await;
    control.lack_balance("propay", Shortage::AtOnce, Some(2)).expect("it makes refunds");
    let body = refund(400);
    for _ in 0..2 {
        let (status, answer) = ask(client.refund(&id, &body)).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("insufficient_balance")), "{answer}");
        refused(&client, "propay", &id, 400);
    }
    assert_eq!(control.books(|books| books.refusals().len()), 2);
    let (status, answer) = ask(client.refund(&id, &body)).await; // the same key: nothing was kept under it
    assert_eq!((status, &answer["refund_id"]), (201, &body["refund_id"]));
}

#[actix_web::test]
async fn propay_takes_a_refund_and_says_why_it_failed() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.paid_charge(1_000).await;
    control.lack_balance("propay", Shortage::Fails, Some(1)).expect("it makes refunds");
    let body = refund(400);
    let (status, answer) = ask(client.refund(&id, &body)).await;
    assert_eq!((status, &answer["status"], &answer["failure_code"]), (201, &json!("processing"), &Value::Null));
    assert!(control.settled(LIMIT).await);
    let path = format!("/v1/payments/{id}/refunds/{}", text(&body["refund_id"]));
    let (_, answer) = ask(client.propay(Method::GET, &path)).await;
    assert_eq!((&answer["status"], &answer["failure_code"]), (&json!("failed"), &json!("insufficient_balance")));
    let told = shop.told().last().expect("told").json();
    assert_eq!((&told["event"], &told["failure_code"]), (&json!("refund.failed"), &json!("insufficient_balance")));
    let kept = control.refunds();
    assert_eq!((kept[0].status, kept[0].shortage), (RefundStatus::Failed, Some(Shortage::Fails)));
    control.fail_refunds(1); // for another reason
    let other = refund(400);
    ask(client.refund(&id, &other)).await;
    let (_, answer) = ask(client.propay(Method::GET, &format!("/v1/payments/{id}/refunds/{}", text(&other["refund_id"])))).await;
    assert_eq!((&answer["status"], &answer["failure_code"]), (&json!("failed"), &Value::Null));
}

#[actix_web::test]
async fn openpix_refuses_in_words_or_rejects_without_any() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.openpix_charge(1_000).await;
    control.pay(Pay::of(&id)).expect("payable");
    let refund = || {
        let body = json!({"correlationID": Uuid::now_v7(), "value": 400});
        ask(client.openpix(Method::POST, &format!("/{id}/refund")).json(&body))
    };
    control.lack_balance("openpix", Shortage::AtOnce, None).expect("it makes refunds");
    for _ in 0..3 {
        assert_eq!(refund().await, (400, json!({"error": "Saldo insuficiente para o reembolso"})));
    }
    refused(&client, "openpix", &id, 400);
    control.lack_balance("openpix", Shortage::Fails, Some(1)).expect("it makes refunds");
    assert_eq!(refund().await.1["refund"]["status"], "IN_PROCESSING");
    assert!(control.settled(LIMIT).await);
    assert_eq!(shop.told().last().expect("told").json()["event"], "PIX_TRANSACTION_REFUND_SENT_REJECTED");
    assert_eq!(refund().await.0, 200);
    assert!(control.settled(LIMIT).await);
    let (_, list) = ask(client.openpix(Method::GET, &format!("/{id}/refund"))).await;
    assert_eq!((&list["refunds"][0]["status"], &list["refunds"][1]["status"]), (&json!("REJECTED"), &json!("CONFIRMED")));
}

#[actix_web::test]
async fn a_bank_refuses_with_a_problem_or_says_in_the_return_why_it_was_not_made() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2eid) = bank.paid(1_000).await;
    let give_back = |id: &'static str| {
        let (bank, path) = (&bank, format!("/pix/{e2eid}/devolucao/{id}"));
        async move { bank.put(&path, &json!({"valor": "4.00"})).await }
    };
    control.lack_balance("bacen", Shortage::AtOnce, Some(1)).expect("it makes refunds");
    let (status, answer) = give_back("r1").await;
    assert_eq!((status, &answer["detail"]), (400, &json!("Saldo insuficiente para a devolução")));
    assert_eq!(answer["type"], "https://pix.bcb.gov.br/api/v2/error/PixDevolucaoInvalida");
    refused(&bank.client, "bacen", &control.charge(&txid).expect("known").payment_id, 400);
    assert_eq!(bank.get(&format!("/pix/{e2eid}/devolucao/r1")).await.0, 400, "there is none");

    control.lack_balance("bacen", Shortage::Fails, Some(1)).expect("it makes refunds");
    let (status, answer) = give_back("r1").await;
    assert_eq!((status, &answer["status"]), (201, &json!("EM_PROCESSAMENTO")));
    assert!(control.settled(LIMIT).await);
    let (_, answer) = bank.get(&format!("/pix/{e2eid}/devolucao/r1")).await;
    assert_eq!((&answer["status"], &answer["motivo"]), (&json!("NAO_REALIZADO"), &json!("AM04 - Saldo insuficiente")));
    let told = shop.told().last().expect("told").json();
    assert_eq!(told["pix"][0]["devolucoes"][0]["motivo"], "AM04 - Saldo insuficiente");
}

#[actix_web::test]
async fn a_bank_leaves_a_return_in_process_until_the_account_is_funded() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2eid) = bank.paid(1_000).await;
    control.lack_balance("bacen", Shortage::Waits, None).expect("it makes refunds");
    bank.put(&format!("/pix/{e2eid}/devolucao/r1"), &json!({"valor": "4.00"})).await;
    assert!(control.settled(LIMIT).await, "nothing will happen by itself");
    let status = || async { bank.get(&format!("/pix/{e2eid}/devolucao/r1")).await.1["status"].clone() };
    assert_eq!(status().await, "EM_PROCESSAMENTO");
    control.fund("bacen").expect("it makes refunds");
    assert_eq!(status().await, "DEVOLVIDO");
    assert_eq!(control.charge(&txid).map(|charge| charge.refunded_cents), Some(400));
    bank.put(&format!("/pix/{e2eid}/devolucao/r2"), &json!({"valor": "6.00"})).await;
    assert_eq!(control.charge(&txid).map(|charge| charge.status), Some(ChargeStatus::Refunded), "no more is short");
}

#[actix_web::test]
async fn stripe_refuses_for_want_of_balance_and_repeats_it_under_the_same_key() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let id = client.paid_intent("1000").await;
    let form: &[(&str, &str)] = &[("payment_intent", &id), ("amount", "400"), ("metadata[refund_id]", "r-1")];
    control.lack_balance("stripe", Shortage::AtOnce, Some(1)).expect("it makes refunds");
    for _ in 0..2 {
        let (status, answer) = client.keyed("refund-r-1-1", "/refunds", form).await;
        assert_eq!((status, code(&answer)), (400, &json!("balance_insufficient")), "{answer}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
    refused(&client, "stripe", &control.charge(&id).expect("known").payment_id, 400);
    assert_eq!(control.books(|books| books.refusals().len()), 1, "the second answer was the first one again");
    let (status, answer) = client.keyed("refund-r-1-2", "/refunds", form).await;
    assert_eq!((status, &answer["status"]), (200, &json!("succeeded")));
    assert_eq!(client.stripe_get(&format!("/refunds?payment_intent={id}")).await.1["data"].as_array().map(Vec::len), Some(1));
}

#[actix_web::test]
async fn a_refund_at_stripe_waits_for_funds_and_then_succeeds_or_fails_for_want_of_them() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.paid_intent("1000").await;
    let order = |body: Value, path: &'static str| ask(client.call(Method::POST, &format!("/control/refunds/{path}")).json(&body));
    assert_eq!(order(json!({"provider": "stripe", "how": "waits"}), "no-balance").await.0, 200);
    let (status, waiting) = client.stripe_post("/refunds", &[("payment_intent", &id), ("amount", "400")]).await;
    assert_eq!((status, &waiting["status"]), (200, &json!("pending")));
    assert_eq!(waiting["pending_reason"], "insufficient_funds");
    assert!(control.settled(LIMIT).await);
    assert_eq!(shop.told().last().expect("told").json()["type"], "refund.created");
    assert_eq!(order(json!({"provider": "stripe"}), "funded").await.0, 200);
    assert!(control.settled(LIMIT).await);
    let path = format!("/refunds/{}", text(&waiting["id"]));
    let (_, done) = client.stripe_get(&path).await;
    assert_eq!((&done["status"], &done["pending_reason"]), (&json!("succeeded"), &Value::Null));
    let types: Vec<String> = shop.told().iter().map(|told| text(&told.json()["type"])).collect();
    assert!(types.contains(&"refund.updated".to_owned()) && types.contains(&"charge.refunded".to_owned()), "{types:?}");

    assert_eq!(order(json!({"provider": "stripe", "how": "fails", "count": 1}), "no-balance").await.0, 200);
    let (_, taken) = client.stripe_post("/refunds", &[("payment_intent", &id), ("amount", "100")]).await;
    let (_, failed) = client.stripe_get(&format!("/refunds/{}", text(&taken["id"]))).await;
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&json!("failed"), &json!("insufficient_funds")));
    assert_eq!(order(json!({"provider": "resend"}), "no-balance").await.0, 422);

    let (_, books) = ask(client.call(Method::GET, "/control/books")).await;
    let seen: Vec<_> = books["refunds"].as_array().expect("a list").iter().map(|r| (&r["status"], &r["shortage"])).collect();
    assert_eq!(seen, [(&json!("done"), &json!("waits")), (&json!("failed"), &json!("fails"))]);
    assert_eq!(books["refusals"], json!([]));
}
