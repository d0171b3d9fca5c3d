//! Labels that are looked for by their tag: in the cart, by a search, among all that was bought.

use serde_json::{Value, json};
use vitrine_kit::TaxId;
use wiremock::matchers::{any, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::labels_tests::{CART, ID, TAG, calls, serving, value};
use super::tests::broker;
use super::*;

const CART_PAGE: &str = include_str!("../fixtures/cart_page.json");
const ORDERS: &str = include_str!("../fixtures/orders.json");

/// Mocks the cart's pages: each (page, body) is served so many times, in this order.
async fn cart_answers(server: &MockServer, pages: &[(&str, &str, u64)]) {
    for (page, body, times) in pages {
        let answer = ResponseTemplate::new(200).set_body_string(*body);
        let mock = Mock::given(path("/api/v2/me/cart")).and(query_param("page", *page)).respond_with(answer);
        mock.up_to_n_times(*times).mount(server).await;
    }
}

/// The answer to every search.
async fn search_answers(server: &MockServer, status: u16, body: &str) {
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(path("/api/v2/me/orders/search")).respond_with(answer).mount(server).await;
}

/// The recipient's document.
fn document() -> TaxId {
    TaxId::parse("52998224725").expect("valid")
}

/// A page of labels that are not ours.
fn others(page: u32, last: u32, ids: &[&str]) -> String {
    let labels: Vec<Value> = ids.iter().map(|id| json!({"id": id, "status": "pending"})).collect();
    json!({"current_page": page, "last_page": last, "data": labels}).to_string()
}

#[tokio::test]
async fn a_tag_is_found_on_every_page_of_the_cart_then_among_the_bought() {
    let server = MockServer::start().await;
    let second = format!(r#"{{"current_page":2,"last_page":2,"data":[{CART}]}}"#);
    cart_answers(&server, &[("1", CART_PAGE, 99), ("2", &second, 1), ("2", &others(2, 2, &[]), 99)]).await;
    search_answers(&server, 200, ORDERS).await;
    let broker = broker(&server.uri());
    let in_cart = broker.find_by_tag(TAG, Some(&document())).await.expect("an answer").expect("there");
    assert_eq!((in_cart.id.as_str(), in_cart.status), (ID, LabelStatus::Pending));
    let bought = broker.find_by_tag(TAG, Some(&document())).await.expect("an answer").expect("there");
    assert_eq!((bought.status, bought.tracking.as_deref()), (LabelStatus::Released, Some("ME0000000001BR")));
}

#[tokio::test]
async fn a_tag_that_is_nowhere_is_absent() {
    let server = MockServer::start().await;
    cart_answers(&server, &[("1", &others(1, 1, &["a"]), 99)]).await;
    search_answers(&server, 404, "{}").await;
    assert_eq!(broker(&server.uri()).find_by_tag(TAG, Some(&document())).await, Ok(None));
    assert_eq!(calls(&server).await, 3, "the cart, and both searches: a single page cannot move under the reader");
}

#[tokio::test]
async fn a_label_that_moves_up_while_the_pages_are_turned_is_not_missed() {
    let server = MockServer::start().await;
    // "a" is paid between the two pages: ours moves from the second one to the first.
    let moved = format!(r#"{{"current_page":1,"last_page":2,"data":[{{"id":"b","status":"pending"}},{CART}]}}"#);
    cart_answers(&server, &[("1", &others(1, 2, &["a", "b"]), 1), ("1", &moved, 99), ("2", &others(2, 2, &["d"]), 99)]).await;
    search_answers(&server, 404, "{}").await;
    let found = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await.expect("an answer").expect("there");
    assert_eq!(found.id, ID);
}

#[tokio::test]
async fn a_cart_that_keeps_changing_or_never_ends_is_no_proof_that_a_label_is_absent() {
    let server = MockServer::start().await;
    for n in 0..20 {
        cart_answers(&server, &[("1", &others(1, 2, &[&format!("a{n}")]), 1)]).await;
    }
    cart_answers(&server, &[("2", &others(2, 2, &["z"]), 99)]).await;
    search_answers(&server, 404, "{}").await;
    let outcome = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await;
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "{outcome:?}");
    let server = MockServer::start().await;
    cart_answers(&server, &[("1", &others(1, 4_000, &["a"]), 99)]).await;
    let outcome = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await;
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_search_that_knows_no_tags_finds_the_label_by_its_recipient() {
    let other = json!({"id": "a", "status": "released", "tags": [{"tag": "another"}]});
    let ended = json!({"id": "b", "status": "canceled", "tags": [{"tag": TAG}]});
    let ours: Value = value(ORDERS)[0].clone();
    let server = MockServer::start().await;
    cart_answers(&server, &[("1", &others(1, 1, &[]), 9)]).await;
    let search = |q: &str| Mock::given(path("/api/v2/me/orders/search")).and(query_param("q", q));
    search(TAG).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&server).await;
    let first = json!({"current_page": 1, "last_page": 2, "data": [other, ended]});
    let second = json!({"current_page": 2, "last_page": 2, "data": [ours]});
    for (page, body) in [("1", first), ("2", second)] {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        search("52998224725").and(query_param("page", page)).respond_with(answer).mount(&server).await;
    }
    let found = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await.expect("an answer").expect("there");
    assert_eq!(found.id, ID, "what was given back counts only where there is nothing else");
}

#[tokio::test]
async fn a_search_by_one_of_both_that_fails_is_not_an_absence() {
    for failing in [TAG, "52998224725"] {
        let server = MockServer::start().await;
        cart_answers(&server, &[("1", &others(1, 1, &[]), 9)]).await;
        let search = Mock::given(path("/api/v2/me/orders/search")).and(query_param("q", failing));
        search.respond_with(ResponseTemplate::new(503)).mount(&server).await;
        search_answers(&server, 200, "[]").await;
        let outcome = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await;
        assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "{failing}: {outcome:?}");
    }
}

#[tokio::test]
async fn without_a_document_all_that_was_bought_is_looked_through() {
    let page = |ids: &[&str]| ResponseTemplate::new(200).set_body_string(others(1, 2, ids));
    for (second, found) in [(page(&["d"]), false), (ResponseTemplate::new(200).set_body_string(ORDERS), true)] {
        let server = MockServer::start().await;
        cart_answers(&server, &[("1", &others(1, 1, &[]), 9)]).await;
        search_answers(&server, 404, "{}").await;
        for (n, answer) in [("1", page(&["a"])), ("2", second)] {
            Mock::given(path("/api/v2/me/orders")).and(query_param("page", n)).respond_with(answer).mount(&server).await;
        }
        let outcome = broker(&server.uri()).find_by_tag(TAG, None).await.expect("an answer");
        assert_eq!(outcome.map(|label| label.id), found.then(|| ID.to_owned()));
    }
    let server = MockServer::start().await;
    cart_answers(&server, &[("1", &others(1, 1, &[]), 9)]).await;
    search_answers(&server, 404, "{}").await;
    let outcome = broker(&server.uri()).find_by_tag(TAG, None).await;
    assert!(matches!(outcome, Err(ProviderError::Rejected { .. })), "a list that is not there proves nothing: {outcome:?}");
}

#[tokio::test]
async fn nothing_may_be_said_with_no_body_at_all() {
    for (status, body) in [(204, ""), (200, ""), (200, "null"), (200, r#"{"data":null}"#), (200, "[]")] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string(body)).mount(&server).await;
        let broker = broker(&server.uri());
        assert_eq!(broker.find_by_tag(TAG, Some(&document())).await, Ok(None), "{status} {body}");
    }
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/tracking", 204, "").await;
    assert_eq!(broker.track(&[ID]).await, Ok(vec![]));
}

#[tokio::test]
async fn a_search_that_fails_is_not_an_absence() {
    for (status, body) in [(401, r#"{"message":"Unauthenticated."}"#), (200, r#"{"oops":1}"#)] {
        let server = MockServer::start().await;
        cart_answers(&server, &[("1", &others(1, 1, &[]), 1)]).await;
        search_answers(&server, status, body).await;
        let outcome = broker(&server.uri()).find_by_tag(TAG, Some(&document())).await;
        assert_eq!(matches!(outcome, Err(ProviderError::NotAccepted { .. })), status == 401, "{outcome:?}");
        assert_eq!(matches!(outcome, Err(ProviderError::Unavailable { .. })), status == 200, "{outcome:?}");
    }
}
