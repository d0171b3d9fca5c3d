//! A coupon as administrators write it, and its rules.

use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::{Coupon, Kind, normalise};
use crate::error::{Error, FieldError, Result};
use crate::ids::CouponId;

/// The upper limit of a coupon's amounts, in centavos: that of a price.
const MAX_CENTS: i64 = 100_000_000_000;

/// A coupon as an admin writes it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "code": "BEMVINDO10",
    "kind": "percent",
    "value": 10,
    "min_subtotal_cents": 10000,
    "max_discount_cents": 5000,
    "ends_at": "2026-12-31T03:00:00Z",
    "max_uses_per_customer": 1
}))]
pub struct NewCoupon {
    /// 1 to 40 of `A-Z 0-9 _ -`; kept in upper case.
    #[garde(custom(is_code))]
    #[schema(min_length = 1, max_length = 60)]
    code: String,
    /// What it takes off.
    #[garde(skip)]
    kind: Kind,
    /// Per cent (1 to 100), centavos, or 0 for free freight.
    #[serde(default)]
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 100000000000i64)]
    value: i64,
    /// The least subtotal that it is for, in centavos. Absent or null: any.
    #[garde(range(min = 0, max = MAX_CENTS))]
    #[schema(minimum = 0, maximum = 100000000000i64)]
    min_subtotal_cents: Option<i64>,
    /// The most that it takes off, in centavos. Absent or null: no limit.
    #[garde(range(min = 1, max = MAX_CENTS))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    max_discount_cents: Option<i64>,
    /// From when it can be used. Absent or null: at once.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    /// The end; at this moment the coupon is over. Absent or null: none.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// How many orders may use it. Absent or null: any number.
    #[garde(range(min = 1))]
    #[schema(maximum = 2147483647, minimum = 1)]
    max_uses: Option<i32>,
    /// How many orders of one person may use it. Absent or null: any number.
    #[garde(range(min = 1))]
    #[schema(maximum = 2147483647, minimum = 1)]
    max_uses_per_customer: Option<i32>,
    /// Whether it can be used.
    #[serde(default = "yes")]
    #[garde(skip)]
    active: bool,
}

impl NewCoupon {
    /// The coupon as it shall be stored, in use by so many orders.
    pub fn into_coupon(self, id: CouponId, uses: i32) -> Result<Coupon> {
        checked(Coupon {
            id,
            code: normalise(&self.code)?,
            kind: self.kind,
            value: self.value,
            min_subtotal: self.min_subtotal_cents.map(Money::from_cents),
            max_discount: self.max_discount_cents.map(Money::from_cents),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            max_uses: self.max_uses,
            max_uses_per_customer: self.max_uses_per_customer,
            uses,
            active: self.active,
        })
    }
}

/// Changes to a coupon: a field that is left out stays, `null` removes a limit.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"active": false, "max_uses": null}))]
pub struct CouponChange {
    /// 1 to 40 of `A-Z 0-9 _ -`; kept in upper case. Null: as it is.
    #[garde(inner(custom(is_code)))]
    #[schema(min_length = 1, max_length = 60)]
    code: Option<String>,
    /// What it takes off. Null: as it is.
    #[garde(skip)]
    kind: Option<Kind>,
    /// Per cent (1 to 100), centavos, or 0 for free freight. Null: as it is.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 100000000000i64)]
    value: Option<i64>,
    /// The least subtotal that it is for, in centavos.
    #[serde(default, deserialize_with = "given")]
    #[garde(inner(inner(range(min = 0, max = MAX_CENTS))))]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 100000000000i64)]
    min_subtotal_cents: Option<Option<i64>>,
    /// The most that it takes off, in centavos.
    #[serde(default, deserialize_with = "given")]
    #[garde(inner(inner(range(min = 1, max = MAX_CENTS))))]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 100000000000i64)]
    max_discount_cents: Option<Option<i64>>,
    /// From when it can be used.
    #[serde(default, deserialize_with = "given")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Option<Timestamp>>,
    /// The end; at this moment the coupon is over.
    #[serde(default, deserialize_with = "given")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Option<Timestamp>>,
    /// How many orders may use it.
    #[serde(default, deserialize_with = "given")]
    #[garde(inner(inner(range(min = 1))))]
    #[schema(value_type = Option<i32>, maximum = 2147483647, minimum = 1)]
    max_uses: Option<Option<i32>>,
    /// How many orders of one person may use it.
    #[serde(default, deserialize_with = "given")]
    #[garde(inner(inner(range(min = 1))))]
    #[schema(value_type = Option<i32>, maximum = 2147483647, minimum = 1)]
    max_uses_per_customer: Option<Option<i32>>,
    /// Whether it can be used. Null: as it is.
    #[garde(skip)]
    active: Option<bool>,
}

impl CouponChange {
    /// The coupon with what this says of it.
    pub fn applied_to(self, old: Coupon) -> Result<Coupon> {
        let cents = |change: Option<Option<i64>>, old| change.map_or(old, |new| new.map(Money::from_cents));
        checked(Coupon {
            code: self.code.as_deref().map(normalise).transpose()?.unwrap_or(old.code),
            kind: self.kind.unwrap_or(old.kind),
            value: self.value.unwrap_or(old.value),
            min_subtotal: cents(self.min_subtotal_cents, old.min_subtotal),
            max_discount: cents(self.max_discount_cents, old.max_discount),
            starts_at: self.starts_at.unwrap_or(old.starts_at),
            ends_at: self.ends_at.unwrap_or(old.ends_at),
            max_uses: self.max_uses.unwrap_or(old.max_uses),
            max_uses_per_customer: self.max_uses_per_customer.unwrap_or(old.max_uses_per_customer),
            active: self.active.unwrap_or(old.active),
            ..old
        })
    }
}

fn yes() -> bool {
    true
}

fn is_code(code: &str, (): &()) -> garde::Result {
    normalise(code).map(drop).map_err(|_| garde::Error::new("must be 1 to 40 letters, digits, '_' or '-'"))
}

/// Distinguishes `null` from a field that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The rules about several fields at once; CHECKs of the table enforce them too.
fn checked(coupon: Coupon) -> Result<Coupon> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, message: &str| wrong.push(FieldError { field: field.into(), message: message.into() });
    match coupon.kind {
        Kind::Percent if !(1..=100).contains(&coupon.value) => say("value", "must be from 1 to 100 per cent"),
        Kind::Fixed if !(1..=MAX_CENTS).contains(&coupon.value) => say("value", "must be an amount in centavos, above 0"),
        Kind::FreeShipping if coupon.value != 0 => say("value", "must be 0 or left out for free_shipping"),
        _ => {}
    }
    if let (Some(start), Some(end)) = (coupon.starts_at, coupon.ends_at)
        && start >= end
    {
        say("ends_at", "must be after starts_at");
    }
    if coupon.max_uses.is_some_and(|most| most < coupon.uses) {
        say("max_uses", "is below the orders that use it already: deactivate it instead");
    }
    if wrong.is_empty() { Ok(coupon) } else { Err(Error::Invalid(wrong)) }
}
