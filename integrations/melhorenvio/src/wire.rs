//! The wire format of Melhor Envio. Decimals stay text in both directions and are never a float.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use vitrine_kit::Money;
use vitrine_kit::http::Refusal;
use vitrine_kit::shipping::{FreightOption, ParcelItem, QuoteRequest, Volume};

/// Azul Cargo's services: their labels can be bought only in the panel.
const UNLABELLED: [&str; 2] = ["15", "16"];

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
        Self {
            id: &item.id,
            width: item.width_cm,
            height: item.height_cm,
            length: item.length_cm,
            weight: kilograms(item.weight_grams),
            insurance_value: reais(item.unit_price),
            quantity: item.quantity,
        }
    }
}

/// Grams as kilograms.
pub(crate) fn kilograms(grams: u32) -> Box<RawValue> {
    number(format!("{}.{:03}", grams / 1000, grams % 1000))
}

pub(crate) fn reais(amount: Money) -> Box<RawValue> {
    number(amount.to_decimal())
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
    #[serde(borrow)]
    packages: Option<&'a RawValue>,
    company: Option<Company>,
}

/// A box as they would pack it: centimetres, and kilograms with a dot. Each may be text or a number, whole or not.
#[derive(Deserialize)]
struct Package<'a> {
    #[serde(borrow)]
    weight: &'a RawValue,
    #[serde(borrow)]
    dimensions: Dimensions<'a>,
}

#[derive(Deserialize)]
struct Dimensions<'a> {
    #[serde(borrow)]
    height: &'a RawValue,
    #[serde(borrow)]
    width: &'a RawValue,
    #[serde(borrow)]
    length: &'a RawValue,
}

#[derive(Deserialize)]
struct Company {
    name: String,
}

/// The options in an array of services, or in a single one. `None`: no entry can be read, not even as a service's refusal;
/// that differs from "no service carries it".
pub(crate) fn options(answer: &RawValue) -> Option<Vec<FreightOption>> {
    let entries: Vec<&RawValue> = if answer.get().starts_with('[') { read(answer)? } else { vec![answer] };
    let mut strange = 0;
    let mut options = Vec::new();
    for entry in &entries {
        match read::<Entry>(entry) {
            Some(entry) if entry.error.is_some() => {}
            Some(entry) if !can_be_bought(&entry) => {}
            parsed => match parsed.and_then(|parsed| option(&parsed, entry)) {
                Some(option) => options.push(option),
                None => strange += 1,
            },
        }
    }
    if strange > 0 {
        tracing::warn!(provider = crate::NAME, strange, "freight options with impossible values were left out");
    }
    (entries.is_empty() || strange < entries.len()).then_some(options)
}

/// Leaves out services whose labels cannot be bought by the API: their parcels would need a person.
fn can_be_bought(entry: &Entry) -> bool {
    let is_unlabelled = text(entry.id).is_some_and(|id| UNLABELLED.contains(&id.as_str()));
    !is_unlabelled && entry.company.as_ref().is_none_or(|company| !company.name.starts_with("Azul"))
}

fn option(entry: &Entry, whole: &RawValue) -> Option<FreightOption> {
    let price = Money::parse_decimal(&text(entry.custom_price.or(entry.price)?)?)?;
    let days = text(entry.custom_delivery_time.or(entry.delivery_time)?)?.parse().ok()?;
    if price <= Money::ZERO {
        return None; // zero is never a price
    }
    Some(FreightOption {
        provider: crate::NAME,
        carrier: entry.name.clone(),
        service: entry.company.as_ref().map(|company| company.name.clone()).unwrap_or_default(),
        service_code: text(entry.id)?,
        price,
        days,
        // Without boxes the option is still usable: the label then has the boxes of our own packing.
        volumes: entry.packages.and_then(volumes).unwrap_or_default(),
        answer: without_pictures(whole),
    })
}

/// All boxes, or none if one cannot be read.
fn volumes(packages: &RawValue) -> Option<Vec<Volume>> {
    let volume = |package: &Package| {
        let Dimensions { height, width, length } = &package.dimensions;
        Some(Volume {
            height_cm: rounded_up(height, 0)?,
            width_cm: rounded_up(width, 0)?,
            length_cm: rounded_up(length, 0)?,
            weight_grams: rounded_up(package.weight, 3)?,
        })
    };
    read::<Vec<Package>>(packages)?.iter().map(volume).collect()
}

/// A decimal times ten to the `places`, rounded up; `None` if it is not a positive number.
fn rounded_up(json: &RawValue, places: usize) -> Option<u32> {
    let decimal = text(json)?;
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let (kept, dust) = fraction.split_at(fraction.len().min(places));
    let size: u32 = format!("{whole}{kept:0<places$}").parse().ok()?;
    let size = size.checked_add(u32::from(dust.bytes().any(|b| b != b'0')))?;
    (size > 0).then_some(size)
}

/// The entry as received, without its pictures.
fn without_pictures(entry: &RawValue) -> Value {
    let mut entry: Value = read(entry).unwrap_or_default();
    if let Some(company) = entry.get_mut("company").and_then(Value::as_object_mut) {
        company.remove("picture");
    }
    entry
}

pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// A number's digits as written, or the contents of a string.
pub(crate) fn text(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'"' => read(json),
        b'0'..=b'9' | b'-' => Some(json.get().to_owned()),
        _ => None,
    }
}

/// Refusals have no codes, only text: under `message` or `error`, and per field under `errors`.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let headline = body.get("message").or(body.get("error")).and_then(Value::as_str)?;
    let errors = body.get("errors").and_then(Value::as_object);
    let words = errors.into_iter().flatten().flat_map(|(_, words)| words.as_array().into_iter().flatten());
    let mut message = headline.to_owned();
    for word in words.filter_map(Value::as_str).filter(|word| *word != headline) {
        message = format!("{message} {word}");
    }
    Some(Refusal { code: String::new(), message })
}
