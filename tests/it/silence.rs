//! A database that stops answering without a word, behind a relay that swallows everything and closes nothing.

use std::time::{Duration, Instant};

use actix_web::web::Data;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use vitrine::config::DatabaseConfig;
use vitrine::jobs::{self, Job};
use vitrine::{catalog, db, worker};

use crate::relay::{Relay, Silence};
use crate::shop::{Answer, Beside, Customer, Shop, cluster};

/// After the database's return everything answers within this time. It is also the longest that anything here waits.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Of the server behind the relay.
const CONNECTIONS: usize = 6;

/// A relay before the shop's database, and the address to which that leads.
async fn relay(shop: &Shop) -> (Relay, String) {
    let port = cluster().await.port();
    let relay = Relay::start(port);
    let url = shop.database_url().await.replace(&format!(":{port}/"), &format!(":{}/", relay.port));
    (relay, url)
}

/// A server of the shop whose database is behind a relay.
async fn behind_a_relay(shop: &Shop, statement_timeout: &str, answer_wait: &str) -> (Relay, Beside) {
    let (relay, url) = relay(shop).await;
    let most = CONNECTIONS.to_string();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("DB_MAX_CONNS", &most),
        ("DB_STATEMENT_TIMEOUT", statement_timeout),
        ("DB_ANSWER_WAIT", answer_wait),
    ];
    let server = shop.beside(&variables).await.unwrap();
    (relay, server)
}

async fn open_all_connections(server: &Beside) {
    let all = join_all((0..CONNECTIONS).map(|_| server.app.db())).await;
    assert!(all.iter().all(|connection| connection.is_ok()));
}

async fn asked(shop: &Shop, server: &Beside, who: &Customer<'_>, path: &str) -> Answer {
    server.request(shop, "GET", path).header("Authorization", &format!("Bearer {}", who.token)).send().await
}

async fn ordered(shop: &Shop, server: &Beside, who: &Customer<'_>, key: &str, order: &Value) -> Answer {
    let request = server.request(shop, "POST", "/api/orders").header("Authorization", &format!("Bearer {}", who.token));
    request.header("Idempotency-Key", key).json(order).send().await
}

/// Until the condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async { while !holds().await {} };
    timeout(BACK_WITHIN, wait).await.unwrap_or_else(|_| panic!("{what}: not within {BACK_WITHIN:?}"));
}

/// Every route answers several requests at once, from the database.
async fn all_answer(shop: &Shop, server: &Beside, who: &Customer<'_>) {
    for path in ["/ready", "/api/users/me", "/api/users/me/addresses", "/api/cart", "/api/orders"] {
        until(path, async || {
            let answers = join_all((0..CONNECTIONS).map(|_| asked(shop, server, who, path))).await;
            answers.iter().all(|answer| answer.status == 200)
        })
        .await;
    }
}

fn assert_says_try_again(answer: &Answer) {
    assert_eq!((answer.status, answer.slug()), (503, "unavailable"));
    assert!(answer.header("retry-after").is_some());
}

const BLOCKED: &str = "
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'";

#[actix_web::test]
async fn orders_under_way_when_the_database_falls_silent_are_neither_lost_nor_doubled() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    let (relay, server) = behind_a_relay(&shop, "2s", "500ms").await;
    let mut buyers = Vec::new();
    for _ in 0..CONNECTIONS {
        let buyer = shop.customer().await;
        let order = buyer.order_for(&[(&shirt, 1)]).await;
        buyers.push((buyer, order));
    }
    let place_all = async || join_all(buyers.iter().map(|(who, order)| ordered(&shop, &server, who, "pedido", order))).await;

    // All of them have sent everything up to their COMMIT, and wait for one lock.
    let mut holder = shop.app.db().await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.query("SELECT FROM variants WHERE id = $1 FOR UPDATE", &[&shirt.variant_id]).await.unwrap();
    let began = Instant::now();
    let silence = async {
        until("all wait", async || shop.sql::<i64>(BLOCKED).await == CONNECTIONS as i64).await;
        relay.go_silent(Silence::Loses);
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(place_all(), silence);
    assert!(began.elapsed() < BACK_WITHIN, "nobody waits for longer than a statement may take");
    answers.iter().for_each(assert_says_try_again);
    assert_says_try_again(&asked(&shop, &server, &buyers[0].0, "/api/users/me").await);
    assert_eq!(asked(&shop, &server, &buyers[0].0, "/ready").await.status, 503);

    relay.come_back();
    all_answer(&shop, &server, &buyers[0].0).await;
    for answer in place_all().await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, CONNECTIONS as i64);
    assert_eq!(shop.stock(&shirt).await, 100 - CONNECTIONS as i32);
    server.stop().await;
    shop.close().await;
}

/// A statement may take a minute here, so only the server's own questions can find out.
#[actix_web::test]
async fn connections_that_a_failover_left_dumb_are_found_by_asking_whether_the_database_is_there() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let before: String = shop.sql("SELECT clock_timestamp()::text").await;
    let (relay, server) = behind_a_relay(&shop, "60s", "300ms").await;
    open_all_connections(&server).await;
    let opened = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_start > '{before}'::timestamptz"
    );
    // One more than the pool's: the one on which it asks.
    until("it asks", async || shop.sql::<i64>(&opened).await == CONNECTIONS as i64 + 1).await;

    relay.go_silent(Silence::Loses);
    relay.come_back(); // at once: another machine answers, and the old connections stay dumb
    let first = join_all((0..CONNECTIONS).map(|_| asked(&shop, &server, &ana, "/api/users/me"))).await;
    assert!(first.iter().all(|answer| matches!(answer.status, 200 | 503)));
    assert!(first.iter().any(|answer| answer.status == 503), "the connections were dumb");
    all_answer(&shop, &server, &ana).await;
    server.stop().await;
    shop.close().await;
}

/// All connections break, and before the server has another one to ask on, the new ones are dumb.
#[actix_web::test]
async fn connections_that_a_failover_left_dumb_are_found_though_nobody_could_ask_at_that_time() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let before: String = shop.sql("SELECT clock_timestamp()::text").await;
    let (relay, server) = behind_a_relay(&shop, "60s", "2s").await;
    open_all_connections(&server).await;
    let of_the_server = format!("datname = current_database() AND backend_start > '{before}'::timestamptz");
    let opened = format!("SELECT count(*) FROM pg_stat_activity WHERE {of_the_server}");
    until("it can ask", async || shop.sql::<i64>(&opened).await == CONNECTIONS as i64 + 1).await;
    shop.sql::<i64>(&format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {of_the_server}")).await;
    until("all are closed", async || shop.sql::<i64>(&opened).await == 0).await;
    until("the pool has others", async || {
        open_all_connections(&server).await;
        shop.sql::<i64>(&opened).await >= CONNECTIONS as i64
    })
    .await;
    relay.go_silent(Silence::Loses);
    relay.come_back();
    all_answer(&shop, &server, &ana).await;
    server.stop().await;
    shop.close().await;
}

/// The transaction has the key's lock, and the database does not know that its client is gone.
#[actix_web::test]
async fn an_order_whose_transaction_the_silence_left_open_is_placed_when_it_is_sent_again() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(1).create().await;
    let (relay, server) = behind_a_relay(&shop, "2s", "500ms").await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&shirt, 1)]).await;
    let place = async || ordered(&shop, &server, &ana, "pedido", &order).await;

    let mut holder = shop.app.db().await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("SELECT FROM carts FOR UPDATE").await.unwrap();
    let silence = async {
        until("it waits", async || shop.sql::<i64>(BLOCKED).await == 1).await;
        relay.go_silent(Silence::Forgets);
        lock.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(place(), silence);
    assert_says_try_again(&answer);
    relay.come_back();
    all_answer(&shop, &server, &ana).await;
    until("it is placed", async || {
        let answer = place().await;
        assert!(answer.status == 201 || ["unavailable", "idempotency-key-in-flight"].contains(&answer.slug()), "{}", answer.body);
        answer.status == 201
    })
    .await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 1);
    assert_eq!(shop.stock(&shirt).await, 0);
    server.stop().await;
    shop.close().await;
}

/// Sessions that nobody uses would take up the database's connections until it starts anew.
#[actix_web::test]
async fn the_database_finds_out_within_25_seconds_that_a_client_is_gone() {
    const BOUNDS: &str = "
        SELECT array_agg(current_setting(name) ORDER BY n) FROM unnest(ARRAY[
            'tcp_user_timeout', 'tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count',
            'idle_in_transaction_session_timeout']) WITH ORDINALITY AS asked (name, n)";
    let shop = Shop::open().await;
    assert_eq!(shop.sql::<Vec<String>>(BOUNDS).await, ["10000", "15", "5", "2", "10s"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_pause_that_is_shorter_than_a_statement_may_be_costs_no_request() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (relay, server) = behind_a_relay(&shop, "60s", "60s").await;
    open_all_connections(&server).await;
    relay.go_silent(Silence::Holds);
    let requests = join_all((0..CONNECTIONS).map(|_| asked(&shop, &server, &ana, "/api/users/me")));
    let pause = async {
        until("all are under way", async || {
            tokio::task::yield_now().await;
            server.app.pool.status().available == 0
        })
        .await;
        relay.come_back();
    };
    let (answers, ()) = tokio::join!(requests, pause);
    assert!(answers.iter().all(|answer| answer.status == 200));
    server.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_request_whose_client_has_gone_leaves_no_dumb_connection_behind() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (relay, server) = behind_a_relay(&shop, "1s", "500ms").await;
    open_all_connections(&server).await;
    relay.go_silent(Silence::Loses);
    let impatient = (0..CONNECTIONS).map(|_| timeout(Duration::from_millis(100), asked(&shop, &server, &ana, "/api/users/me")));
    assert!(join_all(impatient).await.iter().all(Result::is_err));
    relay.come_back();
    all_answer(&shop, &server, &ana).await;
    server.stop().await;
    shop.close().await;
}

const SLOW_LEASES: &str = "
    CREATE FUNCTION wait_for_one() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END$$;
    CREATE TRIGGER wait BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.kind = 'mail_welcome') EXECUTE FUNCTION wait_for_one()";

/// A lease lasts two minutes: a worker that knows nothing of one that it has would let its jobs wait for so long.
#[actix_web::test]
async fn jobs_whose_lease_was_answered_into_the_silence_run_soon_after_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    shop.drain().await;
    let (relay, server) = behind_a_relay(&shop, "2s", "500ms").await;
    let (stop, stopped) = watch::channel(false);
    let working = actix_web::rt::spawn(worker::run(Data::clone(&server.app), stopped));
    until("its recurring jobs", async || shop.sql::<i64>("SELECT count(*) FROM jobs").await > 0).await;

    // The statement that leases the job is under way when the silence begins, and ends after that.
    shop.app.db().await.unwrap().batch_execute(SLOW_LEASES).await.unwrap();
    let mut holder = shop.app.db().await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("SELECT pg_advisory_xact_lock(1)").await.unwrap();
    jobs::push(&shop.app.db().await.unwrap(), Job::MailWelcome { user: ana.id }).await.unwrap();
    let leasing = format!("{BLOCKED} AND query LIKE '%WITH urgent%'");
    until("a lease is asked for", async || shop.sql::<i64>(&leasing).await == 1).await;
    relay.go_silent(Silence::Loses);
    lock.commit().await.unwrap();
    let state = "SELECT state::text FROM jobs WHERE kind = 'mail_welcome'";
    until("it is leased", async || shop.sql::<String>(state).await == "running").await;
    relay.come_back();
    until("it is done", async || shop.sql::<String>(state).await == "done").await;
    assert_eq!(
        shop.sql::<i32>("SELECT attempts FROM jobs WHERE kind = 'mail_welcome'").await,
        1,
        "the lost lease does not count"
    );

    stop.send(true).unwrap();
    working.await.unwrap();
    server.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_dumb_listener_is_found_and_listens_again() {
    let shop = Shop::open().await;
    let (relay, server) = behind_a_relay(&shop, "60s", "300ms").await;
    let listening = actix_web::rt::spawn(catalog::cached::listen(Data::clone(&server.app)));
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN vitrine_catalog'";
    until("it listens", async || shop.sql::<i64>(listens).await == 1).await;
    relay.go_silent(Silence::Loses);
    until("that statement is over", async || shop.sql::<i64>(listens).await == 0).await;
    relay.come_back();
    until("it listens again", async || shop.sql::<i64>(listens).await == 1).await;
    listening.abort();
    server.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_statement_under_which_the_schema_changed_fails_once_and_may_be_asked_again() {
    const CONNECTIONS: u32 = 2;
    let shop = Shop::open_with(&[("DB_MAX_CONNS", &CONNECTIONS.to_string())]).await;
    let ana = shop.customer().await;
    assert_eq!(ana.get("/api/users/me").await.status, 200);
    shop.execute("ALTER TABLE users ALTER COLUMN phone TYPE varchar(40)").await;
    let mut refused = 0;
    until("it answers", async || {
        let answer = ana.get("/api/users/me").await;
        if answer.status == 200 {
            return true;
        }
        assert_says_try_again(&answer);
        refused += 1;
        false
    })
    .await;
    assert!(refused <= CONNECTIONS, "only the first request on a connection that had the statement: {refused}");
    shop.close().await;
}

/// The connection that met the new schema ends with its transaction, and the others prepare their statements anew.
#[actix_web::test]
async fn a_stale_connection_is_not_handed_out_again() {
    const READ: &str = "SELECT name FROM things";
    let shop = Shop::open().await;
    shop.execute("CREATE TABLE things (name text)").await;
    let (mut first, second) = (shop.app.db().await.unwrap(), shop.app.db().await.unwrap());
    db::query(&first, READ, &[]).await.unwrap();
    db::query(&second, READ, &[]).await.unwrap();
    shop.execute("ALTER TABLE things ALTER COLUMN name TYPE varchar(40)").await;

    let tx = first.transaction().await.unwrap();
    let error = db::query(&tx, READ, &[]).await.unwrap_err();
    assert_eq!((error.slug(), error.retry_after()), ("unavailable", Some(2)));
    tx.rollback().await.unwrap();
    until("it is closed", async || {
        tokio::task::yield_now().await;
        first.is_closed()
    })
    .await;
    until("the other has forgotten its statement", async || {
        tokio::task::yield_now().await;
        second.statement_cache.size() == 0
    })
    .await;
    assert!(!second.is_closed());
    db::query(&second, READ, &[]).await.unwrap();
    drop((first, second));
    shop.execute("DROP TABLE things").await;
    shop.close().await;
}

/// A migration that waits for a table makes everybody wait who comes after it, so it gives way and tries again.
#[actix_web::test]
async fn a_migration_gives_way_to_whoever_uses_a_table() {
    let shop = Shop::open().await;
    let mut holder = shop.app.db().await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE refinery_schema_history IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let config = shop.app.config.database.clone();
    let migrating = actix_web::rt::spawn(async move { db::migrate(&config).await });
    until("it waits", async || shop.sql::<i64>(BLOCKED).await == 1).await;
    until("it gives way", async || shop.sql::<i64>(BLOCKED).await == 0).await;
    lock.rollback().await.unwrap();
    assert_eq!(timeout(BACK_WITHIN, migrating).await.unwrap().unwrap().unwrap(), 0);
    shop.close().await;
}

/// Its statements may take hours, so only the database can tell that one of them is not at work any more.
#[actix_web::test]
async fn a_start_on_which_the_database_falls_silent_goes_on_soon_after_its_return() {
    for silence in [Silence::Loses, Silence::Forgets] {
        let shop = Shop::open().await;
        let (relay, url) = relay(&shop).await;
        let config = DatabaseConfig {
            url: SecretString::from(url),
            answer_wait: Duration::from_millis(300),
            idle_timeout: Duration::from_secs(300),
            ..shop.app.config.database.clone()
        };
        let mut holder = shop.app.db().await.unwrap();
        let lock = holder.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE refinery_schema_history IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let migrating = actix_web::rt::spawn(async move { db::migrate(&config).await });
        until("it waits", async || shop.sql::<i64>(BLOCKED).await == 1).await;
        relay.go_silent(silence);
        lock.rollback().await.unwrap();
        relay.come_back();
        assert_eq!(timeout(BACK_WITHIN, migrating).await.unwrap().unwrap().unwrap(), 0, "{silence:?}");
        shop.close().await;
    }
}
