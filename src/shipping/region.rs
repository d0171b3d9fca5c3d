//! Regions by CEP: where a rule or a pickup applies.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Cep;

use crate::users::rules;

/// CEPs from one to another, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "01000-000", "to": "19999-999"}))]
pub struct CepRange {
    /// The first CEP.
    #[garde(custom(rules::cep))]
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    pub from: String,
    /// The last CEP; not below the first.
    #[garde(custom(rules::cep), custom(not_before(&self.from)))]
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
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

/// Whether a CEP is in one of the states or ranges. With neither: everywhere.
pub(super) fn covers(states: &[String], ranges: &[CepRange], cep: &Cep) -> bool {
    if states.is_empty() && ranges.is_empty() {
        return true;
    }
    let in_state = || states.iter().any(|wanted| wanted == cep.state());
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
