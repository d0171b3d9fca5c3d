//! Cancels an order, for the buyer before shipment or for the shop.

use crate::app::App;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::jobs::{self, Job};
use crate::sale::life::{self, Ended};
use crate::sale::locks;
use crate::sale::states::{OrderStatus, PaymentStatus};
use crate::sale::viewer::Viewer;
use crate::{catalog, payments};

/// Gives stock and coupon back, voids a live charge, and refunds captured money. A repeat changes nothing.
pub async fn cancel(app: &App, viewer: Viewer, order: OrderId, reason: &str) -> Result<()> {
    const OPEN: &str = sql!("SELECT id FROM payments WHERE order_id = $1 AND status IN ", PaymentStatus::LIVE_SQL);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let found = locks::lock_order(&tx, order, viewer).await?;
    match found.status {
        OrderStatus::Cancelled => return Ok(()),
        OrderStatus::Pending | OrderStatus::Processing => {}
        status => {
            return Err(Error::Conflict(format!("The order is {status}: it can no longer be cancelled, only returned")));
        }
    }
    // The reason may name a person, so it is kept in the order, where it can be erased, and not in the history.
    db::execute(&tx, "UPDATE orders SET cancel_reason = nullif($2, '') WHERE id = $1", &[&order, &reason]).await?;
    let ended = life::end(&tx, order, life::Ending::Cancelled, viewer.actor(), "cancelled on request").await?;
    let open = db::query_opt(&tx, OPEN, &[&order]).await?.map(|row| row.get::<_, PaymentId>("id"));
    if let Some(payment) = open {
        jobs::push(&tx, Job::VoidPayment { payment }).await?;
    }
    payments::refund::reserve::refund_all(&tx, order, viewer.actor(), "order cancelled").await?;
    jobs::push(&tx, Job::MailOrderCancelled { order }).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    if ended == (Ended::Yes { back_for_sale: true }) {
        catalog::changed(app).await;
    }
    Ok(())
}
