//! What the shop decides about freight: `settings.shipping`, set at `/api/admin/settings/shipping`.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use vitrine_kit::{Cep, Money};

use super::region::{self, CepRange};
use crate::users::rules;

/// How parcels leave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShippingSettings {
    /// Working days between payment and posting, added to every carrier's promise.
    #[garde(range(max = 60))]
    pub handling_days: u32,
    /// Who sees to the label of a paid order.
    #[serde(default)]
    #[garde(skip)]
    pub labels: Labels,
    /// When the shop pays the freight. The first rule that fits an option frees it.
    #[serde(default)]
    #[garde(length(max = 20), dive)]
    pub free_freight: Vec<FreeRule>,
    /// Left out: nothing can be fetched.
    #[serde(default)]
    #[garde(dive)]
    pub pickup: Option<Pickup>,
    /// The agency of Melhor Envio where parcels are handed in, for carriers that want one (Jadlog, with a token of the panel).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub label_agency: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// It is bought as soon as the order is paid (and invoiced).
    #[default]
    Automatic,
    /// An admin buys it.
    ByHand,
}

/// Freight for nothing, from so much on. Without states and ranges: everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreeRule {
    /// What the goods must be worth, a coupon's discount taken off. The discount of a method of payment does not count.
    #[garde(range(min = 0, max = 100_000_000_000))]
    pub min_subtotal_cents: i64,
    #[serde(default)]
    #[garde(length(max = 27), custom(region::states))]
    pub states: Vec<String>,
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    pub cep_ranges: Vec<CepRange>,
    /// Which options are free: `"cheapest"`, or a list of services' codes (`"03298"`, or `"melhorenvio:1"` for one provider's).
    #[serde(default)]
    #[garde(dive)]
    pub carriers: FreeFor,
    /// Freight that costs more is not given away.
    #[serde(default)]
    #[garde(inner(range(min = 1)))]
    pub max_freight_cents: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(untagged)]
pub enum FreeFor {
    Word(#[garde(skip)] Cheapest),
    Services(#[garde(length(min = 1, max = 50), inner(length(min = 1, max = 60)))] Vec<String>),
}

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

/// The buyer fetches it at the shop and pays no freight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pickup {
    #[garde(skip)]
    pub enabled: bool,
    /// What the option is called.
    #[garde(custom(rules::line(60)))]
    pub label: String,
    /// Where to, as the buyer reads it.
    #[garde(custom(rules::line(200)))]
    pub address: String,
    /// Working days until it is ready, all included: handling days are not added.
    #[garde(range(max = 60))]
    pub days: u32,
    /// To whom it is offered, by their own CEP. Without states and ranges: to everybody.
    #[serde(default)]
    #[garde(length(max = 27), custom(region::states))]
    pub states: Vec<String>,
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    pub cep_ranges: Vec<CepRange>,
}

impl ShippingSettings {
    /// As the table keeps them. What cannot be read gives nothing away.
    pub(super) fn read(value: Option<Value>) -> Self {
        let read = |value| {
            serde_json::from_value(value).unwrap_or_else(|error| {
                tracing::error!(%error, "the shipping settings cannot be read: no rule of theirs is followed");
                Self::default()
            })
        };
        value.map(read).unwrap_or_default()
    }

    /// With CEPs of eight digits.
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

    /// Where this buyer may fetch it.
    pub(super) fn pickup_for(&self, cep: &Cep) -> Option<&Pickup> {
        self.pickup.as_ref().filter(|pickup| pickup.enabled && region::covers(&pickup.states, &pickup.cep_ranges, cep))
    }
}

impl FreeRule {
    pub(super) fn min_subtotal(&self) -> Money {
        Money::from_cents(self.min_subtotal_cents)
    }
}
