//! Where Correios' parcels are: `/correios/srorastro/v1/objetos`. The control tells what happens to them.

use actix_web::web::{self, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::books::parcels::Parcel;
use crate::providers::correios::wire::{BRASILIA, messages, refuse};
use crate::world::World;
use crate::world::office::Passage;

const OBJECTS: usize = 50;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/srorastro/v1/objetos", web::get().to(many)).route("/srorastro/v1/objetos/{code}", web::get().to(one));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    #[serde(default)]
    codigos_objetos: String,
    #[serde(default = "all")]
    resultado: String,
}

fn all() -> String {
    "T".to_owned()
}

async fn many(req: HttpRequest, world: Data<World>, ask: Query<Ask>) -> HttpResponse {
    let codes: Vec<&str> = ask.codigos_objetos.split(',').filter(|code| !code.is_empty()).collect();
    if let (None, 0 | 51..) = (refuse(&req, &world), codes.len()) {
        return HttpResponse::BadRequest().json(messages(&format!("SRO-010: Informe de 1 a {OBJECTS} objetos.")));
    }
    answer(&req, &world, &codes, &ask.resultado)
}

async fn one(req: HttpRequest, world: Data<World>, code: Path<String>, ask: Query<Ask>) -> HttpResponse {
    answer(&req, &world, &[&code], &ask.resultado)
}

fn answer(req: &HttpRequest, world: &World, codes: &[&str], which: &str) -> HttpResponse {
    if let Some(refusal) = refuse(req, world) {
        return refusal;
    }
    let language = req.headers().get("accept-language").and_then(|value| value.to_str().ok());
    if !matches!(language, Some("pt-BR" | "en" | "es-ES")) {
        return HttpResponse::BadRequest().json(messages("SRO-018: Accept-Language deve ser pt-BR, en ou es-ES."));
    }
    let object = |code: &&str| match passages(world, &code.to_uppercase()) {
        None => json!({"codObjeto": code, "mensagem": "SRO-020: Objeto não encontrado na base de dados dos Correios."}),
        Some(passages) => {
            let newest_first = passages.iter().rev();
            let shown: Vec<Value> = match which {
                "U" => newest_first.take(1).map(event).collect(),
                "P" => passages.first().map(event).into_iter().collect(),
                _ => newest_first.map(event).collect(),
            };
            json!({"codObjeto": code, "tipoPostal": {"sigla": code.get(..2), "categoria": "ENCOMENDA"}, "eventos": shown})
        }
    };
    let objects: Vec<Value> = codes.iter().map(object).collect();
    HttpResponse::Ok().json(json!({"versao": "1.3.2", "quantidade": objects.len(), "resultado": which, "objetos": objects}))
}

/// What the control told of it, else what happened to a label that a broker sold for this carrier.
fn passages(world: &World, code: &str) -> Option<Vec<Passage>> {
    let told = world.office().objects.get(code).cloned();
    told.or_else(|| {
        world.write(|books| {
            let is_it = |p: &&Parcel| p.tracking.as_deref() == Some(code) && p.company == "Correios" && !p.scans.is_empty();
            books.parcels().iter().find(is_it).map(|parcel| parcel.scans.iter().cloned().map(Passage::from).collect())
        })
    })
}

fn event(passage: &Passage) -> Value {
    json!({
        "codigo": passage.codigo, "tipo": passage.tipo, "descricao": passage.descricao,
        "dtHrCriado": BRASILIA.to_datetime(passage.at).strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        "unidade": {"tipo": "Unidade de Distribuição", "endereco": {"cidade": passage.cidade, "uf": passage.uf}},
    })
}
