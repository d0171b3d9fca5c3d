//! The request for an invoice. Issuer, regime and series are in the company's record at eNotas; the gateway computes sums and
//! tax values from the same bases and rates as ours.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use vitrine_kit::nfe::{Address, Buyer, Environment, FreightBy, Nfe, PaidBy, Purpose, Registration};
use vitrine_kit::sefaz::{self, decimal, kilograms};
use vitrine_kit::{Email, Phone, TaxId};

use crate::item::Line;

type Decimal = Box<RawValue>;

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
