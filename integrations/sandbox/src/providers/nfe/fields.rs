//! A provider's JSON, read field by field.

use serde_json::{Map, Value};

/// A JSON object whose fields are read one by one; what is wrong with them is gathered, by name.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: String,
    pub(crate) problems: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, prefix: &str) -> Self {
        Self { map, prefix: prefix.to_owned(), problems: Vec::new() }
    }

    pub(crate) fn wrong(&mut self, name: &str, why: &str) {
        self.problems.push((format!("{}{name}", self.prefix), why.to_owned()));
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Text as the schema takes it. A number is read by its digits.
    pub(crate) fn optional_text(&mut self, name: &str, least: usize, most: usize) -> Option<String> {
        let text = match self.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.wrong(name, "deve ser texto");
                return None;
            }
        };
        if text.is_empty() {
            return None;
        }
        let length = text.chars().count();
        if !(least..=most).contains(&length) {
            self.wrong(name, &format!("deve ter de {least} a {most} caracteres"));
        }
        if text.trim() != text || text.contains("  ") || text.chars().any(|c| c.is_control() || u32::from(c) > 0xff) {
            self.wrong(name, "não aceita caracteres de controle, espaços duplos ou caracteres fora do Latin-1");
        }
        Some(text)
    }

    pub(crate) fn text(&mut self, name: &str, least: usize, most: usize) -> String {
        self.optional_text(name, least, most).unwrap_or_else(|| {
            self.wrong(name, "é obrigatório");
            String::new()
        })
    }

    /// Exactly so many digits.
    pub(crate) fn digits(&mut self, name: &str, count: usize) -> String {
        let text = self.text(name, count, count);
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            self.wrong(name, &format!("deve ter {count} dígitos"));
        }
        text
    }

    /// One of these.
    pub(crate) fn code(&mut self, name: &str, of: &[u8]) -> u8 {
        let code = self.optional_text(name, 1, 2).and_then(|text| text.parse().ok());
        code.filter(|code| of.contains(code)).unwrap_or_else(|| {
            self.wrong(name, "não é um valor da lista");
            0
        })
    }

    /// A decimal with at most so many places, in units of the last of them.
    pub(crate) fn optional_decimal(&mut self, name: &str, places: usize) -> Option<i64> {
        let text = match self.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let read = scaled(&text, places);
        if read.is_none() {
            self.wrong(name, &format!("deve ser um número com até {places} casas"));
        }
        read
    }

    pub(crate) fn decimal(&mut self, name: &str, places: usize) -> i64 {
        if self.get(name).is_none() {
            self.wrong(name, "é obrigatório");
        }
        self.optional_decimal(name, places).unwrap_or(0)
    }

    /// Objects in an array; anything else is none.
    pub(crate) fn objects(&self, name: &str) -> Vec<&'a Map<String, Value>> {
        self.get(name)
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_object).collect())
            .unwrap_or_default()
    }

    /// An object; anything else is an empty one.
    pub(crate) fn object(&self, name: &str) -> Map<String, Value> {
        self.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
    }
}

/// By its digits, never through a float: `18.5` with two places is 1850.
fn scaled(text: &str, places: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 13 || !plain(whole) || !plain(fraction) || fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_by_their_digits() {
        for (text, places, read) in [
            ("185.0", 2, Some(18_500)),
            ("0.1", 2, Some(10)),
            ("82.333", 2, None),
            ("82.3300", 2, Some(8_233)),
            ("2", 4, Some(20_000)),
            ("1e3", 2, None),
            ("-1", 2, None),
            ("", 2, None),
        ] {
            assert_eq!(scaled(text, places), read, "{text}");
        }
    }
}
