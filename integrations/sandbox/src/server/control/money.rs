//! The control of money: pays, declines, returns money, and makes refunds fail.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, ServiceConfig};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::books::card::{CardStage, Decline};
use crate::books::{Books, Charge, ChargeStatus, Refund, Shortage};
use crate::providers::pix;
use crate::providers::stripe::{card, refunds};
use crate::server::control::Control;
use crate::server::control::answers::{How, Target, answer, control};
use crate::world::World;
use crate::world::orders::{Nature, Refused, SendWebhook, TakeBack};

/// A payment to make: `Pay::of(id)`, with what is special about it.
#[derive(Debug, Clone)]
pub struct Pay {
    pub(crate) id: String,
    pub(crate) amount_cents: Option<i64>,
    pub(crate) webhook: SendWebhook,
    pub(crate) force: bool,
}

impl Pay {
    /// `id`: payment id, txid or order id.
    pub fn of(id: impl ToString) -> Self {
        Self { id: id.to_string(), amount_cents: None, webhook: SendWebhook::Once, force: false }
    }

    /// Pays another amount than was asked.
    pub fn amount_cents(self, cents: i64) -> Self {
        Self { amount_cents: Some(cents), ..self }
    }

    pub fn webhook(self, webhook: SendWebhook) -> Self {
        Self { webhook, ..self }
    }

    /// Even after expiry or cancellation: a bank settles anyway.
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }
}

impl Control {
    /// Marks paid and sends the signed webhook as ordered.
    pub fn pay(&self, pay: Pay) -> Result<Charge, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(&pay.id).cloned().ok_or(Refused::NotFound)?;
            match charge.card {
                Some(_) => card::pay(&self.world, books, &charge, pay.amount_cents, pay.webhook),
                None => pix::pay(&self.world, books, &charge, pay.amount_cents, pay.webhook, pay.force),
            }
        })
    }

    /// A step in the life of a card payment.
    fn with_card(&self, id: &str, step: impl FnOnce(&mut Books, &Charge) -> Result<Charge, Refused>) -> Result<Charge, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(id).cloned().ok_or(Refused::NotFound)?;
            step(books, &charge)
        })
    }

    /// Refuses the card, and says so to the shop; the payment waits for another one. `code`: Stripe's, such as
    /// `expired_card`, or the bank's reason behind `card_declined`, such as `insufficient_funds`.
    pub fn decline(&self, id: &str, code: &str) -> Result<Charge, Refused> {
        self.with_card(id, |books, charge| card::decline(&self.world, books, charge, Decline::of(code)))
    }

    /// The bank has the card and does not decide: `pay` or `decline` will.
    pub fn processing(&self, id: &str) -> Result<Charge, Refused> {
        self.with_card(id, |books, charge| card::wait(&self.world, books, charge, CardStage::Processing))
    }

    /// The bank wants the holder to confirm (3-D Secure): `pay` or `decline` ends it.
    pub fn require_action(&self, id: &str) -> Result<Charge, Refused> {
        self.with_card(id, |books, charge| card::wait(&self.world, books, charge, CardStage::Action))
    }

    /// Money goes back without the shop: a payer's bank took it from a PIX (MED), or somebody refunded a card in the dashboard.
    /// `name`: what the bank calls the return.
    pub fn take_back(&self, id: &str, name: &str, amount_cents: i64) -> Result<Refund, Refused> {
        self.take_back_as(&TakeBack::of(id, name, amount_cents))
    }

    /// The same, with what the bank says of it, told as ordered.
    pub fn take_back_as(&self, order: &TakeBack) -> Result<Refund, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(&order.charge).cloned().ok_or(Refused::NotFound)?;
            match charge.card {
                Some(_) => refunds::in_dashboard(&self.world, books, &charge, order.amount_cents),
                None => pix::take_back(&self.world, books, &charge, order),
            }
        })
    }

    /// A return that was [held](TakeBack::held) ends: made, or not.
    pub fn decide_return(&self, refund_id: &str, is_done: bool) -> Result<Refund, Refused> {
        self.world.write(|books| {
            let refund = books.refunds.get(refund_id).cloned().ok_or(Refused::NotFound)?;
            pix::decide_return(&self.world, books, &refund, is_done)
        })
    }

    /// Makes a charge so much older, as if it had been made and paid long ago.
    pub fn age_charge(&self, id: &str, by: Duration) -> Result<Charge, Refused> {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.world.write(|books| {
            let charge = books.find_charge(id).cloned().ok_or(Refused::NotFound)?;
            Ok(pix::age(books, &charge, by))
        })
    }

    /// A refund that was done comes back after all, as cards' do.
    pub fn bounce_refund(&self, refund_id: &str) -> Result<Refund, Refused> {
        self.world.write(|books| {
            let refund = books.refunds.get(refund_id).cloned().ok_or(Refused::NotFound)?;
            pix::bounce_refund(&self.world, books, &refund)
        })
    }

    /// Ends the time of an unpaid charge now, and says so to the shop.
    pub fn expire(&self, id: &str) -> Result<Charge, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(id).cloned().ok_or(Refused::NotFound)?;
            match charge.status {
                _ if charge.card.is_some() => Err(Refused::Invalid("a card payment does not expire".into())),
                ChargeStatus::Pending => Ok(pix::expire(&self.world, books, charge, Timestamp::now())),
                ChargeStatus::Expired => Ok(charge),
                status if status.was_paid() => Err(Refused::AlreadyPaid),
                status => Err(Refused::NotPayable(status)),
            }
        })
    }

    /// So many of the next refunds to settle will fail at the bank.
    pub fn fail_refunds(&self, count: u32) {
        self.world.refunds_to_fail.store(count, Ordering::Relaxed);
    }

    /// From now on the shop's account at a provider holds too little for refunds: for so many of them, or (`None`) until it is
    /// funded. 0 ends it, and leaves waiting what waits.
    pub fn lack_balance(&self, provider: &str, how: Shortage, count: Option<u32>) -> Result<(), Refused> {
        check_refunds(provider)?;
        self.world.begin_shortage(provider, how, count);
        Ok(())
    }

    /// The account holds enough again, and refunds that wait for it are made.
    pub fn fund(&self, provider: &str) -> Result<(), Refused> {
        check_refunds(provider)?;
        self.world.write(|books| pix::fund(&self.world, books, provider));
        Ok(())
    }
}

fn check_refunds(provider: &str) -> Result<(), Refused> {
    match provider {
        "propay" | "openpix" | "bacen" | "stripe" => Ok(()),
        _ => Err(Refused::Invalid(format!("{provider:?} makes no refunds"))),
    }
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/pay", web::post().to(pay))
        .route("/age", web::post().to(age))
        .route("/expire", web::post().to(expire))
        .route("/decline", web::post().to(decline))
        .route("/processing", web::post().to(processing))
        .route("/action", web::post().to(require_action))
        .route("/refunds/fail", web::post().to(fail_refunds))
        .route("/refunds/bounce", web::post().to(bounce_refund))
        .route("/refunds/take-back", web::post().to(take_back))
        .route("/refunds/decide", web::post().to(decide_return))
        .route("/refunds/no-balance", web::post().to(lack_balance))
        .route("/refunds/funded", web::post().to(fund));
}

#[derive(Deserialize)]
struct PayBody {
    #[serde(flatten)]
    target: Target,
    amount_cents: Option<i64>,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
    #[serde(default)]
    force: bool,
}

async fn pay(world: Data<World>, body: Json<PayBody>) -> HttpResponse {
    let body = body.into_inner();
    let webhook = body.webhook.with(body.delay_ms);
    answer(
        body.target
            .id()
            .and_then(|id| control(&world).pay(Pay { id, amount_cents: body.amount_cents, webhook, force: body.force })),
    )
}

async fn expire(world: Data<World>, body: Json<Target>) -> HttpResponse {
    answer(body.into_inner().id().and_then(|id| control(&world).expire(&id)))
}

#[derive(Deserialize)]
struct DeclineBody {
    #[serde(flatten)]
    target: Target,
    #[serde(default)]
    code: String,
}

async fn decline(world: Data<World>, body: Json<DeclineBody>) -> HttpResponse {
    let DeclineBody { target, code } = body.into_inner();
    answer(target.id().and_then(|id| control(&world).decline(&id, &code)))
}

async fn processing(world: Data<World>, body: Json<Target>) -> HttpResponse {
    answer(body.into_inner().id().and_then(|id| control(&world).processing(&id)))
}

async fn require_action(world: Data<World>, body: Json<Target>) -> HttpResponse {
    answer(body.into_inner().id().and_then(|id| control(&world).require_action(&id)))
}

#[derive(Deserialize)]
struct BounceBody {
    refund_id: String,
}

async fn bounce_refund(world: Data<World>, body: Json<BounceBody>) -> HttpResponse {
    answer(control(&world).bounce_refund(&body.refund_id))
}

#[derive(Deserialize)]
struct TakeBackBody {
    #[serde(flatten)]
    target: Target,
    name: String,
    amount_cents: i64,
    #[serde(default)]
    natureza: Nature,
    motivo: Option<String>,
    #[serde(default)]
    held: bool,
    #[serde(default)]
    webhook: How,
    delay_ms: Option<u64>,
}

async fn take_back(world: Data<World>, body: Json<TakeBackBody>) -> HttpResponse {
    let TakeBackBody { target, name, amount_cents, natureza: nature, motivo, held, webhook, delay_ms } = body.into_inner();
    answer(target.id().and_then(|charge| {
        let webhook = webhook.with(delay_ms);
        control(&world).take_back_as(&TakeBack { charge, name, amount_cents, nature, motivo, is_held: held, webhook })
    }))
}

#[derive(Deserialize)]
struct DecideBody {
    refund_id: String,
    done: bool,
}

async fn decide_return(world: Data<World>, body: Json<DecideBody>) -> HttpResponse {
    answer(control(&world).decide_return(&body.refund_id, body.done))
}

#[derive(Deserialize)]
struct AgeBody {
    #[serde(flatten)]
    target: Target,
    days: u64,
}

async fn age(world: Data<World>, body: Json<AgeBody>) -> HttpResponse {
    let AgeBody { target, days } = body.into_inner();
    let by = Duration::from_secs(days.saturating_mul(24 * 3600));
    answer(target.id().and_then(|id| control(&world).age_charge(&id, by)))
}

#[derive(Deserialize)]
struct FailRefunds {
    count: u32,
}

async fn fail_refunds(world: Data<World>, body: Json<FailRefunds>) -> HttpResponse {
    control(&world).fail_refunds(body.count);
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize)]
struct NoBalance {
    provider: String,
    #[serde(default = "at_once")]
    how: Shortage,
    count: Option<u32>,
}

fn at_once() -> Shortage {
    Shortage::AtOnce
}

async fn lack_balance(world: Data<World>, body: Json<NoBalance>) -> HttpResponse {
    answer(control(&world).lack_balance(&body.provider, body.how, body.count))
}

#[derive(Deserialize)]
struct Funded {
    provider: String,
}

async fn fund(world: Data<World>, body: Json<Funded>) -> HttpResponse {
    answer(control(&world).fund(&body.provider))
}
