use super::*;

#[tokio::test]
async fn a_repeat_asks_first_and_takes_what_is_there() {
    let (server, stripe) = answering_both(ResponseTemplate::new(500), list(&[INTENT])).await;
    let intent = stripe.create(&new_intent(2)).await.expect("found");
    assert_eq!(intent.id, "pi_3Q");
    assert_eq!(calls(&server).await, [FIND]);
}

#[tokio::test]
async fn a_repeat_of_what_is_not_there_takes_the_first_key_again() {
    let (server, stripe) = answering_both(ok(INTENT), list(&[])).await;
    stripe.create(&new_intent(3)).await.expect("created");
    let first_key = format!("POST /v1/payment_intents pay-{PAYMENT}-1");
    assert_eq!(calls(&server).await, [FIND, &first_key]);
}

#[tokio::test]
async fn a_key_with_a_stored_failure_is_left_for_the_next_but_not_in_the_first_call() {
    for status in [500, 503] {
        let server = MockServer::start().await;
        let first_key = header("idempotency-key", format!("pay-{PAYMENT}-1").as_str());
        Mock::given(method("POST")).and(first_key).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        Mock::given(method("POST")).respond_with(ok(INTENT)).mount(&server).await;
        Mock::given(method("GET")).respond_with(list(&[])).mount(&server).await;
        let stripe = stripe(&server.uri());
        let error = stripe.create(&new_intent(1)).await.expect_err("stored");
        assert_eq!(error, unclear(&format!("answered {status}")));
        assert_eq!(stripe.create(&new_intent(2)).await.expect("created").id, "pi_3Q");
        let key = |n| format!("POST /v1/payment_intents pay-{PAYMENT}-{n}");
        assert_eq!(calls(&server).await, [&key(1), FIND, &key(1), &key(2)]);
    }
}

#[tokio::test]
async fn keys_come_to_an_end() {
    let (server, stripe) =
        answering_both(ResponseTemplate::new(500).insert_header("stripe-should-retry", "false"), list(&[])).await;
    assert_eq!(stripe.create(&new_intent(1000)).await.expect_err("stored"), unclear("answered 500"));
    assert_eq!(requests(&server).await.len(), 1 + 5);
}

#[tokio::test]
async fn a_repeat_that_cannot_look_stays_unknown_and_sends_nothing() {
    for (status, reason) in [(503, "stripe is unavailable: answered 503"), (404, "stripe refused the request (404)")] {
        let (server, stripe) = answering(status, "").await;
        assert_eq!(stripe.create(&new_intent(2)).await.expect_err("no look"), unclear(reason));
        assert_eq!(stripe.refund(&new_refund(), 2).await.expect_err("no look"), unclear(reason));
        assert!(requests(&server).await.iter().all(|r| r.method.as_str() == "GET"));
    }
}
