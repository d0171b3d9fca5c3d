//! The product table: what an import changes, what it leaves alone, and whom it holds up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::shop::{Answer, Customer, Product, Shop};

const HEADER: &str = "product_slug,category_path,product_name,description,attributes,featured,active,ncm,cfop,origin,weight_grams,\
    height_cm,width_cm,length_cm,images,sku,variant_name,options,price,compare_at,stock";

/// A line of one variant.
fn line(slug: &str, category: &str, price: &str, stock: &str) -> String {
    format!("{slug},{category},Nome {slug},,,,,,,,250,30,14,9,,SKU-{slug},,,\"{price}\",,{stock}\n")
}

fn table(lines: &[String]) -> String {
    format!("{HEADER}\n{}", lines.concat())
}

async fn import(admin: &Customer<'_>, query: &str, table: impl Into<reqwest::Body>) -> Answer {
    admin.request("POST", &format!("/api/admin/products/import{query}")).body("text/csv", table).send().await
}

async fn count(shop: &Shop, from: &str) -> i64 {
    shop.sql(&format!("SELECT count(*) FROM {from}")).await
}

#[actix_web::test]
async fn an_old_table_brings_no_stock_back_unless_it_is_said_to_be_a_count() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    assert_eq!(import(&admin, "", table(&[line("caneca", "Casa", "39,90", "10")])).await.body["created"], 1);
    let old = admin.get("/api/admin/products/export").await.bytes;
    let (id, variant_id) = (shop.sql("SELECT id FROM products").await, shop.sql("SELECT id FROM variants").await);
    let mug = Product { id, variant_id, slug: "caneca".into(), price_cents: 3_990 };
    assert_eq!(shop.buy_as_guest(&[(&mug, 3)]).await.status, 201);

    let kept = import(&admin, "", old.clone()).await;
    assert_eq!((&kept.body["updated"], &kept.body["stock_kept"], shop.stock(&mug).await), (&json!(0), &json!(1), 7));
    let more = table(&[line("caneca", "Casa", "45,00", "99"), line("copo", "Casa", "9,90", "5")]);
    let imported = import(&admin, "", more).await.body;
    assert_eq!(json!([imported["updated"], imported["created"], imported["stock_kept"]]), json!([1, 1, 1]));
    assert_eq!(shop.sql::<i64>("SELECT price_cents FROM variants WHERE sku = 'SKU-caneca'").await, 4_500);
    assert_eq!((shop.stock(&mug).await, shop.sql::<i32>("SELECT stock FROM variants WHERE sku = 'SKU-copo'").await), (7, 5));

    let counted = import(&admin, "?stock=set", old).await.body;
    assert_eq!((&counted["updated"], &counted["stock_kept"], shop.stock(&mug).await), (&json!(1), &json!(0), 10));
    assert_eq!(import(&admin, "?stock=perhaps", table(&[])).await.invalid_fields(), ["stock"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_import_waits_for_no_checkout_whose_products_it_does_not_change_and_holds_none_up() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let before = [line("caneca", "Casa", "39,90", "10"), line("copo", "Casa", "9,90", "5")];
    assert_eq!(import(&admin, "", table(&before)).await.status, 200);
    // A checkout holds the mug, as long as it likes.
    let mut db = shop.app.db().await.unwrap();
    let checkout = db.transaction().await.unwrap();
    checkout.execute("SELECT FROM variants WHERE sku = 'SKU-caneca' FOR NO KEY UPDATE", &[]).await.unwrap();
    let after = table(&[before[0].clone(), line("copo", "Casa", "12,50", "5")]);
    let import = import(&admin, "", after);
    let imported = tokio::time::timeout(Duration::from_secs(20), import).await.expect("it does not wait for the mug");
    assert_eq!(imported.body["updated"], 1, "{}", imported.body);
    checkout.rollback().await.unwrap();
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn a_table_is_written_in_batches_each_with_its_prices_in_the_audit_log() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mut lines: Vec<String> = (0..450).map(|n| line(&format!("p-{n}"), "Casa", "10,00", "1")).collect();
    let first = import(&admin, "", table(&lines)).await;
    let wanted = json!({"state": "done", "total": 450, "products": 450, "variants": 450, "categories": 1, "created": 450, "updated": 0,
        "stock_kept": 0, "batches": 3, "error": null});
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(first.body[field], *value, "{field}: {}", first.body);
    }
    let rows: Vec<i64> = shop
        .sql("SELECT array_agg((SELECT count(*) FROM jsonb_object_keys(after -> 'prices')) ORDER BY id) FROM audit_log")
        .await;
    assert_eq!(rows, [200, 200, 50]);
    lines[3] = line("p-3", "Casa", "12,00", "1");
    let second = import(&admin, "", table(&lines)).await;
    assert_eq!(json!([second.body["updated"], second.body["batches"]]), json!([1, 3]));
    let told = "SELECT before || jsonb_build_object('after', after -> 'prices') FROM audit_log ORDER BY id DESC LIMIT 1";
    assert_eq!(
        shop.sql::<Value>(told).await,
        json!({"prices": {"SKU-p-3": {"price_cents": 1_000, "compare_at_cents": null}},
               "after": {"SKU-p-3": {"price_cents": 1_200, "compare_at_cents": null}}})
    );
    assert_eq!(count(&shop, "audit_log").await, 4, "a batch that changes nothing is no change");

    // The third batch fails: the others stand, and the same table goes on from there.
    let lines: Vec<String> = (0..450).map(|n| line(&format!("p-{n}"), "Casa", "11,00", "1")).collect();
    shop.execute("ALTER TABLE variants ADD CONSTRAINT broken CHECK (sku <> 'SKU-p-449' OR price_cents <> 1100)").await;
    let stopped = import(&admin, "", table(&lines)).await;
    assert_eq!((stopped.status, stopped.slug()), (503, "unavailable"), "{}", stopped.body);
    assert_eq!(newest(&admin).await, json!(["stopped", 400, 450, stopped.body["detail"]]));
    assert_eq!(count(&shop, "variants WHERE price_cents = 1100").await, 400);
    shop.execute("ALTER TABLE variants DROP CONSTRAINT broken").await;
    let resumed = import(&admin, "", table(&lines)).await;
    assert_eq!(json!([resumed.body["products"], resumed.body["updated"]]), json!([450, 50]));
    shop.close().await;
}

/// Of the newest import: its state, how many products of how many stand, and why it stopped.
async fn newest(admin: &Customer<'_>) -> Value {
    let list = admin.get("/api/admin/products/import?limit=1").await;
    assert_eq!(list.status, 200, "{}", list.body);
    let one = &list.body["items"][0];
    json!([one["state"], one["products"], one["total"], one["error"]])
}

#[actix_web::test]
async fn an_import_that_stops_half_way_says_where_and_why_and_is_finished_by_the_same_table() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let other = shop.product("Outro").create().await;
    // While the first batch is written somebody gives another product a SKU of the last one.
    shop.app
        .db()
        .await
        .unwrap()
        .batch_execute(
            "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                UPDATE variants SET sku = 'SKU-p-449' WHERE name = 'Único'; RETURN NULL; END $$;
             CREATE TRIGGER meanwhile AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION meanwhile()",
        )
        .await
        .unwrap();
    let lines: Vec<String> = (0..450).map(|n| line(&format!("p-{n}"), "Casa", "10,00", "1")).collect();
    let stopped = import(&admin, "", table(&lines)).await;
    let why = format!(
        "400 of 450 products were imported, then it stopped: line 451: sku belongs to the product {}: give it another SKU. Mend it and send the whole table again",
        other.slug
    );
    assert_eq!((stopped.status, stopped.slug(), &stopped.body["detail"]), (409, "conflict", &json!(why)));
    assert_eq!(count(&shop, "products").await, 401);
    assert_eq!(newest(&admin).await, json!(["stopped", 400, 450, why]));
    shop.execute("DROP TRIGGER meanwhile ON audit_log").await;
    shop.execute("UPDATE variants SET sku = 'OUTRO' WHERE name = 'Único'").await;
    let finished = import(&admin, "", table(&lines)).await;
    assert_eq!((finished.status, &finished.body["created"], &finished.body["batches"]), (200, &json!(50), &json!(3)));
    assert_eq!(newest(&admin).await, json!(["done", 450, 450, null]));
    assert_eq!(admin.get("/api/admin/products/import").await.body["total"], 2);
    shop.close().await;
}

#[actix_web::test]
async fn how_far_an_import_is_can_be_read_while_it_runs() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let lines: Vec<String> = (0..450).map(|n| line(&format!("p-{n}"), "Casa", "10,00", "1")).collect();
    assert_eq!(import(&admin, "", table(&lines)).await.status, 200);
    // A checkout holds a product of the second batch.
    let mut db = shop.app.db().await.unwrap();
    let checkout = db.transaction().await.unwrap();
    checkout.execute("SELECT FROM variants WHERE sku = 'SKU-p-250' FOR NO KEY UPDATE", &[]).await.unwrap();
    let dearer: Vec<String> = (0..450).map(|n| line(&format!("p-{n}"), "Casa", "12,00", "1")).collect();
    let waits = import(&admin, "", table(&dearer));
    let seen = async {
        loop {
            let now = newest(&admin).await;
            if now[1] == 200 {
                break now; // it cannot go on
            }
        }
    };
    let reads = async {
        let seen = tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the first batch stands");
        checkout.rollback().await.unwrap();
        seen
    };
    let (imported, seen) = tokio::join!(waits, reads);
    assert_eq!(seen, json!(["running", 200, 450, null]));
    assert_eq!((imported.status, newest(&admin).await), (200, json!(["done", 450, 450, null])), "{}", imported.body);
    drop(db);
    let shown = admin.get(&format!("/api/admin/products/import/{}", imported.body["id"].as_str().unwrap())).await;
    assert_eq!((shown.status, shown.body), (200, imported.body));
    // One whose server went away.
    shop.execute("UPDATE product_imports SET state = 'running', finished_at = NULL, updated_at = now() - interval '31 minutes'")
        .await;
    let broken = newest(&admin).await;
    assert_eq!((&broken[0], &broken[1]), (&json!("stopped"), &json!(450)));
    assert!(broken[3].as_str().is_some_and(|why| why.contains("send the whole table again")), "{broken}");
    let (ana, none) = (shop.customer().await, "/api/admin/products/import/01a1fe4e-0785-7243-a93f-cc241c46a4e2");
    assert_eq!((admin.get(none).await.status, ana.get(none).await.status, shop.get(none).await.status), (404, 403, 401));
    shop.close().await;
}

#[actix_web::test]
async fn a_sku_of_another_product_on_the_last_line_changes_nothing_of_the_first() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let other = shop.product("Outro").create().await;
    let mut lines: Vec<String> = (0..250).map(|n| line(&format!("p-{n}"), "Casa", "10,00", "1")).collect();
    lines.push(line("ultimo", "Casa", "10,00", "1").replace("SKU-ultimo", &other.slug));
    let before = shop.row_counts().await;
    let refused = import(&admin, "", table(&lines)).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["line 252: sku"]));
    let why = format!("belongs to the product {}: give it another SKU", other.slug);
    assert_eq!(refused.body["errors"][0]["message"], why);
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_category_is_the_same_however_its_name_is_typed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let lines = [("a", "Café > Grãos"), ("b", "café > GRAOS"), ("c", "CAFÉ  > grãos "), ("d", "Cafés > Grãos")];
    let lines: Vec<String> = lines.iter().map(|(slug, category)| line(slug, category, "10,00", "1")).collect();
    assert_eq!(import(&admin, "", table(&lines)).await.status, 200);
    let names: Vec<String> = shop.sql("SELECT array_agg(name::text ORDER BY name::text COLLATE \"C\", id) FROM categories").await;
    assert_eq!(names, ["CAFÉ", "Cafés", "Grãos", "grãos"]);
    let shelves: i64 = shop.sql("SELECT count(DISTINCT category_id) FROM products").await;
    assert_eq!(shelves, 2);
    shop.close().await;
}

#[actix_web::test]
async fn the_table_for_excel_has_no_formula_in_it_and_comes_back_unchanged() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    assert_eq!(import(&admin, "", table(&[line("caneca", "Casa", "1.039,90", "10")])).await.status, 200);
    let odd = json!({"description": "=HYPERLINK(\"http://x\")", "variants": [
        {"sku": "00123", "name": "12-05", "price_cents": 103_990, "compare_at_cents": 203_990, "options": {"=1": "+2"}}]});
    assert_eq!(admin.put("/api/products/caneca", &odd).await.status, 200);
    let excel = admin.get("/api/admin/products/export?excel=true").await;
    let text = String::from_utf8(excel.bytes.clone()).unwrap();
    assert!(text.starts_with("\u{feff}product_slug;category_path;") && text.contains("\r\n"), "{text}");
    for cell in ["\"'=HYPERLINK(\"\"http://x\"\")\"", ";'00123;", ";'12-05;", ";1039,90;2039,90;"] {
        assert!(text.contains(cell), "{cell} in {text}");
    }
    let again = import(&admin, "?stock=set", excel.bytes).await;
    assert_eq!((again.status, &again.body["updated"]), (200, &json!(0)), "{}", again.body);
    let by_excel = text.replace("1039,90", "1039,9").replace(";não;sim;", ";FALSO;VERDADEIRO;");
    let again = import(&admin, "", by_excel).await;
    assert_eq!((again.status, &again.body["updated"]), (200, &json!(0)), "{}", again.body);
    shop.close().await;
}
