//! Alerts: one cause is one alert a day, counted, and told in a lane that no customer's mail waits behind.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::alerts::{self, Alert, Key, List, WORDS};
use vitrine::ids::{CorrectionId, InvoiceId, JobId, OrderId, PaymentId, RefundId, ShipmentId, UserId, VariantId};
use vitrine::jobs::{self, Job};
use vitrine::payments::reconcile;
use vitrine::{calendar, mail, purge};
use vitrine_sandbox::{Fault, Pay, SendWebhook};

use crate::shop::{Answer, Customer, Shop};

const OPERATOR: &str = "operador@loja.test";
/// One `send` of the client: it asks a broken server three times.
const ONE_SEND: u32 = 3;

async fn raise(shop: &Shop, key: Key<'_>) {
    alerts::raise(&shop.app.db().await.unwrap(), Alert::new(key, "Olhe isto.")).await.unwrap();
}

/// What the operator's mailbox holds, the oldest first.
fn mailed(shop: &Shop) -> Vec<String> {
    shop.control().mails_to(OPERATOR).into_iter().map(|mail| mail.subject).collect()
}

fn last_text(shop: &Shop) -> String {
    shop.control().mails_to(OPERATOR).pop().unwrap().text.unwrap()
}

/// Today in the shop, at that hour.
fn today_at(hour: i8) -> Timestamp {
    calendar::day_of(Timestamp::now()).at(hour, 0, 0, 0).to_zoned(calendar::zone()).unwrap().timestamp()
}

/// An order that waits for money; its mail waits to be sent.
async fn order(customer: &Customer<'_>, price_cents: i64) -> String {
    let shirt = customer.shop.product("Camiseta").price(price_cents).create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.body["id"].as_str().unwrap().to_owned()
}

async fn pay(customer: &Customer<'_>, order: &str, method: &str) -> Answer {
    customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await
}

#[actix_web::test]
async fn transactions_that_raise_one_key_do_not_wait_for_each_other_and_are_counted_exactly() {
    let shop = Shop::open().await;
    let refused = || Alert::new(Key::ProviderRefusesUs { provider: "propay" }, "401");
    // One transaction holds its alert open while others raise the same key and commit.
    let mut slow = shop.app.db().await.unwrap();
    let open = slow.transaction().await.unwrap();
    alerts::raise(&open, refused()).await.unwrap();
    for _ in 0..20 {
        alerts::raise(&shop.app.db().await.unwrap(), refused()).await.unwrap();
    }
    raise(&shop, Key::RefundFailed(RefundId(Uuid::nil()))).await;
    let (one, two) = tokio::join!(alerts::count(&shop.app.pool), alerts::count(&shop.app.pool));
    assert_eq!(one.unwrap() + two.unwrap(), 21, "what is committed, each once");
    open.commit().await.unwrap();
    assert_eq!(alerts::count(&shop.app.pool).await.unwrap(), 1);
    assert_eq!(shop.alerted().await, ["provider-refuses-us 21", "refund-failed 1"]);
    shop.close().await;
}

#[actix_web::test]
async fn what_was_rolled_back_was_not_raised() {
    let shop = Shop::open().await;
    let mut db = shop.app.db().await.unwrap();
    let tx = db.transaction().await.unwrap();
    alerts::raise(&tx, Alert::new(Key::PixCodeUnfit { provider: "propay" }, "x")).await.unwrap();
    tx.rollback().await.unwrap();
    drop(db);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}

/// Two hundred orders that wait for their PIX.
async fn live_payments(shop: &Shop) {
    let shirt = shop.product("Camiseta").stock(1_000).create().await;
    let ana = shop.customer().await;
    let mut wanted = ana.order_for(&[(&shirt, 1)]).await;
    wanted["pay"] = json!({"method": "pix"});
    for n in 0..200 {
        if n > 0 {
            assert_eq!(ana.add(&shirt, 1).await.status, 200);
        }
        let placed = ana.post("/api/orders", &wanted).await;
        assert_eq!(placed.status, 201, "{}", placed.body);
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM payments WHERE status = 'pending'").await, 200);
    shop.execute("DELETE FROM jobs WHERE kind <> 'expire_order'").await; // no mail of theirs is in the way
}

/// Some hours later: the recurring look, and every job that waits runs, twice.
async fn hours_pass(shop: &Shop) {
    for _ in 0..2 {
        shop.execute("UPDATE payments SET updated_at = updated_at - interval '10 minutes', checked_at = checked_at - interval '10 minutes'")
            .await;
        reconcile::reconcile(&shop.app).await.unwrap();
        shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'check_payment' AND state = 'waiting'").await;
        shop.drain().await;
        shop.mail_alerts().await;
    }
}

#[actix_web::test]
async fn a_key_that_is_revoked_for_a_day_is_one_alert_and_one_mail_that_counts() {
    let shop = Shop::open_with(&[("CIRCUIT_BREAKER_COOLDOWN", "1ms")]).await;
    live_payments(&shop).await;
    shop.control().revoke_key("propay").unwrap();
    let asked = shop.control().calls("propay");
    hours_pass(&shop).await;
    assert!(shop.control().calls("propay") > asked, "they say no for themselves");
    assert_eq!(shop.alerted().await, ["provider-refuses-us 400"], "each payment's check, twice");
    assert_eq!(mailed(&shop), ["[Loja] propay não aceita as credenciais da loja (200 vezes)"]);
    let text = last_text(&shop);
    let numbers: Vec<String> = shop.sql("SELECT order_numbers FROM alerts").await;
    assert!(text.contains("200 vezes, de ") && numbers.len() == 20 && text.contains(&numbers.join(", ")), "{text}");
    assert!(text.contains("GO_TO_PROPAY_SECRET"), "{text}");
    // A customer's mail that is pushed in the middle of it goes out before any other alert.
    let bia = shop.customer().await;
    let hers = order(&bia, 5_000).await;
    hours_pass(&shop).await;
    assert_eq!(shop.control().mails_to(&bia.email).len(), 1);
    assert_eq!(pay(&bia, &hers, "pix").await.status, 503);
    hours_pass(&shop).await;
    assert_eq!(mailed(&shop).len(), 1, "and no other mail that day");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM messages WHERE status <> 'sent'").await, 0);
    // No job has died and no payment has failed, so once the key is mended all goes on.
    let open = "SELECT count(*) FROM payments p JOIN jobs j ON j.dedupe = 'check_payment:' || p.id AND j.state = 'waiting' AND j.attempts = 0
                 WHERE p.status IN ('pending', 'creating')";
    assert_eq!((shop.sql::<i64>(open).await, shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await), (201, 0));
    shop.control().restore_key("propay").unwrap();
    let charge = shop.control().charges()[0].payment_id.clone();
    shop.control().pay(Pay::of(&charge).webhook(SendWebhook::Lost)).unwrap();
    hours_pass(&shop).await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders WHERE payment_status = 'paid'").await, 1);
    assert_eq!(pay(&bia, &hers, "pix").await.status, 200);
    assert_eq!(mailed(&shop).len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn the_mail_of_alerts_waits_in_no_queue_of_customers_mails_and_they_not_in_its() {
    let shop = Shop::open().await;
    let welcomes: Vec<_> = (0..50).map(|_| (Job::MailWelcome { user: UserId::new() }, None)).collect();
    let ana = shop.customer().await;
    raise(&shop, Key::PixCodeUnfit { provider: "propay" }).await;
    shop.execute("UPDATE alert_occurrences SET raised_at = raised_at - interval '1 minute'").await;
    let db = shop.app.db().await.unwrap();
    jobs::push_all(&db, &welcomes).await.unwrap();
    jobs::push_all(&db, &[(Job::MailWelcome { user: ana.id }, None), (Job::SendAlerts, None)]).await.unwrap();
    drop(db);
    let started = std::time::Instant::now();
    shop.drain().await;
    assert_eq!((mailed(&shop).len(), shop.control().mails_to(&ana.email).len()), (1, 1));
    let earlier: i64 = shop
        .sql("SELECT count(*) FROM jobs w, messages m WHERE w.kind = 'mail_welcome' AND m.kind = 'alert' AND w.finished_at < m.sent_at")
        .await;
    assert_eq!(earlier, 0, "it is not behind them");
    assert!(started.elapsed() < Duration::from_secs(60));
    let again: String = shop.sql("SELECT state FROM jobs WHERE kind = 'send_alerts'").await;
    assert_eq!(again, "waiting", "the job comes round");
    shop.close().await;
}

#[actix_web::test]
async fn repeats_are_counted_and_told_with_the_next_mail_or_in_the_morning() {
    let shop = Shop::open().await;
    let refused = || Key::ChargeRefused { provider: "propay", code: "blocked" };
    for _ in 0..3 {
        raise(&shop, refused()).await;
    }
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop), ["[Loja] Cobrança recusada por propay (3 vezes)"]);
    for _ in 0..2 {
        raise(&shop, refused()).await;
        shop.mail_alerts().await;
    }
    assert_eq!(mailed(&shop).len(), 1, "a repeat is no reason for a mail");
    raise(&shop, Key::RefundFailed(RefundId::new())).await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop)[1..], ["[Loja] Devolução falhou"]);
    let text = last_text(&shop);
    assert!(
        text.contains("- Cobrança recusada por propay: 5 vezes desde ") && text.contains(", 2 desde o último aviso"),
        "{text}"
    );
    // It goes on until the evening; in the night nobody is woken by what was told.
    raise(&shop, refused()).await;
    alerts::count(&shop.app.pool).await.unwrap();
    shop.execute("UPDATE alerts SET day = day - 1").await;
    shop.execute("UPDATE messages SET created_at = created_at - interval '2 hours'").await;
    mail::digest::mail_due_alerts(&shop.app, today_at(3)).await.unwrap();
    assert_eq!(mailed(&shop).len(), 2);
    for _ in 0..2 {
        mail::digest::mail_due_alerts(&shop.app, today_at(7)).await.unwrap();
    }
    assert_eq!(mailed(&shop)[2..], ["[Loja] Resumo de alertas"]);
    let text = last_text(&shop);
    assert!(
        text.contains(": 6 vezes desde ") && text.contains(", 1 desde o último aviso") && !text.contains("Devolução"),
        "{text}"
    );
    shop.close().await;
}

#[actix_web::test]
async fn what_lasts_beyond_midnight_is_told_again_in_the_morning_and_not_in_the_night() {
    let shop = Shop::open().await;
    let key = || Key::PixCodeUnfit { provider: "propay" };
    raise(&shop, key()).await;
    shop.mail_alerts().await;
    shop.execute("UPDATE alerts SET day = day - 1").await;
    shop.execute("UPDATE messages SET created_at = created_at - interval '2 hours'").await;
    raise(&shop, key()).await;
    alerts::count(&shop.app.pool).await.unwrap();
    shop.execute("UPDATE alerts SET first_at = first_at - interval '1 minute' WHERE told_at IS NULL").await;
    mail::digest::mail_due_alerts(&shop.app, today_at(1)).await.unwrap();
    assert_eq!(mailed(&shop).len(), 1, "the same problem, an hour later");
    // Had it been over for hours, it would be a new one.
    shop.execute("UPDATE alerts SET first_at = first_at - interval '5 hours', last_at = last_at - interval '5 hours' WHERE told_at IS NOT NULL").await;
    mail::digest::mail_due_alerts(&shop.app, today_at(1)).await.unwrap();
    assert_eq!(mailed(&shop).len(), 2);
    raise(&shop, key()).await;
    shop.mail_alerts().await;
    shop.execute("UPDATE alerts SET day = day - 1").await;
    shop.execute("UPDATE messages SET created_at = created_at - interval '2 hours'").await;
    raise(&shop, key()).await;
    alerts::count(&shop.app.pool).await.unwrap();
    mail::digest::mail_due_alerts(&shop.app, today_at(7)).await.unwrap();
    assert_eq!(mailed(&shop)[2..], ["[Loja] Código PIX inválido"]);
    shop.close().await;
}

#[actix_web::test]
async fn many_different_alerts_are_told_the_most_severe_first_in_few_mails() {
    let shop = Shop::open().await;
    for n in 0..24_u128 {
        raise(&shop, Key::LabelExpired(ShipmentId(Uuid::from_u128(n)))).await;
    }
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop), ["[Loja] 25 alertas, 1 crítico(s): Pagamento contestado"]);
    let text = last_text(&shop);
    assert!(text.starts_with("CRÍTICO: Pagamento contestado\n") && text.contains("E mais 5, no próximo aviso."), "{text}");
    for n in 100..107_u128 {
        shop.mail_alerts().await;
        raise(&shop, Key::LabelExpired(ShipmentId(Uuid::from_u128(n)))).await;
    }
    assert_eq!(mailed(&shop)[1], "[Loja] 5 alertas: Etiqueta vencida");
    assert_eq!(mailed(&shop).len(), 6, "six in an hour");
    shop.execute("UPDATE messages SET created_at = created_at - interval '1 hour'").await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 7, "then one an hour, with what has gathered");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM alerts WHERE told_at IS NULL").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn thirty_mails_in_a_day_are_enough() {
    let shop = Shop::open().await;
    shop.execute(
        "INSERT INTO messages (id, event, kind, channel, recipient, subject, body, status, provider, provider_ref, created_at)
         SELECT gen_random_uuid(), 'alert:' || n, 'alert', 'email', 'x@y.zz', 's', 'b', 'sent', 'resend', 'r' || n, now() - interval '90 minutes'
           FROM generate_series(1, 30) n",
    )
    .await;
    shop.execute("UPDATE messages SET created_at = now() - interval '50 minutes' WHERE event = 'alert:30'").await;
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 0);
    shop.execute("UPDATE messages SET created_at = now() - interval '61 minutes' WHERE event = 'alert:30'").await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_mail_that_was_refused_has_told_nobody_and_one_without_an_answer_is_repeated_word_for_word() {
    let shop = Shop::open().await;
    shop.control().next("resend", Fault::Status(422));
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(shop.sql::<String>("SELECT status FROM messages").await, "failed");
    assert_eq!(shop.sql::<i64>("SELECT told_count FROM alerts").await, 0);
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 0, "not again within the hour");
    shop.execute("UPDATE messages SET created_at = created_at - interval '1 hour'").await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_SEND);
    raise(&shop, Key::PixCodeUnfit { provider: "propay" }).await;
    shop.mail_alerts().await;
    assert_eq!(
        (mailed(&shop).len(), shop.sql::<String>("SELECT status FROM messages ORDER BY id DESC LIMIT 1").await.as_str()),
        (1, "queued")
    );
    raise(&shop, Key::Surplus(PaymentId::new())).await;
    shop.mail_alerts().await;
    assert_eq!(
        mailed(&shop),
        ["[Loja] 2 alertas, 2 crítico(s): Pagamento contestado"],
        "the same mail, known to them by its key"
    );
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 2, "then what came meanwhile");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs").await, 0, "none of it is a job of the customers' lane");
    shop.close().await;
}

/// A mailer whose day's quota is spent; how often it was asked.
async fn spent_mailer() -> (String, std::sync::Arc<std::sync::atomic::AtomicU32>) {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let server = HttpServer::new(move || {
        let count = count.clone();
        App::new().default_service(web::to(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let body = json!({"statusCode": 429, "name": "daily_quota_exceeded", "message": "spent"});
            async move { HttpResponse::TooManyRequests().json(body) }
        }))
    });
    let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    (url, asked)
}

#[actix_web::test]
async fn while_the_mailers_quota_is_spent_alerts_do_not_even_ask_for_it() {
    let (url, asked) = spent_mailer().await;
    let shop = Shop::open_with(&[("RESEND_URL", &url)]).await;
    let ana = shop.customer().await;
    order(&ana, 5_000).await;
    shop.drain().await;
    assert_eq!(
        asked.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "the customer's mail found out, and did not ask again at once"
    );
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(shop.sql::<i64>("SELECT told_count FROM alerts").await, 0, "it is told when there is a quota again");
    let waits: bool = shop.sql("SELECT run_at > now() + interval '5 hours' FROM jobs WHERE kind = 'mail_order_placed'").await;
    assert!(waits);
    shop.close().await;
}

#[actix_web::test]
async fn without_an_address_the_log_is_told_once() {
    let shop = Shop::open_with(&[("ADMIN_ALERT_EMAIL", "")]).await;
    let told = "SELECT string_agg(told_count || coalesce(told_by, '-'), ',') FROM alerts";
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(shop.sql::<String>(told).await, "1-");
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    shop.mail_alerts().await;
    assert_eq!(shop.sql::<String>(told).await, "1-", "a repeat waits for the morning, as with an address");
    assert_eq!((shop.sql::<i64>("SELECT count(*) FROM messages").await, shop.control().calls("resend")), (0, 0));
    shop.close().await;
}

#[actix_web::test]
async fn an_admin_lists_alerts_and_what_is_acknowledged_is_mailed_no_more() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let bought: OrderId = order(&ana, 5_000).await.parse().unwrap();
    let number: String = shop.sql("SELECT number FROM orders").await;
    let unfit = || Alert::new(Key::PixCodeUnfit { provider: "propay" }, "O código não serve.").about(bought);
    for _ in 0..2 {
        alerts::raise(&shop.app.db().await.unwrap(), unfit()).await.unwrap();
    }
    raise(&shop, Key::LabelExpired(ShipmentId::new())).await;
    shop.mail_alerts().await;
    let all = admin.get("/api/admin/alerts").await;
    assert_eq!((all.status, &all.body["total"]), (200, &json!(2)), "{}", all.body);
    let critical = admin.get("/api/admin/alerts?severity=critical&status=open&key=pix-code").await;
    let alert = &critical.body["items"][0];
    assert_eq!(
        (&critical.body["total"], &alert["key"], &alert["count"]),
        (&json!(1), &json!("pix-code-unfit:propay"), &json!(2))
    );
    assert_eq!(
        (&alert["order_numbers"], &alert["told_count"], &alert["text"]),
        (&json!([number]), &json!(2), &json!("O código não serve."))
    );
    for (query, field) in [("severity=grave", "severity"), ("status=lost", "status")] {
        assert_eq!(admin.get(&format!("/api/admin/alerts?{query}")).await.invalid_fields(), [field]);
    }
    let tomorrow = admin.get("/api/admin/alerts?from=2999-01-01").await;
    assert_eq!(tomorrow.body["total"], 0);

    let path = format!("/api/admin/alerts/{}/acknowledge", alert["id"].as_str().unwrap());
    assert_eq!(ana.post(&path, &json!({})).await.slug(), "forbidden");
    let nobodys = format!("/api/admin/alerts/{}/acknowledge", Uuid::now_v7());
    assert_eq!(admin.post(&nobodys, &json!({})).await.slug(), "not-found");
    let first = admin.post(&path, &json!({})).await;
    assert_eq!((first.status, &first.body["acknowledged_by"]), (200, &json!(format!("admin:{}", admin.id))), "{}", first.body);
    let second = shop.admin().await.post(&path, &json!({})).await;
    assert_eq!((second.status, &second.body), (200, &first.body), "once is enough");
    assert_eq!(admin.get("/api/admin/audit?action=alert.acknowledge").await.body["total"], 1);
    assert_eq!(admin.get("/api/admin/alerts?status=acknowledged").await.body["total"], 1);

    alerts::raise(&shop.app.db().await.unwrap(), unfit()).await.unwrap();
    raise(&shop, Key::LabelStranded(ShipmentId::new())).await;
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop).len(), 2);
    assert!(!last_text(&shop).contains("PIX"), "{}", last_text(&shop));
    assert_eq!(
        shop.sql::<i64>("SELECT count FROM alerts WHERE acknowledged_at IS NOT NULL").await,
        3,
        "it is counted all the same"
    );
    shop.close().await;
}

/// One of each.
fn every_key() -> Vec<Key<'static>> {
    let (provider, reference) = ("propay", "r_1");
    vec![
        Key::ProviderRefusesUs { provider },
        Key::ProviderUnconfigured { provider },
        Key::JobDead { kind: "check_payment", cause: "no luck" },
        Key::ChargeRefused { provider, code: "blocked" },
        Key::PixCodeUnfit { provider },
        Key::Surplus(PaymentId::new()),
        Key::PaymentDiffers(PaymentId::new()),
        Key::RefundFailed(RefundId::new()),
        Key::RefundWaits(RefundId::new()),
        Key::RefundStillWaits(RefundId::new()),
        Key::RefundSlow(RefundId::new()),
        Key::RefundCameBack(RefundId::new()),
        Key::RefundTooMuch(RefundId::new()),
        Key::RefundUnknown { provider, reference },
        Key::RefundMadeElsewhere(RefundId::new()),
        Key::PaidBackTwice(PaymentId::new()),
        Key::InquiryOpened { reference },
        Key::DisputeOpened { reference },
        Key::DisputeClosed { reference, is_lost: true },
        Key::DisputeUnclear { reference },
        Key::DisputeStaysOpen { reference },
        Key::ListRefused { provider, list: List::Disputes },
        Key::PixDisputed { payment: None, text: "Contestado" },
        Key::CertificateEnds { provider: "bacen", is_near: false },
        Key::BooksDiffer { provider, day: date(2026, 8, 1), subject: "Conciliação", lines: "1" },
        Key::InvoiceAccount { provider: "focusnfe" },
        Key::TaxRulesAhead { day: jiff::civil::date(2027, 1, 1), is_near: false },
        Key::InvoiceWithoutReform,
        Key::SoldUnready { provider: "focusnfe" },
        Key::InvoiceRejected(InvoiceId::new()),
        Key::InvoiceDenied(InvoiceId::new()),
        Key::InvoiceNotSent(InvoiceId::new()),
        Key::InvoiceNotCancelled(InvoiceId::new()),
        Key::InvoiceCancelledElsewhere(InvoiceId::new()),
        Key::CorrectionRefused(CorrectionId::new()),
        Key::LabelsHalted { why: "Falta o endereço" },
        Key::LabelPaidTwice(ShipmentId::new()),
        Key::LabelCancelledElsewhere(ShipmentId::new()),
        Key::LabelExpired(ShipmentId::new()),
        Key::LabelStranded(ShipmentId::new()),
        Key::ParcelOfEndedOrder(ShipmentId::new()),
        Key::ParcelInTrouble { parcel: "AA123456785BR", event: "LDI" },
        Key::LowStock { first: VariantId::new(), at: Timestamp::now(), count: 2 },
    ]
}

#[actix_web::test]
async fn an_alert_of_each_kind_is_mailed_once_however_often_it_is_raised() {
    let shop = Shop::open().await;
    let keys = every_key();
    let words: Vec<String> = keys.iter().map(|key| key.to_string().split(':').next().unwrap().to_owned()).collect();
    assert_eq!(words, WORDS);
    let full = keys.len().div_ceil(20); // so many are in one mail
    for round in 0..3 {
        for key in &keys {
            raise(&shop, key.clone()).await;
        }
        for _ in 0..if round == 0 { full } else { 1 } {
            shop.mail_alerts().await;
        }
    }
    let mails: Vec<String> = shop.control().mails_to(OPERATOR).into_iter().filter_map(|mail| mail.text).collect();
    for key in &keys {
        let told = mails.iter().map(|text| text.matches(&format!("Chave: {key}\n")).count()).sum::<usize>();
        assert_eq!(told, 1, "{key}");
    }
    assert_eq!(mails.len(), full, "repeats are no reason for a mail");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM alerts WHERE count = 3").await, keys.len() as i64);
    shop.close().await;
}

#[test]
fn the_operators_page_explains_every_key() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.md")).unwrap();
    let missing: Vec<_> = WORDS.into_iter().filter(|word| !page.contains(&format!("| `{word}:"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[actix_web::test]
async fn jobs_that_die_of_one_cause_are_one_alert_that_names_their_orders() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    for _ in 0..3 {
        order(&ana, 5_000).await;
    }
    shop.control().next_calls("resend", Fault::Status(422), 3);
    shop.drain().await;
    assert_eq!(shop.alerted().await, ["job-dead:mail_order_placed 3"]);
    let named: Vec<String> = shop.sql("SELECT order_numbers FROM alerts").await;
    let numbers: Vec<String> = shop.sql("SELECT array_agg(number) FROM orders").await;
    assert_eq!(sorted(named), sorted(numbers));
    shop.mail_alerts().await;
    assert_eq!(mailed(&shop), ["[Loja] Tarefa parada: mail_order_placed (3 vezes)"]);
    shop.close().await;
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[actix_web::test]
async fn who_presses_pay_again_and_again_is_told_to_stop_and_the_operator_hears_once() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let order = order(&ana, 5_000).await;
    shop.control().next_calls("propay", Fault::Status(422), 1_000);
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(pay(&ana, &order, "pix").await);
        shop.mail_alerts().await;
    }
    let slugs: Vec<&str> = answers.iter().map(Answer::slug).collect();
    assert_eq!(slugs, [vec!["provider-refused"; 5], vec!["conflict"; 7]].concat());
    assert_eq!(
        answers[11].body["detail"],
        "The provider refused to charge this order too often: pay by another method, or place the order again"
    );
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM payments").await, 5, "no row, no call and no longer life for the order");
    assert_eq!(shop.control().calls_to("propay", "POST /propay/v1/payments"), 5);
    assert_eq!((shop.alerted().await, mailed(&shop).len()), (vec!["charge-refused 5".to_owned()], 1));
    shop.control().clear_faults();
    assert_eq!(pay(&ana, &order, "credit_card").await.status, 200, "another method is still open");
    shop.close().await;
}

#[actix_web::test]
async fn an_amount_that_no_card_takes_is_refused_here_and_said_beforehand() {
    let shop = Shop::open().await;
    shop.offer_pickup().await;
    let methods = shop.get("/api/payment-methods").await;
    let least: Vec<(&Value, &Value)> =
        methods.body["items"].as_array().unwrap().iter().map(|m| (&m["method"], &m["min_amount_cents"])).collect();
    assert_eq!(least, [(&json!("pix"), &json!(1)), (&json!("credit_card"), &json!(50))]);
    let small_by = shop.get("/api/payment-methods?goods_cents=49").await;
    let said = |n: usize, field: &str| small_by.body["items"][n][field].clone();
    assert_eq!(
        (said(0, "available"), said(1, "available"), said(1, "reason")),
        (json!(true), json!(false), json!("amount_too_small"))
    );
    let ana = shop.customer().await;
    let small = order(&ana, 49).await;
    for _ in 0..12 {
        let refused = pay(&ana, &small, "credit_card").await;
        assert_eq!(refused.slug(), "amount-not-accepted");
        let limits = json!({"method": "credit_card", "amount_cents": 49, "min_amount_cents": 50, "max_amount_cents": 99_999_999});
        assert_eq!(refused.body["amount"], limits);
    }
    assert_eq!((shop.control().calls("stripe"), shop.sql::<i64>("SELECT count(*) FROM payments").await), (0, 0));
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    assert_eq!(pay(&ana, &small, "pix").await.status, 200);
    let enough = order(&ana, 50).await;
    assert_eq!(pay(&ana, &enough, "credit_card").await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn dead_jobs_are_kept_for_ninety_days_and_alerts_for_a_year() {
    let shop = Shop::open().await;
    for days in [89, 91] {
        shop.execute(&format!(
            "INSERT INTO jobs (id, kind, payload, state, attempts, max_attempts, last_error, cause, finished_at)
             VALUES ('{}', 'drop_label', '{{}}', 'dead', 60, 60, 'no luck', 'test', now() - interval '{days} days')",
            JobId::new()
        ))
        .await;
    }
    raise(&shop, Key::DisputeOpened { reference: "dp_1" }).await;
    raise(&shop, Key::DisputeOpened { reference: "dp_2" }).await;
    shop.mail_alerts().await;
    shop.execute("UPDATE alerts SET day = day - 364").await;
    shop.execute("UPDATE alerts SET day = day - 3 WHERE key LIKE '%dp_2'").await;
    purge::purge(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE finished_at > now() - interval '90 days'").await, 1);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs").await, 1);
    assert_eq!(shop.sql::<String>("SELECT key FROM alerts").await, "dispute-opened:dp_1");
    shop.close().await;
}
