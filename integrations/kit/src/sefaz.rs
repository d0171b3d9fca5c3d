//! The tax authority's formats, for all providers of invoices: text in Latin-1 without extra spaces, decimals that are never
//! floats, and checks that a file is complete.

use serde_json::value::RawValue;

use crate::{AccessKey, Money};

/// The buyer's name that every invoice of homologação must have; any other is rejection 598.
pub const HOMOLOGATION_NAME: &str = "NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL";

/// At most `limit` characters of it, as their schema takes text: Latin-1, no control characters, no space twice, none at
/// the ends. Common characters (dashes, curly quotes) are replaced by plain ones; others are left out.
pub fn text(given: &str, limit: usize) -> String {
    let mut plain = String::with_capacity(given.len());
    for c in given.chars() {
        match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{2018}'..='\u{201b}' | '\u{2032}' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' => plain.push('"'),
            '\u{2022}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            '\u{20ac}' => plain.push_str("EUR"),
            '\u{ad}' => {}
            c if c.is_whitespace() || c.is_control() => plain.push(' '),
            c if u32::from(c) <= 0xff => plain.push(c),
            _ => {}
        }
    }
    let mut short = String::with_capacity(plain.len());
    let mut length = 0;
    for word in plain.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(length > 0);
        let left = limit.saturating_sub(length + gap);
        if left == 0 {
            break;
        }
        if gap == 1 {
            short.push(' ');
        }
        short.extend(word.chars().take(left));
        length += gap + word.chars().count().min(left);
    }
    short
}

/// `185.00`: always two places.
pub fn decimal(amount: Money) -> Box<RawValue> {
    number(amount.to_decimal())
}

/// A rate in hundredths of a per cent: 1800 is `18.00`.
pub fn rate(hundredths: u32) -> Box<RawValue> {
    decimal(Money::from_cents(i64::from(hundredths)))
}

/// Kilograms with three places: 600 g is `0.600`.
pub fn kilograms(grams: u32) -> Box<RawValue> {
    number(format!("{}.{:03}", grams / 1000, grams % 1000))
}

fn number(decimal: String) -> Box<RawValue> {
    RawValue::from_string(decimal).expect("digits with a dot between them are a JSON number")
}

/// A PDF, not cut in the middle and not somebody's error page.
pub fn is_pdf(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"%PDF-") && body.ends_with(b"%%EOF")
}

/// An XML document that names this invoice, not cut in the middle.
pub fn is_xml_of(key: &AccessKey, body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let key = key.as_str().as_bytes();
    body.starts_with(b"<") && body.ends_with(b">") && body.windows(key.len()).any(|part| part == key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accents_stay_and_what_the_schema_refuses_goes() {
        for (given, written) in [
            ("São João del-Rei", "São João del-Rei"),
            ("  Rua\tA,\r\n 10  ", "Rua A, 10"),
            ("Caneca “Ana” – 300 ml…", "Caneca \"Ana\" - 300 ml..."),
            ("Camiseta 👕 azul", "Camiseta azul"),
            ("nbsp\u{a0}\u{a0}aqui", "nbsp aqui"),
            ("a\u{0}b\u{7f}c\u{85}d", "a b c d"),
            ("🎁", ""),
        ] {
            assert_eq!(text(given, 60), written, "{given:?}");
        }
        assert_eq!(text("abc def", 4), "abc", "no space at the end");
        assert_eq!(text("ação ação", 7), "ação aç", "characters are counted, not bytes");
        assert_eq!(text("abc", 0), "");
    }

    #[test]
    fn numbers_are_written_by_their_digits() {
        assert_eq!(decimal(Money::from_cents(18_500)).get(), "185.00");
        assert_eq!(decimal(Money::from_cents(900_719_925_474_099_301)).get(), "9007199254740993.01"); // a float would lose it
        assert_eq!(rate(1_800).get(), "18.00");
        assert_eq!(rate(10).get(), "0.10");
        assert_eq!(kilograms(1_050).get(), "1.050");
    }

    #[test]
    fn only_whole_files_pass() {
        let key = AccessKey::parse("35261011222333000181550010000001231481516233").expect("right");
        let xml = format!("<?xml version=\"1.0\"?><nfeProc><infNFe Id=\"NFe{}\"/></nfeProc>\n", key.as_str());
        assert!(is_xml_of(&key, xml.as_bytes()) && is_xml_of(&key, format!("\u{feff}{xml}").as_bytes()));
        assert!(!is_xml_of(&key, &xml.as_bytes()[..xml.len() - 3]));
        assert!(!is_xml_of(&key, b"<html></html>"));
        assert!(is_pdf(b"%PDF-1.4 ... %%EOF\n") && !is_pdf(b"%PDF-1.4 ...") && !is_pdf(b"{\"status\":\"pa"));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_fits_the_schema(given: String, limit in 0_usize..200) {
            let written = text(&given, limit);
            prop_assert!(written.chars().count() <= limit);
            let fits = |c: char| c == ' ' || (('!'..='\u{ff}').contains(&c) && !c.is_control());
            prop_assert!(written.chars().all(fits));
            prop_assert!(!written.contains("  ") && written.trim() == written);
            prop_assert_eq!(text(&written, limit), written, "twice is once");
        }
    }
}
