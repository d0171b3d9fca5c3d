//! The services and their limits.

use vitrine_kit::Money;
use vitrine_kit::shipping::Volume;

/// The default: PAC, SEDEX and Mini Envios.
pub const DEFAULT_SERVICES: [&str; 3] = ["03298", "03220", "04227"];

/// A service and its limits; a box's sides are sorted, the longest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    max_grams: u32,
    max_sides_cm: [u32; 3],
    max_sum_cm: u32,
    pub(crate) insurance: Insurance,
}

/// The additional service for declaring a value, and its range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Insurance {
    pub(crate) code: &'static str,
    /// Up to this value the service is insured without a declaration.
    pub(crate) min: Money,
    /// The most that can be declared.
    pub(crate) max: Money,
}

const fn insurance(code: &'static str, min: i64, max: i64) -> Insurance {
    Insurance { code, min: Money::from_cents(min), max: Money::from_cents(max) }
}

const fn parcel(code: &'static str, name: &'static str, max_grams: u32, insurance: Insurance) -> Service {
    Service { code, name, max_grams, max_sides_cm: [100; 3], max_sum_cm: 200, insurance }
}

const SEDEX: (&str, i64, i64) = ("019", 2_563, 1_000_000);
const PAC: (&str, i64, i64) = ("064", 2_563, 300_000);

const SERVICES: [Service; 8] = [
    parcel("03298", "PAC", 30_000, insurance(PAC.0, PAC.1, PAC.2)),
    parcel("03220", "SEDEX", 30_000, insurance(SEDEX.0, SEDEX.1, SEDEX.2)),
    parcel("03158", "SEDEX 10", 10_000, insurance(SEDEX.0, SEDEX.1, SEDEX.2)),
    parcel("03140", "SEDEX 12", 10_000, insurance(SEDEX.0, SEDEX.1, SEDEX.2)),
    parcel("03204", "SEDEX Hoje", 10_000, insurance(SEDEX.0, SEDEX.1, SEDEX.2)),
    Service {
        code: "04227",
        name: "Mini Envios",
        max_grams: 300,
        max_sides_cm: [24, 16, 4],
        max_sum_cm: 44,
        insurance: insurance("065", 1_281, 10_000),
    },
    parcel("04162", "SEDEX", 30_000, insurance(SEDEX.0, SEDEX.1, SEDEX.2)), // of older contracts
    parcel("04669", "PAC", 30_000, insurance(PAC.0, PAC.1, PAC.2)),
];

/// The services of these codes, in the order of the table, each once. The error names an unknown code.
pub(crate) fn find(codes: &[String]) -> Result<Vec<&'static Service>, String> {
    if let Some(strange) = codes.iter().find(|code| !SERVICES.iter().any(|s| s.code == **code)) {
        let known = SERVICES.map(|s| s.code).join(", ");
        return Err(format!("{strange} is not a service that freight can be quoted for: {known}"));
    }
    let found: Vec<&Service> = SERVICES.iter().filter(|s| codes.iter().any(|code| code == s.code)).collect();
    if found.is_empty() { Err("there is no service to ask for".to_owned()) } else { Ok(found) }
}

impl Service {
    /// `volume` has its longest side as length and its shortest as height: see [`crate::plan`].
    pub(crate) fn takes(&self, volume: &Volume) -> bool {
        let sides = [volume.length_cm, volume.width_cm, volume.height_cm];
        volume.weight_grams <= self.max_grams
            && sides.iter().zip(&self.max_sides_cm).all(|(side, max)| side <= max)
            && sides.iter().map(|&side| u64::from(side)).sum::<u64>() <= u64::from(self.max_sum_cm)
    }
}
