//! What the tax authority wants to know of a product. The product's own word counts first, then its category's (and that
//! one's parents'), then the shop's.

use std::collections::BTreeMap;

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::classifications::{self, PUBLISHED, SITUATIONS, Unfit};
use super::codes;
use super::states::{self, StateCode};
use crate::http::json::typed;
use crate::text::is_hidden;

/// Tax data of a product, of a category, or of the whole shop. What is left out is taken from the next one.
/// Rates are whole numbers of hundredths of a per cent: 18 % is `1800`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"csosn": "102", "unit": "UN"}))]
pub struct TaxData {
    /// CSOSN, for sellers under Simples Nacional: 102, 103, 300, 400 or 500; for MEI: 102, 300, 400 or 900.
    #[garde(inner(custom(codes::csosn)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::Csosn>)]
    pub csosn: Option<String>,
    /// CST of ICMS, for all other sellers: 00, 20, 40, 41, 50 or 60.
    #[garde(inner(custom(codes::icms)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::IcmsCst>)]
    pub icms_cst: Option<String>,
    /// The rate inside the seller's state, where the product's differs from the state's.
    #[garde(inner(range(max = 10_000)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000, minimum = 0)]
    pub icms_rate: Option<u32>,
    /// By how much the base is reduced (CST 20).
    #[garde(inner(range(max = 10_000)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000, minimum = 0)]
    pub icms_reduction: Option<u32>,
    /// This product's internal rates in states that the shop's rates (`icms_rates` of the settings) or the law's general ones do not
    /// fit: `{"RJ": 2700}`. For sales to those states; inside the seller's own, `icms_rate` counts first.
    #[garde(custom(rates_by_state))]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<StateCode, Rate>)]
    pub icms_rates: BTreeMap<String, u32>,
    /// The poverty fund of this product, by the buyer's state, where it is another than the shop's `fcp_rates`: `{"RJ": 0}`.
    #[garde(custom(rates_by_state))]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<StateCode, Rate>)]
    pub fcp_rates: BTreeMap<String, u32>,
    /// CST of PIS: 01 or 02 (with an amount), 04 to 09, 49 or 99 (without).
    #[garde(inner(custom(codes::contribution)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::ContributionCst>)]
    pub pis_cst: Option<String>,
    /// The rate of PIS.
    #[garde(inner(range(max = 10_000)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000)]
    pub pis_rate: Option<u32>,
    /// CST of COFINS, as that of PIS.
    #[garde(inner(custom(codes::contribution)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::ContributionCst>)]
    pub cofins_cst: Option<String>,
    /// The rate of COFINS.
    #[garde(inner(range(max = 10_000)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000)]
    pub cofins_rate: Option<u32>,
    /// CST of IBS and CBS: 000, 200 (reduced rate) or 410 (no amounts).
    #[garde(inner(custom(reform_situation)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<codes::IbsCbsCst>)]
    pub ibs_cbs_cst: Option<String>,
    /// cClassTrib: 6 digits that begin with the CST of IBS and CBS, one of the official table for NF-e.
    #[garde(inner(custom(classification)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub cclasstrib: Option<String>,
    /// CEST: 7 digits, for goods whose ICMS was paid in advance (CSOSN 500, CST 60).
    #[garde(inner(custom(digits(7))))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub cest: Option<String>,
    /// Unit of sale; UN where it is left out.
    #[garde(inner(length(chars, min = 1, max = 6), custom(capitals)))]
    #[serde(deserialize_with = "typed", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 6)]
    pub unit: Option<String>,
}

impl TaxData {
    /// As it lies in a table; what an older release wrote otherwise counts as not said.
    pub fn kept(value: serde_json::Value) -> Self {
        serde_json::from_value(value).unwrap_or_default()
    }

    /// As it stands in a table's cell: what is said, by its name; rates by state as `fcp_rates.RJ`.
    pub fn words(&self) -> BTreeMap<String, String> {
        let Ok(serde_json::Value::Object(said)) = serde_json::to_value(self) else { return BTreeMap::new() };
        let mut words = BTreeMap::new();
        for (name, value) in said {
            match value {
                serde_json::Value::Object(by_state) => {
                    words.extend(by_state.into_iter().map(|(state, rate)| (format!("{name}.{state}"), rate.to_string())));
                }
                serde_json::Value::String(word) => drop(words.insert(name, word)),
                other => drop(words.insert(name, other.to_string())),
            }
        }
        words
    }

    /// What [`TaxData::words`] wrote. `Err` names what is unknown or no number; the rest is for [`Validate`].
    pub fn of_words(words: BTreeMap<String, String>) -> Result<Self, String> {
        let mut said = serde_json::Map::new();
        for (name, word) in words {
            let is_number = name.contains("_rate") || name.ends_with("_reduction");
            let value = match word.parse::<u32>() {
                Ok(number) if is_number => number.into(),
                _ if is_number => return Err(format!("{name} must be a whole number of hundredths of a per cent")),
                _ => word.into(),
            };
            match name.split_once('.') {
                Some((of, state)) => match said.entry(of).or_insert_with(|| serde_json::json!({})) {
                    serde_json::Value::Object(by_state) => drop(by_state.insert(state.to_owned(), value)),
                    _ => return Err(format!("{of} is said twice")),
                },
                None => drop(said.insert(name, value)),
            }
        }
        serde_json::from_value(said.into()).map_err(|e| e.to_string())
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its own word, or else the other's.
    pub fn or(self, other: &Self) -> Self {
        let text = |own: Option<String>, other: &Option<String>| own.or_else(|| other.clone());
        let by_state = |own: BTreeMap<String, u32>, other: &BTreeMap<String, u32>| {
            let mut all = other.clone();
            all.extend(own);
            all
        };
        Self {
            csosn: text(self.csosn, &other.csosn),
            icms_cst: text(self.icms_cst, &other.icms_cst),
            icms_rate: self.icms_rate.or(other.icms_rate),
            icms_reduction: self.icms_reduction.or(other.icms_reduction),
            icms_rates: by_state(self.icms_rates, &other.icms_rates),
            fcp_rates: by_state(self.fcp_rates, &other.fcp_rates),
            pis_cst: text(self.pis_cst, &other.pis_cst),
            pis_rate: self.pis_rate.or(other.pis_rate),
            cofins_cst: text(self.cofins_cst, &other.cofins_cst),
            cofins_rate: self.cofins_rate.or(other.cofins_rate),
            ibs_cbs_cst: text(self.ibs_cbs_cst, &other.ibs_cbs_cst),
            cclasstrib: text(self.cclasstrib, &other.cclasstrib),
            cest: text(self.cest, &other.cest),
            unit: text(self.unit, &other.unit),
        }
    }
}

/// A rate in hundredths of a per cent: 18 % is `1800`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands in the document; the maps hold the numbers themselves")]
#[schema(as = TaxRate, minimum = 0, maximum = 10000, example = 1800)]
pub(super) struct Rate(u32);

/// A CST of IBS and CBS that invoices are written with.
fn reform_situation(cst: &str, (): &()) -> garde::Result {
    if SITUATIONS.contains(&cst) {
        return Ok(());
    }
    Err(garde::Error::new(format!("must be one that this shop writes on invoices: {}", SITUATIONS.join(", "))))
}

/// A classification that may stand on an NF-e. The message names no other one: that is for the accountant to say.
fn classification(code: &str, (): &()) -> garde::Result {
    digits(6)(code, &())?;
    let why = match classifications::find(code) {
        Ok(_) => return Ok(()),
        Err(Unfit::Unknown) => format!("is not in the official table that was published on {PUBLISHED}"),
        Err(Unfit::OtherDocument) => format!("is not for NF-e (model 55), by the official table of {PUBLISHED}"),
        Err(Unfit::Needs(groups)) => format!("needs the group {groups}, which this shop does not write on invoices"),
        Err(Unfit::OtherSituation | Unfit::OtherDay) => "is of a CST that this shop does not write on invoices".to_owned(),
    };
    Err(garde::Error::new(why))
}

pub(super) fn digits(count: usize) -> impl Fn(&str, &()) -> garde::Result {
    move |text, ()| {
        let is_right = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        if is_right { Ok(()) } else { Err(garde::Error::new(format!("must have {count} digits"))) }
    }
}

fn capitals(text: &str, (): &()) -> garde::Result {
    let is_right = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_right { Ok(()) } else { Err(garde::Error::new("must be capitals and digits")) }
}

pub(super) fn one_line(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must be text on one line")) } else { Ok(()) }
}

pub(super) fn rates_by_state(rates: &BTreeMap<String, u32>, (): &()) -> garde::Result {
    if let Some(state) = rates.keys().find(|state| states::find(state).is_none()) {
        return Err(garde::Error::new(format!("{state} is not a state")));
    }
    match rates.values().find(|rate| **rate > 10_000) {
        Some(rate) => Err(garde::Error::new(format!("{rate} is above 100 % (10000)"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_counts_field_by_field() {
        let shop = TaxData { csosn: Some("102".into()), pis_cst: Some("49".into()), ..TaxData::default() };
        let category = TaxData { csosn: Some("500".into()), cest: Some("2104000".into()), ..TaxData::default() };
        let rates = |rates: &[(&str, u32)]| rates.iter().map(|(state, rate)| ((*state).to_owned(), *rate)).collect();
        let category = TaxData { fcp_rates: rates(&[("RJ", 200), ("AL", 100)]), ..category };
        let product =
            TaxData { cest: Some("2104100".into()), icms_rate: Some(0), fcp_rates: rates(&[("RJ", 0)]), ..TaxData::default() };
        let all = product.or(&category).or(&shop);
        assert_eq!((all.csosn.as_deref(), all.cest.as_deref()), (Some("500"), Some("2104100")));
        assert_eq!((all.pis_cst.as_deref(), all.icms_rate), (Some("49"), Some(0)));
        assert_eq!(all.fcp_rates, rates(&[("RJ", 0), ("AL", 100)]), "state by state");
    }

    #[test]
    fn its_words_say_all_of_it_and_read_as_it_was() {
        let every = TaxData {
            csosn: Some("500".into()),
            icms_cst: Some("60".into()),
            icms_rate: Some(0),
            icms_reduction: Some(3333),
            icms_rates: [("RJ".into(), 2700)].into(),
            fcp_rates: [("RJ".into(), 0), ("AL".into(), 100)].into(),
            pis_cst: Some("01".into()),
            pis_rate: Some(165),
            cofins_cst: Some("01".into()),
            cofins_rate: Some(760),
            ibs_cbs_cst: Some("000".into()),
            cclasstrib: Some("000001".into()),
            cest: Some("2104000".into()),
            unit: Some("KG".into()),
        };
        assert_eq!(every.words().len(), 15);
        for tax in [every, TaxData::default()] {
            assert_eq!(TaxData::of_words(tax.words()), Ok(tax));
        }
        for (name, word, said) in [
            ("pis", "01", "unknown field `pis`"),
            ("pis_rate", "1,65", "pis_rate must be a whole number"),
            ("fcp_rates.RJ", "2 %", "fcp_rates.RJ must be a whole number"),
            ("pis.RJ", "2", "unknown field `pis`"),
            ("pis_cst.RJ", "2", "invalid type"),
        ] {
            let why = TaxData::of_words([(name.to_owned(), word.to_owned())].into()).expect_err("refused");
            assert!(why.contains(said), "{why}");
        }
        let twice = [("pis_cst", "01"), ("pis_cst.RJ", "2")].map(|(name, word)| (name.to_owned(), word.to_owned())).into();
        assert_eq!(TaxData::of_words(twice), Err("pis_cst is said twice".to_owned()));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        let bad = TaxData { csosn: Some("12".into()), unit: Some("un".into()), ..TaxData::default() };
        let said = bad.validate().expect_err("both are wrong").to_string();
        assert!(
            said.contains("csosn: must be one that this shop writes on invoices") && said.contains("unit: must be capitals"),
            "{said}"
        );
        for (code, why) in [
            ("000002", "is not for NF-e (model 55)"),
            ("000999", "is not in the official table that was published on 2026-06-22"),
            ("550001", "is of a CST that this shop does not write"),
            ("200022", "needs the group gTribRegular"),
            ("00001", "must have 6 digits"),
        ] {
            let said = TaxData { cclasstrib: Some(code.into()), ..TaxData::default() }.validate().expect_err(code).to_string();
            assert!(said.contains(why) && !said.contains("000001"), "{said}");
        }
    }
}
