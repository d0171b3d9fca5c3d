//! Focus NFe: `/focusnfe/v2/nfe` and the files. Its tax authority is in `nfe`.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::books::Books;
use crate::books::nfe::{Nfe, NfeStatus};
use crate::formats::signature;
use crate::providers::focusnfe::wire::view;
use crate::providers::nfe::{self, danfe_pdf, xml};
use crate::world::news::{Envelope, News};
use crate::world::{Provider, World};

mod wire;

pub(crate) const PROVIDER: Provider =
    Provider { name: "focusnfe", routes, error: error_body, webhook: Some(envelopes), has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v2/nfe", web::post().to(emit))
        .route("/v2/nfe/{ref}", web::get().to(show))
        .route("/v2/nfe/{ref}", web::delete().to(cancel))
        .route("/v2/nfe/{ref}/carta_correcao", web::post().to(correct))
        .route("/v2/nfe/{ref}/hook", web::post().to(tell_again))
        .route("/arquivos_desenvolvimento/{cnpj}/{month}/{kind}/{file}", web::get().to(file))
        .route("/arquivos/{cnpj}/{month}/{kind}/{file}", web::get().to(file));
}

/// An answer that is not a success: status, code, message, wrong fields.
struct Failure(u16, &'static str, String, Vec<(String, String)>);

type Answer = Result<HttpResponse, Failure>;

fn fail<T>(status: u16, code: &'static str, message: &str) -> Result<T, Failure> {
    Err(Failure(status, code, message.to_owned(), Vec::new()))
}

fn error_body(status: u16) -> Value {
    let code = match status {
        401 | 403 => "permissao_negada",
        404 => "nao_encontrado",
        415 => "tipo_nao_suportado",
        422 => "erro_validacao_schema",
        429 => "limite_excedido",
        400..=499 => "requisicao_invalida",
        _ => "erro_interno",
    };
    json!({"codigo": code, "mensagem": "ordenado pelo controle do sandbox"})
}

/// Checks the token, then answers; every answer tells the allowance, which the sandbox does not enforce.
fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let pair = STANDARD.encode(format!("{}:", world.cfg.focusnfe_token));
    let given = req.headers().get("authorization").and_then(|value| value.to_str().ok());
    let answer = match given == Some(&format!("Basic {pair}")) && !world.is_revoked(PROVIDER.name) {
        true => inside(),
        false => fail(401, "permissao_negada", "Token inválido ou não informado"),
    };
    let mut answer = answer.unwrap_or_else(|Failure(status, code, message, fields)| {
        let code_of = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!({"codigo": code, "mensagem": message});
        if !fields.is_empty() {
            let fields = fields.into_iter().map(|(campo, mensagem)| json!({"campo": campo, "mensagem": mensagem}));
            body["erros"] = fields.collect();
        }
        HttpResponse::build(code_of).json(body)
    });
    for (name, value) in [("rate-limit-limit", "100"), ("rate-limit-remaining", "99"), ("rate-limit-reset", "60")] {
        let value = actix_web::http::header::HeaderValue::from_static(value);
        answer.headers_mut().insert(actix_web::http::header::HeaderName::from_static(name), value);
    }
    answer
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => fail(400, "requisicao_invalida", "O corpo não é um objeto JSON"),
    }
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

async fn emit(req: HttpRequest, world: Data<World>, query: Query<Reference>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let sane = |text: &&str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let Some(reference) = query.reference.as_deref().filter(sane) else {
            return fail(400, "requisicao_invalida", "O parâmetro ref é obrigatório e só tem letras e números");
        };
        let fields = parse(&body)?;
        world.write(|books| {
            match books.nfes.get(&nfe::id(PROVIDER.name, reference)).map(|nfe| nfe.status) {
                None | Some(NfeStatus::Rejected) => {}
                Some(NfeStatus::Processing) => return fail(422, "em_processamento", "A nota fiscal está em processamento"),
                Some(NfeStatus::Cancelled) => return fail(422, "nfe_cancelada", "A nota fiscal já foi cancelada"),
                Some(_) => return fail(422, "nfe_autorizada", "A nota fiscal já foi autorizada"),
            }
            let draft = match wire::draft(&fields, world.cfg.nfe_is_production) {
                Ok(draft) => draft,
                Err(problems) => {
                    let message = "Erro na validação do Schema XML, verifique o detalhamento dos erros".to_owned();
                    return Err(Failure(422, "erro_validacao_schema", message, problems));
                }
            };
            if draft.issuer.tax_id != world.cfg.nfe_cnpj {
                return fail(400, "empresa_nao_habilitada", "Empresa ainda não habilitada para emissão de NFe");
            }
            let nfe = nfe::submit(&world, books, PROVIDER.name, reference, draft, signature::sha256_hex(&body));
            Ok(HttpResponse::Accepted().json(view(&nfe, false)))
        })
    })
}

fn of(books: &Books, reference: &str) -> Result<Nfe, Failure> {
    match books.nfes.get(&nfe::id(PROVIDER.name, reference)) {
        Some(nfe) => Ok(nfe.clone()),
        None => fail(404, "nao_encontrado", "Nota fiscal não encontrada"),
    }
}

#[derive(Deserialize)]
struct Wholly {
    #[serde(default)]
    completa: u8,
}

async fn show(req: HttpRequest, world: Data<World>, reference: Path<String>, query: Query<Wholly>) -> HttpResponse {
    guarded(&req, &world, || world.write(|books| Ok(HttpResponse::Ok().json(view(&of(books, &reference)?, query.completa == 1)))))
}

/// So many characters of text, as the schema takes it.
fn words(body: &[u8], name: &str, least: usize, most: usize) -> Result<String, Failure> {
    let fields = parse(body)?;
    let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if !(least..=most).contains(&text.chars().count()) {
        return fail(400, "requisicao_invalida", &format!("{name} deve ter entre {least} e {most} caracteres"));
    }
    Ok(text.to_owned())
}

/// Invoices that can be cancelled or corrected.
fn authorized(nfe: Nfe) -> Result<Nfe, Failure> {
    match nfe.status {
        NfeStatus::Authorized => Ok(nfe),
        NfeStatus::Cancelled => fail(400, "nfe_cancelada", "A nota fiscal já foi cancelada"),
        _ => fail(422, "nfe_nao_autorizada", "A nota fiscal não foi autorizada"),
    }
}

async fn cancel(req: HttpRequest, world: Data<World>, reference: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let reason = words(&body, "justificativa", 15, 255)?;
        world.write(|books| {
            let nfe = authorized(of(books, &reference)?)?;
            Ok(HttpResponse::Ok().json(match nfe::cancel(&world, books, nfe, &reason) {
                Ok(nfe) => json!({
                    "status": "cancelado",
                    "status_sefaz": "135",
                    "mensagem_sefaz": "Evento registrado e vinculado a NF-e",
                    "caminho_xml_cancelamento": wire::path(&nfe, "XMLs", "-can.xml"),
                }),
                Err((code, why)) => {
                    json!({"status": "erro_cancelamento", "status_sefaz": code.to_string(), "mensagem_sefaz": why})
                }
            }))
        })
    })
}

async fn correct(req: HttpRequest, world: Data<World>, reference: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let text = words(&body, "correcao", 15, 1000)?;
        world.write(|books| {
            let nfe = authorized(of(books, &reference)?)?;
            Ok(HttpResponse::Ok().json(match nfe::correct(&world, books, nfe, "", &text) {
                Ok(nfe) => view(&nfe, false),
                Err((code, why)) => {
                    json!({"status": "erro_autorizacao", "status_sefaz": code.to_string(), "mensagem_sefaz": why})
                }
            }))
        })
    })
}

async fn tell_again(req: HttpRequest, world: Data<World>, reference: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let nfe = of(books, &reference)?;
            nfe::tell(&world, books, &nfe);
            Ok(HttpResponse::Ok().json(json!([{"id": Uuid::now_v7(), "event": "nfe"}])))
        })
    })
}

/// `35…-nfe.xml`, `-can.xml`, `-cce-01.xml`, `35….pdf`.
async fn file(req: HttpRequest, world: Data<World>, path: Path<(String, String, String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let (cnpj, _, _, file) = path.into_inner();
        let Some((key, ending)) = file.split_at_checked(44) else {
            return fail(404, "nao_encontrado", "Arquivo não encontrado");
        };
        let nfe = world.write(|books| nfe::find(books, key).cloned()).filter(|nfe| nfe.cnpj == cnpj);
        let Some(nfe) = nfe else { return fail(404, "nao_encontrado", "Arquivo não encontrado") };
        let letter = |text: &str| text.parse().ok().and_then(|number: usize| nfe.letters.get(number.wrapping_sub(1)).cloned());
        let xml = match ending {
            ".pdf" => return Ok(HttpResponse::Ok().content_type("application/pdf").body(danfe_pdf::draw(&nfe))),
            "-nfe.xml" => Some(xml::note(&nfe)),
            "-can.xml" if nfe.status == NfeStatus::Cancelled => Some(xml::cancellation(&nfe)),
            _ => ending
                .strip_prefix("-cce-")
                .and_then(|rest| rest.strip_suffix(".xml"))
                .and_then(letter)
                .map(|letter| xml::letter(&nfe, &letter)),
        };
        match xml {
            Some(xml) => Ok(HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(xml)),
            None => fail(404, "nao_encontrado", "Arquivo não encontrado"),
        }
    })
}

/// The note as GET shows it, with a fixed word in a header.
fn envelopes(world: &World, _: &Books, news: &News<'_>) -> Vec<Envelope> {
    let News::Nfe(nfe) = news else {
        return Vec::new();
    };
    let mut told = view(nfe, false);
    if let Some(number) = told["numero_carta_correcao"].as_u64() {
        told["numero_carta_correcao"] = json!(number.to_string()); // here it is text
    }
    vec![Envelope {
        event_id: Uuid::now_v7().to_string(),
        event: wire::status(nfe).to_owned(),
        path: "/api/webhooks/focusnfe".into(),
        headers: [
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-focus-token".to_owned(), world.cfg.nfe_webhook_secret.clone()),
        ]
        .into(),
        body: told.to_string(),
    }]
}
