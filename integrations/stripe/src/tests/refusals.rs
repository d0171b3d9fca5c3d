use super::*;

#[tokio::test]
async fn refusals_keep_their_code_and_words_and_no_secret() {
    let answer = ResponseTemplate::new(402).insert_header("request-id", "req_1").set_body_string(ERROR);
    let (server, stripe) = answering_with(answer).await;
    let declined = rejected("card_declined", "insufficient_funds: Your card has insufficient funds. (req_1)");
    assert_eq!(stripe.create(&new_intent(1)).await.expect_err("declined"), declined);
    assert_eq!(requests(&server).await.len(), 1);

    for (status, body, refused) in [
        (400, error("invalid_request_error", "amount_too_small", "Too small."), rejected("amount_too_small", "Too small.")),
        (
            400,
            json!({"error": {"type": "idempotency_error", "message": "Same key."}}).to_string(),
            rejected("idempotency_error", "Same key."),
        ),
        (
            401,
            error("invalid_request_error", "", "Invalid API Key provided: sk_test_4eC39Hq"),
            not_accepted("401", "Invalid API Key provided: ***"),
        ),
        (403, String::new(), not_accepted("403", "")),
        (302, String::new(), rejected("302", "")),
    ] {
        let (_server, stripe) = answering(status, &body).await;
        assert_eq!(stripe.create(&new_intent(1)).await.expect_err("refused"), refused);
        assert_eq!(stripe.read("pi_3Q", Lane::Buyer).await.expect_err("refused"), refused);
    }
}

#[tokio::test]
async fn every_answer_has_its_class() {
    let busy = |status| ResponseTemplate::new(status).set_body_string(error("invalid_request_error", "lock_timeout", ""));
    for (answer, tries, write, read) in [
        // Somebody else may be at it under the same key.
        (busy(409), 3, unclear("answered 409"), unavailable("lock_timeout", None)),
        (busy(424), 3, unclear("answered 424"), unavailable("lock_timeout", None)),
        (busy(429), 3, unavailable("lock_timeout", None), unavailable("lock_timeout", None)),
        (
            busy(429).insert_header("retry-after", "9"),
            1,
            unavailable("lock_timeout", Some(9)),
            unavailable("lock_timeout", Some(9)),
        ),
        (
            busy(429).insert_header("stripe-should-retry", "false"),
            1,
            unavailable("lock_timeout", None),
            unavailable("lock_timeout", None),
        ),
        (busy(500), 3, unclear("answered 500"), unavailable("answered 500", None)),
        (busy(503), 3, unclear("answered 503"), unavailable("answered 503", None)),
        (busy(503).insert_header("stripe-should-retry", "false"), 1, unclear("answered 503"), unavailable("answered 503", None)),
        (busy(400).insert_header("stripe-should-retry", "true"), 3, rejected("lock_timeout", ""), rejected("lock_timeout", "")),
    ] {
        let (server, stripe) = answering_with(answer).await;
        assert_eq!(stripe.create(&new_intent(1)).await.expect_err("no"), write);
        assert_eq!(stripe.read("pi_3Q", Lane::Buyer).await.expect_err("no"), read);
        assert_eq!(requests(&server).await.len(), 2 * tries, "{write:?}");
    }
}

#[tokio::test]
async fn silence_and_garbage_are_unknown() {
    let (server, _) = answering_with(ok(INTENT).set_delay(Duration::from_secs(60))).await;
    let config = StripeConfig {
        base_url: server.uri(),
        secret_key: "sk_test_1".into(),
        webhook_secret: "whsec_1".into(),
        timeout: Duration::from_millis(500),
        breaker: BreakerConfig::default(),
    };
    let slow = Stripe::new(config).expect("a good address");
    assert_eq!(slow.create(&new_intent(1)).await.expect_err("silence"), unclear("no answer in time"));
    assert_eq!(slow.refund(&new_refund(), 1).await, Err(unclear("no answer in time")));
    for body in ["<html>", "{}", "[]", "null", ""] {
        let (_server, stripe) = answering(200, body).await;
        let outcome = stripe.create(&new_intent(1)).await;
        assert!(matches!(outcome, Err(ProviderError::Unknown { .. })), "{body}: {outcome:?}");
        let outcome = stripe.cancel("pi_3Q", id(PAYMENT)).await;
        assert!(matches!(outcome, Err(ProviderError::Unknown { .. })), "{body}: {outcome:?}");
    }
}
