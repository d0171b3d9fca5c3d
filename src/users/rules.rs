//! Rules for the fields that people type about themselves, for request bodies and for the code that parses them afterwards.

use garde::Result;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use vitrine_kit::{Cep, Email, Phone, TaxId, sefaz};

use crate::error::{Error, FieldError};
use crate::text::is_hidden;

/// The version of a text that was shown, such as `2026-11`: letters, digits, `.`, `-` and `_`.
pub fn version(text: &str, (): &()) -> garde::Result {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if (1..=40).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(garde::Error::new("must be 1 to 40 letters, digits, dots, dashes or underscores"))
}

/// The 26 states and the Federal District, from Acre to Tocantins.
pub const STATES: [&str; 27] = [
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB", "PE", "PI", "PR", "RJ", "RN", "RO",
    "RR", "RS", "SC", "SE", "SP", "TO",
];

/// ASVS 6.2.1 and 6.2.9: at least eight, and long passphrases are allowed.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=1000;

/// One line of text: something visible, at most `max` characters, none of them a control character.
pub fn line(max: usize) -> impl Fn(&str, &()) -> Result {
    move |text, ()| match text.trim().chars().count() {
        0 => refuse("must not be empty"),
        count if count > max => refuse(format!("must have at most {max} characters")),
        _ if text.chars().any(is_hidden) => refuse("must not contain control characters"),
        _ => Ok(()),
    }
}

/// The same, with at least two characters that a fiscal document can carry: the layout of the NF-e takes no shorter name, street or city.
pub fn words(max: usize) -> impl Fn(&str, &()) -> Result {
    move |text, ()| {
        line(max)(text, &())?;
        if is_on_paper(text) { Ok(()) } else { refuse("must have at least two letters or digits that an invoice can show") }
    }
}

fn is_on_paper(text: &str) -> bool {
    sefaz::text(text, usize::MAX).chars().filter(|c| c.is_alphanumeric()).count() >= 2
}

/// A district may be blank: towns with one CEP have none.
pub fn district(text: &str, _: &()) -> Result {
    if text.trim().is_empty() { Ok(()) } else { line(120)(text, &()) }
}

/// As it is kept: where there is none, the words that the NF-e, which requires two characters, says instead.
pub fn kept_district(text: &str) -> String {
    if is_on_paper(text) { text.trim().to_owned() } else { "Não informado".to_owned() }
}

/// An optional text that may be left blank, as a form sends it: use with `#[serde(default)]`.
pub fn typed<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.filter(|text| !text.trim().is_empty()))
}

/// Checks a new password's length. Whether it is a common one is checked later, where e-mail and name are known.
pub fn new_password(password: &SecretString, _: &()) -> Result {
    let chars = password.expose_secret().chars().count();
    if PASSWORD_CHARS.contains(&chars) {
        return Ok(());
    }
    refuse(format!("must have {} to {} characters", PASSWORD_CHARS.start(), PASSWORD_CHARS.end()))
}

/// A secret that is only compared: any text of limited length.
pub fn secret(secret: &SecretString, _: &()) -> Result {
    let chars = secret.expose_secret().chars().count();
    if chars >= 1 && PASSWORD_CHARS.end() >= &chars { Ok(()) } else { refuse("must have 1 to 1000 characters") }
}

pub fn email(text: &str, _: &()) -> Result {
    parses(Email::parse(text))
}

pub fn phone(text: &str, _: &()) -> Result {
    parses(Phone::parse(text))
}

/// A CPF or a CNPJ.
pub fn tax_id(text: &str, _: &()) -> Result {
    parses(TaxId::parse(text))
}

/// The same, or a masked one as our answers show it, which means "unchanged".
pub fn tax_id_or_masked(text: &str, _: &()) -> Result {
    if is_masked(text) { Ok(()) } else { parses(TaxId::parse(text)) }
}

pub fn cep(text: &str, _: &()) -> Result {
    parses(Cep::parse(text))
}

/// The two letters of a state, in upper or lower case.
pub fn state(text: &str, _: &()) -> Result {
    if STATES.contains(&text.to_ascii_uppercase().as_str()) { Ok(()) } else { refuse("must be the two letters of a state") }
}

/// Whether it is a masked document, as answers show it.
pub fn is_masked(text: &str) -> bool {
    text.starts_with("**")
}

/// Tells a field that was left out (`None`) from one sent as `null` (`Some(None)`): use with `#[serde(default)]`.
pub fn sent<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A parsed field, or the 422 that names it.
pub fn parsed<T, E: std::fmt::Display>(field: &str, result: std::result::Result<T, E>) -> crate::error::Result<T> {
    result.map_err(|e| Error::Invalid(vec![FieldError { field: field.to_owned(), message: e.to_string() }]))
}

fn parses<T, E: std::fmt::Display>(result: std::result::Result<T, E>) -> Result {
    result.map(drop).map_err(|e| garde::Error::new(e.to_string()))
}

fn refuse(why: impl Into<std::borrow::Cow<'static, str>>) -> Result {
    Err(garde::Error::new(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_visible_bounded_and_one_line() {
        let name = line(10);
        for good in ["s/n", "São Paulo", " ab ", "1234567890"] {
            assert!(name(good, &()).is_ok(), "{good:?}");
        }
        for bad in ["", "  ", "12345678901", "a\nb", "a\0"] {
            assert!(name(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_a_street_and_a_city_have_two_characters_that_an_invoice_can_show() {
        let name = words(120);
        for good in ["Zé", "Li", "Rua 1", "12", "Ø2", "a-b"] {
            assert!(name(good, &()).is_ok(), "{good:?}");
        }
        for bad in ["X", "-", ".", "R.", "🎁🎁", "茶 茶", ""] {
            assert!(name(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_district_that_there_is_none_of_has_words_for_it() {
        for none in ["", "  ", "-", ".", "x", "🎁🎁"] {
            assert_eq!(kept_district(none), "Não informado", "{none:?}");
        }
        assert_eq!(kept_district(" Bela Vista "), "Bela Vista");
        assert!(district("", &()).is_ok() && district("a\nb", &()).is_err() && district(&"a".repeat(121), &()).is_err());
    }

    #[test]
    fn long_passphrases_are_welcome_and_short_ones_are_not() {
        let ok = |text: String| new_password(&SecretString::from(text), &()).is_ok();
        assert!(ok("a".repeat(8)) && ok("a".repeat(1000)) && ok("é".repeat(500)));
        assert!(!ok("a".repeat(7)) && !ok("a".repeat(1001)));
    }

    #[test]
    fn there_are_twenty_seven_states() {
        assert!(STATES.is_sorted() && state("sp", &()).is_ok() && state("XX", &()).is_err());
    }
}
