use proptest::prelude::*;

use super::*;

fn coupon(kind: Kind, value: i64) -> Coupon {
    Coupon {
        id: CouponId::new(),
        code: "VITRINE10".into(),
        kind,
        value,
        min_subtotal: None,
        max_discount: None,
        starts_at: None,
        ends_at: None,
        max_uses: None,
        max_uses_per_customer: None,
        uses: 0,
        active: true,
    }
}

fn cents(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a small number is a time")
}

fn any_coupon() -> impl Strategy<Value = Coupon> {
    let kind = prop_oneof![
        (1_i64..=100).prop_map(|value| (Kind::Percent, value)),
        (1_i64..10_000_000).prop_map(|value| (Kind::Fixed, value)),
        Just((Kind::FreeShipping, 0)),
    ];
    (kind, prop::option::of(1_i64..1_000_000))
        .prop_map(|((kind, value), most)| Coupon { max_discount: most.map(cents), ..coupon(kind, value) })
}

proptest! {
    #[test]
    fn a_discount_is_never_negative_nor_above_the_subtotal_nor_above_its_cap(coupon in any_coupon(), subtotal in 0_i64..100_000_000_000) {
        let discount = coupon.discount(cents(subtotal));
        prop_assert!(discount >= Money::ZERO && discount <= cents(subtotal));
        prop_assert!(coupon.max_discount.is_none_or(|most| discount <= most));
    }

    #[test]
    fn who_buys_more_never_gets_less_off(coupon in any_coupon(), a in 0_i64..1_000_000_000, b in 0_i64..1_000_000_000) {
        prop_assert!(coupon.discount(cents(a.min(b))) <= coupon.discount(cents(a.max(b))));
    }

    #[test]
    fn all_of_it_is_all_of_it(subtotal in 0_i64..i64::MAX) {
        prop_assert_eq!(coupon(Kind::Percent, 100).discount(cents(subtotal)), cents(subtotal));
    }

    #[test]
    fn a_negative_subtotal_gets_nothing_off(coupon in any_coupon(), subtotal in i64::MIN..0) {
        prop_assert_eq!(coupon.discount(cents(subtotal)), Money::ZERO);
    }

    #[test]
    fn a_code_that_is_kept_stays_as_it_is(code in "\\PC{0,50}") {
        if let Ok(kept) = normalise(&code) {
            prop_assert_eq!(normalise(&kept).expect("it was kept"), kept.clone());
            prop_assert_eq!(kept.to_uppercase(), kept);
        }
    }
}

#[test]
fn half_a_centavo_is_rounded_up() {
    assert_eq!(coupon(Kind::Percent, 15).discount(cents(990)), cents(149)); // 148.5
    assert_eq!(coupon(Kind::Percent, 1).discount(cents(49)), Money::ZERO); // 0.49
    assert_eq!(coupon(Kind::Percent, 1).discount(cents(50)), cents(1)); // 0.5
}

#[test]
fn a_fixed_amount_stops_at_the_subtotal_and_freight_is_no_discount() {
    assert_eq!(coupon(Kind::Fixed, 5_000).discount(cents(3_000)), cents(3_000));
    assert_eq!(coupon(Kind::Fixed, 5_000).discount(cents(9_000)), cents(5_000));
    assert_eq!(coupon(Kind::FreeShipping, 0).discount(cents(9_000)), Money::ZERO);
    assert!(coupon(Kind::FreeShipping, 0).frees_shipping());
    assert!(!coupon(Kind::Fixed, 1).frees_shipping());
}

#[test]
fn every_limit_refuses_exactly_at_its_edge() {
    let free = coupon(Kind::Fixed, 100);
    assert_eq!(free.refusal(Money::ZERO, at(0)), None);
    let windowed = Coupon { starts_at: Some(at(10)), ends_at: Some(at(20)), ..free.clone() };
    assert_eq!(windowed.refusal(Money::ZERO, at(9)), Some("This coupon is not valid yet"));
    assert_eq!(windowed.refusal(Money::ZERO, at(10)), None);
    assert_eq!(windowed.refusal(Money::ZERO, at(19)), None);
    assert_eq!(windowed.refusal(Money::ZERO, at(20)), Some("This coupon has expired"));
    let least = Coupon { min_subtotal: Some(cents(1_000)), ..free.clone() };
    assert_eq!(least.refusal(cents(999), at(0)), Some("The subtotal is below this coupon's minimum"));
    assert_eq!(least.refusal(cents(1_000), at(0)), None);
    let thrice = |uses| Coupon { max_uses: Some(3), uses, ..free.clone() };
    assert_eq!(thrice(2).refusal(Money::ZERO, at(0)), None);
    assert_eq!(thrice(3).refusal(Money::ZERO, at(0)), Some("This coupon is used up"));
    let personal = Coupon { max_uses_per_customer: Some(1), ..free.clone() };
    assert_eq!(personal.refusal_to(0, Money::ZERO, at(0)), None);
    assert_eq!(personal.refusal_to(1, Money::ZERO, at(0)), Some("You have already used this coupon"));
    let off = Coupon { active: false, ..free };
    assert_eq!(off.refusal(Money::ZERO, at(0)), Some("This coupon is no longer active"));
}

#[test]
fn a_code_is_read_as_people_type_it() {
    assert_eq!(normalise(" natal_10-a ").expect("sane"), "NATAL_10-A");
    assert_eq!(normalise(&"A".repeat(40)).expect("as long as can be").len(), 40);
    for bad in ["", "   ", "DEZ%", "É10", "A B", "A\n", &"A".repeat(41)] {
        let expected = bad == "A\n"; // white space around a code is not part of it
        assert_eq!(normalise(bad).is_ok(), expected, "{bad:?}");
    }
}
