//! Answers of eNotas.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use vitrine_kit::AccessKey;
use vitrine_kit::fiscal::{NfeState, SeenNfe};
use vitrine_kit::http::Refusal;

/// An invoice, as GET answers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    #[serde(default)]
    id: Option<String>,
    pub(crate) status: String,
    #[serde(default, deserialize_with = "said")]
    pub(crate) motivo_status: Option<String>,
    #[serde(default, deserialize_with = "word")]
    numero: Option<String>,
    #[serde(default, deserialize_with = "word")]
    serie: Option<String>,
    #[serde(default)]
    chave_acesso: Option<String>,
    #[serde(default, deserialize_with = "time")]
    data_autorizacao: Option<Timestamp>,
    #[serde(default)]
    link_danfe: Option<String>,
    #[serde(default)]
    link_download_xml: Option<String>,
}

/// A number or a text: clients have seen both.
pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A reason of any JSON type, so that the state can be read whatever it is.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    })
}

/// A time without an offset is ambiguous and counts as absent.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().and_then(|text| text.parse().ok()))
}

/// A status by its beginning: the full list was never published.
pub(crate) fn state(status: &str) -> NfeState {
    match status {
        "CancelamentoNegado" => NfeState::Authorized,
        _ if status.starts_with("Autorizada") => NfeState::Authorized,
        _ if status.starts_with("Cancelada") => NfeState::Cancelled,
        _ if status.starts_with("Denegada") => NfeState::Denied,
        "Negada" => NfeState::Rejected,
        _ => NfeState::Processing,
    }
}

impl Note {
    /// `path`: where its files are. `Err`: it cannot be the note that was asked for, or an authorised note lacks what the law
    /// requires.
    pub(crate) fn seen(self, reference: &str, their_id: &str, path: &str, cnpj: &str) -> Result<SeenNfe, &'static str> {
        if self.id.as_deref().is_some_and(|id| id != their_id) {
            return Err("the answer is about another invoice");
        }
        let state = state(&self.status);
        let key = self.chave_acesso.as_deref().and_then(|key| AccessKey::parse(key).ok());
        let is_right = |key: &AccessKey| key.cnpj() == cnpj && key.model() == "55";
        if state == NfeState::Authorized && !key.as_ref().is_some_and(is_right) {
            return Err("an authorised invoice has no access key of ours");
        }
        // Their links lead to other hosts and are not followed; a link shows that the file exists.
        let is_there = |link: &Option<String>| link.as_deref().is_some_and(|link| !link.is_empty());
        Ok(SeenNfe {
            reference: reference.to_owned(),
            state,
            key,
            number: self.numero,
            series: self.serie,
            code: self.motivo_status.as_deref().and_then(code),
            message: self.motivo_status,
            danfe: is_there(&self.link_danfe).then(|| format!("{path}/pdf")),
            xml: is_there(&self.link_download_xml).then(|| format!("{path}/xml")),
            cancellation_xml: (state == NfeState::Cancelled).then(|| format!("{path}/xmlCancelamento")),
            authorized_at: self.data_autorizacao,
        })
    }
}

/// The tax authority's code in a reason, such as `Rejeição 539: …`: the first number of three or four digits.
pub(crate) fn code(reason: &str) -> Option<String> {
    let words = reason.split(|c: char| !c.is_alphanumeric());
    let is_code = |word: &&str| matches!(word.len(), 3 | 4) && word.bytes().all(|b| b.is_ascii_digit());
    words.into_iter().find(is_code).map(str::to_owned)
}

/// A correction letter (carta de correção), as GET answers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeenLetter {
    pub(crate) status: String,
    #[serde(default, deserialize_with = "said")]
    pub(crate) motivo_status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Letter<'a> {
    pub(crate) id: &'a str,
    pub(crate) ambiente_emissao: &'static str,
    pub(crate) numero: u16,
    pub(crate) correcao: &'a str,
    pub(crate) nfe: OfKey<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfKey<'a> {
    pub(crate) chave_acesso: &'a str,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default, deserialize_with = "word")]
    codigo: Option<String>,
    #[serde(default)]
    mensagem: String,
}

/// The first message's code, and all messages.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    let errors: Vec<Error> = serde_json::from_slice(body).ok()?;
    let code = errors.first()?.codigo.clone().unwrap_or_default();
    let message = errors.into_iter().map(|error| error.mensagem).collect::<Vec<_>>().join("; ");
    Some(Refusal { code, message })
}
