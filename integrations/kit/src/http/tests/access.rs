//! A provider that does not accept our credentials.

use super::*;

fn not_accepted(code: &str, message: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: "propay", code: code.to_owned(), message: message.to_owned() }
}

#[tokio::test]
async fn who_does_not_accept_us_is_left_alone_at_once_and_everybody_hears_why() {
    let read = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(Refusal { code: body["code"].as_str()?.to_owned(), message: "no".to_owned() })
    };
    for status in [401, 403] {
        let (server, http) = answering(ResponseTemplate::new(status).set_body_json(json!({"code": "invalid_token"}))).await;
        for _ in 0..3 {
            let refused = http.post("/").repeatable().refusals(read).send::<Value>().await;
            assert_eq!(refused, Err(not_accepted("invalid_token", "no")), "{status}");
        }
        assert_eq!((calls(&server).await, http.breaker().state()), (1, State::Open), "{status}");
        assert_eq!(http.breaker_of(Lane::Background).state(), State::Closed, "{status}");
    }
}

#[tokio::test]
async fn in_the_background_a_401_is_about_all_calls_and_a_403_about_its_own() {
    for (status, asked, state) in [(401, 1, State::Open), (403, 3, State::Closed)] {
        let (server, http) = answering(ResponseTemplate::new(status)).await;
        for _ in 0..3 {
            let refused = http.get("/").lane(Lane::Background).send::<Value>().await;
            assert_eq!(refused, Err(not_accepted(&status.to_string(), "")));
        }
        let background = http.breaker_of(Lane::Background);
        assert_eq!((calls(&server).await, background.state(), background.snapshot().recent_failures), (asked, state, 0));
        assert_eq!(http.breaker().state(), State::Closed);
    }
}

#[tokio::test]
async fn a_403_in_their_own_words_may_be_about_one_thing() {
    let read = |body: &[u8]| (body == b"not yours").then(Refusal::default);
    for (status, body, is_about_us) in [(403, "not yours", false), (403, "<html>", true), (401, "not yours", true)] {
        let (_server, http) = answering(ResponseTemplate::new(status).set_body_string(body)).await;
        let call = http.get("/").forbidding(Forbidding::OneThing).refusals(read);
        let refused = call.send::<Value>().await.expect_err("refused");
        assert_eq!(matches!(refused, ProviderError::NotAccepted { .. }), is_about_us, "{status} {body}");
        assert_eq!(http.breaker().state() == State::Open, is_about_us, "{status} {body}");
    }
}

#[tokio::test]
async fn once_they_accept_us_again_all_goes_on() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(401)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("1")).mount(&server).await;
    let breaker = BreakerConfig { cooldown: Duration::ZERO, ..BreakerConfig::default() };
    let http = Http::new(HttpConfig { breaker, ..config(&server.uri()) }).expect("good");
    for _ in 0..2 {
        assert_eq!(http.post("/").send::<u8>().await, Err(not_accepted("401", "")));
        assert_eq!(http.breaker().state(), State::HalfOpen);
    }
    assert_eq!(http.post("/").send::<u8>().await, Ok(1));
    assert_eq!(http.breaker().state(), State::Closed);
}

#[tokio::test]
async fn no_token_is_no_entry_whatever_the_status() {
    let (_server, http) = answering(ResponseTemplate::new(400).set_body_string("bad client")).await;
    let answer = http.post("/token").lane(Lane::Background).send_raw().await.expect("an answer");
    assert_eq!(answer.refused_entry(None), not_accepted("400", ""));
    assert_eq!(http.breaker_of(Lane::Background).state(), State::Open);
    let (_server, http) = answering(ResponseTemplate::new(429)).await;
    let answer = http.post("/token").send_raw().await.expect("an answer");
    assert_eq!(answer.refused_entry(None), unavailable("429", None));
    assert_eq!(http.breaker().state(), State::Closed);
}
