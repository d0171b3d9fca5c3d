//! House rules that a program can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().unwrap() != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The variables that a source asks the environment for: `env.text("NAME"`, `var("NAME"`.
fn asked_for(source: &str) -> BTreeSet<String> {
    let quoted = source.split('"').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.contains(|c: char| c.is_ascii_uppercase())
            && word.len() > 3
            && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_variable_that_is_read_stands_in_the_example() {
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let documented: BTreeSet<String> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    let config = files("src/config", "rs").into_iter().filter(|file| !file.ends_with("tests.rs"));
    let read: BTreeSet<String> =
        config.chain([root().join("src/dev/mod.rs")]).flat_map(|file| asked_for(&fs::read_to_string(file).unwrap())).collect();
    let missing: Vec<_> = read.difference(&documented).collect();
    assert!(read.len() > 40, "the search itself works: {}", read.len());
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_migration_is_run() {
    let list = fs::read_to_string(root().join("src/db.rs")).unwrap();
    let files = files("migrations", "sql");
    assert_eq!(files.len(), list.matches("include_str!(\"../migrations/").count());
    for file in files {
        assert!(list.contains(file.file_name().unwrap().to_str().unwrap()), "{}", file.display());
    }
}

#[test]
fn no_source_is_longer_than_a_reader_bears() {
    let long: Vec<_> = ["src", "integrations"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, path)| *lines > 520 && !path.to_str().unwrap().contains("cep_table"))
        .collect();
    assert_eq!(long, []);
}

#[test]
fn the_document_describes_every_operation_with_a_summary_and_its_answers() {
    let document = serde_json::to_value(vitrine::server::openapi()).unwrap();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            assert!(operation["summary"].as_str().is_some_and(|s| s.len() > 5), "{method} {path} has no summary");
            assert!(operation["responses"].as_object().is_some_and(|r| !r.is_empty()), "{method} {path} has no answers");
        }
    }
    assert!(operations > 60, "{operations}");
}

/// The documented paths. A route may be added; none of these may be removed.
const PROMISED: [(&str, &str); 65] = [
    ("post", "/api/auth/register"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/refresh"),
    ("post", "/api/auth/logout"),
    ("post", "/api/auth/forgot-password"),
    ("post", "/api/auth/reset-password"),
    ("post", "/api/auth/change-password"),
    ("get", "/api/auth/me"),
    ("get", "/api/users/me"),
    ("put", "/api/users/me"),
    ("patch", "/api/users/me"),
    ("delete", "/api/users/me"),
    ("get", "/api/users/me/export"),
    ("get", "/api/users/{id}/addresses"),
    ("post", "/api/users/{id}/addresses"),
    ("get", "/api/users/{id}/addresses/{aid}"),
    ("put", "/api/users/{id}/addresses/{aid}"),
    ("delete", "/api/users/{id}/addresses/{aid}"),
    ("patch", "/api/users/{id}/addresses/{aid}/default"),
    ("put", "/api/users/{id}/addresses/{aid}/default"),
    ("get", "/api/cep/{cep}"),
    ("get", "/api/products"),
    ("post", "/api/products"),
    ("get", "/api/products/search"),
    ("get", "/api/products/featured"),
    ("get", "/api/products/category/{id}"),
    ("get", "/api/products/{id}"),
    ("put", "/api/products/{id}"),
    ("delete", "/api/products/{id}"),
    ("patch", "/api/products/{id}/stock"),
    ("get", "/api/categories"),
    ("post", "/api/categories"),
    ("get", "/api/categories/{id}"),
    ("put", "/api/categories/{id}"),
    ("delete", "/api/categories/{id}"),
    ("get", "/api/cart"),
    ("delete", "/api/cart"),
    ("post", "/api/cart/items"),
    ("put", "/api/cart/items/{pid}"),
    ("delete", "/api/cart/items/{pid}"),
    ("post", "/api/cart/coupon"),
    ("delete", "/api/cart/coupon"),
    ("post", "/api/shipping/calculate"),
    ("post", "/api/orders"),
    ("get", "/api/orders"),
    ("get", "/api/orders/{id}"),
    ("patch", "/api/orders/{id}/cancel"),
    ("post", "/api/orders/{id}/pay"),
    ("get", "/api/payment-methods"),
    ("get", "/api/orders/{id}/payments"),
    ("post", "/api/orders/{id}/refund"),
    ("patch", "/api/orders/{id}/tracking"),
    ("get", "/api/orders/tracking/{number}"),
    ("get", "/api/orders/{id}/events"),
    ("post", "/api/webhooks/payment"),
    ("get", "/api/admin/coupons"),
    ("get", "/api/admin/users"),
    ("get", "/api/admin/jobs"),
    ("get", "/api/admin/webhooks"),
    ("get", "/api/admin/breakers"),
    ("get", "/api/admin/reports/reconciliation"),
    ("post", "/api/admin/reports/reconciliation"),
    ("get", "/api/admin/reports/reconciliation/{day}"),
    ("get", "/health"),
    ("get", "/ready"),
];

#[test]
fn every_promised_route_is_there() {
    let document = serde_json::to_value(vitrine::server::openapi()).unwrap();
    let missing: Vec<_> = PROMISED.iter().filter(|(method, path)| document["paths"][path][method].is_null()).collect();
    assert_eq!(missing, Vec::<&(&str, &str)>::new());
}
