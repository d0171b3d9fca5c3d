//! What the ledger says of one captured payment, and the states that follow from it.

use vitrine_kit::Money;

use super::states::{OrderPaymentStatus, PaymentStatus};

/// What became of the money of one captured payment, by the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    pub captured: Money,
    /// Back with the buyer.
    pub refunded: Money,
    /// Taken by lost disputes. With what was refunded it may exceed what came: the bank and the shop may both have given it back.
    pub lost: Money,
    /// A dispute that has taken or holds its money is open.
    pub is_contested: bool,
    pub is_surplus: bool,
}

impl Sums {
    /// What is still the shop's.
    pub fn left(&self) -> Money {
        let left = self.refunded.checked_add(self.lost).and_then(|gone| self.captured.checked_sub(gone));
        left.unwrap_or(Money::ZERO).max(Money::ZERO)
    }
}

impl OrderPaymentStatus {
    /// What an order says of the payment that it took: a function of the sums alone. A dispute counts once it took something.
    pub fn of_sums(sums: &Sums) -> Self {
        match sums.left() {
            Money::ZERO => Self::Refunded,
            left if left < sums.captured => Self::PartiallyRefunded,
            _ => Self::Paid,
        }
    }
}

impl PaymentStatus {
    /// The state of a captured payment: a function of what came, what went back and what disputes took. A surplus stays one until
    /// nothing is left of it.
    pub fn of_sums(sums: &Sums) -> Self {
        match sums.left() {
            _ if sums.is_contested => Self::Disputed,
            Money::ZERO if !sums.lost.is_zero() => Self::ChargedBack,
            Money::ZERO => Self::Refunded,
            _ if sums.is_surplus => Self::Surplus,
            _ if !sums.lost.is_zero() => Self::PartiallyChargedBack,
            left if left < sums.captured => Self::PartiallyRefunded,
            _ => Self::Paid,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(captured: i64, refunded: i64, lost: i64) -> Sums {
        let [captured, refunded, lost] = [captured, refunded, lost].map(Money::from_cents);
        Sums { captured, refunded, lost, is_contested: false, is_surplus: false }
    }

    proptest! {
        /// Whatever went back and whatever was taken, the states say how much is left, and by whom.
        #[test]
        fn the_states_are_functions_of_the_sums(captured in 1_i64..1_000, refunded in 0_i64..1_200, lost in 0_i64..1_200) {
            let plain = sums(captured, refunded, lost);
            let left = (captured - refunded - lost).max(0);
            prop_assert_eq!(plain.left(), Money::from_cents(left));
            let (of_payment, of_order) = match (left, lost) {
                (0, 0) => (PaymentStatus::Refunded, OrderPaymentStatus::Refunded),
                (0, _) => (PaymentStatus::ChargedBack, OrderPaymentStatus::Refunded),
                (left, 0) if left == captured => (PaymentStatus::Paid, OrderPaymentStatus::Paid),
                (_, 0) => (PaymentStatus::PartiallyRefunded, OrderPaymentStatus::PartiallyRefunded),
                (_, _) => (PaymentStatus::PartiallyChargedBack, OrderPaymentStatus::PartiallyRefunded),
            };
            prop_assert_eq!((PaymentStatus::of_sums(&plain), OrderPaymentStatus::of_sums(&plain)), (of_payment, of_order));
            let contested = Sums { is_contested: true, ..plain };
            prop_assert_eq!((PaymentStatus::of_sums(&contested), OrderPaymentStatus::of_sums(&contested)), (PaymentStatus::Disputed, of_order));
            let surplus = Sums { is_surplus: true, ..plain };
            prop_assert_eq!(PaymentStatus::of_sums(&surplus), if left == 0 { of_payment } else { PaymentStatus::Surplus });
        }

        /// A part is never said to be the whole, and giving back less leaves more.
        #[test]
        fn a_part_is_not_the_whole(captured in 2_i64..1_000, part in 1_i64..999) {
            prop_assume!(part < captured);
            for part in [sums(captured, part, 0), sums(captured, 0, part)] {
                prop_assert_eq!(OrderPaymentStatus::of_sums(&part), OrderPaymentStatus::PartiallyRefunded);
                prop_assert!(PaymentStatus::of_sums(&part).is_captured());
            }
        }
    }
}
