//! IBS and CBS in the document, and the totals that came with them.

use super::xml_parts::{el, group, money, rate};
use crate::books::nfe_draft::{Draft, DraftItem, IbsCbs, IbsCbsAmounts, ReformTax};

pub(crate) fn item(tax: &IbsCbs) -> String {
    let amounts = tax.amounts.as_ref().map(amounts).unwrap_or_default();
    group("IBSCBS", &[el("CST", &tax.situation), el("cClassTrib", &tax.classification), amounts])
}

fn amounts(amounts: &IbsCbsAmounts) -> String {
    let part = |name: &str, percent: &str, value: &str, tax: &ReformTax| {
        let reduced = tax.reduced.map(|to| group("gRed", &[el("pRedAliq", rate(to.by_e4)), el("pAliqEfet", rate(to.to_e4))]));
        group(name, &[el(percent, rate(tax.rate_e4)), reduced.unwrap_or_default(), el(value, money(tax.value_cents))])
    };
    let inside = [
        el("vBC", money(amounts.base_cents)),
        part("gIBSUF", "pIBSUF", "vIBSUF", &amounts.ibs_state),
        part("gIBSMun", "pIBSMun", "vIBSMun", &amounts.ibs_city),
        el("vIBS", money(amounts.ibs_state.value_cents + amounts.ibs_city.value_cents)),
        part("gCBS", "pCBS", "vCBS", &amounts.cbs),
    ];
    group("gIBSCBS", &inside)
}

/// vItem: what the item is of the invoice's total. Written where IBS and CBS are.
pub(crate) fn item_total(item: &DraftItem) -> String {
    if item.ibs_cbs.is_some() { el("vItem", money(item.total_cents())) } else { String::new() }
}

/// IBSCBSTot and vNFTot, where an item has IBS and CBS. They are part of the price, or not charged: both totals are the same.
pub(crate) fn totals(draft: &Draft) -> String {
    if draft.items.iter().all(|item| item.ibs_cbs.is_none()) {
        return String::new();
    }
    let sum = |of: fn(&IbsCbsAmounts) -> i64| money(draft.items.iter().map(|item| of(&item.reform())).sum());
    let none = || [el("vDif", "0.00"), el("vDevTrib", "0.00")].concat();
    let credits = || [el("vCredPres", "0.00"), el("vCredPresCondSus", "0.00")].concat();
    let ibs = [
        group("gIBSUF", &[none(), el("vIBSUF", sum(|tax| tax.ibs_state.value_cents))]),
        group("gIBSMun", &[none(), el("vIBSMun", sum(|tax| tax.ibs_city.value_cents))]),
        el("vIBS", money(draft.totals.ibs)),
        credits(),
    ];
    let cbs = [none(), el("vCBS", money(draft.totals.cbs)), credits()];
    let inside = [el("vBCIBSCBS", money(draft.totals.ibs_cbs_base)), group("gIBS", &ibs), group("gCBS", &cbs)];
    [group("IBSCBSTot", &inside), el("vNFTot", money(draft.totals.invoice))].concat()
}
