//! Melhor Envio's words. Their decimals stay text on the way in and on the way out: none is ever a float.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vitrine_kit::Money;
use vitrine_kit::http::Refusal;
use vitrine_kit::shipping::{FreightOption, ParcelItem, QuoteRequest};

#[derive(Serialize)]
pub(crate) struct Quote<'a> {
    from: Place<'a>,
    to: Place<'a>,
    products: Vec<Product<'a>>,
    options: Options,
}

#[derive(Serialize)]
struct Place<'a> {
    postal_code: &'a str,
}

/// Centimetres, kilograms, reais; the insured value is that of one unit.
#[derive(Serialize)]
struct Product<'a> {
    id: &'a str,
    width: u32,
    height: u32,
    length: u32,
    weight: Box<RawValue>,
    insurance_value: Box<RawValue>,
    quantity: u32,
}

#[derive(Serialize)]
struct Options {
    receipt: bool,
    own_hand: bool,
}

impl<'a> From<&'a QuoteRequest> for Quote<'a> {
    fn from(ask: &'a QuoteRequest) -> Self {
        Self {
            from: Place { postal_code: ask.from.as_str() },
            to: Place { postal_code: ask.to.as_str() },
            products: ask.items.iter().map(Product::from).collect(),
            options: Options { receipt: false, own_hand: false },
        }
    }
}

impl<'a> From<&'a ParcelItem> for Product<'a> {
    fn from(item: &'a ParcelItem) -> Self {
        let kilograms = format!("{}.{:03}", item.weight_grams / 1000, item.weight_grams % 1000);
        Self {
            id: &item.id,
            width: item.width_cm,
            height: item.height_cm,
            length: item.length_cm,
            weight: number(kilograms),
            insurance_value: number(item.unit_price.to_decimal()),
            quantity: item.quantity,
        }
    }
}

fn number(decimal: String) -> Box<RawValue> {
    RawValue::from_string(decimal).expect("digits with a dot between them are a JSON number")
}

/// One service's answer. A number may come as text.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    name: String,
    error: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    custom_price: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_delivery_time: Option<&'a RawValue>,
    #[serde(borrow)]
    delivery_time: Option<&'a RawValue>,
    company: Option<Company>,
}

#[derive(Deserialize)]
struct Company {
    name: String,
}

/// What can be bought out of an array of services, or a single one. `None`: not one entry makes sense, not even as a
/// service's refusal; that is no "nobody carries it".
pub(crate) fn options(answer: &RawValue) -> Option<Vec<FreightOption>> {
    let entries: Vec<&RawValue> = if answer.get().starts_with('[') { read(answer)? } else { vec![answer] };
    let mut strange = 0;
    let mut options = Vec::new();
    for entry in &entries {
        match read::<Entry>(entry) {
            Some(entry) if entry.error.is_some() => {}
            entry => match entry.and_then(|entry| option(&entry)) {
                Some(option) => options.push(option),
                None => strange += 1,
            },
        }
    }
    if strange > 0 {
        tracing::warn!(provider = crate::NAME, strange, "freight options that make no sense were left out");
    }
    (entries.is_empty() || strange < entries.len()).then_some(options)
}

fn option(entry: &Entry) -> Option<FreightOption> {
    let price = Money::parse_decimal(&text(entry.custom_price.or(entry.price)?)?)?;
    let days = text(entry.custom_delivery_time.or(entry.delivery_time)?)?.parse().ok()?;
    if price <= Money::ZERO {
        return None; // freight is never free by accident
    }
    Some(FreightOption {
        provider: crate::NAME,
        carrier: entry.name.clone(),
        service: entry.company.as_ref().map(|company| company.name.clone()).unwrap_or_default(),
        service_code: text(entry.id)?,
        price,
        days,
        volumes: Vec::new(),
        answer: serde_json::Value::Null,
    })
}

fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// A number's digits as they stand, or the inside of a string.
fn text(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'"' => read(json),
        b'0'..=b'9' | b'-' => Some(json.get().to_owned()),
        _ => None,
    }
}

/// They have no codes, only words.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    let Error { message } = serde_json::from_slice(body).ok()?;
    Some(Refusal { code: String::new(), message })
}
