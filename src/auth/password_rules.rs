//! Passwords that are refused although they are long enough: the ones that are guessed first (ASVS 6.2.4, 6.2.11).

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// Common words, separated by spaces and line breaks. A common password is one of them with one of `ENDINGS`.
const WORDS: &str = include_str!("common_words.txt");

/// Common endings of passwords. With the years below they make over 100,000 passwords.
#[rustfmt::skip]
const ENDINGS: [&str; 49] = [
    "", "0", "00", "01", "02", "03", "007", "1", "10", "100", "1000", "11", "111", "12", "123", "1234", "12345", "123456",
    "1234567", "12345678", "123456789", "123abc", "13", "14", "15", "2", "20", "21", "22", "23", "3", "321", "33", "4", "4321",
    "5", "55", "6", "666", "69", "7", "77", "777", "8", "88", "9", "99", "999", "abc",
];

/// Years that are common endings: of birth, of marriage, the present one.
const YEARS: std::ops::RangeInclusive<u32> = 1940..=2039;

/// Rows and columns of keyboards, the alphabet, the digits: a short password that runs along one of them is refused.
const RUNS: [&str; 7] = [
    "0123456789012345678901234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertyuiopçlkjhgfdsazxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
];

/// From this length on a pattern is not refused.
const SHORT: usize = 16;

/// Refuses passwords that are easy to guess, also the person's own e-mail and name. `field` is named in the 422.
pub fn check(field: &str, password: &SecretString, email: &str, name: &str) -> Result<()> {
    let lower = password.expose_secret().to_lowercase();
    let name = name.to_lowercase();
    let own = [email, email.split('@').next().unwrap_or_default(), &name, &name.replace(' ', "")];
    if own.contains(&lower.as_str()) {
        return Err(Error::field(field, "must not be your name or e-mail"));
    }
    if is_common(&lower) {
        return Err(Error::field(field, "is one of the passwords that everybody tries first: choose another"));
    }
    Ok(())
}

fn is_common(lower: &str) -> bool {
    is_word_with_ending(lower) || (lower.chars().count() <= SHORT && is_pattern(lower))
}

/// The same word twice counts as a word with an ending.
fn is_word_with_ending(lower: &str) -> bool {
    let is_ending = |word: &str, end: &str| ENDINGS.contains(&end) || is_year(end) || end == word;
    WORDS.split_whitespace().any(|word| lower.strip_prefix(word).is_some_and(|end| is_ending(word, end)))
}

fn is_year(end: &str) -> bool {
    end.len() == 4 && end.parse().is_ok_and(|year| YEARS.contains(&year))
}

/// A run along the keyboard in either direction, or a block of at most four characters repeated.
fn is_pattern(lower: &str) -> bool {
    let backwards: String = lower.chars().rev().collect();
    let is_run = RUNS.iter().any(|run| run.contains(lower) || run.contains(backwards.as_str()));
    let chars: Vec<char> = lower.chars().collect();
    let repeats = (1..=4).any(|block| chars.len() >= 2 * block && chars.iter().zip(&chars[block..]).all(|(a, b)| a == b));
    is_run || repeats
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(password: &str) -> bool {
        check("password", &SecretString::from(password), "ana.silva@example.com", "Ana Silva").is_err()
    }

    #[test]
    fn what_everybody_tries_first_is_refused_in_either_case() {
        for password in [
            "12345678",
            "123456789",
            "1234567890",
            "87654321",
            "11111111",
            "12121212",
            "12341234",
            "abcd1234",
            "abcdefgh",
            "qwertyui",
            "qwertyuiop",
            "poiuytrewq",
            "asdfghjkl",
            "1q2w3e4r",
            "1qaz2wsx",
            "password",
            "PASSWORD",
            "Password1",
            "password123",
            "passw0rd",
            "iloveyou",
            "sunshine",
            "princess",
            "football",
            "superman",
            "trustno1",
            "welcome1",
            "letmein1",
            "baseball1",
            "flamengo",
            "Corinthians1",
            "brasil123",
            "senha123",
            "Senha1234",
            "mudar123",
            "deusefiel",
            "jesuscristo",
            "teamomuito",
            "familia2020",
            "maria1990",
            "admin123",
            "teste123",
            "testtest",
            "vitrine123",
        ] {
            assert!(refused(password), "{password}");
        }
    }

    #[test]
    fn the_own_name_and_e_mail_are_refused() {
        for password in ["ana.silva@example.com", "Ana.Silva", "ana silva", "AnaSilva"] {
            assert!(refused(password), "{password}");
        }
    }

    #[test]
    fn good_passwords_and_long_passphrases_are_taken() {
        let long = "a".repeat(1000);
        for password in [
            "correto cavalo bateria grampo",
            "Tr0ub4dor&3",
            "S3nha-de-teste!",
            "mY7$kquW",
            "girassol na janela",
            "9f8a7c6b5d",
            &long,
        ] {
            assert!(!refused(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_larger_than_the_three_thousand_that_the_standard_asks_for() {
        let long_enough =
            WORDS.split_whitespace().flat_map(|w| ENDINGS.map(|end| w.chars().count() + end.len())).filter(|n| *n >= 8);
        assert!(long_enough.count() > 20_000);
        assert!(WORDS.split_whitespace().all(|word| word == word.to_lowercase()), "compared in lower case");
    }

    proptest! {
        #[test]
        fn random_passwords_are_taken(password in "[A-Za-z0-9]{12,40}") {
            prop_assert!(!refused(&password));
        }

        #[test]
        fn no_text_makes_it_panic(password: String, email: String, name: String) {
            let _ = check("password", &SecretString::from(password), &email, &name);
        }
    }
}
