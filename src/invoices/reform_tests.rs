use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::tax::rules::ReformRates;
use crate::tax::{TaxRules, states};

fn rules() -> TaxRules {
    let rates = |from, cbs| ReformRates { from, cbs: Some(cbs), ..ReformRates::default() };
    TaxRules { reform_rates: vec![rates(date(2027, 1, 1), 870), rates(date(2028, 1, 1), 850)], ..TaxRules::default() }
}

fn setting(rules: &TaxRules, day: Date) -> Setting<'_> {
    let home = states::find("SP").expect("a state");
    Setting { regime: Regime::Normal, from: home, to: home, to_contributor: false, rules, day }
}

fn classified(code: &str) -> TaxData {
    TaxData { ibs_cbs_cst: Some(code[..3].into()), cclasstrib: Some(code.into()), ..TaxData::default() }
}

fn worth(value: i64, icms: i64) -> Worth {
    let none = Money::ZERO;
    Worth { value: Money::from_cents(value), other_taxes: [Money::from_cents(icms), none, none, none, none] }
}

fn of(code: &str, day: Date, value: i64, icms: i64) -> IbsCbs {
    let rules = rules();
    let found = ibs_cbs(&setting(&rules, day), &classified(code), worth(value, icms), "");
    found.expect("complete").expect("due")
}

/// Base, IBS of the state and the city, CBS, in centavos.
fn cents(tax: &IbsCbs) -> Option<[i64; 4]> {
    tax.amounts.map(|a| [a.base, a.ibs_state.value, a.ibs_city.value, a.cbs.value].map(Money::cents))
}

#[test]
fn from_2027_on_the_price_holds_its_taxes_and_their_base_does_not() {
    // R$ 100.00 less ICMS of 18.00; 82.00 / 1.088 = 75.37, of which 8.70 % are 6.56.
    assert_eq!(cents(&of("000001", date(2027, 1, 1), 10_000, 1_800)), Some([7_537, 4, 4, 656]));
    assert_eq!(cents(&of("000001", date(2026, 12, 31), 10_000, 1_800)), Some([8_200, 8, 0, 74]));
}

#[test]
fn a_reduced_rate_is_reduced_in_the_price_too() {
    // 60 % off 8.80 % leaves 3.52 %: 100.00 / 1.0352 = 96.60.
    let tax = of("200034", date(2027, 1, 1), 10_000, 0);
    assert_eq!(cents(&tax), Some([9_660, 2, 2, 336]));
    let cbs = tax.amounts.expect("CST 200").cbs;
    assert_eq!((cbs.rate, cbs.reduction, cbs.effective_rate_e4()), (870, Some(6_000), 34_800));
    assert_eq!(cents(&of("200003", date(2027, 1, 1), 10_000, 0)), Some([10_000, 0, 0, 0]), "the basic basket: nothing is left");
    assert_eq!(cents(&of("200034", date(2026, 11, 21), 10_000, 0)), Some([10_000, 4, 0, 36]));
}

#[test]
fn books_bear_none_and_say_so() {
    let tax = of("410008", date(2027, 1, 1), 10_000, 0);
    assert_eq!((tax.situation.as_str(), tax.classification.as_str(), tax.amounts), ("410", "410008", None));
}

#[test]
fn the_settings_rates_hold_from_their_day_to_the_law_s_next_change() {
    let rate = |day| of("000001", day, 100, 0).amounts.expect("CST 000").cbs.rate;
    assert_eq!((rate(date(2026, 12, 31)), rate(date(2027, 1, 1)), rate(date(2028, 12, 31))), (90, 870, 850));
    let rules = rules();
    let then = ibs_cbs(&setting(&rules, date(2029, 1, 1)), &classified("000001"), worth(100, 0), "").expect_err("not fixed");
    let fields: Vec<_> = then.into_iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["taxes.reform_rates.ibs_state", "taxes.reform_rates.ibs_city", "taxes.reform_rates.cbs"]);
}

#[test]
fn what_cannot_stand_on_an_nfe_is_refused_and_nothing_is_advised() {
    let rules = rules();
    let setting = setting(&rules, date(2026, 11, 21));
    for (cst, code, field) in [
        ("000", "000002", "cclasstrib"),
        ("000", "000999", "cclasstrib"),
        ("000", "200034", "cclasstrib"),
        ("200", "200022", "cclasstrib"),
        ("550", "550001", "ibs_cbs_cst"),
    ] {
        let data = TaxData { ibs_cbs_cst: Some(cst.into()), cclasstrib: Some(code.into()), ..TaxData::default() };
        let wrong = ibs_cbs(&setting, &data, worth(100, 0), "items[0]").expect_err(code);
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].field, format!("items[0].tax.{field}"));
        assert!(!wrong[0].message.contains("000001") && !wrong[0].message.contains("integral"), "{}", wrong[0].message);
    }
}

proptest! {
    #[test]
    fn base_and_taxes_are_the_price_again(value in 0_i64..1_000_000_000, code in 0_usize..4, day in 0_usize..2) {
        let (code, day) = (["000001", "200034", "200003", "200047"][code], [date(2027, 1, 1), date(2028, 6, 1)][day]);
        let amounts = of(code, day, value, 0).amounts.expect("they bear amounts");
        let all = [amounts.base, amounts.ibs_state.value, amounts.ibs_city.value, amounts.cbs.value];
        let sum: i64 = all.map(Money::cents).iter().sum();
        prop_assert!((sum - value).abs() <= 2, "{sum} of {value}");
    }
}
