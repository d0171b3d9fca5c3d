//! cClassTrib, the classifications of IBS and CBS: the official table, as far as invoices need it (`tables/classifications.csv`).

use std::sync::LazyLock;

use jiff::civil::Date;
use serde::Deserialize;

use super::table;

/// When the table was published, as it says itself.
pub const PUBLISHED: &str = "2026-06-22";

/// CST of IBS and CBS that invoices of a shop are written with: full, at a reduced rate, without any.
pub const SITUATIONS: [&str; 3] = ["000", "200", "410"];
/// The one that bears no amounts (immunity, no incidence).
pub const WITHOUT_AMOUNTS: &str = "410";

/// By how much the rates are reduced, in hundredths of a per cent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    pub code: String,
    pub ibs_reduction: u32,
    pub cbs_reduction: u32,
    from: Date,
    until: Option<Date>,
    nfe: bool,
    /// Groups of the layout that it cannot go without, and that are not written here.
    needs: String,
}

/// Why a code cannot stand on an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is not in the table.
    Unknown,
    /// It is for other documents than the NF-e (model 55).
    OtherDocument,
    /// It belongs to a CST that is not in [`SITUATIONS`].
    OtherSituation,
    /// It needs these groups of the layout.
    Needs(&'static str),
    /// Not on that day.
    OtherDay,
}

#[derive(Deserialize)]
struct Row {
    code: String,
    nfe: String,
    ibs: u32,
    cbs: u32,
    from: Date,
    until: Option<Date>,
    needs: String,
}

static TABLE: LazyLock<Vec<Classification>> = LazyLock::new(|| {
    let rows: Vec<Row> = table::read(include_str!("tables/classifications.csv"));
    let read = |row: Row| Classification {
        code: row.code,
        ibs_reduction: row.ibs,
        cbs_reduction: row.cbs,
        from: row.from,
        until: row.until,
        nfe: row.nfe == "yes",
        needs: row.needs,
    };
    rows.into_iter().map(read).collect()
});

/// What an invoice may be written with, on whatever day.
pub fn find(code: &str) -> Result<&'static Classification, Unfit> {
    let found = TABLE.binary_search_by(|row| row.code.as_str().cmp(code)).map_err(|_| Unfit::Unknown)?;
    let row = &TABLE[found];
    match row {
        _ if !row.nfe => Err(Unfit::OtherDocument),
        _ if !SITUATIONS.iter().any(|situation| row.code.starts_with(situation)) => Err(Unfit::OtherSituation),
        _ if !row.needs.is_empty() => Err(Unfit::Needs(&row.needs)),
        _ => Ok(row),
    }
}

/// What the invoice of a sale on that day may be written with.
pub fn find_on(code: &str, day: Date) -> Result<&'static Classification, Unfit> {
    find(code).and_then(|row| if row.is_of(day) { Ok(row) } else { Err(Unfit::OtherDay) })
}

impl Classification {
    fn is_of(&self, day: Date) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        assert_eq!(TABLE.len(), 164);
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        let fit = |situation: &str| TABLE.iter().filter(|row| row.code.starts_with(situation) && find(&row.code).is_ok()).count();
        assert_eq!(SITUATIONS.map(fit), [4, 28, 21]);
        for row in TABLE.iter().filter(|row| find(&row.code).is_ok()) {
            let is_reduced = row.ibs_reduction > 0 && row.cbs_reduction > 0;
            assert_eq!(is_reduced, row.code.starts_with("200"), "{}", row.code);
            assert!(row.ibs_reduction <= 10_000 && row.cbs_reduction <= 10_000);
        }
    }

    #[test]
    fn what_cannot_stand_on_an_nfe_says_why() {
        let reduction = |code| find(code).map(|row| (row.ibs_reduction, row.cbs_reduction));
        assert_eq!((reduction("000001"), reduction("410008")), (Ok((0, 0)), Ok((0, 0))));
        assert_eq!((reduction("200003"), reduction("200034")), (Ok((10_000, 10_000)), Ok((6_000, 6_000))));
        for (code, why) in [
            ("000002", Unfit::OtherDocument),
            ("000999", Unfit::Unknown),
            ("200025", Unfit::OtherDocument),
            ("550001", Unfit::OtherSituation),
            ("200022", Unfit::Needs("gTribRegular")),
            ("410026", Unfit::Needs("gEstornoCred")),
        ] {
            assert_eq!(find(code), Err(why), "{code}");
        }
        assert_eq!(find_on("200053", date(2025, 12, 31)), Err(Unfit::OtherDay));
        assert!(find_on("200053", date(2026, 1, 1)).is_ok());
    }
}
