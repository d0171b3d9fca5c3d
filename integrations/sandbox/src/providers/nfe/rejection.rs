//! How the tax authority says no, and how it reckons.

use crate::books::nfe_draft::Tax;

/// A code and the words that go with it.
pub(crate) type Rejection = (u16, String);

pub(crate) fn no(code: u16, why: impl Into<String>) -> Result<(), Rejection> {
    Err((code, format!("Rejeição: {}", why.into())))
}

/// They allow a centavo.
pub(crate) fn adds_up(tax: &Tax, code: u16, why: &str) -> Result<(), Rejection> {
    let value = half_up(i128::from(tax.base_cents) * i128::from(tax.rate_e4), 1_000_000);
    if (value - i128::from(tax.value_cents)).abs() > 1 { no(code, why) } else { Ok(()) }
}

pub(crate) fn half_up(amount: i128, unit: i128) -> i128 {
    (amount + unit / 2).div_euclid(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_centavo_goes_up() {
        assert_eq!(half_up(1_500_000, 1_000_000), 2);
        assert_eq!(half_up(1_499_999, 1_000_000), 1);
    }
}
