//! Another buyer or address for an order: only while no invoice has the one before.

use deadpool_postgres::GenericClient;

use super::store;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::OrderId;
use crate::sale::states::InvoiceStatus;

/// Call this while holding the order's lock.
///
/// Errors: [`Error::OnPaper`], an invoice of the order is authorised or on its way.
pub async fn check_free(tx: &impl GenericClient, order: OrderId) -> Result<()> {
    let invoices = store::list_of_order(tx, order).await?;
    match invoices.iter().find(|invoice| invoice.has_its_buyer()) {
        Some(invoice) if invoice.status == InvoiceStatus::Authorized => Err(Error::OnPaper(match invoice.cancel_reason {
            Some(_) => "The order's invoice is being cancelled: wait until it is",
            None => "The order's invoice is authorised: cancel it first",
        })),
        Some(_) => Err(Error::OnPaper("The order's invoice is on its way: wait until it is authorised or rejected")),
        None => Ok(()),
    }
}

/// The city that the shop named for an invoice was that of the address before. Call this while holding the order's lock.
pub async fn forget_city(tx: &impl GenericClient, order: OrderId) -> Result<()> {
    const FORGET: &str = "
        UPDATE invoices SET buyer_ibge_city = NULL, updated_at = now()
         WHERE order_id = $1 AND status IN ('pending', 'rejected') AND buyer_ibge_city IS NOT NULL";
    db::execute(tx, FORGET, &[&order]).await?;
    Ok(())
}
