//! Money in whole centavos, with checked arithmetic.

use std::fmt;

use postgres_types::{FromSql, ToSql};
use serde::{Deserialize, Serialize};

/// An amount of Brazilian reais in centavos. May be negative (a difference); a column or a rule says where it may not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSql, FromSql)]
#[serde(transparent)]
#[postgres(transparent)]
pub struct Money(i64);

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    pub const fn cents(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// `None` if it overflows.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `None` if it overflows.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Price of `quantity` pieces; `None` if it overflows.
    pub fn times(self, quantity: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity)).map(Self)
    }

    /// A percentage of it, half a centavo rounded up. The result saturates.
    pub fn percent(self, percent: u8) -> Self {
        let hundredths = i128::from(self.0) * i128::from(percent);
        let rounded = (hundredths + 50).div_euclid(100);
        let limit = if rounded < 0 { i64::MIN } else { i64::MAX };
        Self(i64::try_from(rounded).unwrap_or(limit))
    }

    /// The sum; `None` if it overflows.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Splits `total` in proportion to `weights`: the parts sum to exactly `total`, the left-over centavos go to the largest
    /// remainders, and among equals to the earlier. A negative weight counts as nothing; all nothing: the first takes it all.
    /// No weights, no parts.
    pub fn apportion(total: Self, weights: &[Self]) -> Vec<Self> {
        let weights: Vec<i128> = weights.iter().map(|w| i128::from(w.0.max(0))).collect();
        let whole: i128 = weights.iter().sum();
        let mut parts = vec![Self::ZERO; weights.len()];
        if whole == 0 {
            if let Some(first) = parts.first_mut() {
                *first = total;
            }
            return parts;
        }
        let amount = i128::from(total.0.unsigned_abs());
        let mut shares: Vec<i128> = weights.iter().map(|w| amount * w / whole).collect();
        let left = amount - shares.iter().sum::<i128>(); // fewer than there are weights
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(amount * weights[i] % whole)); // stable: ties stay in order
        for &i in order.iter().take(usize::try_from(left).unwrap_or(0)) {
            shares[i] += 1;
        }
        for (part, share) in parts.iter_mut().zip(shares) {
            let signed = if total.is_negative() { -share } else { share };
            *part = Self(i64::try_from(signed).expect("a share is never larger than the total, which fits"));
        }
        parts
    }

    /// `123.45`, as providers write it.
    pub fn to_decimal(self) -> String {
        let (sign, reais, cents) = self.pieces();
        format!("{sign}{reais}.{cents:02}")
    }

    /// Reads `18.08`, `18.1`, `18`, `-3.50`. `None`: not a plain decimal, a fraction of a centavo, or too large.
    pub fn parse_decimal(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return None;
        }
        let (cents, dust) = fraction.split_at(fraction.len().min(2));
        if dust.bytes().any(|b| b != b'0') {
            return None;
        }
        let cents: i128 = format!("{cents:0<2}").parse().ok()?;
        let amount = whole.parse::<i128>().ok()?.checked_mul(100)?.checked_add(cents)?;
        i64::try_from(if negative { -amount } else { amount }).ok().map(Self)
    }

    fn pieces(self) -> (&'static str, u64, u64) {
        let cents = self.0.unsigned_abs();
        (if self.is_negative() { "-" } else { "" }, cents / 100, cents % 100)
    }
}

/// As a Brazilian reads it: `R$ 1.234,56`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, reais, cents) = self.pieces();
        let digits = reais.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                grouped.push('.');
            }
            grouped.push(digit);
        }
        write!(f, "{sign}R$ {grouped},{cents:02}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reais(text: &str) -> Money {
        Money::parse_decimal(text).expect("a test writes it well")
    }

    #[test]
    fn percent_rounds_half_a_centavo_up() {
        assert_eq!(Money::from_cents(10).percent(5), Money::from_cents(1)); // 0.5
        assert_eq!(Money::from_cents(9).percent(5), Money::ZERO); // 0.45
        assert_eq!(Money::from_cents(18_590).percent(5), Money::from_cents(930)); // 929.5
        assert_eq!(Money::from_cents(-10).percent(5), Money::ZERO); // -0.5 goes up
        assert_eq!(Money::from_cents(777).percent(100), Money::from_cents(777));
        assert_eq!(Money::from_cents(777).percent(0), Money::ZERO);
        assert_eq!(Money::from_cents(i64::MAX).percent(100), Money::from_cents(i64::MAX));
        assert_eq!(Money::from_cents(i64::MAX).percent(255), Money::from_cents(i64::MAX));
        assert_eq!(Money::from_cents(i64::MIN).percent(255), Money::from_cents(i64::MIN));
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let most = Money::from_cents(i64::MAX);
        assert_eq!(most.checked_add(Money::from_cents(1)), None);
        assert_eq!(Money::from_cents(i64::MIN).checked_sub(Money::from_cents(1)), None);
        assert_eq!(most.times(2), None);
        assert_eq!(Money::sum([most, Money::from_cents(1)]), None);
        assert_eq!(Money::sum([]), Some(Money::ZERO));
        assert_eq!(Money::from_cents(1850).times(3), Some(Money::from_cents(5550)));
    }

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, cents) in [("18.08", 1808), ("18", 1800), ("18.1", 1810), ("0.07", 7), ("18.0800", 1808), ("-3.50", -350)] {
            assert_eq!(Money::parse_decimal(text), Some(Money::from_cents(cents)), "{text}");
        }
        assert_eq!(Money::parse_decimal("92233720368547758.07"), Some(Money::from_cents(i64::MAX)));
        assert_eq!(Money::parse_decimal("-92233720368547758.08"), Some(Money::from_cents(i64::MIN)));
        for text in [
            "",
            ".",
            "18.",
            ".5",
            "1e3",
            "18.085",
            "1,50",
            "+1",
            "--1",
            " 1",
            "R$ 1",
            "1.2.3",
            "92233720368547758.08",
            "99999999999999999999999999999999999999999",
            "٣",
        ] {
            assert_eq!(Money::parse_decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_is_shown_the_brazilian_way() {
        for (cents, shown) in [
            (0, "R$ 0,00"),
            (5, "R$ 0,05"),
            (99_999, "R$ 999,99"),
            (123_456, "R$ 1.234,56"),
            (-123_456_789, "-R$ 1.234.567,89"),
            (i64::MIN, "-R$ 92.233.720.368.547.758,08"),
        ] {
            assert_eq!(Money::from_cents(cents).to_string(), shown);
        }
        assert_eq!(Money::from_cents(-5).to_decimal(), "-0.05");
        assert_eq!(Money::from_cents(12_345).to_decimal(), "123.45");
    }

    #[test]
    fn json_holds_a_plain_integer() {
        assert_eq!(serde_json::to_string(&Money::from_cents(1850)).expect("serialises"), "1850");
        assert_eq!(serde_json::from_str::<Money>("1850").expect("reads"), Money::from_cents(1850));
        assert!(serde_json::from_str::<Money>("18.5").is_err());
    }

    #[test]
    fn leftover_centavos_go_to_the_largest_remainder_then_to_the_earlier() {
        let split = |total: i64, weights: &[i64]| -> Vec<i64> {
            let weights: Vec<Money> = weights.iter().copied().map(Money::from_cents).collect();
            Money::apportion(Money::from_cents(total), &weights).into_iter().map(Money::cents).collect()
        };
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(split(10, &[1, 2, 4]), [1, 3, 6]); // remainders 3/7, 6/7, 5/7
        assert_eq!(split(50, &[0, 0]), [50, 0]);
        assert_eq!(split(50, &[0, 7, -3]), [0, 50, 0]);
        assert_eq!(split(50, &[]), [] as [i64; 0]);
        assert_eq!(split(i64::MAX, &[i64::MAX, i64::MAX]), [i64::MAX / 2 + 1, i64::MAX / 2]);
    }

    proptest! {
        #[test]
        fn parts_sum_exactly_and_none_strays_a_centavo_from_its_share(
            total in 0_i64..1_000_000_000_000, weights in prop::collection::vec(0_i64..1_000_000_000, 1..20)
        ) {
            let moneys: Vec<Money> = weights.iter().copied().map(Money::from_cents).collect();
            let parts = Money::apportion(Money::from_cents(total), &moneys);
            prop_assert_eq!(Money::sum(parts.iter().copied()), Some(Money::from_cents(total)));
            let whole: i128 = weights.iter().map(|&w| i128::from(w)).sum();
            if whole > 0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let off = i128::from(part.cents()) * whole - i128::from(total) * i128::from(*weight);
                    prop_assert!(off.abs() < whole);
                }
            }
        }

        #[test]
        fn decimal_text_comes_back_the_same(cents: i64) {
            prop_assert_eq!(reais(&Money::from_cents(cents).to_decimal()), Money::from_cents(cents));
        }
    }
}
