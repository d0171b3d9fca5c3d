//! What the shop says of an intent, and what it reads of one.

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;
use vitrine_kit::{Email, Money};

/// An intent to create: our payment's row, and how often it was tried.
#[derive(Debug, Clone)]
pub struct NewIntent {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub amount: Money,
    /// Shown in the Dashboard and on receipts. `None` sends none. Like all here it must not change between attempts.
    pub description: Option<String>,
    /// Stripe mails its receipt there.
    pub receipt_email: Option<Email>,
    /// When the row was made: no intent of it can be older.
    pub asked_at: Timestamp,
    /// 1 for the first call, and one more for each later one. From 2 on, Stripe is first asked whether it has the intent.
    pub attempt: u32,
}

/// An intent as Stripe has it.
#[derive(Debug, Clone)]
pub struct Intent {
    /// `pi_…`.
    pub id: String,
    /// Ours, as told to them when it was created.
    pub payment_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
    pub status: IntentStatus,
    pub amount: Money,
    pub amount_received: Money,
    /// Lower-case: `brl`.
    pub currency: String,
    /// Only for the buyer's browser: with it and our publishable key the intent can be paid.
    pub client_secret: Option<SecretString>,
    /// `false`: the test mode. `None`: Stripe does not say.
    pub livemode: Option<bool>,
    pub created: Option<Timestamp>,
    /// Why the last card was refused. Not final: another may be tried.
    pub last_error: Option<String>,
    /// `ch_…`, of the last try.
    pub latest_charge: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStatus {
    /// New, or the last card was refused.
    RequiresPaymentMethod,
    RequiresConfirmation,
    /// The buyer's bank asks for authentication (3-D Secure).
    RequiresAction,
    /// The bank is processing it: it can neither be paid again nor cancelled.
    Processing,
    /// Held, not taken: only where capture was asked to be manual.
    RequiresCapture,
    Succeeded,
    Canceled,
    /// A word that we do not know yet.
    Other,
}

impl IntentStatus {
    /// The buyer can (still) pay it.
    pub fn is_payable(self) -> bool {
        matches!(self, Self::RequiresPaymentMethod | Self::RequiresConfirmation | Self::RequiresAction)
    }
}
