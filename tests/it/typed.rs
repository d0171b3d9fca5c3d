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
        ("number", json!("🎁")),
        ("number", json!("茶")),
        ("complement", json!("🎁")),
        ("recipient", json!("a".repeat(61))),
        ("street", json!("№".repeat(21))),
        ("number", json!("1".repeat(61))),
        ("complement", json!("œ".repeat(31))),
        ("district", json!("a".repeat(61))),
        ("city", json!("é".repeat(61))),
        ("recipient", json!("Ana https://premio.example")),
        ("street", json!("www.premio.example")),
        ("complement", json!("veja premio.example/ja")),
        ("district", json!("ｗｗｗ．premio.example")),
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
    for name in ["🎁", "Ganhe R$ 500 em www.premio.example", "http://premio.example/ana", &"a".repeat(61), &"№".repeat(21)] {
        let named = ana.request("PATCH", "/api/users/me").json(&json!({"name": name})).send().await;
        assert_eq!((named.status, named.invalid_fields()), (422, vec!["name"]), "{}", named.body);
        let person = json!({"name": name, "email": "bia@loja.example", "password": "uma frase bem longa"});
        let registered = shop.post("/api/auth/register", &person).await;
        assert_eq!((registered.status, registered.invalid_fields()), (422, vec!["name"]), "{}", registered.body);
        let mut guests = with_address(&order, &json!({}));
        (guests["name"], guests["email"]) = (name.into(), "bia@loja.example".into());
        let placed = shop.post("/api/orders", &guests).await;
        assert_eq!((placed.status, placed.invalid_fields()), (422, vec!["name"]), "{}", placed.body);
    }
    assert_eq!(shop.row_counts().await, before);

    let placed = ana.post("/api/orders", &with_address(&order, &json!({"street": "é".repeat(60), "number": "№ 7"}))).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let (admin, path) = (shop.admin().await, format!("/api/orders/{}", placed.body["id"].as_str().unwrap()));
    let mended = admin.request("PATCH", &path).json(&json!({"address": {"number": "茶"}})).send().await;
    assert_eq!((mended.status, mended.invalid_fields()), (422, vec!["address.number"]), "{}", mended.body);
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

#[actix_web::test]
async fn what_no_invoice_can_show_of_goods_is_refused_where_it_is_typed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.ware("SKU-1", 5_000).await;
    let category: uuid::Uuid = shop.sql("SELECT id FROM categories").await;
    let new = json!({"name": "Prato", "sku": "PRATO", "category_id": category, "weight_grams": 300, "height_cm": 5, "width_cm": 15,
        "length_cm": 20, "price_cents": 5000});
    let before = shop.row_counts().await;
    let long = "A".repeat(61); // the invoice would cut it, and two of them could read alike
    let signs = "№".repeat(21);
    for (field, text) in
        [("name", "🎁🎁"), ("name", "茶"), ("name", "..."), ("sku", "茶-🎁"), ("sku", "-"), ("sku", &long), ("sku", &signs)]
    {
        let mut bad = new.clone();
        bad[field] = text.into();
        let answer = admin.post("/api/products", &bad).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{text}: {}", answer.body);
        for method in ["PUT", "PATCH"] {
            let answer = admin.request(method, &format!("/api/products/{}", mug.id)).json(&json!({field: text})).send().await;
            let fields = if field == "sku" { vec!["variants[0].sku"] } else { vec!["name"] };
            assert_eq!((answer.status, answer.invalid_fields()), (422, fields), "{method} {text}: {}", answer.body);
        }
    }
    for text in ["🎁", "茶", "-", "★ ★"] {
        let variant = json!({"variants": [{"sku": "SKU-1", "name": "P", "price_cents": 5_000}, {"sku": "SKU-9", "name": text, "price_cents": 5_000}]});
        let mut bad = new.clone();
        bad["variants"] = variant["variants"].clone();
        let answer = admin.post("/api/products", &bad).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec!["variants[1].name"]), "{text}: {}", answer.body);
        let answer = admin.put(&format!("/api/products/{}", mug.id), &variant).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec!["variants[1].name"]), "{text}: {}", answer.body);
    }
    let export = String::from_utf8(admin.get("/api/admin/products/export").await.bytes).unwrap();
    let variant = |name: &str| format!("SKU-1,{name},");
    assert!(export.contains(&variant("Único")), "{export}");
    for (was, is, column) in [
        ("Produto SKU-1", "茶".to_owned(), "line 2: product_name"),
        ("SKU-1", "🎁".to_owned(), "line 2: sku"),
        ("SKU-1", signs.clone(), "line 2: sku"),
        (variant("Único").as_str(), variant("🎁"), "line 2: variant_name"),
    ] {
        let request = admin.request("POST", "/api/admin/products/import");
        let answer = request.body("text/csv", export.replace(was, &is)).send().await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![column]), "{}", answer.body);
    }
    assert_eq!(shop.row_counts().await, before);
    let mut good = new.clone();
    good["name"] = "Chá 茶 de Pequim".into();
    assert_eq!(admin.post("/api/products", &good).await.status, 201, "what is left of it is a name");
    let good = json!({"variants": [{"sku": "SKU-1", "name": "", "price_cents": 5_000}, {"sku": "SKU-9", "name": "🎁 P", "price_cents": 5_000}]});
    let answer = admin.put(&format!("/api/products/{}", mug.id), &good).await;
    assert_eq!(answer.status, 200, "a blank one, and one of which something is left: {}", answer.body);
    shop.close().await;
}

#[actix_web::test]
async fn what_no_invoice_can_show_of_the_company_is_refused_where_it_is_typed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let good = json!({
        "legal_name": "Loja de Teste Ltda", "trade_name": null, "cnpj": crate::seller::CNPJ, "state_registration": "ISENTO",
        "tax_regime": "simples", "invoice_series": 1,
        "address": {"cep": "01310100", "street": "Avenida Paulista", "number": "1000", "complement": null, "district": "Bela Vista",
                    "city": "São Paulo", "state": "SP"}
    });
    let send = async |value: &Value| admin.put("/api/admin/settings/company", value).await;
    let signs = "№".repeat(21);
    for (field, text) in
        [("legal_name", "X"), ("legal_name", "茶茶"), ("trade_name", "🎁"), ("legal_name", &signs), ("trade_name", &signs)]
    {
        let mut bad = good.clone();
        bad[field] = text.into();
        let answer = send(&bad).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{text}: {}", answer.body);
    }
    for (field, text) in [
        ("street", "R"),
        ("district", "-"),
        ("city", "🎁🎁"),
        ("number", " "),
        ("street", "Rua\nA"),
        ("number", "🎁"),
        ("street", &signs),
        ("complement", &signs),
    ] {
        let mut bad = good.clone();
        bad["address"][field] = text.into();
        let answer = send(&bad).await;
        let named = format!("address.{field}");
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![&*named]), "{text}: {}", answer.body);
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM settings").await, 0);
    assert_eq!(send(&good).await.status, 200);
    shop.close().await;
}
