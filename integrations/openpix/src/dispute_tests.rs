use serde_json::{Value, json};
use vitrine_kit::Money;
use vitrine_kit::dispute::{Contested, Stage, State};
use wiremock::matchers::{any, body_json_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::tests::{id, openpix, time};

const DISPUTE: &str = include_str!("../fixtures/dispute.json");
const DISPUTES: &str = include_str!("../fixtures/disputes.json");
const TRANSACTION: &str = include_str!("../fixtures/transaction.json");
const EVIDENCE: &str = include_str!("../fixtures/evidence.json");
const END_TO_END: &str = "E18236120202610011502s0266295234";

fn answer(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

async fn answering(status: u16, body: &str) -> (MockServer, OpenPix) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer(status, body)).mount(&server).await;
    let openpix = openpix(&server.uri());
    (server, openpix)
}

fn in_review() -> Dispute {
    Dispute {
        reference: END_TO_END.to_owned(),
        payment: Contested { end_to_end_id: Some(END_TO_END.to_owned()), ..Contested::default() },
        amount: Some(Money::from_cents(18_500)),
        currency: Some("BRL".to_owned()),
        stage: Stage::Contested,
        state: State::UnderReview,
        status: "IN_REVIEW".to_owned(),
        reason: "Produto não recebido".to_owned(),
        opened_at: None,
        due_by: None,
        evidence_ref: None,
    }
}

#[tokio::test]
async fn an_open_dispute_has_its_times_from_the_list_and_counts_without_them() {
    let began = Timestamp::now() - SignedDuration::from_hours(5);
    let listed = DISPUTES.replace("2026-10-02T17:28:51.882Z", &began.to_string());
    for (status, list, ends) in [(200, listed.as_str(), 1), (403, "{}", 0), (500, "", 0)] {
        let server = MockServer::start().await;
        let at = |place: &str| Mock::given(method("GET")).and(path(place.to_owned()));
        at(&format!("/api/v1/dispute/{END_TO_END}")).respond_with(answer(200, DISPUTE)).mount(&server).await;
        at(&format!("/api/v1/transaction/{END_TO_END}")).respond_with(answer(200, TRANSACTION)).mount(&server).await;
        at("/api/v1/dispute").respond_with(answer(status, list)).mount(&server).await;
        let read = openpix(&server.uri()).read_dispute(END_TO_END).await.expect("read").expect("a dispute");
        let due = (ends == 1).then(|| began + SignedDuration::from_hours(72));
        assert_eq!((read.state, read.opened_at, read.due_by), (State::UnderReview, due.map(|_| began), due), "{status}");
    }
    let (server, openpix) = answering(200, &DISPUTE.replace("IN_REVIEW", "ACCEPTED")).await;
    drop(openpix.read_dispute(END_TO_END).await);
    let asked = server.received_requests().await.expect("recording is on");
    assert!(!asked.iter().any(|call| call.url.path() == "/api/v1/dispute"), "one that has ended has no time left");
}

#[tokio::test]
async fn a_dispute_is_read_by_the_end_to_end_id_of_its_payment() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(format!("/api/v1/dispute/{END_TO_END}")))
        .and(header("authorization", "Q2xpZW50X0lk"))
        .respond_with(answer(200, DISPUTE))
        .mount(&server)
        .await;
    let settled = |status: u16, body: &str| {
        Mock::given(path(format!("/api/v1/transaction/{END_TO_END}"))).respond_with(answer(status, body)).mount_as_scoped(&server)
    };
    let openpix = openpix(&server.uri());
    let of = |payment_id: Option<&str>| {
        let mut dispute = in_review();
        dispute.payment.payment_id = payment_id.map(id);
        dispute
    };
    let payment = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
    for (status, body, payment_id) in [
        (200, TRANSACTION.to_owned(), Some(payment)),
        (200, TRANSACTION.replace(payment, "another-shop-7"), None),
        (200, TRANSACTION.replace("6295234", "6295235"), None),
        (200, r#"{"transaction":{"charge":null}}"#.to_owned(), None),
        (400, r#"{"error":"Transaction not found"}"#.to_owned(), None),
        (403, r#"{"error":"scope"}"#.to_owned(), None),
    ] {
        let _settled = settled(status, &body).await;
        assert_eq!(openpix.read_dispute(END_TO_END).await, Ok(Some(of(payment_id))), "{status} {body}");
    }
    let _settled = settled(500, "").await;
    assert!(openpix.read_dispute(END_TO_END).await.is_err(), "away is no word on whose it was");
    let (_server, unknown) = answering(400, r#"{"error":"Dispute not found"}"#).await;
    assert_eq!(unknown.read_dispute(END_TO_END).await, Ok(None));
    let (_server, proxy) = answering(404, "<html>").await;
    assert!(matches!(proxy.read_dispute(END_TO_END).await, Err(ProviderError::Rejected { code, .. }) if code == "404"));
    let (_server, other) = answering(200, &DISPUTE.replace("6295234", "6295235")).await;
    assert_eq!(other.read_dispute(END_TO_END).await, Err(unclear("answered about another dispute")));
    let outcome = openpix.read_dispute("E1/../charge").await;
    assert!(matches!(outcome, Err(ProviderError::Rejected { code, .. }) if code == "bad_id"));
}

#[tokio::test]
async fn disputes_are_listed_page_by_page_the_oldest_first_with_their_deadline() {
    let server = MockServer::start().await;
    let mut first: Value = serde_json::from_str(DISPUTES).expect("JSON");
    first["pageInfo"]["hasNextPage"] = json!(true);
    let second = json!({"disputes": [
        {"status": "REJECTED", "endToEndId": "E3", "value": 100, "createdAt": "2026-10-01T00:00:00Z"},
        {"status": "CANCELED", "endToEndId": "E4", "value": 100, "createdAt": "2026-09-01T00:00:00Z"},
        {"status": "CREATED", "value": 100, "createdAt": "2026-10-05T00:00:00Z"}], "pageInfo": {"hasNextPage": false}});
    for (skip, page) in [("0", &first), ("100", &second)] {
        Mock::given(method("GET"))
            .and(path("/api/v1/dispute"))
            .and(query_param("start", "2026-09-30T00:00:00Z"))
            .and(query_param("limit", "100"))
            .and(query_param("skip", skip))
            .respond_with(answer(200, &page.to_string()))
            .expect(1)
            .mount(&server)
            .await;
    }
    let listed = openpix(&server.uri()).disputes(time("2026-09-30T00:00:00Z")).await.expect("listed").expect("a list");
    let seen: Vec<_> = listed.iter().map(|d| (d.reference.as_str(), d.state)).collect();
    let lost = "E18236120202610011502s0266295299";
    assert_eq!(
        seen,
        [("E3", State::Won), (lost, State::Lost), (END_TO_END, State::UnderReview)],
        "too old or without a PIX: not ours"
    );
    let contested = &listed[2];
    assert_eq!(
        (contested.opened_at, contested.due_by),
        (Some(time("2026-10-02T17:28:51.882Z")), Some(time("2026-10-05T17:28:51.882Z")))
    );
}

#[tokio::test]
async fn a_list_that_repeats_its_page_is_an_error_and_not_a_partial_list() {
    let mut stuck: Value = serde_json::from_str(DISPUTES).expect("JSON");
    stuck["pageInfo"]["hasNextPage"] = json!(true);
    let (server, openpix) = answering(200, &stuck.to_string()).await;
    let outcome = openpix.disputes(time("2026-09-30T00:00:00Z")).await;
    assert_eq!(outcome, Err(unavailable("their list of disputes repeats a page")));
    assert_eq!(server.received_requests().await.expect("recording is on").len(), 2);
}

#[tokio::test]
async fn evidence_goes_out_once_with_an_id_of_ours() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/dispute/6a0c3f2e9b1d4c0012ab34cd/evidence"))
        .and(body_json_string(EVIDENCE))
        .respond_with(answer(200, EVIDENCE))
        .expect(1)
        .mount(&server)
        .await;
    let document = Document {
        id: id("01930000-0000-7000-8000-000000000002"),
        url: "https://loja.example.com/nota.pdf".to_owned(),
        description: "Nota fiscal".to_owned(),
    };
    let openpix = openpix(&server.uri());
    assert_eq!(openpix.submit_evidence("6a0c3f2e9b1d4c0012ab34cd", std::slice::from_ref(&document)).await, Ok(()));
    let (_server, decided) = answering(400, r#"{"error":"You cannot send a evidence for a accepted dispute"}"#).await;
    let refused = decided.submit_evidence("6a0c3f2e9b1d4c0012ab34cd", &[document]).await;
    assert!(matches!(refused, Err(ProviderError::Rejected { code, .. }) if code == "400"));
}
