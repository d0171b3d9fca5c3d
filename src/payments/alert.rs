//! Something about money that a person must look at.

use deadpool_postgres::GenericClient;

use crate::error::Result;
use crate::jobs::{self, Job};

/// Mailed once the transaction commits.
pub async fn alert(tx: &impl GenericClient, subject: &str, text: String) -> Result<()> {
    jobs::push(tx, Job::MailAlert { subject: subject.to_owned(), text }).await
}
