//! The shop changes its provider of NF-e: none is emitted twice, none is lost, and no job dies over it.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::worker;
use vitrine_sandbox::{Fault, NfeStatus};

use crate::invoices::{goes_on, invoices_of, open};
use crate::seller::buys;
use crate::shop::{Beside, Product, Shop};

async fn paid(shop: &Shop, ware: &Product) -> String {
    let order = buys(shop, &[(ware, 2)]).await;
    shop.pays(&order).await;
    order
}

/// Runs what is due within an hour, as that server, with its news.
async fn runs(shop: &Shop, server: &Beside) {
    for _ in 0..3 {
        worker::drain(&server.app, SignedDuration::from_mins(50)).await.unwrap();
        assert!(shop.control().settled(Duration::from_secs(20)).await);
    }
}

async fn dead(shop: &Shop) -> i64 {
    shop.sql("SELECT count(*) FROM jobs WHERE state = 'dead'").await
}

#[actix_web::test]
async fn an_invoice_that_no_provider_has_heard_of_goes_to_the_one_of_now() {
    let (shop, ware) = open("focusnfe").await;
    shop.execute("UPDATE products SET ncm = NULL").await;
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let refused = invoices_of(&shop).await[0].clone();
    assert_eq!((&refused["status"], &refused["provider"]), (&json!("rejected"), &json!("focusnfe")), "{refused}");
    shop.execute("UPDATE products SET ncm = '61091000'").await;

    let later = shop.beside_with_fiscal("enotas").await;
    let retry = format!("/api/admin/invoices/{}/retry", refused["id"].as_str().unwrap());
    assert_eq!(shop.admin().await.post(&retry, &json!({})).await.status, 200);
    runs(&shop, &later).await;
    let seen = invoices_of(&shop).await[0].clone();
    assert_eq!((&seen["status"], &seen["provider"], dead(&shop).await), (&json!("authorized"), &json!("enotas"), 0), "{seen}");
    let (focus, nfes) = (shop.control().calls_to("focusnfe", "/v2/nfe"), shop.control().nfes());
    assert_eq!((focus, nfes.len(), nfes[0].status), (0, 1, NfeStatus::Authorized));
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn an_invoice_that_the_old_provider_may_have_waits_for_it_and_is_emitted_once() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    shop.control().next_calls("focusnfe", Fault::DropAfterRequest, 50);
    let order = paid(&shop, &ware).await;
    shop.drain().await;
    assert_eq!(shop.control().nfes().len(), 1, "it was sent, and no answer came");

    let later = shop.beside_with_fiscal("enotas").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND kind = 'send_invoice'").await;
    worker::drain(&later.app, SignedDuration::from_mins(50)).await.unwrap();
    let waiting: i64 = shop.sql("SELECT count(*) FROM jobs WHERE kind = 'send_invoice' AND state = 'waiting'").await;
    let told: Vec<String> =
        shop.sql("SELECT array_agg(DISTINCT key::text) FROM alert_occurrences WHERE key LIKE 'provider-unconfigured:%'").await;
    assert_eq!((waiting, dead(&shop).await, told), (1, 0, vec!["provider-unconfigured:focusnfe".to_owned()]));
    assert_eq!(shop.control().calls("enotas"), 0, "the other one is not told of it");
    later.stop().await;

    shop.control().clear_faults();
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    let listed: Vec<Value> = invoices_of(&shop).await.as_array().unwrap().clone();
    assert_eq!((listed.len(), &listed[0]["status"], &listed[0]["order_id"]), (1, &json!("authorized"), &json!(order)));
    assert_eq!(shop.control().nfes().len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn an_unsent_invoice_that_nobody_wants_needs_no_provider_to_be_cancelled() {
    let (shop, ware) = open("focusnfe").await;
    shop.execute("UPDATE products SET ncm = NULL").await;
    let order = paid(&shop, &ware).await;
    goes_on(&shop).await;
    let none = shop.beside(&[("NFE_PROVIDER", "none")]).await.unwrap();
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    runs(&shop, &none).await;
    assert_eq!((&invoices_of(&shop).await[0]["status"], dead(&shop).await), (&json!("cancelled"), 0));
    none.stop().await;
    shop.close().await;
}
