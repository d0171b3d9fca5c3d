//! The state of the bank that is not in the books.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

/// What the bank remembers beside the books. Gone with the sandbox: the shop must cope.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    /// Access token → its end.
    pub(crate) tokens: HashMap<String, Timestamp>,
    /// The only way in which tokens are asked for. `None`: either will do.
    pub(crate) token_form: Option<TokenForm>,
    /// PIX key → address of its webhook, and since when.
    pub(crate) hooks: BTreeMap<String, (String, Timestamp)>,
}

/// How a bank wants to be asked for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenForm {
    /// As in RFC 6749: `application/x-www-form-urlencoded`.
    Form,
    /// As at Efí.
    Json,
}
