//! Access tokens: JWT, only HS256, for `aud: ["vitrine"]`.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::config::AuthConfig;
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};

const AUDIENCE: &str = "vitrine";

/// A person's role: `user`, `shipper` (may set tracking numbers), or `admin`. Roles are not ordered: check for the role that is
/// needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    /// May set tracking numbers.
    Shipper,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Shipper => "shipper",
            Self::Admin => "admin",
        }
    }

    /// Reads the column. An unknown word counts as `User`.
    pub fn of(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            "shipper" => Self::Shipper,
            _ => Self::User,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub sub: UserId,
    pub role: Role,
    /// The session that it was issued for: revoking the session revokes the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    pub aud: Vec<String>,
    pub iat: i64,
    pub exp: i64,
    pub jti: uuid::Uuid,
}

/// Issues and reads access tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    ttl_s: i64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    pub fn new(auth: &AuthConfig) -> Self {
        let secret = auth.jwt_secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            ttl_s: auth.jwt_ttl.as_secs() as i64,
        }
    }

    /// Lifetime of an access token in seconds.
    pub fn ttl_s(&self) -> i64 {
        self.ttl_s
    }

    pub fn issue(&self, sub: UserId, role: Role, sid: SessionId) -> Result<String> {
        let iat = jiff::Timestamp::now().as_second();
        let claims = Claims {
            sub,
            role,
            sid: Some(sid),
            aud: vec![AUDIENCE.to_owned()],
            iat,
            exp: iat + self.ttl_s,
            jti: uuid::Uuid::new_v4(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(|e| Error::Internal(format!("jwt: {e}")))
    }

    /// The claims of a token of ours that is good now. One of no session could not be revoked, and an extension that must be understood
    /// (`crit`) is not: neither is taken.
    pub fn read(&self, token: &str) -> Result<Claims> {
        decode::<Claims>(token, &self.decoding, &self.validation)
            .ok()
            .filter(|data| data.header.crit.is_none() && data.claims.sid.is_some())
            .map(|data| data.claims)
            .ok_or(Error::Unauthorized("The access token is not valid or has expired: refresh it or sign in"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens() -> Tokens {
        let ttl = std::time::Duration::from_secs(60);
        Tokens::new(&AuthConfig {
            jwt_secret: SECRET.into(),
            jwt_ttl: ttl,
            refresh_ttl: ttl,
            data_keys: Vec::new(),
            first_admin: None,
        })
    }

    fn signed(header: &Header, changes: &[(&str, Value)]) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"sub": UserId::new(), "role": "user", "sid": SessionId::new(), "aud": [AUDIENCE], "iat": now,
                                "exp": now + 60, "jti": uuid::Uuid::new_v4()});
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        encode(header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("a token")
    }

    #[test]
    fn a_token_of_ours_is_read_and_one_that_says_more_or_less_is_not() {
        let plain = Header::new(Algorithm::HS256);
        let read = |token: &str| tokens().read(token).is_ok();
        assert!(read(&tokens().issue(UserId::new(), Role::User, SessionId::new()).expect("a token")));
        let now = jiff::Timestamp::now().as_second();
        assert!(read(&signed(&plain, &[])) && read(&signed(&plain, &[("nbf", json!(now - 10))])));
        assert!(!read(&signed(&plain, &[("nbf", json!(now + 1000))])), "it is not good yet");
        assert!(!read(&signed(&plain, &[("sid", Value::Null)])), "it could not be revoked");
        assert!(!read(&signed(&plain, &[("exp", json!(now - 1000))])));
        let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
        assert!(!read(&signed(&critical, &[])), "an extension that must be understood");
    }
}
