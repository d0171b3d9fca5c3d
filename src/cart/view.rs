//! The cart as a buyer sees it: present prices, and what changed since it was filled.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::store::Line;
use super::{MAX_QUANTITY, Owner, store};
use crate::coupons::{Coupon, Kind};
use crate::currency::Currency;
use crate::db::GenericClient;
use crate::error::{Error, Result};
use crate::ids::{ProductId, VariantId};

/// A cart at present prices.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cart {
    /// The lines, in the order in which they were added.
    pub items: Vec<Item>,
    /// Number of pieces that are available.
    #[schema(example = 3, minimum = 0)]
    pub item_count: i64,
    /// Σ `line_total_cents` of the items that are available.
    #[schema(value_type = i64, example = 11980, minimum = 0)]
    pub subtotal_cents: Money,
    /// What the coupon takes off the subtotal, in centavos.
    #[schema(value_type = i64, example = 1198, minimum = 0)]
    pub discount_cents: Money,
    /// The coupon; null: none.
    #[schema(required = true)]
    pub coupon: Option<CartCoupon>,
    /// Subtotal less discount; freight is not known yet.
    #[schema(value_type = i64, example = 10782, minimum = 0)]
    pub total_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    pub currency: Currency,
    /// What the buyer should know before paying.
    pub warnings: Vec<Warning>,
    /// Only in the answer that makes a guest's cart: send it back as `X-Cart-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "b6Q2…", nullable = false)]
    pub cart_token: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CartItem)]
pub struct Item {
    /// The product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU of the variant.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// The name in the product's address.
    #[schema(example = "camiseta-azul")]
    pub slug: String,
    /// The product's name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// The variant's name; empty for a product with one variant.
    #[schema(example = "M")]
    pub variant_name: String,
    /// Its picture; null: it has none.
    #[schema(required = true, example = "https://cdn.loja.example/camiseta-azul.jpg")]
    pub image_url: Option<String>,
    /// How many pieces.
    #[schema(minimum = 0, example = 2)]
    pub quantity: i32,
    /// The largest quantity that this line can have now.
    #[schema(example = 12, minimum = 0)]
    pub max_quantity: i32,
    /// The price of one piece, in centavos.
    #[schema(value_type = i64, minimum = 0, example = 5990)]
    pub unit_price_cents: Money,
    /// The price of all pieces, in centavos.
    #[schema(value_type = i64, example = 11980, minimum = 0)]
    pub line_total_cents: Money,
    /// Still sold, and in stock. Lines that are not available are not in the totals.
    pub available: bool,
}

/// The coupon of a cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartCoupon {
    /// Its code.
    #[schema(example = "BEMVINDO10")]
    pub code: String,
    /// What it takes off.
    pub kind: Kind,
    /// Per cent, centavos, or 0 for free freight.
    #[schema(example = 10, minimum = 0)]
    pub value: i64,
    /// Whether it counts for the cart as it is; if not, a warning says why.
    pub applied: bool,
    /// What it takes off the subtotal, in centavos.
    #[schema(value_type = i64, example = 1198, minimum = 0)]
    pub discount_cents: Money,
    /// Whether it frees the freight.
    pub free_shipping: bool,
}

/// What a warning of a cart is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    PriceChanged,
    NotEnoughStock,
    /// It is no longer sold, or sold out.
    Unavailable,
    CouponNotApplicable,
}

/// Something the buyer should know before paying.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CartWarning)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// The same in English, with names and amounts.
    #[schema(example = "Only 1 of Camiseta azul left")]
    pub message: String,
    /// The variant that it is about; absent: the whole cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
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
            currency: Currency::Brl,
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
                warnings.push(Warning { code: WarningCode::CouponNotApplicable, message: why.to_owned(), variant_id: None });
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
        (WarningCode::Unavailable, format!("{} is no longer sold", line.name))
    } else if line.stock == 0 {
        (WarningCode::Unavailable, format!("{} is sold out", line.name))
    } else if line.stock < line.quantity {
        (WarningCode::NotEnoughStock, format!("Only {} of {} left", line.stock, line.name))
    } else if line.price != line.seen_price {
        (WarningCode::PriceChanged, format!("{} now costs {} instead of {}", line.name, line.price, line.seen_price))
    } else {
        return None;
    };
    Some(Warning { code, message, variant_id: Some(line.variant) })
}

/// Overflow of a sum. The tables' limits on price, quantity and lines keep every cart far below an i64's.
fn too_much() -> Error {
    Error::Internal("a cart's total does not fit".into())
}
