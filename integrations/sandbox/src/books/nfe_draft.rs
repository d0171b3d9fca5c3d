//! An invoice to be authorised, in a format that is independent of both providers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An invoice before it has a number. Names and documents are in it: out of `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub production: bool,
    pub nature: String,
    pub issued_at: Timestamp,
    /// Goods come in (tpNF 0): returns.
    pub is_entry: bool,
    /// finNFe: 1 normal, 4 return.
    pub purpose: u8,
    /// idDest: 1 the issuer's state, 2 another.
    pub destination: u8,
    pub is_final_consumer: bool,
    /// indPres and indIntermed.
    pub presence: u8,
    pub intermediary: Option<u8>,
    /// modFrete.
    pub freight_mode: u8,
    /// Key of an invoice that the head of this one names (NFref).
    pub referenced: Option<String>,
    pub issuer: Party,
    /// CRT.
    pub regime: u8,
    pub series: u16,
    pub buyer: Party,
    /// indIEDest.
    pub buyer_indicator: u8,
    pub items: Vec<DraftItem>,
    pub totals: Sums,
    /// tPag and its amount.
    pub payments: Vec<(String, i64)>,
    pub volumes: u32,
    pub weight_grams: i64,
    pub notes: String,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("totals", &self.totals).finish_non_exhaustive()
    }
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub name: String,
    pub trade_name: Option<String>,
    pub tax_id: String,
    pub state_registration: Option<String>,
    pub street: String,
    pub number: String,
    pub complement: Option<String>,
    pub district: String,
    pub city: String,
    /// Empty where a provider finds it by the city's name.
    pub ibge_city: String,
    pub state: String,
    pub cep: String,
    pub phone: Option<String>,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party").finish_non_exhaustive()
    }
}

/// Amounts are centavos, quantities and unit prices ten-thousandths, rates ten-thousandths of a per cent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftItem {
    pub number: u32,
    pub code: String,
    pub name: String,
    pub ncm: String,
    pub cest: Option<String>,
    pub cfop: String,
    pub unit: String,
    pub quantity_e4: i64,
    pub unit_price_e4: i64,
    pub gross_cents: i64,
    pub discount_cents: i64,
    pub freight_cents: i64,
    pub origin: u8,
    /// CST or CSOSN.
    pub situation: String,
    pub icms: Option<Tax>,
    /// By how much the base of ICMS is reduced (CST 20).
    pub icms_reduction_e4: Option<i64>,
    /// The poverty fund of a sale inside the state.
    pub fcp: Option<Tax>,
    pub difal: Option<Difal>,
    pub pis_situation: String,
    pub pis: Option<Tax>,
    pub cofins_situation: String,
    pub cofins: Option<Tax>,
    pub ibs_cbs: Option<IbsCbs>,
    /// vTotTrib.
    pub approximate_cents: Option<i64>,
    pub referenced: Option<Referenced>,
}

/// DFeReferenciado: an item of another invoice, by that one's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referenced {
    pub key: String,
    pub item: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    pub base_cents: i64,
    pub rate_e4: i64,
    pub value_cents: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difal {
    pub base_cents: i64,
    pub internal_e4: i64,
    pub interstate_e4: i64,
    pub value_cents: i64,
    pub fcp_rate_e4: i64,
    pub fcp_cents: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IbsCbs {
    pub situation: String,
    pub classification: String,
    /// gIBSCBS; none where the situation bears none.
    pub amounts: Option<IbsCbsAmounts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IbsCbsAmounts {
    pub base_cents: i64,
    pub ibs_state: ReformTax,
    pub ibs_city: ReformTax,
    pub cbs: ReformTax,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReformTax {
    pub rate_e4: i64,
    /// gRed: by how much the rate is reduced, and what is left of it.
    pub reduced: Option<Reduced>,
    pub value_cents: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduced {
    pub by_e4: i64,
    pub to_e4: i64,
}

/// Totals of the invoice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    pub products: i64,
    pub discount: i64,
    pub freight: i64,
    pub invoice: i64,
    pub icms_base: i64,
    pub icms: i64,
    pub icms_destination: i64,
    pub fcp_destination: i64,
    pub fcp: i64,
    pub pis: i64,
    pub cofins: i64,
    pub ibs_cbs_base: i64,
    pub ibs: i64,
    pub cbs: i64,
    pub approximate: i64,
}

impl DraftItem {
    /// Its amounts of IBS and CBS; zero where it has none.
    pub(crate) fn reform(&self) -> IbsCbsAmounts {
        self.ibs_cbs.as_ref().and_then(|tax| tax.amounts).unwrap_or_default()
    }

    /// Its part of the invoice's total (vItem).
    pub fn total_cents(&self) -> i64 {
        self.gross_cents - self.discount_cents + self.freight_cents
    }
}

impl Draft {
    /// Key of the invoice that this one takes back.
    pub(crate) fn takes_back(&self) -> Option<&str> {
        self.items.iter().find_map(|item| item.referenced.as_ref()).map(|of| of.key.as_str())
    }

    /// What the items add up to.
    pub(crate) fn sums(&self) -> Sums {
        let sum = |of: fn(&DraftItem) -> i64| self.items.iter().map(of).sum::<i64>();
        let mut sums = Sums {
            products: sum(|item| item.gross_cents),
            discount: sum(|item| item.discount_cents),
            freight: sum(|item| item.freight_cents),
            invoice: 0,
            icms_base: sum(|item| item.icms.map_or(0, |tax| tax.base_cents)),
            icms: sum(|item| item.icms.map_or(0, |tax| tax.value_cents)),
            icms_destination: sum(|item| item.difal.map_or(0, |difal| difal.value_cents)),
            fcp_destination: sum(|item| item.difal.map_or(0, |difal| difal.fcp_cents)),
            fcp: sum(|item| item.fcp.map_or(0, |tax| tax.value_cents)),
            pis: sum(|item| item.pis.map_or(0, |tax| tax.value_cents)),
            cofins: sum(|item| item.cofins.map_or(0, |tax| tax.value_cents)),
            ibs_cbs_base: sum(|item| item.reform().base_cents),
            ibs: sum(|item| item.reform().ibs_state.value_cents + item.reform().ibs_city.value_cents),
            cbs: sum(|item| item.reform().cbs.value_cents),
            approximate: sum(|item| item.approximate_cents.unwrap_or(0)),
        };
        sums.invoice = sums.products - sums.discount + sums.freight;
        sums
    }
}
