//! Every answer that the tests receive is held to the OpenAPI document: its status, its headers, its content type and its body. A body
//! must have the fields that the document requires, and no field that the document does not name.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

/// What was asked.
#[derive(Debug, Default)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn of(request: &reqwest::Request) -> Self {
        let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
        Self {
            method: request.method().to_string(),
            path: request.url().path().to_owned(),
            query: request.url().query().unwrap_or_default().to_owned(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec(),
        }
    }
}

/// Headers that the document must name where they are sent.
const NAMED: [&str; 11] = [
    "x-request-id",
    "etag",
    "location",
    "retry-after",
    "www-authenticate",
    "idempotency-replayed",
    "x-cart-token",
    "x-device-token",
    "set-cookie",
    "content-disposition",
    "last-modified",
];

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::new(vitrine::server::openapi()));

/// What of an answer is not as the document says. `body` is `None` where it is not read to its end.
pub fn faults(asked: &Asked, status: u16, headers: &HeaderMap, body: Option<&[u8]>) -> Vec<String> {
    DOCUMENT.faults(asked, status, headers, body)
}

/// Fails where an answer is not as the document says.
#[track_caller]
pub fn hold(asked: &Asked, status: u16, headers: &HeaderMap, body: Option<&[u8]>) {
    let wrong = faults(asked, status, headers, body);
    assert!(wrong.is_empty(), "{} {} answered {status}: {}", asked.method, asked.path, wrong.join(" | "));
}

struct Document {
    whole: Value,
    /// The components as the check reads them: no field beyond those that are named.
    closed: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

enum Found<'a> {
    /// The operation, and `get /api/orders/{id}`.
    Operation(&'a Value, String),
    /// Nothing stands under this address, or not by this method.
    Nothing,
    /// A page or a file: outside the document.
    Page,
}

impl Document {
    fn new(whole: Value) -> Self {
        let mut closed = whole["components"]["schemas"].clone();
        for schema in closed.as_object_mut().unwrap().values_mut() {
            open_objects(schema);
            close_values(schema);
        }
        Self { whole, closed, validators: Mutex::default() }
    }

    fn find(&self, asked: &Asked) -> Found<'_> {
        let path = decoded(&asked.path).replacen("/api/v1/", "/api/", 1);
        let documented = ["/api/", "/health", "/ready", "/metrics"].iter().any(|start| path.starts_with(start));
        if !documented || asked.method == "OPTIONS" {
            return Found::Page;
        }
        let paths = self.whole["paths"].as_object().unwrap();
        let fits = paths.keys().filter(|template| fits(template, &path));
        // Where several fit, the one with the fewest placeholders is meant.
        let Some(template) = fits.min_by_key(|template| template.matches('{').count()) else { return Found::Nothing };
        let method = if asked.method == "HEAD" { "get".to_owned() } else { asked.method.to_lowercase() };
        match paths[template].get(&method) {
            Some(operation) => Found::Operation(operation, format!("{method} {template}")),
            None => Found::Nothing,
        }
    }

    fn faults(&self, asked: &Asked, status: u16, headers: &HeaderMap, body: Option<&[u8]>) -> Vec<String> {
        if status == 500 {
            return Vec::new(); // a failure of ours, which no operation promises: tests that provoke one say so themselves
        }
        let (operation, name) = match self.find(asked) {
            Found::Operation(operation, name) => (operation, name),
            Found::Nothing => return unknown_address(status, headers),
            Found::Page => return Vec::new(),
        };
        let Some(answer) = operation["responses"].get(status.to_string()) else {
            return vec![format!("the document does not name this status of {name}")];
        };
        let answer = self.resolved(answer);
        let mut wrong: Vec<String> = NAMED
            .iter()
            .filter(|header| headers.contains_key(**header) && !names_header(answer, header))
            .map(|header| format!("the document does not name the header {header}"))
            .collect();
        if asked.method != "HEAD" {
            wrong.extend(self.body_faults(answer, &format!("{name} {status}"), headers, body));
        }
        if (200..300).contains(&status) {
            wrong.extend(self.request_faults(operation, &name, asked));
        }
        wrong
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(place) => self.whole.pointer(place.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn body_faults(&self, answer: &Value, name: &str, headers: &HeaderMap, body: Option<&[u8]>) -> Vec<String> {
        let sent = essence(headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default());
        let Some(content) = answer["content"].as_object() else {
            let empty = body.is_none_or(<[u8]>::is_empty);
            return if empty { Vec::new() } else { vec![format!("the document names no body, and there is one: {sent}")] };
        };
        let Some(media) = content.get(&sent) else {
            let named: Vec<_> = content.keys().collect();
            return vec![format!("the document names the content types {named:?}, and not {sent:?}")];
        };
        let is_plain = !headers.contains_key("content-encoding"); // else the client was told to leave it as it came
        let (Some(body), true) = (body, sent.ends_with("json") && is_plain) else { return Vec::new() };
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return vec!["the body is not JSON".to_owned()] };
        let Some(schema) = media.get("schema") else { return vec!["the document has no schema of the body".to_owned()] };
        let mut schema = schema.clone();
        open_objects(&mut schema);
        close_values(&mut schema);
        close(&mut schema);
        self.schema_faults(name, schema, &self.closed, &body)
    }

    /// What was accepted must be what the document says is accepted.
    fn request_faults(&self, operation: &Value, name: &str, asked: &Asked) -> Vec<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| self.resolved(parameter));
        let known: BTreeSet<&str> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        // The catalog leaves out what it does not know: links into a shop carry marks of their own. The others do not look at it.
        // Banks write after the end of the webhook's address, and the shop's own address ends so that this does no harm.
        let has_query = !known.is_empty() && !known.contains("include_inactive") && !name.contains("/webhooks/");
        let sent = asked.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap());
        let foreign = sent.filter(|name| has_query && !known.contains(name));
        let mut wrong: Vec<String> =
            foreign.map(|name| format!("it took the query parameter {name}, which the document does not name")).collect();
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let is_json = essence(&asked.content_type) == "application/json" && !asked.body.is_empty();
        if !schema.is_null() && is_json && !name.contains("/webhooks/") {
            let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            let faults =
                self.schema_faults(&format!("{name} request"), schema.clone(), &self.whole["components"]["schemas"], &body);
            wrong.extend(faults.into_iter().map(|fault| format!("it took a body that the document refuses: {fault}")));
        }
        wrong
    }

    fn schema_faults(&self, name: &str, schema: Value, components: &Value, body: &Value) -> Vec<String> {
        let validator = self.validator(name, schema, components);
        let faults = validator.iter_errors(body).take(3);
        faults
            .map(|fault| format!("{name}: at {:?}: {}", fault.instance_path().to_string(), shortened(&fault.to_string())))
            .collect()
    }

    /// Compiled once per process.
    fn validator(&self, name: &str, schema: Value, components: &Value) -> Arc<Validator> {
        let mut all = self.validators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let compiled = all.entry(name.to_owned()).or_insert_with(|| {
            let needed = reachable(&schema, components);
            let whole = json!({"allOf": [schema], "components": {"schemas": needed}});
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Arc::new(options.build(&whole).unwrap_or_else(|e| panic!("the schema of {name}: {e}")))
        });
        Arc::clone(compiled)
    }
}

/// An address that the document does not know is answered with a problem: it is not there, or not by this method.
fn unknown_address(status: u16, headers: &HeaderMap) -> Vec<String> {
    let is_problem = essence(headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default())
        == "application/problem+json";
    if [404, 405, 408, 413, 415, 429, 503].contains(&status) && is_problem {
        return Vec::new();
    }
    vec!["the document does not name this operation".to_owned()]
}

/// As routes are matched: `/api/%63art` is `/api/cart`, while a `%2F` stays a part of its segment.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii_alphanumeric);
        match byte {
            Some(byte) => whole.extend([char::from(byte).to_string().as_str(), &part[2..]]),
            None => whole.extend(["%", part]),
        }
    }
    whole
}

/// `/api/orders/{id}` fits `/api/orders/A1`.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut parts) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == part || (wanted.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

fn names_header(answer: &Value, name: &str) -> bool {
    answer["headers"].as_object().is_some_and(|headers| headers.keys().any(|own| own.eq_ignore_ascii_case(name)))
}

/// `application/json` of `application/json; charset=utf-8`.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_lowercase()
}

fn shortened(text: &str) -> String {
    if text.len() < 600 {
        text.to_owned()
    } else {
        format!("…{}", text.chars().skip(text.chars().count() - 600).collect::<String>())
    }
}

/// Keywords under which schemas stand that describe the same value as the schema around them.
const SAME_VALUE: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// An object without any named field may have all: the check must not close it.
fn open_objects(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        let is_object = match &schema["type"] {
            Value::String(kind) => kind == "object",
            Value::Array(kinds) => kinds.contains(&json!("object")),
            _ => true,
        };
        let describes = ["properties", "$ref", "enum", "const", "additionalProperties", "allOf", "oneOf", "anyOf", "items"];
        if is_object && !describes.iter().any(|keyword| schema.get(*keyword).is_some()) {
            schema["additionalProperties"] = json!(true);
        }
    });
}

/// Closes every value inside of a schema: its fields, its items. Not the schema itself, which may be one part of several.
fn close_values(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        for field in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
            close(field);
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get_mut(keyword).filter(|inner| inner.is_object()) {
                close(inner);
            }
        }
    });
}

fn close(schema: &mut Value) {
    if schema.as_object().is_some_and(|schema| !schema.is_empty()) && schema.get("additionalProperties").is_none() {
        schema["unevaluatedProperties"] = json!(false);
    }
}

/// Visits a schema and all schemas in it.
fn each_schema(schema: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    if !schema.is_object() {
        return;
    }
    visit(schema);
    for field in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
        each_schema(field, visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(keyword) {
            each_schema(inner, visit);
        }
    }
    for keyword in SAME_VALUE {
        for part in schema.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten() {
            each_schema(part, visit);
        }
    }
}

/// The components that a schema refers to, itself or through others.
fn reachable(schema: &Value, components: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = vec![schema.clone()];
    while let Some(next) = open.pop() {
        match next {
            Value::Object(fields) => {
                if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|place| place.rsplit('/').next())
                    && !found.contains_key(name)
                {
                    found.insert(name.to_owned(), components[name].clone());
                    open.push(components[name].clone());
                }
                open.extend(fields.into_iter().map(|(_, value)| value));
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}
