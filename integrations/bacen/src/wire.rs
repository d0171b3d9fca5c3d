//! The format of the Pix API, and of Efí where it differs.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::pix::{self, ChargeStatus, Received, RefundStatus, Returns, TheirRefund};
use vitrine_kit::refund::{Nature, Retry};

use crate::brcode;

/// A charge's lifetime if the answer does not have it.
const DEFAULT_LIFE_S: i64 = 86_400;
const MAX_TEXT: usize = 140;

/// Without `devedor`, which is optional: some banks refuse it because of its format, and the bank does not need to know the
/// buyer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCob<'a> {
    calendario: NewCalendario,
    valor: NewValor,
    chave: &'a str,
    solicitacao_pagador: String,
    info_adicionais: [Info; 1],
}

#[derive(Serialize)]
struct NewCalendario {
    expiracao: u32,
}

#[derive(Serialize)]
struct NewValor {
    original: String,
}

#[derive(Serialize)]
struct Info {
    nome: &'static str,
    valor: String,
}

impl<'a> NewCob<'a> {
    pub(crate) fn new(new: &pix::NewCharge, pix_key: &'a str) -> Self {
        Self {
            calendario: NewCalendario { expiracao: new.expires_in_s },
            valor: NewValor { original: new.amount.to_decimal() },
            chave: pix_key,
            solicitacao_pagador: cut(&new.description, MAX_TEXT),
            info_adicionais: [Info { nome: "pedido", valor: new.order_id.to_string() }],
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The body of a void.
#[derive(Serialize)]
pub(crate) struct Remove {
    status: &'static str,
}

pub(crate) const REMOVE: Remove = Remove { status: "REMOVIDA_PELO_USUARIO_RECEBEDOR" };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cob {
    calendario: Calendario,
    txid: String,
    status: Status,
    valor: Valor,
    chave: Option<String>,
    location: Option<String>,
    loc: Option<Loc>,
    pix_copia_e_cola: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    pix: Vec<Pix>,
}

#[derive(Deserialize)]
struct Calendario {
    criacao: Timestamp,
    expiracao: Option<Seconds>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    Ativa,
    Concluida,
    RemovidaPeloUsuarioRecebedor,
    RemovidaPeloPsp,
}

#[derive(Deserialize)]
struct Valor {
    original: Reais,
}

#[derive(Deserialize)]
struct Loc {
    location: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pix {
    end_to_end_id: String,
    txid: Option<String>,
    valor: Reais,
    chave: Option<String>,
    horario: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    devolucoes: Vec<Devolucao>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Devolucao {
    id: String,
    rtr_id: Option<String>,
    valor: Reais,
    status: StatusOfDevolucao,
    natureza: Option<String>,
    motivo: Option<String>,
}

/// An unknown word is kept: the return has not ended, and an administrator may have to look.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(from = "String")]
enum StatusOfDevolucao {
    Devolvido,
    NaoRealizado,
    EmProcessamento,
    Other(String),
}

impl From<String> for StatusOfDevolucao {
    fn from(word: String) -> Self {
        match word.as_str() {
            "DEVOLVIDO" => Self::Devolvido,
            "NAO_REALIZADO" => Self::NaoRealizado,
            "EM_PROCESSAMENTO" => Self::EmProcessamento,
            _ => Self::Other(word),
        }
    }
}

/// `"185.00"`.
#[derive(Clone, Copy)]
struct Reais(Money);

impl<'de> Deserialize<'de> for Reais {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Money::parse_decimal(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not an amount"))
    }
}

/// A number, or the same as a text.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = match Value::deserialize(from)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        seconds.map(Self).ok_or_else(|| serde::de::Error::custom("not a number of seconds"))
    }
}

fn null_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The standard's own example of a webhook has a single return without the list around it.
pub(crate) fn several(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        one => vec![one],
    }
}

fn one_or_many<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let items = several(Value::deserialize(from)?).into_iter().map(serde_json::from_value);
    items.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

impl Cob {
    /// Errors: it is not about our payment, or its numbers make no sense.
    pub(crate) fn into_charge(self, payment_id: Uuid, pix_key: &str, now: Timestamp) -> Result<pix::Charge, &'static str> {
        if self.txid != payment_id.simple().to_string() {
            return Err("answered about another charge");
        }
        if self.chave.as_ref().is_some_and(|chave| !chave.eq_ignore_ascii_case(pix_key)) {
            return Err("answered about a charge for another key");
        }
        let life = SignedDuration::from_secs(self.calendario.expiracao.map_or(DEFAULT_LIFE_S, |Seconds(life)| life));
        let expires_at = self.calendario.criacao.checked_add(life).map_err(|_| "the charge's life is no time")?;
        let too_much = "the charge's amounts are no money";
        let paid = Money::sum(self.pix.iter().map(|pix| pix.valor.0)).ok_or(too_much)?;
        let refunded = Money::sum(self.pix.iter().flat_map(Pix::returned)).ok_or(too_much)?;
        // A received PIX counts, whatever the status is. A status of "paid" counts too if the list is left out.
        let is_paid = !self.pix.is_empty() || matches!(self.status, Status::Concluida);
        let amount = if self.pix.is_empty() { self.valor.original.0 } else { paid };
        let status = match self.status {
            _ if is_paid && refunded.is_zero() => ChargeStatus::Paid,
            _ if is_paid && refunded >= amount => ChargeStatus::Refunded,
            _ if is_paid => ChargeStatus::PartiallyRefunded,
            Status::RemovidaPeloUsuarioRecebedor | Status::RemovidaPeloPsp => ChargeStatus::Cancelled,
            _ if now >= expires_at => ChargeStatus::Expired, // it stays ATIVA, and can no longer be paid
            _ => ChargeStatus::Pending,
        };
        let location = self.location.or_else(|| self.loc?.location);
        let copy_paste = brcode::best(self.pix_copia_e_cola, location.as_deref(), self.valor.original.0, pix_key)?;
        let first = self.pix.into_iter().next();
        Ok(pix::Charge {
            payment_id,
            status,
            amount,
            txid: self.txid,
            copy_paste,
            qr_code: None,
            qr_code_url: None,
            expires_at,
            paid_at: first.as_ref().and_then(Pix::paid_at),
            end_to_end_id: first.map(|pix| pix.end_to_end_id),
            refunded,
        })
    }

    pub(crate) fn into_end_to_end_id(self) -> Option<String> {
        self.pix.into_iter().next().map(|pix| pix.end_to_end_id)
    }

    pub(crate) fn into_refunds(self) -> Vec<TheirRefund> {
        self.pix.into_iter().flat_map(Pix::into_refunds).collect()
    }
}

impl Pix {
    fn paid_at(&self) -> Option<Timestamp> {
        self.horario.as_ref()?.parse().ok()
    }

    fn into_refunds(self) -> impl Iterator<Item = TheirRefund> {
        let Self { end_to_end_id, devolucoes, .. } = self;
        devolucoes.into_iter().map(move |devolucao| devolucao.into_theirs(&end_to_end_id))
    }

    /// The amounts that went back and will not change.
    fn returned(&self) -> impl Iterator<Item = Money> {
        self.devolucoes.iter().filter(|d| matches!(d.status, StatusOfDevolucao::Devolvido)).map(|d| d.valor.0)
    }
}

#[derive(Serialize)]
pub(crate) struct NewDevolucao {
    valor: String,
    natureza: &'static str,
    descricao: String,
}

impl From<&pix::NewRefund> for NewDevolucao {
    fn from(new: &pix::NewRefund) -> Self {
        Self { valor: new.amount.to_decimal(), natureza: "ORIGINAL", descricao: cut(&new.reason, MAX_TEXT) }
    }
}

impl Devolucao {
    /// Errors: it is about another refund.
    pub(crate) fn into_refund(self, refund_id: Uuid) -> Result<pix::Refund, &'static str> {
        if self.id != refund_id.simple().to_string() {
            return Err("answered about another refund");
        }
        let (status, said) = (self.status(), self.said());
        Ok(pix::Refund { refund_id, status, amount: self.valor.0, end_to_end_id: self.rtr_id, said })
    }

    /// A return of the PIX with that id. The return's own id is unique only within the PIX.
    fn into_theirs(self, end_to_end_id: &str) -> TheirRefund {
        let (status, said) = (self.status(), self.said());
        let nature = Nature::parse(self.natureza.as_deref());
        let refund_id = self.id.parse().ok();
        let reference = match (self.rtr_id, &nature) {
            (Some(named), _) => named,
            (None, Nature::Original | Nature::Withdrawal) => self.id,
            (None, _) => format!("{end_to_end_id}:{}", self.id),
        };
        TheirRefund { refund_id, reference, status, amount: self.valor.0, nature, said }
    }

    fn status(&self) -> RefundStatus {
        match self.status {
            StatusOfDevolucao::EmProcessamento => RefundStatus::Processing,
            StatusOfDevolucao::Other(_) => RefundStatus::Unclear,
            StatusOfDevolucao::Devolvido => RefundStatus::Done,
            StatusOfDevolucao::NaoRealizado => RefundStatus::Failed(Retry::read(self.motivo.as_deref().unwrap_or_default())),
        }
    }

    /// The bank's reason for the state. If we do not know the state, its word comes first.
    fn said(&self) -> Option<String> {
        let word = match &self.status {
            StatusOfDevolucao::Other(word) => Some(cut(word, MAX_TEXT)),
            _ => None,
        };
        let motivo = self.motivo.as_ref().map(|motivo| cut(motivo, MAX_TEXT)).filter(|motivo| !motivo.is_empty());
        let parts: Vec<String> = word.into_iter().chain(motivo).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }
}

#[derive(Deserialize)]
pub(crate) struct PixList {
    parametros: Option<Parametros>,
    #[serde(default, deserialize_with = "null_as_empty")]
    pix: Vec<Pix>,
}

#[derive(Deserialize)]
struct Parametros {
    paginacao: Option<Paginacao>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paginacao {
    pagina_atual: u32,
    quantidade_de_paginas: u32,
}

impl PixList {
    /// If the bank does not give the number of pages, an empty page is the last.
    pub(crate) fn is_last(&self) -> bool {
        let pages = self.parametros.as_ref().and_then(|p| p.paginacao.as_ref());
        self.pix.is_empty() || pages.is_some_and(|p| p.pagina_atual.saturating_add(1) >= p.quantidade_de_paginas)
    }

    /// The PIX of our key in `[from, to)`; the bank's list includes its end. A PIX without a time is kept rather than lost.
    fn ours(self, pix_key: &str, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Pix> {
        let is_ours = move |pix: &Pix| pix.chave.as_ref().is_none_or(|chave| chave.eq_ignore_ascii_case(pix_key));
        let is_within = move |pix: &Pix| pix.paid_at().is_none_or(|at| from <= at && at < to);
        self.pix.into_iter().filter(move |pix| is_ours(pix) && is_within(pix))
    }

    /// What went back of each of these PIX.
    pub(crate) fn into_returns(self, pix_key: &str, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Returns> {
        self.ours(pix_key, from, to).map(|pix| Returns {
            payment_id: pix.txid.as_ref().and_then(|txid| txid.parse().ok()),
            reference: None,
            is_whole: true,
            refunds: pix.into_refunds().collect(),
        })
    }

    pub(crate) fn into_received(self, pix_key: &str, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Received> {
        self.ours(pix_key, from, to).map(|pix| Received {
            payment_id: pix.txid.as_ref().and_then(|txid| txid.parse().ok()),
            amount: pix.valor.0,
            refunded: Money::sum(pix.returned()).unwrap_or(pix.valor.0),
            paid_at: pix.paid_at(),
            reference: pix.txid.unwrap_or(pix.end_to_end_id),
        })
    }
}
