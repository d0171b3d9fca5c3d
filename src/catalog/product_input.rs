//! A product as an administrator writes it, and the draft that it makes.

use std::collections::{BTreeMap, HashSet};

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::save::{Draft, DraftVariant};
use super::{Image, rules};
use crate::error::{Error, Result};
use crate::http::json::typed;
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::tax::TaxData;

/// In centavos.
pub const MAX_PRICE: i64 = 100_000_000_000;
/// Of a variant, in pieces.
pub const MAX_STOCK: i32 = 10_000_000;
/// Why a price before is refused: it is shown crossed out, so it must not be the lower one.
pub const BELOW_THE_PRICE: &str = "must not be below the price";

/// A product as an administrator writes it. Either `variants` (the first one is the default), or `price_cents`, `sku` and
/// `stock` of the only one.
#[derive(Debug, Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Camiseta azul",
    "category_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2",
    "weight_grams": 250,
    "height_cm": 4,
    "width_cm": 25,
    "length_cm": 30,
    "description": "Malha de algodão, corte reto.",
    "ncm": "61091000",
    "attributes": {"Tecido": "Algodão"},
    "images": [{"url": "/media/camiseta-azul.jpg", "alt": "Camiseta azul, de frente"}],
    "variants": [{"sku": "CAM-AZUL-M", "name": "M", "options": {"Tamanho": "M"}, "price_cents": 5990, "stock": 12}]
}))]
pub struct ProductInput {
    /// The name that buyers, invoices and labels show.
    #[garde(length(chars, max = 200), custom(rules::title))]
    #[schema(max_length = 200, min_length = 1)]
    pub name: String,
    /// Derived from the name where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(length(bytes, max = 160), custom(rules::slug)))]
    #[schema(max_length = 160)]
    pub slug: Option<String>,
    /// Plain text; may have line breaks.
    #[serde(default)]
    #[garde(length(chars, max = 20_000), custom(rules::free_text))]
    #[schema(max_length = 20000)]
    pub description: String,
    /// The category; it must exist.
    #[garde(skip)]
    #[schema(value_type = Uuid)]
    pub category_id: CategoryId,
    /// Whether the shop shows it first.
    #[serde(default)]
    #[garde(skip)]
    pub featured: bool,
    /// Whether it is sold.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub active: bool,
    /// Weight with its packing, in grams.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1000000)]
    pub weight_grams: i32,
    /// Height with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub height_cm: i32,
    /// Width with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub width_cm: i32,
    /// Length with its packing, in centimetres.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub length_cm: i32,
    /// Its class of goods by the tax tables (NCM), 8 digits. Absent or null: its category's.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::ncm)))]
    #[schema(max_length = 20)]
    pub ncm: Option<String>,
    /// The code of its sale on invoices (CFOP), 4 digits. Absent or null: its category's, or the shop's.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::cfop)))]
    #[schema(max_length = 20)]
    pub cfop: Option<String>,
    /// Where the goods come from, by the invoice's table of origins, 0 (national) to 8. Absent or null: its category's.
    #[serde(default)]
    #[garde(range(min = 0, max = 8))]
    #[schema(minimum = 0, maximum = 8)]
    pub origin: Option<i16>,
    /// More tax data for the invoice, where the category's or the shop's do not fit.
    #[serde(default)]
    #[garde(dive)]
    pub tax: Option<TaxData>,
    /// Labels and values, at most 50: `{"Tecido": "Algodão"}`.
    #[serde(default)]
    #[garde(custom(rules::labels))]
    #[schema(max_length = 300)]
    pub attributes: BTreeMap<String, String>,
    /// Pictures, the main one first.
    #[serde(default)]
    #[garde(length(max = 50), dive)]
    #[schema(max_items = 50)]
    pub images: Vec<Image>,
    /// The only variant's SKU. Derived from the slug where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::sku)))]
    #[schema(max_length = 60)]
    pub sku: Option<String>,
    /// The only variant's price in centavos. Required where `variants` is empty.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub price_cents: Option<i64>,
    /// The only variant's price before, for a crossed-out "de R$ …"; not below the price.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub compare_at_cents: Option<i64>,
    /// In a change of what exists it counts only with an `If-Match` that names the version: sales go on meanwhile. `PATCH …/stock` sets it alone.
    #[serde(default)]
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 10000000)]
    pub stock: Option<i32>,
    /// What can be bought, the default first. Left out or empty: one variant, of the fields above.
    #[serde(default)]
    #[garde(length(max = 200), dive)]
    #[schema(max_items = 200)]
    pub variants: Vec<VariantInput>,
}

impl ProductInput {
    /// The product as it shall be stored.
    pub fn into_draft(self, id: ProductId, slug: String) -> Result<Draft> {
        let variants = self.lines(&slug, id)?;
        Ok(Draft {
            id,
            slug,
            name: self.name,
            description: self.description,
            category_id: self.category_id,
            featured: self.featured,
            active: self.active,
            weight_grams: self.weight_grams,
            height_cm: self.height_cm,
            width_cm: self.width_cm,
            length_cm: self.length_cm,
            ncm: self.ncm,
            cfop: self.cfop,
            origin: self.origin,
            tax: self.tax,
            attributes: self.attributes,
            images: self.images,
            variants,
        })
    }

    fn lines(&self, slug: &str, id: ProductId) -> Result<Vec<DraftVariant>> {
        let only = || {
            let price_cents = self.price_cents.ok_or_else(|| Error::field("price_cents", "is required"))?;
            Ok::<_, Error>(VariantInput {
                id: None,
                sku: self.sku.clone(),
                name: String::new(),
                options: BTreeMap::new(),
                price_cents,
                compare_at_cents: self.compare_at_cents,
                stock: self.stock,
            })
        };
        let given = if self.variants.is_empty() { vec![only()?] } else { self.variants.clone() };
        let mut seen = HashSet::new();
        let mut lines = Vec::with_capacity(given.len());
        for (n, variant) in given.into_iter().enumerate() {
            let sku = variant.sku.unwrap_or_else(|| made_sku(slug, id, n));
            if !seen.insert(sku.clone()) {
                return Err(Error::field(format!("variants[{n}].sku"), "is there twice"));
            }
            if variant.compare_at_cents.is_some_and(|before| before < variant.price_cents) {
                let field = "compare_at_cents".to_owned();
                let field = if self.variants.is_empty() { field } else { format!("variants[{n}].{field}") };
                return Err(Error::field(field, BELOW_THE_PRICE));
            }
            lines.push(DraftVariant {
                id: variant.id,
                sku,
                name: variant.name,
                options: variant.options,
                price_cents: variant.price_cents,
                compare_at_cents: variant.compare_at_cents,
                stock: variant.stock,
            });
        }
        Ok(lines)
    }
}

/// A variant as an administrator writes it; an existing one is known by its id or its SKU.
#[derive(Debug, Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "CAM-AZUL-M", "name": "M", "options": {"Tamanho": "M"}, "price_cents": 5990, "stock": 12}))]
pub struct VariantInput {
    /// The id of an existing variant. Absent or null: the variant with this SKU, or a new one.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<Uuid>)]
    pub id: Option<VariantId>,
    /// Derived from the slug where absent.
    #[serde(default, deserialize_with = "typed")]
    #[garde(inner(custom(rules::sku)))]
    #[schema(max_length = 60)]
    pub sku: Option<String>,
    /// What tells it from the others.
    #[serde(default)]
    #[garde(length(chars, max = 200), custom(rules::variant))]
    #[schema(max_length = 200)]
    pub name: String,
    /// What it is made of, at most 50: `{"Tamanho": "M"}`.
    #[serde(default)]
    #[garde(custom(rules::labels))]
    #[schema(max_length = 300)]
    pub options: BTreeMap<String, String>,
    /// The price in centavos.
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub price_cents: i64,
    /// The price before, for a crossed-out "de R$ …"; not below the price.
    #[serde(default)]
    #[garde(range(min = 1, max = MAX_PRICE))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub compare_at_cents: Option<i64>,
    /// How many pieces there are. Absent or null: an existing variant keeps its stock, a new one begins with 0.
    #[serde(default)]
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 10000000)]
    pub stock: Option<i32>,
}

fn yes() -> bool {
    true
}

/// A SKU for a product without one: the slug's beginning, and enough of the id to be unique.
fn made_sku(slug: &str, id: ProductId, n: usize) -> String {
    let start: String = slug.chars().take(40).collect::<String>().to_uppercase();
    let tail = id.0.simple().to_string()[24..].to_uppercase();
    if n == 0 { format!("{start}-{tail}") } else { format!("{start}-{tail}-{}", n + 1) }
}
