//! Jobs, kept answers of idempotency keys, and the inbox of webhooks.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("jobs-wait-run-or-have-ended", "
        SELECT 'job ' || id || ' (' || kind || ') was due at ' || run_at FROM jobs
         WHERE (state = 'running' AND lease_until < now() - interval '10 minutes') OR (state = 'waiting' AND run_at < now() - interval '1 hour')"),
    ("a-job-is-not-doubled", "
        SELECT count(*) || ' unfinished jobs ' || dedupe FROM jobs
         WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running') GROUP BY dedupe HAVING count(*) > 1"),
    ("a-message-is-written-once-per-event", "
        SELECT count(*) || ' messages ' || event FROM messages GROUP BY event HAVING count(*) > 1"),
    // The second part of an event names what its job is about. An erased person gets no more messages.
    ("a-message-that-waits-is-looked-after", "
        SELECT 'message ' || m.id || ' (' || m.kind || ') is queued, and no job will send it'
          FROM messages m
          LEFT JOIN (SELECT kind, coalesce(payload ->> 'order', payload ->> 'refund', payload ->> 'reset', payload ->> 'invoice', payload ->> 'user',
                                            payload ->> 'message', id::text) AS about FROM jobs
                      WHERE left(kind, 4) IN ('mail', 'sms_') AND state IN ('waiting', 'running', 'dead')) j
            ON (j.kind = CASE m.channel WHEN 'sms' THEN 'sms_' ELSE 'mail_' END || m.kind AND j.about = split_part(m.event, ':', 2))
            OR (j.kind = 'mail_message' AND j.about = m.id::text)
         WHERE m.status = 'queued' AND m.recipient IS NOT NULL AND m.kind <> 'alert' AND j.kind IS NULL
           AND (m.batch_rank IS NULL OR NOT EXISTS (SELECT FROM jobs WHERE kind = 'send_mails' AND state IN ('waiting', 'running', 'dead')))"),
    ("a-message-that-was-sent-is-known-to-its-provider", "
        SELECT 'message ' || id || ' (' || kind || ') is ' || status || ' without the provider''s id' FROM messages
         WHERE status IN ('sent', 'delivered', 'bounced') AND provider_ref IS NULL"),
    // A claim counts as a try until the next run finds it and stops there.
    ("a-text-is-handed-over-once", "
        SELECT 'text ' || id || ' (' || kind || ') may have gone out ' || open_tries || ' times' FROM messages
         WHERE channel = 'sms' AND open_tries > 1 AND claimed_at IS NULL"),
    // The recurring job counts within a minute, and its mails are an hour apart at most.
    ("an-alert-is-counted-and-told", "
        SELECT 'alert ' || key || ' was raised at ' || min(raised_at) || ' and is not counted' FROM alert_occurrences
         GROUP BY key HAVING min(raised_at) < now() - interval '1 hour'
        UNION ALL
        SELECT 'alert ' || key || ' of ' || day || ' was told to nobody' FROM alerts
         WHERE told_count = 0 AND acknowledged_at IS NULL AND first_at < now() - interval '12 hours'
        UNION ALL
        SELECT 'alert mail ' || id || ' waits since ' || created_at FROM messages
         WHERE kind = 'alert' AND status = 'queued' AND created_at < now() - interval '2 days'"),
    ("a-webhook-is-kept-once", "
        SELECT count(*) || ' events ' || event_id || ' of ' || provider FROM webhook_events GROUP BY provider, event_id HAVING count(*) > 1"),
    ("what-was-answered-is-there", "
        SELECT 'an order that was answered: ' || k.id
          FROM (SELECT convert_from(body, 'UTF8')::jsonb ->> 'id' AS id FROM idempotency_keys WHERE status = 201 AND scope LIKE '% POST /api/orders') k
          LEFT JOIN orders o ON o.id::text = k.id WHERE o.id IS NULL
        UNION ALL
        SELECT 'a refund that was answered: ' || k.id
          FROM (SELECT convert_from(body, 'UTF8')::jsonb ->> 'refund_id' AS id FROM idempotency_keys WHERE status = 201 AND scope LIKE '% refund:%') k
          LEFT JOIN refunds r ON r.id::text = k.id WHERE r.id IS NULL"),
    // A crash leaves a key without its answer; the lease frees it within a minute, and the purge deletes it after a day.
    ("a-key-is-answered-or-freed", "
        SELECT 'key of ' || scope || ', held since ' || created_at FROM idempotency_keys
         WHERE status IS NULL AND (lease_until IS NULL OR lease_until < now() - interval '2 days')"),
];
