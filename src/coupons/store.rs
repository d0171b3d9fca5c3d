//! The SQL of coupons.
