//! The control of the tax authority.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, ServiceConfig};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use crate::books::nfe::Nfe;
use crate::providers::nfe;
use crate::server::control::Control;
use crate::server::control::answers::{answer, control};
use crate::world::World;
use crate::world::authority::Taxpayer;
use crate::world::orders::Refused;

/// What an invoice is refused with if nothing else is said.
const REJECTION: (&str, &str) =
    ("539", "Rejeição: Duplicidade de NF-e com diferença na Chave de Acesso (ordenada pelo controle do sandbox)");
const DENIAL: (&str, &str) = ("302", "Uso Denegado: Irregularidade fiscal do destinatário");

impl Control {
    /// All invoices that a provider took, oldest first.
    pub fn nfes(&self) -> Vec<Nfe> {
        self.books(|books| books.nfes().to_vec())
    }

    /// By reference or access key.
    pub fn nfe(&self, name: &str) -> Option<Nfe> {
        self.books(|books| nfe::find(books, name).cloned())
    }

    /// So many of the next invoices to be decided are rejected, whatever stands in them.
    pub fn reject_next_nfes(&self, count: u32, code: &str, message: &str) {
        self.world.authority.refuse_next(count, false, code, message);
    }

    /// So many of the next invoices to be decided are authorised with a remark (cStat 120), whatever stands in them.
    pub fn remark_next_nfes(&self, count: u32, message: &str) {
        self.world.authority.refuse_next(count, false, nfe::AUTHORISED_WITH_REMARK, message);
    }

    /// What the Receita's register holds of a CNPJ; `None`: it is in order again.
    pub fn register_taxpayer(&self, cnpj: &str, holds: Option<Taxpayer>) {
        self.world.authority.register(cnpj, holds);
    }

    /// A company has this state registration: invoices to it must say so.
    pub fn register_contributor(&self, cnpj: &str, registration: &str) {
        self.world.authority.contributes(cnpj, registration);
    }

    /// So many of the next invoices to be decided are denied: for good.
    pub fn deny_next_nfes(&self, count: u32) {
        self.world.authority.refuse_next(count, true, DENIAL.0, DENIAL.1);
    }

    /// The tax authority decides nothing while it is away: invoices stay in process.
    pub fn tax_authority_away(&self, is_away: bool) {
        self.world.authority.set_away(is_away);
    }

    /// The goods of an authorised invoice are on the road: it can no longer be cancelled.
    pub fn goods_moved(&self, name: &str) -> Result<Nfe, Refused> {
        self.world.write(|books| nfe::change(books, name, |nfe| nfe.goods_moved = true))
    }

    /// Makes an authorised invoice so much older: past 24 hours it can no longer be cancelled.
    pub fn age_nfe(&self, name: &str, by: Duration) -> Result<Nfe, Refused> {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.world.write(|books| {
            nfe::change(books, name, |nfe| nfe.authorized_at = nfe.authorized_at.and_then(|at| at.saturating_sub(by).ok()))
        })
    }
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/nfes", web::get().to(list))
        .route("/nfe/reject-next", web::post().to(reject))
        .route("/nfe/deny-next", web::post().to(deny))
        .route("/nfe/away", web::post().to(away))
        .route("/nfe/moved", web::post().to(moved))
        .route("/nfe/age", web::post().to(age))
        .route("/nfe/taxpayer", web::post().to(taxpayer));
}

async fn list(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(control(&world).nfes())
}

#[derive(Deserialize)]
struct Registered {
    cnpj: String,
    holds: Option<Taxpayer>,
}

async fn taxpayer(world: Data<World>, body: Json<Registered>) -> HttpResponse {
    control(&world).register_taxpayer(&body.cnpj, body.holds);
    HttpResponse::Ok().json(json!({}))
}

#[derive(Deserialize)]
struct Next {
    #[serde(default = "one")]
    count: u32,
    code: Option<String>,
    message: Option<String>,
}

fn one() -> u32 {
    1
}

async fn reject(world: Data<World>, body: Json<Next>) -> HttpResponse {
    let Next { count, code, message } = body.into_inner();
    let (code, message) = (code.as_deref().unwrap_or(REJECTION.0), message.as_deref().unwrap_or(REJECTION.1));
    control(&world).reject_next_nfes(count, code, message);
    HttpResponse::NoContent().finish()
}

async fn deny(world: Data<World>, body: Json<Next>) -> HttpResponse {
    control(&world).deny_next_nfes(body.count);
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct Away {
    on: bool,
}

async fn away(world: Data<World>, body: Json<Away>) -> HttpResponse {
    control(&world).tax_authority_away(body.on);
    HttpResponse::Ok().json(json!({"away": body.on}))
}

#[derive(Deserialize)]
struct Name {
    reference: String,
    #[serde(default)]
    hours: u64,
}

async fn moved(world: Data<World>, body: Json<Name>) -> HttpResponse {
    answer(control(&world).goods_moved(&body.reference))
}

async fn age(world: Data<World>, body: Json<Name>) -> HttpResponse {
    answer(control(&world).age_nfe(&body.reference, Duration::from_secs(body.hours.saturating_mul(3600))))
}
