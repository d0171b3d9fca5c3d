//! The control of disputes.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, ServiceConfig};
use serde::Deserialize;

use crate::books::disputes::{AmountForm, Dispute, DisputeStatus};
use crate::books::{Books, Charge};
use crate::providers::openpix::disputes as openpix;
use crate::providers::stripe::disputes as stripe;
use crate::server::control::Control;
use crate::server::control::answers::{How, Target, answer, control};
use crate::world::World;
use crate::world::orders::{MoveDispute, NewDispute, Refused};

impl Control {
    /// The payer wants all that is left of a charge back, through the bank.
    pub fn dispute(&self, id: &str) -> Result<Dispute, Refused> {
        self.open_dispute(&NewDispute::of(id))
    }

    pub fn open_dispute(&self, new: &NewDispute) -> Result<Dispute, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(&new.charge).cloned().ok_or(Refused::NotFound)?;
            match charge.provider.as_str() {
                "stripe" => stripe::open(&self.world, books, &charge, new),
                "openpix" => openpix::open(&self.world, books, &charge, new),
                _ => Err(has_none(&charge)),
            }
        })
    }

    /// One step on, told as it is.
    pub fn move_dispute(&self, step: &MoveDispute) -> Result<Dispute, Refused> {
        self.with_dispute(&step.id, |books, charge, dispute| match charge.provider.as_str() {
            "stripe" => stripe::go(&self.world, books, charge, dispute, step),
            "openpix" => openpix::go(&self.world, books, charge, dispute, step),
            _ => Err(has_none(charge)),
        })
    }

    /// The bank decides an open dispute, or an appeal against one that was lost. `id`: the dispute's, or that of a charge for its
    /// last one. Told as an end, even where the status is none.
    pub fn close_dispute(&self, id: &str, end: DisputeStatus) -> Result<Dispute, Refused> {
        self.with_dispute(id, |books, charge, dispute| match charge.provider.as_str() {
            "stripe" => stripe::close(&self.world, books, charge, dispute, end),
            "openpix" => openpix::go(&self.world, books, charge, dispute, &MoveDispute::to(id, end)),
            _ => Err(has_none(charge)),
        })
    }

    /// All of them, the oldest first.
    pub fn disputes(&self) -> Vec<Dispute> {
        self.books(|books| books.disputes().to_vec())
    }

    fn with_dispute(
        &self,
        id: &str,
        step: impl FnOnce(&mut Books, &Charge, Dispute) -> Result<Dispute, Refused>,
    ) -> Result<Dispute, Refused> {
        self.world.write(|books| {
            let dispute = books.find_dispute(id).cloned().ok_or_else(|| Refused::Invalid("there is no such dispute".into()))?;
            let charge = books.charges.get(&dispute.payment_id).cloned().ok_or(Refused::NotFound)?;
            step(books, &charge, dispute)
        })
    }
}

fn has_none(charge: &Charge) -> Refused {
    Refused::Invalid(format!("{} tells nothing of disputes", charge.provider))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/disputes", web::get().to(list))
        .route("/dispute", web::post().to(open))
        .route("/dispute/move", web::post().to(go))
        .route("/dispute/close", web::post().to(close));
}

async fn list(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(control(&world).disputes())
}

#[derive(Deserialize)]
struct OpenBody {
    #[serde(flatten)]
    target: Target,
    amount_cents: Option<i64>,
    reason: Option<String>,
    #[serde(default)]
    inquiry: bool,
    #[serde(default)]
    form: AmountForm,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn open(world: Data<World>, body: Json<OpenBody>) -> HttpResponse {
    let OpenBody { target, amount_cents, reason, inquiry, form, webhook, delay_ms } = body.into_inner();
    answer(target.id().and_then(|charge| {
        let webhook = webhook.with(delay_ms);
        control(&world).open_dispute(&NewDispute { charge, amount_cents, reason, is_inquiry: inquiry, form, webhook })
    }))
}

/// A dispute by its own id, or the last one of a charge.
#[derive(Deserialize)]
struct Which {
    dispute_id: Option<String>,
    #[serde(flatten)]
    charge: Target,
}

impl Which {
    fn id(self) -> Result<String, Refused> {
        self.dispute_id.map_or_else(|| self.charge.id(), Ok)
    }
}

#[derive(Deserialize)]
struct MoveBody {
    #[serde(flatten)]
    which: Which,
    status: DisputeStatus,
    moved_cents: Option<Vec<i64>>,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn go(world: Data<World>, body: Json<MoveBody>) -> HttpResponse {
    let MoveBody { which, status, moved_cents, webhook, delay_ms } = body.into_inner();
    answer(
        which.id().and_then(|id| {
            control(&world).move_dispute(&MoveDispute { id, status, moved_cents, webhook: webhook.with(delay_ms) })
        }),
    )
}

#[derive(Deserialize)]
struct CloseBody {
    #[serde(flatten)]
    which: Which,
    won: Option<bool>,
    status: Option<DisputeStatus>,
}

async fn close(world: Data<World>, body: Json<CloseBody>) -> HttpResponse {
    let CloseBody { which, won, status } = body.into_inner();
    let end = status.unwrap_or(if won == Some(true) { DisputeStatus::Won } else { DisputeStatus::Lost });
    answer(which.id().and_then(|id| control(&world).close_dispute(&id, end)))
}
