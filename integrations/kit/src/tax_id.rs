//! CPF and CNPJ. Checked when parsed, and never printed whole by accident: `Debug` is masked and there is no `Serialize`.

use std::fmt;

/// Why a document was refused, in words for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTaxId {
    #[error("is not a valid CPF")]
    Cpf,
    #[error("is not a valid CNPJ")]
    Cnpj,
    #[error("must be a CPF (11 digits) or a CNPJ (14 characters)")]
    Neither,
}

/// A person's tax number: 11 digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cpf(String);

/// A company's tax number: 14 characters, the first 12 of which may be letters since July 2026.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cnpj(String);

/// The document of a buyer: of a person or a company.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum TaxId {
    Cpf(Cpf),
    Cnpj(Cnpj),
}

const CPF_WEIGHTS: [u32; 11] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0];
const CNPJ_WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];

impl Cpf {
    /// Takes digits with dots, dash and spaces.
    pub fn parse(text: &str) -> Result<Self, InvalidTaxId> {
        let clean = clean(text, ".-");
        let shaped = clean.len() == 11 && clean.bytes().all(|b| b.is_ascii_digit());
        let sound = shaped && !is_one_character(&clean) && checks(&clean, &CPF_WEIGHTS[..10]);
        if sound { Ok(Self(clean)) } else { Err(InvalidTaxId::Cpf) }
    }

    /// The 11 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `529.982.247-25`
    pub fn formatted(&self) -> String {
        let d = &self.0;
        format!("{}.{}.{}-{}", &d[..3], &d[3..6], &d[6..9], &d[9..])
    }

    /// `***.982.247-**`
    pub fn masked(&self) -> String {
        format!("***.{}.{}-**", &self.0[3..6], &self.0[6..9])
    }
}

impl Cnpj {
    /// Takes digits and letters (either case) with dots, slash, dash and spaces.
    pub fn parse(text: &str) -> Result<Self, InvalidTaxId> {
        let clean = clean(text, "./-");
        let shaped = clean.len() == 14
            && clean.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            && clean.bytes().skip(12).all(|b| b.is_ascii_digit());
        let sound = shaped && !is_one_character(&clean) && checks(&clean, &CNPJ_WEIGHTS);
        if sound { Ok(Self(clean)) } else { Err(InvalidTaxId::Cnpj) }
    }

    /// The 14 characters, letters upper-case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `11.222.333/0001-81`
    pub fn formatted(&self) -> String {
        let d = &self.0;
        format!("{}.{}.{}/{}-{}", &d[..2], &d[2..5], &d[5..8], &d[8..12], &d[12..])
    }

    /// `**.222.333/0001-**`
    pub fn masked(&self) -> String {
        let d = &self.0;
        format!("**.{}.{}/{}-**", &d[2..5], &d[5..8], &d[8..12])
    }
}

impl TaxId {
    /// 11 characters make a CPF, 14 a CNPJ; punctuation and spaces do not count.
    pub fn parse(text: &str) -> Result<Self, InvalidTaxId> {
        match clean(text, "./-").len() {
            11 => Cpf::parse(text).map(Self::Cpf),
            14 => Cnpj::parse(text).map(Self::Cnpj),
            _ => Err(InvalidTaxId::Neither),
        }
    }

    /// Without punctuation, as providers take it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cpf(cpf) => cpf.as_str(),
            Self::Cnpj(cnpj) => cnpj.as_str(),
        }
    }

    /// With punctuation.
    pub fn formatted(&self) -> String {
        match self {
            Self::Cpf(cpf) => cpf.formatted(),
            Self::Cnpj(cnpj) => cnpj.formatted(),
        }
    }

    /// With the ends hidden: for lists, logs and audit rows.
    pub fn masked(&self) -> String {
        match self {
            Self::Cpf(cpf) => cpf.masked(),
            Self::Cnpj(cnpj) => cnpj.masked(),
        }
    }
}

impl fmt::Debug for Cpf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpf({})", self.masked())
    }
}

impl fmt::Debug for Cnpj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cnpj({})", self.masked())
    }
}

impl fmt::Debug for TaxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaxId({})", self.masked())
    }
}

/// Drops spaces and the punctuation named; letters become upper-case. What is left over makes the shape check fail.
fn clean(text: &str, punctuation: &str) -> String {
    text.chars().filter(|&c| c != ' ' && !punctuation.contains(c)).map(|c| c.to_ascii_uppercase()).collect()
}

/// `111…`: passes the arithmetic, was never issued.
fn is_one_character(clean: &str) -> bool {
    clean.bytes().all(|b| Some(b) == clean.bytes().next())
}

/// Both check digits. `weights` are those of the second digit; those of the first are the same without the front one.
fn checks(clean: &str, weights: &[u32]) -> bool {
    let values: Vec<u32> = clean.bytes().map(|b| u32::from(b) - u32::from(b'0')).collect();
    let base = values.len() - 2;
    let digit = |values: &[u32], weights: &[u32]| match values.iter().zip(weights).map(|(v, w)| v * w).sum::<u32>() % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    values[base] == digit(&values[..base], &weights[1..]) && values[base + 1] == digit(&values[..=base], weights)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_cpfs_are_taken_with_or_without_punctuation() {
        for text in ["52998224725", "11144477735", "39053344705", "12345678909", "529.982.247-25", " 529 982 247 25 "] {
            assert!(Cpf::parse(text).is_ok(), "{text}");
        }
        let cpf = Cpf::parse("529.982.247-25").expect("valid");
        assert_eq!(cpf.as_str(), "52998224725");
        assert_eq!(cpf.formatted(), "529.982.247-25");
        assert_eq!(cpf.masked(), "***.982.247-**");
    }

    #[test]
    fn bad_cpfs_are_refused() {
        for text in
            ["52998224724", "5299822472", "529982247250", "", "529.982.247/25", "5299822472A", "５2998224725", "529\t98224725"]
        {
            assert_eq!(Cpf::parse(text), Err(InvalidTaxId::Cpf), "{text}");
        }
        for digit in '0'..='9' {
            assert_eq!(Cpf::parse(&digit.to_string().repeat(11)), Err(InvalidTaxId::Cpf));
        }
    }

    #[test]
    fn good_cnpjs_are_taken_with_digits_or_letters() {
        for text in [
            "11222333000181",
            "19513188000108",
            "00000000000191",
            "12ABC34501DE35",
            "6TS1HJ0S000170",
            "A1B2C3D4000193",
            "VTR00011000100",
        ] {
            assert_eq!(Cnpj::parse(text).expect("valid").as_str(), text);
        }
        let cnpj = Cnpj::parse("12.abc.345/01de-35").expect("lower case is raised");
        assert_eq!(cnpj.as_str(), "12ABC34501DE35");
        assert_eq!(cnpj.formatted(), "12.ABC.345/01DE-35");
        assert_eq!(Cnpj::parse("11222333000181").expect("valid").masked(), "**.222.333/0001-**");
    }

    #[test]
    fn bad_cnpjs_are_refused() {
        for text in [
            "12ABC34501DE36",
            "11222333000180",
            "00000000000000",
            "12ABC34501DE3A",
            "1122233300018",
            "112223330001811",
            "11_22333000181",
        ] {
            assert_eq!(Cnpj::parse(text), Err(InvalidTaxId::Cnpj), "{text}");
        }
    }

    #[test]
    fn the_length_tells_which_document_it_is() {
        assert!(matches!(TaxId::parse("529.982.247-25"), Ok(TaxId::Cpf(_))));
        assert!(matches!(TaxId::parse("12.ABC.345/01DE-35"), Ok(TaxId::Cnpj(_))));
        assert_eq!(TaxId::parse("11222333000180"), Err(InvalidTaxId::Cnpj));
        assert_eq!(TaxId::parse("11111111111"), Err(InvalidTaxId::Cpf));
        assert_eq!(TaxId::parse("123"), Err(InvalidTaxId::Neither));
    }

    #[test]
    fn debug_never_shows_a_whole_number() {
        let shown = format!("{:?} {:?}", TaxId::parse("52998224725"), Cnpj::parse("11222333000181"));
        assert_eq!(shown, "Ok(TaxId(***.982.247-**)) Ok(Cnpj(**.222.333/0001-**))");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (TaxId::parse(&text), Cpf::parse(&text), Cnpj::parse(&text));
        }

        #[test]
        fn one_wrong_digit_is_always_noticed(at in 0_usize..11, add in 1_u8..10) {
            let mut digits = *b"52998224725";
            digits[at] = b'0' + (digits[at] - b'0' + add) % 10;
            let text: String = digits.iter().map(|&d| char::from(d)).collect();
            // Modulus 11 cannot tell these apart: remainders 0 and 1 both give the digit 0.
            let parsed = Cpf::parse(&text);
            prop_assert!(parsed.is_err() || text.ends_with('0') || text[9..].starts_with('0'));
        }
    }
}
