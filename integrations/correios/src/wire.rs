//! The wire format of Correios. Numbers are sent as text; prices come with a decimal comma.

use jiff::Timestamp;
use jiff::tz::Offset;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use vitrine_kit::http::Refusal;
use vitrine_kit::{Cep, Money, token};

use crate::line::Line;

/// The offset of Brasília; daylight saving time ended in 2019.
pub(crate) const BRASILIA: Offset = Offset::constant(-3);

/// A box, not an envelope (1) or a roll (3).
const BOX: &str = "2";

/// What they give out for a day.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    pub(crate) value: SecretString,
    pub(crate) contract: Option<String>,
    /// Their regional office ("DR").
    pub(crate) office: Option<i64>,
}

pub(crate) type Token = token::Token<Pass>;

/// Lines are counted from 1.
pub(crate) fn number(line: usize) -> String {
    (line + 1).to_string()
}

/// `01/10/2026`, the day in Brasília.
pub(crate) fn date(now: Timestamp) -> String {
    BRASILIA.to_datetime(now).strftime("%d/%m/%Y").to_string()
}

pub(crate) fn price_line(from: &Cep, to: &Cep, n: usize, line: &Line, token: &Token, date: &str) -> Value {
    let volume = &line.volume;
    let mut value = json!({
        "coProduto": line.service.code,
        "nuRequisicao": number(n),
        "cepOrigem": from.as_str(),
        "cepDestino": to.as_str(),
        "psObjeto": volume.weight_grams.to_string(),
        "tpObjeto": BOX,
        "comprimento": volume.length_cm.to_string(),
        "largura": volume.width_cm.to_string(),
        "altura": volume.height_cm.to_string(),
        "dtEvento": date,
    });
    if let Some(contract) = &token.contract {
        value["nuContrato"] = contract.as_str().into();
    }
    if let Some(office) = token.office {
        value["nuDR"] = office.into();
    }
    if let Some(declared) = line.declared {
        value["servicosAdicionais"] = json!([{"coServAdicional": line.service.insurance.code}]);
        value["vlDeclarado"] = declared.to_decimal().into();
    }
    value
}

pub(crate) fn deadline_line(from: &Cep, to: &Cep, n: usize, code: &str, date: &str) -> Value {
    json!({
        "coProduto": code,
        "nuRequisicao": number(n),
        "cepOrigem": from.as_str(),
        "cepDestino": to.as_str(),
        "dtEvento": date,
    })
}

/// One line of a batch's answer, of a price or of a deadline.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) product: Option<String>,
    pub(crate) number: Option<String>,
    all: Value,
}

/// Every line of an array; `None`: it is no array of objects at all.
pub(crate) fn items(body: &[u8]) -> Option<Vec<Item>> {
    let lines: Vec<Value> = serde_json::from_slice(body).ok()?;
    let is_strange = |line: &Value| !line.is_object();
    if !lines.is_empty() && lines.iter().all(is_strange) {
        return None;
    }
    let item = |all: Value| Item { product: text(&all["coProduto"]), number: text(&all["nuRequisicao"]), all };
    Some(lines.into_iter().filter(|line| line.is_object()).map(item).collect())
}

impl Item {
    /// A success has an empty error field.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let said = |name: &str| text(&self.all[name]).filter(|words| !words.trim().is_empty());
        let words = said("txErro").or_else(|| self.all["msgs"].is_array().then(|| words(&self.all)).flatten())?;
        Some(Refusal { code: code(&words).unwrap_or_else(|| "txErro".to_owned()), message: words })
    }

    /// The total: base price, additional services, taxes.
    pub(crate) fn price(&self) -> Option<Money> {
        match &self.all["pcFinal"] {
            Value::String(text) => money(text),
            Value::Number(number) => Money::parse_decimal(&number.to_string()),
            _ => None,
        }
    }

    /// Working days.
    pub(crate) fn days(&self) -> Option<u32> {
        text(&self.all["prazoEntrega"])?.trim().parse().ok()
    }

    /// There is no delivery to the door: the parcel waits at an agency.
    pub(crate) fn is_fetched(&self) -> bool {
        self.all["entregaDomiciliar"] == "N"
    }

    /// The fields that are recorded: the price, the weight charged, and whether that is the volumetric weight.
    pub(crate) fn price_record(&self, line: &Line) -> Value {
        let kept = |name: &str| &self.all[name];
        json!({
            "count": line.count,
            "declared_cents": line.declared,
            "pcFinal": kept("pcFinal"),
            "pcProduto": kept("pcProduto"),
            "pcTotalServicosAdicionais": kept("pcTotalServicosAdicionais"),
            "psCobrado": kept("psCobrado"),
            "inPesoCubico": kept("inPesoCubico"),
        })
    }

    pub(crate) fn deadline_record(&self) -> Value {
        let kept = |name: &str| &self.all[name];
        let (days, latest, home) = (kept("prazoEntrega"), kept("dataMaxima"), kept("entregaDomiciliar"));
        json!({"prazoEntrega": days, "dataMaxima": latest, "entregaDomiciliar": home, "msgPrazo": kept("msgPrazo")})
    }
}

/// The value as text: they send some numbers as text and some texts as numbers.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `1.234,56`. `None`: another notation, or a fraction of a centavo.
pub(crate) fn money(text: &str) -> Option<Money> {
    let (whole, fraction) = text.split_once(',').unwrap_or((text, "0"));
    let mut groups = whole.split('.');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if !rest.is_empty() && (first.is_empty() || first.len() > 3 || rest.iter().any(|group| group.len() != 3)) {
        return None;
    }
    if fraction.contains(['.', ',']) {
        return None;
    }
    Money::parse_decimal(&format!("{first}{}.{fraction}", rest.concat()))
}

/// Error bodies differ by service layer: takes any text from the known places, and the code from it.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    let message = words(&serde_json::from_slice(body).ok()?)?;
    Some(Refusal { code: code(&message).unwrap_or_default(), message })
}

fn words(body: &Value) -> Option<String> {
    const PLACES: [&str; 8] = ["msgs", "msg", "txErro", "mensagem", "message", "descricao", "causa", "erros"];
    fn collect(value: &Value, depth: u8, found: &mut Vec<String>) {
        match value {
            Value::String(text) if !text.trim().is_empty() => found.push(text.trim().to_owned()),
            Value::Array(list) if depth > 0 => list.iter().for_each(|one| collect(one, depth - 1, found)),
            Value::Object(fields) if depth > 0 => {
                PLACES.iter().filter_map(|place| fields.get(*place)).for_each(|one| collect(one, depth - 1, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(body, 4, &mut found);
    (!found.is_empty()).then(|| found.join("; "))
}

/// The first code such as `ERP-006`.
fn code(words: &str) -> Option<String> {
    let shaped = |w: &[u8]| w[..3].iter().all(u8::is_ascii_uppercase) && w[3] == b'-' && w[4..].iter().all(u8::is_ascii_digit);
    words.as_bytes().windows(7).find(|w| shaped(w)).map(|w| String::from_utf8_lossy(w).into_owned())
}

/// The answer of tracking.
#[derive(Debug, Deserialize)]
pub(crate) struct Objects {
    pub(crate) objetos: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    pub(crate) cod_objeto: String,
    /// Why there are no events.
    pub(crate) mensagem: Option<String>,
    #[serde(default)]
    pub(crate) eventos: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) codigo: String,
    pub(crate) tipo: String,
    pub(crate) dt_hr_criado: jiff::civil::DateTime,
    pub(crate) descricao: String,
    pub(crate) detalhe: Option<String>,
    pub(crate) unidade: Option<Unit>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Unit {
    pub(crate) endereco: Option<Place>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) cidade: Option<String>,
    pub(crate) uf: Option<String>,
}
