//! The outbox: what must happen after a commit is a row written in the same transaction.

use std::collections::HashSet;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cause;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{CorrectionId, InvoiceId, JobId, MessageId, OrderId, PaymentId, RefundId, ResetId, UserId};

/// Everything that workers do. Ids only: the truth is read when the job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    MailWelcome {
        user: UserId,
    },
    MailOrderPlaced {
        order: OrderId,
    },
    /// The PIX is about to run out, if it is still unpaid.
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
    /// A message that failed, once more: an admin wants it.
    MailMessage {
        message: MessageId,
    },
    SmsOrderPaid {
        order: OrderId,
    },
    SmsOrderShipped {
        order: OrderId,
    },
    /// Gives an unpaid order's stock back when its time is over.
    ExpireOrder {
        order: OrderId,
    },
    /// Asks the provider about a payment that is unknown, pending, or only hinted at.
    CheckPayment {
        payment: PaymentId,
    },
    /// Makes an unpaid charge unpayable.
    VoidPayment {
        payment: PaymentId,
    },
    /// Sends money back, or asks how far a refund is.
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
    /// Has the NF-e of a paid order emitted.
    InvoiceOrder {
        order: OrderId,
    },
    /// A paid order was cancelled: its NF-e is cancelled with it.
    DropInvoice {
        order: OrderId,
    },
    /// Sends an invoice, or asks how far it is.
    SendInvoice {
        invoice: InvoiceId,
    },
    /// Has an authorised invoice cancelled.
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
    /// Recurring: asks carriers about parcels that were not heard of.
    TrackParcels,
    /// Compares a day's money with a provider's books.
    CompareBooks {
        day: Date,
        provider: String,
    },
    /// Recurring: has the books compared of every day that is over.
    KeepBooks,
    /// Recurring: looks for payments and refunds that nobody looks after.
    Reconcile,
    /// Recurring: tells of variants that are nearly sold out.
    WatchStock,
    /// Recurring: tells in time that the bank's client certificate ends.
    WatchCertificate,
    /// Recurring: asks the providers for disputes that no webhook told of.
    WatchDisputes,
    /// Recurring: counts alerts, and mails them to the operator. No customers' mail waits behind it.
    SendAlerts,
    /// Recurring: removes what has done its time (old jobs, keys, tokens, stale guest carts).
    Purge,
}

/// What comes round by itself, and is never over.
pub const RECURRING: [Job; 8] = [
    Job::Reconcile,
    Job::Purge,
    Job::KeepBooks,
    Job::TrackParcels,
    Job::WatchStock,
    Job::WatchCertificate,
    Job::WatchDisputes,
    Job::SendAlerts,
];

impl Job {
    /// The word in the `kind` column, in logs and in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MailWelcome { .. } => "mail_welcome",
            Self::MailOrderPlaced { .. } => "mail_order_placed",
            Self::MailExpiryReminder { .. } => "mail_expiry_reminder",
            Self::MailOrderPaid { .. } => "mail_order_paid",
            Self::MailOrderShipped { .. } => "mail_order_shipped",
            Self::MailOrderDelivered { .. } => "mail_order_delivered",
            Self::MailOrderCancelled { .. } => "mail_order_cancelled",
            Self::MailRefunded { .. } => "mail_refunded",
            Self::MailInvoice { .. } => "mail_invoice",
            Self::MailPasswordReset { .. } => "mail_password_reset",
            Self::MailMessage { .. } => "mail_message",
            Self::SmsOrderPaid { .. } => "sms_order_paid",
            Self::SmsOrderShipped { .. } => "sms_order_shipped",
            Self::ExpireOrder { .. } => "expire_order",
            Self::CheckPayment { .. } => "check_payment",
            Self::VoidPayment { .. } => "void_payment",
            Self::SendRefund { .. } => "send_refund",
            Self::LookAtRefunds { .. } => "look_at_refunds",
            Self::LookAtDispute { .. } => "look_at_dispute",
            Self::InvoiceOrder { .. } => "invoice_order",
            Self::DropInvoice { .. } => "drop_invoice",
            Self::SendInvoice { .. } => "send_invoice",
            Self::CancelInvoice { .. } => "cancel_invoice",
            Self::KeepInvoice { .. } => "keep_invoice",
            Self::CorrectInvoice { .. } => "correct_invoice",
            Self::BuyLabel { .. } => "buy_label",
            Self::DropLabel { .. } => "drop_label",
            Self::TrackParcels => "track_parcels",
            Self::CompareBooks { .. } => "compare_books",
            Self::KeepBooks => "keep_books",
            Self::Reconcile => "reconcile",
            Self::WatchStock => "watch_stock",
            Self::WatchCertificate => "watch_certificate",
            Self::WatchDisputes => "watch_disputes",
            Self::SendAlerts => "send_alerts",
            Self::Purge => "purge",
        }
    }

    fn is_recurring(&self) -> bool {
        RECURRING.contains(self)
    }

    /// At most one unfinished job with this key. Only for jobs where a second one would do the same again, and which push their
    /// own key while they run only where something moved: each such push is one more run.
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
            Self::MailMessage { message } => Some(format!("mail_message:{message}")),
            _ if self.is_recurring() => Some(self.kind().to_owned()),
            _ => None,
        }
    }

    /// How often it is tried before it is dead. What money hangs on is tried for days.
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
            | Self::CompareBooks { .. } => 60,
            // An order holds its stock until somebody can say that it was not paid, however long that takes.
            Self::ExpireOrder { .. } => i32::MAX,
            _ if self.is_recurring() => i32::MAX,
            Self::MailPasswordReset { .. } => 8,
            _ => 25,
        }
    }

    /// Reads a row's payload back.
    pub fn read(payload: serde_json::Value) -> Result<Self> {
        serde_json::from_value(payload).map_err(|e| Error::Internal(format!("a job that this release does not know: {e}")))
    }
}

/// Whether it waits for its turn at a carrier of messages, behind all that money hangs on.
pub fn is_message(kind: &str) -> bool {
    kind.starts_with("mail_") || kind.starts_with("sms_")
}

/// One statement for any number of jobs. One whose twin waits is not added: that run will see what this push is about. One whose
/// twin runs is: that run may have looked before, so it is made once more when it ends.
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
    /// A job that stands twice among them is written once: the first.
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

/// Writes jobs into the caller's transaction, each to run at its time or at once. Poke the workers after the commit.
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

/// One job, at once: one of the same key that waits for its time is brought forward.
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
    /// Nothing that time heals: an admin must look.
    Dead(String),
}
