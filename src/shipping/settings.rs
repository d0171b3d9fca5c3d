//! The shop's freight settings: `settings.shipping`, set at `/api/admin/settings/shipping`.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use vitrine_kit::{Cep, Money};

use super::region::{self, CepRange};
use crate::tax::states::StateCode;
use crate::users::rules;

/// How parcels are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "handling_days": 1,
    "labels": "automatic",
    "free_freight": [{"min_subtotal_cents": 19900, "states": ["SP", "RJ"], "carriers": "cheapest"}],
    "pickup": {"enabled": true, "label": "Retirar na loja", "address": "Avenida Paulista, 1000, São Paulo", "days": 1}
}))]
pub struct ShippingSettings {
    /// Working days between payment and posting, added to every carrier's delivery time.
    #[garde(range(max = 60))]
    #[schema(minimum = 0, maximum = 60)]
    pub handling_days: u32,
    /// Who buys the label of a paid order.
    #[serde(default)]
    #[garde(skip)]
    pub labels: Labels,
    /// When the shop pays the freight. The first rule that applies to an option makes it free.
    #[serde(default)]
    #[garde(length(max = 20), dive)]
    #[schema(max_items = 20)]
    pub free_freight: Vec<FreeRule>,
    /// Left out: no pickup.
    #[serde(default)]
    #[garde(dive)]
    pub pickup: Option<Pickup>,
    /// The Melhor Envio agency where parcels are handed in, for carriers that require one (Jadlog, with a token from the panel).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 9_007_199_254_740_991))]
    #[schema(minimum = 1, maximum = 9007199254740991i64)]
    pub label_agency: Option<u64>,
    /// Mini Envios are offered for goods worth more than they insure (R$ 100 per box): the shop bears the loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub mini_envios_above_insurance: bool,
}

/// Who buys labels: `automatic`, as soon as the order is paid (and invoiced), or `by_hand`, an administrator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LabelBuying)]
pub enum Labels {
    /// Bought as soon as the order is paid (and invoiced).
    #[default]
    Automatic,
    /// An admin buys it.
    ByHand,
}

/// Free freight from a subtotal on. Without states and ranges: everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"min_subtotal_cents": 19900, "states": ["SP", "RJ"], "carriers": "cheapest"}))]
pub struct FreeRule {
    /// The least subtotal, after a coupon. The discount of a method of payment does not count.
    #[garde(range(min = 0, max = 100_000_000_000))]
    #[schema(minimum = 0, maximum = 100000000000i64)]
    pub min_subtotal_cents: i64,
    /// The states to which it applies, in capitals.
    #[serde(default)]
    #[garde(length(max = 27), custom(region::states))]
    #[schema(value_type = Vec<StateCode>, max_items = 27)]
    pub states: Vec<String>,
    /// The CEPs to which it applies, beside the states.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    pub cep_ranges: Vec<CepRange>,
    /// Which options are free: `"cheapest"`, or a list of services' codes (`"03298"`, or `"melhorenvio:1"` for one provider's).
    #[serde(default)]
    #[garde(dive)]
    pub carriers: FreeFor,
    /// Freight above this is not free.
    #[serde(default)]
    #[garde(inner(range(min = 1, max = 100_000_000_000)))]
    #[schema(minimum = 1, maximum = 100000000000i64)]
    pub max_freight_cents: Option<i64>,
}

/// Which options are free: `"cheapest"`, or a list of services' codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(untagged)]
pub enum FreeFor {
    Word(#[garde(skip)] Cheapest),
    Services(#[garde(dive)] ServiceCodes),
}

/// Codes of carriers' services: `"03298"`, or `"melhorenvio:1"` for one provider's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 60, example = json!(["03298", "melhorenvio:1"]))]
pub struct ServiceCodes(#[garde(length(min = 1, max = 50), inner(length(chars, min = 1, max = 60)))] pub Vec<String>);

/// The cheapest option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cheapest {
    Cheapest,
}

impl Default for FreeFor {
    fn default() -> Self {
        Self::Word(Cheapest::Cheapest)
    }
}

/// The buyer collects the order at the shop and pays no freight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true, "label": "Retirar na loja", "address": "Avenida Paulista, 1000, São Paulo", "days": 1}))]
pub struct Pickup {
    /// Whether it is offered.
    #[garde(skip)]
    pub enabled: bool,
    /// The option's name.
    #[garde(custom(rules::line(60)))]
    #[schema(min_length = 1, max_length = 60)]
    pub label: String,
    /// The address, for the buyer.
    #[garde(custom(rules::line(200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub address: String,
    /// Working days until it is ready, all included: handling days are not added.
    #[garde(range(max = 60))]
    #[schema(minimum = 0, maximum = 60)]
    pub days: u32,
    /// The states whose buyers are offered it, in capitals. Without states and ranges: everybody.
    #[serde(default)]
    #[garde(length(max = 27), custom(region::states))]
    #[schema(value_type = Vec<StateCode>, max_items = 27)]
    pub states: Vec<String>,
    /// The CEPs whose buyers are offered it, beside the states.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    pub cep_ranges: Vec<CepRange>,
}

impl ShippingSettings {
    /// Reads the stored settings. If they cannot be read, no rule applies.
    pub(super) fn read(value: Option<Value>) -> Self {
        let read = |value| {
            serde_json::from_value(value).unwrap_or_else(|error| {
                tracing::error!(%error, "the shipping settings cannot be read: none of their rules applies");
                Self::default()
            })
        };
        value.map(read).unwrap_or_default()
    }

    /// Writes CEPs with eight digits.
    pub fn tidy(mut self) -> Self {
        let pickup = self.pickup.iter_mut().flat_map(|pickup| &mut pickup.cep_ranges);
        for range in self.free_freight.iter_mut().flat_map(|rule| &mut rule.cep_ranges).chain(pickup) {
            for cep in [&mut range.from, &mut range.to] {
                if let Ok(read) = Cep::parse(cep) {
                    read.as_str().clone_into(cep);
                }
            }
        }
        self
    }

    /// The pickup that is offered to this CEP.
    pub(super) fn pickup_for(&self, cep: &Cep) -> Option<&Pickup> {
        self.pickup.as_ref().filter(|pickup| pickup.enabled && region::covers(&pickup.states, &pickup.cep_ranges, cep))
    }
}

impl FreeRule {
    pub(super) fn min_subtotal(&self) -> Money {
        Money::from_cents(self.min_subtotal_cents)
    }
}
