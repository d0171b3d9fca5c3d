//! Who may call an operation, and how it shows who it is.

use serde_json::{Value, json};

use super::Operation;

/// The providers' proofs: the path that takes them, and the schemes of which one must hold.
const WEBHOOKS: [(&str, &[&str]); 10] = [
    ("/api/webhooks/payment", &["propaySignature"]),
    ("/api/webhooks/openpix", &["openpixSignature", "openpixHmac"]),
    ("/api/webhooks/pix", &["pixSecret"]),
    ("/api/webhooks/pix/pix", &["pixSecret"]),
    ("/api/webhooks/stripe", &["stripeSignature"]),
    ("/api/webhooks/focusnfe", &["focusnfeToken"]),
    ("/api/webhooks/enotas", &["enotasToken", "enotasAddress"]),
    ("/api/webhooks/resend", &["resendSignature"]),
    ("/api/webhooks/africastalking", &["africastalkingToken"]),
    ("/api/webhooks/melhorenvio", &[NOBODY, "melhorenvioSignature"]), // their panel tests an address without a signature
];

pub(super) fn schemes() -> Value {
    let key = |place: &str, name: &str, what: &str| json!({"type": "apiKey", "in": place, "name": name, "description": what});
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The `token` of a session."},
        "opsToken": {"type": "http", "scheme": "bearer", "description": "`OPS_TOKEN` of the server."},
        "orderToken": key("header", "X-Order-Token", "The `access_token` of one order: what its buyer may do without an account."),
        "documentLink": key("query", "token", "The token in a mailed link to an order's documents."),
        "cartToken": key("header", "X-Cart-Token", "A guest's cart: the `cart_token` that came with its first item."),
        "cartCookie": key("cookie", "vitrine_cart", "The same for browsers."),
        "refreshCookie": key("cookie", "vitrine_refresh", "The refresh token for browsers. Every session sets it."),
        "propaySignature": key("header", "X-Propay-Signature", "ProPay: hexadecimal HMAC-SHA256 of the raw body."),
        "openpixSignature": key("header", "x-webhook-signature", "OpenPix: RSA signature of the raw body."),
        "openpixHmac": key("header", "X-OpenPix-Signature", "OpenPix: HMAC of the raw body."),
        "pixSecret": key("query", "hmac", "A bank's Pix API: the secret stands in the address."),
        "stripeSignature": key("header", "Stripe-Signature", "Stripe: HMAC-SHA256 of a time and the raw body."),
        "focusnfeToken": key("header", "X-Focus-Token", "Focus NFe: the secret that was registered with the webhook."),
        "enotasToken": key("header", "X-Token", "eNotas: the secret in a header."),
        "enotasAddress": key("query", "token", "eNotas: the secret in the address."),
        "resendSignature": key("header", "Svix-Signature", "Resend: HMAC-SHA256 of `Svix-Id`, `Svix-Timestamp` and the raw body."),
        "africastalkingToken": key("query", "token", "Africa's Talking: the secret stands in the address."),
        "melhorenvioSignature": key("header", "X-ME-Signature", "Melhor Envio: base64 HMAC-SHA256 of the raw body."),
    })
}

/// Adds to what the feature declared the ways that its extractors take, and says of a public operation that it is public.
pub(super) fn secure(operation: &mut Operation<'_>) {
    let ways: Vec<&str> = if let Some((_, schemes)) = WEBHOOKS.iter().find(|(path, _)| operation.is("post", path)) {
        schemes.to_vec()
    } else if takes_order_token(operation) {
        let with_link = operation.takes("query", "token");
        ["bearer", "orderToken"].into_iter().chain(with_link.then_some("documentLink")).collect()
    } else if operation.path.starts_with("/api/cart") || operation.is("post", "/api/orders") {
        vec![NOBODY, "bearer", "cartToken", "cartCookie"]
    } else if operation.is("post", "/api/auth/refresh") {
        vec![NOBODY, "refreshCookie"]
    } else if operation.is("get", "/metrics") {
        vec!["opsToken"]
    } else if operation.takes("query", "include_inactive") {
        vec![NOBODY, "bearer"]
    } else {
        operation.declared.entry("security").or_insert_with(|| json!([]));
        return;
    };
    let ways: Vec<Value> = ways.into_iter().map(|way| if way == NOBODY { json!({}) } else { json!({way: []}) }).collect();
    operation.declared.insert("security".into(), Value::from(ways));
}

/// Not a scheme: it may be called without any.
const NOBODY: &str = "";

/// Whether a guest's order token opens it: the feature says that one need not be signed in, and it is about one order.
fn takes_order_token(operation: &Operation<'_>) -> bool {
    let of_one_order = operation.path.starts_with("/api/orders/{id}");
    of_one_order && (operation.allows(None) || operation.takes("header", "X-Order-Token") || operation.path.ends_with("/events"))
}
