//! What the features declare to the OpenAPI document: descriptions, limits, words and examples, held to the rules that refuse a request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::nonsense::Things;
use crate::shop::Shop;

fn document() -> Value {
    serde_json::to_value(vitrine::server::openapi()).unwrap()
}

/// `get /api/orders` and its operation, for all of them.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

/// What a reference names, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |place| document.pointer(&place[1..]).unwrap_or_else(|| panic!("{place}")))
}

/// Whether a schema, or the one that it refers to, says what it is.
fn is_described(schema: &Value) -> bool {
    let says = |schema: &Value| schema["description"].as_str().is_some_and(|text| text.len() > 3);
    says(schema) || ["oneOf", "allOf"].iter().any(|key| schema[key].as_array().is_some_and(|all| all.iter().any(says)))
}

fn is_a(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&kind.into()))
}

#[test]
fn every_operation_says_in_a_line_what_it_does_and_then_more() {
    for (operation, declared) in operations(&document()) {
        let summary = declared["summary"].as_str().unwrap_or_default();
        assert!(
            (5..=80).contains(&summary.len()) && !summary.ends_with('.'),
            "{operation}: the first line of its docstring: {summary}"
        );
        assert!(declared["description"].as_str().is_some_and(|text| text.len() > 10), "{operation}: the rest of its docstring");
    }
}

#[test]
fn every_field_parameter_and_schema_is_described() {
    let document = document();
    let mut silent = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if !is_described(schema) {
            silent.push(name.clone());
        }
        each(schema, &mut |part| {
            for (field, schema) in part["properties"].as_object().into_iter().flatten() {
                // The tag of an enum says which of its variants it is.
                let is_tag = schema["enum"].as_array().is_some_and(|words| words.len() == 1);
                if !is_described(schema) && !is_tag {
                    silent.push(format!("{name}.{field}"));
                }
            }
        });
    }
    for (operation, declared) in operations(&document) {
        for parameter in declared["parameters"].as_array().into_iter().flatten().map(|one| resolved(&document, one)) {
            if parameter["description"].as_str().is_none_or(|text| text.len() < 4) {
                silent.push(format!("{operation} {}", parameter["name"]));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// The value, and every object within it.
fn each<'a>(value: &'a Value, found: &mut impl FnMut(&'a Value)) {
    match value {
        Value::Object(fields) => {
            found(value);
            fields.iter().filter(|(name, _)| *name != "example").for_each(|(_, inner)| each(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| each(inner, found)),
        _ => {}
    }
}

/// The schemas of what is sent: bodies and parameters, each with where it stands.
fn sent(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (operation, declared) in operations(document) {
        if operation.contains("/api/webhooks/") {
            continue; // written by providers
        }
        for parameter in declared["parameters"].as_array().into_iter().flatten().map(|one| resolved(document, one)) {
            if parameter["in"] != "header" {
                found.push((format!("{operation} {}", parameter["name"].as_str().unwrap()), &parameter["schema"]));
            }
        }
        if let Some(schema) = declared["requestBody"]["content"].get("application/json").map(|media| &media["schema"]) {
            found.push((operation.clone(), schema));
        }
    }
    found
}

/// Visits a schema and all that it refers to, each component once.
fn visit<'a>(
    document: &'a Value,
    (place, schema): (String, &'a Value),
    seen: &mut BTreeSet<&'a str>,
    found: &mut impl FnMut(&str, &'a Value),
) {
    let mut schema = schema;
    let mut place = place;
    if let Some(name) = schema["$ref"].as_str() {
        if !seen.insert(name) {
            return;
        }
        schema = resolved(document, schema);
        place = name.rsplit('/').next().unwrap().to_owned();
    }
    found(&place, schema);
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        visit(document, (format!("{place}.{field}"), inner), seen, found);
    }
    for key in ["oneOf", "allOf", "anyOf"] {
        for inner in schema[key].as_array().into_iter().flatten() {
            visit(document, (place.clone(), inner), seen, found);
        }
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            visit(document, (format!("{place}.{key}"), &schema[key]), seen, found);
        }
    }
}

#[test]
fn whatever_is_sent_has_its_limits_in_the_document() {
    let document = document();
    let mut seen = BTreeSet::new();
    let (mut checked, mut boundless) = (0, Vec::new());
    for start in sent(&document) {
        visit(&document, start, &mut seen, &mut |place, schema| {
            let has = |key: &str| !schema[key].is_null();
            let is_bound = match schema {
                _ if is_a(schema, "string") => {
                    ["enum", "const", "pattern", "maxLength"].iter().any(|key| has(key)) || is_timed(schema)
                }
                _ if is_a(schema, "integer") => has("enum") || (has("minimum") && has("maximum")),
                // Names of an object may be any; their number is bounded by the body's size.
                _ if is_a(schema, "array") => has("maxItems"),
                _ => return,
            };
            checked += 1;
            if !is_bound {
                boundless.push(place.to_owned());
            }
        });
    }
    assert_eq!(boundless, Vec::<String>::new());
    assert!(checked > 250, "{checked}");
}

/// Its format alone bounds it.
fn is_timed(schema: &Value) -> bool {
    ["uuid", "date", "date-time"].contains(&schema["format"].as_str().unwrap_or_default())
}

#[test]
fn every_number_of_an_answer_is_bounded_below() {
    let document = document();
    let mut boundless = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        each(schema, &mut |part| {
            for (field, schema) in part["properties"].as_object().into_iter().flatten() {
                if is_a(schema, "integer") && schema["minimum"].is_null() {
                    boundless.push(format!("{name}.{field}"));
                }
            }
        });
    }
    assert_eq!(boundless, Vec::<String>::new());
}

#[test]
fn every_schema_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    each(&document, &mut |part| {
        used.extend(part["$ref"].as_str().and_then(|place| place.strip_prefix("#/components/schemas/")));
    });
    let unused: Vec<_> =
        document["components"]["schemas"].as_object().unwrap().keys().filter(|name| !used.contains(name.as_str())).collect();
    assert_eq!(unused, Vec::<&String>::new());
}

/// Whether a value fits a schema of the document; what is wrong, if it does not.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let whole = json!({"allOf": [schema], "components": document["components"]});
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
    let validator = options.build(&whole).unwrap_or_else(|e| panic!("{schema}: {e}"));
    validator.validate(value).err().map(|e| format!("{} at {}: {value}", e, e.instance_path()))
}

/// The example of a schema: its own, or made of those of its parts.
fn example(document: &Value, schema: &Value) -> Option<Value> {
    if let Some(own) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return Some(own.clone());
    }
    if schema["$ref"].is_string() {
        return example(document, resolved(document, schema));
    }
    if let Some(word) = schema["enum"].get(0) {
        return Some(word.clone());
    }
    if let Some(all) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in all {
            whole.extend(example(document, part)?.as_object()?.clone());
        }
        return Some(Value::Object(whole));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().find_map(|choice| example(document, choice));
    }
    if let Some(fields) = schema["properties"].as_object() {
        let mut whole = Map::new();
        for (name, field) in fields {
            whole.insert(name.clone(), example(document, field)?);
        }
        return Some(Value::Object(whole));
    }
    match schema["format"].as_str() {
        Some("uuid") => return Some(json!("01a1fe4e-0785-7243-a93f-cc241c46a4e2")),
        Some("date-time") => return Some(json!("2026-11-30T14:00:00Z")),
        Some("date") => return Some(json!("2026-11-30")),
        Some("uri") => return Some(json!("https://api.loja.example/")),
        _ => {}
    }
    match () {
        () if is_a(schema, "boolean") => Some(json!(true)),
        // A tree ends somewhere.
        () if is_a(schema, "array") && !schema["items"]["$ref"].as_str().is_some_and(|name| name.ends_with("/Category")) => {
            Some(json!([example(document, &schema["items"])?]))
        }
        () if is_a(schema, "array") => Some(json!([])),
        () if is_a(schema, "object") => Some(json!({})),
        () if schema.get("type").is_none() => Some(json!({})), // any JSON value
        () => None,
    }
}

#[test]
fn every_body_has_an_example_that_fits_it() {
    let document = document();
    let mut bodies = 0;
    for (operation, declared) in operations(&document) {
        for (kind, media) in declared["requestBody"]["content"].as_object().into_iter().flatten() {
            bodies += 1;
            let schema = resolved(&document, &media["schema"]);
            let schema = schema["oneOf"].as_array().map_or(schema, |choices| resolved(&document, &choices[0]));
            let own = media.get("example").or_else(|| schema.get("example"));
            let own = own.unwrap_or_else(|| panic!("{operation}: its {kind} has no example"));
            assert_eq!(misfit(&document, &media["schema"], own), None, "{operation}");
        }
    }
    assert!(bodies > 60, "{bodies}");
}

#[test]
fn every_answer_has_an_example_that_fits_it() {
    let document = document();
    let mut answers = 0;
    for (operation, declared) in operations(&document) {
        let found = declared["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
        for (status, answer) in found {
            let Some(schema) = answer["content"].get("application/json").map(|media| &media["schema"]) else { continue };
            answers += 1;
            let made = example(&document, schema).unwrap_or_else(|| panic!("{operation} {status}: a field has no example"));
            assert_eq!(misfit(&document, schema, &made), None, "{operation} {status}");
        }
    }
    assert!(answers > 90, "{answers}");
}

/// A field's attributes, as they stand before it in a source.
struct Declared {
    place: String,
    rule: String,
    shown: String,
}

fn declared(file: &Path, found: &mut Vec<Declared>) {
    let source = fs::read_to_string(file).unwrap();
    let (mut rule, mut shown) = (String::new(), String::new());
    let mut in_rule = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[garde(") || in_rule {
            rule += line;
            in_rule = !line.ends_with(")]");
        } else if line.starts_with("#[schema(") || line.starts_with("#[param(") {
            shown += line;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            let name = line.trim_start_matches("pub ").split(':').next().unwrap_or_default();
            if !rule.is_empty() {
                let (rule, shown) = (std::mem::take(&mut rule), std::mem::take(&mut shown));
                found.push(Declared { place: format!("{}: {name}", file.display()), rule, shown });
            }
            (rule, shown) = (String::new(), String::new());
        }
    }
}

/// The value of `name = …` among attributes, without digit separators.
fn value_of(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("{name} = ")).map(|at| at + name.len() + 3)?;
    let end = text[start..].find([',', ')']).map_or(text.len(), |at| start + at);
    let value = text[start..end].trim_end_matches("i64");
    Some(value.replace('_', if value.contains(char::is_alphabetic) { "_" } else { "" }))
}

/// Every `const MAX_…` of the sources and its number.
fn constants(sources: &[std::path::PathBuf]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        for line in fs::read_to_string(source).unwrap().lines() {
            let Some((_, rest)) = line.split_once("const MAX_") else { continue };
            let (Some((name, _)), Some((_, value))) = (rest.split_once(':'), rest.split_once(" = ")) else { continue };
            let value = value.trim_end_matches(';').replace('_', "");
            found.entry(format!("MAX_{name}")).or_default().insert(value);
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_document_says_the_limits_that_the_rules_have() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let constants = constants(&files);
    let mut fields = Vec::new();
    files.iter().for_each(|file| declared(file, &mut fields));
    let (mut checked, mut different) = (0, Vec::new());
    for Declared { place, rule, shown } in &fields {
        let mut pairs = Vec::new();
        if let Some(range) = rule.split("range(").nth(1) {
            let range = range.split(')').next().unwrap();
            pairs.extend([("minimum", value_of(range, "min")), ("maximum", value_of(range, "max"))]);
        }
        for length in rule.split("length(").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let of_text = length.contains("chars") || length.contains("bytes");
            let is_nested = rule.contains("inner(length(min"); // which an attribute cannot say
            if of_text {
                pairs.push(("max_length", value_of(length, "max")));
            } else if !is_nested {
                pairs.push(("max_items", value_of(length, "max")));
            }
        }
        for (name, wanted) in pairs {
            let Some(wanted) = wanted else { continue };
            checked += 1;
            let named = constants.get(wanted.trim_start_matches('-'));
            let sign = if wanted.starts_with('-') { "-" } else { "" };
            let fits = |said: &String| match named {
                Some(values) => values.iter().any(|value| *said == format!("{sign}{value}")),
                None => *said == wanted,
            };
            let is_struct = place.contains("ServiceCodes") || place.contains("synonyms"); // its attributes stand on the struct
            if !value_of(shown, name).as_ref().is_some_and(fits) && !is_struct {
                different.push(format!("{place}: {name} = {wanted}"));
            }
        }
    }
    assert_eq!(different, Vec::<String>::new());
    assert!(checked > 150, "{checked}");
}

/// What is one step past a limit of a field, as the document says it.
fn past(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| *most <= 20_000) {
        found.push(json!("a".repeat(most as usize + 1)));
    }
    if let Some(most) = schema["maximum"].as_i64() {
        found.push(json!(most + 1));
    }
    if let Some(least) = schema["minimum"].as_i64() {
        found.push(json!(least - 1));
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        found.push(json!(vec![json!(null); most as usize + 1]));
    }
    if schema["enum"].is_array() || schema["pattern"].is_string() {
        found.push(json!("nonsense \u{1f981}"));
    }
    found
}

#[actix_web::test]
async fn what_is_past_a_limit_of_the_document_is_refused() {
    let (shop, _) = crate::invoices::open("focusnfe").await;
    let admin = shop.admin().await;
    let things = Things::of(&shop, &admin).await;
    let document = document();
    let (mut asked, mut taken) = (0, Vec::new());
    for (operation, declared) in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let Some(media) = declared["requestBody"]["content"].get("application/json") else { continue };
        if path.starts_with("/api/webhooks/") {
            continue;
        }
        let schema = resolved(&document, &media["schema"]);
        let schema = schema["oneOf"].as_array().map_or(schema, |choices| resolved(&document, &choices[0]));
        for (field, limits) in schema["properties"].as_object().unwrap() {
            let limits = limits["oneOf"].as_array().map_or(limits, |choices| &choices[0]);
            for wrong in past(resolved(&document, limits)) {
                asked += 1;
                let mut body = schema["example"].clone();
                body[field] = wrong.clone();
                let answer = admin.request(&method.to_uppercase(), &things.in_path(path)).json(&body).send().await;
                let says = answer.body["errors"].as_array().is_some_and(|all| !all.is_empty());
                if answer.status != 422 || !says {
                    let shown: String = wrong.to_string().chars().take(40).collect();
                    taken.push(format!("{operation} {field} = {shown}: {} {}", answer.status, answer.slug()));
                }
            }
        }
    }
    assert_eq!(taken, Vec::<String>::new());
    assert!(asked > 200, "{asked}");
    shop.close().await;
}

#[actix_web::test]
async fn an_unknown_word_or_a_number_past_its_limit_is_refused_in_a_query() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let document = document();
    let (mut asked, mut taken) = (0, Vec::new());
    for (operation, declared) in operations(&document) {
        let Some(path) = operation.strip_prefix("get ").filter(|path| !path.contains('{')) else { continue };
        for parameter in declared["parameters"].as_array().into_iter().flatten().map(|one| resolved(&document, one)) {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            for wrong in past(resolved(&document, &parameter["schema"])) {
                asked += 1;
                let wrong = wrong.as_str().map_or_else(|| wrong.to_string(), |text| text.replace(' ', "%20"));
                let words = if path.ends_with("/search") && name != "q" { "q=camiseta&" } else { "" };
                let answer = admin.get(&format!("{path}?{words}{name}={wrong}")).await;
                if answer.status != 422 || answer.body["errors"][0]["field"] != name {
                    taken.push(format!("{operation} {name} = {wrong}: {} {}", answer.status, answer.body));
                }
            }
        }
    }
    assert_eq!(taken, Vec::<String>::new());
    assert!(asked > 60, "{asked}");
    shop.close().await;
}
