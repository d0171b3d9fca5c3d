//! Money in and money back. A row is written before a provider is called, an unknown outcome is looked up by its key, and
//! money that arrived ends in a paid order or goes back.

pub mod apply;
pub mod brcode;
pub mod check;
mod http;
pub mod learn;
pub mod pay;
pub mod qr;
pub mod reconcile;
pub mod refund;
pub mod status;
mod store;
pub mod void;

use deadpool_postgres::GenericClient;
use vitrine_kit::pix::PixProvider;

use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::jobs::{self, Job};
use crate::orders::life::{self, Change};
use crate::payments::status::Status;
use crate::payments::store::Payment;

pub use http::routes;

/// One row of the order's story about a payment.
async fn tell(
    tx: &impl GenericClient,
    payment: &Payment,
    from: Option<Status>,
    to: Status,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let change = Change {
        subject: "payment",
        subject_id: Some(payment.id.0),
        from: from.map(Status::as_str),
        to: to.as_str(),
        reason,
        actor,
    };
    life::tell(tx, payment.order_id, &change).await
}

/// Something about money that a person must look at, mailed once the transaction commits.
async fn alert(tx: &impl GenericClient, subject: &str, text: String) -> Result<()> {
    jobs::push(tx, Job::MailAlert { subject: subject.to_owned(), text }).await
}

/// The provider that a payment was made with. One that is not configured any more cannot be asked.
fn pix_of<'a>(app: &'a App, name: &str) -> Result<&'a dyn PixProvider> {
    app.providers
        .pix_named(name)
        .ok_or_else(|| Error::Conflict(format!("The provider {name} is not configured: its payments cannot be looked after")))
}
