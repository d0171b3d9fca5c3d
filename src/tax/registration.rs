//! A buyer's state registration (inscrição estadual): who has one contributes to ICMS, and the invoice has to say so.

use vitrine_kit::TaxId;

use super::check_digits;

/// How many digits a registration has in each state, as their tax offices publish it (SINTEGRA). That there is such a registration, the
/// tax authority looks.
const DIGITS: [(&str, &[usize]); 27] = [
    ("AC", &[13]),
    ("AL", &[9]),
    ("AM", &[9]),
    ("AP", &[9]),
    ("BA", &[8, 9]),
    ("CE", &[9]),
    ("DF", &[13]),
    ("ES", &[9]),
    ("GO", &[9]),
    ("MA", &[9]),
    ("MG", &[13]),
    ("MS", &[9]),
    ("MT", &[9, 11]),
    ("PA", &[9]),
    ("PB", &[9]),
    ("PE", &[9, 14]),
    ("PI", &[9]),
    ("PR", &[10]),
    ("RJ", &[8]),
    ("RN", &[9, 10]),
    ("RO", &[9, 14]),
    ("RR", &[9]),
    ("RS", &[10]),
    ("SC", &[9]),
    ("SE", &[9]),
    ("SP", &[12]),
    ("TO", &[9, 11]),
];

/// States that take no contributor without a registration: there the tax authority refuses one (rejection 805), and such a company
/// is one that does not contribute.
const WITHOUT_EXEMPT: [&str; 12] = ["AM", "BA", "CE", "GO", "MG", "MS", "MT", "PA", "PE", "RN", "SE", "SP"];

/// As the order keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateRegistration {
    /// Digits.
    Number(String),
    /// Contributes to ICMS, and is exempt from registration.
    Exempt,
}

impl StateRegistration {
    /// What a company in this state typed: a number, with or without punctuation, or `ISENTO`. Errors say what is wrong.
    pub fn parse(text: &str, buyer: &TaxId, state: &str) -> Result<Self, String> {
        if !matches!(buyer, TaxId::Cnpj(_)) {
            return Err("is for a company: send its CNPJ as cpf".to_owned());
        }
        if text.trim().eq_ignore_ascii_case("isento") {
            return Ok(Self::Exempt);
        }
        let digits: String = text.chars().filter(|c| !matches!(c, '.' | '-' | '/' | ' ')).collect();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("must be digits, or ISENTO".to_owned());
        }
        let lengths = DIGITS.iter().find(|(of, _)| *of == state).map_or(&[][..], |(_, lengths)| lengths);
        if !lengths.contains(&digits.len()) {
            let lengths = lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            return Err(format!("must have {lengths} digits in {state}"));
        }
        if !check_digits::fit(state, &digits.bytes().map(|digit| u32::from(digit - b'0')).collect::<Vec<_>>()) {
            return Err(format!("is no registration of {state}: a digit is wrong"));
        }
        Ok(Self::Number(digits))
    }

    /// What [`StateRegistration::as_str`] wrote.
    pub fn kept(text: &str) -> Self {
        if text == "ISENTO" { Self::Exempt } else { Self::Number(text.to_owned()) }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(digits) => digits,
            Self::Exempt => "ISENTO",
        }
    }
}

/// Whether a company of this state can be a contributor without a registration.
pub fn knows_exempt(state: &str) -> bool {
    !WITHOUT_EXEMPT.contains(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, state: &str) -> Result<StateRegistration, String> {
        StateRegistration::parse(text, &TaxId::parse("11222333000181").expect("valid"), state)
    }

    #[test]
    fn a_registration_is_digits_of_its_states_length_or_the_word() {
        let number = |digits: &str| Ok(StateRegistration::Number(digits.into()));
        assert_eq!(parse("110.042.490.114", "SP"), number("110042490114"));
        assert_eq!(parse("062.307.904/0081", "MG"), number("0623079040081"));
        assert_eq!((parse("123456-63", "BA"), parse("1234567-48", "BA")), (number("12345663"), number("123456748")));
        for word in ["ISENTO", " isento ", "Isento"] {
            assert_eq!(parse(word, "RJ"), Ok(StateRegistration::Exempt));
        }
        for (bad, state) in [
            ("110042490114", "RJ"),
            ("110042490115", "SP"),
            ("123456-64", "BA"),
            ("", "SP"),
            ("P011004243002", "SP"),
            ("isenta", "SP"),
            ("1", "XX"),
        ] {
            assert!(parse(bad, state).is_err(), "{bad} {state}");
        }
    }

    #[test]
    fn a_person_with_a_cpf_has_none() {
        let person = TaxId::parse("52998224725").expect("valid");
        assert!(StateRegistration::parse("ISENTO", &person, "SP").is_err());
    }

    #[test]
    fn every_state_is_there_and_what_is_kept_is_read_again() {
        assert!(DIGITS.iter().all(|(state, _)| crate::tax::states::find(state).is_some()) && DIGITS.is_sorted());
        for one in [StateRegistration::Exempt, StateRegistration::Number("12345678".into())] {
            assert_eq!(StateRegistration::kept(one.as_str()), one);
        }
    }
}
