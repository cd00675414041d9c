//! A bounded queue with the newest state of each alert, in order of arrival.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::metric::Labels;

/// One encoded alert.
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

/// The outcome of [`Queue::push`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    /// It replaced an older state of the same alert.
    Coalesced,
    /// The queue was full; the oldest alert was dropped.
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

    /// Removes and returns up to `max` alerts, oldest first.
    pub(super) fn take(&mut self, max: usize) -> Vec<Item> {
        let n = max.min(self.order.len());
        self.order
            .drain(..n)
            .filter_map(|fingerprint| self.items.remove(&fingerprint))
            .collect()
    }

    /// Puts alerts that could not be sent back to the front, unless a newer state is queued or the
    /// queue is full. Returns how many were dropped because the queue was full.
    pub(super) fn requeue(&mut self, items: Vec<Item>) -> usize {
        let mut dropped = 0;
        for item in items.into_iter().rev() {
            if self.items.contains_key(&item.fingerprint) {
                continue;
            }
            if self.items.len() >= self.capacity {
                dropped += 1;
                continue;
            }
            self.order.push_front(item.fingerprint);
            self.items.insert(item.fingerprint, item);
        }
        dropped
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
    fn a_full_queue_drops_the_oldest() {
        let mut queue = Queue::new(2);
        queue.push(item(1, "one"));
        queue.push(item(2, "two"));
        assert_eq!(queue.push(item(3, "three")), Pushed::Overflowed);
        assert_eq!(states(&queue.take(10)), [b"two" as &[u8], b"three"]);
    }

    #[test]
    fn a_requeued_alert_does_not_replace_a_newer_state() {
        let mut queue = Queue::new(3);
        queue.push(item(1, "old"));
        queue.push(item(2, "two"));
        let failed = queue.take(2);
        queue.push(item(1, "new"));
        queue.push(item(3, "three"));
        assert_eq!(queue.requeue(failed), 0);
        assert_eq!(states(&queue.take(10)), [b"two" as &[u8], b"new", b"three"]);
    }

    #[test]
    fn a_requeued_alert_that_finds_no_room_is_counted() {
        let mut queue = Queue::new(1);
        queue.push(item(1, "one"));
        let failed = queue.take(1);
        queue.push(item(2, "two"));
        assert_eq!(queue.requeue(failed), 1);
        assert_eq!(queue.len(), 1);
    }
}
