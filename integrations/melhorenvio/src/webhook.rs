//! Tracking webhooks. Signed over the raw body, except the request that tests the URL: it must be answered with 200.

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use vitrine_kit::shipping::{Stage, TrackingEvent};
use vitrine_kit::{Delivery, Forged, signature};

use crate::label::{Label, LabelStatus};
use crate::label_wire;
use crate::wire::{read, text};

const SIGNATURE: &str = "x-me-signature";

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Without a signature: a test of the URL. Answer 200 and do nothing.
    Ping,
    News(Box<News>),
}

/// A signed event. It has no id, so `event_id` is made of the label, the event and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub event_id: String,
    /// `order.posted`; `unknown` if the body cannot be read.
    pub event: String,
    /// The label in the event. `None`: the body cannot be read.
    pub label: Option<Label>,
    /// The status that the event names; the label's own status may be older.
    pub status: LabelStatus,
    /// The tracking event, for the order and the buyer. `None`: nothing to show.
    pub tells: Option<TrackingEvent>,
    /// The bytes that were signed.
    pub body: Bytes,
}

/// Checks the HMAC-SHA256 of the raw body, in base64, under the application's client secret.
pub fn open_webhook(secret: &SecretString, delivery: &Delivery, now: Timestamp) -> Result<Notice, Forged> {
    let Some(given) = delivery.header(SIGNATURE) else { return Ok(Notice::Ping) };
    if !signature::verify_base64(secret.expose_secret().as_bytes(), &delivery.body, given) {
        return Err(Forged);
    }
    Ok(Notice::News(Box::new(reread(&delivery.body, now))))
}

/// Reads a body whose signature was checked before. `now` is used if it has no time.
pub fn reread(body: &Bytes, now: Timestamp) -> News {
    #[derive(Deserialize)]
    struct Event<'a> {
        event: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let digest = || signature::hmac_sha256_hex(b"melhorenvio", body)[..32].to_owned();
    let parsed = serde_json::from_slice::<Event>(body).ok();
    let Some((event, label, data)) = parsed.and_then(|e| Some((e.event, label_wire::label(e.data)?, e.data))) else {
        return News {
            event_id: digest(),
            event: "unknown".into(),
            label: None,
            status: LabelStatus::Other,
            tells: None,
            body: body.clone(),
        };
    };
    let word = event.strip_prefix("order.").unwrap_or(&event).to_owned();
    let at = time_of(&word, &label);
    // An event without a time gets a digest of its bytes: a repeat has the same bytes.
    let told_at = at.map_or_else(digest, |at| at.to_string());
    News {
        event_id: format!("{}:{event}:{told_at}", label.id),
        status: match label_wire::status(&word) {
            LabelStatus::Other => label.status,
            told => told,
        },
        tells: event_of(&word, at.or_else(|| updated_at(data)).unwrap_or(now)),
        label: Some(label),
        event,
        body: body.clone(),
    }
}

fn time_of(word: &str, label: &Label) -> Option<Timestamp> {
    match word {
        "generated" => label.generated_at,
        "posted" => label.posted_at,
        "delivered" => label.delivered_at,
        "cancelled" | "canceled" => label.canceled_at,
        "expired" => label.expired_at,
        _ => None,
    }
}

fn updated_at(data: &RawValue) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Updated<'a> {
        #[serde(borrow)]
        updated_at: &'a RawValue,
    }
    label_wire::time(&text(read::<Updated>(data)?.updated_at)?)
}

/// One of their states in the buyer's words; `None` for one that concerns only the shop.
pub fn event_of(word: &str, happened_at: Timestamp) -> Option<TrackingEvent> {
    let (code, description, stage) = match word {
        "generated" => ("generated", "Etiqueta emitida, aguardando postagem", None),
        "received" => ("received", "Objeto recebido no ponto de postagem", None),
        "posted" => ("posted", "Objeto postado", Some(Stage::Posted)),
        "delivered" => ("delivered", "Objeto entregue ao destinatário", Some(Stage::Delivered)),
        "undelivered" => ("undelivered", "Entrega não realizada", Some(Stage::Undelivered)),
        "paused" | "suspended" => ("suspended", "Entrega suspensa", None),
        _ => return None,
    };
    Some(TrackingEvent { code: code.into(), description: description.into(), place: None, happened_at, stage })
}

impl Label {
    /// The events so far, oldest first, for those that came by no webhook. Events without a time are left out.
    pub fn story(&self) -> Vec<TrackingEvent> {
        let times = [("generated", self.generated_at), ("posted", self.posted_at), ("delivered", self.delivered_at)];
        times.into_iter().filter_map(|(word, at)| event_of(word, at?)).collect()
    }
}
