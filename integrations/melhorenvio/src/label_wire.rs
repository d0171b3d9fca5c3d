//! The wire format of labels.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use vitrine_kit::shipping::Volume;
use vitrine_kit::{Money, TaxId, latin};

use crate::label::{Contact, Content, Label, LabelStatus, NewLabel};
use crate::wire::{kilograms, read, reais, text};

/// "Other": the only reason in their list that fits a cancelled sale.
const REASON: &str = "2";
/// The longest name that they pass to carriers.
const NAME_MAX: usize = 50;

#[derive(Serialize)]
pub(crate) struct Cart<'a> {
    service: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    agency: Option<u64>,
    from: Place<'a>,
    to: Place<'a>,
    products: Vec<Product>,
    volumes: Vec<Package>,
    options: Options<'a>,
}

/// A person has a `document`, a company a `company_document`.
#[derive(Serialize)]
struct Place<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company_document: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_register: Option<&'a str>,
    address: String,
    number: String,
    complement: String,
    district: String,
    city: String,
    state_abbr: &'a str,
    country_id: &'static str,
    postal_code: &'a str,
}

#[derive(Serialize)]
struct Product {
    name: String,
    quantity: u32,
    unitary_value: Box<RawValue>,
}

#[derive(Serialize)]
struct Package {
    height: u32,
    width: u32,
    length: u32,
    weight: Box<RawValue>,
}

#[derive(Serialize)]
struct Options<'a> {
    insurance_value: Box<RawValue>,
    receipt: bool,
    own_hand: bool,
    reverse: bool,
    non_commercial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<Invoice<'a>>,
    platform: &'static str,
    tags: [Tag<'a>; 1],
}

#[derive(Serialize)]
struct Invoice<'a> {
    key: &'a str,
}

#[derive(Serialize)]
struct Tag<'a> {
    tag: &'a str,
    url: &'a str,
}

pub(crate) fn cart(new: &NewLabel) -> Cart<'_> {
    let package = |volume: &Volume| Package {
        height: volume.height_cm,
        width: volume.width_cm,
        length: volume.length_cm,
        weight: kilograms(volume.weight_grams),
    };
    Cart {
        service: new.service.parse::<u64>().map_or_else(|_| json!(new.service), |id| json!(id)),
        agency: new.agency,
        from: place(&new.from),
        to: place(&new.to),
        products: new.contents.iter().map(product).collect(),
        volumes: new.volumes.iter().map(package).collect(),
        options: Options {
            insurance_value: reais(new.insured),
            receipt: false,
            own_hand: false,
            reverse: false,
            non_commercial: new.invoice_key.is_none(),
            invoice: new.invoice_key.as_deref().map(|key| Invoice { key }),
            platform: "Vitrine",
            tags: [Tag { tag: &new.tag, url: &new.tag_url }],
        },
    }
}

fn product(content: &Content) -> Product {
    Product { name: printed(&content.name, usize::MAX), quantity: content.quantity, unitary_value: reais(content.unit_price) }
}

/// Carriers print Latin-1. A text of which nothing would be left goes as it is: a person then sees what they refuse.
fn printed(given: &str, limit: usize) -> String {
    or_given(latin::text(given, limit), given, limit)
}

/// With initials where it is longer than they pass on.
fn printed_name(given: &str) -> String {
    or_given(latin::short_name(given, NAME_MAX), given, NAME_MAX)
}

fn or_given(text: String, given: &str, limit: usize) -> String {
    if text.is_empty() { given.chars().take(limit).collect() } else { text }
}

fn place(who: &Contact) -> Place<'_> {
    let (document, company_document) = match &who.document {
        TaxId::Cpf(_) => (Some(who.document.as_str()), None),
        TaxId::Cnpj(_) => (None, Some(who.document.as_str())),
    };
    Place {
        name: printed_name(&who.name),
        phone: who.phone.as_deref().map(|phone| phone.strip_prefix("+55").unwrap_or(phone)),
        email: who.email.as_deref(),
        document,
        company_document,
        state_register: who.state_registration.as_deref(),
        address: printed(&who.street, usize::MAX),
        number: printed(&who.number, usize::MAX),
        complement: printed(who.complement.as_deref().unwrap_or(""), usize::MAX),
        district: printed(&who.district, usize::MAX),
        city: printed(&who.city, usize::MAX),
        state_abbr: &who.state,
        country_id: "BR",
        postal_code: who.cep.as_str(),
    }
}

pub(crate) fn orders(ids: &[&str]) -> Value {
    json!({"orders": ids})
}

pub(crate) fn print(ids: &[&str]) -> Value {
    json!({"mode": "public", "orders": ids})
}

pub(crate) fn cancel(id: &str, why: &str) -> Value {
    json!({"order": {"id": id, "reason_id": REASON, "description": why}})
}

/// An order, in the cart or bought. Fields that do not apply yet are left out.
#[derive(Deserialize)]
pub(crate) struct Order<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    protocol: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tracking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    self_tracking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    melhorenvio_tracking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default)]
    options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    generated_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    posted_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delivered_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    canceled_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    expired_at: Option<&'a RawValue>,
}

/// `None`: not an order at all, because it has no id.
pub(crate) fn label(json: &RawValue) -> Option<Label> {
    read::<Order>(json)?.into_label()
}

impl Order<'_> {
    fn into_label(self) -> Option<Label> {
        let word = |field: Option<&RawValue>| field.and_then(text).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let at = |field: Option<&RawValue>| word(field).and_then(|text| time(&text));
        let id = text(self.id).filter(|id| !id.is_empty())?;
        Some(Label {
            id,
            protocol: word(self.protocol).unwrap_or_default(),
            status: status(&word(self.status).unwrap_or_default()),
            price: word(self.price).and_then(|text| Money::parse_decimal(&text)),
            tracking: word(self.tracking).or(word(self.self_tracking)).or(word(self.melhorenvio_tracking)),
            tags: tags(self.tags).or_else(|| tags(read::<Tagged>(self.options?)?.tags)).unwrap_or_default(),
            generated_at: at(self.generated_at),
            posted_at: at(self.posted_at),
            delivered_at: at(self.delivered_at),
            canceled_at: at(self.canceled_at),
            expired_at: at(self.expired_at),
        })
    }
}

#[derive(Deserialize)]
struct Tagged<'a> {
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// `[{"tag": "…", "url": "…"}]`, or `["…"]`.
fn tags(json: Option<&RawValue>) -> Option<Vec<String>> {
    let tags: Vec<Value> = read(json?)?;
    let tag = |tag: &Value| tag.get("tag").unwrap_or(tag).as_str().map(str::to_owned);
    Some(tags.iter().filter_map(tag).collect())
}

pub(crate) fn status(word: &str) -> LabelStatus {
    match word {
        "pending" | "created" => LabelStatus::Pending,
        "released" | "paid" => LabelStatus::Released,
        "generated" | "received" => LabelStatus::Generated,
        "posted" => LabelStatus::Posted,
        "delivered" => LabelStatus::Delivered,
        "undelivered" => LabelStatus::Undelivered,
        "suspended" | "paused" => LabelStatus::Suspended,
        "canceled" | "cancelled" => LabelStatus::Canceled,
        "expired" => LabelStatus::Expired,
        _ => LabelStatus::Other,
    }
}

/// RFC 3339, or a local time without a zone: that of Brasília, which has no daylight saving time since 2019.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local: DateTime = text.parse().ok()?;
    Offset::constant(-3).to_timestamp(local).ok()
}

/// A list, plain or with pages; and the number of pages.
pub(crate) fn page(json: &RawValue) -> Option<(Vec<Label>, u32)> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(default)]
        last_page: Option<u32>,
    }
    if let Some(labels) = list(json) {
        return Some((labels, 1));
    }
    let page: Page = read(json)?;
    Some((list(page.data)?, page.last_page.unwrap_or(1)))
}

/// An empty list may also be an empty body, or `null`.
fn list(json: &RawValue) -> Option<Vec<Label>> {
    let orders: Option<Vec<&RawValue>> = read(json)?;
    Some(orders.unwrap_or_default().into_iter().filter_map(label).collect())
}

/// An object with ids as keys; without entries it is an empty list (PHP encodes an empty object so).
pub(crate) fn tracked(json: &RawValue) -> Option<Vec<Label>> {
    if let Some(labels) = list(json) {
        return Some(labels);
    }
    let by_id: std::collections::BTreeMap<String, &RawValue> = read(json)?;
    Some(by_id.into_values().filter_map(label).collect())
}

pub(crate) fn balance(json: &RawValue) -> Option<Money> {
    #[derive(Deserialize)]
    struct Balance<'a> {
        #[serde(borrow)]
        balance: &'a RawValue,
    }
    Money::parse_decimal(&text(read::<Balance>(json)?.balance)?)
}

/// `true`, `1` or either in quotes.
pub(crate) fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || value.as_i64() == Some(1) || matches!(value.as_str(), Some("true" | "1"))
}
