//! What OpenPix tells. Any of their customers can have such events sent here, about charges of his own that carry our ids: so
//! everything is a hint, and no word of theirs goes anywhere unmeasured.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::pix::{Notice, PixNews};
use vitrine_kit::signature;

use crate::dispute;

/// What makes up a registration's ping, and nothing else.
const PING_FIELDS: [&str; 3] = ["data_criacao", "event", "evento"];
/// Our inbox finds events by their id: a longer one is not of their making.
const MAX_ID: usize = 200;
/// Of a word of theirs, so much is shown.
const MAX_WORD: usize = 80;

/// No ping is longer. What anybody may send is not read beyond this.
pub(crate) const LONGEST_PING: usize = 1024;

/// A body with nothing in it but what a registration's ping has.
pub(crate) fn is_bare_ping(body: &[u8]) -> bool {
    body.len() <= LONGEST_PING && serde_json::from_slice::<Value>(body).is_ok_and(|body| has_only_ping_fields(&body))
}

/// The newer pings do not say `teste_webhook`, and carry a real event's name.
fn has_only_ping_fields(body: &Value) -> bool {
    let Some(fields) = body.as_object() else { return false };
    let is_test = match fields.get("evento") {
        Some(evento) => evento == "teste_webhook",
        None => fields.contains_key("data_criacao"),
    };
    is_test && fields.keys().all(|field| PING_FIELDS.contains(&field.as_str()))
}

/// A body whose signature was right. A ping is none.
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

/// Without anything else to know it by, a repeat is known by its bytes.
fn id_of_bytes(body: &[u8]) -> String {
    format!("body:{}", signature::hmac_sha256_hex(b"openpix", body))
}

struct Told<'a>(&'a Value);

impl Told<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    /// For eyes: short, and on one line.
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

    /// They number nothing: event, charge and PIX together make an event's id. A dispute goes by its PIX and its state.
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
