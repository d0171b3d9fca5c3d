//! An order's buyer and address are mended while no invoice and no bought label has them; then both follow.

use std::time::Duration;

use serde_json::{Value, json};
use vitrine::ids::{InvoiceId, OrderId};
use vitrine::{explain, invoices};
use vitrine_sandbox::{Nfe, NfeStatus};

use crate::invoices::{goes_on, invoices_of, open};
use crate::seller::buys;
use crate::shipments::{self, bought, buy_by_hand, rest, state};
use crate::shop::{Answer, Product, Shop};

async fn mend(shop: &Shop, order: &str, changes: &Value) -> Answer {
    shop.admin().await.patch(&format!("/api/orders/{order}"), changes).await
}

async fn paid(shop: &Shop, ware: &Product) -> String {
    let order = buys(shop, &[(ware, 2)]).await;
    shop.pays(&order).await;
    order
}

async fn retry(shop: &Shop, invoice: &Value) -> Answer {
    let retry = format!("/api/admin/invoices/{}/retry", invoice["id"].as_str().unwrap());
    shop.admin().await.post(&retry, &json!({})).await
}

fn authorised(shop: &Shop) -> Vec<Nfe> {
    shop.control().nfes().into_iter().filter(|nfe| nfe.status == NfeStatus::Authorized).collect()
}

/// What of an order must not move when a change is refused.
async fn kept(shop: &Shop, order: &str) -> (Vec<(String, i64)>, Value) {
    let row = format!("SELECT to_jsonb(o) FROM orders o WHERE id = '{order}'");
    let mut counts = shop.row_counts().await;
    counts.retain(|(table, _)| !["users", "sessions"].contains(&table.as_str())); // each call is by another administrator
    (counts, shop.sql(&row).await)
}

#[actix_web::test]
async fn a_rejected_invoice_whose_order_was_mended_is_authorised_and_its_label_follows() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.control().reject_next_nfes(1, "275", "Rejeição: Código Município do Destinatário: difere da UF");
        let order = paid(&shop, &ware).await;
        goes_on(&shop).await;
        let rejected = invoices_of(&shop).await[0].clone();
        assert_eq!((&rejected["status"], bought(&shop).len()), (&json!("rejected"), 0), "{provider}: {rejected}");

        let changes = json!({"name": "Ana Souza Lima",
            "address": {"cep": "01310-200", "street": "Alameda Santos", "number": "7", "complement": "Casa 2", "district": "Cerqueira César"}});
        let answer = mend(&shop, &order, &changes).await;
        assert_eq!((answer.status, &answer.body["customer_name"]), (200, &json!("Ana Souza Lima")), "{}", answer.body);
        let address = &answer.body["shipping_address"];
        assert_eq!((&address["recipient"], &address["cep"]), (&json!("Ana Souza Lima"), &json!("01310200")), "{address}");

        let again = retry(&shop, &rejected).await;
        assert_eq!(again.status, 200, "{}", again.body);
        goes_on(&shop).await;
        rest(&shop).await;
        let [nfe] = authorised(&shop).try_into().expect("one");
        let buyer = &nfe.draft.buyer;
        assert_eq!(
            (buyer.street.as_str(), buyer.number.as_str(), buyer.district.as_str(), buyer.cep.as_str()),
            ("Alameda Santos", "7", "Cerqueira César", "01310200"),
            "{provider}"
        );
        let [parcel] = bought(&shop).try_into().expect("one");
        let to = &parcel.sent["to"];
        assert_eq!(
            (&to["name"], &to["address"], &to["district"]),
            (&json!("Ana Souza Lima"), &json!("Alameda Santos"), &json!("Cerqueira César"))
        );
        assert_eq!(parcel.invoice_key, nfe.key);
        shop.close().await;
    }
}

#[actix_web::test]
async fn what_was_mended_is_told_and_no_person_is_in_the_audit_log() {
    let (shop, ware) = open("focusnfe").await;
    let order = buys(&shop, &[(&ware, 1)]).await;
    let before = kept(&shop, &order).await;
    assert_eq!(mend(&shop, &order, &json!({"name": " Ana Silva ", "address": {"district": "Bela Vista"}})).await.status, 200);
    assert_eq!(kept(&shop, &order).await.1, before.1, "what is the same already is no change");
    let changes =
        json!({"name": "Beatriz Prado", "address": {"number": "12", "complement": "Fundos", "phone": "(11) 98888-7777"}});
    assert_eq!(mend(&shop, &order, &changes).await.status, 200);
    let story = explain::story(&shop.app.db().await.unwrap(), &order).await.unwrap().unwrap();
    let steps: Vec<_> = story.steps.iter().filter(|step| step.what == "buyer").collect();
    assert!(steps.len() == 1 && steps[0].to.as_deref() == Some("mended") && !steps[0].is_gap, "{steps:?}");
    let reason: String = shop.sql("SELECT reason FROM order_history WHERE subject = 'buyer'").await;
    assert_eq!(reason, "name, address.recipient, address.number, address.complement, address.phone");
    let (was, is): (Value, Value) = (
        shop.sql("SELECT before FROM audit_log WHERE action = 'order.mend'").await,
        shop.sql("SELECT after FROM audit_log WHERE action = 'order.mend'").await,
    );
    let masked = |name: &str, number: &str, complement: &str, phone: &str| json!({"name": name, "address.recipient": name, "address.number": number, "address.complement": complement, "address.phone": phone});
    assert_eq!((was, is), (masked("A***", "1***", "", ""), masked("B***", "1***", "F***", "+***")));
    // Fields that may be empty are emptied; the recipient is the buyer again.
    let emptied = json!({"address": {"recipient": null, "complement": "", "phone": null}});
    let answer = mend(&shop, &order, &emptied).await;
    let address = &answer.body["shipping_address"];
    assert!(
        address["complement"].is_null() && address["phone"].is_null() && address["recipient"] == "Beatriz Prado",
        "{address}"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_mended_order_is_held_to_the_rules_of_the_checkout() {
    let (shop, ware) = open("focusnfe").await;
    let order = buys(&shop, &[(&ware, 1)]).await;
    let before = kept(&shop, &order).await;
    for (changes, field) in [
        (json!({"name": "X"}), "name"),
        (json!({"address": {"street": "🎁🎁"}}), "address.street"),
        (json!({"address": {"city": "-"}}), "address.city"),
        (json!({"address": {"number": ""}}), "address.number"),
        (json!({"address": {"state": "RJ"}}), "address.state"),
        (json!({"address": {"cep": "01310"}}), "address.cep"),
        (json!({"address": {"phone": "12"}}), "address.phone"),
        (json!({"address": {"cep": "20040-002", "state": "RJ", "city": "Rio de Janeiro"}}), "address.cep"), // another region
        (json!({"address": {"cep": "04001-000"}}), "address.cep"),
    ] {
        let answer = mend(&shop, &order, &changes).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{changes}: {}", answer.body);
    }
    assert_eq!(kept(&shop, &order).await, before);
    let district = mend(&shop, &order, &json!({"address": {"district": " "}})).await;
    assert_eq!(district.body["shipping_address"]["district"], "Não informado", "{}", district.body);
    shop.close().await;
}

#[actix_web::test]
async fn what_is_fetched_has_no_freight_so_its_buyer_may_live_anywhere() {
    let (shop, ware) = open("focusnfe").await;
    shop.offer_pickup().await;
    let order = buys(&shop, &[(&ware, 1)]).await;
    let rio = json!({"address": {"cep": "20040-002", "state": "rj", "city": "Rio de Janeiro", "street": "Rua da Ajuda", "district": "Centro"}});
    let answer = mend(&shop, &order, &rio).await;
    assert_eq!((answer.status, &answer.body["shipping_address"]["state"]), (200, &json!("RJ")), "{}", answer.body);
    shop.close().await;
}

#[actix_web::test]
async fn nothing_is_mended_while_an_invoice_stands() {
    let (shop, ware) = open("focusnfe").await;
    let changes = json!({"name": "Outra Pessoa", "address": {"number": "77"}});
    shop.control().tax_authority_away(true);
    let order = paid(&shop, &ware).await;
    shop.drain().await;
    let before = kept(&shop, &order).await;
    let on_its_way = mend(&shop, &order, &changes).await;
    assert_eq!((on_its_way.status, on_its_way.slug()), (409, "invoice-or-label-stands"), "{}", on_its_way.body);
    assert_eq!(kept(&shop, &order).await.1, before.1);
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    let before = kept(&shop, &order).await;
    let stands = mend(&shop, &order, &changes).await;
    assert_eq!((stands.status, stands.slug()), (409, "invoice-or-label-stands"), "{}", stands.body);
    assert_eq!(kept(&shop, &order).await.1, before.1);
    shop.close().await;
}

#[actix_web::test]
async fn after_its_invoice_was_cancelled_an_order_is_mended_and_invoiced_anew() {
    let (shop, ware) = open("focusnfe").await;
    shop.execute(r#"INSERT INTO settings (name, value) VALUES ('shipping', '{"handling_days": 0, "labels": "by_hand"}')"#).await;
    let order = paid(&shop, &ware).await;
    goes_on(&shop).await;
    let first = invoices_of(&shop).await[0]["id"].as_str().unwrap().to_owned();
    let cancel = format!("/api/admin/invoices/{first}/cancel");
    assert_eq!(shop.admin().await.post(&cancel, &json!({"reason": "Comprador com nome errado"})).await.status, 200);
    goes_on(&shop).await;
    assert_eq!(mend(&shop, &order, &json!({"address": {"number": "77"}})).await.status, 200);
    let again = shop.admin().await.post(&format!("/api/admin/orders/{order}/invoice"), &json!({})).await;
    assert_eq!(again.status, 202, "{}", again.body);
    goes_on(&shop).await;
    let numbers: Vec<String> = shop.control().nfes().iter().map(|nfe| nfe.draft.buyer.number.clone()).collect();
    assert_eq!(numbers, ["1000", "77"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_is_over_or_of_nobody_is_not_mended_and_only_an_admin_mends() {
    let (shop, ware) = open("focusnfe").await;
    let (order, changes) = (buys(&shop, &[(&ware, 1)]).await, json!({"address": {"number": "77"}}));
    let path = format!("/api/orders/{order}");
    assert_eq!(shop.customer().await.patch(&path, &changes).await.status, 403);
    assert_eq!(shop.request("PATCH", &path).json(&changes).send().await.status, 401);
    assert_eq!(mend(&shop, &uuid::Uuid::now_v7().to_string(), &changes).await.status, 404);
    assert_eq!(shop.admin().await.patch(&format!("{path}/cancel"), &json!({})).await.status, 200);
    let before = kept(&shop, &order).await;
    assert_eq!(mend(&shop, &order, &changes).await.slug(), "conflict");
    let erased = shop.admin().await.post("/api/admin/guests/erase", &json!({"cpf": crate::shop::CPF})).await;
    assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(1)), "{}", erased.body);
    assert_eq!(mend(&shop, &order, &changes).await.slug(), "conflict");
    assert_ne!(kept(&shop, &order).await.1, before.1);
    shop.close().await;
}

#[actix_web::test]
async fn an_invoice_that_was_put_together_before_its_order_was_mended_is_not_sent() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &ware).await;
    invoices::issue(&shop.app, OrderId(order.parse().unwrap())).await.unwrap();
    let id: InvoiceId = shop.sql("SELECT id FROM invoices").await;
    let mut db = shop.app.db().await.unwrap();
    let tx = db.transaction().await.unwrap();
    tx.execute("SELECT FROM orders FOR NO KEY UPDATE", &[]).await.unwrap();
    let app = shop.app.clone();
    let sending = actix_web::rt::spawn(async move { invoices::send(&app, id).await });
    while shop.sql::<i64>("SELECT count(*) FROM pg_locks WHERE NOT granted").await == 0 {
        actix_web::rt::time::sleep(Duration::from_millis(10)).await;
    }
    let mended = r#"UPDATE orders SET mended = mended + 1, shipping_address = shipping_address || '{"number": "77"}'"#;
    tx.execute(mended, &[]).await.unwrap();
    tx.commit().await.unwrap();
    sending.await.unwrap().unwrap();
    assert_eq!(shop.control().nfes().len(), 0, "what was read before the change is not sent");
    goes_on(&shop).await;
    assert_eq!(authorised(&shop)[0].draft.buyer.number, "77");
    shop.close().await;
}

#[actix_web::test]
async fn a_bought_label_holds_its_address_and_one_in_the_cart_is_replaced() {
    let shop = shipments::shop().await;
    let changes = json!({"address": {"street": "Alameda Santos", "number": "7"}});
    let labelled = shipments::labelled(&shop).await;
    let before = kept(&shop, &labelled).await;
    let refused = mend(&shop, &labelled, &changes).await;
    assert_eq!((refused.status, refused.slug()), (409, "invoice-or-label-stands"), "{}", refused.body);
    assert_eq!(kept(&shop, &labelled).await.1, before.1);

    shop.control().set_label_balance(0);
    let carted = shipments::paid(&shop).await;
    rest(&shop).await;
    assert_eq!(state(&shop, &carted).await, "carted");
    let claimed = format!(
        "UPDATE shipments SET claim = gen_random_uuid(), claimed_until = now() + interval '1 minute' WHERE order_id = '{carted}'"
    );
    shop.execute(&claimed).await;
    assert_eq!(mend(&shop, &carted, &changes).await.slug(), "invoice-or-label-stands", "it is being bought at this moment");
    shop.execute("UPDATE shipments SET claimed_until = now() - interval '1 second' WHERE claim IS NOT NULL").await;
    let answer = mend(&shop, &carted, &changes).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    rest(&shop).await;
    shop.control().set_label_balance(1_000_000);
    assert_eq!(buy_by_hand(&shop, &carted).await.status, 202);
    rest(&shop).await;
    assert_eq!(state(&shop, &carted).await, "generated");
    let addresses: Vec<Value> = bought(&shop).iter().map(|parcel| parcel.sent["to"]["address"].clone()).collect();
    assert_eq!(addresses, ["Avenida Paulista", "Alameda Santos"], "nobody pays for a label with the address of before");
    let labels: Vec<String> =
        shop.sql(&format!("SELECT array_agg(status::text ORDER BY id) FROM shipments WHERE order_id = '{carted}'")).await;
    assert_eq!(labels, ["cancelled", "generated"]);
    shipments::is_told_whole(&shop, &carted).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_label_that_nobody_asked_for_yet_reads_the_mended_address() {
    let shop = shipments::shop().await;
    shop.execute(r#"INSERT INTO settings (name, value) VALUES ('shipping', '{"handling_days": 0, "labels": "by_hand"}')"#).await;
    let order = shipments::paid(&shop).await;
    rest(&shop).await;
    assert_eq!(mend(&shop, &order, &json!({"address": {"street": "Alameda Santos"}})).await.status, 200);
    assert_eq!(buy_by_hand(&shop, &order).await.status, 202);
    rest(&shop).await;
    let [parcel] = bought(&shop).try_into().expect("one");
    assert_eq!(parcel.sent["to"]["address"], "Alameda Santos");
    shop.close().await;
}

#[actix_web::test]
async fn a_city_that_was_named_for_the_address_of_before_is_not_used_for_the_next() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().reject_next_nfes(1, "275", "Rejeição: Código Município do Destinatário");
    let order = paid(&shop, &ware).await;
    goes_on(&shop).await;
    shop.execute("UPDATE invoices SET buyer_ibge_city = '3304557'").await; // named by the shop at an earlier try
    assert_eq!(mend(&shop, &order, &json!({"address": {"cep": "01310-200"}})).await.status, 200);
    let rejected = invoices_of(&shop).await[0].clone();
    assert_eq!(retry(&shop, &rejected).await.status, 200);
    goes_on(&shop).await;
    assert_eq!(authorised(&shop)[0].draft.buyer.ibge_city, "3550308");
    shop.close().await;
}
