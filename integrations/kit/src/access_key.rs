//! The access key of an NF-e (chave de acesso): 44 characters. The last one is the check digit of the others.

use serde::{Deserialize, Serialize};

/// Checked: shape and check digit. The issuer's CNPJ in it may hold letters (NT 2025.001).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKey(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccessKey {
    #[error("must be 44 digits, with letters only where the CNPJ stands")]
    Shape,
    #[error("has a wrong check digit")]
    CheckDigit,
}

impl AccessKey {
    /// Takes it with or without the prefix `NFe` of XML ids.
    pub fn parse(text: &str) -> Result<Self, InvalidAccessKey> {
        let text = text.trim();
        let key = text.strip_prefix("NFe").unwrap_or(text).as_bytes();
        if key.len() != 44 {
            return Err(InvalidAccessKey::Shape);
        }
        let is_right = |(i, c): (usize, &u8)| c.is_ascii_digit() || ((6..18).contains(&i) && c.is_ascii_uppercase());
        if !key.iter().enumerate().all(is_right) {
            return Err(InvalidAccessKey::Shape);
        }
        if check_digit(&key[..43]) != key[43] - b'0' {
            return Err(InvalidAccessKey::CheckDigit);
        }
        Ok(Self(String::from_utf8_lossy(key).into_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of the issuer, 14 characters.
    pub fn cnpj(&self) -> &str {
        &self.0[6..20]
    }

    /// `55` is an NF-e.
    pub fn model(&self) -> &str {
        &self.0[20..22]
    }

    /// Without leading zeros.
    pub fn series(&self) -> &str {
        without_zeros(&self.0[22..25])
    }

    /// Without leading zeros.
    pub fn number(&self) -> &str {
        without_zeros(&self.0[25..34])
    }
}

fn without_zeros(digits: &str) -> &str {
    let short = digits.trim_start_matches('0');
    if short.is_empty() { "0" } else { short }
}

/// Modulo 11, weights 2 to 9 from the right; a character counts as its ASCII code less 48.
fn check_digit(characters: &[u8]) -> u8 {
    let weighed = characters.iter().rev().zip((2..=9).cycle());
    let rest = weighed.map(|(c, weight)| u32::from(c - b'0') * weight).sum::<u32>() % 11;
    if rest < 2 { 0 } else { (11 - rest) as u8 }
}

impl TryFrom<String> for AccessKey {
    type Error = InvalidAccessKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<AccessKey> for String {
    fn from(key: AccessKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_right_with_letters_too() {
        for good in [
            "35261011222333000181550010000001231481516233",
            "33261011222333000181650020000000071102030405",
            "35261012ABC34501DE35550010000001231481516234",
            "35261012ABC34501DE35550010000000051481516230",
        ] {
            assert_eq!(AccessKey::parse(good).expect("right").as_str(), good);
            assert_eq!(AccessKey::parse(&format!("NFe{good}")).expect("right").as_str(), good);
        }
    }

    #[test]
    fn a_wrong_digit_and_letters_elsewhere_are_refused() {
        let of = |text: &str| AccessKey::parse(text).map(drop);
        assert_eq!(of("35261012ABC34501DE35550010000001231481516235"), Err(InvalidAccessKey::CheckDigit));
        assert_eq!(of("41190607504505000132550010000000221923094166"), Err(InvalidAccessKey::CheckDigit));
        assert_eq!(of("3526101222333000181550010000001231481516233"), Err(InvalidAccessKey::Shape));
        assert_eq!(of("A5261011222333000181550010000001231481516233"), Err(InvalidAccessKey::Shape));
        assert_eq!(of("35261012abc34501de35550010000001231481516234"), Err(InvalidAccessKey::Shape));
        assert_eq!(of(""), Err(InvalidAccessKey::Shape));
    }

    #[test]
    fn it_tells_who_issued_what() {
        let key = AccessKey::parse("35261012ABC34501DE35550010000001231481516234").expect("right");
        assert_eq!((key.cnpj(), key.model(), key.series(), key.number()), ("12ABC34501DE35", "55", "1", "123"));
    }
}
