//! When an order is sold, for all who compare.

/// SQL, of an order `o`: it is sold, and some of the money that it took is still the shop's.
pub const IS_SOLD: &str = "
    (o.status IN ('processing', 'shipped', 'delivered') AND o.payment_status IN ('paid', 'partially_refunded')
     AND (SELECT sum(p.captured_cents) > sum(p.refunded_cents + p.lost_cents) FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus))";
