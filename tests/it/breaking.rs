//! The document is compared with that of the last release, `clients/openapi.released.json`. Whatever breaks a client program that was
//! written against it must stand in `CHANGELOG.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde_json::{Map, Value, json};

/// A change that breaks client programs: where (an operation or a component) and which part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    place: String,
    part: String,
    why: &'static str,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: `{}`: {}", self.place, self.part, self.why)
    }
}

impl Break {
    /// A line of the changelog declares it by naming both.
    fn is_declared(&self, changelog: &str) -> bool {
        let named = |line: &&str| line.contains(&format!("`{}`", self.place)) && line.contains(&format!("`{}`", self.part));
        changelog.lines().any(|line| line.contains("Breaking") && named(&line))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    /// What clients send: what they sent until now must be taken.
    Sent,
    /// What clients receive: they must find what they found until now.
    Received,
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: BTreeSet<Break>,
    seen: BTreeSet<(String, Direction)>,
}

/// What of `new` breaks a program that was written against `old`.
pub fn breaks(old: &Value, new: &Value) -> BTreeSet<Break> {
    let mut comparison = Comparison { old, new, breaks: BTreeSet::new(), seen: BTreeSet::new() };
    for (path, methods) in fields(&old["paths"]) {
        for (method, operation) in fields(methods) {
            comparison.operation(&format!("{} {path}", method.to_uppercase()), operation, &new["paths"][path][method]);
        }
    }
    comparison.breaks
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::String(text) => BTreeSet::from([text.as_str()]),
        other => other.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |place| document.pointer(&place[1..]).unwrap())
}

impl Comparison<'_> {
    fn add(&mut self, place: &str, part: &str, why: &'static str) {
        self.breaks.insert(Break { place: place.to_owned(), part: part.to_owned(), why });
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if new.is_null() {
            return self.add(place, place, "the operation is gone");
        }
        if old["operationId"] != new["operationId"] {
            self.add(place, "operationId", "client programs call it by this name");
        }
        self.parameters(place, old, new);
        let (was, is) = (&old["requestBody"], &new["requestBody"]);
        if is["required"] == true && was["required"] != true {
            self.add(place, "requestBody", "a body is required that was not");
        }
        self.content(place, "requestBody", was, is, Direction::Sent);
        for (status, was) in fields(&old["responses"]) {
            let is = &new["responses"][status];
            let (was, is) = (resolved(self.old, was), resolved(self.new, is));
            if is.is_null() {
                if status.starts_with('2') {
                    self.add(place, status, "the answer is gone");
                }
                continue;
            }
            for (header, _) in fields(&was["headers"]).filter(|(header, _)| is["headers"].get(header).is_none()) {
                self.add(place, header, "the header of the answer is gone");
            }
            self.content(place, status, was, is, Direction::Received);
        }
    }

    fn parameters(&mut self, place: &str, old: &Value, new: &Value) {
        let list = |document, operation: &Value| -> Vec<Value> {
            let all = operation["parameters"].as_array().into_iter().flatten();
            all.map(|parameter| resolved(document, parameter).clone()).collect()
        };
        let (was, is) = (list(self.old, old), list(self.new, new));
        let same = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"];
        for parameter in &was {
            let name = parameter["name"].as_str().unwrap();
            match is.iter().find(|other| same(parameter, other)) {
                Some(other) => self.schema(place, name, &parameter["schema"], &other["schema"], Direction::Sent),
                None => self.add(place, name, "the parameter is gone"),
            }
        }
        for parameter in is.iter().filter(|parameter| parameter["required"] == true) {
            if !was.iter().any(|other| same(parameter, other) && other["required"] == true) {
                self.add(place, parameter["name"].as_str().unwrap(), "the parameter is required, and was not");
            }
        }
    }

    fn content(&mut self, place: &str, part: &str, old: &Value, new: &Value, direction: Direction) {
        for (kind, was) in fields(&old["content"]) {
            match new["content"].get(kind) {
                Some(is) => self.schema(place, part, &was["schema"], &is["schema"], direction),
                None => self.add(place, part, "a content type is gone"),
            }
        }
    }

    /// Compares two schemas of one value. Components are compared once, under their own names.
    fn schema(&mut self, place: &str, part: &str, old: &Value, new: &Value, direction: Direction) {
        let (mut place, mut part) = (place.to_owned(), part.to_owned());
        if let (Some(was), Some(is)) = (old["$ref"].as_str(), new["$ref"].as_str()) {
            if !self.seen.insert((format!("{was} {is}"), direction)) {
                return;
            }
            if was == is {
                (place, part) = (was.rsplit('/').next().unwrap().to_owned(), String::new());
            }
        }
        let (whole_old, whole_new) = (flat(self.old, old), flat(self.new, new));
        self.types(&place, &part, &whole_old, &whole_new, direction);
        self.properties(&place, &part, &whole_old, &whole_new, direction);
        self.limits(&place, &part, &whole_old, &whole_new, direction);
        for keyword in ["items", "additionalProperties"] {
            if whole_old[keyword].is_object() && whole_new[keyword].is_object() {
                self.schema(&place, &inner(&part, "[]"), &whole_old[keyword], &whole_new[keyword], direction);
            }
        }
        for keyword in ["oneOf", "anyOf"] {
            let list = |schema: &Value| schema[keyword].as_array().cloned().unwrap_or_default();
            let (was, is) = (list(&whole_old), list(&whole_new));
            let narrowed = is.len() < was.len() && direction == Direction::Sent;
            let widened = is.len() > was.len() && direction == Direction::Received;
            if narrowed || widened || (was.is_empty() != is.is_empty()) {
                self.add(&place, name(&part), "the alternatives are others");
            }
            for (was, is) in was.iter().zip(&is) {
                self.schema(&place, &part, was, is, direction);
            }
        }
    }

    fn types(&mut self, place: &str, part: &str, old: &Value, new: &Value, direction: Direction) {
        let (was, is) = (texts(&old["type"]), texts(&new["type"]));
        let fits = |narrow: &BTreeSet<&str>, wide: &BTreeSet<&str>| {
            wide.is_empty()
                || (!narrow.is_empty()
                    && narrow.iter().all(|kind| wide.contains(kind) || (*kind == "integer" && wide.contains("number"))))
        };
        let good = if direction == Direction::Sent { fits(&was, &is) } else { fits(&is, &was) };
        if !good {
            self.add(place, name(part), "its type is another");
        }
        if direction == Direction::Sent {
            let (was, is) = (texts(&old["enum"]), texts(&new["enum"]));
            let gone = is.len() < was.len() || was.iter().any(|word| !is.contains(word));
            if !is.is_empty() && (was.is_empty() || gone) {
                self.add(place, name(part), "a value is not taken any more");
            }
        }
    }

    fn properties(&mut self, place: &str, part: &str, old: &Value, new: &Value, direction: Direction) {
        let (must_old, must_new) = (texts(&old["required"]), texts(&new["required"]));
        for (field, was) in fields(&old["properties"]) {
            let here = inner(part, field);
            match new["properties"].get(field) {
                Some(is) => self.schema(place, &here, was, is, direction),
                None => self.add(place, &here, "the field is gone"),
            }
            if direction == Direction::Received && must_old.contains(field.as_str()) && !must_new.contains(field.as_str()) {
                self.add(place, &here, "the field may be missing now");
            }
        }
        if direction == Direction::Sent {
            for field in must_new.difference(&must_old) {
                self.add(place, &inner(part, field), "the field is required, and was not");
            }
        }
    }

    fn limits(&mut self, place: &str, part: &str, old: &Value, new: &Value, direction: Direction) {
        if direction == Direction::Received {
            return;
        }
        let number = |schema: &Value, keyword: &str| schema[keyword].as_f64();
        for keyword in ["minimum", "minLength", "minItems"] {
            if let Some(is) = number(new, keyword)
                && number(old, keyword).is_none_or(|was| was < is)
            {
                self.add(place, name(part), "less is taken than before");
            }
        }
        for keyword in ["maximum", "maxLength", "maxItems"] {
            if let Some(is) = number(new, keyword)
                && number(old, keyword).is_none_or(|was| was > is)
            {
                self.add(place, name(part), "less is taken than before");
            }
        }
        if new["pattern"].is_string() && new["pattern"] != old["pattern"] {
            self.add(place, name(part), "its pattern is another");
        }
    }
}

fn inner(part: &str, field: &str) -> String {
    if part.is_empty() { field.to_owned() } else { format!("{part}.{field}") }
}

/// A component as a whole has no part.
fn name(part: &str) -> &str {
    if part.is_empty() { "schema" } else { part }
}

/// The schema itself: what it refers to, with the parts of `allOf` in one.
fn flat(document: &Value, schema: &Value) -> Value {
    let schema = resolved(document, schema);
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove("allOf");
    for part in parts {
        merge(&mut whole, flat(document, part));
    }
    Value::Object(whole)
}

fn merge(whole: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else { return };
    for (keyword, value) in part {
        match (whole.get_mut(&keyword), value) {
            (Some(Value::Object(own)), Value::Object(more)) => own.extend(more),
            (Some(Value::Array(own)), Value::Array(more)) if keyword == "required" => own.extend(more),
            (_, value) => _ = whole.insert(keyword, value),
        }
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

#[test]
fn the_document_beside_the_clients_is_the_present_one() {
    let is_present = read("clients/openapi.json") == vitrine::server::openapi();
    assert!(is_present, "clients/openapi.json is stale: run `cargo run -- openapi --out clients/openapi.json`");
}

#[test]
fn what_breaks_client_programs_is_declared() {
    let changelog = fs::read_to_string(file("CHANGELOG.md")).unwrap();
    let unreleased = changelog
        .split("\n## ")
        .find(|part| part.to_lowercase().starts_with("unreleased") || part.to_lowercase().starts_with("[unreleased"));
    let found = breaks(&read("clients/openapi.released.json"), &vitrine::server::openapi());
    let silent: Vec<String> =
        found.iter().filter(|one| !one.is_declared(unreleased.unwrap_or_default())).map(ToString::to_string).collect();
    assert!(
        silent.is_empty(),
        "declare each under Unreleased, in a line such as \"- **Breaking** `PLACE`: `PART` …\": {silent:#?}"
    );
}

/// A small document: one operation with a body of `Sent` and an answer of `Answer`.
fn small() -> Value {
    json!({
        "paths": {"/a": {"post": {
            "operationId": "doIt",
            "parameters": [{"name": "q", "in": "query", "schema": {"type": "string", "maxLength": 9}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sent"}}}},
            "responses": {
                "200": {"headers": {"ETag": {}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
                "404": {}
            }
        }}},
        "components": {"schemas": {
            "Sent": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": "integer"}}},
            "Answer": {"type": "object", "required": ["c"], "properties": {"c": {"type": "array", "items": {"type": "string"}}, "d": {"type": "integer"}}}
        }}
    })
}

fn found_after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, mut new) = (small(), small());
    change(&mut new);
    breaks(&old, &new).into_iter().map(|one| format!("{} {}", one.place, one.part)).collect()
}

fn without(value: &mut Value, field: &str) {
    value.as_object_mut().unwrap().remove(field).unwrap();
}

#[test]
fn each_kind_of_break_is_found() {
    let operation = |new: &mut Value, field: &str, value: Value| new["paths"]["/a"]["post"][field] = value;
    let sent = |new: &mut Value, place: &str, value: Value| {
        *new.pointer_mut(&format!("/components/schemas/Sent{place}")).unwrap() = value
    };
    assert_eq!(found_after(|new| without(&mut new["paths"], "/a")), ["POST /a POST /a"]);
    assert_eq!(found_after(|new| operation(new, "operationId", json!("other"))), ["POST /a operationId"]);
    assert_eq!(found_after(|new| operation(new, "parameters", json!([]))), ["POST /a q"]);
    assert_eq!(found_after(|new| new["paths"]["/a"]["post"]["parameters"][0]["schema"]["maxLength"] = json!(8)), ["POST /a q"]);
    assert_eq!(found_after(|new| new["paths"]["/a"]["post"]["parameters"][0]["required"] = json!(true)), ["POST /a q"]);
    assert_eq!(found_after(|new| new["paths"]["/a"]["post"]["requestBody"]["required"] = json!(true)), ["POST /a requestBody"]);
    assert_eq!(found_after(|new| without(&mut new["paths"]["/a"]["post"]["responses"], "200")), ["POST /a 200"]);
    assert_eq!(
        found_after(|new| without(&mut new["paths"]["/a"]["post"]["responses"]["200"]["headers"], "ETag")),
        ["POST /a ETag"]
    );
    assert_eq!(found_after(|new| sent(new, "/required", json!(["a", "b"]))), ["Sent b"]);
    assert_eq!(found_after(|new| sent(new, "/properties/a/enum", json!(["x"]))), ["Sent a"]);
    assert_eq!(found_after(|new| sent(new, "/properties/b/type", json!("string"))), ["Sent b"]);
    assert_eq!(found_after(|new| without(&mut new["components"]["schemas"]["Sent"]["properties"], "b")), ["Sent b"]);
    assert_eq!(found_after(|new| without(&mut new["components"]["schemas"]["Answer"]["properties"], "d")), ["Answer d"]);
    assert_eq!(found_after(|new| new["components"]["schemas"]["Answer"]["required"] = json!([])), ["Answer c"]);
    let nullable = json!(["string", "null"]);
    assert_eq!(
        found_after(|new| new["components"]["schemas"]["Answer"]["properties"]["c"]["items"]["type"] = nullable),
        ["Answer c.[]"]
    );
}

#[test]
fn what_is_added_breaks_nobody() {
    let added = found_after(|new| {
        new["paths"]["/b"] = json!({"get": {"responses": {"200": {}}}});
        new["paths"]["/a"]["post"]["parameters"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "r", "in": "query", "schema": {"type": "string"}}));
        new["paths"]["/a"]["post"]["responses"]["409"] = json!({});
        new["components"]["schemas"]["Sent"]["properties"]["e"] = json!({"type": "string"});
        new["components"]["schemas"]["Sent"]["properties"]["a"]["enum"] = json!(["x", "y", "z"]);
        new["components"]["schemas"]["Answer"]["properties"]["f"] = json!({"type": "string"});
        without(&mut new["paths"]["/a"]["post"]["responses"], "404");
    });
    assert_eq!(added, Vec::<String>::new());
}

#[test]
fn a_break_is_declared_by_a_line_that_names_it() {
    let one = Break { place: "POST /a".into(), part: "q".into(), why: "" };
    assert!(one.is_declared("- **Breaking** `POST /a`: the parameter `q` is gone."));
    assert!(!one.is_declared("- `POST /a`: the parameter `q` is gone."));
    assert!(!one.is_declared("- **Breaking** `POST /a`: the parameter `r` is gone."));
}
