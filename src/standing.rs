//! Which sessions still stand, and with which role.

use std::time::Duration;

use deadpool_postgres::Pool;
use moka::future::Cache;

use crate::db;
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::token::Role;

/// Which sessions still stand, remembered for some seconds: a revocation made here counts at once,
/// one made on another server after [`Standings::TTL`].
#[derive(Debug, Clone)]
pub struct Standings(Cache<(UserId, Option<SessionId>), Option<Role>>);

impl Standings {
    /// How long another server may go by what it knew.
    pub const TTL: Duration = Duration::from_secs(10);

    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_live(Self::TTL).support_invalidation_closures().build())
    }

    /// The person's role now; `None` when the session was revoked, or the person blocked or erased.
    pub async fn of(&self, pool: &Pool, user: UserId, session: Option<SessionId>) -> Result<Option<Role>> {
        const STANDING: &str = "
            SELECT u.role FROM users u
             WHERE u.id = $1 AND u.blocked_at IS NULL AND u.erased_at IS NULL
               AND ($2::uuid IS NULL OR EXISTS (SELECT FROM sessions s WHERE s.id = $2 AND s.user_id = u.id AND s.revoked_at IS NULL))";
        if let Some(known) = self.0.get(&(user, session)).await {
            return Ok(known);
        }
        let row = db::query_opt(&pool.get().await?, STANDING, &[&user, &session]).await?;
        let role = row.map(|row| Role::of(row.get("role")));
        self.0.insert((user, session), role).await;
        Ok(role)
    }

    /// Forgets what is known of a person: call it after revoking, blocking, erasing, or changing the role.
    pub fn forget(&self, user: UserId) {
        // The cache was built with invalidation closures, so this cannot fail; the TTL stands behind it.
        let _ = self.0.invalidate_entries_if(move |(id, _), _| *id == user);
    }
}
