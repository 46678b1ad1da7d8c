//! Items that are each there once, numbered in the order in which they came and found by their key.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// A list of items of which no two have the same key. An item borrows as its key, which never changes.
pub(super) struct Numbered<T> {
    items: Vec<T>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T> Numbered<T> {
    /// The number of the item with this key; `make` makes it if there is none.
    pub(super) fn number<K>(&mut self, key: &K, make: impl FnOnce() -> T) -> u32
    where
        K: Hash + Eq + ?Sized,
        T: Borrow<K>,
    {
        let Self { items, numbers, hasher } = self;
        let same = |&number: &u32| items[number as usize].borrow() == key;
        let hash = |&number: &u32| hasher.hash_one(items[number as usize].borrow());
        match numbers.entry(hasher.hash_one(key), same, hash) {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let number = items.len() as u32;
                place.insert(number);
                items.push(make());
                number
            }
        }
    }

    /// The number of the item with this key, if there is one.
    pub(super) fn find<K>(&self, key: &K) -> Option<u32>
    where
        K: Hash + Eq + ?Sized,
        T: Borrow<K>,
    {
        let same = |&number: &u32| self.items[number as usize].borrow() == key;
        self.numbers.find(self.hasher.hash_one(key), same).copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_numbered_as_they_come_and_kept_once() {
        let mut numbered = Numbered::<Vec<u8>>::default();
        for round in 0..2 {
            for number in 0..1000 {
                let name = format!("{number}").into_bytes();
                assert_eq!(numbered.number(&name[..], || name.clone()), number, "round {round}");
            }
        }
        assert_eq!((numbered.find(&b"7"[..]), numbered.find(&b"x"[..])), (Some(7), None));
        numbered.item_mut(7);
        assert_eq!(numbered.into_items().len(), 1000);
    }
}
