//! Made from the OpenAPI document: nonsense sent to any operation that takes a body is refused, and nothing in the database moves.

use serde_json::{Map, Value, json};

use crate::invoices::{goes_on, open};
use crate::seller::buys;
use crate::shop::{Customer, Shop};

/// What the ids in a path stand for: things that there are, so that nothing but the body can be refused.
pub struct Things {
    product: String,
    category: String,
    coupon: String,
    order: String,
    person: String,
    address: String,
    invoice: String,
}

impl Things {
    pub async fn of(shop: &Shop, admin: &Customer<'_>) -> Self {
        let mug = shop.ware("CANECA", 4_000).await;
        let order = buys(shop, &[(&mug, 2)]).await;
        shop.pays(&order).await;
        goes_on(shop).await; // no news of it is on its way any more
        admin.add(&mug, 1).await;
        let coupon = json!({"code": "CUPOM", "kind": "percent", "value": 10});
        let coupon = admin.post("/api/admin/coupons", &coupon).await;
        assert_eq!(coupon.status, 201, "{}", coupon.body);
        let text = async |sql: &str| shop.sql::<String>(sql).await;
        Self {
            product: mug.id.to_string(),
            category: text("SELECT id::text FROM categories").await,
            coupon: coupon.body["id"].as_str().unwrap().to_owned(),
            order,
            person: shop.customer().await.id.to_string(),
            address: admin.address().await,
            invoice: text("SELECT id::text FROM invoices").await,
        }
    }

    pub fn in_path(&self, path: &str) -> String {
        let id = [
            ("/api/products", &self.product),
            ("/api/categories", &self.category),
            ("/api/admin/coupons", &self.coupon),
            ("/api/orders", &self.order),
            ("/api/admin/orders", &self.order),
            ("/api/admin/users", &self.person),
            ("/api/admin/invoices", &self.invoice),
        ];
        let other = if path.starts_with("/api/users") { "me" } else { "01a1fe4e-0785-7243-a93f-cc241c46a4e2" };
        let id = id.iter().find(|(start, _)| path.starts_with(start)).map_or(other, |(_, id)| id.as_str());
        path.replace("{id}", id).replace("{aid}", &self.address).replace("{pid}", &self.product)
    }

    /// The same where a person's own address is another person's.
    pub fn of_others(&self, path: &str) -> String {
        self.in_path(&path.replace("/api/users/{id}", &format!("/api/users/{}", self.person)))
    }
}

/// An operation that takes a body: method, path, and the names of the body's fields where the document knows them.
fn operations(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(body) = operation.get("requestBody") else { continue };
            let schema = meant(document, &body["content"]["application/json"]["schema"]);
            let fields = schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
            found.push((method.to_uppercase(), path.clone(), fields));
        }
    }
    found
}

/// The schema that is meant by a reference, alone or as one of two: the other is null.
fn meant<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let one = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string())).unwrap_or(schema);
    match one["$ref"].as_str() {
        Some(name) => &document["components"]["schemas"][name.rsplit('/').next().unwrap()],
        None => one,
    }
}

/// Bodies with an array in the place of one object, each with the path of that place.
fn arrays_for_objects(document: &Value, schema: &Value, depth: usize) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let field = meant(document, field);
        let is_list = !field["items"].is_null();
        let object = if is_list { meant(document, &field["items"]) } else { field };
        if object["properties"].is_null() || depth == 0 {
            continue;
        }
        let (place, wrap) = if is_list { (format!("{name}[0]"), true) } else { (name.clone(), false) };
        let body = |value: Value| json!({name: if wrap { json!([value]) } else { value }});
        found.push((place.clone(), body(json!([]))));
        let below = arrays_for_objects(document, object, depth - 1).into_iter();
        found.extend(below.map(|(path, value)| (format!("{place}.{path}"), body(value))));
    }
    found
}

/// All rows of every table, as one hash each.
pub async fn contents(shop: &Shop) -> Vec<(String, String)> {
    let db = shop.app.db().await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
    let names: Vec<String> = db.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let hashes =
        names.iter().map(|name| format!("(SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {name} t)"));
    let row = db.query_one(&format!("SELECT {}", hashes.collect::<Vec<_>>().join(", ")), &[]).await.unwrap();
    names.into_iter().enumerate().map(|(i, name)| (name, row.get(i))).collect()
}

#[actix_web::test]
async fn nonsense_is_refused_by_every_operation_and_moves_nothing() {
    let (shop, _) = open("focusnfe").await;
    let admin = shop.admin().await;
    let things = Things::of(&shop, &admin).await;
    let document = vitrine::server::openapi();
    let before = contents(&shop).await;
    let (mut asked, mut with_fields, mut wrong) = (0, 0, Vec::new());
    for (method, path, fields) in operations(&document) {
        let path = things.in_path(&path);
        let types: Map<String, Value> = fields.iter().map(|field| (field.clone(), json!([[[]]]))).collect();
        let most = if path.ends_with("/import") { 10 } else { 1 };
        let large = vec![b' '; most * 1024 * 1024 + 1];
        let (json, types) = ("application/json", Value::from(types).to_string());
        let mut bodies: Vec<(&str, &str, &[u8])> = vec![
            ("broken", json, b"{\"reason\":"),
            ("cut", json, b"{\"reason\": \"x\""),
            ("an array", json, b"[]"),
            ("a text", json, b"\"text\""),
            ("a number", json, b"1"),
            ("unknown fields", json, b"{\"nonsense\": true}"),
            ("bytes", json, b"\xff\xfe\x00"),
            ("two values", json, b"{} {}"),
            ("a form", "application/x-www-form-urlencoded", b"reason=x&dry_run=true"),
            ("a page", "text/html", b"<html></html>"),
            ("too large", json, &large),
        ];
        if !fields.is_empty() {
            with_fields += 1;
            bodies.push(("wrong types", json, types.as_bytes()));
        }
        for (what, content_type, body) in bodies {
            asked += 1;
            let request = admin.request(&method, &path).header("Idempotency-Key", &format!("{asked}"));
            // A server may close the connection of a body that it does not read.
            let Ok(answer) = request.body(content_type, body.to_vec()).try_send().await else { continue };
            let status = answer.status().as_u16();
            // The webhooks of a provider that this shop does not use are not there.
            let is_not_there = status == 404 && path.starts_with("/api/webhooks/");
            if !is_not_there && !matches!(status, 400 | 401 | 413 | 415 | 422) {
                wrong.push(format!("{method} {path}: {what} is {status} {}", answer.text().await.unwrap_or_default()));
            }
        }
        let after = contents(&shop).await;
        let moved = before.iter().zip(&after).filter(|(was, is)| was != is).map(|(was, _)| was.0.as_str());
        let moved: Vec<&str> = moved.collect();
        assert!(moved.is_empty(), "{method} {path} changed {moved:?}; {wrong:#?}");
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked > 500 && with_fields > 30, "{asked} {with_fields}");
    shop.close().await;
}

#[actix_web::test]
async fn an_array_is_no_object_at_any_depth_of_any_body() {
    let (shop, _) = open("focusnfe").await;
    let admin = shop.admin().await;
    let things = Things::of(&shop, &admin).await;
    let document = serde_json::to_value(vitrine::server::openapi()).unwrap();
    let before = contents(&shop).await;
    let mut asks = vec![("PATCH".to_owned(), "/api/products/{id}".to_owned(), "tax".to_owned(), json!({"tax": []}))];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = meant(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
            let bodies = arrays_for_objects(&document, schema, 4).into_iter();
            asks.extend(bodies.map(|(place, body)| (method.to_uppercase(), path.clone(), place, body)));
        }
    }
    let mut wrong = Vec::new();
    for (n, (method, path, place, body)) in asks.iter().enumerate() {
        let request = admin.request(method, &things.in_path(path)).header("Idempotency-Key", &format!("{n}"));
        let answer = request.json(body).send().await;
        if answer.status != 422 || answer.invalid_fields() != [place.as_str()] {
            wrong.push(format!("{method} {path} {body} is {} {}", answer.status, answer.body));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asks.len() > 25, "{asks:#?}");
    assert!(before == contents(&shop).await);
    shop.close().await;
}
