use vitrine_kit::refund::{Nature, Obstacle, Retry};

use super::*;

const NEW_REFUND: &str = include_str!("../../fixtures/new_refund.json");

fn our_refund(status: RefundStatus) -> Refund {
    Refund {
        refund_id: id(REFUND),
        status,
        amount: Money::from_cents(500),
        end_to_end_id: Some("D18236120202610011510s0266295235".to_owned()),
        said: None,
    }
}

#[tokio::test]
async fn a_refund_is_looked_for_and_then_sent_under_our_refund_id() {
    let server = MockServer::start().await;
    on(&server, "GET", &format!("/{PAYMENT}/refund"), 200, r#"{"refunds":[]}"#).await;
    Mock::given(method("POST"))
        .and(path(format!("/api/v1/charge/{PAYMENT}/refund")))
        .and(body_json_string(NEW_REFUND))
        .respond_with(ResponseTemplate::new(200).set_body_string(REFUND_ANSWER))
        .expect(1)
        .mount(&server)
        .await;
    let refund = openpix(&server.uri()).refund(&new_refund()).await;
    assert_eq!(refund, Ok(our_refund(RefundStatus::Processing)));
    assert_eq!(lines(&server).await, ["GET /api/v1/charge/{id}/refund", "POST /api/v1/charge/{id}/refund"]);
}

#[tokio::test]
async fn a_refund_that_is_in_their_list_is_not_sent_again() {
    let (server, openpix) = answering(200, REFUNDS).await;
    assert_eq!(openpix.refund(&new_refund()).await, Ok(our_refund(RefundStatus::Done)));
    assert_eq!(openpix.read_refund(&new_refund()).await, Ok(Some(our_refund(RefundStatus::Done))));
    assert_eq!(lines(&server).await, ["GET /api/v1/charge/{id}/refund"; 2]);
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_sent_once_and_found_later() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"refunds":[]}"#))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    on(&server, "GET", &format!("/{PAYMENT}/refund"), 200, REFUNDS).await;
    on(&server, "POST", &format!("/{PAYMENT}/refund"), 500, "").await;
    let openpix = openpix(&server.uri());
    assert_eq!(openpix.refund(&new_refund()).await, Err(unclear("answered 500")));
    assert_eq!(openpix.refund(&new_refund()).await, Ok(our_refund(RefundStatus::Done)));
    let posts = requests(&server).await.iter().filter(|r| r.method.as_str() == "POST").count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn all_refunds_of_a_charge_are_told_also_those_that_are_not_ours() {
    let (_server, openpix) = answering(200, REFUNDS).await;
    let refund = |refund_id: Option<&str>, reference: &str, status, cents| TheirRefund {
        refund_id: refund_id.map(id),
        reference: reference.to_owned(),
        status,
        amount: Money::from_cents(cents),
        nature: Nature::Unsaid,
        said: None,
    };
    let expected = vec![
        refund(Some(REFUND), "D18236120202610011510s0266295235", RefundStatus::Done, 500),
        refund(Some(OTHER_REFUND), "D18236120202610011511s0266295236", RefundStatus::Processing, 300),
        refund(None, "painel-7", RefundStatus::Failed(Retry::Unsaid), 200),
    ];
    assert_eq!(openpix.refunds_of(id(PAYMENT)).await, Ok(Some(expected)));
}

#[tokio::test]
async fn both_routes_words_for_a_refunds_end_are_known_and_a_strange_one_is_no_end() {
    for (theirs, ours) in [
        ("REFUNDED", our_refund(RefundStatus::Done)),
        ("NOT_ACCOMPLISHED", our_refund(RefundStatus::Failed(Retry::Unsaid))),
        ("REJECTED", our_refund(RefundStatus::Failed(Retry::Unsaid))),
        ("DREAMING", Refund { said: Some("DREAMING".to_owned()), ..our_refund(RefundStatus::Unclear) }),
    ] {
        let (_server, openpix) = answering(200, &REFUNDS.replacen("CONFIRMED", theirs, 1)).await;
        assert_eq!(openpix.read_refund(&new_refund()).await, Ok(Some(ours)), "{theirs}");
    }
}

#[tokio::test]
async fn a_refused_refund_says_whether_to_ask_again_as_far_as_their_text_tells() {
    for (text, retry) in [
        ("Account does not have enough balance to complete the operation", Retry::Later(Obstacle::Balance)),
        ("Saldo insuficiente", Retry::Later(Obstacle::Balance)),
        ("Valor excede o total da cobrança", Retry::Never),
        ("Erro", Retry::Unsaid),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &format!("/{PAYMENT}/refund"), 200, r#"{"refunds":[]}"#).await;
        on(&server, "POST", &format!("/{PAYMENT}/refund"), 400, &json!({"error": text}).to_string()).await;
        let refused = openpix(&server.uri()).refund(&new_refund()).await;
        let (code, message) = ("400".to_owned(), text.to_owned());
        assert_eq!(refused, Err(ProviderError::RefundRefused { provider: NAME, code, message, retry }));
    }
}
