//! Alerts: one cause is one alert a day, counted, mailed as a digest in a lane of its own.

use uuid::Uuid;
use vitrine::alerts::{self, Alert, Key};
use vitrine::ids::RefundId;

use crate::shop::Shop;

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
    alerts::raise(&shop.app.db().await.unwrap(), Alert::new(Key::RefundFailed(RefundId(Uuid::nil())), "x")).await.unwrap();
    let (one, two) = tokio::join!(alerts::count(&shop.app.pool), alerts::count(&shop.app.pool));
    assert_eq!(one.unwrap() + two.unwrap(), 21, "what is committed, each once");
    open.commit().await.unwrap();
    assert_eq!(alerts::count(&shop.app.pool).await.unwrap(), 1);
    let counts: Vec<String> = shop.sql("SELECT array_agg(key || ' ' || count ORDER BY key) FROM alerts").await;
    assert_eq!(counts, ["provider-refuses-us:propay 21", "refund-failed:00000000-0000-0000-0000-000000000000 1"]);
    shop.close().await;
}
