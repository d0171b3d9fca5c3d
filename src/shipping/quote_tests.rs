use proptest::prelude::*;
use secrecy::SecretString;
use std::time::Duration;

use super::*;
use crate::config::AuthConfig;

fn keys(secret: &str) -> Keys {
    let auth = AuthConfig {
        jwt_secret: SecretString::from(secret),
        jwt_ttl: Duration::from_secs(1),
        refresh_ttl: Duration::from_secs(1),
        data_keys: Vec::new(),
        first_admin: None,
    };
    Keys::new(&auth).expect("no data key can be bad")
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
    }
}

/// The text of the one field that is wrong.
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
fn it_fits_these_items_in_any_order_and_this_cep_alone() {
    let (a, b) = ((variant(1), 2), (variant(2), 1));
    quote().fits(&[b, a], "01310100").expect("the order of the lines does not matter");
    for items in [vec![a], vec![a, (variant(2), 2)], vec![a, b, (variant(3), 1)], vec![a, (variant(3), 1)], vec![a, a], vec![]] {
        assert!(refusal(quote().fits(&items, "01310100")).starts_with("is for other items"));
    }
    assert!(refusal(quote().fits(&[a, b], "01310101")).starts_with("is for another CEP"));
}

#[test]
fn the_record_tells_what_was_asked_and_answered() {
    let record = quote().record();
    assert_eq!(record["items"][0], json!({"variant_id": variant(1), "quantity": 2}));
    assert_eq!((&record["price_cents"], &record["service_code"]), (&json!(1_850), &json!("1")));
    assert_eq!(record["asked"]["g_h_w_l_price"][1], json!([100, 1, 2, 3, 900]));
    assert_eq!(record["expires_at"], "1970-01-01T00:16:40Z");
}

#[test]
fn the_fullest_cart_still_makes_a_token_that_we_take_back() {
    let asked: Vec<Value> = (0..100).map(|_| json!([1_000_000, 1_000, 1_000, 1_000, 100_000_000_000_i64])).collect();
    let items = (0..100).map(|n| QuotedItem { variant: variant(u128::MAX - n), quantity: 9_999 }).rev().collect();
    let full = Quote { items, asked: Some(json!({"from": "01310100", "g_h_w_l_price": asked})), ..quote() };
    let keys = keys("one");
    assert_eq!(Quote::open(&keys, &full.seal(&keys), at(0)).expect("not too long"), full);
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
