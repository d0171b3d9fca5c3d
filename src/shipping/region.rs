//! Regions by CEP: where a rule or a pickup applies.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Cep;

use crate::users::rules;

/// First and last five digits of each state's CEPs.
const STATES: [(&str, &str, &str); 31] = [
    ("SP", "01000", "19999"),
    ("RJ", "20000", "28999"),
    ("ES", "29000", "29999"),
    ("MG", "30000", "39999"),
    ("BA", "40000", "48999"),
    ("SE", "49000", "49999"),
    ("PE", "50000", "56999"),
    ("AL", "57000", "57999"),
    ("PB", "58000", "58999"),
    ("RN", "59000", "59999"),
    ("CE", "60000", "63999"),
    ("PI", "64000", "64999"),
    ("MA", "65000", "65999"),
    ("PA", "66000", "68899"),
    ("AP", "68900", "68999"),
    ("AM", "69000", "69299"),
    ("RR", "69300", "69399"),
    ("AM", "69400", "69899"),
    ("AC", "69900", "69999"),
    ("DF", "70000", "72799"),
    ("GO", "72800", "72999"),
    ("DF", "73000", "73699"),
    ("GO", "73700", "76799"),
    ("RO", "76800", "76999"),
    ("TO", "77000", "77999"),
    ("MT", "78000", "78899"),
    ("RO", "78900", "78999"),
    ("MS", "79000", "79999"),
    ("PR", "80000", "87999"),
    ("SC", "88000", "89999"),
    ("RS", "90000", "99999"),
];

/// CEPs from one to another, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CepRange {
    #[garde(custom(rules::cep))]
    pub from: String,
    #[garde(custom(rules::cep), custom(not_before(&self.from)))]
    pub to: String,
}

fn not_before(from: &str) -> impl FnOnce(&str, &()) -> garde::Result + '_ {
    move |to, ()| match (Cep::parse(from), Cep::parse(to)) {
        (Ok(from), Ok(to)) if to.as_str() < from.as_str() => Err(garde::Error::new("must not be below from")),
        _ => Ok(()),
    }
}

/// In capitals, for comparing.
pub(super) fn states(states: &[String], (): &()) -> garde::Result {
    match states.iter().find(|state| !rules::STATES.contains(&state.as_str())) {
        Some(_) => Err(garde::Error::new("must be states in capitals, such as SP")),
        None => Ok(()),
    }
}

/// The state of a CEP; `None` for a CEP of no state.
pub fn state_of(cep: &Cep) -> Option<&'static str> {
    let start = &cep.as_str()[..5];
    STATES.iter().find(|(_, first, last)| (*first..=*last).contains(&start)).map(|(state, ..)| *state)
}

/// The region of a CEP: its first three digits, all in one state. Past prices are kept by it.
pub fn region_of(cep: &Cep) -> &str {
    &cep.as_str()[..3]
}

/// Whether a CEP is in one of the states or ranges. With neither: everywhere.
pub(super) fn covers(states: &[String], ranges: &[CepRange], cep: &Cep) -> bool {
    if states.is_empty() && ranges.is_empty() {
        return true;
    }
    let in_state = || state_of(cep).is_some_and(|state| states.iter().any(|wanted| wanted == state));
    // A range that cannot be read covers nothing, so that a mistake gives no freight away.
    let inside = |range: &CepRange| match (Cep::parse(&range.from), Cep::parse(&range.to)) {
        (Ok(from), Ok(to)) => (from.as_str()..=to.as_str()).contains(&cep.as_str()),
        _ => false,
    };
    in_state() || ranges.iter().any(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cep(text: &str) -> Cep {
        Cep::parse(text).expect("a test writes it well")
    }

    #[test]
    fn every_state_is_found_by_its_ceps_and_the_table_has_no_overlap() {
        for (text, state) in [
            ("01310-100", "SP"),
            ("19999-999", "SP"),
            ("20000-000", "RJ"),
            ("29010-000", "ES"),
            ("68899-999", "PA"),
            ("68900-000", "AP"),
            ("69301-000", "RR"),
            ("69400-000", "AM"),
            ("69900-000", "AC"),
            ("70040-010", "DF"),
            ("72800-000", "GO"),
            ("73000-000", "DF"),
            ("76801-000", "RO"),
            ("99999-999", "RS"),
        ] {
            assert_eq!(state_of(&cep(text)), Some(state), "{text}");
        }
        assert_eq!(state_of(&cep("00999-999")), None);
        assert_eq!(region_of(&cep("68899-999")), "688");
        let apart = |pair: &[(&str, &str, &str)]| pair[0].2[..3] != pair[1].1[..3];
        assert!(STATES.windows(2).all(apart), "a region is of one state");
        assert!(STATES.windows(2).all(|pair| pair[0].2 < pair[1].1), "in order, apart");
        assert!(rules::STATES.iter().all(|state| STATES.iter().any(|(known, ..)| known == state)));
    }

    #[test]
    fn a_region_is_states_and_ranges_together_and_nothing_is_everywhere() {
        let rio = ["RJ".to_owned()];
        let paulista = [CepRange { from: "01310-000".into(), to: "01310999".into() }];
        assert!(covers(&[], &[], &cep("69900-000")));
        assert!(covers(&rio, &[], &cep("20040-002")) && !covers(&rio, &[], &cep("01310-100")));
        assert!(covers(&rio, &paulista, &cep("01310-100")) && covers(&rio, &paulista, &cep("20040-002")));
        assert!(covers(&[], &paulista, &cep("01310-999")) && !covers(&[], &paulista, &cep("01311-000")));
        let broken = [CepRange { from: "x".into(), to: "99999-999".into() }];
        assert!(!covers(&[], &broken, &cep("01310-100")));
    }
}
