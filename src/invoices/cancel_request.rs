//! The wish to have an invoice cancelled. Whoever has it writes it down here; `cancel` carries it out.

use deadpool_postgres::GenericClient;

use super::invoice::Invoice;
use super::store;
use crate::error::Result;
use crate::jobs::{self, Job};
use crate::sale::states::InvoiceStatus;

/// Has a locked invoice cancelled, whatever state it is in; not one whose sale is given back already. The caller commits.
pub async fn request_cancel(tx: &impl GenericClient, invoice: &Invoice, reason: &str) -> Result<()> {
    match invoice.status {
        InvoiceStatus::Rejected | InvoiceStatus::Pending if invoice.sent_at.is_none() => {
            store::advance(tx, invoice, InvoiceStatus::Cancelled, reason).await?;
        }
        // What we think of it may not be what became of it there.
        InvoiceStatus::Rejected | InvoiceStatus::Pending | InvoiceStatus::Processing => {
            store::ask_to_cancel(tx, invoice.id, reason).await?;
            jobs::push_now(tx, Job::SendInvoice { invoice: invoice.id }).await?;
        }
        InvoiceStatus::Authorized if !store::is_given_back(tx, invoice.id).await? => {
            store::ask_to_cancel(tx, invoice.id, reason).await?;
            jobs::push_now(tx, Job::CancelInvoice { invoice: invoice.id }).await?;
        }
        _ => {}
    }
    Ok(())
}
