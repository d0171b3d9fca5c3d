-- A shop with a past: {orders} orders as the server leaves them behind, delivered for the most part. Ids are ordered by time
-- as the server's are. Nothing here may break a rule of the audit.
SET session_replication_role = replica; -- the rows are right by construction: no trigger, no foreign key
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';

-- The id of the i-th thing of a kind.
CREATE FUNCTION bench_id(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT (lpad(to_hex(1750000000000 + i * 30000), 12, '0') || '7' || kind || '8000' || lpad(to_hex(i), 12, '0'))::uuid $$;
CREATE FUNCTION bench_price(variant bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 1990 + variant % 500 * 10 $$;

INSERT INTO categories (id, slug, name) VALUES (bench_id('a00', 1), 'tudo', 'Tudo');
INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm)
SELECT bench_id('a01', v), 'p-' || v, 'Produto ' || v, bench_id('a00', 1), 300, 5, 15, 20 FROM generate_series(0, 9999) v;
INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
SELECT bench_id('a02', v), bench_id('a01', v), 'sku-' || v, 'Único', bench_price(v), 1000000, true FROM generate_series(0, 9999) v;
INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
SELECT id, stock, 'opening', 'system', 'system' FROM variants;
INSERT INTO secret_keys (purpose, id, sealed, data_key, turned_at) VALUES ('look_up', 1, '\x00', 1, now());
INSERT INTO users (id, name, email, password_hash, tax_id_sealed, tax_id_key, tax_id_hash)
SELECT bench_id('a03', i), 'Pessoa ' || i, 'pessoa' || i || '@example.com', 'none', '\x00', 1, sha256(i::text::bytea)
  FROM generate_series(0, {orders} / 5) i;
INSERT INTO coupons (id, code, kind, value) SELECT bench_id('a04', c), 'CUPOM' || c, 'fixed', 500 FROM generate_series(0, 9) c;

-- What becomes of each order: 80 % arrive, 3 % are on their way, 2 % are paid, 9 % expire, 3 % are cancelled and paid back,
-- 2 % are paid back in part, 1 % wait for their money.
CREATE TABLE bench_orders AS
SELECT i, bench_id('b00', i) AS id, bench_id('c00', i) AS payment, bench_id('c01', i) AS label, bench_id('c02', i) AS invoice, bench_id('d00', i) AS refund, bench_id('e00', i) AS event,
       CASE WHEN i % 100 < 80 THEN 'delivered' WHEN i % 100 < 83 THEN 'shipped' WHEN i % 100 < 85 THEN 'processing' WHEN i % 100 < 94 THEN 'expired'
            WHEN i % 100 < 97 THEN 'refunded' WHEN i % 100 < 99 THEN 'partly' ELSE 'pending' END AS fate,
       i % 5 <> 0 AS known, i / 5 AS person, i % 20 = 1 AS with_coupon,
       i * 7 % 10000 AS v1, (i * 7 + 4999) % 10000 AS v2, 1 + i % 3 AS q1, 1 + i % 2 AS q2,
       now() - ({orders} - i) * interval '30 seconds' AS at
  FROM generate_series(1, {orders}) i;
ALTER TABLE bench_orders ADD paid boolean, ADD invoiced boolean, ADD subtotal bigint, ADD discount bigint, ADD total bigint;
UPDATE bench_orders SET paid = fate NOT IN ('expired', 'pending'), invoiced = fate NOT IN ('expired', 'pending', 'refunded'), subtotal = q1 * bench_price(v1) + q2 * bench_price(v2),
       discount = CASE WHEN with_coupon THEN 500 ELSE 0 END, total = q1 * bench_price(v1) + q2 * bench_price(v2) - CASE WHEN with_coupon THEN 500 ELSE 0 END + 1850;

INSERT INTO orders (id, number, user_id, customer_name, customer_email, tax_id_sealed, tax_id_key, tax_id_hash, status, payment_status,
    payment_method, subtotal_cents, coupon_discount_cents, discount_cents, shipping_cents, shipping_quoted_cents, total_cents,
    coupon_id, coupon_code, coupon_held, shipping_address, shipping_provider, carrier, service, service_code, delivery_days, freight_quote,
    tracking_number, stock_held, expires_at, paid_at, shipped_at, delivered_at, cancelled_at, created_at, updated_at)
SELECT id, 'VB' || i, CASE WHEN known THEN bench_id('a03', person) END, 'Pessoa ' || person, 'pessoa' || person || '@example.com',
       '\x00', 1, sha256(person::text::bytea),
       CASE fate WHEN 'expired' THEN 'cancelled' WHEN 'refunded' THEN 'cancelled' WHEN 'partly' THEN 'delivered' ELSE fate END,
       CASE fate WHEN 'expired' THEN 'expired' WHEN 'refunded' THEN 'refunded' WHEN 'partly' THEN 'partially_refunded' WHEN 'pending' THEN 'pending_payment' ELSE 'paid' END,
       'pix', subtotal, discount, discount, 1850, 1850, total,
       CASE WHEN with_coupon THEN bench_id('a04', i % 10) END, CASE WHEN with_coupon THEN 'CUPOM' || i % 10 END,
       with_coupon AND fate NOT IN ('expired', 'refunded'),
       jsonb_build_object('recipient', 'Pessoa ' || person, 'cep', '01310100', 'street', 'Avenida Paulista', 'number', '1000', 'district', 'Bela Vista',
                          'city', 'São Paulo', 'state', 'SP'),
       'melhorenvio', 'Jadlog', '.Package', '3', 3, '{}', CASE WHEN fate IN ('shipped', 'delivered', 'partly') THEN 'BR' || i || 'BR' END,
       fate NOT IN ('expired', 'refunded'),
       CASE WHEN fate = 'pending' THEN now() + interval '30 minutes' ELSE at + interval '35 minutes' END, CASE WHEN paid THEN at + interval '1 minute' END,
       CASE WHEN fate IN ('shipped', 'delivered', 'partly') THEN at + interval '1 day' END,
       CASE WHEN fate IN ('delivered', 'partly') THEN at + interval '4 days' END,
       CASE WHEN fate IN ('expired', 'refunded') THEN at + interval '1 hour' END, at, at
  FROM bench_orders ORDER BY i;

INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, quantity, unit_price_cents, line_total_cents, discount_cents)
SELECT bench_id('b1' || l.n, i), id, l.n, bench_id('a01', l.v), bench_id('a02', l.v), 'sku-' || l.v, 'Produto ' || l.v, 'Único', l.q, bench_price(l.v),
       bench_price(l.v) * l.q, CASE WHEN l.n = 1 THEN discount ELSE 0 END
  FROM bench_orders, LATERAL (VALUES (1, v1, q1), (2, v2, q2)) l (n, v, q) ORDER BY i, l.n;
INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor, at)
SELECT bench_id('a02', l.v), l.sign * l.q, l.reason, bench_id('b1' || l.n, i), 1, 'request:' || i, 'guest', at
  FROM bench_orders, LATERAL (VALUES (1, v1, q1, -1, 'sale'), (2, v2, q2, -1, 'sale'), (1, v1, q1, 1, 'release'), (2, v2, q2, 1, 'release')) l (n, v, q, sign, reason)
 WHERE l.reason = 'sale' OR fate IN ('expired', 'refunded') ORDER BY i, l.sign, l.n;
UPDATE variants v SET stock = m.sum FROM (SELECT variant_id, sum(delta) AS sum FROM stock_movements GROUP BY 1) m WHERE m.variant_id = v.id;
UPDATE coupons c SET uses = o.held FROM (SELECT coupon_id, count(*) AS held FROM orders WHERE coupon_held GROUP BY 1) o WHERE o.coupon_id = c.id;
INSERT INTO coupon_persons (coupon_id, person, key, uses) SELECT coupon_id, tax_id_hash, 1, count(*) FROM orders WHERE coupon_held GROUP BY 1, 2;

INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, refunded_cents, provider_ref, end_to_end_id, copy_paste,
    expires_at, paid_at, checked_at, created_at, updated_at)
SELECT payment, id, 'pix', 'propay',
       CASE fate WHEN 'expired' THEN 'expired' WHEN 'pending' THEN 'pending' WHEN 'refunded' THEN 'refunded' WHEN 'partly' THEN 'partially_refunded' ELSE 'paid' END,
       total, CASE WHEN paid THEN total ELSE 0 END, CASE fate WHEN 'refunded' THEN total WHEN 'partly' THEN 1000 ELSE 0 END,
       'tx' || i, CASE WHEN paid THEN 'E' || i END, '00020126', CASE WHEN fate = 'pending' THEN now() + interval '25 minutes' ELSE at + interval '30 minutes' END,
       CASE WHEN paid THEN at + interval '1 minute' END, at, at, at
  FROM bench_orders ORDER BY i;
INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, created_at, updated_at)
SELECT refund, refund, payment, id, CASE fate WHEN 'refunded' THEN total ELSE 1000 END, 'done', 'troca', 'system', at, at
  FROM bench_orders WHERE fate IN ('refunded', 'partly') ORDER BY i;
INSERT INTO webhook_events (id, provider, event_id, event, body, outcome, order_id, request_id, received_at)
SELECT event, 'propay', 'evt' || i, 'payment.paid', convert_to('{"event":"payment.paid","payment_id":"' || payment || '"}', 'UTF8'), 'applied', id, 'r' || i, at
  FROM bench_orders WHERE paid ORDER BY i;
INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, provider_ref, cause, at)
SELECT id, payment, m.refund_id, m.kind, m.amount, 'propay', 'E' || i, m.cause, at
  FROM bench_orders, LATERAL (VALUES ('capture', NULL, total, 'webhook:' || event),
       ('refund', refund, CASE fate WHEN 'refunded' THEN total ELSE 1000 END, 'job:' || i)) m (kind, refund_id, amount, cause)
 WHERE paid AND (m.kind = 'capture' OR fate IN ('refunded', 'partly')) ORDER BY i;
INSERT INTO messages (id, event, kind, channel, order_id, recipient, subject, html, body, status, provider, provider_ref, created_at, open_tries, tried_at, sent_at)
SELECT bench_id('f0' || m.n, i), m.kind || ':' || id, m.kind, 'email', id, 'pessoa' || person || '@example.com', 'Pedido VB' || i, repeat('<p>Pedido</p>', 20),
       repeat('Pedido ', 20), 'sent', 'resend', 'm' || i || '-' || m.n, at, 1, at, at
  FROM bench_orders, LATERAL (VALUES (1, 'order_placed', true), (2, 'order_paid', paid), (3, 'order_shipped', fate IN ('shipped', 'delivered', 'partly')),
       (4, 'order_cancelled', fate IN ('expired', 'refunded')), (5, 'invoice', invoiced), (6, 'order_delivered', fate IN ('delivered', 'partly'))) m (n, kind, told)
 WHERE m.told ORDER BY i, m.n;

INSERT INTO shipments (id, order_id, provider, provider_ref, protocol, status, service_code, boxes, quoted_cents, price_cents, tracking_number, label_url,
    asked_at, heard_at, created_at, updated_at)
SELECT label, id, 'melhorenvio', 'me' || i, 'ORD-' || i, CASE fate WHEN 'processing' THEN 'generated' WHEN 'shipped' THEN 'posted' ELSE 'delivered' END,
       '3', '[{"h": 5, "w": 15, "l": 20, "g": 600}]', 1850, 1910, 'BR' || i || 'BR', 'https://labels.example/' || i, at, at, at, at
  FROM bench_orders WHERE invoiced ORDER BY i;
INSERT INTO shipment_events (order_id, shipment_id, code, description, happened_at)
SELECT id, label, e.code, e.code, date_trunc('second', at) + e.n * interval '1 day'
  FROM bench_orders, LATERAL (VALUES (0, 'generated', true), (1, 'posted', fate <> 'processing'), (4, 'delivered', fate IN ('delivered', 'partly'))) e (n, code, told)
 WHERE invoiced AND e.told ORDER BY i, e.n;
INSERT INTO invoices (id, order_id, provider, environment, status, issued_at, sent_at, chave, number, series, total_cents, cancel_reason, danfe, xml, xml_sha256,
    created_at, updated_at, authorized_at, cancelled_at)
SELECT invoice, id, 'focusnfe', 'producao', CASE WHEN invoiced THEN 'authorized' ELSE 'cancelled' END, at, at,
       '352610112223330001815500' || lpad(i::text, 10, '0') || '1' || lpad((i::bigint * 7919 % 1000000000)::text, 9, '0'), i::text, '1', total,
       CASE WHEN NOT invoiced THEN 'Pedido cancelado' END, '\x255044462d312e34', x.xml, sha256(x.xml), at, at, at, CASE WHEN NOT invoiced THEN at END
  FROM bench_orders, LATERAL (SELECT convert_to(string_agg('<det nItem="' || n || '"><prod><cProd>' || md5(i || '-' || n) || '</cProd><NCM>09012100</NCM></prod></det>', ''), 'UTF8') AS xml
         FROM generate_series(1, 80) n) x
 WHERE paid ORDER BY i;

INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause, at)
SELECT id, h.subject, h.subject_id, h.before, h.after, 'bench', 'system', h.cause, at
  FROM bench_orders, LATERAL (VALUES
    (1, true, 'order', NULL::uuid, NULL, 'pending', 'request:' || i),
    (2, true, 'payment_status', NULL, NULL, 'pending_payment', 'request:' || i),
    (3, true, 'payment', payment, NULL, 'creating', 'request:' || i),
    (4, true, 'payment', payment, 'creating', 'pending', 'request:' || i),
    (5, true, 'message', bench_id('f01', i), NULL, 'queued', 'job:' || i),
    (6, true, 'message', bench_id('f01', i), 'queued', 'sent', 'job:' || i),
    (7, paid, 'order', NULL, 'pending', 'processing', 'webhook:' || event),
    (8, paid, 'payment_status', NULL, 'pending_payment', 'paid', 'webhook:' || event),
    (9, paid, 'payment', payment, 'pending', 'paid', 'webhook:' || event),
    (10, paid, 'message', bench_id('f02', i), NULL, 'queued', 'job:' || i),
    (11, paid, 'message', bench_id('f02', i), 'queued', 'sent', 'job:' || i),
    (13, fate IN ('shipped', 'delivered', 'partly'), 'order', NULL, 'processing', 'shipped', 'request:' || i),
    (14, fate IN ('shipped', 'delivered', 'partly'), 'message', bench_id('f03', i), NULL, 'queued', 'job:' || i),
    (15, fate IN ('shipped', 'delivered', 'partly'), 'message', bench_id('f03', i), 'queued', 'sent', 'job:' || i),
    (16, fate IN ('delivered', 'partly'), 'order', NULL, 'shipped', 'delivered', 'job:' || i),
    (17, fate = 'expired', 'payment', payment, 'pending', 'expired', 'job:' || i),
    (18, fate = 'expired', 'order', NULL, 'pending', 'cancelled', 'job:' || i),
    (19, fate = 'expired', 'payment_status', NULL, 'pending_payment', 'expired', 'job:' || i),
    (20, fate = 'refunded', 'order', NULL, 'processing', 'cancelled', 'request:' || i),
    (21, fate IN ('refunded', 'partly'), 'refund', refund, NULL, 'pending', 'request:' || i),
    (22, fate IN ('refunded', 'partly'), 'refund', refund, 'processing', 'done', 'job:' || i),
    (23, fate = 'refunded', 'payment', payment, 'paid', 'refunded', 'job:' || i),
    (24, fate = 'refunded', 'payment_status', NULL, 'paid', 'refunded', 'job:' || i),
    (25, fate = 'partly', 'payment', payment, 'paid', 'partially_refunded', 'job:' || i),
    (26, fate = 'partly', 'payment_status', NULL, 'paid', 'partially_refunded', 'job:' || i),
    (27, fate IN ('expired', 'refunded'), 'message', bench_id('f04', i), NULL, 'queued', 'job:' || i),
    (28, fate IN ('expired', 'refunded'), 'message', bench_id('f04', i), 'queued', 'sent', 'job:' || i),
    (29, invoiced, 'shipment', label, NULL, 'pending', 'job:' || i),
    (30, invoiced, 'shipment', label, 'pending', 'carted', 'job:' || i),
    (31, invoiced, 'shipment', label, 'carted', 'released', 'job:' || i),
    (32, invoiced, 'shipment', label, 'released', 'generated', 'job:' || i),
    (33, invoiced AND fate <> 'processing', 'shipment', label, 'generated', 'posted', 'job:' || i),
    (34, fate IN ('delivered', 'partly'), 'shipment', label, 'posted', 'delivered', 'job:' || i),
    (35, paid, 'invoice', invoice, NULL, 'pending', 'job:' || i),
    (36, paid, 'invoice', invoice, 'pending', 'processing', 'job:' || i),
    (37, paid, 'invoice', invoice, 'processing', 'authorized', 'job:' || i),
    (38, paid AND NOT invoiced, 'invoice', invoice, 'authorized', 'cancelled', 'job:' || i),
    (39, invoiced, 'message', bench_id('f05', i), NULL, 'queued', 'job:' || i),
    (40, invoiced, 'message', bench_id('f05', i), 'queued', 'sent', 'job:' || i),
    (41, fate IN ('delivered', 'partly'), 'message', bench_id('f06', i), NULL, 'queued', 'job:' || i),
    (42, fate IN ('delivered', 'partly'), 'message', bench_id('f06', i), 'queued', 'sent', 'job:' || i)
  ) h (n, told, subject, subject_id, before, after, cause)
 WHERE h.told ORDER BY i, h.n;

-- Done jobs older than a week are purged: what is left is a week's, and what waits.
INSERT INTO jobs (id, kind, payload, dedupe, state, run_at, max_attempts, cause, finished_at)
SELECT bench_id('ff' || j.n, i), j.kind, j.payload, j.dedupe, j.state, CASE WHEN j.state = 'done' THEN at ELSE now() + interval '10 minutes' END, 60,
       'request:' || i, CASE WHEN j.state = 'done' THEN at END
  FROM bench_orders, LATERAL (VALUES
    (1, 'expire_order', jsonb_build_object('kind', 'expire_order', 'order', id), 'expire_order:' || id, CASE WHEN fate = 'pending' THEN 'waiting' ELSE 'done' END),
    (2, 'check_payment', jsonb_build_object('kind', 'check_payment', 'payment', payment), 'check_payment:' || payment, CASE WHEN fate = 'pending' THEN 'waiting' ELSE 'done' END),
    (3, 'mail_order_placed', jsonb_build_object('kind', 'mail_order_placed', 'order', id), NULL, 'done')) j (n, kind, payload, dedupe, state)
 WHERE fate = 'pending' OR i > {orders} * 0.95 ORDER BY i;
DROP TABLE bench_orders;
DROP FUNCTION bench_id;
DROP FUNCTION bench_price;
VACUUM ANALYZE;
