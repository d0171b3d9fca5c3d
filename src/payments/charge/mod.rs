//! A charge: what the buyer is asked to pay, at one provider.

pub mod answer;
mod attempt;
pub mod bounds;
pub mod certificate;
pub mod check;
pub mod first;
pub mod method;
pub mod methods;
pub mod price;
mod qr;
pub mod record;
pub mod start;
pub mod void;
