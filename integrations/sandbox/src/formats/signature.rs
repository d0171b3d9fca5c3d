//! Keyed hashes: the token that the shop shows, the signature that it gets.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How long after its end a token is still taken, for clocks that differ.
const LEEWAY_S: i64 = 30;

fn mac(secret: &str) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length")
}

/// Lower-case hex of HMAC-SHA256.
pub(crate) fn sign_hex(secret: &str, body: &[u8]) -> String {
    let mut mac = mac(secret);
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Padded base64 of HMAC-SHA256.
pub(crate) fn sign_base64(secret: &str, body: &[u8]) -> String {
    let mut mac = mac(secret);
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

/// Checks an HS256 JWT at `now` (unix seconds). The error says what is wrong, for the developer.
pub(crate) fn check_jwt(token: &str, secret: &str, audience: &str, now: i64) -> Result<(), &'static str> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("the token does not have three parts");
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "the token is not base64url");
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| "the token's header is not readable")?;
    if header.alg != "HS256" {
        return Err("the token's algorithm is not HS256");
    }
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let mut mac = mac(secret);
    mac.update(signed.as_bytes());
    mac.verify_slice(&decode(signature)?).map_err(|_| "the token's signature is wrong")?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?)
        .map_err(|_| "the token's claims lack aud or exp, or have them in another form")?;
    if !claims.aud.holds(audience) {
        return Err("the token is for another audience");
    }
    if now > claims.exp.saturating_add(LEEWAY_S) {
        return Err("the token has expired");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ2aXRyaW5lIiwic3ViIjoidml0cmluZSIsImF1ZCI6WyJwcm9wYXkiXSwiaWF0IjoxNzkwMDAwMDAwLCJleHAiOjE3OTAwMDAwNjAsImp0aSI6IjAxOTIifQ.ziH94V6FTAqGtl_afeD4TwOOwxdqb0d1jYEMPt2NhIA";

    #[test]
    fn the_webhook_signature_is_the_documented_one() {
        assert_eq!(
            sign_hex("propay-to-go", br#"{"event":"payment.paid","payment_id":"0192"}"#),
            "e4118b84156f87eb4ed8a95f8305c5b973885097a8f91527b89b0ef980d7fba5",
        );
    }

    #[test]
    fn the_signature_of_a_parcels_news_is_the_documented_one() {
        let body = br#"{"event":"order.posted","data":{"id":"9a1b"}}"#;
        assert_eq!(sign_base64("app-secret", body), "INtUwD4jnwWiFltC+9HLj9yHC3mnoGJMC0VSmMkP684=");
    }

    #[test]
    fn the_documented_token_passes_while_it_lives() {
        assert_eq!(check_jwt(VECTOR, "go-to-propay", "propay", 1_790_000_030), Ok(()));
        assert_eq!(check_jwt(VECTOR, "go-to-propay", "propay", 1_790_000_090), Ok(()));
        assert_eq!(check_jwt(VECTOR, "go-to-propay", "propay", 1_790_000_091), Err("the token has expired"));
    }

    #[test]
    fn a_token_with_another_key_or_audience_is_refused() {
        let now = 1_790_000_030;
        assert_eq!(check_jwt(VECTOR, "other", "propay", now), Err("the token's signature is wrong"));
        assert_eq!(check_jwt(VECTOR, "go-to-propay", "other", now), Err("the token is for another audience"));
        assert!(check_jwt("a.b", "go-to-propay", "propay", now).is_err());
    }

    #[test]
    fn a_token_without_a_signature_is_refused_whatever_its_header_says() {
        let claims = VECTOR.split('.').nth(1).expect("three parts");
        for alg in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
            let token = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(alg));
            assert_eq!(check_jwt(&token, "go-to-propay", "propay", 1_790_000_030), Err("the token's algorithm is not HS256"));
        }
        let token = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
        assert_eq!(check_jwt(&token, "go-to-propay", "propay", 1_790_000_030), Err("the token's signature is wrong"));
    }
}
