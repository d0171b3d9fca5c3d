//! What an invoice is made of, read at the moment it is emitted: the order as sold, the goods' tax data as they are known now.

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::Row;
use vitrine_kit::nfe::ITEM_NAME_MAX;
use vitrine_kit::{Money, TaxId, latin};

use crate::app::App;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{LineId, OrderId};
use crate::sale::address::ShippingAddress;
use crate::shipping;
use crate::tax::registration::StateRegistration;
use crate::tax::{TaxData, TaxRules};

/// An order, as far as its invoice tells of it.
#[derive(Debug, Clone)]
pub struct Facts {
    pub order: OrderId,
    /// How often the buyer or the address was changed until now.
    pub mended: i32,
    pub number: String,
    pub buyer_name: String,
    /// `None`: the person was erased.
    pub buyer_tax_id: Option<TaxId>,
    pub buyer_registration: Option<StateRegistration>,
    pub buyer_email: Option<String>,
    pub buyer_phone: Option<String>,
    pub address: ShippingAddress,
    pub payment_method: Option<String>,
    pub shipping_provider: String,
    /// The boxes that its freight was quoted for; 0: nobody knows.
    pub boxes: i32,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub total: Money,
    pub lines: Vec<Line>,
    pub rules: TaxRules,
}

impl Facts {
    /// The buyer comes for it.
    pub fn is_fetched(&self) -> bool {
        self.shipping_provider == shipping::PICKUP
    }
}

/// A line as sold, with the tax data of its product, its category and that one's parents.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: LineId,
    pub sku: String,
    /// With its variant's: [`described`].
    pub name: String,
    pub quantity: i32,
    pub unit_price: Money,
    pub gross: Money,
    pub discount: Money,
    pub weight_grams: i32,
    pub ncm: Option<String>,
    pub cfop: Option<String>,
    pub origin: Option<i16>,
    pub tax: TaxData,
}

/// Reads it all. Errors: the order does not exist (then there is no invoice to make either).
pub async fn read(db: &impl GenericClient, app: &App, order: OrderId) -> Result<Facts> {
    const FIND: &str = "
        SELECT o.id, o.number, o.mended, o.customer_name, o.customer_email, o.customer_phone, o.tax_id_sealed, o.tax_id_key, o.state_registration, o.shipping_address,
               o.payment_method, o.shipping_provider,
               CASE jsonb_typeof(o.freight_quote -> 'volumes') WHEN 'array' THEN jsonb_array_length(o.freight_quote -> 'volumes') ELSE 0 END AS boxes,
               o.subtotal_cents, o.discount_cents, o.shipping_cents, o.total_cents,
               (SELECT value FROM settings WHERE name = 'taxes') AS rules
          FROM orders o WHERE o.id = $1";
    let row = db::query_opt(db, FIND, &[&order]).await?.ok_or(Error::NotFound("The order"))?;
    let sealed: Option<Vec<u8>> = row.get("tax_id_sealed");
    let key: Option<i16> = row.get("tax_id_key");
    let buyer_tax_id = sealed.zip(key).map(|(sealed, key)| app.keys.open(&sealed, key)).transpose()?;
    let rules: Option<Value> = row.get("rules");
    Ok(Facts {
        order,
        number: row.get("number"),
        mended: row.get("mended"),
        buyer_name: row.get("customer_name"),
        buyer_tax_id,
        buyer_registration: row.get::<_, Option<&str>>("state_registration").map(StateRegistration::kept),
        buyer_email: row.get("customer_email"),
        buyer_phone: row.get("customer_phone"),
        address: address(&row.get("shipping_address")),
        payment_method: row.get("payment_method"),
        shipping_provider: row.get("shipping_provider"),
        boxes: row.get("boxes"),
        subtotal: row.get("subtotal_cents"),
        discount: row.get("discount_cents"),
        shipping: row.get("shipping_cents"),
        total: row.get("total_cents"),
        lines: find_lines(db, order).await?,
        rules: rules.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default(),
    })
}

/// Whether the buyer or the address changed since these were read. Call this while holding the order's lock.
pub async fn was_mended(db: &impl GenericClient, facts: &Facts) -> Result<bool> {
    const ASK: &str = "SELECT mended <> $2 AS was_mended FROM orders WHERE id = $1";
    Ok(db::query_opt(db, ASK, &[&facts.order, &facts.mended]).await?.is_some_and(|row| row.get("was_mended")))
}

/// An erased person's address has lost its street: what is missing is named when the invoice is built.
fn address(kept: &Value) -> ShippingAddress {
    let text = |field: &str| kept.get(field).and_then(Value::as_str).map(str::to_owned);
    let must = |field: &str| text(field).unwrap_or_default();
    ShippingAddress {
        recipient: must("recipient"),
        cep: must("cep"),
        street: must("street"),
        number: must("number"),
        complement: text("complement"),
        district: must("district"),
        city: must("city"),
        state: must("state"),
        ibge_city: text("ibge_city"),
        phone: text("phone"),
    }
}

/// What an invoice says of a product `p`, where it has none of its own that of its categories: with [`CATEGORY_WORDS`].
pub const WARE_COLUMNS: &str =
    "coalesce(p.ncm, c.ncm) AS ncm, coalesce(p.cfop, c.cfop) AS cfop, coalesce(p.origin, c.origin) AS origin, p.tax, c.taxes";

/// The nearest word of a product's categories, from its own up to the root. `p` is the product.
pub const CATEGORY_WORDS: &str = "
    LEFT JOIN LATERAL (
        WITH RECURSIVE up AS (
            SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, 0 AS depth FROM categories c WHERE c.id = p.category_id
            UNION ALL SELECT c.id, c.parent_id, c.ncm, c.cfop, c.origin, c.tax, up.depth + 1 FROM categories c JOIN up ON c.id = up.parent_id)
        SELECT (array_agg(ncm ORDER BY depth) FILTER (WHERE ncm IS NOT NULL))[1] AS ncm,
               (array_agg(cfop ORDER BY depth) FILTER (WHERE cfop IS NOT NULL))[1] AS cfop,
               (array_agg(origin ORDER BY depth) FILTER (WHERE origin IS NOT NULL))[1] AS origin,
               coalesce(jsonb_agg(tax ORDER BY depth), '[]') AS taxes
          FROM up) c ON true";

async fn find_lines(db: &impl GenericClient, order: OrderId) -> Result<Vec<Line>> {
    const LINES: &str = sql!(
        "SELECT l.id, l.sku, l.name, l.variant_name, l.quantity, l.unit_price_cents, l.line_total_cents, l.discount_cents, p.weight_grams, ",
        WARE_COLUMNS,
        " FROM order_lines l JOIN products p ON p.id = l.product_id ",
        CATEGORY_WORDS,
        " WHERE l.order_id = $1 ORDER BY l.position"
    );
    Ok(db::query(db, LINES, &[&order]).await?.iter().map(line).collect())
}

fn line(row: &Row) -> Line {
    Line {
        id: row.get("id"),
        sku: row.get("sku"),
        name: described(row.get("name"), row.get("variant_name")),
        quantity: row.get("quantity"),
        unit_price: row.get("unit_price_cents"),
        gross: row.get("line_total_cents"),
        discount: row.get("discount_cents"),
        weight_grams: row.get("weight_grams"),
        ncm: row.get("ncm"),
        cfop: row.get("cfop"),
        origin: row.get("origin"),
        tax: nearest(row.get("tax"), row.get("taxes")),
    }
}

/// What was sold, as invoices and labels name it: the product with its variant, in Latin-1. An only variant has no name of its own.
pub fn described(name: &str, variant: &str) -> String {
    let variant = if ["Único", "Única"].contains(&variant) { "" } else { variant };
    latin::with_variant(name, variant, ITEM_NAME_MAX)
}

/// The product's word, then its categories' from the nearest on.
pub fn nearest(own: Value, categories: Value) -> TaxData {
    let Value::Array(categories) = categories else { return TaxData::kept(own) };
    categories.into_iter().fold(TaxData::kept(own), |tax, category| tax.or(&TaxData::kept(category)))
}
