use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::tax::rules::ReformRates;

fn state(name: &str) -> &'static State {
    states::find(name).expect("a state")
}

fn setting<'a>(regime: Regime, from: &str, to: &str, rules: &'a TaxRules) -> Setting<'a> {
    Setting { regime, from: state(from), to: state(to), to_contributor: false, rules, day: date(2026, 11, 21) }
}

fn normal() -> TaxData {
    TaxData {
        icms_cst: Some("00".into()),
        pis_cst: Some("01".into()),
        pis_rate: Some(165),
        cofins_cst: Some("01".into()),
        cofins_rate: Some(760),
        ibs_cbs_cst: Some("000".into()),
        cclasstrib: Some("000001".into()),
        ..TaxData::default()
    }
}

fn simples() -> TaxData {
    TaxData { csosn: Some("102".into()), ..TaxData::default() }
}

fn cbs_from(from: Date, cbs: u32) -> ReformRates {
    ReformRates { from, cbs: Some(cbs), ..ReformRates::default() }
}

fn reais(cents: i64) -> Money {
    Money::from_cents(cents)
}

#[test]
fn a_sale_of_the_normal_regime_to_another_state_bears_them_all() {
    let rules = TaxRules { fcp_rates: [("RJ".to_owned(), 200)].into(), ..TaxRules::default() };
    let taxes =
        taxes_of(&setting(Regime::Normal, "SP", "RJ", &rules), &normal(), 0, reais(10_000), "items[0]").expect("complete");
    let own = taxes.icms.own.expect("CST 00 has its own");
    assert_eq!((own.base, own.rate, own.value), (reais(10_000), 1200, reais(1_200)));
    let difal = taxes.icms.difal.expect("to a non-contributor elsewhere");
    assert_eq!((difal.internal_rate, difal.value, difal.fcp_value), (2000, reais(800), reais(200)));
    // 88.00 × 1.65 % = 1.452, × 7.60 % = 6.688
    assert_eq!(taxes.pis.own, Some(TaxAmount { base: reais(8_800), rate: 165, value: reais(145) }));
    assert_eq!(taxes.cofins.own, Some(TaxAmount { base: reais(8_800), rate: 760, value: reais(669) }));
    // 100 − 12 − 8 − 2 − 1.45 − 6.69 = 69.86
    let new = taxes.ibs_cbs.expect("due since 2026").amounts.expect("CST 000");
    let values = (new.base, new.ibs_state.value, new.ibs_city.value, new.cbs.value);
    assert_eq!(values, (reais(6_986), reais(7), reais(0), reais(63)));
}

#[test]
fn inside_the_state_the_state_s_rate_or_the_product_s_counts_and_nothing_goes_elsewhere() {
    let rules = TaxRules { icms_rates: [("SP".to_owned(), 1900)].into(), ..TaxRules::default() };
    let at_home = setting(Regime::Normal, "SP", "SP", &rules);
    let rate = |data: &TaxData| taxes_of(&at_home, data, 0, reais(10_000), "").expect("complete").icms;
    assert_eq!((rate(&normal()).own.map(|own| own.rate), rate(&normal()).difal), (Some(1900), None));
    assert_eq!(rate(&TaxData { icms_rate: Some(700), ..normal() }).own.map(|own| own.value), Some(reais(700)));
    let reduced = TaxData { icms_cst: Some("20".into()), icms_reduction: Some(3_333), ..normal() };
    let own = rate(&reduced).own.expect("reduced, not gone");
    assert_eq!((own.base, own.value), (reais(6_667), reais(1_267)));
}

#[test]
fn inside_the_state_the_poverty_fund_stands_beside_its_icms() {
    let rules = TaxRules { fcp_rates: [("RJ".to_owned(), 200)].into(), ..TaxRules::default() };
    let at_home = setting(Regime::Normal, "RJ", "RJ", &rules);
    let fund = |data: &TaxData| {
        let taxes = taxes_of(&at_home, data, 0, reais(10_000), "").expect("complete");
        (taxes.icms.own.and_then(|own| own.fcp), taxes)
    };
    let (fcp, taxes) = fund(&normal());
    assert_eq!(fcp, Some(TaxAmount { base: reais(10_000), rate: 200, value: reais(200) }));
    assert_eq!((taxes.icms.own.map(|own| own.value), taxes.icms.difal), (Some(reais(2_000)), None));
    // 100 − 20 = 80 × 1.65 %; the fund is not taken out of their base.
    assert_eq!(taxes.pis.own.map(|own| own.base), Some(reais(8_000)));
    // 100 − 20 − 2 − 1.32 − 6.08
    assert_eq!(taxes.ibs_cbs.expect("due").amounts.expect("CST 000").base, reais(7_060));
    let reduced = TaxData { icms_cst: Some("20".into()), icms_reduction: Some(3_000), ..normal() };
    assert_eq!(fund(&reduced).0, Some(TaxAmount { base: reais(7_000), rate: 200, value: reais(140) }), "on the reduced base");
    let exempt = TaxData { fcp_rates: [("RJ".to_owned(), 0)].into(), ..normal() };
    assert_eq!(fund(&exempt).0, None, "the product's own word");
    for cst in ["40", "41", "50", "60"] {
        assert_eq!(fund(&TaxData { icms_cst: Some(cst.into()), ..normal() }).0, None, "{cst}");
    }
    let away = setting(Regime::Normal, "RJ", "SP", &rules);
    let icms = taxes_of(&away, &normal(), 0, reais(10_000), "").expect("complete").icms;
    assert_eq!((icms.own.and_then(|own| own.fcp), icms.difal.map(|difal| difal.fcp_rate)), (None, Some(0)));
}

#[test]
fn a_product_has_its_own_rates_of_other_states_and_a_reduction_at_home_counts_for_no_other_state() {
    let rules = TaxRules { fcp_rates: [("RJ".to_owned(), 200)].into(), ..TaxRules::default() };
    let to_rio = setting(Regime::Normal, "SP", "RJ", &rules);
    let difal = |data: &TaxData| taxes_of(&to_rio, data, 0, reais(10_000), "").expect("complete").icms.difal.expect("owed");
    let perfume =
        TaxData { icms_rates: [("RJ".to_owned(), 2_700)].into(), fcp_rates: [("RJ".to_owned(), 400)].into(), ..normal() };
    let owed = difal(&perfume);
    assert_eq!((owed.internal_rate, owed.value, owed.fcp_value), (2_700, reais(1_500), reais(400)));
    let reduced = TaxData { icms_cst: Some("20".into()), icms_reduction: Some(5_000), ..normal() };
    assert_eq!((difal(&reduced).base, difal(&reduced).value), (reais(10_000), reais(800)));
    let granted_there = TaxData { icms_rates: [("RJ".to_owned(), 1_400)].into(), ..reduced };
    assert_eq!(difal(&granted_there).value, reais(200), "by the rate that is left there");
}

#[test]
fn a_contributor_elsewhere_pays_no_difference() {
    let rules = TaxRules::default();
    let to_contributor = Setting { to_contributor: true, ..setting(Regime::Normal, "SP", "BA", &rules) };
    let icms = taxes_of(&to_contributor, &normal(), 0, reais(10_000), "").expect("complete").icms;
    assert_eq!((icms.own.map(|own| own.rate), icms.difal), (Some(700), None));
}

#[test]
fn simples_pays_in_one_sum_and_names_the_reform_from_2027_on() {
    let rules = TaxRules { reform_rates: vec![cbs_from(date(2027, 1, 1), 870)], ..TaxRules::default() };
    let this_year = setting(Regime::Simples, "SP", "RJ", &rules);
    let taxes = taxes_of(&this_year, &simples(), 0, reais(10_000), "").expect("complete");
    assert_eq!((taxes.icms.situation.as_str(), taxes.icms.own, taxes.icms.difal), ("102", None, None));
    assert_eq!((taxes.pis.situation.as_str(), taxes.pis.own, taxes.ibs_cbs), ("49", None, None));
    let last_day = Setting { day: date(2027, 1, 3), ..this_year };
    assert_eq!(taxes_of(&last_day, &simples(), 0, reais(100), "").expect("complete").ibs_cbs, None);
    let then = Setting { day: date(2027, 1, 4), ..this_year };
    assert_eq!(taxes_of(&then, &simples(), 0, reais(100), "").expect("sent without").ibs_cbs, None);
    let fields: Vec<_> = reform::missing_but_optional(&then, &simples(), "items[3]").into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["items[3].tax.ibs_cbs_cst", "items[3].tax.cclasstrib"]);
    let complete = TaxData { ibs_cbs_cst: Some("000".into()), cclasstrib: Some("000001".into()), ..simples() };
    let new = taxes_of(&then, &complete, 0, reais(10_000), "").expect("complete").ibs_cbs.expect("due");
    let new = new.amounts.expect("CST 000");
    assert_eq!((new.ibs_state.rate, new.ibs_city.rate, new.cbs.rate), (5, 5, 870));
    assert_eq!(reform::missing_but_optional(&then, &complete, ""), []);
    let told = TaxRules { simples_ibs_cbs_required: true, ..rules.clone() };
    let told = Setting { rules: &told, ..then };
    let missing = taxes_of(&told, &simples(), 0, reais(100), "items[3]").expect_err("CST and cClassTrib are missing");
    assert_eq!(missing[0].field, "items[3].tax.ibs_cbs_cst");
    let moved = TaxRules { simples_ibs_cbs_from: Some(date(2027, 7, 1)), ..rules.clone() };
    let moved = Setting { rules: &moved, ..then };
    assert_eq!(taxes_of(&moved, &complete, 0, reais(100), "").expect("complete").ibs_cbs, None);
}

#[test]
fn pis_and_cofins_end_and_no_longer_stop_an_invoice() {
    let rules = TaxRules { reform_rates: vec![cbs_from(date(2027, 1, 1), 870)], ..TaxRules::default() };
    let turn = |day| Setting { day, ..setting(Regime::Normal, "SP", "SP", &rules) };
    let both = |day, data: &TaxData| {
        let taxes = taxes_of(&turn(day), data, 0, reais(10_000), "").expect("complete");
        (taxes.pis, taxes.cofins)
    };
    let last = both(date(2026, 12, 31), &normal());
    assert_eq!((last.0.own.map(|own| own.value), last.1.own.map(|own| own.value)), (Some(reais(135)), Some(reais(623))));
    let none = |cst: &str| Contribution { situation: cst.into(), own: None };
    let missing = TaxData { pis_cst: None, cofins_rate: None, ..normal() };
    let exempt = TaxData { pis_cst: Some("06".into()), ..normal() };
    assert_eq!(both(date(2027, 1, 1), &normal()), (none("08"), none("08")));
    assert_eq!(both(date(2027, 1, 1), &missing), (none("08"), none("08")));
    assert_eq!(both(date(2027, 1, 1), &exempt), (none("06"), none("08")));
    let said = TaxRules { cst_after_pis_cofins: Some("99".into()), ..rules.clone() };
    let said = Setting { rules: &said, ..turn(date(2027, 1, 1)) };
    assert_eq!(taxes_of(&said, &normal(), 0, reais(10_000), "").expect("complete").pis, none("99"));
}

#[test]
fn simples_above_the_sublimit_pays_icms_like_the_normal_regime() {
    let rules = TaxRules::default();
    let data =
        TaxData { pis_cst: Some("49".into()), cofins_cst: Some("49".into()), icms_cst: Some("00".into()), ..TaxData::default() };
    let taxes = taxes_of(&setting(Regime::SimplesExcess, "MG", "BA", &rules), &data, 0, reais(10_000), "").expect("complete");
    assert_eq!((taxes.icms.own.map(|own| own.value), taxes.ibs_cbs), (Some(reais(700)), None));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let rules = TaxRules::default();
    let fields = |regime, data: &TaxData| -> Vec<String> {
        let wrong = taxes_of(&setting(regime, "SP", "RJ", &rules), data, 0, reais(100), "items[1]").expect_err("incomplete");
        wrong.into_iter().map(|problem| problem.field.replace("items[1].tax.", "")).collect()
    };
    assert_eq!(fields(Regime::Normal, &TaxData::default()), ["icms_cst", "pis_cst", "cofins_cst", "ibs_cbs_cst", "cclasstrib"]);
    assert_eq!(fields(Regime::Simples, &TaxData::default()), ["csosn"]);
    assert_eq!(fields(Regime::Normal, &TaxData { pis_rate: None, ..normal() }), ["pis_rate"]);
    assert_eq!(fields(Regime::Normal, &TaxData { icms_cst: Some("20".into()), ..normal() }), ["icms_reduction"]);
    assert_eq!(fields(Regime::Normal, &TaxData { icms_cst: Some("10".into()), ..normal() }), ["icms_cst"]);
    assert_eq!(fields(Regime::Normal, &TaxData { cclasstrib: Some("200001".into()), ..normal() }), ["cclasstrib"]);
    assert_eq!(fields(Regime::Simples, &TaxData { csosn: Some("101".into()), ..simples() }), ["csosn"]);
}

proptest! {
    #[test]
    fn taxes_never_exceed_what_they_are_taken_from(cents in 0_i64..1_000_000_000, from in 0_usize..4, to in 0_usize..4, origin in 0_u8..9) {
        let names = ["SP", "BA", "RJ", "PI"];
        let rules = TaxRules::default();
        let setting = setting(Regime::Normal, names[from], names[to], &rules);
        let taxes = taxes_of(&setting, &normal(), origin, reais(cents), "").expect("complete");
        let own = taxes.icms.own.expect("CST 00").value;
        let difal = taxes.icms.difal.map_or(Money::ZERO, |d| d.value);
        let new = taxes.ibs_cbs.expect("due").amounts.expect("CST 000");
        prop_assert_eq!(taxes.icms.difal.is_some(), from != to);
        let all = [own, difal, taxes.pis.own.expect("01").value, taxes.cofins.own.expect("01").value, new.base];
        prop_assert_eq!(Money::sum(all), Some(reais(cents)));
        prop_assert!(new.ibs_state.value.cents() + new.cbs.value.cents() <= new.base.cents());
    }
}
