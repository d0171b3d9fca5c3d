//! Comparison of money: the audit, and the providers' books against the shop's, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::Value;
use vitrine::config::DatabaseConfig;
use vitrine::{db, explain};

use crate::buyers::{BUYERS, STREET, cpf, insist};
use crate::sold::IS_SOLD;
use crate::world::{SETUP_TIMEOUT, STOCKS, World, lock};
use crate::{contests, labels, papers, texts};

/// Orders that are also checked by the command itself.
const SPOKEN: usize = 5;

pub async fn check(world: &World) {
    every_key_gives_its_order_again(world).await;
    let books = world.sandbox("/control/books").await;
    let db = world.db().await.expect("a database");
    let shop = Shop::read(&db).await;
    count(world, &shop, &db).await;
    captures(world, &shop, &books);
    refunds(world, &shop, &books);
    paid_otherwise(world, &shop, &books);
    sums(world, &shop, &books);
    contests::check(world, &books, &db).await;
    mails(world, &shop, &books);
    papers::invoices(world, &books, &db).await;
    labels::check(world, &books, &db).await;
    texts::check(world, &books, &db).await;
    stock(world, &db).await;
    drop(db);
    audit(world);
    stories(world).await;
    logs(world);
}

/// No process panicked, and no log names a buyer.
fn logs(world: &World) {
    for panic in world.machine.log_lines(|line| line.contains("panicked at")) {
        world.violation(format!("a server panicked: {panic}"));
    }
    let numbers = (0..BUYERS).flat_map(|buyer| [cpf(buyer), texts::prefix(buyer)]);
    let people: Vec<String> = numbers.chain(["Pessoa ", "pessoa", STREET].map(str::to_owned)).collect();
    for line in world.machine.log_lines(|line| people.iter().any(|person| line.contains(person))) {
        world.violation(format!("a log names a person: {line}"));
    }
}

/// An id without dashes: banks leave them out.
pub fn plain(id: &str) -> String {
    id.replace('-', "").to_lowercase()
}

struct Order {
    id: String,
    number: String,
    status: String,
    payment_status: String,
    /// Sold, not cancelled, and not fully refunded: its invoice stands.
    is_invoiced: bool,
    /// Invoices issued for its sale.
    invoices: i64,
    total: i64,
    /// Without surplus payments.
    refunded: i64,
    /// What disputes took of it.
    lost: i64,
}

/// The shop's side.
struct Shop {
    orders: Vec<Order>,
    /// Payment → its order, and whether it was captured beside the one that the order took.
    payments: BTreeMap<String, (String, bool)>,
    /// Payment → what it captured.
    captured: BTreeMap<String, i64>,
    /// Refund that the provider made → amount.
    refunded: BTreeMap<String, i64>,
    /// Payment → what the shop gave back of it another way, by the ledger.
    otherwise: BTreeMap<String, i64>,
    /// Messages that became outdated while it was unknown whether they had been sent: `kind/id`.
    withdrawn: BTreeSet<String>,
    /// Message → kind and order.
    messages: BTreeMap<String, (String, Option<String>)>,
}

impl Shop {
    async fn read(db: &tokio_postgres::Client) -> Self {
        const ORDERS: &str = "
            SELECT o.id::text, o.number, o.status, o.payment_status, o.total_cents,
                   {sold} AS is_invoiced,
                   (SELECT count(*) FROM invoices i WHERE i.order_id = o.id AND i.purpose = 'sale') AS invoices,
                   (SELECT coalesce(sum(r.amount_cents), 0)::bigint FROM refunds r JOIN payments p ON p.id = r.payment_id
                     WHERE p.order_id = o.id AND r.status = 'done' AND NOT p.is_surplus) AS refunded,
                   (SELECT coalesce(sum(p.lost_cents), 0)::bigint FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus) AS lost
              FROM orders o";
        const PAYMENTS: &str = "SELECT id::text, order_id::text, is_surplus FROM payments";
        const CAPTURES: &str = "SELECT payment_id::text, amount_cents FROM money_movements WHERE kind = 'capture'";
        // One that somebody made on a provider's pages has the provider's name.
        const REFUNDS: &str = "
            SELECT CASE WHEN requested_by LIKE 'provider:%' AND reason = 'made at the provider' THEN provider_ref ELSE key::text END, amount_cents
              FROM refunds WHERE status = 'done' AND paid_otherwise_at IS NULL";
        const OTHERWISE: &str = "
            SELECT payment_id::text, sum(amount_cents)::bigint FROM money_movements WHERE kind = 'refund_otherwise' GROUP BY 1";
        const MESSAGES: &str =
            "SELECT id::text, kind, order_id::text FROM messages WHERE channel = 'email' AND status IN ('sent', 'delivered')";
        const WITHDRAWN: &str = "SELECT kind || '/' || id FROM messages WHERE status = 'failed' AND tried_at IS NOT NULL";
        let amounts = async |sql: &str| -> BTreeMap<String, i64> {
            db.query(sql, &[]).await.unwrap().iter().map(|row| (plain(row.get(0)), row.get(1))).collect()
        };
        let order = |row: &tokio_postgres::Row| Order {
            id: row.get(0),
            number: row.get(1),
            status: row.get(2),
            payment_status: row.get(3),
            total: row.get(4),
            is_invoiced: row.get(5),
            invoices: row.get(6),
            refunded: row.get(7),
            lost: row.get(8),
        };
        Self {
            orders: db.query(&ORDERS.replace("{sold}", IS_SOLD), &[]).await.unwrap().iter().map(order).collect(),
            payments: db
                .query(PAYMENTS, &[])
                .await
                .unwrap()
                .iter()
                .map(|row| (plain(row.get(0)), (row.get(1), row.get(2))))
                .collect(),
            captured: amounts(CAPTURES).await,
            refunded: amounts(REFUNDS).await,
            otherwise: amounts(OTHERWISE).await,
            withdrawn: db.query(WITHDRAWN, &[]).await.unwrap().iter().map(|row| row.get(0)).collect(),
            messages: db.query(MESSAGES, &[]).await.unwrap().iter().map(|r| (r.get(0), (r.get(1), r.get(2)))).collect(),
        }
    }
}

/// Every order that was answered with 201 exists, and its key returns it again.
async fn every_key_gives_its_order_again(world: &World) {
    let purchases: Vec<_> = lock(&world.purchases).values().cloned().collect();
    let asked = futures_util::stream::iter(purchases.into_iter().enumerate().filter(|(_, p)| p.placed.is_some())).map(
        |(n, p)| async move {
            let mut dice = world.dice(100_000 + n as u64);
            let headers = [("X-Cart-Token", p.cart.as_str()), ("Idempotency-Key", p.key.as_str())];
            let answer = insist(world, &mut dice, ("POST", "/api/orders"), &headers, Some(&p.body)).await;
            let id = p.placed.map(|placed| placed.id).unwrap_or_default();
            match answer {
                Some(again) if again.status == 201 && again.is_replay && again.body["id"] == id.as_str() => {
                    world.count("keys that gave their order again")
                }
                other => world.violation(format!("the key of order {id} gives {other:?}")),
            }
        },
    );
    asked.buffer_unordered(8).collect::<Vec<()>>().await;
}

async fn count(world: &World, shop: &Shop, db: &tokio_postgres::Client) {
    let known: BTreeSet<String> =
        lock(&world.purchases).values().filter_map(|p| p.placed.as_ref().map(|placed| placed.id.clone())).collect();
    let there: BTreeSet<String> = shop.orders.iter().map(|order| order.id.clone()).collect();
    for id in known.difference(&there) {
        world.violation(format!("order {id} was answered 201 and is not there"));
    }
    for id in there.difference(&known) {
        world.violation(format!("order {id} is there and nobody was told so"));
    }
    for order in &shop.orders {
        world.count(&format!("orders that ended {}", order.payment_status));
    }
    for (what, sql) in [
        ("captures in the ledger", "SELECT count(*) FROM money_movements WHERE kind = 'capture'"),
        (
            "surplus payments",
            "SELECT count(DISTINCT subject_id) FROM order_history WHERE subject = 'payment' AND to_state = 'surplus'",
        ),
        (
            "orders revived by late money",
            "SELECT count(*) FROM order_history WHERE subject = 'order' AND from_state = 'cancelled'",
        ),
        (
            "payments that were unknown for a while",
            "SELECT count(*) FROM order_history WHERE subject = 'payment' AND to_state = 'unknown'",
        ),
        (
            "refunds that waited for a later try",
            "SELECT count(DISTINCT subject_id) FROM order_history WHERE subject = 'refund' AND to_state = 'waiting'",
        ),
        (
            "refunds that waited, and went back in the end",
            "SELECT count(*) FROM refunds WHERE waits_since IS NOT NULL AND status = 'done'",
        ),
        ("keys of refunds that were used up", "SELECT count(*) FROM refund_keys"),
        ("sales that were on hold", "SELECT count(*) FROM order_history WHERE subject = 'sale' AND to_state = 'on_hold'"),
        ("refunds that failed at the bank", "SELECT count(*) FROM refunds WHERE status = 'failed'"),
        ("jobs done", "SELECT count(*) FROM jobs WHERE state = 'done'"),
        ("coupon uses held at the end", "SELECT coalesce(sum(uses), 0)::bigint FROM coupons"),
    ] {
        let n: i64 = db.query_one(sql, &[]).await.unwrap().get(0);
        world.add(what, n as u64);
    }
}

pub fn rows<'a>(books: &'a Value, list: &str) -> &'a [Value] {
    books[list].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Every payment at a provider is in the ledger with its amount, and the ledger has no other.
fn captures(world: &World, shop: &Shop, books: &Value) {
    let theirs: BTreeMap<String, i64> = rows(books, "charges")
        .iter()
        .filter_map(|charge| Some((plain(charge["payment_id"].as_str()?), charge["paid_cents"].as_i64()?)))
        .collect();
    compare(world, "captured", &shop.captured, &theirs);
}

fn refunds(world: &World, shop: &Shop, books: &Value) {
    let theirs: BTreeMap<String, i64> = rows(books, "refunds")
        .iter()
        .filter(|refund| refund["status"] == "done" && !contests::is_by_a_bank(refund))
        .filter_map(|refund| {
            let name = if refund["origin"] == "dashboard" { "end_to_end_id" } else { "refund_id" };
            Some((plain(refund[name].as_str()?), refund["amount_cents"].as_i64()?))
        })
        .collect();
    compare(world, "refunded", &shop.refunded, &theirs);
}

/// Only what a provider refuses for good is paid another way: here, the rest of a card payment of which a dispute took a part. All of
/// it is still there, but for what later disputes took.
fn paid_otherwise(world: &World, shop: &Shop, books: &Value) {
    for (payment, cents) in &shop.otherwise {
        world.add("centavos paid back another way", cents.unsigned_abs());
        let is_of_it = |row: &&Value| row["payment_id"].as_str().is_some_and(|id| plain(id) == *payment);
        let taken: i64 = rows(books, "disputes").iter().filter(is_of_it).map(contests::taken_cents).sum();
        let back: i64 = rows(books, "refunds")
            .iter()
            .filter(is_of_it)
            .filter(|refund| refund["status"] == "done")
            .filter_map(|refund| refund["amount_cents"].as_i64())
            .sum();
        let paid: i64 = rows(books, "charges").iter().filter(is_of_it).filter_map(|charge| charge["paid_cents"].as_i64()).sum();
        if taken <= 0 || *cents > paid - back {
            world.violation(format!(
                "{cents} centavos of the payment {payment} were paid back another way: its provider has {paid}, gave back {back}, and \
                 disputes took {taken}"
            ));
        }
    }
}

fn compare(world: &World, what: &str, ours: &BTreeMap<String, i64>, theirs: &BTreeMap<String, i64>) {
    world.add(
        &format!("entries {what} that agree with the providers' books"),
        ours.iter().filter(|(id, cents)| theirs.get(*id) == Some(cents)).count() as u64,
    );
    for (id, cents) in theirs {
        match ours.get(id) {
            Some(ours) if ours == cents => {}
            ours => world.violation(format!("{what} by {id}: the provider says {cents}, the shop {ours:?}")),
        }
    }
    for (id, cents) in ours.iter().filter(|(id, _)| !theirs.contains_key(*id)) {
        world.violation(format!("{what} by {id}: the shop says {cents}, the provider nothing"));
    }
}

/// What is left of a payment by the providers' books, and was not paid back another way, is what its order says, and of a surplus
/// nothing is left.
fn sums(world: &World, shop: &Shop, books: &Value) {
    let mut left: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |payment: &Value, cents: i64| *left.entry(plain(payment.as_str().unwrap_or_default())).or_default() += cents;
    for charge in rows(books, "charges") {
        add(&charge["payment_id"], charge["paid_cents"].as_i64().unwrap_or(0));
    }
    for refund in rows(books, "refunds").iter().filter(|refund| refund["status"] == "done") {
        add(&refund["payment_id"], -refund["amount_cents"].as_i64().unwrap_or(0));
    }
    for dispute in rows(books, "disputes") {
        add(&dispute["payment_id"], -contests::taken_cents(dispute));
    }
    for (payment, cents) in &shop.otherwise {
        *left.entry(payment.clone()).or_default() -= cents;
    }
    let mut of_orders: BTreeMap<&str, i64> = BTreeMap::new();
    for (payment, left) in left {
        match shop.payments.get(&payment) {
            Some((order, false)) => *of_orders.entry(order).or_default() += left,
            Some((order, true)) if left > 0 => {
                world.violation(format!("{left} centavos are left of the surplus {payment} of order {order} at its provider"))
            }
            _ => {}
        }
    }
    for order in &shop.orders {
        let should = match order.payment_status.as_str() {
            // Below zero where the shop refunded what the payer's bank took as well.
            "paid" | "partially_refunded" | "refunded" => order.total - order.refunded - order.lost,
            _ => 0,
        };
        let is = of_orders.get(order.id.as_str()).copied().unwrap_or(0);
        if is != should || (order.payment_status == "refunded") != (should <= 0 && order.refunded + order.lost > 0) {
            let Order { number, payment_status, refunded, lost, .. } = order;
            world.violation(format!(
                "order {number} ({payment_status}, refunded {refunded}, lost {lost}): {is} centavos are left of it at the providers, not {should}"
            ));
        }
    }
}

/// Every message was sent once, and each event of an order has one message.
fn mails(world: &World, shop: &Shop, books: &Value) {
    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    for mail in rows(books, "mails") {
        // Those of one call share its key, so each says which message it is.
        let tag = |name: &str| mail["tags"].as_array()?.iter().find(|tag| tag[0] == name)?[1].as_str();
        let key = tag("kind").zip(tag("message")).map(|(kind, message)| format!("{kind}/{message}"));
        *sent.entry(key.unwrap_or_else(|| "without a message".to_owned())).or_default() += 1;
    }
    let mut told: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for (id, (kind, order)) in &shop.messages {
        match sent.remove(format!("{kind}/{id}").as_str()) {
            Some(1) => {}
            times => world.violation(format!("message {id} ({kind}) was sent {} times", times.unwrap_or(0))),
        }
        *told.entry((order.as_deref().unwrap_or_default(), kind)).or_default() += 1;
    }
    sent.retain(|key, times| *times != 1 || !shop.withdrawn.contains(key));
    for (key, times) in sent {
        world.violation(format!("{times} mail(s) {key} that the shop knows nothing of"));
    }
    world.add("mails sent, each once", shop.messages.len() as u64);
    for order in &shop.orders {
        let is_paid = matches!(order.payment_status.as_str(), "paid" | "partially_refunded" | "refunded");
        let is_delivered = order.status == "delivered";
        for (kind, should, may) in [
            ("order_placed", true, 1),
            ("order_paid", is_paid, i64::from(is_paid)),
            ("invoice", order.is_invoiced, order.invoices),
            ("order_delivered", is_delivered, i64::from(is_delivered || order.status == "returned")),
        ] {
            let is = told.get(&(order.id.as_str(), kind)).copied().unwrap_or(0);
            if is < u32::from(should) || i64::from(is) > may {
                let (number, state) = (&order.number, &order.payment_status);
                world.violation(format!("order {number} ({}, {state}) has {is} mail(s) {kind}", order.status));
            }
        }
    }
}

async fn stock(world: &World, db: &tokio_postgres::Client) {
    const SOLD: &str = "
        SELECT v.sku, v.stock, coalesce(sum(l.quantity) FILTER (WHERE o.stock_held), 0)::bigint
          FROM variants v LEFT JOIN order_lines l ON l.variant_id = v.id LEFT JOIN orders o ON o.id = l.order_id GROUP BY v.id ORDER BY v.sku";
    for (row, opening) in db.query(SOLD, &[]).await.unwrap().iter().zip(STOCKS) {
        let (sku, stock, sold): (String, i32, i64) = (row.get(0), row.get(1), row.get(2));
        if i64::from(stock) + sold != i64::from(opening) || sold > i64::from(opening) {
            world.violation(format!("{sku}: {opening} were there, {sold} are sold, {stock} are left"));
        }
    }
}

fn audit(world: &World) {
    let audit = world.machine.vitrine(&["audit"]);
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    if !audit.status.success() {
        world.violation(format!("the audit is not clean:\n{said}{}", String::from_utf8_lossy(&audit.stderr)));
    }
    world.say(said.lines().last().unwrap_or_default());
}

/// Every order can be explained, without a gap.
async fn stories(world: &World) {
    let url = SecretString::from(world.machine.database_url.clone());
    let config = DatabaseConfig {
        url,
        min_conns: 0,
        max_conns: 4,
        statement_timeout: SETUP_TIMEOUT,
        pool_wait: SETUP_TIMEOUT,
        answer_wait: SETUP_TIMEOUT,
        idle_timeout: SETUP_TIMEOUT,
    };
    let pool = db::pool(&config, db::Patience::Command).unwrap();
    let db = pool.get().await.unwrap();
    let placed: Vec<_> = lock(&world.purchases).values().filter_map(|p| p.placed.clone()).collect();
    for number in placed.iter().take(SPOKEN).map(|placed| &placed.number) {
        let said = world.machine.vitrine(&["explain", number, "--json"]);
        let story: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        if !said.status.success() || story["number"] != number.as_str() {
            world.violation(format!("`vitrine explain {number}` says {}", String::from_utf8_lossy(&said.stderr)));
        }
    }
    for id in placed.iter().map(|placed| &placed.id) {
        match explain::story(&db, id).await.unwrap() {
            Some(story) => {
                for step in story.steps.iter().filter(|step| step.is_gap) {
                    world.violation(format!("the story of order {} has a gap: {step:?}", story.number));
                }
                world.add("steps explained", story.steps.len() as u64);
            }
            None => world.violation(format!("order {id} cannot be explained")),
        }
    }
}
