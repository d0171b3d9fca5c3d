//! A table of the books: rows in order of arrival, found by id or by when time changes them.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One thing in the books. Each change of it is one line of the journal.
pub(crate) trait Entity: Serialize + DeserializeOwned + Clone {
    const KIND: &'static str;
    fn id(&self) -> &str;
    /// When time will change it, unless something else does first.
    fn due(&self) -> Option<Timestamp>;
}

/// Rows in order of arrival, found by id.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pub(crate) rows: Vec<T>,
    by_id: HashMap<String, usize>,
    /// Those that time will change, soonest first.
    due: BTreeSet<(Timestamp, usize)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_id: HashMap::new(), due: BTreeSet::new() }
    }
}

impl<T: Entity> Table<T> {
    pub(crate) fn put(&mut self, row: T) {
        let at = *self.by_id.entry(row.id().to_owned()).or_insert(self.rows.len());
        if let Some(due) = self.rows.get(at).and_then(T::due) {
            self.due.remove(&(due, at));
        }
        if let Some(due) = row.due() {
            self.due.insert((due, at));
        }
        match self.rows.get_mut(at) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.by_id.get(id).map(|&at| &self.rows[at])
    }

    /// Those that time will change, soonest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.due.iter().map(|&(due, at)| (due, &self.rows[at]))
    }

    /// The first whose time has come.
    pub(crate) fn first_due(&self, now: Timestamp) -> Option<&T> {
        self.waiting().next().filter(|&(due, _)| due <= now).map(|(_, row)| row)
    }
}
