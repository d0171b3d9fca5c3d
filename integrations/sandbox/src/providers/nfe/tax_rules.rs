//! What the tax authority refuses of an item's taxes: those of its regime, of the buyer's state, and IBS and CBS.

use super::classifications;
use super::rejection::{Rejection, adds_up, no};
use crate::books::nfe_draft::{Draft, DraftItem, IbsCbs, Tax};
use crate::formats::time::local;

/// CSOSN under Simples and for MEI, CST otherwise; and what is owed to the buyer's state.
pub(crate) fn regime(draft: &Draft, item: &DraftItem) -> Result<(), Rejection> {
    let is_simples = matches!(draft.regime, 1 | 4);
    match (is_simples, item.situation.len()) {
        (true, 2) => return no(590, "Informado CST para emissor do Simples Nacional (CRT=1)"),
        (false, 3) => return no(591, "Informado CSOSN para emissor que não é do Simples Nacional (CRT diferente de 1)"),
        _ => {}
    }
    if draft.regime == 4 {
        mei(draft, item)?;
    }
    let is_taxed = matches!(item.situation.as_str(), "00" | "10" | "20" | "51" | "70" | "90");
    if matches!(item.situation.as_str(), "00" | "20") && item.icms.is_none() {
        return no(225, "Falha no Schema XML: grupo de ICMS sem vBC, pICMS e vICMS");
    }
    fund(draft, item)?;
    let owes = !is_simples && is_taxed && !draft.is_entry && draft.destination == 2 && draft.buyer_indicator == 9;
    let Some(difal) = &item.difal else {
        return if owes { no(694, "Não informado o grupo de ICMS para a UF de destino") } else { Ok(()) };
    };
    if draft.destination != 2 || draft.buyer_indicator != 9 {
        return no(695, "Informado indevidamente o grupo de ICMS para a UF de destino");
    }
    let rate = if matches!(item.origin, 1 | 2 | 3 | 8) { 40_000 } else { interstate(&draft.issuer.state, &draft.buyer.state) };
    if difal.interstate_e4 != rate {
        return no(698, "Alíquota interestadual do ICMS incompatível com as UF envolvidas na operação");
    }
    let owed = Tax {
        base_cents: difal.base_cents,
        rate_e4: (difal.internal_e4 - difal.interstate_e4).max(0),
        value_cents: difal.value_cents,
    };
    adds_up(&owed, 815, "Valor do ICMS Interestadual para a UF de destino difere do calculado")?;
    let fund = Tax { base_cents: difal.base_cents, rate_e4: difal.fcp_rate_e4, value_cents: difal.fcp_cents };
    adds_up(&fund, 793, "Valor do ICMS relativo ao FCP na UF de destino difere do calculado")
}

/// The poverty fund beside the item's own ICMS: of sales inside the state only.
fn fund(draft: &Draft, item: &DraftItem) -> Result<(), Rejection> {
    let Some(fund) = &item.fcp else { return Ok(()) };
    if item.icms.is_none() {
        return no(225, "Falha no Schema XML: FCP sem o grupo de ICMS");
    }
    if fund.rate_e4 == 0 {
        return no(880, "Percentual de FCP igual a zero");
    }
    if draft.destination == 2 && draft.buyer_indicator == 9 {
        return no(876, "Operação interestadual para Consumidor Final e valor do FCP informado em campo diferente de vFCPUFDest");
    }
    Ok(())
}

/// What MEI may use (NT 2024.001).
fn mei(draft: &Draft, item: &DraftItem) -> Result<(), Rejection> {
    let csosn: &[&str] = if draft.purpose == 4 { &["900"] } else { &["102", "300", "400", "900"] };
    if !csosn.contains(&item.situation.as_str()) {
        return no(782, "CSOSN inválido para emitente MEI (CRT=4)");
    }
    let cfop: &[&str] = &["1202", "1904", "2202", "2904", "5102", "5202", "5904", "6102", "6202", "6904"];
    if !cfop.contains(&item.cfop.as_str()) {
        return no(337, "CFOP inválido para emitente MEI (CRT=4)");
    }
    Ok(())
}

/// 7 % from the richer states to the others, 12 % else. (Resolução do Senado 22/1989.)
fn interstate(from: &str, to: &str) -> i64 {
    let is_rich = |state: &str| ["SP", "RJ", "MG", "PR", "SC", "RS"].contains(&state);
    if is_rich(from) && !is_rich(to) { 70_000 } else { 120_000 }
}

/// IBS and CBS, by the table of classifications (NT 2025.002 v1.51, group UB).
pub(crate) fn reform(draft: &Draft, tax: &IbsCbs) -> Result<(), Rejection> {
    if !tax.classification.starts_with(&tax.situation) {
        return no(1024, "cClassTrib do IBS/CBS não corresponde ao CST");
    }
    let Some(reduction) = classifications::reduction(&tax.classification) else {
        // Their table has those of other documents as well; this one does not.
        return no(1025, "cClassTrib do IBS/CBS não permitido neste modelo de DFe");
    };
    let Some(amounts) = &tax.amounts else {
        let is_owed = classifications::bears_amounts(&tax.situation);
        return if is_owed { no(1022, "Grupo gIBSCBS não informado") } else { Ok(()) };
    };
    if !classifications::bears_amounts(&tax.situation) {
        return no(1021, "Grupo gIBSCBS informado indevidamente");
    }
    let rates = [amounts.ibs_state, amounts.ibs_city, amounts.cbs].map(|part| part.rate_e4);
    for ((said, legal), code) in rates.into_iter().zip(legal_rates(draft)).zip([1026, 1036, 1037]) {
        // A return has the rates of its sale's day.
        if draft.purpose != 4 && legal.is_some_and(|legal| legal != said) {
            return no(code, "Alíquota do IBS ou da CBS inválida");
        }
    }
    for (part, [missing, percent, rate, value], whose) in [
        (&amounts.ibs_state, [1033, 1034, 1035, 1041], "IBS Estadual"),
        (&amounts.ibs_city, [1074, 1046, 1047, 1052], "IBS Municipal"),
        (&amounts.cbs, [1079, 1063, 1064, 1069], "CBS"),
    ] {
        let by_e4 = i64::from(reduction) * 10_000;
        match part.reduced {
            None if by_e4 > 0 => return no(missing, format!("Grupo de redução de alíquota do {whose} não informado")),
            Some(reduced) if reduced.by_e4 != by_e4 => {
                return no(percent, format!("Percentual de redução de alíquota do {whose} difere do cClassTrib"));
            }
            Some(reduced) if reduced.to_e4 * 1_000_000 != part.rate_e4 * (1_000_000 - by_e4) => {
                return no(rate, format!("Alíquota efetiva do {whose} difere do calculado"));
            }
            _ => {}
        }
        let rate_e4 = part.reduced.map_or(part.rate_e4, |reduced| reduced.to_e4);
        let tax = Tax { base_cents: amounts.base_cents, rate_e4, value_cents: part.value_cents };
        adds_up(&tax, value, &format!("Valor do {whose} difere do produto BC e Alíquota"))?;
    }
    Ok(())
}

/// IBS of the state and of the city, and CBS, in the year of issue; none: not fixed yet.
fn legal_rates(draft: &Draft) -> [Option<i64>; 3] {
    match local(draft.issued_at).year() {
        ..2027 => [Some(1_000), Some(0), Some(9_000)],
        2027 | 2028 => [Some(500), Some(500), None],
        _ => [None; 3],
    }
}
