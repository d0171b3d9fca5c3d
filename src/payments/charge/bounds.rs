//! How much an order may come to so that it can be paid by a method: what the method's provider takes, and the shop's own limits.

use vitrine_kit::Money;

use crate::error::{AmountBounds, Error, Result};
use crate::payments::charge::method::Method;

/// The largest limit that a shop can set, in centavos: that of a price.
pub(super) const MAX_CENTS: i64 = 100_000_000_000;
/// A bank writes an amount as `\d{1,10}\.\d{2}` (BACEN's PIX API, `valor.original`). OpenPix and ProPay name no limit of their own.
const MOST_BY_PIX: Money = Money::from_cents(999_999_999_999);

/// Checks a shop's own limits for a method: `most` is not below `least`.
pub(super) fn is_above(least: Option<i64>) -> impl FnOnce(&Option<i64>, &()) -> garde::Result {
    move |most, ()| match (least, most) {
        (Some(least), Some(most)) if *most < least => Err(garde::Error::new("must not be below min_amount_cents")),
        _ => Ok(()),
    }
}

/// The least and the most that can be paid by a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub least: Money,
    pub most: Money,
}

impl Bounds {
    pub fn of(method: Method, [least, most]: [Option<i64>; 2]) -> Self {
        let provider = match method {
            Method::Pix => Self { least: Money::from_cents(1), most: MOST_BY_PIX },
            Method::CreditCard => Self { least: vitrine_stripe::LEAST_CHARGE, most: vitrine_stripe::MOST_CHARGE },
        };
        let own = |cents: Option<i64>, provider: Money| cents.map_or(provider, Money::from_cents);
        Self { least: own(least, provider.least).max(provider.least), most: own(most, provider.most).min(provider.most) }
    }

    /// Errors: 409 `amount-not-accepted` with both limits. `amount` is what is to be paid, after the method's discount.
    pub fn check(self, method: Method, amount: Money) -> Result<()> {
        if (self.least..=self.most).contains(&amount) {
            return Ok(());
        }
        Err(Error::AmountNotAccepted(AmountBounds {
            method: method.as_str(),
            amount_cents: amount,
            min_amount_cents: self.least,
            max_amount_cents: self.most,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_can_narrow_what_a_provider_takes_and_never_widen_it() {
        let cents = |least, most| (Money::from_cents(least), Money::from_cents(most));
        let of = |method, min_amount_cents, max_amount_cents| {
            let Bounds { least, most } = Bounds::of(method, [min_amount_cents, max_amount_cents]);
            (least, most)
        };
        assert_eq!(of(Method::CreditCard, None, None), cents(50, 99_999_999));
        assert_eq!(of(Method::CreditCard, Some(10), Some(MAX_CENTS)), cents(50, 99_999_999));
        assert_eq!(of(Method::CreditCard, Some(1_000), Some(500_000)), cents(1_000, 500_000));
        assert_eq!(of(Method::Pix, None, Some(300_000)), cents(1, 300_000));
    }
}
