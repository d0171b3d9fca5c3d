//! The NCM's codes in force (`tables/ncm.txt`).

use std::sync::LazyLock;

/// The day on which the list was in force.
pub const AS_OF: &str = "2026-08-13";

static CODES: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("tables/ncm.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// It was in force then. Codes come and go a few times a year: the shop's settings name those of after it.
pub fn is_known(code: &str) -> bool {
    CODES.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        assert_eq!(CODES.len(), 10_514);
        assert!(CODES.is_sorted() && CODES.iter().all(|code| code.len() == 8 && code.bytes().all(|b| b.is_ascii_digit())));
        assert!(is_known("69120000") && is_known("61091000") && is_known("09012100") && is_known("49019900"));
        for code in ["09012199", "61099999", "77010000", "00000000", "99999999", "6912", ""] {
            assert!(!is_known(code), "{code}");
        }
    }
}
