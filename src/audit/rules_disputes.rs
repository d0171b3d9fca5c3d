//! Disputes: what they took is in the ledger, once, and the states of payments follow.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("a-payment-is-disputed-while-a-dispute-of-it-is-open", "
        SELECT 'payment ' || p.id || ' is ' || p.status || ', open disputes that contest it: ' || coalesce(d.count, 0)
          FROM payments p
          LEFT JOIN (SELECT payment_id, count(*) FROM disputes WHERE stage = 'contested' AND state IN ('open', 'under_review', 'unclear') GROUP BY 1) d
            ON d.payment_id = p.id
         WHERE p.captured_cents > 0 AND (p.status = 'disputed') <> (d.count IS NOT NULL)"),
    ("what-disputes-took-is-what-the-ledger-says", "
        SELECT 'payment ' || p.id || ' says ' || p.lost_cents || ', the ledger ' || coalesce(m.sum, 0)
          FROM payments p
          LEFT JOIN (SELECT payment_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS sum FROM money_movements
                      WHERE kind IN ('dispute_out', 'dispute_back') GROUP BY 1) m ON m.payment_id = p.id
         WHERE p.lost_cents <> coalesce(m.sum, 0)"),
    // Lost, it has taken what it is about; else nothing, or it has given it back.
    ("a-dispute-took-what-its-state-says", "
        SELECT 'dispute ' || d.id || ' is ' || d.state || ' about ' || coalesce(d.amount_cents::text, 'all that is left') || ', and has taken '
               || coalesce(m.sum, 0)
          FROM disputes d JOIN payments p ON p.id = d.payment_id
          LEFT JOIN (SELECT dispute_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS sum FROM money_movements
                      WHERE dispute_id IS NOT NULL GROUP BY 1) m ON m.dispute_id = d.id
         WHERE p.captured_cents > 0 AND coalesce(m.sum, 0) <> CASE WHEN d.state = 'lost' THEN coalesce(d.amount_cents, 0) ELSE 0 END"),
    ("a-dispute-takes-money-once", "
        SELECT 'dispute ' || dispute_id || ' took money ' || count(*) FILTER (WHERE kind = 'dispute_out') || ' times and gave it back '
               || count(*) FILTER (WHERE kind = 'dispute_back') || ' times'
          FROM money_movements WHERE dispute_id IS NOT NULL GROUP BY dispute_id
        HAVING count(*) FILTER (WHERE kind = 'dispute_out') - count(*) FILTER (WHERE kind = 'dispute_back') NOT IN (0, 1) OR count(*) <> max(dispute_step)"),
    // What a bank took back is a dispute, and no refund of the shop's.
    ("a-return-is-booked-once", "
        SELECT 'return ' || d.return_ref || ' of payment ' || d.payment_id || ' is dispute ' || d.id || ' and refund ' || r.id
          FROM disputes d JOIN refunds r ON r.payment_id = d.payment_id AND r.provider_ref = d.return_ref
         WHERE d.return_ref IS NOT NULL AND r.status <> 'failed'"),
    // The operator was told, and only an administrator can end it.
    ("an-unclear-dispute-is-settled", "
        SELECT 'dispute ' || d.id || ' of order ' || o.number || ' is unclear since ' || d.moved_at
          FROM disputes d JOIN orders o ON o.id = d.order_id WHERE d.state = 'unclear' AND d.moved_at < now() - interval '7 days'"),
];
