//! Message authentication: made, and checked in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 of the message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    mac(key, message).finalize().into_bytes().into()
}

/// The same in lower-case hex.
pub fn hmac_sha256_hex(key: &[u8], message: &[u8]) -> String {
    hex::encode(hmac_sha256(key, message))
}

/// Whether `given` is the HMAC-SHA256 in hex (either case). What is not hex is simply wrong.
pub fn verify_hex(key: &[u8], message: &[u8], given: &str) -> bool {
    hex::decode(given).is_ok_and(|tag| mac(key, message).verify_slice(&tag).is_ok())
}

/// Whether `given` is the HMAC-SHA256 in padded base64. What is not base64 is simply wrong.
pub fn verify_base64(key: &[u8], message: &[u8], given: &str) -> bool {
    STANDARD.decode(given).is_ok_and(|tag| mac(key, message).verify_slice(&tag).is_ok())
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPAY: (&[u8], &[u8], &str) = (
        b"propay-to-go",
        br#"{"event":"payment.paid","payment_id":"0192"}"#,
        "e4118b84156f87eb4ed8a95f8305c5b973885097a8f91527b89b0ef980d7fba5",
    );
    const MELHOR_ENVIO: (&[u8], &[u8], &str) =
        (b"app-secret", br#"{"event":"order.posted","data":{"id":"9a1b"}}"#, "INtUwD4jnwWiFltC+9HLj9yHC3mnoGJMC0VSmMkP684=");

    #[test]
    fn known_signatures_come_out() {
        let (key, body, hex) = PROPAY;
        assert_eq!(hmac_sha256_hex(key, body), hex);
        assert!(verify_hex(key, body, hex));
        assert!(verify_hex(key, body, &hex.to_uppercase()));
        let (key, body, base64) = MELHOR_ENVIO;
        assert!(verify_base64(key, body, base64));
    }

    #[test]
    fn anything_but_the_whole_right_signature_is_wrong() {
        let (key, body, hex) = PROPAY;
        let flipped = format!("f{}", &hex[1..]);
        for given in ["", "e4", &hex[..62], &hex[..63], &flipped, "zz", &format!("{hex}00"), &format!("sha256={hex}")] {
            assert!(!verify_hex(key, body, given), "{given}");
        }
        assert!(!verify_hex(b"other", body, hex));
        assert!(!verify_hex(key, b"{}", hex));
        let (key, body, base64) = MELHOR_ENVIO;
        for given in ["", &base64[..40], base64.trim_end_matches('='), "####"] {
            assert!(!verify_base64(key, body, given), "{given}");
        }
    }
}
