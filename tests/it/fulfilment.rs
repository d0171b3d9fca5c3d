//! Everything after a payment together: the invoice, the label, the parcel and the mails.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use vitrine_sandbox::{Fault, NfeStatus, ParcelStatus, ParcelStep, SendWebhook};

use crate::invoices::goes_on;
use crate::shipments::SECRET;
use crate::shop::{CPF, Shop};

#[actix_web::test]
async fn an_hour_without_any_provider_is_made_up_for_once_and_by_itself() {
    let shop = Shop::open_with(&[("NFE_PROVIDER", "focusnfe"), ("CIRCUIT_BREAKER_THRESHOLD", "1000"), SECRET]).await;
    shop.sells_as("simples").await;
    let ware = shop.ware("SKU-1", 8_250).await;
    let cart = shop.guest_cart(&[(&ware, 2)]).await;
    let mut order = shop.guest_order(&[(&ware, 2)], CPF).await;
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    for provider in ["focusnfe", "melhorenvio", "resend", "viacep", "brasilapi"] {
        shop.control().next_calls(provider, Fault::DropBeforeRequest, 100_000);
    }
    shop.pays(placed.body["id"].as_str().unwrap()).await;
    for _ in 0..5 {
        shop.drain_ahead(SignedDuration::from_mins(15)).await;
    }
    let none = (shop.control().nfes().len(), shop.control().parcels().len(), shop.control().mails().len());
    assert_eq!(none, (0, 0, 0), "nobody could be reached");
    shop.control().clear_faults();
    goes_on(&shop).await;
    for step in [ParcelStep::Post, ParcelStep::Deliver] {
        for _ in 0..50 {
            shop.drain_ahead(SignedDuration::from_hours(1)).await;
            let parcel = shop.control().parcels().into_iter().next();
            if parcel.is_some_and(|parcel| parcel.status != ParcelStatus::Released) {
                break;
            }
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
        }
        let id = shop.control().parcels()[0].id.clone();
        shop.control().move_parcel(&id, step, SendWebhook::Once).unwrap();
        assert!(shop.control().settled(Duration::from_secs(20)).await);
        goes_on(&shop).await;
    }
    let (nfes, parcels) = (shop.control().nfes(), shop.control().parcels());
    assert_eq!((nfes.len(), nfes[0].status, nfes[0].attempts), (1, NfeStatus::Authorized, 1));
    assert_eq!((parcels.len(), parcels[0].status), (1, ParcelStatus::Delivered));
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    let number = placed.body["number"].as_str().unwrap();
    for mail in shop.control().mails_to("ana@example.com") {
        *told.entry(mail.subject.replace(number, "N")).or_default() += 1;
    }
    let once = [
        "Nota fiscal do pedido N",
        "Pagamento confirmado – pedido N",
        "Recebemos seu pedido N",
        "Seu pedido N está a caminho",
        "Seu pedido N foi entregue",
    ];
    assert_eq!(told, once.map(|subject| (subject.to_owned(), 1)).into());
    shop.close().await;
}
