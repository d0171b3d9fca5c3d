//! The answers that follow from an operation: what its extractors, its limits and its database can say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Operation, headers};
use crate::error::ProblemType;

const PROBLEM: &str = "application/problem+json";

/// The errors that are the same everywhere, by status.
const SHARED: [(&str, &str); 12] = [
    ("400", "Malformed"),
    ("401", "Unauthorized"),
    ("403", "Forbidden"),
    ("404", "NotFound"),
    ("408", "RequestTimeout"),
    ("409", "Conflict"),
    ("412", "PreconditionFailed"),
    ("413", "TooLarge"),
    ("415", "UnsupportedMediaType"),
    ("422", "Invalid"),
    ("429", "TooManyRequests"),
    ("503", "Unavailable"),
];

/// Operations of administrators outside `/api/admin`, beside the changes of the catalog.
const FOR_ADMINS: [(&str, &str); 3] =
    [("post", "/api/orders/{id}/refund"), ("get", "/api/orders/{id}/returns"), ("post", "/api/orders/{id}/returns")];

/// Each shared error with its slugs, as examples.
pub(super) fn shared() -> Value {
    SHARED.iter().map(|(status, component)| ((*component).to_owned(), problem(status, None))).collect()
}

/// An answer with a problem of that status.
fn problem(status: &str, description: Option<&str>) -> Value {
    let kinds = ProblemType::ALL.iter().filter(|kind| kind.status.to_string() == status);
    let said: Vec<String> = kinds.clone().map(|kind| format!("{} (`{}`)", kind.title, kind.slug)).collect();
    let mut content = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    if description.is_none() {
        content["examples"] = kinds.map(|kind| (kind.slug.to_owned(), json!({"value": example(kind)}))).collect();
    }
    json!({
        "description": description.map_or_else(|| said.join("; "), str::to_owned),
        "headers": headers::refer(&headers::of_error(status)),
        "content": {PROBLEM: content},
    })
}

fn example(kind: &ProblemType) -> Value {
    let mut example = json!({
        "type": format!("https://api.loja.example/errors/{}", kind.slug),
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "request_id": "0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d",
    });
    if kind.slug == ProblemType::INVALID.slug {
        example["errors"] = json!([{"field": "items[0].quantity", "message": "lower than 1"}]);
    }
    example
}

/// Completes the answers that the feature declared, and adds those that follow.
pub(super) fn declare(operation: &mut Operation<'_>, described: &BTreeMap<String, String>) {
    let following = following(operation);
    let answers = operation.declared.entry("responses").or_insert_with(|| json!({}));
    let Some(answers) = answers.as_object_mut() else { return };
    for status in following {
        answers.entry(status).or_insert_with(|| json!({}));
    }
    for (status, answer) in answers {
        match SHARED.iter().find(|(own, _)| own == status) {
            Some((_, component)) => complete_error(status, component, answer),
            None => complete_success(status, answer, described),
        }
    }
}

/// An error has the one body that errors have, unless the feature declared another.
fn complete_error(status: &str, component: &str, answer: &mut Value) {
    let schema = answer["content"].as_object().and_then(|content| content.values().next()).map(|media| &media["schema"]);
    let is_problem = schema.is_none_or(|schema| schema["$ref"] == "#/components/schemas/Problem");
    let description = answer["description"].as_str().filter(|text| !text.is_empty());
    if is_problem {
        *answer = match description {
            None => json!({"$ref": format!("#/components/responses/{component}")}),
            Some(description) => problem(status, Some(description)),
        };
    } else {
        let description = description.unwrap_or("It is not possible now").to_owned();
        answer["description"] = json!(description);
        answer["headers"] = headers::refer(&headers::of_error(status));
    }
}

fn complete_success(status: &str, answer: &mut Value, described: &BTreeMap<String, String>) {
    let is_said = answer["description"].as_str().is_some_and(|text| !text.is_empty());
    if !is_said {
        let media = answer["content"].as_object().and_then(|content| content.values().next());
        let own = media.and_then(|media| media["schema"]["$ref"].as_str()).and_then(|name| described.get(name));
        answer["description"] = json!(match (status, own) {
            (_, Some(own)) => own,
            ("201", _) => "It is made",
            ("202", _) => "It is taken on, and done soon",
            ("204", _) => "It is done",
            ("304", _) => "The version that `If-None-Match` names is the present one",
            _ => "The answer",
        });
    }
}

/// The statuses that the operation can have because of what it takes and where it stands.
fn following(operation: &Operation<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    let under_api = operation.path.starts_with("/api/");
    if operation.allows(Some("bearer")) || (operation.is_webhook() && operation.has_body()) {
        found.push("401");
    }
    let shows_all = operation.takes("query", "include_inactive"); // which only administrators may ask for
    let changes_catalog =
        operation.method != "get" && ["/api/products", "/api/categories"].iter().any(|start| operation.path.starts_with(start));
    let is_for_admins = operation.path.starts_with("/api/admin/") || FOR_ADMINS.iter().any(|(m, p)| operation.is(m, p));
    if is_for_admins || changes_catalog || shows_all {
        found.push("403");
    }
    if operation.has_body() {
        found.extend(["400", "408", "413", "415"]);
    }
    if operation.takes_json() && !operation.is_webhook() {
        found.push("422");
    }
    if operation.takes("header", "Idempotency-Key") {
        found.extend(["400", "409", "422"]);
    }
    if operation.takes("header", "If-Match") {
        found.push("412");
    }
    if operation.takes_any("query") && !operation.is_webhook() {
        found.push("422");
    }
    // A path that cannot be is 404, unless the feature says that it is 422.
    let says_422 = operation.answers("422") && !operation.takes_any("query") && !operation.has_body();
    if operation.takes_any("path") && !says_422 {
        found.push("404");
    }
    if under_api && !operation.is_webhook() {
        found.push("429");
    }
    if under_api {
        found.push("503");
    }
    found
}
