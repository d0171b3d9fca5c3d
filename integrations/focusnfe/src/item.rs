//! An item of an invoice and its taxes.

use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::nfe::{Contribution, Difal, ITEM_NAME_MAX, IcmsOwn, Item, TaxAmount};
use vitrine_kit::sefaz::{self, decimal, rate};
use vitrine_kit::{AccessKey, Money};

use crate::reform::ItemIbsCbs;

type Decimal = Box<RawValue>;

/// Valor da operação: the base is the price.
const BASE_IS_THE_PRICE: u8 = 3;

#[derive(Serialize)]
pub(crate) struct Line<'a> {
    numero_item: u32,
    codigo_produto: String,
    descricao: String,
    codigo_ncm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cest: Option<&'a str>,
    cfop: &'a str,
    unidade_comercial: String,
    quantidade_comercial: u32,
    valor_unitario_comercial: Decimal,
    unidade_tributavel: String,
    quantidade_tributavel: u32,
    valor_unitario_tributavel: Decimal,
    valor_bruto: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_desconto: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_frete: Option<Decimal>,
    inclui_no_total: u8,
    /// What of its price is taxes, about (vTotTrib).
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_total_tributos: Option<Decimal>,
    icms_origem: u8,
    icms_situacao_tributaria: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    icms: Option<ItemIcms>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    difal: Option<ItemDifal>,
    pis_situacao_tributaria: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pis: Option<ItemPis>,
    cofins_situacao_tributaria: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    cofins: Option<ItemCofins>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ibs_cbs: Option<ItemIbsCbs<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    referenced: Option<Referenced<'a>>,
}

/// The sale that an item gives back. Since November 2026 each item names it (NT 2025.002, VC02-14): in the head of the note, as
/// `notas_referenciadas`, it is rejection 321, and in both places 1010.
#[derive(Serialize)]
struct Referenced<'a> {
    chave_acesso_dfe_referenciado: &'a str,
    numero_item_dfe_referenciado: String,
}

#[derive(Serialize)]
struct ItemIcms {
    icms_modalidade_base_calculo: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    icms_reducao_base_calculo: Option<Decimal>,
    icms_base_calculo: Decimal,
    icms_aliquota: Decimal,
    icms_valor: Decimal,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    fcp: Option<OwnFcp>,
}

/// The poverty fund inside the state. With CST 00 the schema knows no base of its own: it is that of the ICMS.
#[derive(Serialize)]
struct OwnFcp {
    #[serde(skip_serializing_if = "Option::is_none")]
    fcp_base_calculo: Option<Decimal>,
    fcp_percentual: Decimal,
    fcp_valor: Decimal,
}

#[derive(Serialize)]
struct ItemDifal {
    icms_base_calculo_uf_destino: Decimal,
    icms_aliquota_interna_uf_destino: Decimal,
    icms_aliquota_interestadual: Decimal,
    /// 100 % since 2019.
    icms_percentual_partilha: Decimal,
    icms_valor_uf_destino: Decimal,
    icms_valor_uf_remetente: Decimal,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    fcp: Option<ItemFcp>,
}

#[derive(Serialize)]
struct ItemFcp {
    fcp_base_calculo_uf_destino: Decimal,
    fcp_percentual_uf_destino: Decimal,
    fcp_valor_uf_destino: Decimal,
}

#[derive(Serialize)]
struct ItemPis {
    pis_base_calculo: Decimal,
    pis_aliquota_porcentual: Decimal,
    pis_valor: Decimal,
}

#[derive(Serialize)]
struct ItemCofins {
    cofins_base_calculo: Decimal,
    cofins_aliquota_porcentual: Decimal,
    cofins_valor: Decimal,
}

impl<'a> Line<'a> {
    /// `sale`: the invoice that the item gives back.
    pub(crate) fn of(item: &'a Item, sale: Option<&'a AccessKey>) -> Self {
        let taxes = &item.taxes;
        let some = |amount: Money| (!amount.is_zero()).then(|| decimal(amount));
        Self {
            numero_item: item.number,
            codigo_produto: sefaz::text(&item.sku, 60),
            descricao: sefaz::text(&item.name, ITEM_NAME_MAX),
            codigo_ncm: &item.ncm,
            cest: item.cest.as_deref(),
            cfop: &item.cfop,
            unidade_comercial: sefaz::text(&item.unit, 6),
            quantidade_comercial: item.quantity,
            valor_unitario_comercial: decimal(item.unit_price),
            unidade_tributavel: sefaz::text(&item.unit, 6),
            quantidade_tributavel: item.quantity,
            valor_unitario_tributavel: decimal(item.unit_price),
            valor_bruto: decimal(item.gross),
            valor_desconto: some(item.discount),
            valor_frete: some(item.freight),
            inclui_no_total: 1,
            valor_total_tributos: item.approximate_taxes.as_ref().map(|taxes| decimal(taxes.value)),
            icms_origem: taxes.origin,
            icms_situacao_tributaria: &taxes.icms.situation,
            icms: taxes.icms.own.as_ref().map(ItemIcms::from),
            difal: taxes.icms.difal.as_ref().map(ItemDifal::from),
            pis_situacao_tributaria: &taxes.pis.situation,
            pis: own(&taxes.pis).map(|(pis_base_calculo, pis_aliquota_porcentual, pis_valor)| ItemPis {
                pis_base_calculo,
                pis_aliquota_porcentual,
                pis_valor,
            }),
            cofins_situacao_tributaria: &taxes.cofins.situation,
            cofins: own(&taxes.cofins).map(|(cofins_base_calculo, cofins_aliquota_porcentual, cofins_valor)| ItemCofins {
                cofins_base_calculo,
                cofins_aliquota_porcentual,
                cofins_valor,
            }),
            ibs_cbs: taxes.ibs_cbs.as_ref().map(ItemIbsCbs::from),
            referenced: sale.zip(item.sold_as).map(|(key, number)| Referenced {
                chave_acesso_dfe_referenciado: key.as_str(),
                numero_item_dfe_referenciado: number.to_string(),
            }),
        }
    }
}

fn own(contribution: &Contribution) -> Option<(Decimal, Decimal, Decimal)> {
    let TaxAmount { base, rate: hundredths, value } = contribution.own?;
    Some((decimal(base), rate(hundredths), decimal(value)))
}

impl From<&IcmsOwn> for ItemIcms {
    fn from(own: &IcmsOwn) -> Self {
        Self {
            icms_modalidade_base_calculo: BASE_IS_THE_PRICE,
            icms_reducao_base_calculo: own.reduction.map(rate),
            icms_base_calculo: decimal(own.base),
            icms_aliquota: rate(own.rate),
            icms_valor: decimal(own.value),
            fcp: own.fcp.map(|fcp| OwnFcp {
                fcp_base_calculo: own.reduction.map(|_| decimal(fcp.base)),
                fcp_percentual: rate(fcp.rate),
                fcp_valor: decimal(fcp.value),
            }),
        }
    }
}

impl From<&Difal> for ItemDifal {
    fn from(difal: &Difal) -> Self {
        Self {
            icms_base_calculo_uf_destino: decimal(difal.base),
            icms_aliquota_interna_uf_destino: rate(difal.internal_rate),
            icms_aliquota_interestadual: rate(difal.interstate_rate),
            icms_percentual_partilha: rate(10_000),
            icms_valor_uf_destino: decimal(difal.value),
            icms_valor_uf_remetente: decimal(Money::ZERO),
            fcp: (difal.fcp_rate > 0).then(|| ItemFcp {
                fcp_base_calculo_uf_destino: decimal(difal.base),
                fcp_percentual_uf_destino: rate(difal.fcp_rate),
                fcp_valor_uf_destino: decimal(difal.fcp_value),
            }),
        }
    }
}
