//! Requests of the control that all providers share, and the reasons for refusing them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::books::ChargeStatus;
use crate::books::disputes::{AmountForm, DisputeStatus};

/// How a webhook travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendWebhook {
    #[default]
    Once,
    /// The same event two times, at the same moment.
    Twice,
    /// Never; the shop has to ask.
    Lost,
    /// Not before this has passed.
    Late(Duration),
}

/// Why the sandbox does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    AlreadyPaid,
    /// Expired or cancelled; `force` pays it all the same.
    NotPayable(ChargeStatus),
    RefundExceedsPayment,
    /// The shop's account holds too little for the refund.
    NoBalance,
    Invalid(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => write!(f, "there is no such thing in the books"),
            Self::AlreadyPaid => write!(f, "the charge is already paid"),
            Self::NotPayable(status) => write!(f, "the charge is {}; force pays it all the same", status.name()),
            Self::RefundExceedsPayment => write!(f, "the refunds would exceed the payment"),
            Self::NoBalance => write!(f, "the account holds too little for the refund"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// A dispute to begin: `NewDispute::of(id)`, with what is special about it.
#[derive(Debug, Clone)]
pub struct NewDispute {
    pub(crate) charge: String,
    pub(crate) amount_cents: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) is_inquiry: bool,
    pub(crate) form: AmountForm,
    pub(crate) webhook: SendWebhook,
}

impl NewDispute {
    /// Of all that is left of a charge. `charge`: payment id, txid or order id.
    pub fn of(charge: impl ToString) -> Self {
        Self {
            charge: charge.to_string(),
            amount_cents: None,
            reason: None,
            is_inquiry: false,
            form: AmountForm::Number,
            webhook: SendWebhook::Once,
        }
    }

    /// Of a part: a charge may have several.
    pub fn amount_cents(self, cents: i64) -> Self {
        Self { amount_cents: Some(cents), ..self }
    }

    pub fn reason(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    /// The bank only asks, and takes nothing yet. Stripe alone has these.
    pub fn inquiry(self) -> Self {
        Self { is_inquiry: true, ..self }
    }

    /// How OpenPix writes the amount.
    pub fn form(self, form: AmountForm) -> Self {
        Self { form, ..self }
    }

    pub fn webhook(self, webhook: SendWebhook) -> Self {
        Self { webhook, ..self }
    }
}

/// A step of a dispute: `MoveDispute::to(id, status)`.
#[derive(Debug, Clone)]
pub struct MoveDispute {
    pub(crate) id: String,
    pub(crate) status: DisputeStatus,
    pub(crate) moved_cents: Option<Vec<i64>>,
    pub(crate) webhook: SendWebhook,
}

impl MoveDispute {
    /// `id`: the dispute's, or that of a charge for its last one.
    pub fn to(id: impl ToString, status: DisputeStatus) -> Self {
        Self { id: id.to_string(), status, moved_cents: None, webhook: SendWebhook::Once }
    }

    /// All that it has moved then, where it is not what follows from the status.
    pub fn moved_cents(self, moved: &[i64]) -> Self {
        Self { moved_cents: Some(moved.to_vec()), ..self }
    }

    pub fn webhook(self, webhook: SendWebhook) -> Self {
        Self { webhook, ..self }
    }
}

/// What a bank calls a return that the shop's calls did not ask for (`natureza`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Nature {
    /// A bank's mistake.
    MedOperacional,
    /// Suspicion of fraud.
    #[default]
    MedFraude,
    /// A recurring charge that the payer's bank made good.
    MedPixAutomatico,
    /// None of the bank's: somebody gave it back on the provider's own pages.
    Original,
}

/// Money that goes back without the shop: `TakeBack::of(charge, name, cents)`.
#[derive(Debug, Clone)]
pub struct TakeBack {
    pub(crate) charge: String,
    pub(crate) name: String,
    pub(crate) amount_cents: i64,
    pub(crate) nature: Nature,
    pub(crate) motivo: Option<String>,
    pub(crate) is_held: bool,
    pub(crate) webhook: SendWebhook,
}

impl TakeBack {
    /// `charge`: payment id, txid or order id. `name`: what the bank calls the return.
    pub fn of(charge: impl ToString, name: &str, amount_cents: i64) -> Self {
        let webhook = SendWebhook::Once;
        let (charge, name) = (charge.to_string(), name.to_owned());
        Self { charge, name, amount_cents, nature: Nature::default(), motivo: None, is_held: false, webhook }
    }

    pub fn nature(self, nature: Nature) -> Self {
        Self { nature, ..self }
    }

    /// In process, and told to nobody, until [`Control::decide_return`](crate::Control::decide_return).
    pub fn held(self) -> Self {
        Self { is_held: true, ..self }
    }

    /// The bank's words about it.
    pub fn motivo(self, motivo: &str) -> Self {
        Self { motivo: Some(motivo.to_owned()), ..self }
    }

    pub fn webhook(self, webhook: SendWebhook) -> Self {
        Self { webhook, ..self }
    }
}
