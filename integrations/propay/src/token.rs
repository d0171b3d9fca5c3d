//! The service token: JWT HS256, made for one call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use vitrine_kit::signature::hmac_sha256;

const LIFE_S: i64 = 60;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    sub: &'static str,
    /// An array: ProPay refuses a plain string.
    aud: [&'static str; 1],
    iat: i64,
    exp: i64,
    jti: &'a str,
}

/// `now`: seconds since 1970.
pub(crate) fn sign(secret: &str, now: i64, jti: &str) -> String {
    let claims = Claims { iss: "vitrine", sub: "vitrine", aud: ["propay"], iat: now, exp: now + LIFE_S, jti };
    let claims = serde_json::to_string(&claims).expect("strings and numbers always serialise");
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let mac = URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), text.as_bytes()));
    format!("{text}.{mac}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_known_token_comes_out() {
        assert_eq!(
            super::sign("go-to-propay", 1_790_000_000, "0192"),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ2aXRyaW5lIiwic3ViIjoidml0cmluZSIsImF1ZCI6WyJwcm9wYXkiXSwiaWF0IjoxNzkwMDAwMDAwLCJleHAiOjE3OTAwMDAwNjAsImp0aSI6IjAxOTIifQ.ziH94V6FTAqGtl_afeD4TwOOwxdqb0d1jYEMPt2NhIA"
        );
    }
}
