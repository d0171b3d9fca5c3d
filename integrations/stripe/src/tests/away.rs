use super::*;

#[tokio::test]
async fn a_stand_in_that_cannot_be_asked_for_cards_alone_is_asked_for_what_it_has() {
    let server = MockServer::start().await;
    let unknown = json!({"error": {"type": "invalid_request_error", "code": "parameter_unknown",
                                   "param": "allowed_payment_method_types", "message": "Received unknown parameter"}});
    let first_key = header("idempotency-key", format!("pay-{PAYMENT}-1").as_str());
    Mock::given(first_key).respond_with(ResponseTemplate::new(400).set_body_string(unknown.to_string())).mount(&server).await;
    let other_key = header("idempotency-key", format!("pay-{PAYMENT}-1-any").as_str());
    Mock::given(other_key).respond_with(ok(INTENT)).mount(&server).await;
    assert_eq!(stripe(&server.uri()).create(&new_intent(1)).await.expect("created").id, "pi_3Q");
    let sent: Vec<bool> = requests(&server).await.iter().map(|r| r.body.starts_with(b"allowed_payment_method_types")).collect();
    assert_eq!(sent, [true, false]);
    let other = unknown.to_string().replace("allowed_payment_method_types", "amount");
    let (server, stripe) = answering(400, &other).await;
    assert!(stripe.create(&new_intent(1)).await.is_err());
    assert_eq!(requests(&server).await.len(), 1, "any other refusal is one");
}

#[tokio::test]
async fn a_permission_that_a_restricted_key_lacks_stops_no_other_call_but_the_buyers() {
    let (server, stripe) = answering(403, "").await;
    for _ in 0..6 {
        let refused = stripe.read("pi_3Q", Lane::Background).await.expect_err("refused");
        assert_eq!(refused, not_accepted("403", ""));
    }
    assert_eq!(requests(&server).await.len(), 6);
    assert_eq!(stripe.create(&new_intent(2)).await.expect_err("refused"), not_accepted("403", ""), "told as it is");
    let states: Vec<State> = stripe.breakers().iter().map(|breaker| breaker.state()).collect();
    assert_eq!(states, [State::Open, State::Closed]);
}
