//! Parcels, and what carriers scan on the way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::books::charges::Extra;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParcelStatus {
    /// In the cart.
    Pending,
    /// Paid.
    Released,
    /// Its label can be printed.
    Generated,
    /// With the carrier.
    Posted,
    /// Nobody took it.
    Undelivered,
    Suspended,
    Delivered,
    /// Taken out of the cart, or given back.
    Canceled,
    Expired,
}

impl ParcelStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Released => "released",
            Self::Generated => "generated",
            Self::Posted => "posted",
            Self::Undelivered => "undelivered",
            Self::Suspended => "suspended",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }
}

/// What a carrier wrote down, in the words of Correios.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub code: String,
    pub kind: String,
    pub description: String,
    pub city: String,
    pub state: String,
    pub at: Timestamp,
}

/// A parcel at some provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    pub provider: String,
    pub id: String,
    pub protocol: String,
    /// What the shop wrote onto it.
    pub tag: Option<String>,
    pub status: ParcelStatus,
    pub service_id: u32,
    pub service: String,
    pub company: String,
    pub price_cents: i64,
    pub days: i64,
    pub invoice_key: Option<String>,
    pub tracking: Option<String>,
    /// Everything that was sent with it.
    pub sent: Extra,
    pub scans: Vec<Scan>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// `None`: never bought, so it cost nothing.
    pub paid_at: Option<Timestamp>,
    pub generated_at: Option<Timestamp>,
    pub posted_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub canceled_at: Option<Timestamp>,
    pub expired_at: Option<Timestamp>,
    /// When it goes a step on by itself.
    pub moves_at: Option<Timestamp>,
}

impl Parcel {
    /// Its price is gone from the balance.
    pub fn is_bought(&self) -> bool {
        self.paid_at.is_some() && !matches!(self.status, ParcelStatus::Canceled | ParcelStatus::Expired)
    }

    /// It was taken out of the cart: to the provider there is no such thing.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == ParcelStatus::Canceled && self.paid_at.is_none()
    }

    fn place(&self, of: &str) -> (String, String) {
        let text = |field: &str| self.sent[of][field].as_str().unwrap_or("").to_owned();
        (text("city"), text("state_abbr"))
    }

    pub(crate) fn scan(&mut self, code: &str, kind: &str, description: &str, of: &str, at: Timestamp) {
        let (city, state) = self.place(of);
        let (code, kind, description) = (code.into(), kind.into(), description.into());
        self.scans.push(Scan { code, kind, description, city, state, at });
    }
}

/// What may happen to a parcel, besides what the shop orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParcelStep {
    /// Somebody pays it in the panel.
    Pay,
    /// The label is made.
    Generate,
    Post,
    /// On the way to the door: a scan, and no webhook.
    OutForDelivery,
    Deliver,
    /// Nobody took it.
    Return,
    Suspend,
    /// Nobody posted it in time: no webhook.
    Expire,
    /// Somebody gives it back in the panel.
    Cancel,
}
