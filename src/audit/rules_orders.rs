//! Orders: whole, added up, in states that fit, and told from beginning to end.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    // One thread each: the order itself, its payment status (told without an id), each payment and refund. A thread begins at
    // nothing, every step goes on where the one before it ended, and the last one ends where the thing stands: without a gap,
    // each state is reached as often as it is left, but for the last, so the sum of their hashes is the last one's. One pass in
    // the index's order; this rule takes longest, so it comes first. The looks at a refund between its request and its end
    // (`processing`, `unknown`) are states of the row alone.
    ("history-has-no-gap-and-ends-where-things-stand", "
        WITH told AS (
            SELECT id, order_id, CASE WHEN subject = 'order' THEN order_id ELSE subject_id END AS thread,
                   CASE WHEN from_state IN ('processing', 'unknown') AND subject = 'refund' THEN 'pending' ELSE from_state END AS from_state,
                   CASE WHEN to_state IN ('processing', 'unknown') AND subject = 'refund' THEN 'pending' ELSE to_state END AS to_state
              FROM order_history WHERE subject IN ('order', 'payment_status', 'payment', 'refund', 'invoice')),
        steps AS (
            SELECT order_id, thread, from_state, to_state,
                   from_state IS DISTINCT FROM lag(to_state) OVER (PARTITION BY order_id, thread ORDER BY id) AS is_gap
              FROM told),
        threads AS (
            SELECT order_id, thread, bool_or(is_gap) AS has_gap, sum(hashtext(to_state)) - coalesce(sum(hashtext(from_state)), 0) AS state
              FROM steps GROUP BY order_id, thread),
        things AS (
            SELECT 'order' AS what, id AS order_id, id AS thread, status AS state FROM orders
            UNION ALL SELECT 'payment status of', id, NULL, payment_status FROM orders
            UNION ALL SELECT 'payment', order_id, id, status FROM payments
            UNION ALL SELECT 'invoice', order_id, id, status FROM invoices
            UNION ALL SELECT 'refund', order_id, id, CASE WHEN status IN ('processing', 'unknown') THEN 'pending' ELSE status END FROM refunds)
        SELECT a.what || ' ' || coalesce(a.thread, a.order_id) || ' is ' || a.state || ', '
               || CASE WHEN t.order_id IS NULL THEN 'and has no history' WHEN t.has_gap THEN 'its history has a gap'
                       ELSE 'its history ends elsewhere' END
          FROM things a LEFT JOIN threads t
            ON t.order_id = a.order_id AND coalesce(t.thread, '00000000-0000-0000-0000-000000000000') = coalesce(a.thread, '00000000-0000-0000-0000-000000000000')
         WHERE t.order_id IS NULL OR t.has_gap OR t.state <> hashtext(a.state)"),
    // The same for messages, of which there are most, by the sum and one beginning alone: without sorting.
    ("the-history-of-messages-ends-where-they-stand", "
        SELECT 'message ' || m.id || ' is ' || m.status || ', its history says otherwise'
          FROM messages m
          LEFT JOIN (SELECT subject_id, sum(hashtext(to_state)) - coalesce(sum(hashtext(from_state)), 0) AS state, count(*) - count(from_state) AS beginnings
                       FROM order_history WHERE subject = 'message' GROUP BY 1) h ON h.subject_id = m.id
         WHERE m.order_id IS NOT NULL AND (h.state IS DISTINCT FROM hashtext(m.status) OR h.beginnings <> 1)"),
    ("an-order-has-lines", "
        SELECT 'order ' || o.number FROM orders o WHERE NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)"),
    ("a-line-is-price-times-quantity", "
        SELECT 'line ' || id || ' says ' || line_total_cents || ' less ' || discount_cents FROM order_lines
         WHERE line_total_cents <> unit_price_cents * quantity OR discount_cents NOT BETWEEN 0 AND line_total_cents"),
    ("lines-add-up-to-the-subtotal-and-share-the-discount", "
        SELECT 'order ' || o.number || ' says ' || o.subtotal_cents || ' less ' || o.discount_cents || ', its lines '
               || coalesce(l.sum, 0) || ' less ' || coalesce(l.discount, 0)
          FROM orders o
          LEFT JOIN (SELECT order_id, sum(line_total_cents) AS sum, sum(discount_cents) AS discount FROM order_lines GROUP BY 1) l
            ON l.order_id = o.id
         WHERE o.subtotal_cents IS DISTINCT FROM l.sum OR o.discount_cents IS DISTINCT FROM l.discount
            OR o.discount_cents <> o.coupon_discount_cents + o.method_discount_cents"),
    ("total-is-lines-less-discount-plus-freight", "
        SELECT 'order ' || number FROM orders
         WHERE total_cents <> subtotal_cents - discount_cents + shipping_cents
            OR least(total_cents, subtotal_cents, discount_cents, shipping_cents) < 0"),
    ("freight-costs-nothing-only-for-a-reason-that-holds", "
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
                    ELSE freight_quote #>> '{free,reason}' IS NOT NULL END"),
    ("an-orders-states-fit-together", "
        SELECT 'order ' || number || ' is ' || status || '/' || payment_status FROM orders
         WHERE (status IN ('processing', 'shipped', 'delivered', 'returned') AND payment_status NOT IN ('paid', 'partially_refunded', 'refunded'))
            OR (status = 'pending' AND payment_status NOT IN ('pending_payment', 'failed'))
            OR (status = 'cancelled' AND payment_status IN ('pending_payment', 'failed'))
            OR (status = 'cancelled') <> (cancelled_at IS NOT NULL)"),
    ("a-paid-order-says-when", "
        SELECT 'order ' || number || ' (' || payment_status || ')' FROM orders
         WHERE (paid_at IS NOT NULL) <> (payment_status IN ('paid', 'partially_refunded', 'refunded'))"),
    ("a-shipped-order-can-be-tracked", "
        SELECT 'order ' || number || ' (' || status || ')' FROM orders
         WHERE status IN ('shipped', 'delivered') AND ((tracking_number IS NULL AND shipping_provider <> 'pickup') OR shipped_at IS NULL)"),
    // What is not paid and still holds stock must have something that ends it.
    ("a-pending-order-has-a-clock", "
        SELECT 'order ' || o.number || ' ends at ' || o.expires_at || ', and no job will see to it'
          FROM orders o LEFT JOIN jobs j ON j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running', 'dead')
         WHERE o.status = 'pending' AND j.id IS NULL"),
    ("a-change-names-its-cause", "
        SELECT 'history ' || id FROM order_history WHERE cause = '' OR actor = ''
        UNION ALL SELECT 'money movement ' || id FROM money_movements WHERE cause = ''
        UNION ALL SELECT 'stock movement ' || id FROM stock_movements WHERE cause = '' OR actor = ''
        UNION ALL SELECT 'job ' || id FROM jobs WHERE cause = ''"),
    ("a-webhook-that-caused-something-is-in-the-inbox", "
        SELECT c.what || ' was caused by ' || c.cause
          FROM (SELECT 'history ' || id AS what, cause FROM order_history WHERE cause LIKE 'webhook:%'
                UNION ALL SELECT 'money movement ' || id, cause FROM money_movements WHERE cause LIKE 'webhook:%'
                UNION ALL SELECT 'stock movement ' || id, cause FROM stock_movements WHERE cause LIKE 'webhook:%') c
          LEFT JOIN webhook_events e ON 'webhook:' || e.id = c.cause
         WHERE e.id IS NULL"),
    // The message is kept for ever; before it is written, its job waits, runs or has died.
    ("a-buyer-is-told-once-that-an-order-is-paid", "
        SELECT 'order ' || o.number || ' has ' || coalesce(m.count, 0) || ' messages'
          FROM orders o
          LEFT JOIN (SELECT order_id, count(*) AS count FROM messages WHERE kind = 'order_paid' AND channel = 'email' GROUP BY 1) m ON m.order_id = o.id
          LEFT JOIN (SELECT DISTINCT payload ->> 'order' AS order_id FROM jobs
                      WHERE kind = 'mail_order_paid' AND state IN ('waiting', 'running', 'dead')) j ON j.order_id = o.id::text
         WHERE m.count > 1 OR (m.count > 0 AND o.paid_at IS NULL)
            OR (o.paid_at IS NOT NULL AND o.customer_email IS NOT NULL AND m.count IS NULL AND j.order_id IS NULL)"),
    ("what-left-the-shop-was-paid", "
        SELECT 'invoice ' || i.id || ' of order ' || o.number FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'sale' AND o.paid_at IS NULL
        UNION ALL
        SELECT 'shipment ' || s.id || ' of order ' || o.number FROM shipments s JOIN orders o ON o.id = s.order_id
         WHERE s.status NOT IN ('pending', 'cancelled', 'expired') AND o.paid_at IS NULL"),
    ("a-document-is-sealed-whole-or-not-there", "
        SELECT 'order ' || number FROM orders WHERE num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) NOT IN (0, 3)
        UNION ALL SELECT 'user ' || id FROM users WHERE num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) NOT IN (0, 3)"),
    ("an-erased-person-is-gone", "
        WITH gone AS (SELECT id, phone, password_hash, tax_id_sealed, email FROM users WHERE erased_at IS NOT NULL)
        SELECT 'user ' || id FROM gone WHERE num_nonnulls(phone, password_hash, tax_id_sealed) > 0 OR email NOT LIKE '%@invalid'
        UNION ALL SELECT 'address ' || a.id FROM addresses a JOIN gone ON gone.id = a.user_id
        UNION ALL SELECT 'session ' || s.id FROM sessions s JOIN gone ON gone.id = s.user_id
        UNION ALL SELECT 'order ' || o.number FROM orders o JOIN gone ON gone.id = o.user_id
                   WHERE num_nonnulls(o.customer_email, o.customer_phone, o.tax_id_sealed) > 0
        UNION ALL SELECT 'message ' || m.id FROM messages m JOIN gone ON gone.id = m.user_id WHERE m.recipient IS NOT NULL"),
];
