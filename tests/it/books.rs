//! The daily comparison with the providers' books: differences are found, resolved where possible, and alerted once.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_kit::pix::{NewCharge, NewRefund, Payer};
use vitrine_kit::{Money, TaxId};
use vitrine_sandbox::{Fault, Pay, SendWebhook};

use crate::shop::{Answer, CPF, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
pub const REPORTS: &str = "/api/admin/reports/reconciliation";

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

/// The same, paid, and recorded here.
pub async fn paid(customer: &Customer<'_>, method: &str) -> (String, String, i64) {
    let order = charged(customer, method).await;
    customer.shop.control().pay(Pay::of(payment_of(customer.shop, &order.0).await.1)).unwrap();
    come_to_rest(customer.shop).await;
    assert_eq!(state(customer.shop, &order.0).await, "processing/paid");
    order
}

/// The same, paid, with the webhook and the payment's own check lost.
pub async fn paid_unheard(customer: &Customer<'_>, method: &str) -> (String, String, i64) {
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

pub async fn payment_of(shop: &Shop, order: &str) -> (String, String) {
    let field = async |column: &str| shop.sql(&format!("SELECT {column} FROM payments WHERE order_id = '{order}'")).await;
    (field("id::text").await, field("provider_ref").await)
}

/// Today, where the shop is.
pub async fn today(shop: &Shop) -> String {
    shop.sql("SELECT to_char(now() AT TIME ZONE 'America/Sao_Paulo', 'YYYY-MM-DD')").await
}

pub async fn order_report(shop: &Shop, day: &str) -> Answer {
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

/// Compares today; the reports by provider, in their order.
pub async fn compare(shop: &Shop) -> Value {
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

/// `kind, ours, theirs, the job that was pushed` of each line.
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
    assert_eq!(shop.alerted().await, Vec::<String>::new());
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
    assert_eq!(shop.alerted().await, ["books-differ 1"]);
    let subject: String = shop.sql("SELECT subject FROM alerts").await;
    assert_eq!(subject, format!("Conciliação de {date}/{month}/{year}: 1 diferença(s), {provider}"));
    let second = compare(&shop).await;
    let report = of(&second, provider);
    assert_eq!(
        (report["status"].as_str(), sums(report)),
        (Some("agrees"), json!([[[1, total], [1, total]], [[0, 0], [0, 0]], 0]))
    );
    assert_eq!(shop.alerted().await, ["books-differ 1"]);
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
    assert_eq!(shop.alerted().await, ["books-differ 1"]);
    let jobs: i64 =
        shop.sql("SELECT count(*) FROM jobs WHERE kind IN ('check_payment', 'look_at_refunds') AND state = 'waiting'").await;
    let mut second = compare(&shop).await;
    for (old, new) in first.as_array().unwrap().iter().zip(second.as_array_mut().unwrap()) {
        assert_ne!(old["made_at"], new["made_at"]);
        new["made_at"] = old["made_at"].clone();
    }
    assert_eq!(second, first, "made twice, it says the same");
    assert_eq!(shop.alerted().await, ["books-differ 1"], "and the operator knows it already");
    assert_eq!(
        shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind IN ('check_payment', 'look_at_refunds') AND state = 'waiting'")
            .await,
        jobs
    );
    shop.close().await;
}

/// A refund of 300 on the provider's own pages, whose webhook is lost.
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
    assert_eq!(shop.alerted().await, ["books-differ 1"]);
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
        assert_eq!(shop.alerted().await, ["books-differ 1"]);
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
    let shop = Shop::open_with(&[("OPENPIX_APP_ID", "")]).await;
    let ana = shop.customer().await;
    let (_, _, total) = paid(&ana, "pix").await;
    shop.execute("UPDATE payments SET provider = 'openpix'").await;
    let day = today(&shop).await;
    assert_eq!(order_report(&shop, &day).await.body["providers"], json!(["propay", "stripe", "openpix"]));
    shop.drain().await;
    let reports = read_report(&shop, &day).await;
    let report = of(&reports, "openpix");
    assert_eq!((report["status"].as_str(), lines(report)), (Some("cannot_be_asked"), vec![]));
    assert_eq!(sums(report), json!([[[1, total], [null, null]], [[0, 0], [null, null]], null]));
    assert_eq!(shop.alerted().await, ["books-differ 1"]);
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
