//! A keyed table that remembers the order of its rows.

use std::collections::HashMap;

/// Rows by ID, listed newest first.
pub(crate) struct Table<T> {
    rows: HashMap<String, (u64, T)>,
    next: u64,
}

impl<T> Table<T> {
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(id).map(|(_, row)| row)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(id).map(|(_, row)| row)
    }

    pub(crate) fn insert(&mut self, id: &str, row: T) {
        self.rows.insert(id.to_owned(), (self.next, row));
        self.next += 1;
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        self.rows.remove(id).map(|(_, row)| row)
    }

    pub(crate) fn newest_first(&self) -> Vec<&T> {
        let mut rows: Vec<_> = self.rows.values().collect();
        rows.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    pub(crate) fn oldest(&self) -> Option<&T> {
        self.newest_first().pop()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut().map(|(_, row)| row)
    }

    pub(crate) fn find(&self, matches: impl Fn(&T) -> bool) -> Option<&T> {
        self.rows
            .values()
            .map(|(_, row)| row)
            .find(|row| matches(row))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            next: 0,
        }
    }
}
