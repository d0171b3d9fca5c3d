//! Made from the OpenAPI document: what JSON and addresses can say and PostgreSQL cannot keep, in every place of every operation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::shop::{CPF, Customer, Shop};

const ID: &str = "01a1fe4e-0785-7243-a93f-cc241c46a4e2";
/// Before PostgreSQL's calendar, within jiff's.
const EARLY: &str = "-009000-01-01T00:00:00Z";
/// What RFC 3339 cannot write: the year before 0, and a time that is in it once it is told in UTC.
const BEFORE_ZERO: &str = "-000001-12-31T23:59:59Z";
const MOVED_BEFORE_ZERO: &str = "0000-01-01T00:00:00+00:01";
/// Texts for every place: of characters, of times, of numbers.
const TEXTS: [&str; 13] = [
    "\0",
    "a\0b",
    "\u{202e}abc",
    EARLY,
    BEFORE_ZERO,
    MOVED_BEFORE_ZERO,
    "-009000-01-01",
    "9999-12-31T23:59:59Z",
    "9223372036854775807",
    "1e30",
    "-1",
    "NaN",
    "'%_\\",
];

/// Keys of cursors that no list gives out.
fn cursors() -> Vec<String> {
    let keys = [
        json!("\0"),
        json!([EARLY, ID]),
        json!({"s": "newest", "w": false, "k": -377_705_000_000_000_000_i64, "i": ID}),
        json!({"s": "name", "w": false, "k": "\0", "i": ID}),
        json!(i64::MAX),
        json!(EARLY),
    ];
    keys.iter().map(|key| URL_SAFE_NO_PAD.encode(key.to_string())).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// One request: method, address, body.
type Sent = (String, String, Option<Value>);

/// Every operation with each of its places filled with each text.
fn everything() -> Vec<Sent> {
    let document = serde_json::to_value(vitrine::server::openapi()).unwrap();
    let mut sent = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let plain: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { ID } else { part }).collect();
            for (i, _) in path.split('/').enumerate().filter(|(_, part)| part.starts_with('{')) {
                for text in TEXTS {
                    let mut parts: Vec<String> = plain.iter().map(|part| (*part).to_owned()).collect();
                    parts[i] = encoded(text);
                    sent.push((method.clone(), parts.join("/"), None));
                }
            }
            let plain = plain.join("/");
            let in_query = |parameter: &&Value| parameter["in"] == "query";
            for parameter in operation["parameters"].as_array().into_iter().flatten().filter(in_query) {
                let name = parameter["name"].as_str().unwrap();
                let values: Vec<String> = match name {
                    "cursor" => cursors(),
                    _ => TEXTS.iter().map(|text| encoded(text)).collect(),
                };
                let sorts = if name == "cursor" && path.ends_with("/products") { "&sort=newest" } else { "" };
                sent.extend(values.iter().map(|value| (method.clone(), format!("{plain}?{name}={value}{sorts}"), None)));
            }
            if let Some(body) = operation.get("requestBody") {
                let fields = fields(&document, &body["content"]["application/json"]["schema"]);
                for field in fields {
                    let numbers = [json!(u64::MAX), json!(i64::MIN), json!(1e30)];
                    let values = TEXTS.iter().map(|text| json!(text)).chain(numbers);
                    for value in values.flat_map(|value| [value.clone(), json!([value]), json!({"x": value})]) {
                        let body = Map::from_iter([(field.clone(), value)]);
                        sent.push((method.clone(), plain.clone(), Some(body.into())));
                    }
                }
            }
        }
    }
    sent
}

/// The names of a body's fields.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return fields(document, &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
    }
    let parts = ["oneOf", "allOf", "anyOf"].iter().flat_map(|many| schema[many].as_array().into_iter().flatten());
    let mut found: Vec<String> = parts.flat_map(|part| fields(document, part)).collect();
    found.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    found
}

#[actix_web::test]
async fn what_cannot_be_kept_is_refused_by_every_operation_in_every_place() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let hash = shop.app.hasher.hash("cavalo bateria 7".to_owned().into()).await.unwrap();
    shop.execute(&format!("UPDATE users SET password_hash = '{hash}'")).await;
    let all = everything();
    assert!(all.len() > 3_000, "{}", all.len());
    let count = all.len();
    let ask = async |who: Option<&Customer<'_>>, (method, path, body): &Sent| {
        let request = who.map_or_else(|| shop.request(method, path), |who| who.request(method, path));
        let request = body.iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await;
        let (status, said) = (answer.status, String::from_utf8_lossy(&answer.bytes));
        let has_nul = path.contains("%00") || body.as_ref().is_some_and(|body| body.to_string().contains("\\u0000"));
        let is_taken = status < 400 && has_nul && method != "GET";
        (status >= 500 || is_taken).then(|| format!("{method} {path} {body:?}: {status} {said}"))
    };
    for who in [Some(&admin), Some(&ana), None] {
        let wrong: Vec<Option<String>> = stream::iter(&all).map(|sent| ask(who, sent)).buffer_unordered(16).collect().await;
        assert_eq!(wrong.len(), count);
        assert_eq!(wrong.into_iter().flatten().collect::<Vec<_>>(), Vec::<String>::new());
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_place_of_what_cannot_be_kept_is_named() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let admin = shop.admin().await;
    let cart = shop.guest_cart(&[(&mug, 1)]).await;
    let mut order = shop.guest_order(&[(&mug, 1)], CPF).await;
    order["notes"] = json!("a\0b");
    let before = shop.row_counts().await;
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!((placed.status, placed.invalid_fields()), (422, vec!["notes"]));
    for early in [EARLY, BEFORE_ZERO, MOVED_BEFORE_ZERO] {
        let coupon = json!({"code": "X", "kind": "percent", "value": 10, "starts_at": early});
        let coupon = admin.post("/api/admin/coupons", &coupon).await;
        assert_eq!((coupon.status, coupon.invalid_fields()), (422, vec!["starts_at"]), "{early}");
    }
    for (path, field) in [
        (format!("/api/orders?from={EARLY}"), "from"),
        (format!("/api/orders?from={}", encoded(BEFORE_ZERO)), "from"),
        (format!("/api/orders?to={}", encoded(MOVED_BEFORE_ZERO)), "to"),
        ("/api/admin/users?q=%00".to_owned(), "q"),
        ("/api/admin/audit?actor=a%00".to_owned(), "actor"),
        ("/api/admin/invoices/readiness?on=-009000-01-01".to_owned(), "on"),
        ("/api/orders?limit=1&limit=2".to_owned(), "limit"),
    ] {
        let answer = admin.get(&path).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{path}: {}", answer.body);
    }
    for path in ["/api/orders/tracking/a%00b", "/tracking/a%00b"] {
        assert_eq!(shop.get(path).await.status, 404, "{path}");
    }
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_that_is_deleted_meanwhile_is_refused_and_nothing_is_written() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let admin = shop.admin().await;
    // The last statement that sees the coupon is the one before this: the trigger deletes it in between.
    shop.execute(
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.coupon_id = gen_random_uuid(); RETURN NEW; END $$",
    )
    .await;
    for table in ["orders", "carts"] {
        let sql = format!(
            "CREATE TRIGGER forget BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN (NEW.coupon_id IS NOT NULL) EXECUTE FUNCTION forget()"
        );
        shop.execute(&sql).await;
    }
    let coupon = json!({"code": "DEZ", "kind": "percent", "value": 10});
    assert_eq!(admin.post("/api/admin/coupons", &coupon).await.status, 201);
    let cart = shop.guest_cart(&[(&mug, 1)]).await;
    let mut order = shop.guest_order(&[(&mug, 1)], CPF).await;
    order["coupon"] = json!("DEZ");
    let before = shop.row_counts().await;
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!((placed.status, placed.slug()), (409, "coupon-refused"), "{}", placed.body);
    let applied =
        shop.request("POST", "/api/cart/coupon").header("X-Cart-Token", &cart).json(&json!({"code": "DEZ"})).send().await;
    assert_eq!((applied.status, applied.slug()), (409, "coupon-refused"), "{}", applied.body);
    assert_eq!((shop.row_counts().await, shop.stock(&mug).await), (before, 10));
    shop.close().await;
}
