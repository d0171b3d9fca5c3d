//! The Brazilian postal code.

/// Eight digits, in the range of a state. Only a look-up shows whether the place exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cep(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a CEP of 8 digits, from 01000-000 on")]
pub struct InvalidCep;

/// The first five digits of each state's first CEP: its range ends where the next begins. There is none before 01000-000.
const STATES: [(&str, &str); 31] = [
    ("SP", "01000"),
    ("RJ", "20000"),
    ("ES", "29000"),
    ("MG", "30000"),
    ("BA", "40000"),
    ("SE", "49000"),
    ("PE", "50000"),
    ("AL", "57000"),
    ("PB", "58000"),
    ("RN", "59000"),
    ("CE", "60000"),
    ("PI", "64000"),
    ("MA", "65000"),
    ("PA", "66000"),
    ("AP", "68900"),
    ("AM", "69000"),
    ("RR", "69300"),
    ("AM", "69400"),
    ("AC", "69900"),
    ("DF", "70000"),
    ("GO", "72800"),
    ("DF", "73000"),
    ("GO", "73700"),
    ("RO", "76800"),
    ("TO", "77000"),
    ("MT", "78000"),
    ("RO", "78900"),
    ("MS", "79000"),
    ("PR", "80000"),
    ("SC", "88000"),
    ("RS", "90000"),
];

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
        if shaped && digits.as_str() >= STATES[0].1 { Ok(Self(digits)) } else { Err(InvalidCep) }
    }

    /// The 8 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its state.
    pub fn state(&self) -> &'static str {
        let after = STATES.partition_point(|(_, first)| *first <= self.as_str());
        STATES[after.saturating_sub(1)].0
    }

    /// The first three digits, all in one state.
    pub fn region(&self) -> &str {
        &self.0[..3]
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
    fn every_state_is_found_by_its_ceps() {
        for (text, state) in [
            ("01000-000", "SP"),
            ("19999-999", "SP"),
            ("20000-000", "RJ"),
            ("29010-000", "ES"),
            ("68899-999", "PA"),
            ("68900-000", "AP"),
            ("69301-000", "RR"),
            ("69400-000", "AM"),
            ("69900-000", "AC"),
            ("70040-010", "DF"),
            ("72800-000", "GO"),
            ("73000-000", "DF"),
            ("76801-000", "RO"),
            ("99999-999", "RS"),
        ] {
            assert_eq!(Cep::parse(text).expect("valid").state(), state, "{text}");
        }
        let mut states: Vec<_> = STATES.iter().map(|(state, _)| *state).collect();
        states.sort_unstable();
        states.dedup();
        assert_eq!(states.len(), 27);
        assert!(STATES.is_sorted_by(|a, b| a.1[..3] < b.1[..3]), "a region is of one state");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "1310-100",
            "01310 100A",
            "00000000",
            "00000-000",
            "00000-001",
            "00999-999",
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
