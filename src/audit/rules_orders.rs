//! Orders: whole, added up, in states that fit, and told from beginning to end.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("an-order-has-lines", "
        SELECT 'order ' || o.number FROM orders o WHERE NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)"),
    ("a-line-is-price-times-quantity", "
        SELECT 'line ' || id || ' says ' || line_total_cents || ' less ' || discount_cents FROM order_lines
         WHERE line_total_cents <> unit_price_cents * quantity OR discount_cents NOT BETWEEN 0 AND line_total_cents"),
    ("lines-add-up-to-the-subtotal", "
        SELECT 'order ' || o.number || ' says ' || o.subtotal_cents || ', its lines ' || l.sum
          FROM orders o JOIN (SELECT order_id, sum(line_total_cents) AS sum FROM order_lines GROUP BY 1) l ON l.order_id = o.id
         WHERE l.sum <> o.subtotal_cents"),
    ("lines-share-the-whole-discount", "
        SELECT 'order ' || o.number || ' says ' || o.discount_cents || ', its lines ' || coalesce(l.sum, 0)
          FROM orders o LEFT JOIN (SELECT order_id, sum(discount_cents) AS sum FROM order_lines GROUP BY 1) l ON l.order_id = o.id
         WHERE coalesce(l.sum, 0) <> o.discount_cents OR o.discount_cents <> o.coupon_discount_cents + o.method_discount_cents"),
    ("total-is-lines-less-discount-plus-freight", "
        SELECT 'order ' || number FROM orders
         WHERE total_cents <> subtotal_cents - discount_cents + shipping_cents
            OR least(total_cents, subtotal_cents, discount_cents, shipping_cents) < 0"),
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
         WHERE status IN ('shipped', 'delivered') AND (tracking_number IS NULL OR shipped_at IS NULL)"),
    // What is not paid and still holds stock must have something that ends it.
    ("a-pending-order-has-a-clock", "
        SELECT 'order ' || o.number || ' ends at ' || o.expires_at || ', and no job will see to it'
          FROM orders o LEFT JOIN jobs j ON j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running', 'dead')
         WHERE o.status = 'pending' AND j.id IS NULL"),
    // Every state has been reached once more often than it was left, if it is the one where the thing stands.
    ("history-ends-where-the-order-stands", "
        SELECT 'order ' || o.number || ' is ' || o.status || '/' || o.payment_status || ', its history ends elsewhere'
          FROM orders o LEFT JOIN order_history h ON h.order_id = o.id AND h.subject IN ('order', 'payment_status')
         GROUP BY o.id
        HAVING coalesce(sum((h.to_state = o.status)::int - coalesce((h.from_state = o.status)::int, 0)) FILTER (WHERE h.subject = 'order'), 0) <> 1
            OR coalesce(sum((h.to_state = o.payment_status)::int - coalesce((h.from_state = o.payment_status)::int, 0))
                            FILTER (WHERE h.subject = 'payment_status'), 0) <> 1"),
    ("history-ends-where-the-payment-stands", "
        SELECT 'payment ' || p.id || ' is ' || p.status || ', its history ends elsewhere'
          FROM payments p LEFT JOIN order_history h ON h.subject_id = p.id AND h.subject = 'payment'
         GROUP BY p.id HAVING coalesce(sum((h.to_state = p.status)::int - coalesce((h.from_state = p.status)::int, 0)), 0) <> 1"),
    // A refund is told from its request to its end; the looks between them (`processing`, `unknown`) are states of the row alone.
    ("history-ends-where-the-refund-stands", "
        SELECT 'refund ' || r.id || ' is ' || r.status || ', its history ends elsewhere'
          FROM refunds r LEFT JOIN order_history h ON h.subject_id = r.id AND h.subject = 'refund'
         GROUP BY r.id
        HAVING coalesce(sum(
            (CASE WHEN h.to_state IN ('processing', 'unknown') THEN 'pending' ELSE h.to_state END
                 = CASE WHEN r.status IN ('processing', 'unknown') THEN 'pending' ELSE r.status END)::int
            - coalesce((CASE WHEN h.from_state IN ('processing', 'unknown') THEN 'pending' ELSE h.from_state END
                 = CASE WHEN r.status IN ('processing', 'unknown') THEN 'pending' ELSE r.status END)::int, 0)), 0) <> 1"),
    ("history-ends-where-the-message-stands", "
        SELECT 'message ' || m.id || ' is ' || m.status || ', its history ends elsewhere'
          FROM messages m LEFT JOIN order_history h ON h.subject_id = m.id AND h.subject = 'message'
         WHERE m.order_id IS NOT NULL
         GROUP BY m.id HAVING coalesce(sum((h.to_state = m.status)::int - coalesce((h.from_state = m.status)::int, 0)), 0) <> 1"),
    ("history-has-no-gap", "
        SELECT 'order ' || order_id || ': its ' || subject || ' goes on from ' || coalesce(from_state, 'nothing')
               || ' after ' || coalesce(before, 'nothing')
          FROM (SELECT order_id, subject, from_state, lag(to_state) OVER (PARTITION BY order_id, subject, subject_id ORDER BY id) AS before
                  FROM (SELECT id, order_id, subject, subject_id,
                               CASE WHEN subject = 'refund' AND from_state IN ('processing', 'unknown') THEN 'pending' ELSE from_state END AS from_state,
                               CASE WHEN subject = 'refund' AND to_state IN ('processing', 'unknown') THEN 'pending' ELSE to_state END AS to_state
                          FROM order_history WHERE subject IN ('order', 'payment_status', 'payment', 'refund', 'message')) told) steps
         WHERE from_state IS DISTINCT FROM before"),
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
          LEFT JOIN (SELECT order_id, count(*) AS count FROM messages WHERE kind = 'order_paid' GROUP BY 1) m ON m.order_id = o.id
          LEFT JOIN (SELECT DISTINCT payload ->> 'order' AS order_id FROM jobs
                      WHERE kind = 'mail_order_paid' AND state IN ('waiting', 'running', 'dead')) j ON j.order_id = o.id::text
         WHERE m.count > 1 OR (m.count > 0 AND o.paid_at IS NULL)
            OR (o.paid_at IS NOT NULL AND o.customer_email IS NOT NULL AND m.count IS NULL AND j.order_id IS NULL)"),
    ("an-order-has-one-invoice", "
        SELECT 'order ' || order_id || ' has ' || count(*) FROM invoices WHERE purpose = 'sale' GROUP BY order_id HAVING count(*) > 1"),
    ("what-left-the-shop-was-paid", "
        SELECT 'invoice ' || i.id || ' of order ' || o.number FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'sale' AND o.paid_at IS NULL
        UNION ALL
        SELECT 'shipment ' || s.id || ' of order ' || o.number FROM shipments s JOIN orders o ON o.id = s.order_id
         WHERE s.status IN ('posted', 'delivered') AND o.paid_at IS NULL"),
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
