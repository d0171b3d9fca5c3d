//! A provider that does not accept the shop's credentials (401, 403) is away: nothing fails for it, the operator is told once, and
//! once the key is mended all goes on by itself.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::payments::charge::methods::closed_for;
use vitrine_sandbox::{Fault, Pay, RefundStatus, SendWebhook};

use crate::shipments;
use crate::shop::{Answer, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than a job waits for a key to be mended.
const LATER: SignedDuration = SignedDuration::from_mins(6);
/// So that a mended key is tried at once.
const AT_ONCE: (&str, &str) = ("CIRCUIT_BREAKER_COOLDOWN", "1ms");
const OPERATOR: &str = "operador@loja.test";

async fn order(customer: &Customer<'_>) -> String {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    placed.body["id"].as_str().unwrap().to_owned()
}

async fn pay(customer: &Customer<'_>, order: &str, method: &str) -> Answer {
    customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await
}

/// `provider:status` of an order's payments, the oldest first.
async fn payments(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT array_agg(provider || ':' || status ORDER BY id) FROM payments WHERE order_id = '{order}'")).await
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// `state:attempts` of the jobs of this kind.
async fn jobs(shop: &Shop, kind: &str) -> Vec<String> {
    let find = "SELECT coalesce(array_agg(state || ':' || attempts ORDER BY id), '{}') FROM jobs WHERE kind = ";
    shop.sql(&format!("{find}'{kind}'")).await
}

async fn dead(shop: &Shop) -> i64 {
    shop.sql("SELECT count(*) FROM jobs WHERE state = 'dead'").await
}

/// The keys of all alerts, once each.
async fn alert_keys(shop: &Shop) -> Vec<String> {
    shop.alerted().await;
    shop.sql("SELECT coalesce(array_agg(key::text ORDER BY key), '{}') FROM alerts").await
}

async fn is_available(shop: &Shop, method: &str) -> bool {
    let methods = shop.get("/api/payment-methods").await;
    let of = |m: &&Value| m["method"] == method;
    methods.body["items"].as_array().unwrap().iter().find(of).unwrap()["available"] == true
}

#[actix_web::test]
async fn new_charges_go_to_the_next_provider() {
    for (list, first, second) in
        [("propay,openpix", "propay", "openpix"), ("openpix,bacen", "openpix", "bacen"), ("bacen,propay", "bacen", "propay")]
    {
        let shop = Shop::open_with(&[("PIX_PROVIDER", list)]).await;
        let ana = shop.customer().await;
        shop.control().revoke_key(first).unwrap();
        let one = order(&ana).await;
        let answer = pay(&ana, &one, "pix").await;
        assert_eq!(answer.status, 200, "{first}: {}", answer.body);
        assert_eq!(payments(&shop, &one).await, [format!("{first}:cancelled"), format!("{second}:pending")]);
        assert!(is_available(&shop, "pix").await);
        let asked = shop.control().calls(first);
        let two = order(&ana).await;
        assert_eq!(pay(&ana, &two, "pix").await.status, 200);
        assert_eq!(payments(&shop, &two).await, [format!("{second}:pending")], "{first} is not even asked");
        assert_eq!(shop.control().calls(first), asked);
        let refused = format!("provider-refuses-us:{first}");
        assert_eq!(alert_keys(&shop).await, [refused.as_str()]);
        shop.mail_alerts().await;
        shop.drain().await; // the charge that was given up is to be voided, and cannot be
        assert_eq!(jobs(&shop, "void_payment").await, ["waiting:0"]);
        shop.mail_alerts().await;
        let mails = shop.control().mails_to(OPERATOR);
        assert_eq!(
            mails.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(),
            [format!(
                "[Loja] {first} não aceita as credenciais da loja – pedido {}",
                shop.sql::<String>(&format!("SELECT number FROM orders WHERE id = '{one}'")).await
            )]
        );
        let variable = match first {
            "propay" => "GO_TO_PROPAY_SECRET",
            "openpix" => "OPENPIX_APP_ID",
            _ => "PIX_CLIENT_SECRET",
        };
        assert!(mails[0].text.as_deref().unwrap().contains(variable), "{:?}", mails[0].text);
        assert_eq!((alert_keys(&shop).await, dead(&shop).await), (vec![refused], 0));
        shop.close().await;
    }
}

#[actix_web::test]
async fn with_no_other_provider_the_method_is_hidden_until_the_key_is_mended() {
    for (provider, method) in [("propay", "pix"), ("openpix", "pix"), ("bacen", "pix"), ("stripe", "credit_card")] {
        let pix = if method == "pix" { provider } else { "propay" };
        let shop = Shop::open_with(&[("PIX_PROVIDER", pix), ("CIRCUIT_BREAKER_COOLDOWN", "2s")]).await;
        let ana = shop.customer().await;
        let order = order(&ana).await;
        shop.control().revoke_key(provider).unwrap();
        let refused = pay(&ana, &order, method).await;
        assert_eq!((refused.status, refused.slug()), (503, "unavailable"), "{provider}: {}", refused.body);
        assert!(refused.header("retry-after").is_some());
        assert!(!is_available(&shop, method).await, "{provider}");
        let asked = shop.control().calls(provider);
        assert_eq!(pay(&ana, &order, method).await.status, 503);
        assert_eq!(shop.control().calls(provider), asked, "it is left alone");
        assert_eq!(payments(&shop, &order).await, [format!("{provider}:creating")]);
        shop.control().restore_key(provider).unwrap();
        let started = Instant::now();
        while closed_for(&shop.app, provider).is_some() {
            assert!(started.elapsed() < LIMIT, "the breaker never lets its probe out");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(is_available(&shop, method).await, "{provider}");
        let answer = pay(&ana, &order, method).await;
        assert_eq!(answer.status, 200, "{provider}: {}", answer.body);
        shop.control().pay(Pay::of(answer.body["payment_id"].as_str().unwrap())).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        shop.drain().await;
        assert_eq!((state(&shop, &order).await, dead(&shop).await), ("processing/paid".to_owned(), 0));
        assert_eq!(payments(&shop, &order).await, [format!("{provider}:paid")]);
        assert_eq!(alert_keys(&shop).await, [format!("provider-refuses-us:{provider}")]);
        shop.close().await;
    }
}

#[actix_web::test]
async fn checks_and_refunds_wait_for_the_key_and_then_go_on() {
    for provider in ["propay", "openpix", "bacen"] {
        let shop = Shop::open_with(&[("PIX_PROVIDER", provider), AT_ONCE]).await;
        let (ana, admin) = (shop.customer().await, shop.admin().await);
        let (paid, unpaid) = (order(&ana).await, order(&ana).await);
        let mut ids = Vec::new();
        for order in [&paid, &unpaid] {
            let answer = pay(&ana, order, "pix").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            ids.push(answer.body["payment_id"].as_str().unwrap().to_owned());
        }
        shop.control().pay(Pay::of(&ids[0])).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        shop.drain().await;
        shop.control().revoke_key(provider).unwrap();
        shop.control().pay(Pay::of(&ids[1]).webhook(SendWebhook::Lost)).unwrap();
        let cancelled = admin.patch(&format!("/api/orders/{paid}/cancel"), &json!({"reason": "teste"})).await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.body);
        for _ in 0..5 {
            // No attempt is counted, so it does not matter how often.
            shop.execute("UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND kind IN ('send_refund', 'check_payment')")
                .await;
            shop.drain().await;
        }
        assert_eq!(jobs(&shop, "send_refund").await, ["waiting:0"], "{provider}");
        assert_eq!(state(&shop, &unpaid).await, "pending/pending_payment");
        assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "pending");
        let why: String = shop.sql("SELECT last_error FROM jobs WHERE kind = 'send_refund'").await;
        assert!(why.contains("does not accept our credentials"), "{why}");
        assert_eq!((alert_keys(&shop).await, dead(&shop).await), (vec![format!("provider-refuses-us:{provider}")], 0));
        shop.control().restore_key(provider).unwrap();
        for _ in 0..3 {
            shop.drain_ahead(LATER).await;
            assert!(shop.control().settled(LIMIT).await);
        }
        assert_eq!(state(&shop, &unpaid).await, "processing/paid", "{provider}");
        let refunds = shop.control().refunds();
        assert_eq!(refunds.iter().map(|refund| refund.status).collect::<Vec<_>>(), [RefundStatus::Done], "{provider}");
        assert_eq!((shop.sql::<String>("SELECT status FROM refunds").await, dead(&shop).await), ("done".to_owned(), 0));
        shop.close().await;
    }
}

#[actix_web::test]
async fn mails_and_texts_wait_for_the_key_and_then_go_out_once() {
    let shop = Shop::open_with(&[("SMS_PROVIDER", "africastalking"), AT_ONCE]).await;
    let ana = shop.customer().await;
    let opted_in = ana.patch("/api/users/me", &json!({"phone": "+5511987654321", "sms_opt_in": true})).await;
    assert_eq!(opted_in.status, 200, "{}", opted_in.body);
    let order = order(&ana).await;
    assert_eq!(pay(&ana, &order, "pix").await.status, 200);
    for provider in ["resend", "africastalking"] {
        shop.control().revoke_key(provider).unwrap();
    }
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    for _ in 0..3 {
        shop.execute("UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND (kind LIKE 'mail%' OR kind LIKE 'sms%')").await;
        shop.drain().await;
    }
    let kinds = ["mail_order_placed", "mail_order_paid", "sms_order_paid"];
    for kind in kinds {
        assert_eq!(jobs(&shop, kind).await, ["waiting:0"], "{kind}");
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM messages WHERE status <> 'queued'").await, 0);
    let refused = ["provider-refuses-us:africastalking", "provider-refuses-us:resend"];
    assert_eq!(alert_keys(&shop).await, refused);
    shop.mail_alerts().await; // no mail tells of it yet
    assert_eq!(shop.control().mails_to(OPERATOR).len(), 0);
    for provider in ["resend", "africastalking"] {
        shop.control().restore_key(provider).unwrap();
    }
    shop.drain_ahead(LATER).await;
    for kind in kinds {
        assert_eq!(jobs(&shop, kind).await, ["done:1"], "{kind}");
    }
    assert_eq!((shop.control().mails_to(&ana.email).len(), shop.control().sms().len()), (2, 1));
    shop.mail_alerts().await;
    shop.mail_alerts().await;
    let told: Vec<String> = shop.control().mails_to(OPERATOR).into_iter().filter_map(|mail| mail.text).collect();
    for key in refused {
        assert_eq!(told.iter().map(|text| text.matches(&format!("Chave: {key}\n")).count()).sum::<usize>(), 1, "{told:?}");
    }
    assert_eq!((alert_keys(&shop).await, dead(&shop).await), (refused.map(str::to_owned).to_vec(), 0));
    shop.close().await;
}

#[actix_web::test]
async fn labels_and_parcels_wait_for_the_key_and_then_go_on() {
    let shop = shipments::shop_with(&[AT_ONCE]).await;
    let sent = shipments::labelled(&shop).await;
    let waits = shipments::paid(&shop).await;
    shop.control().revoke_key("melhorenvio").unwrap();
    for _ in 0..5 {
        shop.execute("UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND kind = 'buy_label'").await;
        shop.drain().await;
    }
    assert_eq!(jobs(&shop, "buy_label").await.last().map(String::as_str), Some("waiting:0"));
    shop.execute("UPDATE shipments SET heard_at = heard_at - interval '4 hours'").await;
    vitrine::shipments::track(&shop.app).await.unwrap();
    assert_eq!((alert_keys(&shop).await, dead(&shop).await), (vec!["provider-refuses-us:melhorenvio".to_owned()], 0));
    shop.control().restore_key("melhorenvio").unwrap();
    shipments::rest_ahead(&shop).await;
    for order in [&sent, &waits] {
        let status: String = shop.sql(&format!("SELECT status FROM shipments WHERE order_id = '{order}'")).await;
        assert_eq!(status, "generated");
    }
    assert_eq!((shop.control().parcels().len(), dead(&shop).await), (2, 0));
    shop.close().await;
}

#[actix_web::test]
async fn freight_is_quoted_by_the_other_carrier_and_the_operator_is_told_once() {
    for carrier in ["melhorenvio", "correios"] {
        let shop = Shop::open_with(&[("SHIPPING_PROVIDER", "melhorenvio,correios")]).await;
        let mug = shop.product("Caneca").create().await;
        shop.control().revoke_key(carrier).unwrap();
        for quantity in 1..=5 {
            let ask = json!({"cep_destino": "20040-002", "items": [{"product_id": mug.id, "quantity": quantity}]});
            let answer = shop.post("/api/shipping/calculate", &ask).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let of = |option: &Value| option["provider"] == carrier;
            let options = answer.body["options"].as_array().unwrap();
            assert!(!options.is_empty() && !options.iter().any(of), "{carrier}: {}", answer.body);
        }
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM alert_occurrences").await, 1, "{carrier}");
        assert_eq!(alert_keys(&shop).await, [format!("provider-refuses-us:{carrier}")]);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_403_to_one_kind_of_call_stops_no_other() {
    let shop = Shop::open_with(&[AT_ONCE]).await;
    let ana = shop.customer().await;
    let order = order(&ana).await;
    assert_eq!(pay(&ana, &order, "pix").await.status, 200);
    shop.control().next_calls("propay", Fault::Status(403), 1_000);
    for _ in 0..6 {
        shop.drain_ahead(LATER).await;
    }
    assert_eq!(dead(&shop).await, 0);
    assert!(is_available(&shop, "pix").await, "what no buyer waits for closes nothing to buyers");
    shop.control().clear_faults();
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    shop.drain_ahead(LATER).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[test]
fn every_provider_says_which_of_its_credentials_to_look_at() {
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example")).unwrap();
    let providers = [
        "propay",
        "openpix",
        "bacen",
        "stripe",
        "melhorenvio",
        "correios",
        "focusnfe",
        "enotas",
        "resend",
        "smtp",
        "africastalking",
    ];
    for provider in providers {
        let variables = vitrine::config::credentials_of(provider).unwrap();
        for variable in variables.split(", ") {
            assert!(documented.contains(&format!("{variable}=")), "{provider}: {variable}");
        }
    }
    assert_eq!(vitrine::config::credentials_of("viacep"), None);
}
