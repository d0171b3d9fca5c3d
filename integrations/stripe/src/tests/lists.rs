use vitrine_kit::dispute::{Stage, State};
use wiremock::matchers::{query_param, query_param_is_missing};

use super::*;

fn stranger(n: i64, created: i64) -> String {
    INTENT.replace("pi_3Q", &format!("pi_{n}")).replace(PAYMENT, ORDER).replace("1790000000", &created.to_string())
}

fn page(items: &[String], has_more: bool) -> ResponseTemplate {
    ok(&format!(r#"{{"object":"list","has_more":{has_more},"data":[{}]}}"#, items.join(",")))
}

#[tokio::test]
async fn an_intent_is_found_by_our_id_pages_deep_and_no_further_than_it_can_be() {
    let server = MockServer::start().await;
    let young = 1_790_000_100;
    Mock::given(query_param("starting_after", "pi_2"))
        .respond_with(page(&[stranger(3, young), INTENT.to_owned()], true))
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(page(&[stranger(1, young), stranger(2, young)], true)).mount(&server).await;
    let stripe = stripe(&server.uri());
    let found = stripe.find(id(PAYMENT), at(1_790_000_000), Lane::Background).await.expect("looked").expect("there");
    assert_eq!(found.id, "pi_3Q");
    assert_eq!(calls(&server).await, [FIND.to_owned(), FIND.replace("limit=100", "limit=100&starting_after=pi_2")]);

    let (server, stripe) = answering_with(page(&[stranger(1, young), stranger(2, young)], false)).await;
    assert!(stripe.find(id(PAYMENT), at(1_790_000_000), Lane::Background).await.expect("looked").is_none());
    assert_eq!(requests(&server).await.len(), 1);

    let (server, stripe) = answering_with(page(&[stranger(1, young)], true)).await; // without an end
    let error = stripe.find(id(PAYMENT), at(1_790_000_000), Lane::Background).await.expect_err("too many");
    assert_eq!(error, unavailable("the list is longer than 100 pages", None));
    assert_eq!(requests(&server).await.len(), 100);
}

#[tokio::test]
async fn a_list_that_may_not_be_narrowed_is_not_read_whole() {
    let (server, stripe) = answering(400, &error("invalid_request_error", "", "Unexpected created")).await;
    let refused = rejected("400", "Unexpected created");
    assert_eq!(stripe.received(at(0), at(1)).await, Err(refused.clone()));
    assert_eq!(stripe.find(id(PAYMENT), at(1_790_000_000), Lane::Background).await.expect_err("refused"), refused);
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn what_went_back_is_listed_by_when_it_was_made_and_told_by_intent() {
    let refund = |n: i64, intent: &str| {
        format!(
            r#"{{"id":"re_{n}","object":"refund","amount":{n}00,"status":"succeeded","payment_intent":{intent},"metadata":{{}}}}"#
        )
    };
    let server = MockServer::start().await;
    let next = page(&[refund(3, "\"pi_1\""), refund(4, "null")], false);
    Mock::given(query_param("starting_after", "re_2")).respond_with(next).mount(&server).await;
    let first = page(&[refund(1, "\"pi_1\""), refund(2, "\"pi_2\"")], true);
    Mock::given(query_param_is_missing("starting_after")).respond_with(first).mount(&server).await;
    let told = stripe(&server.uri()).returns(at(1_790_000_000), at(1_790_086_400)).await.expect("listed");
    let query = "GET /v1/refunds?created[gte]=1790000000&created[lt]=1790086400&limit=100";
    assert_eq!(calls(&server).await, [query.to_owned(), format!("{query}&starting_after=re_2")]);
    let told: Vec<_> = told
        .iter()
        .map(|one| {
            let refunds = one.refunds.iter().map(|refund| (refund.reference.as_str(), refund.amount.cents())).collect::<Vec<_>>();
            (one.payment_id, one.reference.as_deref(), one.is_whole, refunds)
        })
        .collect();
    let expected =
        [(None, Some("pi_1"), false, vec![("re_1", 100), ("re_3", 300)]), (None, Some("pi_2"), false, vec![("re_2", 200)])];
    assert_eq!(told, expected);

    let (server, stripe) = answering_with(page(&[refund(1, "\"pi_1\"")], true)).await; // without an end
    let beyond = stripe.returns(at(0), at(1)).await;
    assert_eq!(beyond, Err(rejected("too_many_pages", "there are more than 100 pages of refunds")));
    assert_eq!(requests(&server).await.len(), 100);
}

#[tokio::test]
async fn disputes_are_listed_by_when_they_began_and_read_one_by_one() {
    let dispute = |n: i64, status: &str| {
        format!(
            r#"{{"id":"du_{n}","object":"dispute","amount":500,"status":"{status}","payment_intent":"pi_{n}","balance_transactions":[{{}}]}}"#
        )
    };
    let all = [(1, "needs_response"), (2, "lost"), (3, "prevented"), (4, "won"), (5, "under_review")];
    let (server, stripe) = answering_with(page(&all.map(|(n, status)| dispute(n, status)), false)).await;
    let told = stripe.disputes(at(1_790_000_000)).await.expect("listed");
    assert_eq!(calls(&server).await, ["GET /v1/disputes?created[gte]=1790000000&limit=100"]);
    let told: Vec<_> = told.iter().map(|dispute| (dispute.reference.as_str(), dispute.state)).collect();
    let expected = [
        ("du_5", State::UnderReview),
        ("du_4", State::Won),
        ("du_3", State::Unclear),
        ("du_2", State::Lost),
        ("du_1", State::Open),
    ];
    assert_eq!(told, expected);

    let (server, stripe) = answering(200, &dispute(7, "warning_under_review")).await;
    let seen = stripe.dispute("du_7").await.expect("read").expect("known");
    assert_eq!((seen.reference.as_str(), seen.stage, seen.state), ("du_7", Stage::Inquiry, State::UnderReview));
    assert_eq!(calls(&server).await, ["GET /v1/disputes/du_7"]);
    let (_server, stripe) = answering(404, &error("invalid_request_error", "resource_missing", "No such dispute")).await;
    assert_eq!(stripe.dispute("du_7").await, Ok(None));
}
