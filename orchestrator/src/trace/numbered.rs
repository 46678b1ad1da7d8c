//! Things that are each there once, numbered in the order in which they came and found again by their hash.

use std::hash::{BuildHasher, Hash};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::PathId;
use super::paths::Paths;

/// Finds the numbers of things that are kept elsewhere. Their hashes stay here, so that growing touches none of them.
#[derive(Default)]
struct Numbers {
    table: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl Numbers {
    /// The number of the thing with this key, for which `is_it` knows its number; or `next`, and that it is new.
    fn number<K: Hash + ?Sized>(&mut self, key: &K, is_it: impl Fn(u32) -> bool, next: usize) -> (u32, bool) {
        let hash = self.hasher.hash_one(key);
        let same = |&(known, number): &(u64, u32)| known == hash && is_it(number);
        match self.table.entry(hash, same, |&(hash, _)| hash) {
            Entry::Occupied(known) => (known.get().1, false),
            Entry::Vacant(place) => {
                place.insert((hash, next as u32));
                (next as u32, true)
            }
        }
    }

    fn find<K: Hash + ?Sized>(&self, key: &K, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let same = |&(known, number): &(u64, u32)| known == hash && is_it(number);
        self.table.find(hash, same).map(|&(_, number)| number)
    }
}

/// A list of items of which no two have the same key. The key of an item never changes.
pub(super) struct Numbered<T> {
    items: Vec<T>,
    numbers: Numbers,
}

/// An item that says what it is found by.
pub(super) trait Keyed {
    type Key: Hash + Eq;

    fn key(&self) -> &Self::Key;
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: Numbers::default() }
    }
}

impl<T: Keyed> Numbered<T> {
    /// The number of the item with this key; `make` makes it if there is none.
    pub(super) fn number(&mut self, key: &T::Key, make: impl FnOnce() -> T) -> u32 {
        let Self { items, numbers } = self;
        let (number, is_new) = numbers.number(key, |number| items[number as usize].key() == key, items.len());
        if is_new {
            items.push(make());
        }
        number
    }

    /// The number of the item with this key, if there is one.
    pub(super) fn find(&self, key: &T::Key) -> Option<u32> {
        self.numbers.find(key, |number| self.items[number as usize].key() == key)
    }

    /// The item with this number.
    pub(super) fn item_mut(&mut self, number: u32) -> &mut T {
        &mut self.items[number as usize]
    }

    /// All items, in order.
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    /// All items, in order.
    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

/// Paths of which no two are the same.
#[derive(Default)]
pub(super) struct NumberedPaths {
    paths: Paths,
    numbers: Numbers,
}

impl NumberedPaths {
    /// The number of a path, which is added if it is new.
    pub(super) fn number(&mut self, path: &[u8]) -> PathId {
        let Self { paths, numbers } = self;
        let (number, is_new) = numbers.number(path, |number| paths.get(number) == path, paths.len());
        if is_new {
            paths.push(path);
        }
        number
    }

    /// The number of a path, if it is there.
    pub(super) fn find(&self, path: &[u8]) -> Option<PathId> {
        self.numbers.find(path, |number| self.paths.get(number) == path)
    }

    /// All of them, in order.
    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// All of them, in order.
    pub(super) fn into_paths(self) -> Paths {
        self.paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(u64, u32);

    impl Keyed for Item {
        type Key = u64;

        fn key(&self) -> &u64 {
            &self.0
        }
    }

    #[test]
    fn items_are_numbered_as_they_come_and_kept_once() {
        let mut numbered = Numbered::<Item>::default();
        for round in 0..2 {
            for key in 0..1000 {
                assert_eq!(numbered.number(&key, || Item(key, 0)), key as u32, "round {round}");
            }
        }
        assert_eq!((numbered.find(&7), numbered.find(&1000)), (Some(7), None));
        numbered.item_mut(7).1 = 5;
        assert_eq!(numbered.items()[7].1, 5);
        assert_eq!(numbered.into_items().len(), 1000);
    }

    #[test]
    fn paths_are_numbered_as_they_come_and_kept_once() {
        let mut numbered = NumberedPaths::default();
        for round in 0..2 {
            for number in 0..1000 {
                assert_eq!(numbered.number(format!("/{number}").as_bytes()), number, "round {round}");
            }
        }
        assert_eq!((numbered.find(b"/7"), numbered.find(b"/x")), (Some(7), None));
        assert_eq!(numbered.paths().get(7), b"/7");
        assert_eq!(numbered.into_paths().len(), 1000);
    }
}
