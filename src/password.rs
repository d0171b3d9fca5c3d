//! Argon2id on blocking threads, bounded: a flood of logins waits, then is refused, and the catalog stays fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// 64 MiB, three passes, four lanes: RFC 9106's second recommendation, with one pass more than OWASP's minimum.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// Logins that may wait per core; the next one gets 503.
const QUEUE_PER_CORE: usize = 16;

#[derive(Debug)]
pub struct Hasher {
    argon: Argon2<'static>,
    cores: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    /// The hash that a login for an unknown e-mail is checked against, so that it takes as long as any other.
    decoy: String,
}

impl Hasher {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within Argon2's bounds");
        Self {
            argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            cores: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            most_waiting: cores * QUEUE_PER_CORE,
            decoy: "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$Vnh7l2oWYv7zD7GxqPqN6xk5o5r0l1q0mJc0c6q2v1E".to_owned(),
        }
    }

    /// The PHC string to store.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        let argon = self.argon.clone();
        self.run(move || {
            let hash = argon.hash_password(password.expose_secret().as_bytes());
            hash.map(|h| h.to_string()).map_err(|e| Error::Internal(format!("argon2: {e}")))
        })
        .await?
    }

    /// Whether it is the password of `stored`. With `None` (no such account) it takes as long and answers no.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let argon = self.argon.clone();
        let matches = self
            .run(move || {
                let hash = PasswordHash::new(&stored).map_err(|e| Error::Internal(format!("a stored password hash: {e}")))?;
                Ok::<_, Error>(argon.verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
            })
            .await??;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let queued = Queued::enter(&self.waiting, self.most_waiting)?;
        let permit = Arc::clone(&self.cores).acquire_owned().await.map_err(|e| Error::Internal(e.to_string()))?;
        drop(queued);
        tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(permit); // held by the work, not by the request: a client that disconnects frees no memory early
            answer
        })
        .await
        .map_err(|e| Error::Internal(e.to_string()))
    }
}

/// A place in the queue, freed however the wait ends.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= most {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Busy { what: "Too many people are signing in at this moment", retry_after_s: 2 });
        }
        Ok(Self(waiting))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let hasher = Hasher::new();
        let stored = hasher.hash(SecretString::from("correto cavalo bateria")).await.expect("hash");
        assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"));
        assert!(hasher.verify(SecretString::from("correto cavalo bateria"), Some(stored.clone())).await.expect("verify"));
        assert!(!hasher.verify(SecretString::from("correto cavalo"), Some(stored)).await.expect("verify"));
        assert!(!hasher.verify(SecretString::from("anything"), None).await.expect("the decoy is a valid hash"));
    }
}
