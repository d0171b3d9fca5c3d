//! What the tax authority wants to know of goods, looked at in one way when they are sold and before: the NCM, the origin,
//! the CEST, the CFOP.

use vitrine_kit::nfe::{ITEM_NAME_MAX, Regime};
use vitrine_kit::sefaz;

use super::cfop;
use super::problem::Problem;
use super::tax::Setting;
use crate::tax::{TaxData, TaxRules, ncm};

/// Goods, as far as the catalog tells of them.
#[derive(Debug, Clone, Copy)]
pub struct Ware<'a> {
    pub ncm: Option<&'a str>,
    pub cfop: Option<&'a str>,
    pub origin: Option<i16>,
    /// The product's word, then its categories', then the shop's.
    pub tax: &'a TaxData,
}

/// The NCM and the origin, which no sale goes without. What is missing is named below `at`.
pub fn kind(ware: &Ware<'_>, rules: &TaxRules, at: &str, wrong: &mut Vec<Problem>) -> Option<(String, u8)> {
    let (ncm, origin) = (ncm(ware.ncm, rules, at, wrong), origin(ware.origin, at, wrong));
    ncm.zip(origin)
}

/// That something is left of a text that every item has, in the characters of an invoice.
pub fn text(text: &str, at: &str, wrong: &mut Vec<Problem>) {
    if sefaz::text(text, ITEM_NAME_MAX).is_empty() {
        let message = format!("Nada em {text:?} pode ficar numa nota: use letras latinas ou números");
        wrong.push(Problem::new(at, message));
    }
}

/// The code of this movement, and that goods whose ICMS was paid in advance have their CEST.
pub fn movement(setting: &Setting<'_>, ware: &Ware<'_>, is_return: bool, at: &str, wrong: &mut Vec<Problem>) -> Option<String> {
    let cfop = match setting.regime {
        Regime::Mei => cfop::of_mei(ware.cfop, setting.is_interstate(), is_return),
        _ => cfop::of(ware.cfop, setting.is_interstate(), setting.to_contributor, is_return),
    };
    let cfop = cfop.map_err(|text| wrong.push(Problem::new(format!("{at}.cfop"), text))).ok();
    let is_paid_in_advance = match setting.is_simples() {
        true => ware.tax.csosn.as_deref() == Some("500"),
        false => ware.tax.icms_cst.as_deref() == Some("60"),
    };
    if is_paid_in_advance && ware.tax.cest.is_none() {
        wrong.push(Problem::new(format!("{at}.tax.cest"), "Mercadoria com ICMS por substituição tributária pede o CEST"));
    }
    cfop
}

fn ncm(ncm: Option<&str>, rules: &TaxRules, at: &str, wrong: &mut Vec<Problem>) -> Option<String> {
    let text = match ncm {
        None => "Falta o NCM: informe-o no produto ou na categoria".to_owned(),
        Some(ncm) if ncm::is_known(ncm) || rules.newer_ncm.iter().any(|newer| newer == ncm) => return Some(ncm.to_owned()),
        Some(ncm) => format!(
            "O NCM {ncm} não está na tabela em vigor em {}: confira o código; se ele é mais novo, informe-o em newer_ncm nos impostos da loja",
            ncm::AS_OF
        ),
    };
    wrong.push(Problem::new(format!("{at}.ncm"), text));
    None
}

fn origin(origin: Option<i16>, at: &str, wrong: &mut Vec<Problem>) -> Option<u8> {
    let origin = origin.and_then(|origin| u8::try_from(origin).ok()).filter(|origin| *origin <= 8);
    if origin.is_none() {
        let text = "Falta a origem da mercadoria (0 a 8): informe-a no produto ou na categoria";
        wrong.push(Problem::new(format!("{at}.origin"), text));
    }
    origin
}
