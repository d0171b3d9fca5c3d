//! The days on which the tax rules change: what the shop is told before, and what its invoices are then.

use jiff::civil::date;
use serde_json::{Value, json};
use vitrine::ids::OrderId;
use vitrine::invoices::{self, rules_watch};
use vitrine::jobs::{self, Job};
use vitrine_sandbox::NfeStatus;

use crate::invoices::{goes_on, invoices_of};
use crate::seller::buys;
use crate::shop::{Product, Shop};

async fn open(regime: &str) -> (Shop, Product) {
    let shop = Shop::open_with(&[("NFE_PROVIDER", "focusnfe")]).await;
    shop.sells_as(regime).await;
    if regime == "simples" {
        shop.set("taxes", &json!({"products": {"csosn": "102"}})).await; // nothing of IBS and CBS
    }
    let ware = shop.ware("SKU-1", 10_000).await;
    (shop, ware)
}

/// An order that is paid, and whose invoice is issued on that day.
async fn invoiced_on(shop: &Shop, items: &[(&Product, i32)], day: &str) {
    paid_on(shop, items, day).await;
    goes_on(shop).await;
}

/// The same, before its invoice is sent.
async fn paid_on(shop: &Shop, items: &[(&Product, i32)], day: &str) {
    let order = buys(shop, items).await;
    shop.pays(&order).await;
    invoices::issue(&shop.app, OrderId(order.parse().unwrap())).await.unwrap();
    shop.execute(&format!("UPDATE invoices SET issued_at = '{day}T15:00:00Z' WHERE order_id = '{order}'")).await;
}

async fn readiness(shop: &Shop, day: &str) -> Value {
    let answer = shop.admin().await.get(&format!("/api/admin/invoices/readiness?on={day}")).await;
    assert_eq!((answer.status, &answer.body["on"]), (200, &json!(day)), "{}", answer.body);
    answer.body
}

fn fields(problems: &Value) -> Vec<&str> {
    problems.as_array().unwrap().iter().map(|problem| problem["field"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn readiness_judges_by_the_rules_of_the_day_that_is_asked_for() {
    let (shop, _) = open("normal").await;
    let today = readiness(&shop, "2026-12-31").await;
    assert_eq!((&today["ready"], &today["problems"]), (&json!(true), &json!([])), "{today}");
    assert_eq!(today["rules_change_on"], json!(["2027-01-01", "2029-01-01"]));
    let warned = ["taxes.approximate_taxes", "taxes.fcp_rates.AL", "taxes.fcp_rates.SE"];
    assert_eq!(fields(&today["warnings"]), warned, "Rio's is set");
    let then = readiness(&shop, "2027-01-01").await;
    assert_eq!((&then["ready"], &then["products_total"]), (&json!(false), &json!(0)), "{then}");
    assert_eq!(fields(&then["problems"]), ["taxes.reform_rates.cbs"], "once, not once a product");
    assert_eq!(fields(&then["warnings"])[3..], ["taxes.cst_after_pis_cofins"]);
    shop.knows_the_rates_of_2027().await;
    assert_eq!(readiness(&shop, "2027-01-01").await["ready"], json!(true));
    let wrong = shop.admin().await.get("/api/admin/invoices/readiness?on=2027-13-01").await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    shop.close().await;
}

#[actix_web::test]
async fn simples_is_only_warned_of_its_first_day_unless_the_settings_require_it() {
    let (shop, _) = open("simples").await;
    assert_eq!(readiness(&shop, "2026-12-31").await["rules_change_on"], json!(["2027-01-01", "2027-01-04", "2029-01-01"]));
    let then = readiness(&shop, "2027-01-04").await;
    assert_eq!(
        (&then["ready"], &then["products_total"], &then["products_warned"]),
        (&json!(true), &json!(0), &json!(1)),
        "{then}"
    );
    assert_eq!(fields(&then["products"][0]["warnings"]), ["tax.ibs_cbs_cst", "tax.cclasstrib"]);
    shop.execute("UPDATE settings SET value = value || '{\"simples_ibs_cbs_required\": true}' WHERE name = 'taxes'").await;
    let then = readiness(&shop, "2027-01-04").await;
    assert_eq!((&then["ready"], &then["products_total"]), (&json!(false), &json!(1)), "{then}");
    shop.execute("UPDATE settings SET value = value || '{\"simples_ibs_cbs_from\": \"2027-07-01\"}' WHERE name = 'taxes'").await;
    assert_eq!(readiness(&shop, "2027-01-04").await["ready"], json!(true), "the day is a setting");
    shop.close().await;
}

#[actix_web::test]
async fn the_shop_is_told_once_a_month_before_other_rules_hold_and_once_more_in_the_last_week() {
    let (shop, _) = open("normal").await;
    let told = async |day| {
        rules_watch::tell_of_days_after(&shop.app, day).await.unwrap();
        shop.alerted().await
    };
    assert_eq!(told(date(2026, 11, 30)).await, Vec::<String>::new());
    for day in [date(2026, 12, 1), date(2026, 12, 2), date(2026, 12, 24)] {
        assert_eq!(told(day).await, ["tax-rules-ahead 1"], "{day}");
    }
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.starts_with("Em 2027-01-01 mudam") && text.contains("taxes.reform_rates.cbs"), "{text}");
    assert_eq!(told(date(2026, 12, 25)).await, ["tax-rules-ahead 1", "tax-rules-ahead 1"]);
    assert_eq!(told(date(2026, 12, 31)).await.len(), 2);
    shop.execute("DELETE FROM alerts").await;
    let all = r#"{"reform_rates": [{"from": "2027-01-01", "cbs": 870}], "cst_after_pis_cofins": "99"}"#;
    shop.execute(&format!("UPDATE settings SET value = value || '{all}' WHERE name = 'taxes'")).await;
    assert_eq!(told(date(2026, 12, 31)).await, Vec::<String>::new(), "all is ready");
    jobs::push(&shop.app.db().await.unwrap(), Job::WatchTaxRules).await.unwrap();
    shop.drain().await;
    let again = "SELECT round(extract(epoch FROM run_at - now()) / 3600)::bigint FROM jobs WHERE kind = 'watch_tax_rules'";
    assert_eq!(shop.sql::<i64>(again).await, 24);
    shop.close().await;
}

#[actix_web::test]
async fn an_invoice_of_simples_goes_out_without_ibs_and_cbs_and_the_shop_is_told() {
    let (shop, ware) = open("simples").await;
    invoiced_on(&shop, &[(&ware, 1)], "2027-01-03").await;
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    invoiced_on(&shop, &[(&ware, 1)], "2027-01-04").await;
    assert_eq!(shop.alerted().await, ["invoice-without-ibs-cbs 1"]);
    let nfes = shop.control().nfes();
    assert!(nfes.iter().all(|nfe| nfe.status == NfeStatus::Authorized && nfe.draft.items[0].ibs_cbs.is_none()));
    shop.execute("UPDATE settings SET value = value || '{\"simples_ibs_cbs_required\": true}' WHERE name = 'taxes'").await;
    invoiced_on(&shop, &[(&ware, 1)], "2027-01-04").await;
    let last = &invoices_of(&shop).await[0];
    assert_eq!((&last["status"], fields(&last["problems"])[0]), (&json!("rejected"), "items[0].tax.ibs_cbs_cst"), "{last}");
    shop.close().await;
}

#[actix_web::test]
async fn a_classification_that_no_nfe_can_have_is_refused_at_the_door_and_none_is_advised() {
    let (shop, _) = open("normal").await;
    let admin = shop.admin().await;
    for (code, why) in [("000002", "is not for NF-e (model 55)"), ("000999", "is not in the official table")] {
        let taxes = json!({"products": {"ibs_cbs_cst": "000", "cclasstrib": code}});
        let settings = admin.put("/api/admin/settings/taxes", &taxes).await;
        let category = admin.post("/api/categories", &json!({"name": "Livros", "tax": {"cclasstrib": code}})).await;
        for answer in [settings, category] {
            assert_eq!(answer.status, 422, "{}", answer.body);
            let said = answer.body["errors"][0].to_string();
            assert!(said.contains("cclasstrib") && said.contains(why) && !said.contains("000001"), "{said}");
        }
    }
    let cst = admin.put("/api/admin/settings/taxes", &json!({"products": {"ibs_cbs_cst": "550"}})).await;
    assert_eq!(cst.status, 422, "{}", cst.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_consumer_is_told_what_of_the_price_is_taxes_and_who_says_so() {
    for provider in ["focusnfe", "enotas"] {
        let shop = Shop::open_with(&[("NFE_PROVIDER", provider)]).await;
        shop.sells_as("simples").await;
        let (mug, book) = (shop.ware("SKU-1", 10_000).await, shop.ware("SKU-2", 4_990).await);
        shop.execute(&format!("UPDATE products SET ncm = '49019900' WHERE id = '{}'", book.id)).await;
        let rates = r#"{"rate": 3145, "by_ncm": {"4901": 1345}, "source": "IBPT 26.2.A"}"#;
        shop.execute(&format!("UPDATE settings SET value = value || '{{\"approximate_taxes\": {rates}}}' WHERE name = 'taxes'"))
            .await;
        invoiced_on(&shop, &[(&mug, 1), (&book, 1)], "2026-11-21").await;
        let nfe = &shop.control().nfes()[0];
        assert_eq!(nfe.status, NfeStatus::Authorized, "{provider}: {:?}", nfe.message);
        let share = |n: usize, rate: i64| (nfe.draft.items[n].total_cents() * rate + 5_000) / 10_000;
        let said: Vec<_> = nfe.draft.items.iter().map(|item| item.approximate_cents).collect();
        assert_eq!(said, [Some(share(0, 3_145)), Some(share(1, 1_345))], "{provider}");
        let sum = share(0, 3_145) + share(1, 1_345);
        let words = format!("Valor aproximado dos tributos: R$ {},{:02}. Fonte: IBPT 26.2.A.", sum / 100, sum % 100);
        assert!(nfe.draft.notes.contains(&words), "{provider}: {}", nfe.draft.notes);
        shop.close().await;
    }
}

/// A sale is one of four wares, alone or mixed, here and elsewhere, with and without a coupon.
#[actix_web::test]
async fn forty_mixed_sales_around_the_turn_of_the_year_are_authorised() {
    let (shop, plain) = open("normal").await;
    shop.knows_the_rates_of_2027().await;
    let mut wares = vec![plain];
    for (n, (cents, cst, code)) in
        [(1_299, "200", "200035"), (2_790, "200", "200003"), (4_990, "410", "410008")].into_iter().enumerate()
    {
        let ware = shop.ware(&format!("SKU-{}", n + 2), cents).await;
        let tax = json!({"ibs_cbs_cst": cst, "cclasstrib": code});
        shop.execute(&format!("UPDATE products SET tax = '{tax}' WHERE id = '{}'", ware.id)).await;
        wares.push(ware);
    }
    let days = ["2026-11-21", "2026-12-31", "2027-01-01", "2027-01-04", "2028-02-29"];
    for n in 0..40_usize {
        let items: Vec<_> =
            (0..4).filter(|bit| (n % 15 + 1) & (1 << bit) != 0).map(|bit| (&wares[bit], (n % 3) as i32 + 1)).collect();
        paid_on(&shop, &items, days[n % 5]).await;
    }
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!(nfes.iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count(), 40, "{:?}", invoices_of(&shop).await);
    for nfe in &nfes {
        let is_over = nfe.draft.issued_at >= "2027-01-01T03:00:00Z".parse().unwrap();
        assert_eq!(nfe.draft.totals.pis == 0 && nfe.draft.totals.cofins == 0, is_over);
    }
    assert_eq!(hand_over(&shop).await, 40);
    shop.close().await;
}

/// How many invoices have their XML. `scripts/nfe-schema` names a folder for them and holds them against the official schema.
async fn hand_over(shop: &Shop) -> usize {
    let admin = shop.admin().await;
    let list = admin.get("/api/admin/invoices?limit=100").await;
    let ids = list.body["items"].as_array().unwrap().iter().map(|invoice| invoice["id"].as_str().unwrap().to_owned());
    let mut count = 0;
    for id in ids.collect::<Vec<_>>() {
        let xml = admin.get(&format!("/api/admin/invoices/{id}/xml")).await;
        assert_eq!((xml.status, xml.header("content-type")), (200, Some("application/xml")), "{id}");
        if let Ok(folder) = std::env::var("NFE_XML_DIR") {
            std::fs::write(format!("{folder}/{id}.xml"), &xml.bytes).unwrap();
        }
        count += 1;
    }
    count
}
