//! Money: what came in, what went back, and that the ledger agrees.

use super::Rule;
use crate::db::sql;
use crate::sale::states::{PaymentStatus, RefundStatus};

pub(super) const RULES: &[Rule] = &[
    ("a-paid-order-has-exactly-one-capture", "
        SELECT 'order ' || o.number || ' (' || o.payment_status || ') has ' || count(p.id)
          FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.captured_cents > 0 AND NOT p.is_surplus
         WHERE o.payment_status IN ('paid', 'partially_refunded') GROUP BY o.id
        HAVING count(p.id) <> CASE WHEN o.total_cents > 0 THEN 1 ELSE 0 END"),
    ("a-refunded-order-was-captured", "
        SELECT 'order ' || o.number FROM orders o
         WHERE o.payment_status = 'refunded' AND o.total_cents > 0
           AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.status IN ('refunded', 'charged_back', 'disputed'))"),
    ("an-order-has-one-live-and-one-accepted-payment", sql!("
        SELECT 'order ' || order_id || ' has ' || count(*) || ' live payments' FROM payments
         WHERE status IN ", PaymentStatus::LIVE_SQL, " GROUP BY order_id HAVING count(*) > 1
        UNION ALL
        SELECT 'order ' || order_id || ' accepted ' || count(*) || ' payments' FROM payments
         WHERE captured_cents > 0 AND NOT is_surplus GROUP BY order_id HAVING count(*) > 1")),
    ("an-accepted-payment-is-the-orders-total", "
        SELECT 'order ' || o.number || ' costs ' || o.total_cents || ' ' || o.currency || ', payment ' || p.id || ' brought '
               || p.captured_cents || ' ' || p.currency
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.status IN ('paid', 'partially_refunded', 'disputed', 'partially_charged_back') AND NOT p.is_surplus AND (p.captured_cents <> o.total_cents OR p.currency <> o.currency)"),
    ("an-orders-payment-status-is-its-payments", "
        SELECT 'order ' || o.number || ' is ' || o.payment_status || ', of its payment ' || p.id || ' of ' || p.captured_cents || ' are gone '
               || coalesce(m.sum, 0) + p.lost_cents
          FROM payments p JOIN orders o ON o.id = p.order_id
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.captured_cents > 0 AND NOT p.is_surplus AND o.payment_status IN ('paid', 'partially_refunded', 'refunded')
           AND o.payment_status <> CASE WHEN coalesce(m.sum, 0) + p.lost_cents >= p.captured_cents THEN 'refunded'
                                        WHEN coalesce(m.sum, 0) + p.lost_cents > 0 THEN 'partially_refunded' ELSE 'paid' END"),
    ("a-capture-belongs-to-a-paid-order-or-goes-back", "
        SELECT 'payment ' || p.id || ' of order ' || o.number || ' (' || o.payment_status || ')'
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.status = 'paid' AND o.payment_status NOT IN ('paid', 'partially_refunded')
           AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status <> 'failed')"),
    ("surplus-money-goes-back", "
        SELECT 'payment ' || p.id || ' has ' || p.captured_cents - p.refunded_cents - p.lost_cents || ' centavos to give back'
          FROM payments p WHERE p.status = 'surplus' AND p.refunded_cents + p.lost_cents < p.captured_cents"),
    ("a-cancelled-orders-money-goes-back", "
        SELECT 'payment ' || p.id || ' of order ' || o.number || ' has ' || p.captured_cents - p.refunded_cents - p.lost_cents || ' centavos to give back'
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE o.status = 'cancelled' AND p.status IN ('paid', 'partially_refunded', 'partially_charged_back')
           AND p.refunded_cents + p.lost_cents < p.captured_cents"),
    ("captured-is-what-the-ledger-says", "
        SELECT 'payment ' || p.id || ' says ' || p.captured_cents || ', the ledger ' || coalesce(m.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM money_movements WHERE kind = 'capture' GROUP BY 1) m
            ON m.payment_id = p.id
         WHERE p.captured_cents <> coalesce(m.sum, 0)"),
    // Money of another amount than the charge's is never accepted: it goes back. These are few, so each is looked up.
    ("a-captured-amount-is-the-amount-asked", "
        SELECT 'payment ' || p.id || ' asked for ' || p.amount_cents || ' and captured ' || p.captured_cents
          FROM payments p WHERE p.captured_cents NOT IN (0, p.amount_cents)
           AND 0 = (SELECT count(*) FROM order_history h
                     WHERE h.order_id = p.order_id AND h.subject = 'payment' AND h.subject_id = p.id AND h.to_state = 'surplus')"),
    ("a-payment-is-captured-where-its-state-says-so", "
        SELECT 'payment ' || id || ' (' || status || ') captured ' || captured_cents || ' at ' || coalesce(paid_at::text, 'no time') FROM payments
         WHERE (captured_cents > 0) <> (status IN ('paid', 'surplus', 'partially_refunded', 'refunded', 'disputed', 'partially_charged_back', 'charged_back'))
            OR (captured_cents > 0) <> (paid_at IS NOT NULL)"),
    ("refunded-is-what-the-refunds-say", "
        SELECT 'payment ' || p.id || ' says ' || p.refunded_cents || ', its refunds ' || coalesce(r.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM refunds WHERE status <> 'failed' GROUP BY 1) r
            ON r.payment_id = p.id
         WHERE p.refunded_cents <> coalesce(r.sum, 0) OR p.refunded_cents > p.captured_cents"),
    ("refunds-never-exceed-captures", "
        SELECT 'order ' || order_id FROM money_movements GROUP BY order_id
        HAVING coalesce(sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) FILTER (WHERE refund_id IS NOT NULL), 0)
               NOT BETWEEN 0 AND coalesce(sum(amount_cents) FILTER (WHERE kind = 'capture'), 0)"),
    // Whether it is disputed is the next rule's.
    ("a-payments-state-is-what-went-back", "
        SELECT 'payment ' || p.id || ' is ' || p.status || ', of ' || p.captured_cents || ' went back ' || coalesce(m.sum, 0) || ', disputes took '
               || p.lost_cents
          FROM payments p
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.status <> 'disputed' AND p.captured_cents > 0
           AND p.status <> CASE WHEN coalesce(m.sum, 0) + p.lost_cents >= p.captured_cents THEN CASE WHEN p.lost_cents > 0 THEN 'charged_back' ELSE 'refunded' END
                                WHEN p.is_surplus THEN 'surplus' WHEN p.lost_cents > 0 THEN 'partially_charged_back'
                                WHEN coalesce(m.sum, 0) > 0 THEN 'partially_refunded' ELSE 'paid' END"),
    ("a-done-refund-is-in-the-ledger", "
        SELECT 'refund ' || r.id || ' (' || r.status || ') of ' || r.amount_cents || ', the ledger says ' || coalesce(m.sum, 0)
          FROM refunds r
          LEFT JOIN (SELECT refund_id, sum(CASE kind WHEN 'refund_back' THEN -amount_cents ELSE amount_cents END) AS sum FROM money_movements
                      WHERE refund_id IS NOT NULL GROUP BY 1) m ON m.refund_id = r.id
         WHERE coalesce(m.sum, 0) <> CASE WHEN r.status = 'done' THEN r.amount_cents ELSE 0 END"),
    // And nothing but a person's word is paid another way.
    ("a-refund-paid-another-way-is-in-the-ledger-as-such", "
        SELECT 'refund ' || r.id || ' of ' || r.amount_cents || ' was paid another way by ' || coalesce(r.paid_otherwise_by, 'nobody') || ', the ledger says '
               || coalesce(m.amount_cents, 0)
          FROM refunds r LEFT JOIN money_movements m ON m.refund_id = r.id AND m.kind = 'refund_otherwise'
         WHERE coalesce(m.amount_cents, 0) <> CASE WHEN r.paid_otherwise_at IS NULL THEN 0 ELSE r.amount_cents END"),
    ("money-moves-within-one-order", "
        SELECT 'money movement ' || m.id FROM money_movements m JOIN payments p ON p.id = m.payment_id
         WHERE m.order_id <> p.order_id OR m.provider <> p.provider
        UNION ALL
        SELECT 'refund ' || r.id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.order_id <> p.order_id
        UNION ALL
        SELECT 'dispute ' || d.id FROM disputes d JOIN payments p ON p.id = d.payment_id WHERE d.order_id <> p.order_id OR d.provider <> p.provider
        UNION ALL
        SELECT 'money movement ' || m.id FROM money_movements m JOIN disputes d ON d.id = m.dispute_id WHERE m.payment_id <> d.payment_id"),
    ("a-live-payment-is-looked-after", sql!("
        SELECT 'payment ' || p.id || ' (' || p.status || ') was last looked at ' || coalesce(p.checked_at, p.created_at)
          FROM payments p
          LEFT JOIN jobs c ON c.dedupe = 'check_payment:' || p.id AND c.state IN ('waiting', 'running', 'dead')
          LEFT JOIN jobs v ON v.dedupe = 'void_payment:' || p.id AND v.state IN ('waiting', 'running', 'dead')
         WHERE p.status IN ", PaymentStatus::LIVE_SQL, " AND c.id IS NULL AND v.id IS NULL
           AND greatest(p.checked_at, p.updated_at) < now() - interval '15 minutes'")),
    // Its provider was taken out, or answers no more: somebody must say what became of it.
    ("a-live-payment-can-be-asked-about", sql!("
        SELECT 'payment ' || p.id || ' (' || p.status || ') at ' || p.provider || ' ran out at ' || p.expires_at || ', and nobody can say whether it was paid'
          FROM payments p
         WHERE p.status IN ", PaymentStatus::LIVE_SQL, " AND p.expires_at < now() - interval '24 hours'")),
    ("an-open-refund-has-a-job", sql!("
        SELECT 'refund ' || r.id FROM refunds r WHERE r.status IN ", RefundStatus::OPEN_SQL, "
           AND r.updated_at < now() - interval '5 minutes'
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state IN ('waiting', 'running', 'dead'))")),
    ("a-refund-is-not-in-hand-for-ever", "
        SELECT 'refund ' || id || ' (' || status || ') is in hand since ' || coalesce(in_hand_since, created_at) FROM refunds
         WHERE status IN ('processing', 'unknown') AND coalesce(in_hand_since, created_at) < now() - interval '24 hours'"),
    // It is tried for seven days, and its last try may find the provider away for one more.
    ("a-refund-does-not-wait-for-ever", "
        SELECT 'refund ' || id || ' waits since ' || waits_since || ': ' || coalesce(error, '') FROM refunds
         WHERE status = 'waiting' AND waits_since < now() - interval '8 days'"),
    ("a-refunds-key-is-its-own", "
        SELECT 'refund ' || r.id || ' has the key that refund ' || k.refund_id || ' left' FROM refunds r JOIN refund_keys k ON k.key = r.key"),
];
