//! The headers of answers.

use serde_json::{Value, json};

use super::Operation;

/// Its name among the components, its own name, what it says, an example if one tells more.
const HEADERS: [(&str, &str, &str, &str); 11] = [
    (
        "RequestId",
        "X-Request-ID",
        "The request's own id, or a new one. Log lines carry it.",
        "0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d",
    ),
    ("ETag", "ETag", "Names exactly this version: for `If-None-Match` and `If-Match`.", "\"9b74c9897bac770ffc029102\""),
    ("CacheControl", "Cache-Control", "How long the answer may be kept, and by whom.", "public, max-age=60"),
    ("Location", "Location", "Where the new thing is.", "/api/products/01a1fe4e-0785-7243-a93f-cc241c46a4e2"),
    ("RetryAfter", "Retry-After", "So many seconds later it is worth another try.", "2"),
    ("Challenge", "WWW-Authenticate", "`Bearer`: a valid access token would help.", "Bearer"),
    ("Replayed", "Idempotency-Replayed", "`true`: this is the first answer under the key, and nothing was done again.", "true"),
    ("CartToken", "X-Cart-Token", "The token of a cart that this request made for a guest.", ""),
    ("DeviceToken", "X-Device-Token", "Shows at the next sign-in that the account was used on this device.", ""),
    ("Attachment", "Content-Disposition", "The name to keep the file under.", "attachment; filename=\"products.csv\""),
    ("Cookie", "Set-Cookie", "For browsers: the same token as an HttpOnly cookie.", ""),
];

/// What only some operations send: method, path, status, component.
const OWN: [(&str, &str, &str, &str); 20] = [
    ("post", "/api/products", "201", "Location"),
    ("post", "/api/products", "201", "ETag"),
    ("put", "/api/products/{id}", "200", "ETag"),
    ("patch", "/api/products/{id}", "200", "ETag"),
    ("patch", "/api/products/{id}/stock", "200", "ETag"),
    ("post", "/api/categories", "201", "Location"),
    ("post", "/api/admin/coupons", "201", "Location"),
    ("post", "/api/cart/items", "200", "CartToken"),
    ("post", "/api/cart/items", "200", "Cookie"),
    ("post", "/api/auth/register", "201", "Cookie"),
    ("post", "/api/auth/login", "200", "Cookie"),
    ("post", "/api/auth/refresh", "200", "Cookie"),
    ("post", "/api/auth/logout", "204", "Cookie"),
    ("post", "/api/auth/reset-password", "204", "Cookie"),
    ("post", "/api/auth/reset-password", "204", "DeviceToken"),
    ("delete", "/api/users/me", "204", "Cookie"),
    ("get", "/api/users/me/export", "200", "Attachment"),
    ("post", "/api/users/me/export", "200", "Attachment"),
    ("post", "/api/privacy/export", "200", "Attachment"),
    ("post", "/api/admin/guests/export", "200", "Attachment"),
];

pub(super) fn shared() -> Value {
    let header = |what: &str, example: &str| match example {
        "" => json!({"description": what, "schema": {"type": "string"}}),
        example => json!({"description": what, "schema": {"type": "string"}, "example": example}),
    };
    HEADERS.iter().map(|(component, _, what, example)| ((*component).to_owned(), header(what, example))).collect()
}

/// The headers by component, as an answer refers to them.
pub(super) fn refer(components: &[&str]) -> Value {
    let known = HEADERS.iter().filter(|(component, ..)| components.contains(component));
    known
        .map(|(component, name, ..)| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{component}")})))
        .collect()
}

/// The components that an error of this status carries.
pub(super) fn of_error(status: &str) -> Vec<&'static str> {
    match status {
        "401" => vec!["RequestId", "Challenge"],
        "409" => vec!["RequestId", "RetryAfter"],
        "429" | "503" => vec!["RequestId", "RetryAfter"],
        _ => vec!["RequestId"],
    }
}

/// Adds the headers of the answers that went well.
pub(super) fn declare(operation: &mut Operation<'_>) {
    let keyed = operation.takes("header", "Idempotency-Key");
    let cached = operation.answers("304");
    let own: Vec<(&str, &str)> = OWN
        .iter()
        .filter(|(method, path, ..)| operation.is(method, path))
        .map(|(.., status, component)| (*status, *component))
        .collect();
    for (status, answer) in operation.declared.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        if answer.get("$ref").is_some() || status.as_str() >= "400" {
            continue;
        }
        let mut components = vec!["RequestId"];
        components.extend(own.iter().filter(|(own, _)| own == status).map(|(_, component)| *component));
        components.extend((keyed && status.starts_with('2')).then_some("Replayed"));
        components.extend(is_file(answer).then_some("Attachment"));
        components.extend(cached.then_some(["ETag", "CacheControl"]).into_iter().flatten());
        let mut headers = refer(&components);
        let declared = answer.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
        headers.as_object_mut().into_iter().for_each(|all| all.extend(declared.clone()));
        answer["headers"] = headers;
    }
}

/// Whether the answer is a file, which is neither JSON nor a stream of events.
fn is_file(answer: &Value) -> bool {
    let mut kinds = answer["content"].as_object().into_iter().flat_map(|content| content.keys());
    kinds.any(|kind| ["text/csv", "application/pdf", "application/xml", "application/zip"].contains(&kind.as_str()))
}
