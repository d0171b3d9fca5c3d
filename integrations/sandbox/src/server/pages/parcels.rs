//! Parcels for people, with what can happen next.

use crate::books::parcels::{Parcel, ParcelStatus, Scan};
use crate::formats::html::{escape, reais};
use crate::formats::time::wire_time;

pub(crate) fn card(parcel: &Parcel) -> String {
    let (class, word) = match parcel.status {
        ParcelStatus::Pending => ("wait", "no carrinho"),
        ParcelStatus::Released => ("wait", "paga"),
        ParcelStatus::Generated => ("wait", "aguardando postagem"),
        ParcelStatus::Posted => ("good", "postada"),
        ParcelStatus::Undelivered => ("bad", "não entregue"),
        ParcelStatus::Suspended => ("bad", "suspensa"),
        ParcelStatus::Delivered => ("good", "entregue"),
        ParcelStatus::Canceled => ("bad", "cancelada"),
        ParcelStatus::Expired => ("bad", "vencida"),
    };
    let steps: &[(&str, &str)] = match parcel.status {
        ParcelStatus::Generated => &[("post", "Postar"), ("expire", "Vencer"), ("cancel", "Cancelar")],
        ParcelStatus::Posted => &[
            ("out_for_delivery", "Saiu para entrega"),
            ("deliver", "Entregar"),
            ("return", "Não entregue"),
            ("suspend", "Suspender"),
        ],
        ParcelStatus::Undelivered | ParcelStatus::Suspended => &[("deliver", "Entregar")],
        _ => &[],
    };
    let id = escape(&parcel.id);
    let button = |(at, (step, word)): (usize, &(&str, &str))| {
        let class = if at == 0 { " class=\"main\"" } else { "" };
        format!("<button{class} data-act=\"parcel\" data-step=\"{step}\" data-id=\"{id}\">{word}</button> ")
    };
    let buttons: String = steps.iter().enumerate().map(button).collect();
    let link = match parcel.generated_at {
        Some(_) => format!("<p><a href=\"/melhorenvio/labels/{id}\" target=\"_blank\" rel=\"noopener\">Ver a etiqueta</a></p>"),
        None => String::new(),
    };
    let line = |scan: &Scan| {
        format!("{} · {} · {}/{}\n", wire_time(scan.at), escape(&scan.description), escape(&scan.city), escape(&scan.state))
    };
    let scans: String = parcel.scans.iter().map(line).collect();
    let scans = if scans.is_empty() { scans } else { format!("<pre>{scans}</pre>") };
    format!(
        "<article class=\"card\"><span class=\"amount\">{}</span><span class=\"tag {class}\">{word}</span> {} {}\
         <div class=\"soft wrap\">{} · {} · etiqueta {id} · envio {}</div>{link}{scans}{buttons}</article>",
        escape(parcel.tracking.as_deref().unwrap_or(&parcel.protocol)),
        escape(&parcel.company),
        escape(&parcel.service),
        escape(&parcel.provider),
        reais(parcel.price_cents),
        escape(parcel.tag.as_deref().unwrap_or("—")),
    )
}
