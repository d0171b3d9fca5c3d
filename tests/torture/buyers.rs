//! Buyers: dozens at once, each with a cart, a key for every purchase, and its own way of paying, or not paying.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::texts;
use crate::world::{Answer, COUPON, Placed, Purchase, World, lock};

/// How long a buyer keeps asking.
const INSISTENCE: Duration = Duration::from_secs(20);
/// Most orders per minute, whatever the machine's speed: their mails must be sent afterwards.
const ORDERS_PER_MINUTE: f64 = 300.0;
/// Delivery addresses.
const CEP: &str = "01310-100";
pub const STREET: &str = "Rua dos Compradores";
/// The number of people; they buy repeatedly.
pub const BUYERS: u32 = 200;

pub async fn buy_until_the_time_is_over(world: &Arc<World>) {
    let mut buyers = JoinSet::new();
    for n in 0..world.plan.buyers {
        let world = Arc::clone(world);
        buyers.spawn(async move {
            let mut dice = world.dice(1_000 + n as u64);
            while !world.time_is_over() {
                buy(&world, &mut dice).await;
                let pause = 60_000.0 * world.plan.buyers as f64 / ORDERS_PER_MINUTE;
                tokio::time::sleep(Duration::from_millis((pause * dice.random_range(0.1..1.0)) as u64)).await;
            }
        });
    }
    let mut minute = tokio::time::interval(Duration::from_secs(30));
    minute.tick().await; // the first tick is immediate
    while !world.time_is_over() {
        tokio::select! {
            _ = minute.tick() => world.say(&format!("{} purchases begun", lock(&world.purchases).len())),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    while let Some(ended) = buyers.join_next().await {
        ended.expect("a buyer does not panic");
    }
}

/// Repeats until there is a clear answer. A lost answer, a 5xx and a key in flight are not clear.
pub async fn insist(
    world: &World,
    dice: &mut StdRng,
    call: (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Option<Answer> {
    insist_for(INSISTENCE, world, dice, call, headers, body).await
}

async fn insist_for(
    limit: Duration,
    world: &World,
    dice: &mut StdRng,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Option<Answer> {
    let started = Instant::now();
    while started.elapsed() < limit {
        let server = dice.random_range(0..2);
        match world.call(server, method, path, headers, body).await {
            Some(answer) if answer.status < 500 && answer.status != 429 && answer.slug() != "idempotency-key-in-flight" => {
                return Some(answer);
            }
            Some(answer) => world.count(&format!("unclear answers {}", answer.status)),
            None => world.count("lost answers"),
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(20..400))).await;
    }
    None
}

/// One purchase, from the empty cart to its end.
async fn buy(world: &World, dice: &mut StdRng) {
    let Some(mut purchase) = fill_cart(world, dice).await else { return world.count("carts given up") };
    lock(&world.purchases).insert(purchase.key.clone(), purchase.clone());
    let headers = [("X-Cart-Token", purchase.cart.as_str()), ("Idempotency-Key", purchase.key.as_str())];
    let Some(answer) = insist(world, dice, ("POST", "/api/orders"), &headers, Some(&purchase.body)).await else {
        return world.count("orders without a clear answer");
    };
    if !note(world, &mut purchase, &answer) {
        return;
    }
    let Some(placed) = purchase.placed.clone() else { return };
    if dice.random_range(0..4) == 0 {
        world.sql(&in_two_boxes(&placed.id)).await;
    }
    match dice.random_range(0..100) {
        0..50 => pay(world, dice, &placed).await,
        50..56 => {
            pay(world, dice, &placed).await;
            again(world, dice, &placed).await;
        }
        56..63 => pay_another_amount(world, dice, &placed).await,
        63..70 => world.count("buyers who never pay"),
        70..82 => pay_after_expiry(world, dice, &placed).await,
        82..88 => cancel(world, dice, &placed).await,
        88..94 => {
            pay(world, dice, &placed).await;
            cancel(world, dice, &placed).await;
        }
        _ => {
            // Two devices of one buyer at the same time.
            let (mut left, mut right) = (world.dice(dice.random()), world.dice(dice.random()));
            tokio::join!(pay(world, &mut left, &placed), pay(world, &mut right, &placed));
        }
    }
}

/// Makes the quote one of two boxes, as if the carrier had packed so; a carrier with one label per box then needs two.
fn in_two_boxes(order: &str) -> String {
    let boxes = r#"[{"h": 10, "w": 15, "l": 20, "g": 300}, {"h": 10, "w": 15, "l": 20, "g": 600}]"#;
    format!(
        "UPDATE orders SET freight_quote = jsonb_set(freight_quote, '{{volumes}}', '{boxes}')
          WHERE id = '{order}' AND status = 'pending' AND shipping_provider = 'melhorenvio' AND service_code IN ('1', '2')"
    )
}

/// Records the result of a purchase. Returns whether the answer was clear.
pub fn note(world: &World, purchase: &mut Purchase, answer: &Answer) -> bool {
    match answer.status {
        201 => {
            world.count("orders placed");
            let placed = Placed::of(&answer.body);
            if let Some(before) = purchase.placed.as_ref().filter(|before| before.id != placed.id) {
                world.violation(format!("the key {} made two orders: {} and {}", purchase.key, before.id, placed.id));
            }
            purchase.placed = Some(placed);
        }
        409 => {
            world.count(&format!("orders refused: {}", answer.slug()));
            purchase.is_refused = true;
        }
        status => {
            world.violation(format!("POST /api/orders was answered {status}: {}", answer.body));
            purchase.is_refused = true;
        }
    }
    lock(&world.purchases).insert(purchase.key.clone(), purchase.clone());
    true
}

async fn fill_cart(world: &World, dice: &mut StdRng) -> Option<Purchase> {
    let products = lock(&world.products).clone();
    let first = dice.random_range(0..products.len());
    let mut chosen = vec![first];
    if dice.random_range(0..3) == 0 {
        chosen.push((first + 1 + dice.random_range(0..products.len() - 1)) % products.len());
    }
    let (mut cart, mut items) = (String::new(), Vec::new());
    for index in chosen {
        let (product, variant) = products[index];
        let item = json!({"product_id": product, "variant_id": variant, "quantity": dice.random_range(1..3)});
        let headers: &[(&str, &str)] = if cart.is_empty() { &[] } else { &[("X-Cart-Token", &cart.clone())] };
        let answer = insist(world, dice, ("POST", "/api/cart/items"), headers, Some(&item)).await?;
        match answer.status {
            200 if cart.is_empty() => cart = answer.cart?,
            200 => {}
            409 => continue, // sold out
            status => {
                world.violation(format!("the cart answered {status}: {}", answer.body));
                return None;
            }
        }
        items.push(item);
    }
    if items.is_empty() {
        return None;
    }
    // A request whose answer was lost may have been carried out, so the cart is read.
    let shown = insist(world, dice, ("GET", "/api/cart"), &[("X-Cart-Token", &cart)], None).await?;
    let line =
        |item: &Value| json!({"product_id": item["product_id"], "variant_id": item["variant_id"], "quantity": item["quantity"]});
    let items: Vec<Value> = shown.body["items"].as_array()?.iter().map(line).collect();
    let ask = json!({"cep_destino": CEP, "items": items});
    let freight = insist(world, dice, ("POST", "/api/shipping/calculate"), &[], Some(&ask)).await?;
    let options = freight.body["options"].as_array()?;
    let chosen = options.get(dice.random_range(0..options.len().max(1)))?;
    world.count(&format!("freight by {}", chosen["provider"].as_str().unwrap_or_default()));
    let token = chosen["quote_token"].as_str()?.to_owned();
    let buyer = dice.random_range(0..BUYERS);
    let mut body = json!({
        "email": format!("pessoa{buyer}@example.com"), "name": format!("Pessoa {buyer}"), "cpf": cpf(buyer),
        "address": {"recipient": format!("Pessoa {buyer}"), "cep": CEP, "street": STREET, "number": "1000",
                    "district": "Bela Vista", "city": "São Paulo", "state": "SP"},
        "quote_token": token,
    });
    if dice.random_range(0..4) == 0 {
        body["coupon"] = COUPON.into();
    }
    if dice.random_range(0..2) == 0 {
        body["pay"] = json!({"method": "pix"});
    }
    if dice.random_range(0..3) == 0 {
        (body["phone"], body["sms_opt_in"]) = (texts::phone(dice, buyer).into(), true.into());
    }
    let key = hex::encode(dice.random::<[u8; 16]>());
    Some(Purchase { key, cart, body, placed: None, is_refused: false })
}

/// A CPF of a person who does not exist, with its two check digits.
pub fn cpf(buyer: u32) -> String {
    let mut digits: Vec<u32> = format!("{:09}", 100_000_000 + buyer * 7_919).chars().filter_map(|c| c.to_digit(10)).collect();
    for _ in 0..2 {
        let weight = digits.len() as u32 + 1;
        let sum: u32 = digits.iter().enumerate().map(|(i, digit)| digit * (weight - i as u32)).sum();
        digits.push(match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        });
    }
    digits.iter().map(u32::to_string).collect()
}

/// Starts a payment by one of the available methods; a card may be refused first, need its holder, or be decided later. Returns
/// the payment's id.
async fn charge(world: &World, dice: &mut StdRng, placed: &Placed) -> Option<String> {
    let offered = insist(world, dice, ("GET", "/api/payment-methods"), &[], None).await?;
    let offered: Vec<&str> = offered.body["items"].as_array()?.iter().filter_map(|m| m["method"].as_str()).collect();
    let method = *offered.get(dice.random_range(0..offered.len().max(1)))?;
    let path = format!("/api/orders/{}/pay", placed.id);
    // A server that dies leaves its key leased for a while; the buyer repeats.
    let mut answer = None;
    for _ in 0..3 {
        let key = hex::encode(dice.random::<[u8; 16]>());
        let headers = [("X-Order-Token", placed.token.as_str()), ("Idempotency-Key", key.as_str())];
        answer = insist_for(INSISTENCE / 4, world, dice, ("POST", &path), &headers, Some(&json!({"method": method}))).await;
        if answer.is_some() {
            break;
        }
    }
    let answer = answer?;
    if answer.status == 200 {
        let payment = answer.body["payment_id"].as_str()?.to_owned();
        world.count(&format!("charges by {method}"));
        let step = ["/control/decline", "/control/processing", "/control/action", "", "", ""][dice.random_range(0..6)];
        if method == "credit_card" && !step.is_empty() {
            let body = json!({"payment_id": payment, "code": "insufficient_funds"});
            if world.sandbox_post(step, &body).await.0 == 200 {
                world.count(&format!("cards at their banks: {}", step.trim_start_matches("/control/")));
            }
        }
        return Some(payment);
    }
    world.count(&format!("charges refused: {} {}", answer.status, answer.slug()));
    None
}

/// How webhooks are sent: mostly as the chaos settings say.
fn travel(dice: &mut StdRng) -> &'static str {
    ["once", "once", "once", "once", "twice", "lost", "late"][dice.random_range(0..7)]
}

/// What the buyer's bank does. Returns whether money moved.
async fn bank(world: &World, body: &Value) -> bool {
    let (status, answer) = world.sandbox_post("/control/pay", body).await;
    if status == 200 {
        world.count("payments made by buyers' banks");
        world.count(&format!("webhooks of payments ordered: {}", body["webhook"].as_str().unwrap_or_default()));
        if let Some(id) = answer["payment_id"].as_str() {
            lock(&world.paid).push(id.to_owned());
        }
    }
    status == 200
}

async fn pay(world: &World, dice: &mut StdRng, placed: &Placed) {
    // A charge may expire before its buyer pays.
    for _ in 0..3 {
        let Some(payment) = charge(world, dice, placed).await else { return };
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..1_500))).await;
        let body = json!({"payment_id": payment, "webhook": travel(dice), "delay_ms": dice.random_range(0..20_000)});
        if bank(world, &body).await {
            return;
        }
    }
}

/// Pays the order again by a voided charge, as banks sometimes allow.
async fn again(world: &World, dice: &mut StdRng, placed: &Placed) {
    let body = json!({"order_id": placed.id, "webhook": travel(dice), "force": true});
    bank(world, &body).await;
    world.count("orders paid twice, or tried to be");
    charge(world, dice, placed).await;
}

async fn pay_another_amount(world: &World, dice: &mut StdRng, placed: &Placed) {
    let Some(payment) = charge(world, dice, placed).await else { return };
    let amount = placed.total_cents + [-1, 1, 100][dice.random_range(0..3)];
    let mut body = json!({"payment_id": payment, "webhook": travel(dice)});
    // OpenPix's answers have no word for what came: its codes fix the amount.
    let is_other = world.sandbox(&format!("/control/charges/{payment}")).await["provider"] != "openpix";
    if is_other {
        body["amount_cents"] = amount.into();
    }
    if bank(world, &body).await && is_other {
        world.count("payments of another amount");
    }
}

/// The order expires, and then the money comes.
async fn pay_after_expiry(world: &World, dice: &mut StdRng, placed: &Placed) {
    let Some(payment) = charge(world, dice, placed).await else { return };
    world.sql(&expire_now(&placed.id)).await;
    let path = format!("/api/orders/{}", placed.id);
    let headers = [("X-Order-Token", placed.token.as_str())];
    for _ in 0..20 {
        let seen = insist(world, dice, ("GET", &path), &headers, None).await;
        if seen.is_some_and(|answer| answer.body["payment_status"] == "expired") {
            world.count("orders seen to expire");
            break;
        }
        if world.time_is_over() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let body = json!({"payment_id": payment, "webhook": travel(dice), "delay_ms": 3_000, "force": true});
    if bank(world, &body).await {
        world.count("payments after expiry");
    }
}

/// Sets an order's expiry to now.
fn expire_now(order: &str) -> String {
    format!(
        "UPDATE orders SET expires_at = now() WHERE id = '{order}' AND status = 'pending';
         UPDATE jobs SET run_at = now() WHERE dedupe = 'expire_order:{order}' AND state = 'waiting'"
    )
}

async fn cancel(world: &World, dice: &mut StdRng, placed: &Placed) {
    let path = format!("/api/orders/{}/cancel", placed.id);
    let headers = [("X-Order-Token", placed.token.as_str())];
    if let Some(answer) = insist(world, dice, ("PATCH", &path), &headers, Some(&json!({"reason": "desisti"}))).await {
        world.count(&format!("cancels answered {}", answer.status));
    }
}
