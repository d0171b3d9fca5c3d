//! The request for an invoice. Issuer, regime and series are in the company's record at eNotas; the gateway computes sums and
//! tax values from the same bases and rates as ours.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::fiscal::{
    Address, ApproximateTaxes, Buyer, Contribution, Difal, Environment, FreightBy, ITEM_NAME_MAX, IbsCbs, Icms, Item, Nfe,
    PaidBy, Purpose, Registration, Taxes,
};
use vitrine_kit::sefaz::{self, decimal, kilograms, rate};
use vitrine_kit::{Email, Money, Phone, TaxId};

type Decimal = Box<RawValue>;

/// Valor da operação: the base is the price.
const BASE_IS_THE_PRICE: u8 = 3;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note<'a> {
    id: String,
    ambiente_emissao: &'static str,
    natureza_operacao: String,
    tipo_operacao: &'static str,
    finalidade: &'static str,
    consumidor_final: bool,
    indicador_presenca_consumidor: &'static str,
    /// `false`: the shop sends its own mail.
    enviar_por_email: bool,
    data_emissao: Timestamp,
    cliente: Cliente<'a>,
    itens: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nfe_referenciada: Vec<Referenced<'a>>,
    transporte: Transporte<'a>,
    pedido: Pedido,
    #[serde(skip_serializing_if = "String::is_empty")]
    informacoes_adicionais: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referenced<'a> {
    chave_acesso: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cliente<'a> {
    tipo_pessoa: &'static str,
    /// That `Isento` is accepted is unconfirmed.
    #[serde(rename = "indicadorContribuinteICMS")]
    indicador_contribuinte_icms: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    inscricao_estadual: Option<&'a str>,
    nome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    telefone: Option<&'a str>,
    cpf_cnpj: &'a str,
    endereco: Endereco<'a>,
}

#[derive(Serialize)]
struct Endereco<'a> {
    pais: &'static str,
    uf: &'a str,
    cidade: String,
    logradouro: String,
    numero: String,
    complemento: String,
    bairro: String,
    cep: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transporte<'a> {
    frete: Frete,
    #[serde(skip_serializing_if = "Option::is_none")]
    endereco_entrega: Option<Entrega<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<Volume>,
}

#[derive(Serialize)]
struct Frete {
    modalidade: &'static str,
    valor: Decimal,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entrega<'a> {
    tipo_pessoa_destinatario: &'static str,
    cpf_cnpj_destinatario: &'a str,
    #[serde(flatten)]
    endereco: Endereco<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    quantidade: u32,
    especie: &'static str,
    peso_bruto: Decimal,
    peso_liquido: Decimal,
}

#[derive(Serialize)]
struct Pedido {
    pagamento: Pagamento,
}

#[derive(Serialize)]
struct Pagamento {
    tipo: &'static str,
    formas: [Forma; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Forma {
    /// All names but `Dinheiro` are from public clients.
    tipo: &'static str,
    valor: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    credenciadora_cartao: Option<Credenciadora>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credenciadora {
    tipo_integracao_pagamento: &'static str,
}

/// The name of an environment.
pub(crate) fn ambiente(environment: Environment) -> &'static str {
    match environment {
        Environment::Homologation => "Homologacao",
        Environment::Production => "Producao",
    }
}

impl<'a> Note<'a> {
    /// `id`: our reference as their id.
    pub(crate) fn of(nfe: &'a Nfe, id: String) -> Self {
        let (tipo_operacao, finalidade, of) = match &nfe.purpose {
            Purpose::Sale => ("Saida", "Normal", None),
            Purpose::Return { of } => ("Entrada", "DevolucaoMercadoria", Some(of)),
        };
        Self {
            id,
            ambiente_emissao: ambiente(nfe.environment),
            natureza_operacao: sefaz::text(&nfe.nature, 60),
            tipo_operacao,
            finalidade,
            consumidor_final: true,
            indicador_presenca_consumidor: if nfe.in_person { "OperacaoPresencial" } else { "OperacaoPelaInternet" },
            enviar_por_email: false,
            data_emissao: in_seconds(nfe.issued_at),
            cliente: Cliente::from(&nfe.buyer),
            itens: nfe.items.iter().map(Line::from).collect(),
            nfe_referenciada: of.map(|key| Referenced { chave_acesso: key.as_str() }).into_iter().collect(),
            transporte: Transporte::from(nfe),
            pedido: Pedido { pagamento: Pagamento { tipo: "PagamentoAVista", formas: [Forma::from(nfe)] } },
            informacoes_adicionais: sefaz::text(&nfe.notes, 5000),
        }
    }
}

fn in_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at) // a second of a time that is there is there too
}

fn person(tax_id: &TaxId) -> &'static str {
    match tax_id {
        TaxId::Cpf(_) => "F",
        TaxId::Cnpj(_) => "J",
    }
}

impl<'a> From<&'a Buyer> for Cliente<'a> {
    fn from(buyer: &'a Buyer) -> Self {
        let (indicador_contribuinte_icms, inscricao_estadual) = match &buyer.registration {
            Registration::Contributor(registration) => ("Contribuinte", Some(registration.as_str())),
            Registration::Exempt => ("Isento", None),
            Registration::NonContributor => ("NaoContribuinte", None),
        };
        Self {
            tipo_pessoa: person(&buyer.tax_id),
            indicador_contribuinte_icms,
            inscricao_estadual,
            // In the test environment the gateway replaces it by the tax authority's text.
            nome: sefaz::text(&buyer.name, 60),
            email: buyer.email.as_ref().map(Email::as_str).filter(|email| email.len() <= 60),
            telefone: buyer.phone.as_ref().map(Phone::as_str).map(|phone| phone.trim_start_matches("+55")),
            cpf_cnpj: buyer.tax_id.as_str(),
            endereco: Endereco::from(&buyer.address),
        }
    }
}

impl<'a> From<&'a Address> for Endereco<'a> {
    fn from(at: &'a Address) -> Self {
        let numero = sefaz::text(&at.number, 60);
        Self {
            pais: "Brasil",
            uf: &at.state,
            cidade: sefaz::text(&at.city, 60),
            logradouro: sefaz::text(&at.street, 60),
            numero: if numero.is_empty() { "S/N".to_owned() } else { numero },
            complemento: sefaz::text(at.complement.as_deref().unwrap_or_default(), 60),
            bairro: sefaz::text(&at.district, 60),
            cep: at.cep.as_str(),
        }
    }
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

impl<'a> From<&'a Nfe> for Transporte<'a> {
    fn from(nfe: &'a Nfe) -> Self {
        let is_carried = nfe.freight == FreightBy::Seller && nfe.purpose == Purpose::Sale;
        Self {
            frete: Frete {
                modalidade: match nfe.freight {
                    FreightBy::Seller => "ContratacaoPorContaDoRemetente",
                    FreightBy::None => "SemOcorrenciaDeTransporte",
                },
                valor: decimal(nfe.totals.freight),
            },
            endereco_entrega: is_carried.then(|| Entrega {
                tipo_pessoa_destinatario: person(&nfe.buyer.tax_id),
                cpf_cnpj_destinatario: nfe.buyer.tax_id.as_str(),
                endereco: Endereco::from(&nfe.buyer.address),
            }),
            volume: (nfe.volumes > 0).then(|| Volume {
                quantidade: nfe.volumes,
                especie: "VOLUMES",
                peso_bruto: kilograms(nfe.weight_grams),
                peso_liquido: kilograms(nfe.weight_grams),
            }),
        }
    }
}

impl From<&Nfe> for Forma {
    fn from(nfe: &Nfe) -> Self {
        Self {
            tipo: match nfe.payment.method {
                PaidBy::Pix => "PagamentoInstantaneoPix",
                PaidBy::CreditCard => "CartaoDeCredito",
                PaidBy::Wallet => "TransferenciaBancariaCarteiraDigital",
                PaidBy::Nothing => "SemPagamento",
            },
            valor: decimal(nfe.payment.amount),
            credenciadora_cartao: matches!(nfe.payment.method, PaidBy::CreditCard | PaidBy::Pix)
                .then_some(Credenciadora { tipo_integracao_pagamento: "NaoIntegradoAoSistemaDeGestao" }),
        }
    }
}
