//! What a provider has to report, and the webhook for it.

use std::collections::BTreeMap;

use crate::books::disputes::Dispute;
use crate::books::nfe::Nfe;
use crate::books::{Charge, Refund};

/// Something that a provider has to tell, with its own name for it.
pub(crate) enum News<'a> {
    Charge(&'a Charge, &'a str),
    Refund(&'a Charge, &'a Refund, &'a str),
    Dispute(&'a Charge, &'a Dispute, &'a str),
    /// An invoice, as it stands now.
    Nfe(&'a Nfe),
}

impl News<'_> {
    /// Who tells it.
    pub(crate) fn provider(&self) -> &str {
        match self {
            Self::Charge(charge, _) | Self::Refund(charge, ..) | Self::Dispute(charge, ..) => &charge.provider,
            Self::Nfe(nfe) => &nfe.provider,
        }
    }

    /// The payment or invoice that it speaks of.
    pub(crate) fn about(&self) -> &str {
        match self {
            Self::Charge(charge, _) | Self::Refund(charge, ..) | Self::Dispute(charge, ..) => &charge.payment_id,
            Self::Nfe(nfe) => &nfe.reference,
        }
    }
}

/// A webhook as its provider writes it.
pub(crate) struct Envelope {
    pub(crate) event_id: String,
    /// The provider's own name for what happened.
    pub(crate) event: String,
    /// With its query, if any.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}
