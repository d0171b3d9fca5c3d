//! The recurring clean-up: what has done its time goes, in small bites.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::jobs::Outcome;

/// How often it runs.
const EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What one bite takes at most, so that no lock is held for long; it stands in every query below.
const BITE: u64 = 1000;
/// Bites per table and run: a busy shop leaves more behind in ten minutes than one bite takes.
const MAX_BITES: usize = 200;

const PURGES: [(&str, &str); 10] = [
    (
        "jobs",
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND finished_at < now() - interval '7 days' LIMIT 1000)",
    ),
    (
        "idempotency_keys",
        "DELETE FROM idempotency_keys WHERE (scope, key) IN (SELECT scope, key FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT 1000)",
    ),
    (
        "refresh_tokens",
        "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT token_hash FROM refresh_tokens WHERE expires_at < now() - interval '1 day' LIMIT 1000)",
    ),
    (
        "password_resets",
        "DELETE FROM password_resets WHERE id IN (SELECT id FROM password_resets WHERE expires_at < now() - interval '1 day' LIMIT 1000)",
    ),
    // A session ends by a word, or by letting its last token run out; its row stays for a while, for who asks when.
    (
        "sessions",
        "DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.created_at < now() - interval '90 days'
            AND (s.revoked_at < now() - interval '90 days'
                 OR (s.revoked_at IS NULL AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = s.id))) LIMIT 1000)",
    ),
    // That it was sent, when and to whom stays with the order; the words do not. What still waits keeps them.
    (
        "messages",
        "UPDATE messages SET html = NULL, body = NULL WHERE id IN (SELECT id FROM messages
            WHERE created_at < now() - interval '90 days' AND body IS NOT NULL AND status <> 'queued' LIMIT 1000)",
    ),
    // By its id a repeat is known for ever; nobody replays an event that is so old.
    (
        "webhook_events",
        "UPDATE webhook_events SET body = '' WHERE id IN (SELECT id FROM webhook_events
            WHERE received_at < now() - interval '90 days' AND body <> '' LIMIT 1000)",
    ),
    (
        "carts",
        "DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE token_hash IS NOT NULL AND updated_at < now() - interval '60 days' LIMIT 1000)",
    ),
    (
        "cep_cache",
        "DELETE FROM cep_cache WHERE cep IN (SELECT cep FROM cep_cache WHERE fetched_at < now() - interval '90 days' LIMIT 1000)",
    ),
    (
        "freight_quotes",
        "DELETE FROM freight_quotes WHERE id IN (SELECT id FROM freight_quotes WHERE quoted_at < now() - interval '90 days' LIMIT 1000)",
    ),
];

pub async fn purge(app: &App) -> Result<Outcome> {
    for (table, sql) in PURGES {
        let mut removed = 0;
        for _ in 0..MAX_BITES {
            let bite = db::execute(&app.db().await?, sql, &[]).await?;
            removed += bite;
            if bite < BITE {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(table, removed, "purged");
        }
    }
    let gone = forget_xmls(app).await?;
    if gone > 0 {
        tracing::info!(table = "invoices", gone, "XMLs have done their time");
    }
    Ok(Outcome::Again(Timestamp::now() + EVERY))
}

/// Invoices' files go when the law no longer wants them (`FISCAL_RETENTION`); the row with its key stays.
async fn forget_xmls(app: &App) -> Result<u64> {
    const FORGET: &str = "
        UPDATE invoices SET xml = NULL, xml_sha256 = NULL, danfe = NULL, cancellation_xml = NULL
         WHERE id IN (SELECT id FROM invoices WHERE xml IS NOT NULL AND authorized_at < now() - make_interval(months => $1) LIMIT 1000)";
    let months = i32::try_from(app.config.nfe.retention_months).unwrap_or(i32::MAX);
    db::execute(&app.db().await?, FORGET, &[&months]).await
}
