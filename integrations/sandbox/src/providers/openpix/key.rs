//! OpenPix's two signatures of a webhook: a keyed hash with the shop's secret, and RSA with a key for everybody.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{error, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Made on first use, once for all sandboxes of a process: making one takes its time, and none is worth keeping.
fn pair() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("2048 bits are a size that is known"))
}

/// Base64 of an RSA PKCS#1 v1.5 signature over SHA-256.
pub(crate) fn sign_rsa(body: &[u8]) -> String {
    let mut signature = vec![0; pair().public_modulus_len()];
    pair().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).expect("the buffer is as long as the modulus");
    STANDARD.encode(signature)
}

/// Base64 of HMAC-SHA1.
pub(crate) fn sign_sha1(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, body))
}

pub(crate) fn public_pem() -> String {
    let der: Result<PublicKeyX509Der<'_>, error::Unspecified> = pair().public_key().as_der();
    let text = STANDARD.encode(der.expect("a public key can always be written").as_ref());
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for at in (0..text.len()).step_by(64) {
        pem.push_str(&text[at..text.len().min(at + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyed_hash_is_the_documented_one() {
        let body = br#"{"data_criacao":"2021-08-10T20:32:14.429Z","evento":"teste_webhook","event":"OPENPIX:CHARGE_COMPLETED"}"#;
        assert_eq!(sign_sha1("hmac-secret-key", body), "/ea7YAJjvmfnRfuV+Xzl/HE8QDw=");
    }
}
