//! What an order costs the database, and the rules that it still holds every row to.

use tokio_postgres::types::Type;

use crate::shop::{CPF, Shop};

/// The statements of a checkout, by a part of their text.
const OF_A_CHECKOUT: [&str; 6] = [
    "FROM carts WHERE owner = $1 AND current_setting",
    "LEFT JOIN coupons k ON k.id = c.coupon_id",
    "INSERT INTO orders (id",
    "INSERT INTO order_lines",
    "DELETE FROM cart_items WHERE cart_id",
    "take_stock",
];

#[actix_web::test]
async fn the_statements_of_a_checkout_are_planned_in_the_first_ones_of_a_connection_and_not_again() {
    let shop = Shop::open_with(&[("DB_MAX_CONNS", "2")]).await;
    let (shirt, mug) = (shop.product("Camiseta").stock(1000).create().await, shop.product("Caneca").stock(1000).create().await);
    let items = [(&shirt, 1), (&mug, 2)];
    let order = shop.guest_order(&items, CPF).await;
    shop.execute("INSERT INTO settings (name, value) VALUES ('order_limits', '{}')").await;
    for n in 0..19 {
        let cart = shop.guest_cart(&items).await;
        let place = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).header("Idempotency-Key", &format!("{n}"));
        assert_eq!(place.json(&order).send().await.status, 201);
    }
    let (one, other) = (shop.app.db().await.unwrap(), shop.app.db().await.unwrap());
    for part in OF_A_CHECKOUT {
        let mut by_the_same_plan = 0;
        for db in [&one, &other] {
            let look =
                "SELECT coalesce(sum(custom_plans), 0)::int8, coalesce(sum(generic_plans), 0)::int8 FROM pg_prepared_statements
                         WHERE strpos(statement, $1) > 0";
            let row = db.query_one(look, &[&part]).await.unwrap();
            assert!(row.get::<_, i64>(0) <= 5, "{part}: planned {} times on one connection", row.get::<_, i64>(0));
            by_the_same_plan += row.get::<_, i64>(1);
        }
        assert!(by_the_same_plan >= 9, "{part}: {by_the_same_plan} of 19 by a plan that was kept");
    }
    drop((one, other));
    shop.close().await;
}

#[actix_web::test]
async fn rules_that_bind_columns_refuse_what_breaks_them() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    let line = "(SELECT id FROM order_lines)";
    let moved = |delta: i32, reason: &str, line: &str, reservation: &str| {
        format!(
            "INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
             VALUES ('{}', {delta}, '{reason}', {line}, {reservation}, 't', 't')",
            shirt.variant_id
        )
    };
    let paid = "payment_status = 'paid', paid_at = now()";
    let wrong = [
        ("orders_sound", "UPDATE orders SET total_cents = total_cents + 1".to_owned()),
        ("orders_sound", "UPDATE orders SET discount_cents = 1, total_cents = total_cents - 1".to_owned()),
        (
            "orders_sound",
            "UPDATE orders SET discount_cents = subtotal_cents + 1, coupon_discount_cents = subtotal_cents + 1, total_cents = shipping_cents - 1"
                .to_owned(),
        ),
        ("orders_sound", "UPDATE orders SET tax_id_key = NULL".to_owned()),
        ("orders_sound", "UPDATE orders SET coupon_held = true".to_owned()),
        ("orders_sound", "UPDATE orders SET paid_at = now()".to_owned()),
        ("orders_sound", format!("UPDATE orders SET {paid}")),
        ("orders_sound", "UPDATE orders SET payment_status = 'expired'".to_owned()),
        ("orders_sound", "UPDATE orders SET status = 'processing'".to_owned()),
        ("orders_sound", format!("UPDATE orders SET status = 'shipped', {paid}")),
        ("orders_sound", "UPDATE orders SET status = 'cancelled', payment_status = 'paid'".to_owned()),
        ("jobs_states", "UPDATE jobs SET state = 'running'".to_owned()),
        ("jobs_states", "UPDATE jobs SET state = 'running', lease = gen_random_uuid()".to_owned()),
        ("jobs_states", "UPDATE jobs SET lease_until = now()".to_owned()),
        ("jobs_states", "UPDATE jobs SET state = 'done'".to_owned()),
        ("jobs_states", "UPDATE jobs SET finished_at = now()".to_owned()),
        ("stock_movements_reasons", moved(1, "sale", line, "2")),
        ("stock_movements_reasons", moved(-1, "release", line, "2")),
        ("stock_movements_reasons", moved(-1, "return", line, "2")),
        ("stock_movements_reasons", moved(1, "return", line, "NULL")),
        ("stock_movements_reasons", moved(-1, "sale", "NULL", "2")),
        ("stock_movements_reasons", moved(1, "adjustment", line, "NULL")),
        ("stock_movements_reasons", moved(1, "adjustment", "NULL", "1")),
    ];
    let mut db = shop.app.db().await.unwrap();
    for (rule, sql) in &wrong {
        let refusal = db.batch_execute(sql).await.expect_err(sql);
        assert_eq!(refusal.as_db_error().and_then(|e| e.constraint()), Some(*rule), "{sql}: {refusal:?}");
    }
    let right = [
        format!("UPDATE orders SET status = 'shipped', tracking_number = 'BR1BR', {paid}"),
        format!("UPDATE orders SET status = 'delivered', shipping_provider = 'pickup', {paid}"),
        "UPDATE orders SET status = 'cancelled', payment_status = 'expired'".to_owned(),
        "UPDATE orders SET tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL".to_owned(),
        "UPDATE jobs SET state = 'running', lease = gen_random_uuid(), lease_until = now()".to_owned(),
        "UPDATE jobs SET state = 'dead', finished_at = now()".to_owned(),
        moved(-1, "sale", line, "2"),
        moved(1, "release", line, "2"),
        moved(-1, "adjustment", "NULL", "NULL"),
    ];
    for sql in &right {
        let tx = db.transaction().await.unwrap();
        tx.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        tx.rollback().await.unwrap();
    }
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn stock_is_taken_in_the_order_of_ids_or_not_at_all() {
    let shop = Shop::open().await;
    let mut ids = [shop.product("A").create().await, shop.product("B").create().await].map(|p| p.variant_id);
    ids.sort_unstable();
    let before = shop.row_counts().await;
    let [first, last] = ids;
    for wrong in [vec![last, first], vec![first, first]] {
        let db = shop.app.db().await.unwrap();
        let take = "SELECT take_stock($1, '{1,1}', ARRAY[gen_random_uuid(), gen_random_uuid()], 1::smallint, 't', 't')";
        let take = db.prepare_typed(take, &[Type::UUID_ARRAY]).await.unwrap();
        let refusal = db.query(&take, &[&wrong]).await.expect_err("out of order");
        assert!(format!("{refusal:?}").contains("in ascending order"), "{refusal:?}");
    }
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}
