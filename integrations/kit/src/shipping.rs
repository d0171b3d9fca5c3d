//! The contract of a carrier or freight broker.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cep, Money, ProviderError};

/// What travels: one entry per variant, as it lies on the shelf.
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
    /// For whoever packs by himself (Melhor Envio).
    pub items: Vec<ParcelItem>,
    /// The same goods as we would pack them, for whoever takes boxes (Correios).
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
    /// As the provider packed it, or took it from us: what the label is bought for.
    pub volumes: Vec<Volume>,
    /// What the provider answered about this service, for the day the price is disputed. Small: no pictures, no repeats.
    pub answer: Value,
}

/// One thing that happened to a parcel, in the carrier's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingEvent {
    /// The provider's code; with the time it tells repeats apart.
    pub code: String,
    /// For the buyer, in Portuguese.
    pub description: String,
    /// "Rio de Janeiro / RJ".
    pub place: Option<String>,
    pub happened_at: Timestamp,
    /// `None`: nothing that moves the order.
    pub stage: Option<Stage>,
}

/// How far a parcel is, as far as a carrier's word moves an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// In the carrier's hands.
    Posted,
    /// Nobody took it: on its way back, or waiting for a person.
    Undelivered,
    Delivered,
}

/// Somebody who quotes freight: Melhor Envio, Correios.
#[async_trait]
pub trait ShippingProvider: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// Every service that takes this parcel there. Empty: nobody does (not an error).
    async fn quote(&self, ask: &QuoteRequest) -> Result<Vec<FreightOption>, ProviderError>;
}
