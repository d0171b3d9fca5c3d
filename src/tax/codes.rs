//! The codes that invoices are written with here. What others would bear is not worked out, so the doors refuse them.

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::classifications::SITUATIONS;
use crate::words::schema_of;

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

/// As the document shows them. A form sends an empty text for what was not chosen: it is an absent one.
fn shown(what: &str, lists: &[&[&str]]) -> RefOr<Schema> {
    schema_of(what, lists.concat().into_iter().chain([""]))
}

pub(super) enum Csosn {}

impl PartialSchema for Csosn {
    fn schema() -> RefOr<Schema> {
        shown("A CSOSN that invoices are written with here. Empty is taken as null.", &[&CSOSN])
    }
}

impl ToSchema for Csosn {}

pub(super) enum IcmsCst {}

impl PartialSchema for IcmsCst {
    fn schema() -> RefOr<Schema> {
        shown("A CST of ICMS that invoices are written with here. Empty is taken as null.", &[&ICMS])
    }
}

impl ToSchema for IcmsCst {}

pub(super) enum ContributionCst {}

impl PartialSchema for ContributionCst {
    fn schema() -> RefOr<Schema> {
        shown("A CST of PIS and COFINS that invoices are written with here. Empty is taken as null.", &[&TAXED, &UNTAXED])
    }
}

impl ToSchema for ContributionCst {}

pub(super) enum UntaxedCst {}

impl PartialSchema for UntaxedCst {
    fn schema() -> RefOr<Schema> {
        shown("A CST of PIS and COFINS that bears no amount. Empty is taken as null.", &[&UNTAXED])
    }
}

impl ToSchema for UntaxedCst {}

pub(super) enum IbsCbsCst {}

impl PartialSchema for IbsCbsCst {
    fn schema() -> RefOr<Schema> {
        shown("A CST of IBS and CBS that invoices are written with here. Empty is taken as null.", &[&SITUATIONS])
    }
}

impl ToSchema for IbsCbsCst {}

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
