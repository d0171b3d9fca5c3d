//! The codes that invoices are written with here. What others would bear is not worked out, so the doors refuse them.

/// CSOSN that bear no amount here. MEI has others (NT 2024.001: any other of its is rejection 782).
pub const OF_SIMPLES: &[&str] = &["102", "103", "300", "400", "500"];
pub const OF_MEI: &[&str] = &["102", "300", "400", "900"];
/// Of either.
const CSOSN: [&str; 6] = ["102", "103", "300", "400", "500", "900"];

/// CST of ICMS.
const ICMS: [&str; 6] = ["00", "20", "40", "41", "50", "60"];

/// CST of PIS and COFINS that bear an amount here, and those that bear none.
pub const TAXED: [&str; 2] = ["01", "02"];
pub const UNTAXED: [&str; 8] = ["04", "05", "06", "07", "08", "09", "49", "99"];

pub(super) fn csosn(code: &str, (): &()) -> garde::Result {
    one_of(code, &[&CSOSN])
}

pub(super) fn icms(code: &str, (): &()) -> garde::Result {
    one_of(code, &[&ICMS])
}

pub(super) fn contribution(code: &str, (): &()) -> garde::Result {
    one_of(code, &[&TAXED, &UNTAXED])
}

fn one_of(code: &str, lists: &[&[&str]]) -> garde::Result {
    if lists.iter().any(|list| list.contains(&code)) {
        return Ok(());
    }
    Err(garde::Error::new(format!("must be one that this shop writes on invoices: {}", lists.concat().join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_an_invoice_is_written_with() {
        assert!(OF_SIMPLES.iter().chain(OF_MEI).all(|code| csosn(code, &()).is_ok()));
        assert!(CSOSN.iter().all(|code| OF_SIMPLES.contains(code) || OF_MEI.contains(code)));
        for code in ["101", "201", "202", "203", "1x2", "", "10"] {
            assert!(csosn(code, &()).is_err(), "{code}");
        }
        for code in ["10", "30", "51", "70", "90", "0"] {
            assert!(icms(code, &()).is_err(), "{code}");
        }
        for code in ["03", "50", "70", "98", "1"] {
            assert!(contribution(code, &()).is_err(), "{code}");
        }
        assert_eq!(
            contribution("50", &()).expect_err("refused").to_string(),
            "must be one that this shop writes on invoices: 01, 02, 04, 05, 06, 07, 08, 09, 49, 99"
        );
    }
}
