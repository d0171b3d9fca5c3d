//! Access tokens: JWT, only HS256, for `aud: ["vitrine"]`.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::config::AuthConfig;
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};

const AUDIENCE: &str = "vitrine";

/// A person's role. Roles are not ordered: check for the role that is needed.
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

    pub fn read(&self, token: &str) -> Result<Claims> {
        decode::<Claims>(token, &self.decoding, &self.validation)
            .map(|data| data.claims)
            .map_err(|_| Error::Unauthorized("The access token is not valid or has expired: refresh it or sign in"))
    }
}
