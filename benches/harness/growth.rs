//! What the shop's size costs: the 95th percentile of calls to a large shop, divided by that of the same calls to a small one. The
//! catalog's cache is off, so that every call reads.

use std::time::Instant;

use serde_json::json;
use tokio_postgres::Client;

use crate::Bench;
use crate::beside::block;
use crate::rows::{Bound, Row};
use crate::shared::buyers::{Offers, Wish, p95_ms, request};
use crate::shared::shop::{ADMIN, Shop};

const CLIENTS: usize = 2;
const CUSTOMER: (&str, &str) = ("ana.cliente@example.com", "a password of the bench");
/// Orders of the one customer who looks at them.
const OWN: i64 = 40;
const WANTED: Bound = Bound::AtMost(2.0);
const WISH: Wish = Wish { lines: 2, hot: false, pix: false };
/// Rows of one statement that fills.
const CHUNK: i64 = 50_000;

/// Products from one number to another, as the first thousand are.
const MORE_PRODUCTS: &str = "
    INSERT INTO products (id, slug, name, description, category_id, featured, weight_grams, height_cm, width_cm, length_cm)
    SELECT ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid, 'bench-' || n,
           (ARRAY['Camiseta', 'Caneca', 'Caderno', 'Mochila', 'Lanterna'])[1 + n % 5] || ' ' || n,
           repeat('Algodão penteado, costura reforçada. ', 8), '00000000-0000-7000-8000-000000000001', n % 20 = 0, 300, 5, 10, 10
      FROM generate_series({from}, {to}) n;
    INSERT INTO variants (id, product_id, sku, name, price_cents, stock, is_default)
    SELECT ('00000000-0000-7000-8000-2' || lpad(n::text, 11, '0'))::uuid, ('00000000-0000-7000-8000-1' || lpad(n::text, 11, '0'))::uuid,
           'BENCH-' || n, 'Único', 1990 + n % 5000, 1000000, true FROM generate_series({from}, {to}) n;
    INSERT INTO stock_movements (variant_id, delta, reason, cause, actor)
    SELECT id, stock, 'opening', 'bench', 'system' FROM variants
     WHERE id BETWEEN ('00000000-0000-7000-8000-2' || lpad('{from}', 11, '0'))::uuid AND ('00000000-0000-7000-8000-2' || lpad('{to}', 11, '0'))::uuid";
/// Delivered orders of a line each, thirty seconds apart; every `{gap}`th is the customer's. The rows are right by construction, so no
/// trigger and no foreign key looks at them.
const ORDERS: &str = "
    SET session_replication_role = replica;
    INSERT INTO orders (id, number, user_id, customer_name, customer_email, tax_id_sealed, tax_id_key, tax_id_hash, status, payment_status,
           payment_method, subtotal_cents, shipping_cents, shipping_quoted_cents, total_cents, shipping_address, shipping_provider, carrier,
           service, service_code, delivery_days, freight_quote, tracking_number, expires_at, paid_at, shipped_at, delivered_at, created_at, units)
    SELECT (lpad(to_hex(1600000000000 + n * 15000), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, 'VB' || n,
           CASE WHEN n % {gap} = 0 THEN '{user}'::uuid END, 'Pessoa ' || n, 'pessoa' || n || '@example.com', '\\x00', 1,
           sha256(n::text::bytea), 'delivered', 'paid', 'pix', 1990, 1850, 1850, 3840,
           '{\"recipient\": \"Ana\", \"cep\": \"01310100\", \"street\": \"Avenida Paulista\", \"number\": \"1\", \"district\": \"Bela Vista\", \"city\": \"São Paulo\", \"state\": \"SP\"}',
           'melhorenvio', 'Jadlog', '.Package', '3', 3, '{}', 'BR' || n || 'BR', at, at, at, at, at, 1
      FROM generate_series({from}, {to}) n, LATERAL (SELECT to_timestamp(1600000000 + n * 15) AS at) t;
    INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, quantity, unit_price_cents, line_total_cents)
    SELECT (lpad(to_hex(1600000000000 + n * 15000), 12, '0') || '70009000' || lpad(to_hex(n), 12, '0'))::uuid,
           (lpad(to_hex(1600000000000 + n * 15000), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, 1,
           ('00000000-0000-7000-8000-1' || lpad((1 + n % 1000)::text, 11, '0'))::uuid,
           ('00000000-0000-7000-8000-2' || lpad((1 + n % 1000)::text, 11, '0'))::uuid, 'BENCH-' || 1 + n % 1000, 'Produto', 'Único', 1, 1990, 1990
      FROM generate_series({from}, {to}) n;
    INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
    SELECT ('00000000-0000-7000-8000-2' || lpad((1 + n % 1000)::text, 11, '0'))::uuid, -1, 'sale',
           (lpad(to_hex(1600000000000 + n * 15000), 12, '0') || '70009000' || lpad(to_hex(n), 12, '0'))::uuid, 1, 'bench', 'guest'
      FROM generate_series({from}, {to}) n;
    RESET session_replication_role";

/// A shop of one size.
struct Size {
    shop: Shop,
    offers: Offers,
    customer: String,
    admin: String,
}

/// What is asked, and as whom.
enum Ask {
    Anybody(&'static str),
    Customer(&'static str),
    Admin(&'static str),
    Order,
}

const ASKED: [(&str, Ask); 13] = [
    ("list", Ask::Anybody("/api/products?limit=20")),
    ("list by price", Ask::Anybody("/api/products?limit=20&sort=price")),
    ("category", Ask::Anybody("/api/products/category/tudo?limit=20")),
    ("search, one common word", Ask::Anybody("/api/products/search?q=caneca")),
    ("search, word and number", Ask::Anybody("/api/products/search?q=caneca%20771")),
    ("search, misspelled", Ask::Anybody("/api/products/search?q=camizeta")),
    ("search, nothing found", Ask::Anybody("/api/products/search?q=xilofone")),
    ("detail", Ask::Anybody("/api/products/bench-7")),
    ("a customer's orders", Ask::Customer("/api/orders")),
    ("administration: orders by number", Ask::Admin("/api/orders?q=VB777")),
    ("administration: orders by name", Ask::Admin("/api/orders?q=Pessoa%209999")),
    ("administration: orders by e-mail", Ask::Admin("/api/orders?q=pessoa777%40example.com")),
    ("an order of 2 lines is placed", Ask::Order),
];

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let (products, orders) = (&bench.options.products, &bench.options.past_orders);
    assert!(products.len() == 2 && orders.len() == 2, "--products and --past-orders want two sizes each: 1000,1000000");
    let mut sizes = Vec::new();
    for size in [0, 1] {
        sizes.push(Size::open(bench, products[size], orders[size]).await);
    }
    let names = [0, 1].map(|size| format!("{} products, {} orders", products[size], orders[size]));
    let names = [names[0].as_str(), &names[1]];
    let each = bench.options.growth_calls;
    let mut rows = Vec::new();
    for (name, ask) in &ASKED {
        let mut row = Row::new(*name, "ms (p95)", &names);
        for round in 0..=bench.options.rounds {
            for turn in [0, 1] {
                let size = &sizes[(turn + round) % 2];
                let p95 = size.p95_ms(ask, each).await;
                if round > 0 {
                    row.add((turn + round) % 2, p95, None, 0);
                }
            }
        }
        row.compare(1, 0, Some(WANTED));
        rows.push(row);
    }
    for size in sizes {
        size.shop.close(&bench.cluster).await;
    }
    rows
}

impl Size {
    async fn open(bench: &Bench, products: i64, orders: i64) -> Self {
        let build = &bench.builds[0];
        let name = format!("growth_{products}_{orders}");
        let off = [("CACHE_ENABLED", "false")];
        let shop = Shop::open(&bench.cluster, &bench.dir.join(&build.name), &build.binary, &name, &off).await;
        let (email, password) = CUSTOMER;
        let ana = json!({"name": "Ana Cliente", "email": email, "password": password});
        shop.post("/api/auth/register", None, &ana).await;
        let [customer, admin] = [sign_in(&shop, CUSTOMER).await, sign_in(&shop, ADMIN).await];
        let (db, began) = (shop.db().await, Instant::now());
        fill(&db, MORE_PRODUCTS, 1001, products).await;
        let user: uuid::Uuid = db.query_one("SELECT id FROM users WHERE email = $1", &[&email]).await.unwrap().get(0);
        let gap = (orders / OWN).max(1).to_string();
        let with_user = ORDERS.replace("{user}", &user.to_string()).replace("{gap}", &gap);
        fill(&db, &with_user, 1, orders).await;
        db.batch_execute("VACUUM ANALYZE").await.unwrap();
        println!("{products} products and {orders} orders filled in {:.0} s", began.elapsed().as_secs_f64());
        let offers = shop.offers(WISH).await;
        Self { shop, offers, customer, admin }
    }

    async fn p95_ms(&self, ask: &Ask, each: usize) -> f64 {
        let (path, token) = match ask {
            Ask::Anybody(path) => (path, None),
            Ask::Customer(path) => (path, Some(&self.customer)),
            Ask::Admin(path) => (path, Some(&self.admin)),
            Ask::Order => {
                let orders = self.shop.fill_all(&self.offers, CLIENTS, each).await;
                return p95_ms(&block(&self.shop, orders).await, each / 4);
            }
        };
        let bearer = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
        let headers: Vec<_> = token.iter().map(|_| ("authorization", bearer.as_str())).collect();
        let requests = vec![vec![request("GET", path, &headers, ""); each]; CLIENTS];
        p95_ms(&self.shop.send_all(&requests).await, each / 4)
    }
}

async fn fill(db: &Client, statements: &str, first: i64, last: i64) {
    let mut from = first;
    while from <= last {
        let to = (from + CHUNK - 1).min(last);
        let filled = statements.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
        db.batch_execute(&filled).await.unwrap();
        from = to + 1;
    }
}

async fn sign_in(shop: &Shop, (email, password): (&str, &str)) -> String {
    let (_, session) = shop.post("/api/auth/login", None, &json!({"email": email, "password": password})).await;
    session["token"].as_str().unwrap().to_owned()
}
