//! An item of an invoice and its taxes.

use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::Money;
use vitrine_kit::nfe::{ApproximateTaxes, Contribution, Difal, ITEM_NAME_MAX, IbsCbs, Icms, Item, Taxes};
use vitrine_kit::sefaz::{self, decimal, rate};

type Decimal = Box<RawValue>;

/// Valor da operação: the base is the price.
const BASE_IS_THE_PRICE: u8 = 3;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    cfop: &'a str,
    codigo: String,
    sku: String,
    descricao: String,
    ncm: &'a str,
    cest: Option<&'a str>,
    quantidade: u32,
    unidade_medida: String,
    valor_unitario: Decimal,
    descontos: Decimal,
    frete: Decimal,
    impostos: Impostos<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Impostos<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    percentual_aproximado_tributos: Option<Aproximado<'a>>,
    icms: ItemIcms<'a>,
    pis: ItemContribution<'a>,
    cofins: ItemContribution<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ibs_cbs: Option<ItemIbsCbs<'a>>,
}

/// What of the price is taxes, about (Lei 12.741/2012).
#[derive(Serialize)]
struct Aproximado<'a> {
    simplificado: Simplificado,
    fonte: &'a str,
}

#[derive(Serialize)]
struct Simplificado {
    percentual: Decimal,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemIcms<'a> {
    situacao_tributaria: &'a str,
    origem: u8,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    own: Option<OwnIcms>,
    /// The gateway would compute DIFAL with its own rates.
    nao_calcular_difal: bool,
    /// The same for FCP. Inside the state no field for it is known: where it is due, the gateway is left to compute it.
    #[serde(rename = "naoCalcularFCP")]
    nao_calcular_fcp: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    difal: Option<ItemDifal>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnIcms {
    modalidade_base_calculo: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentual_reducao_base_calculo: Option<Decimal>,
    base_calculo: Decimal,
    aliquota: Decimal,
    valor: Decimal,
}

/// Field names as in public clients.
#[derive(Serialize)]
struct ItemDifal {
    #[serde(rename = "baseCalculoUFDestinoDifal")]
    base: Decimal,
    #[serde(rename = "aliquotaUFDestinoDifal")]
    internal_rate: Decimal,
    #[serde(rename = "aliquotaInterestadualDifal")]
    interstate_rate: Decimal,
    /// 100 % since 2019.
    #[serde(rename = "percentualPartilhaInterestadualDifal")]
    share: Decimal,
    #[serde(rename = "valorUFDestinoDifal")]
    value: Decimal,
    #[serde(rename = "valorUFOrigemDifal")]
    origin_value: Decimal,
    #[serde(rename = "baseCalculoFundoCombatePobrezaDifal")]
    fcp_base: Decimal,
    #[serde(rename = "percentualFCPDifal")]
    fcp_rate: Decimal,
    #[serde(rename = "valorFCPDifal")]
    fcp_value: Decimal,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemContribution<'a> {
    situacao_tributaria: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    por_aliquota: Option<ByRate>,
}

#[derive(Serialize)]
struct ByRate {
    aliquota: Decimal,
}

/// Unconfirmed for goods: one public client sends the classification under this name. No amounts are sent: the gateway computes
/// them by the legal rates.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemIbsCbs<'a> {
    situacao_tributaria: &'a str,
    classificacao_tributaria: &'a str,
}

impl<'a> From<&'a Item> for Line<'a> {
    fn from(item: &'a Item) -> Self {
        Self {
            cfop: &item.cfop,
            codigo: sefaz::text(&item.sku, 60),
            sku: sefaz::text(&item.sku, 60),
            descricao: sefaz::text(&item.name, ITEM_NAME_MAX),
            ncm: &item.ncm,
            cest: item.cest.as_deref(),
            quantidade: item.quantity,
            unidade_medida: sefaz::text(&item.unit, 6),
            valor_unitario: decimal(item.unit_price),
            descontos: decimal(item.discount),
            frete: decimal(item.freight),
            impostos: Impostos::of(&item.taxes, item.approximate_taxes.as_ref()),
        }
    }
}

impl<'a> Impostos<'a> {
    fn of(taxes: &'a Taxes, approximate: Option<&'a ApproximateTaxes>) -> Self {
        Self {
            percentual_aproximado_tributos: approximate
                .map(|taxes| Aproximado { simplificado: Simplificado { percentual: rate(taxes.rate) }, fonte: &taxes.source }),
            icms: ItemIcms::of(&taxes.icms, taxes.origin),
            pis: ItemContribution::from(&taxes.pis),
            cofins: ItemContribution::from(&taxes.cofins),
            ibs_cbs: taxes.ibs_cbs.as_ref().map(ItemIbsCbs::from),
        }
    }
}

impl<'a> ItemIcms<'a> {
    fn of(icms: &'a Icms, origem: u8) -> Self {
        Self {
            situacao_tributaria: &icms.situation,
            origem,
            own: icms.own.as_ref().map(|own| OwnIcms {
                modalidade_base_calculo: BASE_IS_THE_PRICE,
                percentual_reducao_base_calculo: own.reduction.map(rate),
                base_calculo: decimal(own.base),
                aliquota: rate(own.rate),
                valor: decimal(own.value),
            }),
            nao_calcular_difal: icms.difal.is_none(),
            nao_calcular_fcp: icms.difal.is_none_or(|difal| difal.fcp_rate == 0) && icms.own.is_none_or(|own| own.fcp.is_none()),
            difal: icms.difal.as_ref().map(ItemDifal::from),
        }
    }
}

impl From<&Difal> for ItemDifal {
    fn from(difal: &Difal) -> Self {
        let fcp_base = if difal.fcp_rate > 0 { difal.base } else { Money::ZERO };
        Self {
            base: decimal(difal.base),
            internal_rate: rate(difal.internal_rate),
            interstate_rate: rate(difal.interstate_rate),
            share: rate(10_000),
            value: decimal(difal.value),
            origin_value: decimal(Money::ZERO),
            fcp_base: decimal(fcp_base),
            fcp_rate: rate(difal.fcp_rate),
            fcp_value: decimal(difal.fcp_value),
        }
    }
}

impl<'a> From<&'a Contribution> for ItemContribution<'a> {
    fn from(contribution: &'a Contribution) -> Self {
        Self {
            situacao_tributaria: &contribution.situation,
            por_aliquota: contribution.own.map(|own| ByRate { aliquota: rate(own.rate) }),
        }
    }
}

impl<'a> From<&'a IbsCbs> for ItemIbsCbs<'a> {
    fn from(tax: &'a IbsCbs) -> Self {
        Self { situacao_tributaria: &tax.situation, classificacao_tributaria: &tax.classification }
    }
}
