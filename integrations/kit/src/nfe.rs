//! An NF-e (model 55) as providers get it. Amounts and taxes are computed before: a provider only puts them into its own format.

use jiff::Timestamp;

use crate::{AccessKey, Cep, Cnpj, Email, Money, Phone, TaxId};

/// The longest name, street, number, complement, district, city and SKU that the schema takes (xNome, xLgr, nro, xCpl, xBairro, xMun,
/// cProd).
pub const LINE_MAX: usize = 60;

/// The longest name of an item that the schema takes.
pub const ITEM_NAME_MAX: usize = 120;

/// The environment of the tax authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Homologação: invoices without fiscal value.
    Homologation,
    Production,
}

/// One invoice, complete.
#[derive(Debug, Clone)]
pub struct Nfe {
    /// Our invoice's id without dashes, letters and digits: the idempotency key. A rejected one is sent again under it.
    pub reference: String,
    pub environment: Environment,
    pub issued_at: Timestamp,
    /// "Venda de mercadoria".
    pub nature: String,
    pub purpose: Purpose,
    pub issuer: Issuer,
    pub buyer: Buyer,
    /// 1 to 990.
    pub items: Vec<Item>,
    /// The sums over the items. Both sides check them.
    pub totals: Totals,
    pub payment: Payment,
    pub freight: FreightBy,
    /// The buyer fetches the goods: the sale takes place in the shop's state, wherever the buyer lives.
    pub in_person: bool,
    pub volumes: u32,
    pub weight_grams: u32,
    /// Informações complementares: law texts, the order's number. One line; may be empty.
    pub notes: String,
}

impl Nfe {
    /// Checks that the invoice can be sent. The error names the field and the reason.
    pub fn is_of(&self, environment: Environment, cnpj: &Cnpj) -> Result<(), (&'static str, &'static str)> {
        if self.environment != environment {
            return Err(("environment", "the invoice is for another environment than this shop"));
        }
        if self.issuer.cnpj != *cnpj {
            return Err(("cnpj", "the invoice is of another company than this shop"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Finalidade 1, saída.
    Sale,
    /// Finalidade 4, entrada: goods that came back, with the key of the invoice they left with. Each item says as which of
    /// that invoice's items it left ([`Item::sold_as`]).
    Return { of: AccessKey },
}

/// Código de regime tributário (CRT): 1 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    Simples,
    /// Simples Nacional above the state's sublimit: ICMS like the normal regime.
    SimplesExcess,
    Normal,
    Mei,
}

#[derive(Debug, Clone)]
pub struct Issuer {
    pub cnpj: Cnpj,
    pub legal_name: String,
    pub trade_name: Option<String>,
    /// Digits, or `ISENTO`.
    pub state_registration: String,
    pub regime: Regime,
    pub series: u16,
    pub address: Address,
}

#[derive(Debug, Clone)]
pub struct Buyer {
    pub name: String,
    pub tax_id: TaxId,
    /// Always a final consumer, who may still be registered for ICMS.
    pub registration: Registration,
    pub email: Option<Email>,
    pub phone: Option<Phone>,
    pub address: Address,
}

/// indIEDest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// 1: contributes to ICMS, with this state registration.
    Contributor(String),
    /// 2.
    Exempt,
    /// 9.
    NonContributor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub street: String,
    pub number: String,
    pub complement: Option<String>,
    pub district: String,
    pub city: String,
    /// The IBGE's code of the city, 7 digits.
    pub ibge_city: String,
    /// Two capitals.
    pub state: String,
    pub cep: Cep,
}

#[derive(Debug, Clone)]
pub struct Item {
    /// From 1.
    pub number: u32,
    pub sku: String,
    /// At most [`ITEM_NAME_MAX`] characters, its variant's name among them: a longer one is cut.
    pub name: String,
    /// 8 digits.
    pub ncm: String,
    /// 7 digits.
    pub cest: Option<String>,
    /// 4 digits.
    pub cfop: String,
    /// "UN".
    pub unit: String,
    pub quantity: u32,
    pub unit_price: Money,
    /// quantity × unit price.
    pub gross: Money,
    /// Its share of the order's discount.
    pub discount: Money,
    /// Its share of the order's freight.
    pub freight: Money,
    /// For a return: the item's number in the invoice of the sale.
    pub sold_as: Option<u32>,
    pub taxes: Taxes,
    /// What of its price is taxes, about (vTotTrib, Lei 12.741/2012); `None`: not said.
    pub approximate_taxes: Option<ApproximateTaxes>,
}

/// An estimate for the consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproximateTaxes {
    pub rate: u32,
    pub value: Money,
    /// Who estimated it: "IBPT 26.2.A".
    pub source: String,
}

/// The taxes of one item. Rates are in hundredths of a per cent: 18 % is 1800.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxes {
    /// Origem da mercadoria, 0 to 8.
    pub origin: u8,
    pub icms: Icms,
    pub pis: Contribution,
    pub cofins: Contribution,
    /// The groups of the tax reform; `None`: the seller is still exempt.
    pub ibs_cbs: Option<IbsCbs>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icms {
    /// CSOSN (3 digits) under Simples, CST (2 digits) otherwise.
    pub situation: String,
    /// `None` where the situation has no tax of its own (40, 41, 50, 60, every CSOSN of a shop).
    pub own: Option<IcmsOwn>,
    /// The tax for the buyer's state: sales of the normal regime to a non-contributor elsewhere (EC 87/2015).
    pub difal: Option<Difal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmsOwn {
    /// Percentage by which the base was reduced (CST 20).
    pub reduction: Option<u32>,
    pub base: Money,
    pub rate: u32,
    pub value: Money,
    /// Fundo de combate à pobreza of a sale inside the state (pFCP, vFCP): it is not part of `value`.
    pub fcp: Option<TaxAmount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difal {
    pub base: Money,
    /// Internal rate of the buyer's state.
    pub internal_rate: u32,
    pub interstate_rate: u32,
    pub value: Money,
    /// Fundo de combate à pobreza.
    pub fcp_rate: u32,
    pub fcp_value: Money,
}

/// PIS or COFINS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// CST, 2 digits.
    pub situation: String,
    /// `None` if no tax is due by this invoice (04 to 09, 49, 99).
    pub own: Option<TaxAmount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxAmount {
    pub base: Money,
    pub rate: u32,
    pub value: Money,
}

/// IBS and CBS (LC 214/2025, NT 2025.002).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IbsCbs {
    /// CST, 3 digits.
    pub situation: String,
    /// cClassTrib, 6 digits.
    pub classification: String,
    /// `None` where the situation bears none (410).
    pub amounts: Option<IbsCbsAmounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IbsCbsAmounts {
    pub base: Money,
    pub ibs_state: ReformTax,
    pub ibs_city: ReformTax,
    pub cbs: ReformTax,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReformTax {
    /// The full rate.
    pub rate: u32,
    /// By how much the classification reduces it (gRed); `None`: not at all.
    pub reduction: Option<u32>,
    pub value: Money,
}

impl ReformTax {
    /// The rate that is left (pAliqEfet), in ten-thousandths of a per cent: 60 % off 0.10 % is 400.
    pub fn effective_rate_e4(&self) -> u32 {
        let left = u64::from(10_000_u32.saturating_sub(self.reduction.unwrap_or(0)));
        u32::try_from(u64::from(self.rate) * left / 100).unwrap_or(u32::MAX)
    }
}

/// Σ over the items, to the centavo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub products: Money,
    pub discount: Money,
    pub freight: Money,
    /// products − discount + freight: what the buyer pays.
    pub invoice: Money,
    pub icms_base: Money,
    pub icms: Money,
    pub icms_destination: Money,
    pub fcp_destination: Money,
    /// Of sales inside the state.
    pub fcp: Money,
    pub pis: Money,
    pub cofins: Money,
    pub ibs_cbs_base: Money,
    pub ibs_state: Money,
    pub ibs_city: Money,
    pub cbs: Money,
    pub approximate_taxes: Money,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    pub method: PaidBy,
    pub amount: Money,
}

/// tPag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaidBy {
    /// 17: dynamic PIX, not integrated with the till.
    Pix,
    /// 03, not integrated with the till.
    CreditCard,
    /// 18: transfer, digital wallet.
    Wallet,
    /// 90: nothing is paid (returns, gifts).
    Nothing,
}

/// modFrete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreightBy {
    /// 0: the seller pays the carrier.
    Seller,
    /// 9: the buyer fetches it.
    None,
}
