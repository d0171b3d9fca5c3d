//! IBS and CBS of one item, by the rules of the sale's day (`tax::law`) and the item's classification.

use vitrine_kit::Money;
use vitrine_kit::nfe::{IbsCbs, IbsCbsAmounts, ReformTax, Regime};

use super::problem::Problem;
use super::tax_setting::{Setting, minus};
use crate::tax::TaxData;
use crate::tax::classifications::{self, Classification, Unfit};
use crate::tax::law::{self, Law};

/// Tenths of a millionth: rates are in ten-thousandths of a per cent.
const WHOLE: i128 = 1_000_000;

/// What an item is worth, and what of that is other taxes.
#[derive(Debug, Clone, Copy)]
pub struct Worth {
    pub value: Money,
    /// ICMS, DIFAL and its fund; PIS and COFINS while they are due. None of them is in the base (LC 214/2025, art. 12, § 2º).
    pub other_taxes: [Money; 5],
}

/// `None`: the seller does not name them on that day; or, where the settings let it, not yet because something is missing
/// ([`missing_but_optional`] says what).
pub fn ibs_cbs(setting: &Setting<'_>, data: &TaxData, worth: Worth, at: &str) -> Result<Option<IbsCbs>, Vec<Problem>> {
    if !is_due(setting) {
        return Ok(None);
    }
    match written(setting, data, worth, at) {
        Ok(tax) => Ok(Some(tax)),
        Err(_) if is_optional(setting) => Ok(None),
        Err(wrong) => Err(wrong),
    }
}

/// What an invoice of Simples or MEI goes without on that day, because it is missing and the settings do not require it.
pub fn missing_but_optional(setting: &Setting<'_>, data: &TaxData, at: &str) -> Vec<Problem> {
    let nothing = Worth { value: Money::ZERO, other_taxes: [Money::ZERO; 5] };
    match is_due(setting) && is_optional(setting) {
        true => written(setting, data, nothing, at).err().unwrap_or_default(),
        false => Vec::new(),
    }
}

fn is_due(setting: &Setting<'_>) -> bool {
    setting.day >= setting.rules.ibs_cbs_from(setting.regime)
}

/// No note tells yet how invoices of Simples and MEI are refused that name neither.
fn is_optional(setting: &Setting<'_>) -> bool {
    setting.regime != Regime::Normal && !setting.rules.simples_ibs_cbs_required
}

fn written(setting: &Setting<'_>, data: &TaxData, worth: Worth, at: &str) -> Result<IbsCbs, Vec<Problem>> {
    let (situation, row) = classified(setting, data, at)?;
    let amounts = match situation == classifications::WITHOUT_AMOUNTS {
        true => None,
        false => Some(amounts(setting, row, worth)?),
    };
    Ok(IbsCbs { situation: situation.to_owned(), classification: row.code.clone(), amounts })
}

fn classified<'a>(
    setting: &Setting<'_>,
    data: &'a TaxData,
    at: &str,
) -> Result<(&'a str, &'static Classification), Vec<Problem>> {
    let problem = |field: &str, text: String| Problem::new(format!("{at}.tax.{field}"), text);
    let missing = |name: &str| format!("Falta {name}: informe no produto, na categoria ou nos impostos da loja");
    let situation = data.ibs_cbs_cst.as_deref().ok_or_else(|| problem("ibs_cbs_cst", missing("o CST do IBS e da CBS")));
    let code = data.cclasstrib.as_deref().ok_or_else(|| problem("cclasstrib", missing("o cClassTrib")));
    let (situation, code) = match (situation, code) {
        (Ok(situation), Ok(code)) => (situation, code),
        (situation, code) => return Err([situation.err(), code.err()].into_iter().flatten().collect()),
    };
    if !classifications::SITUATIONS.contains(&situation) {
        let text = format!(
            "O CST {situation} do IBS e da CBS não é emitido por esta loja: confirme a classificação com a contabilidade"
        );
        return Err(vec![problem("ibs_cbs_cst", text)]);
    }
    if !code.starts_with(situation) {
        let text = format!("O cClassTrib {code} não é do CST {situation}: os três primeiros dígitos são os do CST");
        return Err(vec![problem("cclasstrib", text)]);
    }
    let row = classifications::find_on(code, setting.day).map_err(|unfit| vec![problem("cclasstrib", why(code, unfit))])?;
    Ok((situation, row))
}

/// It names no other code: which one is right is for the accountant to say.
fn why(code: &str, unfit: Unfit) -> String {
    let published = classifications::PUBLISHED;
    match unfit {
        Unfit::Unknown => format!("O cClassTrib {code} não está na tabela oficial publicada em {published}"),
        Unfit::OtherDocument => {
            format!("O cClassTrib {code} não vale para a NF-e (modelo 55), pela tabela oficial de {published}")
        }
        Unfit::OtherSituation => format!("O cClassTrib {code} é de um CST que não é emitido por esta loja"),
        Unfit::Needs(groups) => format!("O cClassTrib {code} pede o grupo {groups}, que não é emitido por esta loja"),
        Unfit::OtherDay => format!("O cClassTrib {code} não vale na data da venda, pela tabela oficial de {published}"),
    }
}

fn amounts(setting: &Setting<'_>, row: &Classification, worth: Worth) -> Result<IbsCbsAmounts, Vec<Problem>> {
    let law = law::on(setting.day);
    let [state, city, cbs] = rates(setting, law)?;
    let tax = |rate: u32, reduction: u32| ReformTax { rate, reduction: (reduction > 0).then_some(reduction), value: Money::ZERO };
    let taxes = [tax(state, row.ibs_reduction), tax(city, row.ibs_reduction), tax(cbs, row.cbs_reduction)];
    let net = minus(worth.value, worth.other_taxes);
    // Neither is part of its own base: a price that holds them is divided by 1 + their rates.
    let held: u32 = if law.in_price { taxes.iter().map(ReformTax::effective_rate_e4).sum() } else { 0 };
    let base = scaled(net, WHOLE, WHOLE + i128::from(held));
    let valued = |tax: ReformTax| ReformTax { value: scaled(base, i128::from(tax.effective_rate_e4()), WHOLE), ..tax };
    let [ibs_state, ibs_city, cbs] = taxes.map(valued);
    Ok(IbsCbsAmounts { base, ibs_state, ibs_city, cbs })
}

/// The settings' for that day, else the law's.
fn rates(setting: &Setting<'_>, law: &Law) -> Result<[u32; 3], Vec<Problem>> {
    let given = setting.rules.reform_rates_on(law, setting.day);
    let mut wrong = Vec::new();
    let mut rate = |given: Option<u32>, by_law: Option<u32>, field: &str| {
        let rate = given.or(by_law);
        if rate.is_none() {
            let text = format!("Informe nos impostos da loja a alíquota que vale desde {}: a lei ainda não a fixou", law.from);
            wrong.push(Problem::new(format!("taxes.reform_rates.{field}"), text));
        }
        rate.unwrap_or(0)
    };
    let rates = [
        rate(given.ibs_state, law.ibs_state, "ibs_state"),
        rate(given.ibs_city, law.ibs_city, "ibs_city"),
        rate(given.cbs, law.cbs, "cbs"),
    ];
    if wrong.is_empty() { Ok(rates) } else { Err(wrong) }
}

/// `value × numerator / denominator`, half a centavo rounded up; the numerator is at most the denominator.
fn scaled(value: Money, numerator: i128, denominator: i128) -> Money {
    let exact = i128::from(value.cents()) * numerator;
    let rounded = (exact + denominator / 2).div_euclid(denominator);
    Money::from_cents(i64::try_from(rounded).expect("no more than the value, which fits"))
}

#[cfg(test)]
#[path = "reform_tests.rs"]
mod tests;
