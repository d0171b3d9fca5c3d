//! The recurring clean-up of old rows, in small batches.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::jobs::Outcome;

/// How often it runs.
const EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Rows per statement, so that no lock is held for long; every query below has it as its LIMIT.
const BATCH: u64 = 1000;
/// Batches per table and run: a busy shop adds more rows in ten minutes than one batch.
const MAX_BATCHES: usize = 200;

const PURGES: [(&str, &str); 16] = [
    (
        "jobs",
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND finished_at < now() - interval '7 days' LIMIT 1000)",
    ),
    // A dead job can be retried until then; what it was about is still found by the recurring looks.
    (
        "jobs",
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'dead' AND finished_at < now() - interval '90 days' LIMIT 1000)",
    ),
    ("alerts", "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE day < current_date - 365 LIMIT 1000)"),
    (
        "product_imports",
        "DELETE FROM product_imports WHERE id IN (SELECT id FROM product_imports WHERE started_at < now() - interval '365 days' LIMIT 1000)",
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
    // A change's row has both addresses; a stolen account is asked about within 90 days.
    (
        "email_changes",
        "DELETE FROM email_changes WHERE id IN (SELECT id FROM email_changes WHERE expires_at < now() - interval '90 days' LIMIT 1000)",
    ),
    (
        "privacy_requests",
        "DELETE FROM privacy_requests WHERE id IN (SELECT id FROM privacy_requests WHERE expires_at < now() - interval '1 day' LIMIT 1000)",
    ),
    // A session ends when it is revoked, or when its last token expires. Its row stays for 90 days, for questions about sign-ins.
    (
        "sessions",
        "DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.created_at < now() - interval '90 days'
            AND (s.revoked_at < now() - interval '90 days'
                 OR (s.revoked_at IS NULL AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = s.id))) LIMIT 1000)",
    ),
    // The text is deleted; that, when and to whom it was sent stays with the order. A message that waits keeps its text.
    (
        "messages",
        "UPDATE messages SET html = NULL, body = NULL WHERE id = ANY (ARRAY(SELECT id FROM messages
            WHERE created_at < now() - interval '90 days' AND body IS NOT NULL AND status <> 'queued' LIMIT 1000))",
    ),
    // By its id a repeat is known for ever; nobody replays an event that is so old.
    (
        "webhook_events",
        "UPDATE webhook_events SET body = '' WHERE id = ANY (ARRAY(SELECT id FROM webhook_events
            WHERE received_at < now() - interval '90 days' AND body <> '' LIMIT 1000))",
    ),
    (
        "carts",
        "DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE user_id IS NULL AND touched_on < current_date - 60 LIMIT 1000)",
    ),
    (
        "cep_cache",
        "DELETE FROM cep_cache WHERE cep IN (SELECT cep FROM cep_cache WHERE fetched_at < now() - interval '90 days' LIMIT 1000)",
    ),
    // That there is no such CEP is known for a day.
    (
        "cep_cache",
        "DELETE FROM cep_cache WHERE cep IN (SELECT cep FROM cep_cache WHERE address IS NULL AND fetched_at < now() - interval '1 day' LIMIT 1000)",
    ),
    // Estimates use recent prices. The quote that an order was placed with stays in the order (`orders.freight_quote`).
    (
        "freight_quotes",
        "DELETE FROM freight_quotes WHERE id IN (SELECT id FROM freight_quotes WHERE quoted_at < now() - interval '30 days' LIMIT 1000)",
    ),
];

pub async fn purge(app: &App) -> Result<Outcome> {
    for (table, sql) in PURGES {
        let mut removed = 0;
        for _ in 0..MAX_BATCHES {
            let batch = db::execute(&app.db().await?, sql, &[]).await?;
            removed += batch;
            if batch < BATCH {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(table, removed, "purged");
        }
    }
    let gone = forget_xmls(app).await?;
    if gone > 0 {
        tracing::info!(table = "invoices", removed = gone, "XMLs were deleted after their retention");
    }
    Ok(Outcome::Again(Timestamp::now() + EVERY))
}

/// Deletes invoices' files after `FISCAL_RETENTION`; the row with its key stays.
async fn forget_xmls(app: &App) -> Result<u64> {
    const FORGET: &str = "
        UPDATE invoices SET xml = NULL, xml_sha256 = NULL, danfe = NULL, cancellation_xml = NULL
         WHERE id IN (SELECT id FROM invoices WHERE xml IS NOT NULL AND authorized_at < now() - make_interval(months => $1) LIMIT 1000)";
    let months = i32::try_from(app.config.nfe.retention_months).unwrap_or(i32::MAX);
    db::execute(&app.db().await?, FORGET, &[&months]).await
}
