//! The contract of a carrier or freight broker.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cep, Money, ProviderError};

/// The goods of a parcel: one entry per variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelItem {
    /// Opaque to the provider (our variant id).
    pub id: String,
    pub quantity: u32,
    pub weight_grams: u32,
    pub height_cm: u32,
    pub width_cm: u32,
    pub length_cm: u32,
    /// Price of one unit, for insurance.
    pub unit_price: Money,
}

/// A packed box, outer measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    #[serde(rename = "h")]
    pub height_cm: u32,
    #[serde(rename = "w")]
    pub width_cm: u32,
    #[serde(rename = "l")]
    pub length_cm: u32,
    #[serde(rename = "g")]
    pub weight_grams: u32,
}

#[derive(Debug, Clone)]
pub struct QuoteRequest {
    pub from: Cep,
    pub to: Cep,
    /// For providers that pack themselves (Melhor Envio).
    pub items: Vec<ParcelItem>,
    /// The same goods packed by us, for providers that take boxes (Correios).
    pub volumes: Vec<Volume>,
}

/// One service that will carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreightOption {
    /// The provider that gave it (`melhorenvio`), needed to buy the label.
    pub provider: &'static str,
    /// What a buyer reads: "PAC", "SEDEX", ".Package".
    pub carrier: String,
    /// The company: "Correios", "Jadlog".
    pub service: String,
    /// The provider's code of the service.
    pub service_code: String,
    pub price: Money,
    /// Working days from posting to delivery.
    pub days: u32,
    /// The boxes that the label is bought for: as the provider packed them, or as we did.
    pub volumes: Vec<Volume>,
    /// The provider's answer about this service, in case the price is disputed. Short: without pictures and repeats.
    pub answer: Value,
}

/// A tracking event, in the carrier's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingEvent {
    /// The provider's code; with the time it tells repeats apart.
    pub code: String,
    /// For the buyer, in Portuguese.
    pub description: String,
    /// "Rio de Janeiro / RJ".
    pub place: Option<String>,
    pub happened_at: Timestamp,
    /// `None`: the event does not change the order.
    pub stage: Option<Stage>,
}

/// The state of a parcel, as far as it changes the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The carrier has it.
    Posted,
    /// It could not be delivered: it is on its way back, or waits for a person.
    Undelivered,
    Delivered,
}

/// A provider of freight quotes: Melhor Envio, Correios.
#[async_trait]
pub trait ShippingProvider: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// Every service that carries this parcel there. Empty: none does (not an error).
    async fn quote(&self, ask: &QuoteRequest) -> Result<Vec<FreightOption>, ProviderError>;
}
