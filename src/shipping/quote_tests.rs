use proptest::prelude::*;
use secrecy::SecretString;
use std::time::Duration;
use vitrine_kit::signature::hmac_sha256;

use super::*;
use crate::config::AuthConfig;
use crate::seal::{LookUp, Vault};
use crate::shipping::packing::MAX_VOLUMES;

fn keys(secret: &str) -> Keys {
    let auth = AuthConfig {
        jwt_secret: SecretString::from("x"),
        jwt_ttl: Duration::from_secs(1),
        refresh_ttl: Duration::from_secs(1),
        data_keys: vec![(1, SecretString::from("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="))],
        first_admin: None,
    };
    let vault = Vault::new(&auth).expect("a good key");
    Keys::new(vault, vec![LookUp { id: 1, key: [0; 32] }], &hmac_sha256(b"test", secret.as_bytes())).expect("complete")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a small number is a time")
}

fn variant(n: u128) -> VariantId {
    VariantId(Uuid::from_u128(n))
}

fn quote() -> Quote {
    Quote {
        id: Uuid::from_u128(7),
        cep: "01310100".into(),
        items: vec![QuotedItem { variant: variant(1), quantity: 2 }, QuotedItem { variant: variant(2), quantity: 1 }],
        provider: "melhorenvio".into(),
        carrier: "PAC".into(),
        service: "Correios".into(),
        service_code: "1".into(),
        price: Money::from_cents(1_850),
        days: 7,
        estimate: false,
        expires_at: 1_000,
        asked: Some(json!({"from": "01310100", "g_h_w_l_price": [[300, 5, 15, 20, 5_000], [100, 1, 2, 3, 900]]})),
        volumes: vec![Volume { height_cm: 5, width_cm: 15, length_cm: 20, weight_grams: 700 }],
        answer: json!({"id": 1, "price": "18.50"}),
        free: None,
    }
}

/// The message of the one invalid field.
fn refusal(result: Result<impl std::fmt::Debug>) -> String {
    match result {
        Err(Error::Invalid(errors)) if errors.len() == 1 && errors[0].field == "quote_token" => errors[0].message.clone(),
        other => panic!("one invalid quote_token was expected, not {other:?}"),
    }
}

#[test]
fn a_quote_comes_back_as_it_went_until_its_last_second() {
    let keys = keys("one");
    let token = quote().seal(&keys);
    assert_eq!(Quote::open(&keys, &token, at(999)).expect("still good"), quote());
    for late in [1_000, 1_001, 10_000] {
        assert_eq!(refusal(Quote::open(&keys, &token, at(late))), "has expired: ask for the freight again");
    }
}

#[test]
fn a_token_of_another_shop_or_of_nobody_is_refused() {
    let ours = keys("one");
    let foreign = quote().seal(&keys("two"));
    let long = "a".repeat(MAX_TOKEN + 1);
    let signed_but_strange = ours.sign(b"{}");
    for token in [foreign.as_str(), "", ".", "a.b", &long, &signed_but_strange] {
        assert_eq!(refusal(Quote::open(&ours, token, at(0))), "is not one of ours: ask for the freight again");
    }
}

#[test]
fn a_quote_fits_its_items_in_any_order_and_its_cep_alone() {
    let (a, b) = ((variant(1), 2), (variant(2), 1));
    quote().fits(&[b, a], "01310100").expect("the order of the lines does not matter");
    for items in [vec![a], vec![a, (variant(2), 2)], vec![a, b, (variant(3), 1)], vec![a, (variant(3), 1)], vec![a, a], vec![]] {
        assert!(refusal(quote().fits(&items, "01310100")).starts_with("is for other items"));
    }
    assert!(refusal(quote().fits(&[a, b], "01310101")).starts_with("is for another CEP"));
}

#[test]
fn the_record_tells_what_was_asked_and_answered() {
    let record = quote().record(Some(Free::Coupon));
    assert_eq!(record["items"][0], json!({"variant_id": variant(1), "quantity": 2}));
    assert_eq!((&record["price_cents"], &record["service_code"]), (&json!(1_850), &json!("1")));
    assert_eq!(record["asked"]["g_h_w_l_price"][1], json!([100, 1, 2, 3, 900]));
    assert_eq!(record["expires_at"], "1970-01-01T00:16:40Z");
    assert_eq!(record["volumes"], json!([{"h": 5, "w": 15, "l": 20, "g": 700}]));
    assert_eq!((&record["answer"]["price"], &record["free"]), (&json!("18.50"), &json!({"reason": "coupon"})));
    assert_eq!(quote().record(None)["free"], Value::Null);
}

#[test]
fn the_fullest_cart_still_makes_a_token_that_we_take_back() {
    let asked: Vec<Value> = (0..100).map(|_| json!([1_000_000, 1_000, 1_000, 1_000, 100_000_000_000_i64])).collect();
    let items = (0..100).map(|n| QuotedItem { variant: variant(u128::MAX - n), quantity: 9_999 }).rev().collect();
    let volumes = vec![Volume { height_cm: 1_000, width_cm: 1_000, length_cm: 1_000, weight_grams: 1_000_000 }; MAX_VOLUMES];
    let full = Quote { items, asked: Some(json!({"from": "01310100", "g_h_w_l_price": asked})), volumes, ..quote() };
    let keys = keys("one");
    let token = full.seal(&keys);
    assert!(token.len() <= 20_000, "what the checkout takes: {}", token.len());
    let opened = Quote::open(&keys, &token, at(0)).expect("not too long");
    assert_eq!(opened, Quote { answer: Value::Null, ..full }, "only the carrier's words are left behind");
}

#[test]
fn a_carriers_answer_that_is_too_long_is_left_out_and_nothing_else_is() {
    let keys = keys("one");
    let wordy = Quote { answer: json!("x".repeat(MAX_WITH_ANSWER)), ..quote() };
    let token = wordy.seal(&keys);
    assert!(token.len() < 1_000);
    assert_eq!(Quote::open(&keys, &token, at(0)).expect("good"), Quote { answer: Value::Null, ..quote() });
}

#[test]
fn freight_is_free_for_a_reason_that_holds_or_it_is_paid_as_shown() {
    let cents = Money::from_cents;
    let rule = Free::Rule { min_subtotal_cents: cents(19_900) };
    let charge = |free: Option<Free>, goods: i64, coupon: bool| Quote { free, ..quote() }.charge(cents(goods), coupon);
    assert_eq!(charge(None, 0, false).expect("paid"), (cents(1_850), None));
    assert_eq!(charge(None, 0, true).expect("the coupon's"), (Money::ZERO, Some(Free::Coupon)));
    assert_eq!(charge(Some(rule), 19_900, false).expect("the rule's"), (Money::ZERO, Some(rule)));
    assert_eq!(charge(Some(rule), 19_900, true).expect("the rule's"), (Money::ZERO, Some(rule)));
    assert_eq!(charge(Some(rule), 19_899, true).expect("the coupon's"), (Money::ZERO, Some(Free::Coupon)));
    assert!(refusal(charge(Some(rule), 19_899, false)).starts_with("is free from R$ 199,00 on, and the goods are R$ 198,99"));
    assert_eq!(charge(Some(Free::Coupon), 0, true).expect("the coupon's"), (Money::ZERO, Some(Free::Coupon)));
    assert!(refusal(charge(Some(Free::Coupon), 99_999, false)).starts_with("is free with a coupon that is gone"));
    for price in [0, -1] {
        let free = Quote { price: cents(price), ..quote() };
        assert!(refusal(free.charge(cents(99_999), true)).starts_with("has no price"));
    }
    let fetched = Quote { provider: PICKUP.into(), price: Money::ZERO, ..quote() };
    assert_eq!(fetched.charge(Money::ZERO, false).expect("fetched"), (Money::ZERO, Some(Free::Pickup)));
}

proptest! {
    #[test]
    fn no_single_change_of_a_token_goes_unnoticed(place in 0_usize..1_000, byte in 32_u8..127) {
        let keys = keys("one");
        let token = quote().seal(&keys);
        let mut changed = token.clone().into_bytes();
        let place = place % changed.len();
        changed[place] = byte;
        let changed = String::from_utf8(changed).expect("printable ASCII");
        prop_assume!(changed != token);
        prop_assert!(Quote::open(&keys, &changed, at(0)).is_err());
    }

    #[test]
    fn whatever_text_comes_is_refused_and_nothing_breaks(token in "\\PC{0,200}") {
        prop_assert!(Quote::open(&keys("one"), &token, at(0)).is_err());
    }
}
