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
