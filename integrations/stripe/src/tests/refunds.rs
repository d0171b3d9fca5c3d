use vitrine_kit::refund::{Nature, Obstacle, Retry};

use super::*;

#[tokio::test]
async fn a_refund_is_made_under_our_key_with_our_reason_in_the_metadata() {
    let server = MockServer::start().await;
    let body = format!("amount=500&metadata[reason]=Produto+com+defeito&metadata[refund_id]={REFUND}&payment_intent=pi_3Q");
    Mock::given(method("POST"))
        .and(path("/v1/refunds"))
        .and(header("idempotency-key", format!("refund-{REFUND}-1").as_str()))
        .and(body_string(body))
        .respond_with(ok(REFUND_ANSWER))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(stripe(&server.uri()).refund(&new_refund(), 1).await, Ok(refund()));
}

#[tokio::test]
async fn a_refund_has_the_status_that_it_says() {
    for (word, status) in [
        ("succeeded", RefundStatus::Done),
        ("pending", RefundStatus::Processing),
        ("requires_action", RefundStatus::Processing),
        ("failed", RefundStatus::Failed(Retry::Unsaid)),
        ("canceled", RefundStatus::Failed(Retry::Never)),
        ("dreaming", RefundStatus::Unclear),
    ] {
        let (_server, stripe) = answering(200, &REFUND_ANSWER.replace("succeeded", word)).await;
        let said = matches!(status, RefundStatus::Failed(_) | RefundStatus::Unclear).then(|| word.to_owned());
        assert_eq!(stripe.refund(&new_refund(), 1).await, Ok(Refund { status, said, ..refund() }), "{word}");
    }
}

#[tokio::test]
async fn a_failed_or_refused_refund_says_whether_another_may_be_made() {
    for (reason, retry) in [
        ("insufficient_funds", Retry::Later(Obstacle::Balance)),
        ("lost_or_stolen_card", Retry::Never),
        ("merchant_request", Retry::Never),
        ("unknown", Retry::Unsaid),
    ] {
        let failed = format!("\"failed\",\"failure_reason\":\"{reason}\"");
        let (_server, stripe) = answering(200, &REFUND_ANSWER.replace("\"succeeded\"", &failed)).await;
        let expected = Refund { status: RefundStatus::Failed(retry), said: Some(reason.to_owned()), ..refund() };
        assert_eq!(stripe.refund(&new_refund(), 1).await, Ok(expected));
    }
    for (code, retry) in [
        ("balance_insufficient", Retry::Later(Obstacle::Balance)),
        ("insufficient_funds", Retry::Later(Obstacle::Balance)),
        ("charge_disputed", Retry::Never),
    ] {
        let refusal = ResponseTemplate::new(400).set_body_string(error("invalid_request_error", code, "No."));
        let (_server, stripe) = answering_both(refusal, list(&[])).await;
        assert_eq!(stripe.refund(&new_refund(), 1).await, Err(refund_refused(code, "No.", retry)));
    }
}

fn refund_refused(code: &str, message: &str, retry: Retry) -> ProviderError {
    ProviderError::RefundRefused { provider: NAME, code: code.to_owned(), message: message.to_owned(), retry }
}

#[tokio::test]
async fn a_refund_is_read_by_its_id_or_found_among_its_intents() {
    let known = NewRefund { refund_ref: Some("re_1".to_owned()), ..new_refund() };
    let (server, stripe) = answering(200, REFUND_ANSWER).await;
    assert_eq!(stripe.read_refund(&known).await, Ok(Some(refund())));
    assert_eq!(calls(&server).await, ["GET /v1/refunds/re_1"]);

    let theirs = r#"{"id":"re_0","amount":500,"status":"succeeded","metadata":{}}"#;
    let (server, stripe) = answering_with(list(&[theirs, REFUND_ANSWER])).await;
    assert_eq!(stripe.read_refund(&new_refund()).await, Ok(Some(refund())));
    assert_eq!(calls(&server).await, ["GET /v1/refunds?limit=100&payment_intent=pi_3Q"]);
    let foreign = TheirRefund {
        refund_id: None,
        reference: "re_0".to_owned(),
        status: RefundStatus::Done,
        amount: Money::from_cents(500),
        nature: Nature::Original,
        said: None,
    };
    let ours = TheirRefund { refund_id: Some(id(REFUND)), reference: "re_1".to_owned(), ..foreign.clone() };
    assert_eq!(stripe.refunds_of("pi_3Q").await, Ok(vec![foreign, ours]));
    let (_server, stripe) = answering_with(list(&[theirs])).await;
    assert_eq!(stripe.read_refund(&new_refund()).await, Ok(None));
}

#[tokio::test]
async fn a_refused_refund_is_looked_up_for_it_is_often_done_already() {
    let refused = error("invalid_request_error", "charge_already_refunded", "Charge ch_1 has already been refunded.");
    let refused = ResponseTemplate::new(400).set_body_string(refused);
    let (_server, stripe) = answering_both(refused.clone(), list(&[REFUND_ANSWER])).await;
    assert_eq!(stripe.refund(&new_refund(), 1).await, Ok(refund()));
    let (_server, stripe) = answering_both(refused, list(&[])).await;
    let error = refund_refused("charge_already_refunded", "Charge ch_1 has already been refunded.", Retry::Never);
    assert_eq!(stripe.refund(&new_refund(), 1).await, Err(error));
}

#[tokio::test]
async fn a_refund_takes_another_key_only_past_a_settled_failure_and_an_empty_book() {
    let key = |n| format!("POST /v1/refunds refund-{REFUND}-{n}");
    let look = "GET /v1/refunds?limit=100&payment_intent=pi_3Q".to_owned();
    for (failure, attempt, outcome, expected) in [
        (ResponseTemplate::new(500), 1, Err(unclear("answered 500")), vec![key(1), look.clone()]),
        (ResponseTemplate::new(500), 2, Ok(refund()), vec![look.clone(), key(1), look.clone(), key(2)]),
        (replayed(503), 2, Ok(refund()), vec![look.clone(), key(1), look.clone(), key(2)]),
        // A gateway's: the first may still be running.
        (ResponseTemplate::new(504), 2, Err(unclear("answered 504")), vec![look.clone(), key(1)]),
    ] {
        let server = MockServer::start().await;
        let first_key = header("idempotency-key", format!("refund-{REFUND}-1").as_str());
        Mock::given(method("POST")).and(first_key).respond_with(failure).mount(&server).await;
        Mock::given(method("POST")).respond_with(ok(REFUND_ANSWER)).mount(&server).await;
        Mock::given(method("GET")).respond_with(list(&[])).mount(&server).await;
        assert_eq!(stripe(&server.uri()).refund(&new_refund(), attempt).await, outcome);
        assert_eq!(calls(&server).await, expected);
    }
    let (server, stripe) = answering_both(ResponseTemplate::new(500), list(&[REFUND_ANSWER])).await;
    assert_eq!(stripe.refund(&new_refund(), 1).await, Ok(refund())); // it failed, but not before it was done
    assert_eq!(calls(&server).await, [key(1), look]);
}

#[tokio::test]
async fn a_refusal_for_now_that_they_repeat_from_memory_is_asked_anew_under_the_next_key() {
    let key = |n| format!("POST /v1/refunds refund-{REFUND}-{n}");
    let look = "GET /v1/refunds?limit=100&payment_intent=pi_3Q".to_owned();
    let short = error("invalid_request_error", "balance_insufficient", "No.");
    let disputed = error("invalid_request_error", "charge_disputed", "No.");
    let later = Err(refund_refused("balance_insufficient", "No.", Retry::Later(Obstacle::Balance)));
    let never = Err(refund_refused("charge_disputed", "No.", Retry::Never));
    let two_tries = vec![look.clone(), key(1), key(2)];
    for (first, second, outcome, expected) in [
        (replayed(400).set_body_string(&short), ok(REFUND_ANSWER), Ok(refund()), two_tries.clone()),
        (
            replayed(400).set_body_string(&short),
            ResponseTemplate::new(400).set_body_string(&short),
            later.clone(),
            [two_tries, vec![look.clone()]].concat(),
        ),
        // Not from memory: it is the answer of now.
        (ResponseTemplate::new(400).set_body_string(&short), ok(REFUND_ANSWER), later, vec![look.clone(), key(1), look.clone()]),
        (replayed(400).set_body_string(&disputed), ok(REFUND_ANSWER), never, vec![look.clone(), key(1), look.clone()]),
    ] {
        let server = MockServer::start().await;
        let first_key = header("idempotency-key", format!("refund-{REFUND}-1").as_str());
        Mock::given(method("POST")).and(first_key).respond_with(first).mount(&server).await;
        Mock::given(method("POST")).respond_with(second).mount(&server).await;
        Mock::given(method("GET")).respond_with(list(&[])).mount(&server).await;
        assert_eq!(stripe(&server.uri()).refund(&new_refund(), 2).await, outcome);
        assert_eq!(calls(&server).await, expected);
    }
}

#[tokio::test]
async fn another_refund_is_not_ours() {
    for body in [REFUND_ANSWER.replace(REFUND, PAYMENT), REFUND_ANSWER.replace("500", "501")] {
        let (_server, stripe) = answering(200, &body).await;
        assert_eq!(stripe.refund(&new_refund(), 1).await, Err(unclear("answered about another refund")));
    }
}

#[tokio::test]
async fn received_money_is_listed_by_when_it_was_paid() {
    let unpaid = INTENT.replace("pi_3Q", "pi_1");
    let later = INTENT_PAID.replace("pi_3Q", "pi_2").replace("1790000120", "1790086400");
    let dollars = INTENT_PAID.replace("pi_3Q", "pi_4").replace("brl", "usd");
    let foreign = r#"{"id":"pi_5","amount":700,"amount_received":700,"currency":"brl","status":"succeeded","created":1790000001,"latest_charge":"ch_5"}"#;
    let (server, stripe) = answering_with(list(&[&unpaid, &later, INTENT_PAID, &dollars, foreign])).await;
    let received = stripe.received(at(1_790_000_000), at(1_790_086_400)).await;
    let ours = Received {
        payment_id: Some(id(PAYMENT)),
        reference: "pi_3Q".to_owned(),
        amount: Money::from_cents(18_500),
        refunded: Money::from_cents(500),
        paid_at: Some(at(1_790_000_120)),
    };
    let foreign = Received {
        payment_id: None,
        reference: "pi_5".to_owned(),
        amount: Money::from_cents(700),
        refunded: Money::ZERO,
        paid_at: Some(at(1_790_000_001)),
    };
    assert_eq!(received, Ok(vec![ours, foreign]));
    let query = "created[gte]=1789827200&created[lt]=1790086400&expand[0]=data.latest_charge&limit=50";
    assert_eq!(calls(&server).await, [format!("GET /v1/payment_intents?{query}")]);
}
