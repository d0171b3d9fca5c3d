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
        ("cep", json!("00000-001")),
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
        let mut saved = with_address(&order, &json!({"recipient": "Ana Lima"}))["address"].clone();
        saved[field] = value;
        let answer = ana.post("/api/users/me/addresses", &saved).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{}", answer.body);
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

#[actix_web::test]
async fn a_cep_of_no_state_is_refused_wherever_freight_or_a_pickup_is_asked_for() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let ana = shop.customer().await;
    let pickup = json!({"handling_days": 0, "pickup": {"enabled": true, "label": "Retirada", "address": "Rua A, 1", "days": 0}});
    assert_eq!(shop.admin().await.put("/api/admin/settings/shipping", &pickup).await.status, 200);
    let order = ana.order_for(&[(&mug, 1)]).await;
    let quoted = ana.post("/api/shipping/calculate", &json!({"cep_destino": "00000-001"})).await;
    assert_eq!((quoted.status, quoted.invalid_fields()), (422, vec!["cep_destino"]), "{}", quoted.body);
    let quoted = ana.post("/api/shipping/calculate", &json!({"cep_destino": "01310-100"})).await;
    let options = quoted.body["options"].as_array().unwrap();
    let fetched = options.iter().find(|option| option["provider"] == "pickup").unwrap();
    let mut order = with_address(&order, &json!({"cep": "00999-999"}));
    order["quote_token"] = fetched["quote_token"].clone();
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, placed.invalid_fields()), (422, vec!["address.cep"]), "{}", placed.body);
    shop.close().await;
}

#[actix_web::test]
async fn tax_codes_that_no_invoice_is_written_with_are_refused_where_they_are_typed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.ware("SKU-1", 5_000).await;
    let category: uuid::Uuid = shop.sql("SELECT id FROM categories").await;
    let (product, category) = (format!("/api/products/{}", mug.id), format!("/api/categories/{category}"));
    let (product, category) = (product.as_str(), category.as_str());
    let export = String::from_utf8(admin.get("/api/admin/products/export").await.bytes).unwrap();
    let before = shop.row_counts().await;
    for (field, code) in
        [("csosn", "101"), ("csosn", "201"), ("icms_cst", "51"), ("icms_cst", "90"), ("pis_cst", "50"), ("cofins_cst", "03")]
    {
        let tax = json!({field: code});
        for (method, path, body, named) in [
            ("PUT", "/api/admin/settings/taxes", json!({"products": tax}), format!("products.{field}")),
            ("PATCH", product, json!({"tax": tax}), format!("tax.{field}")),
            ("PUT", category, json!({"tax": tax}), format!("tax.{field}")),
        ] {
            let answer = admin.request(method, path).json(&body).send().await;
            assert_eq!((answer.status, answer.invalid_fields()), (422, vec![&*named]), "{path} {code}: {}", answer.body);
        }
        let mut lines = csv::Reader::from_reader(export.as_bytes());
        let mut table = csv::Writer::from_writer(Vec::new());
        let header = lines.headers().unwrap().clone();
        table.write_record(&header).unwrap();
        for line in lines.records() {
            let cell = |(name, cell): (&str, &str)| if name == "tax" { format!("{field}={code}") } else { cell.to_owned() };
            table.write_record(header.iter().zip(&line.unwrap()).map(cell)).unwrap();
        }
        let request = admin.request("POST", "/api/admin/products/import");
        let answer = request.body("text/csv", String::from_utf8(table.into_inner().unwrap()).unwrap()).send().await;
        assert_eq!((answer.status, answer.invalid_fields().len()), (422, 1), "{code}: {}", answer.body);
        assert!(answer.invalid_fields()[0].starts_with("line 2: tax"), "{}", answer.body);
    }
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn an_ncm_is_one_of_the_list_or_one_that_the_settings_name_as_newer() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.ware("SKU-1", 5_000).await;
    let category: uuid::Uuid = shop.sql("SELECT id FROM categories").await;
    let (product, of_category) = (format!("/api/products/{}", mug.id), format!("/api/categories/{category}"));
    shop.execute("UPDATE products SET ncm = '69120000'").await;
    let new = json!({"name": "Prato", "category_id": category, "weight_grams": 300, "height_cm": 5, "width_cm": 15, "length_cm": 20,
        "price_cents": 5000, "ncm": "77010000"});
    let table = String::from_utf8(admin.get("/api/admin/products/export").await.bytes).unwrap().replace("69120000", "77010000");
    let doors = async |status: [u16; 5]| {
        let ncm = json!({"ncm": "77010000"});
        let import = admin.request("POST", "/api/admin/products/import").body("text/csv", table.clone());
        let answers = [
            import.send().await,
            admin.post("/api/products", &new).await,
            admin.request("PATCH", &product).json(&ncm).send().await,
            admin.request("PUT", &of_category).json(&ncm).send().await,
            admin.post("/api/categories", &json!({"name": "Pratos", "ncm": "77010000"})).await,
        ];
        for (answer, status) in answers.iter().zip(status) {
            assert_eq!(answer.status, status, "{}", answer.body);
            if status == 422 {
                assert!(["ncm", "line 2: ncm"].contains(&answer.invalid_fields()[0]), "{}", answer.body);
            }
        }
    };
    let before = shop.row_counts().await;
    doors([422; 5]).await;
    assert_eq!(shop.row_counts().await, before);
    // What left the list since it was written does not stand in the way of another change.
    shop.execute("UPDATE products SET ncm = '77010000'").await;
    assert_eq!(admin.request("PATCH", &product).json(&json!({"featured": true})).send().await.status, 200);
    let export = admin.get("/api/admin/products/export").await.bytes;
    let import = admin.request("POST", "/api/admin/products/import").body("text/csv", String::from_utf8(export).unwrap());
    assert_eq!(import.send().await.status, 200);
    shop.execute("UPDATE products SET ncm = '69120000'").await;
    let taxes = json!({"newer_ncm": ["77010000"]});
    assert_eq!(admin.put("/api/admin/settings/taxes", &taxes).await.status, 200);
    doors([200, 201, 200, 200, 201]).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_blank_field_of_a_form_is_an_absent_one_at_every_door() {
    let shop = Shop::open().await;
    let (admin, ana) = (shop.admin().await, shop.customer().await);
    let profile = json!({"phone": "11987654321", "cpf": crate::shop::CPF});
    assert_eq!(ana.request("PATCH", "/api/users/me").json(&profile).send().await.status, 200);
    let emptied = ana.request("PATCH", "/api/users/me").json(&json!({"phone": "", "cpf": " "})).send().await;
    assert_eq!(
        (emptied.status, &emptied.body["phone"], &emptied.body["cpf"]),
        (200, &Value::Null, &Value::Null),
        "{}",
        emptied.body
    );

    let company = json!({"legal_name": "Loja de Teste Ltda", "trade_name": "", "cnpj": crate::seller::CNPJ, "state_registration": "ISENTO",
        "tax_regime": "simples", "invoice_series": 1, "phone": " ", "address": {"cep": "01310100", "street": "Avenida Paulista",
        "number": "1000", "complement": " ", "district": "Bela Vista", "city": "São Paulo", "state": "SP", "ibge_city": ""}});
    let set = admin.put("/api/admin/settings/company", &company).await;
    assert_eq!(
        (set.status, &set.body["trade_name"], &set.body["address"]["complement"]),
        (200, &Value::Null, &Value::Null),
        "{}",
        set.body
    );
    let methods = json!({"pix": {"enabled": true, "label": ""}});
    let set = admin.put("/api/admin/settings/payment_methods", &methods).await;
    assert_eq!((set.status, &set.body["pix"]["label"]), (200, &Value::Null), "{}", set.body);
    let taxes = json!({"products": {"csosn": "102", "cest": "", "unit": ""}, "notes": ""});
    let set = admin.put("/api/admin/settings/taxes", &taxes).await;
    assert_eq!((set.status, &set.body["products"]), (200, &json!({"csosn": "102"})), "{}", set.body);

    let category = json!({"name": "Louça", "slug": "", "ncm": "", "cfop": ""});
    let category = admin.post("/api/categories", &category).await;
    assert_eq!(
        (category.status, &category.body["slug"], &category.body["ncm"]),
        (201, &json!("louca"), &Value::Null),
        "{}",
        category.body
    );
    let product = json!({"name": "Prato Fundo", "slug": "", "sku": "", "ncm": "", "cfop": " ", "category_id": category.body["id"],
        "weight_grams": 300, "height_cm": 5, "width_cm": 15, "length_cm": 20, "price_cents": 5000});
    let made = admin.post("/api/products", &product).await;
    assert_eq!((made.status, &made.body["slug"], &made.body["ncm"]), (201, &json!("prato-fundo"), &Value::Null), "{}", made.body);
    let sku = made.body["sku"].clone();
    let path = format!("/api/products/{}", made.body["id"].as_str().unwrap());
    let variant = json!({"id": made.body["variants"][0]["id"], "sku": "", "price_cents": 5500});
    for change in [json!({"sku": "", "slug": "", "ncm": ""}), json!({"variants": [variant]})] {
        let changed = admin.request("PATCH", &path).json(&change).send().await;
        assert_eq!(
            (changed.status, &changed.body["sku"], &changed.body["slug"]),
            (200, &sku, &json!("prato-fundo")),
            "{}",
            changed.body
        );
    }

    let erased = admin.post("/api/admin/guests/erase", &json!({"cpf": "", "email": "ninguem@loja.example"})).await;
    assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(0)), "{}", erased.body);
    let nobody = admin.post("/api/admin/guests/erase", &json!({"cpf": "", "email": " "})).await;
    assert_eq!((nobody.status, nobody.invalid_fields()), (422, vec!["cpf"]), "{}", nobody.body);
    shop.close().await;
}
