//! Texts of which an invoice cannot show every letter.

use deadpool_postgres::GenericClient;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::sefaz;

use super::company::Company;
use crate::db;
use crate::error::Result;
use crate::ids::ProductId;

/// Where a text stands: in a product (`name`), in what is sold of it (`sku`, `variant`), or in the company (`company.legal_name` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutField {
    Name,
    Sku,
    Variant,
    #[serde(rename = "company.legal_name")]
    CompanyLegalName,
    #[serde(rename = "company.trade_name")]
    CompanyTradeName,
    #[serde(rename = "company.address.street")]
    CompanyStreet,
    #[serde(rename = "company.address.number")]
    CompanyNumber,
    #[serde(rename = "company.address.complement")]
    CompanyComplement,
    #[serde(rename = "company.address.district")]
    CompanyDistrict,
    #[serde(rename = "company.address.city")]
    CompanyCity,
}

/// A text of a product, or (without a product) of the company.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LeftOut {
    /// The product; null: it is the company's.
    #[schema(value_type = Option<uuid::Uuid>, required = true)]
    pub product_id: Option<ProductId>,
    /// Where it stands.
    #[schema(example = "name")]
    pub field: LeftOutField,
    /// The text.
    #[schema(example = "Café ☕ especial")]
    pub name: String,
    /// The letters and signs for which an invoice has no spelling, each once.
    #[schema(example = "☕")]
    pub letters: String,
}

impl LeftOut {
    fn find(product_id: Option<ProductId>, field: LeftOutField, text: &str) -> Option<Self> {
        let letters = sefaz::left_out(text);
        (!letters.is_empty()).then(|| Self { product_id, field, name: text.to_owned(), letters })
    }

    pub fn of_company(company: Option<&Company>) -> Vec<Self> {
        let Some(Company { legal_name, trade_name, address, .. }) = company else { return Vec::new() };
        let texts = [
            (LeftOutField::CompanyLegalName, Some(legal_name)),
            (LeftOutField::CompanyTradeName, trade_name.as_ref()),
            (LeftOutField::CompanyStreet, Some(&address.street)),
            (LeftOutField::CompanyNumber, Some(&address.number)),
            (LeftOutField::CompanyComplement, address.complement.as_ref()),
            (LeftOutField::CompanyDistrict, Some(&address.district)),
            (LeftOutField::CompanyCity, Some(&address.city)),
        ];
        texts.into_iter().filter_map(|(field, text)| Self::find(None, field, text?)).collect()
    }

    /// Of these products' names, and of the SKUs and names of what is sold of them.
    pub async fn of_products(db: &impl GenericClient, names: &[(ProductId, &str)]) -> Result<Vec<Self>> {
        const VARIANTS: &str = "
            SELECT product_id, sku, name FROM variants
             WHERE product_id = ANY ($1) AND deleted_at IS NULL AND (sku ~ '[^\\u0020-\\u00ff]' OR name ~ '[^\\u0020-\\u00ff]')
             ORDER BY product_id, position";
        let ids: Vec<ProductId> = names.iter().map(|(id, _)| *id).collect();
        let mut found: Vec<Self> =
            names.iter().filter_map(|(id, name)| Self::find(Some(*id), LeftOutField::Name, name)).collect();
        for row in &db::query(db, VARIANTS, &[&ids]).await? {
            let id = Some(row.get("product_id"));
            found.extend(Self::find(id, LeftOutField::Sku, row.get("sku")));
            found.extend(Self::find(id, LeftOutField::Variant, row.get("name")));
        }
        Ok(found)
    }
}
