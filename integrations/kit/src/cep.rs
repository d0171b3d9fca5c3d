//! The Brazilian postal code.

/// Eight digits, not all zero. Only a look-up shows whether the place exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cep(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a CEP of 8 digits")]
pub struct InvalidCep;

impl Cep {
    /// Takes `01310100` and `01310-100`.
    pub fn parse(text: &str) -> Result<Self, InvalidCep> {
        let text = text.trim();
        let digits = match text.split_once('-') {
            Some((region, place)) if region.len() == 5 && place.len() == 3 => {
                format!("{region}{place}")
            }
            Some(_) => return Err(InvalidCep),
            None => text.to_owned(),
        };
        let shaped = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
        if shaped && digits != "00000000" { Ok(Self(digits)) } else { Err(InvalidCep) }
    }

    /// The 8 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `01310-100`
    pub fn formatted(&self) -> String {
        format!("{}-{}", &self.0[..5], &self.0[5..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_cep() {
        for text in ["01310-100", "01310100", " 01310-100 "] {
            let cep = Cep::parse(text).expect("valid");
            assert_eq!((cep.as_str(), cep.formatted().as_str()), ("01310100", "01310-100"));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "1310-100",
            "01310 100A",
            "00000000",
            "00000-000",
            "",
            "013101000",
            "0131-0100",
            "01310-10A",
            "01310--100",
            "０1310100",
        ] {
            assert_eq!(Cep::parse(text), Err(InvalidCep), "{text}");
        }
    }
}
