//! Both ends of an invoice.

use serde::Serialize;
use vitrine_kit::nfe::{Buyer, Environment, Issuer, Regime, Registration};
use vitrine_kit::{Phone, TaxId, sefaz};

#[derive(Serialize)]
pub(crate) struct Emitente<'a> {
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
pub(crate) struct Destinatario<'a> {
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
    pub(crate) fn of(buyer: &'a Buyer, environment: Environment) -> Self {
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
