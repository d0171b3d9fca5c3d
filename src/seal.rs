//! Secrets at rest and signatures of ours: sealed CPF/CNPJ, look-up hashes, and capability tokens.

use std::collections::HashMap;

use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use vitrine_kit::TaxId;
use vitrine_kit::signature::hmac_sha256;

use crate::config::AuthConfig;
use crate::error::{Error, Result};
use crate::ids::{OrderId, ResetId};

/// The id of the key that is derived from `JWT_SECRET` where `DATA_KEYS` is not set.
const DERIVED: i16 = 0;

/// The keys of one process. Each purpose has its own, derived, so that one token can never pass for another.
pub struct Keys {
    ciphers: HashMap<i16, Aes256Gcm>,
    current: i16,
    look_up: [u8; 32],
    quotes: [u8; 32],
    orders: [u8; 32],
    resets: [u8; 32],
    invoices: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// A CPF or CNPJ as it lies in a table.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub sealed: Vec<u8>,
    pub key: i16,
    /// HMAC: equal for equal documents, so that they can be found and counted without being read.
    pub hash: Vec<u8>,
}

impl Keys {
    pub fn new(auth: &AuthConfig) -> Result<Self> {
        let root = auth.jwt_secret.expose_secret().as_bytes();
        let derive = |purpose: &str| hmac_sha256(root, format!("vitrine/{purpose}/v1").as_bytes());
        let mut ciphers = HashMap::from([(DERIVED, Aes256Gcm::new(&derive("data").into()))]);
        for (id, key) in &auth.data_keys {
            let bytes = STANDARD.decode(key.expose_secret()).map_err(|_| Error::Internal("DATA_KEYS".into()))?;
            let cipher = Aes256Gcm::new_from_slice(&bytes).map_err(|_| Error::Internal("DATA_KEYS".into()))?;
            ciphers.insert(*id, cipher);
        }
        // The look-up key must outlive rotations of the sealing key, else the same CPF would count as another person.
        let oldest = auth.data_keys.iter().min_by_key(|(id, _)| *id);
        let look_up =
            oldest.map_or_else(|| derive("look-up"), |(_, key)| hmac_sha256(key.expose_secret().as_bytes(), b"look-up"));
        let current = auth.data_keys.first().map_or(DERIVED, |(id, _)| *id);
        Ok(Self {
            ciphers,
            current,
            look_up,
            quotes: derive("quote"),
            orders: derive("order"),
            resets: derive("reset"),
            invoices: derive("invoice"),
        })
    }

    /// Seals a document for storage.
    pub fn seal(&self, document: &TaxId) -> Result<Sealed> {
        let nonce: [u8; 12] = rand::random();
        let cipher = self.ciphers.get(&self.current).ok_or_else(|| Error::Internal("no data key".into()))?;
        let payload = Payload { msg: document.as_str().as_bytes(), aad: b"tax_id" };
        let text = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::Internal("sealing failed".into()))?;
        Ok(Sealed { sealed: [nonce.as_slice(), &text].concat(), key: self.current, hash: self.person(document) })
    }

    /// Opens what [`Keys::seal`] made, with whichever key it was made.
    pub fn open(&self, sealed: &[u8], key: i16) -> Result<TaxId> {
        let broken = || Error::Internal(format!("a sealed document cannot be opened with data key {key}"));
        let cipher = self.ciphers.get(&key).ok_or_else(broken)?;
        let (nonce, text) = sealed.split_at_checked(12).ok_or_else(broken)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| broken())?;
        let bytes = cipher.decrypt(&nonce, Payload { msg: text, aad: b"tax_id" }).map_err(|_| broken())?;
        String::from_utf8(bytes).ok().and_then(|text| TaxId::parse(&text).ok()).ok_or_else(broken)
    }

    /// The person behind a document: the same for the same CPF or CNPJ, and nothing else can be read from it.
    pub fn person(&self, document: &TaxId) -> Vec<u8> {
        hmac_sha256(&self.look_up, document.as_str().as_bytes()).to_vec()
    }

    /// The token that opens one guest's order, and that order alone.
    pub fn order_token(&self, order: OrderId) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.orders, order.0.as_bytes()))
    }

    /// Compares in constant time.
    pub fn is_order_token(&self, order: OrderId, token: &str) -> bool {
        self.order_token(order).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The token that opens an order's invoice and nothing else of it: it stands in links.
    pub fn invoice_token(&self, order: OrderId) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.invoices, order.0.as_bytes()))
    }

    /// Compares in constant time.
    pub fn is_invoice_token(&self, order: OrderId, token: &str) -> bool {
        self.invoice_token(order).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The token that a password reset is mailed with: `<reset id>.<signature>`. Made of the id, so that the mail's job can
    /// make it again though the database keeps only its hash.
    pub fn reset_token(&self, reset: ResetId) -> String {
        format!("{}.{}", reset.0.simple(), URL_SAFE_NO_PAD.encode(hmac_sha256(&self.resets, reset.0.as_bytes())))
    }

    /// The reset that a token of ours is for; `None` for any other text. Whether it still holds, the database says.
    pub fn read_reset_token(&self, token: &str) -> Option<ResetId> {
        let reset: ResetId = token.split_once('.')?.0.parse().ok()?;
        bool::from(self.reset_token(reset).as_bytes().ct_eq(token.as_bytes())).then_some(reset)
    }

    /// `payload.signature`, for what a client carries for us (freight quotes).
    pub fn sign(&self, payload: &[u8]) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(hmac_sha256(&self.quotes, payload)))
    }

    /// The payload of a token that we signed; `None` for any other text.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let (payload, signature) = token.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let expected = URL_SAFE_NO_PAD.encode(hmac_sha256(&self.quotes, &payload));
        bool::from(expected.as_bytes().ct_eq(signature.as_bytes())).then_some(payload)
    }
}

/// A random capability (refresh, reset, cart): 256 bits, safe in URLs and headers.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a random token. It has 256 bits, so a plain hash is enough.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
