//! The catalog: products with variants, in a tree of categories. Reads are cached answers; writes go to PostgreSQL and
//! evict them.

mod admin_http;
pub mod cached;
mod categories;
mod category_admin;
mod cell;
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
mod rules;
mod save;
mod search;
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
    #[schema(value_type = uuid::Uuid)]
    pub id: ProductId,
    pub sku: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub price_cents: i64,
    /// The price before, for a crossed-out "de R$ …".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_cents: Option<i64>,
    pub currency: &'static str,
    /// May be some seconds old. Cart and checkout read the present value.
    pub stock: i32,
    /// Whether any variant is in stock.
    pub in_stock: bool,
    pub featured: bool,
    pub active: bool,
    #[schema(value_type = uuid::Uuid)]
    pub category_id: CategoryId,
    pub images: Vec<Image>,
    pub weight_grams: i32,
    pub height_cm: i32,
    pub width_cm: i32,
    pub length_cm: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ncm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<i16>,
    #[serde(skip_serializing_if = "TaxData::is_empty")]
    pub tax: TaxData,
    pub attributes: BTreeMap<String, String>,
    pub variants: Vec<Variant>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// One kind of a product that can be bought.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Variant {
    #[schema(value_type = uuid::Uuid)]
    pub id: VariantId,
    pub sku: String,
    pub name: String,
    pub options: BTreeMap<String, String>,
    pub price_cents: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_cents: Option<i64>,
    pub stock: i32,
    pub in_stock: bool,
}

/// A picture: an address on this server (`/media/…`) or anywhere, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    #[garde(length(chars, max = 2000), custom(rules::picture_url))]
    pub url: String,
    #[serde(default)]
    #[garde(length(chars, max = 300), custom(rules::one_line))]
    pub alt: String,
}

/// A category of the catalog.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Category {
    #[schema(value_type = uuid::Uuid)]
    pub id: CategoryId,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub parent_id: Option<CategoryId>,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub position: i32,
    /// Tax data that products without their own inherit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ncm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<i16>,
    #[serde(skip_serializing_if = "TaxData::is_empty")]
    pub tax: TaxData,
    /// From the root down to this one: breadcrumbs.
    pub path: Vec<Crumb>,
    #[schema(no_recursion)]
    pub children: Vec<Category>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// One step of a category's path.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Crumb {
    #[schema(value_type = uuid::Uuid)]
    pub id: CategoryId,
    pub slug: String,
    pub name: String,
}
