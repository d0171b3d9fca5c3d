//! Coupons for admins, over HTTP.

use serde_json::{Value, json};

use crate::shop::{Customer, Shop};

async fn create(admin: &Customer<'_>, body: Value) -> Value {
    let answer = admin.post("/api/admin/coupons", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

fn path(coupon: &Value) -> String {
    format!("/api/admin/coupons/{}", coupon["id"].as_str().unwrap())
}

#[actix_web::test]
async fn a_coupon_is_made_changed_and_removed_and_each_step_is_told() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let made =
        create(&admin, json!({"code": " natal ", "kind": "percent", "value": 15, "max_discount_cents": 5_000, "max_uses": 10}))
            .await;
    assert_eq!(
        (&made["code"], &made["uses"], &made["active"], &made["ends_at"]),
        (&json!("NATAL"), &json!(0), &json!(true), &Value::Null)
    );
    let twin = admin.post("/api/admin/coupons", &json!({"code": "Natal", "kind": "fixed", "value": 1})).await;
    assert_eq!(twin.slug(), "conflict");
    assert_eq!(admin.get(&path(&made)).await.body, made);

    let ends = json!({"ends_at": "2030-01-01T00:00:00Z", "max_discount_cents": null});
    let changed = admin.patch(&path(&made), &ends).await.body;
    assert_eq!((&changed["ends_at"], &changed["max_discount_cents"]), (&json!("2030-01-01T00:00:00Z"), &Value::Null));
    assert_eq!((&changed["max_uses"], &changed["value"]), (&json!(10), &json!(15)), "what is left out stays");

    let replaced = admin.put(&path(&made), &json!({"code": "NATAL", "kind": "free_shipping"})).await.body;
    assert_eq!((&replaced["kind"], &replaced["value"], &replaced["ends_at"]), (&json!("free_shipping"), &json!(0), &Value::Null));

    assert_eq!(admin.delete(&path(&made)).await.status, 204);
    assert_eq!(admin.get(&path(&made)).await.status, 404);
    assert_eq!(admin.delete(&path(&made)).await.status, 404);
    let story: String = shop.sql("SELECT string_agg(action || ' ' || (before IS NOT NULL)::text || ' ' || (after IS NOT NULL)::text, ', ' ORDER BY id) FROM audit_log").await;
    assert_eq!(story, "coupon.create false true, coupon.update true true, coupon.update true true, coupon.delete true false");
    let actor: String = shop.sql("SELECT DISTINCT actor FROM audit_log").await;
    assert_eq!(actor, format!("admin:{}", admin.id));
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_that_makes_no_sense_is_refused_field_by_field() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let before = shop.row_counts().await;
    for (body, field) in [
        (json!({"code": "A B", "kind": "fixed", "value": 1}), "code"),
        (json!({"code": "A", "kind": "percent", "value": 101}), "value"),
        (json!({"code": "A", "kind": "percent"}), "value"),
        (json!({"code": "A", "kind": "fixed", "value": 0}), "value"),
        (json!({"code": "A", "kind": "free_shipping", "value": 5}), "value"),
        (json!({"code": "A", "kind": "fixed", "value": 1, "max_uses": 0}), "max_uses"),
        (json!({"code": "A", "kind": "fixed", "value": 1, "min_subtotal_cents": -1}), "min_subtotal_cents"),
        (json!({"code": "A", "kind": "fixed", "value": 1, "max_discount_cents": 0}), "max_discount_cents"),
        (
            json!({"code": "A", "kind": "fixed", "value": 1, "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}),
            "ends_at",
        ),
        (json!({"code": "A", "kind": "half", "value": 1}), "kind"),
        (json!({"code": "A", "kind": "fixed", "value": 1.5}), "value"),
    ] {
        let refused = admin.post("/api/admin/coupons", &body).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec![field]), "{body}");
    }
    assert_eq!(shop.row_counts().await, before);
    let made = create(&admin, json!({"code": "A", "kind": "fixed", "value": 100})).await;
    assert_eq!(admin.patch(&path(&made), &json!({"kind": "percent", "value": 200})).await.invalid_fields(), ["value"]);
    assert_eq!(admin.patch(&path(&made), &json!({"max_uses": 0})).await.invalid_fields(), ["max_uses"]);
    assert_eq!(admin.patch(&path(&made), &json!({"uses": 0})).await.status, 422, "nobody writes the count");
    assert_eq!(admin.get(&path(&made)).await.body, made);
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_that_was_used_is_deactivated_instead_of_deleted() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let made = create(&admin, json!({"code": "USADO", "kind": "fixed", "value": 100, "max_uses": 5})).await;
    shop.execute("UPDATE coupons SET uses = 3").await;
    assert_eq!(admin.patch(&path(&made), &json!({"max_uses": 2})).await.invalid_fields(), ["max_uses"]);
    assert_eq!(admin.patch(&path(&made), &json!({"max_uses": 3})).await.body["max_uses"], 3);
    let off = admin.delete(&path(&made)).await;
    assert_eq!((off.status, &off.body["active"], &off.body["uses"]), (200, &json!(false), &json!(3)));
    shop.execute("UPDATE coupons SET uses = 0").await; // the test's own uses, without orders
    shop.close().await;
}

#[actix_web::test]
async fn coupons_are_listed_page_by_page_for_admins_alone() {
    let shop = Shop::open().await;
    let (admin, ana) = (shop.admin().await, shop.customer().await);
    for i in 0..5 {
        create(&admin, json!({"code": format!("C{i}"), "kind": "fixed", "value": 100})).await;
    }
    create(&admin, json!({"code": "OUTRO", "kind": "fixed", "value": 100})).await;
    let mut seen = Vec::new();
    let mut next = "/api/admin/coupons?limit=2&q=c".to_owned();
    loop {
        let page = admin.get(&next).await.body;
        assert_eq!(page["total"], 5);
        seen.extend(page["items"].as_array().unwrap().iter().map(|c| c["code"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/api/admin/coupons?limit=2&q=c&cursor={cursor}");
    }
    assert_eq!(seen, ["C4", "C3", "C2", "C1", "C0"]);
    assert_eq!(admin.get("/api/admin/coupons?limit=101").await.invalid_fields(), ["limit"]);
    assert_eq!(admin.get("/api/admin/coupons?cursor=x").await.invalid_fields(), ["cursor"]);
    let made = admin.get("/api/admin/coupons?limit=1").await.body["items"][0].clone();
    let body = json!({"code": "X", "kind": "fixed", "value": 100});
    for (status, who) in [(403, Some(&ana)), (401, None)] {
        for (method, path) in [
            ("GET", path(&made)),
            ("PUT", path(&made)),
            ("PATCH", path(&made)),
            ("DELETE", path(&made)),
            ("POST", "/api/admin/coupons".into()),
            ("GET", "/api/admin/coupons".into()),
        ] {
            let request = who.map_or_else(|| shop.request(method, &path), |who| who.request(method, &path));
            assert_eq!(request.json(&body).send().await.status, status, "{method} {path}");
        }
    }
    shop.close().await;
}
