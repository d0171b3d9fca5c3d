//! The label itself, for people.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::Value;

use crate::books::parcels::Parcel;
use crate::formats::html::escape;
use crate::world::World;

/// A label runs nothing and loads nothing.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

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
