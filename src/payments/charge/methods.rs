//! Methods of payment: what the shop offers, what each method does to the price, and which work now.

use deadpool_postgres::GenericClient;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::breaker::State;
use vitrine_kit::{Money, ProviderError};

use crate::app::App;
use crate::currency::Currency;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::typed;
use crate::payments::charge::bounds::{Bounds, MAX_CENTS, is_above};
use crate::text::is_hidden;

pub use crate::payments::charge::method::Method;

/// What the shop offers, by method: the setting `payment_methods`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 5}},
    "credit_card": {"enabled": true, "min_amount_cents": 500}
}))]
#[schema(as = PaymentMethodSettings)]
pub struct Methods {
    /// PIX.
    #[garde(dive)]
    pub pix: Offer,
    /// Credit card.
    #[garde(dive)]
    #[serde(default)]
    pub credit_card: Offer,
}

/// One method's terms.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true, "label": "PIX à vista", "price_rule": {"kind": "percent", "value": 5}}))]
#[schema(as = PaymentMethodOffer)]
pub struct Offer {
    /// Whether the shop offers it.
    #[garde(skip)]
    pub enabled: bool,
    /// The name that the buyer reads. Unset: the method's usual name.
    #[garde(inner(length(chars, min = 1, max = 40), custom(no_control)))]
    #[serde(default, deserialize_with = "typed")]
    #[schema(max_length = 40)]
    pub label: Option<String>,
    /// The discount on the goods for this method, after the coupon. The freight does not change.
    #[garde(inner(custom(is_sane)))]
    #[serde(default)]
    pub price_rule: Option<PriceRule>,
    /// The method is not offered for orders below this. Its provider has a limit of its own, which counts as well.
    #[garde(inner(range(min = 1, max = MAX_CENTS)))]
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub min_amount_cents: Option<i64>,
    /// The method is not offered for orders above this.
    #[garde(inner(range(min = 1, max = MAX_CENTS)), custom(is_above(self.min_amount_cents)))]
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub max_amount_cents: Option<i64>,
}

impl Offer {
    /// The shop's own least and most, in centavos.
    fn limits(&self) -> [Option<i64>; 2] {
        [self.min_amount_cents, self.max_amount_cents]
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self { enabled: true, label: None, price_rule: None, min_amount_cents: None, max_amount_cents: None }
    }
}

/// A discount for a method: `{"kind": "percent", "value": 5}` or `{"kind": "fixed", "value": 1000}` (centavos).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "percent", "value": 5}))]
pub struct PriceRule {
    /// What `value` is.
    pub kind: RuleKind,
    /// Per cent (1 to 90), or centavos.
    #[schema(minimum = 1, maximum = 100000000)]
    pub value: i64,
}

/// What a method takes off: `percent` of the goods, or a `fixed` amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PriceRuleKind)]
pub enum RuleKind {
    Percent,
    Fixed,
}

impl PriceRule {
    /// The discount on goods of this price. Half a centavo is rounded up, and at least one centavo is left to pay.
    pub fn discount(self, goods: Money) -> Money {
        let wanted = match self.kind {
            RuleKind::Percent => goods.percent(u8::try_from(self.value.clamp(0, 100)).unwrap_or(0)),
            RuleKind::Fixed => Money::from_cents(self.value),
        };
        let most = goods.checked_sub(Money::from_cents(1)).unwrap_or(Money::ZERO);
        wanted.min(most).max(Money::ZERO)
    }
}

fn is_sane(rule: &PriceRule, (): &()) -> garde::Result {
    let most = match rule.kind {
        RuleKind::Percent => 90,
        RuleKind::Fixed => 100_000_000,
    };
    if (1..=most).contains(&rule.value) { Ok(()) } else { Err(garde::Error::new(format!("the value must be from 1 to {most}"))) }
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

/// One row, `value`: what [`Methods::read`] takes.
pub const SETTING: &str = "SELECT value FROM settings WHERE name = 'payment_methods'";

impl Methods {
    pub async fn find(db: &impl GenericClient) -> Result<Self> {
        Ok(Self::read(db::query_opt(db, SETTING, &[]).await?.map(|row| row.get("value"))))
    }

    /// Reads the setting's value. Without one every method is offered without a discount.
    pub fn read(value: Option<serde_json::Value>) -> Self {
        value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }

    pub fn offer(&self, method: Method) -> &Offer {
        match method {
            Method::Pix => &self.pix,
            Method::CreditCard => &self.credit_card,
        }
    }

    /// The discount of a method on goods that cost this after the coupon.
    pub fn discount(&self, method: Method, goods: Money) -> Money {
        let rule = self.offer(method).price_rule.filter(|_| self.offer(method).enabled);
        rule.map_or(Money::ZERO, |rule| rule.discount(goods))
    }

    /// Errors: 409, this much cannot be paid by this method.
    pub fn check_amount(&self, method: Method, amount: Money) -> Result<()> {
        Bounds::of(method, self.offer(method).limits()).check(method, amount)
    }
}

/// A method of payment as the storefront sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MethodView {
    /// The method.
    method: Method,
    /// The name that the buyer reads.
    #[schema(example = "PIX")]
    label: String,
    /// `false` while the breaker of every provider of this method is open, or where it does not take the amount that was asked about.
    available: bool,
    /// Why it is not available; absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Unavailable>,
    /// An order must come to this much at least to be paid so, after the method's discount.
    #[schema(value_type = i64, minimum = 0, example = 50)]
    min_amount_cents: Money,
    /// The most that can be paid so.
    #[schema(value_type = i64, minimum = 0, example = 100000000000i64)]
    max_amount_cents: Money,
    /// What is to be paid by this method; only where an amount was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, nullable = false, example = 10782)]
    amount_cents: Option<Money>,
    /// What it changes in the price; fixed in the order once it is chosen. Null: nothing.
    #[schema(required = true)]
    price_rule: Option<PriceRule>,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    currency: Currency,
}

/// Why a method cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MethodUnavailable)]
pub enum Unavailable {
    AmountTooSmall,
    AmountTooLarge,
    /// Its providers do not answer at the moment.
    ProviderAway,
}

/// What a buyer wants to pay: the goods after the coupon, and the freight.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    pub goods: Money,
    pub freight: Money,
}

/// The methods that this shop offers, and which of them take that much.
pub async fn list(app: &App, price: Option<Price>) -> Result<Vec<MethodView>> {
    let offers = Methods::find(&app.db().await?).await?;
    let view = |method: Method| {
        let offer = offers.offer(method);
        let by_method = |p: Price| p.goods.checked_sub(offers.discount(method, p.goods))?.checked_add(p.freight);
        let (bounds, amount) = (Bounds::of(method, offer.limits()), price.and_then(by_method));
        let reason = match amount {
            Some(amount) if amount < bounds.least => Some(Unavailable::AmountTooSmall),
            Some(amount) if amount > bounds.most => Some(Unavailable::AmountTooLarge),
            _ if provider_for(app, method, &[]).is_err() => Some(Unavailable::ProviderAway),
            _ => None,
        };
        MethodView {
            method,
            label: offer.label.clone().unwrap_or_else(|| method.name().to_owned()),
            available: reason.is_none(),
            reason,
            min_amount_cents: bounds.least,
            max_amount_cents: bounds.most,
            amount_cents: amount,
            price_rule: offer.price_rule,
            currency: Currency::Brl,
        }
    };
    let is_offered = |method: &Method| offers.offer(*method).enabled && is_configured(app, *method);
    Ok(Method::ALL.into_iter().filter(is_offered).map(view).collect())
}

fn is_configured(app: &App, method: Method) -> bool {
    match method {
        Method::Pix => true,
        Method::CreditCard => app.providers.takes_cards,
    }
}

/// The provider for a new charge: the first of the method whose breaker is closed and that is not in `away`.
///
/// Errors: 409 the shop has no provider for it; 503 the breaker of each is open.
pub fn provider_for(app: &App, method: Method, away: &[&'static str]) -> Result<&'static str> {
    let all: Vec<&'static str> = match method {
        Method::Pix => app.providers.pix.iter().map(|pix| pix.name()).collect(),
        Method::CreditCard => app.providers.takes_cards.then_some(vitrine_stripe::NAME).into_iter().collect(),
    };
    let Some(first) = all.first().copied() else {
        return Err(Error::Conflict("This shop does not take cards: pay by PIX".into()));
    };
    let found = all.into_iter().find(|name| !away.contains(name) && closed_for(app, name).is_none());
    found.ok_or_else(|| is_away(app, first))
}

/// The error for an open breaker.
pub fn is_away(app: &App, provider: &'static str) -> Error {
    let retry_after_s = closed_for(app, provider);
    ProviderError::Unavailable { provider, reason: "the circuit breaker is open".into(), retry_after_s }.into()
}

/// Seconds until the breaker lets a call out again; `None`: it may go out now.
pub fn closed_for(app: &App, provider: &str) -> Option<u64> {
    let (_, breaker) = app.providers.breakers.iter().find(|(name, _)| *name == provider)?;
    let seen = breaker.snapshot();
    (seen.state == State::Open).then_some(seen.retry_after_s.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_per_cent_by_pix_is_taken_off_the_goods_alone() {
        let offers =
            Methods::read(Some(serde_json::json!({"pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 5}}})));
        assert_eq!(offers.discount(Method::Pix, Money::from_cents(9_990)), Money::from_cents(500));
        assert_eq!(offers.discount(Method::CreditCard, Money::from_cents(9_990)), Money::ZERO);
    }

    #[test]
    fn a_method_that_is_switched_off_has_no_price() {
        let offers =
            Methods::read(Some(serde_json::json!({"pix": {"enabled": false, "price_rule": {"kind": "fixed", "value": 5}}})));
        assert_eq!(offers.discount(Method::Pix, Money::from_cents(9_990)), Money::ZERO);
    }

    proptest! {
        #[test]
        fn something_is_always_left_to_pay(goods in 1_i64..10_000_000, value in 1_i64..100_000_000, is_percent: bool) {
            let kind = if is_percent { RuleKind::Percent } else { RuleKind::Fixed };
            let off = PriceRule { kind, value }.discount(Money::from_cents(goods));
            prop_assert!((0..goods).contains(&off.cents()));
        }
    }
}
