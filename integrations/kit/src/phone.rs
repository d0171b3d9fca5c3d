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
        // Ten or eleven digits that start with 55 are national: the area code 55 exists.
        let national = match digits.strip_prefix("55") {
            Some(national) if is_international || digits.len() >= 12 => national,
            _ if is_international => return Err(InvalidPhone),
            _ => &digits,
        };
        let national = without_trunk(national);
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

/// The digits of a number that is called without area code from the whole country: `0800 123 4567`, `4004-1234`. `None`: it is not
/// one. Shops have them; a person does not.
pub fn service_number(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.chars().all(|c| c.is_ascii_digit() || " ()-.".contains(c)) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_one = match digits.as_bytes() {
        [b'0', b'3' | b'5' | b'8' | b'9', b'0', b'0', rest @ ..] => matches!(rest.len(), 6 | 7),
        [b'3' | b'4', b'0', rest @ ..] => rest.len() == 6,
        _ => false,
    };
    is_one.then_some(digits)
}

/// Without the 0 for long distance and the two digits of a carrier behind it: `0 15 11 99999-0000`. `90` calls at the other's cost.
fn without_trunk(national: &str) -> &str {
    let rest = match national.strip_prefix('0').or_else(|| national.strip_prefix("90")) {
        Some(rest) if rest.len() >= 10 => rest,
        _ => return national,
    };
    match rest.len() {
        12 | 13 if !rest.starts_with('0') => &rest[2..],
        _ => rest,
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
            ("015 11 99999-0000", "+5511999990000"), // by a carrier
            ("0 21 (51) 3333-4444", "+555133334444"),
            ("0 55 55 99999-0000", "+5555999990000"),
            ("+55 (0) 11 99999-0000", "+5511999990000"),
            ("+55 (0)15 11 99999-0000", "+5511999990000"),
            ("55 (0) 11 3333-4444", "+551133334444"),
            ("90 15 11 99999-0000", "+5511999990000"),
            ("91 99999-0000", "+5591999990000"),
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
            "0 0 11 99999-0000",
            "0 15 15 11 99999-0000",
            "+55 (0) 0 11 99999-0000",
            "0800 123 4567",
            "4004-1234",
        ] {
            assert_eq!(Phone::parse(text), Err(InvalidPhone), "{text}");
        }
    }

    #[test]
    fn numbers_for_the_whole_country_are_a_shops() {
        for (text, digits) in [
            ("0800 123 4567", "08001234567"),
            ("0800-123456", "0800123456"),
            ("0300 123 4567", "03001234567"),
            ("4004-1234", "40041234"),
            ("3003 1234", "30031234"),
        ] {
            assert_eq!(service_number(text).as_deref(), Some(digits));
        }
        for text in [
            "0800 12345",
            "0800 1234 5678",
            "0700 123 4567",
            "4104-1234",
            "4004-12345",
            "190",
            "+0800 123 4567",
            "0800 ABC DEFG",
            "",
        ] {
            assert_eq!(service_number(text), None, "{text}");
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
