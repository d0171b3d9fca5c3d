//! The rights of everybody at every operation, as the OpenAPI document declares them: each is asked by each kind of person, with a body
//! that cannot be read where it takes one, then with a query and with a path that cannot be read. Who may not ask is told so, and never
//! what is wrong with the body, the query or the path.

use reqwest::Response;
use serde_json::{Value, json};
use vitrine::token::Role;

use crate::invoices::open;
use crate::nonsense::{Things, contents};
use crate::shop::{Customer, Request, Shop};

const ID: &str = "01a1fe4e-0785-7243-a93f-cc241c46a4e2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    /// With the token of a session that has ended.
    SignedOut,
    Customer,
    Shipper,
    Admin,
}

const EVERYBODY: [Who; 5] = [Who::Nobody, Who::SignedOut, Who::Customer, Who::Shipper, Who::Admin];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Unauthorized,
    Forbidden,
    /// It is somebody else's order or account.
    NotTheirs,
    Allowed,
}

struct Operation {
    method: String,
    path: String,
    declared: Value,
}

fn operations() -> Vec<Operation> {
    let document = vitrine::server::openapi();
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(|(method, declared)| Operation {
            method: method.to_uppercase(),
            path: path.clone(),
            declared: declared.clone(),
        })
    });
    all.collect()
}

/// A path with something in each of its places. Nothing has this id.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{document}" => "xml".to_owned(),
        "{month}" => "2026-11".to_owned(),
        "{day}" => "2026-11-30".to_owned(),
        part if part.starts_with('{') => ID.to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

impl Operation {
    /// Whether only administrators may ask so: what the catalog does not sell.
    fn shows_all(&self) -> bool {
        let mut parameters = self.declared["parameters"].as_array().into_iter().flatten();
        parameters.any(|parameter| parameter["name"] == "include_inactive")
    }

    fn is_webhook(&self) -> bool {
        self.path.starts_with("/api/webhooks/")
    }

    /// What the document says of somebody's right to ask it about somebody else's things.
    fn right_of(&self, who: Who) -> Right {
        let ways = self.declared["security"].as_array().unwrap();
        let is_public = (ways.is_empty() || ways.contains(&json!({}))) && !self.shows_all();
        let takes_tokens = ways.iter().any(|way| way["bearer"].is_array());
        let refusal = &self.declared["responses"]["403"];
        let is_for_shippers = refusal["description"].as_str().is_some_and(|text| text.contains("shipper"));
        let is_about_one = ["/api/orders/{id}", "/api/users/{id}"].iter().any(|start| self.path.starts_with(start));
        match who {
            Who::SignedOut if takes_tokens => Right::Unauthorized,
            Who::Nobody | Who::SignedOut if !is_public => Right::Unauthorized,
            _ if self.is_webhook() && !is_public => Right::Unauthorized,
            Who::Shipper if is_for_shippers => Right::Allowed,
            Who::Customer | Who::Shipper if !refusal.is_null() => Right::Forbidden,
            Who::Customer | Who::Shipper if is_about_one => Right::NotTheirs,
            _ => Right::Allowed,
        }
    }

    /// A query that asks for what the right is about.
    fn query(&self) -> &'static str {
        match self.shows_all() {
            true if self.path.ends_with("/search") => "?include_inactive=true&q=caneca",
            true => "?include_inactive=true",
            false => "",
        }
    }

    fn takes_a_query(&self) -> bool {
        self.declared["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["in"] == "query")
    }

    /// Its link says who asks: whether it is theirs is known when it was read.
    fn takes_a_link(&self) -> bool {
        self.declared["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == "token")
    }

    /// How it is asked by somebody who may not: with a body that cannot be read alone, with a query, with a path.
    fn asks(&self, right: Right, path: &str) -> Vec<String> {
        let mut asks = vec![filled(path) + self.query()];
        if self.takes_a_query() && !(self.takes_a_link() && right == Right::NotTheirs) {
            let nonsense = if self.shows_all() { "include_inactive=true&limit=x" } else { "nonsense=%00&limit=x" };
            asks.push(format!("{}?{nonsense}", filled(path)));
        }
        // What names nothing is nobody else's, and what the catalog does not sell has an address that is open.
        if self.path.contains('{') && right != Right::NotTheirs && !self.shows_all() {
            let parts = self.path.split('/').map(|part| if part.starts_with('{') { "nonsense" } else { part });
            asks.push(parts.collect::<Vec<_>>().join("/"));
        }
        asks
    }

    async fn ask(&self, shop: &Shop, who: Option<&Customer<'_>>, path: &str) -> Response {
        let request: Request = match who {
            Some(who) => who.request(&self.method, path),
            None => shop.request(&self.method, path),
        };
        let has_body = self.declared["requestBody"].is_object();
        let request = if has_body { request.body("application/json", "{") } else { request };
        request.try_send().await.unwrap()
    }
}

fn is_as_said(right: Right, operation: &Operation, status: u16) -> bool {
    match right {
        Right::Unauthorized => status == 401 || (operation.is_webhook() && status == 404), // of a provider that is not configured
        Right::Forbidden => status == 403,
        Right::NotTheirs => status == 404,
        Right::Allowed => status != 401 && status != 403,
    }
}

#[actix_web::test]
async fn every_operation_refuses_whom_the_document_says_before_it_reads_body_query_or_path() {
    let (shop, _) = open("focusnfe").await;
    let admin = shop.admin().await;
    let things = Things::of(&shop, &admin).await;
    let [gone, ana, carrier] = [shop.customer().await, shop.customer().await, shop.person(Role::Shipper).await];
    shop.execute(&format!("DELETE FROM sessions WHERE user_id = '{}'", gone.id)).await;
    let before = contents(&shop).await;
    let (mut asked, mut wrong) = (0, Vec::new());
    for operation in operations().into_iter().filter(|operation| operation.path.starts_with("/api/")) {
        let path = things.of_others(&operation.path);
        for who in EVERYBODY {
            let right = operation.right_of(who);
            if right == Right::Allowed {
                continue;
            }
            let person = match who {
                Who::Nobody => None,
                Who::SignedOut => Some(&gone),
                Who::Customer => Some(&ana),
                Who::Shipper => Some(&carrier),
                Who::Admin => Some(&admin),
            };
            for path in operation.asks(right, &path) {
                asked += 1;
                let status = operation.ask(&shop, person, &path).await.status().as_u16();
                if !is_as_said(right, &operation, status) {
                    wrong.push(format!("{} {path}: {who:?} is {right:?} and was answered {status}", operation.method));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked > 650, "{asked}");
    assert!(before == contents(&shop).await, "a refusal changed something");
    shop.close().await;
}

#[actix_web::test]
async fn every_operation_takes_whom_the_document_lets() {
    let shop = Shop::open().await;
    let (mut asked, mut wrong) = (0, Vec::new());
    for operation in operations().into_iter().filter(|operation| operation.path.starts_with("/api/")) {
        let path = operation.path.replace("/api/users/{id}", "/api/users/me");
        for who in EVERYBODY {
            let right = operation.right_of(who);
            let is_own = right == Right::NotTheirs && path.starts_with("/api/users/me");
            if right != Right::Allowed && !is_own {
                continue;
            }
            asked += 1;
            let person = match who {
                Who::Nobody | Who::SignedOut => None,
                Who::Customer => Some(shop.customer().await),
                Who::Shipper => Some(shop.person(Role::Shipper).await),
                Who::Admin => Some(shop.admin().await),
            };
            let path = filled(&path) + operation.query();
            let status = operation.ask(&shop, person.as_ref(), &path).await.status().as_u16();
            if !is_as_said(Right::Allowed, &operation, status) {
                wrong.push(format!("{} {path}: {who:?} may, and was answered {status}", operation.method));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked > 250, "{asked}");
    shop.close().await;
}

#[actix_web::test]
async fn whatever_is_sent_to_any_operation_is_answered_in_order() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    for Operation { method, path, .. } in operations().into_iter().filter(|operation| !operation.path.ends_with("/events")) {
        let path = filled(&path);
        for body in [json!({}), json!([]), json!("text"), json!({"unknown": [1, {"deep": null}]}), Value::Null] {
            for request in [shop.request(&method, &path), ana.request(&method, &path), admin.request(&method, &path)] {
                let answer = request.json(&body).send().await;
                assert!(answer.status < 500, "{method} {path} {body}: {} {}", answer.status, answer.body);
                if answer.status >= 400 && !path.starts_with("/media") {
                    assert!(!answer.slug().is_empty());
                }
            }
        }
    }
    shop.close().await;
}
