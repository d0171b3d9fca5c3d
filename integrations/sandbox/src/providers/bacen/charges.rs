//! The Central Bank's PIX API, what is asked for: `/bacen/v2/cob`.

use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Books, Charge, ChargeStatus, Extra, Payer};
use crate::formats::time::wire_time;
use crate::formats::{brcode, documents, signature};
use crate::providers::bacen::received;
use crate::providers::bacen::wire::{
    Failure, NAME, Window, cents, check_key, dashed, efi_body, guarded, malformed, money, parse, problem, refuse,
};
use crate::world::World;

const TEXT_MAX: usize = 140;
const EXPIRES_DEFAULT_S: i64 = 86_400;
const REMOVED: &str = "REMOVIDA_PELO_USUARIO_RECEBEDOR";

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v2/cob", web::get().to(list))
        .route("/v2/cob/{txid}", web::put().to(create))
        .route("/v2/cob/{txid}", web::get().to(show))
        .route("/v2/cob/{txid}", web::patch().to(change))
        .route("/v2/loc/{id}/qrcode", web::get().to(picture));
}

#[derive(Deserialize)]
struct NewCob {
    #[serde(default)]
    calendario: Calendar,
    devedor: Option<Debtor>,
    valor: Amount,
    chave: String,
    #[serde(rename = "solicitacaoPagador")]
    note: Option<String>,
    #[serde(rename = "infoAdicionais", default)]
    infos: Vec<Info>,
}

#[derive(Deserialize, Default)]
struct Calendar {
    expiracao: Option<i64>,
}

#[derive(Deserialize)]
struct Amount {
    original: String,
}

#[derive(Deserialize, Serialize)]
struct Debtor {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnpj: Option<String>,
    nome: String,
}

#[derive(Deserialize, Serialize)]
struct Info {
    nome: String,
    valor: String,
}

fn check_debtor(debtor: &Debtor) -> Result<(), Failure> {
    let right = match (&debtor.cpf, &debtor.cnpj) {
        (Some(cpf), None) => cpf.len() == 11 && documents::is_tax_id(cpf),
        (None, Some(cnpj)) => cnpj.len() == 14 && documents::is_tax_id(cnpj),
        _ => false,
    };
    if !right {
        return malformed(".devedor", "cpf ou cnpj inválido");
    }
    if debtor.nome.trim().is_empty() || debtor.nome.chars().count() > 200 {
        return malformed(".devedor.nome", "deve ter de 1 a 200 caracteres");
    }
    Ok(())
}

fn check_expiry(seconds: Option<i64>) -> Result<i64, Failure> {
    match seconds.unwrap_or(EXPIRES_DEFAULT_S) {
        seconds @ 1..=2_147_483_647 => Ok(seconds),
        _ => malformed(".calendario.expiracao", "deve ser um inteiro positivo"),
    }
}

fn check_note(note: Option<&String>) -> Result<(), Failure> {
    match note {
        Some(note) if note.chars().count() > TEXT_MAX => malformed(".solicitacaoPagador", "deve ter no máximo 140 caracteres"),
        _ => Ok(()),
    }
}

fn check_amount(amount: &Amount) -> Result<i64, Failure> {
    match cents(".valor.original", &amount.original)? {
        0 => refuse(400, "valor_invalido", "O valor da cobrança deve ser maior que zero"),
        cents => Ok(cents),
    }
}

impl NewCob {
    /// The amount and the seconds, once all is right.
    fn check(&self, world: &World, txid: &str) -> Result<(i64, i64), Failure> {
        if !(26..=35).contains(&txid.len()) || !txid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return malformed("txid", "deve seguir ^[a-zA-Z0-9]{26,35}$");
        }
        let amount = check_amount(&self.valor)?;
        let expires_in = check_expiry(self.calendario.expiracao)?;
        check_key(world, &self.chave)?;
        self.devedor.as_ref().map_or(Ok(()), check_debtor)?;
        check_note(self.note.as_ref())?;
        let fits = |info: &Info| info.nome.chars().count() <= 50 && info.valor.chars().count() <= 200;
        if self.infos.len() > 50 || !self.infos.iter().all(fits) {
            return malformed(".infoAdicionais", "no máximo 50, nome até 50 e valor até 200 caracteres");
        }
        Ok((amount, expires_in))
    }
}

fn find(books: &Books, txid: &str) -> Option<Charge> {
    let ours = |c: &&Charge| c.provider == NAME && c.txid == txid;
    books.charges.get(&dashed(txid)).filter(ours).or_else(|| books.charges().iter().find(ours)).cloned()
}

fn known(books: &Books, txid: &str) -> Result<Charge, Failure> {
    find(books, txid).ok_or_else(|| Failure(400, efi_body("cobranca_nao_encontrada", "Nenhuma cobrança com este txid")))
}

async fn create(req: HttpRequest, world: Data<World>, txid: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let new: NewCob = parse(&body)?;
        let (amount_cents, expires_in) = new.check(&world, &txid)?;
        world.write(|books| {
            if find(books, &txid).is_some() {
                return refuse(409, "txid_duplicado", "Já existe uma cobrança com este txid");
            }
            let charge = enter(&world, books, new, &txid, amount_cents, expires_in, &body);
            Ok(HttpResponse::Created().json(view(books, &charge)))
        })
    })
}

fn enter(world: &World, books: &mut Books, new: NewCob, txid: &str, amount_cents: i64, expires_in: i64, body: &[u8]) -> Charge {
    let now = Timestamp::now();
    let payment_id = Some(dashed(txid)).filter(|id| books.charges.get(id).is_none()).unwrap_or_else(|| txid.to_owned());
    let location = format!("pix.bacen.test/qr/v2/{}", Uuid::new_v4().simple());
    let order = new.infos.iter().find(|info| info.nome.eq_ignore_ascii_case("pedido"));
    let payer = new.devedor.as_ref().map(|debtor| Payer {
        name: debtor.nome.clone(),
        tax_id: debtor.cpf.clone().or_else(|| debtor.cnpj.clone()).unwrap_or_default(),
        email: None,
    });
    let charge = Charge {
        provider: NAME.into(),
        payment_id,
        order_id: order.map(|info| info.valor.clone()).unwrap_or_default(),
        txid: txid.to_owned(),
        status: ChargeStatus::Pending,
        amount_cents,
        paid_cents: None,
        refunded_cents: 0,
        description: new.note.clone().unwrap_or_default(),
        payer,
        copy_paste: brcode::dynamic(&location, &world.cfg.merchant_name, &world.cfg.merchant_city),
        created_at: now,
        expires_at: now.saturating_add(SignedDuration::from_secs(expires_in)).unwrap_or(now),
        paid_at: None,
        end_to_end_id: None,
        request_hash: signature::sha256_hex(body),
        card: None,
        extra: Extra(json!({
            "loc": books.charges().len() + 1,
            "location": location,
            "revisao": 0,
            "expiracao": expires_in,
            "chave": new.chave,
            "devedor": new.devedor,
            "solicitacaoPagador": new.note,
            "infoAdicionais": new.infos,
        })),
    };
    books.put(charge.clone());
    charge
}

#[derive(Deserialize)]
struct ShowQuery {
    revisao: Option<i64>,
}

async fn show(req: HttpRequest, world: Data<World>, txid: Path<String>, query: Query<ShowQuery>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let charge = known(books, &txid)?;
            if query.revisao.is_some_and(|wanted| charge.extra["revisao"] != wanted) {
                return refuse(400, "cobranca_nao_encontrada", "O sandbox só guarda a última revisão");
            }
            Ok(HttpResponse::Ok().json(view(books, &charge)))
        })
    })
}

#[derive(Deserialize)]
struct Change {
    status: Option<String>,
    calendario: Option<Calendar>,
    devedor: Option<Debtor>,
    valor: Option<Amount>,
    #[serde(rename = "solicitacaoPagador")]
    note: Option<String>,
}

/// Voids it, or changes what is not paid yet. One that has expired is still active to them.
async fn change(req: HttpRequest, world: Data<World>, txid: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let change: Change = parse(&body)?;
        world.write(|books| {
            let charge = known(books, &txid)?;
            let charge = match (change.status.as_deref(), charge.status) {
                (Some(REMOVED), ChargeStatus::Cancelled) => charge,
                (_, status) if status.was_paid() || status == ChargeStatus::Cancelled => {
                    return problem(400, "CobOperacaoInvalida", "A cobrança não está ativa");
                }
                (Some(REMOVED), _) => Charge { status: ChargeStatus::Cancelled, ..charge },
                (Some(_), _) => return malformed(".status", "só REMOVIDA_PELO_USUARIO_RECEBEDOR"),
                (None, _) => changed(charge, &change)?,
            };
            books.put(charge.clone());
            Ok(HttpResponse::Ok().json(view(books, &charge)))
        })
    })
}

fn changed(mut charge: Charge, change: &Change) -> Result<Charge, Failure> {
    if let Some(amount) = &change.valor {
        charge.amount_cents = check_amount(amount)?;
    }
    if let Some(calendar) = &change.calendario {
        let expires_in = check_expiry(calendar.expiracao)?;
        let lives = SignedDuration::from_secs(expires_in);
        charge.expires_at = charge.created_at.saturating_add(lives).unwrap_or(Timestamp::MAX);
        charge.status = ChargeStatus::Pending; // the next look expires it again, if it must
        charge.extra.0["expiracao"] = json!(expires_in);
    }
    if let Some(debtor) = &change.devedor {
        check_debtor(debtor)?;
        charge.extra.0["devedor"] = json!(debtor);
    }
    if let Some(note) = &change.note {
        check_note(Some(note))?;
        charge.extra.0["solicitacaoPagador"] = json!(note);
    }
    charge.extra.0["revisao"] = json!(charge.extra["revisao"].as_i64().unwrap_or(0) + 1);
    Ok(charge)
}

#[derive(Deserialize)]
struct Filter {
    cpf: Option<String>,
    cnpj: Option<String>,
    status: Option<String>,
}

async fn list(req: HttpRequest, world: Data<World>, window: Query<Window>, filter: Query<Filter>) -> HttpResponse {
    guarded(&req, &world, || {
        let (from, to) = window.check()?;
        let tax_id = filter.cpf.as_ref().or(filter.cnpj.as_ref());
        world.write(|books| {
            let wanted = |c: &&Charge| {
                c.provider == NAME
                    && (from..=to).contains(&c.created_at)
                    && filter.status.as_ref().is_none_or(|status| status == status_of(c))
                    && tax_id.is_none_or(|tax_id| c.payer.as_ref().is_some_and(|payer| payer.tax_id == *tax_id))
            };
            let (parameters, here) = window.cut(books.charges().iter().filter(wanted).collect());
            let cobs: Vec<Value> = here.into_iter().map(|charge| view(books, charge)).collect();
            Ok(HttpResponse::Ok().json(json!({"parametros": parameters, "cobs": cobs})))
        })
    })
}

/// Efí's own.
async fn picture(req: HttpRequest, world: Data<World>, id: Path<u64>) -> HttpResponse {
    guarded(&req, &world, || {
        let theirs = |c: &&Charge| c.provider == NAME && c.extra["loc"] == *id;
        match world.read(|books| books.charges().iter().find(theirs).cloned()) {
            Some(charge) => Ok(HttpResponse::Ok().json(json!({
                "qrcode": charge.copy_paste,
                "imagemQrcode": world.picture(&charge.copy_paste),
                "linkVisualizacao": format!("{}/bacen/qr/{}.png", world.url, charge.payment_id),
            }))),
            None => refuse(400, "location_nao_encontrada", "Nenhuma location com este id"),
        }
    })
}

/// They do not know expiry: who wants to know adds it up.
fn status_of(charge: &Charge) -> &'static str {
    match charge.status {
        ChargeStatus::Pending | ChargeStatus::Expired => "ATIVA",
        ChargeStatus::Cancelled => REMOVED,
        ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded => "CONCLUIDA",
    }
}

fn view(books: &Books, charge: &Charge) -> Value {
    let extra = &charge.extra;
    let created_at = wire_time(charge.created_at);
    let mut view = json!({
        "calendario": {"criacao": created_at, "expiracao": extra["expiracao"]},
        "txid": charge.txid,
        "revisao": extra["revisao"],
        "loc": {"id": extra["loc"], "location": extra["location"], "tipoCob": "cob", "criacao": created_at},
        "location": extra["location"],
        "status": status_of(charge),
        "valor": {"original": money(charge.amount_cents)},
        "chave": extra["chave"],
        "pixCopiaECola": charge.copy_paste,
    });
    for name in ["devedor", "solicitacaoPagador", "infoAdicionais"] {
        if !extra[name].is_null() && extra[name] != json!([]) {
            view[name] = extra[name].clone();
        }
    }
    if charge.status.was_paid() {
        view["pix"] = json!([received::view(books, charge)]);
    }
    view
}
