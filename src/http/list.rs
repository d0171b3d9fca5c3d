//! A page of rows, at an offset or after a cursor.

use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use tokio_postgres::types::ToSql;

use super::page::{self, List};
use crate::db;
use crate::error::{Error, Result};

/// Totals are counted up to here, so that no page of a list reads a whole table. This number means: so many, or more.
pub const COUNTED_MAX: i64 = 10_000;

/// Where a page of a list begins: at an offset, or after a cursor.
#[derive(Debug)]
pub struct Place<Key> {
    limit: i64,
    offset: i64,
    after: Option<Key>,
}

impl<Key: DeserializeOwned> Place<Key> {
    /// Errors: 422 a value is out of bounds, or the cursor is not one of this list.
    pub fn of(limit: Option<i64>, offset: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        let (limit, offset) = page::bounds(limit, offset)?;
        let after: Option<Key> = cursor.map(page::read_cursor).transpose()?;
        Ok(Self { limit, offset: if after.is_some() { 0 } else { offset }, after })
    }
}

/// The fewest letters that a part of a text is looked up by: the index of parts knows three letters at a time.
const PART_MIN: usize = 3;

/// What a search for a part of a text asks for: `None` where nothing was typed.
///
/// Errors: 422 fewer than three characters.
pub fn part(q: Option<&str>) -> Result<Option<&str>> {
    let q = q.map(str::trim).filter(|q| !q.is_empty());
    match q {
        Some(q) if q.chars().count() < PART_MIN => Err(Error::field("q", format!("must have at least {PART_MIN} characters"))),
        q => Ok(q),
    }
}

/// The pattern of `LIKE` for texts that hold these words.
pub fn holding(words: &str) -> String {
    format!("%{}%", words.trim().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// No letter is behind this one: what begins with a text lies between it and it with this letter.
pub fn last_letter() -> String {
    char::MAX.to_string()
}

/// A page of rows, newest first. `sql` takes `filters`, then the cursor's key, the limit and the offset; `count` takes `filters`, then
/// up to how many it counts.
pub async fn list_page<Key, Item>(
    db: &impl GenericClient,
    (sql, count): (&str, &str),
    filters: &[&(dyn ToSql + Sync)],
    place: &Place<Key>,
    read: impl Fn(&tokio_postgres::Row) -> (Key, Item),
) -> Result<List<Item>>
where
    Key: ToSql + Sync + serde::Serialize,
    Option<Key>: ToSql + Sync,
{
    let one_more = place.limit + 1;
    let own: [&(dyn ToSql + Sync); 3] = [&place.after, &one_more, &place.offset];
    let rows = db::query(db, sql, &[filters, &own].concat()).await?;
    let total: i64 = db::query_one(db, count, &[filters, &[&COUNTED_MAX]].concat()).await?.get(0);
    let has_more = rows.len() as i64 > place.limit;
    let mut read: Vec<(Key, Item)> = rows.iter().take(place.limit as usize).map(read).collect();
    let next_cursor = read.last().filter(|_| has_more).map(|(key, _)| page::cursor_of(key));
    let items = read.drain(..).map(|(_, item)| item).collect();
    Ok(List { items, total, limit: place.limit, offset: place.offset, next_cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_holds_no_sign_of_a_pattern() {
        assert_eq!(holding(" 50%_\\ "), "%50\\%\\_\\\\%");
    }

    #[test]
    fn a_blank_part_is_none_and_a_short_one_is_refused() {
        assert!(matches!((part(None), part(Some("  ")), part(Some(" ana "))), (Ok(None), Ok(None), Ok(Some("ana")))));
        assert!(matches!(part(Some("an ")), Err(Error::Invalid(_))));
    }
}
