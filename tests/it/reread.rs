//! Once a week it is read again what went back in the last months: what cannot be read or booked keeps nothing else from being found.

use std::time::Duration;

use jiff::{SignedDuration, ToSpan};
use vitrine::jobs::{self, Job};
use vitrine::payments::books;
use vitrine_sandbox::{Fault, FaultOrder, SendWebhook, TakeBack};

use crate::cards::{count, paid_by_card, payments, state};
use crate::seller;
use crate::shop::Shop;

const BANK: (&str, &str) = ("PIX_PROVIDER", "bacen");
/// No webhook arrives there.
const NOWHERE: &str = "http://127.0.0.1:9";

async fn paid_by_pix(shop: &Shop) -> String {
    let mug = shop.product("Caneca").price(4_000).create().await;
    let order = seller::buys(shop, &[(&mug, 1)]).await;
    shop.pays(&order).await;
    shop.drain().await;
    assert_eq!(state(shop, &order).await, "processing/paid");
    order
}

/// So many days pass over a payment, on both sides.
async fn grow_old(shop: &Shop, order: &str, days: u64) {
    shop.control().age_charge(order, Duration::from_secs(days * 24 * 3600)).unwrap();
    shop.execute(&format!("UPDATE payments SET paid_at = paid_at - interval '{days} days' WHERE order_id = '{order}'")).await;
}

/// A week passes, and all days are read.
async fn read_again(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchReturns).await.unwrap();
    for _ in 0..6 {
        shop.drain_ahead(SignedDuration::from_mins(2)).await;
    }
    assert_eq!(count(shop, "jobs WHERE kind = 'read_returns' AND state <> 'done'").await, 0);
}

/// All rows but those that any run writes.
async fn rows(shop: &Shop) -> Vec<(String, i64)> {
    shop.alerted().await;
    shop.row_counts().await.into_iter().filter(|(table, _)| table != "jobs").collect()
}

#[actix_web::test]
async fn days_that_the_bank_refuses_keep_no_other_from_being_read() {
    let shop = Shop::open_with(&[BANK]).await;
    let order = paid_by_pix(&shop).await;
    grow_old(&shop, &order, 85).await;
    shop.control().take_back_as(&TakeBack::of(&order, "MED0001", 700).webhook(SendWebhook::Lost)).unwrap();
    let too_old =
        FaultOrder { provider: "bacen".into(), fault: Fault::Status(400), count: 5, path_contains: Some("/v2/pix".into()) };
    shop.control().order_fault(too_old).unwrap();
    read_again(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["pix:partially_charged_back"]);
    assert_eq!(shop.alerted().await, ["list-refused 5", "dispute-closed 1"], "one alert, however many days");
    let today = books::now(&shop.app.db().await.unwrap()).await.unwrap().date();
    let (key, text): (String, String) = {
        let find = "SELECT key::text, text FROM alerts WHERE key LIKE 'list-refused%'";
        let row = shop.app.db().await.unwrap().query_one(find, &[]).await.unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(key, "list-refused:bacen:returns");
    let last_refused = (today - 91.days()).strftime("%d/%m/%Y").to_string();
    assert!(text.contains(&last_refused), "{text}");
    shop.close().await;
}

#[actix_web::test]
async fn what_cannot_be_booked_of_one_payment_keeps_no_other_from_it() {
    let shop = Shop::open_with(&[BANK]).await;
    let (bad, good) = (paid_by_pix(&shop).await, paid_by_pix(&shop).await);
    for (order, name) in [(&bad, "MED0001"), (&good, "MED0002")] {
        grow_old(&shop, order, 85).await;
        shop.control().take_back_as(&TakeBack::of(order, name, 700).webhook(SendWebhook::Lost)).unwrap();
    }
    shop.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END'").await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON disputes FOR EACH ROW WHEN";
    shop.execute(&format!("{refuse} (NEW.order_id = '{bad}') EXECUTE FUNCTION refuse()")).await;
    read_again(&shop).await;
    assert_eq!(
        (payments(&shop, &bad).await, payments(&shop, &good).await),
        (vec!["pix:paid".into()], vec!["pix:partially_charged_back".into()])
    );
    assert_eq!(count(&shop, "jobs WHERE kind = 'look_at_refunds' AND state = 'waiting'").await, 1, "tried again by itself");
    shop.execute("DROP TRIGGER refuse ON disputes").await;
    shop.drain_ahead(SignedDuration::from_mins(5)).await;
    assert_eq!(payments(&shop, &bad).await, ["pix:partially_charged_back"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_made_in_stripes_dashboard_is_found_weeks_after_the_payment_without_any_news_of_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    let (other, total) = paid_by_card(&ana).await;
    shop.drain().await;
    shop.control().set_shop_url(NOWHERE);
    for (order, cents) in [(&order, 300), (&order, 200), (&other, total)] {
        grow_old(&shop, order, 20).await;
        shop.control().take_back(order, "", cents).unwrap();
    }
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    read_again(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:partially_refunded"]);
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    assert_eq!(payments(&shop, &other).await, ["credit_card:refunded"]);
    let amounts = "SELECT array_agg(amount_cents || ' ' || status ORDER BY amount_cents) FROM refunds";
    assert_eq!(shop.sql::<Vec<String>>(amounts).await, ["200 done".to_owned(), "300 done".to_owned(), format!("{total} done")]);
    // One of them comes back later, of which nobody hears either.
    let bounced = shop.control().refunds().into_iter().find(|refund| refund.amount_cents == 200).unwrap();
    shop.control().bounce_refund(&bounced.refund_id).unwrap();
    read_again(&shop).await;
    assert_eq!(shop.sql::<Vec<String>>(amounts).await, ["200 failed".to_owned(), "300 done".to_owned(), format!("{total} done")]);
    let before = rows(&shop).await;
    read_again(&shop).await;
    assert_eq!(rows(&shop).await, before, "what is known is not written again");
    shop.close().await;
}
