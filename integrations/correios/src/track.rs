//! Tracking: the events in Correios' words, and the stage of the order that some of them mean.

use vitrine_kit::shipping::{Stage, TrackingEvent};

use crate::NAME;
use crate::wire::{BRASILIA, Event, Objects, Place};

/// One entry for each code that was asked for.
pub(crate) fn events(codes: &[&str], answer: Objects) -> Vec<(String, Vec<TrackingEvent>)> {
    let of = |code: &&str| {
        let object = answer.objetos.iter().find(|object| object.cod_objeto.eq_ignore_ascii_case(code));
        if let Some(words) = object.and_then(|object| object.mensagem.as_deref()) {
            tracing::debug!(provider = NAME, words, "an object without events");
        }
        let mut events: Vec<TrackingEvent> = object.iter().flat_map(|o| &o.eventos).filter_map(event).collect();
        events.reverse(); // the answer is newest first
        events.sort_by_key(|event| event.happened_at); // stable: events of one second stay in that order
        ((*code).to_owned(), events)
    };
    codes.iter().map(of).collect()
}

/// `None` for an event that cannot be read; the others are still shown.
fn event(all: &serde_json::Value) -> Option<TrackingEvent> {
    let read = serde_json::from_value::<Event>(all.clone()).ok().and_then(|event| {
        Some(TrackingEvent {
            happened_at: BRASILIA.to_timestamp(event.dt_hr_criado).ok()?,
            code: format!("{}/{}", event.codigo, event.tipo),
            stage: stage(&event.codigo, &event.tipo),
            place: event.unidade.and_then(|unit| unit.endereco).and_then(place),
            description: match event.detalhe.filter(|detail| !detail.trim().is_empty()) {
                Some(detail) => format!("{}: {detail}", event.descricao),
                None => event.descricao,
            },
        })
    });
    if read.is_none() {
        tracing::warn!(provider = NAME, "a tracking event that cannot be read was left out");
    }
    read
}

fn place(place: Place) -> Option<String> {
    let parts: Vec<String> = [place.cidade, place.uf].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" / "))
}

/// The stage that an event means; only where it is certain. A failed visit (20) is tried again and means nothing yet.
fn stage(code: &str, kind: &str) -> Option<Stage> {
    match (code, kind) {
        ("PO" | "CO", "01") | ("RO" | "DO", _) | ("OEC", "01") => Some(Stage::Posted),
        ("BDE" | "BDI" | "BDR", "01") => Some(Stage::Delivered),
        ("BDE" | "BDI" | "BDR", "23") | ("LDI", _) => Some(Stage::Undelivered),
        _ => None,
    }
}
