//! The columns of the product table: their names, and where they stand in a file.

use crate::error::{Error, FieldError, Result};

/// In the order of the export. A file may have them in any.
pub(super) const COLUMNS: [&str; 22] = [
    "product_slug",
    "category_path",
    "product_name",
    "description",
    "attributes",
    "featured",
    "active",
    "ncm",
    "cfop",
    "origin",
    TAX,
    "weight_grams",
    "height_cm",
    "width_cm",
    "length_cm",
    "images",
    "sku",
    "variant_name",
    "options",
    "price",
    "compare_at",
    "stock",
];
/// The one column that may be missing. Without it the products' own tax data stay.
pub(super) const TAX: &str = "tax";
/// The columns that describe the product; they may be blank on its second and further lines.
pub(super) const OF_THE_PRODUCT: std::ops::Range<usize> = 1..16;

/// The position of each of our columns.
pub(super) fn places_in(reader: &mut csv::Reader<&[u8]>) -> Result<Vec<Option<usize>>> {
    let header = reader.headers().map_err(|e| Error::field("file", format!("cannot be read: {e}")))?;
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let places: Vec<Option<usize>> = COLUMNS.iter().map(|column| names.iter().position(|name| name == column)).collect();
    let is_missing = |(column, place): &(&&str, &Option<usize>)| place.is_none() && **column != TAX;
    let missing = COLUMNS.iter().zip(&places).filter(is_missing).map(|(column, _)| (*column, "is missing"));
    // A spreadsheet may write empty columns behind the last one.
    let unknown = names
        .iter()
        .filter(|name| !name.is_empty() && !COLUMNS.contains(name))
        .map(|name| (*name, "is not a column of this table"));
    let mistakes: Vec<FieldError> = missing
        .chain(unknown)
        .map(|(column, what)| FieldError { field: format!("line 1: {column}"), message: what.to_owned() })
        .collect();
    if mistakes.is_empty() { Ok(places) } else { Err(Error::Invalid(mistakes)) }
}

/// `variants[2].price_cents` of a product → the third variant's line, column `price`.
pub(super) fn place_of(path: &str, lines: &[u64]) -> (u64, String) {
    let first = lines.first().copied().unwrap_or(0);
    let (line, field) = match path.strip_prefix("variants[").and_then(|rest| rest.split_once(']')) {
        Some((n, rest)) => {
            (n.parse::<usize>().ok().and_then(|n| lines.get(n).copied()).unwrap_or(first), rest.trim_start_matches('.'))
        }
        None => (first, path),
    };
    let column = match field.split(['[', '.']).next().unwrap_or_default() {
        "name" if line_is_variant(path) => "variant_name",
        "name" => "product_name",
        "price_cents" => "price",
        "compare_at_cents" => "compare_at",
        other => other,
    };
    (line, column.to_owned())
}

fn line_is_variant(path: &str) -> bool {
    path.starts_with("variants[")
}
