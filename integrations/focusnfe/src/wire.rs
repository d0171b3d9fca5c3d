//! Answers of Focus NFe.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use vitrine_kit::AccessKey;
use vitrine_kit::fiscal::{NfeState, SeenNfe};
use vitrine_kit::http::Refusal;

/// The tax authority is away and decided nothing (serviço paralisado, momentaneamente e sem previsão).
pub(crate) const AUTHORITY_AWAY: [&str; 2] = ["108", "109"];
/// The event exists already: cancelled before, or requested twice.
pub(crate) const EVENT_KNOWN: [&str; 3] = ["218", "420", "573"];

/// An invoice as GET, POST, DELETE and the correction letter's POST show it.
#[derive(Deserialize)]
pub(crate) struct Note {
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) status_sefaz: Option<String>,
    #[serde(default)]
    pub(crate) mensagem_sefaz: Option<String>,
    #[serde(default)]
    chave_nfe: Option<String>,
    #[serde(default)]
    numero: Option<String>,
    #[serde(default)]
    serie: Option<String>,
    #[serde(default)]
    caminho_xml_nota_fiscal: Option<String>,
    #[serde(default)]
    caminho_danfe: Option<String>,
    #[serde(default)]
    caminho_xml_cancelamento: Option<String>,
    #[serde(default)]
    pub(crate) caminho_xml_carta_correcao: Option<String>,
    #[serde(default)]
    pub(crate) caminho_pdf_carta_correcao: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) numero_carta_correcao: Option<u16>,
    #[serde(default)]
    protocolo_nota_fiscal: Option<Protocol>,
}

#[derive(Deserialize)]
struct Protocol {
    #[serde(default)]
    data_recebimento: Option<Timestamp>,
}

/// A number, also as text; `None` for anything else.
pub(crate) fn number<'de, D: Deserializer<'de>, N: FromStr>(from: D) -> Result<Option<N>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

impl Note {
    /// `Err`: it cannot be the note that was asked for, or an authorised note lacks what the law requires.
    pub(crate) fn seen(self, reference: &str, cnpj: &str) -> Result<SeenNfe, &'static str> {
        if self.reference.as_deref().is_some_and(|theirs| theirs != reference) {
            return Err("the answer is about another invoice");
        }
        let state = match self.status.as_str() {
            // A refused cancellation does not change the state.
            "autorizado" | "erro_cancelamento" => NfeState::Authorized,
            "erro_autorizacao" => NfeState::Rejected,
            "denegado" => NfeState::Denied,
            "cancelado" => NfeState::Cancelled,
            "processando_autorizacao" => NfeState::Processing,
            status => {
                tracing::warn!(provider = crate::NAME, status, "an invoice has an unknown status");
                NfeState::Processing
            }
        };
        let key = self.chave_nfe.as_deref().and_then(|key| AccessKey::parse(key).ok());
        let is_right = |key: &AccessKey| key.cnpj() == cnpj && key.model() == "55";
        if state == NfeState::Authorized && !key.as_ref().is_some_and(is_right) {
            return Err("an authorised invoice has no access key of ours");
        }
        Ok(SeenNfe {
            reference: reference.to_owned(),
            state,
            key,
            number: self.numero,
            series: self.serie,
            code: self.status_sefaz,
            message: self.mensagem_sefaz,
            danfe: self.caminho_danfe,
            xml: self.caminho_xml_nota_fiscal,
            cancellation_xml: self.caminho_xml_cancelamento,
            authorized_at: self.protocolo_nota_fiscal.and_then(|protocol| protocol.data_recebimento),
        })
    }
}

#[derive(Serialize)]
pub(crate) struct Cancel<'a> {
    pub(crate) justificativa: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Letter<'a> {
    pub(crate) correcao: &'a str,
}

#[derive(Deserialize)]
struct Errors {
    codigo: String,
    #[serde(default)]
    mensagem: String,
    #[serde(default)]
    erros: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    #[serde(default)]
    mensagem: String,
    #[serde(default)]
    campo: Option<String>,
}

/// The code, and a message that names the fields.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    let Errors { codigo, mensagem, erros } = serde_json::from_slice(body).ok()?;
    let mut message = mensagem;
    for FieldError { mensagem, campo } in erros {
        if !message.is_empty() {
            message.push_str("; ");
        }
        if let Some(campo) = campo.filter(|campo| !campo.is_empty()) {
            message.push_str(&campo);
            message.push_str(": ");
        }
        message.push_str(&mensagem);
    }
    Some(Refusal { code: codigo, message })
}

/// Letters and digits only: it is used in paths.
pub(crate) fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A path below their base URL that cannot lead elsewhere.
pub(crate) fn is_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
    path.len() <= 500
        && path.starts_with('/')
        && path.bytes().all(plain)
        && path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..")
}
