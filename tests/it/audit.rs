//! Every rule of the audit can fire: each is broken on purpose, one centavo or one unit at a time, and must be named.

use std::collections::HashSet;

use vitrine::audit;

use crate::shop::{CPF, Shop};

/// (the rule that must fire, what breaks it). Walls that stand in the way are taken down first, as only a bug in the
/// database itself, a restored backup or a person with psql could.
const PLANTED: [(&str, &str); 25] = [
    ("stock-is-the-sum-of-its-movements", "UPDATE variants SET stock = stock + 1"),
    ("stock-is-the-sum-of-its-movements", "ALTER TABLE stock_movements DISABLE TRIGGER USER; DELETE FROM stock_movements WHERE reason = 'opening'"),
    ("movements-name-a-variant", "INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) VALUES (gen_random_uuid(), 1, 'adjustment', 't', 't')"),
    (
        "a-line-holds-its-stock-while-its-order-does",
        "ALTER TABLE stock_movements DISABLE TRIGGER USER; DELETE FROM stock_movements WHERE reason = 'sale'",
    ),
    ("a-line-holds-its-stock-while-its-order-does", "UPDATE orders SET stock_held = false"),
    ("an-order-has-lines", "DELETE FROM order_lines"),
    (
        "lines-add-up-to-the-subtotal",
        "ALTER TABLE order_lines DROP CONSTRAINT order_lines_check; UPDATE order_lines SET line_total_cents = line_total_cents + 1",
    ),
    ("lines-add-up-to-the-subtotal", "UPDATE order_lines SET discount_cents = discount_cents + 1"),
    (
        "total-is-lines-less-discount-plus-freight",
        "ALTER TABLE orders DROP CONSTRAINT orders_total; UPDATE orders SET total_cents = total_cents + 1",
    ),
    ("a-paid-order-has-exactly-one-capture", "UPDATE payments SET status = 'surplus' WHERE status = 'paid'"),
    (
        "a-paid-order-has-exactly-one-capture",
        "DROP INDEX payments_one_paid; INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, expires_at, paid_at)
         SELECT gen_random_uuid(), order_id, method, provider, 'paid', amount_cents, amount_cents, expires_at, paid_at FROM payments WHERE status = 'paid'",
    ),
    (
        "a-capture-belongs-to-a-paid-order-or-goes-back",
        "UPDATE orders SET status = 'cancelled', payment_status = 'expired', paid_at = NULL WHERE payment_status = 'paid'",
    ),
    ("surplus-money-goes-back", "UPDATE payments SET status = 'surplus' WHERE status = 'paid'"),
    ("captured-is-what-the-ledger-says", "UPDATE payments SET captured_cents = captured_cents - 1 WHERE captured_cents > 0"),
    (
        "captured-is-what-the-ledger-says",
        "ALTER TABLE money_movements DISABLE TRIGGER USER; DELETE FROM money_movements WHERE kind = 'capture'",
    ),
    ("a-captured-amount-is-the-amount-asked", "UPDATE payments SET captured_cents = captured_cents - 1 WHERE captured_cents > 0"),
    ("refunded-is-what-the-refunds-say", "UPDATE payments SET refunded_cents = 1 WHERE captured_cents > 0"),
    (
        "refunds-never-exceed-captures",
        "WITH r AS (INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, requested_by, status)
            SELECT gen_random_uuid(), id, order_id, captured_cents + 1, 't', 't', 'done' FROM payments WHERE status = 'paid' RETURNING *)
         INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, cause)
         SELECT order_id, payment_id, id, 'refund', amount_cents, 'propay', 't' FROM r",
    ),
    (
        "a-done-refund-is-in-the-ledger",
        "INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, requested_by, status)
         SELECT gen_random_uuid(), id, order_id, 1, 't', 't', 'done' FROM payments WHERE status = 'paid'",
    ),
    (
        "an-open-refund-has-a-job",
        "INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, requested_by, updated_at)
         SELECT gen_random_uuid(), id, order_id, 1, 't', 't', now() - interval '1 hour' FROM payments WHERE status = 'paid'",
    ),
    ("coupon-uses-are-the-orders-that-hold-them", "UPDATE coupons SET uses = uses + 1"),
    (
        "coupon-uses-are-the-orders-that-hold-them",
        "UPDATE coupons SET max_uses = 1; UPDATE coupons SET uses = 2",
    ),
    ("coupon-uses-per-person-stay-within-the-limit", "UPDATE coupon_persons SET uses = 9"),
    ("every-order-can-be-explained", "UPDATE orders SET status = 'cancelled' WHERE payment_status = 'pending_payment'; UPDATE orders SET status = 'shipped', tracking_number = 'X' WHERE payment_status = 'paid'"),
    ("jobs-wait-run-or-have-ended", "UPDATE jobs SET state = 'waiting', finished_at = NULL, run_at = now() - interval '2 hours'"),
];

#[actix_web::test]
async fn each_planted_corruption_is_named() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.execute(
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'DEZ', 'percent', 10, 5)",
    )
    .await;
    let cart = shop.guest_cart(&[(&shirt, 2)]).await;
    let mut order = shop.guest_order(&[(&shirt, 2)], CPF).await;
    order["coupon"] = "DEZ".into();
    order["pay"] = serde_json::json!({"method": "pix"});
    let paid = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(paid.status, 201, "{}", paid.body);
    shop.control().pay(vitrine_sandbox::Pay::of(paid.body["id"].as_str().unwrap())).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    assert_eq!(shop.buy_as_guest(&[(&shirt, 1)]).await.status, 201);
    shop.drain().await;

    let mut db = shop.app.db().await.unwrap();
    assert_eq!(audit::violations(&db).await.unwrap(), Vec::new(), "nothing is broken yet");
    for (rule, corruption) in PLANTED {
        let tx = db.transaction().await.unwrap();
        tx.batch_execute(corruption).await.unwrap_or_else(|e| panic!("{rule}: {e:?}"));
        let fired: HashSet<_> = audit::violations(&tx).await.unwrap().into_iter().map(|v| v.rule).collect();
        assert!(fired.contains(rule), "{rule} did not fire on: {corruption}\nfired: {fired:?}");
        tx.rollback().await.unwrap();
    }
    let named: HashSet<_> = PLANTED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(named, audit::rules().collect(), "every rule is broken by at least one");
    drop(db);
    shop.close().await;
}
