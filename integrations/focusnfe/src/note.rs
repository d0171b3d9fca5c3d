//! The request for an invoice. Amounts are decimals with two places and never floats; text is in the characters and lengths of
//! the tax authority's schema.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::Money;
use vitrine_kit::nfe::{FreightBy, Item, Nfe, PaidBy, Purpose, Totals};
use vitrine_kit::sefaz::{self, decimal, kilograms};

use crate::item::Line;
use crate::parties::{Destinatario, Emitente};
use crate::reform::TotalIbsCbs;

type Decimal = Box<RawValue>;

#[derive(Serialize)]
pub(crate) struct Note<'a> {
    natureza_operacao: String,
    serie: u16,
    data_emissao: String,
    /// 0 in, 1 out.
    tipo_documento: u8,
    /// 1: the goods are handed over in the issuer's state; 2: in another.
    local_destino: u8,
    finalidade_emissao: u8,
    consumidor_final: u8,
    presenca_comprador: u8,
    /// 0: sold on the shop's own site. Rejection 434 asks for it in internet sales, 435 forbids it in sales at the counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    indicador_intermediario: Option<u8>,
    modalidade_frete: u8,
    #[serde(flatten)]
    emitente: Emitente<'a>,
    #[serde(flatten)]
    destinatario: Destinatario<'a>,
    #[serde(flatten)]
    totais: Totais,
    items: Vec<Line<'a>>,
    formas_pagamento: [Pagamento; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volumes>,
    #[serde(skip_serializing_if = "String::is_empty")]
    informacoes_adicionais_contribuinte: String,
}

/// Focus would add them up itself; sent along, a difference is refused instead of issued.
#[derive(Serialize)]
struct Totais {
    valor_produtos: Decimal,
    valor_desconto: Decimal,
    valor_frete: Decimal,
    valor_total: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_total_tributos: Option<Decimal>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    icms: Option<TotalIcms>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    difal: Option<TotalDifal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_pis: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valor_cofins: Option<Decimal>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ibs_cbs: Option<TotalIbsCbs>,
}

#[derive(Serialize)]
struct TotalIcms {
    icms_base_calculo: Decimal,
    icms_valor_total: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcp_valor_total: Option<Decimal>,
}

#[derive(Serialize)]
struct TotalDifal {
    icms_valor_total_uf_destino: Decimal,
    icms_valor_total_uf_remetente: Decimal,
    fcp_valor_total_uf_destino: Decimal,
}

#[derive(Serialize)]
struct Pagamento {
    forma_pagamento: &'static str,
    valor_pagamento: Decimal,
    /// 2: payment terminal and till are not integrated. For cards and PIX.
    #[serde(skip_serializing_if = "Option::is_none")]
    tipo_integracao: Option<u8>,
}

#[derive(Serialize)]
struct Volumes {
    quantidade: u32,
    especie: &'static str,
    peso_liquido: Decimal,
    peso_bruto: Decimal,
}

impl<'a> From<&'a Nfe> for Note<'a> {
    fn from(nfe: &'a Nfe) -> Self {
        let (tipo_documento, finalidade_emissao, of) = match &nfe.purpose {
            Purpose::Sale => (1, 1, None),
            Purpose::Return { of } => (0, 4, Some(of)),
        };
        let volumes = Volumes {
            quantidade: nfe.volumes,
            especie: "VOLUME",
            peso_liquido: kilograms(nfe.weight_grams),
            peso_bruto: kilograms(nfe.weight_grams),
        };
        Self {
            natureza_operacao: sefaz::text(&nfe.nature, 60),
            serie: nfe.issuer.series,
            data_emissao: time(nfe.issued_at),
            tipo_documento,
            local_destino: if nfe.in_person || nfe.issuer.address.state == nfe.buyer.address.state { 1 } else { 2 },
            finalidade_emissao,
            consumidor_final: 1,
            presenca_comprador: if nfe.in_person { 1 } else { 2 },
            indicador_intermediario: (!nfe.in_person).then_some(0),
            modalidade_frete: match nfe.freight {
                FreightBy::Seller => 0,
                FreightBy::None => 9,
            },
            emitente: Emitente::from(&nfe.issuer),
            destinatario: Destinatario::of(&nfe.buyer, nfe.environment),
            totais: Totais::of(&nfe.totals, &nfe.items),
            items: nfe.items.iter().map(|item| Line::of(item, of)).collect(),
            formas_pagamento: [Pagamento {
                forma_pagamento: match nfe.payment.method {
                    PaidBy::Pix => "17",
                    PaidBy::CreditCard => "03",
                    PaidBy::Wallet => "18",
                    PaidBy::Nothing => "90",
                },
                valor_pagamento: decimal(nfe.payment.amount),
                tipo_integracao: matches!(nfe.payment.method, PaidBy::CreditCard | PaidBy::Pix).then_some(2),
            }],
            volumes: if nfe.volumes > 0 { vec![volumes] } else { Vec::new() },
            informacoes_adicionais_contribuinte: sefaz::text(&nfe.notes, 5000),
        }
    }
}

/// In Brasília's offset: any is accepted, and with this one the key has the shop's month.
fn time(at: Timestamp) -> String {
    let brasilia = TimeZone::fixed(Offset::constant(-3));
    at.to_zoned(brasilia).strftime("%Y-%m-%dT%H:%M:%S-03:00").to_string()
}

impl Totais {
    /// The groups that at least one item has.
    fn of(totals: &Totals, items: &[Item]) -> Self {
        let some = |has: fn(&Item) -> bool| items.iter().any(has);
        Self {
            valor_produtos: decimal(totals.products),
            valor_desconto: decimal(totals.discount),
            valor_frete: decimal(totals.freight),
            valor_total: decimal(totals.invoice),
            valor_total_tributos: some(|item| item.approximate_taxes.is_some()).then(|| decimal(totals.approximate_taxes)),
            icms: some(|item| item.taxes.icms.own.is_some()).then(|| TotalIcms {
                icms_base_calculo: decimal(totals.icms_base),
                icms_valor_total: decimal(totals.icms),
                fcp_valor_total: (!totals.fcp.is_zero()).then(|| decimal(totals.fcp)),
            }),
            difal: some(|item| item.taxes.icms.difal.is_some()).then(|| TotalDifal {
                icms_valor_total_uf_destino: decimal(totals.icms_destination),
                icms_valor_total_uf_remetente: decimal(Money::ZERO),
                fcp_valor_total_uf_destino: decimal(totals.fcp_destination),
            }),
            valor_pis: some(|item| item.taxes.pis.own.is_some()).then(|| decimal(totals.pis)),
            valor_cofins: some(|item| item.taxes.cofins.own.is_some()).then(|| decimal(totals.cofins)),
            ibs_cbs: TotalIbsCbs::of(totals, items),
        }
    }
}
