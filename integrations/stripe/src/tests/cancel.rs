use super::*;

#[tokio::test]
async fn cancelling_ends_in_done_or_already_paid() {
    let with = |status: &str| INTENT.replace("requires_payment_method", status);
    let refused = error("invalid_request_error", "payment_intent_unexpected_state", "It has a status of succeeded.");
    for (status, body, state, outcome) in [
        (200, with("canceled"), "", Ok(Voided::Done)),
        (400, refused.clone(), "canceled", Ok(Voided::Done)),
        (400, refused.clone(), "succeeded", Ok(Voided::AlreadyPaid)),
        (400, refused.clone(), "requires_capture", Ok(Voided::AlreadyPaid)),
        (400, refused.clone(), "processing", Err(unclear("it is being processed: neither paid nor void yet"))),
        (200, with("requires_action"), "", Err(unclear("cancelling left the intent payable"))),
        (404, missing(), "", Err(rejected("resource_missing", "No such payment_intent: 'pi_3Q'"))),
        (409, String::new(), "", Err(unclear("answered 409"))),
        (503, String::new(), "", Err(unclear("answered 503"))),
    ] {
        let (server, stripe) = answering_both(ResponseTemplate::new(status).set_body_string(&body), ok(&with(state))).await;
        assert_eq!(stripe.cancel("pi_3Q", id(PAYMENT)).await, outcome, "{status} {state}");
        assert_eq!(calls(&server).await[0], format!("POST /v1/payment_intents/pi_3Q/cancel cancel-{PAYMENT}"));
        assert_eq!(requests(&server).await[0].body, b"");
        assert_eq!(requests(&server).await.iter().any(|r| r.method.as_str() == "GET"), status == 400);
    }
}

#[tokio::test]
async fn a_remembered_refusal_to_cancel_does_not_outlive_its_state() {
    let server = MockServer::start().await;
    let first_key = header("idempotency-key", format!("cancel-{PAYMENT}").as_str());
    let refused = error("invalid_request_error", "payment_intent_unexpected_state", "");
    Mock::given(method("POST")).and(first_key).respond_with(replayed(400).set_body_string(refused)).mount(&server).await;
    let canceled = INTENT.replace("requires_payment_method", "canceled");
    Mock::given(method("POST")).respond_with(ok(&canceled)).mount(&server).await;
    Mock::given(method("GET")).respond_with(ok(INTENT)).mount(&server).await;
    assert_eq!(stripe(&server.uri()).cancel("pi_3Q", id(PAYMENT)).await, Ok(Voided::Done));
    assert_eq!(requests(&server).await.len(), 3);
}
