//! What one item of a sale bears, worked out to the centavo. Every rule says where it comes from; none of them is advice.

use std::collections::BTreeMap;

use vitrine_kit::Money;
use vitrine_kit::nfe::{ApproximateTaxes, Contribution, Difal, Icms, IcmsOwn, Regime, TaxAmount, Taxes};

use super::problem::Problem;
use super::reform::{self, Worth};
use super::tax_setting::minus;
use crate::tax::codes::{OF_MEI, OF_SIMPLES, TAXED, UNTAXED};
use crate::tax::states::{self, State};
use crate::tax::{TaxData, TaxRules, law};

pub use super::tax_setting::Setting;

/// What sellers under Simples write: their PIS and COFINS are in the one sum.
const SIMPLES: &str = "49";
/// Operação sem incidência da contribuição.
const NO_INCIDENCE: &str = "08";

impl Setting<'_> {
    /// Simples Nacional and MEI pay their taxes in one sum, outside of the invoice.
    pub fn is_simples(&self) -> bool {
        matches!(self.regime, Regime::Simples | Regime::Mei)
    }

    pub fn is_interstate(&self) -> bool {
        self.from.abbreviation != self.to.abbreviation
    }

    /// The CST of PIS or COFINS after both have ended: the data's own where it bears no amount, else the settings', else "no
    /// incidence". No source says which one is expected; without the group an invoice is refused (NT 2025.002 v1.51: 745, 748).
    fn without_contribution<'a>(&'a self, cst: Option<&'a str>) -> &'a str {
        let own = cst.filter(|cst| UNTAXED.contains(cst));
        let simples = self.is_simples().then_some(SIMPLES);
        own.or(self.rules.cst_after_pis_cofins.as_deref()).or(simples).unwrap_or(NO_INCIDENCE)
    }

    fn internal_rate(&self, state: &State, data: &TaxData) -> u32 {
        let said = |rates: &BTreeMap<String, u32>| rates.get(state.abbreviation).copied();
        said(&data.icms_rates).or_else(|| said(&self.rules.icms_rates)).unwrap_or(state.icms_rate)
    }

    /// Of the buyer's state, which is the seller's own for a sale inside it.
    fn fcp_rate(&self, data: &TaxData) -> u32 {
        let said = |rates: &BTreeMap<String, u32>| rates.get(self.to.abbreviation).copied();
        said(&data.fcp_rates).or_else(|| said(&self.rules.fcp_rates)).unwrap_or(0)
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
        let worth = Worth { value, other_taxes: [Money::ZERO; 5] };
        wrong.extend(reform::ibs_cbs(setting, data, worth, at).err().unwrap_or_default());
        return Err(wrong);
    };
    let amount = |one: &Contribution| one.own.map_or(Money::ZERO, |own| own.value);
    let elsewhere = icms.difal.map_or(Money::ZERO, |difal| difal.value);
    let worth = Worth { value, other_taxes: [own, elsewhere, fund(&icms), amount(&pis), amount(&cofins)] };
    let ibs_cbs = reform::ibs_cbs(setting, data, worth, at)?;
    Ok(Taxes { origin, icms, pis, cofins, ibs_cbs })
}

/// The poverty fund, which goes to the seller's state or to the buyer's.
fn fund(icms: &Icms) -> Money {
    let inside = icms.own.and_then(|own| own.fcp).map(|fcp| fcp.value);
    inside.or(icms.difal.map(|difal| difal.fcp_value)).unwrap_or(Money::ZERO)
}

/// States that owe the poverty fund on all or many goods; whether on the shop's is for the accountant to say.
const WITH_FUND: [&str; 3] = ["AL", "RJ", "SE"];

/// What the settings leave open on that day, and an invoice would go out with nonetheless.
pub fn setting_warnings(setting: &Setting<'_>) -> Vec<Problem> {
    let mut open = Vec::new();
    if setting.regime != Regime::Mei && setting.rules.approximate_taxes.is_none() {
        let text = "A nota não informa o valor aproximado dos tributos (Lei 12.741/2012): informe a alíquota e a fonte";
        open.push(Problem::new("taxes.approximate_taxes", text));
    }
    if setting.is_simples() {
        return open;
    }
    for state in WITH_FUND.iter().filter(|state| !setting.rules.fcp_rates.contains_key(**state)) {
        let text = format!(
            "{state} cobra o fundo de combate à pobreza de muitas mercadorias: informe a alíquota, ou 0 se não for devida"
        );
        open.push(Problem::new(format!("taxes.fcp_rates.{state}"), text));
    }
    let is_over = !law::on(setting.day).pis_cofins;
    if is_over && setting.regime == Regime::Normal && setting.rules.cst_after_pis_cofins.is_none() {
        let text = format!("PIS e COFINS terminaram: as notas saem com o CST {NO_INCIDENCE} até a contabilidade dizer outro");
        open.push(Problem::new("taxes.cst_after_pis_cofins", text));
    }
    open
}

/// eNotas publishes no field for the fund of sales inside the state, so what it makes of it must be looked at.
pub fn fund_at_enotas(setting: &Setting<'_>) -> Option<Problem> {
    let state = setting.from.abbreviation;
    let is_due = !setting.is_simples() && setting.rules.fcp_rates.get(state).is_some_and(|rate| *rate > 0);
    let text = "A eNotas não publica campo para o FCP das vendas dentro do estado e o calcula por conta própria: confira na primeira nota";
    is_due.then(|| Problem::new(format!("taxes.fcp_rates.{state}"), text))
}

/// What of this price is taxes, about: for the consumer, so of sales only.
pub fn approximate(rules: &TaxRules, ncm: &str, value: Money) -> Option<ApproximateTaxes> {
    let rates = rules.approximate_taxes.as_ref()?;
    let rate = rates.of(ncm);
    Some(ApproximateTaxes { rate, value: part(value, rate), source: rates.source.clone() })
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
        data.icms_rate.unwrap_or_else(|| setting.internal_rate(setting.from, data))
    };
    let base = reduction.map_or(value, |reduction| minus(value, [part(value, reduction)]));
    // Inside the state the fund is an addition to its own ICMS, on the same base (NF-e 4.00, groups N17a to N17c).
    let fcp_rate = if setting.is_interstate() { 0 } else { setting.fcp_rate(data) };
    let fcp = (fcp_rate > 0).then(|| TaxAmount { base, rate: fcp_rate, value: part(base, fcp_rate) });
    let own = IcmsOwn { reduction, base, rate, value: part(base, rate), fcp };
    let difal = (setting.is_interstate() && !setting.to_contributor).then(|| difal(setting, data, value, rate));
    Ok(Icms { situation: if reduction.is_some() { "20" } else { "00" }.into(), own: Some(own), difal })
}

/// The buyer's state takes the difference to its own rate (EC 87/2015, LC 190/2022: one base, the price). A reduction (CST 20) that the
/// seller's state grants does not bind the buyer's.
fn difal(setting: &Setting<'_>, data: &TaxData, base: Money, interstate_rate: u32) -> Difal {
    let (internal_rate, fcp_rate) = (setting.internal_rate(setting.to, data), setting.fcp_rate(data));
    let value = part(base, internal_rate.saturating_sub(interstate_rate));
    Difal { base, internal_rate, interstate_rate, value, fcp_rate, fcp_value: part(base, fcp_rate) }
}

fn contribution(
    setting: &Setting<'_>,
    (name, cst, rate): (&str, &Option<String>, Option<u32>),
    base: Money,
    at: &str,
) -> Result<Contribution, Problem> {
    if !law::on(setting.day).pis_cofins {
        let situation = setting.without_contribution(cst.as_deref());
        return Ok(Contribution { situation: situation.to_owned(), own: None });
    }
    let upper = name.to_uppercase();
    let problem = |field: &str, text: String| Err(Problem::new(format!("{at}.tax.{name}_{field}"), text));
    match cst.as_deref() {
        None if setting.is_simples() => Ok(Contribution { situation: SIMPLES.into(), own: None }),
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

/// So many hundredths of a per cent of it, half a centavo rounded up. A rate is at most 100 %, so it always fits.
fn part(base: Money, rate: u32) -> Money {
    let exact = i128::from(base.cents()) * i128::from(rate);
    let rounded = (exact + 5_000).div_euclid(10_000);
    Money::from_cents(i64::try_from(rounded).expect("no more than the base, which fits"))
}

#[cfg(test)]
#[path = "tax_tests.rs"]
mod tests;
