//! What the month's invoices add up to, read from the XMLs themselves.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};
use vitrine_kit::Money;

use super::entry::Entry;
use crate::error::{Error, Result};
use crate::sale::states::InvoiceStatus;

/// The columns, and where they stand in an item's XML: a group that the element is in, and the element.
const COLUMNS: [(&str, &str, &str); 16] = [
    ("produtos", "prod", "vProd"),
    ("desconto", "prod", "vDesc"),
    ("frete", "prod", "vFrete"),
    ("icms_base", "ICMS", "vBC"),
    ("icms", "ICMS", "vICMS"),
    ("fcp", "ICMS", "vFCP"),
    ("icms_uf_destino", "ICMSUFDest", "vICMSUFDest"),
    ("fcp_uf_destino", "ICMSUFDest", "vFCPUFDest"),
    ("pis", "PIS", "vPIS"),
    ("cofins", "COFINS", "vCOFINS"),
    ("ibs_cbs_base", "gIBSCBS", "vBC"),
    ("ibs_uf", "gIBSUF", "vIBSUF"),
    ("ibs_municipio", "gIBSMun", "vIBSMun"),
    ("cbs", "gCBS", "vCBS"),
    ("tributos_aproximados", "imposto", "vTotTrib"),
    ("ipi", "IPI", "vIPI"),
];
/// The columns that are taxes.
const TAXES: [&str; 10] =
    ["icms", "fcp", "icms_uf_destino", "fcp_uf_destino", "pis", "cofins", "ibs_uf", "ibs_municipio", "cbs", "ipi"];

/// Amounts in the order of [`COLUMNS`].
type Amounts = [Money; COLUMNS.len()];

/// An invoice whose XML does not say what the row says, or is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Unlike {
    pub key: String,
    pub order_number: String,
    pub by_row: Money,
    /// `None`: there is no XML, or it cannot be read.
    pub by_xml: Option<Money>,
}

#[derive(Debug, Default)]
pub struct Sums {
    /// By whether it is a return, and the CFOP: how many items, and their amounts.
    lines: BTreeMap<(bool, String), (u64, Amounts)>,
    pub sales: (u64, Money),
    pub returns: (u64, Money),
    pub cancelled: u64,
    pub unlike: Vec<Unlike>,
}

impl Sums {
    pub fn add(&mut self, entry: &Entry) {
        self.cancelled += u64::from(entry.status == InvoiceStatus::Cancelled);
        if !entry.stands() {
            return;
        }
        let (count, total) = if entry.is_return { &mut self.returns } else { &mut self.sales };
        *count += 1;
        *total = total.checked_add(entry.total).unwrap_or(*total);
        let by_xml = entry.xml.as_deref().and_then(|xml| self.add_items(entry.is_return, xml));
        if by_xml != Some(entry.total) {
            let (key, order_number) = (entry.key.clone(), entry.order_number.clone());
            self.unlike.push(Unlike { key, order_number, by_row: entry.total, by_xml });
        }
    }

    /// The invoice's total; `None`: it cannot be read.
    fn add_items(&mut self, is_return: bool, xml: &[u8]) -> Option<Money> {
        let document = Document::parse(std::str::from_utf8(xml).ok()?).ok()?;
        for item in document.descendants().filter(|node| node.has_tag_name_of("det")) {
            let cfop = text(&item, "prod", "CFOP").unwrap_or_default().to_owned();
            let line = self.lines.entry((is_return, cfop)).or_default();
            line.0 += 1;
            for (sum, (_, group, name)) in line.1.iter_mut().zip(COLUMNS) {
                *sum = sum.checked_add(amount(&item, group, name)).unwrap_or(*sum);
            }
        }
        let total = document.descendants().find(|node| node.has_tag_name_of("ICMSTot"))?;
        let total = total.children().find(|node| node.has_tag_name_of("vNF"))?;
        Money::parse_decimal(total.text()?)
    }

    /// One line per kind and CFOP.
    pub fn by_cfop(&self) -> Result<String> {
        let mut table = csv::Writer::from_writer(Vec::new());
        let head = ["operacao", "cfop", "itens"].into_iter().chain(COLUMNS.map(|(name, ..)| name));
        table.write_record(head).map_err(failed)?;
        for ((is_return, cfop), (count, amounts)) in &self.lines {
            let kind = if *is_return { "devolucao" } else { "venda" };
            let cells = [kind.to_owned(), cfop.clone(), count.to_string()].into_iter().chain(amounts.map(Money::to_decimal));
            table.write_record(cells).map_err(failed)?;
        }
        finish(table)
    }

    /// One line per tax: of sales, of returns, and what is left.
    pub fn by_tax(&self) -> Result<String> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["imposto", "vendas", "devolucoes", "liquido"]).map_err(failed)?;
        for tax in TAXES {
            let [sales, returns] = [false, true].map(|is_return| self.sum(tax, is_return));
            let left = sales.checked_sub(returns).unwrap_or(Money::ZERO);
            table.write_record([tax.to_owned(), sales.to_decimal(), returns.to_decimal(), left.to_decimal()]).map_err(failed)?;
        }
        finish(table)
    }

    fn sum(&self, column: &str, is_return: bool) -> Money {
        let Some(at) = COLUMNS.iter().position(|(name, ..)| *name == column) else { return Money::ZERO };
        let lines = self.lines.iter().filter(|((kind, _), _)| *kind == is_return);
        Money::sum(lines.map(|(_, (_, amounts))| amounts[at])).unwrap_or(Money::ZERO)
    }
}

/// By its name alone: all of an NF-e is in one namespace.
trait Named {
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn text<'a>(item: &Node<'a, '_>, group: &str, name: &str) -> Option<&'a str> {
    let group = item.descendants().find(|node| node.has_tag_name_of(group))?;
    group.descendants().find(|node| node.has_tag_name_of(name))?.text()
}

fn amount(item: &Node<'_, '_>, group: &str, name: &str) -> Money {
    text(item, group, name).and_then(Money::parse_decimal).unwrap_or(Money::ZERO)
}

pub fn finish(table: csv::Writer<Vec<u8>>) -> Result<String> {
    let bytes = table.into_inner().map_err(|e| Error::Internal(format!("the table was not written: {e}")))?;
    String::from_utf8(bytes).map_err(|e| Error::Internal(format!("the table was not written: {e}")))
}

pub fn failed(error: csv::Error) -> Error {
    Error::Internal(format!("the table was not written: {error}"))
}
