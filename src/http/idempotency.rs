//! `Idempotency-Key`: the first answer is stored with its effect, and sent again for each repeat of the request.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use deadpool_postgres::GenericClient;
use futures_util::future::{Ready, ready};
use serde::Serialize;
use tokio_postgres::Row;

use crate::db;
use crate::error::{Error, Result};

const MAX_KEY: usize = 255;
/// How long a request may hold its key before a repeat takes over. If a server dies, the client waits no longer than this. If a
/// server is only slow, the work may run twice; its effect is idempotent. By the database's clock, because servers' clocks
/// differ.
const LEASE: Duration = Duration::from_secs(15);

/// The header, if it was sent. One that is no key is refused by [`IdempotencyKey::bind`]: who may not do it at all is told that first.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<Result<String, NoKey>>);

#[derive(Debug, Clone, Copy)]
struct NoKey;

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(req.headers().get("idempotency-key").map(|value| match value.to_str() {
            Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(key.to_owned()),
            _ => Err(NoKey),
        }))))
    }
}

impl IdempotencyKey {
    /// Binds the key to its sender, the route and the body. `None`: no key was sent.
    ///
    /// Errors: 400 it is empty, too long or not ASCII.
    pub fn bind(self, scope: String, fingerprint: Vec<u8>) -> Result<Option<Claim>> {
        match self.0 {
            None => Ok(None),
            Some(Ok(key)) => Ok(Some(Claim { scope, key, fingerprint })),
            Some(Err(NoKey)) => Err(Error::Malformed(format!("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters"))),
        }
    }
}

/// A key with its owner, its route and its body.
#[derive(Debug, Clone)]
pub struct Claim {
    pub scope: String,
    pub key: String,
    pub fingerprint: Vec<u8>,
}

/// The first answer under a key, as it was kept.
#[derive(Debug)]
pub struct Kept {
    status: StatusCode,
    body: Vec<u8>,
}

impl Kept {
    /// The stored body. Capabilities are never stored: the caller adds them again.
    pub fn body(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).map_err(|e| Error::Internal(format!("a kept answer: {e}")))
    }

    /// The first answer again, if all of it was stored.
    pub fn answer(self) -> HttpResponse {
        HttpResponse::build(self.status)
            .insert_header(("Idempotency-Replayed", "true"))
            .content_type("application/json")
            .body(self.body)
    }

    /// The first answer again, completed by the caller.
    pub fn answer_with(&self, whole: &impl Serialize) -> HttpResponse {
        HttpResponse::build(self.status).insert_header(("Idempotency-Replayed", "true")).json(whole)
    }
}

/// Takes the key for this transaction. A second request with the same key does not wait: it gets 409.
///
/// Later statements of the same pipeline read the result from the setting `vitrine.key_is_free`, which ends with the transaction.
pub const TAKE: &str = "
    SELECT set_config('vitrine.key_is_free', pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))::text, true)::boolean AS free";

/// Reads the first answer. It is a statement of its own after [`TAKE`]: one statement for both could take the lock after another
/// request's commit and still see the rows from before it.
pub const LOOK: &str = "
    SELECT fingerprint, status, body FROM idempotency_keys
     WHERE scope = $1 AND key = $2 AND created_at > now() - interval '24 hours'";

/// Stores the answer; `$4` is its status, `$5` its body. It replaces an expired key of the same name.
pub const REMEMBER: &str = "
    INSERT INTO idempotency_keys (scope, key, fingerprint, status, body) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (scope, key) DO UPDATE SET fingerprint = $3, status = $4, body = $5, lease_until = NULL, created_at = now()
     WHERE idempotency_keys.created_at <= now() - interval '24 hours' OR idempotency_keys.status IS NULL";

impl Claim {
    /// Interprets the rows of [`TAKE`] and [`LOOK`]: the first answer, or `None` if this is the first request.
    pub fn first_answer_of(&self, taken: &Row, first: Option<&Row>) -> Result<Option<Kept>> {
        match first {
            Some(row) => self.first_answer(row),
            None if taken.get("free") => Ok(None),
            None => Err(Error::KeyInFlight),
        }
    }

    /// Takes the key until the end of the caller's transaction. `Some`: the first answer. `None`: do the work, then
    /// [`Claim::finish`].
    pub async fn take(&self, tx: &impl GenericClient) -> Result<Option<Kept>> {
        let taken = db::query_one(tx, TAKE, &[&self.scope, &self.key]).await?;
        let first = db::query_opt(tx, LOOK, &[&self.scope, &self.key]).await?;
        self.first_answer_of(&taken, first.as_ref())
    }

    fn first_answer(&self, row: &Row) -> Result<Option<Kept>> {
        if row.get::<_, Vec<u8>>("fingerprint") != self.fingerprint {
            return Err(Error::KeyReused);
        }
        let Some(status) = row.get::<_, Option<i16>>("status") else { return Ok(None) };
        let body: Vec<u8> = row.get::<_, Option<Vec<u8>>>("body").unwrap_or_default();
        Ok(Some(Kept { status: StatusCode::from_u16(status as u16).unwrap_or(StatusCode::OK), body }))
    }

    /// For work outside the database: takes the key under a lease, committed at once. `Some`: the first answer. `None`: do the
    /// work, then [`Claim::finish`] or [`Claim::release`].
    pub async fn lease(&self, db: &impl GenericClient) -> Result<Option<Kept>> {
        const LEASE_IT: &str = "
            INSERT INTO idempotency_keys AS k (scope, key, fingerprint, lease_until) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
            ON CONFLICT (scope, key) DO UPDATE SET lease_until = excluded.lease_until, fingerprint = $3, status = NULL, body = NULL, created_at = now()
             WHERE (k.status IS NULL AND k.lease_until < now() AND k.fingerprint = $3) OR k.created_at <= now() - interval '24 hours'";
        const SEE: &str = "SELECT fingerprint, status, body FROM idempotency_keys WHERE scope = $1 AND key = $2";
        if db::execute(db, LEASE_IT, &[&self.scope, &self.key, &self.fingerprint, &LEASE.as_secs_f64()]).await? == 1 {
            return Ok(None);
        }
        match db::query_opt(db, SEE, &[&self.scope, &self.key]).await? {
            Some(row) => self.first_answer(&row)?.ok_or(Error::KeyInFlight).map(Some),
            None => Err(Error::KeyInFlight),
        }
    }

    /// Stores the answer after [`Claim::lease`] or [`Claim::take`].
    pub async fn finish(&self, db: &impl GenericClient, status: StatusCode, body: &impl Serialize) -> Result<()> {
        let body = serde_json::to_vec(body).map_err(|e| Error::Internal(e.to_string()))?;
        let status = status.as_u16() as i16;
        db::execute(db, REMEMBER, &[&self.scope, &self.key, &self.fingerprint, &status, &body]).await?;
        Ok(())
    }

    /// Frees the key without an answer, because nothing happened.
    pub async fn release(&self, db: &impl GenericClient) -> Result<()> {
        const FORGET: &str = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL";
        db::execute(db, FORGET, &[&self.scope, &self.key]).await?;
        Ok(())
    }
}
