//! The catalog: products with variants, in a tree of categories. Reads are cached answers; writes go to PostgreSQL and
//! evict them.

mod admin_http;
pub mod cached;
mod categories;
mod category_admin;
mod cell;
mod change;
mod columns;
pub mod command;
mod diff;
pub mod export;
mod http;
pub mod import;
mod imports;
pub mod low_stock;
pub mod media;
mod ncm;
mod product_admin;
mod product_input;
mod rules;
mod save;
mod search;
mod search_sql;
mod sheet;
mod slug;
mod stock;
mod store;
pub mod synonyms;
mod version;
#[cfg(test)]
mod table_tests;

pub use store::list_statements;

use std::collections::BTreeMap;

use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::currency::Currency;
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::tax::TaxData;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    http::routes(cfg);
    admin_http::routes(cfg);
}

/// Call it after the commit of a change to a product, a category, a price, or whether something is in stock. It empties the
/// cache here and on every other server. It never fails: where the others cannot be notified, their TTL ends the old answers.
pub async fn changed(app: &App) {
    app.catalog.forget();
    if let Err(error) = cached::tell_others(app).await {
        tracing::warn!(error = %crate::error::Chain(&error), "other servers could not be told of a catalog change");
    }
}

/// Something for sale. `sku`, `price_cents`, `compare_at_cents` and `stock` are the default variant's, the first one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Product {
    /// The product's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: ProductId,
    /// The default variant's SKU.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// The name in the product's address; it also finds the product.
    #[schema(example = "camiseta-azul")]
    pub slug: String,
    /// The name that buyers read.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// Plain text; may have line breaks.
    #[schema(example = "Malha de algodão, corte reto.")]
    pub description: String,
    /// The default variant's price in centavos.
    #[schema(minimum = 0, example = 5990)]
    pub price_cents: i64,
    /// The price before, for a crossed-out "de R$ …".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, nullable = false, example = 5990)]
    pub compare_at_cents: Option<i64>,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    pub currency: Currency,
    /// May be some seconds old. Cart and checkout read the present value.
    #[schema(example = 12, minimum = 0)]
    pub stock: i32,
    /// Whether any variant is in stock.
    pub in_stock: bool,
    /// Whether the shop shows it first.
    pub featured: bool,
    /// Whether it is sold. Only administrators see products that are not.
    pub active: bool,
    /// The category.
    #[schema(value_type = uuid::Uuid)]
    pub category_id: CategoryId,
    /// Pictures, the main one first.
    pub images: Vec<Image>,
    /// Weight with its packing, in grams.
    #[schema(example = 250, minimum = 0)]
    pub weight_grams: i32,
    /// Height with its packing, in centimetres.
    #[schema(example = 4, minimum = 0)]
    pub height_cm: i32,
    /// Width with its packing, in centimetres.
    #[schema(example = 25, minimum = 0)]
    pub width_cm: i32,
    /// Length with its packing, in centimetres.
    #[schema(example = 30, minimum = 0)]
    pub length_cm: i32,
    /// Its class of goods by the tax tables (NCM), 8 digits; absent: its category's, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "61091000")]
    pub ncm: Option<String>,
    /// The code of its sale on invoices (CFOP), 4 digits; absent: its category's, or the shop's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "5102")]
    pub cfop: Option<String>,
    /// Where the goods come from, by the invoice's table of origins, 0 (national) to 8; absent: its category's, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, nullable = false, example = 0)]
    pub origin: Option<i16>,
    /// More tax data for the invoice; absent: its category's, or the shop's.
    #[serde(skip_serializing_if = "TaxData::is_empty")]
    pub tax: TaxData,
    /// Labels and values that the shop chose: `{"Tecido": "Algodão"}`.
    pub attributes: BTreeMap<String, String>,
    /// What can be bought, the default first. There is always one.
    pub variants: Vec<Variant>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// One kind of a product that can be bought.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Variant {
    /// The variant's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: VariantId,
    /// The shop's own code for it, unique in the shop.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// What tells it from the others; empty where it is the only one.
    #[schema(example = "M")]
    pub name: String,
    /// What it is made of: `{"Tamanho": "M"}`.
    pub options: BTreeMap<String, String>,
    /// The price in centavos.
    #[schema(minimum = 0, example = 5990)]
    pub price_cents: i64,
    /// The price before, for a crossed-out "de R$ …"; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, nullable = false, example = 5990)]
    pub compare_at_cents: Option<i64>,
    /// How many pieces can be sold. May be some seconds old.
    #[schema(example = 12, minimum = 0)]
    pub stock: i32,
    /// Whether any piece can be sold.
    pub in_stock: bool,
}

/// A picture: an address on this server (`/media/…`) or anywhere, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "/media/camiseta-azul.jpg", "alt": "Camiseta azul, de frente"}))]
pub struct Image {
    /// Where it is: `/media/…` on this server, or an address with http or https.
    #[garde(length(chars, max = 2000), custom(rules::picture_url))]
    #[schema(pattern = "^(/|[Hh][Tt][Tt][Pp][Ss]?://)", min_length = 1, max_length = 2000)]
    pub url: String,
    /// What it shows, for who cannot see it.
    #[serde(default)]
    #[garde(length(chars, max = 300), custom(rules::one_line))]
    #[schema(max_length = 300)]
    pub alt: String,
}

/// A category of the catalog.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Category {
    /// The category's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CategoryId,
    /// The category above it; null: it is a root.
    #[schema(value_type = Option<uuid::Uuid>, required = true)]
    pub parent_id: Option<CategoryId>,
    /// The name in the category's address; it also finds the category.
    #[schema(example = "camisetas")]
    pub slug: String,
    /// The name that buyers read.
    #[schema(example = "Camisetas")]
    pub name: String,
    /// Plain text; may be empty.
    #[schema(example = "De algodão e de malha fria")]
    pub description: String,
    /// Its place among its siblings, the smallest first.
    #[schema(example = 0, minimum = 0)]
    pub position: i32,
    /// The NCM that products without their own inherit, 8 digits; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "61091000")]
    pub ncm: Option<String>,
    /// The CFOP that products without their own inherit, 4 digits; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "5102")]
    pub cfop: Option<String>,
    /// The origin that products without their own inherit, 0 to 8; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, nullable = false, example = 0)]
    pub origin: Option<i16>,
    /// More tax data that products without their own inherit; absent: none.
    #[serde(skip_serializing_if = "TaxData::is_empty")]
    pub tax: TaxData,
    /// From the root down to this one: breadcrumbs.
    pub path: Vec<Crumb>,
    /// The categories below it.
    #[schema(no_recursion)]
    pub children: Vec<Category>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// One step of a category's path.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Crumb {
    /// The category's id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CategoryId,
    /// The name in its address.
    #[schema(example = "camisetas")]
    pub slug: String,
    /// The name that buyers read.
    #[schema(example = "Camisetas")]
    pub name: String,
}
