//! Money in and money back. A row is written before a provider is called, an unknown outcome is looked up by its key, and
//! money that arrived ends in a paid order or goes back.

pub mod apply;
pub mod books;
pub mod certificate;
pub mod check;
pub mod dispute;
pub mod gateway;
mod http;
pub mod learn;
pub mod methods;
pub mod pay;
mod price;
pub mod qr;
pub mod reconcile;
pub mod refund;
pub mod status;
pub(crate) mod store;
pub mod void;

use deadpool_postgres::GenericClient;

use crate::cause::Actor;
use crate::error::Result;
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
