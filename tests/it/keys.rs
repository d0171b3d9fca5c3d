//! The shop's keys: what each change of one breaks, and what it must not.

use std::process::Command;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::audit;
use vitrine::ids::{OrderId, ResetId};
use vitrine::rekey::{Report, Wanted, rekey};
use vitrine_sandbox::Pay;

use crate::auth::{log_in, sign_up};
use crate::process::serving_env;

use crate::shop::{Answer, Beside, DATA_KEYS, Product, Shop, cpf};

const NEW_KEY: &str = "2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A guest's full cart and what it asks for; only the person differs from one order to the next.
struct Basket {
    cart: String,
    order: Value,
}

impl Basket {
    async fn of(shop: &Shop, product: &Product, coupon: Option<&str>) -> Self {
        let items = [(product, 1)];
        let mut order = shop.guest_order(&items, &cpf(0)).await;
        if let Some(code) = coupon {
            order["coupon"] = json!(code);
        }
        Self { cart: shop.guest_cart(&items).await, order }
    }

    async fn buy(&self, shop: &Shop, at: Option<&Beside>, person: u32) -> Answer {
        let mut order = self.order.clone();
        order["cpf"] = json!(cpf(person));
        order["email"] = json!(format!("{}@example.com", Uuid::new_v4().simple())); // the document alone says who it is
        let request = match at {
            Some(server) => server.request(shop, "POST", "/api/orders"),
            None => shop.request("POST", "/api/orders"),
        };
        request.header("X-Cart-Token", &self.cart).json(&order).send().await
    }
}

async fn coupon_once_each(shop: &Shop) {
    shop.execute(
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'UMA', 'fixed', 100, 1)",
    )
    .await;
}

async fn step(server: &Beside, batches: u64) -> Report {
    rekey(&server.app.pool, &server.app.keys, Wanted { batch: 2, batches: Some(batches), new_tokens: false }).await.unwrap()
}

/// Rows by the first key, of every table that is sealed or hashed.
async fn old_rows(shop: &Shop) -> i64 {
    shop.sql(
        "SELECT (SELECT count(*) FROM users WHERE tax_id_key = 1) + (SELECT count(*) FROM users WHERE totp_key = 1)
              + (SELECT count(*) FROM orders WHERE tax_id_key = 1) + (SELECT count(*) FROM coupon_persons WHERE key = 1)",
    )
    .await
}

#[actix_web::test]
async fn what_the_shop_gave_out_outlives_another_jwt_secret() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let basket = Basket::of(&shop, &shirt, None).await;
    let session = sign_up(&shop, "ana@example.com").await;
    shop.post("/api/auth/forgot-password", &json!({"email": "ana@example.com"})).await;
    let reset = shop.app.keys.reset_token(ResetId(shop.sql("SELECT id FROM password_resets").await));

    let other = shop.beside(&[("JWT_SECRET", "another-secret-that-nobody-knows-yet-1")]).await.unwrap();
    let bearer = format!("Bearer {}", session.body["token"].as_str().unwrap());
    let me = other.request(&shop, "GET", "/api/users/me").header("Authorization", &bearer).send().await;
    assert_eq!(me.status, 401, "access tokens are what it signs");
    let path = format!("/api/orders/{}", placed["id"].as_str().unwrap());
    let opened =
        other.request(&shop, "GET", &path).header("X-Order-Token", placed["access_token"].as_str().unwrap()).send().await;
    assert_eq!((opened.status, &opened.body["number"]), (200, &placed["number"]), "the link of a guest's mail");
    assert_eq!(basket.buy(&shop, Some(&other), 1).await.status, 201, "a freight quote that was shown");
    let new = json!({"token": reset, "password": "uma senha bem nova"});
    assert_eq!(other.request(&shop, "POST", "/api/auth/reset-password").json(&new).send().await.status, 204, "a mailed reset");
    let order: OrderId = serde_json::from_value(placed["id"].clone()).unwrap();
    let now = Timestamp::now();
    assert_eq!(other.app.keys.invoice_token(order, now), shop.app.keys.invoice_token(order, now));
    assert_eq!(log_in(&shop, "ana@example.com", "uma senha bem nova").await.status, 200);
    other.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn everything_is_turned_batch_by_batch_and_nobody_uses_a_coupon_twice_meanwhile() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(60).create().await;
    coupon_once_each(&shop).await;
    let mut placed = Vec::new();
    for person in 0..6 {
        let answer = Basket::of(&shop, &shirt, Some("UMA")).await.buy(&shop, None, person).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        placed.push(answer.body);
    }
    // Person 5 was erased: only the count of the coupon's uses is left, and no document to make its hash of.
    shop.execute(&format!(
        "UPDATE orders SET tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL, coupon_held = true WHERE id = '{}'",
        placed[5]["id"].as_str().unwrap()
    ))
    .await;
    let ana = shop.customer().await;
    assert_eq!(ana.patch("/api/users/me", &json!({"cpf": cpf(7)})).await.status, 200);
    let secret = shop.app.keys.vault().seal(vitrine::seal::Kind::Totp, b"second factor").unwrap();
    let second_factor =
        format!("UPDATE users SET totp_sealed = '\\x{}', totp_key = 1 WHERE id = '{}'", hex::encode(secret), ana.id);
    shop.execute(&second_factor).await;

    // First every server learns the new key, then it becomes the first one.
    let announced = shop.beside(&[("DATA_KEYS", &format!("{DATA_KEYS},{NEW_KEY}"))]).await.unwrap();
    let early = rekey(&announced.app.pool, &announced.app.keys, Wanted::default()).await;
    assert!(early.is_err_and(|e| e.to_string().contains("put the newest one first")));
    let new = shop.beside(&[("DATA_KEYS", &format!("{NEW_KEY},{DATA_KEYS}"))]).await.unwrap();
    let basket = Basket::of(&shop, &shirt, Some("UMA")).await;
    let unaware = basket.buy(&shop, None, 0).await;
    assert_eq!((unaware.status, unaware.slug()), (503, "unavailable"), "a server that was not restarted counts nothing wrongly");

    let mut left = old_rows(&shop).await;
    assert_eq!(left, 5 + 1 + 1 + 6);
    let mut rounds = 0;
    while left > 0 {
        let report = step(&new, 1).await; // and stopped
        assert_eq!(report.broken, Vec::<String>::new());
        let now = old_rows(&shop).await;
        assert!(now < left, "every run goes on where the one before stopped: {now} of {left}");
        left = now;
        rounds += 1;
        for person in [0, 1, 2, 3, 4, 5] {
            for server in [&announced, &new] {
                let again = basket.buy(&shop, Some(server), person).await;
                assert_eq!(
                    (again.status, again.slug()),
                    (409, "coupon-refused"),
                    "person {person} in round {rounds}: {}",
                    again.body
                );
                assert_eq!(again.body["detail"], "You have used this coupon already");
            }
        }
        if rounds == 2 || rounds == 4 {
            // Who cancels has the coupon back, wherever the rows are by now.
            let (id, token) =
                (placed[1]["id"].as_str().unwrap().to_owned(), placed[1]["access_token"].as_str().unwrap().to_owned());
            let cancelled =
                new.request(&shop, "PATCH", &format!("/api/orders/{id}/cancel")).header("X-Order-Token", &token).send().await;
            assert_eq!(cancelled.status, 200, "{}", cancelled.body);
            let server = if rounds == 2 { &announced } else { &new };
            let again = Basket::of(&shop, &shirt, Some("UMA")).await.buy(&shop, Some(server), 1).await;
            assert_eq!(again.status, 201, "{}", again.body);
            placed[1] = again.body;
            left = old_rows(&shop).await;
        }
        assert_eq!(audit::violations(&shop.app.db().await.unwrap()).await.unwrap(), Vec::new(), "in round {rounds}");
    }
    assert!(rounds >= 6, "{rounds}");

    // The last run is the command's own.
    let output = Command::new(env!("CARGO_BIN_EXE_vitrine"))
        .arg("rekey")
        .current_dir(std::env::temp_dir())
        .env_clear()
        .envs(serving_env(&shop.database_url().await))
        .env("DATA_KEYS", format!("{NEW_KEY},{DATA_KEYS}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("complete: once `vitrine audit` is clean"), "{said}");

    // The old key may go: nothing needs it, and the database says so to a server that has no other.
    let alone = shop.beside(&[("DATA_KEYS", NEW_KEY)]).await.unwrap();
    for person in [0, 1, 2, 3, 4, 5] {
        assert_eq!(basket.buy(&shop, Some(&alone), person).await.status, 409, "person {person}");
    }
    let rows = shop.app.db().await.unwrap();
    let sealed = "SELECT tax_id_sealed, tax_id_key, tax_id_hash FROM orders WHERE tax_id_key IS NOT NULL
                  UNION ALL SELECT tax_id_sealed, tax_id_key, tax_id_hash FROM users WHERE tax_id_key IS NOT NULL";
    for row in rows.query(sealed, &[]).await.unwrap() {
        let document = alone.app.keys.open(row.get("tax_id_sealed"), row.get("tax_id_key")).unwrap();
        assert_eq!(alone.app.keys.person(&document), row.get::<_, Vec<u8>>("tax_id_hash"));
    }
    let factor: Vec<u8> = shop.sql("SELECT totp_sealed FROM users WHERE totp_key = 2").await;
    assert_eq!(alone.app.keys.vault().open(vitrine::seal::Kind::Totp, &factor, 2).unwrap(), b"second factor");
    let path = format!("/api/orders/{}", placed[0]["id"].as_str().unwrap());
    let link =
        alone.request(&shop, "GET", &path).header("X-Order-Token", placed[0]["access_token"].as_str().unwrap()).send().await;
    assert_eq!(link.status, 200, "the links of mails live on");
    let late = shop.beside(&[("DATA_KEYS", DATA_KEYS)]).await;
    assert!(late.is_err_and(|e| e.to_string().contains("DATA_KEYS lacks key 2")));
    for server in [announced, new, alone] {
        server.stop().await;
    }
    shop.close().await;
}

#[actix_web::test]
async fn orders_of_one_person_that_race_with_the_turning_use_a_coupon_once() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(60).create().await;
    coupon_once_each(&shop).await;
    for person in 10..18 {
        assert_eq!(Basket::of(&shop, &shirt, Some("UMA")).await.buy(&shop, None, person).await.status, 201);
    }
    let announced = shop.beside(&[("DATA_KEYS", &format!("{DATA_KEYS},{NEW_KEY}"))]).await.unwrap();
    let new = shop.beside(&[("DATA_KEYS", &format!("{NEW_KEY},{DATA_KEYS}"))]).await.unwrap();
    let mut baskets = Vec::new();
    for _ in 0..12 {
        baskets.push(Basket::of(&shop, &shirt, Some("UMA")).await);
    }
    let orders = join_all(baskets.iter().enumerate().map(|(i, basket)| {
        let server = if i % 2 == 0 { &announced } else { &new };
        basket.buy(&shop, Some(server), 1)
    }));
    let turning = async {
        let wanted = Wanted { batch: 1, ..Wanted::default() };
        rekey(&new.app.pool, &new.app.keys, wanted).await.unwrap()
    };
    let (answers, report) = join(orders, turning).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
    let report = if report.is_complete { report } else { rekey(&new.app.pool, &new.app.keys, Wanted::default()).await.unwrap() };
    assert!(report.is_complete, "{report:?}");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM coupon_persons WHERE uses = 1 AND key = 2").await, 9);
    announced.stop().await;
    new.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn money_that_comes_late_while_hashes_are_turned_takes_no_use_that_was_used_again() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(60).create().await;
    coupon_once_each(&shop).await;
    let placed = Basket::of(&shop, &shirt, Some("UMA")).await.buy(&shop, None, 1).await.body;
    let (order, token) = (placed["id"].as_str().unwrap(), placed["access_token"].as_str().unwrap());
    let pay = shop.request("POST", &format!("/api/orders/{order}/pay")).header("X-Order-Token", token);
    assert_eq!(pay.json(&json!({"method": "pix"})).send().await.status, 200);
    shop.execute("UPDATE payments SET expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour'").await;
    shop.execute("UPDATE orders SET expires_at = now() - interval '55 minutes'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order' AND state = 'waiting'").await;
    shop.drain().await;
    let state = "SELECT status || '/' || payment_status || '/' || coupon_held FROM orders ORDER BY id LIMIT 1";
    assert_eq!(shop.sql::<String>(state).await, "cancelled/expired/false", "its use was given back");

    let new = shop.beside(&[("DATA_KEYS", &format!("{NEW_KEY},{DATA_KEYS}"))]).await.unwrap();
    let again = Basket::of(&shop, &shirt, Some("UMA")).await.buy(&shop, Some(&new), 1).await;
    assert_eq!(again.status, 201, "{}", again.body);
    shop.control().pay(Pay::of(order).force()).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    assert_eq!(shop.sql::<String>(state).await, "processing/paid/false", "the order goes on, at its price");
    assert_eq!(shop.sql::<i32>("SELECT uses FROM coupons").await, 1);
    assert!(rekey(&new.app.pool, &new.app.keys, Wanted::default()).await.unwrap().is_complete);
    assert_eq!(shop.sql::<i64>("SELECT sum(uses) FROM coupon_persons WHERE key = 2").await, 1);
    new.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_new_key_for_tokens_ends_every_link_and_nothing_else() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let wanted = Wanted { new_tokens: true, ..Wanted::default() };
    assert!(rekey(&shop.app.pool, &shop.app.keys, wanted).await.unwrap().is_complete);
    let restarted = shop.beside(&[]).await.unwrap();
    let path = format!("/api/orders/{}", placed["id"].as_str().unwrap());
    let see = |token: String| restarted.request(&shop, "GET", &path).header("X-Order-Token", &token).send();
    assert_eq!(see(placed["access_token"].as_str().unwrap().to_owned()).await.status, 404);
    let order: OrderId = serde_json::from_value(placed["id"].clone()).unwrap();
    assert_eq!(see(restarted.app.keys.order_token(order, Timestamp::now())).await.status, 200);
    restarted.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn every_sealed_column_is_one_that_rekey_turns() {
    let shop = Shop::open().await;
    let columns: String = shop
        .sql(
            "SELECT string_agg(table_name || '.' || column_name, ', ' ORDER BY table_name, column_name) FROM (SELECT table_name::text, column_name::text
               FROM information_schema.columns WHERE table_schema = 'public' AND (column_name LIKE '%sealed' OR column_name LIKE '%\\_hash'
                    OR column_name = 'person')) c",
        )
        .await;
    // Hashes of random tokens and of passwords are not by a key: they stay.
    assert_eq!(
        columns,
        "coupon_persons.person, email_changes.token_hash, orders.tax_id_hash, orders.tax_id_sealed, password_resets.token_hash, \
         privacy_requests.token_hash, refresh_tokens.token_hash, secret_keys.sealed, users.password_hash, users.tax_id_hash, users.tax_id_sealed, users.totp_sealed"
    );
    shop.close().await;
}
