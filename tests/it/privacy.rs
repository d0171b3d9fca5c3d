//! LGPD: export and erasure.

use serde_json::json;

use crate::auth::{PASSWORD, log_in, signed};
use crate::shop::{Answer, Product, Shop};

const EMAIL: &str = "canario-mail@example.com";
pub const CPF: &str = "390.533.447-05";
/// Texts that belong to the person alone. Before the erasure each is somewhere in the database, after it nowhere.
const CANARIES: [&str; 12] = [
    "canario-mail",
    "Canario Nome",
    "Canario Destinatario",
    "Canario Rua",
    "Canario Complemento",
    "Canario Casa",
    "Canario Bairro",
    "Canario Recado",
    "Canario Motivo",
    "Canario Estorno",
    "11987651234",
    "39053344705",
];

/// A person with everything: account, addresses, two sessions, a cart, and one order that was cancelled.
async fn canary(shop: &Shop, product: &Product) -> Answer {
    let new = json!({"name": "Canario Nome", "email": EMAIL, "password": PASSWORD, "cpf": CPF, "phone": "(11) 98765-1234"});
    let session = shop.post("/api/auth/register", &new).await;
    assert_eq!(session.status, 201, "{}", session.body);
    log_in(shop, EMAIL, PASSWORD).await;
    shop.post("/api/auth/forgot-password", &json!({"email": EMAIL})).await;
    let address = json!({"label": "Canario Casa", "recipient": "Canario Destinatario", "cep": "01310-100", "street": "Canario Rua",
                         "number": "7", "complement": "Canario Complemento", "district": "Canario Bairro", "city": "São Paulo",
                         "state": "SP", "phone": "(11) 98765-1234"});
    let address = signed(shop, &session, "POST", "/api/users/me/addresses").json(&address).send().await;
    put_in_cart(shop, &session, product).await;
    let order = json!({"address_id": address.body["id"], "quote_token": shop.quote(&[(product, 1)], "01310-100").await,
                       "cpf": CPF, "notes": "Canario Recado"});
    let placed = signed(shop, &session, "POST", "/api/orders").header("Idempotency-Key", "canario-1").json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    put_in_cart(shop, &session, product).await;
    session
}

pub async fn put_in_cart(shop: &Shop, session: &Answer, product: &Product) {
    let line = json!({"product_id": product.id, "variant_id": product.variant_id, "quantity": 1});
    let answer = signed(shop, session, "POST", "/api/cart/items").json(&line).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn cancel(shop: &Shop, session: &Answer) {
    let order: uuid::Uuid = shop.sql("SELECT id FROM orders").await;
    let answer = signed(shop, session, "PATCH", &format!("/api/orders/{order}/cancel"))
        .json(&json!({"reason": "Canario Motivo"}))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

pub async fn erase(shop: &Shop, session: &Answer, password: &str) -> Answer {
    signed(shop, session, "DELETE", "/api/users/me").json(&json!({"password": password})).send().await
}

/// Every text, JSON and byte column of every table, as text: which of the person's texts are found where.
async fn found(shop: &Shop) -> Vec<(&'static str, String)> {
    const COLUMNS: &str = "
        SELECT c.table_name::text, c.column_name::text, c.data_type::text FROM information_schema.columns c
          JOIN information_schema.tables t USING (table_schema, table_name)
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
           AND c.data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea') ORDER BY 1, 2";
    let db = shop.app.db().await.unwrap();
    let mut found = Vec::new();
    for row in db.query(COLUMNS, &[]).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let text = if kind == "bytea" { format!("encode({column}, 'escape')") } else { format!("{column}::text") };
        let sql = format!("SELECT coalesce(string_agg({text}, ' '), '') FROM {table}");
        let all: String = db.query_one(&sql, &[]).await.unwrap().get(0);
        found
            .extend(CANARIES.iter().filter(|canary| all.contains(**canary)).map(|canary| (*canary, format!("{table}.{column}"))));
    }
    found
}

#[actix_web::test]
async fn an_erased_person_is_in_no_column_of_no_table() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let session = canary(&shop, &product).await;
    cancel(&shop, &session).await;
    shop.drain().await;
    // Rows that the mailer and the provider write, whether or not they ran in this test.
    shop.execute(
        "INSERT INTO messages (id, event, kind, channel, order_id, recipient, subject, html, body, status, provider, provider_ref)
         SELECT gen_random_uuid(), 'canary', 'order_placed', 'email', id, customer_email, 'Canario Nome', 'Canario Nome', customer_name, 'sent', 'resend', 'r'
           FROM orders
         UNION ALL
         SELECT gen_random_uuid(), 'canary2', 'order_paid', 'sms', id, customer_phone, '', NULL, 'Canario Nome', 'sent', 'africastalking', 'r' FROM orders",
    )
    .await;
    shop.execute(
        "INSERT INTO order_history (order_id, subject, subject_id, to_state, actor, cause)
         SELECT order_id, 'message', id, status, 'system', 'test' FROM messages WHERE event LIKE 'canary%'",
    )
    .await;
    shop.execute(
        "INSERT INTO webhook_events (id, provider, event_id, event, body, order_id, request_id)
         SELECT gen_random_uuid(), 'propay', 'canary', 'payment.paid', convert_to('Canario Nome 39053344705', 'UTF8'), id, 'r' FROM orders",
    )
    .await;
    // The shop's own texts.
    shop.execute(
        "INSERT INTO order_history (order_id, subject, to_state, reason, actor, cause)
         SELECT id, 'coupon', 'used', 'Canario Estorno', 'admin:1', 'test' FROM orders",
    )
    .await;
    let sealed: i64 = shop.sql("SELECT count(*) FROM orders WHERE tax_id_sealed IS NOT NULL").await;
    assert_eq!(sealed, 1);
    let before = found(&shop).await;
    for canary in CANARIES {
        assert!(
            before.iter().any(|(c, _)| *c == canary),
            "{canary} must be somewhere, else its absence proves nothing: {before:?}"
        );
    }

    let erased = erase(&shop, &session, PASSWORD).await;
    assert_eq!(erased.status, 204, "{}", erased.body);
    assert_eq!(found(&shop).await, Vec::new());
    let remains =
        "SELECT concat_ws(' ', o.customer_name, o.status, o.subtotal_cents, o.shipping_address ->> 'city', o.tax_id_hash IS NULL)
                     FROM orders o JOIN users u ON u.id = o.user_id WHERE u.erased_at IS NOT NULL";
    assert_eq!(shop.sql::<String>(remains).await, "(removido) cancelled 5000 São Paulo t", "what was sold stays");
    for table in ["addresses", "carts", "sessions", "refresh_tokens", "password_resets", "idempotency_keys"] {
        assert_eq!(shop.sql::<i64>(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 401);
    assert_eq!(log_in(&shop, EMAIL, PASSWORD).await.status, 401);
    let again = json!({"name": "Outra Pessoa", "email": EMAIL, "password": PASSWORD});
    assert_eq!(shop.post("/api/auth/register", &again).await.status, 201, "the e-mail is free again");
    shop.close().await;
}

#[actix_web::test]
async fn nobody_is_erased_by_mistake_or_while_an_order_is_open() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let session = canary(&shop, &product).await;
    let before = (shop.row_counts().await, found(&shop).await);
    let wrong = erase(&shop, &session, "another password").await;
    assert_eq!((wrong.status, wrong.invalid_fields()), (422, vec!["password"]));
    assert_eq!(signed(&shop, &session, "DELETE", "/api/users/me").send().await.status, 415, "it must be confirmed");
    let open = erase(&shop, &session, PASSWORD).await;
    assert_eq!((open.status, open.slug()), (409, "conflict"));
    shop.execute("UPDATE users SET role = 'admin'").await;
    let admin = erase(&shop, &session, PASSWORD).await;
    assert_eq!((admin.status, admin.slug()), (409, "conflict"));
    assert_eq!((shop.row_counts().await, found(&shop).await), before);
    shop.close().await;
}

#[actix_web::test]
async fn the_history_of_an_order_cannot_be_rewritten_even_so() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let session = canary(&shop, &product).await;
    cancel(&shop, &session).await;
    let db = shop.app.db().await.unwrap();
    for change in [
        "UPDATE order_history SET to_state = 'paid'",
        "UPDATE order_history SET to_state = 'paid', reason = ''",
        "UPDATE order_history SET reason = 'another'",
        "UPDATE order_history SET at = now(), reason = ''",
        "DELETE FROM order_history",
    ] {
        let error = db.execute(change, &[]).await.expect_err(change);
        assert!(error.as_db_error().unwrap().message().contains("only grows"), "{change}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_person_can_take_everything_along() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let session = canary(&shop, &product).await;
    cancel(&shop, &session).await;
    let stranger = shop.customer().await;
    assert_eq!(stranger.buy(&[(&product, 1)]).await.status, 201);
    let masked = signed(&shop, &session, "GET", "/api/users/me/export").send().await;
    assert_eq!((masked.status, &masked.body["profile"]["cpf"]), (200, &json!("***.533.447-**")), "{}", masked.body);
    assert!(!masked.body.to_string().contains("390.533"), "a token alone reads no whole document: {}", masked.body);
    let whole = |password: &str| {
        signed(&shop, &session, "POST", "/api/users/me/export").json(&json!({"current_password": password})).send()
    };
    assert_eq!(whole("outra senha qualquer").await.status, 422);
    let answer = whole(PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut same = masked.body.clone();
    for (place, of) in [("/profile/cpf", "/profile/cpf"), ("/orders/0/cpf", "/orders/0/cpf"), ("/exported_at", "/exported_at")] {
        *same.pointer_mut(place).unwrap() = answer.body.pointer(of).unwrap().clone();
    }
    assert_eq!(same, answer.body, "nothing but the document differs");
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"meus-dados.json\""));
    let export = &answer.body;
    let profile = json!({"name": "Canario Nome", "email": EMAIL, "cpf": CPF, "phone": "+5511987651234", "role": "user"});
    for (field, value) in profile.as_object().unwrap() {
        assert_eq!(&export["profile"][field], value, "{field}");
    }
    let count = |name: &str| export[name].as_array().unwrap_or_else(|| panic!("{name}: {export}")).len();
    assert_eq!(["addresses", "sessions", "carts", "orders"].map(count), [1, 2, 1, 1]);
    let order = &export["orders"][0];
    assert_eq!((&order["cpf"], &order["notes"], &order["status"]), (&json!(CPF), &json!("Canario Recado"), &json!("cancelled")));
    assert_eq!(order["items"][0]["name"], "Camiseta");
    assert_eq!(order["cancel_reason"], "Canario Motivo");
    assert_eq!(order["history"][0]["to"], "pending", "{}", order["history"]);
    assert_eq!(export["addresses"][0]["street"], "Canario Rua");
    let text = export.to_string();
    for secret in ["password", "sealed", "_hash", "token", &stranger.email, "+00:00"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    shop.close().await;
}

/// A guest with the same canaries, who bought under a key, was written to, and cancelled.
async fn guest_canary(shop: &Shop, product: &Product) -> Answer {
    let cart = shop.guest_cart(&[(product, 1)]).await;
    let mut order = shop.guest_order(&[(product, 1)], CPF).await;
    order["email"] = json!(EMAIL);
    order["name"] = json!("Canario Nome");
    order["phone"] = json!("(11) 98765-1234");
    order["notes"] = json!("Canario Recado");
    order["address"]["recipient"] = json!("Canario Destinatario");
    order["address"]["street"] = json!("Canario Rua");
    let request = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).header("Idempotency-Key", "canario");
    let placed = request.json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed
}

async fn cancelled_by_guest(shop: &Shop, placed: &Answer) {
    let path = format!("/api/orders/{}", placed.body["id"].as_str().unwrap());
    let token = placed.body["access_token"].as_str().unwrap();
    let pay = shop.request("POST", &format!("{path}/pay")).header("X-Order-Token", token).header("Idempotency-Key", "canario");
    assert_eq!(pay.json(&json!({"method": "pix"})).send().await.status, 200);
    let cancel = shop.request("PATCH", &format!("{path}/cancel")).header("X-Order-Token", token);
    assert_eq!(cancel.json(&json!({"reason": "Canario Motivo"})).send().await.status, 200);
    shop.drain().await;
}

#[actix_web::test]
async fn a_guest_is_erased_by_cpf_or_by_email_and_nobody_else_is() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let (admin, ana) = (shop.admin().await, shop.customer().await);
    for by in [json!({"cpf": CPF}), json!({"email": " CANARIO-mail@example.com"})] {
        let placed = guest_canary(&shop, &product).await;
        let open = admin.post("/api/admin/guests/erase", &by).await;
        assert_eq!((open.status, open.slug()), (409, "conflict"), "an open order needs its person");
        cancelled_by_guest(&shop, &placed).await;
        let other = shop.buy_as_guest(&[(&product, 1)]).await.body;
        let before = found(&shop).await;
        for canary in [
            "canario-mail",
            "Canario Nome",
            "Canario Destinatario",
            "Canario Rua",
            "Canario Recado",
            "Canario Motivo",
            "11987651234",
        ] {
            assert!(before.iter().any(|(c, _)| *c == canary), "{canary} must be somewhere: {before:?}");
        }
        assert_eq!(ana.post("/api/admin/guests/erase", &by).await.slug(), "forbidden");
        let erased = admin.post("/api/admin/guests/erase", &by).await;
        assert_eq!((erased.status, &erased.body), (200, &json!({"orders": 1, "accounts": 0})), "{}", erased.body);
        assert_eq!(found(&shop).await, Vec::new(), "by {by}");
        let stays = format!(
            "SELECT customer_name || ' ' || status || ' ' || subtotal_cents FROM orders WHERE id = '{}'",
            placed.body["id"].as_str().unwrap()
        );
        assert_eq!(shop.sql::<String>(&stays).await, "(removido) cancelled 5000", "what was sold stays");
        let theirs =
            format!("SELECT customer_name || ' ' || customer_email FROM orders WHERE id = '{}'", other["id"].as_str().unwrap());
        assert_eq!(shop.sql::<String>(&theirs).await, "Ana Silva ana@example.com");
        assert_eq!(admin.post("/api/admin/guests/erase", &by).await.body["orders"], 0, "there is nobody left");
    }
    let nobody = admin.post("/api/admin/guests/erase", &json!({})).await;
    assert_eq!((nobody.status, nobody.invalid_fields()), (422, vec!["cpf"]));
    let log: String =
        shop.sql("SELECT string_agg(action || ' ' || after::text, ', ') FROM audit_log WHERE action = 'guest.erase'").await;
    assert!(log.contains(r#""orders": 1"#) && log.contains(r#""cpf": true"#), "{log}");
    shop.close().await;
}

#[actix_web::test]
async fn a_guests_erasure_leaves_accounts_alone_and_says_how_many_there_are() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let admin = shop.admin().await;
    let session = canary(&shop, &product).await;
    cancel(&shop, &session).await;
    let before = found(&shop).await;
    let answer = admin.post("/api/admin/guests/erase", &json!({"cpf": CPF, "email": EMAIL})).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({"orders": 0, "accounts": 1})));
    assert_eq!(found(&shop).await, before);
    shop.close().await;
}

/// The token of the link that was mailed for a guest's data.
fn mailed_token(shop: &Shop) -> Option<String> {
    let mails = shop.control().mails_to(EMAIL);
    let text = mails.iter().rev().filter_map(|mail| mail.text.clone()).find(|text| text.contains("/meus-dados?token="))?;
    Some(text.split_once("?token=")?.1.split_whitespace().next()?.to_owned())
}

#[actix_web::test]
async fn a_guest_takes_everything_along_and_erases_it_by_a_mailed_link() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let placed = guest_canary(&shop, &product).await;
    let theirs = shop.buy_as_guest(&[(&product, 1)]).await.body;
    assert_eq!(shop.post("/api/privacy/requests", &json!({"email": "CANARIO-mail@example.com"})).await.status, 202);
    shop.drain().await;
    let token = json!({"token": mailed_token(&shop).expect("a link")});
    let answer = shop.post("/api/privacy/export", &token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"meus-dados.json\""));
    let orders = answer.body["orders"].as_array().unwrap();
    assert_eq!((orders.len(), &orders[0]["number"]), (1, &placed.body["number"]));
    assert_eq!(orders[0]["notes"], "Canario Recado");
    assert_eq!(orders[0]["cpf"], "***.533.447-**", "a mailbox proves the e-mail, not the document");
    assert!(!answer.body.to_string().contains(theirs["number"].as_str().unwrap()));
    assert!(answer.body["messages"].as_array().unwrap().iter().any(|message| message["kind"] == "order_placed"));

    let open = shop.post("/api/privacy/erase", &token).await;
    assert_eq!((open.status, open.slug()), (409, "conflict"), "an open order needs its person");
    cancelled_by_guest(&shop, &placed).await;
    let erased = shop.post("/api/privacy/erase", &token).await;
    assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(1)), "{}", erased.body);
    assert_eq!(found(&shop).await, Vec::new());
    let again = shop.post("/api/privacy/export", &token).await;
    assert_eq!((again.status, again.invalid_fields()), (422, vec!["token"]), "the link ends with it");
    let kept = format!("SELECT customer_name FROM orders WHERE id = '{}'", theirs["id"].as_str().unwrap());
    assert_eq!(shop.sql::<String>(&kept).await, "Ana Silva");
    shop.close().await;
}

#[actix_web::test]
async fn nobody_learns_who_bought_by_asking_for_their_data() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    for email in ["nobody@example.com", &ana.email] {
        assert_eq!(shop.post("/api/privacy/requests", &json!({"email": email})).await.status, 202);
    }
    shop.drain().await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM privacy_requests").await, 0);
    assert!(shop.control().mails_to("nobody@example.com").is_empty() && shop.control().mails_to(&ana.email).is_empty());
    for token in ["", "x", "0195-.x"] {
        assert_eq!(shop.post("/api/privacy/export", &json!({"token": token})).await.status, 422);
        assert_eq!(shop.post("/api/privacy/erase", &json!({"token": token})).await.status, 422);
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_shop_can_export_a_guests_data_for_them_and_it_is_written_down() {
    let shop = Shop::open().await;
    let (product, admin, ana) = (shop.product("Camiseta").create().await, shop.admin().await, shop.customer().await);
    let placed = guest_canary(&shop, &product).await;
    let whose = json!({"email": EMAIL});
    assert_eq!(ana.post("/api/admin/guests/export", &whose).await.status, 403);
    let export = admin.post("/api/admin/guests/export", &whose).await;
    assert_eq!((export.status, &export.body["orders"][0]["number"]), (200, &placed.body["number"]), "{}", export.body);
    let log: String = shop.sql("SELECT after::text FROM audit_log WHERE action = 'guest.export'").await;
    assert_eq!(log, r#"{"orders": 1}"#);
    shop.close().await;
}
