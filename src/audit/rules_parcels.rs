//! Parcels: one label each, at a known price, and none forgotten.

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    ("a-parcel-has-one-live-label", "
        SELECT 'order ' || order_id || ' has ' || count(*) || ' labels for parcel ' || volume FROM shipments
         WHERE status NOT IN ('cancelled', 'expired') GROUP BY order_id, volume HAVING count(*) > 1"),
    // The carrier's tracking may come before the price, which is fetched then.
    ("a-label-that-was-paid-says-what-it-cost", "
        SELECT 'label ' || id || ' is ' || status FROM shipments
         WHERE status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')
           AND (provider_ref IS NULL OR (price_cents IS NULL AND updated_at < now() - interval '1 hour'))"),
    // Delivered by the carrier's tracking or by an administrator. History is read only where no label says so: a CASE fixes
    // that order.
    ("a-delivered-order-was-handed-over", "
        SELECT 'order ' || o.number || ' is delivered, and nobody said so'
          FROM orders o
          LEFT JOIN (SELECT DISTINCT order_id FROM shipments WHERE status = 'delivered') s ON s.order_id = o.id
         WHERE o.status = 'delivered'
           AND CASE WHEN o.delivered_at IS NULL THEN true
                    WHEN s.order_id IS NULL
                    THEN NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = o.id AND h.subject = 'shipment' AND h.to_state = 'delivered') END"),
    ("a-parcel-that-arrived-is-an-order-that-did", "
        SELECT 'order ' || o.number || ' is ' || o.status || ', all its parcels arrived'
          FROM orders o
          JOIN (SELECT order_id FROM shipments WHERE status NOT IN ('cancelled', 'expired') GROUP BY 1 HAVING bool_and(status = 'delivered')) s
            ON s.order_id = o.id
         WHERE o.status IN ('processing', 'shipped') AND o.payment_status IN ('paid', 'partially_refunded')"),
    // A purchase that is not finished has a job; so has a label that is no longer wanted. The first of several boxes marks the
    // order as shipped; the others may follow.
    ("a-label-in-the-making-is-looked-after", "
        SELECT 'label ' || s.id || ' is ' || s.status || ', and no job will see to it'
          FROM shipments s JOIN orders o ON o.id = s.order_id AND o.status IN ('processing', 'shipped', 'cancelled')
          LEFT JOIN (SELECT DISTINCT payload ->> 'order' AS order_id FROM jobs
                      WHERE kind IN ('buy_label', 'drop_label') AND state IN ('waiting', 'running', 'dead')) j ON j.order_id = s.order_id::text
         WHERE (s.status IN ('pending', 'carted', 'released') OR (s.status = 'generated' AND (s.label_url IS NULL OR o.status = 'cancelled')))
           AND s.error IS NULL AND s.updated_at < now() - interval '1 hour' AND j.order_id IS NULL
           AND (o.status <> 'shipped' OR s.status IN ('pending', 'carted')
                OR EXISTS (SELECT FROM shipments l WHERE l.order_id = s.order_id AND l.status IN ('posted', 'undelivered', 'delivered')))"),
];
