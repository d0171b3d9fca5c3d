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

/// The modules of a crate's `lib.rs`, in the order in which they stand there.
fn floors(lib: &str) -> Vec<String> {
    let names = lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The code of a source: no comments, and nothing from its unit tests on.
fn code_of(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first words behind `crate::`, those of a group in braces too: `crate::{db, ids::OrderId}` names `db` and `ids`.
fn named_modules(source: &str) -> BTreeSet<String> {
    let code = code_of(source);
    let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut part) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '}' if depth == 0 => break,
                        ',' if depth == 0 => _ = found.insert(word(&std::mem::take(&mut part))),
                        c => {
                            depth += i32::from(c == '{') - i32::from(c == '}');
                            part.push(c);
                        }
                    }
                }
                found.insert(word(&part));
            }
            None => _ = found.insert(word(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// What a file names above its own floor: `file: names`.
fn looks_up(floors: &[String], own: &str, source: &str) -> Vec<String> {
    let height = |name: &str| floors.iter().position(|floor| floor == name);
    let Some(own) = height(own) else { return Vec::new() };
    named_modules(source).into_iter().filter(|name| height(name).is_some_and(|other| other > own)).collect()
}

#[test]
fn a_module_imports_only_what_stands_before_it_in_lib_rs() {
    let floors = floors(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(floors.len() > 30, "the list itself is read: {floors:?}");
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(root().join("src")).unwrap();
        let first = path.iter().next().unwrap().to_str().unwrap();
        let own = first.trim_end_matches(".rs").trim_end_matches("_tests");
        let up = looks_up(&floors, own, &fs::read_to_string(&file).unwrap());
        wrong.extend(up.into_iter().map(|name| format!("{} imports {name}, which stands above {own}", path.display())));
        let stands = matches!(own, "lib" | "main") || floors.iter().any(|floor| floor == own);
        assert!(stands, "{} is not in lib.rs", path.display());
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_import_that_looks_up_is_found_however_it_is_written() {
    let floors: Vec<String> = ["ids", "db", "orders", "admin"].map(str::to_owned).to_vec();
    let up = |source: &str| looks_up(&floors, "db", source);
    assert_eq!(up("use crate::ids::OrderId;\nuse crate::error;"), Vec::<String>::new());
    assert_eq!(up("use crate::orders;"), ["orders"]);
    assert_eq!(up("use crate::{ids, admin::{self, Place}, orders};"), ["admin", "orders"]);
    assert_eq!(up("fn f() { crate::admin::list(); } // crate::orders::x"), ["admin"]);
    assert_eq!(up("#[cfg(test)]\nmod tests {\n use crate::orders; }"), Vec::<String>::new());
}

/// A rule `length(…)` that does not say what it counts, bytes or characters, is for lists alone.
fn counts_bytes_unsaid(source: &str) -> Vec<&str> {
    let mut lines = source.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.contains("#[garde(") && (line.contains("length(min") || line.contains("length(max")) {
            let is_field = |line: &&str| !line.trim_start().starts_with("#[") && !line.trim_start().starts_with("///");
            let field = if line.contains(")] ") { Some(line) } else { lines.by_ref().find(is_field) };
            found.extend(field.filter(|field| !field.contains("Vec<")));
        }
    }
    found
}

#[test]
fn what_people_type_is_counted_in_characters() {
    let text = "    #[garde(inner(length(max = 9)))]\n    /// A name.\n    name: Option<String>,\n";
    let list = "    #[garde(length(max = 9), dive)]\n    lines: Vec<Line>,\n";
    assert_eq!((counts_bytes_unsaid(text).len(), counts_bytes_unsaid(list).len()), (1, 0));
    let wrong: Vec<_> = files("src", "rs")
        .into_iter()
        .filter(|file| !counts_bytes_unsaid(&fs::read_to_string(file).unwrap()).is_empty())
        .collect();
    assert_eq!(wrong, Vec::<PathBuf>::new(), "write length(chars, …) or length(bytes, …)");
}

/// An extractor that may fail, taken as one that may be absent: its error would count as "nothing was sent".
fn hides_an_error(source: &str) -> bool {
    ["Option<Json<", "Option<Query<", "Option<Path<", "Result<Json<"].iter().any(|part| {
        code_of(source).split(part).count() > 1
            && code_of(source).lines().any(|line| line.contains(part) && !line.contains("struct "))
    })
}

#[test]
fn a_body_that_cannot_be_read_is_never_taken_for_none() {
    assert!(
        hides_an_error("async fn f(body: Option<Json<A>>) {}")
            && !hides_an_error("pub struct OptionalJson<T>(pub Option<Json<T>>);")
    );
    let wrong: Vec<_> =
        files("src", "rs").into_iter().filter(|file| hides_an_error(&fs::read_to_string(file).unwrap())).collect();
    assert_eq!(wrong, Vec::<PathBuf>::new(), "take OptionalJson");
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
        .filter(|(lines, path)| *lines > 450 && !path.to_str().unwrap().contains("cep_table"))
        .collect();
    assert_eq!(long, []);
}

#[test]
fn the_document_describes_every_operation_with_a_summary_and_its_answers() {
    let document = vitrine::server::openapi();
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
const PROMISED: [(&str, &str); 66] = [
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
    ("patch", "/api/orders/{id}"),
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
    let document = vitrine::server::openapi();
    let missing: Vec<_> = PROMISED.iter().filter(|(method, path)| document["paths"][path][method].is_null()).collect();
    assert_eq!(missing, Vec::<&(&str, &str)>::new());
}
