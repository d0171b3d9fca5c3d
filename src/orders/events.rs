//! `text/event-stream` of one order's changes. Its events are the rows of the history with their ids, so a client can resume
//! anywhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::stream;
use uuid::Uuid;

use super::store;
use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::ids::OrderId;
use crate::sale::seen::ViewedOrder;
use crate::sale::viewer::Viewer;

/// How often a stream reads new rows. It holds a database connection only for that.
const LOOK: Duration = Duration::from_secs(1);
/// How often a comment is sent, so that proxies do not close a quiet stream.
const KEEP_ALIVE_LOOKS: u32 = 15;
/// Most open streams of one process. Further clients are told to poll.
const MAX_STREAMS: usize = 1000;
/// Most open streams of one account or one guest's order.
const MAX_PER_PERSON: usize = 10;
/// How long a stream lasts. Then the client reconnects, and its access is checked again.
const MAX_LOOKS: u32 = 3600;

/// The open streams of this process, by person.
static OPEN: Mutex<BTreeMap<Uuid, usize>> = Mutex::new(BTreeMap::new());

/// Counts one open stream until it is dropped.
struct Seat(Uuid);

impl Seat {
    fn take(person: Uuid) -> Result<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner); // a panic cannot leave the counters inconsistent
        if open.get(&person).is_some_and(|theirs| *theirs >= MAX_PER_PERSON) {
            return Err(Error::TooMany { retry_after_s: 5 });
        }
        if open.values().sum::<usize>() >= MAX_STREAMS {
            return Err(Error::Busy { what: "Too many event streams are open: ask for the order itself", retry_after_s: 5 });
        }
        *open.entry(person).or_default() += 1;
        Ok(Self(person))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = open.get_mut(&self.0) {
            *theirs -= 1;
            if *theirs == 0 {
                open.remove(&self.0);
            }
        }
    }
}

/// One open stream.
struct Follower {
    app: web::Data<App>,
    order: OrderId,
    last: i64,
    looks: u32,
    _seat: Seat,
}

/// Follows an order
///
/// A stream of the order's changes as they happen (`text/event-stream`); it resumes with `Last-Event-ID`. One person may have
/// ten streams open.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "The stream"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours"),
        (status = 429, body = Problem, description = "`too-many-requests`: you have ten streams open"),
        (status = 503, body = Problem, description = "`unavailable`: too many streams are open in all")))]
#[get("/api/orders/{id}/events")]
pub async fn events(
    app: web::Data<App>,
    ViewedOrder { id: order, viewer }: ViewedOrder,
    req: HttpRequest,
) -> Result<HttpResponse> {
    let url = &app.config.http.public_url;
    store::find_order(&app.db().await?, order, viewer, url).await?.ok_or(Error::NotFound("The order"))?;
    let seat = Seat::take(match viewer {
        Viewer::Customer(user) | Viewer::Admin(user) | Viewer::Shipper(user) => user.0,
        Viewer::Guest => order.0,
    })?;
    let last = req.headers().get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
    let follower = Follower { app: app.clone(), order, last, looks: 0, _seat: seat };
    let news = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, Error>(chunk), follower))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(news))
}

impl Follower {
    /// The next events, or a comment that keeps the stream open; `None` ends it (the server stops, or its time is over).
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.app.is_draining() || self.looks >= MAX_LOOKS {
                return None;
            }
            if self.looks > 0 {
                tokio::time::sleep(LOOK).await;
            }
            self.looks += 1;
            // A short failure of the database does not end the stream.
            let news = self.news().await.unwrap_or_default();
            if !news.is_empty() {
                return Some(Bytes::from(news));
            }
            if self.looks % KEEP_ALIVE_LOOKS == 1 {
                return Some(Bytes::from_static(b": ok\n\n"));
            }
        }
    }

    async fn news(&mut self) -> Result<String> {
        const NEWS: &str = "
            SELECT id, subject, from_state, to_state, at FROM order_history
             WHERE order_id = $1 AND id > $2 AND subject IN ('order', 'payment_status', 'payment', 'refund', 'shipment', 'invoice')
             ORDER BY id LIMIT 100";
        let rows = db::query(&self.app.db().await?, NEWS, &[&self.order, &self.last]).await?;
        let mut text = String::new();
        for row in rows {
            self.last = row.get("id");
            let data = serde_json::json!({
                "order_id": self.order, "subject": row.get::<_, &str>("subject"), "from": row.get::<_, Option<&str>>("from_state"),
                "to": row.get::<_, &str>("to_state"), "at": row.get::<_, jiff::Timestamp>("at"),
            });
            text.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", self.last, row.get::<_, &str>("subject")));
        }
        Ok(text)
    }
}
