//! Two PIX providers: the second one is used while the first one is away, and there is one live charge at a time.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;
use vitrine::payments::charge::methods::closed_for;
use vitrine_sandbox::{ChargeStatus, Fault, Pay, RefundStatus, SendWebhook, TokenForm};

use crate::books;
use crate::shop::{Answer, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
const TWO: [(&str, &str); 1] = [("PIX_PROVIDER", "propay,openpix")];

async fn order(customer: &Customer<'_>) -> (String, i64) {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    (placed.body["id"].as_str().unwrap().to_owned(), placed.body["total_cents"].as_i64().unwrap())
}

async fn pay(customer: &Customer<'_>, order: &str) -> Answer {
    customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await
}

/// `provider:status` of an order's payments, the oldest first.
async fn payments(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT array_agg(provider || ':' || status ORDER BY id) FROM payments WHERE order_id = '{order}'")).await
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// Five buyers' calls failed at ProPay: its breaker is open.
async fn open_breaker(shop: &Shop) {
    shop.control().next_calls("propay", Fault::DropBeforeRequest, 1_000);
    let ana = shop.customer().await;
    for _ in 0..5 {
        let (order, _) = order(&ana).await;
        pay(&ana, &order).await;
    }
    let breakers = shop.admin().await.get("/api/admin/breakers").await;
    assert_eq!(breakers.body["items"][0]["state"], "open", "{}", breakers.body);
}

#[actix_web::test]
async fn while_the_first_is_away_the_second_takes_the_money() {
    let shop = Shop::open_with(&TWO).await;
    open_breaker(&shop).await;
    let methods = shop.get("/api/payment-methods").await;
    assert_eq!(methods.body["items"][0]["available"], true);
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    let answer = pay(&ana, &order).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(payments(&shop, &order).await, ["openpix:pending"]);
    let charge = shop
        .control()
        .charge(&order)
        .unwrap_or_else(|| shop.control().charge(answer.body["payment_id"].as_str().unwrap()).unwrap());
    assert_eq!((charge.provider.as_str(), charge.amount_cents), ("openpix", total));
    shop.control().pay(Pay::of(&charge.payment_id)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await; // the webhook is a hint: OpenPix is asked
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.control().clear_faults();
    shop.close().await;
}

#[actix_web::test]
async fn an_unclear_first_charge_gives_way_and_is_voided_later() {
    let shop = Shop::open_with(&TWO).await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    shop.control().next_calls("propay", Fault::DropAfterRequest, 3);
    assert_eq!(pay(&ana, &order).await.status, 503);
    assert_eq!(payments(&shop, &order).await, ["propay:unknown"]);
    open_breaker(&shop).await;
    let first = shop.control().charges()[0].payment_id.clone();
    let second = pay(&ana, &order).await.body["payment_id"].as_str().unwrap().to_owned();
    assert_eq!(payments(&shop, &order).await, ["propay:cancelled", "openpix:pending"]);
    // Both charges are paid: the later one is refunded, whichever it is.
    shop.control().clear_faults();
    shop.control().pay(Pay::of(&first)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.control().pay(Pay::of(&second)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SignedDuration::from_secs(90)).await;
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SignedDuration::from_secs(90)).await;
    assert_eq!(payments(&shop, &order).await, ["propay:paid", "openpix:refunded"]);
    let refunds = shop.control().refunds();
    assert_eq!(
        refunds.iter().map(|r| (&*r.payment_id, r.amount_cents, r.status)).collect::<Vec<_>>(),
        [(&*second, total, RefundStatus::Done)]
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_first_charge_that_nobody_paid_is_voided_once_its_provider_is_back() {
    let shop = Shop::open_with(&[TWO[0], ("CIRCUIT_BREAKER_COOLDOWN", "2s")]).await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    shop.control().next_calls("propay", Fault::DropAfterRequest, 3);
    assert_eq!(pay(&ana, &order).await.status, 503);
    open_breaker(&shop).await;
    let second = pay(&ana, &order).await.body["payment_id"].as_str().unwrap().to_owned();
    shop.control().clear_faults();
    let started = Instant::now();
    while closed_for(&shop.app, "propay").is_some() {
        assert!(started.elapsed() < LIMIT, "the breaker never lets its probe out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.drain_ahead(SignedDuration::from_secs(30)).await;
    let first = shop.control().charges()[0].clone();
    assert_eq!((first.provider.as_str(), first.status), ("propay", ChargeStatus::Cancelled));
    shop.control().pay(Pay::of(&second).webhook(SendWebhook::Lost)).unwrap();
    shop.drain_ahead(SignedDuration::from_secs(90)).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn starting_a_payment_ends_before_its_key_could_be_taken_over() {
    let shop = Shop::open_with(&[("PROPAY_TIMEOUT", "50s")]).await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    let path = format!("/api/orders/{order}/pay");
    let keyed = || ana.request("POST", &path).header("Idempotency-Key", "k1").json(&json!({"method": "pix"}));
    shop.control().next("propay", Fault::HangAfterRequest);
    let began = Instant::now();
    let cut_off = keyed().send().await;
    assert_eq!((cut_off.status, cut_off.slug()), (503, "unavailable"), "{}", cut_off.body);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let again = keyed().send().await; // the key is free, and the charge that was made is found by its own
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!((payments(&shop, &order).await, shop.control().charges().len()), (vec!["propay:pending".to_owned()], 1));
    shop.close().await;
}

/// OpenPix that gives its charges no names.
async fn nameless_openpix() -> String {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let make = async |asked: web::Json<serde_json::Value>| {
        let (id, value) = (&asked["correlationID"], &asked["value"]);
        HttpResponse::Ok().json(json!({"charge": {"status": "ACTIVE", "correlationID": id, "value": value, "transactionID": "",
            "identifier": "", "expiresDate": (jiff::Timestamp::now() + SignedDuration::from_mins(30)).to_string()}}))
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(make)));
    let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    url
}

#[actix_web::test]
async fn charges_without_a_name_of_the_provider_s_do_not_stand_in_each_others_way() {
    let url = nameless_openpix().await;
    let shop = Shop::open_with(&[("PIX_PROVIDER", "openpix"), ("OPENPIX_URL", &url)]).await;
    let ana = shop.customer().await;
    for _ in 0..2 {
        let (order, _) = order(&ana).await;
        pay(&ana, &order).await; // it has no code to be paid by, either
    }
    let kept = "SELECT count(*) FROM payments WHERE status = 'pending' AND provider_ref IS NULL";
    assert_eq!(shop.sql::<i64>(kept).await, 2);
    shop.execute("DELETE FROM jobs WHERE kind = 'check_payment'").await; // they would be asked about for ever
    shop.close().await;
}

#[actix_web::test]
async fn a_bank_gives_its_token_however_it_wants_to_be_asked() {
    for form in [TokenForm::Form, TokenForm::Json] {
        let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
        shop.control().take_pix_tokens_as(Some(form));
        let ana = shop.customer().await;
        let (order, _) = order(&ana).await;
        let answer = pay(&ana, &order).await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        shop.control().pay(Pay::of(answer.body["payment_id"].as_str().unwrap())).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        shop.control().forget_pix_tokens(); // the next token is requested in the form that worked
        shop.drain().await;
        assert_eq!(state(&shop, &order).await, "processing/paid", "{form:?}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_bank_is_not_told_who_buys() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    assert_eq!(pay(&ana, &order).await.status, 200);
    let charge = shop.control().charge(&order).unwrap();
    assert_eq!((charge.provider.as_str(), charge.payer), ("bacen", None));
    shop.close().await;
}

#[actix_web::test]
async fn neither_buyers_nor_the_daily_comparison_meet_openpix_limit() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "openpix"), ("OPENPIX_CALLS_PER_SECOND", "8")]).await;
    shop.control().limit_openpix(10); // requests do not arrive evenly spaced
    let ana = shop.customer().await;
    for _ in 0..8 {
        let (order, _) = order(&ana).await;
        let answer = pay(&ana, &order).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        shop.control().pay(Pay::of(answer.body["payment_id"].as_str().unwrap())).unwrap();
    }
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    let compared = books::compare(&shop).await;
    assert_eq!((&compared[0]["provider"], &compared[0]["status"]), (&json!("openpix"), &json!("agrees")), "{compared}");
    assert_eq!(compared[0]["theirs_captured_count"], 8);
    let refused = shop.control().books(|books| books.calls().filter(|call| call.status == Some(429)).count());
    assert_eq!(refused, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_buyer_is_told_to_ask_again_once_the_time_to_find_a_provider_is_over() {
    let shop = Shop::open_with(&[TWO[0], ("PAY_WAIT", "1ms")]).await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    shop.control().next_calls("propay", Fault::Status(429), 100);
    let late = pay(&ana, &order).await;
    assert_eq!((late.status, late.slug(), late.header("retry-after")), (503, "unavailable", Some("5")));
    assert_eq!(payments(&shop, &order).await, ["propay:cancelled"]);
    assert_eq!(shop.control().charges().len(), 0, "no call begins after that time");
    shop.close().await;
}
