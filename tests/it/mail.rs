//! Mail: one message per event, after crashes, repeats and bounces.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vitrine::alerts::{self, Alert, Key};
use vitrine::ids::{OrderId, PaymentId, UserId};
use vitrine::jobs::{self, Job};
use vitrine::mail;
use vitrine_kit::signature::hmac_sha256;
use vitrine_sandbox::{Fault, Pay};

use crate::shop::{Answer, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than the first waits between tries, and shorter than an order's time to pay.
const SOON: SignedDuration = SignedDuration::from_mins(2);
const OPERATOR: &str = "operador@loja.test";
/// One `send` of the client: it tries three times at a server that fails.
const ONE_SEND: u32 = 3;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An order that waits for money, and its mail that waits to be sent.
async fn order(customer: &Customer<'_>) -> OrderId {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    id(&placed)
}

/// The same, paid, with all mails sent.
async fn paid_order(customer: &Customer<'_>) -> OrderId {
    let order = order(customer).await;
    let charge = customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    assert_eq!(charge.status, 200, "{}", charge.body);
    customer.shop.control().pay(Pay::of(order)).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
    customer.shop.drain().await;
    order
}

fn id(placed: &Answer) -> OrderId {
    placed.body["id"].as_str().unwrap().parse().unwrap()
}

async fn again(shop: &Shop, job: Job) {
    jobs::push(&shop.app.db().await.unwrap(), job).await.unwrap();
    shop.drain().await;
}

/// The mails to an address, oldest first.
fn subjects(shop: &Shop, to: &str) -> Vec<String> {
    shop.control().mails_to(to).into_iter().map(|mail| mail.subject).collect()
}

/// A column of the only message of a kind.
async fn message(shop: &Shop, kind: &str, column: &str) -> Option<String> {
    shop.sql(&format!("SELECT ({column})::text FROM messages WHERE kind = '{kind}'")).await
}

/// The message rows of the order's history.
async fn story(shop: &Shop) -> Vec<String> {
    shop.sql("SELECT coalesce(array_agg(to_state ORDER BY id), '{}') FROM order_history WHERE subject = 'message'").await
}

/// A link of a mail's text.
fn link<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {text}"))
}

/// An event as Resend signs it.
async fn event(shop: &Shop, event_id: &str, body: &Value) -> Answer {
    signed(shop, event_id, body, SECRET).await
}

async fn signed(shop: &Shop, event_id: &str, body: &Value, secret: &str) -> Answer {
    let (key, at, body) = (STANDARD.decode(&secret[6..]).unwrap(), Timestamp::now().as_second(), body.to_string());
    let mac = hmac_sha256(&key, format!("{event_id}.{at}.{body}").as_bytes());
    let request =
        shop.request("POST", "/api/webhooks/resend").header("svix-id", event_id).header("svix-timestamp", &at.to_string());
    request.header("svix-signature", &format!("v1,{}", STANDARD.encode(mac))).body("application/json", body).send().await
}

fn news(kind: &str, mail: &str, to: &str) -> Value {
    json!({"type": kind, "created_at": "2025-11-21T15:00:00.000Z", "data": {"email_id": mail, "to": [to], "subject": "…",
        "bounce": {"type": "Permanent", "subType": "General", "message": format!("550 5.1.1 <{to}> unknown")}}})
}

#[actix_web::test]
async fn a_guest_is_told_of_the_order_with_a_link_that_opens_it_and_the_table_holds_no_token() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta <b>Tucano</b>").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 2)]).await;
    shop.drain().await;
    let mails = shop.control().mails_to("ana@example.com");
    let number = placed.body["number"].as_str().unwrap();
    assert_eq!(subjects(&shop, "ana@example.com"), [format!("Recebemos seu pedido {number}")]);
    let (text, html) = (mails[0].text.as_deref().unwrap(), mails[0].html.as_deref().unwrap());
    let url = link(text, "http").to_owned();
    let (page, token) = url.split_once("?token=").unwrap();
    assert_eq!(page, format!("{}/pedidos/{number}", shop.url.replace("127.0.0.1", "localhost")));
    let order = format!("/api/orders/{}", placed.body["id"].as_str().unwrap());
    assert_eq!(shop.request("GET", &order).header("X-Order-Token", token).send().await.status, 200);
    assert!(html.contains(&format!("href=\"{url}\"")), "{html}");
    assert!(text.contains("2 × Camiseta <b>Tucano</b>: R$ 100,00"), "{text}");
    assert!(html.contains("Camiseta &lt;b&gt;Tucano&lt;/b&gt;") && !html.contains("<b>Tucano"), "{html}");
    assert_eq!((mails[0].from.as_str(), &mails[0].tags[0].1), ("Loja <loja@loja.test>", &"order_placed".to_owned()));
    assert_eq!(story(&shop).await, ["queued", "sent"]);
    let kept: String = shop.sql("SELECT html || body FROM messages").await;
    assert!(!kept.contains(token), "a copy of the table opens nobody's order");
    shop.close().await;
}

#[actix_web::test]
async fn a_paid_order_is_confirmed_once_though_its_job_runs_again_and_twice_at_once() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let order = order(&ana).await;
    ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    shop.control().pay(Pay::of(order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(shop.execute("DELETE FROM jobs WHERE kind = 'mail_order_paid'").await, 1, "two take it at once instead");
    shop.drain().await;
    let (one, other) = tokio::join!(mail::order_paid(&shop.app, order), mail::order_paid(&shop.app, order));
    assert_eq!((one.is_ok(), other.is_ok()), (true, true), "{one:?} {other:?}");
    let number: String = shop.sql("SELECT number FROM orders").await;
    let told = [format!("Recebemos seu pedido {number}"), format!("Pagamento confirmado – pedido {number}")];
    assert_eq!(subjects(&shop, &ana.email), told);
    again(&shop, Job::MailOrderPaid { order }).await;
    assert_eq!(subjects(&shop, &ana.email), told);
    assert_eq!(story(&shop).await, ["queued", "sent", "queued", "sent"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_was_down_gets_the_mail_once_when_it_is_back() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.control().next_calls("resend", Fault::Status(503), ONE_SEND);
    shop.drain().await;
    assert_eq!(shop.control().calls("resend"), u64::from(ONE_SEND));
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "queued");
    assert_eq!(message(&shop, "order_placed", "tried_at").await, None, "certainly not sent: the key's day has not begun");
    assert_eq!(message(&shop, "order_placed", "error").await.unwrap(), "resend is unavailable: answered 503");
    shop.drain_ahead(SOON).await;
    let mails = shop.control().mails_to(&ana.email);
    assert_eq!(mails.len(), 1);
    let key = message(&shop, "order_placed", "kind || '/' || id").await;
    assert_eq!(mails[0].idempotency_key, key);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "sent");
    assert_eq!(message(&shop, "order_placed", "provider_ref").await.unwrap(), mails[0].id);
    assert_eq!(message(&shop, "order_placed", "error").await, None);
    shop.close().await;
}

#[actix_web::test]
async fn a_mail_whose_answer_was_lost_is_repeated_word_for_word_and_arrives_once() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_SEND);
    shop.drain().await;
    assert_eq!(
        (message(&shop, "order_placed", "status").await.unwrap().as_str(), subjects(&shop, &ana.email).len()),
        ("queued", 1)
    );
    assert!(message(&shop, "order_placed", "tried_at").await.is_some(), "it may have been sent");
    // The order changes, the text does not: with another text the sandbox refuses the key.
    shop.execute("UPDATE orders SET customer_name = 'Beatriz', carrier = 'Outra'").await;
    shop.drain_ahead(SOON).await;
    let mails = shop.control().mails_to(&ana.email);
    assert_eq!(mails.len(), 1);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "sent");
    assert_eq!(message(&shop, "order_placed", "provider_ref").await.unwrap(), mails[0].id);
    assert_eq!(story(&shop).await, ["queued", "sent"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_mail_that_may_have_been_sent_yesterday_is_not_sent_again() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_SEND);
    shop.drain().await;
    shop.execute("UPDATE messages SET tried_at = now() - interval '24 hours'").await;
    let calls = shop.control().calls("resend");
    shop.drain_ahead(SOON).await;
    assert_eq!((shop.control().calls("resend"), subjects(&shop, &ana.email).len()), (calls, 1));
    assert_eq!(shop.alerted().await, ["job-dead:mail_order_placed 1"]);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "failed");
    assert_eq!(story(&shop).await, ["queued", "failed"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_refused_mail_fails_the_operator_hears_and_an_admin_sends_it_after_all() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    order(&ana).await;
    shop.control().next("resend", Fault::Status(422));
    shop.drain().await;
    assert_eq!(subjects(&shop, &ana.email), Vec::<String>::new());
    assert_eq!(
        message(&shop, "order_placed", "error").await.unwrap(),
        "missing_required_field: ordered by the sandbox's control"
    );
    assert_eq!(shop.alerted().await, ["job-dead:mail_order_placed 1"]);
    shop.mail_alerts().await;
    let number: String = shop.sql("SELECT number FROM orders").await;
    assert_eq!(subjects(&shop, OPERATOR), [format!("[Loja] Tarefa parada: mail_order_placed – pedido {number}")]);
    let dead: uuid::Uuid = shop.sql("SELECT id FROM jobs WHERE state = 'dead'").await;
    assert_eq!(admin.post(&format!("/api/admin/jobs/{dead}/retry"), &json!({})).await.status, 200);
    shop.drain().await;
    assert_eq!(subjects(&shop, &ana.email).len(), 1);
    assert_eq!(story(&shop).await, ["queued", "failed", "sent"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_parcel_is_told_once_and_a_corrected_tracking_number_again() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let order = paid_order(&ana).await;
    let path = format!("/api/orders/{order}/tracking");
    for (code, told) in [("AA123456785BR", 3), ("AA123456785BR", 3), ("AA987654326BR", 4)] {
        let answer = admin.patch(&path, &json!({"tracking_number": code, "carrier": "Correios"})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        again(&shop, Job::MailOrderShipped { order }).await;
        let mails = shop.control().mails_to(&ana.email);
        assert_eq!(mails.len(), told, "{code}");
        let text = mails[told - 1].text.clone().unwrap();
        assert!(text.contains(&format!("Transportadora: Correios\nCódigo de rastreio: {code}\n")), "{text}");
        assert!(link(&text, "http").contains("/tracking/"), "{text}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_cancelled_order_and_its_refund_are_told_and_a_revived_one_is_not() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let order = paid_order(&ana).await;
    again(&shop, Job::MailOrderCancelled { order }).await; // the order is not cancelled: no mail
    assert_eq!(subjects(&shop, &ana.email).len(), 2);
    assert_eq!(ana.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    shop.drain_ahead(SOON).await;
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SOON).await;
    let number: String = shop.sql("SELECT number FROM orders").await;
    let total: i64 = shop.sql("SELECT total_cents FROM orders").await;
    let refunded = format!("Reembolso de {} – pedido {number}", vitrine_kit::Money::from_cents(total));
    let told = subjects(&shop, &ana.email);
    assert_eq!(told[2..], [format!("Seu pedido {number} foi cancelado"), refunded]);
    let text = shop.control().mails_to(&ana.email)[2].text.clone().unwrap();
    assert!(text.contains("Vamos devolver o que você pagou"), "{text}");
    shop.close().await;
}

/// An earlier run of the job may have sent the mail and died before it recorded that; then the order was paid after all.
#[actix_web::test]
async fn a_mail_that_was_overtaken_does_not_wait_for_ever_nor_is_it_sent_again() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let order = order(&ana).await;
    ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    shop.drain().await;
    shop.control().expire(&order.to_string()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.execute("UPDATE orders SET expires_at = now()").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order'").await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_SEND);
    shop.drain().await;
    assert_eq!(message(&shop, "order_cancelled", "status").await.as_deref(), Some("queued"));
    shop.control().pay(Pay::of(order).force()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SOON).await;
    assert_eq!(shop.sql::<String>("SELECT payment_status FROM orders").await, "paid");
    assert_eq!(message(&shop, "order_cancelled", "status").await.as_deref(), Some("failed"));
    let cancelled = subjects(&shop, &ana.email).iter().filter(|subject| subject.contains("cancelado")).count();
    assert_eq!(cancelled, 1, "what they took before is not told again");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await; // the audit checks its history
}

#[actix_web::test]
async fn a_refund_that_came_back_before_its_mail_went_out_is_not_told() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let order = order(&ana).await;
    ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "credit_card"})).await;
    shop.control().pay(Pay::of(order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    let body = json!({"amount_cents": 700, "reason": "Avaria"});
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &body).await.status, 201);
    shop.control().next_calls("resend", Fault::DropBeforeRequest, 1_000);
    for _ in 0..2 {
        shop.drain().await;
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(message(&shop, "refunded", "status").await.as_deref(), Some("queued"));
    let theirs = shop.control().refunds()[0].refund_id.clone();
    shop.control().bounce_refund(&theirs).unwrap();
    shop.control().clear_faults();
    for _ in 0..2 {
        assert!(shop.control().settled(LIMIT).await);
        shop.drain_ahead(SOON).await;
    }
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "failed");
    assert_eq!(message(&shop, "refunded", "status").await.as_deref(), Some("failed"));
    assert!(!subjects(&shop, &ana.email).iter().any(|subject| subject.starts_with("Reembolso")));
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_reset_link_is_mailed_works_and_is_forgotten() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    assert_eq!(shop.post("/api/auth/forgot-password", &json!({"email": ana.email})).await.status, 202);
    shop.drain().await;
    let mails = shop.control().mails_to(&ana.email);
    assert_eq!((mails.len(), mails[0].subject.as_str()), (1, "Redefina sua senha – Loja"));
    let text = mails[0].text.clone().unwrap();
    let (page, token) = link(&text, "http").split_once("?token=").unwrap();
    assert_eq!(page, format!("{}/redefinir-senha", shop.url.replace("127.0.0.1", "localhost")));
    assert_eq!(message(&shop, "password_reset", "coalesce(html, body)").await, None, "nothing of it is kept");
    let new = json!({"token": token, "password": "uma senha bem nova"});
    assert_eq!(shop.post("/api/auth/reset-password", &new).await.status, 204);
    let reset = shop.sql("SELECT id FROM password_resets").await;
    shop.execute("DELETE FROM messages").await;
    again(&shop, Job::MailPasswordReset { reset }).await;
    let told = ["Redefina sua senha – Loja", "Sua senha foi alterada – Loja"];
    assert_eq!(subjects(&shop, &ana.email), told, "a used link is not mailed");
    shop.close().await;
}

#[actix_web::test]
async fn what_resend_tells_is_taken_once_and_kept_without_the_person() {
    let shop = Shop::open_with(&[("RESEND_WEBHOOK_SECRET", SECRET)]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.drain().await;
    let mail = message(&shop, "order_placed", "provider_ref").await.unwrap();
    for _ in 0..2 {
        assert_eq!(event(&shop, "msg_1", &news("email.delivered", &mail, &ana.email)).await.status, 200);
    }
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "delivered");
    assert_eq!(event(&shop, "msg_2", &news("email.delivered", &mail, &ana.email)).await.status, 200);
    assert_eq!(event(&shop, "msg_3", &news("email.delivered", "another", &ana.email)).await.status, 200);
    assert_eq!(story(&shop).await, ["queued", "sent", "delivered"]);
    let outcomes: Vec<String> = shop.sql("SELECT array_agg(outcome ORDER BY event_id) FROM webhook_events").await;
    assert_eq!(outcomes, ["applied", "already done", "unknown"]);
    let kept: Vec<Vec<u8>> = shop.sql("SELECT array_agg(body) FROM webhook_events").await;
    assert!(kept.iter().all(|body| !String::from_utf8_lossy(body).contains(&ana.email)));
    let (admin, event) =
        (shop.admin().await, shop.sql::<uuid::Uuid>("SELECT id FROM webhook_events WHERE event_id = 'msg_1'").await);
    let replayed = admin.post(&format!("/api/admin/webhooks/{event}/replay"), &json!({})).await;
    assert_eq!((replayed.status, &replayed.body["outcome"]), (200, &json!("already done")), "{}", replayed.body);
    shop.close().await;
}

#[actix_web::test]
async fn an_address_that_bounced_gets_nothing_more_but_a_password_reset() {
    let shop = Shop::open_with(&[("RESEND_WEBHOOK_SECRET", SECRET)]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.drain().await;
    let mail = message(&shop, "order_placed", "provider_ref").await.unwrap();
    let mut full = news("email.bounced", &mail, &ana.email);
    full["data"]["bounce"]["type"] = json!("Transient");
    assert_eq!(event(&shop, "msg_1", &full).await.status, 200);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "sent", "a full mailbox is no bounce");
    assert_eq!(event(&shop, "msg_2", &news("email.bounced", &mail, &ana.email)).await.status, 200);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "bounced");
    let error = message(&shop, "order_placed", "error").await.unwrap();
    assert_eq!(error, "550 5.1.1 <p***@example.com> unknown");
    assert!(shop.sql::<bool>(&format!("SELECT mail_blocked_at IS NOT NULL FROM users WHERE id = '{}'", ana.id)).await);
    paid_order_of(&ana).await;
    assert_eq!(subjects(&shop, &ana.email).len(), 1, "only the one that bounced");
    let why = message(&shop, "order_paid", "status || ': ' || error").await.unwrap();
    assert_eq!(why, "failed: the address bounced or complained before");
    assert_eq!(shop.post("/api/auth/forgot-password", &json!({"email": ana.email})).await.status, 202);
    shop.drain().await;
    assert_eq!(subjects(&shop, &ana.email)[1..], ["Redefina sua senha – Loja"]);
    assert_eq!(shop.alerted().await, Vec::<String>::new(), "nothing of this needs a person");
    shop.close().await;
}

/// Pays the only order there is.
async fn paid_order_of(customer: &Customer<'_>) {
    let order: OrderId = customer.shop.sql("SELECT id FROM orders").await;
    let charge = customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    assert_eq!(charge.status, 200, "{}", charge.body);
    customer.shop.control().pay(Pay::of(order)).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
    customer.shop.drain().await;
}

#[actix_web::test]
async fn a_complaint_after_the_delivery_blocks_too() {
    let shop = Shop::open_with(&[("RESEND_WEBHOOK_SECRET", SECRET)]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.drain().await;
    let mail = message(&shop, "order_placed", "provider_ref").await.unwrap();
    for (id, kind) in [("msg_1", "email.delivered"), ("msg_2", "email.complained"), ("msg_3", "email.delivered")] {
        assert_eq!(event(&shop, id, &news(kind, &mail, &ana.email)).await.status, 200);
    }
    assert_eq!(story(&shop).await, ["queued", "sent", "delivered", "bounced"]);
    assert!(shop.sql::<bool>(&format!("SELECT mail_blocked_at IS NOT NULL FROM users WHERE id = '{}'", ana.id)).await);
    shop.close().await;
}

#[actix_web::test]
async fn news_that_overtake_our_own_note_of_the_mail_must_come_again() {
    let shop = Shop::open_with(&[("RESEND_WEBHOOK_SECRET", SECRET)]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_SEND);
    shop.drain().await;
    let mail = shop.control().mails_to(&ana.email)[0].id.clone();
    let early = event(&shop, "msg_1", &news("email.delivered", &mail, &ana.email)).await;
    assert_eq!((early.status, early.slug()), (503, "unavailable"));
    shop.drain_ahead(SOON).await;
    assert_eq!(event(&shop, "msg_1", &news("email.delivered", &mail, &ana.email)).await.status, 200);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "delivered");
    shop.close().await;
}

#[actix_web::test]
async fn a_forged_event_changes_nothing_and_without_a_secret_there_is_no_door() {
    let shop = Shop::open_with(&[("RESEND_WEBHOOK_SECRET", SECRET)]).await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.drain().await;
    let mail = message(&shop, "order_placed", "provider_ref").await.unwrap();
    let (before, bounced) = (shop.row_counts().await, news("email.bounced", &mail, &ana.email));
    let forged = signed(&shop, "msg_1", &bounced, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!((forged.status, forged.slug()), (401, "bad-signature"));
    assert_eq!(shop.post("/api/webhooks/resend", &bounced).await.slug(), "bad-signature");
    assert_eq!(shop.row_counts().await, before);
    assert_eq!(message(&shop, "order_placed", "status").await.unwrap(), "sent");
    assert!(shop.sql::<bool>(&format!("SELECT mail_blocked_at IS NULL FROM users WHERE id = '{}'", ana.id)).await);
    shop.close().await;
    let shop = Shop::open().await;
    assert_eq!(event(&shop, "msg_1", &bounced).await.slug(), "not-found");
    shop.close().await;
}

#[actix_web::test]
async fn who_was_erased_is_written_to_no_more() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    order(&ana).await;
    shop.execute("UPDATE orders SET customer_email = NULL").await;
    shop.drain().await;
    assert_eq!((subjects(&shop, &ana.email).len(), shop.control().calls("resend")), (0, 0));
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn an_admin_sees_the_messages_and_no_address() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let order = paid_order(&ana).await;
    let key = Key::ProviderRefusesUs { provider: "x\r\nBcc: x@y.zz" };
    alerts::raise(&shop.app.db().await.unwrap(), Alert::new(key, "Olhe isto.")).await.unwrap();
    shop.mail_alerts().await;
    assert_eq!(subjects(&shop, OPERATOR), ["[Loja] x Bcc: x@y.zz não aceita as credenciais da loja"]);
    assert_eq!(ana.get("/api/admin/messages").await.slug(), "forbidden");
    let all = admin.get("/api/admin/messages?limit=2").await;
    assert_eq!((all.status, &all.body["total"], all.body["items"].as_array().unwrap().len()), (200, &json!(3), 2));
    let cursor = all.body["next_cursor"].as_str().unwrap();
    let rest = admin.get(&format!("/api/admin/messages?limit=2&cursor={cursor}")).await;
    assert_eq!((&rest.body["items"][0]["kind"], &rest.body["next_cursor"]), (&json!("order_placed"), &Value::Null));
    let kinds =
        |answer: &Answer| -> Vec<Value> { answer.body["items"].as_array().unwrap().iter().map(|m| m["kind"].clone()).collect() };
    let of_order = admin.get(&format!("/api/admin/messages?order_id={order}&status=sent")).await;
    assert_eq!(kinds(&of_order), ["order_paid", "order_placed"]);
    assert_eq!(of_order.body["items"][0]["recipient"], "p***@example.com");
    assert!(!of_order.body.to_string().contains(&ana.email));
    assert_eq!(kinds(&admin.get("/api/admin/messages?status=failed").await), Vec::<Value>::new());
    assert_eq!(admin.get("/api/admin/messages?status=lost").await.invalid_fields(), ["status"]);
    shop.close().await;
}

#[actix_web::test]
async fn money_never_queues_behind_mails() {
    let shop = Shop::open().await;
    let mails: Vec<_> = (0..20).map(|_| (Job::MailWelcome { user: UserId::new() }, None)).collect();
    let db = shop.app.db().await.unwrap();
    jobs::push_all(&db, &mails).await.unwrap();
    jobs::push(&db, Job::CheckPayment { payment: PaymentId::new() }).await.unwrap();
    drop(db);
    shop.drain().await;
    let earlier: i64 = shop
        .sql("SELECT count(*) FROM jobs m, jobs c WHERE m.kind = 'mail_welcome' AND c.kind = 'check_payment' AND m.finished_at < c.finished_at")
        .await;
    assert_eq!(earlier, 0, "it came last, and went first");
    shop.close().await;
}
