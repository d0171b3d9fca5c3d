//! Orders: complete, with right sums, and in consistent states.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
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
            OR (total_cents = 0 AND payment_status <> CASE WHEN status IN ('cancelled', 'returned') THEN 'refunded' ELSE 'paid' END)
            OR (status = 'cancelled') <> (cancelled_at IS NOT NULL)"),
    ("a-paid-order-says-when", "
        SELECT 'order ' || number || ' (' || payment_status || ')' FROM orders
         WHERE (paid_at IS NOT NULL) <> (payment_status IN ('paid', 'partially_refunded', 'refunded'))"),
    ("a-shipped-order-can-be-tracked", "
        SELECT 'order ' || number || ' (' || status || ')' FROM orders
         WHERE status IN ('shipped', 'delivered') AND ((tracking_number IS NULL AND shipping_provider <> 'pickup') OR shipped_at IS NULL)"),
    // An unpaid order that holds stock must have a job or a time that ends it.
    ("a-pending-order-has-a-clock", "
        SELECT 'order ' || o.number || ' ends at ' || o.expires_at || ', and no job will see to it'
          FROM orders o LEFT JOIN jobs j ON j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running', 'dead')
         WHERE o.status = 'pending' AND j.id IS NULL"),
    // The message is never deleted; before it is written, its job waits, runs or is dead.
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
    // While keys are being changed, several are in use. Afterwards the old ones are not, and may leave DATA_KEYS.
    ("what-is-sealed-names-a-key-that-is-in-use", "
        WITH known AS (SELECT array_agg(data_key) AS keys FROM secret_keys)
        SELECT 'order ' || number || ': key ' || tax_id_key FROM orders, known WHERE tax_id_key <> ALL (keys)
        UNION ALL SELECT 'user ' || id || ': key ' || tax_id_key FROM users, known WHERE tax_id_key <> ALL (keys)
        UNION ALL SELECT 'second factor of user ' || id || ': key ' || totp_key FROM users, known WHERE totp_key <> ALL (keys)
        UNION ALL SELECT 'uses of coupon ' || coupon_id || ': key ' || key FROM coupon_persons, known WHERE key <> ALL (keys)"),
    ("an-erased-person-is-gone", "
        WITH gone AS (SELECT id, phone, password_hash, tax_id_sealed, email FROM users WHERE erased_at IS NOT NULL)
        SELECT 'user ' || id FROM gone WHERE num_nonnulls(phone, password_hash, tax_id_sealed) > 0 OR email NOT LIKE '%@invalid'
        UNION ALL SELECT 'address ' || a.id FROM addresses a JOIN gone ON gone.id = a.user_id
        UNION ALL SELECT 'session ' || s.id FROM sessions s JOIN gone ON gone.id = s.user_id
        UNION ALL SELECT 'order ' || o.number FROM orders o JOIN gone ON gone.id = o.user_id
                   WHERE num_nonnulls(o.customer_email, o.customer_phone, o.tax_id_sealed) > 0
        UNION ALL SELECT 'message ' || m.id FROM messages m JOIN gone ON gone.id = m.user_id WHERE m.recipient IS NOT NULL"),
];
