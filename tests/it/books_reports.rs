//! The reports of the daily comparison: rights, formats and days; and no day is missed.

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::jobs::Outcome;
use vitrine::payments::books;

use crate::books::{REPORTS, compare, order_report, paid, paid_unheard, payment_of, today};
use crate::shop::Shop;

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
    // From five in the morning on, yesterday is due; earlier only the day before it.
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
