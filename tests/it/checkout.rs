//! Placing orders: complete or not at all, under any concurrency.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::ids::VariantId;
use vitrine::shipping::quote::Quote;

use crate::shop::{Answer, CEP, CPF, Product, Shop, address};

fn statuses(answers: &[Answer]) -> (usize, usize) {
    let count = |status| answers.iter().filter(|a| a.status == status).count();
    answers.iter().for_each(|a| assert!(matches!(a.status, 201 | 409), "{} {}", a.status, a.body));
    (count(201), count(409))
}

async fn refused(shop: &Shop, before: &[(String, i64)], answer: &Answer, status: u16, slug: &str) {
    assert_eq!((answer.status, answer.slug()), (status, slug), "{}", answer.body);
    assert_eq!(shop.row_counts().await, before, "a refusal must leave nothing behind");
}

#[actix_web::test]
async fn a_customer_buys_and_everything_adds_up() {
    let shop = Shop::open().await;
    let (shirt, mug) = (shop.product("Camiseta").price(5_990).create().await, shop.product("Caneca").price(2_550).create().await);
    let ana = shop.customer().await;
    let placed = ana.buy(&[(&shirt, 2), (&mug, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order = &placed.body;
    assert_eq!(order["subtotal_cents"], 14_530);
    assert_eq!(order["discount_cents"], 0);
    let shipping = order["shipping_cents"].as_i64().unwrap();
    assert!(shipping > 0, "freight is never free by accident");
    assert_eq!(order["total_cents"], 14_530 + shipping);
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("pending"), &json!("pending_payment")));
    assert_eq!(order["currency"], "BRL");
    assert_eq!((shop.stock(&shirt).await, shop.stock(&mug).await), (8, 9));
    assert_eq!(ana.get("/api/cart").await.body["items"], json!([]));

    let id = order["id"].as_str().unwrap();
    let shown = ana.get(&format!("/api/orders/{id}")).await;
    let without_time = |order: &Value| {
        let mut order = order.clone();
        for field in ["created_at", "updated_at", "expires_at"] {
            order[field] = Value::Null;
        }
        order
    };
    assert_eq!(without_time(&shown.body), without_time(order), "the answer is the order as it is shown later");
    let list = ana.get("/api/orders").await;
    assert_eq!((&list.body["total"], &list.body["items"][0]["id"]), (&json!(1), &json!(id)));
    shop.close().await;
}

#[actix_web::test]
async fn a_guest_buys_and_only_the_access_token_opens_that_order() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let first = shop.buy_as_guest(&[(&shirt, 1)]).await;
    let second = shop.buy_as_guest(&[(&shirt, 1)]).await;
    assert_eq!((first.status, second.status), (201, 201), "{}", first.body);
    let token = first.body["access_token"].as_str().unwrap();
    let see = |order: &Answer, token: &str| {
        let path = format!("/api/orders/{}", order.body["id"].as_str().unwrap());
        shop.request("GET", &path).header("X-Order-Token", token).send()
    };
    assert_eq!(see(&first, token).await.status, 200);
    assert_eq!(see(&second, token).await.status, 404);
    assert_eq!(see(&first, "wrong").await.status, 404);
    assert_eq!(shop.get(&format!("/api/orders/{}", first.body["id"].as_str().unwrap())).await.status, 401);
    let stranger = shop.customer().await;
    assert_eq!(stranger.get(&format!("/api/orders/{}", first.body["id"].as_str().unwrap())).await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn the_last_shirt_is_sold_once() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(1).create().await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    let (first, second) = (ana.order_for(&[(&shirt, 1)]).await, bia.order_for(&[(&shirt, 1)]).await);
    let (one, two) = futures_util::future::join(ana.post("/api/orders", &first), bia.post("/api/orders", &second)).await;
    let mut both = [one.status, two.status];
    both.sort_unstable();
    assert_eq!(both, [201, 409]);
    let loser = if one.status == 409 { &one } else { &two };
    assert_eq!(loser.slug(), "out-of-stock");
    assert_eq!(shop.stock(&shirt).await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn two_hundred_buyers_and_a_hundred_units_leave_a_hundred_orders_and_no_stock() {
    let shop = Shop::open().await;
    // Enough stock when the carts are filled; the shortage shows only at the checkout.
    let shirt = shop.product("Camiseta").stock(200).create().await;
    let order = shop.guest_order(&[(&shirt, 1)], CPF).await;
    let carts = join_all((0..200).map(|_| async { shop.guest_cart(&[(&shirt, 1)]).await })).await;
    shop.execute("UPDATE variants SET stock = 100").await;
    shop.execute(&format!(
        "INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) VALUES ('{}', -100, 'adjustment', 'test', 'system')",
        shirt.variant_id
    ))
    .await;
    let answers =
        join_all(carts.iter().map(|cart| shop.request("POST", "/api/orders").header("X-Cart-Token", cart).json(&order).send()))
            .await;
    assert_eq!(statuses(&answers), (100, 100));
    assert_eq!(shop.stock(&shirt).await, 0);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 100);
    shop.close().await;
}

#[actix_web::test]
async fn carts_in_opposite_order_never_deadlock() {
    let shop = Shop::open().await;
    let (a, b) = (shop.product("A").stock(1000).create().await, shop.product("B").stock(1000).create().await);
    let (ab, ba) = (shop.guest_order(&[(&a, 1), (&b, 1)], CPF).await, shop.guest_order(&[(&b, 1), (&a, 1)], CPF).await);
    let carts = join_all((0..60).map(|i| {
        let items: Vec<(&Product, i32)> = if i % 2 == 0 { vec![(&a, 1), (&b, 1)] } else { vec![(&b, 1), (&a, 1)] };
        let shop = &shop;
        async move { shop.guest_cart(&items).await }
    }))
    .await;
    let answers = join_all(carts.iter().enumerate().map(|(i, cart)| {
        let order = if i % 2 == 0 { &ab } else { &ba };
        shop.request("POST", "/api/orders").header("X-Cart-Token", cart).json(order).send()
    }))
    .await;
    assert_eq!(statuses(&answers), (60, 0));
    assert_eq!((shop.stock(&a).await, shop.stock(&b).await), (940, 940));
    shop.close().await;
}

#[actix_web::test]
async fn one_key_from_twenty_connections_makes_one_order() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&shirt, 1)]).await;
    let ask = || ana.request("POST", "/api/orders").header("Idempotency-Key", "uma-vez").json(&order).send();
    let answers = join_all((0..20).map(|_| ask())).await;
    for answer in &answers {
        let replayed = answer.header("idempotency-replayed") == Some("true");
        match answer.status {
            201 => {}
            409 => assert_eq!(answer.slug(), "idempotency-key-in-flight"),
            other => panic!("{other}: {}", answer.body),
        }
        assert!(!replayed || answer.status == 201);
    }
    let fresh = answers.iter().filter(|a| a.status == 201 && a.header("idempotency-replayed").is_none()).count();
    assert_eq!(fresh, 1);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 1);
    assert_eq!(shop.stock(&shirt).await, 9);

    let first = answers.iter().find(|a| a.status == 201).unwrap();
    let again = ask().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.body, first.body);
    let mut other = order.clone();
    other["notes"] = json!("outra coisa");
    let reused = ana.request("POST", "/api/orders").header("Idempotency-Key", "uma-vez").json(&other).send().await;
    assert_eq!((reused.status, reused.slug()), (422, "idempotency-key-reused"));
    shop.close().await;
}

#[actix_web::test]
async fn two_tabs_order_one_cart_once() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&shirt, 1)]).await;
    let answers = join_all((0..8).map(|_| ana.post("/api/orders", &order))).await;
    assert_eq!(statuses(&answers), (1, 7));
    for late in answers.iter().filter(|a| a.status == 409) {
        assert_eq!(late.slug(), "cart-empty");
    }
    assert_eq!(shop.stock(&shirt).await, 9);
    shop.close().await;
}

#[actix_web::test]
async fn a_key_of_one_customer_says_nothing_to_another() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    for buyer in [&ana, &bia] {
        let order = buyer.order_for(&[(&shirt, 1)]).await;
        let answer = buyer.request("POST", "/api/orders").header("Idempotency-Key", "k").json(&order).send().await;
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, None));
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_bad_document_address_or_quote_leaves_nothing_behind() {
    let shop = Shop::open().await;
    let (shirt, mug) = (shop.product("Camiseta").create().await, shop.product("Caneca").create().await);
    let ana = shop.customer().await;
    let good = ana.order_for(&[(&shirt, 1)]).await;
    let other_items = shop.quote(&[(&shirt, 2)], CEP).await;
    let other_place = shop.quote(&[(&shirt, 1)], "20040-002").await;
    let another_thing = shop.quote(&[(&mug, 1)], CEP).await;
    let before = shop.row_counts().await;
    let token = good["quote_token"].as_str().unwrap();
    let flipped = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, &token[1..]);
    let past = Quote::open(&shop.app.keys, token, Timestamp::now()).unwrap();
    let expired =
        Quote { expires_at: (Timestamp::now() - SignedDuration::from_secs(1)).as_second(), ..past }.seal(&shop.app.keys);
    for (field, value) in [
        ("cpf", json!("529.982.247-26")),
        ("cpf", json!("111.111.111-11")),
        ("quote_token", json!(flipped)),
        ("quote_token", json!("nonsense")),
        ("quote_token", json!(expired)),
        ("quote_token", json!(other_items)),
        ("quote_token", json!(other_place)),
        ("quote_token", json!(another_thing)),
        ("cpf", json!(52_998_224_725_i64)),
        ("pay", json!({"method": "gold"})),
        ("surprise", json!(true)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let answer = ana.post("/api/orders", &bad).await;
        refused(&shop, &before, &answer, 422, "invalid").await;
        assert!(answer.invalid_fields()[0].starts_with(field), "{field}: {}", answer.body);
    }
    let mut foreign = good.clone();
    foreign["address_id"] = json!(Uuid::now_v7());
    refused(&shop, &before, &ana.post("/api/orders", &foreign).await, 404, "not-found").await;
    let mut no_coupon = good.clone();
    no_coupon["coupon"] = json!("NAOEXISTE");
    refused(&shop, &before, &ana.post("/api/orders", &no_coupon).await, 409, "coupon-refused").await;
    let broken = ana.request("POST", "/api/orders").body("application/json", "{\"quote_token\": ").send().await;
    refused(&shop, &before, &broken, 400, "malformed").await;
    let large = ana.request("POST", "/api/orders").body("application/json", " ".repeat(1024 * 1024 + 1)).send().await;
    refused(&shop, &before, &large, 413, "too-large").await;
    let text = ana.request("POST", "/api/orders").body("text/plain", "{}").send().await;
    refused(&shop, &before, &text, 415, "unsupported-media-type").await;
    assert_eq!(ana.post("/api/orders", &good).await.status, 201, "the good one still works");
    shop.close().await;
}

#[actix_web::test]
async fn a_guest_is_told_everything_that_is_missing_at_once() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let cart = shop.guest_cart(&[(&shirt, 1)]).await;
    let quote = shop.quote(&[(&shirt, 1)], CEP).await;
    let answer = shop
        .request("POST", "/api/orders")
        .header("X-Cart-Token", &cart)
        .json(&json!({"quote_token": quote, "email": "x"}))
        .send()
        .await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.invalid_fields(), ["name", "email", "cpf", "address"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_quote_cannot_be_made_by_a_client() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let other = Shop::open().await; // another shop's keys
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    let ours = Quote::open(&shop.app.keys, order["quote_token"].as_str().unwrap(), Timestamp::now()).unwrap();
    assert_eq!(ours.items[0].variant, VariantId(shirt.variant_id));
    order["quote_token"] = json!(ours.seal(&other.app.keys));
    assert_eq!(ana.post("/api/orders", &order).await.invalid_fields(), ["quote_token"]);
    other.close().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_is_never_spent_past_its_limit() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    shop.execute("INSERT INTO coupons (id, code, kind, value, max_uses) VALUES (gen_random_uuid(), 'CINCO', 'percent', 10, 5)")
        .await;
    let mut order = shop.guest_order(&[(&shirt, 1)], CPF).await;
    order["coupon"] = json!("cinco");
    let carts = join_all((0..20).map(|_| async { shop.guest_cart(&[(&shirt, 1)]).await })).await;
    let answers =
        join_all(carts.iter().map(|cart| shop.request("POST", "/api/orders").header("X-Cart-Token", cart).json(&order).send()))
            .await;
    assert_eq!(statuses(&answers), (5, 15));
    for answer in answers {
        match answer.status {
            201 => assert_eq!(answer.body["discount_cents"], 500),
            _ => assert_eq!(answer.slug(), "coupon-refused"),
        }
    }
    assert_eq!(shop.sql::<i32>("SELECT uses FROM coupons").await, 5);
    assert_eq!(shop.stock(&shirt).await, 95);
    shop.close().await;
}

#[actix_web::test]
async fn one_person_uses_a_coupon_as_often_as_it_says_and_gets_it_back_on_cancel() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.execute(
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'UMA', 'fixed', 1000, 1)",
    )
    .await;
    let buy = async |cpf: &str| {
        let cart = shop.guest_cart(&[(&shirt, 1)]).await;
        let mut order = shop.guest_order(&[(&shirt, 1)], cpf).await;
        order["coupon"] = json!("UMA");
        shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await
    };
    let first = buy(CPF).await;
    assert_eq!((first.status, &first.body["discount_cents"]), (201, &json!(1000)));
    let second = buy("52998224725").await; // the same person, typed differently
    assert_eq!((second.status, second.slug()), (409, "coupon-refused"));
    let other = buy("111.444.777-35").await;
    assert_eq!((other.status, other.slug()), (409, "coupon-refused"), "the same e-mail is the same customer");
    let path = format!("/api/orders/{}/cancel", first.body["id"].as_str().unwrap());
    let token = first.body["access_token"].as_str().unwrap();
    assert_eq!(shop.request("PATCH", &path).header("X-Order-Token", token).send().await.status, 200);
    assert_eq!(buy(CPF).await.status, 201);
    shop.close().await;
}

#[actix_web::test]
async fn a_free_freight_coupon_frees_the_freight_and_keeps_its_price_on_record() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'FRETE', 'free_shipping', 0)").await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["coupon"] = json!("FRETE");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["shipping_cents"], &placed.body["total_cents"]), (201, &json!(0), &json!(5_000)));
    assert!(shop.sql::<i64>("SELECT shipping_quoted_cents FROM orders").await > 0);
    shop.close().await;
}

#[actix_web::test]
async fn cancelling_gives_stock_back_once() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(3).create().await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    let placed = ana.buy(&[(&shirt, 2)]).await;
    let path = format!("/api/orders/{}/cancel", placed.body["id"].as_str().unwrap());
    assert_eq!(shop.stock(&shirt).await, 1);
    assert_eq!(bia.patch(&path, &json!({})).await.status, 404, "not yours");
    let why = json!({"reason": "mudei de ideia"});
    let answers = join_all((0..5).map(|_| ana.patch(&path, &why))).await;
    for answer in answers {
        assert_eq!(
            (answer.status, &answer.body["status"], &answer.body["payment_status"]),
            (200, &json!("cancelled"), &json!("cancelled"))
        );
    }
    assert_eq!(shop.stock(&shirt).await, 3);
    shop.close().await;
}

#[actix_web::test]
async fn an_unpaid_order_expires_and_restocks() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(1).create().await;
    let ana = shop.customer().await;
    let placed = ana.buy(&[(&shirt, 1)]).await;
    shop.drain_ahead(SignedDuration::from_mins(10)).await;
    assert_eq!(shop.stock(&shirt).await, 0, "not before its time");
    shop.execute("UPDATE orders SET expires_at = now() - interval '1 second'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order'").await;
    shop.drain().await;
    let shown = ana.get(&format!("/api/orders/{}", placed.body["id"].as_str().unwrap())).await;
    assert_eq!((&shown.body["status"], &shown.body["payment_status"]), (&json!("cancelled"), &json!("expired")));
    assert_eq!(shop.stock(&shirt).await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn the_public_page_shows_the_way_and_no_person() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let placed = ana.buy(&[(&shirt, 2)]).await;
    let number = placed.body["number"].as_str().unwrap();
    let public = shop.get(&format!("/api/orders/tracking/{number}")).await;
    assert_eq!(public.status, 200);
    assert_eq!(
        (&public.body["status"], &public.body["items"]),
        (&json!("pending"), &json!([{"name": "Camiseta", "quantity": 2}]))
    );
    let text = public.body.to_string();
    for secret in ["Ana", "example.com", "Paulista", "01310", "cents", "529982", "982.247"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let bare = number.replace('-', "");
    for typed in
        [number.to_lowercase(), bare.clone(), bare.to_lowercase().replace('0', "o"), format!("{}%20{}", &bare[..5], &bare[5..])]
    {
        let found = shop.get(&format!("/api/orders/tracking/{typed}")).await;
        assert_eq!((found.status, found.body["number"].as_str()), (200, Some(number)), "{typed}");
    }
    assert_eq!(shop.get("/api/orders/tracking/00000-00000").await.slug(), "not-found");
    shop.close().await;
}

#[actix_web::test]
async fn an_order_is_shipped_by_the_shop_alone_and_only_when_paid() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let placed = ana.buy(&[(&shirt, 1)]).await;
    let path = format!("/api/orders/{}/tracking", placed.body["id"].as_str().unwrap());
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(ana.patch(&path, &tracking).await.slug(), "forbidden");
    assert_eq!(admin.patch(&path, &tracking).await.slug(), "conflict");
    shop.close().await;
}

#[actix_web::test]
async fn a_stranger_sees_and_changes_nothing_of_an_order() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, eve) = (shop.customer().await, shop.customer().await);
    let placed = ana.buy(&[(&shirt, 1)]).await;
    let id = placed.body["id"].as_str().unwrap();
    let before = shop.row_counts().await;
    for (method, path) in [("GET", ""), ("PATCH", "/cancel"), ("GET", "/events"), ("GET", "/payments"), ("POST", "/pay")] {
        let request = eve.request(method, &format!("/api/orders/{id}{path}"));
        let request = if path == "/pay" { request.json(&json!({"method": "pix"})) } else { request };
        assert_eq!(request.send().await.slug(), "not-found", "{method} {path}");
    }
    assert_eq!(eve.get("/api/orders").await.body["total"], 0);
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_pages_by_cursor_without_skipping_or_repeating() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(50).create().await;
    let ana = shop.customer().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(ana.buy(&[(&shirt, 1)]).await.body["id"].clone());
    }
    placed.reverse();
    let (mut seen, mut path) = (Vec::new(), "/api/orders?limit=2".to_owned());
    loop {
        let page = ana.get(&path).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|o| o["id"].clone()));
        assert_eq!(page.body["total"], 5);
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/orders?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, placed);
    assert_eq!(ana.get("/api/orders?cursor=nonsense").await.invalid_fields(), ["cursor"]);
    assert_eq!(ana.get("/api/orders?limit=101").await.invalid_fields(), ["limit"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_address_may_be_typed_at_the_checkout_too() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order.as_object_mut().unwrap().remove("address_id");
    order["address"] = address(CEP);
    assert_eq!(ana.post("/api/orders", &order).await.status, 201);
    shop.close().await;
}

/// The first part of an order's event stream: all events after `last`.
async fn events_behind(buyer: &crate::shop::Customer<'_>, order: &str, last: &str) -> Vec<(String, Value)> {
    let request = buyer.request("GET", &format!("/api/orders/{order}/events")).header("Last-Event-ID", last);
    let mut stream = request.try_send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let text = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    text.split("\n\n")
        .filter(|event| event.starts_with("id: "))
        .map(|event| (field(event, "id: "), serde_json::from_str(&field(event, "data: ")).unwrap()))
        .collect()
}

#[actix_web::test]
async fn an_event_stream_tells_what_happened_and_resumes_where_it_was_left() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["pay"] = json!({"method": "pix"});
    let placed = ana.post("/api/orders", &order).await;
    let id = placed.body["id"].as_str().unwrap();
    shop.control().pay(vitrine_sandbox::Pay::of(id)).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);

    let all = events_behind(&ana, id, "0").await;
    let told: Vec<_> = all
        .iter()
        .map(|(_, event)| format!("{} {}", event["subject"].as_str().unwrap(), event["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            "order pending",
            "payment_status pending_payment",
            "payment creating",
            "payment pending",
            "order processing",
            "payment_status paid",
            "payment paid"
        ]
    );
    let behind = events_behind(&ana, id, &all[4].0).await;
    assert_eq!(behind, all[5..]);
    shop.close().await;
}

#[actix_web::test]
async fn what_is_paid_is_shipped_told_and_shown() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["pay"] = json!({"method": "pix"});
    let placed = ana.post("/api/orders", &order).await;
    let id = placed.body["id"].as_str().unwrap();
    shop.control().pay(vitrine_sandbox::Pay::of(id)).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    for mistyped in ["AA123456789BR", "AA-123456789-BR", "AA 123 456 789 BR", "A-B C", "AA123456785BR!"] {
        let mistyped = json!({"tracking_number": mistyped, "carrier": "Correios"});
        let refused = admin.patch(&format!("/api/orders/{id}/tracking"), &mistyped).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["tracking_number"]), "{mistyped}: {}", refused.body);
    }
    assert_eq!(shop.sql::<String>("SELECT status FROM orders").await, "processing");
    let shipped = admin
        .patch(&format!("/api/orders/{id}/tracking"), &json!({"tracking_number": "aa 123456785-br", "carrier": "Correios"}))
        .await;
    assert_eq!(shipped.body["tracking_number"], "AA123456785BR", "{}", shipped.body);
    assert_eq!((shipped.status, &shipped.body["status"]), (200, &json!("shipped")), "{}", shipped.body);
    let public = shop.get("/api/orders/tracking/AA123456785BR").await;
    assert_eq!((&public.body["status"], &public.body["carrier"]), (&json!("shipped"), &json!("Correios")));
    let page = shop.get(&format!("/tracking/{}", placed.body["number"].as_str().unwrap())).await;
    let html = String::from_utf8(page.bytes).unwrap();
    assert!(html.contains("Pedido enviado") && html.contains("AA123456785BR"), "{html}");
    shop.drain().await;
    let subjects: Vec<_> = shop.control().mails_to(&ana.email).into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects.len(), 3, "placed, paid, shipped: {subjects:?}");
    let late = ana.patch(&format!("/api/orders/{id}/cancel"), &json!({})).await;
    assert_eq!((late.status, late.slug()), (409, "conflict"));
    shop.close().await;
}

#[actix_web::test]
async fn what_is_sold_out_is_shown_so_at_once_though_the_answer_was_cached() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(2).create().await;
    let path = format!("/api/products/{}", shirt.slug);
    let shown = async || shop.get(&path).await.body["in_stock"].clone();
    assert_eq!(shown().await, true);
    let ana = shop.customer().await;
    let placed = ana.buy(&[(&shirt, 2)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    assert_eq!(shown().await, false, "the last ones went");
    assert_eq!(ana.patch(&format!("/api/orders/{}/cancel", placed.body["id"].as_str().unwrap()), &json!({})).await.status, 200);
    assert_eq!(shown().await, true, "and came back");
    shop.close().await;
}

#[actix_web::test]
async fn codes_cannot_be_found_by_placing_orders() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'CERTO', 'fixed', 100)").await;
    let cart = shop.guest_cart(&[(&shirt, 1)]).await;
    let order = shop.guest_order(&[(&shirt, 1)], CPF).await;
    let place = async |code: Option<&str>, key: &str| {
        let mut order = order.clone();
        if let Some(code) = code {
            order["coupon"] = json!(code);
        }
        shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).header("Idempotency-Key", key).json(&order).send().await
    };
    let bought = place(Some("certo"), "primeiro").await;
    assert_eq!(bought.status, 201, "{}", bought.body);
    for _ in 0..10 {
        assert_eq!(place(Some("certo"), "primeiro").await.status, 201, "right codes cost nothing");
    }
    shop.request("POST", "/api/cart/items")
        .header("X-Cart-Token", &cart)
        .json(&json!({"product_id": shirt.id, "quantity": 1}))
        .send()
        .await;
    let before = shop.row_counts().await;
    for n in 0..5 {
        let miss = place(Some(&format!("ERRADO{n}")), "k").await;
        refused(&shop, &before, &miss, 409, "coupon-refused").await;
        assert_eq!(miss.body["detail"], "There is no such coupon");
    }
    let silenced = place(Some("CERTO"), "k").await;
    assert_eq!(silenced.header("retry-after"), Some("60"));
    refused(&shop, &before, &silenced, 429, "too-many-requests").await;
    let in_cart = shop.request("POST", "/api/cart/coupon").header("X-Cart-Token", &cart);
    assert_eq!(in_cart.json(&json!({"code": "CERTO"})).send().await.status, 429, "and the cart counts them too");
    assert_eq!(place(None, "k").await.status, 201, "who names no code is not concerned");
    shop.close().await;
}

#[actix_web::test]
async fn an_account_uses_a_coupon_as_often_as_one_person_whatever_documents_it_types() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.execute(
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'UMA', 'fixed', 100, 1)",
    )
    .await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    let with = async |who: &crate::shop::Customer<'_>, document: u32| {
        let mut order = who.order_for(&[(&shirt, 1)]).await;
        order["coupon"] = json!("UMA");
        order["cpf"] = json!(crate::shop::cpf(document));
        who.post("/api/orders", &order).await
    };
    let first = with(&ana, 1).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = with(&ana, 2).await;
    assert_eq!((again.status, again.slug()), (409, "coupon-refused"), "{}", again.body);
    assert_eq!(again.body["detail"], "You have used this coupon already");
    let shown = ana.post("/api/cart/coupon", &json!({"code": "UMA"})).await;
    assert_eq!((shown.status, &shown.body["detail"]), (409, &json!("You have already used this coupon")));
    let borrowed = with(&bia, 1).await;
    assert_eq!((borrowed.status, borrowed.slug()), (409, "coupon-refused"), "the document counts for whoever types it");
    // Given back, it can be used again, by another document too.
    assert_eq!(ana.patch(&format!("/api/orders/{}/cancel", first.body["id"].as_str().unwrap()), &json!({})).await.status, 200);
    ana.delete("/api/cart").await;
    assert_eq!(with(&ana, 2).await.status, 201);
    shop.close().await;
}

#[actix_web::test]
async fn one_person_cannot_take_all_event_streams() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    let order = async |who: &crate::shop::Customer<'_>| who.buy(&[(&shirt, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let (hers, other, bias) = (order(&ana).await, order(&ana).await, order(&bia).await);
    let open = async |who: &crate::shop::Customer<'_>, order: &str| {
        who.request("GET", &format!("/api/orders/{order}/events")).try_send().await.unwrap()
    };
    let mut streams = Vec::new();
    for n in 0..10 {
        let stream = open(&ana, if n % 2 == 0 { &hers } else { &other }).await;
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let refused = open(&ana, &hers).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "5"));
    assert_eq!(open(&bia, &bias).await.status(), 200, "nobody else is concerned");
    drop(streams);
    let started = std::time::Instant::now();
    while open(&ana, &hers).await.status() != 200 {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "who hung up has a place again");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    shop.close().await;
}
