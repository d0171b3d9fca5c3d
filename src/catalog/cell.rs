//! Cells of the product table: how values are read and written.

use std::collections::BTreeMap;

use vitrine_kit::Money;

use super::Image;

pub fn pictures(cell: &str) -> Vec<Image> {
    let pictures = split(cell, '|').into_iter().filter(|picture| !picture.trim().is_empty());
    pictures
        .map(|picture| {
            let mut parts = split(&picture, ';').into_iter();
            let url = unescape(&parts.next().unwrap_or_default()).trim().to_owned();
            let alt = parts.map(|part| unescape(&part)).collect::<Vec<_>>().join(";");
            Image { url, alt: alt.trim().to_owned() }
        })
        .collect()
}

/// `1.234,56` → 123456. `None`: not an amount in Brazilian notation.
pub fn reais(text: &str) -> Option<i64> {
    let text = text.strip_prefix("R$").unwrap_or(text).trim();
    let (whole, fraction) = text.split_once(',').unwrap_or((text, "00"));
    let groups: Vec<&str> = whole.split('.').collect();
    let grouped = groups.len() == 1 || ((1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3));
    if !grouped || fraction.len() != 2 {
        return None;
    }
    Money::parse_decimal(&format!("{}.{fraction}", groups.concat())).map(Money::cents)
}

/// The parts between separators that are not escaped by a backslash; escapes stay in them.
pub fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

/// Puts a backslash before separators and backslashes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '|' | '=' | ';' | '>') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// `name=value` pairs. `None`: one of them is no pair.
pub fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = split(text, '|').into_iter().filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| match split(&pair, '=').as_slice() {
            [name, value] => Some((unescape(name).trim().to_owned(), unescape(value).trim().to_owned())),
            _ => None,
        })
        .collect()
}

/// What [`labels`] reads.
pub fn of_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reais_are_read_as_brazil_writes_them_and_in_no_other_way() {
        for (text, cents) in
            [("39,90", 3990), ("1.234,56", 123_456), ("R$ 10,00", 1000), ("10", 1000), ("1.000", 100_000), ("0,05", 5)]
        {
            assert_eq!(reais(text), Some(cents), "{text}");
        }
        for text in ["39.90", "39,9", "39,900", "1,234.56", "dez", "", "1.23,00", ",50"] {
            assert_eq!(reais(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_one_part_and_reads_as_it_was(text in "[a-z|=;>\\\\ ]{0,20}") {
            for separator in ['|', '=', ';', '>'] {
                prop_assert_eq!(split(&escape(&text), separator).len(), 1);
            }
            prop_assert_eq!(unescape(&escape(&text)), text);
        }

        #[test]
        fn labels_are_read_as_they_were_written(pairs in proptest::collection::btree_map("[a-z|=;>]{1,5}", "[a-z|=;>]{0,5}", 0..4)) {
            prop_assert_eq!(labels(&of_labels(&pairs)), Some(pairs));
        }
    }
}
