//! Rules for the fields that people type about themselves, for request bodies and for the code that parses them afterwards.

use garde::Result;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use vitrine_kit::nfe::LINE_MAX;
use vitrine_kit::{Cep, Email, Phone, TaxId, sefaz};

use crate::error::{Error, FieldError};
use crate::text::is_hidden;

pub use crate::http::json::typed;

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
    move |text, ()| match text.chars().count() {
        _ if text.trim().is_empty() => refuse("must not be empty"),
        count if count > max => refuse(format!("must have at most {max} characters")),
        _ if text.chars().any(is_hidden) => refuse("must not contain control characters"),
        _ => Ok(()),
    }
}

/// A company's number or complement: one line of which an invoice shows all, and something. A sign may become several letters there (`№`
/// is `No.`), so its own spelling is counted.
pub fn shown(text: &str, _: &()) -> Result {
    line(LINE_MAX)(text, &())?;
    match sefaz::text(text, usize::MAX).chars().count() {
        0 => refuse("must have a letter or digit that an invoice can show"),
        count if count > LINE_MAX => refuse(format!("has {count} characters as an invoice spells it, which may have {LINE_MAX}")),
        _ => Ok(()),
    }
}

/// A company's name, street or city: the layout of the NF-e takes none of less than two characters.
pub fn words(text: &str, _: &()) -> Result {
    shown(text, &())?;
    if is_on_paper(text) { Ok(()) } else { refuse("must have at least two letters or digits that an invoice can show") }
}

fn is_on_paper(text: &str) -> bool {
    sefaz::text(text, usize::MAX).chars().filter(|c| c.is_alphanumeric()).count() >= 2
}

/// One line that a person types: any, but no web address, which a mail to somebody else would carry as a link.
pub fn persons_line(max: usize) -> impl Fn(&str, &()) -> Result {
    move |text, ()| {
        line(max)(text, &())?;
        no_web_address(text)
    }
}

/// [`shown`], of a person's address.
pub fn persons_detail(text: &str, _: &()) -> Result {
    shown(text, &())?;
    no_web_address(text)
}

/// [`words`], of a person or their address.
pub fn persons_words(text: &str, _: &()) -> Result {
    words(text, &())?;
    no_web_address(text)
}

/// A district may be blank, or of signs alone: towns with one CEP have none.
pub fn district(text: &str, _: &()) -> Result {
    if is_on_paper(text) {
        return persons_words(text, &());
    }
    if text.trim().is_empty() { Ok(()) } else { persons_line(LINE_MAX)(text, &()) }
}

fn no_web_address(text: &str) -> Result {
    if has_web_address(text) { refuse("must not contain a web address") } else { Ok(()) }
}

/// Whether mail programs would make a link of a part of it: `https://…`, `www.…`, `loja.example/…`. Full-width letters and invisible
/// signs in it do not hide it.
fn has_web_address(text: &str) -> bool {
    let plain = sefaz::text(text, usize::MAX).to_lowercase();
    let is_domain = |text: &str| {
        let last = text.rsplit(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')).next().unwrap_or_default();
        let top = last.rsplit_once('.').filter(|(name, _)| !name.is_empty()).map_or("", |(_, top)| top);
        top.len() >= 2 && top.bytes().all(|b| b.is_ascii_lowercase())
    };
    plain.contains("://") || plain.contains("www.") || plain.match_indices('/').any(|(at, _)| is_domain(&plain[..at]))
}

/// As it is kept: where there is none, the words that the NF-e, which requires two characters, says instead.
pub fn kept_district(text: &str) -> String {
    if is_on_paper(text) { text.trim().to_owned() } else { "Não informado".to_owned() }
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
    is_at_most(text, 254)?;
    parses(Email::parse(text))
}

pub fn phone(text: &str, _: &()) -> Result {
    is_at_most(text, 30)?;
    parses(Phone::parse(text))
}

/// A CPF or a CNPJ.
pub fn tax_id(text: &str, _: &()) -> Result {
    is_at_most(text, 30)?;
    parses(TaxId::parse(text))
}

/// The same, or a masked one as our answers show it, which means "unchanged".
pub fn tax_id_or_masked(text: &str, _: &()) -> Result {
    if is_masked(text) { is_at_most(text, 30) } else { tax_id(text, &()) }
}

pub fn cep(text: &str, _: &()) -> Result {
    parses(Cep::parse(text))
}

/// The two letters of a state, in upper or lower case.
pub fn state(text: &str, _: &()) -> Result {
    if STATES.contains(&text.to_ascii_uppercase().as_str()) { Ok(()) } else { refuse("must be the two letters of a state") }
}

/// [`state`], the one of this CEP: the tax of a sale goes by the state, and the parcel by the CEP.
pub fn state_of(cep: &str) -> impl FnOnce(&str, &()) -> Result + '_ {
    move |text, ()| {
        state(text, &())?;
        match Cep::parse(cep).map(|cep| cep.state()) {
            Ok(state) if !state.eq_ignore_ascii_case(text) => refuse(format!("is not the state of the CEP, which is of {state}")),
            _ => Ok(()),
        }
    }
}

/// Whether it is a masked document, as answers show it.
pub fn is_masked(text: &str) -> bool {
    text.starts_with("**")
}

/// Tells a field that was left out (`None`) from one sent as `null` (`Some(None)`): use with `#[serde(default)]`.
pub fn sent<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// [`sent`] of a text: a blank one empties the field, as `null` does.
pub fn sent_typed<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<Option<String>>, D::Error> {
    typed(value).map(Some)
}

/// A parsed field, or the 422 that names it.
pub fn parsed<T, E: std::fmt::Display>(field: &str, result: std::result::Result<T, E>) -> crate::error::Result<T> {
    result.map_err(|e| Error::Invalid(vec![FieldError { field: field.to_owned(), message: e.to_string() }]))
}

fn parses<T, E: std::fmt::Display>(result: std::result::Result<T, E>) -> Result {
    result.map(drop).map_err(|e| garde::Error::new(e.to_string()))
}

/// Spaces and punctuation do not count where a text is read, but somebody has to read them.
fn is_at_most(text: &str, most: usize) -> Result {
    if text.chars().count() > most { refuse(format!("must have at most {most} characters")) } else { Ok(()) }
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
        for good in ["Zé", "Li", "Rua 1", "12", "Ø2", "a-b"] {
            assert!(words(good, &()).is_ok() && persons_words(good, &()).is_ok(), "{good:?}");
        }
        for bad in ["X", "-", ".", "R.", "🎁🎁", "茶 茶", ""] {
            assert!(words(bad, &()).is_err() && persons_words(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_and_a_complement_have_one_character_that_an_invoice_can_show() {
        for good in ["1", "S/N", "-", "Ω"] {
            assert!(shown(good, &()).is_ok() && persons_detail(good, &()).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "🎁", "茶", "\u{200b}", "1\n2"] {
            assert!(shown(bad, &()).is_err() && persons_detail(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_text_is_as_long_as_an_invoice_spells_it() {
        for (text, fits) in [
            ("a".repeat(60), true),
            ("é".repeat(60), true),
            ("a".repeat(61), false),
            ("№".repeat(20), true),
            ("№".repeat(21), false),
            ("œ".repeat(31), false),
        ] {
            let all = [words(&text, &()), shown(&text, &()), persons_words(&text, &()), persons_detail(&text, &())];
            assert!(all.iter().all(|one| one.is_ok() == fits) && district(&text, &()).is_ok() == fits, "{text}");
        }
    }

    #[test]
    fn what_a_mailbox_would_make_a_link_of_is_no_persons_text() {
        for bad in [
            "https://loja.example",
            "Ana http://x.example/a",
            "WWW.loja.example",
            "ｗｗｗ．loja",
            "w\u{200b}ww.loja",
            "ganhe em loja.example/premio",
            "(loja.example/)",
            "a-b.example/1",
        ] {
            let all = [persons_words(bad, &()), persons_detail(bad, &()), persons_line(60)(bad, &()), district(bad, &())];
            assert!(all.iter().all(Result::is_err) && words(bad, &()).is_ok(), "{bad}");
        }
        for good in [
            "S/N",
            "Av. Brasil, 10/12",
            "km 5.5/6",
            "R. São João/Centro",
            "Bl.A/101",
            "Sr. João",
            "D'Ávila",
            "Swww",
            "s/n.",
            "Q. 2/L. 3",
        ] {
            assert!(!has_web_address(good), "{good}");
        }
    }

    #[test]
    fn a_district_that_there_is_none_of_has_words_for_it() {
        for none in ["", "  ", "-", ".", "x", "🎁🎁"] {
            assert_eq!(kept_district(none), "Não informado", "{none:?}");
        }
        assert_eq!(kept_district(" Bela Vista "), "Bela Vista");
        assert!(district("", &()).is_ok() && district("a\nb", &()).is_err() && district(&"-".repeat(61), &()).is_err());
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
        assert!(state_of("01310-100")("sp", &()).is_ok() && state_of("0")("RJ", &()).is_ok());
        assert!(state_of("01310-100")("RJ", &()).is_err() && state_of("01310-100")("XX", &()).is_err());
    }
}
