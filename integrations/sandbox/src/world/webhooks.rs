//! Webhooks: what is told to the shop, signed once, tried until it answers 2xx.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::books::{Attempt, Books, Delivery, DeliveryState};
use crate::world::World;
use crate::world::news::{Envelope, News};
use crate::world::orders::SendWebhook;

/// So much of the shop's answer is kept.
const ANSWER_KEPT: usize = 2_000;

/// What the provider writes about it: nothing, or an envelope for each of its own events.
pub(crate) fn write(world: &World, books: &Books, news: &News<'_>) -> Vec<Envelope> {
    let write = world.provider(news.provider()).and_then(|provider| provider.webhook);
    write.map(|write| write(world, books, news)).unwrap_or_default()
}

/// Writes the webhooks into the books; the loop sends them.
pub(crate) fn tell(world: &World, books: &mut Books, news: &News<'_>, how: SendWebhook) {
    for envelope in write(world, books, news) {
        enter(world, books, news.provider(), news.about(), envelope, how);
    }
}

/// One webhook into the books. `about`: the payment that it speaks of.
pub(crate) fn enter(
    world: &World,
    books: &mut Books,
    provider: &str,
    about: &str,
    envelope: Envelope,
    how: SendWebhook,
) -> Delivery {
    let delivery = Delivery {
        id: Uuid::now_v7().to_string(),
        provider: provider.to_owned(),
        event_id: envelope.event_id,
        event: envelope.event,
        about: about.to_owned(),
        path: envelope.path,
        headers: envelope.headers,
        body: envelope.body,
        state: DeliveryState::Pending,
        due_at: Timestamp::now(),
        attempts: Vec::new(),
    };
    let how = if how == SendWebhook::Once { world.dice().webhook() } else { how }; // what was ordered stays
    send(books, delivery, how)
}

/// Enters a delivery as ordered: now, doubled, late or never.
pub(crate) fn send(books: &mut Books, mut delivery: Delivery, how: SendWebhook) -> Delivery {
    match how {
        SendWebhook::Once => {}
        SendWebhook::Lost => delivery.state = DeliveryState::Lost,
        SendWebhook::Late(by) => delivery.due_at = later(delivery.due_at, by),
        SendWebhook::Twice => {
            books.put(Delivery { id: Uuid::now_v7().to_string(), ..delivery.clone() });
        }
    }
    books.put(delivery.clone());
    delivery
}

/// Sends what is due until the server ends. Deliveries do not wait for each other, so they may overtake.
pub(crate) async fn run(world: Arc<World>) {
    let in_flight = Rc::new(RefCell::new(HashSet::<String>::new()));
    loop {
        let now = Timestamp::now();
        let (due, next) = world.write(|books| look(books, now, &in_flight.borrow(), world.shop_url().is_some()));
        for id in due {
            in_flight.borrow_mut().insert(id.clone());
            let (world, in_flight) = (Arc::clone(&world), Rc::clone(&in_flight));
            rt::spawn(async move {
                deliver(&world, &id).await;
                in_flight.borrow_mut().remove(&id);
                world.wake.notify_one(); // its next try has a time now
            });
        }
        let wait = next
            .map_or(Duration::from_secs(3600), |at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
        tokio::select! {
            () = world.wake.notified() => {}
            () = tokio::time::sleep(wait + Duration::from_millis(1)) => {}
        }
    }
}

/// The deliveries to start, and when to look again.
fn look(books: &Books, now: Timestamp, in_flight: &HashSet<String>, shop_is_known: bool) -> (Vec<String>, Option<Timestamp>) {
    let mut due = Vec::new();
    let mut next = [
        books.charges.waiting().next().map(|w| w.0),
        books.refunds.waiting().next().map(|w| w.0),
        books.parcels.waiting().next().map(|w| w.0),
        books.nfes.waiting().next().map(|w| w.0),
    ]
    .into_iter()
    .flatten()
    .min();
    if shop_is_known {
        for (at, delivery) in books.deliveries.waiting().filter(|(_, d)| !in_flight.contains(&d.id)) {
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
                break;
            }
            due.push(delivery.id.clone());
        }
    }
    (due, next)
}

async fn deliver(world: &World, id: &str) {
    let (Some(shop), Some(delivery)) = (world.shop_url(), world.read(|b| b.deliveries.get(id).cloned())) else {
        return;
    };
    let mut headers = delivery.headers;
    if let Some(stamp) = world.provider(&delivery.provider).and_then(|provider| provider.stamp) {
        headers.extend(stamp(world, &delivery.body));
    }
    let attempt = post(world, &shop, &delivery.path, &headers, delivery.body).await;
    world.write(|books| {
        let Some(mut delivery) = books.deliveries.get(id).cloned() else {
            return;
        };
        let wait = world.cfg.webhook_retries.get(delivery.attempts.len());
        delivery.state = match (attempt.status, wait) {
            (Some(200..=299), _) => DeliveryState::Delivered,
            (_, Some(&wait)) => {
                delivery.due_at = later(Timestamp::now(), wait);
                DeliveryState::Pending
            }
            (_, None) => DeliveryState::GivenUp,
        };
        delivery.attempts.push(attempt);
        books.put(delivery);
    });
}

/// One POST to the shop, whatever comes of it.
pub(crate) async fn post(world: &World, shop: &str, path: &str, headers: &BTreeMap<String, String>, body: String) -> Attempt {
    let at = Timestamp::now();
    let mut call = world.http.post(format!("{shop}{path}"));
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let answered = async {
        let answer = call.body(body).send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await.unwrap_or_default()))
    };
    match answered.await {
        Ok((status, text)) => Attempt { at, status: Some(status), answer: text.chars().take(ANSWER_KEPT).collect() },
        Err(error) => Attempt { at, status: None, answer: error.to_string() },
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
