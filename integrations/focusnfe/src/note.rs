//! The request for an invoice. Amounts are decimals with two places and never floats; text is in the characters and lengths of
//! the tax authority's schema.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::fiscal::{
    Buyer, Contribution, Difal, Environment, FreightBy, ITEM_NAME_MAX, IcmsOwn, Issuer, Item, Nfe, PaidBy, Purpose, Regime,
    Registration, TaxAmount, Totals,
};
use vitrine_kit::sefaz::{self, decimal, kilograms, rate};
use vitrine_kit::{AccessKey, Money, Phone, TaxId};

use crate::reform::{ItemIbsCbs, TotalIbsCbs};

type Decimal = Box<RawValue>;

/// Valor da operação: the base is the price.
const BASE_IS_THE_PRICE: u8 = 3;

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

#[derive(Serialize)]
struct Emitente<'a> {
    cnpj_emitente: &'a str,
    inscricao_estadual_emitente: &'a str,
    nome_emitente: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nome_fantasia_emitente: Option<String>,
    regime_tributario_emitente: u8,
    logradouro_emitente: String,
    numero_emitente: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    complemento_emitente: Option<String>,
    bairro_emitente: String,
    codigo_municipio_emitente: &'a str,
    municipio_emitente: String,
    uf_emitente: &'a str,
    cep_emitente: &'a str,
}

#[derive(Serialize)]
struct Destinatario<'a> {
    nome_destinatario: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpf_destinatario: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnpj_destinatario: Option<&'a str>,
    indicador_inscricao_estadual_destinatario: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    inscricao_estadual_destinatario: Option<&'a str>,
    logradouro_destinatario: String,
    numero_destinatario: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    complemento_destinatario: Option<String>,
    bairro_destinatario: String,
    codigo_municipio_destinatario: &'a str,
    municipio_destinatario: String,
    uf_destinatario: &'a str,
    cep_destinatario: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    telefone_destinatario: Option<&'a str>,
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
struct Line<'a> {
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

/// `None` for a text that is empty after conversion.
fn optional(text: Option<&str>, limit: usize) -> Option<String> {
    text.map(|text| sefaz::text(text, limit)).filter(|text| !text.is_empty())
}

fn house_number(given: &str) -> String {
    let number = sefaz::text(given, 60);
    if number.is_empty() { "S/N".to_owned() } else { number }
}

impl<'a> From<&'a Issuer> for Emitente<'a> {
    fn from(issuer: &'a Issuer) -> Self {
        let at = &issuer.address;
        Self {
            cnpj_emitente: issuer.cnpj.as_str(),
            inscricao_estadual_emitente: &issuer.state_registration,
            nome_emitente: sefaz::text(&issuer.legal_name, 60),
            nome_fantasia_emitente: optional(issuer.trade_name.as_deref(), 60),
            regime_tributario_emitente: match issuer.regime {
                Regime::Simples => 1,
                Regime::SimplesExcess => 2,
                Regime::Normal => 3,
                Regime::Mei => 4,
            },
            logradouro_emitente: sefaz::text(&at.street, 60),
            numero_emitente: house_number(&at.number),
            complemento_emitente: optional(at.complement.as_deref(), 60),
            bairro_emitente: sefaz::text(&at.district, 60),
            codigo_municipio_emitente: &at.ibge_city,
            municipio_emitente: sefaz::text(&at.city, 60),
            uf_emitente: &at.state,
            cep_emitente: at.cep.as_str(),
        }
    }
}

impl<'a> Destinatario<'a> {
    fn of(buyer: &'a Buyer, environment: Environment) -> Self {
        let at = &buyer.address;
        let (indicator, registration) = match &buyer.registration {
            Registration::Contributor(registration) => (1, Some(registration.as_str())),
            Registration::Exempt => (2, None),
            Registration::NonContributor => (9, None),
        };
        let (cpf, cnpj) = match &buyer.tax_id {
            TaxId::Cpf(cpf) => (Some(cpf.as_str()), None),
            TaxId::Cnpj(cnpj) => (None, Some(cnpj.as_str())),
        };
        Self {
            nome_destinatario: match environment {
                Environment::Homologation => sefaz::HOMOLOGATION_NAME.to_owned(),
                Environment::Production => sefaz::text(&buyer.name, 60),
            },
            cpf_destinatario: cpf,
            cnpj_destinatario: cnpj,
            indicador_inscricao_estadual_destinatario: indicator,
            inscricao_estadual_destinatario: registration,
            logradouro_destinatario: sefaz::text(&at.street, 60),
            numero_destinatario: house_number(&at.number),
            complemento_destinatario: optional(at.complement.as_deref(), 60),
            bairro_destinatario: sefaz::text(&at.district, 60),
            codigo_municipio_destinatario: &at.ibge_city,
            municipio_destinatario: sefaz::text(&at.city, 60),
            uf_destinatario: &at.state,
            cep_destinatario: at.cep.as_str(),
            // No e-mail: Focus would send mail to the buyer, and the shop does that itself.
            telefone_destinatario: buyer.phone.as_ref().map(Phone::as_str).map(|phone| phone.trim_start_matches("+55")),
        }
    }
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

impl<'a> Line<'a> {
    /// `sale`: the invoice that the item gives back.
    fn of(item: &'a Item, sale: Option<&'a AccessKey>) -> Self {
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
