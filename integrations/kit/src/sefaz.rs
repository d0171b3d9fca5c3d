//! The tax authority's formats, for all providers of invoices: text, decimals that are never floats, and checks that a file is
//! complete.

use serde_json::value::RawValue;

pub use crate::latin::{left_out, text};
use crate::{AccessKey, Money};

/// The buyer's name that every invoice of homologação must have; any other is rejection 598.
pub const HOMOLOGATION_NAME: &str = "NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL";

/// `185.00`: always two places.
pub fn decimal(amount: Money) -> Box<RawValue> {
    number(amount.to_decimal())
}

/// A rate in hundredths of a per cent: 1800 is `18.00`.
pub fn rate(hundredths: u32) -> Box<RawValue> {
    decimal(Money::from_cents(i64::from(hundredths)))
}

/// A rate in ten-thousandths of a per cent: 350 is `0.0350`.
pub fn fine_rate(ten_thousandths: u32) -> Box<RawValue> {
    number(format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000))
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
    use super::*;

    #[test]
    fn numbers_are_written_by_their_digits() {
        assert_eq!(decimal(Money::from_cents(18_500)).get(), "185.00");
        assert_eq!(decimal(Money::from_cents(900_719_925_474_099_301)).get(), "9007199254740993.01"); // a float would lose it
        assert_eq!(rate(1_800).get(), "18.00");
        assert_eq!(rate(10).get(), "0.10");
        assert_eq!((fine_rate(350).get(), fine_rate(34_800).get()), ("0.0350", "3.4800"));
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
}
