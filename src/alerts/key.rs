//! The keys of all alerts. What one person would mend in one go has one key; a thing that has to be acted on by itself (a refund that
//! failed, a dispute) has its id in its key.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{CorrectionId, InvoiceId, PaymentId, RefundId, ShipmentId, VariantId};

/// How soon somebody should look: `critical`, `warning` or `info`. A mail tells of the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlertSeverity)]
pub enum Severity {
    /// Money or the shop's ability to sell is at stake.
    Critical,
    /// Something waits for a person.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

/// A provider's list that is read for what no webhook told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Disputes,
    /// What went back of payments.
    Returns,
}

/// What an alert is about. Its text, `refund-failed:<refund>`, is stable: operators filter by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    /// A provider does not accept our credentials (401, 403): whoever calls it meets the same, and waits.
    ProviderRefusesUs {
        provider: &'a str,
    },
    /// Payments of a provider that is not configured any more: nobody can be asked about them.
    ProviderUnconfigured {
        provider: &'a str,
    },
    /// A job gave up. One alert per kind and cause, however many jobs met it.
    JobDead {
        kind: &'a str,
        cause: &'a str,
    },
    /// A provider refused to make a charge.
    ChargeRefused {
        provider: &'a str,
        code: &'a str,
    },
    /// A charge came with a code that cannot be paid.
    PixCodeUnfit {
        provider: &'a str,
    },
    /// Money that no order takes goes back.
    Surplus(PaymentId),
    /// A payment is not what was asked for.
    PaymentDiffers(PaymentId),
    RefundFailed(RefundId),
    /// It was refused for now, and is tried for days.
    RefundWaits(RefundId),
    /// The same, a day later.
    RefundStillWaits(RefundId),
    /// The provider has had it in hand for a day.
    RefundSlow(RefundId),
    /// It was done, and the bank sent it back.
    RefundCameBack(RefundId),
    /// It was failed, is done all the same, and no longer fits into what was paid.
    RefundTooMuch(RefundId),
    /// Money went back at the provider that does not fit into what is left.
    RefundUnknown {
        provider: &'a str,
        reference: &'a str,
    },
    /// Somebody refunded an order that had left, on the provider's own pages: only they know whether goods came back.
    RefundMadeElsewhere(RefundId),
    /// More went back than came: the shop refunded it, and the payer's bank took it as well.
    PaidBackTwice(PaymentId),
    /// The payer's bank asks, and has taken nothing.
    InquiryOpened {
        reference: &'a str,
    },
    DisputeOpened {
        reference: &'a str,
    },
    DisputeClosed {
        reference: &'a str,
        is_lost: bool,
    },
    DisputeUnclear {
        reference: &'a str,
    },
    /// A dispute has been open for so long that its provider may have lost it.
    DisputeStaysOpen {
        reference: &'a str,
    },
    /// A provider refuses to list disputes, or what went back: what no webhook tells of is not found.
    ListRefused {
        provider: &'a str,
        list: List,
    },
    /// A contested PIX. Without a payment of ours its text stands for it.
    PixDisputed {
        payment: Option<PaymentId>,
        text: &'a str,
    },
    CertificateEnds {
        provider: &'a str,
        is_near: bool,
    },
    /// A day's comparison with a provider's books. Other differences of the same day are another alert.
    BooksDiffer {
        provider: &'a str,
        day: Date,
        subject: &'a str,
        lines: &'a str,
    },
    /// The fiscal provider refuses the shop's account: all invoices wait.
    InvoiceAccount {
        provider: &'a str,
    },
    /// Other tax rules hold from that day on, which some products or settings do not meet.
    TaxRulesAhead {
        day: Date,
        is_near: bool,
    },
    /// Invoices of Simples or MEI went out without IBS and CBS, because a product's data are missing.
    InvoiceWithoutReform,
    /// A product was sold that could not be invoiced then.
    SoldUnready {
        provider: &'a str,
    },
    InvoiceRejected(InvoiceId),
    InvoiceDenied(InvoiceId),
    /// It was refused here, before it was sent.
    InvoiceNotSent(InvoiceId),
    InvoiceNotCancelled(InvoiceId),
    InvoiceCancelledElsewhere(InvoiceId),
    CorrectionRefused(CorrectionId),
    /// No label can be bought until the shop mends this.
    LabelsHalted {
        why: &'a str,
    },
    LabelPaidTwice(ShipmentId),
    LabelCancelledElsewhere(ShipmentId),
    LabelExpired(ShipmentId),
    /// The label of a cancelled order could not be given back.
    LabelStranded(ShipmentId),
    /// A parcel left for an order that is not to be sent any more.
    ParcelOfEndedOrder(ShipmentId),
    /// The carrier could not deliver, or holds the parcel.
    ParcelInTrouble {
        parcel: &'a str,
        event: &'a str,
    },
    /// Variants that reached the shop's mark since the last look. The first of them and the time stand for all: each is told of once,
    /// and anew after it was filled up.
    LowStock {
        first: VariantId,
        at: Timestamp,
        count: usize,
    },
}
