//! A bank's webhook about received PIX and their returns. Its only proof is the secret in the address, so everything is a hint.

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use vitrine_kit::pix::{Notice, PixNews};
use vitrine_kit::{Forged, signature};

use crate::wire;

/// Their ids have 32 to 35 letters and digits; nothing much longer is kept as one.
const MAX_PART: usize = 64;

/// The secret in the address, compared in constant time. Banks append `/pix` to the address. With `&ignorar=` at
/// its end that becomes another parameter; otherwise it would be part of the secret.
pub(crate) fn check(secret: &SecretString, query: &str) -> Result<(), Forged> {
    let raw = query.split('&').find_map(|pair| pair.strip_prefix("hmac=")).unwrap_or_default();
    let decoded = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "hmac");
    let decoded = decoded.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let secret = secret.expose_secret().as_bytes();
    // Raw too: a `+` or a `/` is often pasted as it is.
    let is_secret = |given: &str| bool::from(given.as_bytes().ct_eq(secret));
    let is_right = [raw, &decoded].iter().any(|given| is_secret(given) || is_secret(given.trim_end_matches("/pix")));
    if is_right { Ok(()) } else { Err(Forged) }
}

/// One notice per PIX and one per return of it. A body may have several, and repeats old ones.
pub(crate) fn notices(body: &Bytes, pix_key: &str) -> Vec<Notice> {
    match items(body) {
        Some(items) => items.iter().flat_map(apart).map(|item| notice(&item, pix_key)).collect(),
        None if is_ping(body) => Vec::new(),
        None => vec![strange(body)],
    }
}

/// What [`notices`] took apart: each item is one notice.
pub(crate) fn kept(body: &Bytes, pix_key: &str) -> Vec<Notice> {
    match items(body) {
        Some(items) => items.iter().map(|item| notice(item, pix_key)).collect(),
        None => vec![strange(body)],
    }
}

fn items(body: &[u8]) -> Option<Vec<Value>> {
    match serde_json::from_slice::<Value>(body).ok()?.get_mut("pix")?.take() {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// Whether this is the test of the address that some banks send at registration.
fn is_ping(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("evento").is_some_and(|e| e == "teste_webhook"))
}

/// A PIX without its returns, then the PIX once more with each of them.
fn apart(item: &Value) -> Vec<Value> {
    let mut bare = item.clone();
    let returns = bare.as_object_mut().and_then(|fields| fields.remove("devolucoes")).unwrap_or_default();
    let with = |devolucao: Value| {
        let mut item = bare.clone();
        item["devolucoes"] = json!([devolucao]); // an item without fields has no returns
        item
    };
    let returns: Vec<Value> = wire::several(returns).into_iter().map(with).collect();
    std::iter::once(bare).chain(returns).collect()
}

/// Of an item with at most one return in it.
fn notice(item: &Value, pix_key: &str) -> Notice {
    let body = Bytes::from(json!({"pix": [item]}).to_string());
    let text = |pointer: &str| {
        let sane = |text: &&str| (1..=MAX_PART).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        item.pointer(pointer).and_then(Value::as_str).filter(sane)
    };
    let Some(end_to_end_id) = text("/endToEndId") else { return strange(&body) };
    let (event_id, event) = match item.pointer("/devolucoes/0") {
        None => (end_to_end_id.to_owned(), "pix"),
        Some(_) => {
            let (Some(id), Some(status)) = (text("/devolucoes/0/id"), text("/devolucoes/0/status")) else {
                return strange(&body);
            };
            (format!("{end_to_end_id}:{id}:{status}"), "devolucao")
        }
    };
    let is_ours = item.get("chave").is_none_or(|key| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(pix_key)));
    let payment: Option<Uuid> = text("/txid").and_then(|txid| txid.parse().ok());
    let refund: Option<Uuid> = text("/devolucoes/0/id").and_then(|id| id.parse().ok());
    let news = match (refund, payment) {
        _ if !is_ours => PixNews::Other,
        _ if event == "devolucao" && (refund, payment) != (None, None) => {
            PixNews::LookAtRefund { refund_id: refund, payment_id: payment }
        }
        (_, Some(payment_id)) => PixNews::Look { payment_id },
        (_, None) => PixNews::Other,
    };
    Notice { event_id, event: event.to_owned(), news, body }
}

/// Kept for the operator. Without an id, a repeat is known by its bytes.
fn strange(body: &Bytes) -> Notice {
    let event_id = format!("body:{}", signature::hmac_sha256_hex(b"bacen", body));
    Notice { event_id, event: "unreadable".to_owned(), news: PixNews::Other, body: body.clone() }
}
