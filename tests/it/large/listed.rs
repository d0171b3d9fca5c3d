//! What may be read as a whole, each with its reason.

/// Tables that do not grow with what was ever sold.
pub const SMALL: &[(&str, &str)] = &[
    ("alert_occurrences", "counted and deleted within seconds"),
    ("alerts", "a row per key and day, kept for a year; what is asked often has an index"),
    ("categories", "the shop's tree, which people write"),
    ("coupons", "people write them"),
    ("email_changes", "people ask for one; kept for 90 days"),
    ("invoice_corrections", "people write them"),
    ("password_resets", "five an hour and person; kept for a day"),
    ("privacy_requests", "five an hour and person; kept for a day"),
    ("product_imports", "a row per table of products; kept for a year"),
    ("reconciliations", "a row per day and provider"),
    ("refund_keys", "a row per refund that a provider refused"),
    ("secret_keys", "the shop's keys"),
    ("settings", "a row per subject"),
    ("stock_alerts", "variants that are nearly sold out"),
];

/// Folders whose statements read whole tables.
pub const WHOLE_BY_NATURE: &[(&str, &str)] =
    &[("src/audit/", "vitrine audit compares every row with every other one that it must agree with")];

/// A statement, the table, and why it may read more of it than a look-up.
pub const LISTED: &[(&str, &str, &str)] = &[
    (
        "src/catalog/category_admin.rs IN_USE",
        "products",
        "whether a category that is to be deleted has products: it ends at the first one, and administrators delete few",
    ),
    (
        "src/catalog/low_stock.rs TELL",
        "variants",
        "a recurring job; an index on the stock would be written by every sale (docs/decisions/0032)",
    ),
    (
        "src/explain.rs STORY",
        "jobs",
        "for support; an index on what jobs are about would be written by every order. Jobs that are done stay a week",
    ),
    ("src/payments/dispute/http.rs LIST", "disputes", "contested payments are few beside payments"),
    (
        "src/privacy/erase_guest.rs FIRST_ANSWERS",
        "idempotency_keys",
        "the answers of one day, which name their order in the body; an administrator erases few guests",
    ),
    ("src/privacy/erase_guest.rs OF_DOCUMENT", "users", "as orders: src/sale/locks.rs"),
    ("src/purge.rs", "freight_quotes", "a BRIN index, which is read in pieces of 128 pages"),
    ("src/rekey.rs COUNT", "coupon_persons", "vitrine rekey counts what is left of the old keys"),
    ("src/rekey.rs COUNT", "orders", "vitrine rekey counts what is left of the old keys"),
    ("src/rekey.rs COUNT", "users", "vitrine rekey counts what is left of the old keys"),
    (
        "src/sale/locks.rs OF_DOCUMENT",
        "orders",
        "an administrator erases few guests by their document; its index would be written by every checkout",
    ),
    ("src/shipments/http.rs SUMS", "shipments", "the sums of all labels that fit are this list's purpose"),
    (
        "src/users/admin.rs COUNT",
        "users",
        "a part of one or two letters fits so many people that reading on finds ten thousand soon",
    ),
    ("src/worker.rs PULL", "jobs", "of a drain, which tests do and servers do not"),
];
