//! The daily comparison with the providers' books: what differs is found, healed where it can be, and told once.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::jobs::Outcome;
use vitrine::payments::books;
use vitrine_kit::pix::{NewCharge, NewRefund, Payer};
use vitrine_kit::{Money, TaxId};
use vitrine_sandbox::{Fault, Pay, SendWebhook};

use crate::shop::{Answer, CPF, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
const REPORTS: &str = "/api/admin/reports/reconciliation";

/// An order with a charge: its id, number and total.
async fn charged(customer: &Customer<'_>, method: &str) -> (String, String, i64) {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    let text = |field: &str| placed.body[field].as_str().unwrap().to_owned();
    let (id, number) = (text("id"), text("number"));
    let started = customer.post(&format!("/api/orders/{id}/pay"), &json!({"method": method})).await;
    assert_eq!(started.status, 200, "{}", started.body);
    (id, number, started.body["amount_cents"].as_i64().unwrap())
}

/// The same, paid and known to be.
async fn paid(customer: &Customer<'_>, method: &str) -> (String, String, i64) {
    let order = charged(customer, method).await;
    customer.shop.control().pay(Pay::of(payment_of(customer.shop, &order.0).await.1)).unwrap();
    come_to_rest(customer.shop).await;
    assert_eq!(state(customer.shop, &order.0).await, "processing/paid");
    order
}

/// The same, paid, but the webhook and the payment's own check are lost.
async fn paid_unheard(customer: &Customer<'_>, method: &str) -> (String, String, i64) {
    let order = charged(customer, method).await;
    let shop = customer.shop;
    shop.control().pay(Pay::of(payment_of(shop, &order.0).await.1).webhook(SendWebhook::Lost)).unwrap();
    shop.execute("DELETE FROM jobs WHERE kind = 'check_payment'").await;
    assert_eq!(state(shop, &order.0).await, "pending/pending_payment");
    order
}

async fn come_to_rest(shop: &Shop) {
    for _ in 0..2 {
        assert!(shop.control().settled(LIMIT).await);
        shop.drain_ahead(SignedDuration::from_secs(3)).await;
    }
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

async fn payment_of(shop: &Shop, order: &str) -> (String, String) {
    let field = async |column: &str| shop.sql(&format!("SELECT {column} FROM payments WHERE order_id = '{order}'")).await;
    (field("id::text").await, field("provider_ref").await)
}

async fn alerts(shop: &Shop) -> Vec<String> {
    const SUBJECTS: &str =
        "SELECT coalesce(array_agg(payload->>'subject' ORDER BY id), '{}') FROM jobs WHERE kind = 'mail_alert'";
    shop.sql(SUBJECTS).await
}

/// Today, where the shop is.
async fn today(shop: &Shop) -> String {
    shop.sql("SELECT to_char(now() AT TIME ZONE 'America/Sao_Paulo', 'YYYY-MM-DD')").await
}

async fn order_report(shop: &Shop, day: &str) -> Answer {
    let answer = shop.admin().await.post(REPORTS, &json!({"day": day})).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer
}

async fn read_report(shop: &Shop, day: &str) -> Value {
    let answer = shop.admin().await.get(&format!("{REPORTS}/{day}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["day"], day);
    answer.body["providers"].clone()
}

/// Has today compared; the reports by provider, in their order.
async fn compare(shop: &Shop) -> Value {
    let day = today(shop).await;
    order_report(shop, &day).await;
    shop.drain().await;
    read_report(shop, &day).await
}

fn of<'a>(reports: &'a Value, provider: &str) -> &'a Value {
    reports.as_array().unwrap().iter().find(|report| report["provider"] == provider).unwrap_or_else(|| panic!("{reports}"))
}

/// `captured ours, theirs; refunded ours, theirs; difference`.
fn sums(report: &Value) -> Value {
    let side = |what: &str| {
        ["ours", "theirs"].map(|who| [&report[format!("{who}_{what}_count")], &report[format!("{who}_{what}_cents")]])
    };
    json!([side("captured"), side("refunded"), report["difference_cents"]])
}

/// `kind, ours, theirs, what was set in motion` of each line.
fn lines(report: &Value) -> Vec<Value> {
    let brief = |line: &Value| json!([line["kind"], line["ours_cents"], line["theirs_cents"], line["set_in_motion"]]);
    report["lines"].as_array().unwrap().iter().map(brief).collect()
}

async fn a_day_agrees(provider: &str) {
    let shop = Shop::open_with(&[("PIX_PROVIDER", provider)]).await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _, by_pix) = paid(&ana, "pix").await;
    let (_, _, by_card) = paid(&ana, "credit_card").await;
    charged(&ana, "pix").await; // and not paid
    let refund = json!({"amount_cents": 700, "reason": "Defeito"});
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &refund).await.status, 201);
    come_to_rest(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    let reports = compare(&shop).await;
    assert_eq!(reports.as_array().unwrap().len(), 2);
    for (provider, cents, refunded) in [(provider, by_pix, json!([1, 700])), ("stripe", by_card, json!([0, 0]))] {
        let report = of(&reports, provider);
        assert_eq!((report["status"].as_str(), lines(report)), (Some("agrees"), vec![]), "{report}");
        assert_eq!(sums(report), json!([[[1, cents], [1, cents]], [refunded, refunded], 0]));
    }
    assert_eq!(alerts(&shop).await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn a_day_with_propay_and_cards_agrees() {
    a_day_agrees("propay").await;
}

#[actix_web::test]
async fn a_day_with_openpix_and_cards_agrees() {
    a_day_agrees("openpix").await;
}

#[actix_web::test]
async fn a_day_with_a_bank_and_cards_agrees() {
    a_day_agrees("bacen").await;
}

async fn a_payment_that_nobody_heard_of_is_found(provider: &str, method: &str) {
    let pix = if method == "pix" { provider } else { "propay" };
    let shop = Shop::open_with(&[("PIX_PROVIDER", pix)]).await;
    let ana = shop.customer().await;
    let (order, number, total) = paid_unheard(&ana, method).await;
    let (payment, reference) = payment_of(&shop, &order).await;
    let first = compare(&shop).await;
    let report = of(&first, provider);
    assert_eq!(sums(report), json!([[[0, 0], [1, total]], [[0, 0], [0, 0]], total]));
    assert_eq!(lines(report), [json!(["missing_here", null, total, "check_payment"])]);
    let line = &report["lines"][0];
    assert_eq!([&line["payment_id"], &line["order_number"], &line["reference"]], [&payment, &number, &reference]);
    assert_eq!(state(&shop, &order).await, "processing/paid", "the report has set it in motion");
    let day = today(&shop).await;
    let (year, month, date) = (&day[..4], &day[5..7], &day[8..]);
    assert_eq!(alerts(&shop).await, [format!("Conciliação de {date}/{month}/{year}: 1 diferença(s), {provider}")]);
    let second = compare(&shop).await;
    let report = of(&second, provider);
    assert_eq!(
        (report["status"].as_str(), sums(report)),
        (Some("agrees"), json!([[[1, total], [1, total]], [[0, 0], [0, 0]], 0]))
    );
    assert_eq!(alerts(&shop).await.len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_payment_that_nobody_heard_of_is_found_at_propay() {
    a_payment_that_nobody_heard_of_is_found("propay", "pix").await;
}

#[actix_web::test]
async fn a_payment_that_nobody_heard_of_is_found_at_openpix() {
    a_payment_that_nobody_heard_of_is_found("openpix", "pix").await;
}

#[actix_web::test]
async fn a_payment_that_nobody_heard_of_is_found_at_the_bank() {
    a_payment_that_nobody_heard_of_is_found("bacen", "pix").await;
}

#[actix_web::test]
async fn a_payment_that_nobody_heard_of_is_found_at_stripe() {
    a_payment_that_nobody_heard_of_is_found("stripe", "credit_card").await;
}

#[actix_web::test]
async fn money_that_nobody_knows_is_told_once_and_moves_nothing() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let ana = shop.customer().await;
    let (_, _, total) = paid(&ana, "pix").await;
    let stranger = Uuid::now_v7();
    let new = NewCharge {
        payment_id: stranger,
        order_id: Uuid::now_v7(),
        amount: Money::from_cents(4_321),
        expires_in_s: 600,
        description: "Balcao".into(),
        payer: Payer { name: "Bia".into(), tax_id: TaxId::parse(CPF).unwrap(), email: None },
        is_repeat: false,
    };
    let txid = shop.app.providers.pix_named("bacen").unwrap().create_charge(&new).await.unwrap().txid;
    shop.control().pay(Pay::of(stranger).webhook(SendWebhook::Lost)).unwrap();
    let first = compare(&shop).await;
    let report = of(&first, "bacen");
    assert_eq!((report["status"].as_str(), lines(report)), (Some("differs"), vec![json!(["unknown_here", null, 4_321, null])]));
    assert_eq!(sums(report), json!([[[1, total], [2, total + 4_321]], [[0, 0], [0, 0]], 4_321]));
    assert_eq!([&report["lines"][0]["reference"], &report["lines"][0]["payment_id"]], [&json!(txid), &Value::Null]);
    assert_eq!(alerts(&shop).await.len(), 1);
    let jobs: i64 =
        shop.sql("SELECT count(*) FROM jobs WHERE kind IN ('check_payment', 'look_at_refunds') AND state = 'waiting'").await;
    let mut second = compare(&shop).await;
    for (old, new) in first.as_array().unwrap().iter().zip(second.as_array_mut().unwrap()) {
        assert_ne!(old["made_at"], new["made_at"]);
        new["made_at"] = old["made_at"].clone();
    }
    assert_eq!(second, first, "made twice, it says the same");
    assert_eq!(alerts(&shop).await.len(), 1, "and the operator knows it already");
    assert_eq!(
        shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind IN ('check_payment', 'look_at_refunds') AND state = 'waiting'")
            .await,
        jobs
    );
    shop.close().await;
}

/// A refund of 300 by the provider's own pages, of which no webhook comes through.
async fn refund_there(shop: &Shop, provider: &str, order: &str) {
    let (payment, reference) = payment_of(shop, order).await;
    let charge = shop.control().charge(&reference).unwrap();
    let new = NewRefund {
        refund_id: Uuid::now_v7(),
        payment_id: payment.parse().unwrap(),
        end_to_end_id: charge.end_to_end_id.clone(),
        payment_ref: Some(charge.txid.clone()),
        refund_ref: None,
        amount: Money::from_cents(300),
        reason: "Painel".into(),
    };
    shop.control().set_shop_url("http://127.0.0.1:1");
    match provider {
        "stripe" => shop.app.providers.stripe.as_ref().unwrap().refund(&new, 1).await.unwrap(),
        pix => shop.app.providers.pix_named(pix).unwrap().refund(&new).await.unwrap(),
    };
    assert!(shop.control().settled(LIMIT).await);
    shop.control().set_shop_url(&shop.url);
}

async fn a_refund_made_there_is_brought_in(provider: &str, method: &str) {
    let pix = if method == "pix" { provider } else { "propay" };
    let shop = Shop::open_with(&[("PIX_PROVIDER", pix)]).await;
    let ana = shop.customer().await;
    let (order, _, total) = paid(&ana, method).await;
    refund_there(&shop, provider, &order).await;
    let first = compare(&shop).await;
    let report = of(&first, provider);
    assert_eq!(lines(report), [json!(["refund_differs", 0, 300, "look_at_refunds"])], "{report} {:?}", shop.control().refunds());
    assert_eq!(sums(report), json!([[[1, total], [1, total]], [[0, 0], [1, 300]], -300]));
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded", "the report has set it in motion");
    let second = compare(&shop).await;
    assert_eq!(sums(of(&second, provider)), json!([[[1, total], [1, total]], [[1, 300], [1, 300]], 0]));
    assert_eq!(alerts(&shop).await.len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_made_at_openpix_is_brought_in() {
    a_refund_made_there_is_brought_in("openpix", "pix").await;
}

#[actix_web::test]
async fn a_refund_made_at_the_bank_is_brought_in() {
    a_refund_made_there_is_brought_in("bacen", "pix").await;
}

#[actix_web::test]
async fn a_refund_made_at_stripe_is_brought_in() {
    a_refund_made_there_is_brought_in("stripe", "credit_card").await;
}

#[actix_web::test]
async fn a_refund_that_cannot_be_read_there_waits_for_a_person() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, ..) = paid(&ana, "pix").await;
    refund_there(&shop, "propay", &order).await;
    let reports = compare(&shop).await;
    assert_eq!(lines(of(&reports, "propay")), [json!(["refund_differs", 0, 300, null])]);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn a_late_refund_is_compared_on_its_own_day_but_its_payment_is_not_counted_again() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "openpix")]).await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _, total) = paid(&ana, "pix").await;
    shop.execute("UPDATE payments SET paid_at = paid_at - interval '3 days'").await;
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "Defeito"})).await.status, 201);
    come_to_rest(&shop).await;
    let reports = compare(&shop).await;
    assert_eq!(sums(of(&reports, "openpix")), json!([[[0, 0], [0, 0]], [[1, total], [1, total]], 0]));
    let day: String = shop.sql("SELECT to_char(paid_at AT TIME ZONE 'America/Sao_Paulo', 'YYYY-MM-DD') FROM payments").await;
    order_report(&shop, &day).await;
    shop.drain().await;
    let reports = read_report(&shop, &day).await;
    assert_eq!(sums(of(&reports, "openpix")), json!([[[1, total], [1, total]], [[1, total], [1, total]], 0]));
    shop.close().await;
}

#[actix_web::test]
async fn a_payment_at_midnight_is_counted_on_the_providers_day_alone() {
    for (provider, method) in [("bacen", "pix"), ("stripe", "credit_card")] {
        let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
        let ana = shop.customer().await;
        let (_, _, total) = paid(&ana, method).await;
        let theirs = today(&shop).await;
        shop.execute("UPDATE payments SET paid_at = paid_at - interval '1 day'").await;
        let ours: String = shop.sql("SELECT to_char(paid_at AT TIME ZONE 'America/Sao_Paulo', 'YYYY-MM-DD') FROM payments").await;
        for (day, count, cents) in [(ours, 0, 0), (theirs, 1, total)] {
            order_report(&shop, &day).await;
            shop.drain().await;
            let reports = read_report(&shop, &day).await;
            let report = of(&reports, provider);
            assert_eq!((report["status"].as_str(), lines(report)), (Some("agrees"), vec![]));
            assert_eq!(sums(report), json!([[[count, cents], [count, cents]], [[0, 0], [0, 0]], 0]), "{provider}");
        }
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_amount_that_differs_is_a_line() {
    for (provider, method) in [("propay", "pix"), ("stripe", "credit_card")] {
        let shop = Shop::open().await;
        let ana = shop.customer().await;
        let (_, _, total) = paid(&ana, method).await;
        shop.execute("UPDATE payments SET captured_cents = captured_cents + 1").await;
        let reports = compare(&shop).await;
        assert_eq!(lines(of(&reports, provider)), [json!(["amount_differs", total + 1, total, null])]);
        assert_eq!(sums(of(&reports, provider)), json!([[[1, total + 1], [1, total]], [[0, 0], [0, 0]], -1]));
        assert_eq!(alerts(&shop).await.len(), 1);
        shop.execute("UPDATE payments SET captured_cents = captured_cents - 1").await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn money_under_another_providers_name_misses_here_and_there() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen,propay")]).await;
    let ana = shop.customer().await;
    let (order, number, total) = paid(&ana, "pix").await;
    let (payment, _) = payment_of(&shop, &order).await;
    shop.execute("UPDATE payments SET provider = 'propay'").await;
    let reports = compare(&shop).await;
    assert_eq!(lines(of(&reports, "bacen")), [json!(["unknown_here", null, total, null])]);
    assert_eq!(lines(of(&reports, "propay")), [json!(["missing_there", total, null, null])]);
    for provider in ["bacen", "propay"] {
        let line = &of(&reports, provider)["lines"][0];
        assert_eq!([&line["payment_id"], &line["order_number"]], [&payment, &number]);
    }
    shop.execute("UPDATE payments SET provider = 'bacen'").await;
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_is_gone_is_said_to_be() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (_, _, total) = paid(&ana, "pix").await;
    shop.execute("UPDATE payments SET provider = 'antigo'").await;
    let day = today(&shop).await;
    assert_eq!(order_report(&shop, &day).await.body["providers"], json!(["propay", "stripe", "antigo"]));
    shop.drain().await;
    let reports = read_report(&shop, &day).await;
    let report = of(&reports, "antigo");
    assert_eq!((report["status"].as_str(), lines(report)), (Some("cannot_be_asked"), vec![]));
    assert_eq!(sums(report), json!([[[1, total], [null, null]], [[0, 0], [null, null]], null]));
    assert_eq!(alerts(&shop).await.len(), 1);
    shop.execute("UPDATE payments SET provider = 'propay'").await;
    shop.close().await;
}

#[actix_web::test]
async fn while_a_provider_is_away_the_others_have_their_report_and_its_own_comes_later() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let ana = shop.customer().await;
    paid(&ana, "pix").await;
    shop.control().next_calls("bacen", Fault::DropBeforeRequest, 3);
    let reports = compare(&shop).await;
    let made = |reports: &Value| {
        reports.as_array().unwrap().iter().map(|r| r["provider"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(made(&reports), ["stripe"]);
    const WAITING: &str =
        "SELECT count(*) FROM jobs WHERE kind = 'compare_books' AND state = 'waiting' AND last_error IS NOT NULL";
    assert_eq!(shop.sql::<i64>(WAITING).await, 1);
    shop.control().clear_faults();
    shop.drain_ahead(SignedDuration::from_secs(10)).await;
    let reports = read_report(&shop, &today(&shop).await).await;
    assert_eq!(
        (made(&reports), of(&reports, "bacen")["status"].as_str()),
        (vec!["bacen".into(), "stripe".into()], Some("agrees"))
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_day_is_a_table_for_whoever_asks_for_one() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    paid(&ana, "credit_card").await;
    let (order, number, total) = paid_unheard(&ana, "pix").await;
    let (payment, reference) = payment_of(&shop, &order).await;
    compare(&shop).await;
    let day = today(&shop).await;
    let path = format!("{REPORTS}/{day}");
    let by_query = admin.get(&format!("{path}?format=csv")).await;
    let by_header = admin.request("GET", &path).header("Accept", "text/csv").send().await;
    let table = String::from_utf8(by_query.bytes.clone()).unwrap();
    let table = [(payment, "PAYMENT"), (number, "NUMBER"), (reference, "REFERENCE"), (day.clone(), "DAY")]
        .into_iter()
        .fold(table, |table, (made_up, name)| table.replace(&made_up, name));
    assert_eq!(
        table.replace(&total.to_string(), "TOTAL"),
        "day,provider,status,kind,payment_id,order_number,reference,ours_count,ours_cents,theirs_count,theirs_cents,currency,set_in_motion,note\r\n\
         DAY,propay,differs,captured,,,,0,0,1,TOTAL,BRL,,\r\n\
         DAY,propay,differs,refunded,,,,0,0,0,0,BRL,,\r\n\
         DAY,propay,differs,missing_here,PAYMENT,NUMBER,REFERENCE,,,,TOTAL,BRL,check_payment,\
         Pago no provedor e pending aqui: o provedor está sendo consultado de novo.\r\n\
         DAY,stripe,agrees,captured,,,,1,TOTAL,1,TOTAL,BRL,,\r\n\
         DAY,stripe,agrees,refunded,,,,0,0,0,0,BRL,,\r\n"
    );
    for answer in [&by_query, &by_header] {
        assert_eq!((answer.status, &answer.bytes), (200, &by_query.bytes));
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
        let name = format!("attachment; filename=\"reconciliation-{day}.csv\"");
        assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    }
    let json = admin.request("GET", &format!("{path}?format=json")).header("Accept", "text/csv").send().await;
    assert_eq!(json.body["day"], day);
    assert_eq!(admin.get(&format!("{path}?format=xml")).await.invalid_fields(), ["format"]);
    shop.close().await;
}

#[actix_web::test]
async fn only_an_admin_asks_and_only_for_a_day_that_has_come() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let day = today(&shop).await;
    for path in [REPORTS.to_owned(), format!("{REPORTS}/{day}")] {
        assert_eq!(shop.get(&path).await.slug(), "unauthorized");
        assert_eq!(ana.get(&path).await.slug(), "forbidden");
    }
    let body = json!({"day": day});
    assert_eq!(shop.post(REPORTS, &body).await.slug(), "unauthorized");
    assert_eq!(ana.post(REPORTS, &body).await.slug(), "forbidden");
    let tomorrow: String =
        shop.sql("SELECT to_char((now() AT TIME ZONE 'America/Sao_Paulo') + interval '1 day', 'YYYY-MM-DD')").await;
    for bad in [&*tomorrow, "2019-12-31", "2026-02-30", "hoje", "-009999-01-01"] {
        assert_eq!(admin.post(REPORTS, &json!({"day": bad})).await.invalid_fields(), ["day"], "{bad}");
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs").await, 0);
    for none in [&*day, "2026-02-30", "hoje", "9999-12-31", "-009999-01-01"] {
        assert_eq!(admin.get(&format!("{REPORTS}/{none}")).await.slug(), "not-found", "{none}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn reports_are_listed_newest_first_and_by_what_one_looks_for() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for day in ["2025-03-01", "2025-03-03", "2025-03-02"] {
        order_report(&shop, day).await;
    }
    shop.drain().await;
    let audit = admin.get("/api/admin/audit?action=reconciliation.compare").await;
    assert_eq!(audit.body["total"], 3);
    let found = async |query: &str| {
        let answer = admin.get(&format!("{REPORTS}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let brief = |r: &Value| format!("{} {}", &r["day"].as_str().unwrap()[8..], r["provider"].as_str().unwrap());
        let items: Vec<String> = answer.body["items"].as_array().unwrap().iter().map(brief).collect();
        (items.join(", "), answer.body["total"].as_i64().unwrap(), answer.body["next_cursor"].as_str().map(str::to_owned))
    };
    let (all, total, _) = found("").await;
    assert_eq!((&*all, total), ("03 stripe, 03 propay, 02 stripe, 02 propay, 01 stripe, 01 propay", 6));
    assert_eq!(found("day=2025-03-02").await.0, "02 stripe, 02 propay");
    assert_eq!(found("from=2025-03-02&provider=propay").await.0, "03 propay, 02 propay");
    assert_eq!(found("to=2025-03-02&provider=stripe&status=agrees").await.0, "02 stripe, 01 stripe");
    assert_eq!(found("status=differs").await.1, 0);
    let (page, total, cursor) = found("limit=4").await;
    assert_eq!((&*page, total), ("03 stripe, 03 propay, 02 stripe, 02 propay", 6));
    assert_eq!(found(&format!("limit=4&cursor={}", cursor.unwrap())).await, ("01 stripe, 01 propay".into(), 6, None));
    assert_eq!(admin.get(&format!("{REPORTS}?day=hoje")).await.invalid_fields(), ["day"]);
    assert_eq!(admin.get(&format!("{REPORTS}?status=lost")).await.invalid_fields(), ["status"]);
    shop.close().await;
}

#[actix_web::test]
async fn missed_days_are_caught_up_with_once_and_no_further_back_than_a_month() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    paid(&ana, "pix").await;
    assert!(matches!(books::keep(&shop.app).await.unwrap(), Outcome::Again(_)));
    const JOBS: &str = "SELECT count(*) FROM jobs WHERE kind = 'compare_books' AND state = 'waiting'";
    assert_eq!(shop.sql::<i64>(JOBS).await, 0, "the shop's first day is not over");
    // At five in the morning yesterday is due, before that only the day before.
    const LAST: &str = "((now() AT TIME ZONE 'America/Sao_Paulo') - interval '5 hours')::date - 1";
    const DAYS: &str = "SELECT array_agg(to_char(day, 'YYYY-MM-DD') ORDER BY day) FROM reconciliations WHERE provider = 'propay'";
    let ago = async |days: i32| {
        let moved = format!("(({LAST} - {days})::timestamp + interval '12 hours') AT TIME ZONE 'America/Sao_Paulo'");
        shop.execute(&format!("UPDATE payments SET created_at = {moved}, paid_at = {moved}")).await;
    };
    let expected = async |days: i32| -> Vec<String> {
        let series = format!("generate_series({LAST} - {days}, {LAST}, interval '1 day')");
        shop.sql(&format!("SELECT array_agg(to_char(day, 'YYYY-MM-DD') ORDER BY day) FROM {series} AS day")).await
    };
    ago(6).await;
    let (first, second) = tokio::join!(books::keep(&shop.app), books::keep(&shop.app));
    assert!(matches!((first.unwrap(), second.unwrap()), (Outcome::Again(_), Outcome::Again(_))));
    assert_eq!(shop.sql::<i64>(JOBS).await, 7, "however many servers look");
    assert_eq!(shop.sql::<i64>(&format!("{JOBS} AND run_at <= now()")).await, 1, "one after the other");
    shop.drain_ahead(SignedDuration::from_mins(10)).await;
    assert_eq!(shop.sql::<Vec<String>>(DAYS).await, expected(6).await);
    let counted: Vec<i32> = shop.sql("SELECT array_agg(ours_captured_count ORDER BY day) FROM reconciliations").await;
    assert_eq!(counted, [1, 0, 0, 0, 0, 0, 0]);
    books::keep(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<i64>(JOBS).await, 0, "each day once");
    shop.execute(&format!("DELETE FROM reconciliations WHERE day = {LAST} - 2")).await;
    books::keep(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<i64>(JOBS).await, 1);
    ago(90).await;
    books::keep(&shop.app).await.unwrap();
    shop.drain_ahead(SignedDuration::from_hours(1)).await;
    assert_eq!(shop.sql::<Vec<String>>(DAYS).await, expected(29).await);
    assert_eq!(
        shop.sql::<i64>("SELECT count(*) FROM reconciliations WHERE provider <> 'propay'").await,
        0,
        "no card was ever charged"
    );
    shop.close().await;
}
