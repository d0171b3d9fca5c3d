//! What all calls of the Central Bank's PIX API share: the access token, Efí's and the standard's errors, formats, pages.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;
use crate::world::bank::TokenForm;

pub(crate) const NAME: &str = "bacen";
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;
const SCOPE: &str = "cob.read cob.write payloadlocation.read pix.read pix.write webhook.read webhook.write";

/// A status and a body: Efí has its own form of errors, and the standard's for some.
pub(crate) struct Failure(pub(crate) u16, pub(crate) Value);

pub(crate) type Answer = Result<HttpResponse, Failure>;

pub(crate) fn efi_body(nome: &str, mensagem: &str) -> Value {
    json!({"nome": nome, "mensagem": mensagem})
}

fn problem_body(status: u16, tail: &str, detail: &str) -> Value {
    json!({
        "type": format!("https://pix.bcb.gov.br/api/v2/error/{tail}"),
        "title": tail, "status": status, "detail": detail, "correlationId": Uuid::now_v7(),
    })
}

/// In Efí's form.
pub(crate) fn refuse<T>(status: u16, nome: &str, mensagem: &str) -> Result<T, Failure> {
    Err(Failure(status, efi_body(nome, mensagem)))
}

/// In the standard's form.
pub(crate) fn problem<T>(status: u16, tail: &str, detail: &str) -> Result<T, Failure> {
    Err(Failure(status, problem_body(status, tail, detail)))
}

/// A field that is not as the schema wants it.
pub(crate) fn malformed<T>(path: &str, why: &str) -> Result<T, Failure> {
    let mut body = efi_body("json_invalido", "O JSON enviado não está de acordo com o esquema.");
    body["erros"] = json!([{"chave": "pattern", "caminho": path, "mensagem": why}]);
    Err(Failure(400, body))
}

pub(crate) fn error_body(status: u16) -> Value {
    match status {
        401 => json!({"error": "invalid_token", "error_description": "ordered by the sandbox's control"}),
        403 => problem_body(403, "AcessoNegado", "ordered by the sandbox's control"),
        404 => problem_body(404, "NaoEncontrado", "ordered by the sandbox's control"),
        409 => efi_body("txid_duplicado", "Já existe uma cobrança com este txid"),
        503 => problem_body(503, "ServicoIndisponivel", "ordered by the sandbox's control"),
        504 => problem_body(504, "IndisponibilidadePorTempoEsgotado", "ordered by the sandbox's control"),
        400..=499 => efi_body("json_invalido", "ordered by the sandbox's control"),
        _ => efi_body("erro_aplicacao", "ordered by the sandbox's control"),
    }
}

fn header<'a>(req: &'a HttpRequest, name: &str) -> &'a str {
    req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

pub(crate) fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let token = header(req, "authorization").strip_prefix("Bearer ").unwrap_or("");
    let lives = world.bank().tokens.get(token).is_some_and(|&end| Timestamp::now() < end);
    if !lives || world.is_revoked(NAME) {
        let why = json!({"error": "invalid_token", "error_description": "The access token is unknown or has expired"});
        return HttpResponse::Unauthorized().json(why);
    }
    inside().unwrap_or_else(|Failure(status, body)| {
        let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST));
        if body["type"].is_string() {
            answer.content_type("application/problem+json");
        }
        answer.json(body)
    })
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).or_else(|error| malformed("body", &error.to_string()))
}

#[derive(Deserialize)]
struct Grant {
    grant_type: String,
}

/// The grant of a body that is what it says it is.
fn grant(req: &HttpRequest, body: &[u8]) -> Option<(TokenForm, String)> {
    let kind = header(req, "content-type").split(';').next().unwrap_or_default().trim();
    match kind {
        "application/json" => Some((TokenForm::Json, serde_json::from_slice::<Grant>(body).ok()?.grant_type)),
        "application/x-www-form-urlencoded" => {
            let (_, grant) = form_urlencoded::parse(body).find(|(name, _)| name == "grant_type")?;
            Some((TokenForm::Form, grant.into_owned()))
        }
        _ => None,
    }
}

/// The shop's credentials by Basic, the grant as JSON or as a form.
pub(crate) async fn token(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    let error = |error: &str| json!({"error": error, "error_description": "see RFC 6749"});
    let given = header(&req, "authorization").strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
    let wanted = format!("{}:{}", world.cfg.pix_client_id, world.cfg.pix_client_secret);
    if given.as_deref() != Some(wanted.as_bytes()) || world.is_revoked(NAME) {
        return HttpResponse::Unauthorized().json(error("invalid_client"));
    }
    let Some((form, grant)) = grant(&req, &body) else {
        return HttpResponse::BadRequest().json(error("invalid_request"));
    };
    match world.bank().token_form {
        Some(TokenForm::Form) if form != TokenForm::Form => return HttpResponse::UnsupportedMediaType().finish(),
        Some(TokenForm::Json) if form != TokenForm::Json => return HttpResponse::BadRequest().json(error("invalid_request")),
        _ => {}
    }
    if grant != "client_credentials" {
        return HttpResponse::BadRequest().json(error("unsupported_grant_type"));
    }
    let token = hex::encode(rand::random::<[u8; 32]>());
    let now = Timestamp::now();
    let life = SignedDuration::try_from(world.cfg.pix_token_life).unwrap_or(SignedDuration::MAX);
    let mut bank = world.bank();
    bank.tokens.retain(|_, end| *end > now);
    bank.tokens.insert(token.clone(), now.saturating_add(life).unwrap_or(Timestamp::MAX));
    HttpResponse::Ok().json(json!({
        "access_token": token, "token_type": "Bearer", "expires_in": life.as_secs(), "scope": SCOPE,
    }))
}

/// `185.00` → centavos: up to ten digits, a point, two more. Zero is for the caller to judge.
pub(crate) fn cents(path: &str, text: &str) -> Result<i64, Failure> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, part)) if (1..=10).contains(&whole.len()) && part.len() == 2 && digits(whole) && digits(part) => {
            Ok(format!("{whole}{part}").parse().unwrap_or(i64::MAX)) // twelve digits always fit
        }
        _ => malformed(path, r"deve seguir ^\d{1,10}\.\d{2}$"),
    }
}

pub(crate) fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The window and the page of a list. Whatever else is in a query is each list's own.
#[derive(Deserialize)]
pub(crate) struct Window {
    inicio: Option<String>,
    fim: Option<String>,
    #[serde(rename = "paginacao.paginaAtual")]
    page: Option<usize>,
    #[serde(rename = "paginacao.itensPorPagina")]
    per_page: Option<usize>,
}

impl Window {
    /// Both ends are required.
    pub(crate) fn check(&self) -> Result<(Timestamp, Timestamp), Failure> {
        let time = |name: &str, text: &Option<String>| match text.as_deref().map(str::parse::<Timestamp>) {
            Some(Ok(at)) => Ok(at),
            _ => malformed(name, "deve ser uma data no formato RFC 3339"),
        };
        let (from, to) = (time("inicio", &self.inicio)?, time("fim", &self.fim)?);
        if from > to {
            return malformed("inicio", "inicio é posterior a fim");
        }
        if self.per_page.is_some_and(|n| !(1..=PAGE_MAX).contains(&n)) {
            return malformed("paginacao.itensPorPagina", "deve ser de 1 a 1000");
        }
        Ok((from, to))
    }

    /// `parametros`, and this page of the items.
    pub(crate) fn cut<T>(&self, all: Vec<T>) -> (Value, Vec<T>) {
        let (page, per_page, total) = (self.page.unwrap_or(0), self.per_page.unwrap_or(PAGE), all.len());
        let here: Vec<T> = all.into_iter().skip(page.saturating_mul(per_page)).take(per_page).collect();
        let parameters = json!({
            "inicio": self.inicio,
            "fim": self.fim,
            "paginacao": {
                "paginaAtual": page, "itensPorPagina": per_page,
                "quantidadeDePaginas": total.div_ceil(per_page).max(1), "quantidadeTotalDeItens": total,
            },
        });
        (parameters, here)
    }
}

pub(crate) fn check_key(world: &World, key: &str) -> Result<(), Failure> {
    if key.is_empty() || key.chars().count() > 77 {
        return malformed(".chave", "deve ter de 1 a 77 caracteres");
    }
    if key != world.cfg.pix_key {
        return refuse(400, "chave_invalida", "A chave informada não pertence ao recebedor");
    }
    Ok(())
}

/// The shop makes a txid of its payment's id without dashes: in the books it has them.
pub(crate) fn dashed(id: &str) -> String {
    let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    Uuid::try_parse(id).ok().filter(|_| hex).map_or_else(|| id.to_owned(), |id| id.hyphenated().to_string())
}
