//! What one item of a sale bears, worked out to the centavo. Every rule says where it comes from; none of them is advice.

use jiff::civil::{Date, date};
use vitrine_kit::Money;
use vitrine_kit::fiscal::{Contribution, Difal, IbsCbs, Icms, IcmsOwn, Regime, TaxAmount, Taxes};

use super::problem::Problem;
use crate::tax::states::{self, State};
use crate::tax::{TaxData, TaxRules};

/// From this day on Simples Nacional and MEI name IBS and CBS too (LC 214/2025, NT 2025.002).
const SIMPLES_REFORM: Date = date(2027, 1, 4);
/// From this day on the rates of the year 2026 no longer hold.
const AFTER_THE_TEST_YEAR: Date = date(2027, 1, 1);
const FROM_2029: Date = date(2029, 1, 1);

/// CSOSN that bear no amount here. MEI has others (NT 2024.001: any other of its is rejection 782).
const OF_SIMPLES: &[&str] = &["102", "103", "300", "400", "500"];
const OF_MEI: &[&str] = &["102", "300", "400", "900"];

/// CST of PIS and COFINS that bear an amount here, and those that bear none.
const TAXED: [&str; 2] = ["01", "02"];
const UNTAXED: [&str; 8] = ["04", "05", "06", "07", "08", "09", "49", "99"];

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

impl Setting<'_> {
    /// Simples Nacional and MEI pay their taxes in one sum, outside of the invoice.
    pub fn is_simples(&self) -> bool {
        matches!(self.regime, Regime::Simples | Regime::Mei)
    }

    pub fn is_interstate(&self) -> bool {
        self.from.abbreviation != self.to.abbreviation
    }

    fn internal_rate(&self, state: &State) -> u32 {
        self.rules.icms_rates.get(state.abbreviation).copied().unwrap_or(state.icms_rate)
    }
}

/// The taxes of an item of this `value` (gross − discount + freight). `at` names the item in what is wrong.
pub fn taxes_of(setting: &Setting<'_>, data: &TaxData, origin: u8, value: Money, at: &str) -> Result<Taxes, Vec<Problem>> {
    let mut wrong = Vec::new();
    let mut keep = |result: Result<_, Problem>| result.map_err(|problem| wrong.push(problem)).ok();
    let icms = keep(icms(setting, data, origin, value, at));
    let own = icms.as_ref().map_or(Money::ZERO, |icms| icms.own.map_or(Money::ZERO, |own| own.value));
    // The ICMS of the invoice is no revenue (STF, RE 574.706).
    let base = minus(value, [own]);
    let mut keep = |result: Result<_, Problem>| result.map_err(|problem| wrong.push(problem)).ok();
    let pis = keep(contribution(setting, ("pis", &data.pis_cst, data.pis_rate), base, at));
    let cofins = keep(contribution(setting, ("cofins", &data.cofins_cst, data.cofins_rate), base, at));
    let (Some(icms), Some(pis), Some(cofins)) = (icms, pis, cofins) else {
        wrong.extend(ibs_cbs(setting, data, value, at).err());
        return Err(wrong);
    };
    let amount = |one: &Contribution| one.own.map_or(Money::ZERO, |own| own.value);
    let elsewhere = icms.difal.map_or([Money::ZERO; 2], |difal| [difal.value, difal.fcp_value]);
    // None of the old taxes is in the base of the new ones (LC 214/2025, art. 12, § 2º).
    let base = minus(value, [own, elsewhere[0], elsewhere[1], amount(&pis), amount(&cofins)]);
    match ibs_cbs(setting, data, base, at) {
        Ok(ibs_cbs) => Ok(Taxes { origin, icms, pis, cofins, ibs_cbs }),
        Err(problem) => Err(vec![problem]),
    }
}

fn icms(setting: &Setting<'_>, data: &TaxData, origin: u8, value: Money, at: &str) -> Result<Icms, Problem> {
    if setting.is_simples() {
        let field = format!("{at}.tax.csosn");
        let allowed = if setting.regime == Regime::Mei { OF_MEI } else { OF_SIMPLES };
        return match data.csosn.as_deref() {
            Some(csosn) if allowed.contains(&csosn) => Ok(Icms { situation: csosn.into(), own: None, difal: None }),
            Some(other) => {
                let text = format!("O CSOSN {other} não é emitido por esta loja neste regime: use {}", allowed.join(", "));
                Err(Problem::new(field, text))
            }
            None => Err(Problem::new(field, "Falta o CSOSN: informe-o no produto, na categoria ou nos impostos da loja")),
        };
    }
    let field = format!("{at}.tax.icms_cst");
    let reduction = match data.icms_cst.as_deref() {
        Some("00") => None,
        Some("20") => Some(data.icms_reduction.ok_or_else(|| {
            Problem::new(format!("{at}.tax.icms_reduction"), "O CST 20 pede a redução da base de cálculo do ICMS")
        })?),
        Some(cst @ ("40" | "41" | "50" | "60")) => return Ok(Icms { situation: cst.into(), own: None, difal: None }),
        Some(other) => {
            return Err(Problem::new(
                field,
                format!("O CST {other} do ICMS não é emitido por esta loja: use 00, 20, 40, 41, 50 ou 60"),
            ));
        }
        None => {
            return Err(Problem::new(field, "Falta o CST do ICMS: informe-o no produto, na categoria ou nos impostos da loja"));
        }
    };
    let rate = if setting.is_interstate() {
        states::interstate_rate(setting.from, setting.to, origin)
    } else {
        data.icms_rate.unwrap_or_else(|| setting.internal_rate(setting.from))
    };
    let base = reduction.map_or(value, |reduction| minus(value, [part(value, reduction)]));
    let own = IcmsOwn { reduction, base, rate, value: part(base, rate) };
    let difal = (setting.is_interstate() && !setting.to_contributor).then(|| difal(setting, value, rate));
    Ok(Icms { situation: if reduction.is_some() { "20" } else { "00" }.into(), own: Some(own), difal })
}

/// The buyer's state takes the difference to its own rate (EC 87/2015, LC 190/2022: one base, the price).
fn difal(setting: &Setting<'_>, base: Money, interstate_rate: u32) -> Difal {
    let internal_rate = setting.internal_rate(setting.to);
    let fcp_rate = setting.rules.fcp_rates.get(setting.to.abbreviation).copied().unwrap_or(0);
    let value = part(base, internal_rate.saturating_sub(interstate_rate));
    Difal { base, internal_rate, interstate_rate, value, fcp_rate, fcp_value: part(base, fcp_rate) }
}

fn contribution(
    setting: &Setting<'_>,
    (name, cst, rate): (&str, &Option<String>, Option<u32>),
    base: Money,
    at: &str,
) -> Result<Contribution, Problem> {
    let upper = name.to_uppercase();
    let problem = |field: &str, text: String| Err(Problem::new(format!("{at}.tax.{name}_{field}"), text));
    match cst.as_deref() {
        // What sellers under Simples write: their PIS and COFINS are in the one sum.
        None if setting.is_simples() => Ok(Contribution { situation: "49".into(), own: None }),
        None => problem("cst", format!("Falta o CST do {upper}: informe-o no produto, na categoria ou nos impostos da loja")),
        Some(cst) if UNTAXED.contains(&cst) => Ok(Contribution { situation: cst.into(), own: None }),
        Some(cst) if TAXED.contains(&cst) => match rate {
            Some(rate) => {
                Ok(Contribution { situation: cst.into(), own: Some(TaxAmount { base, rate, value: part(base, rate) }) })
            }
            None => problem("rate", format!("O CST {cst} do {upper} pede a alíquota")),
        },
        Some(cst) => problem("cst", format!("O CST {cst} do {upper} não é emitido por esta loja")),
    }
}

/// The normal regime names them since 2026, Simples and MEI from 2027-01-04 on.
fn ibs_cbs(setting: &Setting<'_>, data: &TaxData, base: Money, at: &str) -> Result<Option<IbsCbs>, Problem> {
    let is_due = setting.regime == Regime::Normal || setting.day >= SIMPLES_REFORM;
    if !is_due {
        return Ok(None);
    }
    let missing = |field: &str, name: &str| {
        Problem::new(
            format!("{at}.tax.{field}"),
            format!("Falta {name}: informe no produto, na categoria ou nos impostos da loja"),
        )
    };
    let situation = data.ibs_cbs_cst.clone().ok_or_else(|| missing("ibs_cbs_cst", "o CST do IBS e da CBS"))?;
    let classification = data.cclasstrib.clone().ok_or_else(|| missing("cclasstrib", "o cClassTrib"))?;
    if !classification.starts_with(&situation) {
        let text = format!("O cClassTrib {classification} não é do CST {situation}: os três primeiros dígitos são os do CST");
        return Err(Problem::new(format!("{at}.tax.cclasstrib"), text));
    }
    if situation != "000" {
        let text = format!("O CST {situation} do IBS e da CBS não é emitido por esta loja: use 000 (tributação integral)");
        return Err(Problem::new(format!("{at}.tax.ibs_cbs_cst"), text));
    }
    let (state_rate, city_rate, cbs_rate) = reform_rates(setting)?;
    Ok(Some(IbsCbs {
        situation,
        classification,
        base,
        ibs_state_rate: state_rate,
        ibs_state_value: part(base, state_rate),
        ibs_city_rate: city_rate,
        ibs_city_value: part(base, city_rate),
        cbs_rate,
        cbs_value: part(base, cbs_rate),
    }))
}

/// 2026: IBS 0.1 % to the state, CBS 0.9 %. 2027 and 2028: IBS 0.05 % each; the CBS of then, and all after it, is for the
/// settings to say (LC 214/2025, arts. 343 to 347).
fn reform_rates(setting: &Setting<'_>) -> Result<(u32, u32, u32), Problem> {
    let rules = setting.rules;
    let by_law = match setting.day {
        day if day < AFTER_THE_TEST_YEAR => (Some(10), Some(0), Some(90)),
        day if day < FROM_2029 => (Some(5), Some(5), None),
        _ => (None, None, None),
    };
    let rate = |given: Option<u32>, by_law: Option<u32>, field: &str| {
        given
            .or(by_law)
            .ok_or_else(|| Problem::new(format!("taxes.{field}"), "Informe a alíquota deste ano nos impostos da loja"))
    };
    Ok((
        rate(rules.ibs_state_rate, by_law.0, "ibs_state_rate")?,
        rate(rules.ibs_city_rate, by_law.1, "ibs_city_rate")?,
        rate(rules.cbs_rate, by_law.2, "cbs_rate")?,
    ))
}

/// So many hundredths of a per cent of it, half a centavo rounded up. A rate is at most 100 %, so it always fits.
fn part(base: Money, rate: u32) -> Money {
    let exact = i128::from(base.cents()) * i128::from(rate);
    let rounded = (exact + 5_000).div_euclid(10_000);
    Money::from_cents(i64::try_from(rounded).expect("no more than the base, which fits"))
}

/// What is left of it; a tax is never more than its base.
fn minus<const N: usize>(value: Money, less: [Money; N]) -> Money {
    less.into_iter().fold(value, |left, one| left.checked_sub(one).filter(|m| !m.is_negative()).unwrap_or(Money::ZERO))
}

#[cfg(test)]
#[path = "tax_tests.rs"]
mod tests;
