use crate::shop::Shop;

#[actix_web::test]
async fn a_shop_opens_on_a_database_of_its_own_and_is_ready() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/ready").await.status, 200);
    assert_eq!(shop.get("/api/v1/nothing").await.slug(), "not-found");
    shop.close().await;
}

#[actix_web::test]
async fn every_answer_carries_the_request_id_that_was_sent_or_a_new_one() {
    let shop = Shop::open().await;
    let sent = shop.request("GET", "/health").header("X-Request-ID", "abc-123").send().await;
    assert_eq!(sent.header("x-request-id"), Some("abc-123"));
    let evil = shop.request("GET", "/health").header("X-Request-ID", "a b{}").send().await;
    assert_eq!(evil.header("x-request-id").unwrap().len(), 36);
    shop.close().await;
}

/// The look-up is shared for a quarter of a second, so the test may have to come back to it.
#[actix_web::test]
async fn however_many_ask_whether_a_server_is_ready_the_database_is_asked_once_at_a_time() {
    let shop = Shop::open().await;
    let mut answers = Vec::new();
    for _ in 0..50 {
        shop.app.ready.insert((), false).await;
        answers.push(shop.get("/ready").await.status);
        if answers.last() == Some(&503) {
            break;
        }
    }
    assert_eq!(answers.last(), Some(&503), "the known answer is given: {answers:?}");
    shop.app.ready.invalidate(&()).await;
    assert_eq!(shop.get("/ready").await.status, 200);
    shop.close().await;
}
