//! Brazilian telephone numbers.

use std::fmt;

/// A number that can exist in Brazil, kept as E.164.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a Brazilian phone number with area code")]
pub struct InvalidPhone;

impl Phone {
    /// Takes national and international spelling, with the usual punctuation.
    pub fn parse(text: &str) -> Result<Self, InvalidPhone> {
        let text = text.trim();
        let (is_international, rest) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if !rest.chars().all(|c| c.is_ascii_digit() || " ()-.".contains(c)) {
            return Err(InvalidPhone);
        }
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        let digits = if is_international { &digits } else { digits.strip_prefix('0').unwrap_or(&digits) };
        // Ten or eleven digits that start with 55 are national: the area code 55 exists.
        let national = match digits.strip_prefix("55") {
            Some(national) if matches!(digits.len(), 12 | 13) => national,
            _ if is_international => return Err(InvalidPhone),
            _ => digits,
        };
        if is_issued(national.as_bytes()) { Ok(Self(format!("+55{national}"))) } else { Err(InvalidPhone) }
    }

    /// `+5511999990000`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can take a text: a landline cannot.
    pub fn is_mobile(&self) -> bool {
        self.0.len() == "+5511999990000".len()
    }

    /// `+5511*****0000`: for lists and logs.
    pub fn masked(&self) -> String {
        let last = self.0.len() - 4;
        format!("{}{}{}", &self.0[..5], "*".repeat(last - 5), &self.0[last..])
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

/// Area code in use, then a mobile (9 and eight digits) or a landline (2 to 5 and seven).
fn is_issued(national: &[u8]) -> bool {
    match national {
        [a, b, first, rest @ ..] => {
            is_area(*a, *b) && ((*first == b'9' && rest.len() == 8) || (matches!(first, b'2'..=b'5') && rest.len() == 7))
        }
        _ => false,
    }
}

fn is_area(tens: u8, ones: u8) -> bool {
    match tens {
        b'1' | b'4' | b'6' | b'8' | b'9' => ones != b'0',
        b'2' => matches!(ones, b'1' | b'2' | b'4' | b'7' | b'8'),
        b'3' => matches!(ones, b'1'..=b'5' | b'7' | b'8'),
        b'5' => matches!(ones, b'1' | b'3' | b'4' | b'5'),
        b'7' => matches!(ones, b'1' | b'3' | b'4' | b'5' | b'7' | b'9'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_numbers_become_e164() {
        for (text, e164) in [
            ("(11) 99999-0000", "+5511999990000"),
            ("+55 21 3333-4444", "+552133334444"),
            ("011 99999-0000", "+5511999990000"),
            ("5511999990000", "+5511999990000"),
            ("55 99999-0000", "+5555999990000"), // area code 55, not the country
            ("+55 55 3333.4444", "+555533334444"),
        ] {
            assert_eq!(Phone::parse(text).expect(text).as_str(), e164);
        }
    }

    #[test]
    fn bad_numbers_are_refused() {
        for text in [
            "(20) 99999-0000",
            "11 89999-000",
            "(11) 9999-0000",
            "+1 11 99999-0000",
            "+11 99999-0000",
            "",
            "+",
            "11 99999-0000 x2",
            "(11) 6333-4444",
            "55 55 55 99999-0000",
            "１1999990000",
        ] {
            assert_eq!(Phone::parse(text), Err(InvalidPhone), "{text}");
        }
    }

    #[test]
    fn sixty_seven_area_codes_are_in_use() {
        let in_use = (10..100).filter(|n| is_area(b'0' + n / 10, b'0' + n % 10)).count();
        assert_eq!(in_use, 67);
    }

    #[test]
    fn a_landline_is_no_mobile() {
        assert!(Phone::parse("(11) 99999-0000").expect("good").is_mobile());
        assert!(!Phone::parse("(21) 3333-4444").expect("good").is_mobile());
    }

    #[test]
    fn debug_hides_the_middle() {
        assert_eq!(format!("{:?}", Phone::parse("11999990000")), "Ok(Phone(+5511*****0000))");
    }
}
