//! How much may be ordered without being paid: the setting `order_limits`. An unpaid order holds stock, so a person, an e-mail or
//! a network address may hold only so much at once.
//!
//! `check_unpaid` (in the database) counts under a lock per document, e-mail and address, within the checkout's second round
//! trip: orders that come at the same time are all counted.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The setting's name.
pub(super) const NAME: &str = "order_limits";

/// What may be ordered without being paid. A limit of 0 is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "unpaid_orders": {"per_document": 20, "per_email": 20, "per_address": 200},
    "unpaid_units": {"per_document": 500, "per_email": 500, "per_address": 5000},
    "units_per_line": 1000
}))]
pub struct OrderLimits {
    /// Most unpaid orders at once.
    #[garde(dive)]
    pub unpaid_orders: Limits,
    /// Most units that unpaid orders hold at once.
    #[garde(dive)]
    pub unpaid_units: Limits,
    /// Most units of one variant in one order.
    #[garde(range(min = 0, max = 9999))]
    #[schema(minimum = 0, maximum = 9999)]
    pub units_per_line: i32,
}

/// Limits by person and by place; 0 switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"per_document": 20, "per_email": 20, "per_address": 200}))]
#[schema(as = UnpaidLimits)]
pub struct Limits {
    /// Per CPF or CNPJ.
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1000000)]
    pub per_document: i32,
    /// Per e-mail address.
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1000000)]
    pub per_email: i32,
    /// Per client address; of IPv6 per /64. Many people may share one: an office, a mobile network.
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1000000)]
    pub per_address: i32,
}

impl Default for OrderLimits {
    fn default() -> Self {
        Self {
            unpaid_orders: Limits { per_document: 20, per_email: 20, per_address: 200 },
            unpaid_units: Limits { per_document: 500, per_email: 500, per_address: 5_000 },
            units_per_line: 1_000,
        }
    }
}

impl OrderLimits {
    /// No limit at all.
    const OFF: Self = Self { unpaid_orders: Limits::OFF, unpaid_units: Limits::OFF, units_per_line: 0 };

    /// Reads the setting. If it cannot be read, the defaults apply. They also apply where it is not set, unless the shop counts
    /// no requests either (`RATE_LIMIT_GLOBAL=0`, as for a load test from one address).
    pub(super) fn read(value: Option<Value>, requests_are_counted: bool) -> Self {
        let read = |value| {
            serde_json::from_value(value).unwrap_or_else(|error| {
                tracing::error!(%error, "the order limits cannot be read: the defaults apply");
                Self::default()
            })
        };
        match value {
            Some(value) => read(value),
            None if requests_are_counted => Self::default(),
            None => Self::OFF,
        }
    }

    /// Whether so many of one variant may be in one order.
    pub(super) fn allows_line(&self, quantity: i32) -> bool {
        self.units_per_line == 0 || quantity <= self.units_per_line
    }

    /// Whether anything has to be counted.
    pub(super) fn counts(&self) -> bool {
        [self.unpaid_orders, self.unpaid_units].iter().flat_map(Limits::each).any(|limit| limit.is_some())
    }

    /// Whether anything has to be counted by document, by e-mail, by address.
    pub(super) fn counts_by(&self) -> [bool; 3] {
        let (orders, units) = (self.unpaid_orders.each(), self.unpaid_units.each());
        std::array::from_fn(|i| orders[i].is_some() || units[i].is_some())
    }
}

impl Limits {
    const OFF: Self = Self { per_document: 0, per_email: 0, per_address: 0 };

    /// By document, by e-mail, by address; `None`: no limit.
    pub(super) fn each(&self) -> [Option<i32>; 3] {
        [self.per_document, self.per_email, self.per_address].map(|limit| (limit > 0).then_some(limit))
    }
}

/// What `check_unpaid` counts a new order by; null: that has no limit.
pub(super) struct Unpaid<'a> {
    pub(super) lock: Option<&'a [u8]>,
    pub(super) documents: Option<&'a [Vec<u8>]>,
    pub(super) by_email: bool,
    pub(super) address: Option<&'a [u8]>,
    pub(super) orders: Vec<Option<i32>>,
    pub(super) units: Vec<Option<i32>>,
}

/// Whose unpaid orders are too many, for the text of the refusal. `what` is the word of `check_unpaid`.
pub(super) fn whose(what: &str) -> &'static str {
    match what {
        "document" => "with this CPF or CNPJ",
        "email" => "with this e-mail",
        _ => "from your network address",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_that_is_not_set_has_its_default_and_zero_is_no_limit() {
        assert_eq!(OrderLimits::read(None, true), OrderLimits::default());
        assert_eq!(OrderLimits::read(None, false), OrderLimits::OFF);
        assert_eq!(OrderLimits::read(Some(json!("nonsense")), false), OrderLimits::default());
        let off = json!({"per_document": 0, "per_email": 0, "per_address": 0});
        let limits = OrderLimits::read(Some(json!({"unpaid_orders": off, "unpaid_units": off})), false);
        assert!(!limits.counts() && OrderLimits::default().counts());
        assert!(limits.allows_line(1_000) && !limits.allows_line(1_001));
        assert!(OrderLimits { units_per_line: 0, ..limits }.allows_line(9_999));
        let one = json!({"unpaid_orders": off, "unpaid_units": {"per_document": 0, "per_email": 7, "per_address": 0}});
        assert_eq!(OrderLimits::read(Some(one), false).counts_by(), [false, true, false]);
    }
}
