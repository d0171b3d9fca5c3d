//! The `type` of a problem is the address of a page that says what to do.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vitrine::error::ProblemType;

use crate::shop::{CPF, Shop};

/// The JSON between the fences of a page.
fn example(page: &str) -> Value {
    let (_, rest) = page.split_once("```json\n").expect("an example");
    serde_json::from_str(rest.split_once("\n```").expect("an end").0).expect("JSON")
}

#[test]
fn every_page_says_the_status_slug_and_title_of_its_type_and_shows_an_answer() {
    for ProblemType { status, slug, title, page } in ProblemType::ALL {
        assert!(
            page.starts_with(&format!("# {title}\n\nStatus {status}, slug `{slug}`.\n")),
            "docs/errors/{slug}.md: its first lines"
        );
        for part in ["## What happened", "## What to do", "## Example", "## What a storefront may show"] {
            assert!(page.contains(&format!("\n{part}\n")), "docs/errors/{slug}.md: \"{part}\"");
        }
        let shown = example(page);
        assert_eq!(
            json!([shown["type"], shown["status"], shown["title"]]),
            json!([format!("https://api.loja.example/errors/{slug}"), status, title]),
            "docs/errors/{slug}.md"
        );
    }
}

#[test]
fn every_page_belongs_to_one_type_of_problem() {
    let slugs: BTreeSet<_> = ProblemType::ALL.iter().map(|kind| format!("{}.md", kind.slug)).collect();
    assert_eq!(slugs.len(), ProblemType::ALL.len(), "a slug stands twice in src/error/types.rs");
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors")).unwrap();
    let pages: BTreeSet<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(pages.difference(&slugs).collect::<Vec<_>>(), Vec::<&String>::new(), "pages of no type in src/error/types.rs");
}

/// All sources of that folder as one text.
fn sources(folder: &std::path::Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|e| e == "rs") => std::fs::read_to_string(path).unwrap(),
        false => String::new(),
    };
    entries.map(text).collect()
}

#[test]
fn the_operators_guide_knows_every_type_and_only_lines_that_are_logged() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    for ProblemType { slug, .. } in ProblemType::ALL {
        assert!(guide.contains(&format!("\n### {slug}\n")), "docs/troubleshooting.md: {slug}");
    }
    let logged = sources(&root.join("src")) + &sources(&root.join("integrations"));
    let (_, table) = guide.split_once("\n## By line of the log\n").unwrap();
    let (table, _) = table.split_once("\nAt a start,").unwrap();
    let lines: Vec<&str> = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    let unknown: Vec<_> = lines.iter().filter(|line| !logged.contains(&format!("\"{line}\""))).collect();
    assert!(lines.len() > 20, "the table itself is read: {lines:?}");
    assert_eq!(unknown, Vec::<&&str>::new());
}

#[actix_web::test]
async fn the_type_of_a_problem_opens() {
    let shop = Shop::open().await;
    let problem = shop.get("/api/orders/01890000-0000-7000-8000-000000000000").await;
    let address = problem.body["type"].as_str().unwrap();
    assert_eq!((problem.status, address), (401, &*format!("{}/errors/unauthorized", shop.app.config.http.public_url)));
    let page = shop.http.get(address).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let html = page.text().await.unwrap();
    assert!(html.contains("<title>Sign in first</title>") && html.contains("<h1>Sign in first</h1>"), "{html}");
    shop.close().await;
}

#[actix_web::test]
async fn each_type_has_a_page_and_the_list_names_them_all() {
    let shop = Shop::open().await;
    let list = String::from_utf8(shop.get("/errors").await.bytes).unwrap();
    for ProblemType { slug, title, page, .. } in ProblemType::ALL {
        assert!(list.contains(&format!("<a href=\"/errors/{slug}\">")), "{slug} is not in the list");
        let html = shop.get(&format!("/errors/{slug}")).await;
        assert_eq!(html.status, 200, "{slug}");
        assert!(String::from_utf8(html.bytes).unwrap().contains(&format!("<h1>{title}</h1>")), "{slug}");
        let markdown = shop.request("GET", &format!("/errors/{slug}")).header("Accept", "text/markdown").send().await;
        assert_eq!(markdown.header("content-type"), Some("text/markdown; charset=utf-8"));
        assert_eq!(String::from_utf8(markdown.bytes).unwrap(), *page);
    }
    let unknown = shop.get("/errors/no-such-slug").await;
    assert_eq!((unknown.status, unknown.slug()), (404, "not-found"));
    shop.close().await;
}

#[actix_web::test]
async fn the_base_of_every_type_is_public_url_also_inside_another_answer() {
    let shop = Shop::open_with(&[("PUBLIC_URL", "https://api.loja.example/loja/"), ("STRIPE_SECRET_KEY", "")]).await;
    let refused = shop.get("/api/users/me").await;
    assert_eq!(refused.body["type"], "https://api.loja.example/loja/errors/unauthorized");
    let shirt = shop.product("Camiseta").create().await;
    let cart = shop.guest_cart(&[(&shirt, 1)]).await;
    let mut order = shop.guest_order(&[(&shirt, 1)], CPF).await;
    order["pay"] = json!({"method": "credit_card"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!((placed.status, &placed.body["payment"]["status"]), (201, &json!("not_started")));
    assert_eq!(placed.body["payment"]["error"]["type"], "https://api.loja.example/loja/errors/conflict");
    shop.close().await;
}
