//! What the law says on the day of a sale. The days, rates and sources are data: `tables/law.csv` and `tables/ibs_cbs_starts.csv`.

use std::sync::LazyLock;

use jiff::civil::Date;
use serde::Deserialize;
use vitrine_kit::nfe::Regime;

use super::table;

/// The rules between one day and the next on which some of them change. Rates are in hundredths of a per cent; `None`: the law has
/// not fixed it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Law {
    pub from: Date,
    pub ibs_state: Option<u32>,
    pub ibs_city: Option<u32>,
    pub cbs: Option<u32>,
    /// PIS and COFINS are due.
    pub pis_cofins: bool,
    /// IBS and CBS are part of the price. Before, nobody pays them.
    pub in_price: bool,
    /// Where it is written.
    pub source: String,
}

#[derive(Debug, Deserialize)]
struct Start {
    crt: u8,
    from: Date,
}

static LAWS: LazyLock<Vec<Law>> = LazyLock::new(|| table::read(include_str!("tables/law.csv")));
static STARTS: LazyLock<Vec<Start>> = LazyLock::new(|| table::read(include_str!("tables/ibs_cbs_starts.csv")));

/// The rules of that day; before the first of them, the first.
pub fn on(day: Date) -> &'static Law {
    LAWS.iter().rev().find(|law| law.from <= day).unwrap_or(&LAWS[0])
}

/// From which day on sellers of this regime name IBS and CBS, where the shop's settings do not say otherwise.
pub fn ibs_cbs_from(regime: Regime) -> Date {
    let crt = match regime {
        Regime::Simples => 1,
        Regime::SimplesExcess => 2,
        Regime::Normal => 3,
        Regime::Mei => 4,
    };
    STARTS.iter().find(|start| start.crt == crt).map_or(LAWS[0].from, |start| start.from)
}

/// The days after this one on which a rule changes, without those of the regimes' starts.
pub fn changes_after(day: Date) -> impl Iterator<Item = Date> {
    LAWS.iter().map(|law| law.from).filter(move |from| *from > day)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_table_says_what_holds_on_each_day() {
        let rates = |day| (on(day).ibs_state, on(day).ibs_city, on(day).cbs);
        assert_eq!(rates(date(2025, 6, 1)), rates(date(2026, 1, 1)));
        assert_eq!(rates(date(2026, 12, 31)), (Some(10), Some(0), Some(90)));
        assert_eq!(rates(date(2027, 1, 1)), (Some(5), Some(5), None));
        assert_eq!(rates(date(2028, 12, 31)), (Some(5), Some(5), None));
        assert_eq!(rates(date(2029, 1, 1)), (None, None, None));
        let kind = |day| (on(day).pis_cofins, on(day).in_price);
        assert_eq!((kind(date(2026, 12, 31)), kind(date(2027, 1, 1))), ((true, false), (false, true)));
        assert!(LAWS.is_sorted_by(|a, b| a.from < b.from) && LAWS.iter().all(|law| !law.source.is_empty()));
        assert_eq!(changes_after(date(2026, 12, 1)).collect::<Vec<_>>(), [date(2027, 1, 1), date(2029, 1, 1)]);
    }

    #[test]
    fn each_regime_has_its_first_day() {
        assert_eq!(STARTS.len(), 4);
        assert_eq!(ibs_cbs_from(Regime::Normal), date(2026, 1, 1));
        for regime in [Regime::Simples, Regime::SimplesExcess, Regime::Mei] {
            assert_eq!(ibs_cbs_from(regime), date(2027, 1, 4));
        }
    }
}
