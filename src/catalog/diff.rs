//! Whether a table changes a product: what it leaves as it is, is not locked and not written.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::save::{Draft, DraftVariant};
use super::{Product, Variant};

/// Whether writing the draft would change the product. Variants that the draft does not name stay; without a stock a variant keeps its own.
pub fn differs(product: &Product, draft: &Draft) -> bool {
    let p = product;
    let own = (&p.name, &p.category_id, p.featured, p.active, &p.ncm, &p.cfop, p.origin, &p.attributes, &p.images);
    let d = draft;
    let its = (&d.name, &d.category_id, d.featured, d.active, &d.ncm, &d.cfop, d.origin, &d.attributes, &d.images);
    let size = [p.weight_grams, p.height_cm, p.width_cm, p.length_cm];
    own != its
        || p.description.replace("\r\n", "\n") != d.description
        || size != [d.weight_grams, d.height_cm, d.width_cm, d.length_cm]
        || d.tax.as_ref().is_some_and(|tax| *tax != p.tax)
        || d.variants.iter().any(|variant| known(p, variant).is_none_or(|old| variant_differs(old, variant)))
}

fn variant_differs(old: &Variant, new: &DraftVariant) -> bool {
    (&old.name, &old.options, old.price_cents, old.compare_at_cents)
        != (&new.name, &new.options, new.price_cents, new.compare_at_cents)
        || new.stock.is_some_and(|stock| stock != old.stock)
}

fn known<'a>(product: &'a Product, variant: &DraftVariant) -> Option<&'a Variant> {
    product.variants.iter().find(|old| old.sku == variant.sku)
}

/// The prices that drafts change, before and after, by SKU: for the audit log. A new variant has none before.
pub fn prices(known: &HashMap<String, Product>, drafts: &[Draft]) -> (Value, Value) {
    let (mut before, mut after) = (Map::new(), Map::new());
    let price = |cents: i64, compare_at: Option<i64>| json!({"price_cents": cents, "compare_at_cents": compare_at});
    for draft in drafts {
        for variant in &draft.variants {
            let old = known.get(&draft.slug).and_then(|product| self::known(product, variant));
            let (was, is) = (
                old.map(|old| price(old.price_cents, old.compare_at_cents)),
                price(variant.price_cents, variant.compare_at_cents),
            );
            if was.as_ref() == Some(&is) {
                continue;
            }
            if let Some(was) = was {
                before.insert(variant.sku.clone(), was);
            }
            after.insert(variant.sku.clone(), is);
        }
    }
    (before.into(), after.into())
}
