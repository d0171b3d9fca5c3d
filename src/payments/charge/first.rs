//! The first charge of an order, where the buyer chose how to pay as the order was placed: its row is written with the order's, so that
//! the provider is called at once.

use deadpool_postgres::Object;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Statement;
use vitrine_kit::Money;
use vitrine_kit::pix::{NewCharge, Payer};

use crate::app::App;
use crate::db;
use crate::ids::OrderId;
use crate::jobs::Job;
use crate::payments::charge::attempt::{Attempt, FIRST_CHECK, description};
use crate::payments::charge::methods::{self, Method};
use crate::payments::store::Payment;

/// What an order says of its first charge.
#[derive(Debug)]
pub struct Asked<'a> {
    pub order: OrderId,
    pub number: &'a str,
    /// What is to be paid, by this method.
    pub total: Money,
    pub method_discount: Money,
    pub payer: Payer,
    /// The beginning of the transaction, by the database's clock.
    pub placed_at: Timestamp,
}

/// A charge whose row is committed with its order. Nobody was asked for it yet.
#[derive(Debug)]
pub struct FirstCharge(pub(super) Attempt);

/// The charge, and its row of history.
const WRITE: &str = "
    WITH charge AS (
        INSERT INTO payments (id, order_id, method, provider, amount_cents, method_discount_cents, tries, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, 1, $7) RETURNING id, order_id)
    INSERT INTO order_history (order_id, subject, subject_id, to_state, reason, actor, cause)
    SELECT order_id, 'payment', id, 'creating', 'payment asked for', $8::text, $9::text FROM charge";

impl FirstCharge {
    /// `None`: no provider can make it now. [`start_payment`](super::start::start_payment) says why.
    pub fn of(app: &App, method: Method, asked: Asked<'_>) -> Option<Self> {
        let Asked { order, total, method_discount, placed_at, .. } = asked;
        let provider = methods::provider_for(app, method, &[]).ok()?;
        let life_s = i64::try_from(app.config.pix.expiry.as_secs()).ok()?;
        let expires_at = placed_at.checked_add(SignedDuration::from_secs(life_s)).ok()?;
        let payment = Payment::creating(order, method.as_str(), provider, total, method_discount, (placed_at, expires_at));
        let charge = NewCharge {
            payment_id: payment.id.0,
            order_id: order.0,
            amount: total,
            expires_in_s: u32::try_from(life_s.max(1)).unwrap_or(u32::MAX),
            description: description(asked.number),
            payer: asked.payer,
            is_repeat: false,
        };
        Some(Self(Attempt { payment, charge }))
    }

    /// The statement of [`write`](Self::write), prepared once per connection.
    pub async fn prepare(db: &Object) -> Result<Statement, tokio_postgres::Error> {
        db::prepare(db, WRITE).await
    }

    /// Writes it in the order's transaction.
    pub async fn write(&self, db: &Object, statement: &Statement, actor: &str, cause: &str) -> Result<(), tokio_postgres::Error> {
        let p = &self.0.payment;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
            [&p.id, &p.order_id, &p.method, &p.provider, &p.amount, &p.method_discount, &p.expires_at, &actor, &cause];
        db.execute(statement, &values).await.map(|_| ())
    }

    /// The job that looks at it, to be written with it.
    pub fn check(&self) -> (Job, Option<Timestamp>) {
        (Job::CheckPayment { payment: self.0.payment.id }, Some(self.0.payment.created_at + FIRST_CHECK))
    }
}
