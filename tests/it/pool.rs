//! Connections to the database: opened when they are needed, and given back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::shop::Shop;

const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vitrine'";

#[actix_web::test]
async fn connections_that_a_burst_needed_are_closed_after_it_down_to_the_least() {
    let shop = Shop::open_with(&[("DB_MIN_CONNS", "3"), ("DB_IDLE_TIMEOUT", "500ms")]).await;
    let burst: Vec<_> = join_all((0..20).map(|_| shop.app.db())).await.into_iter().map(Result::unwrap).collect();
    let during: i64 = burst[0].query_one(SESSIONS, &[]).await.unwrap().get(0);
    assert!(during >= 20, "{during}");
    drop(burst);
    let began = Instant::now();
    // Three of the pool, and the one on which the database is asked whether it is there.
    while shop.sql::<i64>(SESSIONS).await != 4 {
        assert!(began.elapsed() < Duration::from_secs(20), "they are closed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.app.pool.status().size, 3);
    shop.close().await;
}
