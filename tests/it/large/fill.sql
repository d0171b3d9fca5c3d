-- A shop that has sold for a year: 40,000 orders with all that belongs to them, and the rows that other tables keep until they are
-- purged. What is purged is not there.
SET session_replication_role = replica; -- no triggers: the rows below fit together
CREATE FUNCTION pg_temp.id(n bigint, kind text) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('019' || lpad(to_hex(n), 5, '0') || '-0000-7000-8000-0000000000' || kind)::uuid $$;
-- When order n was placed: the last one now.
CREATE FUNCTION pg_temp.placed(n bigint) RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT now() - (40000 - n) * interval '13 minutes' $$;
CREATE FUNCTION pg_temp.hash(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(n::text::bytea) $$;

INSERT INTO categories (id, slug, name) SELECT pg_temp.id(n, 'c0'), 'c-' || n, 'Categoria ' || n FROM generate_series(1, 40) n;
INSERT INTO products (id, slug, name, category_id, price_cents, featured, weight_grams, height_cm, width_cm, length_cm, created_at, deleted_at)
SELECT pg_temp.id(n, 'a0'), 'produto-' || n, 'Produto ' || n, pg_temp.id(n % 40 + 1, 'c0'), 100 + n, n % 100 = 0, 300, 5, 15, 20,
       now() - n * interval '1 hour', CASE WHEN n % 50 = 0 THEN now() END FROM generate_series(1, 6000) n;
INSERT INTO product_images (product_id, position, url) SELECT pg_temp.id(n, 'a0'), 1, 'https://example.com/' || n FROM generate_series(1, 6000) n;
INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default, position)
SELECT pg_temp.id(n, 'a1'), pg_temp.id((n + 1) / 2, 'a0'), 'SKU-' || n, 'V', 100, CASE n % 100 WHEN 0 THEN 0 ELSE 50 END, n % 2 = 0, n % 2
  FROM generate_series(1, 12000) n;

INSERT INTO users (id, name, email, password_hash, role, tax_id_sealed, tax_id_key, tax_id_hash, created_at)
SELECT pg_temp.id(n, '10'), 'Pessoa ' || n, 'pessoa' || n || '@example.com', 'x', CASE WHEN n % 1000 = 0 THEN 'admin' ELSE 'user' END, '\x00', 1,
       pg_temp.hash(n), now() - (20000 - n) * interval '26 minutes' FROM generate_series(1, 20000) n;
INSERT INTO addresses (id, user_id, recipient, cep, street, number, district, city, state, is_default)
SELECT pg_temp.id(n, '11'), pg_temp.id(n, '10'), 'P', '01310100', 'R', '1', 'B', 'C', 'SP', true FROM generate_series(1, 20000) n;
INSERT INTO consents (id, user_id, subject, granted) SELECT pg_temp.id(n, '12'), pg_temp.id(n, '10'), 'privacy', true FROM generate_series(1, 20000) n;
INSERT INTO sessions (id, user_id, created_at, revoked_at, revoked_reason)
SELECT pg_temp.id(n, '13'), pg_temp.id(n % 20000 + 1, '10'), now() - n * interval '4 minutes',
       CASE WHEN n % 2 = 0 THEN now() - n * interval '3 minutes' END, CASE WHEN n % 2 = 0 THEN 'logout' END FROM generate_series(1, 30000) n;
INSERT INTO refresh_tokens (token_hash, session_id, issued_at, expires_at, used_at)
SELECT pg_temp.hash(n), pg_temp.id(n, '13'), now() - n * interval '1 minute', now() + interval '20 days' - n * interval '1 minute', NULL
  FROM generate_series(1, 28000) n;

INSERT INTO coupons (id, code, kind, value) SELECT pg_temp.id(n, 'd0'), 'CUPOM' || n, 'percent', 10 FROM generate_series(1, 50) n;
INSERT INTO coupon_persons (coupon_id, person, key, uses) SELECT pg_temp.id(n % 50 + 1, 'd0'), pg_temp.hash(n), 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO carts (id, owner, user_id, coupon_id, updated_at)
SELECT pg_temp.id(n, '20'), CASE WHEN n % 2 = 0 THEN uuid_send(pg_temp.id(n, '10')) ELSE pg_temp.hash(n) END,
       CASE WHEN n % 2 = 0 THEN pg_temp.id(n, '10') END, CASE WHEN n % 20 = 0 THEN pg_temp.id(n % 50 + 1, 'd0') END, now() - n * interval '4 minutes'
  FROM generate_series(1, 20000) n;
INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents)
SELECT pg_temp.id((n + 1) / 2, '20'), pg_temp.id(n % 12000 + 1, 'a1'), 1, 100, 100 FROM generate_series(1, 40000) n;

INSERT INTO orders (id, number, user_id, customer_name, customer_email, tax_id_sealed, tax_id_key, tax_id_hash, status, payment_status, payment_method,
       subtotal_cents, shipping_cents, shipping_quoted_cents, total_cents, coupon_id, coupon_code, coupon_held, shipping_address, shipping_provider,
       carrier, service, service_code, delivery_days, freight_quote, tracking_number, tracked_at, on_hold, placed_from, expires_at, paid_at, shipped_at, created_at)
SELECT pg_temp.id(n, '00'), 'N' || n, CASE WHEN n % 2 = 0 THEN pg_temp.id(n % 10000 + 1, '10') END, 'Pessoa ' || n, 'pessoa' || n % 10000 || '@example.com',
       '\x00', 1, pg_temp.hash(n % 10000), s.status,
       CASE s.status WHEN 'pending' THEN 'pending_payment' WHEN 'cancelled' THEN 'expired' ELSE 'paid' END, 'pix', 100, 0, 0, 100,
       CASE WHEN n % 10 = 0 THEN pg_temp.id(n % 50 + 1, 'd0') END, CASE WHEN n % 10 = 0 THEN 'CUPOM' END, n % 10 = 0 AND s.status <> 'cancelled', '{}', 'melhorenvio', 'c', 's', '1', 1,
       '{"cep": "01310100"}', CASE WHEN s.status IN ('shipped', 'delivered') THEN 'BR' || lpad(n::text, 9, '0') || 'BR' END,
       CASE WHEN s.status = 'shipped' THEN now() - interval '1 hour' END, s.status = 'processing' AND n % 100 = 0,
       CASE WHEN s.status = 'pending' THEN pg_temp.hash(n % 500) END, pg_temp.placed(n) + interval '30 minutes',
       CASE WHEN s.status NOT IN ('pending', 'cancelled') THEN pg_temp.placed(n) END,
       CASE WHEN s.status IN ('shipped', 'delivered') THEN pg_temp.placed(n) END, pg_temp.placed(n)
  FROM generate_series(1, 40000) n,
       LATERAL (SELECT CASE WHEN n > 39800 THEN 'pending' WHEN n % 10 = 9 THEN 'cancelled' WHEN n > 39300 THEN 'processing' WHEN n > 38500 THEN 'shipped'
                            ELSE 'delivered' END AS status) s;
INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, quantity, unit_price_cents, line_total_cents)
SELECT pg_temp.id(n, '01'), pg_temp.id(n, '00'), 1, pg_temp.id(n % 6000 + 1, 'a0'), pg_temp.id(n % 12000 + 1, 'a1'), 'SKU', 'n', 'n', 1, 100, 100
  FROM generate_series(1, 40000) n;
INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor, at)
SELECT pg_temp.id(n % 12000 + 1, 'a1'), -1, 'sale', pg_temp.id(n, '01'), 1, 'test', 'system', pg_temp.placed(n) FROM generate_series(1, 40000) n
UNION ALL
SELECT pg_temp.id(n % 12000 + 1, 'a1'), 1, CASE WHEN n % 10 = 9 THEN 'release' ELSE 'return' END, pg_temp.id(n, '01'), 1, 'test', 'system', pg_temp.placed(n)
  FROM generate_series(1, 40000) n WHERE n % 10 IN (8, 9)
UNION ALL
SELECT pg_temp.id(n, 'a1'), 50, 'opening', NULL, NULL, 'test', 'system', now() - interval '1 year' FROM generate_series(1, 12000) n;
INSERT INTO write_offs (order_line_id, quantity, cause, actor) SELECT pg_temp.id(n * 20, '01'), 1, 'test', 'system' FROM generate_series(1, 2000) n;
INSERT INTO order_history (order_id, subject, from_state, to_state, actor, cause, at)
SELECT pg_temp.id(n, '00'), s.subject, NULL, s.state, 'system', 'test', pg_temp.placed(n)
  FROM generate_series(1, 40000) n, (VALUES ('order', 'pending'), ('payment_status', 'pending_payment'), ('payment_status', 'paid')) AS s (subject, state);

INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, refunded_cents, provider_ref, end_to_end_id, expires_at, paid_at, checked_at,
       created_at, updated_at)
SELECT o.id, o.id, 'pix', CASE WHEN right(o.number, 1) < '5' THEN 'openpix' ELSE 'propay' END,
       CASE o.status WHEN 'pending' THEN 'pending' WHEN 'cancelled' THEN 'expired' ELSE 'paid' END, 100, CASE WHEN o.paid_at IS NULL THEN 0 ELSE 100 END, 0, 'tx' || o.number,
       CASE WHEN o.paid_at IS NOT NULL THEN 'E' || o.number END, o.expires_at, o.paid_at, o.created_at, o.created_at, o.created_at + interval '1 hour'
  FROM orders o;
INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref, created_at, updated_at)
SELECT o.id, o.id, o.id, o.id, 50, CASE WHEN o.status = 'processing' THEN 'pending' WHEN o.number LIKE '%00' THEN 'failed' ELSE 'done' END, 'r', 'admin:x', 're' || o.number,
       o.created_at, o.created_at FROM orders o WHERE o.paid_at IS NOT NULL AND right(o.number, 1) IN ('7', '8');
INSERT INTO refund_keys (key, refund_id) SELECT r.id, r.id FROM refunds r WHERE r.status = 'failed' OR right(r.provider_ref, 2) = '17';
INSERT INTO disputes (id, payment_id, order_id, provider, provider_ref, stage, state, moved_at, closed_at, closed_by)
SELECT o.id, o.id, o.id, 'openpix', 'd' || o.number, 'contested', CASE WHEN n.is_open THEN 'open' ELSE 'won' END, o.created_at,
       CASE WHEN NOT n.is_open THEN now() END, CASE WHEN NOT n.is_open THEN 'provider:openpix' END
  FROM orders o, LATERAL (SELECT o.created_at > now() - interval '7 days' AS is_open) n WHERE o.paid_at IS NOT NULL AND o.number LIKE '%1';
INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, cause, at)
SELECT p.order_id, p.id, NULL::uuid, 'capture', 100, p.provider, 'test', p.paid_at FROM payments p WHERE p.paid_at IS NOT NULL
UNION ALL SELECT r.order_id, r.payment_id, r.id, 'refund', 50, 'propay', 'test', r.updated_at FROM refunds r WHERE r.status = 'done';
INSERT INTO invoices (id, order_id, provider, environment, status, chave, number, series, total_cents, xml, xml_sha256, issued_at, authorized_at, created_at, updated_at)
SELECT o.id, o.id, 'focusnfe', 'producao', CASE WHEN o.status = 'processing' THEN 'pending' WHEN o.number LIKE '%000' THEN 'rejected' ELSE 'authorized' END,
       CASE WHEN o.status <> 'processing' AND o.number NOT LIKE '%000' THEN lpad(substr(o.number, 2), 44, '0') END, '1', '1', 100, x.xml, sha256(x.xml), o.paid_at,
       CASE WHEN o.status <> 'processing' AND o.number NOT LIKE '%000' THEN o.paid_at END, o.created_at, o.created_at
  FROM orders o, LATERAL (SELECT CASE WHEN o.status <> 'processing' THEN '\x3c'::bytea END AS xml) x WHERE o.paid_at IS NOT NULL;
INSERT INTO shipments (id, order_id, provider, provider_ref, status, service_code, price_cents, tracking_number, heard_at, created_at, updated_at, error)
SELECT o.id, o.id, 'melhorenvio', 'me' || o.number, CASE o.status WHEN 'processing' THEN 'pending' WHEN 'shipped' THEN 'posted' ELSE 'delivered' END, '1', 100,
       o.tracking_number, o.created_at, o.created_at, o.created_at, CASE WHEN o.number LIKE '%500' THEN 'e' END FROM orders o WHERE o.paid_at IS NOT NULL;
INSERT INTO shipment_events (order_id, shipment_id, code, description, happened_at)
SELECT o.id, o.id, c.code, 'd', o.created_at FROM orders o, (VALUES ('posted'), ('delivered')) AS c (code) WHERE o.shipped_at IS NOT NULL;
INSERT INTO freight_quotes (id, cep_region, weight_grams, provider, carrier, service, service_code, price_cents, days, quoted_at)
SELECT pg_temp.id(n, '40'), lpad((n % 900)::text, 3, '0'), 1000 * (n % 5 + 1), 'melhorenvio', 'c', 's', '1', 100, 1, now() - n * interval '2 minutes'
  FROM generate_series(1, 20000) n;

-- Done jobs of a week, waiting ones, some that run, some that are dead.
INSERT INTO jobs (id, kind, payload, dedupe, state, run_at, max_attempts, lease, lease_until, last_error, cause, created_at, finished_at)
SELECT pg_temp.id(n, '50'), CASE n % 4 WHEN 0 THEN 'mail_order_paid' WHEN 1 THEN 'expire_order' WHEN 2 THEN 'check_payment' ELSE 'issue_invoice' END,
       jsonb_build_object('order', pg_temp.id(n, '00')), 'k:' || n, s.state, pg_temp.placed(n) + interval '30 minutes', 12,
       CASE WHEN s.state = 'running' THEN pg_temp.id(n, '50') END, CASE WHEN s.state = 'running' THEN now() + interval '1 minute' END,
       CASE WHEN s.state = 'dead' THEN 'away' END, 'test', pg_temp.placed(n), CASE WHEN s.state IN ('done', 'dead') THEN now() - (n % 10000) * interval '1 minute' END
  FROM generate_series(1, 40000) n,
       LATERAL (SELECT CASE WHEN n > 39980 THEN 'running' WHEN n % 500 = 0 THEN 'dead' WHEN n > 25000 THEN 'waiting' ELSE 'done' END AS state) s;
INSERT INTO webhook_events (id, provider, event_id, event, body, outcome, order_id, request_id, received_at)
SELECT pg_temp.id(n, '60'), 'openpix', 'e' || n, 'paid', CASE WHEN n > 31000 THEN '\x7b7d'::bytea ELSE '' END, 'applied', pg_temp.id(n, '00'), 'r', pg_temp.placed(n)
  FROM generate_series(1, 40000) n;
INSERT INTO idempotency_keys (scope, key, fingerprint, status, body, created_at)
SELECT CASE WHEN n % 2 = 0 THEN 'user:' || pg_temp.id(n, '10') || ' POST /api/orders' ELSE 'guest:' || n || ' POST /api/orders' END, 'k' || n, '\x00', 201, '{}',
       now() - n * interval '4 seconds' FROM generate_series(1, 20000) n;
INSERT INTO messages (id, event, kind, channel, order_id, user_id, recipient, subject, html, body, status, provider, provider_ref, created_at, sent_at)
SELECT pg_temp.id(n, '70'), 'order_paid:' || n, 'order_paid', 'email', pg_temp.id(n, '00'), CASE WHEN n % 2 = 0 THEN pg_temp.id(n % 10000 + 1, '10') END,
       'pessoa' || n % 10000 || '@example.com', 'Pedido N' || n, CASE WHEN n > 31000 THEN 'h' END, CASE WHEN n > 31000 THEN 'b' END,
       CASE WHEN n > 39900 THEN 'queued' WHEN n % 400 = 0 THEN 'bounced' ELSE 'sent' END, 'resend', CASE WHEN n <= 39900 THEN 'm' || n END, pg_temp.placed(n), pg_temp.placed(n)
  FROM generate_series(1, 40000) n;
INSERT INTO audit_log (actor, action, entity_id, cause, at)
SELECT 'admin:' || n % 20, CASE n % 3 WHEN 0 THEN 'product.update' ELSE 'stock.move' END, pg_temp.id(n % 6000 + 1, 'a0')::text, 'test', pg_temp.placed(n * 2)
  FROM generate_series(1, 20000) n;
INSERT INTO cep_cache (cep, address, fetched_at)
SELECT lpad(n::text, 8, '0'), CASE WHEN n > 300 OR n % 10 > 0 THEN '{"city": "São Paulo"}'::jsonb END, now() - n * interval '4 minutes' FROM generate_series(1, 20000) n;

SET session_replication_role = origin;
ANALYZE;
