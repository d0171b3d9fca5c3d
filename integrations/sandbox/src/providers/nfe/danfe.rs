//! The DANFE: the paper that goes with the goods. What stands on it, and the page that a person opens and prints.

use std::fmt::Write;

use crate::books::nfe::{Nfe, NfeStatus};
use crate::books::nfe_draft::{DraftItem, Party};
use crate::formats::code128;
use crate::formats::html::{escape, reais};
use crate::formats::time::local;

/// A box: what it is, what stands in it, and its share of the row.
pub(crate) struct Cell {
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) share: u32,
}

fn cell(label: &'static str, value: impl Into<String>, share: u32) -> Cell {
    Cell { label, value: value.into(), share }
}

/// Rows of boxes under a heading.
pub(crate) struct Block {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// Column, share of the width, whether it is a number.
pub(crate) const COLUMNS: [(&str, u32, bool); 12] = [
    ("CÓDIGO", 9, false),
    ("DESCRIÇÃO DO PRODUTO", 27, false),
    ("NCM", 8, false),
    ("CST", 5, false),
    ("CFOP", 5, false),
    ("UN", 4, false),
    ("QTD", 6, true),
    ("V. UNIT.", 8, true),
    ("V. TOTAL", 9, true),
    ("BC ICMS", 8, true),
    ("V. ICMS", 7, true),
    ("% ICMS", 6, true),
];

pub(crate) fn line(item: &DraftItem) -> [String; 12] {
    let icms = item.icms.unwrap_or_default();
    let places = |e4: i64| {
        let text = format!("{},{:04}", e4 / 10_000, e4 % 10_000);
        text.trim_end_matches('0').trim_end_matches(',').to_owned()
    };
    [
        item.code.clone(),
        item.name.clone(),
        item.ncm.clone(),
        format!("{}{}", item.origin, item.situation),
        item.cfop.clone(),
        item.unit.clone(),
        places(item.quantity_e4),
        money(item.unit_price_e4 / 100),
        money(item.gross_cents),
        money(icms.base_cents),
        money(icms.value_cents),
        places(icms.rate_e4),
    ]
}

/// `1.234,50`.
pub(crate) fn money(cents: i64) -> String {
    reais(cents).trim_start_matches("R$ ").to_owned()
}

/// By fours.
pub(crate) fn spaced(key: &str) -> String {
    key.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

pub(crate) fn tax_id(text: &str) -> String {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    match text.len() {
        11 => format!("{}.{}.{}-{}", part(0, 3), part(3, 6), part(6, 9), part(9, 11)),
        14 => format!("{}.{}.{}/{}-{}", part(0, 2), part(2, 5), part(5, 8), part(8, 12), part(12, 14)),
        _ => text.to_owned(),
    }
}

/// Street and number, district, city, CEP.
pub(crate) fn lines(party: &Party) -> [String; 2] {
    let complement = party.complement.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
    let cep = cep(&party.cep);
    [
        format!("{}, {}{complement} - {}", party.street, party.number, party.district),
        format!("{} - {} - CEP {cep}", party.city, party.state),
    ]
}

/// `01310-100`.
fn cep(digits: &str) -> String {
    format!("{}-{}", digits.get(..5).unwrap_or_default(), digits.get(5..).unwrap_or_default())
}

/// `000.000.123`.
pub(crate) fn number(nfe: &Nfe) -> String {
    let digits = format!("{:09}", nfe.number.unwrap_or(0));
    format!("{}.{}.{}", &digits[..3], &digits[3..6], &digits[6..])
}

/// What is written across it, where it is no good as a document.
pub(crate) fn stamp(nfe: &Nfe) -> Option<&'static str> {
    match nfe.status {
        NfeStatus::Cancelled => Some("CANCELADA"),
        NfeStatus::Denied => Some("USO DENEGADO"),
        _ if !nfe.draft.production => Some("SEM VALOR FISCAL"),
        _ => None,
    }
}

/// All the boxes below the head.
pub(crate) fn blocks(nfe: &Nfe) -> Vec<Block> {
    let (draft, sums) = (&nfe.draft, &nfe.draft.totals);
    let (issuer, buyer) = (&draft.issuer, &draft.buyer);
    let at = local(nfe.authorized_at.unwrap_or(nfe.created_at)).strftime("%d/%m/%Y %H:%M:%S").to_string();
    let protocol = format!("{} - {at}", nfe.protocol.as_deref().unwrap_or("-"));
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let complement = buyer.complement.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
    let paid = draft.payments.iter().map(|(kind, cents)| format!("{}: {}", payment(kind), money(*cents)));
    let freight = match draft.freight_mode {
        0 => "0 - Por conta do remetente",
        1 => "1 - Por conta do destinatário",
        9 => "9 - Sem frete",
        _ => "Outros",
    };
    let kilograms = format!("{},{:03}", draft.weight_grams / 1000, draft.weight_grams % 1000);
    vec![
        Block {
            title: "",
            rows: vec![
                vec![cell("NATUREZA DA OPERAÇÃO", &draft.nature, 6), cell("PROTOCOLO DE AUTORIZAÇÃO DE USO", protocol, 4)],
                vec![
                    cell("INSCRIÇÃO ESTADUAL", some(&issuer.state_registration), 1),
                    cell("INSC. EST. DO SUBST. TRIBUTÁRIO", "", 1),
                    cell("CNPJ", tax_id(&issuer.tax_id), 1),
                ],
            ],
        },
        Block {
            title: "DESTINATÁRIO / REMETENTE",
            rows: vec![
                vec![
                    cell("NOME / RAZÃO SOCIAL", &buyer.name, 6),
                    cell("CNPJ / CPF", tax_id(&buyer.tax_id), 2),
                    cell("DATA DA EMISSÃO", local(draft.issued_at).strftime("%d/%m/%Y").to_string(), 2),
                ],
                vec![
                    cell("ENDEREÇO", format!("{}, {}{complement}", buyer.street, buyer.number), 5),
                    cell("BAIRRO / DISTRITO", &buyer.district, 3),
                    cell("CEP", cep(&buyer.cep), 2),
                ],
                vec![
                    cell("MUNICÍPIO", &buyer.city, 4),
                    cell("FONE", some(&buyer.phone), 2),
                    cell("UF", &buyer.state, 1),
                    cell("INSCRIÇÃO ESTADUAL", some(&buyer.state_registration), 3),
                ],
            ],
        },
        Block { title: "PAGAMENTO", rows: vec![vec![cell("FORMA", paid.collect::<Vec<_>>().join("; "), 1)]] },
        Block {
            title: "CÁLCULO DO IMPOSTO",
            rows: vec![
                vec![
                    cell("BASE DE CÁLC. DO ICMS", money(sums.icms_base), 1),
                    cell("VALOR DO ICMS", money(sums.icms), 1),
                    cell("ICMS UF DESTINO", money(sums.icms_destination), 1),
                    cell("FCP UF DESTINO", money(sums.fcp_destination), 1),
                    cell("VALOR DO PIS", money(sums.pis), 1),
                    cell("V. TOTAL PRODUTOS", money(sums.products), 1),
                ],
                vec![
                    cell("VALOR DO FRETE", money(sums.freight), 1),
                    cell("VALOR DO SEGURO", money(0), 1),
                    cell("DESCONTO", money(sums.discount), 1),
                    cell("OUTRAS DESPESAS", money(0), 1),
                    cell("VALOR DA COFINS", money(sums.cofins), 1),
                    cell("V. TOTAL DA NOTA", money(sums.invoice), 1),
                ],
            ],
        },
        Block {
            title: "TRANSPORTADOR / VOLUMES TRANSPORTADOS",
            rows: vec![vec![
                cell("FRETE", freight, 4),
                cell("QUANTIDADE", draft.volumes.to_string(), 1),
                cell("ESPÉCIE", if draft.volumes > 0 { "VOLUME" } else { "" }, 2),
                cell("PESO BRUTO", &kilograms, 1),
                cell("PESO LÍQUIDO", &kilograms, 1),
            ]],
        },
    ]
}

fn payment(kind: &str) -> &str {
    match kind {
        "01" => "Dinheiro",
        "03" => "Cartão de crédito",
        "04" => "Cartão de débito",
        "17" => "PIX",
        "18" => "Carteira digital",
        "90" => "Sem pagamento",
        other => other,
    }
}

/// For a person: reads well on a screen, prints on A4.
pub(crate) fn html(nfe: &Nfe) -> String {
    let key = nfe.key.as_deref().unwrap_or_default();
    let blocks: String = blocks(nfe).iter().map(block).collect();
    let rows: String = nfe.draft.items.iter().map(row).collect();
    let heads: String = COLUMNS
        .iter()
        .map(|(name, _, is_number)| format!("<th{}>{name}</th>", if *is_number { " class=n" } else { "" }))
        .collect();
    let [street, city] = lines(&nfe.draft.issuer);
    let letters: String = nfe
        .letters
        .iter()
        .enumerate()
        .map(|(at, letter)| format!("<p><b>Carta de correção {}:</b> {}</p>", at + 1, escape(&letter.text)))
        .collect();
    let stamp = stamp(nfe).map(|words| format!("<div class=stamp>{words}</div>")).unwrap_or_default();
    include_str!("danfe.html")
        .replace("{{NUMBER}}", &number(nfe))
        .replace("{{SERIES}}", &nfe.series.to_string())
        .replace("{{WAY}}", if nfe.draft.is_entry { "0" } else { "1" })
        .replace("{{BARS}}", &svg(key))
        .replace("{{SPACED}}", &spaced(key))
        .replace("{{KEY}}", key)
        .replace("{{STAMP}}", &stamp)
        .replace("{{HEADS}}", &heads)
        .replace("{{LETTERS}}", &letters)
        .replace("{{BLOCKS}}", &blocks)
        .replace("{{ROWS}}", &rows)
        .replace("{{ISSUER}}", &escape(&nfe.draft.issuer.name))
        .replace("{{STREET}}", &escape(&street))
        .replace("{{CITY}}", &escape(&city))
        .replace("{{NOTES}}", &escape(&nfe.draft.notes))
}

fn block(block: &Block) -> String {
    let mut out = String::new();
    if !block.title.is_empty() {
        put(&mut out, format_args!("<h2>{}</h2>", block.title));
    }
    for row in &block.rows {
        out.push_str("<div class=row>");
        for Cell { label, value, share } in row {
            put(&mut out, format_args!("<div style=\"flex:{share}\"><small>{label}</small>{}</div>", escape(value)));
        }
        out.push_str("</div>");
    }
    out
}

fn row(item: &DraftItem) -> String {
    let cells = line(item).into_iter().zip(COLUMNS);
    let cells =
        cells.map(|(text, (_, _, is_number))| format!("<td{}>{}</td>", if is_number { " class=n" } else { "" }, escape(&text)));
    format!("<tr>{}</tr>", cells.collect::<String>())
}

fn svg(key: &str) -> String {
    let (bars, width) = code128::bars(key);
    let mut out =
        format!("<svg viewBox=\"0 0 {width} 40\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Código de barras\">");
    for (at, width) in bars {
        put(&mut out, format_args!("<rect x=\"{at}\" width=\"{width}\" height=\"40\"/>"));
    }
    out + "</svg>"
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}
