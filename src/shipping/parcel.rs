//! The contents of a parcel: the items that a client names, with the catalog's measures and prices.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use serde_json::{Value, json};
use vitrine_kit::shipping::ParcelItem;
use vitrine_kit::{Cep, Money};

use super::{QuotedItem, ShippingSettings};
use crate::cart::MAX_QUANTITY;
use crate::db;
use crate::error::{Error, FieldError, Result};
use crate::ids::{ProductId, VariantId};

/// One item as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub product: ProductId,
    /// `None`: the product's default variant.
    pub variant: Option<VariantId>,
    pub quantity: i32,
}

/// A variant as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub quantity: i32,
    pub weight_grams: i32,
    pub height_cm: i32,
    pub width_cm: i32,
    pub length_cm: i32,
    pub unit_price: Money,
}

/// Every variant once, in variant order.
#[derive(Debug)]
pub struct Parcel {
    pieces: BTreeMap<VariantId, Piece>,
    /// The shop's freight settings, read in the same statement.
    pub settings: ShippingSettings,
}

/// Looks up the items in one statement. An item that is not sold is an invalid field (422) with its index.
pub async fn find_parcel(db: &impl GenericClient, wanted: &[Wanted]) -> Result<Parcel> {
    const FIND: &str = "
        SELECT s.id, s.price_cents, s.weight_grams, s.height_cm, s.width_cm, s.length_cm, (SELECT value FROM settings WHERE name = 'shipping') AS settings
          FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a (product, variant, n)
          LEFT JOIN LATERAL (
                SELECT v.id, v.price_cents, p.weight_grams, p.height_cm, p.width_cm, p.length_cm
                  FROM variants v JOIN products p ON p.id = v.product_id
                 WHERE v.product_id = a.product AND p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL
                   AND (v.id = a.variant OR (a.variant IS NULL AND v.is_default))) s ON true
         ORDER BY a.n";
    let (products, variants): (Vec<_>, Vec<_>) = wanted.iter().map(|w| (w.product, w.variant)).unzip();
    let rows = db::query(db, FIND, &[&products, &variants]).await?;
    let mut pieces: BTreeMap<VariantId, Piece> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (i, (row, asked)) in rows.iter().zip(wanted).enumerate() {
        let Some(id) = row.get::<_, Option<VariantId>>("id") else {
            let field = if asked.variant.is_some() { "variant_id" } else { "product_id" };
            wrong.push(FieldError { field: format!("items[{i}].{field}"), message: "is not sold here".into() });
            continue;
        };
        let piece = pieces.entry(id).or_insert_with(|| Piece {
            quantity: 0,
            weight_grams: row.get("weight_grams"),
            height_cm: row.get("height_cm"),
            width_cm: row.get("width_cm"),
            length_cm: row.get("length_cm"),
            unit_price: row.get("price_cents"),
        });
        piece.quantity += asked.quantity; // cannot overflow: at most 100 times 9999
        if piece.quantity > MAX_QUANTITY {
            let message = format!("is more than {MAX_QUANTITY} of one item");
            wrong.push(FieldError { field: format!("items[{i}].quantity"), message });
        }
    }
    let settings: Option<Value> = rows.first().and_then(|row| row.get("settings"));
    if wrong.is_empty() { Ok(Parcel { pieces, settings: ShippingSettings::read(settings) }) } else { Err(Error::Invalid(wrong)) }
}

impl Parcel {
    /// The items that a quote is bound to.
    pub fn quoted(&self) -> Vec<QuotedItem> {
        self.pieces.iter().map(|(variant, piece)| QuotedItem { variant: *variant, quantity: piece.quantity }).collect()
    }

    /// The price of the goods.
    pub fn subtotal(&self) -> Money {
        let prices = self.pieces.values().map(|piece| piece.unit_price.times(piece.quantity.unsigned_abs()));
        // The tables' limits keep every cart below an overflow; if there were one, zero would make no freight free.
        prices.collect::<Option<Vec<_>>>().and_then(Money::sum).unwrap_or(Money::ZERO)
    }

    /// The items as carriers are asked.
    pub fn items(&self) -> Vec<ParcelItem> {
        let size = |n: i32| n.unsigned_abs(); // the tables keep all of them above zero
        let item = |(variant, piece): (&VariantId, &Piece)| ParcelItem {
            id: variant.to_string(),
            quantity: size(piece.quantity),
            weight_grams: size(piece.weight_grams),
            height_cm: size(piece.height_cm),
            width_cm: size(piece.width_cm),
            length_cm: size(piece.length_cm),
            unit_price: piece.unit_price,
        };
        self.pieces.iter().map(item).collect()
    }

    /// The same for the record, item by item in the order of [`Parcel::quoted`], short enough for a token:
    /// grams, centimetres high, wide and long, centavos each.
    pub fn asked(&self, from: &Cep) -> Value {
        let items: Vec<Value> =
            self.pieces.values().map(|p| json!([p.weight_grams, p.height_cm, p.width_cm, p.length_cm, p.unit_price])).collect();
        json!({"from": from.as_str(), "g_h_w_l_price": items})
    }

    /// The chargeable weight in grams: the weight, or the volumetric weight if it is larger (6,000 cm³ count as a kilogram).
    pub fn chargeable_grams(&self) -> i64 {
        let of = |f: fn(&Piece) -> i64| self.pieces.values().map(|p| f(p) * i64::from(p.quantity)).sum::<i64>();
        let volume = of(|p| i64::from(p.height_cm) * i64::from(p.width_cm) * i64::from(p.length_cm));
        of(|p| i64::from(p.weight_grams)).max(volume / 6)
    }
}
