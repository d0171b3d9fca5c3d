//! The parts that all provider clients share: the HTTP client, the contracts between the shop and its providers, and the values
//! that both use.

pub mod access_key;
pub mod brcode;
pub mod breaker;
pub mod cep;
pub mod certificate;
pub mod dispute;
pub mod email;
pub mod error;
pub mod fiscal;
pub mod http;
pub mod latin;
pub mod mail;
pub mod money;
pub mod nfe;
pub mod pace;
pub mod phone;
pub mod pix;
pub mod refund;
pub mod refusal;
pub mod s10;
pub mod sefaz;
pub mod shipping;
pub mod signature;
pub mod tax_id;
pub mod token;
pub mod trace;
pub mod webhook;

pub use access_key::AccessKey;
pub use cep::Cep;
pub use email::Email;
pub use error::ProviderError;
pub use money::Money;
pub use phone::Phone;
pub use refusal::said;
pub use tax_id::{Cnpj, Cpf, TaxId};
pub use webhook::{Delivery, Forged};
