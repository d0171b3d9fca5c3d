//! Secrets at rest and signatures of ours: sealed CPF/CNPJ, look-up hashes, and capability tokens.
//!
//! `DATA_KEYS` seal. All other keys here are the shop's own, random and kept in the database (see `key_store`), so that neither
//! another `JWT_SECRET` nor another key in `DATA_KEYS` changes what they make.

use std::collections::HashMap;
use std::net::IpAddr;

use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use vitrine_kit::signature::hmac_sha256;
use vitrine_kit::{Email, TaxId};

use crate::client_ip::counted;
use crate::config::AuthConfig;
use crate::error::{Error, Result};
use crate::ids::{EmailChangeId, OrderId, PrivacyRequestId, ResetId};

/// What a sealed value is: one that was sealed as another thing cannot be opened as this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A CPF or CNPJ.
    TaxId,
    /// The secret of a second factor.
    Totp,
    /// One of the shop's own keys.
    Key,
}

impl Kind {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::TaxId => b"tax_id",
            Self::Totp => b"totp",
            Self::Key => b"key",
        }
    }
}

/// `DATA_KEYS`: the first one seals, all of them open.
pub struct Vault {
    ciphers: HashMap<i16, Aes256Gcm>,
    current: i16,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    pub fn new(auth: &AuthConfig) -> Result<Self> {
        let bad = || Error::Internal("DATA_KEYS must be id:key pairs, the key 32 bytes in base64".into());
        let mut ciphers = HashMap::new();
        for (id, key) in &auth.data_keys {
            let bytes = STANDARD.decode(key.expose_secret()).map_err(|_| bad())?;
            ciphers.insert(*id, Aes256Gcm::new_from_slice(&bytes).map_err(|_| bad())?);
        }
        let (current, _) = auth.data_keys.first().ok_or_else(bad)?;
        Ok(Self { ciphers, current: *current })
    }

    /// The id of the key that seals.
    pub fn current(&self) -> i16 {
        self.current
    }

    /// Whether that key can open.
    pub fn has(&self, key: i16) -> bool {
        self.ciphers.contains_key(&key)
    }

    /// Seals with the current key.
    pub fn seal(&self, kind: Kind, plain: &[u8]) -> Result<Vec<u8>> {
        self.seal_with(self.current, kind, plain)
    }

    /// Seals with one of the keys.
    pub fn seal_with(&self, key: i16, kind: Kind, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = || Error::Internal(format!("nothing can be sealed with data key {key}"));
        let nonce: [u8; 12] = rand::random();
        let cipher = self.ciphers.get(&key).ok_or_else(failed)?;
        let text = cipher.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: kind.as_bytes() }).map_err(|_| failed())?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Opens what was sealed with that key.
    pub fn open(&self, kind: Kind, sealed: &[u8], key: i16) -> Result<Vec<u8>> {
        let broken = || Error::Internal(format!("a sealed value cannot be opened with data key {key}"));
        let cipher = self.ciphers.get(&key).ok_or_else(broken)?;
        let (nonce, text) = sealed.split_at_checked(12).ok_or_else(broken)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| broken())?;
        cipher.decrypt(&nonce, Payload { msg: text, aad: kind.as_bytes() }).map_err(|_| broken())
    }
}

/// A look-up key: of the rows that name this key of `DATA_KEYS`.
#[derive(Clone, Copy)]
pub struct LookUp {
    pub id: i16,
    pub key: [u8; 32],
}

impl std::fmt::Debug for LookUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LookUp({})", self.id)
    }
}

/// The keys of one process. Each purpose has its own, derived, so that one token can never pass for another.
#[derive(Debug)]
pub struct Keys {
    vault: Vault,
    /// In the order in which they were made. A hash by one of them is made of the hash by the one before it, so that it can be
    /// made anew without the document, which nobody has any more once a person was erased.
    look_ups: Vec<LookUp>,
    tokens: TokenKeys,
}

/// How long a link opens an order or its invoice: past the 90 days in which a buyer may complain of a hidden defect of durable goods
/// (Lei 8.078/1990, article 26), with the delivery before them. A new one is mailed on request.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_hours(24 * 180);

/// What makes capabilities.
struct TokenKeys {
    quotes: [u8; 32],
    orders: [u8; 32],
    resets: [u8; 32],
    invoices: [u8; 32],
    email_changes: [u8; 32],
    privacy: [u8; 32],
    addresses: [u8; 32],
    devices: [u8; 32],
    refreshes: [u8; 32],
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}

/// A CPF or CNPJ as it lies in a table.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub sealed: Vec<u8>,
    /// Of the seal and of the hash.
    pub key: i16,
    /// HMAC: equal for equal documents, so that they can be found and counted without being read.
    pub hash: Vec<u8>,
}

impl Keys {
    /// `look_ups`: in the order in which they were made; the current key's is among them.
    pub fn new(vault: Vault, look_ups: Vec<LookUp>, tokens: &[u8; 32]) -> Result<Self> {
        if !look_ups.iter().any(|look_up| look_up.id == vault.current) {
            return Err(Error::Internal(format!("there is no look-up key for data key {}", vault.current)));
        }
        let derive = |purpose: &str| hmac_sha256(tokens, format!("vitrine/{purpose}/v1").as_bytes());
        let tokens = TokenKeys {
            quotes: derive("quote"),
            orders: derive("order"),
            resets: derive("reset"),
            devices: derive("device"),
            refreshes: derive("refresh"),
            invoices: derive("invoice"),
            email_changes: derive("email-change"),
            privacy: derive("privacy"),
            addresses: derive("address"),
        };
        Ok(Self { vault, look_ups, tokens })
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The ids of the look-up keys, the newest last.
    pub fn look_up_ids(&self) -> impl Iterator<Item = i16> {
        self.look_ups.iter().map(|look_up| look_up.id)
    }

    /// Seals a document for storage.
    pub fn seal(&self, document: &TaxId) -> Result<Sealed> {
        let sealed = self.vault.seal(Kind::TaxId, document.as_str().as_bytes())?;
        Ok(Sealed { sealed, key: self.vault.current, hash: self.person(document) })
    }

    /// Opens what [`Keys::seal`] made, with whichever key it was made.
    pub fn open(&self, sealed: &[u8], key: i16) -> Result<TaxId> {
        let bytes = self.vault.open(Kind::TaxId, sealed, key)?;
        let document = String::from_utf8(bytes).ok().and_then(|text| TaxId::parse(&text).ok());
        document.ok_or_else(|| Error::Internal("what was sealed as a document is none".into()))
    }

    /// The person behind a document: the same for the same CPF or CNPJ, and nothing else can be read from it.
    pub fn person(&self, document: &TaxId) -> Vec<u8> {
        self.persons(document).swap_remove(0)
    }

    /// The same by every look-up key, the current one's first: while keys change, rows have the hash of one or the other.
    pub fn persons(&self, document: &TaxId) -> Vec<Vec<u8>> {
        let mut hash = document.as_str().as_bytes().to_vec();
        let mut all = Vec::with_capacity(self.look_ups.len());
        for look_up in &self.look_ups {
            hash = hmac_sha256(&look_up.key, &hash).to_vec();
            all.push(hash.clone());
        }
        let current = self.look_ups.iter().position(|look_up| look_up.id == self.vault.current);
        all.swap(0, current.unwrap_or(0)); // `new` has seen to it that it is there
        all
    }

    /// The same by the oldest look-up key, which every server knows: to lock a person by.
    pub fn person_to_lock(&self, document: &TaxId) -> Vec<u8> {
        let oldest = self.look_ups.first().map(|look_up| look_up.key).unwrap_or_default(); // there is one
        hmac_sha256(&oldest, document.as_str().as_bytes()).to_vec()
    }

    /// A client's address (of IPv6 its network), so that it can be counted without being read.
    pub fn address(&self, ip: IpAddr) -> Vec<u8> {
        let ip = counted(ip).to_string();
        hmac_sha256(&self.tokens.addresses, ip.as_bytes())[..16].to_vec()
    }

    /// A hash by an older look-up key as the current one makes it. `None`: it is by a newer one, or by one that there is not.
    pub fn turn(&self, hash: &[u8], from: i16) -> Option<Vec<u8>> {
        let place = |id| self.look_ups.iter().position(|look_up| look_up.id == id);
        let (from, to) = (place(from)?, place(self.vault.current)?);
        let between = self.look_ups.get(from + 1..=to)?;
        Some(between.iter().fold(hash.to_vec(), |hash, look_up| hmac_sha256(&look_up.key, &hash).to_vec()))
    }

    /// The token that opens one guest's order, and that order alone, for [`LINK_LIFE`] from then on.
    pub fn order_token(&self, order: OrderId, from: Timestamp) -> String {
        link_token(&self.tokens.orders, order, (from + LINK_LIFE).as_second())
    }

    /// What a token is to that order now. Compares in constant time.
    pub fn read_order_token(&self, order: OrderId, token: &str) -> Opens {
        read_link_token(&self.tokens.orders, order, token)
    }

    /// The token that opens an order's invoice and nothing else of it, for [`LINK_LIFE`] from then on: it stands in links.
    pub fn invoice_token(&self, order: OrderId, from: Timestamp) -> String {
        link_token(&self.tokens.invoices, order, (from + LINK_LIFE).as_second())
    }

    /// What a token is to that order's invoice now. Compares in constant time.
    pub fn read_invoice_token(&self, order: OrderId, token: &str) -> Opens {
        read_link_token(&self.tokens.invoices, order, token)
    }

    /// The token that a password reset is mailed with: `<reset id>.<signature>`. Made of the id, so that the mail's job can
    /// make it again though the database keeps only its hash.
    pub fn reset_token(&self, reset: ResetId) -> String {
        token_of(&self.tokens.resets, reset.0)
    }

    /// The reset that a token of ours is for; `None` for any other text. Whether it still holds, the database says.
    pub fn read_reset_token(&self, token: &str) -> Option<ResetId> {
        id_in(&self.tokens.resets, token).map(ResetId)
    }

    /// The token that confirms a new e-mail: it proves that its mailbox was read.
    pub fn email_change_token(&self, change: EmailChangeId) -> String {
        token_of(&self.tokens.email_changes, change.0)
    }

    /// The change that a token of ours is for. Whether it still holds, the database says.
    pub fn read_email_change_token(&self, token: &str) -> Option<EmailChangeId> {
        id_in(&self.tokens.email_changes, token).map(EmailChangeId)
    }

    /// The token with which somebody without an account exports or erases their data.
    pub fn privacy_token(&self, request: PrivacyRequestId) -> String {
        token_of(&self.tokens.privacy, request.0)
    }

    /// The request that a token of ours is for. Whether it still holds, the database says.
    pub fn read_privacy_token(&self, token: &str) -> Option<PrivacyRequestId> {
        id_in(&self.tokens.privacy, token).map(PrivacyRequestId)
    }

    /// A token for a device on which this account was signed in: `<random>.<signature>`. It opens nothing.
    pub fn device_token(&self, email: &Email) -> String {
        self.device_token_of(email, &URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
    }

    fn device_token_of(&self, email: &Email, nonce: &str) -> String {
        let signature = hmac_sha256(&self.tokens.devices, format!("{nonce}.{}", email.as_str()).as_bytes());
        format!("{nonce}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether the token is one of ours for this account. Compares in constant time.
    pub fn is_device_token(&self, email: &Email, token: &str) -> bool {
        let Some((nonce, _)) = token.split_once('.') else { return false };
        self.device_token_of(email, nonce).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The refresh token that follows on this one. Always the same, so that it need not be kept for a repeat, and nobody who has the one can
    /// make the other.
    pub fn refresh_after(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.tokens.refreshes, token.as_bytes()))
    }

    /// `payload.signature`, for what a client carries for us (freight quotes).
    pub fn sign(&self, payload: &[u8]) -> String {
        let signature = hmac_sha256(&self.tokens.quotes, payload);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(signature))
    }

    /// The payload of a token that we signed; `None` for any other text.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let (payload, signature) = token.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let expected = URL_SAFE_NO_PAD.encode(hmac_sha256(&self.tokens.quotes, &payload));
        bool::from(expected.as_bytes().ct_eq(signature.as_bytes())).then_some(payload)
    }
}

/// `<id>.<signature>`.
fn token_of(key: &[u8; 32], id: Uuid) -> String {
    format!("{}.{}", id.simple(), URL_SAFE_NO_PAD.encode(hmac_sha256(key, id.as_bytes())))
}

/// The id in a token that this key signed. Compares in constant time.
fn id_in(key: &[u8; 32], token: &str) -> Option<Uuid> {
    let id: Uuid = token.split_once('.')?.0.parse().ok()?;
    bool::from(token_of(key, id).as_bytes().ct_eq(token.as_bytes())).then_some(id)
}

/// What a link's token does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    Yes,
    /// It was ours, and its time is over.
    NotAnyMore,
    No,
}

/// The last second of its life, in eight bytes, and a signature over the order and that second.
fn link_token(key: &[u8; 32], order: OrderId, until: i64) -> String {
    let until = until.to_be_bytes();
    let signature = hmac_sha256(key, &[order.0.as_bytes().as_slice(), &until].concat());
    URL_SAFE_NO_PAD.encode([until.as_slice(), &signature].concat())
}

fn read_link_token(key: &[u8; 32], order: OrderId, token: &str) -> Opens {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let Some((until, _)) = bytes.split_first_chunk() else { return Opens::No };
    let until = i64::from_be_bytes(*until);
    if !bool::from(link_token(key, order, until).as_bytes().ct_eq(token.as_bytes())) {
        return Opens::No;
    }
    if until < Timestamp::now().as_second() { Opens::NotAnyMore } else { Opens::Yes }
}

/// A random capability (refresh, reset, cart): 256 bits, safe in URLs and headers.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a random token. It has 256 bits, so a plain hash is enough.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
