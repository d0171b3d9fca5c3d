//! OpenPix's webhook. Any of its customers can have such events sent here, about charges of their own with our ids: so everything
//! is a hint, and every text is cut to a length.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::pix::{Notice, PixNews};
use vitrine_kit::signature;

use crate::dispute;

/// The fields of a registration's ping.
const PING_FIELDS: [&str; 3] = ["data_criacao", "event", "evento"];
/// A longer id is not one of OpenPix's.
const MAX_ID: usize = 200;
/// Most characters of OpenPix's text that are shown.
const MAX_WORD: usize = 80;

/// The longest ping. A longer unsigned body is not read.
pub(crate) const LONGEST_PING: usize = 1024;

/// Whether the body has only the fields of a registration's ping.
pub(crate) fn is_bare_ping(body: &[u8]) -> bool {
    body.len() <= LONGEST_PING && serde_json::from_slice::<Value>(body).is_ok_and(|body| has_only_ping_fields(&body))
}

/// Newer pings have the name of a real event instead of `teste_webhook`.
fn has_only_ping_fields(body: &Value) -> bool {
    let Some(fields) = body.as_object() else { return false };
    let is_test = match fields.get("evento") {
        Some(evento) => evento == "teste_webhook",
        None => fields.contains_key("data_criacao"),
    };
    is_test && fields.keys().all(|field| PING_FIELDS.contains(&field.as_str()))
}

/// Reads a body with a right signature. `None` for a ping.
pub(crate) fn notices(body: &Bytes) -> Vec<Notice> {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return vec![Notice {
            event_id: id_of_bytes(body),
            event: "unreadable".to_owned(),
            news: PixNews::Other,
            body: body.clone(),
        }];
    };
    let told = Told(&json);
    if has_only_ping_fields(&json) || told.is_test() {
        return Vec::new();
    }
    let event = told.word("/event").unwrap_or_else(|| "unnamed".to_owned());
    let event_id = told.id(&event).unwrap_or_else(|| id_of_bytes(body));
    let news = told.news(&event);
    vec![Notice { event_id, event, news, body: body.clone() }]
}

/// An event's id made of its bytes, if there is nothing else.
fn id_of_bytes(body: &[u8]) -> String {
    format!("body:{}", signature::hmac_sha256_hex(b"openpix", body))
}

struct Told<'a>(&'a Value);

impl Told<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    /// Shortens a text to one line, for display.
    fn word(&self, pointer: &str) -> Option<String> {
        let word: String = self.text(pointer)?.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect();
        Some(word).filter(|word| !word.is_empty())
    }

    fn first_id(&self, pointers: &[&str]) -> Option<Uuid> {
        pointers.iter().find_map(|pointer| self.text(pointer)?.parse().ok())
    }

    fn is_test(&self) -> bool {
        self.text("/evento") == Some("teste_webhook") && self.0.get("charge").is_none()
    }

    /// Events have no id: it is made of the event, the charge and the PIX; for a dispute, of its PIX and its state.
    fn id(&self, event: &str) -> Option<String> {
        const PARTS: [&str; 7] = [
            "/charge/correlationID",
            "/pix/endToEndId",
            "/refundTransaction/endToEndId",
            "/refund/correlationID",
            "/dispute/id",
            "/dispute/endToEndId",
            "/dispute/status",
        ];
        let parts: Vec<&str> = PARTS.iter().filter_map(|part| self.text(part)).collect();
        let id = format!("{event}:{}", parts.join(":"));
        let is_sane = !parts.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic());
        is_sane.then_some(id)
    }

    fn news(&self, event: &str) -> PixNews {
        let payment =
            self.first_id(&["/charge/correlationID", "/pix/charge/correlationID", "/originalTransaction/charge/correlationID"]);
        if event.contains("DISPUTE") {
            return dispute::told(self.0.get("dispute"), event).map_or(PixNews::Other, PixNews::Disputed);
        }
        if event.contains("REFUND") {
            const REFUNDS: [&str; 4] = [
                "/refund/correlationID",
                "/refundTransaction/correlationID",
                "/pixTransactionRefund/correlationID",
                "/pix/correlationID",
            ];
            let refund = self.first_id(&REFUNDS);
            if refund.is_some() || payment.is_some() {
                return PixNews::LookAtRefund { refund_id: refund, payment_id: payment };
            }
        }
        payment.map_or(PixNews::Other, |payment_id| PixNews::Look { payment_id })
    }
}
