//! One call: its tries, and its outcome.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{Answer, Call, Forbidding, Inner, root};
use crate::breaker::{Breaker, Lane, Open, Permit};
use crate::{ProviderError, trace};

/// Tries of a call that may be repeated, the first included.
const TRIES: u32 = 3;
/// The wait before the second try, at most; each later one is three times as long.
const FIRST_PAUSE_MS: u64 = 100;
/// A longer `Retry-After` is not waited for: it is returned to the caller.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the call allows.
struct Rules {
    is_read: bool,
    is_repeatable: bool,
    blames: &'static [u16],
    busy: &'static [u16],
    retry_header: Option<&'static str>,
    keeps_failures: bool,
    is_final: Option<fn(&Answer) -> bool>,
    lane: Lane,
    forbidding: Forbidding,
}

impl Rules {
    /// The provider's header about another try.
    fn told(&self, answer: &Answer) -> Option<bool> {
        answer.header(self.retry_header?)?.trim().parse().ok()
    }

    fn is_busy(&self, answer: &Answer) -> bool {
        answer.status == 429 || self.busy.contains(&answer.status) || (!answer.is_success() && self.told(answer) == Some(true))
    }
}

/// Why a try failed.
enum Failure {
    /// No connection, so certainly not sent.
    NotSent { is_refused: bool, reason: String },
    /// Sent, and no answer came.
    Lost(&'static str),
    /// Sent, and the answer cannot be read. Another try would hardly help.
    Garbled(String),
    /// 5xx. The body was not read.
    Broken(Answer),
    /// 429, or another status with the same meaning.
    Busy(Answer),
}

/// The result of all tries.
struct End<T> {
    outcome: Result<(T, u16), ProviderError>,
    /// The result for the breaker: one for the whole call. `None`: the provider was not asked.
    is_failure: Option<bool>,
}

/// Tries until `read` can read an answer, no more try is allowed, or the time is over.
pub(super) async fn run<T>(call: Call, read: impl Fn(Answer) -> Result<T, String>) -> Result<T, ProviderError> {
    let Call { http, builder, method, path, lane, is_repeatable, is_read, blames, busy, retry_header, keeps_failures, .. } = call;
    let (forbidding, is_final) = (call.forbidding, call.is_final);
    let rules = Rules { is_read, is_repeatable, blames, busy, retry_header, keeps_failures, is_final, lane, forbidding };
    let started = Instant::now();
    let mut tries = 0;
    let outcome = match (prepare(&http, builder), http.breaker(lane)) {
        (Ok(request), breaker) => match breaker.try_enter() {
            Ok(permit) => http.call(&request, started + http.timeout, &rules, &mut tries, (breaker, permit), read).await,
            Err(open) => Err(http.left_alone(open)),
        },
        (Err(unsendable), _) => Err(unsendable),
    };
    let (provider, duration_ms) = (http.provider, started.elapsed().as_millis() as u64);
    match &outcome {
        Ok((_, status)) => {
            tracing::info!(provider, %method, path, status, duration_ms, tries, "provider called")
        }
        Err(error) => {
            tracing::warn!(provider, %method, path, duration_ms, tries, %error, "provider call failed")
        }
    }
    outcome.map(|(value, _)| value)
}

/// The same request, with the same id, goes out on every try.
fn prepare(http: &Inner, builder: reqwest::RequestBuilder) -> Result<reqwest::Request, ProviderError> {
    let id = trace::request_id().unwrap_or_else(|| Uuid::new_v4().to_string());
    builder.header("x-request-id", id).build().map_err(|e| ProviderError::Rejected {
        provider: http.provider,
        code: "unsendable".to_owned(),
        message: format!("the request cannot be built: {}", root(&e)),
    })
}

impl Inner {
    /// Reports one result to the breaker, however many tries there were.
    async fn call<T>(
        &self,
        request: &reqwest::Request,
        deadline: Instant,
        rules: &Rules,
        tries: &mut u32,
        (breaker, permit): (&Arc<Breaker>, Permit),
        read: impl Fn(Answer) -> Result<T, String>,
    ) -> Result<(T, u16), ProviderError> {
        let End { outcome, is_failure } = self.tries(request, deadline, rules, tries, (breaker, &permit), read).await;
        match is_failure {
            Some(true) => permit.failure(),
            Some(false) => permit.success(),
            None => drop(permit),
        }
        outcome
    }

    /// Waits for a turn, where they are given out. `Err`: how long it would have been.
    async fn turn(&self, is_first: bool, deadline: Instant) -> Result<(), Duration> {
        match &self.paced {
            Some(paced) if paced.first || !is_first => paced.turns.turn(deadline.saturating_duration_since(Instant::now())).await,
            _ => Ok(()),
        }
    }

    async fn tries<T>(
        &self,
        request: &reqwest::Request,
        deadline: Instant,
        rules: &Rules,
        tries: &mut u32,
        (breaker, permit): (&Arc<Breaker>, &Permit),
        read: impl Fn(Answer) -> Result<T, String>,
    ) -> End<T> {
        if let Err(wait) = self.turn(true, deadline).await {
            let outcome = Err(self.unavailable("our own allowance of calls is used up".to_owned(), Some(wait)));
            return End { outcome, is_failure: None };
        }
        let (mut may_have_happened, mut is_failure) = (false, false); // by any try so far
        let failure = loop {
            *tries += 1;
            let request = request.try_clone().expect("every body here is plain bytes, which can be sent again");
            let failure = match self.attempt(request, deadline, breaker, rules, &read).await {
                Ok((value, status)) => {
                    return End { outcome: Ok((value, status)), is_failure: Some(rules.blames.contains(&status)) };
                }
                Err(failure) => failure,
            };
            may_have_happened |= failure.may_have_happened(rules);
            is_failure |= !matches!(failure, Failure::Busy(_));
            match failure.pause(rules, *tries) {
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                _ => break failure,
            }
            if permit.is_revoked() || self.turn(false, deadline).await.is_err() {
                break failure; // others' calls opened it, or there is no turn in time
            }
        };
        let reason = failure.reason();
        let outcome = match failure {
            Failure::Broken(answer) if rules.keeps_failures => {
                let status = answer.status;
                read(answer).map(|value| (value, status)).map_err(|reason| self.unknown(reason))
            }
            _ if may_have_happened => Err(self.unknown(reason)),
            Failure::Busy(answer) => {
                let status = answer.status;
                read(answer).map(|value| (value, status)).map_err(|reason| self.unavailable(reason, None))
            }
            failure => Err(self.unavailable(reason, failure.retry_after())),
        };
        End { outcome, is_failure: Some(is_failure) }
    }

    /// One request. Some refusals are answers that the breaker counts as failures.
    async fn attempt<T>(
        &self,
        request: reqwest::Request,
        deadline: Instant,
        breaker: &Arc<Breaker>,
        rules: &Rules,
        read: impl Fn(Answer) -> Result<T, String>,
    ) -> Result<(T, u16), Failure> {
        let answer = match timeout_at(deadline, self.roundtrip(request, breaker, rules)).await {
            Ok(result) => result?,
            Err(_) => return Err(Failure::Lost("no answer in time")),
        };
        if !rules.blames.contains(&answer.status) && rules.is_busy(&answer) {
            return Err(Failure::Busy(answer));
        }
        let status = answer.status;
        read(answer).map(|value| (value, status)).map_err(Failure::Garbled)
    }

    async fn roundtrip(&self, request: reqwest::Request, breaker: &Arc<Breaker>, rules: &Rules) -> Result<Answer, Failure> {
        let response = self.client.execute(request).await.map_err(|e| Failure::of(&e))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = |body| Answer {
            status,
            body,
            headers,
            breaker: Arc::clone(breaker),
            is_read: rules.is_read,
            lane: rules.lane,
            forbidding: rules.forbidding,
        };
        if status >= 500 {
            return Err(Failure::Broken(answer(Bytes::new())));
        }
        Ok(answer(self.body(response).await?))
    }

    /// The body, up to the limit. Its bytes are counted as they arrive; a declared length is not trusted.
    async fn body(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Failure::of(&e))? {
            if body.len() + chunk.len() > self.max_response_bytes {
                return Err(Failure::Garbled(format!("the answer is larger than {} bytes", self.max_response_bytes)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn unknown(&self, reason: String) -> ProviderError {
        ProviderError::Unknown { provider: self.provider, reason }
    }

    fn left_alone(&self, open: Open) -> ProviderError {
        match &open.refusal {
            Some(refusal) => refusal.clone().not_accepted(self.provider),
            None => self.unavailable(open.to_string(), Some(open.retry_after)),
        }
    }

    fn unavailable(&self, reason: String, retry_after: Option<Duration>) -> ProviderError {
        let retry_after_s = retry_after.map(|wait| wait.as_millis().div_ceil(1000) as u64);
        ProviderError::Unavailable { provider: self.provider, reason, retry_after_s }
    }
}

impl Failure {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            return Self::NotSent { is_refused: is_refused(error), reason: format!("could not connect: {}", root(error)) };
        }
        Self::Lost("the connection broke")
    }

    /// Whether the call may have been done.
    fn may_have_happened(&self, rules: &Rules) -> bool {
        match self {
            _ if rules.is_read => false,
            Self::NotSent { .. } | Self::Busy(_) => false,
            // A gateway could not reach the provider. The provider recognises repeats.
            Self::Broken(Answer { status: 502..=504, .. }) => !rules.is_repeatable || rules.keeps_failures,
            Self::Broken(_) | Self::Lost(_) | Self::Garbled(_) => true,
        }
    }

    /// How long to wait before another try; `None`: there is none.
    fn pause(&self, rules: &Rules, tries: u32) -> Option<Duration> {
        match self {
            Self::Garbled(_) => None,
            Self::Broken(answer) | Self::Busy(answer) if rules.told(answer) == Some(false) => None,
            Self::Busy(answer) if rules.is_final.is_some_and(|is_final| is_final(answer)) => None,
            Self::NotSent { is_refused: true, .. } if !rules.is_repeatable => (tries == 1).then_some(Duration::ZERO),
            _ if !rules.is_repeatable || tries >= TRIES => None,
            _ => match self.retry_after() {
                Some(asked) => (asked <= LONGEST_PAUSE).then_some(asked),
                None => {
                    let most = FIRST_PAUSE_MS * 3_u64.pow(tries - 1);
                    Some(Duration::from_millis(rand::random_range(most / 2..=most)))
                }
            },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Broken(answer) | Self::Busy(answer) => answer.retry_after(),
            Self::NotSent { .. } | Self::Lost(_) | Self::Garbled(_) => None,
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::NotSent { reason, .. } | Self::Garbled(reason) => reason.clone(),
            Self::Lost(reason) => (*reason).to_owned(),
            Self::Broken(answer) | Self::Busy(answer) => format!("answered {}", answer.status),
        }
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
