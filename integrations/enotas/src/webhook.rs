//! Webhooks. They are not signed: a token in the URL or in a header authenticates them.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use vitrine_kit::fiscal::FiscalNotice;
use vitrine_kit::{Delivery, Forged, signature};

use crate::wire::word;

const HEADER: &str = "X-Token";
/// The longest part of an event's id.
const MAX_PART: usize = 80;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    tipo: String,
    empresa_id: String,
    nfe_id: String,
    nfe_status: String,
    #[serde(default, deserialize_with = "word")]
    nfe_numero_protocolo: Option<String>,
}

/// Checks the token in `?token=`, or in the header, in constant time.
pub(crate) fn check(secret: &SecretString, delivery: &Delivery) -> Result<(), Forged> {
    let is_shown = delivery.shows(secret.expose_secret().as_bytes(), HEADER, "token");
    if is_shown { Ok(()) } else { Err(Forged) }
}

/// `reference`: our reference for their id, if it is ours.
pub(crate) fn notice(body: &[u8], company_id: &str, reference: impl Fn(&str) -> Option<String>) -> FiscalNotice {
    let Some(told) = serde_json::from_slice::<Told>(body).ok().filter(Told::is_sane) else {
        let event_id = format!("body:{}", signature::hmac_sha256_hex(crate::NAME.as_bytes(), body));
        return FiscalNotice { event_id, event: "unreadable".to_owned(), reference: None };
    };
    let is_ours = told.empresa_id.eq_ignore_ascii_case(company_id) && told.tipo == "NF-e";
    FiscalNotice {
        event_id: format!("{}:{}:{}", told.nfe_id, told.nfe_status, told.nfe_numero_protocolo.unwrap_or_default()),
        event: format!("{}.{}", told.tipo.to_lowercase(), told.nfe_status),
        reference: reference(&told.nfe_id).filter(|_| is_ours),
    }
}

impl Told {
    fn is_sane(&self) -> bool {
        let protocol = self.nfe_numero_protocolo.as_deref().unwrap_or_default();
        let sane = |text: &str| text.len() <= MAX_PART && text.bytes().all(|b| b.is_ascii_graphic());
        [&self.tipo, &self.empresa_id, &self.nfe_id, &self.nfe_status].into_iter().all(|text| sane(text)) && sane(protocol)
    }
}
