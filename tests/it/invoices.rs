//! An order's NF-e, from the payment to the buyer's files, whatever the provider and the tax authority answer.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::ids::{InvoiceId, OrderId};
use vitrine::invoices;
use vitrine_sandbox::{Fault, Nfe, NfeStatus};

use crate::shop::{Answer, Product, Shop};

/// Longer than jobs wait for their next run.
const HOURS: SignedDuration = SignedDuration::from_hours(3);

/// A shop of the Simples that issues invoices through this provider, and its one product.
pub async fn open(provider: &str) -> (Shop, Product) {
    let shop = Shop::open_with(&[
        ("NFE_PROVIDER", provider),
        ("CIRCUIT_BREAKER_THRESHOLD", "1000"),
        ("CIRCUIT_BREAKER_COOLDOWN", "1ms"),
    ])
    .await;
    shop.sells_as("simples").await;
    let ware = shop.ware("SKU-1", 8_250).await;
    (shop, ware)
}

/// A guest buys two and pays: the order's id and its token.
async fn paid(shop: &Shop, ware: &Product) -> (String, String) {
    let cart = shop.guest_cart(&[(ware, 2)]).await;
    let mut order = shop.guest_order(&[(ware, 2)], crate::shop::CPF).await;
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let text = |field: &str| placed.body[field].as_str().unwrap().to_owned();
    shop.pays(&text("id")).await;
    (text("id"), text("access_token"))
}

/// Runs jobs and lets the tax authority decide, until nothing changes.
pub async fn goes_on(shop: &Shop) {
    for _ in 0..50 {
        shop.execute("UPDATE invoices SET doubted_at = doubted_at - interval '1 minute'").await;
        shop.drain_ahead(HOURS).await;
        assert!(shop.control().settled(Duration::from_secs(20)).await, "the webhooks were delivered");
        let deciding = |nfe: &Nfe| matches!(nfe.status, NfeStatus::Processing | NfeStatus::Cancelling);
        let open: i64 = shop
            .sql("SELECT count(*) FROM invoices WHERE status IN ('pending', 'processing') OR (status IN ('authorized', 'rejected') AND cancel_reason IS NOT NULL) OR (status = 'authorized' AND (xml IS NULL OR danfe IS NULL))")
            .await;
        if open == 0 && !shop.control().nfes().iter().any(deciding) {
            shop.drain().await;
            return;
        }
        actix_web::rt::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never ends: {:?}", invoices_of(shop).await);
}

pub async fn invoices_of(shop: &Shop) -> Value {
    let answer = shop.admin().await.get("/api/admin/invoices").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].clone()
}

async fn invoice(shop: &Shop, order: &str, token: &str) -> Answer {
    shop.request("GET", &format!("/api/orders/{order}/invoice")).header("X-Order-Token", token).send().await
}

#[actix_web::test]
async fn a_paid_order_is_invoiced_once_and_the_buyer_gets_the_files() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let (order, token) = paid(&shop, &ware).await;
        goes_on(&shop).await;
        let nfes = shop.control().nfes();
        assert_eq!(nfes.len(), 1, "{provider}");
        let answer = invoice(&shop, &order, &token).await;
        let body = &answer.body;
        assert_eq!(
            (answer.status, &body["status"], &body["environment"]),
            (200, &json!("authorized"), &json!("homologacao")),
            "{body}"
        );
        assert_eq!(body["chave"].as_str(), nfes[0].key.as_deref());
        assert_eq!(body["total_cents"].as_i64(), Some(nfes[0].total_cents));
        let open_link = |url: &Value| url.as_str().unwrap().strip_prefix(&shop.app.config.http.public_url).unwrap().to_owned();
        let xml = shop.get(&open_link(&body["xml_url"])).await;
        assert_eq!((xml.status, xml.header("content-type")), (200, Some("application/xml")));
        assert!(String::from_utf8_lossy(&xml.bytes).contains(nfes[0].key.as_deref().unwrap()));
        let danfe = shop.get(&open_link(&body["danfe_url"])).await;
        assert_eq!((danfe.status, danfe.header("content-type"), &danfe.bytes[..4]), (200, Some("application/pdf"), &b"%PDF"[..]));
        let bare = shop.get(&format!("/api/orders/{order}/invoice/danfe")).await;
        assert_eq!(bare.status, 401, "nobody opens it without a right to it");
        let wrong = shop.get(&format!("/api/orders/{order}/invoice/danfe?token={token}")).await;
        assert_eq!(wrong.status, 401, "the order's own token is for the header");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_long_name_is_cut_before_its_variant() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        paid(&shop, &ware).await;
        shop.execute("UPDATE order_lines SET name = repeat('Vestido ', 21) || 'ﬁm', variant_name = 'GG'").await;
        goes_on(&shop).await;
        let expected = format!("{}Vesti GG", "Vestido ".repeat(14));
        assert_eq!(shop.control().nfes()[0].draft.items[0].name, expected, "{provider}: 120 characters");
        shop.close().await;
    }
}

#[actix_web::test]
async fn twenty_jobs_at_once_make_one_invoice() {
    let (shop, ware) = open("focusnfe").await;
    let (order, _) = paid(&shop, &ware).await;
    let order = OrderId(order.parse().unwrap());
    join_all((0..20).map(|_| invoices::issue(&shop.app, order))).await;
    let id: InvoiceId = shop.sql("SELECT id FROM invoices").await;
    join_all((0..20).map(|_| invoices::send(&shop.app, id))).await;
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts, nfes[0].number), (1, 1, Some(1)), "one, sent once, and one number");
    shop.close().await;
}

#[actix_web::test]
async fn whatever_goes_wrong_with_a_call_it_ends_with_one_invoice() {
    let faults = [
        Fault::Status(500),
        Fault::StatusAfterRequest(500),
        Fault::Garbage,
        Fault::WrongType,
        Fault::DropBeforeRequest,
        Fault::DropAfterRequest,
    ];
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        for (n, fault) in faults.into_iter().enumerate() {
            let (order, token) = paid(&shop, &ware).await;
            shop.control().next_calls(provider, fault, 4);
            goes_on(&shop).await;
            let nfes = shop.control().nfes();
            assert_eq!(nfes.len(), n + 1, "{provider} {fault:?}");
            assert_eq!(nfes[n].attempts, 1, "{provider} {fault:?}: never sent a second time");
            assert_eq!(invoice(&shop, &order, &token).await.body["status"], "authorized", "{provider} {fault:?}");
        }
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_hour_without_the_provider_is_made_up_for_once() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().next_calls("focusnfe", Fault::DropBeforeRequest, 100_000);
    let (order, token) = paid(&shop, &ware).await;
    for _ in 0..5 {
        shop.drain_ahead(SignedDuration::from_mins(15)).await;
    }
    assert_eq!(invoice(&shop, &order, &token).await.body["status"], "pending");
    shop.control().clear_faults();
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts), (1, 1));
    shop.close().await;
}

#[actix_web::test]
async fn a_rejection_is_told_to_the_shop_and_tried_again_under_the_same_reference() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().reject_next_nfes(1, "778", "Rejeição: Informado NCM inexistente");
    let (order, token) = paid(&shop, &ware).await;
    goes_on(&shop).await;
    let seen = &invoices_of(&shop).await[0];
    assert_eq!((&seen["status"], &seen["code"]), (&json!("rejected"), &json!("778")), "{seen}");
    assert!(seen["message"].as_str().unwrap().contains("NCM inexistente"));
    let buyer = invoice(&shop, &order, &token).await.body;
    assert_eq!(buyer["message"], "A loja está corrigindo a nota fiscal", "the reason is not the buyer's business");
    assert_eq!(shop.alerted().await, ["invoice-rejected 1"]);
    let retry = format!("/api/admin/invoices/{}/retry", seen["id"].as_str().unwrap());
    let answer = shop.admin().await.post(&retry, &json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("pending")), "{}", answer.body);
    assert_eq!(shop.admin().await.post(&retry, &json!({})).await.status, 409, "it is on its way");
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts, nfes[0].status), (1, 2, NfeStatus::Authorized));
    shop.close().await;
}

#[actix_web::test]
async fn what_would_be_refused_is_named_here_before_anything_is_sent() {
    let (shop, ware) = open("focusnfe").await;
    let no_city = "SELECT jsonb_set(value, '{address,ibge_city}', '\"3304557\"') FROM settings WHERE name = 'company'";
    let (here, elsewhere) =
        (shop.sql::<Value>("SELECT value FROM settings WHERE name = 'company'").await, shop.sql::<Value>(no_city).await);
    shop.set("company", &elsewhere).await;
    shop.execute("UPDATE products SET name = '茶', ncm = '77010000', tax = '{\"csosn\": \"500\"}'").await;
    let readiness = shop.admin().await.get("/api/admin/invoices/readiness").await.body;
    let named = |problems: &Value| problems.as_array().unwrap().iter().map(|p| p["field"].clone()).collect::<Vec<_>>();
    assert_eq!(named(&readiness["problems"]), ["company.address.ibge_city"], "a city of another state: {readiness}");
    assert_eq!(named(&readiness["products"][0]["problems"]), ["name", "ncm", "tax.cest"], "{readiness}");
    shop.set("company", &here).await;
    shop.execute("UPDATE products SET name = 'Chá', ncm = NULL, tax = '{}'").await;
    shop.set("taxes", &json!({})).await;
    let readiness = shop.admin().await.get("/api/admin/invoices/readiness").await.body;
    assert_eq!((&readiness["ready"], &readiness["products_total"]), (&json!(false), &json!(1)), "{readiness}");
    let fields = |problems: &Value| -> Vec<String> {
        problems.as_array().unwrap().iter().map(|p| p["field"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(fields(&readiness["products"][0]["problems"]), ["ncm", "tax.csosn"]);
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let seen = &invoices_of(&shop).await[0];
    assert_eq!(
        (&seen["status"], fields(&seen["problems"])),
        (&json!("rejected"), vec!["items[0].ncm".to_owned(), "items[0].tax.csosn".to_owned()])
    );
    assert_eq!(shop.control().calls_to("focusnfe", "/v2/nfe"), 0, "no number was spent");
    shop.execute("UPDATE products SET ncm = '61091000', tax = '{\"csosn\": \"102\"}'").await;
    let readiness = shop.admin().await.get("/api/admin/invoices/readiness").await.body;
    assert_eq!(readiness["ready"], json!(true), "{readiness}");
    let retry = format!("/api/admin/invoices/{}/retry", seen["id"].as_str().unwrap());
    assert_eq!(shop.admin().await.post(&retry, &json!({})).await.status, 200);
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes()[0].status, NfeStatus::Authorized);
    shop.close().await;
}

#[actix_web::test]
async fn what_mei_sells_and_takes_back_is_authorised() {
    let (shop, ware) = open("focusnfe").await;
    shop.sells_as("mei").await;
    let (order, _) = paid(&shop, &ware).await;
    goes_on(&shop).await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
    let refund = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
    let refund = refund.header("Idempotency-Key", &uuid::Uuid::new_v4().to_string()).json(&json!({"reason": "arrependimento"}));
    assert_eq!(refund.send().await.status, 201);
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert!(nfes.len() == 2 && nfes.iter().all(|nfe| nfe.status == NfeStatus::Authorized), "{nfes:?}");
    shop.close().await;
}

#[actix_web::test]
async fn what_is_fetched_by_somebody_of_another_state_is_authorised() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.offer_pickup().await;
        paid(&shop, &ware).await;
        shop.execute(
            "UPDATE orders SET shipping_address = shipping_address || '{\"state\": \"RJ\", \"city\": \"Rio de Janeiro\", \"cep\": \"20040002\", \"ibge_city\": \"3304557\"}'",
        )
        .await;
        goes_on(&shop).await;
        let nfe = &shop.control().nfes()[0];
        assert_eq!((nfe.status, nfe.draft.destination, nfe.draft.presence), (NfeStatus::Authorized, 1, 1), "{provider}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_denied_number_is_gone_and_only_a_person_asks_for_another() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().deny_next_nfes(1);
    let (order, token) = paid(&shop, &ware).await;
    goes_on(&shop).await;
    assert_eq!(invoice(&shop, &order, &token).await.body["status"], "denied");
    invoices::issue(&shop.app, OrderId(order.parse().unwrap())).await.unwrap();
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes().len(), 1, "nothing happens by itself");
    let again = format!("/api/admin/orders/{order}/invoice");
    assert_eq!(shop.admin().await.post(&again, &json!({})).await.status, 202);
    assert_eq!(shop.admin().await.post(&again, &json!({})).await.status, 409, "one live invoice is enough");
    goes_on(&shop).await;
    assert_eq!(invoice(&shop, &order, &token).await.body["status"], "authorized");
    assert_eq!(shop.control().nfes()[1].number, Some(2));
    shop.close().await;
}

#[actix_web::test]
async fn a_key_of_another_seller_is_not_believed() {
    let (shop, ware) = open("focusnfe").await;
    // The provider's token belongs to another company.
    shop.set(
        "company",
        &shop.sql::<Value>("SELECT value || '{\"cnpj\": \"19513188000108\"}' FROM settings WHERE name = 'company'").await,
    )
    .await;
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let seen = &invoices_of(&shop).await[0];
    assert_eq!((&seen["status"], &seen["problems"][0]["field"]), (&json!("rejected"), &json!("company.cnpj")), "{seen}");
    assert_eq!(shop.control().nfes().len(), 0);
    shop.close().await;
}

#[actix_web::test]
async fn xmls_go_when_the_law_lets_them_and_not_before() {
    let (shop, ware) = open("focusnfe").await;
    for _ in 0..2 {
        paid(&shop, &ware).await;
    }
    goes_on(&shop).await;
    let aged = "UPDATE invoices SET authorized_at = now() - interval '132 months' + interval '1 day'";
    shop.execute(aged).await;
    shop.execute("UPDATE invoices SET authorized_at = now() - interval '132 months 1 day' WHERE number = '1'").await;
    vitrine::purge::purge(&shop.app).await.unwrap();
    let kept: Vec<String> = shop.sql("SELECT array_agg(number) FROM invoices WHERE xml IS NOT NULL").await;
    assert_eq!(kept, ["2"]);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM invoices WHERE chave IS NOT NULL").await, 2, "the key stays");
    shop.close().await;
}

#[actix_web::test]
async fn an_invoice_of_one_environment_is_never_sent_to_the_other() {
    let (shop, ware) = open("focusnfe").await;
    let (order, _) = paid(&shop, &ware).await;
    invoices::issue(&shop.app, OrderId(order.parse().unwrap())).await.unwrap();
    shop.execute("UPDATE invoices SET environment = 'producao'").await; // requested before NFE_AMBIENTE was changed
    goes_on(&shop).await;
    let seen = &invoices_of(&shop).await[0];
    assert_eq!((&seen["status"], &seen["problems"][0]["field"]), (&json!("rejected"), &json!("environment")), "{seen}");
    assert_eq!(shop.control().calls_to("focusnfe", "/v2/nfe"), 0);
    shop.close().await;
}
