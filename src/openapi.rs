//! The OpenAPI document: what the features declare, completed by what is the same everywhere.
//!
//! A feature declares its operations: bodies, and the answers that are its own. What follows from an operation is added here, in one
//! place: the errors that its extractors give, the headers of its answers, who may call it, its name in client programs. The tests
//! hold every answer of the server to the result (`tests/it/contract.rs`).

mod answers;
mod headers;
mod names;
mod parameters;
mod schemas;
mod security;
mod words;

use serde_json::{Map, Value};

/// The methods that an operation can have, as the document spells them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Completes the document that the features declared.
pub fn complete(mut document: Value) -> Value {
    words::introduce(&mut document);
    schemas::share(&mut document);
    let components = &mut document["components"];
    components["securitySchemes"] = security::schemes();
    components["parameters"] = parameters::shared();
    components["headers"] = headers::shared();
    components["responses"] = answers::shared();
    let described = schemas::descriptions(components);
    for (path, methods) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, declared) in methods.as_object_mut().into_iter().flatten() {
            if let Some(declared) = declared.as_object_mut() {
                let mut operation = Operation { method, path, declared };
                names::name(&mut operation);
                security::secure(&mut operation);
                parameters::declare(&mut operation);
                answers::declare(&mut operation, &described);
                headers::declare(&mut operation);
                parameters::refer(&mut operation);
            }
        }
    }
    document
}

/// The operations that have no name for client programs. A test says that there is none.
pub fn unnamed(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let methods = METHODS.iter().filter(|method| methods.get(**method).is_some());
        found.extend(methods.filter(|method| names::of(method, path).is_none()).map(|method| format!("{method} {path}")));
    }
    found
}

/// One operation while it is completed.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    declared: &'a mut Map<String, Value>,
}

impl Operation<'_> {
    /// For tables: is it this one?
    fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    fn parameters(&self) -> impl Iterator<Item = &Value> {
        self.declared.get("parameters").and_then(Value::as_array).into_iter().flatten()
    }

    /// Whether it has a parameter of that kind: `path`, `query`, `header`.
    fn takes_any(&self, place: &str) -> bool {
        self.parameters().any(|parameter| parameter["in"] == place)
    }

    fn takes(&self, place: &str, name: &str) -> bool {
        let same = |parameter: &&Value| parameter["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.parameters().filter(|parameter| parameter["in"] == place).any(|parameter| same(&parameter))
    }

    fn has_body(&self) -> bool {
        self.declared.contains_key("requestBody")
    }

    fn takes_json(&self) -> bool {
        self.declared.get("requestBody").is_some_and(|body| body["content"].get("application/json").is_some())
    }

    fn answers(&self, status: &str) -> bool {
        self.declared.get("responses").is_some_and(|answers| answers.get(status).is_some())
    }

    /// Whether one of the ways to call it is this scheme; `None`: nobody's.
    fn allows(&self, scheme: Option<&str>) -> bool {
        let ways = self.declared.get("security").and_then(Value::as_array).into_iter().flatten();
        ways.filter_map(Value::as_object).any(|way| scheme.map_or(way.is_empty(), |name| way.contains_key(name)))
    }

    fn is_webhook(&self) -> bool {
        self.path.starts_with("/api/webhooks/")
    }
}
