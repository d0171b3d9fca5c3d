//! The contract of a carrier or freight broker.

use async_trait::async_trait;

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

#[derive(Debug, Clone)]
pub struct QuoteRequest {
    pub from: Cep,
    pub to: Cep,
    pub items: Vec<ParcelItem>,
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
}

/// Somebody who quotes freight: Melhor Envio, Correios.
#[async_trait]
pub trait ShippingProvider: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// Every service that takes this parcel there. Empty: nobody does (not an error).
    async fn quote(&self, ask: &QuoteRequest) -> Result<Vec<FreightOption>, ProviderError>;
}
