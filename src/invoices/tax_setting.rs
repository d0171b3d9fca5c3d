//! What the taxes of an item are worked out by: who sells to whom, when, and by which rules.

use jiff::civil::Date;
use vitrine_kit::Money;
use vitrine_kit::nfe::Regime;

use crate::tax::TaxRules;
use crate::tax::states::State;

/// Who sells to whom, when, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub regime: Regime,
    pub from: &'a State,
    pub to: &'a State,
    /// The buyer is registered for ICMS.
    pub to_contributor: bool,
    pub rules: &'a TaxRules,
    /// In the seller's time zone.
    pub day: Date,
}

/// What is left of it; a tax is never more than its base.
pub(super) fn minus<const N: usize>(value: Money, less: [Money; N]) -> Money {
    less.into_iter().fold(value, |left, one| left.checked_sub(one).filter(|m| !m.is_negative()).unwrap_or(Money::ZERO))
}
