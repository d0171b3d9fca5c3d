//! What the tax authority refuses, by its own codes: the sums, the registers, and what goes with what. The taxes of an item are in
//! `tax_rules`.

use super::rejection::{Rejection, adds_up, half_up, no};
use super::tax_rules::{reform, regime};
use crate::books::nfe_draft::{Draft, DraftItem};
use crate::formats::documents::is_tax_id;
use crate::world::authority::Taxpayer;

/// The name that every rehearsal is addressed to.
pub(crate) const HOMOLOGATION_NAME: &str = "NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL";

/// The IBGE's code of each state.
pub(crate) const STATES: [(&str, &str); 27] = [
    ("RO", "11"),
    ("AC", "12"),
    ("AM", "13"),
    ("RR", "14"),
    ("PA", "15"),
    ("AP", "16"),
    ("TO", "17"),
    ("MA", "21"),
    ("PI", "22"),
    ("CE", "23"),
    ("RN", "24"),
    ("PB", "25"),
    ("PE", "26"),
    ("AL", "27"),
    ("SE", "28"),
    ("BA", "29"),
    ("MG", "31"),
    ("ES", "32"),
    ("RJ", "33"),
    ("SP", "35"),
    ("PR", "41"),
    ("SC", "42"),
    ("RS", "43"),
    ("MS", "50"),
    ("MT", "51"),
    ("GO", "52"),
    ("DF", "53"),
];

/// States in which nobody contributes without a state registration.
const WITHOUT_EXEMPT: [&str; 12] = ["AM", "BA", "CE", "GO", "MG", "MS", "MT", "PA", "PE", "RN", "SE", "SP"];

/// What the Receita's register says against the parties (NT 2026.007, in production since 2026-11-16). Buyers with a CPF are not
/// looked up.
pub(crate) fn register(draft: &Draft, taxpayer: impl Fn(&str) -> Option<Taxpayer>) -> Result<(), Rejection> {
    match taxpayer(&draft.issuer.tax_id) {
        Some(Taxpayer::Unknown) => return no(178, "CNPJ do emitente não cadastrado na Receita Federal"),
        Some(Taxpayer::Irregular) => return no(179, "CNPJ do emitente em situação irregular na Receita Federal"),
        Some(Taxpayer::OtherRegime) => return no(180, "CRT do emitente diverge do cadastro da Receita Federal"),
        None => {}
    }
    match taxpayer(&draft.buyer.tax_id).filter(|_| draft.buyer.tax_id.len() == 14) {
        Some(Taxpayer::Unknown) => no(181, "CNPJ do destinatário não cadastrado na Receita Federal"),
        Some(Taxpayer::Irregular) => no(182, "CNPJ do destinatário em situação irregular na Receita Federal"),
        Some(Taxpayer::OtherRegime) | None => Ok(()),
    }
}

/// What the state's register says of the buyer's registration. `active`: the one that the buyer has.
pub(crate) fn registration(draft: &Draft, active: Option<String>) -> Result<(), Rejection> {
    match (draft.buyer_indicator, &draft.buyer.state_registration, active) {
        (2 | 9, None, Some(_)) => no(232, "IE do destinatário não informada"),
        (_, Some(said), Some(active)) if *said != active => no(234, "IE do destinatário não vinculada ao CNPJ"),
        _ => Ok(()),
    }
}

/// The first thing that is wrong with it: they tell one at a time.
pub(crate) fn judge(draft: &Draft) -> Result<(), Rejection> {
    parties(draft)?;
    operation(draft)?;
    for item in &draft.items {
        line(draft, item).map_err(|(code, why)| (code, format!("{why} [nItem: {}]", item.number)))?;
    }
    totals(draft)?;
    payment(draft)
}

fn parties(draft: &Draft) -> Result<(), Rejection> {
    let (issuer, buyer) = (&draft.issuer, &draft.buyer);
    if issuer.tax_id.len() != 14 || !is_tax_id(&issuer.tax_id) {
        return no(207, "CNPJ do emitente inválido");
    }
    if !is_tax_id(&buyer.tax_id) {
        let (code, kind) = if buyer.tax_id.len() == 14 { (208, "CNPJ") } else { (237, "CPF") };
        return no(code, format!("{kind} do destinatário inválido"));
    }
    if !draft.production && buyer.name != HOMOLOGATION_NAME {
        return no(
            598,
            "NF-e emitida em ambiente de homologação com Razão Social do destinatário diferente de NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL",
        );
    }
    for (party, digit, state, who) in [(issuer, 272, 273, "Emitente"), (buyer, 274, 275, "Destinatário")] {
        let Some((_, uf)) = STATES.iter().find(|(state, _)| *state == party.state) else {
            return no(state, format!("UF do {who} não existe"));
        };
        let city = party.ibge_city.as_str();
        if !city.is_empty() && (city.len() != 7 || !city.bytes().all(|b| b.is_ascii_digit())) {
            return no(digit, format!("Código Município do {who}: dígito inválido"));
        }
        if !city.is_empty() && !city.starts_with(uf) {
            return no(state, format!("Código Município do {who}: difere da UF do {who}"));
        }
    }
    match (draft.buyer_indicator, &buyer.state_registration) {
        (1, None) => no(232, "IE do destinatário não informada"),
        (1, Some(registration)) if !registration.bytes().all(|b| b.is_ascii_digit()) => no(210, "IE do destinatário inválida"),
        (2, Some(_)) => no(225, "Falha no Schema XML: IE de destinatário isento"),
        (2, None) if WITHOUT_EXEMPT.contains(&buyer.state.as_str()) => {
            no(805, "A SEFAZ do destinatário não permite Contribuinte Isento de Inscrição Estadual")
        }
        (9, _) if !draft.is_final_consumer => no(696, "Operação com não contribuinte deve indicar operação com consumidor final"),
        _ => Ok(()),
    }
}

fn operation(draft: &Draft) -> Result<(), Rejection> {
    let is_same_state = draft.issuer.state == draft.buyer.state;
    match draft.destination {
        1 if !is_same_state && draft.presence != 1 => {
            return no(773, "Operação Interna e UF de destino difere da UF do emitente");
        }
        2 if is_same_state => return no(772, "Operação Interestadual e UF de destino igual à UF do emitente"),
        _ => {}
    }
    if matches!(draft.presence, 2 | 3 | 4 | 9) && draft.intermediary.is_none() {
        return no(434, "NF-e sem indicativo do intermediador");
    }
    if !matches!(draft.presence, 2 | 3 | 4 | 9) && draft.intermediary.is_some() {
        return no(435, "NF-e não deve possuir indicativo do intermediador");
    }
    references(draft)
}

/// Since November 2026 a return names its sale in each item, and nowhere else (NT 2025.002, VC02-14).
fn references(draft: &Draft) -> Result<(), Rejection> {
    let is_key = |key: &str| key.is_ascii() && key.len() == 44 && check_digit(&key[..43]) == key[43..];
    let in_items: Vec<_> = draft.items.iter().filter_map(|item| item.referenced.as_ref()).collect();
    if draft.purpose == 4 && in_items.len() < draft.items.len() {
        return no(321, "NF-e de devolução de mercadoria não possui documento fiscal referenciado no item");
    }
    if draft.referenced.is_some() && !in_items.is_empty() {
        return no(1010, "Documento fiscal referenciado no item e também no grupo de documentos referenciados da NF-e");
    }
    if draft.purpose == 4 && in_items.iter().any(|of| of.item.is_none_or(|item| item == 0)) {
        return no(1048, "Não informado o número do item do documento fiscal referenciado");
    }
    if in_items.iter().enumerate().any(|(at, of)| in_items[..at].contains(of)) {
        return no(1072, "Item do documento fiscal referenciado em duplicidade");
    }
    if draft.referenced.iter().chain(in_items.iter().map(|of| &of.key)).any(|key| !is_key(key)) {
        return no(547, "Dígito Verificador da Chave de Acesso da NF-e referenciada inválido");
    }
    Ok(())
}

fn line(draft: &Draft, item: &DraftItem) -> Result<(), Rejection> {
    if item.ncm.starts_with("00") || item.ncm == "99999999" {
        return no(778, "Informado NCM inexistente");
    }
    let (within, across) = if draft.is_entry { ('1', '2') } else { ('5', '6') };
    match item.cfop.chars().next() {
        Some(first) if first == within && draft.destination != 1 => {
            return no(733, "CFOP de operação interna e idDest diferente de 1");
        }
        Some(first) if first == across && draft.destination != 2 => {
            return no(732, "CFOP de operação interestadual e idDest diferente de 2");
        }
        Some(first) if first == within || first == across => {}
        _ => return no(if draft.is_entry { 518 } else { 519 }, "CFOP não é do tipo da operação (entrada ou saída)"),
    }
    let is_return = ["201", "202", "410", "411"].contains(&item.cfop.get(1..).unwrap_or(""));
    if draft.purpose == 4 && !is_return {
        return no(327, "CFOP inválido para NF-e com finalidade de devolução de mercadoria");
    }
    if half_up(i128::from(item.quantity_e4) * i128::from(item.unit_price_e4), 1_000_000) != i128::from(item.gross_cents) {
        return no(629, "Valor do Produto difere do produto Valor Unitário de Comercialização e Quantidade Comercial");
    }
    regime(draft, item)?;
    if let Some(tax) = &item.icms {
        adds_up(tax, 528, "Valor do ICMS difere do produto BC e Alíquota")?;
    }
    if let Some(tax) = &item.pis {
        adds_up(tax, 600, "Valor do PIS difere do produto BC e Alíquota")?;
    }
    if let Some(tax) = &item.cofins {
        adds_up(tax, 601, "Valor da COFINS difere do produto BC e Alíquota")?;
    }
    item.ibs_cbs.as_ref().map_or(Ok(()), |tax| reform(draft, tax))
}

fn totals(draft: &Draft) -> Result<(), Rejection> {
    let (said, sum) = (&draft.totals, draft.sums());
    for (said, sum, code, what) in [
        (said.products, sum.products, 564, "Total do Produto / Serviço"),
        (said.freight, sum.freight, 535, "Total do Frete"),
        (said.discount, sum.discount, 537, "Total do Desconto"),
        (said.icms_base, sum.icms_base, 531, "Total da BC ICMS"),
        (said.icms, sum.icms, 532, "Total do ICMS"),
        (said.icms_destination, sum.icms_destination, 799, "Total do ICMS Interestadual da UF de destino"),
        (said.fcp_destination, sum.fcp_destination, 798, "Total do FCP da UF de destino"),
        (said.fcp, sum.fcp, 861, "Total do FCP"),
        (said.pis, sum.pis, 602, "Total do PIS"),
        (said.cofins, sum.cofins, 603, "Total do COFINS"),
        (said.ibs_cbs_base, sum.ibs_cbs_base, 1076, "Total da BC do IBS e da CBS"),
        (said.ibs, sum.ibs, 1085, "Total do IBS"),
        (said.cbs, sum.cbs, 1091, "Total da CBS"),
        (said.approximate, sum.approximate, 685, "Total do Valor Aproximado dos Tributos"),
    ] {
        if said != sum {
            return no(code, format!("{what} difere do somatório dos itens"));
        }
    }
    if said.invoice != said.products - said.discount + said.freight {
        return no(610, "Total da NF difere do somatório dos Valores que compõem o valor Total da NF");
    }
    Ok(())
}

fn payment(draft: &Draft) -> Result<(), Rejection> {
    let paid: i64 = draft.payments.iter().map(|(_, cents)| cents).sum();
    let is_nothing = draft.payments.iter().any(|(kind, _)| kind == "90");
    match (draft.purpose, is_nothing) {
        (4, false) => no(871, "O campo Forma de Pagamento deve ser preenchido com a opção Sem Pagamento"),
        (_, true) if paid != 0 => no(904, "Informado indevidamente campo valor de pagamento"),
        (_, true) => Ok(()),
        (_, false) if paid < draft.totals.invoice => no(865, "Total dos pagamentos menor que o total da nota"),
        (_, false) if paid > draft.totals.invoice => {
            no(866, "Ausência de troco quando o valor dos pagamentos informados for maior que o total da nota")
        }
        _ => Ok(()),
    }
}

/// Modulo 11, weights 2 to 9 from the right; a character counts as its ASCII code less 48.
pub(crate) fn check_digit(characters: &str) -> String {
    let values = characters.bytes().rev().map(|c| u32::from(c.saturating_sub(48)));
    let rest = values.zip((2..=9).cycle()).map(|(value, weight)| value * weight).sum::<u32>() % 11;
    if rest < 2 { "0".to_owned() } else { (11 - rest).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_keys_have_their_digits() {
        for key in ["35261011222333000181550010000001231481516233", "35261012ABC34501DE35550010000001231481516234"] {
            assert_eq!(check_digit(&key[..43]), key[43..]);
        }
    }
}
