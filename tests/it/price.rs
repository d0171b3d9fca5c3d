//! The discount of a method: shown, fixed in the order, changed when the method changes.

use std::time::Duration;

use serde_json::{Value, json};
use vitrine_sandbox::Pay;

use crate::shop::{Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);

async fn offer(shop: &Shop, pix: Value) {
    let set = shop.admin().await.put("/api/admin/settings/payment_methods", &json!({"pix": pix})).await;
    assert_eq!(set.status, 200, "{}", set.body);
}

fn five_per_cent() -> Value {
    json!({"enabled": true, "price_rule": {"kind": "percent", "value": 5}})
}

/// Order → (subtotal, discount, of that by the method, freight, total).
async fn price(customer: &Customer<'_>, order: &Value) -> [i64; 5] {
    let found = customer.get(&format!("/api/orders/{}", order["id"].as_str().unwrap())).await;
    ["subtotal_cents", "discount_cents", "method_discount_cents", "shipping_cents", "total_cents"]
        .map(|field| found.body[field].as_i64().unwrap())
}

#[actix_web::test]
async fn the_methods_are_shown_with_their_price_rules() {
    let shop = Shop::open().await;
    offer(&shop, five_per_cent()).await;
    let shown = shop.get("/api/payment-methods").await;
    let pix = &shown.body["items"][0];
    assert_eq!((&pix["method"], &pix["available"]), (&json!("pix"), &json!(true)));
    assert_eq!(pix["price_rule"], json!({"kind": "percent", "value": 5}));
    for (rule, why) in [(json!({"kind": "percent", "value": 91}), "too much"), (json!({"kind": "fixed", "value": 0}), "nothing")]
    {
        let body = json!({"pix": {"enabled": true, "price_rule": rule}});
        assert_eq!(shop.admin().await.put("/api/admin/settings/payment_methods", &body).await.status, 422, "{why}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_price_of_the_chosen_method_is_fixed_in_the_order_to_the_centavo() {
    let shop = Shop::open().await;
    offer(&shop, five_per_cent()).await;
    let ana = shop.customer().await;
    let (mug, shirt) = (shop.product("Caneca").price(1_990).create().await, shop.product("Camiseta").price(4_995).create().await);
    let mut order = ana.order_for(&[(&mug, 3), (&shirt, 1)]).await;
    order["pay"] = json!({"method": "pix"});
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let goods = 3 * 1_990 + 4_995;
    let off = (goods * 5 + 50) / 100;
    let [subtotal, discount, by_method, freight, total] = price(&ana, &placed.body).await;
    assert_eq!([subtotal, discount, by_method, total], [goods, off, off, goods - off + freight]);
    assert_eq!(placed.body["payment"]["amount_cents"], total);
    assert_eq!(shop.control().charges()[0].amount_cents, total);
    // Later changes of the settings do not affect it.
    offer(&shop, json!({"enabled": true})).await;
    assert_eq!(price(&ana, &placed.body).await, [subtotal, discount, by_method, freight, total]);
    shop.control().pay(Pay::of(placed.body["id"].as_str().unwrap())).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.close().await; // the audit adds up lines, discounts and the payment
}

#[actix_web::test]
async fn an_order_placed_without_a_method_gets_its_price_when_the_payment_starts() {
    let shop = Shop::open().await;
    offer(&shop, five_per_cent()).await;
    let ana = shop.customer().await;
    let shirt = shop.product("Camiseta").price(10_000).create().await;
    let placed = ana.buy(&[(&shirt, 1)]).await;
    let [.., total] = price(&ana, &placed.body).await;
    let paid = ana.post(&format!("/api/orders/{}/pay", placed.body["id"].as_str().unwrap()), &json!({"method": "pix"})).await;
    assert_eq!(paid.body["amount_cents"], total - 500, "{}", paid.body);
    assert_eq!(price(&ana, &placed.body).await[1..3], [500, 500]);
    let told: String =
        shop.sql("SELECT from_state || '→' || to_state || ' ' || reason FROM order_history WHERE subject = 'price'").await;
    assert_eq!(told, format!("{total}→{} price by PIX", total - 500));
    shop.close().await;
}

#[actix_web::test]
async fn without_amounts_the_methods_are_judged_by_what_is_in_the_callers_cart() {
    let shop = Shop::open().await;
    let terms = json!({
        "pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 50}, "min_amount_cents": 1_000},
        "credit_card": {"enabled": true, "max_amount_cents": 5_000},
    });
    assert_eq!(shop.admin().await.put("/api/admin/settings/payment_methods", &terms).await.status, 200);
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'MENOS', 'fixed', 1000)").await;
    let sticker = shop.product("Adesivo").price(1_998).stock(9).create().await;
    // Amount and reason by PIX, then by card.
    let seen = |answer: &crate::shop::Answer| {
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.body);
        let of = |n: usize, field: &str| answer.body["items"][n].get(field).cloned().unwrap_or_default();
        json!([of(0, "amount_cents"), of(0, "reason"), of(1, "amount_cents"), of(1, "reason")])
    };
    let nothing = json!([null, null, null, null]);
    let cart = shop.guest_cart(&[(&sticker, 1)]).await;
    let guest = async |query: &str| {
        seen(&shop.request("GET", &format!("/api/payment-methods{query}")).header("X-Cart-Token", &cart).send().await)
    };
    assert_eq!(seen(&shop.get("/api/payment-methods").await), nothing, "nobody's cart");
    assert_eq!(guest("").await, json!([999, "amount_too_small", 1_998, null]));
    assert_eq!(guest("?shipping_cents=1").await, json!([1_000, null, 1_999, null]), "the freight comes on top of the cart");
    assert_eq!(guest("?goods_cents=10000").await, json!([5_000, null, 10_000, "amount_too_large"]), "what is asked about");
    let ana = shop.customer().await;
    assert_eq!(seen(&ana.get("/api/payment-methods").await), nothing, "an empty cart");
    let order = ana.order_for(&[(&sticker, 3)]).await;
    assert_eq!(seen(&ana.get("/api/payment-methods").await), json!([2_997, null, 5_994, "amount_too_large"]));
    assert_eq!(ana.post("/api/cart/coupon", &json!({"code": "MENOS"})).await.status, 200);
    assert_eq!(seen(&ana.get("/api/payment-methods").await), json!([2_497, null, 4_994, null]), "the coupon counts");
    // The cart is not shown by this: a price that rose since it was is still refused at the checkout.
    shop.execute("UPDATE variants SET price_cents = 2998").await;
    assert_eq!(seen(&ana.get("/api/payment-methods").await), json!([3_997, null, 7_994, "amount_too_large"]));
    let refused = ana.post("/api/orders", &order).await;
    assert_eq!((refused.status, refused.slug()), (409, "price-changed"), "{}", refused.body);
    shop.execute("UPDATE variants SET deleted_at = now(), is_default = false").await;
    assert_eq!(seen(&ana.get("/api/payment-methods").await), nothing, "nothing of it can be bought");
    shop.execute("UPDATE variants SET deleted_at = NULL, is_default = true").await;
    shop.close().await;
}

/// `method: reason` of the methods that do not take this much.
async fn not_for(shop: &Shop, goods: i64, freight: i64) -> Vec<String> {
    let shown = shop.get(&format!("/api/payment-methods?goods_cents={goods}&shipping_cents={freight}")).await;
    let items = shown.body["items"].as_array().unwrap().clone();
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    items.iter().filter(|m| m["available"] == false).map(|m| format!("{}: {}", word(&m["method"]), word(&m["reason"]))).collect()
}

#[actix_web::test]
async fn what_a_method_does_not_take_is_not_offered_and_no_order_is_placed_for_it() {
    let shop = Shop::open().await;
    let terms = json!({
        "pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 50}, "min_amount_cents": 1_000},
        "credit_card": {"enabled": true, "max_amount_cents": 500_000},
    });
    assert_eq!(shop.admin().await.put("/api/admin/settings/payment_methods", &terms).await.status, 200);
    let shown = shop.get("/api/payment-methods").await;
    let limits =
        |n: usize| (shown.body["items"][n]["min_amount_cents"].clone(), shown.body["items"][n]["max_amount_cents"].clone());
    assert_eq!(limits(0), (json!(1_000), json!(999_999_999_999_i64)));
    assert_eq!(limits(1), (json!(50), json!(500_000)));
    assert_eq!(shown.body["items"][0].get("amount_cents"), None);
    // The discount is of the goods alone, and what is left counts.
    assert_eq!(not_for(&shop, 1_998, 0).await, ["pix: amount_too_small"]);
    assert_eq!(not_for(&shop, 1_998, 1).await, Vec::<String>::new());
    assert_eq!(not_for(&shop, 400_000, 100_001).await, ["credit_card: amount_too_large"]);
    assert_eq!(not_for(&shop, 0, 49).await, ["pix: amount_too_small", "credit_card: amount_too_small"]);
    assert_eq!(shop.get("/api/payment-methods?goods_cents=-1").await.invalid_fields(), ["goods_cents"]);

    shop.offer_pickup().await;
    let ana = shop.customer().await;
    let small = shop.product("Adesivo").price(1_990).create().await;
    let mut order = ana.order_for(&[(&small, 1)]).await;
    for wish in [json!({"pay": {"method": "pix"}}), json!({"payment_method": "pix"})] {
        order.as_object_mut().unwrap().retain(|name, _| !name.starts_with("pay"));
        order.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let before = shop.row_counts().await;
        let refused = ana.post("/api/orders", &order).await;
        assert_eq!((refused.status, refused.slug()), (409, "amount-not-accepted"), "{}", refused.body);
        let limits =
            json!({"method": "pix", "amount_cents": 995, "min_amount_cents": 1_000, "max_amount_cents": 999_999_999_999_i64});
        assert_eq!((&refused.body["amount"], shop.row_counts().await), (&limits, before));
    }
    order.as_object_mut().unwrap().remove("payment_method");
    order["pay"] = json!({"method": "credit_card"});
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["payment"]["status"]), (201, &json!("pending")), "{}", placed.body);
    // The charge that can be paid stays, and so does the price.
    let path = format!("/api/orders/{}/pay", placed.body["id"].as_str().unwrap());
    assert_eq!(ana.post(&path, &json!({"method": "pix"})).await.slug(), "amount-not-accepted");
    assert_eq!(shop.sql::<Vec<String>>("SELECT array_agg(method || ':' || status) FROM payments").await, ["credit_card:pending"]);
    assert_eq!(price(&ana, &placed.body).await, [1_990, 0, 0, 0, 1_990]);
    let crossed = json!({"pix": {"enabled": true, "min_amount_cents": 2, "max_amount_cents": 1}});
    let wrong = shop.admin().await.put("/api/admin/settings/payment_methods", &crossed).await;
    assert_eq!(wrong.invalid_fields(), ["pix.max_amount_cents"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_with_nothing_to_pay_is_paid_as_it_is_placed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for coupon in [json!({"code": "TUDO", "kind": "percent", "value": 100})] {
        assert_eq!(admin.post("/api/admin/coupons", &coupon).await.status, 201);
    }
    let ana = shop.customer().await;
    let shirt = shop.product("Brinde").price(1_000).stock(1).create().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["coupon"] = json!("TUDO");
    let placed = ana.post("/api/orders", &order).await;
    let freight = placed.body["shipping_cents"].as_i64().unwrap();
    assert_eq!((placed.status, placed.body["total_cents"].as_i64()), (201, Some(freight)), "the freight is still to be paid");
    assert_eq!(
        admin.post("/api/admin/coupons", &json!({"code": "FRETE", "kind": "free_shipping", "value": 0})).await.status,
        201
    );
    let gift = shop.product("Amostra").price(0).stock(1).create().await;
    let mut order = ana.order_for(&[(&gift, 1)]).await;
    order["coupon"] = json!("FRETE");
    order["pay"] = json!({"method": "pix"});
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["total_cents"]), (201, &json!(0)), "{}", placed.body);
    assert_eq!((&placed.body["status"], &placed.body["payment_status"]), (&json!("processing"), &json!("paid")));
    assert_eq!(placed.body["payment"], json!({"status": "not_needed", "amount_cents": 0, "currency": "BRL"}));
    shop.drain().await;
    let id = placed.body["id"].as_str().unwrap();
    let mails: i64 = shop.sql(&format!("SELECT count(*) FROM messages WHERE kind = 'order_paid' AND order_id = '{id}'")).await;
    assert_eq!((mails, shop.control().charges().len()), (1, 0));
    shop.close().await;
}
