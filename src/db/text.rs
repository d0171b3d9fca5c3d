//! The text of statements, put together when the server is compiled: every statement is a constant that a test can read.

use tokio_postgres::types::ToSql;

/// A statement of several constants: `const FIND: &str = sql!("SELECT ", COLUMNS, " FROM orders o WHERE o.id = $1");`
macro_rules! sql {
    ($($part:expr),+ $(,)?) => {{
        const SQL_PARTS: &[&str] = &[$($part),+];
        $crate::db::text::constant!($crate::db::text::join(SQL_PARTS))
    }};
}
pub(crate) use sql;

/// A row to insert: the statement, and each value beside its column. What follows the VALUES may be added:
/// `insert!("coupons" { id: new.id, code: new.code } "RETURNING", COLUMNS)`.
macro_rules! insert {
    ($table:literal { $($column:ident: $value:expr),+ $(,)? } $($end:expr),*) => {{
        const INSERT_COLUMNS: &[&str] = &[$(stringify!($column)),+];
        const INSERT_END: &str = $crate::db::text::sql!("" $(, " ", $end)*);
        const INSERT_SQL: &str = $crate::db::text::constant!($crate::db::text::insert_row($table, INSERT_COLUMNS, INSERT_END));
        $crate::db::text::Insert { sql: INSERT_SQL, values: [$(&$value),+] }
    }};
}
pub(crate) use insert;

/// Several rows to insert, each column a list of values: `insert_all!("order_lines" { id uuid: ids, quantity int: quantities })`.
/// But for the first, the lists are read by position: `unnest` would copy each of them into a store of its own. That is for lists of some
/// dozens. (Of `generate_series` PostgreSQL believes that it makes a thousand rows, and so plans every call anew.)
macro_rules! insert_all {
    ($table:literal { $($column:ident $kind:ident: $value:expr),+ $(,)? }) => {{
        const INSERT_COLUMNS: &[&str] = &[$(stringify!($column)),+];
        const INSERT_KINDS: &[&str] = &[$(stringify!($kind)),+];
        const INSERT_SQL: &str = $crate::db::text::constant!($crate::db::text::insert_rows($table, INSERT_COLUMNS, INSERT_KINDS));
        $crate::db::text::Insert { sql: INSERT_SQL, values: [$(&$value),+] }
    }};
}
pub(crate) use insert_all;

/// The text that a `const fn` writes, as a constant of just its length.
macro_rules! constant {
    ($written:expr) => {{
        const LONG: $crate::db::text::Text = $written;
        const BYTES: [u8; LONG.length] = LONG.cut();
        match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("texts, one after the other, are a text"),
        }
    }};
}
pub(crate) use constant;

/// What [`insert!`] and [`insert_all!`] make: `db::execute(tx, row.sql, &row.values)`.
pub struct Insert<'a, const N: usize> {
    pub sql: &'static str,
    pub values: [&'a (dyn ToSql + Sync); N],
}

/// Without the values: they may be a person's.
impl<const N: usize> std::fmt::Debug for Insert<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sql)
    }
}

/// The longest statement. A longer one does not compile.
const LONGEST: usize = 8192;

/// A text that is being written.
pub(crate) struct Text {
    bytes: [u8; LONGEST],
    pub(crate) length: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    const fn add(mut self, part: &str) -> Self {
        let mut n = 0;
        while n < part.len() {
            self.bytes[self.length] = part.as_bytes()[n];
            self.length += 1;
            n += 1;
        }
        self
    }

    /// `before`, each of them, `between` them.
    const fn list(mut self, before: &str, each: &[&str], between: &str) -> Self {
        let mut n = 0;
        while n < each.len() {
            self = self.add(if n == 0 { before } else { between }).add(each[n]);
            n += 1;
        }
        self
    }

    /// `$1` and so on, as many as there are `kinds`; the `n`th of an array of its kind, unless that is empty.
    const fn parameters(mut self, kinds: &[&str]) -> Self {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let mut n = 0;
        while n < kinds.len() {
            self = self.add(if n == 0 { "" } else { ", " }).add(if kinds[n].is_empty() { "$" } else { "($" });
            n += 1;
            if n >= 10 {
                self = self.add(DIGITS[n / 10]);
            }
            self = self.add(DIGITS[n % 10]);
            if !kinds[n - 1].is_empty() {
                self = self.add("::").add(kinds[n - 1]).add("[])[n]");
            }
        }
        self
    }

    pub(crate) const fn cut<const N: usize>(&self) -> [u8; N] {
        let (mut bytes, mut n) = ([0; N], 0);
        while n < N {
            bytes[n] = self.bytes[n];
            n += 1;
        }
        bytes
    }
}

pub(crate) const fn join(parts: &[&str]) -> Text {
    Text::new().list("", parts, "")
}

pub(crate) const fn insert_row(table: &str, columns: &[&str], end: &str) -> Text {
    let nothing = [""; 100];
    let (kinds, _) = nothing.split_at(columns.len());
    let text = Text::new().add("INSERT INTO ").add(table).list(" (", columns, ", ");
    text.add(") VALUES (").parameters(kinds).add(")").add(end)
}

pub(crate) const fn insert_rows(table: &str, columns: &[&str], kinds: &[&str]) -> Text {
    let text = Text::new().add("INSERT INTO ").add(table).list(" (", columns, ", ").add(") SELECT ").parameters(kinds);
    text.add(" FROM unnest($1::").add(kinds[0]).add("[]) WITH ORDINALITY AS l (first, n)")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_statement_is_put_together_from_constants() {
        const COLUMNS: &str = "id, número";
        const FIND: &str = sql!("SELECT ", COLUMNS, " FROM t");
        assert_eq!(FIND, "SELECT id, número FROM t");
    }

    #[test]
    fn a_row_names_its_columns_and_numbers_its_values() {
        let row = insert!("t" { a: 1, b: "x" });
        assert_eq!((row.sql, row.values.len()), ("INSERT INTO t (a, b) VALUES ($1, $2)", 2));
        let row = insert!("t" { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 10, k: 11 } "RETURNING", "a");
        let wanted =
            "INSERT INTO t (a, b, c, d, e, f, g, h, i, j, k) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING a";
        assert_eq!(row.sql, wanted);
    }

    #[test]
    fn several_rows_are_lists_of_columns() {
        let rows = insert_all!("t" { a uuid: vec![1], b int: vec![2] });
        let wanted =
            "INSERT INTO t (a, b) SELECT ($1::uuid[])[n], ($2::int[])[n] FROM unnest($1::uuid[]) WITH ORDINALITY AS l (first, n)";
        assert_eq!(rows.sql, wanted);
    }
}
