//! Messages beyond a single mail: languages, reminders, SMTP, administrators' actions, and deletion.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::ids::{MessageId, OrderId};
use vitrine::jobs::{self, Job};
use vitrine::{mail, purge};
use vitrine_sandbox::{Fault, Mail, Pay};

use crate::shop::{CPF, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
const SOON: SignedDuration = SignedDuration::from_mins(2);

async fn order(customer: &Customer<'_>) -> OrderId {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.body["id"].as_str().unwrap().parse().unwrap()
}

async fn charge(customer: &Customer<'_>, order: OrderId) {
    let charge = customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    assert_eq!(charge.status, 200, "{}", charge.body);
}

async fn pay(customer: &Customer<'_>, order: OrderId) {
    charge(customer, order).await;
    customer.shop.control().pay(Pay::of(order)).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
}

fn subjects(shop: &Shop, to: &str) -> Vec<String> {
    shop.control().mails_to(to).into_iter().map(|mail| mail.subject).collect()
}

async fn push(shop: &Shop, job: Job) {
    jobs::push(&shop.app.db().await.unwrap(), job).await.unwrap();
}

/// A column of the only message of a kind.
async fn column(shop: &Shop, kind: &str, column: &str) -> Option<String> {
    shop.sql(&format!("SELECT ({column})::text FROM messages WHERE kind = '{kind}'")).await
}

/// Ends the wait of jobs of a kind.
async fn hurry(shop: &Shop, kind: &str) {
    shop.execute(&format!("UPDATE jobs SET run_at = now() WHERE kind = '{kind}' AND state = 'waiting'")).await;
    shop.drain().await;
}

#[actix_web::test]
async fn who_signs_up_is_welcomed_in_the_language_that_the_browser_asks_for() {
    let shop = Shop::open().await;
    let new = |email: &str| json!({"name": "Ana Silva", "email": email, "password": "cavalo-bateria-7"});
    for (email, header, subject, locale) in [
        ("ana@example.com", "pt-BR,en;q=0.8", "Sua conta em Loja está pronta", "pt-BR"),
        ("bob@example.com", "en-GB,en;q=0.9,pt;q=0.1", "Your account at Loja is ready", "en"),
    ] {
        let answer = shop.request("POST", "/api/auth/register").header("Accept-Language", header).json(&new(email)).send().await;
        assert_eq!((answer.status, &answer.body["user"]["locale"]), (201, &json!(locale)), "{}", answer.body);
        shop.drain().await;
        assert_eq!(subjects(&shop, email), [subject]);
    }
    let chosen = json!({"name": "Eva", "email": "eva@example.com", "password": "cavalo-bateria-7", "locale": "en"});
    assert_eq!(shop.post("/api/auth/register", &chosen).await.body["user"]["locale"], "en");
    let odd = json!({"name": "Eva", "email": "eva2@example.com", "password": "cavalo-bateria-7", "locale": "de"});
    assert_eq!(shop.post("/api/auth/register", &odd).await.invalid_fields(), ["locale"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_customer_is_written_to_in_the_language_of_the_account_and_a_guest_in_the_orders() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let changed = ana.patch("/api/users/me", &json!({"locale": "en"})).await;
    assert_eq!((&changed.body["locale"], &changed.body["sms_opt_in"]), (&json!("en"), &json!(false)));
    let order = order(&ana).await;
    pay(&ana, order).await;
    shop.drain().await;
    let number: String = shop.sql("SELECT number FROM orders").await;
    assert_eq!(
        subjects(&shop, &ana.email),
        [format!("We have your order {number}"), format!("Payment confirmed – order {number}")]
    );
    let text = shop.control().mails_to(&ana.email)[1].text.clone().unwrap();
    assert!(text.contains("Total: R$ 68.50") || text.contains("Total: R$ "), "{text}");
    let kept = ana.put("/api/users/me", &json!({"name": "Ana", "email": ana.email})).await;
    assert_eq!(kept.body["locale"], "en", "who replaces the profile does not change how one is written to");

    let shirt = shop.product("Boné").create().await;
    let (cart, mut guest) = (shop.guest_cart(&[(&shirt, 1)]).await, shop.guest_order(&[(&shirt, 1)], CPF).await);
    guest["locale"] = json!("en");
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&guest).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    shop.drain().await;
    assert_eq!(subjects(&shop, "ana@example.com"), [format!("We have your order {}", placed.body["number"].as_str().unwrap())]);
    shop.close().await;
}

#[actix_web::test]
async fn an_unpaid_pix_is_reminded_of_once_and_a_paid_one_not_at_all() {
    let shop = Shop::open().await;
    let (ana, bia, eva) = (shop.customer().await, shop.customer().await, shop.customer().await);
    let (waits, paid, without) = (order(&ana).await, order(&bia).await, order(&eva).await);
    charge(&ana, waits).await;
    pay(&bia, paid).await;
    shop.drain().await;
    let due: Vec<f64> = shop
        .sql("SELECT array_agg(extract(epoch FROM run_at - created_at)::float8) FROM jobs WHERE kind = 'mail_expiry_reminder'")
        .await;
    assert!(due.len() == 3 && due.iter().all(|s| (1195.0..1205.0).contains(s)), "two thirds of 30 minutes: {due:?}");
    hurry(&shop, "mail_expiry_reminder").await;
    push(&shop, Job::MailExpiryReminder { order: waits }).await;
    shop.drain().await;
    let reminders = |who: &Customer<'_>| subjects(&shop, &who.email).iter().filter(|s| s.contains("quase vencendo")).count();
    assert_eq!((reminders(&ana), reminders(&bia), reminders(&eva)), (1, 0, 0), "{without} has no charge to remind of");
    let text = shop.control().mails_to(&ana.email)[1].text.clone().unwrap();
    let code = shop.control().charge(&waits.to_string()).unwrap().copy_paste;
    assert!(text.contains(&code), "{text}");
    shop.close().await;
}

#[actix_web::test]
async fn an_arrival_is_told_once() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let order = order(&ana).await;
    pay(&ana, order).await;
    push(&shop, Job::MailOrderDelivered { order }).await; // it was not delivered: no mail
    shop.drain().await;
    assert_eq!(subjects(&shop, &ana.email).len(), 2);
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(admin.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
    let arrived = admin.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
    assert_eq!(arrived.status, 200, "{}", arrived.body);
    for _ in 0..2 {
        push(&shop, Job::MailOrderDelivered { order }).await;
        shop.drain().await;
    }
    let number: String = shop.sql("SELECT number FROM orders").await;
    let told = [format!("Seu pedido {number} está a caminho"), format!("Seu pedido {number} foi entregue")];
    assert_eq!(subjects(&shop, &ana.email)[2..], told);
    shop.close().await;
}

#[actix_web::test]
async fn the_invoice_is_mailed_once_with_links_that_open_its_files_and_nothing_else() {
    let (shop, ware) = crate::invoices::open("focusnfe").await;
    let (cart, mut order) = (shop.guest_cart(&[(&ware, 2)]).await, shop.guest_order(&[(&ware, 2)], CPF).await);
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    shop.pays(placed.body["id"].as_str().unwrap()).await;
    crate::invoices::goes_on(&shop).await;
    let number = placed.body["number"].as_str().unwrap();
    let mails = shop.control().mails_to("ana@example.com");
    let told: Vec<&Mail> = mails.iter().filter(|m| m.subject == format!("Nota fiscal do pedido {number}")).collect();
    assert_eq!(told.len(), 1, "{:?}", subjects(&shop, "ana@example.com"));
    let text = told[0].text.as_deref().unwrap();
    let chave: String = shop.sql("SELECT chave FROM invoices").await;
    assert!(text.replace(' ', "").contains(&chave), "{text}");
    let links: Vec<&str> = text.lines().filter(|line| line.starts_with("http") && line.contains("/invoice/")).collect();
    assert_eq!(links.len(), 2, "{text}");
    for link in links {
        let (path, token) = (link.split_once("/api").unwrap().1, link.split_once("token=").unwrap().1);
        assert_eq!(shop.get(&format!("/api{path}")).await.status, 200, "{link}");
        let kept: bool = shop.sql(&format!("SELECT bool_or(html || body LIKE '%{token}%') FROM messages")).await;
        assert!(!kept, "a copy of the table opens nobody's invoice");
        let order = shop.request("GET", &format!("/api/orders/{}", placed.body["id"].as_str().unwrap()));
        assert_eq!(order.header("X-Order-Token", token).send().await.status, 404, "it opens the invoice alone");
    }
    shop.close().await;
}

/// An earlier run wrote the message and could not send it.
#[actix_web::test]
async fn the_mail_of_an_invoice_that_was_cancelled_before_it_went_does_not_wait_for_ever() {
    let (shop, ware) = crate::invoices::open("focusnfe").await;
    let (cart, mut order) = (shop.guest_cart(&[(&ware, 2)]).await, shop.guest_order(&[(&ware, 2)], CPF).await);
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    let id = placed.body["id"].as_str().unwrap();
    shop.pays(id).await;
    shop.control().next_calls("resend", Fault::DropBeforeRequest, 1_000);
    crate::invoices::goes_on(&shop).await;
    assert_eq!(column(&shop, "invoice", "status").await.as_deref(), Some("queued"));
    let cancelled = shop.admin().await.patch(&format!("/api/orders/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    crate::invoices::goes_on(&shop).await;
    crate::invoices::goes_on(&shop).await; // the mail's own job looks again
    shop.control().clear_faults();
    crate::invoices::goes_on(&shop).await;
    assert_eq!(column(&shop, "invoice", "status").await.as_deref(), Some("failed"));
    let told = subjects(&shop, "ana@example.com");
    assert!(told.iter().any(|subject| subject.contains("cancelado")), "{told:?}");
    assert!(!told.iter().any(|subject| subject.starts_with("Nota fiscal")), "{told:?}");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn by_smtp_a_mail_arrives_whole_and_once_though_twenty_jobs_want_to_send_it() {
    let shop = Shop::open_with(&[("MAILER", "smtp")]).await;
    let ana = shop.customer().await;
    let order = order(&ana).await;
    shop.control().next("smtp", Fault::Delay(Duration::from_millis(300)));
    let twins = join_all((0..20).map(|_| mail::order_placed(&shop.app, order))).await;
    assert!(twins.iter().all(Result::is_ok), "{twins:?}");
    shop.drain_ahead(SOON).await;
    let mails = shop.control().mails_to(&ana.email);
    assert_eq!(mails.len(), 1);
    let Mail { provider, from, subject, html, text, tags, idempotency_key, .. } = mails[0].clone();
    let (id, number): (MessageId, String) =
        (shop.sql("SELECT id FROM messages").await, shop.sql("SELECT number FROM orders").await);
    assert_eq!((provider.as_str(), from.as_str()), ("smtp", "Loja <loja@loja.test>"));
    assert_eq!((subject, &tags[0].1), (format!("Recebemos seu pedido {number}"), &"order_placed".to_owned()));
    assert!(html.unwrap().contains("Recebemos seu pedido</h1>") && text.unwrap().contains("Falta só o pagamento."));
    assert_eq!(idempotency_key.unwrap(), format!("order_placed.{id}@loja.test"));
    assert_eq!(column(&shop, "order_placed", "status || ' ' || provider || ' ' || provider_ref").await.unwrap(), {
        format!("sent smtp order_placed.{id}@loja.test")
    });
    shop.close().await;
}

#[actix_web::test]
async fn a_mail_server_that_is_down_for_an_hour_gets_the_mail_once() {
    let shop = Shop::open_with(&[("MAILER", "smtp"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.control().next_calls("smtp", Fault::Status(503), 1000);
    shop.drain().await;
    for _ in 0..12 {
        hurry(&shop, "mail_order_placed").await;
    }
    assert_eq!(shop.control().calls("smtp"), 13);
    assert_eq!(column(&shop, "order_placed", "open_tries").await.unwrap(), "0", "none of them can have arrived");
    shop.control().clear_faults();
    hurry(&shop, "mail_order_placed").await;
    assert_eq!(subjects(&shop, &ana.email).len(), 1);
    assert_eq!(column(&shop, "order_placed", "status").await.unwrap(), "sent");
    shop.close().await;
}

#[actix_web::test]
async fn by_smtp_an_unclear_mail_is_sent_once_more_under_its_id_and_then_never() {
    let shop = Shop::open_with(&[("MAILER", "smtp"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    order(&ana).await;
    shop.control().next_calls("smtp", Fault::DropAfterRequest, 2);
    shop.drain().await;
    for _ in 0..4 {
        hurry(&shop, "mail_order_placed").await;
    }
    let mails = shop.control().mails_to(&ana.email);
    assert_eq!((mails.len(), &mails[0].idempotency_key), (2, &mails[1].idempotency_key), "two, and known as one");
    assert_eq!(column(&shop, "order_placed", "status").await.unwrap(), "failed");
    assert_eq!(shop.alerted().await, ["job-dead:mail_order_placed 1"]);
    let id: MessageId = shop.sql("SELECT id FROM messages WHERE kind = 'order_placed'").await;
    let retry = admin.post(&format!("/api/admin/messages/{id}/retry"), &json!({})).await;
    assert_eq!((retry.status, retry.slug()), (409, "conflict"));
    shop.close().await;
}

#[actix_web::test]
async fn an_address_that_the_server_refuses_fails_and_keeps_no_address_in_its_reason() {
    let shop = Shop::open_with(&[("MAILER", "smtp")]).await;
    shop.execute("INSERT INTO users (id, name, email) VALUES (gen_random_uuid(), 'Ana', 'bounced@example.com')").await;
    let user = shop.sql("SELECT id FROM users WHERE email = 'bounced@example.com'").await;
    push(&shop, Job::MailWelcome { user }).await;
    shop.drain().await;
    assert_eq!(column(&shop, "welcome", "status").await.unwrap(), "failed");
    let why = column(&shop, "welcome", "error").await.unwrap();
    assert_eq!(why, "550: RCPT: 5.1.1 <b***@example.com>: no such user");
    shop.close().await;
}

#[actix_web::test]
async fn an_admin_reads_a_message_and_sends_a_failed_one_after_all() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    order(&ana).await;
    shop.control().next("resend", Fault::Status(422));
    shop.drain().await;
    let failed = admin.get("/api/admin/messages?status=failed&channel=email").await;
    let id = failed.body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(admin.get("/api/admin/messages?channel=sms").await.body["total"], 0);
    assert_eq!(admin.get("/api/admin/messages?channel=fax").await.invalid_fields(), ["channel"]);
    let open = admin.get(&format!("/api/admin/messages/{id}")).await;
    assert_eq!((open.status, &open.body["status"], &open.body["kind"]), (200, &json!("failed"), &json!("order_placed")));
    assert!(open.body["text"].as_str().unwrap().contains("Camiseta") && open.body["html"].as_str().unwrap().contains("<h1"));
    assert_eq!(ana.get(&format!("/api/admin/messages/{id}")).await.slug(), "forbidden");
    let again = admin.post(&format!("/api/admin/messages/{id}/retry"), &json!({})).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("queued")), "{}", again.body);
    shop.drain().await;
    assert_eq!(subjects(&shop, &ana.email).len(), 1);
    let sent = admin.post(&format!("/api/admin/messages/{id}/retry"), &json!({})).await;
    assert_eq!((sent.status, sent.slug()), (409, "conflict"), "it was sent");
    let nobody = admin.post(&format!("/api/admin/messages/{}/retry", MessageId::new()), &json!({})).await;
    assert_eq!(nobody.status, 404);
    let story: Vec<String> =
        shop.sql("SELECT array_agg(to_state || ' ' || split_part(actor, ':', 1) ORDER BY id) FROM order_history WHERE subject = 'message'").await;
    assert_eq!(story, ["queued system", "failed system", "queued admin", "sent system"]);
    shop.close().await;
}

#[actix_web::test]
async fn the_words_of_old_messages_and_the_sessions_of_long_ago_go() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.drain().await;
    shop.execute("INSERT INTO sessions (id, user_id) SELECT gen_random_uuid(), id FROM users").await;
    shop.execute("UPDATE messages SET created_at = now() - interval '89 days'").await;
    shop.execute("UPDATE sessions SET created_at = now() - interval '89 days'").await;
    let seen = "SELECT (SELECT count(body) FROM messages) || ' ' || (SELECT count(*) FROM sessions)";
    purge::purge(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<String>(seen).await, "1 2");
    shop.execute("UPDATE messages SET created_at = now() - interval '91 days'").await;
    shop.execute("UPDATE sessions SET created_at = now() - interval '91 days'").await;
    shop.execute(
        "INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
         SELECT 'alive', id, now() + interval '1 day' FROM sessions ORDER BY id LIMIT 1",
    )
    .await;
    purge::purge(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<String>(seen).await, "0 1", "one session can still be refreshed");
    let kept: Value = shop.sql("SELECT to_jsonb(m) FROM messages m").await;
    assert_eq!((&kept["status"], &kept["html"], &kept["recipient"]), (&json!("sent"), &Value::Null, &json!(ana.email)));
    shop.execute("UPDATE sessions SET revoked_at = now() - interval '91 days', revoked_reason = 'logout'").await;
    purge::purge(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<String>(seen).await, "0 0");
    shop.close().await;
}

#[actix_web::test]
async fn low_stock_is_told_once_per_variant_and_only_where_something_was_sold() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (shirt, _unsold) = (shop.product("Camiseta").stock(4).create().await, shop.product("Boné").stock(1).create().await);
    let look = async || {
        push(&shop, Job::WatchStock).await;
        shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'watch_stock'").await;
        shop.drain().await;
        shop.alerted().await.len()
    };
    assert_eq!(ana.buy(&[(&shirt, 1)]).await.status, 201);
    assert_eq!(look().await, 0, "nobody asked to be told");
    let set = admin.put("/api/admin/settings/stock", &json!({"alert_below": 2})).await;
    assert_eq!((set.status, set.body), (200, json!({"alert_below": 2})));
    assert_eq!(admin.get("/api/admin/settings").await.body["stock"]["alert_below"], 2);
    assert_eq!(admin.put("/api/admin/settings/stock", &json!({"alert_below": -1})).await.status, 422);
    assert_eq!(look().await, 0, "three are left");
    assert_eq!(ana.buy(&[(&shirt, 1)]).await.status, 201);
    assert_eq!(look().await, 1);
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.contains("Camiseta") && text.contains("restam 2") && !text.contains("Boné"), "{text}");
    assert_eq!(ana.buy(&[(&shirt, 1)]).await.status, 201);
    assert_eq!(look().await, 1, "told once, not at each sale");
    let path = format!("/api/products/{}/stock", shirt.id);
    let filled = admin.patch(&path, &json!({"variant_id": shirt.variant_id, "stock": 5})).await;
    assert_eq!(filled.status, 200, "{}", filled.body);
    assert_eq!(look().await, 1);
    assert_eq!(ana.buy(&[(&shirt, 4)]).await.status, 201);
    assert_eq!(look().await, 2, "filled up and sold down again");
    shop.close().await;
}
