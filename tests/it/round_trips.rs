//! What a call asks of the database, once its server is warm: how many statements run. The table is
//! snapshots/it__round_trips__statements_per_call.snap. How often it waits for them depends on how fast both sides are, so that has only
//! a bound.

mod counting;

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::counting::{Asked, Counter, MARK};
use crate::auth::{PASSWORD, sign_up};
use crate::shop::{Beside, CPF, Customer, Product, Request, Shop, cluster};
use crate::webhooks::signature;

/// A call is made so often. The fewest statements count: the first calls prepare theirs and fill caches.
const CALLS: usize = 8;

/// A shop, and a server of it whose statements are counted.
struct Counted<'a> {
    shop: &'a Shop,
    server: Beside,
    counter: Counter,
    table: String,
}

impl Counted<'_> {
    async fn of(shop: &Shop) -> Counted<'_> {
        let port = cluster().await.port();
        let counter = Counter::start(port).await;
        let url = shop.database_url().await.replace(&format!(":{port}/"), &format!(":{}/", counter.port));
        let server = shop.beside(&[("DATABASE_URL", &url), ("DB_MAX_CONNS", "4")]).await.unwrap();
        Counted { shop, server, counter, table: String::new() }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        self.server.request(self.shop, method, path)
    }

    fn signed(&self, who: &Customer<'_>, method: &str, path: &str) -> Request {
        self.request(method, path).header("Authorization", &format!("Bearer {}", who.token))
    }

    /// What was asked until now. The end of a transaction that was dropped is sent behind the answer: it is waited for, on the
    /// connection that was used last, so that the next call finds an idle one.
    async fn asked(&self) -> Asked {
        self.server.app.db().await.unwrap().simple_query(MARK).await.unwrap();
        self.counter.asked()
    }

    /// Makes the call some times, each as `call` has prepared it, and writes down what it asked. Returns the statements.
    async fn count(&mut self, name: &str, status: u16, mut call: impl AsyncFnMut(&Self) -> Request) -> usize {
        let mut least = (usize::MAX, usize::MAX);
        for _ in 0..CALLS {
            let request = call(self).await;
            let before = self.asked().await;
            let answer = request.send().await;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            let after = self.asked().await;
            least.0 = least.0.min(after.statements.len() - before.statements.len());
            least.1 = least.1.min(after.round_trips - before.round_trips);
        }
        assert!(least.1 <= least.0, "{name}: {} waits for {} statements", least.1, least.0);
        writeln!(self.table, "{name:<52}{:>4}", least.0).unwrap();
        least.0
    }

    async fn read(&mut self, name: &str, path: &str) {
        self.count(name, 200, async |counted| counted.request("GET", path)).await;
    }

    async fn read_as(&mut self, who: &Customer<'_>, name: &str, path: &str) -> usize {
        self.count(name, 200, async |counted| counted.signed(who, "GET", path)).await
    }
}

fn item(product: &Product) -> Value {
    json!({"product_id": product.id, "variant_id": product.variant_id, "quantity": 1})
}

/// One line must cost what twenty cost.
async fn of_both(
    counted: &mut Counted<'_>,
    name: &str,
    items: &[(&Product, i32)],
    mut count: impl AsyncFnMut(&mut Counted<'_>, &str, &[(&Product, i32)]) -> usize,
) {
    let one = count(counted, &format!("{name}, 1 line"), &items[..1]).await;
    let twenty = count(counted, &format!("{name}, 20 lines"), items).await;
    assert_eq!(one, twenty, "{name}: statements of an order of one line, and of twenty");
}

async fn catalog(counted: &mut Counted<'_>, admin: &Customer<'_>, product: &Product) {
    let one = format!("/api/products/{}", product.id);
    counted.read("GET /api/products", "/api/products").await;
    counted.read("GET /api/products/{id}", &one).await;
    counted.read("GET /api/products/featured", "/api/products/featured").await;
    counted.read("GET /api/products/search", "/api/products/search?q=caneca").await;
    counted.read("GET /api/categories", "/api/categories").await;
    counted.read_as(admin, "GET /api/products (admin, live)", "/api/products").await;
    counted.read_as(admin, "GET /api/products/{id} (admin, live)", &one).await;
}

async fn carts_and_freight(counted: &mut Counted<'_>, items: &[(&Product, i32)]) {
    let shop = counted.shop;
    let token = shop.guest_cart(&items[..1]).await;
    let add = item(items[0].0);
    counted
        .count("POST /api/cart/items (guest)", 200, async |counted| {
            counted.request("POST", "/api/cart/items").header("X-Cart-Token", &token).json(&add)
        })
        .await;
    of_both(counted, "GET /api/cart (guest)", items, async |counted, name, items| {
        let token = shop.guest_cart(items).await;
        counted.count(name, 200, async |counted| counted.request("GET", "/api/cart").header("X-Cart-Token", &token)).await
    })
    .await;
    of_both(counted, "POST /api/shipping/calculate", items, async |counted, name, items| {
        let all: Vec<Value> = items.iter().map(|(product, _)| item(product)).collect();
        let ask = json!({"cep_destino": "01310-100", "items": all});
        counted.count(name, 200, async |counted| counted.request("POST", "/api/shipping/calculate").json(&ask)).await
    })
    .await;
}

async fn checkouts(counted: &mut Counted<'_>, ana: &Customer<'_>, items: &[(&Product, i32)]) {
    let shop = counted.shop;
    of_both(counted, "POST /api/orders (guest)", items, async |counted, name, items| {
        let order = shop.guest_order(items, CPF).await;
        let place = async |counted: &Counted<'_>| {
            let token = shop.guest_cart(items).await;
            let key = uuid::Uuid::new_v4().to_string();
            counted.request("POST", "/api/orders").header("X-Cart-Token", &token).header("Idempotency-Key", &key).json(&order)
        };
        counted.count(name, 201, place).await
    })
    .await;
    of_both(counted, "POST /api/orders (customer)", items, async |counted, name, items| {
        let address = ana.address().await;
        let quote = shop.quote(items, crate::shop::CEP).await;
        let order = json!({"address_id": address, "cpf": CPF, "quote_token": quote});
        let place = async |counted: &Counted<'_>| {
            for (product, quantity) in items {
                assert_eq!(ana.add(product, *quantity).await.status, 200);
            }
            counted.signed(ana, "POST", "/api/orders").json(&order)
        };
        counted.count(name, 201, place).await
    })
    .await;
}

/// Lists of one row and of a page cost the same.
async fn orders(counted: &mut Counted<'_>, ana: &Customer<'_>, items: &[(&Product, i32)]) {
    let bia = counted.shop.customer().await;
    let placed = bia.buy(items).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let one = counted.read_as(&bia, "GET /api/orders, 1 order", "/api/orders").await;
    let ten = counted.read_as(ana, "GET /api/orders, 10 orders", "/api/orders").await;
    assert_eq!(one, ten, "statements of a list of one order, and of ten");
    counted.read_as(&bia, "GET /api/orders/{id}, 20 lines", &format!("/api/orders/{order}")).await;
    let pix = json!({"method": "pix"});
    counted
        .count("POST /api/orders/{id}/pay (the live charge again)", 200, async |counted| {
            counted.signed(&bia, "POST", &format!("/api/orders/{order}/pay")).json(&pix)
        })
        .await;
    counted.read_as(&bia, "GET /api/orders/{id}/payments", &format!("/api/orders/{order}/payments")).await;
}

/// A payment's event, each of a new charge, and the same one again.
async fn webhooks(counted: &mut Counted<'_>, product: &Product) {
    const PATH: &str = "/api/webhooks/payment";
    let shop = counted.shop;
    let carla = shop.customer().await;
    let last = std::cell::RefCell::new(String::new());
    let send = |counted: &Counted<'_>, body: &str| {
        let signature = signature(shop, body);
        counted.request("POST", PATH).header("X-Propay-Signature", &signature).body("application/json", body.to_owned())
    };
    counted
        .count("POST /api/webhooks/payment (paid)", 200, async |counted| {
            let order = carla.buy(&[(product, 1)]).await.body;
            let id = order["id"].as_str().unwrap();
            let charge = carla.post(&format!("/api/orders/{id}/pay"), &json!({"method": "pix"})).await.body;
            let event = json!({"id": format!("evt_{id}"), "event": "payment.paid", "created_at": Timestamp::now(), "payment_id": charge["payment_id"],
                "order_id": id, "txid": charge["txid"], "amount_cents": order["total_cents"], "currency": "BRL",
                "end_to_end_id": "E18236120202610011502s0266295234", "paid_at": Timestamp::now()});
            *last.borrow_mut() = event.to_string();
            send(counted, &last.borrow())
        })
        .await;
    let again = last.borrow().clone();
    counted.count("POST /api/webhooks/payment (the same again)", 200, async |counted| send(counted, &again)).await;
}

async fn people(counted: &mut Counted<'_>, ana: &Customer<'_>) {
    sign_up(counted.shop, "dora@example.com").await;
    let login = json!({"email": "dora@example.com", "password": PASSWORD});
    counted.count("POST /api/auth/login", 200, async |counted| counted.request("POST", "/api/auth/login").json(&login)).await;
    // Another one each time: too many guesses at one account are refused unread.
    let stranger = || json!({"email": format!("{}@example.com", uuid::Uuid::new_v4()), "password": PASSWORD});
    counted
        .count("POST /api/auth/login (nobody)", 401, async |counted| counted.request("POST", "/api/auth/login").json(&stranger()))
        .await;
    counted.read_as(ana, "GET /api/users/me", "/api/users/me").await;
}

async fn admin_lists(counted: &mut Counted<'_>, admin: &Customer<'_>) {
    for path in [
        "/api/orders",
        "/api/orders?q=Ana",
        "/api/admin/users",
        "/api/admin/jobs",
        "/api/admin/messages",
        "/api/admin/webhooks",
        "/api/admin/invoices",
        "/api/admin/shipments",
        "/api/admin/refunds",
        "/api/admin/disputes",
        "/api/admin/alerts",
        "/api/admin/audit",
        "/api/admin/coupons",
        "/api/admin/settings",
    ] {
        counted.read_as(admin, &format!("GET {path} (admin)"), path).await;
    }
}

#[actix_web::test]
async fn a_call_asks_no_more_of_the_database_than_is_written_down() {
    let shop = Shop::open().await;
    // Checked, and not reached.
    let most = json!({"per_document": 100_000, "per_email": 100_000, "per_address": 100_000});
    let limits = json!({"unpaid_orders": most, "unpaid_units": most});
    shop.execute(&format!("INSERT INTO settings (name, value) VALUES ('order_limits', '{limits}')")).await;
    let mut products = Vec::new();
    for n in 1..=20 {
        products.push(shop.product(&format!("Caneca {n}")).stock(1_000).weight(20).create().await);
    }
    let items: Vec<(&Product, i32)> = products.iter().map(|product| (product, 1)).collect();
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let mut counted = Counted::of(&shop).await;
    counted.table = "a call on a warm server: statements\n".to_owned();
    catalog(&mut counted, &admin, &products[0]).await;
    carts_and_freight(&mut counted, &items).await;
    checkouts(&mut counted, &ana, &items).await;
    orders(&mut counted, &ana, &items).await;
    webhooks(&mut counted, &products[0]).await;
    people(&mut counted, &ana).await;
    admin_lists(&mut counted, &admin).await;
    insta::assert_snapshot!("statements_per_call", counted.table);
    counted.server.stop().await;
    shop.close().await;
}
