//! The proof of who sent a webhook: a shared secret, or the signature of the whole platform.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use vitrine_kit::{Delivery, Forged};

const HMAC_HEADER: &str = "x-openpix-signature";
const RSA_HEADER: &str = "x-webhook-signature";

/// The key that they document, the same for all of their customers: it proves "sent by OpenPix", not "about your account".
const PLATFORM_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC/+NtIkjzevvqD+I3MMv3bLXDt
pvxBjY4BsRrSdca3rtAwMcRYYvxSnd7jagVLpctMiOxQO8ieUCKLSWHpsMAjO/zZ
WMKbqoG8MNpi/u3fp6zz0mcHCOSqYsPUUG19buW8bis5ZZ2IZgBObWSpTvJ0cnj6
HKBAA82Jln+lGwS1MwIDAQAB
-----END PUBLIC KEY-----";

#[derive(Debug)]
pub(crate) struct Proof {
    secret: Option<SecretString>,
    platform: ParsedPublicKey,
}

impl Proof {
    pub(crate) fn new(secret: Option<SecretString>, pem: Option<&str>) -> Result<Self, &'static str> {
        let der = der(pem.unwrap_or(PLATFORM_KEY)).ok_or("the webhook's public key is not PEM")?;
        // Their key has 1024 bits and cannot be chosen. What it signs is only a hint to us.
        let platform = ParsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, der)
            .map_err(|_| "the webhook's public key is not an RSA key")?;
        Ok(Self { secret, platform })
    }

    /// If a secret is configured and the delivery has its HMAC, only that counts. Both checks take constant time.
    pub(crate) fn check(&self, delivery: &Delivery) -> Result<(), Forged> {
        let is_right = match (&self.secret, delivery.header(HMAC_HEADER)) {
            (Some(secret), Some(given)) => is_mac(secret, &delivery.body, given),
            _ => self.is_platforms(&delivery.body, delivery.header(RSA_HEADER).ok_or(Forged)?),
        };
        if is_right { Ok(()) } else { Err(Forged) }
    }

    fn is_platforms(&self, body: &[u8], given: &str) -> bool {
        STANDARD.decode(given.trim()).is_ok_and(|given| self.platform.verify_sig(body, &given).is_ok())
    }
}

/// Whether it has a signature, valid or not.
pub(crate) fn is_signed(delivery: &Delivery) -> bool {
    delivery.header(HMAC_HEADER).is_some() || delivery.header(RSA_HEADER).is_some()
}

/// OpenPix uses SHA-1. As an HMAC it is not broken.
fn is_mac(secret: &SecretString, body: &[u8], given: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose_secret().as_bytes());
    STANDARD.decode(given.trim()).is_ok_and(|given| hmac::verify(&key, body, &given).is_ok())
}

/// What is between the two lines of a PEM. Variables often hold it on one line, with `\n` spelled out.
fn der(pem: &str) -> Option<Vec<u8>> {
    let pem = pem.replace("\\n", "\n");
    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).ok().filter(|der| !der.is_empty())
}
