//! Disputes that their provider refuses to show, or that cannot be booked: the operator is told, and the others are taken in.

use jiff::SignedDuration;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{Fault, FaultOrder};

use crate::cards::{paid_by_card, payments};
use crate::shop::Shop;

/// No webhook arrives there.
const NOWHERE: &str = "http://127.0.0.1:9";

async fn watch(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
}

fn disputes_answer(shop: &Shop, status: u16, count: u32) {
    let fault = Fault::Status(status);
    let order = FaultOrder { provider: "stripe".into(), fault, count, path_contains: Some("/v1/disputes".into()) };
    shop.control().order_fault(order).unwrap();
}

#[actix_web::test]
async fn a_provider_that_refuses_to_show_its_disputes_is_an_alert_and_asked_again() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().set_shop_url(NOWHERE);
    shop.control().dispute(&order).unwrap();
    disputes_answer(&shop, 400, 1);
    watch(&shop).await;
    assert_eq!(shop.alerted().await, ["list-refused 1"]);
    assert_eq!(shop.sql::<String>("SELECT state FROM jobs WHERE kind = 'watch_disputes'").await, "waiting");
    watch(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_that_cannot_be_booked_keeps_no_other_from_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (first, _) = paid_by_card(&ana).await;
    let (second, _) = paid_by_card(&ana).await;
    shop.control().set_shop_url(NOWHERE);
    shop.control().dispute(&first).unwrap();
    shop.control().dispute(&second).unwrap();
    shop.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END'").await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON disputes FOR EACH ROW WHEN";
    shop.execute(&format!("{refuse} (NEW.order_id = '{first}') EXECUTE FUNCTION refuse()")).await;
    watch(&shop).await;
    assert_eq!(payments(&shop, &first).await, ["credit_card:paid"]);
    assert_eq!(payments(&shop, &second).await, ["credit_card:disputed"]);
    let waits: String = shop.sql("SELECT state || ' ' || (last_error IS NOT NULL) FROM jobs WHERE kind = 'watch_disputes'").await;
    assert_eq!(waits, "waiting true", "it is tried again");
    shop.execute("DROP TRIGGER refuse ON disputes").await;
    watch(&shop).await;
    shop.drain_ahead(SignedDuration::from_mins(1)).await;
    assert_eq!(payments(&shop, &first).await, ["credit_card:disputed"]);
    shop.close().await;
}
