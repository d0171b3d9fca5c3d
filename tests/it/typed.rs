//! What people type is taken as it will be used: on the invoice, on the label, by the form that sent it.

use serde_json::{Value, json};

use crate::shop::Shop;

/// The order with a typed address in which these fields are other.
fn with_address(order: &Value, changes: &Value) -> Value {
    let mut order = order.clone();
    order.as_object_mut().unwrap().remove("address_id");
    let mut address = json!({"cep": "01310-100", "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista",
        "city": "São Paulo", "state": "SP"});
    for (field, value) in changes.as_object().unwrap() {
        address[field] = value.clone();
    }
    order["address"] = address;
    order
}

#[actix_web::test]
async fn what_no_invoice_can_carry_is_refused_at_the_door_with_its_field() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&mug, 1)]).await;
    let before = shop.row_counts().await;
    for (field, value) in [
        ("street", json!("R")),
        ("street", json!("🎁🎁")),
        ("city", json!("-")),
        ("recipient", json!("X")),
        ("state", json!("RJ")),
        ("district", json!("a".repeat(121))),
    ] {
        let answer = ana.post("/api/orders", &with_address(&order, &json!({field: value}))).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![&*format!("address.{field}")]), "{}", answer.body);
        if field != "state" {
            let mut saved = with_address(&order, &json!({"recipient": "Ana Lima"}))["address"].clone();
            saved[field] = value;
            let answer = ana.post("/api/users/me/addresses", &saved).await;
            assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{}", answer.body);
        }
    }
    let named = ana.request("PATCH", "/api/users/me").json(&json!({"name": "🎁"})).send().await;
    assert_eq!((named.status, named.invalid_fields()), (422, vec!["name"]), "{}", named.body);
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_town_without_districts_and_the_blank_fields_of_a_form_are_taken() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let ana = shop.customer().await;
    for district in ["", "-"] {
        let mut order = with_address(
            &ana.order_for(&[(&mug, 1)]).await,
            &json!({"district": district, "complement": "", "recipient": " ", "phone": "", "label": ""}),
        );
        for field in ["coupon", "notes"] {
            order[field] = json!(" ");
        }
        let placed = ana.post("/api/orders", &order).await;
        assert_eq!(placed.status, 201, "{}", placed.body);
        let address = &placed.body["shipping_address"];
        assert_eq!(address["district"], "Não informado");
        assert!(address["complement"].is_null() && address["phone"].is_null(), "{address}");
        assert!(placed.body["notes"].is_null() && placed.body["coupon_code"].is_null());
    }
    let mut saved = with_address(&json!({}), &json!({"recipient": "Ana Lima", "district": "", "complement": "", "phone": " "}));
    let saved = ana.post("/api/users/me/addresses", &saved["address"].take()).await;
    assert_eq!((saved.status, &saved.body["district"]), (201, &json!("Não informado")), "{}", saved.body);
    assert!(saved.body["complement"].is_null());
    shop.drain().await;
    shop.close().await;
}
