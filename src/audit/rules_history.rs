//! History: each thing's rows start at its beginning, have no gap, end at its present state, and name their cause.

use super::Rule;

// A thread is the history of one thing: an order, its payment status (both without an id), a payment, a refund, a dispute, an invoice, a
// message, a label. States of a refund between its request and its end (`processing`, `unknown`) have no history rows.
pub(super) const RULES: &[Rule] = &[
    // Each row starts from the state that the row before it ended in. One sorted pass; it takes longest, so it comes first.
    ("history-has-no-gap", "
        SELECT subject || ' ' || thread || ': its step from ' || coalesce(from_state, 'nothing') || ' does not begin where the one before it ended'
          FROM (SELECT subject, coalesce(subject_id, order_id) AS thread, from_state,
                       CASE WHEN subject = 'refund' AND from_state IN ('processing', 'unknown') THEN 'pending' ELSE from_state END
                       IS DISTINCT FROM lag(CASE WHEN subject = 'refund' AND to_state IN ('processing', 'unknown') THEN 'pending' ELSE to_state END)
                                        OVER (PARTITION BY order_id, subject, subject_id ORDER BY id) AS is_gap
                  FROM order_history WHERE subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'invoice')) steps
         WHERE is_gap"),
    // Each state is entered as often as it is left, except a thing's present state; and each thing begins once. So over the
    // whole shop, the sum of the hashes of states entered, less those of states left, equals the sum over the present states.
    // Only if it does not, each thing is checked.
    ("history-ends-where-things-stand", "
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
           AND (a.thread IS NULL OR t.thread IS NULL OR t.beginnings <> 1 OR t.state <> hashtext(a.state))"),
    // One pass for both: a cause is named, and a webhook that is named as a cause is in the inbox.
    ("a-change-names-its-cause", "
        SELECT 'history ' || id || ' names ' || cause FROM order_history
         WHERE cause = '' OR actor = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'money movement ' || id || ' names ' || cause FROM money_movements
         WHERE cause = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'stock movement ' || id || ' names ' || cause FROM stock_movements
         WHERE cause = '' OR actor = '' OR CASE WHEN cause LIKE 'webhook:%' THEN NOT cause IN (SELECT 'webhook:' || id FROM webhook_events) END
        UNION ALL SELECT 'job ' || id || ' names nothing' FROM jobs WHERE cause = ''"),
    ("a-step-stands-in-the-transition-table", "
        SELECT 'order ' || h.order_id || ': ' || h.subject || ' ' || h.from_state || ' to ' || h.to_state || ' in row ' || h.id
          FROM order_history h
         WHERE h.subject IN ('order', 'sale', 'payment_status', 'payment', 'refund', 'dispute', 'invoice', 'message') AND h.from_state <> h.to_state
           AND (h.subject, h.from_state, h.to_state) NOT IN (VALUES {steps})"),
];
