//! Parcels for people: their list with what can happen next, and the label itself.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::Value;

use crate::page::{escape, reais};
use crate::parcels::{Parcel, ParcelStatus};
use crate::webhooks::wire_time;
use crate::world::World;

/// A label runs nothing and loads nothing.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

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
    let line = |scan: &crate::parcels::Scan| {
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

/// The label as it is glued onto the box.
pub(crate) async fn label(world: Data<World>, ids: Path<String>) -> HttpResponse {
    let found: Vec<Parcel> = world.write(|books| {
        ids.split(',').filter_map(|id| books.parcels.get(id).filter(|p| p.generated_at.is_some()).cloned()).collect()
    });
    if found.is_empty() {
        return HttpResponse::NotFound().finish();
    }
    let labels: String = found.iter().map(|parcel| one(&world, parcel)).collect();
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("cache-control", "no-store"))
        .body(include_str!("label.html").replace("{{LABELS}}", &labels))
}

fn one(world: &World, parcel: &Parcel) -> String {
    let tracking = parcel.tracking.as_deref().unwrap_or("");
    let volumes: String = parcel.sent["volumes"].as_array().into_iter().flatten().map(volume).collect();
    let contents: String = parcel.sent["products"].as_array().into_iter().flatten().map(content).collect();
    let paper = match &parcel.invoice_key {
        Some(key) => format!("<p><b>NF-e</b> <code>{}</code></p>", escape(key)),
        None => format!("<h2>Declaração de conteúdo</h2><ul>{contents}</ul>"),
    };
    format!(
        "<article><header><b>{} {}</b><span>{}</span></header><div class=\"code\"><img src=\"{}\" alt=\"QR do rastreio\">\
         <strong>{}</strong></div><section><h2>Destinatário</h2>{}</section><section><h2>Remetente</h2>{}</section>\
         <ul>{volumes}</ul>{paper}<footer>Sandbox da Vitrine: não serve para postar.</footer></article>",
        escape(&parcel.company),
        escape(&parcel.service),
        escape(&parcel.protocol),
        world.picture(tracking),
        escape(tracking),
        place(&parcel.sent["to"]),
        place(&parcel.sent["from"]),
    )
}

fn field(value: &Value, name: &str) -> String {
    escape(value[name].as_str().unwrap_or(""))
}

fn place(who: &Value) -> String {
    let cep = field(who, "postal_code");
    let cep = if cep.len() == 8 { format!("{}-{}", &cep[..5], &cep[5..]) } else { cep };
    format!(
        "<p><b>{}</b><br>{}, {} {}<br>{}<br>{} {}/{}</p>",
        field(who, "name"),
        field(who, "address"),
        field(who, "number"),
        field(who, "complement"),
        field(who, "district"),
        cep,
        field(who, "city"),
        field(who, "state_abbr"),
    )
}

fn volume(volume: &Value) -> String {
    format!("<li>{} × {} × {} cm, {} kg</li>", volume["height"], volume["width"], volume["length"], volume["weight"])
}

fn content(product: &Value) -> String {
    format!("<li>{} × {}</li>", product["quantity"], field(product, "name"))
}
