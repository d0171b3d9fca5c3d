//! The codes of sales of goods (CFOP), and the codes that follow from them for other states and for returns (`tables/cfop.csv`).

use std::sync::LazyLock;

use serde::Deserialize;

use super::table;

/// A kind of sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sale {
    /// The last three digits, inside the state.
    pub kind: String,
    /// The whole code of a sale to another state, to a buyer who contributes to ICMS.
    pub contributor: String,
    /// The same, to one who does not.
    pub consumer: String,
    /// The last three digits of its return.
    pub back: String,
}

static TABLE: LazyLock<Vec<Sale>> = LazyLock::new(|| table::read(include_str!("tables/cfop.csv")));

/// `None`: it is no sale's code, inside the state or to another. Both say what kind of sale it is.
pub fn find(code: &str) -> Option<&'static Sale> {
    let (first, kind) = code.split_at_checked(1)?;
    match first {
        "5" => TABLE.iter().find(|sale| sale.kind == kind),
        "6" => TABLE.iter().find(|sale| sale.contributor == code || sale.consumer == code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sale_has_its_codes_and_nothing_else_is_one() {
        assert_eq!(TABLE.len(), 24);
        for sale in TABLE.iter() {
            let own = find(&format!("5{}", sale.kind)).map(|found| &found.kind);
            assert_eq!(own, Some(&sale.kind));
            for code in [&sale.contributor, &sale.consumer] {
                assert!(code.len() == 4 && code.starts_with('6') && find(code).is_some(), "{code}");
            }
            assert!(sale.back.len() == 3 && sale.back.bytes().all(|b| b.is_ascii_digit()));
        }
        for code in ["5000", "5202", "5999", "5152", "5933", "6000", "6405", "1202", "7102", "", "5", "51022", "5107", "5108"] {
            assert_eq!(find(code), None, "{code}");
        }
        let kind = |code| find(code).map(|sale| sale.kind.as_str());
        assert_eq!((kind("6108"), kind("6107"), kind("6404")), (Some("102"), Some("101"), Some("405")));
    }
}
