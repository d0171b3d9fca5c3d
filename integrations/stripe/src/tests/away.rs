use super::*;

#[tokio::test]
async fn an_intent_that_may_not_be_of_cards_alone_is_not_made() {
    let unknown = json!({"error": {"type": "invalid_request_error", "code": "parameter_unknown",
                                   "param": "allowed_payment_method_types", "message": "Received unknown parameter"}});
    let (server, stripe) = answering(400, &unknown.to_string()).await;
    let refused = stripe.create(&new_intent(1)).await.expect_err("refused");
    assert_eq!(refused, rejected("parameter_unknown", "Received unknown parameter"));
    assert_eq!(requests(&server).await.len(), 1);
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
