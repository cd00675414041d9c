//! The newest state of each alert, in order of arrival, bounded.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::metric::Labels;

/// One alert, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) fingerprint: u64,
    /// The JSON object.
    pub(super) json: Bytes,
    /// For the log.
    pub(super) labels: Labels,
}

#[derive(Debug)]
pub(super) struct Queue {
    order: VecDeque<u64>,
    items: HashMap<u64, Item>,
    capacity: usize,
}

/// What became of an item that was put into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    /// It took the place of an older state of the same alert.
    Coalesced,
    /// The oldest other alert had to go.
    Overflowed,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            order: VecDeque::new(),
            items: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn push(&mut self, item: Item) -> Pushed {
        let fingerprint = item.fingerprint;
        if self.items.insert(fingerprint, item).is_some() {
            return Pushed::Coalesced;
        }
        self.order.push_back(fingerprint);
        if self.items.len() <= self.capacity {
            return Pushed::Queued;
        }
        if let Some(oldest) = self.order.pop_front() {
            self.items.remove(&oldest);
        }
        Pushed::Overflowed
    }

    /// Takes the oldest alerts out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Item> {
        let n = most.min(self.order.len());
        let taken = self.order.drain(..n);
        taken
            .filter_map(|fingerprint| self.items.remove(&fingerprint))
            .collect()
    }

    /// Puts alerts that could not be sent back in front, unless a newer state waits already or there is no room.
    ///
    /// Returns how many found no room.
    pub(super) fn give_back(&mut self, items: Vec<Item>) -> usize {
        let mut lost = 0;
        for item in items.into_iter().rev() {
            if self.items.contains_key(&item.fingerprint) {
                continue;
            }
            if self.items.len() >= self.capacity {
                lost += 1;
                continue;
            }
            self.order.push_front(item.fingerprint);
            self.items.insert(item.fingerprint, item);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Pushed, Queue};
    use crate::metric::Labels;
    use bytes::Bytes;

    fn item(fingerprint: u64, state: &'static str) -> Item {
        Item {
            fingerprint,
            json: Bytes::from_static(state.as_bytes()),
            labels: Labels::empty(),
        }
    }

    fn states(items: &[Item]) -> Vec<&[u8]> {
        items.iter().map(|item| &*item.json).collect()
    }

    #[test]
    fn the_newest_state_wins_and_keeps_its_place() {
        let mut queue = Queue::new(10);
        assert_eq!(queue.push(item(1, "firing")), Pushed::Queued);
        assert_eq!(queue.push(item(2, "firing")), Pushed::Queued);
        assert_eq!(queue.push(item(1, "resolved")), Pushed::Coalesced);
        assert_eq!(states(&queue.take(10)), [b"resolved" as &[u8], b"firing"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let mut queue = Queue::new(2);
        queue.push(item(1, "one"));
        queue.push(item(2, "two"));
        assert_eq!(queue.push(item(3, "three")), Pushed::Overflowed);
        assert_eq!(states(&queue.take(10)), [b"two" as &[u8], b"three"]);
    }

    #[test]
    fn a_newer_state_beats_one_that_comes_back() {
        let mut queue = Queue::new(3);
        queue.push(item(1, "old"));
        queue.push(item(2, "two"));
        let failed = queue.take(2);
        queue.push(item(1, "new"));
        queue.push(item(3, "three"));
        assert_eq!(queue.give_back(failed), 0);
        assert_eq!(states(&queue.take(10)), [b"two" as &[u8], b"new", b"three"]);
    }

    #[test]
    fn what_finds_no_room_on_its_way_back_is_counted() {
        let mut queue = Queue::new(1);
        queue.push(item(1, "one"));
        let failed = queue.take(1);
        queue.push(item(2, "two"));
        assert_eq!(queue.give_back(failed), 1);
        assert_eq!(queue.len(), 1);
    }
}
