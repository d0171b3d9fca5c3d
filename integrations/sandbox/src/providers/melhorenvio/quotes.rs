//! Melhor Envio, freight quotes: `/melhorenvio/api/v2/me/shipment/calculate` and `/services`.

use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::providers::melhorenvio::wire::{Problems, cents, decimal, digits, refuse, whole};
use crate::providers::quote::{self, Parcel, SERVICES, Service};
use crate::world::World;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v2/me/shipment/calculate", web::post().to(calculate))
        .route("/api/v2/me/shipment/services", web::get().to(services));
}

/// What was sent, as loose as they take it: the checks below say what is wrong, field by field.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    from: Place,
    to: Place,
    products: Option<Vec<Item>>,
    volumes: Option<Vec<Item>>,
    package: Option<Item>,
    options: Options,
    services: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Place {
    postal_code: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    id: Value,
    width: f64,
    height: f64,
    length: f64,
    weight: f64,
    insurance_value: f64,
    quantity: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Options {
    receipt: bool,
    own_hand: bool,
    insurance_value: f64,
}

impl Ask {
    /// The boxes as sent, and the name of their field.
    fn items(&self) -> (&'static str, Vec<&Item>) {
        match (&self.products, &self.volumes, &self.package) {
            (Some(products), _, _) => ("products", products.iter().collect()),
            (None, Some(volumes), _) => ("volumes", volumes.iter().collect()),
            (None, None, Some(package)) => ("package", vec![package]),
            (None, None, None) => ("products", Vec::new()),
        }
    }

    fn problems(&self) -> Problems {
        let mut problems = Problems::new();
        let mut add = |field: String, what: &str| {
            problems.entry(field.clone()).or_default().push(format!("O campo {field} {what}."));
        };
        for (field, place) in [("from.postal_code", &self.from), ("to.postal_code", &self.to)] {
            if digits(&place.postal_code).len() != 8 {
                add(field.into(), "deve ser um CEP de 8 dígitos");
            }
        }
        let (name, items) = self.items();
        if items.is_empty() {
            add(name.into(), "é obrigatório");
        }
        for (at, item) in items.iter().enumerate() {
            let prefix = if name == "package" { name.to_owned() } else { format!("{name}.{at}") };
            let sizes = [("width", item.width), ("height", item.height), ("length", item.length), ("weight", item.weight)];
            for (field, _) in sizes.iter().filter(|(_, size)| *size <= 0.0) {
                add(format!("{prefix}.{field}"), "deve ser maior que zero");
            }
            if name == "products" && item.quantity.unwrap_or(0) == 0 {
                add(format!("{prefix}.quantity"), "deve ser no mínimo 1");
            }
            if item.insurance_value < 0.0 {
                add(format!("{prefix}.insurance_value"), "não pode ser negativo");
            }
        }
        problems
    }

    /// One box for all: items lie on top of each other.
    fn parcel(&self) -> Parcel {
        let mut parcel = Parcel { insured_cents: cents(self.options.insurance_value), ..Parcel::default() };
        for item in self.items().1 {
            let quantity = item.quantity.unwrap_or(1);
            parcel.width_cm = parcel.width_cm.max(whole(item.width));
            parcel.length_cm = parcel.length_cm.max(whole(item.length));
            parcel.height_cm += whole(item.height) * i64::from(quantity);
            parcel.weight_grams += whole(item.weight * 1000.0) * i64::from(quantity);
            parcel.insured_cents += cents(item.insurance_value) * i64::from(quantity);
        }
        parcel
    }
}

async fn calculate(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let ask: Ask = match serde_json::from_slice(&body) {
        Ok(ask) => ask,
        Err(error) => {
            let errors = json!({"body": [error.to_string()]});
            return HttpResponse::UnprocessableEntity().json(json!({"message": "The given data was invalid.", "errors": errors}));
        }
    };
    let problems = ask.problems();
    if !problems.is_empty() {
        return HttpResponse::UnprocessableEntity().json(json!({"message": "The given data was invalid.", "errors": problems}));
    }
    let wanted = |service: &&Service| match ask.services.as_deref() {
        None | Some("") => true,
        Some(list) => list.split(',').any(|id| id.trim().parse() == Ok(service.id)),
    };
    let parcel = ask.parcel();
    let (from, to) = (digits(&ask.from.postal_code), digits(&ask.to.postal_code));
    let entries: Vec<Value> = SERVICES.iter().filter(wanted).map(|s| entry(s, &ask, &parcel, &from, &to)).collect();
    HttpResponse::Ok().json(entries)
}

fn entry(service: &Service, ask: &Ask, parcel: &Parcel, from: &str, to: &str) -> Value {
    let quote = match quote::quote(service, parcel, from, to) {
        Ok(quote) => quote,
        Err(why) => {
            return json!({"id": service.id, "name": service.name, "error": why, "company": company(service)});
        }
    };
    let (price, discount) = (decimal(quote.cents), decimal(quote.cents / 3));
    let range = json!({"min": quote.days - 1, "max": quote.days});
    let contents = ask.products.iter().flatten();
    let contents: Vec<Value> = contents.map(|p| json!({"id": p.id, "quantity": p.quantity})).collect();
    json!({
        "id": service.id,
        "name": service.name,
        "price": price,
        "custom_price": price,
        "discount": discount,
        "currency": "R$",
        "delivery_time": quote.days,
        "delivery_range": range,
        "custom_delivery_time": quote.days,
        "custom_delivery_range": range,
        "packages": [{
            "price": price,
            "discount": discount,
            "format": "box",
            "weight": format!("{}.{:02}", parcel.weight_grams / 1000, parcel.weight_grams % 1000 / 10),
            "insurance_value": decimal(parcel.insured_cents),
            "dimensions": {"height": parcel.height_cm, "width": parcel.width_cm, "length": parcel.length_cm},
            "products": contents,
        }],
        "additional_services": {"receipt": ask.options.receipt, "own_hand": ask.options.own_hand, "collect": false},
        "company": company(service),
    })
}

fn company(service: &Service) -> Value {
    let (id, name, picture) = service.company;
    json!({"id": id, "name": name, "picture": format!("https://sandbox.invalid/images/{picture}.png")})
}

async fn services(req: HttpRequest, world: Data<World>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let list: Vec<Value> = SERVICES
        .iter()
        .map(|service| {
            json!({
                "id": service.id,
                "name": service.name,
                "type": service.kind,
                "range": "interstate",
                "restrictions": {
                    "insurance_value": {"min": 0, "max": service.insured_max_cents / 100},
                    "formats": {"box": {"weight": {"min": 0.001, "max": service.max_grams / 1000}}},
                },
                "company": company(service),
            })
        })
        .collect();
    HttpResponse::Ok().json(list)
}
