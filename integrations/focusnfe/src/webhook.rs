//! Webhooks. A fixed token in a header authenticates them, so an event is only a hint to read the note.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use vitrine_kit::fiscal::FiscalNotice;
use vitrine_kit::{Delivery, Forged, signature};

use crate::wire::{is_reference, number};

/// Set as `authorization_header` when the webhook is registered.
const HEADER: &str = "X-Focus-Token";
/// The longest part of an event's id.
const MAX_PART: usize = 40;

/// The fields of the note that distinguish its states.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    cnpj_emitente: Option<String>,
    #[serde(rename = "ref")]
    reference: String,
    status: String,
    #[serde(default)]
    status_sefaz: Option<String>,
    #[serde(default)]
    numero: Option<String>,
    #[serde(default, deserialize_with = "number")]
    numero_carta_correcao: Option<u32>,
}

/// Checks the token in the header, or in `?token=`, in constant time.
pub(crate) fn check(secret: &SecretString, delivery: &Delivery) -> Result<(), Forged> {
    let is_shown = delivery.shows(secret.expose_secret().as_bytes(), HEADER, "token");
    if is_shown { Ok(()) } else { Err(Forged) }
}

/// One note's state. It is sent again, unchanged, until it is answered with 2xx.
pub(crate) fn notice(body: &[u8], our_cnpj: &str) -> FiscalNotice {
    let Some(told) = serde_json::from_slice::<Told>(body).ok().filter(Told::is_sane) else {
        let event_id = format!("body:{}", signature::hmac_sha256_hex(crate::NAME.as_bytes(), body));
        return FiscalNotice { event_id, event: "unreadable".to_owned(), reference: None };
    };
    let is_ours = told.cnpj_emitente.as_deref().is_none_or(|cnpj| cnpj == our_cnpj);
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let letter = told.numero_carta_correcao.map(|number| format!(":cce{number}")).unwrap_or_default();
    FiscalNotice {
        event_id: format!("{}:{}:{}:{}{letter}", told.reference, told.status, part(&told.status_sefaz), part(&told.numero)),
        event: format!("nfe.{}", told.status),
        reference: Some(told.reference).filter(|reference| is_ours && is_reference(reference)),
    }
}

impl Told {
    fn is_sane(&self) -> bool {
        let sane = |text: &str| text.len() <= MAX_PART && text.bytes().all(|b| b.is_ascii_graphic());
        self.reference.len() <= 2 * MAX_PART
            && self.reference.bytes().all(|b| b.is_ascii_graphic())
            && sane(&self.status)
            && self.status_sefaz.as_deref().is_none_or(sane)
            && self.numero.as_deref().is_none_or(sane)
    }
}
