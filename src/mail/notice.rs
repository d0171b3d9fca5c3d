//! What mails about an account are made of.

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::UserId;
use crate::lang::Lang;

/// What a mail about an account says.
#[derive(Debug, Default, Serialize)]
pub struct Notice {
    #[serde(skip)]
    pub user: Option<UserId>,
    #[serde(skip)]
    pub recipient: String,
    #[serde(skip)]
    pub lang: Lang,
    /// Empty where there is none.
    pub first_name: String,
    pub url: String,
    pub at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Masked.
    pub new_email: Option<String>,
}
