//! What JSON can say and PostgreSQL cannot keep: the character NUL, and times before its calendar, days before ours. Refused at the door, with the name of
//! the field. `error.rs` answers in the same way what comes past here.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use crate::error::{Error, Result};

/// The beginning of PostgreSQL's calendar: 4714-11-24 BC, in the calendar of today. jiff's ends before PostgreSQL's does.
const EARLIEST_YEAR: i16 = -4713;

/// Errors: 422 naming the first field that cannot be kept. A body that is no JSON passes: its reader says so.
pub fn check_json(raw: &[u8]) -> Result<()> {
    // Nearly no body has either, and then nothing is parsed twice: `\u0000` stands for NUL, and such times begin with `"-`.
    let is_suspect = raw.windows(6).any(|six| six == b"\\u0000" || six.starts_with(b"\"-"));
    if !is_suspect {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<Value>(raw) else { return Ok(()) };
    match first_fault(&value, &mut String::new()) {
        Some((field, why)) => Err(Error::field(field, why)),
        None => Ok(()),
    }
}

/// Errors: 422 naming the first parameter that cannot be kept.
pub fn check_query(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<()> {
    for (name, text) in pairs {
        if let Some(why) = fault(text) {
            return Err(Error::field(name.replace('\0', ""), why));
        }
    }
    Ok(())
}

/// Whether a part of a path may be looked for. Not decoded: that is the router's.
pub fn is_path(path: &str) -> bool {
    !path.contains("%00")
}

/// Whether a time is in PostgreSQL's calendar.
pub fn is_time(time: Timestamp) -> bool {
    time.to_zoned(jiff::tz::TimeZone::UTC).year() > EARLIEST_YEAR
}

/// Why a text cannot be kept.
fn fault(text: &str) -> Option<&'static str> {
    if text.contains('\0') {
        return Some("must not contain the character NUL");
    }
    let is_early = text.starts_with('-') && (text.parse().is_ok_and(|time| !is_time(time)) || is_day(text));
    is_early.then_some("must not be so long ago")
}

/// A day before the year 0, as the sign before it says: RFC 3339 has none.
fn is_day(text: &str) -> bool {
    !text.contains(['T', 't', ' ']) && text.parse::<Date>().is_ok()
}

/// The first text of a JSON value that cannot be kept, its place and why.
fn first_fault(value: &Value, place: &mut String) -> Option<(String, &'static str)> {
    let length = place.len();
    match value {
        Value::String(text) => fault(text).map(|why| (place.clone(), why)),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| {
            place.push_str(&format!("[{i}]"));
            let found = first_fault(item, place);
            place.truncate(length);
            found
        }),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if let Some(why) = fault(name) {
                return Some((place.clone(), why));
            }
            place.push_str(if length == 0 { "" } else { "." });
            place.push_str(name);
            let found = first_fault(field, place);
            place.truncate(length);
            found
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(body: &str) -> Option<String> {
        match check_json(body.as_bytes()) {
            Err(Error::Invalid(fields)) => Some(fields[0].field.clone()),
            _ => None,
        }
    }

    #[test]
    fn the_field_that_cannot_be_kept_is_named_and_others_pass() {
        assert_eq!(named(r#"{"notes": "a\u0000b"}"#).as_deref(), Some("notes"));
        assert_eq!(named(r#"{"items": [{"a": 1}, {"labels": {"x": "\u0000"}}]}"#).as_deref(), Some("items[1].labels.x"));
        assert_eq!(named(r#"{"labels": {"\u0000": "x"}}"#).as_deref(), Some("labels"));
        assert_eq!(named(r#"{"starts_at": "-009000-01-01T00:00:00Z"}"#).as_deref(), Some("starts_at"));
        assert_eq!(named(r#"{"day": "-004000-01-01"}"#).as_deref(), Some("day"));
        for fine in [
            r#"{"notes": "a\\u0000b"}"#, // a backslash and letters
            r#"{"starts_at": "-004000-01-01T00:00:00Z", "x": "-1"}"#,
            r#"{"starts_at": "9999-12-31T00:00:00Z"}"#,
            r#"{"notes": "-"}"#,
            r#"{"broken": "\u0000"#,
        ] {
            assert_eq!(named(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_parameter_and_a_path_with_nul_are_refused() {
        let pairs: Vec<_> = form_urlencoded::parse(b"a=1&q=x%00").collect();
        assert!(matches!(check_query(&pairs), Err(Error::Invalid(fields)) if fields[0].field == "q"));
        assert!(!is_path("/api/orders/a%00b") && is_path("/api/orders/a%2500b"));
    }
}
