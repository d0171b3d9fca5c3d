//! eNotas Gateway: `/enotas/v2/empresas/{id}/nf-e`. All of it is asynchronous; its tax authority is in `nfe`.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::books::Books;
use crate::books::nfe::{Letter, Nfe, NfeStatus};
use crate::books::nfe_draft::{Draft, Referenced};
use crate::formats::signature;
use crate::providers::enotas::wire::view;
use crate::providers::nfe::{self, danfe_pdf, xml};
use crate::world::news::{Envelope, News};
use crate::world::{Provider, World};

mod wire;

pub(crate) const PROVIDER: Provider =
    Provider { name: "enotas", routes, error: error_body, webhook: Some(envelopes), has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/v2/empresas/{company}/nf-e")
            .route("", web::post().to(emit))
            .route("", web::get().to(list))
            .route("/cartaCorrecao", web::post().to(correct))
            .route("/cartaCorrecao/{id}", web::get().to(show_letter))
            .route("/cartaCorrecao/{id}/xml", web::get().to(letter_xml))
            .route("/{id}", web::get().to(show))
            .route("/{id}", web::delete().to(cancel))
            .route("/{id}/{file:xml|pdf|xmlCancelamento}", web::get().to(file)),
    );
}

/// An answer that is not a success: status, code and message of each error.
struct Failure(u16, Vec<(&'static str, String)>);

type Answer = Result<HttpResponse, Failure>;

fn fail<T>(status: u16, code: &'static str, message: &str) -> Result<T, Failure> {
    Err(Failure(status, vec![(code, message.to_owned())]))
}

fn error_body(_: u16) -> Value {
    json!([{"codigo": "SBX0001", "mensagem": "ordenado pelo controle do sandbox"}])
}

/// The raw key behind `Basic`, and the company in the path.
fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let given = req.headers().get("authorization").and_then(|value| value.to_str().ok());
    let is_ours = given.and_then(|value| value.strip_prefix("Basic ")) == Some(&world.cfg.enotas_api_key);
    let is_known = is_ours && !world.is_revoked(PROVIDER.name);
    let company = req.match_info().get("company").unwrap_or_default();
    let answer = match (is_known, company.eq_ignore_ascii_case(&world.cfg.enotas_company_id)) {
        (false, _) => fail(401, "API0001", "Chave inválida"),
        (true, false) => fail(403, "API0002", "A chave não dá acesso a esta empresa"),
        (true, true) => inside(),
    };
    answer.unwrap_or_else(|Failure(status, errors)| {
        let errors: Vec<Value> =
            errors.into_iter().map(|(codigo, mensagem)| json!({"codigo": codigo, "mensagem": mensagem})).collect();
        HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)).json(errors)
    })
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => fail(400, "API0003", "O corpo não é um objeto JSON"),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

async fn emit(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let fields = parse(&body)?;
        let id = text(&fields, "id");
        if id.is_empty() || id.len() > 64 {
            return fail(400, "NFE0001", "id é obrigatório e tem até 64 caracteres");
        }
        world.write(|books| {
            let known = books.nfes.get(&nfe::id(PROVIDER.name, id));
            let is_production = text(&fields, "ambienteEmissao") == "Producao";
            match known {
                None => {}
                Some(nfe) if nfe.draft.production != is_production => {
                    return fail(400, "NFE0002", "O id já foi usado em outro ambiente");
                }
                Some(nfe) if nfe.status == NfeStatus::Rejected => {}
                Some(_) => return fail(400, "NFE0003", "Já existe uma nota fiscal com este id"),
            }
            match wire::draft(&fields, &world.cfg) {
                Ok(mut draft) => {
                    refer_items(books, &mut draft);
                    let nfe = nfe::submit(&world, books, PROVIDER.name, id, draft, signature::sha256_hex(&body));
                    Ok(HttpResponse::Ok().json(json!({"nfeId": nfe.reference})))
                }
                Err(problems) => {
                    Err(Failure(400, problems.into_iter().map(|(field, why)| ("NFE0004", format!("{field}: {why}"))).collect()))
                }
            }
        })
    })
}

/// A return's sale is named to the gateway once. The tax authority wants it item by item: the gateway knows the sale, and finds
/// each item there by its code.
fn refer_items(books: &Books, draft: &mut Draft) {
    let Some(key) = draft.referenced.take_if(|_| draft.purpose == 4) else { return };
    let sale = nfe::find(books, &key).map(|sale| sale.draft.items.as_slice()).unwrap_or_default();
    for item in &mut draft.items {
        let number = sale.iter().find(|sold| sold.code == item.code).map_or(item.number, |sold| sold.number);
        item.referenced = Some(Referenced { key: key.clone(), item: Some(number) });
    }
}

fn of(books: &Books, id: &str) -> Result<Nfe, Failure> {
    match books.nfes.get(&nfe::id(PROVIDER.name, id)) {
        Some(nfe) => Ok(nfe.clone()),
        None => Err(Failure(404, Vec::new())),
    }
}

async fn list(req: HttpRequest, world: Data<World>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let ours = books.nfes.rows.iter().rev().filter(|nfe| nfe.provider == PROVIDER.name);
            let rows: Vec<Value> = ours.take(100).map(|nfe| view(&world, nfe)).collect();
            Ok(HttpResponse::Ok().json(json!({"totalRecords": rows.len(), "data": rows})))
        })
    })
}

async fn show(req: HttpRequest, world: Data<World>, path: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || world.write(|books| Ok(HttpResponse::Ok().json(view(&world, &of(books, &path.1)?)))))
}

/// Taken, and decided later.
async fn cancel(req: HttpRequest, world: Data<World>, path: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let mut nfe = of(books, &path.1)?;
            if nfe.status != NfeStatus::Authorized {
                return fail(400, "NFE0005", "A nota fiscal não pode ser cancelada em seu estado atual");
            }
            let now = Timestamp::now();
            let wait = SignedDuration::try_from(world.cfg.nfe_authorizes_after).unwrap_or(SignedDuration::ZERO);
            nfe.status = NfeStatus::Cancelling;
            nfe.reason = Some("Cancelamento solicitado pelo emitente".into());
            nfe.due_at = now.saturating_add(wait).unwrap_or(now);
            books.put(nfe);
            Ok(HttpResponse::Ok().finish())
        })
    })
}

async fn file(req: HttpRequest, world: Data<World>, path: Path<(String, String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let nfe = world.write(|books| of(books, &path.1))?;
        if nfe.key.is_none() || nfe.status == NfeStatus::Denied || !wire::has_files(&world, &nfe, Timestamp::now()) {
            return Err(Failure(404, Vec::new()));
        }
        match path.2.as_str() {
            "pdf" => Ok(HttpResponse::Ok().content_type("application/pdf").body(danfe_pdf::draw(&nfe))),
            "xml" => Ok(HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(xml::note(&nfe))),
            _ if nfe.status == NfeStatus::Cancelled => {
                Ok(HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(xml::cancellation(&nfe)))
            }
            _ => Err(Failure(404, Vec::new())),
        }
    })
}

async fn correct(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let fields = parse(&body)?;
        let (id, words) = (text(&fields, "id"), text(&fields, "correcao"));
        let key = fields.get("nfe").and_then(|nfe| nfe.get("chaveAcesso")).and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() || !(15..=1000).contains(&words.chars().count()) {
            return fail(400, "CCE0001", "id e correcao (15 a 1000 caracteres) são obrigatórios");
        }
        world.write(|books| {
            if books.nfes.rows.iter().any(|nfe| nfe.letters.iter().any(|letter| letter.id == id)) {
                return fail(400, "CCE0002", "Já existe uma carta de correção com este id");
            }
            match nfe::find(books, key).filter(|nfe| nfe.provider == PROVIDER.name).cloned() {
                Some(nfe) if nfe.status == NfeStatus::Authorized => match nfe::correct(&world, books, nfe, id, words) {
                    Ok(_) => Ok(HttpResponse::Ok().json(json!({"id": id}))),
                    Err((_, why)) => fail(400, "CCE0003", why),
                },
                Some(_) => fail(400, "CCE0004", "A nota fiscal não está autorizada"),
                None => fail(400, "CCE0005", "Nota fiscal não encontrada"),
            }
        })
    })
}

fn letter(books: &Books, id: &str) -> Result<(Nfe, Letter), Failure> {
    let found = books.nfes.rows.iter().find_map(|nfe| Some((nfe, nfe.letters.iter().find(|letter| letter.id == id)?)));
    found.map(|(nfe, letter)| (nfe.clone(), letter.clone())).ok_or(Failure(404, Vec::new()))
}

async fn show_letter(req: HttpRequest, world: Data<World>, path: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let (nfe, letter) = world.read(|books| letter(books, &path.1))?;
        Ok(HttpResponse::Ok().json(json!({
            "id": letter.id,
            "status": "Autorizada",
            "motivoStatus": null,
            "correcao": letter.text,
            "protocolo": {"numero": letter.protocol},
            "nfe": {"id": nfe.reference, "chaveAcesso": nfe.key},
        })))
    })
}

async fn letter_xml(req: HttpRequest, world: Data<World>, path: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let (nfe, letter) = world.read(|books| letter(books, &path.1))?;
        Ok(HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(xml::letter(&nfe, &letter)))
    })
}

/// Flat, unsigned; the address holds the secret.
fn envelopes(world: &World, _: &Books, news: &News<'_>) -> Vec<Envelope> {
    let News::Nfe(nfe) = news else {
        return Vec::new();
    };
    let secret: String = form_urlencoded::byte_serialize(world.cfg.nfe_webhook_secret.as_bytes()).collect();
    vec![Envelope {
        event_id: Uuid::now_v7().to_string(),
        event: wire::status(world, nfe, Timestamp::now()).to_owned(),
        path: format!("/api/webhooks/enotas?token={secret}"),
        headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
        body: wire::told(world, nfe).to_string(),
    }]
}
