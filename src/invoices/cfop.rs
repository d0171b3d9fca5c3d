//! The CFOP: what kind of movement an item is. A product says how it is sold inside its state; the rest follows.

use crate::tax::cfop;

/// Resale inside the state: what a shop does where no product says otherwise.
const RESALE: &str = "5102";

/// The code for this sale or return. Errors say, in Portuguese, why a product's code cannot be used.
pub fn of(given: Option<&str>, is_interstate: bool, to_contributor: bool, is_return: bool) -> Result<String, String> {
    let given = given.unwrap_or(RESALE);
    // Products may have been kept with the code for other states: what they are is the same.
    let sale = cfop::find(given).ok_or_else(|| unusable(given))?;
    Ok(match (is_return, is_interstate) {
        (true, _) => format!("{}{}", if is_interstate { '2' } else { '1' }, sale.back),
        (false, false) => format!("5{}", sale.kind),
        (false, true) if to_contributor => sale.contributor.clone(),
        (false, true) => sale.consumer.clone(),
    })
}

/// MEI sells what it bought, by two codes, and takes it back by two (NT 2024.001: any other is rejection 337).
pub fn of_mei(given: Option<&str>, is_interstate: bool, is_return: bool) -> Result<String, String> {
    let given = given.unwrap_or(RESALE);
    if !matches!(given, "5102" | "6102" | "6108") {
        return Err(format!("O CFOP {given} não é de MEI: use 5102"));
    }
    let code = match (is_return, is_interstate) {
        (false, false) => "5102",
        (false, true) => "6102",
        (true, false) => "1202",
        (true, true) => "2202",
    };
    Ok(code.to_owned())
}

fn unusable(given: &str) -> String {
    format!("O CFOP {given} não é de venda: use o da venda dentro do estado, como 5102 ou 5405")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buyer_s_place_and_kind_choose_the_code() {
        let sale = |given, away, contributor| of(given, away, contributor, false).expect("a sale");
        for (given, home, away, contributor) in [
            (None, "5102", "6108", "6102"),
            (Some("5102"), "5102", "6108", "6102"),
            (Some("6108"), "5102", "6108", "6102"),
            (Some("6102"), "5102", "6108", "6102"),
            (Some("5101"), "5101", "6107", "6101"),
            (Some("5405"), "5405", "6108", "6404"),
            (Some("5403"), "5403", "6108", "6403"),
            (Some("5106"), "5106", "6108", "6106"),
        ] {
            let all = (sale(given, false, false), sale(given, true, false), sale(given, true, true));
            assert_eq!((all.0.as_str(), all.1.as_str(), all.2.as_str()), (home, away, contributor), "{given:?}");
        }
    }

    #[test]
    fn what_came_back_comes_in_by_the_code_it_went_out_with() {
        let back = |given, away| of(given, away, false, true);
        assert_eq!((back(None, false).as_deref(), back(Some("6108"), true).as_deref()), (Ok("1202"), Ok("2202")));
        assert_eq!((back(Some("5101"), false).as_deref(), back(Some("5405"), true).as_deref()), (Ok("1201"), Ok("2411")));
        assert_eq!((back(Some("5403"), false).as_deref(), back(Some("5401"), true).as_deref()), (Ok("1411"), Ok("2410")));
    }

    #[test]
    fn mei_sells_and_takes_back_by_its_own_codes() {
        for (given, away, back, code) in [
            (None, false, false, "5102"),
            (Some("6108"), true, false, "6102"),
            (Some("5102"), false, true, "1202"),
            (None, true, true, "2202"),
        ] {
            assert_eq!(of_mei(given, away, back).as_deref(), Ok(code), "{given:?}");
        }
        assert!(of_mei(Some("5101"), false, false).is_err() && of_mei(Some("5405"), false, false).is_err());
    }

    #[test]
    fn a_code_that_sells_nothing_is_refused() {
        for bad in ["1202", "7102", "", "5", "51022", "5000", "5202", "5999", "5152", "5933"] {
            assert!(of(Some(bad), false, false, false).is_err(), "{bad}");
        }
    }
}
