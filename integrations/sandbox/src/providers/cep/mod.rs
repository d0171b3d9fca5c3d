//! ViaCEP and BrasilAPI: addresses by CEP, from one table.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, ServiceConfig};
use serde_json::{Value, json};

use crate::providers::cep::table::Address;
use crate::world::Provider;

mod table;

pub(crate) const VIACEP: Provider = Provider { name: "viacep", routes: viacep_routes, error: viacep_error, ..Provider::SILENT };
pub(crate) const BRASILAPI: Provider =
    Provider { name: "brasilapi", routes: brasilapi_routes, error: brasilapi_error, ..Provider::SILENT };

fn viacep_routes(cfg: &mut ServiceConfig) {
    cfg.route("/ws/{cep}/json/", web::get().to(viacep)).route("/ws/{cep}/json", web::get().to(viacep));
}

fn brasilapi_routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/cep/v1/{cep}", web::get().to(brasilapi));
}

fn viacep_error(_: u16) -> Value {
    json!("<!DOCTYPE html><html><body><h1>Http error</h1></body></html>")
}

fn brasilapi_error(status: u16) -> Value {
    json!({"message": "Erro interno no serviço de CEP.", "type": "internal_error", "name": "InternalError", "status": status})
}

fn is_cep(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())
}

async fn viacep(cep: Path<String>) -> HttpResponse {
    if !is_cep(&cep) {
        let page = "<!DOCTYPE html><html><body><h1>Http 400</h1><h3>Verifique a URL</h3></body></html>";
        return HttpResponse::BadRequest().content_type("text/html; charset=utf-8").body(page);
    }
    let Some(Address { street, complement, district, city }) = table::find(&cep) else {
        return HttpResponse::Ok().json(json!({"erro": "true"}));
    };
    HttpResponse::Ok().json(json!({
        "cep": format!("{}-{}", &cep[..5], &cep[5..]),
        "logradouro": street,
        "complemento": complement,
        "unidade": "",
        "bairro": district,
        "localidade": city.name,
        "uf": city.uf,
        "estado": city.state,
        "regiao": city.region,
        "ibge": city.ibge,
        "gia": if city.ibge == "3550308" { "1004" } else { "" },
        "ddd": city.ddd,
        "siafi": city.siafi,
    }))
}

async fn brasilapi(cep: Path<String>) -> HttpResponse {
    let plain = match cep.split_once('-') {
        Some((start, end)) if start.len() == 5 => format!("{start}{end}"),
        _ => cep.to_string(),
    };
    if !is_cep(&plain) {
        return HttpResponse::BadRequest().json(json!({
            "name": "CepPromiseError",
            "message": "CEP deve conter exatamente 8 caracteres.",
            "type": "validation_error",
            "errors": [{"message": "CEP informado possui menos do que 8 caracteres.", "service": "cep_validation"}],
        }));
    }
    let Some(Address { street, district, city, .. }) = table::find(&plain) else {
        return HttpResponse::NotFound().json(not_found());
    };
    HttpResponse::Ok().json(json!({
        "cep": plain,
        "state": city.uf,
        "city": city.name,
        "neighborhood": district,
        "street": street,
        "service": "open-cep",
        "ibge": {"city": city.ibge, "state": &city.ibge[..2]},
    }))
}

fn not_found() -> Value {
    let error = |service: &str, message: &str| json!({"name": "ServiceError", "message": message, "service": service});
    json!({
        "name": "CepPromiseError",
        "message": "Todos os serviços de CEP retornaram erro.",
        "type": "service_error",
        "errors": [
            error("correios", "CEP INVÁLIDO"),
            error("viacep", "CEP não encontrado na base do ViaCEP."),
            error("widenet", "CEP não encontrado"),
            error("correios-alt", "CEP não encontrado na base dos Correios."),
        ],
    })
}
