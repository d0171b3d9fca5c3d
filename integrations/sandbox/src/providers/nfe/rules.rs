//! What the tax authority refuses, by its own codes: the sums, the registers, and what goes with what.

use super::classifications;
use crate::books::nfe_draft::{Draft, DraftItem, IbsCbs, Tax};
use crate::formats::documents::is_tax_id;
use crate::formats::time::local;
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

/// A code and the words that go with it.
pub(crate) type Rejection = (u16, String);

fn no(code: u16, why: impl Into<String>) -> Result<(), Rejection> {
    Err((code, format!("Rejeição: {}", why.into())))
}

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

/// IBS and CBS, by the table of classifications (NT 2025.002 v1.51, group UB).
fn reform(draft: &Draft, tax: &IbsCbs) -> Result<(), Rejection> {
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

/// CSOSN under Simples and for MEI, CST otherwise; and what is owed to the buyer's state.
fn regime(draft: &Draft, item: &DraftItem) -> Result<(), Rejection> {
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

/// They allow a centavo.
fn adds_up(tax: &Tax, code: u16, why: &str) -> Result<(), Rejection> {
    let value = half_up(i128::from(tax.base_cents) * i128::from(tax.rate_e4), 1_000_000);
    if (value - i128::from(tax.value_cents)).abs() > 1 { no(code, why) } else { Ok(()) }
}

fn half_up(amount: i128, unit: i128) -> i128 {
    (amount + unit / 2).div_euclid(unit)
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

    #[test]
    fn half_a_centavo_goes_up() {
        assert_eq!(half_up(1_500_000, 1_000_000), 2);
        assert_eq!(half_up(1_499_999, 1_000_000), 1);
    }
}
