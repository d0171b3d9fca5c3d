//! Goods that came back: what the order, its stock and its invoices say of them agrees with the sums.

use super::Rule;
use crate::db::sql;
use crate::sale::stock::MONEY_WAS_GIVEN_BACK;

/// `back`: so many pieces of each line came back, on the shelf or written off. What an earlier reservation released does not count.
const WITH_BACK: &str = "
    WITH back AS (
        SELECT line, sum(n)::bigint AS n FROM (
            SELECT m.order_line_id AS line, m.delta AS n FROM stock_movements m WHERE m.reason = 'return'
            UNION ALL
            SELECT m.order_line_id, m.delta
              FROM stock_movements m JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id
             WHERE m.reason = 'release' AND m.reservation = o.reservation
            UNION ALL SELECT order_line_id, quantity FROM write_offs) pieces GROUP BY 1)";

pub(super) const RULES: &[Rule] = &[
    ("no-more-comes-back-than-was-sold", sql!(WITH_BACK, "
        SELECT back.n || ' pieces of line ' || l.id || ' came back, sold were ' || l.quantity
          FROM back JOIN order_lines l ON l.id = back.line WHERE back.n > l.quantity
        UNION ALL
        SELECT 'write-off ' || w.id || ' is of no line' FROM write_offs w LEFT JOIN order_lines l ON l.id = w.order_line_id WHERE l.id IS NULL")),
    ("an-order-whose-goods-are-back-holds-nothing", sql!(WITH_BACK, "
        SELECT 'order ' || o.number || ' holds stock, all of its goods are back'
          FROM (SELECT l.order_id, sum(l.quantity - coalesce(back.n, 0)) AS pieces
                  FROM order_lines l LEFT JOIN back ON back.line = l.id GROUP BY 1) still
          JOIN orders o ON o.id = still.order_id
         WHERE o.stock_held AND still.pieces <= 0")),
    ("an-order-that-is-undone-after-it-left-is-returned", sql!(WITH_BACK, "
        SELECT 'order ' || o.number || ' is ' || o.status || ', its goods and its money are back'
          FROM orders o
          JOIN (SELECT l.order_id, sum(l.quantity - coalesce(back.n, 0)) AS pieces
                  FROM order_lines l LEFT JOIN back ON back.line = l.id GROUP BY 1) still ON still.order_id = o.id
          LEFT JOIN (SELECT order_id, sum(captured_cents) AS captured, sum(refunded_cents) AS refunded
                       FROM payments WHERE NOT is_surplus GROUP BY 1) p ON p.order_id = o.id
         WHERE o.status IN ('shipped', 'delivered') AND still.pieces <= 0
           AND (o.total_cents = 0 OR o.payment_status = 'refunded' OR (p.captured > 0 AND p.refunded >= p.captured))")),
    // Pieces that are on the sale's invoice and on no return are with the buyer, or still to be sent. Few orders have returns, so
    // the lines of their invoices are looked up.
    ("an-invoice-is-not-of-pieces-that-were-taken-out", sql!(WITH_BACK, ", paper AS (
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
          FROM paper WHERE on_paper > pieces")),
    // One that gives back all of the pieces gives back all of the money on the sale's invoice, freight included. The release before
    // this one wrote no shares down.
    ("returns-add-up-to-their-sale", "
        SELECT 'returns of invoice ' || s.id || ' come to ' || r.total || ', the sale to ' || s.total_cents
          FROM (SELECT i.sale_id, sum(i.total_cents) AS total, bool_and(i.line_discounts IS NOT NULL) AS is_shared,
                       sum((SELECT sum((e ->> 1)::int) FROM jsonb_array_elements(i.lines) e)) AS pieces
                  FROM invoices i
                 WHERE i.purpose = 'return' AND i.status NOT IN ('denied', 'cancelled') AND i.cancel_reason IS NULL GROUP BY 1) r
          JOIN invoices s ON s.id = r.sale_id
         WHERE r.total > s.total_cents
            OR (r.is_shared AND r.total < s.total_cents
                AND r.pieces >= CASE WHEN s.lines IS NULL THEN (SELECT sum(l.quantity) FROM order_lines l WHERE l.order_id = s.order_id)
                                     ELSE (SELECT sum((e ->> 1)::int) FROM jsonb_array_elements(s.lines) e) END)"),
    // Money that a bank took, or that somebody refunded elsewhere, does not say that goods come back that had left.
    ("goods-that-left-are-given-back-only-for-a-refund-of-the-shops", sql!("
        SELECT 'invoice ' || i.id || ' gives back goods of order ' || o.number || ', whose money the shop did not give back'
          FROM invoices i JOIN orders o ON o.id = i.order_id
         WHERE i.purpose = 'return' AND i.ground = 'money' AND i.status NOT IN ('denied', 'cancelled') AND i.cancel_reason IS NULL
           AND o.status IN ('shipped', 'delivered') AND o.shipped_at < i.created_at AND NOT ", MONEY_WAS_GIVEN_BACK)),
];
