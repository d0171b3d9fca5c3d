//! The providers that are played, and the changes that happen as time passes.

use crate::providers::melhorenvio::parcels;
use crate::world::Cast;

pub(crate) mod africastalking;
pub(crate) mod bacen;
pub(crate) mod cep;
pub(crate) mod correios;
pub(crate) mod enotas;
pub(crate) mod focusnfe;
pub(crate) mod melhorenvio;
pub(crate) mod nfe;
pub(crate) mod openpix;
pub(crate) mod pix;
pub(crate) mod propay;
mod quote;
pub(crate) mod resend;
pub(crate) mod smtp;
pub(crate) mod stripe;

pub(crate) const CAST: Cast = Cast {
    providers: &[
        propay::PROVIDER,
        openpix::PROVIDER,
        bacen::PROVIDER,
        stripe::PROVIDER,
        melhorenvio::PROVIDER,
        correios::PROVIDER,
        resend::PROVIDER,
        smtp::PROVIDER,
        africastalking::PROVIDER,
        focusnfe::PROVIDER,
        enotas::PROVIDER,
        cep::VIACEP,
        cep::BRASILAPI,
    ],
    clocks: &[pix::pass_time, nfe::pass_time, parcels::pass_time],
};
