//! What all calls of Correios share: the token, their errors.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::World;

pub(crate) const NAME: &str = "correios";
pub(crate) const BRASILIA: Offset = Offset::constant(-3);
/// The regional office of the contract.
pub(crate) const OFFICE: i64 = 72;
pub(crate) fn error_body(status: u16) -> Value {
    messages(match status {
        401 => "GTW-006: Token inválido.",
        403 => "GTW-011: API não contratada.",
        404 => "GTW-004: Recurso não encontrado.",
        429 => "GTW-029: Limite de requisições excedido.",
        _ => "GTW-500: Erro interno.",
    })
}

pub(crate) fn messages(text: &str) -> Value {
    json!({"msgs": [text], "date": Timestamp::now().to_string()})
}

fn header<'a>(req: &'a HttpRequest, name: &str) -> &'a str {
    req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// The user's access code by Basic, and the number of the postage card.
pub(crate) async fn token(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    let given = header(&req, "authorization").strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
    let wanted = format!("{}:{}", world.cfg.correios_user, world.cfg.correios_access_code);
    if given.as_deref() != Some(wanted.as_bytes()) || world.is_revoked(NAME) {
        return HttpResponse::Unauthorized().json(messages("GTW-007: Usuário ou código de acesso inválido."));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if body["numero"] != world.cfg.correios_postage_card.as_str() {
        return HttpResponse::BadRequest().json(messages("TKN-010: Cartão de postagem não pertence ao usuário."));
    }
    let token = format!("eyJ{}", hex::encode(rand::random::<[u8; 24]>()));
    let now = Timestamp::now();
    let life = SignedDuration::try_from(world.cfg.correios_token_life).unwrap_or(SignedDuration::MAX);
    let end = now.saturating_add(life).unwrap_or(Timestamp::MAX);
    let mut office = world.office();
    office.tokens.retain(|_, end| *end > now);
    office.tokens.insert(token.clone(), end);
    let local = |at: Timestamp| BRASILIA.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    HttpResponse::Created().json(json!({
        "ambiente": "HOMOLOGACAO", "id": world.cfg.correios_user, "perfil": "PJ", "cnpj": "11222333000181",
        "emissao": local(now), "expiraEm": local(end), "zoneOffset": "-03:00",
        "cartaoPostagem": {"numero": world.cfg.correios_postage_card, "contrato": world.cfg.correios_contract, "dr": OFFICE,
                           "api": [{"api": 34}, {"api": 35}, {"api": 87}]},
        "token": token,
    }))
}

/// Why a call is not let in.
pub(crate) fn refuse(req: &HttpRequest, world: &World) -> Option<HttpResponse> {
    let token = header(req, "authorization").strip_prefix("Bearer ").unwrap_or("");
    let lives = world.office().tokens.get(token).is_some_and(|&end| Timestamp::now() < end);
    (!lives || world.is_revoked(NAME)).then(|| HttpResponse::Unauthorized().json(error_body(401)))
}
