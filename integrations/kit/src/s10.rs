//! Tracking numbers of the postal services (UPU S10), Correios' among them: two letters, eight digits, a check digit, the country.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has a wrong check digit (the ninth): compare it with the label")]
pub struct WrongDigit;

/// A carrier's number without the spaces and dashes by which it is read more easily.
pub fn bare(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

/// Refuses a number of this form whose check digit is wrong, in [`bare`] or any other spelling. Numbers of another form belong to other carriers and pass.
pub fn check(number: &str) -> Result<(), WrongDigit> {
    let number = bare(number);
    let [a, b, serial @ .., digit, c, d] = number.as_bytes() else { return Ok(()) };
    let has_the_form = [a, b, c, d].iter().all(|letter| letter.is_ascii_alphabetic())
        && serial.len() == 8
        && serial.iter().chain([digit]).all(u8::is_ascii_digit);
    if has_the_form && *digit != check_digit(serial) { Err(WrongDigit) } else { Ok(()) }
}

/// Modulo 11 over the eight digits; 10 and 11 are written 0 and 5.
fn check_digit(serial: &[u8]) -> u8 {
    const WEIGHTS: [u32; 8] = [8, 6, 4, 2, 3, 5, 9, 7];
    let sum: u32 = serial.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match 11 - (sum % 11) as u8 {
        10 => b'0',
        11 => b'5',
        digit => b'0' + digit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_digit_of_ten_is_right() {
        // The standard's own example, then one of each special remainder.
        for right in ["RB473124829XX", "aa123456785br", "AA000000005BR", "AA003000000BR", "AA100000003BR"] {
            let at = right.len() - 3;
            for digit in '0'..='9' {
                let mut number = right.to_owned();
                number.replace_range(at..=at, &digit.to_string());
                assert_eq!(check(&number).is_ok(), number == right, "{number}");
            }
        }
    }

    #[test]
    fn two_digits_that_changed_places_are_found() {
        assert_eq!(check("AA123456785BR"), Ok(()));
        assert_eq!(check("AA 123456785 BR").map(|()| bare("AA 123.456-785 BR")), Ok("AA123.456785BR".to_owned()));
        for typo in ["AA213456785BR", "AA123465785BR", "AA123456758BR", "AA-123456789-BR", "AA 123 456 789 BR"] {
            assert_eq!(check(typo), Err(WrongDigit), "{typo}");
        }
    }

    #[test]
    fn other_carriers_numbers_pass() {
        for number in
            ["", "BR", "TBR123456789", "1Z999AA10123456784", "08123456789012", "ME2400ABCDBR", "AA12345678BR", "ÁA123456789B"]
        {
            assert_eq!(check(number), Ok(()), "{number}");
        }
    }
}
