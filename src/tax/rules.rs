//! The shop's own tax rules: what holds for whatever a product or a category does not say, and rates that differ from the law's.

use std::collections::BTreeMap;

use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::nfe::Regime;

use super::codes;
use super::data::{Rate, TaxData, digits, one_line, rates_by_state};
use super::law::{self, Law};
use super::states::StateCode;
use crate::http::json::typed;

/// The shop's own tax rules: `/api/admin/settings/taxes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "products": {"csosn": "102"},
    "icms_rates": {"SP": 1800},
    "approximate_taxes": {"rate": 1345, "source": "IBPT 26.2.A"},
    "notes": "Documento emitido por ME ou EPP optante pelo Simples Nacional"
}))]
pub struct TaxRules {
    /// For whatever neither a product nor its category says.
    #[garde(dive)]
    pub products: TaxData,
    /// Internal ICMS rates by state, where the law has changed since this release: `{"SP": 1800}`.
    #[garde(custom(rates_by_state))]
    #[schema(value_type = BTreeMap<StateCode, Rate>)]
    pub icms_rates: BTreeMap<String, u32>,
    /// Fundo de combate à pobreza by the buyer's state, where it is owed on everything.
    #[garde(custom(rates_by_state))]
    #[schema(value_type = BTreeMap<StateCode, Rate>)]
    pub fcp_rates: BTreeMap<String, u32>,
    /// Rates of IBS and CBS from a day on, where they differ from the law's or the law has fixed none. An entry holds until the
    /// next, or until the law's next change (2027-01-01, 2029-01-01).
    #[garde(length(max = 50), dive)]
    #[schema(max_items = 50)]
    pub reform_rates: Vec<ReformRates>,
    /// From which day on invoices of Simples Nacional and MEI name IBS and CBS; left out: 2027-01-04.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = Date)]
    pub simples_ibs_cbs_from: Option<Date>,
    /// From that day on no invoice of Simples Nacional or MEI is sent without them. `false`: it is sent without, and readiness warns.
    #[garde(skip)]
    pub simples_ibs_cbs_required: bool,
    /// The CST of PIS and COFINS on sales since both ended (2027-01-01), where a product's would bear an amount: 04 to 09, 49 or 99.
    /// Ask your accountant; left out: 08, or 49 under Simples and MEI.
    #[garde(inner(custom(untaxed)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::UntaxedCst>)]
    pub cst_after_pis_cofins: Option<String>,
    /// What of a price is taxes, about, as the consumer is told (Lei 12.741/2012). Left out: nothing is said, as MEI may.
    #[garde(dive)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_taxes: Option<ApproximateRates>,
    /// NCM codes that came into force after the list of this release (2026-08-13).
    #[garde(length(max = 500), inner(custom(digits(8))))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 500, pattern = "^[0-9]{8}$")]
    pub newer_ncm: Vec<String>,
    /// Stands on every invoice, before the order's number.
    #[garde(inner(length(chars, max = 1000), custom(one_line)))]
    #[serde(deserialize_with = "typed")]
    #[schema(max_length = 1000)]
    pub notes: Option<String>,
    /// How many hours after its authorisation an invoice may be cancelled, where the state does not allow 24.
    #[garde(inner(range(min = 1, max = 720)))]
    #[schema(minimum = 1, maximum = 720)]
    pub cancel_hours: Option<u32>,
}

impl TaxRules {
    /// From which day on a seller of this regime names IBS and CBS.
    pub fn ibs_cbs_from(&self, regime: Regime) -> Date {
        let by_law = law::ibs_cbs_from(regime);
        if regime == Regime::Normal { by_law } else { self.simples_ibs_cbs_from.unwrap_or(by_law) }
    }

    /// The rates that the settings say for that day, on which this law holds: those of an earlier law no longer count.
    pub fn reform_rates_on(&self, law: &Law, day: Date) -> ReformRates {
        let holds = |rates: &&ReformRates| law.from <= rates.from && rates.from <= day;
        self.reform_rates.iter().filter(holds).max_by_key(|rates| rates.from).cloned().unwrap_or_default()
    }
}

/// Rates of IBS and CBS from a day on, in hundredths of a per cent; what is left out is the law's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2027-01-01", "ibs_state": 5, "ibs_city": 5, "cbs": 880}))]
pub struct ReformRates {
    /// The first day of these rates.
    #[garde(skip)]
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// IBS of the buyer's state.
    #[garde(inner(range(max = 10_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000, minimum = 0)]
    pub ibs_state: Option<u32>,
    /// IBS of the buyer's city.
    #[garde(inner(range(max = 10_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000, minimum = 0)]
    pub ibs_city: Option<u32>,
    /// CBS.
    #[garde(inner(range(max = 10_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000, minimum = 0)]
    pub cbs: Option<u32>,
}

/// Estimates of the taxes in a price, in hundredths of a per cent, and who made them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rate": 1345, "by_ncm": {"4901": 1345}, "source": "IBPT 26.2.A"}))]
pub struct ApproximateRates {
    /// Of all goods but those of `by_ncm`.
    #[garde(range(max = 10_000))]
    #[schema(maximum = 10000, minimum = 0)]
    pub rate: u32,
    /// By the first digits of the NCM, 2 to 8: `{"4901": 1345}`. The longest that fits counts.
    #[garde(custom(rates_by_ncm))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Rate>)]
    pub by_ncm: BTreeMap<String, u32>,
    /// Stands on the invoice: "IBPT 26.2.A".
    #[garde(length(chars, min = 1, max = 60), custom(one_line))]
    #[schema(min_length = 1, max_length = 60)]
    pub source: String,
}

impl ApproximateRates {
    /// For goods of this NCM.
    pub fn of(&self, ncm: &str) -> u32 {
        let longest = (2..=ncm.len()).rev().find_map(|length| self.by_ncm.get(ncm.get(..length)?));
        longest.copied().unwrap_or(self.rate)
    }
}

fn rates_by_ncm(rates: &BTreeMap<String, u32>, (): &()) -> garde::Result {
    let is_prefix = |text: &String| (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(bad) = rates.keys().find(|ncm| !is_prefix(ncm)) {
        return Err(garde::Error::new(format!("{bad} is not the beginning of an NCM: 2 to 8 digits")));
    }
    match rates.values().find(|rate| **rate > 10_000) {
        Some(rate) => Err(garde::Error::new(format!("{rate} is above 100 % (10000)"))),
        None => Ok(()),
    }
}

fn untaxed(cst: &str, (): &()) -> garde::Result {
    if codes::UNTAXED.contains(&cst) { Ok(()) } else { Err(garde::Error::new("must bear no amount: 04 to 09, 49 or 99")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_that_of_the_longest_beginning_of_the_ncm() {
        let by_ncm = [("49".to_owned(), 500), ("4901".to_owned(), 1345), ("34011190".to_owned(), 4000)].into();
        let rates = ApproximateRates { rate: 3145, by_ncm, source: "IBPT 26.2.A".into() };
        assert_eq!(["49019900", "49111090", "34011190", "34011900"].map(|ncm| rates.of(ncm)), [1345, 500, 4000, 3145]);
        let bad = ApproximateRates { by_ncm: [("4".to_owned(), 1)].into(), ..rates };
        assert!(bad.validate().expect_err("too short").to_string().contains("4 is not the beginning of an NCM"));
    }

    #[test]
    fn rates_are_of_states_that_there_are() {
        let rules = TaxRules { icms_rates: [("XX".to_owned(), 1800)].into(), ..TaxRules::default() };
        assert!(rules.validate().expect_err("no such state").to_string().contains("XX is not a state"));
    }
}
