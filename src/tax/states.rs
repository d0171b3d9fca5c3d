//! What differs from state to state: the code in keys, the ICMS rates, the time in which an invoice may be cancelled.

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::words::schema_of;

/// Its two capitals, as the document shows them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateCode {}

impl PartialSchema for StateCode {
    fn schema() -> RefOr<Schema> {
        schema_of("A state of Brazil, or the Distrito Federal.", STATES.iter().map(|state| state.abbreviation))
    }
}

impl ToSchema for StateCode {}

/// One of the 27.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub abbreviation: &'static str,
    /// The IBGE's code, the first two digits of its cities'.
    pub code: &'static str,
    /// The general internal ICMS rate of 2026, in hundredths of a per cent. States change it: the settings outweigh it.
    pub icms_rate: u32,
    /// South and Southeast without Espírito Santo: goods leave at 7 % to all others (Senate resolution 22/1989).
    is_rich: bool,
}

const fn state(abbreviation: &'static str, code: &'static str, icms_rate: u32, is_rich: bool) -> State {
    State { abbreviation, code, icms_rate, is_rich }
}

const STATES: [State; 27] = [
    state("AC", "12", 1900, false),
    state("AL", "27", 1900, false),
    state("AM", "13", 2000, false),
    state("AP", "16", 1800, false),
    state("BA", "29", 2050, false),
    state("CE", "23", 2000, false),
    state("DF", "53", 2000, false),
    state("ES", "32", 1700, false),
    state("GO", "52", 1900, false),
    state("MA", "21", 2300, false),
    state("MG", "31", 1800, true),
    state("MS", "50", 1700, false),
    state("MT", "51", 1700, false),
    state("PA", "15", 1900, false),
    state("PB", "25", 2000, false),
    state("PE", "26", 2050, false),
    state("PI", "22", 2250, false),
    state("PR", "41", 1950, true),
    state("RJ", "33", 2000, true),
    state("RN", "24", 2000, false),
    state("RO", "11", 1950, false),
    state("RR", "14", 2000, false),
    state("RS", "43", 1700, true),
    state("SC", "42", 1700, true),
    state("SE", "28", 1900, false),
    state("SP", "35", 1800, true),
    state("TO", "17", 2000, false),
];

/// By its two capitals.
pub fn find(abbreviation: &str) -> Option<&'static State> {
    STATES.iter().find(|state| state.abbreviation == abbreviation)
}

/// The ICMS rate between two states: 4 % for what was imported or is mostly so (origins 1, 2, 3 and 8, Senate resolution
/// 13/2012), 7 % from the South and Southeast to the others, 12 % else.
pub fn interstate_rate(from: &State, to: &State, origin: u8) -> u32 {
    match origin {
        1 | 2 | 3 | 8 => 400,
        _ if from.is_rich && !to.is_rich => 700,
        _ => 1200,
    }
}

/// For how many hours after its authorisation an invoice may be cancelled (Ajuste SINIEF 07/2005: 24; Mato Grosso: 2).
pub fn cancel_hours(abbreviation: &str) -> u32 {
    if abbreviation == "MT" { 2 } else { 24 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(from: &str, to: &str, origin: u8) -> u32 {
        interstate_rate(find(from).expect("a state"), find(to).expect("a state"), origin)
    }

    #[test]
    fn every_state_is_there_once() {
        let mut codes: Vec<_> = STATES.iter().map(|s| s.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!((codes.len(), STATES.iter().filter(|s| s.is_rich).count()), (27, 6));
        assert!(find("sp").is_none() && find("").is_none());
    }

    #[test]
    fn the_rate_depends_on_both_ends_and_on_where_the_goods_come_from() {
        assert_eq!((rate("SP", "BA", 0), rate("SP", "ES", 0), rate("SP", "RJ", 0)), (700, 700, 1200));
        assert_eq!((rate("BA", "SP", 0), rate("BA", "CE", 5), rate("ES", "BA", 0)), (1200, 1200, 1200));
        for imported in [1, 2, 3, 8] {
            assert_eq!(rate("SP", "BA", imported), 400);
        }
    }
}
