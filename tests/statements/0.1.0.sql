-- The statements of Vitrine 0.1.0, as its servers prepare them. `scripts/statements` writes this file, tests/it/sql.rs
-- prepares them against the schema of the next release. Nothing here is run.

-- @ src/admin/alerts.rs ACKNOWLEDGE
-- uuid, text -> 
UPDATE alerts SET acknowledged_at = now(), acknowledged_by = $2 WHERE id = $1 AND acknowledged_at IS NULL

-- @ src/admin/alerts.rs COUNT
-- text, bool, text, date, date -> count int8
SELECT count(*) FROM alerts
         WHERE ($1::text IS NULL OR severity = $1) AND ($2::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $2)
           AND ($3::text IS NULL OR starts_with(key, $3)) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)

-- @ src/admin/alerts.rs FIND
-- uuid -> id uuid, key text, day date, severity text, subject text, text text, order_numbers _text, count int8, first_at timestamptz, last_at timestamptz, told_at timestamptz, told_count int8, cause text, acknowledged_at timestamptz, acknowledged_by text
SELECT id, key, day, severity, subject, text, order_numbers, count, first_at, last_at, told_at, told_count, cause,
               acknowledged_at, acknowledged_by
          FROM alerts WHERE id = $1

-- @ src/admin/alerts.rs LIST
-- text, bool, text, date, date, uuid, int8, int8 -> id uuid, key text, day date, severity text, subject text, text text, order_numbers _text, count int8, first_at timestamptz, last_at timestamptz, told_at timestamptz, told_count int8, cause text, acknowledged_at timestamptz, acknowledged_by text
SELECT id, key, day, severity, subject, text, order_numbers, count, first_at, last_at, told_at, told_count, cause,
               acknowledged_at, acknowledged_by
          FROM alerts
         WHERE ($1::text IS NULL OR severity = $1) AND ($2::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $2)
           AND ($3::text IS NULL OR starts_with(key, $3)) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)
           AND ($6::uuid IS NULL OR id < $6)
         ORDER BY id DESC LIMIT $7 OFFSET $8

-- @ src/admin/jobs.rs COUNT
-- text, text -> count int8
SELECT count(*) FROM jobs WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2)

-- @ src/admin/jobs.rs LIST
-- text, text, uuid, int8, int8 -> id uuid, kind text, payload jsonb, state text, run_at timestamptz, attempts int4, max_attempts int4, last_error text, cause text, created_at timestamptz, finished_at timestamptz
SELECT id, kind, payload, state, run_at, attempts, max_attempts, last_error, cause, created_at, finished_at FROM jobs
         WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4 OFFSET $5

-- @ src/admin/jobs.rs RETRY
-- uuid -> id uuid, kind text, payload jsonb, state text, run_at timestamptz, attempts int4, max_attempts int4, last_error text, cause text, created_at timestamptz, finished_at timestamptz
UPDATE jobs SET state = 'waiting', run_at = now(), attempts = 0, finished_at = NULL WHERE id = $1 AND state = 'dead'
        RETURNING id, kind, payload, state, run_at, attempts, max_attempts, last_error, cause, created_at, finished_at

-- @ src/admin/jobs.rs RETRY
-- text -> 
WITH dead AS (
            SELECT DISTINCT ON (coalesce(d.dedupe, d.id::text)) d.id
              FROM (SELECT id, dedupe, finished_at FROM jobs WHERE state = 'dead' AND ($1::text IS NULL OR kind = $1)
                     ORDER BY finished_at LIMIT 1000 FOR UPDATE SKIP LOCKED) d
             WHERE NOT EXISTS (SELECT FROM jobs t WHERE t.dedupe = d.dedupe AND t.state IN ('waiting', 'running'))
             ORDER BY coalesce(d.dedupe, d.id::text), d.finished_at DESC)
        UPDATE jobs j SET state = 'waiting', run_at = now(), attempts = 0, finished_at = NULL FROM dead WHERE j.id = dead.id

-- @ src/admin/jobs.rs STATE
-- uuid -> state text
SELECT state FROM jobs WHERE id = $1

-- @ src/admin/machinery.rs COUNT
-- text, text, text -> count int8
SELECT count(*) FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)

-- @ src/admin/machinery.rs COUNT
-- text, text, uuid -> count int8
SELECT count(*) FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)

-- @ src/admin/machinery.rs LIST
-- text, text, text, int8, int8, int8 -> id int8, actor text, action text, entity_id text, before jsonb, after jsonb, cause text, at timestamptz
SELECT id, actor, action, entity_id, before, after, cause, at FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR entity_id = $3)
           AND ($4::bigint IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6

-- @ src/admin/machinery.rs LIST
-- text, text, uuid, uuid, int8, int8 -> id uuid, provider text, event_id text, event text, outcome text, order_id uuid, request_id text, received_at timestamptz, body bytea
SELECT id, provider, event_id, event, outcome, order_id, request_id, received_at, body FROM webhook_events
         WHERE ($1::text IS NULL OR provider = $1) AND ($2::text IS NULL OR outcome = $2) AND ($3::uuid IS NULL OR order_id = $3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6

-- @ src/admin/machinery.rs WEBHOOK
-- uuid -> id uuid, provider text, event_id text, event text, outcome text, order_id uuid, request_id text, received_at timestamptz, body bytea
SELECT id, provider, event_id, event, outcome, order_id, request_id, received_at, body FROM webhook_events WHERE id = $1

-- @ src/admin/reconciliation.rs COUNT
-- date, date, date, text, text -> count int8
SELECT count(*) 
          FROM reconciliations
         WHERE ($1::date IS NULL OR day = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
           AND ($4::text IS NULL OR provider = $4) AND ($5::text IS NULL OR status = $5)

-- @ src/admin/reconciliation.rs PAGE
-- date, date, date, text, text, text, int8, int8 -> day date, provider text, status text, made_at timestamptz, ours_captured_count int4, ours_captured_cents int8, theirs_captured_count int4, theirs_captured_cents int8, ours_refunded_count int4, ours_refunded_cents int8, theirs_refunded_count int4, theirs_refunded_cents int8, difference_cents int8, differences int4, key text
SELECT 
    day, provider, status, made_at, ours_captured_count, ours_captured_cents, theirs_captured_count, theirs_captured_cents,
    ours_refunded_count, ours_refunded_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents, differences, (to_char(day, 'YYYY-MM-DD ') || provider) COLLATE "C" AS key 
          FROM reconciliations
         WHERE ($1::date IS NULL OR day = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
           AND ($4::text IS NULL OR provider = $4) AND ($5::text IS NULL OR status = $5) AND ($6::text IS NULL OR (to_char(day, 'YYYY-MM-DD ') || provider) COLLATE "C" < $6) ORDER BY (to_char(day, 'YYYY-MM-DD ') || provider) COLLATE "C" DESC LIMIT $7 OFFSET $8

-- @ src/admin/refunds.rs ALL
-- uuid, int8, int8 -> id uuid, order_id uuid, number text, payment_id uuid, provider text, amount_cents int8, currency text, status text, reason text, error text, waits_since timestamptz, next_try_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT r.id, r.order_id, o.number, r.payment_id, p.provider, r.amount_cents, p.currency, r.status, r.reason, r.error, r.waits_since,
           (SELECT j.run_at FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state = 'waiting') AS next_try_at,
           r.created_at, r.updated_at
      FROM refunds r JOIN orders o ON o.id = r.order_id JOIN payments p ON p.id = r.payment_id WHERE $1::uuid IS NULL OR r.id < $1 ORDER BY r.id DESC LIMIT $2 OFFSET $3

-- @ src/admin/refunds.rs COUNT_ALL
--  -> count int8
SELECT count(*) FROM refunds

-- @ src/admin/refunds.rs COUNT_OF_STATUS
-- text -> count int8
SELECT count(*) FROM refunds WHERE status = $1

-- @ src/admin/refunds.rs OF_STATUS
-- text, uuid, int8, int8 -> id uuid, order_id uuid, number text, payment_id uuid, provider text, amount_cents int8, currency text, status text, reason text, error text, waits_since timestamptz, next_try_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT r.id, r.order_id, o.number, r.payment_id, p.provider, r.amount_cents, p.currency, r.status, r.reason, r.error, r.waits_since,
           (SELECT j.run_at FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state = 'waiting') AS next_try_at,
           r.created_at, r.updated_at
      FROM refunds r JOIN orders o ON o.id = r.order_id JOIN payments p ON p.id = r.payment_id WHERE r.status = $1 AND r.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
         ORDER BY r.id DESC LIMIT $3 OFFSET $4

-- @ src/admin/settings.rs ALL
--  -> name text, value jsonb
SELECT name, value FROM settings WHERE name IN ('company', 'shipping', 'payment_methods', 'stock', 'taxes', 'order_limits', 'search', 'invoices')

-- @ src/admin/settings.rs OLD
-- text -> value jsonb
SELECT value FROM settings WHERE name = $1 FOR UPDATE

-- @ src/admin/settings.rs SET
-- text, jsonb -> 
INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = now()

-- @ src/alerts/count.rs TAKE
-- int8 -> id int8, key text, severity text, subject text, text text, order_number text, cause text, raised_at timestamptz
WITH taken AS (SELECT id FROM alert_occurrences ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
        DELETE FROM alert_occurrences o USING taken t WHERE o.id = t.id
        RETURNING o.id, o.key, o.severity, o.subject, o.text, o.order_number, o.cause, o.raised_at

-- @ src/alerts/count.rs WRITE
-- _uuid, _text, _date, _text, _text, _text, _text, _text, _int8, _timestamptz, _timestamptz, int4 -> 
INSERT INTO alerts AS a (id, key, day, severity, subject, text, cause, order_numbers, count, first_at, last_at)
        SELECT n.id, n.key, n.day, n.severity, n.subject, n.text, n.cause, string_to_array(n.orders, ' '), n.count, n.first_at, n.last_at
          FROM unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                      $10::timestamptz[], $11::timestamptz[])
            AS n (id, key, day, severity, subject, text, cause, orders, count, first_at, last_at)
         ORDER BY n.key, n.day
        ON CONFLICT (key, day) DO UPDATE
           SET severity = excluded.severity, subject = excluded.subject, text = excluded.text, cause = excluded.cause,
               order_numbers = (a.order_numbers || ARRAY(SELECT e FROM unnest(excluded.order_numbers) e
                                                          WHERE e <> ALL (a.order_numbers)))[1:$12::int],
               count = a.count + excluded.count,
               first_at = least(a.first_at, excluded.first_at), last_at = greatest(a.last_at, excluded.last_at)

-- @ src/alerts/due.rs COUNT
--  -> count int8
SELECT count(*) FROM alerts WHERE told_count < count AND acknowledged_at IS NULL

-- @ src/alerts/due.rs FIND
-- int8 -> id uuid, key text, day date, severity text, subject text, text text, order_numbers _text, count int8, told_count int8, first_at timestamptz, last_at timestamptz
SELECT id, key, day, severity, subject, text, order_numbers, count, told_count, first_at, last_at
          FROM alerts WHERE told_count < count AND acknowledged_at IS NULL
         ORDER BY told_count > 0, CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, first_at, id
         LIMIT $1 FOR UPDATE SKIP LOCKED

-- @ src/alerts/due.rs IS_DUE
-- date, bool, text, text -> coalesce bool
WITH untold AS (
            SELECT a.told_count, a.day, a.first_at,
                   EXISTS (SELECT FROM alerts y WHERE y.key = a.key AND y.day = a.day - 1 AND y.told_count > 0
                              AND y.last_at > a.first_at - $4::text::interval) AS lasts
              FROM alerts a WHERE a.told_count < a.count AND a.acknowledged_at IS NULL)
        SELECT coalesce(bool_or(CASE WHEN told_count > 0 THEN $2::boolean AND day < $1::date
                                     WHEN lasts THEN $2
                                     ELSE first_at <= now() - $3::text::interval END), false) FROM untold

-- @ src/alerts/due.rs MARK
-- _uuid, _int8, text -> 
UPDATE alerts a SET told_at = now(), told_count = t.count, told_by = $3
          FROM unnest($1::uuid[], $2::bigint[]) AS t (id, count) WHERE a.id = t.id

-- @ src/alerts/due.rs MARK
-- text -> 
UPDATE alerts SET told_at = NULL, told_count = 0, told_by = NULL WHERE told_by = $1

-- @ src/alerts/mod.rs RAISE
-- text, text, text, text, uuid, text -> 
INSERT INTO alert_occurrences (key, severity, subject, text, order_number, cause)
    VALUES ($1::text, $2::text, $3, $4, (SELECT number FROM orders WHERE id = $5), $6)

-- @ src/audit/mod.rs
--  -> pg_export_snapshot text
SELECT pg_export_snapshot()

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'dispute ' || d.id || ' is ' || d.state || ' about ' || coalesce(d.amount_cents::text, 'all that is left') || ', and has taken '
               || coalesce(m.sum, 0)
          FROM disputes d JOIN payments p ON p.id = d.payment_id
          LEFT JOIN (SELECT dispute_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS sum FROM money_movements
                      WHERE dispute_id IS NOT NULL GROUP BY 1) m ON m.dispute_id = d.id
         WHERE p.captured_cents > 0 AND coalesce(m.sum, 0) <> CASE WHEN d.state = 'lost' THEN coalesce(d.amount_cents, 0) ELSE 0 END

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'dispute ' || d.id || ' of order ' || o.number || ' is unclear since ' || d.moved_at
          FROM disputes d JOIN orders o ON o.id = d.order_id WHERE d.state = 'unclear' AND d.moved_at < now() - interval '7 days'

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'dispute ' || dispute_id || ' took money ' || count(*) FILTER (WHERE kind = 'dispute_out') || ' times and gave it back '
               || count(*) FILTER (WHERE kind = 'dispute_back') || ' times'
          FROM money_movements WHERE dispute_id IS NOT NULL GROUP BY dispute_id
        HAVING count(*) FILTER (WHERE kind = 'dispute_out') - count(*) FILTER (WHERE kind = 'dispute_back') NOT IN (0, 1) OR count(*) <> max(dispute_step)

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' is ' || p.status || ', open disputes that contest it: ' || coalesce(d.count, 0)
          FROM payments p
          LEFT JOIN (SELECT payment_id, count(*) FROM disputes WHERE stage = 'contested' AND state IN ('open', 'under_review', 'unclear') GROUP BY 1) d
            ON d.payment_id = p.id
         WHERE p.captured_cents > 0 AND (p.status = 'disputed') <> (d.count IS NOT NULL)

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' says ' || p.lost_cents || ', the ledger ' || coalesce(m.sum, 0)
          FROM payments p
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS sum FROM money_movements
                      WHERE kind IN ('dispute_out', 'dispute_back') GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.lost_cents <> coalesce(m.sum, 0)

-- @ src/audit/rules_disputes.rs
--  -> ?column? text
SELECT 'return ' || d.return_ref || ' of payment ' || d.payment_id || ' is dispute ' || d.id || ' and refund ' || r.id
          FROM disputes d JOIN refunds r ON r.payment_id = d.payment_id AND r.provider_ref = d.return_ref
         WHERE d.return_ref IS NOT NULL AND r.status <> 'failed'

-- @ src/audit/rules_history.rs
--  -> ?column? text
SELECT 'history ' || id || ' names ' || cause FROM order_history
         WHERE cause = '' OR actor = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'money movement ' || id || ' names ' || cause FROM money_movements
         WHERE cause = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'stock movement ' || id || ' names ' || cause FROM stock_movements
         WHERE cause = '' OR actor = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'job ' || id || ' names nothing' FROM jobs WHERE cause = ''

-- @ src/audit/rules_history.rs
--  -> ?column? text
SELECT subject || ' ' || thread || ': its step from ' || coalesce(from_state, 'nothing') || ' does not begin where the one before it ended'
          FROM (SELECT subject, coalesce(subject_id, order_id) AS thread, from_state,
                       CASE WHEN subject = 'refund' AND from_state IN ('processing', 'unknown') THEN 'pending' ELSE from_state END
                       IS DISTINCT FROM lag(CASE WHEN subject = 'refund' AND to_state IN ('processing', 'unknown') THEN 'pending' ELSE to_state END)
                                        OVER (PARTITION BY order_id, subject, subject_id ORDER BY id) AS is_gap
                  FROM order_history WHERE subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'invoice')) steps
         WHERE is_gap

-- @ src/audit/rules_history.rs
--  -> ?column? text
WITH steps AS NOT MATERIALIZED (
            SELECT subject, coalesce(subject_id, order_id) AS thread,
                   CASE WHEN subject = 'refund' AND from_state IN ('processing', 'unknown') THEN 'pending' ELSE from_state END AS from_state,
                   CASE WHEN subject = 'refund' AND to_state IN ('processing', 'unknown') THEN 'pending' ELSE to_state END AS to_state
              FROM order_history
             WHERE subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'invoice', 'message')
                OR (subject = 'shipment' AND subject_id IS NOT NULL)),
        things AS NOT MATERIALIZED (
            SELECT 'order' AS subject, id AS thread, status AS state FROM orders
            UNION ALL SELECT 'payment_status', id, payment_status FROM orders
            UNION ALL SELECT 'payment', id, status FROM payments
            UNION ALL SELECT 'refund', id, CASE WHEN status IN ('processing', 'unknown') THEN 'pending' ELSE status END FROM refunds
            UNION ALL SELECT 'dispute', id, state FROM disputes
            UNION ALL SELECT 'invoice', id, status FROM invoices
            UNION ALL SELECT 'shipment', id, status FROM shipments
            UNION ALL SELECT 'message', id, status FROM messages WHERE order_id IS NOT NULL),
        told AS (
            SELECT sum(hashint8(((uuid_hash(thread) # hashtext(subject))::bigint << 32) + hashtext(to_state))) AS reached,
                   sum(hashint8(((uuid_hash(thread) # hashtext(subject))::bigint << 32) + hashtext(from_state))) AS departed,
                   count(*) - count(from_state) AS beginnings
              FROM steps),
        standing AS (
            SELECT sum(hashint8(((uuid_hash(thread) # hashtext(subject))::bigint << 32) + hashtext(state))) AS hash, count(*) FROM things),
        sums AS MATERIALIZED (
            SELECT coalesce(reached, 0) - coalesce(departed, 0) <> coalesce(hash, 0) OR beginnings <> count AS differ FROM told, standing)
        SELECT coalesce(a.subject, t.subject) || ' ' || coalesce(a.thread, t.thread)
               || CASE WHEN a.thread IS NULL THEN ' has a history and is not there' WHEN t.thread IS NULL THEN ' has no history'
                       ELSE ' is ' || a.state || ', its history says otherwise' END
          FROM things a
          FULL JOIN (SELECT subject, thread, sum(hashtext(to_state)) - coalesce(sum(hashtext(from_state)), 0) AS state,
                            count(*) - count(from_state) AS beginnings FROM steps GROUP BY 1, 2) t
            ON t.thread = a.thread AND t.subject = a.subject
         WHERE (SELECT differ FROM sums)
           AND (a.thread IS NULL OR t.thread IS NULL OR t.beginnings <> 1 OR t.state <> hashtext(a.state))

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' has no XML, and no job will fetch it'
          FROM invoices i LEFT JOIN jobs j ON j.dedupe = 'keep_invoice:' || i.id AND j.state <> 'done'
         WHERE i.status = 'authorized' AND i.xml IS NULL AND i.authorized_at > now() - interval '60 months' AND j.id IS NULL

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' is ' || i.status || ', and no job will move it'
          FROM invoices i LEFT JOIN jobs j ON j.dedupe = 'send_invoice:' || i.id AND j.state <> 'done'
         WHERE i.status IN ('pending', 'processing') AND j.id IS NULL

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' of order ' || o.number
          FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale' AND i.status = 'authorized' AND i.cancel_reason IS NULL
         WHERE (o.status = 'cancelled' OR (o.status = 'processing' AND o.payment_status = 'refunded'))
           AND NOT EXISTS (SELECT FROM invoices back WHERE back.sale_id = i.id AND back.status NOT IN ('denied', 'cancelled'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'drop_invoice:' || o.id AND j.state <> 'done')

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' of order ' || o.number || ' is ' || i.status || ', and nobody was told'
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.status IN ('rejected', 'denied') AND i.told_at IS NULL AND o.payment_status IN ('paid', 'partially_refunded')

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' shall be cancelled, and no job will ask for it'
          FROM invoices i LEFT JOIN jobs j ON j.state <> 'done'
           AND j.dedupe = CASE i.status WHEN 'authorized' THEN 'cancel_invoice:' ELSE 'send_invoice:' END || i.id
         WHERE i.status IN ('authorized', 'rejected') AND i.cancel_reason IS NOT NULL AND j.id IS NULL

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ': ' || i.total_cents || ', its order: ' || o.total_cents
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'sale' AND i.status = 'authorized'
           AND CASE WHEN i.total_cents <> o.total_cents
                    THEN i.lines IS NULL OR i.total_cents <> o.shipping_cents + (
                         SELECT sum(l.unit_price_cents * on_it.n - l.discount_cents
                                    + (2 * l.discount_cents * (l.quantity - on_it.n) + l.quantity) / (2 * l.quantity))
                           FROM (SELECT (e ->> 0)::uuid AS line, (e ->> 1)::int AS n FROM jsonb_array_elements(i.lines) e) on_it
                           JOIN order_lines l ON l.id = on_it.line) END

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || id FROM invoices
         WHERE CASE WHEN authorized_at > now() - interval '7 days'
                      OR abs(hashtext(id::text)) % 97 = floor(extract(epoch FROM now()) / 86400)::int % 97
                    THEN sha256(xml) <> xml_sha256 END

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'invoice ' || id FROM invoices
         WHERE status = 'authorized' AND (chave IS NULL OR number IS NULL OR authorized_at IS NULL OR substr(chave, 21, 2) <> '55')

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT 'order ' || o.number || ', paid at ' || o.paid_at
          FROM orders o
          LEFT JOIN invoices i ON i.order_id = o.id AND NOT (i.given_up AND i.status = 'cancelled')
          LEFT JOIN jobs j ON j.dedupe = 'invoice_order:' || o.id AND j.state <> 'done'
          LEFT JOIN (SELECT order_id, sum(captured_cents - refunded_cents - lost_cents) AS kept FROM payments GROUP BY 1) p ON p.order_id = o.id
         WHERE o.status IN ('processing', 'shipped', 'delivered') AND i.id IS NULL AND j.id IS NULL
           AND o.payment_status IN ('paid', 'partially_refunded') AND coalesce(p.kept, 1) > 0 AND o.stock_held AND NOT (o.on_hold AND o.status = 'processing')
           AND o.paid_at > now() - interval '30 days'
           AND o.paid_at > (SELECT min(created_at) FROM invoices) AND o.paid_at < (SELECT max(created_at) FROM invoices) - interval '1 hour'

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT count(*) || ' live invoices of order ' || order_id FROM invoices
         WHERE purpose = 'sale' AND status NOT IN ('denied', 'cancelled') GROUP BY order_id HAVING count(*) > 1

-- @ src/audit/rules_invoices.rs
--  -> ?column? text
SELECT r.back || ' of line ' || l.id || ' were given back, sold were ' || l.quantity
          FROM (SELECT (line ->> 0)::uuid AS line, sum((line ->> 1)::int) AS back
                  FROM invoices i, jsonb_array_elements(i.lines) AS line
                 WHERE i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') GROUP BY 1) r
          JOIN order_lines l ON l.id = r.line WHERE r.back > l.quantity

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'alert ' || key || ' was raised at ' || min(raised_at) || ' and is not counted' FROM alert_occurrences
         GROUP BY key HAVING min(raised_at) < now() - interval '1 hour'
        UNION ALL
        SELECT 'alert ' || key || ' of ' || day || ' was told to nobody' FROM alerts
         WHERE told_count = 0 AND acknowledged_at IS NULL AND first_at < now() - interval '12 hours'
        UNION ALL
        SELECT 'alert mail ' || id || ' waits since ' || created_at FROM messages
         WHERE kind = 'alert' AND status = 'queued' AND created_at < now() - interval '2 days'

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'an order that was answered: ' || k.id
          FROM (SELECT convert_from(body, 'UTF8')::jsonb ->> 'id' AS id FROM idempotency_keys WHERE status = 201 AND scope LIKE '% POST /api/orders') k
          LEFT JOIN orders o ON o.id::text = k.id WHERE o.id IS NULL
        UNION ALL
        SELECT 'a refund that was answered: ' || k.id
          FROM (SELECT convert_from(body, 'UTF8')::jsonb ->> 'refund_id' AS id FROM idempotency_keys WHERE status = 201 AND scope LIKE '% refund:%') k
          LEFT JOIN refunds r ON r.id::text = k.id WHERE r.id IS NULL

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'job ' || id || ' (' || kind || ') was due at ' || run_at FROM jobs
         WHERE (state = 'running' AND lease_until < now() - interval '10 minutes') OR (state = 'waiting' AND run_at < now() - interval '1 hour')

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'key of ' || scope || ', held since ' || created_at FROM idempotency_keys
         WHERE status IS NULL AND (lease_until IS NULL OR lease_until < now() - interval '2 days')

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'message ' || id || ' (' || kind || ') is ' || status || ' without the provider''s id' FROM messages
         WHERE status IN ('sent', 'delivered', 'bounced') AND provider_ref IS NULL

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'message ' || m.id || ' (' || m.kind || ') is queued, and no job will send it'
          FROM messages m
          LEFT JOIN (SELECT kind, coalesce(payload ->> 'order', payload ->> 'refund', payload ->> 'reset', payload ->> 'invoice', payload ->> 'user',
                                            payload ->> 'message', id::text) AS about FROM jobs
                      WHERE left(kind, 4) IN ('mail', 'sms_') AND state IN ('waiting', 'running', 'dead')) j
            ON (j.kind = CASE m.channel WHEN 'sms' THEN 'sms_' ELSE 'mail_' END || m.kind AND j.about = split_part(m.event, ':', 2))
            OR (j.kind = 'mail_message' AND j.about = m.id::text)
         WHERE m.status = 'queued' AND m.recipient IS NOT NULL AND m.kind <> 'alert' AND j.kind IS NULL

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT 'text ' || id || ' (' || kind || ') may have gone out ' || open_tries || ' times' FROM messages
         WHERE channel = 'sms' AND open_tries > 1 AND claimed_at IS NULL

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT count(*) || ' events ' || event_id || ' of ' || provider FROM webhook_events GROUP BY provider, event_id HAVING count(*) > 1

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT count(*) || ' messages ' || event FROM messages GROUP BY event HAVING count(*) > 1

-- @ src/audit/rules_machinery.rs
--  -> ?column? text
SELECT count(*) || ' unfinished jobs ' || dedupe FROM jobs
         WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running') GROUP BY dedupe HAVING count(*) > 1

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'money movement ' || m.id FROM money_movements m JOIN payments p ON p.id = m.payment_id
         WHERE m.order_id <> p.order_id OR m.provider <> p.provider
        UNION ALL
        SELECT 'refund ' || r.id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.order_id <> p.order_id
        UNION ALL
        SELECT 'dispute ' || d.id FROM disputes d JOIN payments p ON p.id = d.payment_id WHERE d.order_id <> p.order_id OR d.provider <> p.provider
        UNION ALL
        SELECT 'money movement ' || m.id FROM money_movements m JOIN disputes d ON d.id = m.dispute_id WHERE m.payment_id <> d.payment_id

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || o.number FROM orders o
         WHERE o.payment_status = 'refunded' AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.status IN ('refunded', 'charged_back', 'disputed'))

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' (' || o.payment_status || ') has ' || count(p.id)
          FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.captured_cents > 0 AND NOT p.is_surplus
         WHERE o.payment_status IN ('paid', 'partially_refunded') GROUP BY o.id
        HAVING count(p.id) <> CASE WHEN o.total_cents > 0 THEN 1 ELSE 0 END

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' costs ' || o.total_cents || ' ' || o.currency || ', payment ' || p.id || ' brought '
               || p.captured_cents || ' ' || p.currency
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.status IN ('paid', 'partially_refunded', 'disputed', 'partially_charged_back') AND NOT p.is_surplus AND (p.captured_cents <> o.total_cents OR p.currency <> o.currency)

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' is ' || o.payment_status || ', of its payment ' || p.id || ' of ' || p.captured_cents || ' are gone '
               || coalesce(m.sum, 0) + p.lost_cents
          FROM payments p JOIN orders o ON o.id = p.order_id
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.captured_cents > 0 AND NOT p.is_surplus AND o.payment_status IN ('paid', 'partially_refunded', 'refunded')
           AND o.payment_status <> CASE WHEN coalesce(m.sum, 0) + p.lost_cents >= p.captured_cents THEN 'refunded'
                                        WHEN coalesce(m.sum, 0) + p.lost_cents > 0 THEN 'partially_refunded' ELSE 'paid' END

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || order_id FROM money_movements GROUP BY order_id
        HAVING coalesce(sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) FILTER (WHERE refund_id IS NOT NULL), 0)
               NOT BETWEEN 0 AND coalesce(sum(amount_cents) FILTER (WHERE kind = 'capture'), 0)

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'order ' || order_id || ' has ' || count(*) || ' live payments' FROM payments
         WHERE status IN ('creating', 'unknown', 'pending') GROUP BY order_id HAVING count(*) > 1
        UNION ALL
        SELECT 'order ' || order_id || ' accepted ' || count(*) || ' payments' FROM payments
         WHERE captured_cents > 0 AND NOT is_surplus GROUP BY order_id HAVING count(*) > 1

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || id || ' (' || status || ') captured ' || captured_cents || ' at ' || coalesce(paid_at::text, 'no time') FROM payments
         WHERE (captured_cents > 0) <> (status IN ('paid', 'surplus', 'partially_refunded', 'refunded', 'disputed', 'partially_charged_back', 'charged_back'))
            OR (captured_cents > 0) <> (paid_at IS NOT NULL)

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' (' || p.status || ') at ' || p.provider || ' ran out at ' || p.expires_at || ', and nobody can say whether it was paid'
          FROM payments p
         WHERE p.status IN ('creating', 'unknown', 'pending') AND p.expires_at < now() - interval '24 hours'

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' (' || p.status || ') was last looked at ' || coalesce(p.checked_at, p.created_at)
          FROM payments p
          LEFT JOIN jobs c ON c.dedupe = 'check_payment:' || p.id AND c.state IN ('waiting', 'running', 'dead')
          LEFT JOIN jobs v ON v.dedupe = 'void_payment:' || p.id AND v.state IN ('waiting', 'running', 'dead')
         WHERE p.status IN ('creating', 'unknown', 'pending') AND c.id IS NULL AND v.id IS NULL
           AND greatest(p.checked_at, p.updated_at) < now() - interval '15 minutes'

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' asked for ' || p.amount_cents || ' and captured ' || p.captured_cents
          FROM payments p WHERE p.captured_cents NOT IN (0, p.amount_cents)
           AND 0 = (SELECT count(*) FROM order_history h
                     WHERE h.order_id = p.order_id AND h.subject = 'payment' AND h.subject_id = p.id AND h.to_state = 'surplus')

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' has ' || p.captured_cents - p.refunded_cents - p.lost_cents || ' centavos to give back'
          FROM payments p WHERE p.status = 'surplus' AND p.refunded_cents + p.lost_cents < p.captured_cents

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' is ' || p.status || ', of ' || p.captured_cents || ' went back ' || coalesce(m.sum, 0) || ', disputes took '
               || p.lost_cents
          FROM payments p
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.status <> 'disputed' AND p.captured_cents > 0
           AND p.status <> CASE WHEN coalesce(m.sum, 0) + p.lost_cents >= p.captured_cents THEN CASE WHEN p.lost_cents > 0 THEN 'charged_back' ELSE 'refunded' END
                                WHEN p.is_surplus THEN 'surplus' WHEN p.lost_cents > 0 THEN 'partially_charged_back'
                                WHEN coalesce(m.sum, 0) > 0 THEN 'partially_refunded' ELSE 'paid' END

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' of order ' || o.number || ' (' || o.payment_status || ')'
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.status = 'paid' AND o.payment_status NOT IN ('paid', 'partially_refunded')
           AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status <> 'failed')

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' of order ' || o.number || ' has ' || p.captured_cents - p.refunded_cents - p.lost_cents || ' centavos to give back'
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE o.status = 'cancelled' AND p.status IN ('paid', 'partially_refunded', 'partially_charged_back')
           AND p.refunded_cents + p.lost_cents < p.captured_cents

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' says ' || p.captured_cents || ', the ledger ' || coalesce(m.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM money_movements WHERE kind = 'capture' GROUP BY 1) m
            ON m.payment_id = p.id
         WHERE p.captured_cents <> coalesce(m.sum, 0)

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'payment ' || p.id || ' says ' || p.refunded_cents || ', its refunds ' || coalesce(r.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM refunds WHERE status <> 'failed' GROUP BY 1) r
            ON r.payment_id = p.id
         WHERE p.refunded_cents <> coalesce(r.sum, 0) OR p.refunded_cents > p.captured_cents

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || id || ' (' || status || ') is in hand since ' || coalesce(in_hand_since, created_at) FROM refunds
         WHERE status IN ('processing', 'unknown') AND coalesce(in_hand_since, created_at) < now() - interval '24 hours'

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || id || ' waits since ' || waits_since || ': ' || coalesce(error, '') FROM refunds
         WHERE status = 'waiting' AND waits_since < now() - interval '8 days'

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || r.id FROM refunds r WHERE r.status IN ('pending', 'processing', 'unknown', 'waiting')
           AND r.updated_at < now() - interval '5 minutes'
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state IN ('waiting', 'running', 'dead'))

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || r.id || ' (' || r.status || ') of ' || r.amount_cents || ', the ledger says ' || coalesce(m.sum, 0)
          FROM refunds r
          LEFT JOIN (SELECT refund_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.refund_id = r.id
         WHERE coalesce(m.sum, 0) <> CASE WHEN r.status = 'done' THEN r.amount_cents ELSE 0 END

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || r.id || ' has the key that refund ' || k.refund_id || ' left' FROM refunds r JOIN refund_keys k ON k.key = r.key

-- @ src/audit/rules_money.rs
--  -> ?column? text
SELECT 'refund ' || r.id || ' of ' || r.amount_cents || ' was paid another way by ' || coalesce(r.paid_otherwise_by, 'nobody') || ', the ledger says '
               || coalesce(m.amount_cents, 0)
          FROM refunds r LEFT JOIN money_movements m ON m.refund_id = r.id AND m.kind = 'refund_otherwise'
         WHERE coalesce(m.amount_cents, 0) <> CASE WHEN r.paid_otherwise_at IS NULL THEN 0 ELSE r.amount_cents END

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' of order ' || o.number FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'sale' AND o.paid_at IS NULL
        UNION ALL
        SELECT 'shipment ' || s.id || ' of order ' || o.number FROM shipments s JOIN orders o ON o.id = s.order_id
         WHERE s.status NOT IN ('pending', 'cancelled', 'expired') AND o.paid_at IS NULL

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'line ' || id || ' says ' || line_total_cents || ' less ' || discount_cents FROM order_lines
         WHERE line_total_cents <> unit_price_cents * quantity OR discount_cents NOT BETWEEN 0 AND line_total_cents

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number FROM orders
         WHERE total_cents <> subtotal_cents - discount_cents + shipping_cents
            OR least(total_cents, subtotal_cents, discount_cents, shipping_cents) < 0

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number FROM orders WHERE num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) NOT IN (0, 3)
        UNION ALL SELECT 'user ' || id FROM users WHERE num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) NOT IN (0, 3)

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number || ' (' || payment_status || ')' FROM orders
         WHERE (paid_at IS NOT NULL) <> (payment_status IN ('paid', 'partially_refunded', 'refunded'))

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number || ' (' || status || ')' FROM orders
         WHERE status IN ('shipped', 'delivered') AND ((tracking_number IS NULL AND shipping_provider <> 'pickup') OR shipped_at IS NULL)

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number || ' by ' || shipping_provider || ' pays ' || shipping_cents || ' of ' || shipping_quoted_cents
               || ', the reason for nothing is ' || coalesce(freight_quote #>> '{free,reason}', 'none')
          FROM orders
         WHERE (shipping_cents = 0) <> (freight_quote #>> '{free,reason}' IS NOT NULL)
            OR shipping_cents NOT IN (0, shipping_quoted_cents)
            OR (shipping_quoted_cents = 0) <> (shipping_provider = 'pickup')
            OR CASE freight_quote #>> '{free,reason}'
                    WHEN 'pickup' THEN shipping_provider <> 'pickup'
                    WHEN 'coupon' THEN coupon_code IS NULL
                    WHEN 'rule' THEN subtotal_cents - coupon_discount_cents < (freight_quote #>> '{free,min_subtotal_cents}')::bigint
                    ELSE freight_quote #>> '{free,reason}' IS NOT NULL END

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || number || ' is ' || status || '/' || payment_status FROM orders
         WHERE (status IN ('processing', 'shipped', 'delivered', 'returned') AND payment_status NOT IN ('paid', 'partially_refunded', 'refunded'))
            OR (status = 'pending' AND payment_status NOT IN ('pending_payment', 'failed'))
            OR (status = 'cancelled' AND payment_status IN ('pending_payment', 'failed'))
            OR (status = 'cancelled') <> (cancelled_at IS NOT NULL)

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || o.number FROM orders o WHERE NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' ends at ' || o.expires_at || ', and no job will see to it'
          FROM orders o LEFT JOIN jobs j ON j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running', 'dead')
         WHERE o.status = 'pending' AND j.id IS NULL

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' has ' || coalesce(m.count, 0) || ' messages'
          FROM orders o
          LEFT JOIN (SELECT order_id, count(*) AS count FROM messages WHERE kind = 'order_paid' AND channel = 'email' GROUP BY 1) m ON m.order_id = o.id
          LEFT JOIN (SELECT DISTINCT payload ->> 'order' AS order_id FROM jobs
                      WHERE kind = 'mail_order_paid' AND state IN ('waiting', 'running', 'dead')) j ON j.order_id = o.id::text
         WHERE m.count > 1 OR (m.count > 0 AND o.paid_at IS NULL)
            OR (o.paid_at IS NOT NULL AND o.customer_email IS NOT NULL AND m.count IS NULL AND j.order_id IS NULL)

-- @ src/audit/rules_orders.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' says ' || o.subtotal_cents || ' less ' || o.discount_cents || ', its lines '
               || coalesce(l.sum, 0) || ' less ' || coalesce(l.discount, 0)
          FROM orders o
          LEFT JOIN (SELECT order_id, sum(line_total_cents) AS sum, sum(discount_cents) AS discount FROM order_lines GROUP BY 1) l
            ON l.order_id = o.id
         WHERE o.subtotal_cents IS DISTINCT FROM l.sum OR o.discount_cents IS DISTINCT FROM l.discount
            OR o.discount_cents <> o.coupon_discount_cents + o.method_discount_cents

-- @ src/audit/rules_orders.rs
--  -> ?column? text
WITH gone AS (SELECT id, phone, password_hash, tax_id_sealed, email FROM users WHERE erased_at IS NOT NULL)
        SELECT 'user ' || id FROM gone WHERE num_nonnulls(phone, password_hash, tax_id_sealed) > 0 OR email NOT LIKE '%@invalid'
        UNION ALL SELECT 'address ' || a.id FROM addresses a JOIN gone ON gone.id = a.user_id
        UNION ALL SELECT 'session ' || s.id FROM sessions s JOIN gone ON gone.id = s.user_id
        UNION ALL SELECT 'order ' || o.number FROM orders o JOIN gone ON gone.id = o.user_id
                   WHERE num_nonnulls(o.customer_email, o.customer_phone, o.tax_id_sealed) > 0
        UNION ALL SELECT 'message ' || m.id FROM messages m JOIN gone ON gone.id = m.user_id WHERE m.recipient IS NOT NULL

-- @ src/audit/rules_orders.rs
--  -> ?column? text
WITH known AS (SELECT array_agg(data_key) AS keys FROM secret_keys)
        SELECT 'order ' || number || ': key ' || tax_id_key FROM orders, known WHERE tax_id_key <> ALL (keys)
        UNION ALL SELECT 'user ' || id || ': key ' || tax_id_key FROM users, known WHERE tax_id_key <> ALL (keys)
        UNION ALL SELECT 'second factor of user ' || id || ': key ' || totp_key FROM users, known WHERE totp_key <> ALL (keys)
        UNION ALL SELECT 'uses of coupon ' || coupon_id || ': key ' || key FROM coupon_persons, known WHERE key <> ALL (keys)

-- @ src/audit/rules_parcels.rs
--  -> ?column? text
SELECT 'label ' || id || ' is ' || status FROM shipments
         WHERE status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')
           AND (provider_ref IS NULL OR (price_cents IS NULL AND updated_at < now() - interval '1 hour'))

-- @ src/audit/rules_parcels.rs
--  -> ?column? text
SELECT 'label ' || s.id || ' is ' || s.status || ', and no job will see to it'
          FROM shipments s JOIN orders o ON o.id = s.order_id AND o.status IN ('processing', 'shipped', 'cancelled')
          LEFT JOIN (SELECT DISTINCT payload ->> 'order' AS order_id FROM jobs
                      WHERE kind IN ('buy_label', 'drop_label') AND state IN ('waiting', 'running', 'dead')) j ON j.order_id = s.order_id::text
         WHERE (s.status IN ('pending', 'carted', 'released') OR (s.status = 'generated' AND (s.label_url IS NULL OR o.status = 'cancelled')))
           AND s.error IS NULL AND s.updated_at < now() - interval '1 hour' AND j.order_id IS NULL
           AND (o.status <> 'shipped' OR s.status IN ('pending', 'carted')
                OR EXISTS (SELECT FROM shipments l WHERE l.order_id = s.order_id AND l.status IN ('posted', 'undelivered', 'delivered')))

-- @ src/audit/rules_parcels.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' is ' || o.status || ', all its parcels arrived'
          FROM orders o
          JOIN (SELECT order_id FROM shipments WHERE status NOT IN ('cancelled', 'expired') GROUP BY 1 HAVING bool_and(status = 'delivered')) s
            ON s.order_id = o.id
         WHERE o.status IN ('processing', 'shipped') AND o.payment_status IN ('paid', 'partially_refunded')

-- @ src/audit/rules_parcels.rs
--  -> ?column? text
SELECT 'order ' || o.number || ' is delivered, and nobody said so'
          FROM orders o
          LEFT JOIN (SELECT DISTINCT order_id FROM shipments WHERE status = 'delivered') s ON s.order_id = o.id
         WHERE o.status = 'delivered'
           AND CASE WHEN o.delivered_at IS NULL THEN true
                    WHEN s.order_id IS NULL
                    THEN NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = o.id AND h.subject = 'shipment' AND h.to_state = 'delivered') END

-- @ src/audit/rules_parcels.rs
--  -> ?column? text
SELECT 'order ' || order_id || ' has ' || count(*) || ' labels for parcel ' || volume FROM shipments
         WHERE status NOT IN ('cancelled', 'expired') GROUP BY order_id, volume HAVING count(*) > 1

-- @ src/audit/rules_returns.rs
--  -> ?column? text
SELECT 'invoice ' || i.id || ' gives back goods of order ' || o.number || ', whose money the shop did not give back'
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'return' AND i.ground = 'money' AND i.status NOT IN ('denied', 'cancelled') AND i.cancel_reason IS NULL
           AND o.status IN ('shipped', 'delivered') AND o.shipped_at < i.created_at AND NOT 
    coalesce((SELECT sum(p.captured_cents) > 0 AND sum(p.captured_cents) <=
                     sum((SELECT coalesce(sum(r.amount_cents), 0) FROM refunds r
                           WHERE r.payment_id = p.id AND r.status <> 'failed' AND r.requested_by NOT LIKE 'provider:%'))
                FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus), false)

-- @ src/audit/rules_returns.rs
--  -> ?column? text
SELECT 'returns of invoice ' || s.id || ' come to ' || r.total || ', the sale to ' || s.total_cents
          FROM (SELECT i.sale_id, sum(i.total_cents) AS total, bool_and(i.line_discounts IS NOT NULL) AS is_shared,
                       sum((SELECT sum((e ->> 1)::int) FROM jsonb_array_elements(i.lines) e)) AS pieces
                  FROM invoices i
                 WHERE i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') AND i.cancel_reason IS NULL GROUP BY 1) r
          JOIN invoices s ON s.id = r.sale_id
         WHERE r.total > s.total_cents
            OR (r.is_shared AND r.total < s.total_cents
                AND r.pieces >= CASE WHEN s.lines IS NULL THEN (SELECT sum(l.quantity) FROM order_lines l WHERE l.order_id = s.order_id)
                                     ELSE (SELECT sum((e ->> 1)::int) FROM jsonb_array_elements(s.lines) e) END)

-- @ src/audit/rules_returns.rs
--  -> ?column? text
WITH back AS (
        SELECT line, sum(n)::bigint AS n FROM (
            SELECT m.order_line_id AS line, m.delta AS n FROM stock_movements m WHERE m.reason = 'return'
            UNION ALL
            SELECT m.order_line_id, m.delta
              FROM stock_movements m JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id
             WHERE m.reason = 'release' AND m.reservation = o.reservation
            UNION ALL SELECT order_line_id, quantity FROM write_offs) pieces GROUP BY 1)
        SELECT 'order ' || o.number || ' holds stock, all of its goods are back'
          FROM (SELECT l.order_id, sum(l.quantity - coalesce(back.n, 0)) AS pieces
                  FROM order_lines l LEFT JOIN back ON back.line = l.id GROUP BY 1) still
          JOIN orders o ON o.id = still.order_id
         WHERE o.stock_held AND still.pieces <= 0

-- @ src/audit/rules_returns.rs
--  -> ?column? text
WITH back AS (
        SELECT line, sum(n)::bigint AS n FROM (
            SELECT m.order_line_id AS line, m.delta AS n FROM stock_movements m WHERE m.reason = 'return'
            UNION ALL
            SELECT m.order_line_id, m.delta
              FROM stock_movements m JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id
             WHERE m.reason = 'release' AND m.reservation = o.reservation
            UNION ALL SELECT order_line_id, quantity FROM write_offs) pieces GROUP BY 1)
        SELECT 'order ' || o.number || ' is ' || o.status || ', its goods and its money are back'
          FROM orders o
          JOIN (SELECT l.order_id, sum(l.quantity - coalesce(back.n, 0)) AS pieces
                  FROM order_lines l LEFT JOIN back ON back.line = l.id GROUP BY 1) still ON still.order_id = o.id
          LEFT JOIN (SELECT order_id, sum(captured_cents) AS captured, sum(refunded_cents) AS refunded
                       FROM payments WHERE NOT is_surplus GROUP BY 1) p ON p.order_id = o.id
         WHERE o.status IN ('shipped', 'delivered') AND still.pieces <= 0
           AND (o.total_cents = 0 OR o.payment_status = 'refunded' OR (p.captured > 0 AND p.refunded >= p.captured))

-- @ src/audit/rules_returns.rs
--  -> ?column? text
WITH back AS (
        SELECT line, sum(n)::bigint AS n FROM (
            SELECT m.order_line_id AS line, m.delta AS n FROM stock_movements m WHERE m.reason = 'return'
            UNION ALL
            SELECT m.order_line_id, m.delta
              FROM stock_movements m JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id
             WHERE m.reason = 'release' AND m.reservation = o.reservation
            UNION ALL SELECT order_line_id, quantity FROM write_offs) pieces GROUP BY 1)
        SELECT back.n || ' pieces of line ' || l.id || ' came back, sold were ' || l.quantity
          FROM back JOIN order_lines l ON l.id = back.line WHERE back.n > l.quantity
        UNION ALL
        SELECT 'write-off ' || w.id || ' is of no line' FROM write_offs w LEFT JOIN order_lines l ON l.id = w.order_line_id WHERE l.id IS NULL

-- @ src/audit/rules_returns.rs
--  -> ?column? text
WITH back AS (
        SELECT line, sum(n)::bigint AS n FROM (
            SELECT m.order_line_id AS line, m.delta AS n FROM stock_movements m WHERE m.reason = 'return'
            UNION ALL
            SELECT m.order_line_id, m.delta
              FROM stock_movements m JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id
             WHERE m.reason = 'release' AND m.reservation = o.reservation
            UNION ALL SELECT order_line_id, quantity FROM write_offs) pieces GROUP BY 1), paper AS (
            SELECT i.id, o.number, l.id AS line, l.quantity - back.n AS pieces,
                   CASE WHEN i.lines IS NULL THEN l.quantity
                        ELSE coalesce((SELECT (e ->> 1)::int FROM jsonb_array_elements(i.lines) e WHERE e ->> 0 = l.id::text), 0) END
                   - coalesce((SELECT sum((e ->> 1)::int) FROM invoices r, jsonb_array_elements(r.lines) e
                                WHERE r.sale_id = i.id AND r.purpose = 'return' AND r.status NOT IN ('denied', 'cancelled')
                                  AND e ->> 0 = l.id::text), 0) AS on_paper
              FROM back JOIN order_lines l ON l.id = back.line JOIN orders o ON o.id = l.order_id
              JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale' AND i.status = 'authorized' AND i.cancel_reason IS NULL
              LEFT JOIN jobs j ON j.dedupe = 'drop_invoice:' || o.id AND j.state <> 'done'
             WHERE o.status <> 'cancelled' AND j.id IS NULL)
        SELECT 'invoice ' || id || ' of order ' || number || ' leaves ' || on_paper || ' pieces of line ' || line || ' sold, ' || pieces || ' are'
          FROM paper WHERE on_paper > pieces

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'coupon ' || c.code || ' counts ' || c.uses || ', its persons ' || coalesce(p.uses, 0)
          FROM coupons c LEFT JOIN (SELECT coupon_id, sum(uses) AS uses FROM coupon_persons GROUP BY 1) p ON p.coupon_id = c.id
         WHERE c.uses <> coalesce(p.uses, 0)
        UNION ALL
        SELECT 'coupon ' || o.coupon_code || ': ' || o.held || ' orders of one person hold it, counted were ' || coalesce(p.uses, 0)
          FROM (SELECT coupon_id, tax_id_hash, min(coupon_code) AS coupon_code, count(*) AS held FROM orders
                 WHERE coupon_held AND tax_id_hash IS NOT NULL GROUP BY 1, 2) o
          LEFT JOIN coupon_persons p ON p.coupon_id = o.coupon_id AND p.person = o.tax_id_hash
         WHERE o.held > coalesce(p.uses, 0)

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'coupon ' || c.code || ' counts ' || c.uses || ', orders ' || coalesce(o.held, 0)
          FROM coupons c LEFT JOIN (SELECT coupon_id, count(*) AS held FROM orders WHERE coupon_held GROUP BY 1) o ON o.coupon_id = c.id
         WHERE c.uses <> coalesce(o.held, 0)

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'coupon ' || c.code || ': ' || p.uses || ' uses by one person'
          FROM coupon_persons p JOIN coupons c ON c.id = p.coupon_id WHERE p.uses > c.max_uses_per_customer
        UNION ALL
        SELECT 'coupon ' || min(c.code) || ': ' || count(*) || ' uses by user ' || o.user_id
          FROM orders o JOIN coupons c ON c.id = o.coupon_id
         WHERE o.coupon_held AND o.user_id IS NOT NULL AND c.max_uses_per_customer IS NOT NULL
         GROUP BY o.coupon_id, o.user_id HAVING count(*) > min(c.max_uses_per_customer)
        UNION ALL
        SELECT 'coupon ' || min(c.code) || ': ' || count(*) || ' uses by one e-mail, among them order ' || min(o.number)
          FROM orders o JOIN coupons c ON c.id = o.coupon_id
         WHERE o.coupon_held AND o.customer_email IS NOT NULL AND c.max_uses_per_customer IS NOT NULL
         GROUP BY o.coupon_id, o.customer_email HAVING count(*) > min(c.max_uses_per_customer)

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'coupon ' || code || ' was used ' || uses || ' times of ' || max_uses FROM coupons WHERE uses > max_uses

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'line ' || l.id || ' of order ' || o.number || ' holds ' || coalesce(-m.sum, 0)
          FROM orders o JOIN order_lines l ON l.order_id = o.id
          LEFT JOIN (SELECT order_line_id, sum(delta) AS sum, coalesce(sum(delta) FILTER (WHERE reason = 'return'), 0) AS returned
                       FROM stock_movements WHERE reason IN ('sale', 'release', 'return') GROUP BY 1) m
            ON m.order_line_id = l.id
          LEFT JOIN (SELECT order_line_id, sum(quantity) AS quantity FROM write_offs GROUP BY 1) w ON w.order_line_id = l.id
         WHERE coalesce(-m.sum, 0) <> CASE WHEN o.stock_held THEN l.quantity - coalesce(m.returned, 0) ELSE coalesce(w.quantity, 0) END

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'line ' || order_line_id || ': ' || count(*) || ' times ' || reason || ' in reservation ' || reservation
          FROM stock_movements WHERE reason IN ('sale', 'release') GROUP BY order_line_id, reason, reservation HAVING count(*) > 1

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'movement ' || m.id FROM stock_movements m LEFT JOIN variants v ON v.id = m.variant_id WHERE v.id IS NULL

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'movement ' || m.id || ' of line ' || m.order_line_id || ' moves ' || m.delta || ' of variant ' || m.variant_id
          FROM stock_movements m LEFT JOIN order_lines l ON l.id = m.order_line_id
         WHERE m.order_line_id IS NOT NULL
           AND (l.id IS NULL OR l.variant_id <> m.variant_id OR abs(m.delta) > l.quantity
                OR (m.reason = 'sale' AND -m.delta <> l.quantity) OR (m.reason = 'sale') <> (m.delta < 0))

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'order ' || number || ' (' || status || ')' FROM orders
         WHERE (status = 'cancelled' AND (stock_held OR coupon_held)) OR (status = 'pending' AND NOT stock_held)

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'product ' || p.id || ' has ' || count(v.id) FROM products p LEFT JOIN variants v ON v.product_id = p.id AND v.is_default
         WHERE p.deleted_at IS NULL GROUP BY p.id HAVING count(v.id) <> 1

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'variant ' || v.id || ' has ' || v.stock || ', its movements say ' || coalesce(m.sum, 0)
          FROM variants v LEFT JOIN (SELECT variant_id, sum(delta) AS sum FROM stock_movements GROUP BY 1) m ON m.variant_id = v.id
         WHERE v.stock <> coalesce(m.sum, 0)

-- @ src/audit/rules_stock.rs
--  -> ?column? text
SELECT 'variant ' || id || ' has ' || stock FROM variants WHERE stock < 0

-- @ src/audit_log.rs RECORD
-- text, text, text, jsonb, jsonb, text -> 
INSERT INTO audit_log (actor, action, entity_id, before, after, cause) VALUES ($1, $2, $3, $4, $5, $6)

-- @ src/auth/reset.rs END_EARLIER
-- uuid, uuid -> 
UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL AND id <> $2

-- @ src/auth/reset.rs END_OTHERS
-- uuid -> 
UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL

-- @ src/auth/reset.rs FIND
-- uuid, bytea -> id uuid, email text, name text
SELECT u.id, u.email, u.name FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.id = $1 AND r.token_hash = $2 AND r.used_at IS NULL AND r.expires_at > now()
           AND u.blocked_at IS NULL AND u.erased_at IS NULL

-- @ src/auth/reset.rs INSERT
-- uuid, uuid, bytea -> 
INSERT INTO password_resets (id, user_id, token_hash, expires_at)
        SELECT $1, $2, $3, now() + interval '1 hour'
         WHERE (SELECT count(*) FROM password_resets WHERE user_id = $2 AND created_at > now() - interval '1 hour') < 5

-- @ src/auth/reset.rs LOCK
-- text -> id uuid
SELECT id FROM users
         WHERE email = $1 AND password_hash IS NOT NULL AND blocked_at IS NULL AND erased_at IS NULL FOR NO KEY UPDATE

-- @ src/auth/reset.rs USE
-- uuid, bytea -> 
UPDATE password_resets SET used_at = now()
         WHERE id = $1 AND token_hash = $2 AND used_at IS NULL AND expires_at > now()

-- @ src/cart/merge.rs DROP
-- uuid -> 
DELETE FROM carts WHERE id = $1

-- @ src/cart/merge.rs GUEST
-- bytea -> id uuid, coupon_id uuid
SELECT id, coupon_id FROM carts WHERE owner = $1 AND user_id IS NULL FOR UPDATE

-- @ src/cart/merge.rs MOVE
-- uuid, uuid -> 
INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents, added_at)
        SELECT $2, i.variant_id, greatest(1, least(i.quantity, v.stock)), i.seen_price_cents, i.shown_price_cents, i.added_at
          FROM cart_items i JOIN variants v ON v.id = i.variant_id
         WHERE i.cart_id = $1 ORDER BY i.variant_id
        ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = greatest(1, least(cart_items.quantity + EXCLUDED.quantity, 9999,
            (SELECT v.stock FROM variants v WHERE v.id = EXCLUDED.variant_id)))

-- @ src/cart/merge.rs OWN
-- uuid, uuid, bytea, uuid -> id uuid
INSERT INTO carts (id, user_id, owner, coupon_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (owner) DO UPDATE SET coupon_id = coalesce(carts.coupon_id, EXCLUDED.coupon_id), updated_at = now()
        RETURNING id

-- @ src/cart/store.rs ADD
-- uuid, uuid, uuid, bytea, uuid, bytea, int4, int8, int4 -> sku text, stock int4, full_up bool, added bool, made bool
WITH target AS (
            SELECT v.id, v.sku, v.stock, v.price_cents
              FROM variants v JOIN products p ON p.id = v.product_id
             WHERE p.id = $1 AND p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL
               AND (v.id = $2 OR ($2::uuid IS NULL AND v.is_default))),
        known AS (
            UPDATE carts SET updated_at = now() WHERE owner = $4 RETURNING id),
        made AS (
            INSERT INTO carts (id, user_id, owner)
            SELECT $5, $3, $6 FROM target WHERE stock >= $7 AND NOT EXISTS (SELECT FROM known)
            ON CONFLICT (owner) DO UPDATE SET updated_at = now() RETURNING id),
        held AS (
            SELECT count(*) AS lines, count(*) FILTER (WHERE i.variant_id = (SELECT id FROM target)) > 0 AS has_it
              FROM cart_items i JOIN known ON i.cart_id = known.id),
        line AS (
            INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents)
            SELECT cart.id, target.id, $7, target.price_cents, target.price_cents
              FROM (SELECT id FROM known UNION ALL SELECT id FROM made) AS cart, target, held
             WHERE target.stock >= $7 AND (held.lines < $8 OR held.has_it)
            ON CONFLICT (cart_id, variant_id) DO UPDATE
               SET quantity = cart_items.quantity + EXCLUDED.quantity, seen_price_cents = EXCLUDED.seen_price_cents,
                   shown_price_cents = EXCLUDED.shown_price_cents
             WHERE cart_items.quantity + EXCLUDED.quantity <= (SELECT least(stock, $9) FROM target)
            RETURNING quantity)
        SELECT target.sku, target.stock, held.lines >= $8 AND NOT held.has_it AS full_up,
               EXISTS (SELECT FROM line) AS added, EXISTS (SELECT FROM made) AS made
          FROM target, held

-- @ src/cart/store.rs COUPON
-- bytea -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, person_uses int8
SELECT k.id, k.code, k.kind, k.value, k.min_subtotal_cents, k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses,
               k.max_uses_per_customer, k.uses, k.active, coupon_uses_of(k.id, ARRAY[u.tax_id_hash], u.id, u.email, NULL) AS person_uses
          FROM carts c JOIN coupons k ON k.id = c.coupon_id LEFT JOIN users u ON u.id = c.user_id
         WHERE c.owner = $1

-- @ src/cart/store.rs EMPTY
-- bytea -> 
WITH cart AS (
            UPDATE carts SET coupon_id = NULL, updated_at = now() WHERE owner = $1 RETURNING id)
        DELETE FROM cart_items i USING cart WHERE i.cart_id = cart.id

-- @ src/cart/store.rs FIND
-- text, uuid -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, person_uses int8
SELECT k.id, k.code, k.kind, k.value, k.min_subtotal_cents, k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses,
               k.max_uses_per_customer, k.uses, k.active, coupon_uses_of(k.id, ARRAY[u.tax_id_hash], u.id, u.email, NULL) AS person_uses
          FROM coupons k LEFT JOIN users u ON u.id = $2 WHERE k.code = $1

-- @ src/cart/store.rs LINES
-- bytea -> variant_id uuid, quantity int4, seen_price_cents int8, shown_price_cents int8, product_id uuid, sku text, variant_name text, price_cents int8, stock int4, name text, slug text, sold bool, image_url text
SELECT i.variant_id, i.quantity, i.seen_price_cents, i.shown_price_cents, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock,
               p.name, p.slug, p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL AS sold,
               (SELECT g.url FROM product_images g WHERE g.product_id = p.id ORDER BY g.position LIMIT 1) AS image_url
          FROM carts c JOIN cart_items i ON i.cart_id = c.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
         WHERE c.owner = $1
         ORDER BY i.added_at, i.variant_id

-- @ src/cart/store.rs REMOVE
-- bytea, uuid, uuid -> lines int8
WITH cart AS (
            UPDATE carts SET updated_at = now() WHERE owner = $1 RETURNING id),
        lines AS (
            SELECT i.cart_id, i.variant_id, count(*) OVER () AS lines
              FROM cart JOIN cart_items i ON i.cart_id = cart.id JOIN variants v ON v.id = i.variant_id
             WHERE (v.id = $2 OR v.product_id = $2) AND (v.id = $3 OR $3::uuid IS NULL)),
        removed AS (
            DELETE FROM cart_items i USING lines l WHERE i.cart_id = l.cart_id AND i.variant_id = l.variant_id AND l.lines = 1)
        SELECT lines FROM lines LIMIT 1

-- @ src/cart/store.rs SET
-- bytea, uuid, uuid, int4 -> sku text, stock int4, sold bool, lines int8, changed bool
WITH cart AS (
            UPDATE carts SET updated_at = now() WHERE owner = $1 RETURNING id),
        lines AS (
            SELECT i.cart_id, i.variant_id, v.sku, v.stock, v.price_cents,
                   p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL AS sold, count(*) OVER () AS lines
              FROM cart JOIN cart_items i ON i.cart_id = cart.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
             WHERE (v.id = $2 OR p.id = $2) AND (v.id = $3 OR $3::uuid IS NULL)),
        changed AS (
            UPDATE cart_items i SET quantity = $4, seen_price_cents = l.price_cents, shown_price_cents = l.price_cents
              FROM lines l
             WHERE i.cart_id = l.cart_id AND i.variant_id = l.variant_id AND l.lines = 1 AND l.sold AND l.stock >= $4
            RETURNING i.variant_id)
        SELECT sku, stock, sold, lines, EXISTS (SELECT FROM changed) AS changed FROM lines LIMIT 1

-- @ src/cart/store.rs SET
-- bytea, uuid -> 
UPDATE carts SET coupon_id = $2, updated_at = now() WHERE owner = $1

-- @ src/cart/store.rs SHOWN
-- bytea, _uuid, _int8 -> 
WITH cart AS (SELECT id FROM carts WHERE owner = $1 FOR NO KEY UPDATE)
        UPDATE cart_items i SET shown_price_cents = l.price
          FROM cart, unnest($2::uuid[], $3::bigint[]) AS l (variant, price)
         WHERE i.cart_id = cart.id AND i.variant_id = l.variant

-- @ src/catalog/cached.rs
-- text, text -> pg_notify void
SELECT pg_notify($1, $2)

-- @ src/catalog/categories.rs ALL
--  -> id uuid, parent_id uuid, slug text, name text, description text, position int4, ncm text, cfop text, origin int2, tax jsonb, created_at timestamptz, updated_at timestamptz
SELECT id, parent_id, slug, name, description, position, ncm, cfop, origin, tax, created_at, updated_at
          FROM categories ORDER BY position, plain(name), id

-- @ src/catalog/categories.rs BRANCH
-- uuid, text -> id uuid
WITH RECURSIVE branch AS (
            SELECT id FROM categories WHERE id = $1 OR slug = $2
            UNION SELECT c.id FROM categories c JOIN branch b ON c.parent_id = b.id)
        SELECT id FROM branch

-- @ src/catalog/category_admin.rs
-- uuid -> 
DELETE FROM categories WHERE id = $1

-- @ src/catalog/category_admin.rs CLEAR_CATEGORY
-- uuid -> 
UPDATE products SET category_id = NULL WHERE category_id = $1 AND deleted_at IS NOT NULL

-- @ src/catalog/category_admin.rs INSERT
-- uuid, text, uuid, text, text, int4, text, text, int2, jsonb -> 
INSERT INTO categories (id, slug, parent_id, name, description, position, ncm, cfop, origin, tax)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- @ src/catalog/category_admin.rs IN_USE
-- uuid -> has_children bool, has_products bool
SELECT EXISTS (SELECT FROM categories WHERE parent_id = $1) AS has_children,
               EXISTS (SELECT FROM products WHERE category_id = $1 AND deleted_at IS NULL) AS has_products

-- @ src/catalog/category_admin.rs UPDATE
-- uuid, text, uuid, text, text, int4, text, text, int2, jsonb -> 
UPDATE categories SET slug = $2, parent_id = $3, name = $4, description = $5, position = $6, ncm = $7, cfop = $8, origin = $9, tax = $10,
               updated_at = now() WHERE id = $1

-- @ src/catalog/import.rs INSERT
-- _uuid, _uuid, _text, _text, _int4 -> 
INSERT INTO categories (id, parent_id, slug, name, position)
        SELECT n.id, n.parent, n.slug, n.name, n.position
          FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[]) AS n (id, parent, slug, name, position)

-- @ src/catalog/import.rs OWNERS
-- _text -> sku text, slug text
SELECT v.sku, p.slug FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = ANY($1) AND v.deleted_at IS NULL

-- @ src/catalog/import.rs STOCKS
-- _text -> slug text, sku text, stock int4
SELECT p.slug, v.sku, v.stock FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = ANY($1)

-- @ src/catalog/low_stock.rs FORGET
-- int4 -> 
DELETE FROM stock_alerts a
         WHERE NOT EXISTS (SELECT FROM variants v WHERE v.id = a.variant_id AND v.deleted_at IS NULL AND v.stock <= $1)

-- @ src/catalog/low_stock.rs SETTING
--  -> value jsonb
SELECT value FROM settings WHERE name = 'stock'

-- @ src/catalog/low_stock.rs TELL
-- int4 -> id uuid, told_at timestamptz, name text, variant text, sku text, stock int4
WITH told AS (
            INSERT INTO stock_alerts (variant_id)
            SELECT v.id FROM variants v
             WHERE v.stock <= $1 AND v.deleted_at IS NULL
               AND EXISTS (SELECT FROM stock_movements m WHERE m.variant_id = v.id AND m.reason = 'sale')
            ON CONFLICT DO NOTHING RETURNING variant_id, told_at)
        SELECT v.id, t.told_at, p.name, v.name AS variant, v.sku, v.stock
          FROM told t JOIN variants v ON v.id = t.variant_id JOIN products p ON p.id = v.product_id ORDER BY v.stock, v.sku

-- @ src/catalog/product_admin.rs
-- text -> slug text
SELECT slug FROM products WHERE slug = $1 OR slug LIKE $1 || '-%'

-- @ src/catalog/product_admin.rs LOCK
-- uuid -> id uuid, sku text
SELECT id, sku FROM variants WHERE product_id = $1 ORDER BY id FOR NO KEY UPDATE

-- @ src/catalog/product_admin.rs PRODUCT
-- uuid -> 
UPDATE products SET deleted_at = now(), updated_at = now(), slug = left(slug, 100) || '-deleted-' || replace(id::text, '-', '')
         WHERE id = $1

-- @ src/catalog/product_admin.rs VARIANTS
-- uuid -> 
UPDATE variants SET deleted_at = coalesce(deleted_at, now()), is_default = false, updated_at = now(),
               sku = left(sku, 27) || '~' || id::text
         WHERE product_id = $1

-- @ src/catalog/save.rs
-- int8 -> pg_advisory_xact_lock void
SELECT pg_advisory_xact_lock($1)

-- @ src/catalog/save.rs DROP
-- _uuid, _int4 -> product_id uuid
DELETE FROM product_images i USING unnest($1::uuid[], $2::int[]) AS d (id, count)
         WHERE i.product_id = d.id AND i.position >= d.count RETURNING i.product_id

-- @ src/catalog/save.rs FREE
-- _text, _uuid -> 
UPDATE variants v SET sku = left(v.sku, 27) || '~' || v.id::text, updated_at = now()
          FROM unnest($1::text[], $2::uuid[]) AS wanted (sku, product)
         WHERE v.sku = wanted.sku AND v.product_id <> wanted.product AND v.deleted_at IS NOT NULL

-- @ src/catalog/save.rs INSERT
-- _uuid, _int4, _bool, text, text, text -> 
INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
        SELECT m.id, m.delta, CASE WHEN m.is_first THEN 'opening' ELSE $4 END, $5, $6
          FROM unnest($1::uuid[], $2::int[], $3::boolean[]) AS m (id, delta, is_first)

-- @ src/catalog/save.rs LOCK
-- _uuid, _text -> id uuid, product_id uuid, sku text, name text, options jsonb, stock int4, is_default bool, position int4, is_live bool
SELECT id, product_id, sku, name, options, stock, is_default, position, deleted_at IS NULL AS is_live FROM variants
         WHERE product_id = ANY($1) OR sku = ANY($2) ORDER BY id FOR NO KEY UPDATE

-- @ src/catalog/save.rs RETIRE
-- _uuid, _uuid, _uuid -> product_id uuid
UPDATE variants SET is_default = false, updated_at = now(),
               deleted_at = CASE WHEN id = ANY($2) THEN deleted_at ELSE coalesce(deleted_at, now()) END
         WHERE product_id = ANY($1) AND ((is_default AND id <> ALL($3)) OR (deleted_at IS NULL AND id <> ALL($2)))
        RETURNING product_id

-- @ src/catalog/save.rs UPSERT
-- _uuid, _int2, _text, _text -> product_id uuid
INSERT INTO product_images AS i (product_id, position, url, alt)
        SELECT n.product, n.position, n.url, n.alt
          FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[]) AS n (product, position, url, alt)
        ON CONFLICT (product_id, position) DO UPDATE SET url = excluded.url, alt = excluded.alt
         WHERE (i.url, i.alt) IS DISTINCT FROM (excluded.url, excluded.alt)
        RETURNING i.product_id

-- @ src/catalog/save.rs UPSERT
-- jsonb -> product_id uuid
INSERT INTO products AS p (id, slug, name, description, category_id, featured, active, weight_grams, height_cm, width_cm,
                                   length_cm, ncm, cfop, origin, tax, attributes, keywords)
        SELECT id, slug, name, description, category_id, featured, active, weight_grams, height_cm, width_cm, length_cm, ncm, cfop,
               origin, coalesce(x.tax, (SELECT was.tax FROM products was WHERE was.id = x.id), '{}'), attributes, keywords
          FROM jsonb_to_recordset($1) AS x (id uuid, slug text, name text, description text, category_id uuid, featured boolean,
               active boolean, weight_grams integer, height_cm integer, width_cm integer, length_cm integer, ncm text, cfop text,
               origin smallint, tax jsonb, attributes jsonb, keywords text)
        ON CONFLICT (id) DO UPDATE SET
               slug = excluded.slug, name = excluded.name, description = excluded.description, category_id = excluded.category_id,
               featured = excluded.featured, active = excluded.active, weight_grams = excluded.weight_grams,
               height_cm = excluded.height_cm, width_cm = excluded.width_cm, length_cm = excluded.length_cm, ncm = excluded.ncm,
               cfop = excluded.cfop, origin = excluded.origin, tax = excluded.tax, attributes = excluded.attributes, keywords = excluded.keywords,
               updated_at = now()
         WHERE (p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
                p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.keywords)
               IS DISTINCT FROM
               (excluded.slug, excluded.name, excluded.description, excluded.category_id, excluded.featured, excluded.active,
                excluded.weight_grams, excluded.height_cm, excluded.width_cm, excluded.length_cm, excluded.ncm, excluded.cfop,
                excluded.origin, excluded.tax, excluded.attributes, excluded.keywords)
        RETURNING p.id AS product_id

-- @ src/catalog/save.rs UPSERT
-- jsonb -> product_id uuid
INSERT INTO variants AS v (id, product_id, sku, name, options, price_cents, compare_at_cents, stock, is_default, position)
        SELECT id, product_id, sku, name, options, price_cents, compare_at_cents, stock, is_default, position
          FROM jsonb_to_recordset($1) AS x (id uuid, product_id uuid, sku text, name text, options jsonb, price_cents bigint,
               compare_at_cents bigint, stock integer, is_default boolean, position integer)
        ON CONFLICT (id) DO UPDATE SET
               sku = excluded.sku, name = excluded.name, options = excluded.options, price_cents = excluded.price_cents,
               compare_at_cents = excluded.compare_at_cents, stock = excluded.stock, is_default = excluded.is_default,
               position = excluded.position, deleted_at = NULL, updated_at = now()
         WHERE (v.sku, v.name, v.options, v.price_cents, v.compare_at_cents, v.stock, v.is_default, v.position, v.deleted_at)
               IS DISTINCT FROM
               (excluded.sku, excluded.name, excluded.options, excluded.price_cents, excluded.compare_at_cents, excluded.stock,
                excluded.is_default, excluded.position, NULL::timestamptz)
        RETURNING v.product_id

-- @ src/catalog/search.rs READ
-- text -> wanted text, title text, first text, short text
SELECT search_query($1, coalesce((SELECT value -> 'synonyms' FROM settings WHERE name = 'search'), '[]'))::text AS wanted,
           search_title($1) AS title, search_first($1) AS first, search_short($1) AS short

-- @ src/catalog/stock.rs LOCK
-- uuid, uuid -> id uuid, sku text, stock int4
SELECT id, sku, stock FROM variants
         WHERE product_id = $1 AND deleted_at IS NULL AND CASE WHEN $2::uuid IS NULL THEN is_default ELSE id = $2 END
           FOR NO KEY UPDATE

-- @ src/catalog/stock.rs MOVE
-- uuid, int4, text, text -> 
WITH moved AS (UPDATE variants SET stock = stock + $2, updated_at = now() WHERE id = $1 RETURNING id)
        INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) SELECT id, $2, 'adjustment', $3, $4 FROM moved

-- @ src/catalog/store.rs BY_ID
-- uuid, text, bool -> id uuid, slug text, name text, description text, category_id uuid, featured bool, active bool, weight_grams int4, height_cm int4, width_cm int4, length_cm int4, ncm text, cfop text, origin int2, tax jsonb, attributes jsonb, created_at timestamptz, updated_at timestamptz, variants json, images json
SELECT 
    p.id, p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
    p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.created_at, p.updated_at, v.variants, i.images FROM products p 
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'sku', v.sku, 'name', v.name, 'options', v.options, 'price_cents', v.price_cents,
                   'compare_at_cents', v.compare_at_cents, 'stock', v.stock, 'in_stock', v.stock > 0)
                   ORDER BY v.is_default DESC, v.position, v.id), '[]') AS variants
          FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL) v
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object('url', i.url, 'alt', i.alt) ORDER BY i.position), '[]') AS images
          FROM product_images i WHERE i.product_id = p.id) i WHERE p.id = $1 AND $2::text IS NULL AND p.deleted_at IS NULL AND (p.active OR $3)

-- @ src/catalog/store.rs BY_SLUG
-- uuid, text, bool -> id uuid, slug text, name text, description text, category_id uuid, featured bool, active bool, weight_grams int4, height_cm int4, width_cm int4, length_cm int4, ncm text, cfop text, origin int2, tax jsonb, attributes jsonb, created_at timestamptz, updated_at timestamptz, variants json, images json
SELECT 
    p.id, p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
    p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.created_at, p.updated_at, v.variants, i.images FROM products p 
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'sku', v.sku, 'name', v.name, 'options', v.options, 'price_cents', v.price_cents,
                   'compare_at_cents', v.compare_at_cents, 'stock', v.stock, 'in_stock', v.stock > 0)
                   ORDER BY v.is_default DESC, v.position, v.id), '[]') AS variants
          FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL) v
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object('url', i.url, 'alt', i.alt) ORDER BY i.position), '[]') AS images
          FROM product_images i WHERE i.product_id = p.id) i WHERE p.slug = $2 AND $1::uuid IS NULL AND p.deleted_at IS NULL AND (p.active OR $3)

-- @ src/catalog/store.rs LIST
-- uuid, int8 -> id uuid, slug text, name text, description text, category_id uuid, featured bool, active bool, weight_grams int4, height_cm int4, width_cm int4, length_cm int4, ncm text, cfop text, origin int2, tax jsonb, attributes jsonb, created_at timestamptz, updated_at timestamptz, variants json, images json
SELECT 
    p.id, p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
    p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.created_at, p.updated_at, v.variants, i.images FROM (SELECT id FROM products WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2) page
           JOIN products p USING (id) 
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'sku', v.sku, 'name', v.name, 'options', v.options, 'price_cents', v.price_cents,
                   'compare_at_cents', v.compare_at_cents, 'stock', v.stock, 'in_stock', v.stock > 0)
                   ORDER BY v.is_default DESC, v.position, v.id), '[]') AS variants
          FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL) v
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object('url', i.url, 'alt', i.alt) ORDER BY i.position), '[]') AS images
          FROM product_images i WHERE i.product_id = p.id) i ORDER BY p.id

-- @ src/catalog/store.rs LIST
-- _text -> id uuid, slug text, name text, description text, category_id uuid, featured bool, active bool, weight_grams int4, height_cm int4, width_cm int4, length_cm int4, ncm text, cfop text, origin int2, tax jsonb, attributes jsonb, created_at timestamptz, updated_at timestamptz, variants json, images json
SELECT 
    p.id, p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
    p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.created_at, p.updated_at, v.variants, i.images FROM products p 
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'sku', v.sku, 'name', v.name, 'options', v.options, 'price_cents', v.price_cents,
                   'compare_at_cents', v.compare_at_cents, 'stock', v.stock, 'in_stock', v.stock > 0)
                   ORDER BY v.is_default DESC, v.position, v.id), '[]') AS variants
          FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL) v
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object('url', i.url, 'alt', i.alt) ORDER BY i.position), '[]') AS images
          FROM product_images i WHERE i.product_id = p.id) i WHERE p.slug = ANY($1) AND p.deleted_at IS NULL ORDER BY p.id

-- @ src/coupons/store.rs
-- uuid, text, text, int8, int8, int8, timestamptz, timestamptz, int4, int4, bool -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, created_at timestamptz, updated_at timestamptz
INSERT INTO coupons (id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, active) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING 
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at

-- @ src/coupons/store.rs DELETE
-- uuid -> 
DELETE FROM coupons c
         WHERE id = $1 AND uses = 0
           AND NOT EXISTS (SELECT FROM coupon_persons p WHERE p.coupon_id = c.id)
           AND NOT EXISTS (SELECT FROM orders o WHERE o.coupon_id = c.id)

-- @ src/coupons/store.rs FIND
-- uuid -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, created_at timestamptz, updated_at timestamptz
SELECT 
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at FROM coupons WHERE id = $1

-- @ src/coupons/store.rs LIST
-- int8, int8, uuid, text -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, created_at timestamptz, updated_at timestamptz
SELECT 
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at FROM coupons
           WHERE (id < $3 OR $3::uuid IS NULL) AND ($4::text IS NULL OR starts_with(code, $4))
           ORDER BY id DESC LIMIT $1 OFFSET $2

-- @ src/coupons/store.rs LOCK
-- uuid -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, created_at timestamptz, updated_at timestamptz
SELECT 
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at FROM coupons WHERE id = $1 FOR UPDATE

-- @ src/coupons/store.rs TOTAL
-- text -> count int8
SELECT count(*) FROM coupons WHERE $1::text IS NULL OR starts_with(code, $1)

-- @ src/coupons/store.rs UPDATE
-- uuid, text, text, int8, int8, int8, timestamptz, timestamptz, int4, int4, bool -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, created_at timestamptz, updated_at timestamptz
UPDATE coupons
            SET code = $2, kind = $3, value = $4, min_subtotal_cents = $5, max_discount_cents = $6, starts_at = $7, ends_at = $8,
                max_uses = $9, max_uses_per_customer = $10, active = $11, updated_at = now()
          WHERE id = $1 RETURNING 
    id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active,
    created_at, updated_at

-- @ src/db.rs
--  -> now timestamptz
SELECT clock_timestamp() AS now

-- @ src/db.rs
-- int8 -> pg_advisory_lock void
SELECT pg_advisory_lock($1)

-- @ src/db.rs
-- int8 -> pg_advisory_unlock bool
SELECT pg_advisory_unlock($1)

-- @ src/db/guard.rs END_IDLE
-- text -> set_config text
SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'idle_session_timeout'

-- @ src/db/guard.rs IS_AT_WORK
-- int4, text -> it bool
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2 AND state = 'active') AS it

-- @ src/db/guard.rs WHO
--  -> pid int4, since text
SELECT pid, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()

-- @ src/dev/postgres.rs
-- name -> ?column? int4
SELECT 1 FROM pg_database WHERE datname = $1

-- @ src/explain.rs FIND
-- text, uuid -> id uuid, number text, status text, payment_status text, total_cents int8
SELECT id, number, status, payment_status, total_cents FROM orders WHERE number = $1 OR id = $2 ORDER BY (id = $2) DESC LIMIT 1

-- @ src/explain.rs STORY
-- uuid -> at timestamptz, what text, before text, after text, who text, cause text, note text, is_gap bool
WITH payment AS (SELECT id, method, provider, amount_cents FROM payments WHERE order_id = $1),
         refund AS (SELECT id, amount_cents, paid_otherwise_by FROM refunds WHERE order_id = $1),
         dispute AS (SELECT id, provider_ref, stage, amount_cents FROM disputes WHERE order_id = $1),
         line AS (SELECT id, sku FROM order_lines WHERE order_id = $1),
         job AS (SELECT id, kind, payload, state, run_at, attempts, last_error, cause, created_at, finished_at FROM jobs
                  WHERE payload ->> 'order' = $1::text OR payload ->> 'payment' IN (SELECT id::text FROM payment)
                     OR payload ->> 'refund' IN (SELECT id::text FROM refund) OR payload ->> 'reference' IN (SELECT provider_ref FROM dispute))
    SELECT at, what, before, after, who, cause, note, is_gap FROM (
        SELECT max(h.at) OVER (ORDER BY h.id) AS at, 1 AS rank, h.id AS seq,
               CASE h.subject WHEN 'message' THEN 'message ' || coalesce(m.kind, '') || CASE m.channel WHEN 'sms' THEN ' (sms)' ELSE '' END ELSE h.subject || coalesce(' ' || h.subject_id, '') END AS what,
               h.from_state AS before, h.to_state AS after, h.actor AS who, h.cause,
               concat_ws(', ', nullif(CASE WHEN h.actor ~ '^(user|admin|shipper|guest)' THEN '' ELSE h.reason END, ''),
                         p.method || ' by ' || p.provider || ' of ' || to_char(p.amount_cents / 100.0, 'FM999999999990.00'),
                         'of ' || to_char(r.amount_cents / 100.0, 'FM999999999990.00'), 'message:' || m.id,
                         d.stage || ' ' || d.provider_ref || coalesce(' of ' || to_char(d.amount_cents / 100.0, 'FM999999999990.00'), '')) AS note,
               h.subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'message', 'shipment')
               AND (CASE WHEN h.subject = 'refund' AND h.from_state IN ('processing', 'unknown') THEN 'pending' ELSE h.from_state END)
                   IS DISTINCT FROM lag(CASE WHEN h.subject = 'refund' AND h.to_state IN ('processing', 'unknown') THEN 'pending' ELSE h.to_state END)
                       OVER (PARTITION BY h.subject, h.subject_id ORDER BY h.id) AS is_gap
          FROM order_history h LEFT JOIN payment p ON p.id = h.subject_id LEFT JOIN refund r ON r.id = h.subject_id
          LEFT JOIN messages m ON m.id = h.subject_id AND h.subject = 'message' LEFT JOIN dispute d ON d.id = h.subject_id
         WHERE h.order_id = $1
        UNION ALL
        SELECT received_at, 0, 0, 'webhook ' || id || ' ' || event, NULL, outcome, 'provider:' || provider, 'request:' || request_id,
               'event ' || event_id, false
          FROM webhook_events WHERE order_id = $1
        UNION ALL
        SELECT s.at, 2, s.id, 'stock of ' || l.sku, NULL, CASE WHEN s.delta > 0 THEN '+' ELSE '' END || s.delta, s.actor, s.cause,
               s.reason || ', reservation ' || s.reservation, false
          FROM line l JOIN stock_movements s ON s.order_line_id = l.id
        UNION ALL
        SELECT w.at, 2, w.id, 'written off of ' || l.sku, NULL, w.quantity::text, w.actor, w.cause, '', false
          FROM line l JOIN write_offs w ON w.order_line_id = l.id
        UNION ALL
        SELECT m.at, 3, m.id, 'money: ' || m.kind, NULL, to_char(m.amount_cents / 100.0, 'FM999999999990.00'),
               CASE m.kind WHEN 'refund_otherwise' THEN r.paid_otherwise_by ELSE 'provider:' || m.provider END, m.cause,
               concat_ws(', ', 'payment ' || m.payment_id, 'refund ' || m.refund_id, 'dispute ' || m.dispute_id, m.provider_ref), false
          FROM money_movements m LEFT JOIN refund r ON r.id = m.refund_id WHERE m.order_id = $1
        UNION ALL
        SELECT created_at, 4, 0, 'job ' || id || ' ' || kind, NULL, 'waiting', NULL, cause, '', false FROM job
        UNION ALL
        SELECT finished_at, 5, 0, 'job ' || id || ' ' || kind, 'waiting', state, 'system', NULL,
               concat_ws(', ', attempts || ' attempt(s)', last_error), false
          FROM job WHERE finished_at IS NOT NULL
        UNION ALL
        SELECT happened_at, 2, id, 'parcel', NULL, code, 'carrier', NULL, concat_ws(', ', description, place), false
          FROM shipment_events WHERE order_id = $1
        UNION ALL
        SELECT created_at, 2, 0, 'invoice ' || id, NULL, 'pending', NULL, NULL, purpose || ' by ' || provider, false FROM invoices WHERE order_id = $1
        UNION ALL
        SELECT authorized_at, 2, 0, 'invoice ' || id, NULL, 'authorized', 'provider:' || provider, NULL, concat_ws('/', series, number), false
          FROM invoices WHERE order_id = $1 AND authorized_at IS NOT NULL
        UNION ALL
        SELECT at, 2, id, action, NULL, NULL, actor, cause, '', false FROM audit_log
         WHERE entity_id = $1::text OR entity_id IN (SELECT id::text FROM dispute UNION ALL SELECT id::text FROM refund)) story
     ORDER BY at, rank, seq, what

-- @ src/http/idempotency.rs FORGET
-- text, text -> 
DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL

-- @ src/http/idempotency.rs LEASE_IT
-- text, text, bytea, float8 -> 
INSERT INTO idempotency_keys AS k (scope, key, fingerprint, lease_until) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
            ON CONFLICT (scope, key) DO UPDATE SET lease_until = excluded.lease_until, fingerprint = $3, status = NULL, body = NULL, created_at = now()
             WHERE (k.status IS NULL AND k.lease_until < now() AND k.fingerprint = $3) OR k.created_at <= now() - interval '24 hours'

-- @ src/http/idempotency.rs LOOK
-- text, text -> fingerprint bytea, status int2, body bytea
SELECT fingerprint, status, body FROM idempotency_keys
     WHERE scope = $1 AND key = $2 AND created_at > now() - interval '24 hours'

-- @ src/http/idempotency.rs REMEMBER
-- text, text, bytea, int2, bytea -> 
INSERT INTO idempotency_keys (scope, key, fingerprint, status, body) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (scope, key) DO UPDATE SET fingerprint = $3, status = $4, body = $5, lease_until = NULL, created_at = now()
     WHERE idempotency_keys.created_at <= now() - interval '24 hours' OR idempotency_keys.status IS NULL

-- @ src/http/idempotency.rs SEE
-- text, text -> fingerprint bytea, status int2, body bytea
SELECT fingerprint, status, body FROM idempotency_keys WHERE scope = $1 AND key = $2

-- @ src/http/idempotency.rs TAKE
-- text, text -> free bool
SELECT set_config('vitrine.key_is_free', pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))::text, true)::boolean AS free

-- @ src/invoices/account.rs NOTE
-- uuid, text -> 
UPDATE invoices SET message = $2, code = NULL, updated_at = now() WHERE id = $1 AND status IN ('pending', 'processing')

-- @ src/invoices/account.rs ORDER
-- uuid -> order_id uuid
SELECT order_id FROM invoices WHERE id = $1

-- @ src/invoices/admin_http.rs COUNT
-- text, uuid -> count int8
SELECT count(*) FROM invoices i WHERE ($1::text IS NULL OR i.status = $1) AND ($2::uuid IS NULL OR i.order_id = $2)

-- @ src/invoices/admin_http.rs FIND
-- uuid -> id uuid, order_id uuid, purpose text, provider text, environment text, status text, chave text, number text, series text, total_cents int8, code text, message text, problems jsonb, cancel_refused text, has_xml bool, has_danfe bool, issued_at timestamptz, authorized_at timestamptz, cancelled_at timestamptz, created_at timestamptz, order_number text, corrections jsonb
SELECT i.id, i.order_id, i.purpose, i.provider, i.environment, i.status, i.chave, i.number, i.series, i.total_cents, i.code, i.message,
           i.problems, i.cancel_refused, i.xml IS NOT NULL AS has_xml, i.danfe IS NOT NULL AS has_danfe, i.issued_at, i.authorized_at,
           i.cancelled_at, i.created_at, o.number AS order_number,
           coalesce((SELECT jsonb_agg(jsonb_build_object('sequence', c.sequence, 'text', c.text, 'status', c.status, 'message', c.message)
                                      ORDER BY c.sequence) FROM invoice_corrections c WHERE c.invoice_id = i.id), '[]') AS corrections
      FROM invoices i JOIN orders o ON o.id = i.order_id WHERE i.id = $1

-- @ src/invoices/admin_http.rs PAGE
-- text, uuid, uuid, int8, int8 -> id uuid, order_id uuid, purpose text, provider text, environment text, status text, chave text, number text, series text, total_cents int8, code text, message text, problems jsonb, cancel_refused text, has_xml bool, has_danfe bool, issued_at timestamptz, authorized_at timestamptz, cancelled_at timestamptz, created_at timestamptz, order_number text, corrections jsonb
SELECT i.id, i.order_id, i.purpose, i.provider, i.environment, i.status, i.chave, i.number, i.series, i.total_cents, i.code, i.message,
           i.problems, i.cancel_refused, i.xml IS NOT NULL AS has_xml, i.danfe IS NOT NULL AS has_danfe, i.issued_at, i.authorized_at,
           i.cancelled_at, i.created_at, o.number AS order_number,
           coalesce((SELECT jsonb_agg(jsonb_build_object('sequence', c.sequence, 'text', c.text, 'status', c.status, 'message', c.message)
                                      ORDER BY c.sequence) FROM invoice_corrections c WHERE c.invoice_id = i.id), '[]') AS corrections
      FROM invoices i JOIN orders o ON o.id = i.order_id WHERE ($1::text IS NULL OR i.status = $1) AND ($2::uuid IS NULL OR i.order_id = $2) AND ($3::uuid IS NULL OR i.id < $3)
          ORDER BY i.id DESC LIMIT $4 OFFSET $5

-- @ src/invoices/cancel.rs FIND
--  -> state text, rules jsonb
SELECT (SELECT value ->> 'state' FROM (SELECT value -> 'address' AS value FROM settings WHERE name = 'company') a) AS state,
               (SELECT value FROM settings WHERE name = 'taxes') AS rules

-- @ src/invoices/cancel.rs MOVED
-- uuid -> moved bool
SELECT status IN ('shipped', 'delivered', 'returned') AS moved FROM orders WHERE id = $1

-- @ src/invoices/company.rs FIND
--  -> value jsonb
SELECT value FROM settings WHERE name = 'company'

-- @ src/invoices/correct.rs FIND
-- uuid -> invoice_id uuid, sequence int2, text text
SELECT invoice_id, sequence, text FROM invoice_corrections WHERE id = $1 AND status = 'pending'

-- @ src/invoices/correct.rs INSERT
-- uuid, uuid, int2, text -> id uuid
INSERT INTO invoice_corrections (id, invoice_id, sequence, text) VALUES ($1, $2, $3, $4)
        ON CONFLICT (invoice_id, sequence) DO UPDATE SET text = EXCLUDED.text, status = 'pending', message = NULL, updated_at = now()
         WHERE invoice_corrections.status = 'refused' RETURNING id

-- @ src/invoices/correct.rs LAST
-- uuid -> last int2, open bool
SELECT coalesce(max(sequence) FILTER (WHERE status <> 'refused'), 0)::int2 AS last, coalesce(bool_or(status = 'pending'), false) AS open
          FROM invoice_corrections WHERE invoice_id = $1

-- @ src/invoices/correct.rs SETTLE
-- uuid, text, text -> 
UPDATE invoice_corrections SET status = $2, message = $3, updated_at = now() WHERE id = $1 AND status = 'pending'

-- @ src/invoices/documents.rs FIND
-- text, uuid, uuid, bool, uuid -> chave text, file bytea
SELECT i.chave, CASE $1::text WHEN 'danfe' THEN i.danfe WHEN 'xml' THEN i.xml ELSE i.cancellation_xml END AS file FROM invoices i JOIN orders o ON o.id = i.order_id WHERE i.id = $2 AND i.order_id = $3 AND ($4 OR o.user_id IS NOT DISTINCT FROM $5)

-- @ src/invoices/documents.rs FIND
-- text, uuid -> chave text, file bytea
SELECT i.chave, CASE $1::text WHEN 'danfe' THEN i.danfe WHEN 'xml' THEN i.xml ELSE i.cancellation_xml END AS file FROM invoices i WHERE i.id = $2

-- @ src/invoices/documents.rs IS_SEEN
-- uuid, bool, uuid -> 
SELECT FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)

-- @ src/invoices/documents.rs LIST
-- uuid -> id uuid, purpose text, status text, chave text, number text, series text, total_cents int8, authorized_at timestamptz, cancelled_at timestamptz, danfe bool, xml bool, cancellation_xml bool
SELECT i.id, i.purpose, i.status, i.chave, i.number, i.series, i.total_cents, i.authorized_at, i.cancelled_at,
               i.danfe IS NOT NULL AS danfe, i.xml IS NOT NULL AS xml, i.cancellation_xml IS NOT NULL AS cancellation_xml
          FROM invoices i WHERE i.order_id = $1 AND i.chave IS NOT NULL AND i.status IN ('authorized', 'cancelled') ORDER BY i.id

-- @ src/invoices/facts.rs ASK
-- uuid, int4 -> was_mended bool
SELECT mended <> $2 AS was_mended FROM orders WHERE id = $1

-- @ src/invoices/facts.rs FIND
-- uuid -> id uuid, number text, mended int4, customer_name text, customer_email text, customer_phone text, tax_id_sealed bytea, tax_id_key int2, state_registration text, shipping_address jsonb, payment_method text, shipping_provider text, subtotal_cents int8, discount_cents int8, shipping_cents int8, total_cents int8, rules jsonb
SELECT o.id, o.number, o.mended, o.customer_name, o.customer_email, o.customer_phone, o.tax_id_sealed, o.tax_id_key, o.state_registration, o.shipping_address,
               o.payment_method, o.shipping_provider, o.subtotal_cents, o.discount_cents, o.shipping_cents, o.total_cents,
               (SELECT value FROM settings WHERE name = 'taxes') AS rules
          FROM orders o WHERE o.id = $1

-- @ src/invoices/facts.rs LINES
-- uuid -> id uuid, sku text, name text, variant_name text, quantity int4, unit_price_cents int8, line_total_cents int8, discount_cents int8, weight_grams int4, ncm text, cfop text, origin int2, tax jsonb, taxes jsonb
SELECT l.id, l.sku, l.name, l.variant_name, l.quantity, l.unit_price_cents, l.line_total_cents, l.discount_cents, p.weight_grams, coalesce(p.ncm, c.ncm) AS ncm, coalesce(p.cfop, c.cfop) AS cfop, coalesce(p.origin, c.origin) AS origin, p.tax, c.taxes FROM order_lines l JOIN products p ON p.id = l.product_id 
    LEFT JOIN LATERAL (
        WITH RECURSIVE up AS (
            SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, 0 AS depth FROM categories c WHERE c.id = p.category_id
            UNION ALL SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, up.depth + 1 FROM categories c JOIN up ON c.id = up.parent_id)
        SELECT (array_agg(ncm ORDER BY depth) FILTER (WHERE ncm IS NOT NULL))[1] AS ncm,
               (array_agg(cfop ORDER BY depth) FILTER (WHERE cfop IS NOT NULL))[1] AS cfop,
               (array_agg(origin ORDER BY depth) FILTER (WHERE origin IS NOT NULL))[1] AS origin,
               coalesce(jsonb_agg(tax ORDER BY depth), '[]') AS taxes
          FROM up) c ON true WHERE l.order_id = $1 ORDER BY l.position

-- @ src/invoices/files.rs CANCELLATION
-- uuid, bytea -> 
UPDATE invoices SET cancellation_xml = $2 WHERE id = $1 AND cancellation_xml IS NULL

-- @ src/invoices/files.rs DANFE
-- uuid, bytea -> 
UPDATE invoices SET danfe = $2 WHERE id = $1 AND danfe IS NULL

-- @ src/invoices/files.rs HAS
-- uuid -> xml bool, danfe bool, cancellation bool
SELECT xml IS NOT NULL AS xml, danfe IS NOT NULL AS danfe, cancellation_xml IS NOT NULL AS cancellation FROM invoices WHERE id = $1

-- @ src/invoices/files.rs XML
-- uuid, bytea -> 
UPDATE invoices SET xml = $2, xml_sha256 = sha256($2) WHERE id = $1 AND xml IS NULL

-- @ src/invoices/http.rs DANFE
-- uuid, bool, uuid -> file bytea
SELECT i.danfe AS file FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
     WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) AND i.danfe IS NOT NULL
     ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1

-- @ src/invoices/http.rs FIND
-- uuid, bool, uuid -> id uuid, status text, environment text, chave text, number text, series text, total_cents int8, message text, authorized_at timestamptz, has_danfe bool, has_xml bool
SELECT i.id, i.status, i.environment, i.chave, i.number, i.series, i.total_cents, i.message, i.authorized_at,
               i.danfe IS NOT NULL AS has_danfe, i.xml IS NOT NULL AS has_xml
          FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
         WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)
         ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1

-- @ src/invoices/http.rs XML
-- uuid, bool, uuid -> file bytea
SELECT i.xml AS file FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
     WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) AND i.xml IS NOT NULL
     ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1

-- @ src/invoices/mend.rs FORGET
-- uuid -> 
UPDATE invoices SET buyer_ibge_city = NULL, updated_at = now()
         WHERE order_id = $1 AND status IN ('pending', 'rejected') AND buyer_ibge_city IS NOT NULL

-- @ src/invoices/pack/check.rs COMPARE
-- text, timestamptz, timestamptz, int8 -> number text, invoiced int8, paid int8, orders int8, differences int8
WITH concerned AS (
                SELECT order_id FROM invoices
                 WHERE environment = $1 AND chave IS NOT NULL AND issued_at >= $2 AND issued_at < $3
                UNION SELECT order_id FROM payments WHERE paid_at >= $2 AND paid_at < $3
                UNION SELECT order_id FROM money_movements WHERE kind <> 'capture' AND at >= $2 AND at < $3),
            compared AS (
                SELECT c.order_id,
                       coalesce((SELECT sum(CASE WHEN i.purpose = 'sale' THEN i.total_cents ELSE -i.total_cents END)
                                   FROM invoices i
                                  WHERE i.order_id = c.order_id AND i.environment = $1 AND i.status = 'authorized'), 0)::bigint AS invoiced,
                       coalesce((SELECT sum(CASE WHEN m.kind IN ('capture', 'refund_back', 'dispute_back') THEN m.amount_cents
                                                 ELSE -m.amount_cents END)
                                   FROM money_movements m WHERE m.order_id = c.order_id), 0)::bigint AS paid
                  FROM concerned c)
            SELECT o.number, c.invoiced, c.paid, (SELECT count(*) FROM compared) AS orders, count(*) OVER () AS differences
              FROM compared c JOIN orders o ON o.id = c.order_id
             WHERE c.invoiced <> c.paid ORDER BY o.number LIMIT $4

-- @ src/invoices/pack/check.rs COUNT
-- text, timestamptz, timestamptz -> count int8
SELECT count(*) FROM (
                SELECT order_id FROM invoices
                 WHERE environment = $1 AND chave IS NOT NULL AND issued_at >= $2 AND issued_at < $3
                UNION SELECT order_id FROM payments WHERE paid_at >= $2 AND paid_at < $3
                UNION SELECT order_id FROM money_movements WHERE kind <> 'capture' AND at >= $2 AND at < $3) concerned

-- @ src/invoices/pack/entry.rs LIST
-- text, timestamptz, timestamptz, uuid, int8 -> id uuid, chave text, is_return bool, status text, total_cents int8, xml bytea, cancellation_xml bytea, is_issued bool, number text
SELECT i.id, i.chave, i.purpose = 'return' AS is_return, i.status, i.total_cents, i.xml, i.cancellation_xml,
               i.issued_at >= $2 AND i.issued_at < $3 AS is_issued, o.number
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.environment = $1 AND i.chave IS NOT NULL AND i.status IN ('authorized', 'cancelled')
           AND ((i.issued_at >= $2 AND i.issued_at < $3) OR (i.cancelled_at >= $2 AND i.cancelled_at < $3))
           AND ($4::uuid IS NULL OR i.id > $4) ORDER BY i.id LIMIT $5

-- @ src/invoices/provider_state.rs NUMBER
-- uuid -> number text
SELECT number FROM orders WHERE id = $1

-- @ src/invoices/readiness.rs PRODUCTS
--  -> id uuid, name text, ncm text, cfop text, origin int2, tax jsonb, taxes jsonb
SELECT p.id, p.name, coalesce(p.ncm, c.ncm) AS ncm, coalesce(p.cfop, c.cfop) AS cfop, coalesce(p.origin, c.origin) AS origin, p.tax, c.taxes FROM products p 
    LEFT JOIN LATERAL (
        WITH RECURSIVE up AS (
            SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, 0 AS depth FROM categories c WHERE c.id = p.category_id
            UNION ALL SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, up.depth + 1 FROM categories c JOIN up ON c.id = up.parent_id)
        SELECT (array_agg(ncm ORDER BY depth) FILTER (WHERE ncm IS NOT NULL))[1] AS ncm,
               (array_agg(cfop ORDER BY depth) FILTER (WHERE cfop IS NOT NULL))[1] AS cfop,
               (array_agg(origin ORDER BY depth) FILTER (WHERE origin IS NOT NULL))[1] AS origin,
               coalesce(jsonb_agg(tax ORDER BY depth), '[]') AS taxes
          FROM up) c ON true WHERE p.active AND p.deleted_at IS NULL ORDER BY p.id

-- @ src/invoices/readiness.rs RULES
--  -> value jsonb
SELECT value FROM settings WHERE name = 'taxes'

-- @ src/invoices/rules_watch.rs IS_TOLD
-- text -> ?column? bool
SELECT EXISTS (SELECT FROM alerts WHERE key = $1) OR EXISTS (SELECT FROM alert_occurrences WHERE key = $1)

-- @ src/invoices/store.rs ADVANCE
-- uuid, text, text -> 
UPDATE invoices SET status = $3::text, updated_at = now(), cancelled_at = CASE WHEN $3::text = 'cancelled' THEN now() END
         WHERE id = $1 AND status = $2

-- @ src/invoices/store.rs ASK
-- uuid, text -> 
UPDATE invoices SET cancel_reason = coalesce(cancel_reason, $2), cancel_refused = NULL, updated_at = now() WHERE id = $1

-- @ src/invoices/store.rs BACK
-- uuid -> exists bool
SELECT EXISTS (SELECT FROM invoices WHERE sale_id = $1 AND purpose = 'return' AND status NOT IN ('denied', 'cancelled'))

-- @ src/invoices/store.rs DOUBT
-- uuid, float8 -> is_certain bool
UPDATE invoices SET doubted_at = coalesce(doubted_at, now()), updated_at = now() WHERE id = $1
        RETURNING doubted_at <= now() - make_interval(secs => $2) AS is_certain

-- @ src/invoices/store.rs FIND
-- uuid -> id uuid, order_id uuid, purpose text, sale_id uuid, refund_id uuid, ground text, lines jsonb, line_discounts _int8, freight_cents int8, provider text, environment text, status text, issued_at timestamptz, sent_at timestamptz, chave text, number text, series text, total_cents int8, buyer_ibge_city text, cancel_reason text, is_cancel_refused bool, given_up bool, danfe_ref text, xml_ref text, cancellation_ref text, authorized_at timestamptz
SELECT 
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at FROM invoices i WHERE i.id = $1

-- @ src/invoices/store.rs FIND
-- uuid -> id uuid, order_id uuid, purpose text, sale_id uuid, refund_id uuid, ground text, lines jsonb, line_discounts _int8, freight_cents int8, provider text, environment text, status text, issued_at timestamptz, sent_at timestamptz, chave text, number text, series text, total_cents int8, buyer_ibge_city text, cancel_reason text, is_cancel_refused bool, given_up bool, danfe_ref text, xml_ref text, cancellation_ref text, authorized_at timestamptz
SELECT 
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at FROM invoices i WHERE i.order_id = $1 AND i.purpose = 'sale'
           ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1

-- @ src/invoices/store.rs GIVEN_UP
-- uuid -> 
UPDATE invoices SET given_up = true WHERE id = $1 AND status NOT IN ('cancelled', 'denied')

-- @ src/invoices/store.rs HAND
-- uuid, text -> 
UPDATE invoices SET provider = $2, updated_at = now()
         WHERE id = $1 AND sent_at IS NULL AND status = 'pending' AND cancel_reason IS NULL

-- @ src/invoices/store.rs INSERT
-- uuid, uuid, text, uuid, uuid, text, jsonb, _int8, int8, text, text, int8 -> 
INSERT INTO invoices (id, order_id, purpose, sale_id, refund_id, ground, lines, line_discounts, freight_cents, provider, environment,
               total_cents)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING

-- @ src/invoices/store.rs LIST
-- uuid -> id uuid, order_id uuid, purpose text, sale_id uuid, refund_id uuid, ground text, lines jsonb, line_discounts _int8, freight_cents int8, provider text, environment text, status text, issued_at timestamptz, sent_at timestamptz, chave text, number text, series text, total_cents int8, buyer_ibge_city text, cancel_reason text, is_cancel_refused bool, given_up bool, danfe_ref text, xml_ref text, cancellation_ref text, authorized_at timestamptz
SELECT 
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at FROM invoices i WHERE i.order_id = $1 ORDER BY i.id

-- @ src/invoices/store.rs LIST
-- uuid -> id uuid, order_id uuid, purpose text, sale_id uuid, refund_id uuid, ground text, lines jsonb, line_discounts _int8, freight_cents int8, provider text, environment text, status text, issued_at timestamptz, sent_at timestamptz, chave text, number text, series text, total_cents int8, buyer_ibge_city text, cancel_reason text, is_cancel_refused bool, given_up bool, danfe_ref text, xml_ref text, cancellation_ref text, authorized_at timestamptz
SELECT 
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at FROM invoices i WHERE i.sale_id = $1 AND i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') ORDER BY i.id

-- @ src/invoices/store.rs LOCK
-- uuid -> id uuid, order_id uuid, purpose text, sale_id uuid, refund_id uuid, ground text, lines jsonb, line_discounts _int8, freight_cents int8, provider text, environment text, status text, issued_at timestamptz, sent_at timestamptz, chave text, number text, series text, total_cents int8, buyer_ibge_city text, cancel_reason text, is_cancel_refused bool, given_up bool, danfe_ref text, xml_ref text, cancellation_ref text, authorized_at timestamptz
SELECT 
    i.id, i.order_id, i.purpose, i.sale_id, i.refund_id, i.ground, i.lines, i.line_discounts, i.freight_cents, i.provider, i.environment, i.status, i.issued_at, i.sent_at, i.chave, i.number, i.series,
    i.total_cents, i.buyer_ibge_city, i.cancel_reason, i.cancel_refused IS NOT NULL AS is_cancel_refused, i.given_up, i.danfe_ref, i.xml_ref, i.cancellation_ref, i.authorized_at FROM invoices i WHERE i.id = $1 FOR NO KEY UPDATE

-- @ src/invoices/store.rs NOTE
-- uuid, text, text, text, text, text, text, text, text, bool, timestamptz -> 
UPDATE invoices SET chave = coalesce($2, chave), number = coalesce($3, number), series = coalesce($4, series), code = $5, message = $6,
               danfe_ref = coalesce($7, danfe_ref), xml_ref = coalesce($8, xml_ref), cancellation_ref = coalesce($9, cancellation_ref),
               authorized_at = CASE WHEN $10 THEN coalesce(authorized_at, $11, now()) ELSE authorized_at END, updated_at = now()
         WHERE id = $1

-- @ src/invoices/store.rs NOTE
-- uuid, jsonb, text -> 
UPDATE invoices SET problems = $2, message = $3, code = NULL, updated_at = now() WHERE id = $1

-- @ src/invoices/store.rs REFUSED
-- uuid, text -> 
UPDATE invoices SET cancel_reason = NULL, cancel_refused = $2, given_up = false, updated_at = now()
         WHERE id = $1 AND status = 'authorized' AND cancel_reason IS NOT NULL

-- @ src/invoices/store.rs REOPEN
-- uuid, text -> 
UPDATE invoices SET status = 'pending', issued_at = now(), message = NULL, code = NULL, problems = NULL, doubted_at = NULL,
               buyer_ibge_city = coalesce($2, buyer_ibge_city), told_at = NULL, updated_at = now()
         WHERE id = $1 AND status = 'rejected' AND cancel_reason IS NULL

-- @ src/invoices/store.rs SENT
-- uuid, int8, jsonb, _int8, int8 -> 
UPDATE invoices SET sent_at = coalesce(sent_at, now()), total_cents = $2, lines = $3, line_discounts = $4, freight_cents = $5,
               problems = NULL, doubted_at = NULL, updated_at = now()
         WHERE id = $1 AND status IN ('pending', 'processing')

-- @ src/invoices/store.rs TOLD
-- uuid -> 
UPDATE invoices SET told_at = now() WHERE id = $1

-- @ src/invoices/store.rs TWIN
-- uuid, uuid -> exists bool
SELECT EXISTS (SELECT FROM invoices WHERE order_id = $2 AND purpose = 'sale' AND id <> $1 AND status NOT IN ('denied', 'cancelled'))

-- @ src/jobs.rs FORWARD
-- _text -> 
UPDATE jobs SET run_at = now() WHERE dedupe = ANY($1) AND state = 'waiting' AND run_at > now()

-- @ src/jobs.rs PUSH
-- _uuid, _text, _jsonb, _text, _timestamptz, _int4, text -> 
INSERT INTO jobs (id, kind, payload, dedupe, run_at, max_attempts, cause)
    SELECT j.id, j.kind, j.payload, j.dedupe, coalesce(j.run_at, now()), j.max_attempts, $7
      FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[], $5::timestamptz[], $6::int[])
        AS j (id, kind, payload, dedupe, run_at, max_attempts)
     ORDER BY j.dedupe
    ON CONFLICT (dedupe) WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running')
       DO UPDATE SET again = true WHERE jobs.state = 'running'

-- @ src/key_store.rs KNOWN
--  -> purpose text, id int2
SELECT purpose, id FROM secret_keys

-- @ src/key_store.rs MAKE
-- text, int2, bytea, int2 -> 
INSERT INTO secret_keys (purpose, id, sealed, data_key, turned_at)
        VALUES ($1, $2, $3, $4, CASE WHEN $1 = 'look_up' AND NOT EXISTS (SELECT FROM secret_keys WHERE purpose = 'look_up') THEN now() END)

-- @ src/key_store.rs NEXT
--  -> id int2
SELECT (max(id) + 1)::smallint AS id FROM secret_keys WHERE purpose = 'tokens'

-- @ src/key_store.rs OLD
-- int2 -> position int4, sealed bytea, data_key int2
SELECT position, sealed, data_key FROM secret_keys WHERE data_key <> $1 FOR UPDATE

-- @ src/key_store.rs READ
--  -> purpose text, id int2, sealed bytea, data_key int2
SELECT purpose, id, sealed, data_key FROM secret_keys ORDER BY position

-- @ src/key_store.rs SEAL
-- _int4, _bytea, int2 -> 
UPDATE secret_keys k SET sealed = s.sealed, data_key = $3 FROM unnest($1::int[], $2::bytea[]) AS s (position, sealed)
         WHERE k.position = s.position

-- @ src/mail/account.rs FIND
-- uuid -> user_id uuid, new_email text, expires_at timestamptz, name text, locale text
SELECT c.user_id, c.new_email, c.expires_at, u.name, u.locale FROM email_changes c JOIN users u ON u.id = c.user_id
         WHERE c.id = $1 AND c.ended_at IS NULL AND c.expires_at > now() AND u.erased_at IS NULL
           AND NOT EXISTS (SELECT FROM users o WHERE o.email = c.new_email)

-- @ src/mail/account.rs FIND
-- uuid -> user_id uuid, old_email text, new_email text, confirmed_at timestamptz, name text, locale text
SELECT c.user_id, c.old_email, c.new_email, c.confirmed_at, u.name, u.locale FROM email_changes c JOIN users u ON u.id = c.user_id
         WHERE c.id = $1 AND c.confirmed_at IS NOT NULL AND u.erased_at IS NULL

-- @ src/mail/account.rs FIND
-- uuid -> email text, locale text, expires_at timestamptz
SELECT email, locale, expires_at FROM privacy_requests WHERE id = $1 AND used_at IS NULL AND expires_at > now()

-- @ src/mail/account.rs FIND
-- uuid -> name text, email text, locale text, password_changed_at timestamptz
SELECT name, email, locale, password_changed_at FROM users
         WHERE id = $1 AND erased_at IS NULL AND password_changed_at IS NOT NULL

-- @ src/mail/desk.rs COUNT
-- uuid, text, text, text -> count int8
SELECT count(*) FROM messages
         WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR kind = $3)
           AND ($4::text IS NULL OR channel = $4)

-- @ src/mail/desk.rs FIND
-- uuid -> id uuid, kind text, channel text, order_id uuid, recipient text, subject text, status text, claimed_at timestamptz, provider text, error text, created_at timestamptz, sent_at timestamptz, html text, body text
SELECT id, kind, channel, order_id, recipient, subject, status, claimed_at, provider, error, created_at, sent_at, html, body
          FROM messages WHERE id = $1

-- @ src/mail/desk.rs FIND
-- uuid -> order_id uuid, channel text, status text, error text, has_words bool, was_taken bool, open_tries int2, open_for_s int8
SELECT order_id, channel, status, error, body IS NOT NULL AS has_words, provider_ref IS NOT NULL AS was_taken, open_tries,
               coalesce(extract(epoch FROM now() - tried_at)::bigint, 0) AS open_for_s
          FROM messages WHERE id = $1 FOR NO KEY UPDATE

-- @ src/mail/desk.rs ORDER
-- uuid -> order_id uuid
SELECT order_id FROM messages WHERE id = $1

-- @ src/mail/desk.rs PAGE
-- uuid, text, text, text, uuid, int8, int8 -> id uuid, kind text, channel text, order_id uuid, recipient text, subject text, status text, claimed_at timestamptz, provider text, error text, created_at timestamptz, sent_at timestamptz
SELECT id, kind, channel, order_id, recipient, subject, status, claimed_at, provider, error, created_at, sent_at FROM messages
         WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR kind = $3)
           AND ($4::text IS NULL OR channel = $4) AND ($5::uuid IS NULL OR id < $5)
         ORDER BY id DESC LIMIT $6 OFFSET $7

-- @ src/mail/desk.rs QUEUE
-- uuid -> 
UPDATE messages SET status = 'queued', error = NULL WHERE id = $1

-- @ src/mail/digest.rs FIND
--  -> event text
SELECT event FROM messages WHERE status = 'queued' AND kind = 'alert' ORDER BY id LIMIT 1

-- @ src/mail/digest.rs IS_UNSENT
-- text -> ?column? bool
SELECT open_tries = 0 FROM messages WHERE event = $1 AND status = 'failed'

-- @ src/mail/digest.rs MAY
-- int8, int8 -> coalesce bool
SELECT coalesce(max(created_at) < now() - CASE WHEN count(*) FILTER (WHERE created_at > now() - interval '1 hour') >= $1::bigint
                                                         OR count(*) >= $2::bigint
                                                         OR (array_agg(status ORDER BY created_at DESC))[1] = 'failed'
                                                       THEN interval '1 hour' ELSE interval '1 minute' END, true)
          FROM messages WHERE kind = 'alert' AND created_at > now() - interval '1 day' AND body IS NOT NULL

-- @ src/mail/facts.rs ACCOUNT
-- uuid -> name text, email text, locale text
SELECT name, email, locale FROM users WHERE id = $1 AND erased_at IS NULL

-- @ src/mail/facts.rs FACTS
-- uuid -> user_id uuid, customer_name text, customer_email text, customer_phone text, locale text, wants_texts bool, subtotal_cents int8, discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, shipping_address jsonb, carrier text, service text, delivery_days int4, tracking_number text, created_at timestamptz, expires_at timestamptz, paid_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz
SELECT user_id, customer_name, customer_email, customer_phone, locale,
               coalesce((SELECT u.sms_opt_in FROM users u WHERE u.id = o.user_id), o.sms_opt_in) AS wants_texts, subtotal_cents, discount_cents, shipping_cents,
               total_cents, coupon_code, shipping_address, carrier, service, delivery_days, tracking_number,
               created_at, expires_at, paid_at, delivered_at, cancelled_at
          FROM orders o WHERE id = $1

-- @ src/mail/facts.rs INVOICE
-- uuid -> order_id uuid, number text, series text, chave text, total_cents int8
SELECT order_id, number, series, chave, total_cents FROM invoices
         WHERE id = $1 AND status = 'authorized' AND purpose = 'sale'

-- @ src/mail/facts.rs LINES
-- uuid -> name text, variant_name text, quantity int4, line_total_cents int8
SELECT name, variant_name, quantity, line_total_cents FROM order_lines WHERE order_id = $1 ORDER BY position

-- @ src/mail/facts.rs PIX
-- uuid -> copy_paste text, expires_at timestamptz
SELECT copy_paste, expires_at FROM payments
         WHERE order_id = $1 AND status = 'pending' AND method = 'pix' AND copy_paste IS NOT NULL AND expires_at > now()

-- @ src/mail/facts.rs REFUND
-- uuid -> order_id uuid, amount_cents int8, status text, is_paid_otherwise bool, method text
SELECT r.order_id, r.amount_cents, r.status, r.paid_otherwise_at IS NOT NULL AS is_paid_otherwise, p.method
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1

-- @ src/mail/facts.rs RESET
-- uuid -> user_id uuid, expires_at timestamptz, name text, email text, locale text
SELECT r.user_id, r.expires_at, u.name, u.email, u.locale
          FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.id = $1 AND r.used_at IS NULL AND r.expires_at > now() AND u.erased_at IS NULL

-- @ src/mail/news.rs BLOCK
-- uuid -> 
UPDATE users u SET mail_blocked_at = now(), updated_at = now() FROM messages m
         WHERE m.id = $1 AND u.email = m.recipient AND u.mail_blocked_at IS NULL

-- @ src/mail/news.rs FIND
-- text, text -> id uuid, order_id uuid, status text
SELECT id, order_id, status FROM messages WHERE provider_ref = $1 AND provider = $2

-- @ src/mail/news.rs IN_FLIGHT
-- _text -> exists bool
SELECT EXISTS (SELECT FROM messages WHERE status = 'queued' AND recipient = ANY($1) AND tried_at > now() - interval '5 minutes')

-- @ src/mail/news.rs MARK
-- uuid, text, text, text -> 
UPDATE messages SET status = $2, error = nullif($3, '') WHERE id = $1 AND status = $4

-- @ src/mail/news.rs NOTE
-- uuid, text -> 
UPDATE messages SET error = $2 WHERE id = $1 AND status = 'sent'

-- @ src/mail/sms.rs
-- text -> pg_advisory_xact_lock void
SELECT pg_advisory_xact_lock(hashtextextended('sms:' || $1, 0))

-- @ src/mail/sms.rs CUSTOMER
-- uuid -> 
UPDATE users SET sms_opt_in = false, updated_at = now() WHERE id = $1 AND sms_opt_in

-- @ src/mail/sms.rs EARLY
-- text, text -> body text
SELECT convert_from(body, 'UTF8') AS body FROM webhook_events
         WHERE provider = $1
           AND event_id IN ($2 || ':Success', $2 || ':Failed', $2 || ':Rejected', $2 || ':Expired', $2 || ':AbsentSubscriber')
         ORDER BY event_id = $2 || ':AbsentSubscriber', received_at LIMIT 1

-- @ src/mail/sms.rs FIND
-- text, text -> id uuid, order_id uuid
SELECT id, order_id FROM messages WHERE provider_ref = $1 AND provider = $2

-- @ src/mail/sms.rs FIND
-- uuid -> status text, error text, user_id uuid
SELECT status, error, user_id FROM messages WHERE id = $1

-- @ src/mail/sms.rs GUEST
-- uuid -> 
UPDATE orders SET sms_opt_in = false WHERE id = $1 AND user_id IS NULL AND sms_opt_in

-- @ src/mail/sms.rs ONE_TRY
-- uuid -> 
UPDATE messages SET open_tries = 2 WHERE id = $1 AND channel = 'sms' AND open_tries > 2

-- @ src/mail/store.rs
-- uuid, text, text, text, uuid, uuid, text, text, text, text, text, text, text -> 
INSERT INTO messages (id, event, kind, channel, order_id, user_id, recipient, subject, html, body, status, error, provider) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (event) DO NOTHING

-- @ src/mail/store.rs BLOCKED
-- text, uuid -> ?column? bool
SELECT EXISTS (SELECT FROM users WHERE email = $1 AND mail_blocked_at IS NOT NULL)
            OR EXISTS (SELECT FROM messages WHERE order_id = $2 AND recipient = $1 AND status = 'bounced')

-- @ src/mail/store.rs FAILED
-- uuid, text, int4 -> 
UPDATE messages SET status = 'failed', error = $2, claimed_at = NULL, open_tries = open_tries - $3::int::smallint,
               tried_at = CASE WHEN open_tries = $3 THEN NULL ELSE tried_at END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL

-- @ src/mail/store.rs HAS
-- text -> exists bool
SELECT EXISTS (SELECT FROM messages WHERE event = $1)

-- @ src/mail/store.rs HELD
-- text -> exists bool
SELECT EXISTS (SELECT FROM messages WHERE event = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL
                          AND recipient IS NOT NULL AND body IS NOT NULL)

-- @ src/mail/store.rs OVERTAKEN
-- uuid, text, text, text -> id uuid
SELECT id FROM messages WHERE order_id = $1 AND kind = $2 AND channel = $4 AND status = 'queued' AND event IS DISTINCT FROM $3

-- @ src/mail/store.rs QUEUED
-- uuid, text -> id uuid
SELECT id FROM messages WHERE order_id = $1 AND event = $2 AND status = 'queued'

-- @ src/mail/store.rs SENT
-- uuid, text -> 
UPDATE messages SET status = 'sent', provider_ref = $2, sent_at = now(), error = NULL, claimed_at = NULL,
               html = CASE WHEN kind IN ('password_reset', 'email_confirm', 'privacy_request') THEN NULL ELSE html END,
               body = CASE WHEN kind IN ('password_reset', 'email_confirm', 'privacy_request') THEN NULL ELSE body END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL

-- @ src/mail/store.rs STATUS
-- uuid -> status text
SELECT status FROM messages WHERE id = $1 FOR NO KEY UPDATE

-- @ src/mail/store.rs TAKE
-- text, text, text -> id uuid, kind text, order_id uuid, user_id uuid, recipient text, subject text, html text, body text, open_tries int2, open_for_s int8
UPDATE messages m SET claimed_at = now(), open_tries = m.open_tries + 1, tried_at = coalesce(m.tried_at, now()), provider = $3
         WHERE event = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL AND recipient IS NOT NULL AND body IS NOT NULL
           AND (claimed_at IS NULL OR claimed_at < now() - $2::text::interval)
        RETURNING id, kind, order_id, user_id, recipient, subject, html, body, open_tries - 1::smallint AS open_tries,
                  extract(epoch FROM now() - tried_at)::bigint AS open_for_s

-- @ src/mail/store.rs TROUBLE
-- uuid, text, int4 -> 
UPDATE messages SET error = $2, claimed_at = NULL, open_tries = open_tries - $3::int::smallint,
               tried_at = CASE WHEN open_tries = $3 THEN NULL ELSE tried_at END
         WHERE id = $1 AND provider_ref IS NULL

-- @ src/mail/store.rs WITHDRAW
-- _uuid, text -> 
UPDATE messages SET status = 'failed', error = $2 WHERE id = ANY($1) AND status = 'queued'

-- @ src/orders/cancel.rs
-- uuid, text -> 
UPDATE orders SET cancel_reason = nullif($2, '') WHERE id = $1

-- @ src/orders/cancel.rs OPEN
-- uuid -> id uuid
SELECT id FROM payments WHERE order_id = $1 AND status IN ('creating', 'unknown', 'pending')

-- @ src/orders/checkout.rs
-- _uuid, _uuid, _int2, _uuid, _uuid, _text, _text, _text, _text, _int4, _int8, _int8, _int8 -> 
INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, image_url, quantity, unit_price_cents, line_total_cents, discount_cents) SELECT ($1::uuid[])[n], ($2::uuid[])[n], ($3::smallint[])[n], ($4::uuid[])[n], ($5::uuid[])[n], ($6::text[])[n], ($7::text[])[n], ($8::text[])[n], ($9::text[])[n], ($10::int[])[n], ($11::bigint[])[n], ($12::bigint[])[n], ($13::bigint[])[n] FROM unnest($1::uuid[]) WITH ORDINALITY AS l (first, n)

-- @ src/orders/checkout.rs
-- uuid, text, uuid, text, text, text, text, bool, text, bytea, int2, bytea, text, text, text, text, int8, int8, int8, int8, int8, int8, int8, uuid, text, bool, jsonb, text, text, text, text, int4, bool, jsonb, text, timestamptz, timestamptz, int4, bytea -> 
INSERT INTO orders (id, number, user_id, customer_name, customer_email, customer_phone, locale, sms_opt_in, privacy_version, tax_id_sealed, tax_id_key, tax_id_hash, state_registration, status, payment_status, payment_method, subtotal_cents, coupon_discount_cents, method_discount_cents, discount_cents, shipping_cents, shipping_quoted_cents, total_cents, coupon_id, coupon_code, coupon_held, shipping_address, shipping_provider, carrier, service, service_code, delivery_days, freight_estimate, freight_quote, notes, expires_at, paid_at, units, placed_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39)

-- @ src/orders/checkout.rs CHECK_UNPAID
-- bytea, _bytea, text, bytea, _int4, _int4 -> check_unpaid void
SELECT check_unpaid($1, $2, $3, $4, $5, $6)

-- @ src/orders/checkout.rs DROP_CARTS_COUPON
-- uuid -> 
UPDATE carts SET coupon_id = NULL WHERE id = $1

-- @ src/orders/checkout.rs SPEND_COUPON
-- uuid, _bytea, int2, uuid, text, uuid -> spend_coupon void
SELECT spend_coupon($1, $2, $3, $4, $5, $6)

-- @ src/orders/checkout.rs TAKE_STOCK
-- _uuid, _int4, _uuid, text, text -> take_stock bool
SELECT take_stock($1, $2, $3, 1::smallint, $4, $5)

-- @ src/orders/checkout.rs WRITE_REST
-- uuid, text, text, text, text, _uuid, _text, _jsonb, _text, _timestamptz, _int4, text, text, bytea, bytea, uuid -> 
WITH told AS (
        INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
        VALUES ($1::uuid, 'order', NULL, $2::text, 'placed', $4::text, $5::text),
               ($1, 'payment_status', NULL, $3::text, 'placed', $4, $5)),
    pushed AS (
        INSERT INTO jobs (id, kind, payload, dedupe, run_at, max_attempts, cause)
        SELECT ($6::uuid[])[n], ($7::text[])[n], ($8::jsonb[])[n], ($9::text[])[n], coalesce(($10::timestamptz[])[n], now()),
               ($11::int[])[n], $5
          FROM unnest($6::uuid[]) WITH ORDINALITY AS j (id, n)),
    kept AS (
        INSERT INTO idempotency_keys (scope, key, fingerprint, status, body)
        SELECT $12::text, $13::text, $14::bytea, 201::smallint, $15::bytea WHERE $12::text IS NOT NULL
        ON CONFLICT (scope, key) DO UPDATE
           SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, body = EXCLUDED.body, lease_until = NULL, created_at = now()
         WHERE idempotency_keys.created_at <= now() - interval '24 hours' OR idempotency_keys.status IS NULL)
    DELETE FROM cart_items WHERE cart_id = $16

-- @ src/orders/events.rs NEWS
-- uuid, int8 -> id int8, subject text, from_state text, to_state text, at timestamptz
SELECT id, subject, from_state, to_state, at FROM order_history
             WHERE order_id = $1 AND id > $2 AND subject IN ('order', 'payment_status', 'payment', 'refund', 'shipment', 'invoice')
             ORDER BY id LIMIT 100

-- @ src/orders/expire.rs TO_ASK
-- uuid, text -> id uuid
SELECT id FROM payments
         WHERE order_id = $1 AND (status IN ('creating', 'unknown', 'pending')
            OR (status = 'expired' AND expires_at > now() - interval '30 minutes' AND NOT ended_unasked
                AND (checked_at IS NULL OR checked_at < expires_at + $2::text::interval)))
         ORDER BY id

-- @ src/orders/handover.rs FIND
-- uuid -> number text, status text, is_pickup bool, carrier text, service text, tracking_number text, shipped_at timestamptz, delivered_at timestamptz, refund_pending bool, on_hold bool
SELECT o.number, o.status, o.shipping_provider = 'pickup' AS is_pickup, o.carrier, o.service, o.tracking_number, o.shipped_at, o.delivered_at,
               EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
               o.on_hold AND o.status IN ('processing', 'shipped') AS on_hold
          FROM orders o WHERE o.id = $1

-- @ src/orders/handover.rs SHIP
-- uuid, text, text, text, _text, _text -> 
UPDATE orders SET status = $4, tracking_number = $2, carrier = $3, shipped_at = coalesce(shipped_at, now()), updated_at = now()
         WHERE id = $1 AND (status = ANY($5) OR status = $4) AND payment_status = ANY($6)
           AND (tracking_number IS DISTINCT FROM $2 OR carrier <> $3)

-- @ src/orders/link.rs FIND
-- text, text -> id uuid
SELECT id FROM orders WHERE number = $1 AND customer_email = $2 AND user_id IS NULL

-- @ src/orders/mend.rs FIND
-- uuid -> customer_name text, tax_id_sealed bytea, tax_id_key int2, state_registration text, shipping_address jsonb, quoted_cep text
SELECT customer_name, tax_id_sealed, tax_id_key, state_registration, shipping_address, freight_quote ->> 'cep' AS quoted_cep
          FROM orders WHERE id = $1

-- @ src/orders/mend.rs WRITE
-- uuid, text, text, jsonb -> 
UPDATE orders SET customer_name = $2, state_registration = $3, shipping_address = $4, mended = mended + 1, updated_at = now()
         WHERE id = $1

-- @ src/orders/read.rs BUYER
-- uuid, uuid -> name text, email text, phone text, locale text, tax_id_sealed bytea, tax_id_key int2, recipient text, cep text, street text, number text, complement text, district text, city text, state text, ibge_city text, address_phone text
SELECT u.name, u.email, u.phone, u.locale, u.tax_id_sealed, u.tax_id_key, a.recipient, a.cep, a.street, a.number, a.complement, a.district, a.city,
           a.state, a.ibge_city, a.phone AS address_phone
      FROM users u LEFT JOIN addresses a ON a.user_id = u.id AND a.id = $2 WHERE u.id = $1

-- @ src/orders/read.rs COUPON
-- text -> id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool
SELECT id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active
      FROM coupons WHERE code = $1

-- @ src/orders/read.rs LINES
-- bytea -> variant_id uuid, quantity int4, shown_price_cents int8, product_id uuid, sku text, variant_name text, price_cents int8, stock int4, name text, image_url text, for_sale bool, id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool
SELECT i.variant_id, i.quantity, i.shown_price_cents, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock, p.name,
           (SELECT url FROM product_images m WHERE m.product_id = p.id ORDER BY position LIMIT 1) AS image_url,
           v.deleted_at IS NULL AND p.deleted_at IS NULL AND p.active AS for_sale, k.id, k.code, k.kind, k.value, k.min_subtotal_cents,
           k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses, k.max_uses_per_customer, k.uses, k.active
      FROM carts c JOIN cart_items i ON i.cart_id = c.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
           LEFT JOIN coupons k ON k.id = c.coupon_id
     WHERE c.owner = $1 ORDER BY i.variant_id

-- @ src/orders/read.rs LINES_WITH_TAX
-- bytea -> variant_id uuid, quantity int4, shown_price_cents int8, product_id uuid, sku text, variant_name text, price_cents int8, stock int4, name text, image_url text, for_sale bool, id uuid, code text, kind text, value int8, min_subtotal_cents int8, max_discount_cents int8, starts_at timestamptz, ends_at timestamptz, max_uses int4, max_uses_per_customer int4, uses int4, active bool, ncm text, cfop text, origin int2, tax jsonb, taxes jsonb
SELECT i.variant_id, i.quantity, i.shown_price_cents, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock, p.name,
           (SELECT url FROM product_images m WHERE m.product_id = p.id ORDER BY position LIMIT 1) AS image_url,
           v.deleted_at IS NULL AND p.deleted_at IS NULL AND p.active AS for_sale, k.id, k.code, k.kind, k.value, k.min_subtotal_cents,
           k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses, k.max_uses_per_customer, k.uses, k.active, coalesce(p.ncm, c.ncm) AS ncm, coalesce(p.cfop, c.cfop) AS cfop, coalesce(p.origin, c.origin) AS origin, p.tax, c.taxes
      FROM carts b JOIN cart_items i ON i.cart_id = b.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
           LEFT JOIN coupons k ON k.id = b.coupon_id 
    LEFT JOIN LATERAL (
        WITH RECURSIVE up AS (
            SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, 0 AS depth FROM categories c WHERE c.id = p.category_id
            UNION ALL SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, up.depth + 1 FROM categories c JOIN up ON c.id = up.parent_id)
        SELECT (array_agg(ncm ORDER BY depth) FILTER (WHERE ncm IS NOT NULL))[1] AS ncm,
               (array_agg(cfop ORDER BY depth) FILTER (WHERE cfop IS NOT NULL))[1] AS cfop,
               (array_agg(origin ORDER BY depth) FILTER (WHERE origin IS NOT NULL))[1] AS origin,
               coalesce(jsonb_agg(tax ORDER BY depth), '[]') AS taxes
          FROM up) c ON true WHERE b.owner = $1 ORDER BY i.variant_id

-- @ src/orders/read.rs LOCK_CART
-- bytea -> id uuid, now timestamptz, payment_methods jsonb, order_limits jsonb
SELECT id, now() AS now, (SELECT value FROM settings WHERE name = 'payment_methods') AS payment_methods,
           (SELECT value FROM settings WHERE name = 'order_limits') AS order_limits
      FROM carts WHERE owner = $1 AND current_setting('vitrine.key_is_free', true) IS DISTINCT FROM 'false' FOR UPDATE

-- @ src/orders/read.rs LOCK_CART_WITH_TAX
-- bytea -> id uuid, now timestamptz, payment_methods jsonb, order_limits jsonb, invoices jsonb
SELECT id, now() AS now, (SELECT value FROM settings WHERE name = 'payment_methods') AS payment_methods,
           (SELECT value FROM settings WHERE name = 'order_limits') AS order_limits, (SELECT jsonb_object_agg(name, value) FROM settings WHERE name IN ('invoices', 'company', 'taxes')) AS invoices
      FROM carts WHERE owner = $1 AND current_setting('vitrine.key_is_free', true) IS DISTINCT FROM 'false' FOR UPDATE

-- @ src/orders/search.rs ALL
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, int8, int8 -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM orders o WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) ORDER BY o.id DESC LIMIT $8 OFFSET $9

-- @ src/orders/search.rs COUNT_ALL
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, int8 -> count int8
SELECT count(*) FROM (SELECT FROM orders o WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) LIMIT $8) counted

-- @ src/orders/search.rs COUNT_LOOKED_THROUGH
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, int8, int8 -> count int8
SELECT count(*) FROM (SELECT FROM (SELECT o.id, o.number, o.tracking_number, o.customer_email, o.customer_name FROM orders o WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) ORDER BY o.id DESC LIMIT $12) o WHERE 
    (o.number = $8 OR upper(o.tracking_number) = $8 OR o.customer_email = $9
     OR (plain(o.customer_name) ~>=~ plain($10) AND plain(o.customer_name) ~<~ (plain($10) || $11))) LIMIT $13) counted

-- @ src/orders/search.rs COUNT_LOOKED_UP
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, int8, int8 -> count int8
SELECT count(*) FROM (SELECT FROM (
    SELECT id FROM orders WHERE number = $8
    UNION SELECT id FROM orders WHERE upper(tracking_number) = $8
    UNION (SELECT id FROM orders WHERE customer_email = $9 LIMIT $12)
    UNION (SELECT id FROM orders WHERE plain(customer_name) ~>=~ plain($10) AND plain(customer_name) ~<~ (plain($10) || $11) LIMIT $12)) found JOIN orders o ON o.id = found.id WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) LIMIT $13) counted

-- @ src/orders/search.rs COUNT_NAMES
-- text, text, int8 -> count int8
SELECT count(*) FROM (
        SELECT FROM orders WHERE plain(customer_name) ~>=~ plain($1) AND plain(customer_name) ~<~ (plain($1) || $2) LIMIT $3) named

-- @ src/orders/search.rs COUNT_ON_HOLD
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, int8 -> count int8
SELECT count(*) FROM (SELECT FROM orders o WHERE (o.on_hold AND o.status IN ('processing', 'shipped')) AND 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) LIMIT $8) counted

-- @ src/orders/search.rs COUNT_OWN
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, uuid, int8 -> count int8
SELECT count(*) FROM (SELECT FROM orders o WHERE o.user_id = $12 AND 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) AND ($8::text IS NULL OR 
    (o.number = $8 OR upper(o.tracking_number) = $8 OR o.customer_email = $9
     OR (plain(o.customer_name) ~>=~ plain($10) AND plain(o.customer_name) ~<~ (plain($10) || $11)))) LIMIT $13) counted

-- @ src/orders/search.rs LOOK_THROUGH
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, int8, int8, int8 -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM (SELECT o.id FROM (SELECT o.id, o.number, o.tracking_number, o.customer_email, o.customer_name FROM orders o WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) ORDER BY o.id DESC LIMIT $12) o WHERE 
    (o.number = $8 OR upper(o.tracking_number) = $8 OR o.customer_email = $9
     OR (plain(o.customer_name) ~>=~ plain($10) AND plain(o.customer_name) ~<~ (plain($10) || $11))) ORDER BY o.id DESC LIMIT $13 OFFSET $14) found JOIN orders o ON o.id = found.id ORDER BY o.id DESC

-- @ src/orders/search.rs LOOK_UP
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, int8, int8, int8 -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM (
    SELECT id FROM orders WHERE number = $8
    UNION SELECT id FROM orders WHERE upper(tracking_number) = $8
    UNION (SELECT id FROM orders WHERE customer_email = $9 LIMIT $12)
    UNION (SELECT id FROM orders WHERE plain(customer_name) ~>=~ plain($10) AND plain(customer_name) ~<~ (plain($10) || $11) LIMIT $12)) found JOIN orders o ON o.id = found.id WHERE 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) ORDER BY o.id DESC LIMIT $13 OFFSET $14

-- @ src/orders/search.rs ON_HOLD
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, int8, int8 -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM orders o WHERE (o.on_hold AND o.status IN ('processing', 'shipped')) AND 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) ORDER BY o.id DESC LIMIT $8 OFFSET $9

-- @ src/orders/search.rs OWN
-- text, text, timestamptz, timestamptz, uuid, uuid, bool, text, text, text, text, uuid, int8, int8 -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM orders o WHERE o.user_id = $12 AND 
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR (o.on_hold AND o.status IN ('processing', 'shipped')) = $7) AND ($8::text IS NULL OR 
    (o.number = $8 OR upper(o.tracking_number) = $8 OR o.customer_email = $9
     OR (plain(o.customer_name) ~>=~ plain($10) AND plain(o.customer_name) ~<~ (plain($10) || $11)))) ORDER BY o.id DESC LIMIT $13 OFFSET $14

-- @ src/orders/store.rs FIND
-- uuid, bool, uuid -> id uuid, number text, status text, payment_status text, refund_pending bool, on_hold bool, payment_method text, subtotal_cents int8, discount_cents int8, method_discount_cents int8, shipping_cents int8, total_cents int8, coupon_code text, customer_name text, customer_email text, state_registration text, shipping_address jsonb, carrier text, service text, delivery_days int4, freight_estimate bool, tracking_number text, notes text, expires_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 (o.on_hold AND o.status IN ('processing', 'shipped')) AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)

-- @ src/orders/store.rs LINES
-- _uuid -> order_id uuid, id uuid, product_id uuid, variant_id uuid, sku text, name text, variant_name text, image_url text, quantity int4, unit_price_cents int8, line_total_cents int8, discount_cents int8
SELECT order_id, id, product_id, variant_id, sku, name, variant_name, image_url, quantity, unit_price_cents, line_total_cents,
               discount_cents
          FROM order_lines WHERE order_id = ANY($1) ORDER BY order_id, position

-- @ src/orders/tracking.rs FIND
-- _text -> id uuid, number text, status text, payment_status text, carrier text, tracking_number text, delivery_days int4, created_at timestamptz
SELECT id, number, status, payment_status, carrier, tracking_number, delivery_days, created_at FROM orders
         WHERE number = ANY ($1) OR upper(tracking_number) = ANY ($1) ORDER BY (number = ANY ($1)) DESC, id DESC LIMIT 1

-- @ src/orders/tracking.rs HISTORY
-- uuid -> status text, description text, place text, at timestamptz
SELECT status, description, place, at FROM (
            SELECT to_state AS status, NULL AS description, NULL AS place, at,
                   CASE WHEN to_state IN ('pending', 'paid', 'processing') THEN 0 ELSE 2 END AS place_in_second
              FROM order_history WHERE order_id = $1 AND subject IN ('order', 'payment_status') AND to_state <> 'pending_payment'
            UNION ALL
            SELECT code, description, place, happened_at, 1 FROM shipment_events WHERE order_id = $1) AS steps
         ORDER BY date_trunc('second', at), place_in_second, at, status

-- @ src/orders/tracking.rs ITEMS
-- uuid -> name text, quantity int4
SELECT name, quantity FROM order_lines WHERE order_id = $1 ORDER BY position

-- @ src/payments/books/store.rs
-- date, text, text, int4, int8, int4, int8, int4, int8, int4, int8, int8, int4, jsonb -> 
INSERT INTO reconciliations (day, provider, status, ours_captured_count, ours_captured_cents, theirs_captured_count, theirs_captured_cents, ours_refunded_count, ours_refunded_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents, differences, lines) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (day, provider) DO UPDATE
           SET status = excluded.status, ours_captured_count = excluded.ours_captured_count,
               ours_captured_cents = excluded.ours_captured_cents, theirs_captured_count = excluded.theirs_captured_count,
               theirs_captured_cents = excluded.theirs_captured_cents, ours_refunded_count = excluded.ours_refunded_count,
               ours_refunded_cents = excluded.ours_refunded_cents, theirs_refunded_count = excluded.theirs_refunded_count,
               theirs_refunded_cents = excluded.theirs_refunded_cents, difference_cents = excluded.difference_cents,
               differences = excluded.differences, lines = excluded.lines, made_at = now()

-- @ src/payments/books/store.rs BEFORE
-- date, text -> day date, provider text, status text, made_at timestamptz, ours_captured_count int4, ours_captured_cents int8, theirs_captured_count int4, theirs_captured_cents int8, ours_refunded_count int4, ours_refunded_cents int8, theirs_refunded_count int4, theirs_refunded_cents int8, difference_cents int8, differences int4, lines jsonb
SELECT 
    day, provider, status, made_at, ours_captured_count, ours_captured_cents, theirs_captured_count, theirs_captured_cents,
    ours_refunded_count, ours_refunded_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents, differences, lines FROM reconciliations WHERE day = $1 AND provider = $2 FOR UPDATE

-- @ src/payments/books/store.rs LIST
-- _uuid -> id uuid, is_refund_open bool, returned_cents int8
SELECT p.id,
               EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status IN ('pending', 'processing', 'unknown', 'waiting')) AS is_refund_open,
               
    coalesce((SELECT sum(CASE WHEN m.kind IN ('refund', 'dispute_out') THEN m.amount_cents ELSE -m.amount_cents END)
                FROM money_movements m LEFT JOIN disputes d ON d.id = m.dispute_id
               WHERE m.order_id = p.order_id AND m.payment_id = p.id AND m.kind <> 'refund_otherwise' AND (m.refund_id IS NOT NULL OR d.return_ref IS NOT NULL)), 0)::bigint AS returned_cents
          FROM payments p WHERE p.id = ANY($1)

-- @ src/payments/books/store.rs LIST
-- uuid -> provider text, first timestamptz, last timestamptz
SELECT provider, min(created_at) AS first, max(greatest(created_at, paid_at)) AS last FROM payments WHERE id >= $1 GROUP BY provider

-- @ src/payments/books/store.rs LIST
-- text, timestamptz, timestamptz, _uuid, _text, bool, uuid, uuid -> id uuid, number text, is_of_day bool, is_refund_open bool, returned_cents int8
WITH found AS (
            SELECT id FROM payments WHERE provider = $1 AND paid_at >= $2 AND paid_at < $3
            UNION
            SELECT m.payment_id FROM money_movements m LEFT JOIN disputes d ON d.id = m.dispute_id
             WHERE m.provider = $1 AND m.kind <> 'capture' AND (m.refund_id IS NOT NULL OR d.return_ref IS NOT NULL) AND m.at >= $2 AND m.at < $3
            UNION
            SELECT id FROM payments WHERE id = ANY($4)
            UNION
            SELECT id FROM payments WHERE provider = $1 AND provider_ref = ANY($5)
            UNION
            SELECT id FROM payments
             WHERE $6 AND provider = $1 AND captured_cents = 0 AND id >= $7 AND id < $8
               AND greatest(expires_at + interval '1 hour', updated_at) >= $2)
        SELECT p.id, o.number, coalesce(p.paid_at >= $2 AND p.paid_at < $3, false) AS is_of_day,
               EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status IN ('pending', 'processing', 'unknown', 'waiting')) AS is_refund_open,
               
    coalesce((SELECT sum(CASE WHEN m.kind IN ('refund', 'dispute_out') THEN m.amount_cents ELSE -m.amount_cents END)
                FROM money_movements m LEFT JOIN disputes d ON d.id = m.dispute_id
               WHERE m.order_id = p.order_id AND m.payment_id = p.id AND m.kind <> 'refund_otherwise' AND (m.refund_id IS NOT NULL OR d.return_ref IS NOT NULL)), 0)::bigint AS returned_cents
          FROM found JOIN payments p ON p.id = found.id JOIN orders o ON o.id = p.order_id

-- @ src/payments/books/store.rs LIST
-- date -> day date, provider text, status text, made_at timestamptz, ours_captured_count int4, ours_captured_cents int8, theirs_captured_count int4, theirs_captured_cents int8, ours_refunded_count int4, ours_refunded_cents int8, theirs_refunded_count int4, theirs_refunded_cents int8, difference_cents int8, differences int4, lines jsonb
SELECT 
    day, provider, status, made_at, ours_captured_count, ours_captured_cents, theirs_captured_count, theirs_captured_cents,
    ours_refunded_count, ours_refunded_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents, differences, lines FROM reconciliations WHERE day = $1 ORDER BY provider

-- @ src/payments/books/store.rs LIST
-- timestamptz, timestamptz -> provider text
SELECT DISTINCT provider FROM payments WHERE paid_at >= $1 AND paid_at < $2 ORDER BY 1

-- @ src/payments/books/store.rs LIST
-- date -> day date, provider text
SELECT day, provider FROM reconciliations WHERE day >= $1

-- @ src/payments/capture/mod.rs CAPTURE
-- uuid, text, timestamptz, text, text, int8, bool -> is_disputed bool
UPDATE payments
           SET status = $2, is_surplus = $7, captured_cents = $6, paid_at = least(coalesce($3, now()), now()), error = NULL,
               end_to_end_id = coalesce(end_to_end_id, $4), provider_ref = coalesce(provider_ref, nullif($5, '')),
               checked_at = now(), ended_unasked = false, updated_at = now()
         WHERE id = $1 AND captured_cents = 0
        RETURNING EXISTS (SELECT FROM disputes d WHERE d.payment_id = payments.id) AS is_disputed

-- @ src/payments/capture/mod.rs ENTER
-- uuid, uuid, int8, text, text, text -> 
INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, provider_ref, cause)
        VALUES ($1, $2, 'capture', $3, $4, $5, $6)

-- @ src/payments/capture/mod.rs METHOD
-- uuid, text -> 
UPDATE orders SET payment_method = $2 WHERE id = $1 AND payment_method IS DISTINCT FROM $2

-- @ src/payments/capture/mod.rs NOTE
-- uuid, text -> 
UPDATE payments SET error = $2, checked_at = now(), updated_at = now() WHERE id = $1 AND error IS DISTINCT FROM $2

-- @ src/payments/charge/methods.rs SETTING
--  -> value jsonb
SELECT value FROM settings WHERE name = 'payment_methods'

-- @ src/payments/charge/price.rs LINES
-- uuid -> id uuid, line_total_cents int8
SELECT id, line_total_cents FROM order_lines WHERE order_id = $1 ORDER BY position

-- @ src/payments/charge/price.rs PRICE
-- uuid, int8 -> total_cents int8, discount_cents int8
UPDATE orders SET method_discount_cents = $2::bigint, discount_cents = coupon_discount_cents + $2,
               total_cents = subtotal_cents - coupon_discount_cents - $2 + shipping_cents, updated_at = now()
         WHERE id = $1 RETURNING total_cents, discount_cents

-- @ src/payments/charge/price.rs SHARE
-- uuid, _uuid, _int8 -> 
UPDATE order_lines l SET discount_cents = s.share FROM unnest($2::uuid[], $3::bigint[]) AS s (id, share)
         WHERE l.id = s.id AND l.order_id = $1

-- @ src/payments/dispute/http.rs COUNT
-- bool, text, text, text, uuid -> count int8
SELECT count(*) FROM disputes d 
        WHERE ($1::boolean IS NULL OR (d.closed_at IS NULL) = $1) AND ($2::text IS NULL OR d.state = $2) AND ($3::text IS NULL OR d.stage = $3)
          AND ($4::text IS NULL OR d.provider = $4) AND ($5::uuid IS NULL OR d.order_id = $5)

-- @ src/payments/dispute/http.rs FIND
-- uuid -> id uuid, order_id uuid, number text, payment_id uuid, provider text, provider_ref text, stage text, state text, word text, reason text, amount_cents int8, currency text, taken_cents int8, opened_at timestamptz, due_by timestamptz, takes_evidence bool, closed_at timestamptz, closed_by text, note text
SELECT d.id, d.order_id, o.number, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.word, d.reason, d.amount_cents, p.currency,
           coalesce((SELECT sum(CASE m.kind WHEN 'dispute_out' THEN m.amount_cents ELSE -m.amount_cents END) FROM money_movements m
                      WHERE m.dispute_id = d.id), 0)::bigint AS taken_cents,
           d.opened_at, d.due_by, d.evidence_ref IS NOT NULL AND d.state IN ('open', 'under_review', 'unclear') AS takes_evidence,
           d.closed_at, d.closed_by, d.note
      FROM disputes d JOIN orders o ON o.id = d.order_id JOIN payments p ON p.id = d.payment_id WHERE d.id = $1

-- @ src/payments/dispute/http.rs LIST
-- bool, text, text, text, uuid, uuid, int8, int8 -> id uuid, order_id uuid, number text, payment_id uuid, provider text, provider_ref text, stage text, state text, word text, reason text, amount_cents int8, currency text, taken_cents int8, opened_at timestamptz, due_by timestamptz, takes_evidence bool, closed_at timestamptz, closed_by text, note text
SELECT d.id, d.order_id, o.number, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.word, d.reason, d.amount_cents, p.currency,
           coalesce((SELECT sum(CASE m.kind WHEN 'dispute_out' THEN m.amount_cents ELSE -m.amount_cents END) FROM money_movements m
                      WHERE m.dispute_id = d.id), 0)::bigint AS taken_cents,
           d.opened_at, d.due_by, d.evidence_ref IS NOT NULL AND d.state IN ('open', 'under_review', 'unclear') AS takes_evidence,
           d.closed_at, d.closed_by, d.note
      FROM disputes d JOIN orders o ON o.id = d.order_id JOIN payments p ON p.id = d.payment_id 
        WHERE ($1::boolean IS NULL OR (d.closed_at IS NULL) = $1) AND ($2::text IS NULL OR d.state = $2) AND ($3::text IS NULL OR d.stage = $3)
          AND ($4::text IS NULL OR d.provider = $4) AND ($5::uuid IS NULL OR d.order_id = $5) AND ($6::uuid IS NULL OR d.id < $6) ORDER BY d.id DESC LIMIT $7 OFFSET $8

-- @ src/payments/dispute/money.rs AMOUNT
-- uuid, int8 -> 
UPDATE disputes SET amount_cents = $2 WHERE id = $1 AND amount_cents IS NULL

-- @ src/payments/dispute/money.rs ENTER
-- uuid, int2, text, int8, text -> 
INSERT INTO money_movements (order_id, payment_id, dispute_id, dispute_step, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, id, $2, $3, $4, provider, provider_ref, $5 FROM disputes WHERE id = $1

-- @ src/payments/dispute/money.rs LIST
-- uuid -> id uuid, state text, amount_cents int8, taken_cents int8, steps int2
SELECT d.id, d.state, d.amount_cents, coalesce(m.taken, 0)::bigint AS taken_cents, coalesce(m.steps, 0)::smallint AS steps
          FROM disputes d
          LEFT JOIN (SELECT dispute_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS taken, max(dispute_step) AS steps
                       FROM money_movements WHERE dispute_id IN (SELECT id FROM disputes WHERE payment_id = $1) GROUP BY 1) m ON m.dispute_id = d.id
         WHERE d.payment_id = $1 ORDER BY d.id

-- @ src/payments/dispute/money.rs LOST
-- uuid, int8 -> 
UPDATE payments SET lost_cents = $2, updated_at = now() WHERE id = $1 AND lost_cents <> $2

-- @ src/payments/dispute/record.rs OPEN
-- uuid -> id uuid
SELECT id FROM refunds WHERE payment_id = $1 AND status IN ('pending', 'processing', 'unknown', 'waiting')

-- @ src/payments/dispute/store.rs
-- uuid, uuid, uuid, text, text, text, text, int8, text, text, timestamptz, text, timestamptz, timestamptz, text -> 
INSERT INTO disputes (id, payment_id, order_id, provider, provider_ref, stage, state, amount_cents, word, reason, due_by, evidence_ref, opened_at, closed_at, closed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- @ src/payments/dispute/store.rs ASK
-- uuid -> exists bool
SELECT EXISTS (SELECT FROM disputes WHERE payment_id = $1 AND stage = 'contested' AND state IN ('open', 'under_review', 'unclear'))

-- @ src/payments/dispute/store.rs ASK
-- uuid, text -> exists bool
SELECT EXISTS (SELECT FROM disputes WHERE payment_id = $1 AND return_ref = $2)

-- @ src/payments/dispute/store.rs FIND
-- uuid -> id uuid, payment_id uuid, provider text, provider_ref text, stage text, state text, amount_cents int8, reason text, due_by timestamptz, evidence_ref text, moved_at timestamptz, is_stuck bool, closed_by text
SELECT d.id, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.amount_cents, d.reason, d.due_by, d.evidence_ref,
           d.moved_at, d.moved_at < now() - interval '30 days' AS is_stuck, d.closed_by
      FROM disputes d WHERE d.id = $1

-- @ src/payments/dispute/store.rs FIND
-- text, text -> payment_id uuid
SELECT payment_id FROM disputes WHERE provider = $1 AND provider_ref = $2

-- @ src/payments/dispute/store.rs KEEP
-- uuid, text, text, int8, timestamptz, text, timestamptz -> 
UPDATE disputes SET word = CASE WHEN $2 = '' THEN word ELSE $2 END, reason = CASE WHEN $3 = '' THEN reason ELSE $3 END,
               amount_cents = CASE WHEN state = 'lost' THEN amount_cents ELSE coalesce($4, amount_cents) END,
               due_by = coalesce($5, due_by), evidence_ref = coalesce($6, evidence_ref), opened_at = coalesce($7, opened_at)
         WHERE id = $1

-- @ src/payments/dispute/store.rs KEEP_RETURN
-- text, text, text -> 
UPDATE disputes SET return_ref = $3 WHERE provider = $1 AND provider_ref = $2 AND return_ref IS NULL

-- @ src/payments/dispute/store.rs LIST
-- text, int8 -> payment_id uuid
SELECT payment_id FROM disputes WHERE provider = $1 AND closed_at IS NULL GROUP BY 1 ORDER BY min(moved_at) LIMIT $2

-- @ src/payments/dispute/store.rs LOCK
-- uuid -> id uuid, payment_id uuid, provider text, provider_ref text, stage text, state text, amount_cents int8, reason text, due_by timestamptz, evidence_ref text, moved_at timestamptz, is_stuck bool, closed_by text
SELECT d.id, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.amount_cents, d.reason, d.due_by, d.evidence_ref,
           d.moved_at, d.moved_at < now() - interval '30 days' AS is_stuck, d.closed_by
      FROM disputes d WHERE d.id = $1 FOR NO KEY UPDATE

-- @ src/payments/dispute/store.rs LOCK
-- text, text -> id uuid, payment_id uuid, provider text, provider_ref text, stage text, state text, amount_cents int8, reason text, due_by timestamptz, evidence_ref text, moved_at timestamptz, is_stuck bool, closed_by text
SELECT d.id, d.payment_id, d.provider, d.provider_ref, d.stage, d.state, d.amount_cents, d.reason, d.due_by, d.evidence_ref,
           d.moved_at, d.moved_at < now() - interval '30 days' AS is_stuck, d.closed_by
      FROM disputes d WHERE d.provider = $1 AND d.provider_ref = $2 FOR NO KEY UPDATE

-- @ src/payments/dispute/store.rs MARK
-- uuid, text, text, text -> 
UPDATE disputes SET stage = $2, state = $3, moved_at = clock_timestamp(),
               closed_at = CASE WHEN $4::text IS NOT NULL THEN coalesce(closed_at, now()) END, closed_by = $4
         WHERE id = $1

-- @ src/payments/dispute/store.rs MATCH
-- uuid, int8, text -> 
UPDATE disputes SET return_ref = $3
         WHERE id = (SELECT id FROM disputes WHERE payment_id = $1 AND state = 'lost' AND amount_cents = $2 AND return_ref IS NULL
                      ORDER BY id LIMIT 1)

-- @ src/payments/dispute/store.rs NOTE
-- uuid, text, int8 -> 
UPDATE disputes SET note = $2, amount_cents = coalesce($3, amount_cents) WHERE id = $1

-- @ src/payments/dispute/store.rs STUCK
-- int8 -> provider text, provider_ref text, order_id uuid, number text
SELECT d.provider, d.provider_ref, d.order_id, o.number FROM disputes d JOIN orders o ON o.id = d.order_id
         WHERE d.closed_at IS NULL AND d.state <> 'unclear' AND d.moved_at < now() - interval '30 days'
           AND NOT EXISTS (SELECT FROM alerts a WHERE a.key = 'dispute-stays-open:' || d.provider_ref AND a.last_at > now() - interval '7 days')
         ORDER BY d.moved_at LIMIT $1

-- @ src/payments/dispute/watch.rs COUNT
-- int8 -> count int8
SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_') AND kind = 'look_at_dispute'
                               LIMIT $1) waiting

-- @ src/payments/reconcile.rs LATE
-- int8 -> id uuid
WITH due AS (
            SELECT p.id FROM payments p
             WHERE p.status IN ('expired', 'cancelled', 'failed')
               AND p.updated_at BETWEEN now() - interval '48 hours' AND now() - interval '10 minutes'
               AND (p.checked_at IS NULL OR p.checked_at < p.updated_at + interval '9 minutes')
             ORDER BY p.updated_at LIMIT $1 FOR UPDATE OF p SKIP LOCKED)
        UPDATE payments p SET checked_at = now() FROM due WHERE p.id = due.id RETURNING p.id

-- @ src/payments/reconcile.rs LIVE
-- int8 -> id uuid
WITH due AS (
            SELECT p.id FROM payments p
             WHERE p.status IN ('creating', 'unknown', 'pending') AND p.updated_at < now() - interval '2 minutes'
               AND (p.checked_at IS NULL OR p.checked_at < now() - interval '10 minutes')
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state IN ('waiting', 'running'))
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state = 'dead'
                                AND j.finished_at > now() - interval '1 hour' AND j.state IN ('done', 'dead'))
             ORDER BY p.checked_at NULLS FIRST LIMIT $1 FOR UPDATE OF p SKIP LOCKED)
        UPDATE payments p SET checked_at = now() FROM due WHERE p.id = due.id RETURNING p.id

-- @ src/payments/reconcile.rs OPEN
-- int8 -> id uuid
WITH due AS (
            SELECT r.id FROM refunds r
             WHERE r.status IN ('pending', 'processing', 'unknown', 'waiting') AND r.updated_at < now() - interval '2 minutes'
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state IN ('waiting', 'running'))
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state = 'dead'
                                AND j.finished_at > now() - interval '1 hour' AND j.state IN ('done', 'dead'))
             ORDER BY r.updated_at LIMIT $1 FOR UPDATE OF r SKIP LOCKED)
        UPDATE refunds r SET updated_at = now() FROM due WHERE r.id = due.id RETURNING r.id

-- @ src/payments/reconcile.rs OVERDUE
-- int8 -> id uuid
SELECT o.id FROM orders o
         WHERE o.status = 'pending' AND o.expires_at < now() - interval '10 minutes'
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'expire_order:' || o.id AND j.state = 'dead'
                            AND j.finished_at > now() - interval '6 hours' AND j.state IN ('done', 'dead'))
         ORDER BY o.expires_at LIMIT $1

-- @ src/payments/reconcile.rs UNASKED
-- _text, int8 -> id uuid
SELECT p.id FROM payments p
         WHERE p.ended_unasked AND p.provider = ANY($1)
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state IN ('waiting', 'running'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state = 'dead'
                            AND j.finished_at > now() - interval '1 hour' AND j.state IN ('done', 'dead'))
         ORDER BY p.id LIMIT $2

-- @ src/payments/refund/adopt.rs INSERT
-- uuid, uuid, uuid, int8, text, text, text -> 
INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref)
        VALUES ($1, $1, $2, $3, $4, 'processing', $5, $6, $7)

-- @ src/payments/refund/adopt.rs NAME
-- uuid, text -> 
UPDATE refunds SET provider_ref = $2 WHERE id = $1 AND provider_ref IS NULL

-- @ src/payments/refund/displace.rs ASK
-- uuid -> has bool
SELECT EXISTS (SELECT FROM refunds WHERE payment_id = $1 AND status IN ('pending', 'unknown', 'waiting')) AS has

-- @ src/payments/refund/displace.rs LIST
-- uuid, _uuid, _text -> id uuid, amount_cents int8, status text
SELECT r.id, r.amount_cents, r.status FROM refunds r
         WHERE r.payment_id = $1 AND r.status IN ('pending', 'unknown', 'waiting')
           AND r.key <> ALL ($2) AND coalesce(r.provider_ref <> ALL ($3), true)
           AND NOT EXISTS (SELECT FROM refund_keys k WHERE k.refund_id = r.id AND (k.key = ANY ($2) OR k.provider_ref = ANY ($3)))
         ORDER BY r.id FOR NO KEY UPDATE

-- @ src/payments/refund/keys.rs ASK
-- uuid -> exists bool
SELECT EXISTS (SELECT FROM money_movements WHERE refund_id = $1 AND kind = 'refund_back')

-- @ src/payments/refund/keys.rs EARLIER
-- uuid, uuid, text -> id uuid, status text, key uuid
SELECT r.id, r.status, k.key FROM refund_keys k JOIN refunds r ON r.id = k.refund_id
         WHERE r.payment_id = $1 AND (k.key = $2 OR k.provider_ref = $3) ORDER BY r.id LIMIT 1

-- @ src/payments/refund/keys.rs FIND
-- text, uuid -> payment_id uuid, id uuid, status text, is_earlier bool
SELECT r.payment_id, r.id, r.status, r.key <> $2 AS is_earlier
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE p.provider = $1 AND (r.key = $2 OR r.id = (SELECT refund_id FROM refund_keys WHERE key = $2))

-- @ src/payments/refund/keys.rs GO_BACK
-- uuid, uuid -> 
WITH taken AS (DELETE FROM refund_keys WHERE key = $2 AND refund_id = $1 RETURNING key, provider_ref)
        UPDATE refunds r SET key = taken.key, provider_ref = taken.provider_ref, tries = greatest(r.tries, 1) FROM taken WHERE r.id = $1

-- @ src/payments/refund/keys.rs LEAVE
-- uuid -> 
INSERT INTO refund_keys (key, refund_id, provider_ref) SELECT key, id, provider_ref FROM refunds WHERE id = $1

-- @ src/payments/refund/keys.rs PRESENT
-- uuid, uuid, text -> id uuid, status text
SELECT id, status FROM refunds WHERE payment_id = $1 AND (key = $2 OR provider_ref = $3) ORDER BY id LIMIT 1

-- @ src/payments/refund/keys.rs TAKE
-- uuid, uuid -> 
UPDATE refunds SET key = $2, provider_ref = NULL, tries = 0 WHERE id = $1

-- @ src/payments/refund/late.rs LATE
-- int8 -> id uuid, order_id uuid, status text, amount_cents int8, error text, number text, provider text
WITH late AS (
            SELECT r.id FROM refunds r
              JOIN payments p ON p.id = r.payment_id
             CROSS JOIN LATERAL (SELECT CASE r.status WHEN 'waiting' THEN r.waits_since WHEN 'pending' THEN r.created_at ELSE r.in_hand_since END) s (since)
             WHERE r.status IN ('pending', 'processing', 'unknown', 'waiting') AND s.since < now() - interval '24 hours'
               AND coalesce(r.late_told_at < s.since, true) AND (r.status <> 'pending' OR p.status <> 'disputed')
             ORDER BY r.id LIMIT $1 FOR NO KEY UPDATE OF r SKIP LOCKED)
        UPDATE refunds r SET late_told_at = now() FROM late, orders o, payments p
         WHERE r.id = late.id AND o.id = r.order_id AND p.id = r.payment_id
        RETURNING r.id, r.order_id, r.status, r.amount_cents, r.error, o.number, p.provider

-- @ src/payments/refund/locked.rs LOCK
-- uuid -> status text, amount_cents int8, was_done bool
SELECT status, amount_cents, EXISTS (SELECT FROM money_movements m WHERE m.refund_id = r.id) AS was_done
          FROM refunds r WHERE id = $1 FOR NO KEY UPDATE

-- @ src/payments/refund/locked.rs OF
-- uuid -> payment_id uuid
SELECT payment_id FROM refunds WHERE id = $1

-- @ src/payments/refund/open.rs FIND
-- uuid -> id uuid, payment_id uuid, key uuid, amount_cents int8, status text, tries int4, reason text, created_at timestamptz, waits_since timestamptz, refund_ref text, last_key uuid, provider text, end_to_end_id text, payment_ref text, is_contested bool, fits bool
SELECT r.id, r.payment_id, r.key, r.amount_cents, r.status, r.tries, r.reason, r.created_at, r.waits_since, r.provider_ref AS refund_ref,
               (SELECT k.key FROM refund_keys k WHERE k.refund_id = r.id ORDER BY k.left_at DESC, k.key DESC LIMIT 1) AS last_key,
               p.provider, p.end_to_end_id, p.provider_ref AS payment_ref, p.status = 'disputed' AS is_contested,
               p.refunded_cents + p.lost_cents <= p.captured_cents AS fits
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE r.id = $1 AND r.status IN ('pending', 'processing', 'unknown', 'waiting')

-- @ src/payments/refund/otherwise.rs PAID
-- uuid, text, text -> 
UPDATE refunds SET status = 'done', error = NULL, paid_otherwise_at = now(), paid_otherwise_by = $2, note = $3, updated_at = now()
         WHERE id = $1

-- @ src/payments/refund/reserve.rs INSERT
-- uuid, uuid, uuid, int8, text, bool, text -> 
INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, restock, requested_by) VALUES ($1, $1, $2, $3, $4, $5, $6, $7)

-- @ src/payments/refund/reserve.rs RESERVE
-- uuid, int8 -> 
UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + $2 <= captured_cents AND captured_cents > 0

-- @ src/payments/refund/reserve.rs RESERVE
-- uuid, int8 -> 
UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + lost_cents + $2 <= captured_cents
           AND status IN ('paid', 'partially_refunded', 'partially_charged_back', 'surplus')

-- @ src/payments/refund/retry.rs AGAIN
-- uuid -> 
UPDATE refunds SET status = 'pending', error = NULL, waits_since = NULL, in_hand_since = NULL, late_told_at = now(), updated_at = now()
         WHERE id = $1

-- @ src/payments/refund/send.rs COUNT
-- uuid -> tries int4
UPDATE refunds SET tries = tries + 1 WHERE id = $1 RETURNING tries

-- @ src/payments/refund/send.rs MARK
-- uuid, text, text, text -> status text
WITH before AS (SELECT status FROM refunds WHERE id = $1 AND status IN ('pending', 'processing', 'unknown', 'waiting') FOR NO KEY UPDATE)
        UPDATE refunds r SET status = $2, provider_ref = coalesce($3, provider_ref), error = $4, updated_at = now(),
               in_hand_since = CASE WHEN $2::refund_status IN ('processing', 'unknown') THEN coalesce(r.in_hand_since, now()) END
          FROM before b WHERE r.id = $1
        RETURNING b.status

-- @ src/payments/refund/settle.rs DONE
-- uuid -> 
UPDATE refunds SET status = 'done', error = NULL, updated_at = now() WHERE id = $1

-- @ src/payments/refund/settle.rs ENTER
-- uuid, text, int8, text, text -> 
INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, id, $2, $3, $4, provider_ref, $5 FROM refunds WHERE id = $1

-- @ src/payments/refund/settle.rs FAILED
-- uuid, text -> 
UPDATE refunds SET status = 'failed', error = $2, updated_at = now() WHERE id = $1

-- @ src/payments/refund/settle.rs GIVE_BACK
-- uuid, int8 -> 
UPDATE payments SET refunded_cents = refunded_cents - $2, updated_at = now() WHERE id = $1

-- @ src/payments/refund/view.rs FIND
-- uuid -> id uuid, payment_id uuid, amount_cents int8, currency text, status text, reason text, restock bool, created_at timestamptz, paid_otherwise_at timestamptz, note text
SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at, r.paid_otherwise_at, r.note
      FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1

-- @ src/payments/refund/view.rs LIST
-- uuid -> id uuid, payment_id uuid, amount_cents int8, currency text, status text, reason text, restock bool, created_at timestamptz, paid_otherwise_at timestamptz, note text
SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at, r.paid_otherwise_at, r.note
      FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.order_id = $1 ORDER BY r.id

-- @ src/payments/refund/wait.rs WAIT
-- uuid, uuid, text -> status text, is_first bool, waits_since timestamptz
WITH before AS (
            SELECT status, waits_since FROM refunds
             WHERE id = $1 AND key = $2 AND status IN ('pending', 'processing', 'unknown', 'waiting') FOR NO KEY UPDATE)
        UPDATE refunds r SET status = 'waiting', waits_since = coalesce(r.waits_since, now()), in_hand_since = NULL, error = $3, updated_at = now()
          FROM before b WHERE r.id = $1
        RETURNING b.status, b.waits_since IS NULL AS is_first, r.waits_since

-- @ src/payments/reread.rs LIST
-- _uuid -> payment_id uuid, provider_ref text, status text
SELECT payment_id, provider_ref, status FROM refunds
         WHERE payment_id = ANY($1) AND provider_ref IS NOT NULL AND status IN ('done', 'failed')

-- @ src/payments/reread.rs NAMED
-- text, _text -> id uuid, provider_ref text
SELECT id, provider_ref FROM payments WHERE provider = $1 AND provider_ref = ANY($2)

-- @ src/payments/store.rs
-- uuid -> 
UPDATE payments SET checked_at = now(), ended_unasked = false WHERE id = $1

-- @ src/payments/store.rs BY_END_TO_END
-- text, text -> id uuid
SELECT id FROM payments WHERE end_to_end_id = $1 AND provider = $2 ORDER BY id LIMIT 1

-- @ src/payments/store.rs BY_ID
-- uuid, text -> id uuid
SELECT id FROM payments WHERE id = $1 AND provider = $2

-- @ src/payments/store.rs COUNT
-- uuid, text -> count int8
SELECT count(*) FROM payments WHERE order_id = $1 AND method = $2 AND status = 'failed'

-- @ src/payments/store.rs COUNT
-- uuid -> count int8
SELECT count(*) FROM payments WHERE order_id = $1 AND status <> 'failed'
         AND (provider_ref IS NOT NULL OR status IN ('creating', 'unknown', 'pending'))

-- @ src/payments/store.rs EXTEND
-- uuid, text, timestamptz -> 
UPDATE orders SET expires_at = greatest(expires_at, $3::timestamptz + interval '5 minutes'), payment_method = $2, updated_at = now()
         WHERE id = $1 AND status = 'pending'

-- @ src/payments/store.rs FIND
-- uuid -> id uuid, order_id uuid, method text, provider text, status text, amount_cents int8, captured_cents int8, refunded_cents int8, lost_cents int8, is_surplus bool, currency text, method_discount_cents int8, tries int4, provider_ref text, end_to_end_id text, copy_paste text, qr_code_url text, error text, expires_at timestamptz, paid_at timestamptz, created_at timestamptz, is_over bool, grace_ends_at timestamptz, is_past_grace bool, is_fresh bool
SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p WHERE p.id = $1

-- @ src/payments/store.rs FIND
-- uuid -> id uuid, order_id uuid, method text, provider text, status text, amount_cents int8, captured_cents int8, refunded_cents int8, lost_cents int8, is_surplus bool, currency text, method_discount_cents int8, tries int4, provider_ref text, end_to_end_id text, copy_paste text, qr_code_url text, error text, expires_at timestamptz, paid_at timestamptz, created_at timestamptz, is_over bool, grace_ends_at timestamptz, is_past_grace bool, is_fresh bool
SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p WHERE p.order_id = $1 AND p.status IN ('creating', 'unknown', 'pending') FOR NO KEY UPDATE

-- @ src/payments/store.rs FIND
-- uuid -> customer_name text, customer_email text, tax_id_sealed bytea, tax_id_key int2
SELECT customer_name, customer_email, tax_id_sealed, tax_id_key FROM orders WHERE id = $1

-- @ src/payments/store.rs FIND
-- text, text -> id uuid
SELECT id FROM payments WHERE provider = $1 AND provider_ref = $2

-- @ src/payments/store.rs FIND
-- uuid, text -> order_id uuid
SELECT order_id FROM payments WHERE id = $1 AND provider = $2

-- @ src/payments/store.rs INSERT
-- uuid, uuid, text, text, int8, int8, int8 -> 
INSERT INTO payments (id, order_id, method, provider, amount_cents, method_discount_cents, tries, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, 1, now() + make_interval(secs => $7::bigint::double precision))

-- @ src/payments/store.rs KEEP
-- uuid, text, text, text -> 
UPDATE payments SET provider_ref = coalesce(provider_ref, nullif($2, '')), copy_paste = coalesce(copy_paste, nullif($3, '')),
               qr_code_url = coalesce(qr_code_url, $4), checked_at = now() WHERE id = $1

-- @ src/payments/store.rs KEEP
-- uuid, text -> 
UPDATE payments SET end_to_end_id = $2 WHERE id = $1 AND end_to_end_id IS NULL AND captured_cents > 0

-- @ src/payments/store.rs LIST
-- _uuid -> id uuid, order_id uuid, method text, provider text, status text, amount_cents int8, captured_cents int8, refunded_cents int8, lost_cents int8, is_surplus bool, currency text, method_discount_cents int8, tries int4, provider_ref text, end_to_end_id text, copy_paste text, qr_code_url text, error text, expires_at timestamptz, paid_at timestamptz, created_at timestamptz, is_over bool, grace_ends_at timestamptz, is_past_grace bool, is_fresh bool
SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p WHERE p.id = ANY($1) ORDER BY p.id

-- @ src/payments/store.rs LIST
-- uuid -> id uuid, order_id uuid, method text, provider text, status text, amount_cents int8, captured_cents int8, refunded_cents int8, lost_cents int8, is_surplus bool, currency text, method_discount_cents int8, tries int4, provider_ref text, end_to_end_id text, copy_paste text, qr_code_url text, error text, expires_at timestamptz, paid_at timestamptz, created_at timestamptz, is_over bool, grace_ends_at timestamptz, is_past_grace bool, is_fresh bool
SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p WHERE p.order_id = $1 ORDER BY p.id

-- @ src/payments/store.rs LOCK_PAYMENT
-- uuid -> id uuid, order_id uuid, method text, provider text, status text, amount_cents int8, captured_cents int8, refunded_cents int8, lost_cents int8, is_surplus bool, currency text, method_discount_cents int8, tries int4, provider_ref text, end_to_end_id text, copy_paste text, qr_code_url text, error text, expires_at timestamptz, paid_at timestamptz, created_at timestamptz, is_over bool, grace_ends_at timestamptz, is_past_grace bool, is_fresh bool
SELECT p.id, p.order_id, p.method, p.provider, p.status, p.amount_cents, p.captured_cents, p.refunded_cents, p.lost_cents,
           p.is_surplus, p.currency, p.method_discount_cents, p.tries, p.provider_ref, p.end_to_end_id, p.copy_paste, p.qr_code_url, p.error, p.expires_at,
           p.paid_at, p.created_at, p.expires_at <= now() AS is_over, p.expires_at + interval '5 minutes' AS grace_ends_at,
           p.expires_at + interval '5 minutes' <= now() AS is_past_grace, p.updated_at > now() - interval '30 seconds' AS is_fresh
      FROM payments p WHERE p.id = $1 FOR NO KEY UPDATE

-- @ src/payments/store.rs MARK
-- uuid -> 
UPDATE payments SET ended_unasked = true WHERE id = $1 AND status IN ('expired', 'cancelled', 'failed')

-- @ src/payments/store.rs MARK
-- uuid, text, text -> 
UPDATE payments SET status = $2, error = $3, ended_unasked = true, updated_at = now()
         WHERE id = $1 AND status IN ('creating', 'unknown', 'pending')

-- @ src/payments/store.rs MARK
-- uuid, text, text -> 
UPDATE payments SET status = $2, error = $3, updated_at = now() WHERE id = $1 AND status IN ('creating', 'unknown')

-- @ src/payments/store.rs MARK
-- uuid, text, text -> 
UPDATE payments SET status = $2, error = coalesce($3, error), checked_at = now(), updated_at = now()
         WHERE id = $1 AND status IN ('creating', 'unknown', 'pending')

-- @ src/payments/store.rs MARK
-- uuid, text, text, text, timestamptz -> 
UPDATE payments p
           SET status = 'pending', provider_ref = nullif($2, ''), copy_paste = nullif($3, ''), qr_code_url = $4, expires_at = $5, error = NULL,
               checked_at = now(), updated_at = now()
         WHERE p.id = $1 AND p.status IN ('creating', 'unknown', 'failed')
           AND NOT EXISTS (SELECT FROM payments q WHERE q.order_id = p.order_id AND q.id <> p.id
                            AND q.status IN ('creating', 'unknown', 'pending'))

-- @ src/payments/store.rs NOTE
-- uuid, text -> 
UPDATE payments SET error = $2 WHERE id = $1 AND status IN ('creating', 'unknown', 'pending')

-- @ src/payments/store.rs TOUCH
-- uuid -> 
UPDATE payments SET tries = tries + 1, updated_at = now() WHERE id = $1

-- @ src/payments/sums.rs MARK
-- uuid, text -> 
UPDATE payments SET status = $2, updated_at = now() WHERE id = $1

-- @ src/payments/sums.rs SUMS
-- uuid -> status text, captured_cents int8, lost_cents int8, is_surplus bool, refunded_cents int8, is_contested bool
SELECT p.status, p.captured_cents, p.lost_cents, p.is_surplus,
               coalesce((SELECT sum(CASE m.kind WHEN 'refund_back' THEN -m.amount_cents ELSE m.amount_cents END) FROM money_movements m
                          WHERE m.order_id = p.order_id AND m.payment_id = p.id AND m.refund_id IS NOT NULL), 0)::bigint AS refunded_cents,
               EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id AND d.stage = 'contested'
                          AND d.state IN ('open', 'under_review', 'unclear')) AS is_contested
          FROM payments p WHERE p.id = $1

-- @ src/privacy/erase.rs
-- uuid -> 
DELETE FROM addresses WHERE user_id = $1

-- @ src/privacy/erase.rs
-- uuid -> 
DELETE FROM carts WHERE user_id = $1

-- @ src/privacy/erase.rs
-- uuid -> 
DELETE FROM email_changes WHERE user_id = $1

-- @ src/privacy/erase.rs
-- uuid -> 
DELETE FROM password_resets WHERE user_id = $1

-- @ src/privacy/erase.rs
-- uuid -> 
DELETE FROM sessions WHERE user_id = $1

-- @ src/privacy/erase.rs CART
-- uuid -> 
SELECT FROM carts WHERE user_id = $1 FOR UPDATE

-- @ src/privacy/erase.rs DISPUTES
-- _uuid -> 
UPDATE disputes SET note = '(removido)' WHERE note IS NOT NULL AND order_id = ANY($1)

-- @ src/privacy/erase.rs EVENTS
-- _uuid -> 
UPDATE webhook_events SET body = '' WHERE order_id = ANY($1)

-- @ src/privacy/erase.rs FIRST_ANSWERS
-- text -> 
DELETE FROM idempotency_keys WHERE starts_with(scope, 'user:' || $1::text) OR starts_with(scope, 'admin:' || $1::text)

-- @ src/privacy/erase.rs LABELS
-- _uuid -> 
UPDATE shipments SET label_url = NULL, error = NULL WHERE order_id = ANY($1)

-- @ src/privacy/erase.rs MESSAGES
-- _uuid -> 
UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL WHERE order_id = ANY($1)

-- @ src/privacy/erase.rs MESSAGES
-- uuid -> 
UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL WHERE user_id = $1

-- @ src/privacy/erase.rs ORDERS
-- _uuid -> 
UPDATE orders SET customer_name = '(removido)', customer_email = NULL, customer_phone = NULL, locale = 'pt-BR', sms_opt_in = false, notes = NULL, cancel_reason = NULL,
               tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL, state_registration = NULL, updated_at = now(),
               shipping_address = jsonb_build_object('city', shipping_address -> 'city', 'state', shipping_address -> 'state',
                                                     'cep', shipping_address -> 'cep')
         WHERE id = ANY($1)

-- @ src/privacy/erase.rs PERSON
-- uuid -> 
UPDATE users SET name = '(removido)', email = 'removido-' || id || '@invalid', password_hash = NULL, role = 'user', phone = NULL,
               tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL, totp_sealed = NULL, totp_key = NULL, totp_last_step = NULL,
               sms_opt_in = false, locale = 'pt-BR', mail_blocked_at = NULL, erased_at = now(), updated_at = now()
         WHERE id = $1

-- @ src/privacy/erase.rs PERSON
-- uuid, text -> role text
SELECT role FROM users WHERE id = $1 AND password_hash = $2 AND erased_at IS NULL FOR UPDATE

-- @ src/privacy/erase.rs REASONS
-- _uuid -> 
UPDATE order_history SET reason = ''
         WHERE order_id = ANY($1) AND actor ~ '^(user|admin|guest)' AND reason <> ''

-- @ src/privacy/erase.rs REFUNDS
-- _uuid -> 
UPDATE refunds SET reason = '(removido)', note = CASE WHEN note IS NOT NULL THEN '(removido)' END WHERE order_id = ANY($1)

-- @ src/privacy/erase_guest.rs ACCOUNTS
-- _bytea, text -> accounts int8
SELECT count(*) AS accounts FROM users WHERE tax_id_hash = ANY($1) OR email = $2

-- @ src/privacy/erase_guest.rs FIRST_ANSWERS
-- _text -> 
DELETE FROM idempotency_keys
         WHERE (scope LIKE 'guest:%' AND status = 201 AND convert_from(body, 'UTF8')::jsonb ->> 'id' = ANY($1))
            OR scope IN (SELECT 'guest pay:' || id FROM unnest($1::text[]) AS id)

-- @ src/privacy/erase_guest.rs MESSAGES
-- text -> 
UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL
         WHERE user_id IS NULL AND recipient = $1

-- @ src/privacy/export.rs ADDRESSES
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(to_jsonb(a) - 'user_id' ORDER BY a.created_at), '[]') AS data FROM addresses a WHERE a.user_id = $1

-- @ src/privacy/export.rs CARTS
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'created_at', c.created_at, 'updated_at', c.updated_at,
               'coupon_code', (SELECT k.code FROM coupons k WHERE k.id = c.coupon_id),
               'items', (SELECT coalesce(jsonb_agg(jsonb_build_object('variant_id', v.id, 'sku', v.sku, 'name', p.name,
                             'quantity', i.quantity, 'added_at', i.added_at) ORDER BY i.added_at), '[]')
                           FROM cart_items i JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
                          WHERE i.cart_id = c.id)) ORDER BY c.created_at), '[]') AS data
      FROM carts c WHERE c.user_id = $1

-- @ src/privacy/export.rs CONSENTS
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(to_jsonb(c) - '{id,user_id}'::text[] ORDER BY c.id), '[]') AS data FROM consents c WHERE c.user_id = $1

-- @ src/privacy/export.rs COUPONS
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(jsonb_build_object('code', c.code, 'uses', p.uses) ORDER BY c.code), '[]') AS data
      FROM coupon_persons p JOIN coupons c ON c.id = p.coupon_id
     WHERE p.person IN (SELECT u.tax_id_hash FROM users u WHERE u.id = $1
                        UNION SELECT o.tax_id_hash FROM orders o WHERE o.user_id = $1)

-- @ src/privacy/export.rs FIND
-- uuid -> name text, email text, tax_id_sealed bytea, tax_id_key int2, phone text, role text, locale text, sms_opt_in bool, mail_blocked_at timestamptz, created_at timestamptz, updated_at timestamptz
SELECT name, email, tax_id_sealed, tax_id_key, phone, role, locale, sms_opt_in, mail_blocked_at, created_at, updated_at
          FROM users WHERE id = $1 AND erased_at IS NULL

-- @ src/privacy/export.rs FIND
-- uuid -> id uuid
SELECT id FROM orders WHERE user_id = $1 ORDER BY id

-- @ src/privacy/export.rs MESSAGES
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(jsonb_build_object('kind', m.kind, 'channel', m.channel, 'order_id', m.order_id, 'recipient', m.recipient,
               'subject', m.subject, 'status', m.status, 'created_at', m.created_at, 'sent_at', m.sent_at) ORDER BY m.created_at), '[]') AS data
      FROM messages m
     WHERE m.user_id = $1 OR m.order_id IN (SELECT o.id FROM orders o WHERE o.user_id = $1)

-- @ src/privacy/export.rs ORDERS
-- _uuid -> tax_id_sealed bytea, tax_id_key int2, data jsonb
SELECT o.tax_id_sealed, o.tax_id_key,
           to_jsonb(o) - '{user_id,tax_id_sealed,tax_id_key,tax_id_hash,coupon_id,coupon_held,reservation,stock_held,on_hold,freight_quote,mended}'::text[]
           || jsonb_build_object(
               'items', (SELECT coalesce(jsonb_agg(to_jsonb(l) - 'order_id' ORDER BY l.position), '[]') FROM order_lines l WHERE l.order_id = o.id),
               'payments', (SELECT coalesce(jsonb_agg(to_jsonb(p) - '{order_id,error}'::text[] ORDER BY p.id), '[]') FROM payments p WHERE p.order_id = o.id),
               'refunds', (SELECT coalesce(jsonb_agg(to_jsonb(r) - '{order_id,error,key,waits_since,in_hand_since,late_told_at,paid_otherwise_by,note}'::text[] ORDER BY r.id), '[]') FROM refunds r WHERE r.order_id = o.id),
               'disputes', (SELECT coalesce(jsonb_agg(to_jsonb(d) - '{order_id,evidence_ref,return_ref,note,moved_at,closed_by}'::text[] ORDER BY d.id), '[]')
                              FROM disputes d WHERE d.order_id = o.id),
               'shipments', (SELECT coalesce(jsonb_agg(jsonb_build_object('status', s.status, 'tracking_number', s.tracking_number,
                                 'created_at', s.created_at) ORDER BY s.id), '[]') FROM shipments s WHERE s.order_id = o.id),
               'invoices', (SELECT coalesce(jsonb_agg(jsonb_build_object('status', n.status, 'chave', n.chave, 'number', n.number,
                                'series', n.series, 'total_cents', n.total_cents, 'authorized_at', n.authorized_at) ORDER BY n.id), '[]')
                              FROM invoices n WHERE n.order_id = o.id),
               'history', (SELECT coalesce(jsonb_agg(jsonb_build_object('subject', h.subject, 'from', h.from_state, 'to', h.to_state,
                               'reason', h.reason, 'at', h.at) ORDER BY h.id), '[]') FROM order_history h WHERE h.order_id = o.id)) AS data
      FROM orders o WHERE o.id = ANY($1) ORDER BY o.id

-- @ src/privacy/export.rs SESSIONS
-- uuid -> data jsonb
SELECT coalesce(jsonb_agg(to_jsonb(s) - 'user_id' || jsonb_build_object('refreshed_at',
               (SELECT max(t.issued_at) FROM refresh_tokens t WHERE t.session_id = s.id)) ORDER BY s.created_at), '[]') AS data
      FROM sessions s WHERE s.user_id = $1

-- @ src/privacy/export_guest.rs FIND
-- text -> id uuid
SELECT id FROM orders WHERE customer_email = $1 AND user_id IS NULL ORDER BY id

-- @ src/privacy/export_guest.rs MESSAGES
-- _uuid -> data jsonb
SELECT coalesce(jsonb_agg(jsonb_build_object('kind', m.kind, 'channel', m.channel, 'order_id', m.order_id, 'recipient', m.recipient,
                   'subject', m.subject, 'status', m.status, 'created_at', m.created_at, 'sent_at', m.sent_at) ORDER BY m.created_at), '[]') AS data
          FROM messages m WHERE m.order_id = ANY($1)

-- @ src/privacy/guests.rs END
-- text -> 
DELETE FROM privacy_requests WHERE email = $1

-- @ src/privacy/guests.rs FIND
-- uuid, bytea -> email text
SELECT email FROM privacy_requests WHERE id = $1 AND token_hash = $2 AND expires_at > now()

-- @ src/privacy/guests.rs INSERT
-- uuid, text, text, bytea -> 
INSERT INTO privacy_requests (id, email, locale, token_hash, expires_at)
        SELECT $1, $2::text, $3::text, $4, now() + interval '1 hour'
         WHERE EXISTS (SELECT FROM orders WHERE customer_email = $2::text AND user_id IS NULL)
           AND (SELECT count(*) FROM privacy_requests WHERE email = $2::text AND created_at > now() - interval '1 hour') < 5

-- @ src/purge.rs
--  -> 
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE day < current_date - 365 LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE user_id IS NULL AND updated_at < now() - interval '60 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM cep_cache WHERE cep IN (SELECT cep FROM cep_cache WHERE address IS NULL AND fetched_at < now() - interval '1 day' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM cep_cache WHERE cep IN (SELECT cep FROM cep_cache WHERE fetched_at < now() - interval '90 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM email_changes WHERE id IN (SELECT id FROM email_changes WHERE expires_at < now() - interval '90 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM freight_quotes WHERE id IN (SELECT id FROM freight_quotes WHERE quoted_at < now() - interval '30 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM idempotency_keys WHERE (scope, key) IN (SELECT scope, key FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'dead' AND finished_at < now() - interval '90 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND finished_at < now() - interval '7 days' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM password_resets WHERE id IN (SELECT id FROM password_resets WHERE expires_at < now() - interval '1 day' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM privacy_requests WHERE id IN (SELECT id FROM privacy_requests WHERE expires_at < now() - interval '1 day' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM refresh_tokens WHERE token_hash IN (SELECT token_hash FROM refresh_tokens WHERE expires_at < now() - interval '1 day' LIMIT 1000)

-- @ src/purge.rs
--  -> 
DELETE FROM sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.created_at < now() - interval '90 days'
            AND (s.revoked_at < now() - interval '90 days'
                 OR (s.revoked_at IS NULL AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = s.id))) LIMIT 1000)

-- @ src/purge.rs
--  -> 
UPDATE messages SET html = NULL, body = NULL WHERE id IN (SELECT id FROM messages
            WHERE created_at < now() - interval '90 days' AND body IS NOT NULL AND status <> 'queued' LIMIT 1000)

-- @ src/purge.rs
--  -> 
UPDATE webhook_events SET body = '' WHERE id IN (SELECT id FROM webhook_events
            WHERE received_at < now() - interval '90 days' AND body <> '' LIMIT 1000)

-- @ src/purge.rs FORGET
-- int4 -> 
UPDATE invoices SET xml = NULL, xml_sha256 = NULL, danfe = NULL, cancellation_xml = NULL
         WHERE id IN (SELECT id FROM invoices WHERE xml IS NOT NULL AND authorized_at < now() - make_interval(months => $1) LIMIT 1000)

-- @ src/rekey.rs
-- int8 -> mine bool
SELECT pg_try_advisory_lock($1) AS mine

-- @ src/rekey.rs COUNT
-- int2 -> old int8
SELECT (SELECT count(*) FROM users WHERE tax_id_key <> $1) + (SELECT count(*) FROM users WHERE totp_key <> $1)
             + (SELECT count(*) FROM orders WHERE tax_id_key <> $1) + (SELECT count(*) FROM coupon_persons WHERE key <> $1) AS old

-- @ src/rekey.rs COUPONS
-- uuid, bytea, int2, int8 -> coupon_id uuid, person bytea, key int2
SELECT coupon_id, person, key FROM coupon_persons WHERE (coupon_id, person) > ($1, $2) AND key <> $3
             ORDER BY coupon_id, person LIMIT $4

-- @ src/rekey.rs LOCK_COUPONS
-- _uuid -> id uuid
SELECT id FROM coupons WHERE id IN (SELECT coupon_id FROM orders WHERE id = ANY($1) AND coupon_held)
             ORDER BY id FOR NO KEY UPDATE

-- @ src/rekey.rs LOCK_COUPONS
-- _uuid -> id uuid
SELECT id FROM coupons WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE

-- @ src/rekey.rs OLD
-- uuid, int2, int8 -> id uuid, tax_id_sealed bytea, tax_id_key int2, tax_id_hash bytea
SELECT id, tax_id_sealed, tax_id_key, tax_id_hash FROM orders WHERE id > $1 AND tax_id_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED

-- @ src/rekey.rs OLD
-- uuid, int2, int8 -> id uuid, tax_id_sealed bytea, tax_id_key int2, tax_id_hash bytea
SELECT id, tax_id_sealed, tax_id_key, tax_id_hash FROM users WHERE id > $1 AND tax_id_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED

-- @ src/rekey.rs OLD
-- uuid, int2, int8 -> id uuid, totp_sealed bytea, totp_key int2
SELECT id, totp_sealed, totp_key FROM users WHERE id > $1 AND totp_key <> $2
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED

-- @ src/rekey.rs TURN
-- _uuid, _bytea, _bytea, int2 -> 
UPDATE users u SET tax_id_sealed = t.sealed, tax_id_key = $4, tax_id_hash = t.hash
              FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS t (id, sealed, hash) WHERE u.id = t.id

-- @ src/rekey.rs TURN
-- _uuid, _bytea, int2 -> 
UPDATE users u SET totp_sealed = t.sealed, totp_key = $3 FROM unnest($1::uuid[], $2::bytea[]) AS t (id, sealed) WHERE u.id = t.id

-- @ src/rekey.rs TURN
-- _uuid, _bytea, _bytea, int2 -> turned int8
WITH gone AS (
                DELETE FROM coupon_persons p USING unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS t (coupon, old, new)
                 WHERE p.coupon_id = t.coupon AND p.person = t.old
                   AND NOT EXISTS (SELECT FROM orders o WHERE o.coupon_id = t.coupon AND o.coupon_held AND o.tax_id_hash = t.old)
                RETURNING p.coupon_id, t.new, p.uses),
            given AS (
                INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
                SELECT coupon_id, new, $4, sum(uses)::int FROM gone GROUP BY 1, 2
                ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + excluded.uses)
            SELECT count(*) AS turned FROM gone

-- @ src/rekey.rs TURN
-- _uuid, _bytea, _bytea, _bytea, int2 -> turned int8
WITH turned AS (
                UPDATE orders o SET tax_id_sealed = t.sealed, tax_id_key = $5, tax_id_hash = t.hash
                  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[]) AS t (id, sealed, hash, old_hash) WHERE o.id = t.id
                RETURNING o.coupon_id, o.coupon_held, t.old_hash, t.hash),
            moved AS (
                SELECT coupon_id, old_hash, hash, count(*)::int AS uses FROM turned WHERE coupon_held GROUP BY 1, 2, 3),
            taken AS (
                UPDATE coupon_persons p SET uses = p.uses - m.uses FROM moved m
                 WHERE p.coupon_id = m.coupon_id AND p.person = m.old_hash),
            given AS (
                INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
                SELECT coupon_id, hash, $5, sum(uses)::int FROM moved GROUP BY 1, 2
                ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + excluded.uses)
            SELECT count(*) AS turned FROM turned

-- @ src/rekey.rs TURNED
--  -> 
UPDATE secret_keys SET turned_at = now() WHERE purpose = 'look_up' AND turned_at IS NULL

-- @ src/sale/coupon_use.rs COUPON
-- uuid -> 
UPDATE coupons SET uses = uses - 1 WHERE id = $1

-- @ src/sale/coupon_use.rs HOLD
-- uuid, bytea, int2, uuid, text -> 
WITH person AS (
            INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
            SELECT c.id, $2, $3, 1 FROM coupons c
             WHERE c.id = $1 AND (c.max_uses IS NULL OR c.uses < c.max_uses)
               AND (c.max_uses_per_customer IS NULL OR coupon_uses_of(c.id, ARRAY[$2::bytea], $4, $5, NULL) < c.max_uses_per_customer)
               AND NOT EXISTS (SELECT FROM secret_keys k WHERE k.purpose = 'look_up' AND k.turned_at IS NULL)
            ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1
             WHERE p.uses < coalesce((SELECT max_uses_per_customer FROM coupons WHERE id = $1), p.uses + 1)
            RETURNING p.coupon_id)
        UPDATE coupons c SET uses = c.uses + 1 FROM person WHERE c.id = person.coupon_id AND (c.max_uses IS NULL OR c.uses < c.max_uses)

-- @ src/sale/coupon_use.rs LOCK
-- uuid -> 
SELECT FROM coupons WHERE id = $1 FOR NO KEY UPDATE

-- @ src/sale/coupon_use.rs PERSON
-- uuid, bytea -> 
UPDATE coupon_persons SET uses = uses - 1 WHERE coupon_id = $1 AND person = $2

-- @ src/sale/history.rs INSERT
-- uuid, text, text, text, text, text, text, text -> 
INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
        SELECT $1, t.subject, t.before, t.after, $6, $7, $8
          FROM (VALUES ('order', $2::text, $3::text), ('payment_status', $4, $5)) AS t (subject, before, after) WHERE t.before <> t.after

-- @ src/sale/history.rs INSERT
-- uuid, text, uuid, text, text, text, text, text -> 
INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- @ src/sale/life.rs DELIVER
-- uuid, timestamptz, _text -> 
UPDATE orders SET status = 'delivered', delivered_at = greatest(least($2, now()), shipped_at), updated_at = now()
         WHERE id = $1 AND status = ANY($3)

-- @ src/sale/life.rs FIND
-- uuid, _text, _text -> coupon_id uuid, user_id uuid, customer_email text, tax_id_hash bytea, tax_id_key int2
SELECT coupon_id, user_id, customer_email, tax_id_hash, tax_id_key FROM orders
         WHERE id = $1 AND status = ANY($2) AND payment_status = ANY($3) AND NOT stock_held AND tax_id_sealed IS NOT NULL FOR NO KEY UPDATE

-- @ src/sale/life.rs FOLLOW
-- uuid, text, _text -> payment_status text
WITH before AS (SELECT id, payment_status FROM orders WHERE id = $1)
        UPDATE orders o SET payment_status = $2, updated_at = now() FROM before b
         WHERE o.id = b.id AND o.payment_status = ANY($3) AND o.payment_status <> $2
        RETURNING b.payment_status

-- @ src/sale/life.rs HELD
-- uuid -> stock_held bool, coupon_held bool, coupon_id uuid, tax_id_hash bytea
SELECT stock_held, coupon_held, coupon_id, tax_id_hash FROM orders WHERE id = $1 FOR NO KEY UPDATE

-- @ src/sale/life.rs HOLD
-- uuid, bool -> 
UPDATE orders SET stock_held = true, reservation = reservation + 1, coupon_held = $2 WHERE id = $1

-- @ src/sale/life.rs LAST
-- uuid -> to_state text
SELECT to_state FROM order_history WHERE order_id = $1 AND subject = 'shipment' AND subject_id IS NULL ORDER BY id DESC LIMIT 1

-- @ src/sale/life.rs LET_GO
-- uuid -> 
UPDATE orders SET stock_held = false, coupon_held = false WHERE id = $1

-- @ src/sale/life.rs SHIP
-- uuid, text, timestamptz, _text, _text -> 
UPDATE orders SET status = 'shipped', tracking_number = coalesce(tracking_number, $2), shipped_at = least($3, now()), updated_at = now()
         WHERE id = $1 AND status = ANY($4) AND payment_status = ANY($5)
           AND (coalesce(tracking_number, $2) IS NOT NULL OR shipping_provider = 'pickup')

-- @ src/sale/life.rs STEP
-- uuid, _text, _text, text, text -> status_before text, payment_before text, payment_after text
WITH before AS (
            SELECT id, status, payment_status FROM orders
             WHERE id = $1 AND status = ANY($2) AND payment_status = ANY($3) FOR NO KEY UPDATE)
        UPDATE orders o SET status = $4::text, payment_status = coalesce($5::text, before.payment_status), updated_at = now(),
               paid_at = CASE WHEN $5::text = 'paid' THEN now() ELSE o.paid_at END,
               cancelled_at = CASE WHEN $4::text = 'cancelled' THEN now() END,
               placed_from = CASE WHEN $4::text = 'pending' THEN o.placed_from END
          FROM before WHERE o.id = before.id
        RETURNING before.status AS status_before, before.payment_status AS payment_before, o.payment_status AS payment_after

-- @ src/sale/locks.rs FIND
-- uuid, bool, uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)

-- @ src/sale/locks.rs LOCK
-- uuid, bool, uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = $1 FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = (SELECT order_id FROM invoices WHERE id = $1) FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = (SELECT order_id FROM payments WHERE id = $1) FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.id = (SELECT order_id FROM shipments WHERE id = $1) FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- uuid -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.user_id = $1 ORDER BY o.id FOR NO KEY UPDATE

-- @ src/sale/locks.rs LOCK
-- _bytea, text -> id uuid, number text, status text, payment_status text, total_cents int8, goods_cents int8, method_discount_cents int8, is_pickup bool, expires_at timestamptz, is_over bool, age_s int8
SELECT o.id, o.number, o.status, o.payment_status, o.total_cents, o.subtotal_cents - o.coupon_discount_cents AS goods_cents,
           o.method_discount_cents, o.shipping_provider = 'pickup' AS is_pickup, o.expires_at, o.expires_at <= now() AS is_over,
           extract(epoch FROM now() - o.created_at)::bigint AS age_s
      FROM orders o WHERE o.user_id IS NULL AND (o.tax_id_hash = ANY($1) OR o.customer_email = $2) ORDER BY o.id FOR NO KEY UPDATE

-- @ src/sale/named.rs FIND
-- text -> id uuid
SELECT id FROM orders WHERE number = $1

-- @ src/sale/off.rs ASK
-- uuid -> is_off bool
SELECT (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents))) AS is_off FROM orders o WHERE o.id = $1

-- @ src/sale/off.rs ASK
-- uuid -> stays bool
SELECT (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AS stays FROM orders o WHERE o.id = $1

-- @ src/sale/off.rs ASK
-- uuid -> on_hold bool
SELECT on_hold FROM orders WHERE id = $1 AND status IN ('processing', 'shipped')

-- @ src/sale/off.rs END
-- uuid -> 
UPDATE orders SET on_hold = false, updated_at = now() WHERE id = $1 AND on_hold

-- @ src/sale/off.rs HOLD
-- uuid -> 
UPDATE orders o SET on_hold = true, updated_at = now()
         WHERE o.id = $1 AND NOT o.on_hold AND o.status IN ('processing', 'shipped')
           AND CASE WHEN EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))
                    THEN EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND NOT EXISTS (
                         SELECT FROM shipments l WHERE l.order_id = o.id AND l.volume = s.volume AND l.status IN ('posted', 'undelivered', 'delivered')))
                    ELSE o.status = 'processing' END

-- @ src/sale/stock.rs BACK
-- uuid, _uuid, _int4, text, text -> lines int8, back bool
WITH wanted AS (
            SELECT l.id AS line, w.quantity, v.id, o.reservation
              FROM unnest($2::uuid[], $3::int[]) AS w (line, quantity) JOIN order_lines l ON l.id = w.line
              JOIN orders o ON o.id = l.order_id JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1
               AND w.quantity <= l.quantity - coalesce(
                   (SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)
             ORDER BY v.id FOR NO KEY UPDATE OF v),
        moved AS (
            INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
            SELECT id, quantity, 'return', line, reservation, $4, $5 FROM wanted RETURNING variant_id, delta),
        given AS (
            UPDATE variants v SET stock = v.stock + m.delta FROM moved m WHERE v.id = m.variant_id RETURNING v.stock = m.delta AS back)
        SELECT count(*) AS lines, coalesce(bool_or(back), false) AS back FROM given

-- @ src/sale/stock.rs ENOUGH
-- uuid -> enough bool
WITH locked AS (
            SELECT v.id, v.stock, v.deleted_at, l.quantity FROM order_lines l JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 ORDER BY v.id FOR NO KEY UPDATE OF v)
        SELECT coalesce(bool_and(stock >= quantity AND deleted_at IS NULL), false) AS enough FROM locked

-- @ src/sale/stock.rs LET_GO
-- uuid -> 
UPDATE orders SET stock_held = false, updated_at = now() WHERE id = $1 AND stock_held

-- @ src/sale/stock.rs LINES
-- uuid -> id uuid, quantity int4, unit_price_cents int8, discount_cents int8, restocked int4, written_off int4
SELECT l.id, l.quantity, l.unit_price_cents, l.discount_cents,
               (coalesce((SELECT sum(m.delta) FROM stock_movements m
                           WHERE m.order_line_id = l.id AND m.reason = 'return' AND m.reservation = o.reservation), 0)
                + coalesce((SELECT sum(m.delta) FROM stock_movements m
                             WHERE m.order_line_id = l.id AND m.reason = 'release' AND m.reservation = o.reservation), 0))::int AS restocked,
               coalesce((SELECT sum(w.quantity) FROM write_offs w WHERE w.order_line_id = l.id), 0)::int AS written_off
          FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.order_id = $1 ORDER BY l.position

-- @ src/sale/stock.rs ORDER
-- uuid -> status text, shipping_cents int8, is_free bool, money_is_back bool, money_was_given_back bool
SELECT o.status, o.shipping_cents, o.total_cents = 0 AS is_free, 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)) AS money_is_back, 
    coalesce((SELECT sum(p.captured_cents) > 0 AND sum(p.captured_cents) <=
                     sum((SELECT coalesce(sum(r.amount_cents), 0) FROM refunds r
                           WHERE r.payment_id = p.id AND r.status <> 'failed' AND r.requested_by NOT LIKE 'provider:%'))
                FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus), false) AS money_was_given_back FROM orders o WHERE o.id = $1

-- @ src/sale/stock.rs RELEASE
-- uuid, text, text -> back bool
WITH lines AS (
            SELECT l.id AS line, v.id,
                   (l.quantity - coalesce((SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)
                    - coalesce((SELECT sum(w.quantity) FROM write_offs w WHERE w.order_line_id = l.id), 0))::int AS quantity
              FROM order_lines l JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 ORDER BY v.id FOR NO KEY UPDATE OF v),
        moved AS (
            INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
            SELECT lines.id, lines.quantity, 'release', lines.line, o.reservation, $2, $3 FROM lines, orders o
             WHERE o.id = $1 AND lines.quantity > 0
            RETURNING variant_id, delta),
        given AS (
            UPDATE variants v SET stock = v.stock + m.delta FROM moved m WHERE v.id = m.variant_id RETURNING v.stock = m.delta AS back)
        SELECT coalesce(bool_or(back), false) AS back FROM given

-- @ src/sale/stock.rs TAKE
-- uuid, text, text -> take_stock bool
SELECT take_stock(array_agg(l.variant_id ORDER BY l.variant_id), array_agg(l.quantity ORDER BY l.variant_id),
                          array_agg(l.id ORDER BY l.variant_id), (o.reservation + 1)::smallint, $2, $3)
          FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = $1 GROUP BY o.id

-- @ src/sale/stock.rs WRITE_OFF
-- _uuid, _int4, text, text -> 
INSERT INTO write_offs (order_line_id, quantity, cause, actor)
        SELECT w.line, w.quantity, $3, $4 FROM unnest($1::uuid[], $2::int[]) AS w (line, quantity)

-- @ src/sale/viewer.rs FIND
-- uuid -> 
SELECT FROM orders WHERE id = $1 AND customer_email IS NOT NULL

-- @ src/seed.rs
--  -> 
SELECT FROM products LIMIT 1

-- @ src/seed.rs COUPONS
-- uuid, uuid, uuid -> 
INSERT INTO coupons (id, code, kind, value, min_subtotal_cents) VALUES
            ($1, 'BEMVINDO10', 'percent', 10, NULL),
            ($2, 'FRETEGRATIS', 'free_shipping', 0, 19900),
            ($3, 'DESCONTO20', 'fixed', 2000, 10000)
        ON CONFLICT (code) DO NOTHING

-- @ src/seed.rs EXISTS
-- text -> 
SELECT FROM users WHERE email = $1

-- @ src/seed.rs INSERT
-- uuid, text, text -> 
INSERT INTO users (id, name, email, password_hash, role) VALUES ($1, 'Administrador', $2, $3, 'admin') ON CONFLICT (email) DO NOTHING

-- @ src/seed.rs SETTINGS
-- jsonb, jsonb, jsonb -> 
INSERT INTO settings (name, value) VALUES ('company', $1), ('taxes', $2), ('order_limits', $3) ON CONFLICT (name) DO NOTHING

-- @ src/shipments/by_hand.rs ASKED
-- _uuid -> 
UPDATE orders SET tracked_at = now() WHERE id = ANY($1)

-- @ src/shipments/by_hand.rs LIST
-- int8, _uuid -> id uuid, tracking_number text
SELECT o.id, o.tracking_number FROM orders o
         WHERE o.status = 'shipped' AND o.tracking_number ~ '^[A-Z]{2}[0-9]{9}[A-Z]{2}$' AND o.shipped_at > now() - interval '60 days'
           AND (o.tracked_at IS NULL OR o.tracked_at < now() - interval '3 hours')
           AND NOT EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND s.status IN ('posted', 'undelivered', 'delivered'))
           AND o.id <> ALL($2)
         ORDER BY o.tracked_at NULLS FIRST LIMIT $1

-- @ src/shipments/by_hand.rs STILL
-- uuid, text -> 
SELECT FROM orders WHERE id = $1 AND status = 'shipped' AND tracking_number = $2

-- @ src/shipments/facts.rs FIND
-- uuid -> number text, customer_name text, customer_email text, customer_phone text, tax_id_sealed bytea, tax_id_key int2, shipping_address jsonb, agency jsonb, parcels int8
SELECT o.number, o.customer_name, o.customer_email, o.customer_phone, o.tax_id_sealed, o.tax_id_key, o.shipping_address,
               (SELECT value -> 'label_agency' FROM settings WHERE name = 'shipping') AS agency,
               (SELECT max(s.volume)::bigint FROM shipments s WHERE s.order_id = o.id) AS parcels
          FROM orders o WHERE o.id = $1

-- @ src/shipments/facts.rs FIND
-- uuid -> tax_id_sealed bytea, tax_id_key int2
SELECT tax_id_sealed, tax_id_key FROM orders WHERE id = $1

-- @ src/shipments/facts.rs LINES
-- uuid -> id uuid, name text, variant_name text, unit_price_cents int8
SELECT id, name, variant_name, unit_price_cents FROM order_lines WHERE order_id = $1 ORDER BY position

-- @ src/shipments/follow.rs HEARD
-- _uuid -> 
UPDATE shipments SET heard_at = now() WHERE id = ANY($1)

-- @ src/shipments/follow.rs SILENT
-- text, int8, _uuid -> id uuid, order_id uuid, status text, provider_ref text
SELECT id, order_id, status, provider_ref FROM shipments
         WHERE status IN ('generated', 'posted', 'undelivered') AND provider = $1 AND provider_ref IS NOT NULL
           AND heard_at < now() - interval '3 hours' AND id <> ALL($3)
         ORDER BY heard_at LIMIT $2

-- @ src/shipments/follow.rs UNPRICED
-- text, int8 -> id uuid, order_id uuid, status text, provider_ref text
SELECT id, order_id, status, provider_ref FROM shipments
         WHERE price_cents IS NULL AND status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')
           AND provider = $1 AND provider_ref IS NOT NULL AND heard_at < now() - interval '10 minutes'
         ORDER BY heard_at LIMIT $2

-- @ src/shipments/http.rs COUNT
-- text, uuid, bool, timestamptz, timestamptz -> count int8
SELECT count(*) FROM shipments s WHERE 
    ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.order_id = $2) AND (NOT $3::bool OR s.error IS NOT NULL)
    AND ($4::timestamptz IS NULL OR s.created_at >= $4) AND ($5::timestamptz IS NULL OR s.created_at < $5)

-- @ src/shipments/http.rs FREIGHT
-- uuid -> shipping_provider text
SELECT shipping_provider FROM orders WHERE id = $1

-- @ src/shipments/http.rs LIVE
-- uuid -> id uuid, order_id uuid, order_number text, volume int2, provider text, protocol text, status text, carrier text, service_code text, quoted_cents int8, price_cents int8, difference_cents int8, freight_estimate bool, tracking_number text, label_url text, error text, created_at timestamptz, updated_at timestamptz
SELECT s.id, s.order_id, o.number AS order_number, s.volume, s.provider, s.protocol, s.status, o.carrier, s.service_code, s.quoted_cents,
           s.price_cents, s.difference_cents, o.freight_estimate, s.tracking_number, s.label_url, s.error, s.created_at, s.updated_at
      FROM shipments s JOIN orders o ON o.id = s.order_id WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired') ORDER BY s.volume

-- @ src/shipments/http.rs PAGE
-- text, uuid, bool, timestamptz, timestamptz, uuid, int8, int8 -> id uuid, order_id uuid, order_number text, volume int2, provider text, protocol text, status text, carrier text, service_code text, quoted_cents int8, price_cents int8, difference_cents int8, freight_estimate bool, tracking_number text, label_url text, error text, created_at timestamptz, updated_at timestamptz
SELECT s.id, s.order_id, o.number AS order_number, s.volume, s.provider, s.protocol, s.status, o.carrier, s.service_code, s.quoted_cents,
           s.price_cents, s.difference_cents, o.freight_estimate, s.tracking_number, s.label_url, s.error, s.created_at, s.updated_at
      FROM shipments s JOIN orders o ON o.id = s.order_id WHERE 
    ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.order_id = $2) AND (NOT $3::bool OR s.error IS NOT NULL)
    AND ($4::timestamptz IS NULL OR s.created_at >= $4) AND ($5::timestamptz IS NULL OR s.created_at < $5) AND ($6::uuid IS NULL OR s.id < $6) ORDER BY s.id DESC LIMIT $7 OFFSET $8

-- @ src/shipments/http.rs SUMS
-- text, uuid, bool, timestamptz, timestamptz -> labels int8, price int8, quoted int8, difference int8
SELECT count(*) AS labels, coalesce(sum(price_cents), 0)::bigint AS price, coalesce(sum(quoted_cents), 0)::bigint AS quoted,
                coalesce(sum(difference_cents), 0)::bigint AS difference
           FROM shipments s WHERE 
    ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.order_id = $2) AND (NOT $3::bool OR s.error IS NOT NULL)
    AND ($4::timestamptz IS NULL OR s.created_at >= $4) AND ($5::timestamptz IS NULL OR s.created_at < $5) AND s.price_cents IS NOT NULL
            AND s.status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')

-- @ src/shipments/news.rs ENDED
-- uuid -> 
SELECT FROM orders WHERE id = $1 AND status NOT IN ('shipped', 'delivered')

-- @ src/shipments/news.rs FIND
-- text, text, _uuid -> id uuid, order_id uuid, provider_ref text
SELECT id, order_id, provider_ref FROM shipments WHERE provider = $1 AND (provider_ref = $2 OR id = ANY($3))
         ORDER BY (provider_ref = $2) IS TRUE DESC LIMIT 1

-- @ src/shipments/news.rs KEEP
-- uuid, uuid, _text, _text, _text, _timestamptz -> code text
INSERT INTO shipment_events (order_id, shipment_id, code, description, place, happened_at)
        SELECT $1, $2, e.code, e.description, e.place, date_trunc('second', e.at)
          FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS e (code, description, place, at)
        ON CONFLICT (order_id, shipment_id, code, happened_at) DO NOTHING RETURNING code

-- @ src/shipments/news.rs LAST
-- uuid -> all_arrived bool, at timestamptz
SELECT bool_and(s.status = 'delivered') IS TRUE AS all_arrived,
               (SELECT max(e.happened_at) FROM shipment_events e WHERE e.order_id = $1 AND e.code = 'delivered') AS at
          FROM shipments s WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired')

-- @ src/shipments/news.rs LEFT
-- uuid -> number text, at timestamptz
SELECT coalesce(s.tracking_number, s.protocol, s.provider_ref) AS number,
               (SELECT min(e.happened_at) FROM shipment_events e WHERE e.shipment_id = s.id AND e.code = 'posted') AS at
          FROM shipments s JOIN orders o ON o.id = s.order_id
         WHERE s.order_id = $1 AND o.status = 'processing' AND s.status IN ('posted', 'undelivered', 'delivered') ORDER BY s.volume LIMIT 1

-- @ src/shipments/news.rs TIMES
-- uuid, uuid -> times int8
SELECT count(*) AS times FROM shipments s
         WHERE s.order_id = $1 AND s.status = 'expired' AND s.volume = (SELECT volume FROM shipments WHERE id = $2)

-- @ src/shipments/plan.rs AGAIN
-- _uuid, _uuid -> 
INSERT INTO shipments (id, order_id, volume, provider, service_code, boxes, quoted_cents)
        SELECT n.id, s.order_id, s.volume, s.provider, s.service_code, s.boxes, s.quoted_cents
          FROM unnest($1::uuid[], $2::uuid[]) AS n (id, ended) JOIN shipments s ON s.id = n.ended

-- @ src/shipments/plan.rs ENDED
-- uuid, bool -> id uuid
SELECT e.id FROM (
            SELECT DISTINCT ON (s.volume) s.id, s.given_back FROM shipments s
             WHERE s.order_id = $1 AND NOT EXISTS (SELECT FROM shipments l WHERE l.order_id = $1 AND l.volume = s.volume
                                                      AND l.status NOT IN ('cancelled', 'expired'))
             ORDER BY s.volume, s.id DESC) e
         WHERE e.given_back OR $2

-- @ src/shipments/plan.rs FIND
-- uuid -> shipping_provider text, service text, service_code text, shipping_quoted_cents int8, freight_quote jsonb, labels text
SELECT o.shipping_provider, o.service, o.service_code, o.shipping_quoted_cents, o.freight_quote,
               (SELECT value ->> 'labels' FROM settings WHERE name = 'shipping') AS labels
          FROM orders o WHERE o.id = $1

-- @ src/shipments/plan.rs INSERT
-- uuid, text, text, _uuid, _int2, _jsonb, _int8 -> 
INSERT INTO shipments (id, order_id, volume, provider, service_code, boxes, quoted_cents)
        SELECT n.id, $1, n.volume, $2, $3, n.boxes, n.quoted FROM unnest($4::uuid[], $5::smallint[], $6::jsonb[], $7::bigint[]) AS n (id, volume, boxes, quoted)

-- @ src/shipments/plan.rs KEY
-- uuid -> chave text
SELECT chave FROM invoices WHERE order_id = $1 AND purpose = 'sale' AND status = 'authorized' AND cancel_reason IS NULL

-- @ src/shipments/plan.rs LIVE
-- uuid -> id uuid
SELECT id FROM shipments WHERE order_id = $1 AND status NOT IN ('cancelled', 'expired') ORDER BY volume

-- @ src/shipments/plan.rs STACK
-- uuid -> height int8, width int4, length int4, grams int8
SELECT coalesce(sum(p.height_cm::bigint * l.quantity), 0)::bigint AS height, max(p.width_cm) AS width, max(p.length_cm) AS length,
               coalesce(sum(p.weight_grams::bigint * l.quantity), 0)::bigint AS grams
          FROM order_lines l JOIN products p ON p.id = l.product_id WHERE l.order_id = $1

-- @ src/shipments/readdress.rs LOCK
-- uuid -> status text, is_claimed bool
SELECT status, coalesce(claimed_until > now(), false) AS is_claimed FROM shipments
         WHERE order_id = $1 AND status NOT IN ('cancelled', 'expired') ORDER BY volume FOR NO KEY UPDATE

-- @ src/shipments/readdress.rs RECALL
-- uuid -> stale bool
UPDATE shipments SET claim = NULL, claimed_until = NULL, stale = stale OR asked_at IS NOT NULL OR provider_ref IS NOT NULL
         WHERE order_id = $1 AND status IN ('pending', 'carted') RETURNING stale

-- @ src/shipments/store.rs ASK
-- uuid -> is_wanted bool
SELECT (o.payment_status IN ('paid', 'partially_refunded') AND NOT (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AND (o.status = 'processing' OR (o.status = 'shipped' AND EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))))) AS is_wanted FROM orders o WHERE o.id = $1

-- @ src/shipments/store.rs ASKED
-- uuid, uuid -> 
UPDATE shipments SET asked_at = coalesce(asked_at, now()) WHERE id = $1 AND claim = $2 AND status = 'pending'

-- @ src/shipments/store.rs CLAIM_IT
-- uuid, uuid, text -> id uuid, order_id uuid, status text, service_code text, boxes jsonb, volume int2, provider_ref text, label_url text, stale bool, asked bool, rested_s int8, order_status text, is_wanted bool, is_off bool, has_begun_to_leave bool
UPDATE shipments s SET claim = $2, claimed_until = now() + $3::text::interval FROM orders o
          WHERE s.id = $1 AND o.id = s.order_id AND (s.claim IS NULL OR s.claim = $2 OR s.claimed_until < now()) RETURNING s.id, s.order_id, s.status, s.service_code, s.boxes, s.volume, s.provider_ref, s.label_url, s.stale, s.asked_at IS NOT NULL AS asked,
     extract(epoch FROM now() - s.updated_at)::bigint AS rested_s, o.status AS order_status, (o.payment_status IN ('paid', 'partially_refunded') AND NOT (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AND (o.status = 'processing' OR (o.status = 'shipped' AND EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))))) AS is_wanted, (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AS is_off, EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered')) AS has_begun_to_leave

-- @ src/shipments/store.rs GIVEN_BACK
-- uuid -> 
UPDATE shipments SET given_back = true WHERE id = $1 AND NOT given_back

-- @ src/shipments/store.rs LEARN
-- uuid, text, text, text, int8, text -> 
UPDATE shipments SET status = $2::text, provider_ref = coalesce(provider_ref, $3), protocol = coalesce($4, protocol),
               price_cents = coalesce(price_cents, $5), tracking_number = coalesce($6, tracking_number), heard_at = now(),
               error = CASE WHEN status = $2 THEN error END, updated_at = CASE WHEN status = $2 THEN updated_at ELSE now() END
         WHERE id = $1

-- @ src/shipments/store.rs LIST
-- uuid -> id uuid, order_id uuid, status text, service_code text, boxes jsonb, volume int2, provider_ref text, label_url text, stale bool, asked bool, rested_s int8, order_status text, is_wanted bool, is_off bool, has_begun_to_leave bool
SELECT s.id, s.order_id, s.status, s.service_code, s.boxes, s.volume, s.provider_ref, s.label_url, s.stale, s.asked_at IS NOT NULL AS asked,
     extract(epoch FROM now() - s.updated_at)::bigint AS rested_s, o.status AS order_status, (o.payment_status IN ('paid', 'partially_refunded') AND NOT (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AND (o.status = 'processing' OR (o.status = 'shipped' AND EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))))) AS is_wanted, (o.on_hold OR (NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR 
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents)))) AS is_off, EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered')) AS has_begun_to_leave FROM shipments s JOIN orders o ON o.id = s.order_id
           WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired') ORDER BY s.volume

-- @ src/shipments/store.rs LOCK
-- uuid -> order_id uuid, status text
SELECT order_id, status FROM shipments WHERE id = $1 FOR NO KEY UPDATE

-- @ src/shipments/store.rs NOTE
-- uuid, text -> 
UPDATE shipments SET error = $2 WHERE id = $1 AND error IS DISTINCT FROM $2

-- @ src/shipments/store.rs RELEASE
-- uuid, uuid -> 
UPDATE shipments SET claim = NULL, claimed_until = NULL WHERE id = $1 AND claim = $2

-- @ src/shipments/store.rs SET
-- uuid, text -> 
UPDATE shipments SET label_url = $2, error = NULL WHERE id = $1

-- @ src/shipping/history.rs FIND
-- _text, int4, _text, int8 -> provider text, service_code text, carrier text, service text, price_cents int8, days int4
SELECT provider, service_code, min(carrier) AS carrier, min(service) AS service, max(price_cents) AS price_cents, max(days) AS days
          FROM (SELECT q.provider, q.carrier, q.service, q.service_code, q.price_cents, q.days,
                       row_number() OVER (PARTITION BY provider, service_code ORDER BY quoted_at DESC) AS nth
                  FROM unnest($1::text[]) AS r (region)
                 CROSS JOIN LATERAL (
                        SELECT provider, carrier, service, service_code, price_cents, days, quoted_at FROM freight_quotes
                         WHERE cep_region = r.region AND weight_grams = $2 AND provider = ANY($3)
                         ORDER BY quoted_at DESC LIMIT $4::bigint * 10) q) recent
         WHERE nth <= $4::bigint
         GROUP BY provider, service_code

-- @ src/shipping/history.rs NOTE
-- text, int4, _uuid, _text, _text, _text, _text, _int8, _int4 -> 
INSERT INTO freight_quotes (id, cep_region, weight_grams, provider, carrier, service, service_code, price_cents, days)
        SELECT q.id, $1, $2, q.provider, q.carrier, q.service, q.code, q.price, q.days
          FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::int[])
            AS q (id, provider, carrier, service, code, price, days)

-- @ src/shipping/parcel.rs FIND
-- _uuid, _uuid -> id uuid, price_cents int8, weight_grams int4, height_cm int4, width_cm int4, length_cm int4, settings jsonb
SELECT s.id, s.price_cents, s.weight_grams, s.height_cm, s.width_cm, s.length_cm, (SELECT value FROM settings WHERE name = 'shipping') AS settings
          FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a (product, variant, n)
          LEFT JOIN LATERAL (
                SELECT v.id, v.price_cents, p.weight_grams, p.height_cm, p.width_cm, p.length_cm
                  FROM variants v JOIN products p ON p.id = v.product_id
                 WHERE v.product_id = a.product AND p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL
                   AND (v.id = a.variant OR (a.variant IS NULL AND v.is_default))) s ON true
         ORDER BY a.n

-- @ src/standing.rs STANDING
-- uuid, uuid -> role text
SELECT u.role FROM users u
             WHERE u.id = $1 AND u.blocked_at IS NULL AND u.erased_at IS NULL
               AND ($2::uuid IS NULL OR EXISTS (SELECT FROM sessions s WHERE s.id = $2 AND s.user_id = u.id AND s.revoked_at IS NULL))

-- @ src/users/addresses.rs
-- uuid, uuid, text, text, text, text, text, text, text, text, text, text, bool, text -> id uuid, label text, recipient text, cep text, street text, number text, complement text, district text, city text, state text, phone text, is_default bool, created_at timestamptz, updated_at timestamptz
INSERT INTO addresses (id, user_id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, ibge_city) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at

-- @ src/users/addresses.rs
-- uuid -> 
UPDATE addresses SET is_default = false WHERE user_id = $1 AND is_default

-- @ src/users/addresses.rs COUNT
-- uuid -> count int8
SELECT count(*) AS count FROM addresses WHERE user_id = $1

-- @ src/users/addresses.rs COUNT
-- uuid -> total int8
SELECT count(*) AS total FROM addresses WHERE user_id = $1

-- @ src/users/addresses.rs DELETE
-- uuid, uuid -> is_default bool
DELETE FROM addresses WHERE id = $2 AND user_id = $1 RETURNING is_default

-- @ src/users/addresses.rs FIND
-- text -> ibge_city text
SELECT address ->> 'ibge_city' AS ibge_city FROM cep_cache WHERE cep = $1

-- @ src/users/addresses.rs FIND
-- uuid, uuid -> id uuid, label text, recipient text, cep text, street text, number text, complement text, district text, city text, state text, phone text, is_default bool, created_at timestamptz, updated_at timestamptz
SELECT id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at FROM addresses WHERE id = $2 AND user_id = $1

-- @ src/users/addresses.rs LIST
-- uuid, int8, int8 -> id uuid, label text, recipient text, cep text, street text, number text, complement text, district text, city text, state text, phone text, is_default bool, created_at timestamptz, updated_at timestamptz, total int8
SELECT id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at, count(*) OVER () AS total FROM addresses WHERE user_id = $1
         ORDER BY is_default DESC, created_at DESC, id DESC LIMIT $2 OFFSET $3

-- @ src/users/addresses.rs LOCK
-- uuid -> 
SELECT FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE

-- @ src/users/addresses.rs PROMOTE
-- uuid -> 
UPDATE addresses SET is_default = true
         WHERE id = (SELECT id FROM addresses WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1) AND user_id = $1

-- @ src/users/addresses.rs UPDATE
-- uuid, uuid -> id uuid, label text, recipient text, cep text, street text, number text, complement text, district text, city text, state text, phone text, is_default bool, created_at timestamptz, updated_at timestamptz
UPDATE addresses SET is_default = true, updated_at = now() WHERE id = $2 AND user_id = $1 RETURNING id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at

-- @ src/users/addresses.rs UPDATE
-- uuid, uuid, text, text, text, text, text, text, text, text, text, text, bool -> id uuid, label text, recipient text, cep text, street text, number text, complement text, district text, city text, state text, phone text, is_default bool, created_at timestamptz, updated_at timestamptz
UPDATE addresses SET label = $3, recipient = $4, cep = $5::text, street = $6, number = $7, complement = $8, district = $9,
               city = $10, state = $11, phone = $12, is_default = is_default OR $13, updated_at = now(),
               ibge_city = (SELECT address ->> 'ibge_city' FROM cep_cache WHERE cep = $5)
         WHERE id = $2 AND user_id = $1 RETURNING id, label, recipient, cep, street, number, complement, district, city, state, phone, is_default, created_at, updated_at

-- @ src/users/admin.rs COUNT
-- text, text -> total int8
SELECT count(*) AS total FROM users
         WHERE erased_at IS NULL AND ($1::text IS NULL OR plain(name || ' ' || email) LIKE plain($1))
           AND ($2::text IS NULL OR role = $2)

-- @ src/users/admin.rs COUNT_FOUND
-- text, text -> total int8
WITH found AS MATERIALIZED (
        SELECT id FROM users WHERE erased_at IS NULL AND plain(name || ' ' || email) LIKE plain($1) AND ($2::text IS NULL OR role = $2)) SELECT count(*) AS total FROM found

-- @ src/users/admin.rs FIND
-- uuid -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz, blocked_at timestamptz
SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at, blocked_at FROM users WHERE id = $1 AND erased_at IS NULL

-- @ src/users/admin.rs LIST
-- text, text, timestamptz, uuid, int8, int8 -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz, blocked_at timestamptz
SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at, blocked_at FROM users
         WHERE erased_at IS NULL AND ($1::text IS NULL OR plain(name || ' ' || email) LIKE plain($1))
           AND ($2::text IS NULL OR role = $2)
           AND ($3::timestamptz IS NULL OR created_at < $3 OR (created_at = $3 AND id > $4))
         ORDER BY created_at DESC, id LIMIT $5 OFFSET $6

-- @ src/users/admin.rs LIST_FOUND
-- text, text, timestamptz, uuid, int8, int8 -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz, blocked_at timestamptz
WITH found AS MATERIALIZED (
        SELECT id FROM users WHERE erased_at IS NULL AND plain(name || ' ' || email) LIKE plain($1) AND ($2::text IS NULL OR role = $2)) SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at, blocked_at FROM users WHERE id = ANY(ARRAY(SELECT found.id FROM found))
           AND ($3::timestamptz IS NULL OR created_at < $3 OR (created_at = $3 AND id > $4))
         ORDER BY created_at DESC, id LIMIT $5 OFFSET $6

-- @ src/users/admin.rs LOCK
-- _uuid -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz, blocked_at timestamptz
SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at, blocked_at FROM users WHERE id = ANY($1) AND erased_at IS NULL ORDER BY id FOR UPDATE

-- @ src/users/admin.rs UPDATE
-- uuid, bool -> 
UPDATE users SET blocked_at = CASE WHEN $2 THEN now() END, updated_at = now() WHERE id = $1

-- @ src/users/admin.rs UPDATE
-- uuid, text -> 
UPDATE users SET role = $2, updated_at = now() WHERE id = $1

-- @ src/users/cep.rs FIND
-- text -> address jsonb, fresh bool
SELECT address, fetched_at > now() - CASE WHEN address IS NULL THEN interval '1 day' ELSE interval '30 days' END AS fresh
          FROM cep_cache WHERE cep = $1

-- @ src/users/cep.rs REMEMBER
-- text, jsonb -> 
INSERT INTO cep_cache (cep, address) VALUES ($1, $2)
        ON CONFLICT (cep) DO UPDATE SET address = EXCLUDED.address, fetched_at = now()

-- @ src/users/consents.rs INSERT
-- uuid, uuid, text, text, bool -> 
INSERT INTO consents (id, user_id, subject, version, granted) VALUES ($1, $2, $3, $4, $5)

-- @ src/users/email_change.rs END_EARLIER
-- uuid, uuid -> 
UPDATE email_changes SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL AND id <> $2

-- @ src/users/email_change.rs FIND
-- uuid -> new_email text
SELECT new_email FROM email_changes WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now() ORDER BY id DESC LIMIT 1

-- @ src/users/email_change.rs INSERT
-- uuid, uuid, text, text, bytea -> 
INSERT INTO email_changes (id, user_id, old_email, new_email, token_hash, expires_at)
        SELECT $1, $2, $3, $4, $5, now() + interval '1 hour'
         WHERE (SELECT count(*) FROM email_changes WHERE user_id = $2 AND created_at > now() - interval '1 hour') < 5

-- @ src/users/email_change.rs LOCK
-- uuid -> id uuid
SELECT u.id FROM users u JOIN email_changes c ON c.user_id = u.id
         WHERE c.id = $1 AND u.blocked_at IS NULL AND u.erased_at IS NULL FOR NO KEY UPDATE OF u

-- @ src/users/email_change.rs SET
-- uuid, text -> 
UPDATE users SET email = $2, mail_blocked_at = NULL, updated_at = now() WHERE id = $1

-- @ src/users/email_change.rs USE
-- uuid, bytea -> new_email text
UPDATE email_changes SET ended_at = now(), confirmed_at = now()
         WHERE id = $1 AND token_hash = $2 AND ended_at IS NULL AND expires_at > now() RETURNING new_email

-- @ src/users/profile.rs LOCK
-- uuid -> email text, sms_opt_in bool, tax_id_sealed bytea, tax_id_key int2
SELECT email, sms_opt_in, tax_id_sealed, tax_id_key FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE

-- @ src/users/sessions.rs END_FAMILY
-- bytea -> user_id uuid
UPDATE sessions s SET revoked_at = now(), revoked_reason = 'reuse'
          FROM refresh_tokens t
         WHERE t.token_hash = $1 AND t.used_at IS NOT NULL AND s.id = t.session_id AND s.revoked_at IS NULL
        RETURNING s.user_id

-- @ src/users/sessions.rs ISSUE
-- bytea, uuid, float8 -> 
INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))

-- @ src/users/sessions.rs OPEN
-- uuid, uuid, text, bytea, float8 -> 
WITH person AS (
            SELECT id FROM users
             WHERE id = $2 AND password_hash = $3 AND blocked_at IS NULL AND erased_at IS NULL FOR SHARE),
        session AS (INSERT INTO sessions (id, user_id) SELECT $1, id FROM person RETURNING id)
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
        SELECT $4, id, now() + make_interval(secs => $5) FROM session

-- @ src/users/sessions.rs REVOKE
-- uuid, uuid, text -> 
UPDATE sessions SET revoked_at = now(), revoked_reason = $3
         WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2

-- @ src/users/sessions.rs REVOKE
-- uuid, uuid, text -> 
UPDATE sessions SET revoked_at = now(), revoked_reason = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL

-- @ src/users/sessions.rs USE
-- bytea -> id uuid, user_id uuid
UPDATE refresh_tokens t SET used_at = now()
          FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE t.token_hash = $1 AND t.used_at IS NULL AND t.expires_at > now() AND s.id = t.session_id
           AND s.revoked_at IS NULL AND u.blocked_at IS NULL AND u.erased_at IS NULL
        RETURNING s.id, s.user_id

-- @ src/users/store.rs FIND
-- uuid -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz
SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at FROM users WHERE id = $1 AND erased_at IS NULL

-- @ src/users/store.rs FIND
-- text -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz, password_hash text, needs_totp bool
SELECT id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at, password_hash, totp_sealed IS NOT NULL AS needs_totp
           FROM users WHERE email = $1 AND password_hash IS NOT NULL AND blocked_at IS NULL AND erased_at IS NULL

-- @ src/users/store.rs FIND
-- uuid -> password_hash text
SELECT password_hash FROM users WHERE id = $1 AND erased_at IS NULL

-- @ src/users/store.rs INSERT
-- uuid, text, text, text, text, bytea, int2, bytea, text -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz
INSERT INTO users (id, name, email, password_hash, phone, tax_id_sealed, tax_id_key, tax_id_hash, locale)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (email) DO NOTHING RETURNING id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at

-- @ src/users/store.rs UPDATE
-- uuid, text, text -> 
UPDATE users SET password_hash = $3, password_changed_at = now(), updated_at = now()
         WHERE id = $1 AND erased_at IS NULL AND ($2::text IS NULL OR password_hash = $2)

-- @ src/users/store.rs UPDATE
-- uuid, text, bool, text, bool, bytea, int2, bytea, text, bool -> id uuid, name text, email text, role text, phone text, tax_id_sealed bytea, tax_id_key int2, locale text, sms_opt_in bool, created_at timestamptz, updated_at timestamptz
UPDATE users SET name = coalesce($2, name), phone = CASE WHEN $3 THEN $4 ELSE phone END,
               tax_id_sealed = CASE WHEN $5 THEN $6 ELSE tax_id_sealed END,
               tax_id_key = CASE WHEN $5 THEN $7 ELSE tax_id_key END,
               tax_id_hash = CASE WHEN $5 THEN $8 ELSE tax_id_hash END,
               locale = coalesce($9, locale), sms_opt_in = coalesce($10, sms_opt_in),
               updated_at = now()
         WHERE id = $1 AND erased_at IS NULL RETURNING id, name, email, role, phone, tax_id_sealed, tax_id_key, locale, sms_opt_in, created_at, updated_at

-- @ src/webhooks/fiscal.rs FIND
-- uuid, text -> id uuid, order_id uuid
SELECT i.id, i.order_id FROM webhook_events e JOIN invoices i ON i.order_id = e.order_id AND i.provider = e.provider
         WHERE e.id = $1 AND e.provider = $2

-- @ src/webhooks/fiscal.rs FIND
-- uuid, text -> order_id uuid, is_being_cancelled bool
SELECT order_id, cancel_reason IS NOT NULL AS is_being_cancelled FROM invoices WHERE id = $1 AND provider = $2

-- @ src/webhooks/inbox.rs EMPTY
-- uuid -> 
UPDATE webhook_events SET body = '' WHERE id = $1

-- @ src/webhooks/inbox.rs KEEP
-- uuid, text, text, text, bytea, text -> 
INSERT INTO webhook_events (id, provider, event_id, event, body, request_id) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (provider, event_id) DO NOTHING

-- @ src/webhooks/inbox.rs NOTE
-- uuid, text, uuid -> 
UPDATE webhook_events SET outcome = $2, order_id = coalesce($3, order_id) WHERE id = $1

-- @ src/webhooks/melhorenvio.rs RECEIVED
-- uuid -> received_at timestamptz
SELECT received_at FROM webhook_events WHERE id = $1

-- @ src/webhooks/mod.rs FIND
-- uuid -> provider text, event_id text, body bytea
SELECT provider, event_id, body FROM webhook_events WHERE id = $1 FOR UPDATE

-- @ src/worker.rs PULL
-- text, _text -> 
UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND run_at <= now() + $1::text::interval AND kind <> ALL ($2)

-- @ src/worker/lease.rs GIVE_BACK
-- _uuid -> 
UPDATE jobs SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
             WHERE state = 'running' AND lease = ANY($1)

-- @ src/worker/lease.rs LEASE_JOBS
-- int8, text, uuid -> id uuid, lease uuid, kind text, payload jsonb, attempts int4, max_attempts int4
WITH urgent AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_') AND run_at <= now()
                         ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             messages AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) IN ('mail', 'sms_') AND run_at <= now()
                        ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             abandoned AS (SELECT id FROM jobs WHERE state = 'running' AND lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED),
             due AS (SELECT id FROM abandoned UNION ALL SELECT id FROM urgent UNION ALL SELECT id FROM messages LIMIT $1)
        UPDATE jobs j SET state = 'running', lease = $3, lease_until = now() + $2::text::interval, attempts = attempts + 1,
               again = false
          FROM due WHERE j.id = due.id
        RETURNING j.id, j.lease, j.kind, j.payload, j.attempts, j.max_attempts

-- @ src/worker/lease.rs RENEW
-- uuid, uuid, text -> 
UPDATE jobs SET lease_until = now() + $3::text::interval WHERE id = $1 AND lease = $2

-- @ src/worker/settle.rs END
-- uuid, uuid, text, text -> state text
UPDATE jobs SET state = CASE WHEN again THEN 'waiting' ELSE $3 END, finished_at = CASE WHEN again THEN NULL ELSE now() END,
               run_at = CASE WHEN again THEN now() ELSE run_at END, attempts = CASE WHEN again THEN 0 ELSE attempts END, again = false,
               last_error = $4, lease = NULL, lease_until = NULL
         WHERE id = $1 AND lease = $2 RETURNING state

-- @ src/worker/settle.rs FIND
-- uuid -> order_id uuid
SELECT id AS order_id FROM orders WHERE id = $1
        UNION ALL SELECT order_id FROM payments WHERE id = $1
        UNION ALL SELECT order_id FROM refunds WHERE id = $1
        UNION ALL SELECT order_id FROM invoices WHERE id = $1
        UNION ALL SELECT order_id FROM messages WHERE id = $1 AND order_id IS NOT NULL

-- @ src/worker/settle.rs LATER
-- uuid, uuid, timestamptz, text, int4 -> 
UPDATE jobs SET state = 'waiting', run_at = CASE WHEN again AND $4::text IS NULL THEN now() ELSE $3 END,
               attempts = attempts - $5::int, again = false, last_error = $4, lease = NULL, lease_until = NULL
         WHERE id = $1 AND lease = $2
