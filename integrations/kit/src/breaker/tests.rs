use tokio::time::advance;

use super::*;

fn breaker() -> Arc<Breaker> {
    Breaker::new("propay", BreakerConfig::default())
}

fn open_for(retry_after: Duration) -> Open {
    Open { retry_after, refusal: None }
}

fn fail(breaker: &Arc<Breaker>, times: usize) {
    for _ in 0..times {
        breaker.try_enter().expect("closed").failure();
    }
}

#[tokio::test(start_paused = true)]
async fn five_failures_inside_a_minute_open_it() {
    let breaker = breaker();
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.try_enter().expect_err("open"), open_for(Duration::from_secs(30)));
    advance(Duration::from_millis(29_500)).await;
    assert_eq!(breaker.try_enter().expect_err("open"), open_for(Duration::from_millis(500)));
    let seen = Snapshot { provider: "propay", state: State::Open, recent_failures: 0, retry_after_s: Some(1) };
    assert_eq!(breaker.snapshot(), seen);
}

#[tokio::test(start_paused = true)]
async fn failures_older_than_a_minute_are_forgotten() {
    let breaker = breaker();
    fail(&breaker, 1);
    advance(Duration::from_secs(30)).await;
    fail(&breaker, 3);
    advance(Duration::from_secs(30)).await; // the first is 60 s old
    assert_eq!(breaker.snapshot().recent_failures, 3);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn successes_between_do_not_hide_failures() {
    let breaker = breaker();
    for _ in 0..5 {
        breaker.try_enter().expect("closed").success();
        fail(&breaker, 1);
    }
    assert_eq!(breaker.state(), State::Open);
}

/// On real threads, which do not share a paused clock: so with no cooldown to wait for.
#[test]
fn after_the_cooldown_exactly_one_probe_goes_out() {
    let config = BreakerConfig { cooldown: Duration::ZERO, ..BreakerConfig::default() };
    let breaker = Breaker::new("propay", config);
    fail(&breaker, 5);
    assert_eq!(breaker.state(), State::HalfOpen);
    let line = std::sync::Barrier::new(32);
    let permits: Vec<Permit> = std::thread::scope(|scope| {
        let enter = || {
            line.wait();
            breaker.try_enter().ok()
        };
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(enter)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.filter_map(|permit| permit.expect("does not panic")).collect()
    });
    assert_eq!(permits.len(), 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    permits.into_iter().for_each(Permit::success);
    let seen = Snapshot { provider: "propay", state: State::Closed, recent_failures: 0, retry_after_s: None };
    assert_eq!(breaker.snapshot(), seen);
}

#[tokio::test(start_paused = true)]
async fn the_cooldown_ends_on_time() {
    let breaker = breaker();
    fail(&breaker, 5);
    advance(Duration::from_secs(30)).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    let probe = breaker.try_enter().expect("the probe");
    assert!(breaker.try_enter().is_err());
    probe.success();
    assert!(breaker.try_enter().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_dropped_probe_opens_it_for_another_cooldown() {
    let breaker = breaker();
    fail(&breaker, 5);
    advance(Duration::from_secs(30)).await;
    breaker.try_enter().expect("the probe").failure();
    assert_eq!(breaker.state(), State::Open);
    advance(Duration::from_secs(30)).await;
    drop(breaker.try_enter().expect("the probe"));
    assert_eq!(breaker.try_enter().expect_err("open"), open_for(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_is_no_failure_while_closed() {
    let breaker = breaker();
    for _ in 0..10 {
        drop(breaker.try_enter().expect("closed"));
    }
    assert_eq!(breaker.snapshot().recent_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_open_it_at_once_and_are_told_until_a_probe_ends_otherwise() {
    let breaker = breaker();
    let refusal = Refusal { code: "invalid_token".to_owned(), message: "Who are you?".to_owned() };
    let open = |retry_after| Open { retry_after: Duration::from_secs(retry_after), refusal: Some(refusal.clone()) };
    breaker.refuse(refusal.clone());
    assert_eq!(breaker.try_enter().expect_err("open"), open(30));
    advance(Duration::from_secs(10)).await;
    breaker.refuse(refusal.clone()); // of a call that was under way
    assert_eq!(breaker.try_enter().expect_err("open"), open(20), "it opens no longer for that");
    advance(Duration::from_secs(20)).await;
    breaker.try_enter().expect("the probe").success(); // an answer, and then its reader finds a refusal in it
    breaker.refuse(refusal.clone());
    assert_eq!(breaker.try_enter().expect_err("open"), open(30));
    advance(Duration::from_secs(30)).await;
    let probe = breaker.try_enter().expect("the probe");
    assert_eq!(breaker.try_enter().expect_err("one probe"), open(1));
    probe.failure();
    assert_eq!(breaker.try_enter().expect_err("open"), open_for(Duration::from_secs(30)), "now they are away");
    advance(Duration::from_secs(30)).await;
    breaker.try_enter().expect("the probe").success();
    fail(&breaker, 5);
    assert_eq!(breaker.try_enter().expect_err("open"), open_for(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_from_before_a_transition_is_ignored() {
    let breaker = breaker();
    let (slow_success, slow_failure) = (breaker.try_enter().expect("closed"), breaker.try_enter().expect("closed"));
    fail(&breaker, 5);
    slow_success.success(); // does not close it
    assert_eq!(breaker.state(), State::Open);
    advance(Duration::from_secs(30)).await;
    let probe = breaker.try_enter().expect("the probe");
    slow_failure.failure(); // does not speak for the probe
    assert_eq!(breaker.state(), State::HalfOpen);
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}
