//! IBS and CBS in the request. Names as on Focus' page of XML fields, those of reduced rates as several public clients send them.

use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::Money;
use vitrine_kit::nfe::{IbsCbs, IbsCbsAmounts, Item, ReformTax, Totals};
use vitrine_kit::sefaz::{decimal, fine_rate, rate};

type Decimal = Box<RawValue>;

#[derive(Serialize)]
pub(crate) struct ItemIbsCbs<'a> {
    ibs_cbs_situacao_tributaria: &'a str,
    ibs_cbs_classificacao_tributaria: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    amounts: Option<Amounts>,
}

#[derive(Serialize)]
struct Amounts {
    ibs_cbs_base_calculo: Decimal,
    ibs_uf_aliquota: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    ibs_uf_percentual_reducao_aliquota: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ibs_uf_aliquota_efetiva: Option<Decimal>,
    ibs_uf_valor: Decimal,
    ibs_mun_aliquota: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    ibs_mun_percentual_reducao_aliquota: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ibs_mun_aliquota_efetiva: Option<Decimal>,
    ibs_mun_valor: Decimal,
    ibs_valor_total: Decimal,
    cbs_aliquota: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    cbs_percentual_reducao_aliquota: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cbs_aliquota_efetiva: Option<Decimal>,
    cbs_valor: Decimal,
}

#[derive(Serialize)]
pub(crate) struct TotalIbsCbs {
    ibs_cbs_base_calculo: Decimal,
    ibs_uf_valor_total: Decimal,
    ibs_mun_valor_total: Decimal,
    ibs_valor_total: Decimal,
    cbs_valor_total: Decimal,
}

impl<'a> From<&'a IbsCbs> for ItemIbsCbs<'a> {
    fn from(tax: &'a IbsCbs) -> Self {
        Self {
            ibs_cbs_situacao_tributaria: &tax.situation,
            ibs_cbs_classificacao_tributaria: &tax.classification,
            amounts: tax.amounts.as_ref().map(Amounts::from),
        }
    }
}

impl From<&IbsCbsAmounts> for Amounts {
    fn from(amounts: &IbsCbsAmounts) -> Self {
        let IbsCbsAmounts { base, ibs_state, ibs_city, cbs } = amounts;
        let reduction = |tax: &ReformTax| tax.reduction.map(rate);
        let effective = |tax: &ReformTax| tax.reduction.map(|_| fine_rate(tax.effective_rate_e4()));
        Self {
            ibs_cbs_base_calculo: decimal(*base),
            ibs_uf_aliquota: rate(ibs_state.rate),
            ibs_uf_percentual_reducao_aliquota: reduction(ibs_state),
            ibs_uf_aliquota_efetiva: effective(ibs_state),
            ibs_uf_valor: decimal(ibs_state.value),
            ibs_mun_aliquota: rate(ibs_city.rate),
            ibs_mun_percentual_reducao_aliquota: reduction(ibs_city),
            ibs_mun_aliquota_efetiva: effective(ibs_city),
            ibs_mun_valor: decimal(ibs_city.value),
            ibs_valor_total: decimal(both(ibs_state.value, ibs_city.value)),
            cbs_aliquota: rate(cbs.rate),
            cbs_percentual_reducao_aliquota: reduction(cbs),
            cbs_aliquota_efetiva: effective(cbs),
            cbs_valor: decimal(cbs.value),
        }
    }
}

impl TotalIbsCbs {
    /// `None`: no item names IBS and CBS.
    pub(crate) fn of(totals: &Totals, items: &[Item]) -> Option<Self> {
        items.iter().any(|item| item.taxes.ibs_cbs.is_some()).then(|| Self {
            ibs_cbs_base_calculo: decimal(totals.ibs_cbs_base),
            ibs_uf_valor_total: decimal(totals.ibs_state),
            ibs_mun_valor_total: decimal(totals.ibs_city),
            ibs_valor_total: decimal(both(totals.ibs_state, totals.ibs_city)),
            cbs_valor_total: decimal(totals.cbs),
        })
    }
}

/// Both are shares of an amount that fits.
fn both(state: Money, city: Money) -> Money {
    state.checked_add(city).unwrap_or(state)
}
