//! A label that is put into the cart: what is wrong with it, and what it costs.

use serde_json::{Value, json};

use crate::providers::melhorenvio::wire::{Problems, cents, digits, text, whole};
use crate::providers::quote::{self, Service};

/// Field by field, what is missing or wrong.
pub(crate) fn problems(body: &Value, service: Option<&Service>) -> Problems {
    let mut problems = Problems::new();
    let mut add = |field: String, what: &str| {
        problems.entry(field.clone()).or_default().push(format!("O campo {field} {what}."));
    };
    if service.is_none() {
        add("service".into(), "não é um serviço conhecido");
    }
    for who in ["from", "to"] {
        let place = &body[who];
        for field in ["name", "address", "city", "district"] {
            if text(place, field).is_empty() {
                add(format!("{who}.{field}"), "é obrigatório");
            }
        }
        if text(place, "state_abbr").len() != 2 {
            add(format!("{who}.state_abbr"), "deve ter 2 letras");
        }
        if digits(text(place, "postal_code")).len() != 8 {
            add(format!("{who}.postal_code"), "deve ser um CEP de 8 dígitos");
        }
        let is_document = (text(place, "document").len(), text(place, "company_document").len());
        if !matches!(is_document, (11, 0) | (0, 14)) {
            add(format!("{who}.document"), "deve ser um CPF, ou company_document um CNPJ");
        }
    }
    let volumes = body["volumes"].as_array().map_or(0, Vec::len);
    let takes_one = service.is_some_and(|s| ["Correios", "J&T Express", "Loggi"].contains(&s.company.1) || s.id == 27);
    if volumes == 0 || (takes_one && volumes > 1) {
        add("volumes".into(), if takes_one { "deve ter exatamente um volume" } else { "é obrigatório" });
    }
    if body["products"].as_array().is_none_or(Vec::is_empty) {
        add("products".into(), "é obrigatório");
    }
    let options = &body["options"];
    let key = options["invoice"]["key"].as_str().unwrap_or("");
    if options["non_commercial"] != json!(true) && key.len() != 44 {
        add("options.invoice.key".into(), "deve ter 44 caracteres");
    }
    // A declaration of contents is for who pays no ICMS.
    if options["non_commercial"] == json!(true) && !matches!(text(&body["from"], "state_register"), "" | "ISENTO") {
        add("from.state_register".into(), "deve ser ISENTO em envios sem nota fiscal");
    }
    if body.get("agency").is_some_and(|agency| !agency.is_u64()) {
        add("agency".into(), "deve ser um número");
    }
    problems
}

/// Each volume by the tariff; the insurance is paid for once.
pub(crate) fn price(service: &Service, body: &Value) -> Result<(i64, i64), &'static str> {
    let (from, to) = (digits(text(&body["from"], "postal_code")), digits(text(&body["to"], "postal_code")));
    let (mut price, mut days) = (0, 0);
    for (at, volume) in body["volumes"].as_array().into_iter().flatten().enumerate() {
        let size = |field: &str| whole(volume[field].as_f64().unwrap_or(0.0));
        let insured = if at == 0 { cents(body["options"]["insurance_value"].as_f64().unwrap_or(0.0)) } else { 0 };
        let parcel = quote::Parcel {
            width_cm: size("width"),
            height_cm: size("height"),
            length_cm: size("length"),
            weight_grams: whole(volume["weight"].as_f64().unwrap_or(0.0) * 1000.0),
            insured_cents: insured,
        };
        let quoted = quote::quote(service, &parcel, &from, &to)?;
        price += quoted.cents;
        days = days.max(quoted.days);
    }
    Ok((price, days))
}
