//! The answer to an order that was placed.

use serde::Serialize;
use utoipa::ToSchema;

use super::view::OrderView;
use crate::currency::Currency;
use crate::error::{Error, Problem};
use crate::payments::charge::answer::Started;

/// An order that was just placed, and what only this answer has.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlacedOrder {
    #[serde(flatten)]
    pub order: OrderView,
    /// Opens this order alone, as the header `X-Order-Token`; only for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "b6Q2…")]
    pub access_token: Option<String>,
    /// Only where `pay` was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub payment: Option<PlacedPayment>,
}

/// What became of the payment that was asked for with the order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PlacedPayment {
    /// It can be paid, or is paid.
    Started(Started),
    /// The order costs nothing: it is paid as it is placed.
    NotNeeded(NothingToPay),
    /// It could not be started. The order stands: ask for its payment again.
    NotStarted(NotStarted),
}

/// An order that costs nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct NothingToPay {
    /// Always `not_needed`.
    pub status: NotNeeded,
    /// Always 0.
    #[schema(minimum = 0, maximum = 0, example = 0)]
    pub amount_cents: i64,
    /// The currency, by ISO 4217: `BRL`.
    pub currency: Currency,
}

/// The word of an order that costs nothing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotNeeded {
    NotNeeded,
}

/// A payment that could not be started.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotStarted {
    /// Always `not_started`.
    pub status: NotStartedWord,
    /// What `POST …/pay` would have answered.
    pub error: StartProblem,
}

/// The word of a payment that could not be started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotStartedWord {
    NotStarted,
}

/// Why a payment could not be started.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartProblem {
    #[serde(flatten)]
    pub problem: Problem,
    /// When it can be asked for again, in seconds; null: asking again does not help by itself.
    #[schema(required = true, minimum = 1, example = 5)]
    pub retry_after_s: Option<u64>,
}

impl PlacedPayment {
    /// Nothing is to be paid.
    pub fn not_needed() -> Self {
        Self::NotNeeded(NothingToPay { status: NotNeeded::NotNeeded, amount_cents: 0, currency: Currency::Brl })
    }

    /// It could not be started.
    pub fn not_started(why: &Error) -> Self {
        let error = StartProblem { problem: why.body(), retry_after_s: why.retry_after() };
        Self::NotStarted(NotStarted { status: NotStartedWord::NotStarted, error })
    }
}
