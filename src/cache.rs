//! Finished answers: serialised once, compressed once per encoding, all forgotten at every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::future::Cache;
use serde::Serialize;

use crate::answer::Answer;
use crate::config::CacheConfig;
use crate::error::{Chain, Error, Result};

/// What one answer may weigh on average; the bound is this times `CACHE_L1_MAX_SIZE`.
const MEAN_WEIGHT: u64 = 64 * 1024;

/// What an answer is about. It decides how long the answer is kept, here and by clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Products,
    Categories,
}

impl Kind {
    /// Short for clients, whose copies no change evicts: a sold-out product must not be shown for minutes.
    fn cache_control(self) -> &'static str {
        match self {
            Self::Products => "public, max-age=15, stale-while-revalidate=60",
            Self::Categories => "public, max-age=60, stale-while-revalidate=300",
        }
    }
}

/// What a request asks for, in one spelling.
#[derive(Debug)]
pub struct Key {
    pub canonical: String,
    /// Whether the answer may also be cached under the request's own spelling. Not where it has unknown parameters: their
    /// values are unlimited and would fill the cache with copies.
    pub may_alias: bool,
}

/// Answers by path and query, bounded by weight. Off where `CACHE_ENABLED=false`.
#[derive(Debug)]
pub struct AnswerCache {
    answers: Option<Cache<String, Arc<Answer>>>,
    /// Goes up at every change. An answer that was read under an earlier generation is not kept.
    generation: AtomicU64,
    products_ttl: Duration,
    categories_ttl: Duration,
    /// This process's name in the notices that it sends.
    sender: String,
}

impl AnswerCache {
    pub fn new(config: &CacheConfig) -> Self {
        let answers = config.enabled.then(|| {
            Cache::builder()
                .max_capacity(config.max_answers.saturating_mul(MEAN_WEIGHT))
                .weigher(|key: &String, answer: &Arc<Answer>| answer.weight(key))
                .expire_after(UntilStale)
                .build()
        });
        Self {
            answers,
            generation: AtomicU64::new(0),
            products_ttl: config.products_ttl,
            categories_ttl: config.categories_ttl,
            sender: uuid::Uuid::new_v4().to_string(),
        }
    }

    /// `CACHE_ENABLED` is set.
    pub fn is_on(&self) -> bool {
        self.answers.is_some()
    }

    /// This process, in its own notices to the others.
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// Something about products or categories changed: forget what was answered.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        if let Some(answers) = &self.answers {
            answers.invalidate_all();
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The answer to this spelling of a request, if it is kept and nothing changed since.
    pub async fn find(&self, spelling: &str) -> Option<Arc<Answer>> {
        let answer = self.answers.as_ref()?.get(spelling).await?;
        (answer.generation == self.generation()).then_some(answer)
    }

    /// The answer under this key, made once however many ask at the same time. Errors are not kept.
    pub async fn get_or_make<T: Serialize>(
        &self,
        key: &str,
        kind: Kind,
        read: &impl AsyncFn() -> Result<T>,
    ) -> Result<Arc<Answer>> {
        let Some(answers) = &self.answers else { return self.make(kind, read).await };
        let since = self.generation();
        // At most twice: the first answer may come from a reader that began before the last change; the second began after it.
        for _ in 0..2 {
            let answer = answers.try_get_with_by_ref(key, self.make(kind, read)).await.map_err(shared)?;
            if answer.generation >= since {
                return Ok(answer);
            }
            answers.invalidate(key).await;
        }
        self.make(kind, read).await
    }

    /// The same answer as it is now, for one reader: neither kept nor to be kept.
    pub async fn make_private<T: Serialize>(&self, read: &impl AsyncFn() -> Result<T>) -> Result<Answer> {
        Ok(Answer::new(body_of(&read().await?)?, self.generation(), Instant::now(), "private, no-store"))
    }

    async fn make<T: Serialize>(&self, kind: Kind, read: &impl AsyncFn() -> Result<T>) -> Result<Arc<Answer>> {
        let generation = self.generation(); // before the read: a change during the read makes this answer stale
        let body = body_of(&read().await?)?;
        let ttl = match kind {
            Kind::Products => self.products_ttl,
            Kind::Categories => self.categories_ttl,
        };
        Ok(Arc::new(Answer::new(body, generation, Instant::now() + ttl, kind.cache_control())))
    }

    /// Keeps an answer under another spelling of its request.
    pub async fn remember(&self, spelling: &str, answer: Arc<Answer>) {
        if let Some(answers) = &self.answers {
            answers.insert(spelling.to_owned(), answer).await;
        }
    }
}

fn body_of(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|e| Error::Internal(format!("catalog answer: {e}")))
}

/// An answer expires at its own time, also when it is stored later under a second spelling.
struct UntilStale;

impl Expiry<String, Arc<Answer>> for UntilStale {
    fn expire_after_create(&self, _: &String, answer: &Arc<Answer>, now: Instant) -> Option<Duration> {
        Some(answer.stale_at.saturating_duration_since(now))
    }

    fn expire_after_update(&self, _: &String, answer: &Arc<Answer>, now: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(answer.stale_at.saturating_duration_since(now))
    }
}

/// The error of a read that several waited for.
fn shared(error: Arc<Error>) -> Error {
    Arc::try_unwrap(error).unwrap_or_else(|error| match &*error {
        Error::NotFound(what) => Error::NotFound(what),
        Error::Invalid(fields) => Error::Invalid(fields.clone()),
        error if error.retry_after().is_some() => Error::Busy { what: "The database is away", retry_after_s: 2 },
        error => Error::Internal(Chain(error).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    fn cache() -> AnswerCache {
        let ttl = Duration::from_secs(60);
        AnswerCache::new(&CacheConfig { enabled: true, max_answers: 10, products_ttl: ttl, categories_ttl: ttl })
    }

    #[tokio::test]
    async fn a_crowd_at_a_cold_page_is_one_read_and_all_get_its_answer() {
        let (cache, reads, door) = (cache(), AtomicUsize::new(0), Semaphore::new(0));
        let read = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            let _open = door.acquire().await;
            Ok("page")
        };
        let crowd = join_all((0..50).map(|_| cache.get_or_make("/page", Kind::Products, &read)));
        let (answers, ()) = tokio::join!(crowd, async { door.add_permits(1) }); // the read goes on once all of them wait
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_neither_found_nor_given_to_who_asks_after_it() {
        let (cache, reads) = (cache(), AtomicUsize::new(0));
        let read = async || {
            if reads.fetch_add(1, Ordering::Relaxed) == 0 {
                cache.forget(); // a change during the first read
            }
            Ok("page")
        };
        let early = cache.get_or_make("/page", Kind::Products, &read).await.expect("read");
        assert!(cache.find("/page").await.is_none());
        let late = cache.get_or_make("/page", Kind::Products, &read).await.expect("read");
        assert!(late.generation > early.generation);
        assert!(cache.find("/page").await.is_some());
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_error_reaches_all_who_wait_and_is_not_kept() {
        let (cache, reads) = (cache(), AtomicUsize::new(0));
        let read = async || {
            if reads.fetch_add(1, Ordering::Relaxed) == 0 { Err(Error::NotFound("The product")) } else { Ok("page") }
        };
        assert!(matches!(cache.get_or_make("/page", Kind::Products, &read).await, Err(Error::NotFound("The product"))));
        assert!(cache.get_or_make("/page", Kind::Products, &read).await.is_ok());
    }
}
