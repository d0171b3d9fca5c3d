//! What every provider client is made of: the one HTTP stack, the words in which the shop talks to
//! providers (contracts), and the values that both parse at their door.

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
pub mod mail;
pub mod money;
pub mod pace;
pub mod phone;
pub mod pix;
pub mod refund;
pub mod refusal;
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
pub use tax_id::{Cnpj, Cpf, TaxId};
pub use webhook::{Delivery, Forged};
