//! Invoices: one live NF-e per paid order, of its amount, kept as long as the law requires.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("an-order-has-one-live-invoice", "
        SELECT count(*) || ' live invoices of order ' || order_id FROM invoices
         WHERE purpose = 'sale' AND status NOT IN ('denied', 'cancelled') GROUP BY order_id HAVING count(*) > 1"),
    // A later invoice proves that the shop issues them: then every order paid before it must have one.
    ("a-paid-order-has-its-invoice", "
        SELECT 'order ' || o.number || ', paid at ' || o.paid_at
          FROM orders o
          LEFT JOIN invoices i ON i.order_id = o.id AND NOT (i.given_up AND i.status = 'cancelled')
          LEFT JOIN jobs j ON j.dedupe = 'invoice_order:' || o.id AND j.state <> 'done'
          LEFT JOIN (SELECT order_id, sum(captured_cents - refunded_cents - lost_cents) AS kept FROM payments GROUP BY 1) p ON p.order_id = o.id
         WHERE o.status IN ('processing', 'shipped', 'delivered') AND i.id IS NULL AND j.id IS NULL
           AND o.payment_status IN ('paid', 'partially_refunded') AND coalesce(p.kept, 1) > 0 AND o.stock_held AND NOT (o.on_hold AND o.status = 'processing')
           AND o.paid_at > now() - interval '30 days'
           AND o.paid_at > (SELECT min(created_at) FROM invoices) AND o.paid_at < (SELECT max(created_at) FROM invoices) - interval '1 hour'"),
    // Or of its order without the pieces that came back before it, with their shares of the discount. Few are, so those are looked
    // at one by one.
    ("an-invoice-is-of-its-orders-amount", "
        SELECT 'invoice ' || i.id || ': ' || i.total_cents || ', its order: ' || o.total_cents
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'sale' AND i.status = 'authorized'
           AND CASE WHEN i.total_cents <> o.total_cents
                    THEN i.lines IS NULL OR i.total_cents <> o.shipping_cents + (
                         SELECT sum(l.unit_price_cents * on_it.n - l.discount_cents
                                    + (2 * l.discount_cents * (l.quantity - on_it.n) + l.quantity) / (2 * l.quantity))
                           FROM (SELECT (e ->> 0)::uuid AS line, (e ->> 1)::int AS n FROM jsonb_array_elements(i.lines) e) on_it
                           JOIN order_lines l ON l.id = on_it.line) END"),
    ("an-authorised-invoice-has-its-key-and-number", "
        SELECT 'invoice ' || id FROM invoices
         WHERE status = 'authorized' AND (chave IS NULL OR number IS NULL OR authorized_at IS NULL OR substr(chave, 21, 2) <> '55')"),
    ("an-open-invoice-is-looked-after", "
        SELECT 'invoice ' || i.id || ' is ' || i.status || ', and no job will move it'
          FROM invoices i LEFT JOIN jobs j ON j.dedupe = 'send_invoice:' || i.id AND j.state <> 'done'
         WHERE i.status IN ('pending', 'processing') AND j.id IS NULL"),
    ("an-invoice-that-shall-go-is-looked-after", "
        SELECT 'invoice ' || i.id || ' shall be cancelled, and no job will ask for it'
          FROM invoices i LEFT JOIN jobs j ON j.state <> 'done'
           AND j.dedupe = CASE i.status WHEN 'authorized' THEN 'cancel_invoice:' ELSE 'send_invoice:' END || i.id
         WHERE i.status IN ('authorized', 'rejected') AND i.cancel_reason IS NOT NULL AND j.id IS NULL"),
    // A million XMLs are gigabytes: each is checked daily in its first week, and then once in 97 days. A CASE keeps the planner
    // from hashing the XML first.
    ("an-invoices-xml-is-whole", "
        SELECT 'invoice ' || id FROM invoices
         WHERE CASE WHEN authorized_at > now() - interval '7 days'
                      OR abs(hashtext(id::text)) % 97 = floor(extract(epoch FROM now()) / 86400)::int % 97
                    THEN sha256(xml) <> xml_sha256 END"),
    ("an-authorised-invoice-is-kept", "
        SELECT 'invoice ' || i.id || ' has no XML, and no job will fetch it'
          FROM invoices i LEFT JOIN jobs j ON j.dedupe = 'keep_invoice:' || i.id AND j.state <> 'done'
         WHERE i.status = 'authorized' AND i.xml IS NULL AND i.authorized_at > now() - interval '60 months' AND j.id IS NULL"),
    // The same for an order whose whole amount was refunded before it was shipped.
    ("a-cancelled-order-has-no-standing-invoice", "
        SELECT 'invoice ' || i.id || ' of order ' || o.number
          FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale' AND i.status = 'authorized' AND i.cancel_reason IS NULL
         WHERE (o.status = 'cancelled' OR (o.status = 'processing' AND o.payment_status = 'refunded'))
           AND NOT EXISTS (SELECT FROM invoices back WHERE back.sale_id = i.id AND back.status NOT IN ('denied', 'cancelled'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'drop_invoice:' || o.id AND j.state <> 'done')"),
    ("a-refused-invoice-was-told", "
        SELECT 'invoice ' || i.id || ' of order ' || o.number || ' is ' || i.status || ', and nobody was told'
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.status IN ('rejected', 'denied') AND i.told_at IS NULL AND o.payment_status IN ('paid', 'partially_refunded')"),
    ("a-return-gives-back-no-more-than-was-sold", "
        SELECT r.back || ' of line ' || l.id || ' were given back, sold were ' || l.quantity
          FROM (SELECT (line ->> 0)::uuid AS line, sum((line ->> 1)::int) AS back
                  FROM invoices i, jsonb_array_elements(i.lines) AS line
                 WHERE i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') GROUP BY 1) r
          JOIN order_lines l ON l.id = r.line WHERE r.back > l.quantity"),
];
