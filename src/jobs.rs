//! The outbox: what must happen after a commit is a row written in the same transaction.

use std::collections::HashSet;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, IntoStaticStr};
use utoipa::ToSchema;

use crate::cause;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{
    CorrectionId, EmailChangeId, InvoiceId, JobId, MessageId, OrderId, PaymentId, PrivacyRequestId, RefundId, ResetId, UserId,
};

pub const MAX_BACKOFF_S: i64 = 3600;

/// Everything that workers do. A job holds ids only: the state is read when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, EnumDiscriminants)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum_discriminants(name(JobKind), derive(Serialize, Deserialize, ToSchema, IntoStaticStr))]
#[strum_discriminants(serde(rename_all = "snake_case"), strum(serialize_all = "snake_case"))]
#[strum_discriminants(doc = "What a job does.")]
pub enum Job {
    MailWelcome {
        user: UserId,
    },
    MailOrderPlaced {
        order: OrderId,
    },
    /// Reminds the buyer that the PIX is about to expire, if it is still unpaid.
    MailExpiryReminder {
        order: OrderId,
    },
    MailOrderPaid {
        order: OrderId,
    },
    MailOrderShipped {
        order: OrderId,
    },
    MailOrderDelivered {
        order: OrderId,
    },
    MailOrderCancelled {
        order: OrderId,
    },
    MailRefunded {
        refund: RefundId,
    },
    /// The invoice is authorised, and its files are here.
    MailInvoice {
        invoice: InvoiceId,
    },
    MailPasswordReset {
        reset: ResetId,
    },
    /// A link to the new e-mail of an account, which confirms it.
    MailEmailConfirm {
        change: EmailChangeId,
    },
    /// Tells the old e-mail of an account that there is a new one.
    MailEmailChanged {
        change: EmailChangeId,
    },
    MailPasswordChanged {
        user: UserId,
    },
    /// A new link to a guest's order, to the order's own e-mail.
    MailOrderLink {
        order: OrderId,
    },
    /// The link with which somebody without an account exports or erases their data.
    MailPrivacyRequest {
        request: PrivacyRequestId,
    },
    /// Sends a message by a call of its own: it failed and an administrator asked for it, or its batch was refused.
    MailMessage {
        message: MessageId,
    },
    /// Sends the mails that wait for a call together. Queued with the first of them, and until none is left.
    SendMails,
    SmsOrderPaid {
        order: OrderId,
    },
    SmsOrderShipped {
        order: OrderId,
    },
    /// Ends an unpaid order after its time to be paid, and gives its stock back.
    ExpireOrder {
        order: OrderId,
    },
    /// Asks the provider about a payment that is unknown, pending, or named by a webhook that proves nothing.
    CheckPayment {
        payment: PaymentId,
    },
    /// Makes an unpaid charge unpayable.
    VoidPayment {
        payment: PaymentId,
    },
    /// Sends a refund, or asks the provider for its state.
    SendRefund {
        refund: RefundId,
    },
    /// Reads a payment's refunds in the provider's books.
    LookAtRefunds {
        payment: PaymentId,
    },
    /// Reads a dispute in the provider's books.
    LookAtDispute {
        provider: String,
        /// Their name for it.
        reference: String,
        /// Where evidence goes, from the hint.
        evidence_ref: Option<String>,
    },
    /// Issues the NF-e of a paid order.
    InvoiceOrder {
        order: OrderId,
    },
    /// A paid order was cancelled: its NF-e is cancelled with it.
    DropInvoice {
        order: OrderId,
    },
    /// Sends an invoice, or asks the provider for its state.
    SendInvoice {
        invoice: InvoiceId,
    },
    /// Cancels an authorised invoice at the provider.
    CancelInvoice {
        invoice: InvoiceId,
    },
    /// Fetches an invoice's XML and DANFE, to keep them.
    KeepInvoice {
        invoice: InvoiceId,
    },
    /// Sends a carta de correção.
    CorrectInvoice {
        correction: CorrectionId,
    },
    /// Buys the label of a paid order, once its NF-e is there where the shop emits one.
    BuyLabel {
        order: OrderId,
    },
    /// A paid order was cancelled: its label is given back.
    DropLabel {
        order: OrderId,
    },
    /// Recurring: asks carriers about parcels without recent news.
    TrackParcels,
    /// Compares a day's money with a provider's books.
    CompareBooks {
        day: Date,
        provider: String,
    },
    /// Recurring: queues the comparison of the books for every day that is over.
    KeepBooks,
    /// Recurring: finds payments, refunds and orders that have no job.
    Reconcile,
    /// Recurring: tells of variants that are nearly sold out.
    WatchStock,
    /// Recurring: raises an alert before the bank's client certificate expires.
    WatchCertificate,
    /// Recurring: raises an alert before other tax rules hold that some products or settings do not meet.
    WatchTaxRules,
    /// Recurring: asks the providers for disputes that no webhook told of.
    WatchDisputes,
    /// Recurring: has what went back in the last months read.
    WatchReturns,
    /// Reads what went back of a day and those after it, from that page of the provider's list on.
    ReadReturns {
        provider: String,
        day: Date,
        page: u32,
    },
    /// Recurring: counts alerts, and mails them to the operator. No customers' mail waits behind it.
    SendAlerts,
    /// Recurring: removes old rows (jobs, keys, tokens, stale guest carts).
    Purge,
}

/// Recurring jobs.
pub const RECURRING: [Job; 10] = [
    Job::Reconcile,
    Job::Purge,
    Job::KeepBooks,
    Job::TrackParcels,
    Job::WatchStock,
    Job::WatchCertificate,
    Job::WatchTaxRules,
    Job::WatchDisputes,
    Job::WatchReturns,
    Job::SendAlerts,
];

impl Job {
    /// The word in the `kind` column, in logs and in metrics.
    pub fn kind(&self) -> &'static str {
        JobKind::from(self).into()
    }

    fn is_recurring(&self) -> bool {
        RECURRING.contains(self)
    }

    /// At most one unfinished job has this key. Only for jobs where a second one would repeat the same work. A job that pushes its
    /// own key while it runs does so only when a state changed, because each such push is one more run.
    fn dedupe(&self) -> Option<String> {
        match self {
            Self::ExpireOrder { order } => Some(format!("expire_order:{order}")),
            Self::CheckPayment { payment } => Some(format!("check_payment:{payment}")),
            Self::VoidPayment { payment } => Some(format!("void_payment:{payment}")),
            Self::SendRefund { refund } => Some(format!("send_refund:{refund}")),
            Self::InvoiceOrder { order } | Self::DropInvoice { order } | Self::BuyLabel { order } | Self::DropLabel { order } => {
                Some(format!("{}:{order}", self.kind()))
            }
            Self::SendInvoice { invoice } | Self::CancelInvoice { invoice } | Self::KeepInvoice { invoice } => {
                Some(format!("{}:{invoice}", self.kind()))
            }
            Self::CorrectInvoice { correction } => Some(format!("correct_invoice:{correction}")),
            Self::LookAtDispute { provider, reference, .. } => Some(format!("look_at_dispute:{provider}:{reference}")),
            Self::CompareBooks { day, provider } => Some(format!("compare_books:{day}:{provider}")),
            Self::ReadReturns { provider, day, page } => Some(format!("read_returns:{provider}:{day}:{page}")),
            Self::MailMessage { message } => Some(format!("mail_message:{message}")),
            Self::SendMails => Some(self.kind().to_owned()),
            _ if self.is_recurring() => Some(self.kind().to_owned()),
            _ => None,
        }
    }

    /// How often it is tried before it is dead. Jobs that move money are tried for days.
    fn max_attempts(&self) -> i32 {
        match self {
            Self::SendRefund { .. }
            | Self::CheckPayment { .. }
            | Self::VoidPayment { .. }
            | Self::LookAtRefunds { .. }
            | Self::LookAtDispute { .. }
            | Self::InvoiceOrder { .. }
            | Self::DropInvoice { .. }
            | Self::SendInvoice { .. }
            | Self::CancelInvoice { .. }
            | Self::KeepInvoice { .. }
            | Self::CorrectInvoice { .. }
            | Self::BuyLabel { .. }
            | Self::DropLabel { .. }
            | Self::CompareBooks { .. }
            | Self::ReadReturns { .. } => 60,
            // An order holds its stock until somebody can say that it was not paid, however long that takes.
            Self::ExpireOrder { .. } => i32::MAX,
            // Each mail has its own end: a day after the first try that may have arrived.
            Self::SendMails => i32::MAX,
            _ if self.is_recurring() => i32::MAX,
            Self::MailPasswordReset { .. } | Self::MailEmailConfirm { .. } | Self::MailPrivacyRequest { .. } => 8,
            _ => 25,
        }
    }

    /// Reads a row's payload back.
    pub fn read(payload: serde_json::Value) -> Result<Self> {
        serde_json::from_value(payload).map_err(|e| Error::Internal(format!("a job that this release does not know: {e}")))
    }
}

/// Whether it is a mail or a text. Those come after the jobs that move money.
pub fn is_message(kind: &str) -> bool {
    kind.starts_with("mail_") || kind.starts_with("sms_")
}

/// Kinds whose mail somebody waits for, as a list in SQL. An index has the same list.
pub const MAILS_FIRST: &str = "
    'mail_password_reset', 'mail_email_confirm', 'mail_email_changed', 'mail_password_changed', 'mail_privacy_request', 'mail_order_link'";

/// Whether it is one of [`MAILS_FIRST`].
pub fn mail_goes_first(kind: &str) -> bool {
    MAILS_FIRST.contains(&format!("'{kind}'"))
}

/// The order of jobs that were leased together: what moves money, the mails that go first, and what sends the others before what
/// writes them.
pub fn place(kind: &str) -> u8 {
    match kind {
        "send_mails" => 2,
        kind if mail_goes_first(kind) => 1,
        kind => u8::from(is_message(kind)) * 3,
    }
}

/// The longest wait between two tries, in seconds, unless the provider asks for a longer one. All mails that wait together wait for
/// one job: they leave soon after the provider is back.
pub fn longest_wait_s(kind: &str) -> i64 {
    if kind == "send_mails" { 60 } else { MAX_BACKOFF_S }
}

/// Whether it only reads what recurring jobs read as well, so that it need not wait for a provider that is not configured any more:
/// once that is back, `watch_disputes` reads its disputes, and `watch_returns` and the daily comparison what went back there.
pub fn is_read_again(kind: &str) -> bool {
    matches!(kind, "look_at_refunds" | "look_at_dispute" | "read_returns")
}

/// One statement for any number of jobs. A job whose key already waits is not added: the waiting run will see the new state. A job
/// whose key is running is run once more afterwards, because the running one may have read the old state.
/// `$1` ids, `$2` kinds, `$3` payloads, `$4` dedupe keys, `$5` when, `$6` attempts, `$7` cause.
pub const PUSH: &str = "
    INSERT INTO jobs (id, kind, payload, dedupe, run_at, max_attempts, cause)
    SELECT j.id, j.kind, j.payload, j.dedupe, coalesce(j.run_at, now()), j.max_attempts, $7
      FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[], $5::timestamptz[], $6::int[])
        AS j (id, kind, payload, dedupe, run_at, max_attempts)
     ORDER BY j.dedupe
    ON CONFLICT (dedupe) WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running')
       DO UPDATE SET again = true WHERE jobs.state = 'running'";

/// The parameters of [`PUSH`].
#[derive(Debug)]
pub struct Batch {
    pub ids: Vec<JobId>,
    pub kinds: Vec<&'static str>,
    pub payloads: Vec<serde_json::Value>,
    pub dedupes: Vec<Option<String>>,
    pub times: Vec<Option<Timestamp>>,
    pub attempts: Vec<i32>,
    pub cause: String,
}

impl Batch {
    /// Of jobs with the same key only the first is written.
    pub fn of(jobs: &[(Job, Option<Timestamp>)]) -> Self {
        let mut seen = HashSet::new();
        let is_new = |(job, _): &&(Job, Option<Timestamp>)| job.dedupe().is_none_or(|key| seen.insert(key));
        let jobs: Vec<_> = jobs.iter().filter(is_new).collect();
        Self {
            ids: jobs.iter().map(|_| JobId::new()).collect(),
            kinds: jobs.iter().map(|(job, _)| job.kind()).collect(),
            payloads: jobs.iter().map(|(job, _)| serde_json::to_value(job).unwrap_or_default()).collect(),
            dedupes: jobs.iter().map(|(job, _)| job.dedupe()).collect(),
            times: jobs.iter().map(|(_, at)| *at).collect(),
            attempts: jobs.iter().map(|(job, _)| job.max_attempts()).collect(),
            cause: cause::current(),
        }
    }
}

/// Writes jobs into the caller's transaction, each to run at its time or at once. Call `App::jobs_were_pushed` after the commit.
pub async fn push_all(tx: &impl GenericClient, jobs: &[(Job, Option<Timestamp>)]) -> Result<()> {
    let b = Batch::of(jobs);
    db::execute(tx, PUSH, &[&b.ids, &b.kinds, &b.payloads, &b.dedupes, &b.times, &b.attempts, &b.cause]).await?;
    Ok(())
}

/// One job, to run as soon as the transaction commits.
pub async fn push(tx: &impl GenericClient, job: Job) -> Result<()> {
    push_all(tx, &[(job, None)]).await
}

/// One job, to run at a time.
pub async fn push_at(tx: &impl GenericClient, job: Job, at: Timestamp) -> Result<()> {
    push_all(tx, &[(job, Some(at))]).await
}

/// One job, to run at once. A waiting job of the same key is brought forward.
pub async fn push_now(tx: &impl GenericClient, job: Job) -> Result<()> {
    push_all_now(tx, &[(job, None)]).await
}

/// The same for any number of jobs.
pub async fn push_all_now(tx: &impl GenericClient, jobs: &[(Job, Option<Timestamp>)]) -> Result<()> {
    const FORWARD: &str = "UPDATE jobs SET run_at = now() WHERE dedupe = ANY($1) AND state = 'waiting' AND run_at > now()";
    let keys: Vec<String> = jobs.iter().filter_map(|(job, _)| job.dedupe()).collect();
    db::execute(tx, FORWARD, &[&keys]).await?;
    push_all(tx, jobs).await
}

/// What became of a run.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Not yet: the same job again at this time. Not a failure, so no attempt is counted.
    Again(Timestamp),
    /// Repeating does not help: an administrator must look.
    Dead(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_same_word_in_its_column_its_payload_and_the_document() {
        let refund = Job::SendRefund { refund: RefundId::new() };
        for job in RECURRING.iter().chain([&refund]) {
            assert_eq!(serde_json::to_value(job).expect("JSON")["kind"], job.kind());
            assert_eq!(serde_json::to_value(JobKind::from(job)).expect("JSON"), job.kind());
        }
        assert_eq!((refund.kind(), Job::LookAtRefunds { payment: PaymentId::new() }.kind()), ("send_refund", "look_at_refunds"));
    }
}
