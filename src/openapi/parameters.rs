//! Parameters that several operations take.

use serde_json::{Value, json};

use super::Operation;
use crate::http::page::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET};

/// A header that is the same wherever it is taken: its name among the components, its own name, what it is.
const HEADERS: [(&str, &str, &str); 9] = [
    (
        "RequestId",
        "X-Request-ID",
        "Echoed in the answer and put on every log line, if it is a plain token of at most 128 characters.",
    ),
    (
        "IdempotencyKey",
        "Idempotency-Key",
        "Makes the request safe to repeat: 1 to 255 visible characters, a new one for each intent.",
    ),
    ("CartToken", "X-Cart-Token", "The token of a guest's cart. Browsers may send the cookie `vitrine_cart` instead."),
    ("OrderToken", "X-Order-Token", "The `access_token` of the order, for a buyer without an account."),
    (
        "DeviceToken",
        "X-Device-Token",
        "The `device_token` of an earlier session on this device. Browsers send the cookie `vitrine_device`.",
    ),
    ("IfMatch", "If-Match", "The `ETag` of the version that is to be changed; another one by now is 412."),
    ("IfNoneMatch", "If-None-Match", "The `ETag` of the version at hand; it is answered 304 while it is the present one."),
    ("LastEventId", "Last-Event-ID", "The id of the last event that was read: the stream goes on after it."),
    ("AcceptLanguage", "Accept-Language", "The language of messages to the person: `pt-BR` or `en`."),
];

/// What is said of a parameter where its feature says nothing.
const WORDS: [(&str, &str); 12] = [
    ("id", "Its id"),
    ("aid", "The address's id"),
    ("pid", "A variant's id, or a product's of which the cart holds one variant"),
    ("invoice", "The invoice's id"),
    ("document", "Which file: `danfe`, `xml` or `cancellation-xml`"),
    ("month", "A month, as `2026-11`"),
    ("day", "A day, as `2026-11-30`"),
    ("number", "The order's number, or the carrier's tracking number"),
    ("cep", "A CEP, with or without its hyphen"),
    ("limit", "How many items the page has at most"),
    ("offset", "How many items to leave out. `cursor` is faster, and reaches any depth"),
    ("cursor", "The `next_cursor` of the page before"),
];

pub(super) fn shared() -> Value {
    let header = |name: &str, what: &str| {
        let example = match name {
            "X-Request-ID" => "0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d",
            "Idempotency-Key" => "5f0c9a52-3d0f-4f57-8f43-8f4f4c3c1f7e",
            "If-Match" | "If-None-Match" => "\"9b74c9897bac770ffc029102\"",
            "Last-Event-ID" => "42",
            "Accept-Language" => "pt-BR",
            _ => {
                return json!({"name": name, "in": "header", "required": false, "description": what, "schema": {"type": "string"}});
            }
        };
        json!({"name": name, "in": "header", "required": false, "description": what, "schema": {"type": "string"}, "example": example})
    };
    HEADERS.iter().map(|(component, name, what)| ((*component).to_owned(), header(name, what))).collect()
}

/// Declares what the extractors read, and tidies what the feature declared.
pub(super) fn declare(operation: &mut Operation<'_>) {
    let mut declared: Vec<Value> = operation.parameters().cloned().collect();
    for name in path_names(operation.path).filter(|name| !operation.takes("path", name)) {
        declared.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    }
    for name in headers_of(operation).into_iter().filter(|name| !operation.takes("header", name)) {
        declared.push(json!({"name": name, "in": "header", "required": false, "schema": {"type": "string"}}));
    }
    for parameter in &mut declared {
        tidy(parameter, operation.path);
    }
    operation.declared.insert("parameters".into(), Value::from(declared));
}

/// Replaces each shared header by a reference.
pub(super) fn refer(operation: &mut Operation<'_>) {
    for parameter in operation.declared.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let shared = HEADERS.iter().find(|(_, own, _)| own.eq_ignore_ascii_case(&name));
        if let Some((component, ..)) = shared.filter(|_| parameter["in"] == "header") {
            *parameter = json!({"$ref": format!("#/components/parameters/{component}")});
        }
    }
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn headers_of(operation: &Operation<'_>) -> Vec<&'static str> {
    let mut names = vec!["X-Request-ID"];
    let merges_cart = operation.is("post", "/api/auth/login") || operation.is("post", "/api/auth/register");
    if operation.allows(Some("cartToken")) || merges_cart {
        names.push("X-Cart-Token");
    }
    if operation.allows(Some("orderToken")) {
        names.push("X-Order-Token");
    }
    if operation.answers("304") {
        names.push("If-None-Match");
    }
    if operation.path.ends_with("/events") {
        names.push("Last-Event-ID");
    }
    if ["/api/orders", "/api/auth/register", "/api/privacy/requests"].iter().any(|path| operation.is("post", path)) {
        names.push("Accept-Language");
    }
    names
}

/// A parameter is there or not, but never null. What everybody knows of it is said here.
fn tidy(parameter: &mut Value, path: &str) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    without_null(&mut parameter["schema"]);
    let of_order = name == "id" && (path.starts_with("/api/orders/") || path.starts_with("/api/admin/orders/"));
    let words = if of_order {
        Some("Its id, or its number")
    } else {
        WORDS.iter().find(|(own, _)| *own == name).map(|(_, words)| *words)
    };
    if parameter.get("description").is_none()
        && let Some(words) = words
    {
        parameter["description"] = json!(words);
    }
    let schema = &mut parameter["schema"];
    let bounds = match name.as_str() {
        "limit" if path.ends_with("/addresses") => vec![("minimum", json!(1)), ("maximum", json!(MAX_LIMIT))],
        "limit" => vec![("minimum", json!(1)), ("maximum", json!(MAX_LIMIT)), ("default", json!(DEFAULT_LIMIT))],
        "offset" => vec![("minimum", json!(0)), ("maximum", json!(MAX_OFFSET)), ("default", json!(0))],
        _ => Vec::new(),
    };
    for (keyword, value) in bounds {
        if schema[keyword].is_null() {
            schema[keyword] = value;
        }
    }
}

/// Takes the alternative null out of a schema.
fn without_null(schema: &mut Value) {
    let is_null = |schema: &Value| *schema == json!({"type": "null"});
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| !is_null(choice));
        if let [only] = choices.as_slice() {
            let only = only.clone();
            if let Some(fields) = schema.as_object_mut() {
                fields.remove("oneOf");
                fields.extend(only.as_object().cloned().unwrap_or_default());
            }
        }
    }
}
