//! Stock cannot be held for nothing without a limit.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shop::{Answer, Product, Shop, cpf};

/// Sets the limits of one kind; the others are off.
async fn limit(shop: &Shop, what: &str, by: &str, most: i32) {
    let off = json!({"per_document": 0, "per_email": 0, "per_address": 0});
    let mut limits = json!({"unpaid_orders": off, "unpaid_units": off, "units_per_line": 0});
    limits[what][by] = json!(most);
    let set = shop.admin().await.put("/api/admin/settings/order_limits", &limits).await;
    assert_eq!((set.status, &set.body), (200, &limits));
}

/// As many guests, each with a cart of so many of it; they share what the limit counts by, and nothing else.
struct Guests {
    carts: Vec<String>,
    orders: Vec<Value>,
}

impl Guests {
    async fn with(shop: &Shop, product: &Product, count: u32, quantity: i32, share: &str) -> Self {
        let items = [(product, quantity)];
        let carts = join_all((0..count).map(|_| shop.guest_cart(&items))).await;
        let order = shop.guest_order(&items, &cpf(0)).await;
        let own = |n: u32| {
            let mut order = order.clone();
            if share != "per_document" {
                order["cpf"] = json!(cpf(n));
            }
            if share != "per_email" {
                order["email"] = json!(format!("pessoa{n}@example.com"));
            }
            order
        };
        Self { carts, orders: (1..=count).map(own).collect() }
    }

    /// All of them at once.
    async fn buy(&self, shop: &Shop) -> Vec<Answer> {
        let place = |(cart, order): (&String, &Value)| {
            shop.request("POST", "/api/orders").header("X-Cart-Token", cart).json(order).send()
        };
        join_all(self.carts.iter().zip(&self.orders).map(place)).await
    }
}

fn placed(answers: &[Answer], slug: &str) -> usize {
    let refused = answers.iter().filter(|answer| answer.status == 409).inspect(|answer| assert_eq!(answer.slug(), slug)).count();
    let placed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(placed + refused, answers.len());
    placed
}

#[actix_web::test]
async fn of_twenty_orders_at_once_no_more_than_the_limit_wait_for_their_money() {
    for (by, whose) in [
        ("per_document", "with this CPF or CNPJ"),
        ("per_email", "with this e-mail"),
        ("per_address", "from your network address"),
    ] {
        let shop = Shop::open().await;
        let shirt = shop.product("Camiseta").stock(100).create().await;
        limit(&shop, "unpaid_orders", by, 6).await;
        let guests = Guests::with(&shop, &shirt, 20, 1, by).await;
        let answers = guests.buy(&shop).await;
        assert_eq!(placed(&answers, "too-many-unpaid-orders"), 6, "{by}");
        let refused = answers.iter().find(|answer| answer.status == 409).unwrap();
        let told = format!("There are too many unpaid orders {whose}: pay or cancel one of them, or wait until one has run out");
        assert_eq!(refused.body["detail"], told);
        assert_eq!(
            (shop.stock(&shirt).await, shop.sql::<i64>("SELECT count(*) FROM orders").await),
            (94, 6),
            "nothing is left of a refusal"
        );

        // Whoever shares none of it is not concerned.
        let free = match by {
            "per_document" => shop.guest_order(&[(&shirt, 1)], &cpf(77)).await,
            _ => {
                let mut order = shop.guest_order(&[(&shirt, 1)], &cpf(0)).await;
                order["email"] = json!("outra@example.com");
                order
            }
        };
        let cart = shop.guest_cart(&[(&shirt, 1)]).await;
        let other = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&free).send().await;
        assert_eq!(other.status, if by == "per_address" { 409 } else { 201 }, "{by}: {}", other.body);

        // One that is cancelled makes room for one, at once.
        let first = answers.iter().find(|answer| answer.status == 201).unwrap();
        let path = format!("/api/orders/{}/cancel", first.body["id"].as_str().unwrap());
        let cancel = shop.request("PATCH", &path).header("X-Order-Token", first.body["access_token"].as_str().unwrap());
        assert_eq!(cancel.json(&json!({})).send().await.status, 200);
        let again: Vec<Answer> =
            guests.buy(&shop).await.into_iter().filter(|answer| answer.status != 409 || answer.slug() != "cart-empty").collect();
        assert_eq!(placed(&again, "too-many-unpaid-orders"), 1, "{by}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn units_are_counted_over_all_orders_that_wait_and_over_one_line() {
    for by in ["per_document", "per_email", "per_address"] {
        let shop = Shop::open().await;
        let shirt = shop.product("Camiseta").stock(100).create().await;
        limit(&shop, "unpaid_units", by, 10).await;
        let answers = Guests::with(&shop, &shirt, 20, 3, by).await.buy(&shop).await;
        assert_eq!(placed(&answers, "too-many-units"), 3, "{by}");
        assert_eq!(shop.stock(&shirt).await, 91);
        shop.close().await;
    }
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    let off = json!({"per_document": 0, "per_email": 0, "per_address": 0});
    let limits = json!({"unpaid_orders": off, "unpaid_units": off, "units_per_line": 3});
    assert_eq!(shop.admin().await.put("/api/admin/settings/order_limits", &limits).await.status, 200);
    let (fits, more) = (shop.buy_as_guest(&[(&shirt, 3)]).await, shop.buy_as_guest(&[(&shirt, 4)]).await);
    assert_eq!((fits.status, more.status, more.slug()), (201, 409, "too-many-units"));
    assert_eq!(more.body["detail"], format!("One order takes at most 3 of {}: lower its quantity in the cart", shirt.slug));
    shop.close().await;
}

#[actix_web::test]
async fn what_is_paid_no_longer_counts_and_no_longer_says_where_it_came_from() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    limit(&shop, "unpaid_orders", "per_address", 1).await;
    let first = shop.buy_as_guest(&[(&shirt, 1)]).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.slug(), "too-many-unpaid-orders");
    let kept: Vec<u8> = shop.sql("SELECT placed_from FROM orders").await;
    assert_eq!(kept, shop.app.keys.address("127.0.0.1".parse().unwrap()), "a keyed hash, and no address");
    let (id, token) = (first.body["id"].as_str().unwrap(), first.body["access_token"].as_str().unwrap());
    let pay = shop.request("POST", &format!("/api/orders/{id}/pay")).header("X-Order-Token", token);
    assert_eq!(pay.json(&json!({"method": "pix"})).send().await.status, 200);
    shop.control().pay(vitrine_sandbox::Pay::of(id)).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    assert_eq!(shop.sql::<i64>("SELECT count(placed_from) FROM orders").await, 0);
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    shop.close().await;
}

#[actix_web::test]
async fn where_an_order_came_from_is_kept_only_where_orders_are_counted_by_it() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    limit(&shop, "unpaid_units", "per_email", 50).await;
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    assert_eq!(shop.sql::<i64>("SELECT count(placed_from) FROM orders").await, 0);
    limit(&shop, "unpaid_units", "per_address", 50).await;
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    assert_eq!(shop.sql::<i64>("SELECT count(placed_from) FROM orders").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_subscribers_ipv6_network_is_one_address() {
    let shop = Shop::open_with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    limit(&shop, "unpaid_orders", "per_address", 2).await;
    let guests = Guests::with(&shop, &shirt, 4, 1, "per_address").await;
    let mut statuses = Vec::new();
    for (n, from) in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2::3", "2001:db8:1:3::1"].iter().enumerate() {
        let request =
            shop.request("POST", "/api/orders").header("X-Cart-Token", &guests.carts[n]).header("X-Forwarded-For", from);
        statuses.push(request.json(&guests.orders[n]).send().await.status);
    }
    assert_eq!(statuses, [201, 201, 409, 201]);
    shop.close().await;
}

#[actix_web::test]
async fn the_limits_are_checked_kept_and_hold_without_being_set_where_requests_are_counted() {
    let shop = Shop::open_with(&[("RATE_LIMIT_GLOBAL", "100000/1m")]).await;
    let shirt = shop.product("Camiseta").stock(5_000).create().await;
    let admin = shop.admin().await;
    let bad = json!({"unpaid_orders": {"per_document": -1, "per_email": 0, "per_address": 0}, "units_per_line": 10_000});
    let mut fields = admin
        .put("/api/admin/settings/order_limits", &bad)
        .await
        .invalid_fields()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    fields.sort();
    assert_eq!(fields, ["units_per_line", "unpaid_orders.per_document"]);
    shop.offer_pickup().await; // no carrier takes so many
    assert_eq!(admin.get("/api/admin/settings").await.body["order_limits"], Value::Null);
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1_001)]).await.slug(), "too-many-units");
    let answers = Guests::with(&shop, &shirt, 25, 1, "per_document").await.buy(&shop).await;
    assert_eq!(placed(&answers, "too-many-unpaid-orders"), 20);
    shop.close().await;
}

#[actix_web::test]
async fn an_unpaid_order_holds_its_stock_for_three_charges_lives_at_most() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let order = ana.buy(&[(&shirt, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let pay = async |method: &str| ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await;
    // Time passes: the order is this old, and its first clock was moved on by charges before.
    let is_old = async |minutes: i32| {
        shop.execute(&format!(
            "UPDATE orders SET created_at = now() - interval '{minutes} minutes', expires_at = now() + interval '1 minute'"
        ))
        .await
    };
    let ends = "SELECT round(extract(epoch FROM expires_at - created_at) / 60)::int FROM orders";
    let charge_lives =
        "SELECT round(extract(epoch FROM max(expires_at) - now()) / 60)::int FROM payments WHERE status = 'pending'";
    is_old(50).await;
    assert_eq!(pay("pix").await.status, 200);
    assert_eq!((shop.sql::<i32>(charge_lives).await, shop.sql::<i32>(ends).await), (30, 85), "a whole life, and the grace");
    is_old(80).await;
    assert_eq!(pay("credit_card").await.status, 200);
    assert_eq!((shop.sql::<i32>(charge_lives).await, shop.sql::<i32>(ends).await), (10, 95), "what is left of three lives");
    is_old(90).await;
    let late = pay("pix").await;
    assert_eq!((late.status, late.slug()), (409, "conflict"));
    assert_eq!(late.body["detail"], "The order was kept unpaid for as long as it can be: place it again");
    shop.close().await;
}
