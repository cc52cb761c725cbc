//! A queue that nobody can fill for the others: each owner has a line of its own, and the heads of the lines take turns.
//!
//! An owner may have as many [`Places`] as are still free, and as many bytes. So one alone gets half of them, two get a third
//! each, and whoever has none finds room. A place is taken until what has it is done with, not only until its turn.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// How much there is room for, or taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) places: usize,
    pub(crate) bytes: usize,
}

/// Who has how many places. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Places<O: Eq + Hash> {
    room: Room,
    taken: Arc<Mutex<Taken<O>>>,
}

struct Taken<O> {
    all: Room,
    /// None has no place.
    by: HashMap<O, Room>,
}

impl<O: Copy + Eq + Hash> Places<O> {
    pub(crate) fn new(room: Room) -> Self {
        let taken = Taken { all: Room::default(), by: HashMap::new() };
        Self { room, taken: Arc::new(Mutex::new(taken)) }
    }

    /// A place for something of so many bytes; None: its owner has what there is for one, or there are none for anybody.
    pub(crate) fn take(&self, owner: O, bytes: usize) -> Option<Place<O>> {
        let mut guard = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &mut *guard;
        let own = taken.by.get(&owner).copied().unwrap_or_default();
        let free = Room {
            places: self.room.places.saturating_sub(taken.all.places),
            bytes: self.room.bytes.saturating_sub(taken.all.bytes),
        };
        // The first of an owner gets one while there is any room: it may be larger than what is free.
        let fits = own.places < free.places
            && (own.bytes + bytes <= free.bytes || (own.places == 0 && free.bytes > 0));
        if !fits {
            return None;
        }
        for count in [&mut taken.all, taken.by.entry(owner).or_default()] {
            *count = Room { places: count.places + 1, bytes: count.bytes + bytes };
        }
        Some(Place { taken: Arc::clone(&self.taken), owner, bytes })
    }

    pub(crate) fn taken(&self) -> Room {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

/// Free again when this is dropped.
pub(crate) struct Place<O: Eq + Hash> {
    taken: Arc<Mutex<Taken<O>>>,
    owner: O,
    bytes: usize,
}

impl<O: Eq + Hash> Drop for Place<O> {
    fn drop(&mut self) {
        let mut guard = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &mut *guard;
        let less = |count: Room| Room { places: count.places - 1, bytes: count.bytes - self.bytes };
        taken.all = less(taken.all);
        if let Some(own) = taken.by.get_mut(&self.owner) {
            *own = less(*own);
            if own.places == 0 {
                taken.by.remove(&self.owner);
            }
        }
    }
}

/// See the module. Clones are the same queue.
pub(crate) struct FairQueue<O, T>(Arc<Shared<O, T>>);

impl<O, T> Clone for FairQueue<O, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<O, T> {
    lines: Mutex<Lines<O, T>>,
    filled: Condvar,
}

struct Lines<O, T> {
    /// With their bytes. None is empty.
    waiting: HashMap<O, VecDeque<(usize, T)>>,
    /// Each line once.
    turns: VecDeque<O>,
    is_closed: bool,
}

impl<O: Copy + Eq + Hash, T> FairQueue<O, T> {
    pub(crate) fn new() -> Self {
        let lines = Lines { waiting: HashMap::new(), turns: VecDeque::new(), is_closed: false };
        Self(Arc::new(Shared { lines: Mutex::new(lines), filled: Condvar::new() }))
    }

    fn lines(&self) -> MutexGuard<'_, Lines<O, T>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to the end of its owner's line. Given back when the queue is closed.
    pub(crate) fn push(&self, owner: O, bytes: usize, item: T) -> Result<(), T> {
        let mut lines = self.lines();
        if lines.is_closed {
            return Err(item);
        }
        let line = lines.waiting.entry(owner).or_default();
        line.push_back((bytes, item));
        if line.len() == 1 {
            lines.turns.push_back(owner);
        }
        drop(lines);
        self.0.filled.notify_one();
        Ok(())
    }

    /// What waits, one of each owner in turn, no more than fits; at least one thing, once there is one. None when the queue is
    /// closed and empty.
    pub(crate) fn take(&self, room: Room) -> Option<Vec<T>> {
        let mut lines = self.lines();
        while lines.turns.is_empty() {
            if lines.is_closed {
                return None;
            }
            lines = self.0.filled.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        Some(lines.take(room))
    }

    /// The same without waiting, maybe nothing.
    pub(crate) fn try_take(&self, room: Room) -> Vec<T> {
        self.lines().take(room)
    }

    /// Nothing goes in any more; what is in there still comes out.
    pub(crate) fn close(&self) {
        self.lines().is_closed = true;
        self.0.filled.notify_all();
    }
}

impl<O: Copy + Eq + Hash, T> Lines<O, T> {
    fn take(&mut self, room: Room) -> Vec<T> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < room.places
            && let Some(owner) = self.turns.pop_front()
        {
            let Some(line) = self.waiting.get_mut(&owner) else { continue };
            let fits = |(size, _): &mut (usize, T)| taken.is_empty() || bytes + *size <= room.bytes;
            let Some((size, item)) = line.pop_front_if(fits) else {
                // It is the first of the next taking.
                self.turns.push_front(owner);
                break;
            };
            if line.is_empty() {
                self.waiting.remove(&owner);
            } else {
                self.turns.push_back(owner);
            }
            bytes += size;
            taken.push(item);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Room = Room { places: 100, bytes: 1000 };

    fn places() -> Places<char> {
        Places::new(Room { places: 12, bytes: 120 })
    }

    #[test]
    fn one_alone_gets_half_and_whoever_comes_finds_room() {
        let (places, mut kept) = (places(), Vec::new());
        let mut taken_by = |owner| {
            let before = kept.len();
            kept.extend((0..20).map_while(|_| places.take(owner, 1)));
            kept.len() - before
        };
        assert_eq!(
            [taken_by('a'), taken_by('b'), taken_by('a'), taken_by('c'), taken_by('d')],
            [6, 3, 0, 2, 1]
        );
        assert!(places.take('e', 1).is_none());
        assert_eq!(places.taken(), Room { places: 12, bytes: 12 });
        drop(kept);
        assert_eq!(places.taken(), Room::default());
        assert!(places.taken.lock().unwrap().by.is_empty());
    }

    #[test]
    fn bytes_are_places_too_and_something_large_has_one_while_there_is_room() {
        let places = places();
        let first = places.take('a', 60).unwrap();
        assert!(places.take('a', 1).is_none(), "more than what is left for others");
        let large = places.take('b', 1000).expect("larger than all of them, and the only one of its owner");
        assert!(places.take('c', 1).is_none());
        drop(large);
        assert!(places.take('c', 1).is_some());
        drop(first);
    }

    fn queue(items: &[(char, u32)]) -> FairQueue<char, u32> {
        let queue = FairQueue::new();
        for (owner, item) in items {
            queue.push(*owner, 10, *item).unwrap();
        }
        queue
    }

    #[test]
    fn owners_take_turns_and_each_keeps_its_order() {
        let queue = queue(&[('a', 0), ('a', 1), ('a', 2), ('a', 3), ('b', 10), ('c', 20)]);
        assert_eq!(queue.take(Room { places: 2, bytes: 1000 }).unwrap(), [0, 10]);
        queue.push('b', 10, 11).unwrap();
        assert_eq!(queue.take(ALL).unwrap(), [20, 1, 11, 2, 3]);
        assert!(queue.try_take(ALL).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_the_first_of_the_next_and_alone_if_it_must() {
        let queue = queue(&[('a', 0), ('a', 2), ('b', 1)]);
        queue.push('c', 500, 3).unwrap();
        assert_eq!(queue.take(Room { places: 10, bytes: 20 }).unwrap(), [0, 1]);
        assert_eq!(queue.take(Room { places: 10, bytes: 20 }).unwrap(), [3]);
        assert_eq!(queue.take(Room { places: 10, bytes: 20 }).unwrap(), [2]);
    }

    #[test]
    fn what_is_in_a_closed_queue_still_comes_out() {
        let queue = queue(&[('a', 1)]);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| (queue.take(ALL), queue.take(ALL)));
            queue.close();
            assert_eq!(taker.join().unwrap(), (Some(vec![1]), None));
        });
        assert_eq!(queue.push('a', 10, 2), Err(2));
    }
}
