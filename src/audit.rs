//! Every invariant as SQL that must return no row. Read-only; a row names what is broken and where.

use std::process::ExitCode;

use deadpool_postgres::GenericClient;

use crate::config::Config;
use crate::db;
use crate::error::Result;

/// One broken invariant.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name, stable.
    pub rule: &'static str,
    /// Ids and numbers of what breaks it.
    pub what: String,
}

/// (name, query of one text column). Each query is one pass over indexed or whole tables, never a loop.
const RULES: [(&str, &str); 19] = [
    ("stock-is-the-sum-of-its-movements", "
        SELECT 'variant ' || v.id || ' has ' || v.stock || ', its movements say ' || coalesce(m.sum, 0)
          FROM variants v LEFT JOIN (SELECT variant_id, sum(delta) AS sum FROM stock_movements GROUP BY 1) m ON m.variant_id = v.id
         WHERE v.stock <> coalesce(m.sum, 0)"),
    ("movements-name-a-variant", "
        SELECT 'movement ' || m.id FROM stock_movements m LEFT JOIN variants v ON v.id = m.variant_id WHERE v.id IS NULL"),
    ("a-line-holds-its-stock-while-its-order-does", "
        SELECT 'line ' || l.id || ' of order ' || o.number || ' holds ' || coalesce(-m.sum, 0)
          FROM orders o JOIN order_lines l ON l.order_id = o.id
          LEFT JOIN (SELECT order_line_id, sum(delta) AS sum FROM stock_movements WHERE reason IN ('sale', 'release') GROUP BY 1) m
            ON m.order_line_id = l.id
         WHERE coalesce(-m.sum, 0) <> CASE WHEN o.stock_held THEN l.quantity ELSE 0 END"),
    ("an-order-has-lines", "
        SELECT 'order ' || o.number FROM orders o WHERE NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)"),
    ("lines-add-up-to-the-subtotal", "
        SELECT 'order ' || o.number || ' says ' || o.subtotal_cents || ', its lines ' || l.sum
          FROM orders o JOIN (SELECT order_id, sum(line_total_cents) AS sum, sum(discount_cents) AS discount FROM order_lines GROUP BY 1) l
            ON l.order_id = o.id
         WHERE l.sum <> o.subtotal_cents OR l.discount <> o.discount_cents"),
    ("total-is-lines-less-discount-plus-freight", "
        SELECT 'order ' || number FROM orders WHERE total_cents <> subtotal_cents - discount_cents + shipping_cents OR total_cents < 0"),
    ("a-paid-order-has-exactly-one-capture", "
        SELECT 'order ' || o.number || ' (' || o.payment_status || ') has ' || count(p.id)
          FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.status IN ('paid', 'partially_refunded', 'disputed')
         WHERE o.payment_status IN ('paid', 'partially_refunded') GROUP BY o.id HAVING count(p.id) <> 1"),
    ("a-capture-belongs-to-a-paid-order-or-goes-back", "
        SELECT 'payment ' || p.id || ' of order ' || o.number || ' (' || o.payment_status || ')'
          FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.status = 'paid' AND o.payment_status NOT IN ('paid', 'partially_refunded')
           AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status <> 'failed')"),
    ("surplus-money-goes-back", "
        SELECT 'payment ' || p.id || ' has ' || p.captured_cents - p.refunded_cents || ' centavos to give back'
          FROM payments p WHERE p.status = 'surplus' AND p.refunded_cents <> p.captured_cents"),
    ("captured-is-what-the-ledger-says", "
        SELECT 'payment ' || p.id || ' says ' || p.captured_cents || ', the ledger ' || coalesce(m.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM money_movements WHERE kind = 'capture' GROUP BY 1) m
            ON m.payment_id = p.id
         WHERE p.captured_cents <> coalesce(m.sum, 0)"),
    ("refunded-is-what-the-refunds-say", "
        SELECT 'payment ' || p.id || ' says ' || p.refunded_cents || ', its refunds ' || coalesce(r.sum, 0)
          FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_cents) AS sum FROM refunds WHERE status <> 'failed' GROUP BY 1) r
            ON r.payment_id = p.id
         WHERE p.refunded_cents <> coalesce(r.sum, 0)"),
    ("refunds-never-exceed-captures", "
        SELECT 'order ' || order_id FROM money_movements GROUP BY order_id
        HAVING sum(amount_cents) FILTER (WHERE kind = 'refund') > coalesce(sum(amount_cents) FILTER (WHERE kind = 'capture'), 0)"),
    ("a-done-refund-is-in-the-ledger", "
        SELECT 'refund ' || r.id FROM refunds r LEFT JOIN money_movements m ON m.refund_id = r.id
         WHERE (r.status = 'done') <> (m.id IS NOT NULL) OR (m.id IS NOT NULL AND m.amount_cents <> r.amount_cents)"),
    ("an-open-refund-has-a-job", "
        SELECT 'refund ' || r.id FROM refunds r WHERE r.status IN ('pending', 'processing', 'unknown')
           AND r.updated_at < now() - interval '5 minutes'
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state IN ('waiting', 'running', 'dead'))"),
    ("a-captured-amount-is-the-amount-asked", "
        SELECT 'payment ' || id FROM payments p WHERE captured_cents NOT IN (0, amount_cents)
           AND NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = p.order_id AND h.subject_id = p.id AND h.to_state = 'surplus')"),
    ("coupon-uses-are-the-orders-that-hold-them", "
        SELECT 'coupon ' || c.code || ' counts ' || c.uses || ', orders ' || coalesce(o.held, 0)
          FROM coupons c LEFT JOIN (SELECT coupon_id, count(*) AS held FROM orders WHERE coupon_held GROUP BY 1) o ON o.coupon_id = c.id
         WHERE c.uses <> coalesce(o.held, 0) OR c.uses > coalesce(c.max_uses, c.uses)"),
    ("coupon-uses-per-person-stay-within-the-limit", "
        SELECT 'coupon ' || c.code || ': ' || p.uses || ' uses by one person'
          FROM coupon_persons p JOIN coupons c ON c.id = p.coupon_id WHERE p.uses > c.max_uses_per_customer"),
    ("every-order-can-be-explained", "
        SELECT 'order ' || o.number || ' is ' || o.status || '/' || o.payment_status || ', its history ends elsewhere'
          FROM orders o
          LEFT JOIN LATERAL (SELECT to_state FROM order_history h WHERE h.order_id = o.id AND subject = 'order' ORDER BY id DESC LIMIT 1) s ON true
          LEFT JOIN LATERAL (SELECT to_state FROM order_history h WHERE h.order_id = o.id AND subject = 'payment_status' ORDER BY id DESC LIMIT 1) p
            ON true
         WHERE coalesce(s.to_state, '') <> o.status OR coalesce(p.to_state, '') <> o.payment_status"),
    ("jobs-wait-run-or-have-ended", "
        SELECT 'job ' || id || ' (' || kind || ') was due at ' || run_at FROM jobs
         WHERE (state = 'running' AND lease_until < now() - interval '10 minutes') OR (state = 'waiting' AND run_at < now() - interval '1 hour')"),
];

/// The rules' names.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(rule, _)| *rule)
}

/// Runs every rule.
pub async fn violations(db: &impl GenericClient) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for (rule, sql) in RULES {
        let rows = db::query(db, sql, &[]).await?;
        found.extend(rows.iter().map(|row| Violation { rule, what: row.get(0) }));
    }
    Ok(found)
}

/// `vitrine audit`: a line per violation, exit 1 if there is one.
pub async fn run(config: &Config) -> Result<ExitCode> {
    let pool = db::pool(&config.database)?;
    let mut db = pool.get().await?;
    let tx =
        db.build_transaction().read_only(true).isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let found = violations(&tx).await?;
    for violation in &found {
        println!("{}: {}", violation.rule, violation.what);
    }
    println!("{} rules, {} violation(s)", RULES.len(), found.len());
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
