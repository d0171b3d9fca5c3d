//! Nothing that can be known at the checkout blocks an invoice after the payment: readiness is asked at the door.

use serde_json::{Value, json};
use vitrine_sandbox::NfeStatus;

use crate::invoices::{goes_on, invoices_of, open};
use crate::seller::buys;
use crate::shop::{Answer, CPF, Product, Shop};

async fn places(shop: &Shop, items: &[(&Product, i32)]) -> (String, Answer) {
    let cart = shop.guest_cart(items).await;
    let order = shop.guest_order(items, CPF).await;
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    (cart, placed)
}

async fn set(shop: &Shop, value: &Value) -> Answer {
    shop.admin().await.put("/api/admin/settings/invoices", value).await
}

#[actix_web::test]
async fn a_product_that_could_not_be_invoiced_is_sold_with_one_alert_that_counts() {
    let (shop, ware) = open("focusnfe").await;
    let bare = shop.ware("SKU-2", 1_000).await;
    shop.execute(&format!("UPDATE products SET ncm = NULL WHERE id = '{}'", bare.id)).await;
    let mut orders = Vec::new();
    for items in [&[(&bare, 1)][..], &[(&ware, 1), (&bare, 2)], &[(&ware, 1)]] {
        orders.push(buys(&shop, items).await);
    }
    assert_eq!(shop.alerted().await, ["sold-unready 2"]);
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.contains("SKU-2") && text.contains("NCM") && !text.contains("SKU-1"), "{text}");
    let told: Vec<String> = shop.sql("SELECT order_numbers FROM alerts").await;
    assert_eq!(told.len(), 2, "each order is named: {told:?}");
    // Its data are completed before it is paid: its invoice is as any other.
    shop.execute("UPDATE products SET ncm = '61091000'").await;
    shop.pays(&orders[0]).await;
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes()[0].status, NfeStatus::Authorized);
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_that_refuses_such_products_sells_none_and_nothing_moves() {
    let (shop, ware) = open("focusnfe").await;
    assert_eq!(set(&shop, &json!({"unready_products": "never"})).await.status, 422);
    let answer = set(&shop, &json!({"unready_products": "refuse"})).await;
    assert_eq!((answer.status, &answer.body["unready_products"]), (200, &json!("refuse")), "{}", answer.body);
    let settings = shop.admin().await.get("/api/admin/settings").await;
    assert_eq!(settings.body["invoices"], json!({"unready_products": "refuse"}));
    let bare = shop.ware("SKU-2", 1_000).await;
    for gap in ["ncm = NULL", "origin = NULL", "tax = '{\"csosn\": \"500\"}'"] {
        shop.execute(&format!("UPDATE products SET ncm = '61091000', origin = 0, tax = '{{}}' WHERE id = '{}'", bare.id)).await;
        shop.execute(&format!("UPDATE products SET {gap} WHERE id = '{}'", bare.id)).await;
        let items = [(&ware, 1), (&bare, 1)];
        let (cart, order) = (shop.guest_cart(&items).await, shop.guest_order(&items, CPF).await);
        let before = shop.row_counts().await;
        let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
        assert_eq!((placed.status, placed.slug()), (409, "product-not-ready"), "{gap}: {}", placed.body);
        assert!(placed.body["detail"].as_str().unwrap().contains("SKU-2"), "{}", placed.body);
        assert_eq!((shop.row_counts().await, shop.stock(&bare).await, shop.stock(&ware).await), (before, 1000, 1000), "{gap}");
    }
    // What a category says counts for its products.
    shop.execute("UPDATE products SET ncm = NULL, origin = 0, tax = '{}'").await;
    shop.execute("UPDATE categories SET ncm = '61091000'").await;
    assert_eq!(places(&shop, &[(&ware, 1), (&bare, 1)]).await.1.status, 201);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    assert_eq!(invoices_of(&shop).await, json!([]));
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_that_issues_no_invoices_asks_for_no_tax_data() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    shop.execute("UPDATE products SET ncm = NULL").await;
    assert_eq!(set(&shop, &json!({"unready_products": "refuse"})).await.status, 200);
    assert_eq!(places(&shop, &[(&mug, 1)]).await.1.status, 201);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn readiness_lists_the_letters_that_an_invoice_leaves_out() {
    let (shop, ware) = open("focusnfe").await;
    shop.execute(&format!("UPDATE products SET name = 'Caneca 🎁 Škoda 茶🎁' WHERE id = '{}'", ware.id)).await;
    shop.execute(&format!("UPDATE variants SET sku = 'SKU-Š-чай', name = 'Azul ♻' WHERE product_id = '{}'", ware.id)).await;
    let address =
        r#"{"street": "Rua 茶", "number": "1 Ж", "complement": "Ŝala 👕", "district": "Centro 水", "city": "São Paulo"}"#;
    shop.execute(&format!(
        r#"UPDATE settings SET value = value || '{{"trade_name": "Loja 🎁"}}' || jsonb_build_object('address', value -> 'address' || '{address}')
            WHERE name = 'company'"#
    ))
    .await;
    let readiness = shop.admin().await.get("/api/admin/invoices/readiness").await.body;
    let of = |id: Value, field: &str, name: &str, letters: &str| json!({"product_id": id, "field": field, "name": name, "letters": letters});
    let (company, product) = (
        |field, name, letters| of(Value::Null, field, name, letters),
        |field, name, letters| of(json!(ware.id), field, name, letters),
    );
    let expected = json!([
        company("company.trade_name", "Loja 🎁", "🎁"),
        company("company.address.street", "Rua 茶", "茶"),
        company("company.address.number", "1 Ж", "Ж"),
        company("company.address.complement", "Ŝala 👕", "👕"),
        company("company.address.district", "Centro 水", "水"),
        product("name", "Caneca 🎁 Škoda 茶🎁", "🎁茶"),
        product("sku", "SKU-Š-чай", "чай"),
        product("variant", "Azul ♻", "♻"),
    ]);
    assert_eq!((&readiness["left_out"], &readiness["ready"]), (&expected, &json!(true)), "{readiness}");
    shop.close().await;
}

#[actix_web::test]
async fn an_address_of_before_that_an_invoice_cannot_show_is_named_before_it_is_sent() {
    let (shop, ware) = open("focusnfe").await;
    let order = buys(&shop, &[(&ware, 1)]).await;
    shop.execute(r#"UPDATE orders SET shipping_address = shipping_address || '{"district": "-", "street": "R"}'"#).await;
    shop.pays(&order).await;
    goes_on(&shop).await;
    let fields: Vec<Value> =
        invoices_of(&shop).await[0]["problems"].as_array().unwrap().iter().map(|problem| problem["field"].clone()).collect();
    assert_eq!(fields, ["buyer.address.street", "buyer.address.district"]);
    assert_eq!(shop.control().calls_to("focusnfe", "/v2/nfe"), 0, "no number was spent");
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_without_a_company_sells_as_it_chose_for_products_without_tax_data() {
    let (shop, ware) = open("focusnfe").await;
    shop.execute("DELETE FROM settings WHERE name = 'company'").await;
    assert_eq!(set(&shop, &json!({"unready_products": "refuse"})).await.status, 200);
    let before = (shop.sql::<i64>("SELECT count(*) FROM orders").await, shop.stock(&ware).await);
    let (_, placed) = places(&shop, &[(&ware, 1)]).await;
    assert_eq!((placed.status, placed.slug()), (409, "product-not-ready"), "{}", placed.body);
    assert_eq!((shop.sql::<i64>("SELECT count(*) FROM orders").await, shop.stock(&ware).await), before, "nothing moved");
    assert_eq!(set(&shop, &json!({"unready_products": "sell"})).await.status, 200);
    for _ in 0..2 {
        assert_eq!(places(&shop, &[(&ware, 1)]).await.1.status, 201);
    }
    assert_eq!(shop.alerted().await, ["sold-unready 2"]);
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.contains("/api/admin/settings/company"), "{text}");
    shop.close().await;
}
