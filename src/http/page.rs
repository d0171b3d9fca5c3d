//! Lists: `limit` and `offset`, or a cursor that stays fast at any depth.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::http::storable;

pub const DEFAULT_LIMIT: i64 = 20;
pub const MAX_LIMIT: i64 = 100;
/// A larger `offset` would read and discard too many rows: use the cursor.
pub const MAX_OFFSET: i64 = 100_000;

/// A page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// How many there are in all. A list may count no further than 10,000: that number means so many, or more.
    #[schema(minimum = 0, example = 1)]
    pub total: i64,
    /// How many a page shows at most.
    #[schema(minimum = 0, example = 20)]
    pub limit: i64,
    /// How many were skipped.
    #[schema(minimum = 0, example = 0)]
    pub offset: i64,
    /// Send it as `cursor` for the next page; null on the last page.
    #[schema(required = true, example = "IjAxYTFmZTRlIg")]
    pub next_cursor: Option<String>,
}

/// Makes an opaque cursor of the last row's sort key.
pub fn cursor_of(key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Reads a cursor that we made. Errors: 422 for any other text.
pub fn read_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .filter(|bytes| storable::check_json(bytes).is_ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::field("cursor", "is not one that this list gave out"))
}

/// `limit` and `offset` within their bounds, or the field's name.
pub fn bounds(limit: Option<i64>, offset: Option<i64>) -> Result<(i64, i64)> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let offset = offset.unwrap_or(0);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Error::field("limit", format!("must be from 1 to {MAX_LIMIT}")));
    }
    if !(0..=MAX_OFFSET).contains(&offset) {
        return Err(Error::field("offset", format!("must be from 0 to {MAX_OFFSET}: use the cursor beyond")));
    }
    Ok((limit, offset))
}
