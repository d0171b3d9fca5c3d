//! What JSON can say and we do not keep: the character NUL, which PostgreSQL cannot, and days and times before the year 0, which RFC 3339
//! cannot write in an answer. Refused at the door, with the name of the field. `error.rs` answers in the same way what comes past here.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use crate::error::{Error, Result};

/// Errors: 422 naming the first field that cannot be kept. A body that is no JSON passes: its reader says so.
pub fn check_json(raw: &[u8]) -> Result<()> {
    // Nearly no body has either, and then nothing is parsed twice: NUL is written as an escape, and early times begin with a sign or,
    // where an offset moves them, with `0000-`.
    const MARKS: [&[u8]; 4] = [b"\\u00", b"\"-", b"\"+", b"\"0000-"];
    let is_suspect = raw.windows(6).any(|six| MARKS.iter().any(|mark| six.starts_with(mark)));
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

/// Whether RFC 3339 can write a time in UTC: from the year 0 on. PostgreSQL's calendar begins before, and ends after jiff's.
pub fn is_time(time: Timestamp) -> bool {
    time.to_zoned(jiff::tz::TimeZone::UTC).year() >= 0
}

/// Why a text cannot be kept.
fn fault(text: &str) -> Option<&'static str> {
    if text.contains('\0') {
        return Some("must not contain the character NUL");
    }
    let is_suspect = text.starts_with(['-', '+']) || text.starts_with("0000-");
    let is_early = is_suspect && (text.parse().is_ok_and(|time| !is_time(time)) || is_early_day(text));
    is_early.then_some("must not be before the year 0")
}

/// A day without a time, before the year 0.
fn is_early_day(text: &str) -> bool {
    !text.contains(['T', 't', ' ']) && text.parse::<Date>().is_ok_and(|day| day.year() < 0)
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
        assert_eq!(named(r#"{"starts_at": "\u002d009000-01-01T00:00:00Z"}"#).as_deref(), Some("starts_at"));
        assert_eq!(named(r#"{"starts_at": "-000001-12-31T23:59:59Z"}"#).as_deref(), Some("starts_at"));
        assert_eq!(named(r#"{"starts_at": "0000-01-01T00:00:00+00:01"}"#).as_deref(), Some("starts_at"));
        assert_eq!(named(r#"{"starts_at": "+000000-01-01T00:00:00+00:01"}"#).as_deref(), Some("starts_at"));
        assert_eq!(named(r#"{"day": "-004000-01-01"}"#).as_deref(), Some("day"));
        for fine in [
            r#"{"notes": "a\\u0000b"}"#, // a backslash and letters
            r#"{"starts_at": "0000-01-01T00:00:00Z", "day": "0000-01-01", "x": "-1"}"#,
            r#"{"phone": "+5511999990000"}"#,
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
