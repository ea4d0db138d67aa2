//! The connections of a listener: which of them makes room for another one, or for its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Smaller answers need no budget.
const MIN_COUNTED_BYTES: usize = 16 * 1024;

/// A full listener closes the connection that has owed a request longest; if none does, the one that
/// has been answered longest.
#[derive(Debug)]
pub(super) struct Connections {
    max_connections: usize,
    /// Of all answers that are being sent, a shared page counted once. Past it, the connection that
    /// has been taking its answer longest is closed.
    max_answer_bytes: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    state: State,
    since: Instant,
    close: Arc<Notify>,
}

#[derive(Debug)]
enum State {
    /// A handshake or a request is expected.
    OwesRequest,
    /// The client takes its answer.
    TakesAnswer(Bytes),
    /// The answer is being made.
    IsAnswered,
}

/// One connection; it leaves its listener when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    listener: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
}

impl Connections {
    pub(super) fn new(max_connections: usize, max_answer_bytes: usize) -> Self {
        Self {
            max_connections,
            max_answer_bytes,
            table: Mutex::default(),
        }
    }

    /// Adds a connection, which owes a request, and makes room for it.
    pub(super) fn open(self: &Arc<Self>) -> Connection {
        let mut table = self.table();
        while table.entries.len() >= self.max_connections.max(1) {
            table.close_first(|entry| (entry.state.rank(), entry.since));
        }
        let id = table.next_id;
        table.next_id += 1;
        let close = Arc::new(Notify::new());
        let entry = Entry {
            state: State::OwesRequest,
            since: Instant::now(),
            close: Arc::clone(&close),
        };
        table.entries.insert(id, entry);
        let listener = Arc::clone(self);
        Connection {
            listener,
            id,
            close,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Closes the connection with the least key; of equal ones the oldest.
    fn close_first<K: Ord>(&mut self, key: impl Fn(&Entry) -> K) {
        let first = self.entries.iter().min_by_key(|(_, entry)| key(entry));
        let id = first.map(|(id, _)| *id);
        if let Some(entry) = id.and_then(|id| self.entries.remove(&id)) {
            entry.close.notify_one();
        }
    }

    fn answer_bytes(&self) -> usize {
        let pages = self
            .entries
            .values()
            .filter_map(|entry| match &entry.state {
                State::TakesAnswer(page) => Some((page.as_ptr(), page.len())),
                _ => None,
            });
        let mut pages: Vec<_> = pages.collect();
        pages.sort_unstable();
        pages.dedup();
        pages.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl State {
    fn rank(&self) -> u8 {
        match self {
            Self::OwesRequest => 0,
            Self::TakesAnswer(_) => 1,
            Self::IsAnswered => 2,
        }
    }
}

impl Connection {
    /// Resolves when another connection needs the room.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// A request has arrived.
    pub(super) fn start_request(&self) {
        self.change(&mut self.listener.table(), State::IsAnswered);
    }

    /// This body is about to be sent.
    pub(super) fn start_answer(&self, page: Bytes) {
        let mut table = self.listener.table();
        let is_counted = page.len() > MIN_COUNTED_BYTES;
        self.change(&mut table, State::TakesAnswer(page));
        while is_counted && table.answer_bytes() > self.listener.max_answer_bytes {
            let answers = table.entries.iter();
            let answers = answers.filter(|(_, entry)| entry.state.rank() == 1);
            if answers.count() < 2 {
                return;
            }
            // This answer is the latest of all.
            table.close_first(|entry| (entry.state.rank() != 1, entry.since));
        }
    }

    /// All that was to be sent has been sent.
    pub(super) fn finish_answer(&self) {
        let mut table = self.listener.table();
        let entry = table.entries.get(&self.id);
        if entry.is_some_and(|entry| entry.state.rank() == 1) {
            self.change(&mut table, State::OwesRequest);
        }
    }

    fn change(&self, table: &mut Table, state: State) {
        if let Some(entry) = table.entries.get_mut(&self.id) {
            (entry.state, entry.since) = (state, Instant::now());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.listener.table().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_closed(connection: &Connection) -> bool {
        connection.closed().now_or_never().is_some()
    }

    fn listener(max_connections: usize) -> Arc<Connections> {
        Arc::new(Connections::new(max_connections, 100_000))
    }

    #[tokio::test]
    async fn longest_debtor_makes_room() {
        let listener = listener(3);
        let [first, second, third] = std::array::from_fn(|_| listener.open());
        first.start_request();
        second.start_request();
        first.start_answer(Bytes::new());
        first.finish_answer();
        // `second` is being answered, and `third` has owed its request longer than `first`.
        let fourth = listener.open();
        assert!(is_closed(&third));
        fourth.start_request();
        fourth.start_answer(Bytes::new());
        let fifth = listener.open();
        assert!(is_closed(&first));
        fifth.start_request();
        let _sixth = listener.open();
        assert!(is_closed(&fourth) && !is_closed(&second) && !is_closed(&fifth));
        drop(second);
        let _seventh = listener.open();
        assert!(!is_closed(&fifth));
    }

    #[tokio::test]
    async fn answers_share_a_budget() {
        let listener = listener(9);
        let page = || Bytes::from(vec![0; 40_000]);
        let shared = page();
        let readers: Vec<_> = (0..4).map(|_| listener.open()).collect();
        for reader in &readers {
            reader.start_request();
            reader.start_answer(shared.clone());
        }
        let [other, last] = [listener.open(), listener.open()];
        other.start_answer(page());
        assert!(!readers.iter().any(is_closed) && !is_closed(&other));
        last.start_answer(page());
        // A page is freed with its last reader.
        assert!(readers.iter().all(is_closed));
        assert!(!is_closed(&other) && !is_closed(&last));
        last.start_answer(Bytes::from(vec![0; 200_000]));
        assert!(is_closed(&other) && !is_closed(&last));
    }
}
