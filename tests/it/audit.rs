//! Every rule of the audit can fire: each is broken on purpose, by one centavo or one unit, and must be named.

use std::collections::HashSet;

use serde_json::json;
use vitrine::audit;

use crate::shop::{CPF, Shop};

/// (the rule that must fire, what breaks it). Constraints in the way are dropped first: only a bug in the database itself, a
/// restored backup or a person with psql could get past them.
const PLANTED: &[(&str, &str)] = &[
    // Stock and coupons.
    ("stock-is-the-sum-of-its-movements", "UPDATE variants SET stock = stock + 1"),
    ("stock-is-the-sum-of-its-movements", "UPDATE variants SET stock = stock - 1"),
    ("stock-is-the-sum-of-its-movements", "ALTER TABLE stock_movements DISABLE TRIGGER USER; DELETE FROM stock_movements WHERE reason = 'opening'"),
    ("stock-is-never-negative", "ALTER DOMAIN counter DROP CONSTRAINT counter_check; UPDATE variants SET stock = -1"),
    ("movements-name-a-variant", "INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) VALUES (gen_random_uuid(), 1, 'adjustment', 't', 't')"),
    (
        "a-line-moves-once-per-reservation",
        "DROP INDEX stock_movements_once; INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
         SELECT variant_id, delta, reason, order_line_id, reservation, 't', 't' FROM stock_movements WHERE reason = 'sale' LIMIT 1",
    ),
    (
        "a-movement-fits-its-line",
        "ALTER TABLE stock_movements DISABLE TRIGGER USER; UPDATE stock_movements SET delta = delta - 1 WHERE reason = 'sale'",
    ),
    (
        "a-movement-fits-its-line",
        "INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
         SELECT id, 1, 'return', gen_random_uuid(), 1, 't', 't' FROM variants",
    ),
    (
        "a-line-holds-its-stock-while-its-order-does",
        "ALTER TABLE stock_movements DISABLE TRIGGER USER; DELETE FROM stock_movements WHERE reason = 'sale'",
    ),
    ("a-line-holds-its-stock-while-its-order-does", "UPDATE orders SET stock_held = false"),
    ("a-cancelled-order-holds-nothing-and-a-pending-one-its-stock", "UPDATE orders SET stock_held = false WHERE status = 'pending'"),
    ("a-cancelled-order-holds-nothing-and-a-pending-one-its-stock", "UPDATE orders SET stock_held = true WHERE status = 'cancelled'"),
    ("a-product-has-one-default-variant", "UPDATE variants SET is_default = false"),
    ("coupon-uses-are-the-orders-that-hold-them", "UPDATE coupons SET uses = uses + 1"),
    ("coupon-uses-are-the-orders-that-hold-them", "UPDATE orders SET coupon_held = false"),
    ("coupon-uses-stay-within-the-limit", "UPDATE coupons SET max_uses = 1, uses = 2"),
    ("coupon-uses-per-person-stay-within-the-limit", "UPDATE coupon_persons SET uses = 9"),
    (
        "coupon-uses-per-person-stay-within-the-limit",
        "UPDATE coupons SET max_uses_per_customer = 1;
         UPDATE orders SET coupon_held = true, coupon_id = (SELECT id FROM coupons), coupon_code = 'DEZ', customer_email = 'um@example.com'",
    ),
    ("coupon-uses-are-counted-for-a-person", "DELETE FROM coupon_persons"),
    ("coupon-uses-are-counted-for-a-person", "UPDATE coupon_persons SET person = 'somebody else'"),
    // Orders.
    (
        "a-step-stands-in-the-transition-table",
        "INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
         SELECT id, 'order', 'returned', 'pending', '', 't', 't' FROM orders LIMIT 1",
    ),
    ("an-order-has-lines", "DELETE FROM order_lines"),
    (
        "a-line-is-price-times-quantity",
        "ALTER TABLE order_lines DROP CONSTRAINT order_lines_total; UPDATE order_lines SET unit_price_cents = unit_price_cents + 1",
    ),
    (
        "lines-add-up-to-the-subtotal-and-share-the-discount",
        "ALTER TABLE order_lines DROP CONSTRAINT order_lines_total; UPDATE order_lines SET line_total_cents = line_total_cents + 1",
    ),
    ("lines-add-up-to-the-subtotal-and-share-the-discount", "UPDATE order_lines SET quantity = quantity + 1, line_total_cents = unit_price_cents * (quantity + 1)"),
    ("lines-add-up-to-the-subtotal-and-share-the-discount", "UPDATE order_lines SET discount_cents = discount_cents + 1"),
    (
        "total-is-lines-less-discount-plus-freight",
        "ALTER TABLE orders DROP CONSTRAINT orders_sound; UPDATE orders SET total_cents = total_cents + 1",
    ),
    ("freight-costs-nothing-only-for-a-reason-that-holds", "UPDATE orders SET total_cents = total_cents - shipping_cents, shipping_cents = 0"),
    ("freight-costs-nothing-only-for-a-reason-that-holds", "UPDATE orders SET shipping_quoted_cents = shipping_quoted_cents + 1"),
    ("freight-costs-nothing-only-for-a-reason-that-holds", "UPDATE orders SET shipping_provider = 'pickup'"),
    (
        "freight-costs-nothing-only-for-a-reason-that-holds",
        r#"UPDATE orders SET freight_quote = freight_quote || '{"free": {"reason": "rule", "min_subtotal_cents": 0}}'"#,
    ),
    (
        "freight-costs-nothing-only-for-a-reason-that-holds",
        "UPDATE orders SET total_cents = total_cents - shipping_cents, shipping_cents = 0,
                freight_quote = freight_quote || jsonb_build_object('free', jsonb_build_object('reason', 'rule', 'min_subtotal_cents', subtotal_cents + 1))",
    ),
    (
        "freight-costs-nothing-only-for-a-reason-that-holds",
        r#"UPDATE orders SET total_cents = total_cents - shipping_cents, shipping_cents = 0, coupon_code = NULL, coupon_held = false,
                freight_quote = freight_quote || '{"free": {"reason": "coupon"}}'"#,
    ),
    (
        "an-orders-states-fit-together",
        "UPDATE orders SET status = 'cancelled', stock_held = false, cancelled_at = now() WHERE status = 'pending'",
    ),
    (
        "an-orders-states-fit-together",
        "ALTER TABLE orders DROP CONSTRAINT orders_sound; UPDATE orders SET status = 'pending' WHERE payment_status = 'paid'",
    ),
    (
        "a-paid-order-says-when",
        "ALTER TABLE orders DROP CONSTRAINT orders_sound; UPDATE orders SET paid_at = NULL WHERE payment_status = 'paid'",
    ),
    (
        "a-shipped-order-can-be-tracked",
        "ALTER TABLE orders DROP CONSTRAINT orders_sound; UPDATE orders SET status = 'shipped', shipped_at = now() WHERE payment_status = 'paid'",
    ),
    ("what-is-sealed-names-a-key-that-is-in-use", "UPDATE orders SET tax_id_key = 99"),
    ("a-pending-order-has-a-clock", "DELETE FROM jobs WHERE kind = 'expire_order'"),
    (
        "history-ends-where-things-stand",
        "UPDATE orders SET status = 'shipped', tracking_number = 'X', shipped_at = now() WHERE payment_status = 'paid'",
    ),
    (
        "history-has-no-gap",
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'payment_status' AND to_state = 'paid'",
    ),
    ("history-ends-where-things-stand", "UPDATE payments SET status = 'failed' WHERE status = 'pending'"),
    ("history-ends-where-things-stand", "UPDATE refunds SET status = 'unknown' WHERE status = 'done'"),
    ("history-ends-where-things-stand", "UPDATE messages SET status = 'bounced' WHERE kind = 'order_paid'"),
    (
        "history-ends-where-things-stand",
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'order' AND from_state IS NULL",
    ),
    (
        "history-has-no-gap",
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'payment' AND to_state = 'pending'",
    ),
    (
        "history-ends-where-things-stand",
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'message' AND from_state IS NULL",
    ),
    ("history-ends-where-things-stand", "DELETE FROM messages WHERE kind = 'order_paid'"),
    ("a-change-names-its-cause", "ALTER TABLE money_movements DISABLE TRIGGER USER; UPDATE money_movements SET cause = ''"),
    ("a-change-names-its-cause", "ALTER TABLE order_history DISABLE TRIGGER USER; UPDATE order_history SET actor = '' WHERE subject = 'refund'"),
    ("a-change-names-its-cause", "DELETE FROM webhook_events"),
    ("a-message-that-was-sent-is-known-to-its-provider", "UPDATE messages SET provider_ref = NULL WHERE status = 'sent'"),
    (
        "a-text-is-handed-over-once",
        "INSERT INTO messages (id, event, kind, channel, subject, status, provider, provider_ref, open_tries, tried_at)
         VALUES (gen_random_uuid(), 'sms_x', 'order_paid', 'sms', '', 'sent', 'africastalking', 'r', 2, now())",
    ),
        // The confirmation mail lost, sent twice, or sent without a payment.
    (
        "a-buyer-is-told-once-that-an-order-is-paid",
        "DELETE FROM messages WHERE kind = 'order_paid'; DELETE FROM jobs WHERE kind = 'mail_order_paid'",
    ),
    (
        "a-buyer-is-told-once-that-an-order-is-paid",
        "INSERT INTO messages (id, event, kind, channel, order_id, subject, provider)
         SELECT gen_random_uuid(), event || ':2', kind, channel, order_id, subject, provider FROM messages WHERE kind = 'order_paid'",
    ),
    (
        "a-buyer-is-told-once-that-an-order-is-paid",
        "UPDATE messages m SET order_id = o.id FROM orders o WHERE m.kind = 'order_paid' AND o.status = 'pending'",
    ),
    // Invoices.
    (
        "an-order-has-one-live-invoice",
        "DROP INDEX invoices_one_sale; INSERT INTO invoices (id, order_id, provider, environment, total_cents)
         SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents FROM orders o, generate_series(1, 2) WHERE o.payment_status = 'paid'",
    ),
    (
        "a-paid-order-has-its-invoice",
        "UPDATE orders SET paid_at = now() - interval '3 hours' WHERE payment_status = 'paid'; DELETE FROM jobs WHERE kind = 'invoice_order';
         INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, created_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'cancelled', now() - interval '4 hours' FROM orders o WHERE o.payment_status = 'expired' LIMIT 1;
         INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, created_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'cancelled', now() FROM orders o WHERE o.payment_status = 'expired' LIMIT 1",
    ),
    (
        "an-invoice-is-of-its-orders-amount",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents + 1, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-authorised-invoice-has-its-key-and-number",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-authorised-invoice-has-its-key-and-number",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '33261011222333000181650020000000071102030405', '7', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-open-invoice-is-looked-after",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'pending' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-invoice-that-shall-go-is-looked-after",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at, cancel_reason) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now(), 'engano' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-invoices-xml-is-whole",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at, xml, xml_sha256) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now(), 'um', sha256('outro') FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-authorised-invoice-is-kept",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "a-cancelled-order-has-no-standing-invoice",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.status = 'cancelled' LIMIT 1",
    ),
    (
        "a-cancelled-order-has-no-standing-invoice",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1;
         UPDATE orders SET status = 'processing', payment_status = 'refunded' WHERE id IN (SELECT order_id FROM invoices)",
    ),
    (
        "a-cancelled-order-has-no-standing-invoice", // a cancelled return invoice gives nothing back
        "WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.status = 'cancelled' LIMIT 1 RETURNING id, order_id)
         INSERT INTO invoices (id, order_id, purpose, sale_id, provider, environment, total_cents, status)
         SELECT gen_random_uuid(), order_id, 'return', id, 'focusnfe', 'homologacao', 1, 'cancelled' FROM sale",
    ),
    (
        "an-invoice-that-shall-go-is-looked-after",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, cancel_reason) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'rejected', 'engano' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "a-return-gives-back-no-more-than-was-sold",
        "WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1 RETURNING id, order_id)
         INSERT INTO invoices (id, order_id, purpose, sale_id, provider, environment, total_cents, lines)
         SELECT gen_random_uuid(), s.order_id, 'return', s.id, 'focusnfe', 'homologacao', 1, jsonb_build_array(jsonb_build_array(l.id, l.quantity + 1))
           FROM sale s JOIN order_lines l ON l.order_id = s.order_id",
    ),
    (
        "a-refused-invoice-was-told",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'rejected' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "an-invoice-is-of-its-orders-amount", // one of two pieces came back before it, and its amount is still that of both
        "WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents - 1, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1 RETURNING id, order_id)
         SELECT 1; UPDATE invoices i SET lines = jsonb_build_array(jsonb_build_array(l.id, 1)), line_discounts = ARRAY[0] FROM order_lines l WHERE l.order_id = i.order_id",
    ),
    // Goods that came back.
    (
        "no-more-comes-back-than-was-sold",
        "INSERT INTO write_offs (order_line_id, quantity, cause, actor) SELECT id, quantity + 1, 't', 't' FROM order_lines LIMIT 1",
    ),
    (
        "no-more-comes-back-than-was-sold",
        "INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
         SELECT l.variant_id, 1, 'return', l.id, 1, 't', 't' FROM order_lines l, generate_series(1, 3) WHERE l.quantity = 2",
    ),
    (
        "an-order-whose-goods-are-back-holds-nothing",
        "INSERT INTO write_offs (order_line_id, quantity, cause, actor)
         SELECT l.id, l.quantity, 't', 't' FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.payment_status = 'paid'",
    ),
    (
        "an-order-that-is-undone-after-it-left-is-returned",
        "INSERT INTO write_offs (order_line_id, quantity, cause, actor)
         SELECT l.id, l.quantity, 't', 't' FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.payment_status = 'paid';
         UPDATE orders SET status = 'delivered', stock_held = false, payment_status = 'refunded', tracking_number = 'X' WHERE payment_status = 'paid'",
    ),
    (
        "an-order-that-is-undone-after-it-left-is-returned", // its money is on its way
        "INSERT INTO write_offs (order_line_id, quantity, cause, actor)
         SELECT l.id, l.quantity, 't', 't' FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.payment_status = 'paid';
         UPDATE payments SET refunded_cents = captured_cents WHERE status = 'paid';
         UPDATE orders SET status = 'shipped', stock_held = false, tracking_number = 'X' WHERE payment_status = 'paid'",
    ),
    (
        "an-invoice-is-not-of-pieces-that-were-taken-out",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1;
         INSERT INTO write_offs (order_line_id, quantity, cause, actor)
         SELECT l.id, 1, 't', 't' FROM order_lines l JOIN invoices i ON i.order_id = l.order_id",
    ),
    (
        "returns-add-up-to-their-sale", // a centavo more than the sale
        "WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1 RETURNING id, order_id, total_cents)
         INSERT INTO invoices (id, order_id, purpose, sale_id, provider, environment, total_cents)
         SELECT gen_random_uuid(), order_id, 'return', id, 'focusnfe', 'homologacao', total_cents / 2 + n FROM sale, generate_series(0, 2) n",
    ),
    (
        "returns-add-up-to-their-sale", // all pieces, and a centavo less
        "WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status, chave, number, authorized_at) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'authorized', '35261011222333000181550010000001231481516233', '123', now() FROM orders o WHERE o.payment_status = 'paid' LIMIT 1 RETURNING id, order_id, total_cents)
         INSERT INTO invoices (id, order_id, purpose, sale_id, provider, environment, total_cents, lines, line_discounts)
         SELECT gen_random_uuid(), s.order_id, 'return', s.id, 'focusnfe', 'homologacao', s.total_cents - 1, jsonb_build_array(jsonb_build_array(l.id, l.quantity)), ARRAY[0]
           FROM sale s JOIN order_lines l ON l.order_id = s.order_id",
    ),
    (
        "history-ends-where-things-stand",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents, status) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'pending' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1",
    ),
    (
        "what-left-the-shop-was-paid",
        "INSERT INTO invoices (id, order_id, provider, environment, total_cents)
         SELECT gen_random_uuid(), id, 'focusnfe', 'homologacao', total_cents FROM orders WHERE status = 'pending'",
    ),
    (
        "what-left-the-shop-was-paid",
        "INSERT INTO shipments (id, order_id, provider, status, service_code, price_cents)
         SELECT gen_random_uuid(), id, 'melhorenvio', 'posted', '1', 1 FROM orders WHERE status = 'pending'",
    ),
    // Parcels.
    (
        "a-parcel-has-one-live-label",
        "DROP INDEX shipments_one_live; INSERT INTO shipments (id, order_id, provider, service_code)
         SELECT gen_random_uuid(), id, 'melhorenvio', '1' FROM orders, generate_series(1, 2) WHERE payment_status = 'paid'",
    ),
    (
        "a-label-that-was-paid-says-what-it-cost",
        "INSERT INTO shipments (id, order_id, volume, provider, provider_ref, status, service_code, updated_at)
         SELECT gen_random_uuid(), id, 9, 'melhorenvio', id::text, 'released', '1', now() - interval '2 hours' FROM orders WHERE payment_status = 'paid'",
    ),
    ("history-ends-where-things-stand", "UPDATE shipments SET status = 'expired' WHERE status = 'pending'"),
    (
        "history-ends-where-things-stand",
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'shipment' AND from_state IS NULL",
    ),
    (
        "a-delivered-order-was-handed-over",
        "UPDATE orders SET status = 'delivered', tracking_number = 'X', shipped_at = now(), delivered_at = now() WHERE payment_status = 'paid'",
    ),
    (
        "a-parcel-that-arrived-is-an-order-that-did",
        "UPDATE shipments SET status = 'delivered', provider_ref = id::text, price_cents = 1",
    ),
    (
        "a-label-in-the-making-is-looked-after",
        "DELETE FROM jobs WHERE kind = 'buy_label'; UPDATE shipments SET error = NULL, updated_at = now() - interval '2 hours'",
    ),
    (
        "a-label-in-the-making-is-looked-after", // of several boxes, the first one was shipped
        "DELETE FROM jobs WHERE kind = 'buy_label'; UPDATE orders SET status = 'shipped', tracking_number = 'X', shipped_at = now() WHERE id IN (SELECT order_id FROM shipments);
         UPDATE shipments SET status = 'released', error = NULL, updated_at = now() - interval '2 hours';
         INSERT INTO shipments (id, order_id, volume, provider, status, service_code) SELECT gen_random_uuid(), order_id, 2, provider, 'posted', '1' FROM shipments",
    ),
    (
        "a-document-is-sealed-whole-or-not-there",
        "ALTER TABLE orders DROP CONSTRAINT orders_sound; UPDATE orders SET tax_id_key = NULL",
    ),
    ("an-erased-person-is-gone", "UPDATE users SET erased_at = now(), password_hash = NULL, phone = NULL"),
    // Money: one centavo, a doubled capture, a refund too many.
    ("a-paid-order-has-exactly-one-capture", "UPDATE payments SET is_surplus = true WHERE status = 'paid'"),
    ("a-refunded-order-was-captured", "UPDATE orders SET payment_status = 'refunded' WHERE payment_status = 'paid'"),
    (
        "an-order-has-one-live-and-one-accepted-payment",
        "DROP INDEX payments_one_accepted; INSERT INTO payments (id, order_id, method, provider, status, amount_cents, captured_cents, expires_at, paid_at)
         SELECT gen_random_uuid(), order_id, method, provider, 'paid', amount_cents, amount_cents, expires_at, paid_at FROM payments WHERE status = 'paid'",
    ),
    (
        "an-order-has-one-live-and-one-accepted-payment",
        "DROP INDEX payments_one_live; INSERT INTO payments (id, order_id, method, provider, amount_cents, expires_at)
         SELECT gen_random_uuid(), order_id, method, provider, amount_cents, expires_at FROM payments, generate_series(1, 2) WHERE status = 'pending'",
    ),
    (
        "an-accepted-payment-is-the-orders-total",
        "UPDATE orders SET shipping_cents = shipping_cents + 1, total_cents = total_cents + 1 WHERE payment_status = 'paid'",
    ),
    ("an-accepted-payment-is-the-orders-total", "UPDATE payments SET currency = 'USD' WHERE status = 'paid'"),
    ("an-orders-payment-status-is-its-payments", "UPDATE orders SET payment_status = 'paid' WHERE payment_status = 'partially_refunded'"),
    (
        "a-capture-belongs-to-a-paid-order-or-goes-back",
        "UPDATE orders SET status = 'cancelled', payment_status = 'expired', paid_at = NULL WHERE payment_status = 'paid'",
    ),
    ("surplus-money-goes-back", "UPDATE payments SET status = 'surplus' WHERE status = 'paid'"),
    ("a-cancelled-orders-money-goes-back", "UPDATE orders SET status = 'cancelled' WHERE payment_status = 'paid'"),
    ("captured-is-what-the-ledger-says", "UPDATE payments SET captured_cents = captured_cents - 1 WHERE status = 'paid'"),
    (
        "captured-is-what-the-ledger-says",
        "ALTER TABLE money_movements DISABLE TRIGGER USER; DELETE FROM money_movements WHERE kind = 'capture'",
    ),
    (
        "captured-is-what-the-ledger-says",
        "DROP INDEX money_movements_one_capture; INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, cause)
         SELECT order_id, payment_id, kind, amount_cents, provider, cause FROM money_movements WHERE kind = 'capture'",
    ),
    ("a-captured-amount-is-the-amount-asked", "UPDATE payments SET captured_cents = captured_cents - 1 WHERE status = 'paid'"),
    (
        "a-payment-is-captured-where-its-state-says-so",
        "ALTER TABLE payments DROP CONSTRAINT payments_captured; UPDATE payments SET status = 'expired' WHERE status = 'paid'",
    ),
    (
        "a-payment-is-captured-where-its-state-says-so",
        "ALTER TABLE payments DROP CONSTRAINT payments_captured; UPDATE payments SET paid_at = NULL WHERE status = 'paid'",
    ),
    ("refunded-is-what-the-refunds-say", "UPDATE payments SET refunded_cents = 1 WHERE status = 'paid'"),
    ("refunded-is-what-the-refunds-say", "UPDATE refunds SET amount_cents = amount_cents + 1"),
    (
        "refunds-never-exceed-captures",
        "WITH r AS (INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, status)
            SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, captured_cents + 1, 't', 't', 'done' FROM payments WHERE status = 'paid' RETURNING *)
         INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, cause)
         SELECT order_id, payment_id, id, 'refund', amount_cents, 'propay', 't' FROM r",
    ),
    (
        "refunds-never-exceed-captures",
        "DROP INDEX money_movements_one_refund; INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, cause)
         SELECT order_id, payment_id, refund_id, kind, amount_cents, provider, cause FROM money_movements, generate_series(1, 20)
          WHERE kind = 'refund'",
    ),
    ("a-payments-state-is-what-went-back", "UPDATE payments SET status = 'paid' WHERE status = 'partially_refunded'"),
    ("a-payments-state-is-what-went-back", "UPDATE payments SET status = 'refunded' WHERE status = 'partially_refunded'"),
    (
        "a-done-refund-is-in-the-ledger",
        "INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, status)
         SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, 1, 't', 't', 'done' FROM payments WHERE status = 'paid'",
    ),
    ("a-done-refund-is-in-the-ledger", "UPDATE refunds SET status = 'failed' WHERE status = 'done'"),
    (
        "a-refund-paid-another-way-is-in-the-ledger-as-such",
        "UPDATE refunds SET paid_otherwise_at = now(), paid_otherwise_by = 't', note = 't' WHERE status = 'done'",
    ),
    (
        "a-refund-paid-another-way-is-in-the-ledger-as-such",
        "ALTER TABLE money_movements DISABLE TRIGGER USER; UPDATE money_movements SET kind = 'refund_otherwise' WHERE kind = 'refund'",
    ),
    (
        "money-moves-within-one-order",
        "ALTER TABLE money_movements DISABLE TRIGGER USER;
         UPDATE money_movements m SET order_id = o.id FROM orders o WHERE m.kind = 'capture' AND o.status = 'pending'",
    ),
    ("money-moves-within-one-order", "UPDATE refunds r SET order_id = o.id FROM orders o WHERE o.status = 'pending'"),
    // Disputes: taken twice, taken and not said, said and not taken, and states that do not follow.
    (
        "a-payment-is-disputed-while-a-dispute-of-it-is-open",
        "UPDATE disputes SET state = 'won', closed_at = now(), closed_by = 't' WHERE state = 'open'",
    ),
    ("a-payment-is-disputed-while-a-dispute-of-it-is-open", "UPDATE payments SET status = 'paid' WHERE status = 'disputed'"),
    ("a-payments-state-is-what-went-back", "UPDATE payments SET status = 'charged_back' WHERE status = 'partially_charged_back'"),
    ("an-orders-payment-status-is-its-payments", "UPDATE orders SET payment_status = 'paid' WHERE payment_status = 'partially_refunded'"),
    ("what-disputes-took-is-what-the-ledger-says", "UPDATE payments SET lost_cents = lost_cents + 1 WHERE lost_cents > 0"),
    ("a-dispute-took-what-its-state-says", "UPDATE disputes SET state = 'won' WHERE state = 'lost'"),
    ("a-dispute-took-what-its-state-says", "UPDATE disputes SET amount_cents = amount_cents + 1 WHERE state = 'lost'"),
    (
        "a-dispute-takes-money-once",
        "DROP INDEX money_movements_one_step; INSERT INTO money_movements (order_id, payment_id, dispute_id, dispute_step, kind, amount_cents, provider, cause)
         SELECT order_id, payment_id, dispute_id, dispute_step, kind, amount_cents, provider, cause FROM money_movements WHERE kind = 'dispute_out'",
    ),
    (
        "a-return-is-booked-once",
        "UPDATE disputes SET return_ref = 'D1';
         INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref)
         SELECT gen_random_uuid(), gen_random_uuid(), payment_id, order_id, 1, 'done', 't', 't', 'D1' FROM disputes WHERE state = 'lost'",
    ),
    (
        "goods-that-left-are-given-back-only-for-a-refund-of-the-shops",
        "UPDATE orders SET status = 'shipped', tracking_number = 'X', shipped_at = now() - interval '1 day' WHERE payment_status = 'paid';
         WITH sale AS (INSERT INTO invoices (id, order_id, provider, environment, total_cents, status) SELECT gen_random_uuid(), o.id, 'focusnfe', 'homologacao', o.total_cents, 'pending' FROM orders o WHERE o.payment_status = 'paid' LIMIT 1 RETURNING id, order_id)
         INSERT INTO invoices (id, order_id, purpose, sale_id, ground, provider, environment, total_cents)
         SELECT gen_random_uuid(), order_id, 'return', id, 'money', 'focusnfe', 'homologacao', 1 FROM sale",
    ),
    (
        "an-unclear-dispute-is-settled",
        "UPDATE disputes SET state = 'unclear', moved_at = now() - interval '8 days' WHERE state = 'open'",
    ),
    (
        "money-moves-within-one-order",
        "UPDATE disputes d SET order_id = o.id FROM orders o WHERE o.status = 'pending'",
    ),
    ("history-ends-where-things-stand", "UPDATE disputes SET state = 'under_review' WHERE state = 'open'"),
    (
        "a-step-stands-in-the-transition-table",
        "INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
         SELECT order_id, 'dispute', 'won', 'unclear', '', 't', 't' FROM disputes LIMIT 1",
    ),
    ("a-live-payment-can-be-asked-about", "UPDATE payments SET expires_at = now() - interval '25 hours' WHERE status = 'pending'"),
    (
        "a-live-payment-is-looked-after",
        "DELETE FROM jobs WHERE kind = 'check_payment'; UPDATE payments SET checked_at = NULL, updated_at = now() - interval '1 hour'",
    ),
    (
        "a-refund-is-not-in-hand-for-ever",
        "INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, status, in_hand_since)
         SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, 1, 't', 't', 'processing', now() - interval '25 hours' FROM payments WHERE status = 'paid'",
    ),
    (
        "a-refund-does-not-wait-for-ever",
        "INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, status, waits_since)
         SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, 1, 't', 't', 'waiting', now() - interval '9 days' FROM payments WHERE status = 'paid'",
    ),
    ("a-refunds-key-is-its-own", "INSERT INTO refund_keys (key, refund_id) SELECT key, id FROM refunds"),
    (
        "a-step-stands-in-the-transition-table",
        "INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause) SELECT id, 'sale', 'on', 'off', '', 't', 't' FROM orders",
    ),
    (
        "an-open-refund-has-a-job",
        "INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, status, waits_since, updated_at)
         SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, 1, 't', 't', 'waiting', now(), now() - interval '1 hour' FROM payments WHERE status = 'paid'",
    ),
    (
        "an-open-refund-has-a-job",
        "INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, requested_by, updated_at)
         SELECT gen_random_uuid(), gen_random_uuid(), id, order_id, 1, 't', 't', now() - interval '1 hour' FROM payments WHERE status = 'paid'",
    ),
        // Jobs, webhooks, messages and idempotency keys.
    ("jobs-wait-run-or-have-ended", "UPDATE jobs SET run_at = now() - interval '2 hours' WHERE state = 'waiting'"),
    (
        "jobs-wait-run-or-have-ended",
        "UPDATE jobs SET state = 'running', lease = gen_random_uuid(), lease_until = now() - interval '1 hour' WHERE state = 'waiting'",
    ),
    (
        "a-job-is-not-doubled",
        "DROP INDEX jobs_dedupe; INSERT INTO jobs (id, kind, payload, dedupe, max_attempts, cause)
         SELECT gen_random_uuid(), kind, payload, dedupe, max_attempts, cause FROM jobs WHERE kind = 'expire_order' AND state = 'waiting'",
    ),
    (
        "an-alert-is-counted-and-told",
        "INSERT INTO alert_occurrences (key, severity, subject, text, cause, raised_at)
         VALUES ('pix-code-unfit:propay', 'critical', 's', 't', 't', now() - interval '2 hours')",
    ),
    (
        "an-alert-is-counted-and-told",
        "INSERT INTO alerts (id, key, day, severity, subject, text, cause, count, first_at, last_at)
         VALUES (gen_random_uuid(), 'pix-code-unfit:propay', current_date, 'critical', 's', 't', 't', 1, now() - interval '13 hours', now())",
    ),
    (
        "an-alert-is-counted-and-told",
        "INSERT INTO messages (id, event, kind, channel, recipient, subject, provider, created_at)
         VALUES (gen_random_uuid(), 'alert:1', 'alert', 'email', 'x@y.zz', 's', 'resend', now() - interval '3 days')",
    ),
    (
        "a-message-is-written-once-per-event",
        "ALTER TABLE messages DROP CONSTRAINT messages_event_key; INSERT INTO messages (id, event, kind, channel, subject, provider)
         SELECT gen_random_uuid(), event, kind, channel, subject, provider FROM messages",
    ),
    (
        "a-message-that-waits-is-looked-after",
        "INSERT INTO messages (id, event, kind, channel, recipient, subject, provider)
         VALUES (gen_random_uuid(), 'order_placed:' || gen_random_uuid(), 'order_placed', 'email', 'ana@example.com', 's', 'resend')",
    ),
    (
        "a-webhook-is-kept-once",
        "ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_provider_event_id_key;
         INSERT INTO webhook_events (id, provider, event_id, event, body, request_id)
         SELECT gen_random_uuid(), provider, event_id, event, body, request_id FROM webhook_events",
    ),
    (
        "what-was-answered-is-there",
        "UPDATE idempotency_keys SET body = convert_to(replace(convert_from(body, 'UTF8'), (SELECT id::text FROM orders LIMIT 1),
            gen_random_uuid()::text), 'UTF8') WHERE scope LIKE '% POST /api/orders'",
    ),
    (
        "what-was-answered-is-there",
        "UPDATE idempotency_keys SET body = convert_to(replace(convert_from(body, 'UTF8'), (SELECT id::text FROM refunds LIMIT 1),
            gen_random_uuid()::text), 'UTF8') WHERE scope LIKE '% refund:%'",
    ),
    (
        "a-key-is-answered-or-freed",
        "INSERT INTO idempotency_keys (scope, key, fingerprint, lease_until) VALUES ('guest pay', 'k', 'f', now() - interval '3 days')",
    ),
];

#[actix_web::test]
async fn each_planted_corruption_is_named() {
    let shop = a_shop_with_a_past().await;
    let mut db = shop.app.db().await.unwrap();
    assert_eq!(audit::violations(&db).await.unwrap(), Vec::new(), "nothing is broken yet");
    let mut unseen = Vec::new();
    for (rule, corruption) in PLANTED {
        let tx = db.transaction().await.unwrap();
        tx.batch_execute(corruption).await.unwrap_or_else(|e| panic!("{rule}: {e:?}"));
        let fired: HashSet<_> = audit::violations(&tx).await.unwrap().into_iter().map(|v| v.rule).collect();
        if !fired.contains(rule) {
            unseen.push(format!("{rule} did not fire on: {corruption}\nfired: {fired:?}"));
        }
        tx.rollback().await.unwrap();
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
    let named: HashSet<_> = PLANTED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(named, audit::rules().collect(), "every rule is broken by at least one");
    drop(db);
    shop.close().await;
}

/// One order paid with a coupon, one paid and partly refunded, one expired, one waiting with a live charge, two disputed, and a
/// customer.
async fn a_shop_with_a_past() -> Shop {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.customer().await.address().await;
    shop.execute(
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'DEZ', 'percent', 10, 5)",
    )
    .await;
    let buy = async |quantity: i32, extra: serde_json::Value| {
        let cart = shop.guest_cart(&[(&shirt, quantity)]).await;
        let mut order = shop.guest_order(&[(&shirt, quantity)], CPF).await;
        order.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let key = uuid::Uuid::new_v4().to_string();
        let request = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).header("Idempotency-Key", &key);
        let placed = request.json(&order).send().await;
        assert_eq!(placed.status, 201, "{}", placed.body);
        placed.body["id"].as_str().unwrap().to_owned()
    };
    let expired = buy(1, json!({})).await;
    shop.execute(&format!("UPDATE orders SET expires_at = now() WHERE id = '{expired}'")).await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order'").await;
    shop.drain().await;
    for extra in [json!({"coupon": "DEZ", "pay": {"method": "pix"}}), json!({"pay": {"method": "pix"}})] {
        let paid = buy(2, extra).await;
        shop.control().pay(vitrine_sandbox::Pay::of(&paid)).unwrap();
        assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    }
    let refunded: uuid::Uuid = shop.sql("SELECT id FROM orders WHERE coupon_id IS NULL AND payment_status = 'paid'").await;
    let request = shop.admin().await.request("POST", &format!("/api/orders/{refunded}/refund")).header("Idempotency-Key", "um");
    let answer = request.json(&json!({"amount_cents": 1234, "reason": "troca"})).send().await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    shop.drain().await;
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await, "the money went back, and its news came");
    disputed(&shop).await;
    buy(1, json!({"pay": {"method": "pix"}})).await;
    shop.drain().await;
    shop
}

/// Two orders paid by card: of one a dispute is open, of the other a part was lost.
async fn disputed(shop: &Shop) {
    let ana = shop.customer().await;
    for (status, cents) in [("needs_response", 1_000), ("lost", 900)] {
        let (order, _) = crate::cards::paid_by_card(&ana).await;
        let intent = shop.control().charge(&order).unwrap().txid;
        let object = json!({"id": format!("dp_{status}"), "object": "dispute", "amount": cents, "currency": "brl",
            "payment_intent": intent, "reason": "fraudulent", "status": status});
        crate::cards::tell(shop, "charge.dispute.updated", &object).await;
    }
}
