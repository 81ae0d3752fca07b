//! The newest of something that only grows, kept in memory while somebody follows it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::audit::Position;

/// The newest items, and everybody who follows them.
pub struct Tail<T> {
    state: Mutex<State<T>>,
    /// How far it has come.
    moved: watch::Sender<Position>,
    /// Told when somebody has it begin.
    begun: Notify,
    items_max: usize,
    bytes_max: usize,
}

struct State<T> {
    followers: usize,
    /// `None` while nobody follows.
    kept: Option<Kept<T>>,
}

struct Kept<T> {
    /// Everything after this place, up to `to`, is in `items`.
    from: Position,
    to: Position,
    /// By position, each with its size.
    items: VecDeque<(Position, usize, Arc<T>)>,
    bytes: usize,
}

impl<T> Tail<T> {
    /// Keeps at most so many items, of so many bytes together.
    pub fn new(items_max: usize, bytes_max: usize) -> Tail<T> {
        let state = Mutex::new(State { followers: 0, kept: None });
        Tail { state, moved: watch::Sender::new(Position(0)), begun: Notify::new(), items_max, bytes_max }
    }

    /// One more follower; from its first one on, a tail that has begun keeps what is new.
    pub fn follow(self: &Arc<Self>) -> Follower<T> {
        self.state().followers += 1;
        Follower { tail: self.clone(), moved: self.moved.subscribe() }
    }

    /// Begins to keep what comes after `newest`, unless it has begun already; tells how far it has come.
    pub fn begin(&self, newest: Position) -> Position {
        let mut state = self.state();
        let reached = state.kept.get_or_insert(Kept { from: newest, to: newest, items: VecDeque::new(), bytes: 0 }).to;
        drop(state);
        self.begun.notify_one();
        reached
    }

    /// Waits until it may have begun, for the worker; what began before this is told too.
    pub async fn begun(&self) {
        self.begun.notified().await;
    }

    /// How far it has come; `None` before it has begun.
    pub fn reached(&self) -> Option<Position> {
        self.state().kept.as_ref().map(|kept| kept.to)
    }

    /// The same for the worker, which lets go of everything once nobody follows.
    pub fn reached_or_rest(&self) -> Option<Position> {
        let mut state = self.state();
        if state.followers == 0 {
            state.kept = None;
        }
        state.kept.as_ref().map(|kept| kept.to)
    }

    /// The newest item that is kept.
    pub fn last(&self) -> Option<Arc<T>> {
        self.state().kept.as_ref()?.items.back().map(|(_, _, item)| item.clone())
    }

    /// Keeps `items`, each with its position and size in bytes: all there is up to `to`, in order. The oldest make room.
    pub fn keep(&self, items: impl Iterator<Item = (Position, usize, T)>, to: Position) {
        let mut state = self.state();
        let Some(kept) = &mut state.kept else { return };
        for (position, bytes, item) in items {
            kept.bytes += bytes;
            kept.items.push_back((position, bytes, Arc::new(item)));
        }
        kept.to = to;
        while kept.items.len() > self.items_max || kept.bytes > self.bytes_max {
            let Some((position, bytes, _)) = kept.items.pop_front() else { break };
            kept.from = position;
            kept.bytes -= bytes;
        }
        drop(state);
        self.moved.send_replace(to);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a follower finds after its place.
#[derive(Debug, PartialEq)]
pub enum Found<T> {
    /// These items, and nothing else up to the position.
    Items(Vec<Arc<T>>, Position),
    /// What comes next is kept no more.
    Gone,
}

/// One who follows a tail. Dropped, it follows no more.
pub struct Follower<T> {
    tail: Arc<Tail<T>>,
    moved: watch::Receiver<Position>,
}

impl<T> Follower<T> {
    /// Up to `most` items after a place, and no more than the first that makes it more than so many bytes.
    pub fn after(&mut self, place: Position, most: usize, bytes_max: usize) -> Found<T> {
        // Marked before looking, so that what comes while we look is not waited for in vain.
        self.moved.mark_unchanged();
        let state = self.tail.state();
        let Some(kept) = &state.kept else { return Found::Gone };
        if place < kept.from {
            return Found::Gone;
        }
        let first = kept.items.partition_point(|(position, _, _)| *position <= place);
        let mut bytes = 0;
        let taken = kept.items.range(first..).take(most).take_while(|(_, size, _)| {
            let room = bytes < bytes_max;
            bytes += size;
            room
        });
        let items: Vec<Arc<T>> = taken.map(|(_, _, item)| item.clone()).collect();
        let to = match kept.items.get(first + items.len()) {
            Some(_) => kept.items[first + items.len() - 1].0,
            None => kept.to.max(place),
        };
        Found::Items(items, to)
    }

    /// Waits until there is more than `after` has last found.
    pub async fn moved(&mut self) {
        if self.moved.changed().await.is_err() {
            std::future::pending::<()>().await; // the tail lives as long as we do
        }
    }
}

impl<T> Drop for Follower<T> {
    fn drop(&mut self) {
        self.tail.state().followers -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(items_max: usize) -> (Arc<Tail<i64>>, Follower<i64>) {
        let tail = Arc::new(Tail::new(items_max, 1_000));
        let follower = tail.follow();
        tail.begin(Position(10));
        (tail, follower)
    }

    fn keep(tail: &Tail<i64>, positions: &[i64], to: i64) {
        tail.keep(positions.iter().map(|position| (Position(*position), 100, *position)), Position(to));
    }

    fn items(found: Found<i64>) -> (Vec<i64>, i64) {
        match found {
            Found::Items(items, to) => (items.iter().map(|item| **item).collect(), to.0),
            Found::Gone => panic!("gone"),
        }
    }

    #[test]
    fn a_follower_finds_what_comes_after_its_place_a_page_at_a_time() {
        let (tail, mut follower) = tail(100);
        assert_eq!(items(follower.after(Position(10), 2, 1_000)), (vec![], 10));
        keep(&tail, &[11, 13, 14], 16);
        assert_eq!(items(follower.after(Position(10), 2, 1_000)), (vec![11, 13], 13));
        assert_eq!(items(follower.after(Position(13), 2, 1_000)), (vec![14], 16));
        assert_eq!(items(follower.after(Position(10), 9, 150)), (vec![11, 13], 13)); // one that goes beyond is taken
        assert_eq!(items(follower.after(Position(16), 2, 1_000)), (vec![], 16));
        assert_eq!(items(follower.after(Position(40), 2, 1_000)), (vec![], 40)); // ahead of the tail, which may lag
    }

    #[test]
    fn the_oldest_make_room_and_who_needs_them_is_told() {
        let (tail, mut follower) = tail(2);
        keep(&tail, &[11, 12, 13], 13);
        assert_eq!(follower.after(Position(10), 9, 1_000), Found::Gone);
        assert_eq!(items(follower.after(Position(11), 9, 1_000)), (vec![12, 13], 13));
        tail.keep([(Position(14), 950, 14)].into_iter(), Position(14)); // nearly all the bytes there may be
        assert_eq!(follower.after(Position(12), 9, 1_000), Found::Gone);
        assert_eq!(items(follower.after(Position(13), 9, 1_000)), (vec![14], 14));
    }

    #[test]
    fn nothing_is_kept_while_nobody_follows() {
        let (tail, follower) = tail(2);
        keep(&tail, &[11], 11);
        let other = tail.follow();
        drop(follower);
        assert_eq!(tail.reached_or_rest(), Some(Position(11)));
        drop(other);
        assert_eq!(tail.reached(), Some(Position(11)));
        assert_eq!(tail.reached_or_rest(), None);
        assert_eq!(tail.last(), None);
    }

    #[tokio::test]
    async fn who_begins_is_heard_by_a_worker_that_listens_only_afterwards() {
        let tail = Arc::new(Tail::<i32>::new(2, 1_000));
        let _follower = tail.follow();
        assert_eq!(tail.reached_or_rest(), None, "so it is about to listen");
        tail.begin(Position(10));
        tail.begun().await;
        assert_eq!(tail.reached_or_rest(), Some(Position(10)));
    }

    #[tokio::test]
    async fn a_follower_waits_for_no_more_than_it_has_not_seen() {
        let (tail, mut follower) = tail(2);
        follower.after(Position(10), 2, 1_000);
        keep(&tail, &[11], 11);
        follower.moved().await;
        assert_eq!(items(follower.after(Position(10), 2, 1_000)), (vec![11], 11));
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(1), follower.moved()).await;
        assert!(waiting.is_err());
    }
}
