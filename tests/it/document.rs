//! The OpenAPI document as a whole. That it is true, every other test checks: `contract.rs`.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use vitrine::{openapi, server};

use crate::contract::{self, Asked};
use crate::shop::Shop;

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

/// Every value that stands under `key` somewhere in the document.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|inner| all(inner, key, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| all(inner, key, found)),
        _ => {}
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = server::openapi();
    assert_eq!(openapi::unnamed(&document), Vec::<String>::new(), "add its line to src/openapi/names.rs");
    let mut names = BTreeSet::new();
    for (operation, declared) in operations(&document) {
        let id = declared["operationId"].as_str().unwrap();
        assert!(id.chars().all(char::is_alphanumeric) && id.starts_with(|c: char| c.is_ascii_lowercase()), "{operation}: {id}");
        assert!(names.insert(id.to_owned()), "{operation}: {id} is the name of another operation too");
    }
}

#[test]
fn every_answer_is_described_and_every_error_is_a_problem() {
    let document = server::openapi();
    for (operation, declared) in operations(&document) {
        for (status, answer) in declared["responses"].as_object().unwrap() {
            let answer = answer["$ref"].as_str().map_or(answer, |place| document.pointer(&place[1..]).unwrap());
            assert!(answer["description"].as_str().is_some_and(|text| text.len() > 5), "{operation} {status} has no description");
            assert!(answer["headers"]["X-Request-ID"].is_object(), "{operation} {status} has no X-Request-ID");
            let is_readiness = status == "503" && declared["tags"][0] == "operations";
            if status.as_str() >= "400" && !is_readiness {
                let schema = &answer["content"]["application/problem+json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{operation} {status}");
            }
        }
    }
}

#[test]
fn whatever_the_document_refers_to_is_there() {
    let document = server::openapi();
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    let missing: BTreeSet<&str> =
        references.iter().filter_map(|place| place.as_str()).filter(|place| document.pointer(&place[1..]).is_none()).collect();
    assert!(references.len() > 500, "{}", references.len());
    assert_eq!(missing, BTreeSet::new());
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let tags: BTreeSet<&str> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for (operation, declared) in operations(&document) {
        for way in declared["security"].as_array().unwrap() {
            assert!(way.as_object().unwrap().keys().all(|scheme| schemes.contains_key(scheme)), "{operation}: {way}");
        }
        for tag in declared["tags"].as_array().unwrap() {
            assert!(tags.contains(tag.as_str().unwrap()), "{operation}: the tag {tag} has no description: src/openapi/words.rs");
        }
        let in_path = operation.split('/').filter(|part| part.starts_with('{')).count();
        let declared = declared["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "path");
        assert_eq!(declared.count(), in_path, "{operation}");
    }
}

#[test]
fn a_lists_items_are_references() {
    let document = server::openapi();
    let lists = document["components"]["schemas"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("List_"));
    let inline: Vec<_> =
        lists.filter(|(_, schema)| schema["properties"]["items"]["items"]["$ref"].is_null()).map(|(name, _)| name).collect();
    assert_eq!(inline, Vec::<&String>::new());
}

/// What the check says of an answer to `GET /api/orders/tracking/{number}`.
fn faults(status: u16, content_type: &str, body: &Value) -> String {
    let asked = Asked { method: "GET".into(), path: "/api/orders/tracking/A1".into(), ..Asked::default() };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
    contract::faults(&asked, status, &headers, Some(&body.to_string().into_bytes())).join("\n")
}

#[test]
fn an_answer_that_is_not_in_the_document_is_seen() {
    const PROBLEM: &str = "application/problem+json";
    let good =
        json!({"type": "http://127.0.0.1/errors/not-found", "title": "t", "status": 404, "detail": "d", "request_id": "r"});
    assert_eq!(faults(404, PROBLEM, &good), "");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let mut short = good.clone();
    short.as_object_mut().unwrap().remove("detail");
    let wrong = [
        ("does not name this status", faults(418, PROBLEM, &good)),
        ("names the content types", faults(404, "text/html", &good)),
        ("'surprise'", faults(404, PROBLEM, &with("surprise", json!(1)))),
        ("'secret'", faults(404, PROBLEM, &with("errors", json!([{"field": "a", "message": "b", "secret": 1}])))),
        ("\"detail\" is a required", faults(404, PROBLEM, &short)),
        ("/status", faults(404, PROBLEM, &with("status", json!("404")))),
    ];
    for (what, fault) in wrong {
        assert!(fault.contains(what), "{what}: {fault}");
    }
}

#[test]
fn a_request_that_is_not_in_the_document_is_seen_where_it_is_taken() {
    let placed = |query: &str, body: &Value| {
        let asked = Asked {
            method: "PUT".into(),
            path: "/api/v1/cart/items/01a1fe4e-0785-7243-a93f-cc241c46a4e2".into(),
            query: query.into(),
            content_type: "application/json".into(),
            body: body.to_string().into_bytes(),
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, "application/json".parse().unwrap())]);
        contract::faults(&asked, 200, &headers, None).join("\n")
    };
    assert_eq!(placed("", &json!({"quantity": 1})), "");
    assert!(placed("", &json!({"quantity": 1, "price_cents": 1})).contains("'price_cents'"));
    assert!(placed("price_cents=1", &json!({"quantity": 1})).contains("price_cents"));
}

#[actix_web::test]
async fn the_server_gives_the_document_that_the_command_prints() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/openapi.json").await.body, server::openapi());
    shop.close().await;
}

/// The errors that several operations share name every slug of their status, as the table of errors has it. 405 and 414 are answers of no
/// operation.
#[test]
fn shared_errors_show_every_slug() {
    let document = server::openapi();
    let mut slugs = BTreeMap::new();
    for answer in document["components"]["responses"].as_object().unwrap().values() {
        for (slug, example) in answer["content"]["application/problem+json"]["examples"].as_object().unwrap() {
            slugs.insert(slug.clone(), example["value"]["status"].as_u64().unwrap());
        }
    }
    let known: BTreeMap<String, u64> = vitrine::error::ProblemType::ALL
        .iter()
        .filter(|kind| ![405, 414, 500].contains(&kind.status))
        .map(|kind| (kind.slug.to_owned(), u64::from(kind.status)))
        .collect();
    assert_eq!(slugs, known);
}
