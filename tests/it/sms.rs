//! SMS: to buyers who opted in, once, and never again after an unclear answer.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::ids::{EventId, MessageId, OrderId};
use vitrine::jobs::{self, Job};
use vitrine::mail;
use vitrine_sandbox::{Fault, Pay, SendWebhook};

use crate::shop::{Answer, CPF, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
const SOON: SignedDuration = SignedDuration::from_mins(2);
const PHONE: &str = "+5511999990001";
const TOKEN: &str = "dev-africastalking-webhook-secret";

async fn shop() -> Shop {
    Shop::open_with(&[("SMS_PROVIDER", "africastalking"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await
}

/// A customer with that phone, opted in or not.
async fn customer<'a>(shop: &'a Shop, phone: &str, wants_texts: bool) -> Customer<'a> {
    let customer = shop.customer().await;
    let answer = customer.patch("/api/users/me", &json!({"phone": phone, "sms_opt_in": wants_texts})).await;
    assert_eq!((answer.status, &answer.body["sms_opt_in"]), (200, &json!(wants_texts)), "{}", answer.body);
    customer
}

/// An order that is paid, before any job ran.
async fn paid(customer: &Customer<'_>) -> OrderId {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order: OrderId = placed.body["id"].as_str().unwrap().parse().unwrap();
    pay(customer.shop, customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await, order).await;
    order
}

async fn pay(shop: &Shop, charge: Answer, order: OrderId) {
    assert_eq!(charge.status, 200, "{}", charge.body);
    shop.control().pay(Pay::of(order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
}

fn texts(shop: &Shop, phone: &str) -> Vec<String> {
    shop.control().sms_to(phone).into_iter().map(|sms| sms.text).collect()
}

/// Runs jobs and delivers reports.
async fn settle(shop: &Shop) {
    shop.drain().await;
    assert!(shop.control().settled(LIMIT).await);
}

async fn status(shop: &Shop) -> String {
    shop.sql("SELECT coalesce(string_agg(status || coalesce(': ' || error, ''), ', ' ORDER BY id), '') FROM messages WHERE channel = 'sms'").await
}

async fn report(shop: &Shop, query: &str, body: &str) -> Answer {
    let request = shop.request("POST", &format!("/api/webhooks/africastalking{query}"));
    request.body("application/x-www-form-urlencoded", body.to_owned()).send().await
}

#[actix_web::test]
async fn who_wants_texts_gets_one_for_the_payment_and_one_for_the_parcel() {
    let shop = shop().await;
    let (ana, admin) = (customer(&shop, PHONE, true).await, shop.admin().await);
    let order = paid(&ana).await;
    settle(&shop).await;
    let number: String = shop.sql("SELECT number FROM orders").await;
    let url = format!("{}/tracking/{number}", shop.url.replace("127.0.0.1", "localhost"));
    assert_eq!(texts(&shop, PHONE), [format!("Loja: pagamento do pedido {number} confirmado. Acompanhe: {url}")]);
    assert_eq!(status(&shop).await, "delivered");
    for _ in 0..2 {
        let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
        assert_eq!(admin.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
        jobs::push(&shop.app.db().await.unwrap(), Job::SmsOrderShipped { order }).await.unwrap();
        jobs::push(&shop.app.db().await.unwrap(), Job::SmsOrderPaid { order }).await.unwrap();
        settle(&shop).await;
    }
    let sent = shop.control().sms_to(PHONE);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].text, format!("Loja: pedido {number} enviado por Correios, rastreio AA123456785BR. Acompanhe: {url}"));
    assert!(sent.iter().all(|sms| sms.parts == 1));
    let story: Vec<String> = shop
        .sql("SELECT array_agg(h.to_state ORDER BY h.id) FROM order_history h JOIN messages m ON m.id = h.subject_id WHERE m.channel = 'sms' AND m.kind = 'order_paid'")
        .await;
    assert_eq!(story, ["queued", "sent", "delivered"]);
    let listed = admin.get("/api/admin/messages?channel=sms").await;
    assert_eq!((&listed.body["total"], &listed.body["items"][0]["recipient"]), (&json!(2), &json!("+5511*****0001")));
    shop.close().await;
}

#[actix_web::test]
async fn who_does_not_want_texts_or_has_no_mobile_gets_none() {
    let shop = shop().await;
    for (phone, wants) in [(PHONE, false), ("+552133334444", true)] {
        paid(&customer(&shop, phone, wants).await).await;
    }
    let (ana, admin) = (customer(&shop, "+5511999990002", true).await, shop.admin().await);
    let order = paid(&ana).await;
    settle(&shop).await;
    assert_eq!(ana.patch("/api/users/me", &json!({"sms_opt_in": false})).await.status, 200);
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(admin.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
    settle(&shop).await;
    let all: Vec<String> = shop.control().sms().into_iter().map(|sms| sms.to).collect();
    assert_eq!(all, ["+5511999990002"], "one, from before the word was taken back");
    shop.close().await;
    let shop = Shop::open().await; // SMS_PROVIDER=none
    paid(&customer(&shop, PHONE, true).await).await;
    settle(&shop).await;
    assert_eq!((shop.control().sms().len(), status(&shop).await.as_str()), (0, ""));
    assert_eq!(report(&shop, &format!("?token={TOKEN}"), "id=1&status=Success").await.slug(), "not-found");
    shop.close().await;
}

#[actix_web::test]
async fn a_guest_says_so_with_the_order_and_in_which_language() {
    let shop = shop().await;
    let shirt = shop.product("Camiseta").create().await;
    let (cart, mut order) = (shop.guest_cart(&[(&shirt, 1)]).await, shop.guest_order(&[(&shirt, 1)], CPF).await);
    (order["phone"], order["sms_opt_in"], order["locale"]) = (json!(PHONE), json!(true), json!("en"));
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let (order, token) = (placed.body["id"].as_str().unwrap(), placed.body["access_token"].as_str().unwrap());
    let request = shop.request("POST", &format!("/api/orders/{order}/pay")).header("X-Order-Token", token);
    pay(&shop, request.json(&json!({"method": "pix"})).send().await, order.parse().unwrap()).await;
    settle(&shop).await;
    let number = placed.body["number"].as_str().unwrap();
    assert!(texts(&shop, PHONE)[0].starts_with(&format!("Loja: payment of order {number} confirmed. Follow it: http")));
    shop.close().await;
}

#[actix_web::test]
async fn an_unclear_text_is_never_sent_again() {
    for fault in [Fault::DropAfterRequest, Fault::Garbage, Fault::StatusAfterRequest(500), Fault::Status(502)] {
        let shop = shop().await;
        let (ana, admin) = (customer(&shop, PHONE, true).await, shop.admin().await);
        let order = paid(&ana).await;
        shop.control().next("africastalking", fault);
        settle(&shop).await;
        let (calls, sent) = (shop.control().calls("africastalking"), texts(&shop, PHONE).len());
        jobs::push(&shop.app.db().await.unwrap(), Job::SmsOrderPaid { order }).await.unwrap();
        shop.drain_ahead(SOON).await;
        let id: MessageId = shop.sql("SELECT id FROM messages WHERE channel = 'sms'").await;
        let retry = admin.post(&format!("/api/admin/messages/{id}/retry"), &json!({})).await;
        assert_eq!((retry.status, retry.slug()), (409, "conflict"), "{}", retry.body);
        shop.drain_ahead(SOON).await;
        assert_eq!((calls, shop.control().calls("africastalking")), (1, 1), "{fault:?}");
        assert_eq!(texts(&shop, PHONE).len(), sent);
        let why = "failed: there was no clear answer: it may have arrived, and a text is never sent twice";
        assert_eq!(status(&shop).await, why);
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_text_that_was_certainly_not_sent_is_sent_once_and_twenty_twins_send_one() {
    let shop = shop().await;
    let ana = customer(&shop, PHONE, true).await;
    let order = paid(&ana).await;
    shop.control().next("africastalking", Fault::Status(429));
    settle(&shop).await;
    assert_eq!((texts(&shop, PHONE).len(), status(&shop).await.as_str()), (0, "queued: africastalking is unavailable: 429"));
    shop.control().next("africastalking", Fault::Delay(Duration::from_millis(200)));
    let twins = join_all((0..20).map(|_| mail::sms::order_paid(&shop.app, order))).await;
    assert!(twins.iter().all(Result::is_ok), "{twins:?}");
    shop.drain_ahead(SOON).await;
    settle(&shop).await;
    assert_eq!((texts(&shop, PHONE).len(), status(&shop).await.as_str()), (1, "delivered"));
    shop.close().await;
}

/// The worker died between the answer and recording it.
#[actix_web::test]
async fn a_text_whose_sender_died_is_not_sent_again() {
    let shop = shop().await;
    let ana = customer(&shop, PHONE, true).await;
    let order = paid(&ana).await;
    settle(&shop).await;
    shop.execute("UPDATE messages SET provider_ref = NULL, status = 'queued', claimed_at = now() - interval '3 minutes' WHERE channel = 'sms'").await;
    // A sender that died wrote no step.
    const UNTOLD: &str = "
        ALTER TABLE order_history DISABLE TRIGGER USER;
        DELETE FROM order_history WHERE from_state IS NOT NULL AND subject_id IN (SELECT id FROM messages WHERE channel = 'sms');
        ALTER TABLE order_history ENABLE TRIGGER USER";
    shop.app.db().await.unwrap().batch_execute(UNTOLD).await.unwrap();
    // Two more runs died before they saw that there had been a try.
    shop.execute("UPDATE messages SET open_tries = 3 WHERE channel = 'sms'").await;
    assert_eq!(vitrine::audit::violations(&shop.app.db().await.unwrap()).await.unwrap().len(), 1, "only that no job sends it");
    jobs::push(&shop.app.db().await.unwrap(), Job::SmsOrderPaid { order }).await.unwrap();
    settle(&shop).await;
    assert_eq!(texts(&shop, PHONE).len(), 1);
    assert!(status(&shop).await.starts_with("failed: there was no clear answer"));
    assert_eq!(shop.sql::<i16>("SELECT open_tries FROM messages WHERE channel = 'sms'").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_number_that_cannot_be_reached_fails_quietly_and_one_that_said_no_is_asked_no_more() {
    let shop = shop().await;
    let (ana, bia) = (customer(&shop, "+5511999990403", true).await, customer(&shop, "+5511999990406", true).await);
    paid(&ana).await;
    paid(&bia).await;
    settle(&shop).await;
    assert_eq!(status(&shop).await, "failed: 403: InvalidPhoneNumber, failed: 406: UserInBlacklist");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0, "nothing that a person could mend");
    let wants = async |who: &Customer<'_>| who.get("/api/users/me").await.body["sms_opt_in"].clone();
    assert_eq!((wants(&ana).await, wants(&bia).await), (Value::Bool(true), Value::Bool(false)));
    let eva = customer(&shop, "+5511999990402", true).await;
    paid(&eva).await;
    settle(&shop).await;
    assert_eq!(
        shop.sql::<String>("SELECT kind FROM jobs WHERE state = 'dead'").await,
        "sms_order_paid",
        "our account: the operator hears"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_status_of_http_says_nothing_of_the_buyer_and_is_told_to_the_operator() {
    for code in [400, 404, 406] {
        let shop = shop().await;
        let ana = customer(&shop, PHONE, true).await;
        paid(&ana).await;
        shop.control().next("africastalking", Fault::Status(code));
        settle(&shop).await;
        assert_eq!(status(&shop).await, format!("failed: http {code}"));
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 1);
        assert_eq!(ana.get("/api/users/me").await.body["sms_opt_in"], json!(true), "{code}");
        shop.close().await;
    }
    let shop = shop().await;
    paid(&customer(&shop, "+5511999990409", true).await).await; // HTTP 409 is about the recipient
    settle(&shop).await;
    assert_eq!(status(&shop).await, "failed: 409: DoNotDisturbRejection");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn who_is_reported_to_want_no_more_is_asked_no_more() {
    let shop = shop().await;
    let (ana, admin) = (customer(&shop, "+5511999990903", true).await, shop.admin().await);
    paid(&ana).await;
    settle(&shop).await;
    assert_eq!(status(&shop).await, "failed: UserInBlackList");
    assert_eq!(ana.get("/api/users/me").await.body["sms_opt_in"], json!(false));
    // A buyer who opts in again later is not opted out by an old report.
    assert_eq!(ana.patch("/api/users/me", &json!({"sms_opt_in": true})).await.status, 200);
    let event: EventId = shop.sql("SELECT id FROM webhook_events WHERE event = 'Rejected'").await;
    let replayed = admin.post(&format!("/api/admin/webhooks/{event}/replay"), &json!({})).await;
    assert_eq!((replayed.status, &replayed.body["outcome"]), (200, &json!("already done")), "{}", replayed.body);
    assert_eq!(ana.get("/api/users/me").await.body["sms_opt_in"], json!(true));
    shop.close().await;
}

#[actix_web::test]
async fn who_was_absent_may_get_it_after_all_and_what_ran_out_is_over() {
    let shop = shop().await;
    let ana = customer(&shop, "+5511999990902", true).await; // never reported
    paid(&ana).await;
    settle(&shop).await;
    let id = shop.control().sms()[0].id.clone();
    let delivered = "delivered";
    for (state, expected) in [
        ("AbsentSubscriber", "failed: AbsentSubscriber"),
        ("Failed", "failed: AbsentSubscriber"),
        ("Success", delivered),
        ("Expired", delivered),
    ] {
        shop.control().report_sms(&id, state, None, SendWebhook::Once).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        assert_eq!(status(&shop).await, expected, "{state}");
    }
    let story: Vec<String> = shop
        .sql("SELECT array_agg(h.to_state ORDER BY h.id) FROM order_history h JOIN messages m ON m.id = h.subject_id WHERE m.channel = 'sms'")
        .await;
    assert_eq!(story, ["queued", "sent", "failed", "delivered"]);
    shop.close().await;
}

/// All reports came before the answer to our own call.
#[actix_web::test]
async fn of_reports_that_came_early_the_last_word_counts() {
    for (early, expected) in [
        (vec!["AbsentSubscriber"], "failed: AbsentSubscriber"),
        (vec!["AbsentSubscriber", "Success"], "delivered"),
        (vec!["Expired"], "failed: Expired"),
    ] {
        let shop = shop().await;
        let ana = customer(&shop, "+5511999990902", true).await; // never reported
        paid(&ana).await;
        shop.control().next("africastalking", Fault::Delay(Duration::from_secs(1)));
        let (_, ()) = futures_util::join!(shop.drain(), async {
            let sent = |books: &vitrine_sandbox::Books| books.sms().first().map(|sms| sms.id.clone());
            let id = shop.control().wait_for(LIMIT, sent).await.unwrap();
            for state in &early {
                let body = format!("id={id}&status={state}&phoneNumber=%2B5511999990902");
                assert_eq!(report(&shop, &format!("?token={TOKEN}"), &body).await.status, 200);
            }
        });
        assert_eq!(status(&shop).await, expected);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_report_that_overtakes_the_answer_counts_when_the_answer_comes() {
    let shop = shop().await;
    let ana = customer(&shop, PHONE, true).await;
    paid(&ana).await;
    shop.control().next("africastalking", Fault::Delay(Duration::from_secs(1)));
    let (_, arrived) = futures_util::join!(shop.drain(), async {
        shop.control()
            .wait_for(LIMIT, |books| {
                books.deliveries().iter().find(|d| d.provider == "africastalking" && !d.attempts.is_empty()).cloned()
            })
            .await
    });
    assert_eq!(arrived.unwrap().attempts[0].status, Some(200));
    assert_eq!(shop.sql::<String>("SELECT outcome FROM webhook_events WHERE provider = 'africastalking'").await, "unknown");
    assert_eq!(status(&shop).await, "delivered");
    shop.close().await;
}

#[actix_web::test]
async fn a_report_moves_a_sent_text_once_and_nothing_else() {
    let shop = shop().await;
    let (ana, admin) = (customer(&shop, "+5511999990902", true).await, shop.admin().await); // never reported
    paid(&ana).await;
    settle(&shop).await;
    assert_eq!(status(&shop).await, "sent");
    let id = shop.control().sms()[0].id.clone();
    for (state, expected) in [("Sent", "sent"), ("Failed", "failed: DeliveryFailure"), ("Success", "failed: DeliveryFailure")] {
        for _ in 0..2 {
            shop.control().report_sms(&id, state, Some("DeliveryFailure"), SendWebhook::Twice).unwrap();
            assert!(shop.control().settled(LIMIT).await);
        }
        assert_eq!(status(&shop).await, expected);
    }
    let outcomes: Vec<String> = shop
        .sql("SELECT array_agg(event || ' ' || outcome ORDER BY id) FROM webhook_events WHERE provider = 'africastalking'")
        .await;
    assert_eq!(outcomes, ["Sent ignored", "Failed applied", "Success already done"]);
    let kept: Vec<Vec<u8>> = shop.sql("SELECT array_agg(body) FROM webhook_events WHERE provider = 'africastalking'").await;
    assert!(kept.iter().all(|body| !String::from_utf8_lossy(body).contains("99999")), "no number is kept");
    // The missed effect is made up for by a replay.
    let event: EventId = shop.sql("SELECT id FROM webhook_events WHERE event = 'Success'").await;
    let replayed = admin.post(&format!("/api/admin/webhooks/{event}/replay"), &json!({})).await;
    assert_eq!((replayed.status, &replayed.body["outcome"]), (200, &json!("already done")), "{}", replayed.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_report_without_the_token_changes_nothing() {
    let shop = shop().await;
    let ana = customer(&shop, "+5511999990902", true).await;
    paid(&ana).await;
    settle(&shop).await;
    let (before, id) = (shop.row_counts().await, shop.control().sms()[0].id.clone());
    let body = format!("id={id}&status=Success&phoneNumber=%2B5511999990902");
    for query in [
        "",
        "?token=",
        "?token=wrong",
        &format!("?token={TOKEN}x"),
        &format!("?Token={TOKEN}"),
        &format!("?token={TOKEN}&token={TOKEN}"),
    ] {
        let forged = report(&shop, query, &body).await;
        assert_eq!((forged.status, forged.slug()), (401, "bad-signature"), "{query}");
    }
    assert_eq!((shop.row_counts().await, status(&shop).await.as_str()), (before.clone(), "sent"));
    for nothing in ["", "status=Success", "{\"id\":1}"] {
        assert_eq!(report(&shop, &format!("?token={TOKEN}"), nothing).await.status, 200, "{nothing}");
    }
    assert_eq!(shop.row_counts().await, before);
    assert_eq!(report(&shop, &format!("?token={TOKEN}"), "id=ATXid_other&status=Success").await.status, 200);
    assert_eq!(status(&shop).await, "sent");
    shop.close().await;
}
