//! Stock and coupons: taken once, given back once.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("stock-is-the-sum-of-its-movements", "
        SELECT 'variant ' || v.id || ' has ' || v.stock || ', its movements say ' || coalesce(m.sum, 0)
          FROM variants v LEFT JOIN (SELECT variant_id, sum(delta) AS sum FROM stock_movements GROUP BY 1) m ON m.variant_id = v.id
         WHERE v.stock <> coalesce(m.sum, 0)"),
    ("stock-is-never-negative", "SELECT 'variant ' || id || ' has ' || stock FROM variants WHERE stock < 0"),
    ("movements-name-a-variant", "
        SELECT 'movement ' || m.id FROM stock_movements m LEFT JOIN variants v ON v.id = m.variant_id WHERE v.id IS NULL"),
    ("a-line-moves-once-per-reservation", "
        SELECT 'line ' || order_line_id || ': ' || count(*) || ' times ' || reason || ' in reservation ' || reservation
          FROM stock_movements WHERE reason IN ('sale', 'release') GROUP BY order_line_id, reason, reservation HAVING count(*) > 1"),
    ("a-movement-fits-its-line", "
        SELECT 'movement ' || m.id || ' of line ' || m.order_line_id || ' moves ' || m.delta || ' of variant ' || m.variant_id
          FROM stock_movements m LEFT JOIN order_lines l ON l.id = m.order_line_id
         WHERE m.order_line_id IS NOT NULL
           AND (l.id IS NULL OR l.variant_id <> m.variant_id OR abs(m.delta) > l.quantity
                OR (m.reason = 'sale' AND -m.delta <> l.quantity) OR (m.reason = 'sale') <> (m.delta < 0))"),
    // Pieces that were written off stay taken.
    ("a-line-holds-its-stock-while-its-order-does", "
        SELECT 'line ' || l.id || ' of order ' || o.number || ' holds ' || coalesce(-m.sum, 0)
          FROM orders o JOIN order_lines l ON l.order_id = o.id
          LEFT JOIN (SELECT order_line_id, sum(delta) AS sum, coalesce(sum(delta) FILTER (WHERE reason = 'return'), 0) AS returned
                       FROM stock_movements WHERE reason IN ('sale', 'release', 'return') GROUP BY 1) m
            ON m.order_line_id = l.id
          LEFT JOIN (SELECT order_line_id, sum(quantity) AS quantity FROM write_offs GROUP BY 1) w ON w.order_line_id = l.id
         WHERE coalesce(-m.sum, 0) <> CASE WHEN o.stock_held THEN l.quantity - coalesce(m.returned, 0) ELSE coalesce(w.quantity, 0) END"),
    ("a-cancelled-order-holds-nothing-and-a-pending-one-its-stock", "
        SELECT 'order ' || number || ' (' || status || ')' FROM orders
         WHERE (status = 'cancelled' AND (stock_held OR coupon_held)) OR (status = 'pending' AND NOT stock_held)"),
    ("a-product-has-one-default-variant", "
        SELECT 'product ' || p.id || ' has ' || count(v.id) FROM products p LEFT JOIN variants v ON v.product_id = p.id AND v.is_default
         WHERE p.deleted_at IS NULL GROUP BY p.id HAVING count(v.id) <> 1"),
    ("coupon-uses-are-the-orders-that-hold-them", "
        SELECT 'coupon ' || c.code || ' counts ' || c.uses || ', orders ' || coalesce(o.held, 0)
          FROM coupons c LEFT JOIN (SELECT coupon_id, count(*) AS held FROM orders WHERE coupon_held GROUP BY 1) o ON o.coupon_id = c.id
         WHERE c.uses <> coalesce(o.held, 0)"),
    ("coupon-uses-stay-within-the-limit", "
        SELECT 'coupon ' || code || ' was used ' || uses || ' times of ' || max_uses FROM coupons WHERE uses > max_uses"),
    ("coupon-uses-per-person-stay-within-the-limit", "
        SELECT 'coupon ' || c.code || ': ' || p.uses || ' uses by one person'
          FROM coupon_persons p JOIN coupons c ON c.id = p.coupon_id WHERE p.uses > c.max_uses_per_customer
        UNION ALL
        SELECT 'coupon ' || min(c.code) || ': ' || count(*) || ' uses by user ' || o.user_id
          FROM orders o JOIN coupons c ON c.id = o.coupon_id
         WHERE o.coupon_held AND o.user_id IS NOT NULL AND c.max_uses_per_customer IS NOT NULL
         GROUP BY o.coupon_id, o.user_id HAVING count(*) > min(c.max_uses_per_customer)
        UNION ALL
        SELECT 'coupon ' || min(c.code) || ': ' || count(*) || ' uses by one e-mail, among them order ' || min(o.number)
          FROM orders o JOIN coupons c ON c.id = o.coupon_id
         WHERE o.coupon_held AND o.customer_email IS NOT NULL AND c.max_uses_per_customer IS NOT NULL
         GROUP BY o.coupon_id, o.customer_email HAVING count(*) > min(c.max_uses_per_customer)"),
    // An erased person's orders no longer say who: their uses stay counted, and only count for more than the orders show.
    ("coupon-uses-are-counted-for-a-person", "
        SELECT 'coupon ' || c.code || ' counts ' || c.uses || ', its persons ' || coalesce(p.uses, 0)
          FROM coupons c LEFT JOIN (SELECT coupon_id, sum(uses) AS uses FROM coupon_persons GROUP BY 1) p ON p.coupon_id = c.id
         WHERE c.uses <> coalesce(p.uses, 0)
        UNION ALL
        SELECT 'coupon ' || o.coupon_code || ': ' || o.held || ' orders of one person hold it, counted were ' || coalesce(p.uses, 0)
          FROM (SELECT coupon_id, tax_id_hash, min(coupon_code) AS coupon_code, count(*) AS held FROM orders
                 WHERE coupon_held AND tax_id_hash IS NOT NULL GROUP BY 1, 2) o
          LEFT JOIN coupon_persons p ON p.coupon_id = o.coupon_id AND p.person = o.tax_id_hash
         WHERE o.held > coalesce(p.uses, 0)"),
];
