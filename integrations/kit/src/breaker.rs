//! The circuit breaker: it stops calls to a provider that keeps failing, and after a while lets one call through as a test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::refusal::Refusal;

#[cfg(test)]
mod tests;

/// When to stop calling, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// This many failures …
    pub threshold: u32,
    /// … inside this time open it.
    pub window: Duration,
    /// How long it stays open before one probe goes out.
    pub cooldown: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { threshold: 5, window: Duration::from_secs(60), cooldown: Duration::from_secs(30) }
    }
}

/// Whether a buyer waits for a call. Each lane of a provider has a breaker of its own, so that failures of background calls (one
/// charge that fails at every check) cannot stop the calls of buyers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A buyer: a charge to pay, a quote.
    Buyer,
    /// Nobody: a job checks a state, makes a refund, compares the books.
    Background,
}

/// One per provider and lane, shared by all who call it there.
#[derive(Debug)]
pub struct Breaker {
    provider: &'static str,
    name: &'static str,
    config: BreakerConfig,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// Increases with every transition. Results of permits from an earlier one are ignored.
    generation: u64,
    /// The refusal of our credentials, if that opened it.
    refusal: Option<Refusal>,
}

#[derive(Debug)]
enum Phase {
    /// When the failures inside the window happened, oldest first.
    Closed(VecDeque<Instant>),
    Open {
        until: Instant,
    },
    /// The probe is being sent.
    Probing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Closed,
    Open,
    /// The cooldown is over: the next call is the probe, or the probe is being sent.
    HalfOpen,
}

/// What an operator sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The breaker's name.
    pub provider: &'static str,
    pub state: State,
    /// Failures inside the window; 0 unless closed.
    pub recent_failures: usize,
    /// Whole seconds until the probe may go out, rounded up; only while open.
    pub retry_after_s: Option<u64>,
}

/// The call is refused at once, because the breaker is open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    pub retry_after: Duration,
    /// The provider's refusal, if it does not accept our credentials.
    pub refusal: Option<Refusal>,
}

/// The permission for one call with all its tries. Report how it ended: a probe that is dropped without a result counts as a
/// failure.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    generation: u64,
    is_probe: bool,
    is_settled: bool,
}

/// How long a caller should wait while the probe is being sent.
const PROBE_WAIT: Duration = Duration::from_secs(1);

impl Breaker {
    /// The breaker of a provider with one lane. It has the provider's name.
    pub fn new(provider: &'static str, config: BreakerConfig) -> Arc<Self> {
        Self::named(provider, provider, config)
    }

    /// `name` is shown to the operator.
    pub fn named(provider: &'static str, name: &'static str, config: BreakerConfig) -> Arc<Self> {
        let inner = Inner { phase: Phase::Closed(VecDeque::new()), generation: 0, refusal: None };
        Arc::new(Self { provider, name, config, inner: Mutex::new(inner) })
    }

    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// The name for the operator: the provider's, or the provider's with the lane.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks for permission to call. When the cooldown is over, exactly one caller gets it.
    pub fn try_enter(self: &Arc<Self>) -> Result<Permit, Open> {
        let mut inner = self.lock();
        let is_probe = match inner.phase {
            Phase::Closed(_) => false,
            Phase::Probing => {
                return Err(Open { retry_after: PROBE_WAIT, refusal: inner.refusal.clone() });
            }
            Phase::Open { until } => {
                let wait = until.saturating_duration_since(Instant::now());
                if !wait.is_zero() {
                    return Err(Open { retry_after: wait, refusal: inner.refusal.clone() });
                }
                self.turn(&mut inner, Phase::Probing);
                true
            }
        };
        Ok(Permit { breaker: Arc::clone(self), generation: inner.generation, is_probe, is_settled: false })
    }

    pub fn state(&self) -> State {
        self.snapshot().state
    }

    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut inner = self.lock();
        let (state, recent_failures, retry_after_s) = match &mut inner.phase {
            Phase::Closed(failures) => {
                self.forget_old(failures, now);
                (State::Closed, failures.len(), None)
            }
            Phase::Open { until } if *until > now => (State::Open, 0, Some((*until - now).as_millis().div_ceil(1000) as u64)),
            Phase::Open { .. } | Phase::Probing => (State::HalfOpen, 0, None),
        };
        Snapshot { provider: self.name, state, recent_failures, retry_after_s }
    }

    /// Counts a failure that showed only after the permit was settled (an answer that made no sense).
    pub(crate) fn blame(&self) {
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Closed(_)) {
            self.fail(&mut inner);
        }
    }

    /// Opens it at once: the provider does not accept our credentials, so the next call would fail too. Until a probe ends
    /// differently, all other callers get that refusal.
    pub fn refuse(&self, refusal: Refusal) {
        let mut inner = self.lock();
        inner.refusal = Some(refusal);
        if !matches!(inner.phase, Phase::Open { until } if until > Instant::now()) {
            self.turn(&mut inner, Phase::Open { until: Instant::now() + self.config.cooldown });
        }
    }

    fn settle(&self, generation: u64, succeeded: bool) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return; // the result of an earlier period
        }
        match (succeeded, &inner.phase) {
            (true, Phase::Probing) => {
                inner.refusal = None;
                self.turn(&mut inner, Phase::Closed(VecDeque::new()));
            }
            (true, _) => {}
            (false, _) => self.fail(&mut inner),
        }
    }

    fn fail(&self, inner: &mut Inner) {
        let now = Instant::now();
        if let Phase::Closed(failures) = &mut inner.phase {
            self.forget_old(failures, now);
            failures.push_back(now);
            if failures.len() < self.config.threshold.max(1) as usize {
                return;
            }
        }
        inner.refusal = None;
        self.turn(inner, Phase::Open { until: now + self.config.cooldown });
    }

    fn forget_old(&self, failures: &mut VecDeque<Instant>, now: Instant) {
        while failures.front().is_some_and(|&at| now.duration_since(at) >= self.config.window) {
            failures.pop_front();
        }
    }

    fn turn(&self, inner: &mut Inner, phase: Phase) {
        match phase {
            Phase::Closed(_) => tracing::info!(provider = self.provider, breaker = self.name, "breaker closed"),
            Phase::Open { .. } => tracing::warn!(provider = self.provider, breaker = self.name, "breaker opened"),
            Phase::Probing => tracing::info!(provider = self.provider, breaker = self.name, "breaker lets a probe out"),
        }
        inner.phase = phase;
        inner.generation += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner) // a panic cannot leave it inconsistent
    }
}

impl Permit {
    /// The provider answered, perhaps with a refusal.
    pub fn success(mut self) {
        self.settle(true);
    }

    /// The provider did not answer, or the answer could not be read.
    pub fn failure(mut self) {
        self.settle(false);
    }

    /// The breaker has opened meanwhile: no further try may be made.
    pub(crate) fn is_revoked(&self) -> bool {
        let inner = self.breaker.lock();
        inner.generation != self.generation && !matches!(inner.phase, Phase::Closed(_))
    }

    fn settle(&mut self, succeeded: bool) {
        self.is_settled = true;
        self.breaker.settle(self.generation, succeeded);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // A call that its caller cancelled says nothing about the provider. But a probe must have a result: it counts as failed.
        if self.is_probe && !self.is_settled {
            self.settle(false);
        }
    }
}
