//! What freight costs in the sandbox: the same parcel between the same regions always costs the same.

/// One closed box.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parcel {
    pub(crate) width_cm: i64,
    pub(crate) height_cm: i64,
    pub(crate) length_cm: i64,
    pub(crate) weight_grams: i64,
    pub(crate) insured_cents: i64,
}

/// A carrier's service, its tariff and its limits.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// Id, name, picture.
    pub(crate) company: (u32, &'static str, &'static str),
    base_cents: i64,
    /// For each started 100 g, in the nearest zone; every zone farther adds as much again.
    step_cents: i64,
    /// Days in the nearest zone, and for each zone farther.
    days: (i64, i64),
    pub(crate) max_grams: i64,
    max_side_cm: i64,
    pub(crate) insured_max_cents: i64,
    /// First digits of the CEPs that it does not reach.
    not_to: &'static [&'static str],
}

const CORREIOS: (u32, &str, &str) = (1, "Correios", "correios");
const JADLOG: (u32, &str, &str) = (2, "Jadlog", "jadlog");

pub(crate) const SERVICES: &[Service] = &[
    Service {
        id: 1,
        name: "PAC",
        kind: "normal",
        company: CORREIOS,
        base_cents: 1_450,
        step_cents: 18,
        days: (4, 2),
        max_grams: 30_000,
        max_side_cm: 100,
        insured_max_cents: 300_000,
        not_to: &[],
    },
    Service {
        id: 2,
        name: "SEDEX",
        kind: "express",
        company: CORREIOS,
        base_cents: 1_980,
        step_cents: 41,
        days: (2, 1),
        max_grams: 30_000,
        max_side_cm: 100,
        insured_max_cents: 1_000_000,
        not_to: &[],
    },
    Service {
        id: 3,
        name: ".Package",
        kind: "normal",
        company: JADLOG,
        base_cents: 1_290,
        step_cents: 22,
        days: (3, 2),
        max_grams: 30_000,
        max_side_cm: 100,
        insured_max_cents: 2_950_000,
        not_to: &["69", "77", "78"],
    },
    Service {
        id: 4,
        name: ".Com",
        kind: "express",
        company: JADLOG,
        base_cents: 1_890,
        step_cents: 35,
        days: (2, 2),
        max_grams: 120_000,
        max_side_cm: 150,
        insured_max_cents: 2_950_000,
        not_to: &["693", "699"],
    },
    Service {
        id: 17,
        name: "Mini Envios",
        kind: "normal",
        company: CORREIOS,
        base_cents: 920,
        step_cents: 60,
        days: (5, 2),
        max_grams: 300,
        max_side_cm: 24,
        insured_max_cents: 10_000,
        not_to: &[],
    },
];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) cents: i64,
    pub(crate) days: i64,
}

/// A price, or the carrier's own words for why there is none. Both CEPs have 8 digits.
pub(crate) fn quote(service: &Service, parcel: &Parcel, from: &str, to: &str) -> Result<Quote, &'static str> {
    let sides = [parcel.width_cm, parcel.height_cm, parcel.length_cm];
    if matches!(to, "00000000" | "99999999") || service.not_to.iter().any(|start| to.starts_with(start)) {
        return Err("Serviço indisponível para o trecho.");
    }
    if parcel.weight_grams > service.max_grams {
        return Err("Peso ultrapassa o limite da transportadora.");
    }
    if sides.iter().any(|&side| side > service.max_side_cm) {
        return Err("Dimensões do objeto ultrapassam o limite da transportadora.");
    }
    if parcel.insured_cents > service.insured_max_cents {
        return Err("Valor segurado ultrapassa o limite da transportadora.");
    }
    let cubed_grams = sides.iter().product::<i64>() / 6; // a litre counts as 167 g
    let steps = parcel.weight_grams.max(cubed_grams).max(1).unsigned_abs().div_ceil(100).cast_signed();
    let zones = zones(from, to);
    Ok(Quote {
        cents: service.base_cents + service.step_cents * steps * (1 + zones) + zones * 450 + parcel.insured_cents / 100,
        days: service.days.0 + service.days.1 * zones,
    })
}

/// How far apart the regions of two CEPs lie: 0 (the same) to 4.
fn zones(from: &str, to: &str) -> i64 {
    // Degrees south and west of the middle of each region, by the first digit of its CEPs.
    const MIDDLE: [(i64, i64); 10] =
        [(23, 46), (23, 46), (22, 43), (19, 44), (13, 39), (8, 36), (4, 45), (15, 50), (26, 49), (30, 52)];
    let middle = |cep: &str| cep.bytes().next().map_or((0, 0), |b| MIDDLE[usize::from(b.saturating_sub(b'0')).min(9)]);
    let (a, b) = (middle(from), middle(to));
    match (a.0 - b.0).pow(2) + (a.1 - b.1).pow(2) {
        0 => 0,
        1..=30 => 1,
        31..=150 => 2,
        151..=400 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(id: u32) -> &'static Service {
        SERVICES.iter().find(|s| s.id == id).expect("a known service")
    }

    fn mugs() -> Parcel {
        Parcel { width_cm: 11, height_cm: 34, length_cm: 11, weight_grams: 600, insured_cents: 18_500 }
    }

    #[test]
    fn farther_heavier_and_larger_cost_more() {
        let price = |parcel: &Parcel, to: &str| quote(service(1), parcel, "01310100", to).map(|q| q.cents);
        assert_eq!(price(&mugs(), "04001000"), Ok(1_450 + 18 * 7 + 185)); // 685 g by volume
        assert_eq!(price(&mugs(), "20040002"), Ok(1_450 + 18 * 7 * 2 + 450 + 185));
        assert_eq!(price(&mugs(), "69005000"), Ok(1_450 + 18 * 7 * 4 + 1_350 + 185));
        assert_eq!(price(&Parcel { weight_grams: 2_000, ..mugs() }, "04001000"), Ok(1_450 + 18 * 20 + 185));
    }

    #[test]
    fn a_service_refuses_what_it_does_not_carry() {
        let heavy = Parcel { weight_grams: 30_001, ..mugs() };
        let open: Vec<u32> = SERVICES.iter().filter(|s| quote(s, &heavy, "01310100", "20040002").is_ok()).map(|s| s.id).collect();
        assert_eq!(open, [4]);
        assert_eq!(quote(service(3), &mugs(), "01310100", "69005000"), Err("Serviço indisponível para o trecho."));
    }
}
