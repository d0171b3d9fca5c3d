//! Texts of a person, planted in everything that the public may send, are nowhere once the person was erased: not in a table, not in a
//! job, and never in a log, at debug neither.

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::process::Process;
use crate::shop::{CEP, Request, address, cluster};

/// CPFs that are nobody's in the other tests.
const CUSTOMERS_CPF: &str = "390.533.447-05";
const GUESTS_CPF: &str = "111.444.777-35";
const PASSWORD: &str = "canariosenha de verdade";
/// What is looked for. All the texts below begin with one of the first two.
const WORDS: [&str; 8] =
    ["canario", "Canario", "11987650001", "11987650002", "39053344705", "390.533.447", "11144477735", "111.444.777"];

async fn database(shop: &Process) -> Client {
    let url = cluster().await.url(&shop.database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    client
}

/// Where each word is found in the tables.
async fn found(db: &Client) -> Vec<String> {
    const COLUMNS: &str = "
        SELECT c.table_name::text, c.column_name::text, c.data_type::text FROM information_schema.columns c
          JOIN information_schema.tables t USING (table_schema, table_name)
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
           AND c.data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea') ORDER BY 1, 2";
    let mut found = Vec::new();
    for row in db.query(COLUMNS, &[]).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let text = if kind == "bytea" { format!("encode({column}, 'escape')") } else { format!("{column}::text") };
        let sql = format!("SELECT coalesce(string_agg({text}, ' '), '') FROM {table}");
        let all: String = db.query_one(&sql, &[]).await.unwrap().get(0);
        found.extend(WORDS.iter().filter(|word| all.contains(**word)).map(|word| format!("{word} in {table}.{column}")));
    }
    found
}

async fn every_mail_went(shop: &Process, db: &Client) {
    const DUE: &str = "SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running') AND run_at <= now() AND kind LIKE 'mail%'";
    shop.wait_for("the last mail", async || (db.query_one(DUE, &[]).await.ok()?.get::<_, i64>(0) == 0).then_some(())).await;
}

/// An address with a text of the person in each line.
fn canary_address() -> Value {
    let mut address = address(CEP);
    for (field, text) in [
        ("recipient", "Canario Destinatario"),
        ("street", "Canario Rua"),
        ("number", "canario7"),
        ("complement", "Canario Complemento"),
        ("district", "Canario Bairro"),
    ] {
        address[field] = json!(text);
    }
    address
}

/// Requests that are refused, each with a text of the person somewhere.
async fn refused(shop: &Process, cart: &str) {
    let calls = [
        ("/api/auth/login", json!({"email": "canario-errado@example.com", "password": "canario errado"})),
        ("/api/auth/forgot-password", json!({"email": "canario-ninguem@example.com"})),
        ("/api/auth/reset-password", json!({"token": "canario-token", "password": "canario nova senha"})),
        ("/api/auth/refresh", json!({"refresh_token": "canario-refresh"})),
        ("/api/auth/verify-email", json!({"token": "canario-confirma"})),
        ("/api/auth/register", json!({"name": "Canario", "email": "canario sem arroba", "password": "canario"})),
        ("/api/auth/register", json!({"canario": "campo desconhecido"})),
        ("/api/cart/coupon", json!({"code": "CANARIO-canario"})),
        ("/api/orders/link", json!({"number": "canario", "email": "canario-link@example.com"})),
        ("/api/privacy/requests", json!({"email": "canario-dados@example.com"})),
        ("/api/privacy/export", json!({"token": "canario-exporta"})),
        ("/api/shipping/calculate", json!({"cep_destino": "canario", "items": []})),
        ("/api/webhooks/payment", json!({"event": "payment.paid", "payer": "Canario Pagador"})),
        ("/api/webhooks/stripe", json!({"type": "charge.succeeded", "name": "Canario Cartao"})),
        ("/api/webhooks/pix", json!({"pix": [{"pagador": {"nome": "Canario Pix", "cpf": "39053344705"}}]})),
        ("/api/webhooks/resend", json!({"to": "canario-volta@example.com"})),
    ];
    for (path, body) in calls {
        let headers = [("X-Cart-Token", cart), ("User-Agent", "canario/1"), ("Referer", "https://canario.example/")];
        let (status, answer, _) = shop.post(path, &headers, &body).await.unwrap_or((200, Value::Null, String::new()));
        assert!(status < 500, "{path}: {answer}");
    }
    let raw = |path: &str, body: &'static str| Request::of(shop.http.post(shop.url(path))).body("application/json", body).send();
    assert_eq!(raw("/api/orders", r#"{"name": "Canario quebrado", "#).await.status, 400);
    for query in [
        "/api/products/search?q=canario",
        "/api/products?canario=canario",
        "/api/orders?q=canario",
        "/api/orders/tracking/39053344705",
        "/api/v1/orders/tracking/39053344705",
        "/api/orders/39053344705",
        "/api/orders/canario%20de%20caminho/invoice",
        "/api/cep/39053344705",
        "/api/products/canario-de-endereco",
        "/api/categories/canario",
        "/api/invoices/canario",
        "/media/canario.png",
        "/canario/39053344705",
        "/api/canario/39053344705",
    ] {
        let answer = Request::of(shop.http.get(shop.url(query))).header("X-Order-Token", "canario-pedido").send().await;
        assert!(answer.status < 500, "{query}");
    }
    for path in ["/api/cart/items/canario", "/api/users/me/addresses/39053344705", "/api/orders/39053344705/cancel"] {
        for method in [reqwest::Method::DELETE, reqwest::Method::PATCH, reqwest::Method::OPTIONS] {
            let answer = Request::of(shop.http.request(method, shop.url(path))).header("X-Cart-Token", cart).send().await;
            assert!(answer.status < 500, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_person_who_was_erased_is_in_no_table_no_job_and_never_was_in_a_log() {
    let shop = Process::start_with("debug").await;
    let db = database(&shop).await;
    let bearer = |session: &Value| format!("Bearer {}", session["token"].as_str().unwrap());

    let new = json!({"name": "Canario Cliente", "email": "canario-cliente@example.com", "password": PASSWORD,
                     "cpf": CUSTOMERS_CPF, "phone": "(11) 98765-0001"});
    let (status, session, _) = shop.post("/api/auth/register", &[], &new).await.unwrap();
    assert_eq!(status, 201, "{session}");
    let token = bearer(&session);
    let mut home = canary_address();
    home["label"] = json!("Canario Casa");
    let signed = [("Authorization", token.as_str())];
    let (status, saved, _) = shop.post("/api/users/me/addresses", &signed, &home).await.unwrap();
    assert_eq!(status, 201, "{saved}");
    shop.post("/api/auth/forgot-password", &[], &json!({"email": "canario-cliente@example.com"})).await;
    let change = json!({"email": "canario-novo@example.com", "current_password": PASSWORD});
    let changed = Request::of(shop.http.patch(shop.url("/api/users/me"))).header("Authorization", &token).json(&change);
    assert_eq!(changed.send().await.status, 200);

    let (cart, mut order) = shop.ready_to_buy().await;
    for (field, text) in [
        ("name", "Canario Visitante"),
        ("email", "canario-visitante@example.com"),
        ("phone", "(11) 98765-0002"),
        ("cpf", GUESTS_CPF),
        ("notes", "Canario Recado"),
    ] {
        order[field] = json!(text);
    }
    order["address"] = canary_address();
    refused(&shop, &cart).await;
    let headers = [("X-Cart-Token", cart.as_str()), ("Idempotency-Key", "compra-1")];
    let (status, placed, _) = shop.post("/api/orders", &headers, &order).await.unwrap();
    assert_eq!(status, 201, "{placed}");
    every_mail_went(&shop, &db).await;
    let path = shop.url(&format!("/api/orders/{}/cancel", placed["id"].as_str().unwrap()));
    let cancel = Request::of(shop.http.patch(path)).header("X-Order-Token", placed["access_token"].as_str().unwrap());
    assert_eq!(cancel.json(&json!({"reason": "Canario Motivo"})).send().await.status, 200);
    every_mail_went(&shop, &db).await;

    let before = found(&db).await;
    for table in ["users.", "orders.", "addresses.", "messages.", "email_changes.", "idempotency_keys."] {
        assert!(
            before.iter().any(|place| place.contains(table)),
            "{table} must show something, else its silence proves nothing: {before:?}"
        );
    }

    let erase = Request::of(shop.http.delete(shop.url("/api/users/me"))).header("Authorization", &token);
    assert_eq!(erase.json(&json!({"password": PASSWORD})).send().await.status, 204);
    let admin = json!({"name": "Gerente", "email": "gerente@example.com", "password": "uma senha de gerente"});
    shop.post("/api/auth/register", &[], &admin).await.unwrap();
    db.execute("UPDATE users SET role = 'admin' WHERE email = 'gerente@example.com'", &[]).await.unwrap();
    let login = json!({"email": "gerente@example.com", "password": "uma senha de gerente"});
    let (_, session, _) = shop.post("/api/auth/login", &[], &login).await.unwrap();
    let token = bearer(&session);
    let whose = json!({"cpf": GUESTS_CPF, "email": "canario-visitante@example.com"});
    let (status, erased, _) = shop.post("/api/admin/guests/erase", &[("Authorization", token.as_str())], &whose).await.unwrap();
    assert_eq!((status, &erased["orders"]), (200, &json!(1)), "{erased}");
    every_mail_went(&shop, &db).await;

    assert_eq!(found(&db).await, Vec::<String>::new());
    let log = std::fs::read_to_string(shop.folder.join("out.log")).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| WORDS.iter().any(|word| line.contains(word))).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(log.contains("a guest was erased"), "the log is read");
    drop(db);
    shop.stop();
}
