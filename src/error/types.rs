//! The types of problem that an answer can name, one line each.

/// A type of problem (RFC 9457). Its page opens at `/errors/{slug}`.
#[derive(Debug)]
pub struct ProblemType {
    pub status: u16,
    /// What a problem's `type` ends in. Clients switch on it: it never changes.
    pub slug: &'static str,
    pub title: &'static str,
    /// `docs/errors/{slug}.md`, in Markdown.
    pub page: &'static str,
}

/// Makes a constant of each line, and [`ProblemType::ALL`] of all of them. A slug without its page in `docs/errors` does not compile.
macro_rules! problem_types {
    ($($name:ident: $status:literal $slug:literal $title:literal;)+) => {
        impl ProblemType {
            $(pub const $name: Self = Self {
                status: $status,
                slug: $slug,
                title: $title,
                page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors/", $slug, ".md")),
            };)+
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

problem_types! {
    MALFORMED: 400 "malformed" "The request could not be read";
    UNAUTHORIZED: 401 "unauthorized" "Sign in first";
    BAD_SIGNATURE: 401 "bad-signature" "The signature is missing or wrong";
    FORBIDDEN: 403 "forbidden" "You may not do this";
    NOT_FOUND: 404 "not-found" "There is no such thing, or it is not yours";
    METHOD_NOT_ALLOWED: 405 "method-not-allowed" "This address does not take that method";
    OUT_OF_STOCK: 409 "out-of-stock" "There is not enough stock";
    TOO_MANY_UNPAID_ORDERS: 409 "too-many-unpaid-orders" "Too many orders wait for their money";
    TOO_MANY_UNITS: 409 "too-many-units" "That is more than can be ordered at once";
    PRODUCT_NOT_READY: 409 "product-not-ready" "The product cannot be sold yet";
    CART_EMPTY: 409 "cart-empty" "The cart is empty";
    COUPON_REFUSED: 409 "coupon-refused" "The coupon cannot be used";
    CONFLICT: 409 "conflict" "This is not possible now";
    SALE_IS_OFF: 409 "sale-is-off" "The order is not to be sent any more";
    ON_PAPER: 409 "invoice-or-label-stands" "An invoice or a label has these data";
    PRICE_CHANGED: 409 "price-changed" "It costs more than was shown";
    AMOUNT_NOT_ACCEPTED: 409 "amount-not-accepted" "This method of payment does not take this amount";
    KEY_IN_FLIGHT: 409 "idempotency-key-in-flight" "The first request with this key is not finished";
    PROVIDER_REFUSED: 409 "provider-refused" "The provider refused it";
    REQUEST_TIMEOUT: 408 "request-timeout" "The body did not come in time";
    PRECONDITION_FAILED: 412 "precondition-failed" "It was changed since you read it";
    TOO_LARGE: 413 "too-large" "The request is too large";
    URI_TOO_LONG: 414 "uri-too-long" "The address is too long";
    UNSUPPORTED_MEDIA_TYPE: 415 "unsupported-media-type" "This content type is not understood";
    UNSUPPORTED_CONTENT_ENCODING: 415 "unsupported-content-encoding" "Compressed bodies are not read";
    INVALID: 422 "invalid" "Some fields are invalid";
    KEY_REUSED: 422 "idempotency-key-reused" "This Idempotency-Key belongs to another request";
    TOO_MANY_REQUESTS: 429 "too-many-requests" "Too many requests";
    INTERNAL: 500 "internal" "Something went wrong on our side";
    UNAVAILABLE: 503 "unavailable" "Please try again soon";
}
