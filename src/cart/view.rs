//! The cart as a buyer sees it: present prices, and what changed since it was filled.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::store::Line;
use super::{MAX_QUANTITY, Owner, store};
use crate::coupons::{Coupon, Kind};
use crate::db::GenericClient;
use crate::error::{Error, Result};
use crate::ids::{ProductId, VariantId};

#[derive(Debug, Serialize, ToSchema)]
pub struct Cart {
    pub items: Vec<Item>,
    /// Number of pieces that are available.
    pub item_count: i64,
    /// Σ `line_total_cents` of the items that are available.
    #[schema(value_type = i64)]
    pub subtotal_cents: Money,
    #[schema(value_type = i64)]
    pub discount_cents: Money,
    pub coupon: Option<CartCoupon>,
    /// Subtotal less discount; freight is not known yet.
    #[schema(value_type = i64)]
    pub total_cents: Money,
    pub currency: &'static str,
    pub warnings: Vec<Warning>,
    /// Only in the answer that makes a guest's cart: send it back as `X-Cart-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart_token: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Item {
    pub product_id: ProductId,
    pub variant_id: VariantId,
    pub sku: String,
    pub slug: String,
    pub name: String,
    pub variant_name: String,
    pub image_url: Option<String>,
    pub quantity: i32,
    /// The largest quantity that this line can have now.
    pub max_quantity: i32,
    #[schema(value_type = i64)]
    pub unit_price_cents: Money,
    #[schema(value_type = i64)]
    pub line_total_cents: Money,
    /// Still sold, and in stock. Lines that are not available are not in the totals.
    pub available: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CartCoupon {
    pub code: String,
    pub kind: Kind,
    /// Per cent, centavos, or 0 for free freight.
    pub value: i64,
    /// Whether it counts for the cart as it is; if not, a warning says why.
    pub applied: bool,
    #[schema(value_type = i64)]
    pub discount_cents: Money,
    pub free_shipping: bool,
}

/// Something the buyer should know before paying.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warning {
    /// `price_changed`, `not_enough_stock`, `unavailable` or `coupon_not_applicable`.
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_id: Option<VariantId>,
}

impl Cart {
    /// Reads the owner's cart to show it. Its prices and its discount are those that checkout may take from then on; they rarely change,
    /// and then nothing is written.
    pub async fn read(db: &impl GenericClient, owner: &Owner) -> Result<Self> {
        let store::Read { lines, coupon, shown_discount } = store::read_cart(db, owner).await?;
        let prices = store::changed_prices(&lines);
        let cart = Self::of(lines, coupon, Timestamp::now())?;
        if !prices.is_empty() || cart.discount_cents != shown_discount {
            store::remember_shown(db, owner, prices, cart.discount_cents).await?;
        }
        Ok(cart)
    }

    /// What the goods of the owner's cart cost now, after its coupon. `None`: nothing in it can be bought. The cart is not shown by
    /// this: the prices that checkout may take stay those that were.
    pub async fn goods(db: &impl GenericClient, owner: &Owner) -> Result<Option<Money>> {
        let store::Read { lines, coupon, .. } = store::read_cart(db, owner).await?;
        let cart = Self::of(lines, coupon, Timestamp::now())?;
        Ok((cart.item_count > 0).then_some(cart.total_cents))
    }

    /// The answer where there is no cart.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            item_count: 0,
            subtotal_cents: Money::ZERO,
            discount_cents: Money::ZERO,
            coupon: None,
            total_cents: Money::ZERO,
            currency: "BRL",
            warnings: Vec::new(),
            cart_token: None,
        }
    }

    fn of(lines: Vec<Line>, coupon: Option<(Coupon, i64)>, now: Timestamp) -> Result<Self> {
        let mut warnings: Vec<Warning> = lines.iter().filter_map(warning).collect();
        let items = lines.into_iter().map(Item::of).collect::<Result<Vec<_>>>()?;
        let available = || items.iter().filter(|item| item.available);
        let subtotal = Money::sum(available().map(|item| item.line_total_cents)).ok_or_else(too_much)?;
        let item_count = available().map(|item| i64::from(item.quantity)).sum();
        let coupon = coupon.map(|(coupon, person_uses)| {
            let refusal = coupon.refusal_to(person_uses, subtotal, now);
            if let Some(why) = refusal {
                warnings.push(Warning { code: "coupon_not_applicable", message: why.to_owned(), variant_id: None });
            }
            CartCoupon::of(&coupon, refusal.is_none(), subtotal)
        });
        let discount = coupon.as_ref().map_or(Money::ZERO, |coupon| coupon.discount_cents);
        let total = subtotal.checked_sub(discount).ok_or_else(too_much)?;
        Ok(Self {
            items,
            item_count,
            subtotal_cents: subtotal,
            discount_cents: discount,
            coupon,
            total_cents: total,
            warnings,
            ..Self::empty()
        })
    }
}

impl Item {
    fn of(line: Line) -> Result<Self> {
        let quantity = u32::try_from(line.quantity).map_err(|_| too_much())?;
        Ok(Self {
            available: line.sold && line.stock > 0,
            max_quantity: if line.sold { line.stock.min(MAX_QUANTITY) } else { 0 },
            line_total_cents: line.price.times(quantity).ok_or_else(too_much)?,
            unit_price_cents: line.price,
            product_id: line.product,
            variant_id: line.variant,
            sku: line.sku,
            slug: line.slug,
            name: line.name,
            variant_name: line.variant_name,
            image_url: line.image_url,
            quantity: line.quantity,
        })
    }
}

impl CartCoupon {
    fn of(coupon: &Coupon, applied: bool, subtotal: Money) -> Self {
        Self {
            code: coupon.code.clone(),
            kind: coupon.kind,
            value: coupon.value,
            applied,
            discount_cents: if applied { coupon.discount(subtotal) } else { Money::ZERO },
            free_shipping: applied && coupon.frees_shipping(),
        }
    }
}

/// The most serious warning about a line: unavailable, too little stock, or another price.
fn warning(line: &Line) -> Option<Warning> {
    let (code, message) = if !line.sold {
        ("unavailable", format!("{} is no longer sold", line.name))
    } else if line.stock == 0 {
        ("unavailable", format!("{} is sold out", line.name))
    } else if line.stock < line.quantity {
        ("not_enough_stock", format!("Only {} of {} left", line.stock, line.name))
    } else if line.price != line.seen_price {
        ("price_changed", format!("{} now costs {} instead of {}", line.name, line.price, line.seen_price))
    } else {
        return None;
    };
    Some(Warning { code, message, variant_id: Some(line.variant) })
}

/// Overflow of a sum. The tables' limits on price, quantity and lines keep every cart far below an i64's.
fn too_much() -> Error {
    Error::Internal("a cart's total does not fit".into())
}
