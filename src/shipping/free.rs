//! Free freight: by a rule of the shop, by a coupon, or by pickup. The reason is always recorded.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::{Cep, Money};

use super::settings::{FreeFor, FreeRule};
use super::{Offer, region};

/// Why the buyer pays no freight. Part of the quote and of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Free {
    /// Nothing is sent.
    Pickup,
    /// The order's coupon is of the kind `free_shipping`.
    Coupon,
    /// The goods are worth as much as the shop's rule asks.
    Rule { min_subtotal_cents: Money },
}

/// Why an option is free: `rule` of the shop, `coupon`, or `pickup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreeReason {
    Pickup,
    Coupon,
    Rule,
}

impl Free {
    pub fn reason(&self) -> FreeReason {
        match self {
            Self::Pickup => FreeReason::Pickup,
            Self::Coupon => FreeReason::Coupon,
            Self::Rule { .. } => FreeReason::Rule,
        }
    }
}

/// The first rule that makes this offer free. `goods`: the subtotal after a coupon.
pub(super) fn by_rule(rules: &[FreeRule], to: &Cep, goods: Money, offer: &Offer, is_cheapest: bool) -> Option<Free> {
    let rule = rules.iter().find(|rule| goods >= rule.min_subtotal() && frees(rule, to, offer, is_cheapest))?;
    Some(Free::Rule { min_subtotal_cents: rule.min_subtotal() })
}

/// The subtotal from which one of these offers (cheapest first) would be free; `None`: no rule can free one, or one is free.
pub(super) fn free_from(rules: &[FreeRule], to: &Cep, goods: Money, offers: &[Offer]) -> Option<Money> {
    let reaches = |rule: &&FreeRule| offers.iter().enumerate().any(|(i, offer)| frees(rule, to, offer, i == 0));
    let least = rules.iter().filter(reaches).map(FreeRule::min_subtotal).min()?;
    (least > goods).then_some(least)
}

/// Whether the rule applies to the offer, the minimum aside.
fn frees(rule: &FreeRule, to: &Cep, offer: &Offer, is_cheapest: bool) -> bool {
    let is_meant = match &rule.carriers {
        FreeFor::Word(_) => is_cheapest,
        FreeFor::Services(codes) => codes.0.iter().any(|code| match code.split_once(':') {
            Some((provider, code)) => offer.provider == provider && offer.service_code == code,
            None => offer.service_code == *code,
        }),
    };
    is_meant
        && rule.max_freight_cents.is_none_or(|most| offer.price <= Money::from_cents(most))
        && region::covers(&rule.states, &rule.cep_ranges, to)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer(provider: &str, code: &str, cents: i64) -> Offer {
        let price = Money::from_cents(cents);
        Offer { provider: provider.into(), service_code: code.into(), price, ..Offer::default() }
    }

    fn rule(body: serde_json::Value) -> FreeRule {
        serde_json::from_value(body).expect("a test writes it well")
    }

    fn to() -> Cep {
        Cep::parse("20040-002").expect("valid")
    }

    #[test]
    fn a_rule_begins_at_its_minimum_to_the_centavo() {
        let rules = [rule(json!({"min_subtotal_cents": 19_900}))];
        let pac = offer("correios", "03298", 2_000);
        let free = |cents| by_rule(&rules, &to(), Money::from_cents(cents), &pac, true);
        assert_eq!(free(19_899), None);
        let by = Some(Free::Rule { min_subtotal_cents: Money::from_cents(19_900) });
        assert_eq!([free(19_900), free(19_901)], [by, by]);
        let from = |cents| free_from(&rules, &to(), Money::from_cents(cents), std::slice::from_ref(&pac));
        assert_eq!((from(19_899), from(19_900)), (Some(Money::from_cents(19_900)), None));
    }

    #[test]
    fn it_frees_the_cheapest_or_the_named_services_up_to_its_limit_and_in_its_region() {
        let (pac, sedex) = (offer("correios", "1", 2_000), offer("melhorenvio", "2", 3_000));
        for (body, expected) in [
            (json!({}), [true, false]),
            (json!({"carriers": "cheapest"}), [true, false]),
            (json!({"carriers": ["2"]}), [false, true]),
            (json!({"carriers": ["1", "2"]}), [true, true]),
            (json!({"carriers": ["correios:2", "melhorenvio:1"]}), [false, false]),
            (json!({"carriers": ["melhorenvio:2"]}), [false, true]),
            (json!({"carriers": ["1", "2"], "max_freight_cents": 2_999}), [true, false]),
            (json!({"max_freight_cents": 1_999}), [false, false]),
            (json!({"states": ["SP"]}), [false, false]),
            (json!({"states": ["SP", "RJ"]}), [true, false]),
            (json!({"cep_ranges": [{"from": "20000000", "to": "20099999"}]}), [true, false]),
        ] {
            let mut body = body;
            body["min_subtotal_cents"] = json!(0);
            let rules = [rule(body.clone())];
            let free = [(&pac, true), (&sedex, false)].map(|(o, first)| by_rule(&rules, &to(), Money::ZERO, o, first).is_some());
            assert_eq!(free, expected, "{body}");
        }
    }

    #[test]
    fn the_hint_is_the_least_that_helps() {
        let pac = [offer("correios", "03298", 2_000)];
        let rules = [
            rule(json!({"min_subtotal_cents": 30_000})),
            rule(json!({"min_subtotal_cents": 20_000, "max_freight_cents": 1_000})),
            rule(json!({"min_subtotal_cents": 10_000, "states": ["SP"]})),
        ];
        assert_eq!(free_from(&rules, &to(), Money::ZERO, &pac), Some(Money::from_cents(30_000)));
        assert_eq!(free_from(&rules, &to(), Money::ZERO, &[]), None, "where nothing is sent nothing is free");
        assert_eq!(free_from(&[], &to(), Money::ZERO, &pac), None);
    }
}
