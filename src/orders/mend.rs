//! An administrator mends the buyer's name, state registration and address in an order, as long as no invoice and no label has them.

use actix_web::{HttpResponse, patch, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use vitrine_kit::{Cep, TaxId};

use super::buyer::check_state;
use super::place::{NewAddress, registration};
use super::store;
use super::view::OrderView;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, check};
use crate::http::who::Admin;
use crate::ids::OrderId;
use crate::invoices;
use crate::sale::address::ShippingAddress;
use crate::sale::history::{Change, record_change};
use crate::sale::locks::{self, LockedOrder};
use crate::sale::named::OrderPath;
use crate::sale::states::OrderStatus;
use crate::sale::viewer::Viewer;
use crate::shipments;
use crate::users::{rules, tax_id_of};

/// What is to be changed; a field that is left out stays as it is. The result is held to the rules of the checkout.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ana Maria Souza", "address": {"number": "1001", "complement": null}}))]
pub struct MendOrder {
    /// The buyer, as the invoice names them. The recipient of the parcel follows, where it was the same.
    #[garde(skip)]
    #[schema(min_length = 2, max_length = 120)]
    pub name: Option<String>,
    /// As at the checkout; `null` or blank: none.
    #[garde(skip)]
    #[serde(default, deserialize_with = "rules::sent")]
    #[schema(max_length = 30)]
    pub state_registration: Option<Option<String>>,
    /// What is to be changed in the address.
    #[garde(skip)]
    pub address: Option<MendAddress>,
}

/// Fields of the address. A blank one of those that may be `null` is `null`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": "1001", "complement": null}))]
pub struct MendAddress {
    /// `null`: the buyer.
    #[serde(default, deserialize_with = "rules::sent")]
    #[schema(max_length = 120)]
    pub recipient: Option<Option<String>>,
    /// In the region that the freight was quoted for: the same first three digits.
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    pub cep: Option<String>,
    /// The street.
    #[schema(min_length = 2, max_length = 200)]
    pub street: Option<String>,
    /// The number in the street, as text.
    #[schema(min_length = 1, max_length = 20)]
    pub number: Option<String>,
    /// Flat, block or floor; `null`: none.
    #[serde(default, deserialize_with = "rules::sent")]
    #[schema(max_length = 120)]
    pub complement: Option<Option<String>>,
    /// Blank where the town has none.
    #[schema(max_length = 120)]
    pub district: Option<String>,
    /// The city.
    #[schema(min_length = 2, max_length = 120)]
    pub city: Option<String>,
    /// The two letters of the state, in capitals or not.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    pub state: Option<String>,
    /// Whom the carrier can ask; `null`: nobody.
    #[serde(default, deserialize_with = "rules::sent")]
    #[schema(max_length = 30)]
    pub phone: Option<Option<String>>,
}

/// The buyer of an order, as the invoice names them, and where its parcel goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Buyer {
    name: String,
    registration: Option<String>,
    address: ShippingAddress,
}

/// As they are typed, for the rules of the checkout.
#[derive(Debug, Validate)]
struct Typed {
    #[garde(custom(rules::persons_words))]
    name: String,
    #[garde(skip)]
    registration: Option<String>,
    #[garde(dive)]
    address: NewAddress,
}

impl Typed {
    fn of(before: &Buyer, sent: &MendOrder) -> Self {
        let none = MendAddress::default();
        let (was, new) = (&before.address, sent.address.as_ref().unwrap_or(&none));
        let text = |new: &Option<String>, was: &str| new.clone().unwrap_or_else(|| was.to_owned());
        let optional = |new: &Option<Option<String>>, was: Option<&str>| {
            let value = new.clone().unwrap_or_else(|| was.map(str::to_owned));
            value.filter(|text| !text.trim().is_empty())
        };
        Self {
            name: text(&sent.name, &before.name).trim().to_owned(),
            registration: optional(&sent.state_registration, before.registration.as_deref()),
            address: NewAddress {
                recipient: optional(&new.recipient, Some(was.recipient.as_str()).filter(|name| *name != before.name)),
                cep: text(&new.cep, &was.cep),
                street: text(&new.street, &was.street),
                number: text(&new.number, &was.number),
                complement: optional(&new.complement, was.complement.as_deref()),
                district: text(&new.district, &was.district),
                city: text(&new.city, &was.city),
                state: text(&new.state, &was.state),
                phone: optional(&new.phone, was.phone.as_deref()),
                label: None,
                is_default: None,
            },
        }
    }
}

/// Mends an order's buyer and address
///
/// Changes the buyer's name, state registration and address in an order, while no invoice and no bought label has them. A
/// rejected invoice stays rejected: try it again afterwards. The freight stays as it was paid, so a new CEP must be in the same
/// region. A label that waits in the broker's cart is replaced.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])), request_body = MendOrder,
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = OrderView, description = "The order as it is now"),
        (status = 403, body = Problem, description = "`forbidden`: this is for administrators"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`invoice-or-label-stands`: wait, or cancel it first; `conflict`: the order is over, or its buyer was erased"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or the CEP is of another region")))]
#[patch("/api/orders/{id}")]
pub async fn mend_order(
    app: web::Data<App>,
    admin: Admin,
    body: Json<MendOrder>,
    OrderPath(id): OrderPath,
) -> Result<HttpResponse> {
    let viewer = Viewer::Admin(admin.0.id);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let order = locks::lock_order(&tx, id, viewer).await?;
    mend(&tx, &app, &order, &body, viewer.actor()).await?;
    let answer = store::find_order(&tx, id, viewer, &app.config.http.public_url).await?;
    let answer = answer.ok_or(Error::NotFound("The order"))?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

async fn mend(tx: &impl GenericClient, app: &App, order: &LockedOrder, sent: &MendOrder, actor: Actor) -> Result<()> {
    if matches!(order.status, OrderStatus::Cancelled | OrderStatus::Returned) {
        return Err(Error::Conflict(format!("The order is {}: nothing is invoiced or sent any more", order.status)));
    }
    let Found { buyer: before, document, quoted_cep } = find_buyer(tx, app, order.id).await?;
    let typed = Typed::of(&before, sent);
    check(&typed)?;
    let address = typed.address.to_shipping(&typed.name)?;
    let registration = registration(typed.registration.as_deref(), &document, &address.state)?;
    let registration = registration.map(|registration| registration.as_str().to_owned());
    let mut after = Buyer { name: typed.name, registration, address };
    let place = |buyer: &Buyer| (buyer.address.cep.clone(), buyer.address.city.clone(), buyer.address.state.clone());
    let has_moved = place(&before) != place(&after);
    if !has_moved {
        after.address.ibge_city.clone_from(&before.address.ibge_city);
    }
    if after == before {
        return Ok(());
    }
    check_state(&after.address)?;
    check_region(order, &quoted_cep, &after.address)?;
    invoices::mend::check_free(tx, order.id).await?;
    if after.address != before.address {
        shipments::readdress::free_labels(tx, order.id).await?;
    }
    if has_moved {
        invoices::mend::forget_city(tx, order.id).await?;
    }
    write(tx, order.id, &after).await?;
    record(tx, order.id, (&before, &after), actor).await
}

struct Found {
    buyer: Buyer,
    document: TaxId,
    /// The CEP that the freight was quoted for.
    quoted_cep: String,
}

async fn find_buyer(tx: &impl GenericClient, app: &App, order: OrderId) -> Result<Found> {
    const FIND: &str = "
        SELECT customer_name, tax_id_sealed, tax_id_key, state_registration, shipping_address, freight_quote ->> 'cep' AS quoted_cep
          FROM orders WHERE id = $1";
    let row = db::query_one(tx, FIND, &[&order]).await?;
    let address = serde_json::from_value::<ShippingAddress>(row.get("shipping_address")).ok();
    let (Some(document), Some(address)) = (tax_id_of(&row, &app.keys)?, address) else {
        return Err(Error::Conflict("The buyer's data were erased: nobody can be named again".into()));
    };
    let quoted_cep = row.get::<_, Option<String>>("quoted_cep").unwrap_or_else(|| address.cep.clone());
    let buyer = Buyer { name: row.get("customer_name"), registration: row.get("state_registration"), address };
    Ok(Found { buyer, document, quoted_cep })
}

/// The price of the freight is the one that was paid: within a region it is about the same, and the difference is the shop's.
fn check_region(order: &LockedOrder, quoted_cep: &str, address: &ShippingAddress) -> Result<()> {
    let region = |cep: &str| Cep::parse(cep).map(|cep| cep.region().to_owned()).ok();
    if order.is_pickup || region(quoted_cep) == region(&address.cep) {
        return Ok(());
    }
    let region = region(quoted_cep).unwrap_or_default();
    let why =
        format!("must begin with {region}, the region that the freight was paid for: for another one, cancel and order again");
    Err(Error::field("address.cep", why))
}

async fn write(tx: &impl GenericClient, order: OrderId, buyer: &Buyer) -> Result<()> {
    const WRITE: &str = "
        UPDATE orders SET customer_name = $2, state_registration = $3, shipping_address = $4, mended = mended + 1, updated_at = now()
         WHERE id = $1";
    let address = serde_json::to_value(&buyer.address).map_err(|e| Error::Internal(e.to_string()))?;
    db::execute(tx, WRITE, &[&order, &buyer.name, &buyer.registration, &address]).await?;
    Ok(())
}

/// The history says which fields changed, the audit log shows their first letters: it keeps rows for ever, so no person is in them.
async fn record(tx: &impl GenericClient, order: OrderId, (before, after): (&Buyer, &Buyer), actor: Actor) -> Result<()> {
    let (was, is) = (fields(before), fields(after));
    let changed: Vec<usize> = (0..was.len()).filter(|&at| was[at] != is[at]).collect();
    let masked = |all: &[(&'static str, String)]| -> Value {
        changed.iter().map(|&at| (all[at].0.to_owned(), json!(masked(&all[at].1)))).collect::<serde_json::Map<_, _>>().into()
    };
    let names: Vec<&str> = changed.iter().map(|&at| was[at].0).collect();
    let reason = names.join(", ");
    let change = Change { subject: "buyer", subject_id: None, from: None, to: "mended", reason: &reason, actor };
    record_change(tx, order, &change).await?;
    audit_log::record(tx, actor, Action::OrderMend, &order.to_string(), Some(masked(&was)), Some(masked(&is))).await
}

/// The fields of a buyer, by the names that clients know.
fn fields(buyer: &Buyer) -> [(&'static str, String); 11] {
    let ShippingAddress { recipient, cep, street, number, complement, district, city, state, phone, .. } = &buyer.address;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        ("name", buyer.name.clone()),
        ("state_registration", optional(&buyer.registration)),
        ("address.recipient", recipient.clone()),
        ("address.cep", cep.clone()),
        ("address.street", street.clone()),
        ("address.number", number.clone()),
        ("address.complement", optional(complement)),
        ("address.district", district.clone()),
        ("address.city", city.clone()),
        ("address.state", state.clone()),
        ("address.phone", optional(phone)),
    ]
}

/// The first letter, so that a person who knows the value recognises it.
fn masked(text: &str) -> String {
    text.chars().next().map_or_else(String::new, |first| format!("{first}***"))
}
