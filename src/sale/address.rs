//! Where an order goes, and the public address at which it can be followed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tax::states::StateCode;

/// Where the parcel goes: a copy, made when the order was placed. Once its buyer was erased, only `cep`, `city` and `state` are
/// left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShippingAddress {
    /// Who receives it.
    #[schema(example = "Ana Souza", required = false)]
    pub recipient: String,
    /// Eight digits.
    #[schema(example = "01310100")]
    pub cep: String,
    /// The street.
    #[schema(required = false, example = "Avenida Paulista")]
    pub street: String,
    /// The number in the street, as text.
    #[schema(example = "1000", required = false)]
    pub number: String,
    /// Flat, block or floor; null: none.
    #[schema(required = false, example = "Apto 12")]
    pub complement: Option<String>,
    /// The district.
    #[schema(required = false, example = "Bela Vista")]
    pub district: String,
    /// The city.
    #[schema(example = "São Paulo")]
    pub city: String,
    /// The state.
    #[schema(value_type = StateCode, example = "SP")]
    pub state: String,
    /// The IBGE's code of the city, 7 digits; null: not known.
    #[schema(required = false, example = "3550308")]
    pub ibge_city: Option<String>,
    /// A phone number; null: none.
    #[schema(required = false, example = "+5511999990000")]
    pub phone: Option<String>,
}

/// Where anybody with the order's number can follow it.
pub fn tracking_url(public_url: &str, number: &str) -> String {
    format!("{public_url}/tracking/{number}")
}
