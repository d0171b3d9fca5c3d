//! Plans on tables that are large: what runs under locks, or on every call, looks rows up and never reads a whole table.

use std::path::Path;

use crate::shop::Shop;
use crate::sql::statements;

/// So many orders, each of one line that was sold, and of 12,000 of them the buyer's name begins with Maria.
const MANY: &str = "
    INSERT INTO orders (id, number, customer_name, customer_email, tax_id_sealed, tax_id_key, tax_id_hash, status, payment_status, subtotal_cents,
           shipping_cents, shipping_quoted_cents, total_cents, shipping_address, shipping_provider, carrier, service, service_code,
           delivery_days, freight_quote, tracking_number, expires_at, paid_at, shipped_at, created_at)
    SELECT ('019' || lpad(n::text, 5, '0') || '-0000-7000-8000-000000000000')::uuid, 'N' || n, CASE WHEN n <= 12000 THEN 'Maria ' ELSE 'Pessoa ' END || n,
           'pessoa' || n || '@example.com', '\\x00', 1, '\\x00', 'delivered', 'paid', 100, 0, 0, 100, '{\"cep\": \"01310100\", \"city\": \"São Paulo\", \"state\": \"SP\"}', 'melhorenvio', 'c', 's', '1', 1, '{}',
           'BR' || n || 'BR', now(), now(), now(), now() - interval '1 day' FROM generate_series(1, 24000) n;
    INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, quantity, unit_price_cents, line_total_cents)
    SELECT gen_random_uuid(), o.id, 1, v.product_id, v.id, v.sku, 'n', 'n', 1, 100, 100 FROM orders o, (SELECT id, product_id, sku FROM variants LIMIT 1) v;
    INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
    SELECT variant_id, -1, 'sale', id, 1, 'test', 'system' FROM order_lines;
    INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
    SELECT variant_id, 1, 'return', id, 1, 'test', 'system' FROM order_lines WHERE random() < 0.2;
    ANALYZE";

async fn fill(shop: &Shop) {
    shop.app.db().await.unwrap().batch_execute(MANY).await.unwrap();
}

/// What was filled in has no history, which the audit would say.
async fn empty(shop: Shop) {
    let all = "TRUNCATE orders, order_lines, stock_movements, products, variants CASCADE";
    shop.app.db().await.unwrap().batch_execute(all).await.unwrap();
    shop.close().await;
}

/// The plan of a statement as a server comes to have it, once for these values and once for any.
pub async fn plans(shop: &Shop, sql: &str, values: &str) -> [String; 2] {
    let db = shop.app.db().await.unwrap();
    db.batch_execute(&format!("PREPARE looked_at AS {sql}")).await.unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    let mut found = [const { String::new() }; 2];
    for (plan, mode) in found.iter_mut().zip(["force_custom_plan", "force_generic_plan"]) {
        db.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.unwrap();
        let rows = db.query(&format!("EXPLAIN EXECUTE looked_at ({values})"), &[]).await.unwrap();
        *plan = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    }
    db.batch_execute("DEALLOCATE looked_at; RESET plan_cache_mode").await.unwrap();
    found
}

pub fn statement(place: &str) -> String {
    let all = statements();
    let mut named = all.into_iter().filter(|statement| statement.place == place);
    named.next().unwrap_or_else(|| panic!("no statement is called {place}")).sql
}

#[actix_web::test]
async fn cancel_expiry_and_return_never_read_the_whole_stock_ledger() {
    let shop = Shop::open().await;
    shop.product("Camiseta").create().await;
    fill(&shop).await;
    let under_locks: Vec<_> = statements()
        .into_iter()
        .filter(|s| s.sql.contains("FROM stock_movements") && s.sql.contains("FOR NO KEY UPDATE"))
        .collect();
    assert_eq!(under_locks.len(), 2, "of an order's end and of goods that came back: {under_locks:#?}");
    let order = "'01900001-0000-7000-8000-000000000000'";
    for statement in under_locks {
        let values = if statement.sql.contains("$2::uuid[]") {
            format!("{order}, '{{}}', '{{}}', 'test', 'system'")
        } else {
            format!("{order}, 'test', 'system'")
        };
        for plan in plans(&shop, &statement.sql, &values).await {
            assert!(plan.contains("stock_movements_returned"), "{}:\n{plan}", statement.place);
            assert!(!plan.contains("Seq Scan on stock_movements"), "{}:\n{plan}", statement.place);
        }
    }
    empty(shop).await;
}

/// So many payments, of which each has a PIX, and every tenth a dispute.
const PAYMENTS: &str = "
    INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, provider_ref, end_to_end_id, paid_at, expires_at)
    SELECT o.id, o.id, 'pix', 'openpix', 'paid', 100, 100, 'tx' || o.number, 'E' || o.number, now(), now()
      FROM orders o;
    INSERT INTO disputes (id, payment_id, order_id, provider, provider_ref, stage, state, closed_at, closed_by)
    SELECT gen_random_uuid(), p.id, p.order_id, p.provider, p.end_to_end_id, 'contested', 'won', now(), 't' FROM payments p
     WHERE p.end_to_end_id LIKE '%0';
    ANALYZE";

#[actix_web::test]
async fn a_contested_pix_is_looked_up() {
    let shop = Shop::open().await;
    shop.product("Camiseta").create().await;
    fill(&shop).await;
    shop.app.db().await.unwrap().batch_execute(PAYMENTS).await.unwrap();
    let (payments, rows) = (Path::new("src/payments/store.rs").display(), Path::new("src/payments/dispute/store.rs").display());
    let payment = "'01900000-0000-7000-8000-000000000000'";
    for (place, values, table) in [
        (format!("{payments} BY_END_TO_END"), "'EN15000', 'openpix'".to_owned(), "payments"),
        (format!("{rows} KEEP_RETURN"), "'openpix', 'EN15000', 'D1'".to_owned(), "disputes"),
        (format!("{rows} MATCH"), format!("{payment}, 100, 'D1'"), "disputes"),
        (format!("{rows} LIST"), "'openpix', 100".to_owned(), "payments"),
    ] {
        for plan in plans(&shop, &statement(&place), &values).await {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{place}:\n{plan}");
        }
    }
    empty(shop).await;
}

#[actix_web::test]
async fn the_search_for_orders_looks_words_up_and_reads_no_whole_table() {
    let shop = Shop::open().await;
    shop.product("Camiseta").create().await;
    fill(&shop).await;
    let file = Path::new("src/orders/search.rs").display();
    let fits = "NULL, NULL, NULL, NULL, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', NULL";
    let words = "ARRAY['PESSOA 15000'], 'pessoa 15000', 'pessoa 15000', '\u{10ffff}'";
    for (name, values) in [
        ("COUNT_NAMES", "'pessoa 15000', '\u{10ffff}', 10001".to_owned()),
        ("LOOK_UP", format!("{fits}, {words}, 10000, 20, 0")),
        ("COUNT_LOOKED_UP", format!("{fits}, {words}, 10000, 10000")),
        ("ALL", format!("{fits}, 20, 0")),
        ("ON_HOLD", format!("{fits}, 20, 0")),
        ("COUNT_ON_HOLD", format!("{fits}, 10000")),
        ("OWN", format!("{fits}, {words}, '01900001-0000-7000-8000-000000000000', 20, 0")),
        ("COUNT_OWN", format!("{fits}, {words}, '01900001-0000-7000-8000-000000000000', 10000")),
    ] {
        for plan in plans(&shop, &statement(&format!("{file} {name}")), &values).await {
            // Refunds are none here, so reading all of them costs nothing.
            assert!(!plan.contains("Seq Scan on orders"), "{name}:\n{plan}");
            assert_eq!(plan.contains("orders_on_hold"), name.ends_with("ON_HOLD"), "{name}:\n{plan}");
        }
    }
    let admin = shop.admin().await;
    let search = async |q: &str| {
        let answer = admin.request("GET", &format!("/api/orders?limit=2&q={q}")).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let numbers: Vec<String> =
            answer.body["items"].as_array().unwrap().iter().map(|order| order["number"].as_str().unwrap().to_owned()).collect();
        (numbers.join(" "), answer.body["total"].as_i64().unwrap())
    };
    assert_eq!(search("pessoa15000@example.com").await, ("N15000".into(), 1));
    assert_eq!(search("n15000").await, ("N15000".into(), 1));
    assert_eq!(search("br15000br").await, ("N15000".into(), 1));
    assert_eq!(search("Pessoa%201999").await, ("N19999 N19998".into(), 10));
    assert_eq!(search("pessoa_1").await, (String::new(), 0), "no letter stands for others");
    assert_eq!(
        search("maria").await,
        ("N12000 N11999".into(), 10_000),
        "a name of more orders than are looked up; so many, or more"
    );
    assert_eq!(search("maria&from=2000-01-01T00:00:00Z&status=delivered").await, ("N12000 N11999".into(), 10_000));
    assert_eq!(search("maria&status=cancelled").await, (String::new(), 0));
    assert_eq!(search("").await, ("N24000 N23999".into(), 10_000));
    empty(shop).await;
}

#[actix_web::test]
async fn a_cart_is_looked_up_by_its_owner_among_many() {
    let shop = Shop::open().await;
    shop.product("Camiseta").create().await;
    let fill = "
        INSERT INTO carts (id, owner) SELECT gen_random_uuid(), sha256(n::text::bytea) FROM generate_series(1, 20000) n;
        INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents) SELECT c.id, v.id, 1, 1, 1 FROM carts c, variants v;
        ANALYZE";
    shop.app.db().await.unwrap().batch_execute(fill).await.unwrap();
    let owner = "sha256('7')";
    for name in ["src/orders/read.rs LOCK_CART", "src/orders/read.rs LINES", "src/cart/store.rs LINES", "src/cart/store.rs EMPTY"]
    {
        for plan in plans(&shop, &statement(name), owner).await {
            assert!(plan.contains("carts_owner_key"), "{name}:\n{plan}");
            assert!(!plan.contains("Seq Scan on cart_items"), "{name}:\n{plan}");
        }
    }
    shop.execute("TRUNCATE carts CASCADE").await;
    shop.close().await;
}

#[actix_web::test]
async fn a_list_counts_up_to_ten_thousand_and_reads_no_further() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let total = async || admin.get("/api/admin/audit?limit=1&action=refund.retry").await.body["total"].as_i64();
    let many = "INSERT INTO audit_log (actor, action, entity_id, cause) SELECT 'admin:x', 'refund.retry', 'x', 'test' FROM generate_series(1, ";
    assert_eq!(shop.execute(&format!("{many}9999)")).await, 9_999);
    assert_eq!(total().await, Some(9_999));
    shop.execute(&format!("{many}2)")).await;
    assert_eq!(total().await, Some(10_000));
    shop.close().await;
}
