//! Correios under a contract: `/correios/preco/…`, `/correios/prazo/…`.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::providers::correios::wire::{BRASILIA, OFFICE, messages, refuse};
use crate::providers::quote::{self, Parcel, SERVICES, Service};
use crate::world::World;

const BATCH: usize = 5;
/// Product → its id in our tariff, the additional service that declares a value, what is insured anyway.
const PRODUCTS: [(&str, u32, &str, &str); 3] =
    [("03298", 1, "064", "25,63"), ("03220", 2, "019", "25,63"), ("04227", 17, "065", "12,81")];
/// The smallest box: longest side, middle, shortest.
const MIN_BOX: [i64; 3] = [16, 11, 2];
/// Places where nobody brings a parcel to the door, by the start of their CEPs.
const FETCHED: &str = "6949";

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/preco/v1/nacional", web::post().to(prices))
        .route("/preco/v1/nacional/{product}", web::get().to(price))
        .route("/prazo/v1/nacional", web::post().to(deadlines))
        .route("/prazo/v1/nacional/{product}", web::get().to(deadline));
}

type Line = Map<String, Value>;
/// An answer's fields beside the product and the number, or the text of what is wrong.
type Said = Result<Value, String>;

async fn prices(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    batch(&req, &world, &body, "parametrosProduto", |line| priced(&world, line))
}

async fn deadlines(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    batch(&req, &world, &body, "parametrosPrazo", timed)
}

async fn price(req: HttpRequest, world: Data<World>, product: Path<String>, query: Query<Line>) -> HttpResponse {
    let mut line = single(&product, query.into_inner());
    if let Some(Value::String(codes)) = line.get("servicosAdicionais").cloned() {
        let codes: Vec<Value> = codes.split(',').map(|code| json!({"coServAdicional": code})).collect();
        line.insert("servicosAdicionais".to_owned(), codes.into());
    }
    refuse(&req, &world).unwrap_or_else(|| alone(priced(&world, &line), &line))
}

async fn deadline(req: HttpRequest, world: Data<World>, product: Path<String>, query: Query<Line>) -> HttpResponse {
    let line = single(&product, query.into_inner());
    refuse(&req, &world).unwrap_or_else(|| alone(timed(&line), &line))
}

fn single(product: &str, mut line: Line) -> Line {
    line.insert("coProduto".to_owned(), product.into());
    line
}

fn alone(said: Said, line: &Line) -> HttpResponse {
    match said {
        Ok(_) => HttpResponse::Ok().json(item(said, line)),
        Err(why) => HttpResponse::BadRequest().json(messages(&why)),
    }
}

/// All went well: 200. Some did: 206. None did: 400. The body is an array each time.
fn batch(req: &HttpRequest, world: &World, body: &[u8], name: &str, say: impl Fn(&Line) -> Said) -> HttpResponse {
    if let Some(refusal) = refuse(req, world) {
        return refusal;
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return HttpResponse::BadRequest().json(messages(&format!("ERP-010: {error}"))),
    };
    let lines = body[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let (Value::String(_), 1..=BATCH, true) = (&body["idLote"], lines.len(), lines.iter().all(Value::is_object)) else {
        return HttpResponse::BadRequest()
            .json(messages(&format!("ERP-010: idLote e de 1 a 5 itens em {name} são obrigatórios.")));
    };
    let mut good = 0;
    let answers: Vec<Value> = lines
        .iter()
        .filter_map(Value::as_object)
        .map(|line| {
            let said = say(line);
            good += usize::from(said.is_ok());
            item(said, line)
        })
        .collect();
    let status = match good {
        0 => StatusCode::BAD_REQUEST,
        n if n == answers.len() => StatusCode::OK,
        _ => StatusCode::PARTIAL_CONTENT,
    };
    HttpResponse::build(status).json(answers)
}

fn item(said: Said, line: &Line) -> Value {
    let mut item = json!({"coProduto": line.get("coProduto"), "nuRequisicao": line.get("nuRequisicao")});
    let (fields, words) = said.map_or_else(|why| (json!({}), why), |fields| (fields, String::new()));
    for (name, value) in fields.as_object().into_iter().flatten() {
        item[name] = value.clone();
    }
    item["txErro"] = words.into();
    item
}

fn text<'a>(line: &'a Line, name: &str) -> Result<&'a str, String> {
    line.get(name).and_then(Value::as_str).ok_or_else(|| format!("ERP-010: {name} é obrigatório, como texto."))
}

fn cep<'a>(line: &'a Line, name: &str) -> Result<&'a str, String> {
    let cep = text(line, name)?;
    let is_cep = cep.len() == 8 && cep.bytes().all(|b| b.is_ascii_digit());
    if is_cep { Ok(cep) } else { Err(format!("ERP-010: {name} deve ter 8 dígitos.")) }
}

fn whole(line: &Line, name: &str) -> Result<i64, String> {
    let number = text(line, name)?.parse().ok().filter(|n| (1..=1_000_000).contains(n));
    number.ok_or_else(|| format!("ERP-010: {name} deve ser um número inteiro, como texto."))
}

type Product = (&'static Service, &'static str, &'static str);

fn product(line: &Line) -> Result<Product, String> {
    let code = text(line, "coProduto")?;
    let (_, id, insurance, free) =
        PRODUCTS.iter().find(|p| p.0 == code).ok_or_else(|| format!("PRC-101: Produto {code} não contratado."))?;
    let service = SERVICES.iter().find(|service| service.id == *id).ok_or("PRC-101: Produto sem tarifa.")?;
    Ok((service, insurance, free))
}

fn priced(world: &World, line: &Line) -> Said {
    let (service, insurance, free) = product(line)?;
    let (from, to) = (cep(line, "cepOrigem")?, cep(line, "cepDestino")?);
    let contract = line.get("nuContrato").is_none_or(|n| *n == world.cfg.correios_contract.as_str());
    let office = OFFICE.to_string();
    if !contract || line.get("nuDR").is_some_and(|n| *n != OFFICE && *n != office.as_str()) {
        return Err("PRC-124: Contrato ou DR difere do token.".to_owned());
    }
    if text(line, "tpObjeto")? != "2" {
        return Err("ERP-010: tpObjeto deve ser 2 (caixa) aqui.".to_owned());
    }
    let mut sides = [whole(line, "comprimento")?, whole(line, "largura")?, whole(line, "altura")?];
    if sides.iter().zip(MIN_BOX).any(|(side, min)| *side < min) {
        return Err("ERP-010: Dimensões abaixo do mínimo (16 x 11 x 2 cm).".to_owned());
    }
    if sides.iter().sum::<i64>() > 200 {
        return Err("ERP-010: Soma das dimensões acima de 200 cm.".to_owned());
    }
    let declared = declared(line, insurance)?;
    let grams = whole(line, "psObjeto")?;
    let [length_cm, width_cm, height_cm] = sides;
    let parcel = Parcel { width_cm, height_cm, length_cm, weight_grams: grams, insured_cents: declared };
    let price = quote::quote(service, &parcel, from, to).map_err(|why| format!("ERP-006: {why}"))?;
    let insured = declared / 100; // the share of the price that the declared value makes
    sides.sort_unstable();
    let cubic = sides.iter().product::<i64>() / 6;
    let is_cubic = cubic > 5_000 && cubic > grams;
    let charged = if is_cubic { cubic } else { grams };
    let base = reais(price.cents - insured);
    Ok(json!({
        "pcBase": base, "pcBaseGeral": base, "peVariacao": "0,00", "pcReferencia": base, "vlBaseCalculoImposto": "0,00",
        "inPesoCubico": if is_cubic { "S" } else { "N" }, "psCobrado": charged.to_string(), "peAdValorem": "1,0000",
        "vlSeguroAutomatico": free, "pcProduto": base, "pcTotalServicosAdicionais": reais(insured), "pcFinal": reais(price.cents),
    }))
}

/// Centavos; 0 where nothing is declared.
fn declared(line: &Line, insurance: &str) -> Result<i64, String> {
    let codes = line.get("servicosAdicionais").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if codes.iter().any(|code| code["coServAdicional"] != insurance) {
        return Err("ERP-054: Serviço adicional não permitido para o serviço.".to_owned());
    }
    if codes.is_empty() {
        return Ok(0);
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let decimal = text(line, "vlDeclarado")?.split_once('.').filter(|(a, b)| digits(a) && digits(b) && b.len() == 2);
    let cents = decimal.and_then(|(reais, cents)| format!("{reais}{cents}").parse().ok());
    cents.ok_or_else(|| "ERP-010: vlDeclarado deve ser como 185.00.".to_owned())
}

fn timed(line: &Line) -> Said {
    let (service, ..) = product(line)?;
    let (from, to) = (cep(line, "cepOrigem")?, cep(line, "cepDestino")?);
    let time = quote::quote(service, &Parcel::default(), from, to).map_err(|why| format!("ERP-006: {why}"))?;
    let fetched = to.starts_with(FETCHED);
    let hours = SignedDuration::from_hours(24 * time.days);
    let latest = BRASILIA.to_datetime(Timestamp::now().saturating_add(hours).unwrap_or(Timestamp::MAX));
    Ok(json!({
        "prazoEntrega": time.days, "dataMaxima": latest.strftime("%Y-%m-%dT23:58:00").to_string(),
        "entregaDomiciliar": if fetched { "N" } else { "S" }, "entregaSabado": "N",
        "msgPrazo": if fetched { "O objeto deverá ser retirado na agência." } else { "" },
    }))
}

/// `1.234,56`
fn reais(cents: i64) -> String {
    let digits = (cents / 100).to_string();
    let mut whole = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            whole.push('.');
        }
        whole.push(digit);
    }
    format!("{whole},{:02}", cents % 100)
}
