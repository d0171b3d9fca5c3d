//! The documents as the tax authority gives them out: well-formed, in its layout, and signed by nobody.

use super::xml_parts::{el, group, money, rate};
use super::xml_reform as reform;
use crate::books::nfe::{Letter, Nfe};
use crate::books::nfe_draft::{Difal, DraftItem, Party, Tax};
use crate::formats::time::local;
use crate::providers::nfe::rules::STATES;

const NAMESPACE: &str = "http://www.portalfiscal.inf.br/nfe";

fn optional(name: &str, text: Option<&str>) -> String {
    text.map(|text| el(name, text)).unwrap_or_default()
}

fn time(at: jiff::Timestamp) -> String {
    local(at).strftime("%Y-%m-%dT%H:%M:%S-03:00").to_string()
}

fn state_code(state: &str) -> &'static str {
    STATES.iter().find(|(name, _)| *name == state).map_or("91", |(_, code)| code)
}

/// nfeProc: the note and its protocol.
pub(crate) fn note(nfe: &Nfe) -> String {
    let key = nfe.key.as_deref().unwrap_or_default();
    let body =
        [ide(nfe, key), issuer(nfe), buyer(nfe), items(nfe), totals(nfe), transport(nfe), payment(nfe), notes(nfe)].concat();
    let protocol = group(
        "infProt",
        &[
            el("tpAmb", environment(nfe)),
            el("verAplic", "SANDBOX"),
            el("chNFe", key),
            el("dhRecbto", time(nfe.authorized_at.unwrap_or(nfe.created_at))),
            el("nProt", nfe.protocol.as_deref().unwrap_or_default()),
            el("cStat", 100),
            el("xMotivo", "Autorizado o uso da NF-e"),
        ],
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><nfeProc xmlns=\"{NAMESPACE}\" versao=\"4.00\"><NFe xmlns=\"{NAMESPACE}\">\
         <infNFe Id=\"NFe{key}\" versao=\"4.00\">{body}</infNFe></NFe><protNFe versao=\"4.00\">{protocol}</protNFe></nfeProc>"
    )
}

fn environment(nfe: &Nfe) -> u8 {
    if nfe.draft.production { 1 } else { 2 }
}

fn ide(nfe: &Nfe, key: &str) -> String {
    let draft = &nfe.draft;
    let referenced = draft.referenced.as_deref().map(|key| group("NFref", &[el("refNFe", key)])).unwrap_or_default();
    group(
        "ide",
        &[
            el("cUF", state_code(&draft.issuer.state)),
            el("cNF", key.get(35..43).unwrap_or_default()),
            el("natOp", &draft.nature),
            el("mod", 55),
            el("serie", nfe.series),
            el("nNF", nfe.number.unwrap_or(0)),
            el("dhEmi", time(draft.issued_at)),
            el("tpNF", u8::from(!draft.is_entry)),
            el("idDest", draft.destination),
            el("cMunFG", &draft.issuer.ibge_city),
            el("tpImp", 1),
            el("tpEmis", 1),
            el("cDV", key.get(43..).unwrap_or_default()),
            el("tpAmb", environment(nfe)),
            el("finNFe", draft.purpose),
            el("indFinal", u8::from(draft.is_final_consumer)),
            el("indPres", draft.presence),
            draft.intermediary.map(|code| el("indIntermed", code)).unwrap_or_default(),
            el("procEmi", 0),
            el("verProc", "SANDBOX"),
            referenced,
        ],
    )
}

fn document(tax_id: &str) -> String {
    el(if tax_id.len() == 14 { "CNPJ" } else { "CPF" }, tax_id)
}

fn address(name: &str, party: &Party) -> String {
    group(
        name,
        &[
            el("xLgr", &party.street),
            el("nro", &party.number),
            optional("xCpl", party.complement.as_deref()),
            el("xBairro", &party.district),
            optional("cMun", Some(party.ibge_city.as_str()).filter(|code| !code.is_empty())),
            el("xMun", &party.city),
            el("UF", &party.state),
            el("CEP", &party.cep),
            el("cPais", 1058),
            el("xPais", "BRASIL"),
            optional("fone", party.phone.as_deref()),
        ],
    )
}

fn issuer(nfe: &Nfe) -> String {
    let party = &nfe.draft.issuer;
    group(
        "emit",
        &[
            document(&party.tax_id),
            el("xNome", &party.name),
            optional("xFant", party.trade_name.as_deref()),
            address("enderEmit", party),
            optional("IE", party.state_registration.as_deref()),
            el("CRT", nfe.draft.regime),
        ],
    )
}

fn buyer(nfe: &Nfe) -> String {
    let party = &nfe.draft.buyer;
    group(
        "dest",
        &[
            document(&party.tax_id),
            el("xNome", &party.name),
            address("enderDest", party),
            el("indIEDest", nfe.draft.buyer_indicator),
            optional("IE", party.state_registration.as_deref()),
        ],
    )
}

fn items(nfe: &Nfe) -> String {
    let one = |item: &DraftItem| {
        let inside = [product(item), taxes(item), reform::item_total(item), referenced(item)].concat();
        format!("<det nItem=\"{}\">{inside}</det>", item.number)
    };
    nfe.draft.items.iter().map(one).collect()
}

fn referenced(item: &DraftItem) -> String {
    let Some(of) = &item.referenced else { return String::new() };
    let number = of.item.map(|number| el("nItem", number)).unwrap_or_default();
    group("DFeReferenciado", &[el("chaveAcesso", &of.key), number])
}

fn product(item: &DraftItem) -> String {
    let some = |name: &str, cents: i64| if cents > 0 { el(name, money(cents)) } else { String::new() };
    group(
        "prod",
        &[
            el("cProd", &item.code),
            el("cEAN", "SEM GTIN"),
            el("xProd", &item.name),
            el("NCM", &item.ncm),
            optional("CEST", item.cest.as_deref()),
            el("CFOP", &item.cfop),
            el("uCom", &item.unit),
            el("qCom", rate(item.quantity_e4)),
            el("vUnCom", rate(item.unit_price_e4)),
            el("vProd", money(item.gross_cents)),
            el("cEANTrib", "SEM GTIN"),
            el("uTrib", &item.unit),
            el("qTrib", rate(item.quantity_e4)),
            el("vUnTrib", rate(item.unit_price_e4)),
            some("vFrete", item.freight_cents),
            some("vDesc", item.discount_cents),
            el("indTot", 1),
        ],
    )
}

fn taxes(item: &DraftItem) -> String {
    let kind = if item.situation.len() == 3 { "CSOSN" } else { "CST" };
    let reduction = item.icms_reduction_e4.map(|by| el("pRedBC", rate(by))).unwrap_or_default();
    let icms = group(
        icms_group(&item.situation),
        &[
            el("orig", item.origin),
            el(kind, &item.situation),
            item.icms
                .map(|tax| format!("{}{reduction}{}", el("modBC", 3), amounts(&tax, ["vBC", "pICMS", "vICMS"])))
                .unwrap_or_default(),
            item.fcp.map(|fund| own_fund(&item.situation, &fund)).unwrap_or_default(),
        ],
    );
    group(
        "imposto",
        &[
            item.approximate_cents.map(|cents| el("vTotTrib", money(cents))).unwrap_or_default(),
            group("ICMS", &[icms]),
            contribution("PIS", &item.pis_situation, item.pis),
            contribution("COFINS", &item.cofins_situation, item.cofins),
            item.difal.map(|difal| destination(&difal)).unwrap_or_default(),
            item.ibs_cbs.as_ref().map(reform::item).unwrap_or_default(),
        ],
    )
}

/// ICMS00 has no vBCFCP: there the base is vBC.
fn own_fund(situation: &str, fund: &Tax) -> String {
    let base = if situation == "00" { String::new() } else { el("vBCFCP", money(fund.base_cents)) };
    [base, el("pFCP", rate(fund.rate_e4)), el("vFCP", money(fund.value_cents))].concat()
}

/// By the situation: taxed by its rate, not taxed at all, or another with its amounts.
fn contribution(name: &str, situation: &str, tax: Option<Tax>) -> String {
    let (form, tax) = match (tax, situation) {
        (Some(tax), "01" | "02") => ("Aliq", Some(tax)),
        (None, "04" | "05" | "06" | "07" | "08" | "09") => ("NT", None),
        (tax, _) => ("Outr", Some(tax.unwrap_or_default())),
    };
    let inside = tax.map(|tax| amounts(&tax, ["vBC", &format!("p{name}"), &format!("v{name}")])).unwrap_or_default();
    group(name, &[group(&format!("{name}{form}"), &[el("CST", situation), inside])])
}

/// Several situations share a group.
fn icms_group(situation: &str) -> &'static str {
    match situation {
        "00" => "ICMS00",
        "20" => "ICMS20",
        "40" | "41" | "50" => "ICMS40",
        "60" => "ICMS60",
        "102" | "103" | "300" | "400" => "ICMSSN102",
        "500" => "ICMSSN500",
        csosn if csosn.len() == 3 => "ICMSSN900",
        _ => "ICMS90",
    }
}

fn amounts(tax: &Tax, [base, percent, value]: [&str; 3]) -> String {
    [el(base, money(tax.base_cents)), el(percent, rate(tax.rate_e4)), el(value, money(tax.value_cents))].concat()
}

fn destination(difal: &Difal) -> String {
    group(
        "ICMSUFDest",
        &[
            el("vBCUFDest", money(difal.base_cents)),
            el("pFCPUFDest", rate(difal.fcp_rate_e4)),
            el("pICMSUFDest", rate(difal.internal_e4)),
            el("pICMSInter", rate(difal.interstate_e4)),
            el("pICMSInterPart", "100.0000"),
            el("vFCPUFDest", money(difal.fcp_cents)),
            el("vICMSUFDest", money(difal.value_cents)),
            el("vICMSUFRemet", "0.00"),
        ],
    )
}

fn totals(nfe: &Nfe) -> String {
    let sums = &nfe.draft.totals;
    let inside = [
        ("vBC", sums.icms_base),
        ("vICMS", sums.icms),
        ("vICMSDeson", 0),
        ("vFCPUFDest", sums.fcp_destination),
        ("vICMSUFDest", sums.icms_destination),
        ("vICMSUFRemet", 0),
        ("vFCP", sums.fcp),
        ("vBCST", 0),
        ("vST", 0),
        ("vFCPST", 0),
        ("vFCPSTRet", 0),
        ("vProd", sums.products),
        ("vFrete", sums.freight),
        ("vSeg", 0),
        ("vDesc", sums.discount),
        ("vII", 0),
        ("vIPI", 0),
        ("vIPIDevol", 0),
        ("vPIS", sums.pis),
        ("vCOFINS", sums.cofins),
        ("vOutro", 0),
        ("vNF", sums.invoice),
    ]
    .map(|(name, cents)| el(name, money(cents)));
    let is_said = nfe.draft.items.iter().any(|item| item.approximate_cents.is_some());
    let estimate = if is_said { el("vTotTrib", money(sums.approximate)) } else { String::new() };
    group("total", &[group("ICMSTot", &[inside.concat(), estimate]), reform::totals(&nfe.draft)])
}

fn transport(nfe: &Nfe) -> String {
    let weight = format!("{}.{:03}", nfe.draft.weight_grams / 1000, nfe.draft.weight_grams % 1000);
    let volumes = group("vol", &[el("qVol", nfe.draft.volumes), el("esp", "VOLUME"), el("pesoL", &weight), el("pesoB", &weight)]);
    let volumes = if nfe.draft.volumes > 0 { volumes } else { String::new() };
    group("transp", &[el("modFrete", nfe.draft.freight_mode), volumes])
}

fn payment(nfe: &Nfe) -> String {
    let paid = nfe.draft.payments.iter().map(|(kind, cents)| group("detPag", &[el("tPag", kind), el("vPag", money(*cents))]));
    group("pag", &paid.collect::<Vec<_>>())
}

fn notes(nfe: &Nfe) -> String {
    match nfe.draft.notes.as_str() {
        "" => String::new(),
        notes => group("infAdic", &[el("infCpl", notes)]),
    }
}

/// What happened to a note later.
fn event(nfe: &Nfe, kind: u32, number: usize, at: jiff::Timestamp, protocol: &str, detail: &str) -> String {
    let key = nfe.key.as_deref().unwrap_or_default();
    let about = [
        el("cOrgao", state_code(&nfe.draft.issuer.state)),
        el("tpAmb", environment(nfe)),
        document(&nfe.cnpj),
        el("chNFe", key),
        el("dhEvento", time(at)),
        el("tpEvento", kind),
        el("nSeqEvento", number),
        detail.to_owned(),
    ]
    .concat();
    let answer =
        [el("cStat", 135), el("xMotivo", "Evento registrado e vinculado a NF-e"), el("chNFe", key), el("nProt", protocol)];
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><procEventoNFe xmlns=\"{NAMESPACE}\" versao=\"1.00\"><evento versao=\"1.00\">\
         <infEvento Id=\"ID{kind}{key}{number:02}\">{about}</infEvento></evento><retEvento versao=\"1.00\">{}</retEvento></procEventoNFe>",
        group("infEvento", &answer)
    )
}

pub(crate) fn cancellation(nfe: &Nfe) -> String {
    let protocol = nfe.protocol.as_deref().unwrap_or_default();
    let detail = group(
        "detEvento",
        &[el("descEvento", "Cancelamento"), el("nProt", protocol), el("xJust", nfe.reason.as_deref().unwrap_or_default())],
    );
    event(nfe, 110_111, 1, nfe.cancelled_at.unwrap_or(nfe.created_at), protocol, &detail)
}

pub(crate) fn letter(nfe: &Nfe, letter: &Letter) -> String {
    let number = nfe.letters.iter().position(|other| other == letter).map_or(1, |at| at + 1);
    let detail = group("detEvento", &[el("descEvento", "Carta de Correção"), el("xCorrecao", &letter.text)]);
    event(nfe, 110_110, number, letter.at, &letter.protocol, &detail)
}
