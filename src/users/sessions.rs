//! Sessions and their refresh tokens. One row per sign-in. Its tokens are a family; one of them is unused at any time.

use std::time::Duration;

use deadpool_postgres::{GenericClient, Transaction};

use crate::db;
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::seal::{random_token, token_hash};

/// How long after its first use a refresh token gets the same answer again.
const TWINS: Duration = Duration::from_secs(10);

/// Why a session was ended before it expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Logout,
    Reuse,
    Password,
    Blocked,
    Role,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Password => "password",
            Self::Blocked => "blocked",
            Self::Role => "role",
        }
    }
}

/// A session with its newest refresh token, which is stored only as a hash.
#[derive(Debug)]
pub struct Opened {
    pub user: UserId,
    pub session: SessionId,
    pub refresh_token: String,
}

/// The result of using a refresh token.
#[derive(Debug)]
pub enum Rotation {
    Fresh(Opened),
    /// Used a second time: somebody has a copy, so the family was ended. Commit this.
    Reused(UserId),
    /// Unknown, expired, or of a session that has ended.
    Refused,
}

/// Opens a session for a person whose password was just checked. `None`: meanwhile the password was changed, or the person
/// blocked or erased; the lock on their row decides which came first.
pub async fn open(db: &impl GenericClient, user: UserId, password_hash: &str, ttl: Duration) -> Result<Option<Opened>> {
    const OPEN: &str = "
        WITH person AS (
            SELECT id FROM users
             WHERE id = $2 AND password_hash = $3 AND blocked_at IS NULL AND erased_at IS NULL FOR SHARE),
        session AS (INSERT INTO sessions (id, user_id) SELECT $1, id FROM person RETURNING id)
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
        SELECT $4, id, now() + make_interval(secs => $5) FROM session";
    let (session, refresh_token) = (SessionId::new(), random_token());
    let hash = token_hash(&refresh_token);
    let opened = db::execute(db, OPEN, &[&session, &user, &password_hash, &hash, &ttl.as_secs_f64()]).await?;
    Ok((opened == 1).then_some(Opened { user, session, refresh_token }))
}

/// Exchanges a refresh token for `next`, the one of its family that always follows on it. The caller commits, whatever the result.
///
/// Two tabs of a browser, or a client whose answer was lost, send the same token twice within [`TWINS`] and get the same next one, as
/// long as nobody has used that.
pub async fn rotate(tx: &Transaction<'_>, presented: &str, next: String, ttl: Duration) -> Result<Rotation> {
    // Of several requests with the same token, one finds `used_at` empty; the others wait for its commit and then find it set.
    const USE: &str = "
        UPDATE refresh_tokens t SET used_at = now()
          FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE t.token_hash = $1 AND t.used_at IS NULL AND t.expires_at > now() AND s.id = t.session_id
           AND s.revoked_at IS NULL AND u.blocked_at IS NULL AND u.erased_at IS NULL
        RETURNING s.id, s.user_id";
    const ISSUE: &str = "
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))";
    const AGAIN: &str = "
        SELECT s.id, s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
          JOIN refresh_tokens n ON n.token_hash = $2 AND n.session_id = s.id AND n.used_at IS NULL AND n.expires_at > now()
         WHERE t.token_hash = $1 AND t.used_at > now() - make_interval(secs => $3)
           AND s.revoked_at IS NULL AND u.blocked_at IS NULL AND u.erased_at IS NULL";
    const END_FAMILY: &str = "
        UPDATE sessions s SET revoked_at = now(), revoked_reason = 'reuse'
          FROM refresh_tokens t
         WHERE t.token_hash = $1 AND t.used_at IS NOT NULL AND s.id = t.session_id AND s.revoked_at IS NULL
        RETURNING s.user_id";
    let (hash, next_hash) = (token_hash(presented), token_hash(&next));
    if let Some(row) = db::query_opt(tx, USE, &[&hash]).await? {
        let session = row.get("id");
        db::execute(tx, ISSUE, &[&next_hash, &session, &ttl.as_secs_f64()]).await?;
        return Ok(Rotation::Fresh(Opened { user: row.get("user_id"), session, refresh_token: next }));
    }
    if let Some(row) = db::query_opt(tx, AGAIN, &[&hash, &next_hash, &TWINS.as_secs_f64()]).await? {
        return Ok(Rotation::Fresh(Opened { user: row.get("user_id"), session: row.get("id"), refresh_token: next }));
    }
    let ended = db::query_opt(tx, END_FAMILY, &[&hash]).await?;
    Ok(ended.map_or(Rotation::Refused, |row| Rotation::Reused(row.get("user_id"))))
}

/// Ends one session of the person. Call `Standings::forget` afterwards.
pub async fn revoke(db: &impl GenericClient, user: UserId, session: SessionId, reason: Reason) -> Result<()> {
    const REVOKE: &str = "
        UPDATE sessions SET revoked_at = now(), revoked_reason = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL";
    db::execute(db, REVOKE, &[&session, &user, &reason.as_str()]).await?;
    Ok(())
}

/// Ends all sessions of the person but `spare`. Call it in the same transaction, after the change that is the reason: a
/// sign-in that committed before is then seen here. Call `Standings::forget` afterwards.
pub async fn revoke_all(tx: &Transaction<'_>, user: UserId, spare: Option<SessionId>, reason: Reason) -> Result<()> {
    const REVOKE: &str = "
        UPDATE sessions SET revoked_at = now(), revoked_reason = $3
         WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2";
    db::execute(tx, REVOKE, &[&user, &spare, &reason.as_str()]).await?;
    Ok(())
}
