//! Labels whose answers were lost are found again by tag or document; one that is not found is not assumed to be gone.

use serde_json::json;
use vitrine::shipments;
use vitrine_sandbox::{Fault, ParcelStatus, ParcelStep, SendWebhook};

use crate::shipments::{bought, cancel, fault, is_told_whole, labelled, paid, rest, rest_ahead, set_company, shop, state};
use crate::shop::Shop;

const CART: &str = "POST /melhorenvio/api/v2/me/cart";

/// The answer of the cart was lost, no webhook comes, and somebody paid the label in the panel.
async fn paid_in_the_panel() -> (Shop, String) {
    let shop = Shop::open().await; // no secret, no webhook
    set_company(&shop).await;
    let order = paid(&shop).await;
    shop.control().order_fault(fault(CART, Fault::DropAfterRequest, 1)).unwrap();
    rest(&shop).await;
    assert_eq!(state(&shop, &order).await, "pending");
    let [parcel] = shop.control().parcels().try_into().expect("one");
    shop.control().move_parcel(&parcel.id, ParcelStep::Pay, SendWebhook::Lost).unwrap();
    (shop, order)
}

#[actix_web::test]
async fn a_label_that_is_out_of_the_cart_is_found_by_whose_parcel_it_is() {
    let (shop, order) = paid_in_the_panel().await;
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), shop.control().parcels().len()), ("generated", 1));
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_label_of_somebody_who_was_erased_is_found_among_all_and_given_back() {
    let (shop, order) = paid_in_the_panel().await;
    cancel(&shop, &order).await;
    shop.execute("UPDATE orders SET tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL").await;
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("cancelled", 0));
    assert_eq!(shop.control().calls_to("melhorenvio", "GET /melhorenvio/api/v2/me/orders"), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_paid_label_that_they_do_not_find_is_not_taken_for_given_back() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    let reference: String = shop.sql("SELECT provider_ref FROM shipments").await;
    cancel(&shop, &order).await;
    shop.control().order_fault(fault(&reference, Fault::Status(404), 3)).unwrap(); // all three reads
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1));
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("cancelled", 0));
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn a_label_that_runs_out_when_the_money_is_going_back_is_not_replaced() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    let request = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
    let refund = request.header("Idempotency-Key", "volta").json(&json!({"reason": "desistiu"})).send().await;
    assert_eq!(refund.status, 201, "{}", refund.body);
    shop.control().move_parcel(&bought(&shop)[0].id, ParcelStep::Expire, SendWebhook::Once).unwrap();
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    rest(&shop).await;
    rest_ahead(&shop).await;
    let all: Vec<String> = shop.sql("SELECT array_agg(status::text) FROM shipments").await;
    assert_eq!((all, shop.alerted().await), (vec!["expired".to_owned()], vec![]));
    assert_eq!(shop.control().parcels()[0].status, ParcelStatus::Expired);
    shop.close().await;
}

/// With a state registration, such a label is refused.
#[actix_web::test]
async fn a_declaration_of_contents_names_no_state_registration() {
    let shop = shop().await;
    shop.execute("UPDATE settings SET value = value || '{\"state_registration\": \"110042490114\"}' WHERE name = 'company'")
        .await;
    labelled(&shop).await;
    assert_eq!(bought(&shop)[0].sent["from"].get("state_register"), None);
    assert_eq!(bought(&shop)[0].sent.get("agency"), None, "what is not set is not sent");
    shop.close().await;
}

#[actix_web::test]
async fn a_sender_whose_address_is_of_another_state_than_their_cep_is_told_and_buys_no_label() {
    let shop = shop().await;
    shop.execute("UPDATE settings SET value = jsonb_set(value, '{address, state}', '\"RJ\"') WHERE name = 'company'").await;
    let order = paid(&shop).await;
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!(state(&shop, &order).await, "pending");
    let told = shop.alerted().await;
    assert!(told.len() == 1 && told[0].starts_with("labels-halted "), "{told:?}");
    set_company(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!(state(&shop, &order).await, "generated");
    shop.close().await;
}
