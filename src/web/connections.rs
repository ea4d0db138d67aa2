//! The connections of a listener: which of them makes room for another one, or for its answer, and
//! which has kept the listener waiting too long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
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

/// Connections in the order in which they were accepted, with the tasks that serve them.
type Table = Vec<(Arc<Connection>, AbortHandle)>;

/// One connection and its state.
#[derive(Debug)]
pub(super) struct Connection {
    status: Mutex<Status>,
}

/// A body that is sent. hyper drops it when the system has taken it.
struct Answer {
    body: Bytes,
    connection: Arc<Connection>,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.change(State::OwesRequest, Bytes::new());
    }
}

#[derive(Debug)]
struct Status {
    state: State,
    since: Instant,
    /// The bytes that the client receives.
    answer: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// A handshake or a request is expected.
    OwesRequest,
    /// The client takes its answer.
    TakesAnswer,
    /// The answer is being made.
    IsAnswered,
}

impl Connections {
    pub(super) fn new(max_connections: usize, max_answer_bytes: usize) -> Self {
        Self {
            max_connections,
            max_answer_bytes,
            table: Mutex::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    /// Adds a connection, and makes room for it. It is closed by aborting its task.
    pub(super) fn insert(&self, connection: Arc<Connection>, task: AbortHandle) {
        let mut table = self.table();
        table.retain(|(_, task)| !task.is_finished());
        while table.len() >= self.max_connections.max(1) {
            close_first(&mut table, |status| (status.state, status.since));
        }
        table.push((connection, task));
    }

    /// The body, as it is sent to the client.
    pub(super) fn start_answer(&self, connection: Arc<Connection>, body: Bytes) -> Bytes {
        connection.change(State::TakesAnswer, body.clone());
        if body.len() > MIN_COUNTED_BYTES {
            self.limit_answers();
        }
        Bytes::from_owner(Answer { body, connection })
    }

    fn limit_answers(&self) {
        let mut table = self.table();
        loop {
            let (readers, bytes) = answers(&table);
            if readers < 2 || bytes <= self.max_answer_bytes {
                return;
            }
            // The answer that has just begun is the latest of all.
            close_first(&mut table, |status| {
                (status.answer.len() <= MIN_COUNTED_BYTES, status.since)
            });
        }
    }

    /// Closes the connections that have owed a request, or have been taking an answer, for `limit`.
    pub(super) fn close_overdue(&self, limit: Duration) {
        self.table().retain(|(connection, task)| {
            let status = connection.status();
            let is_overdue = status.state != State::IsAnswered && status.since.elapsed() >= limit;
            if is_overdue {
                task.abort();
            }
            !is_overdue && !task.is_finished()
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connection with the least key; of equal ones the oldest.
fn close_first<K: Ord>(table: &mut Table, key: impl Fn(&Status) -> K) {
    let keys = table
        .iter()
        .map(|(connection, _)| key(&connection.status()));
    if let Some((first, _)) = keys.enumerate().min_by(|(_, a), (_, b)| a.cmp(b)) {
        let (_, task) = table.remove(first);
        task.abort();
        tracing::debug!("a connection was closed to make room");
    }
}

/// How many clients take an answer that is counted, and the bytes of these answers.
fn answers(table: &Table) -> (usize, usize) {
    let running = table.iter().filter(|(_, task)| !task.is_finished());
    let answers = running.map(|(connection, _)| connection.status().answer.clone());
    let answers = Vec::from_iter(answers.filter(|answer| answer.len() > MIN_COUNTED_BYTES));
    let pages: BTreeMap<_, _> = answers
        .iter()
        .map(|page| (page.as_ptr(), page.len()))
        .collect();
    (answers.len(), pages.values().sum())
}

impl Connection {
    /// A connection that owes a request.
    pub(super) fn new() -> Self {
        let status = Status {
            state: State::OwesRequest,
            since: Instant::now(),
            answer: Bytes::new(),
        };
        Self {
            status: Mutex::new(status),
        }
    }

    /// A request has arrived.
    pub(super) fn start_request(&self) {
        self.change(State::IsAnswered, Bytes::new());
    }

    fn change(&self, state: State, answer: Bytes) {
        *self.status() = Status {
            state,
            since: Instant::now(),
            answer,
        };
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::future::pending;

    use tokio::task::yield_now;

    use super::*;

    /// A connection with its task.
    struct Client(Arc<Connection>, tokio::task::JoinHandle<()>);

    impl Client {
        fn connect(listener: &Connections) -> Self {
            let client = Self(Arc::new(Connection::new()), tokio::spawn(pending()));
            listener.insert(Arc::clone(&client.0), client.1.abort_handle());
            client
        }

        /// The body that it takes until it is dropped.
        async fn request(&self, listener: &Connections, body: Bytes) -> Bytes {
            self.0.start_request();
            listener.start_answer(Arc::clone(&self.0), body)
        }

        async fn is_closed(&self) -> bool {
            // The runtime drops aborted tasks.
            yield_now().await;
            self.1.is_finished()
        }
    }

    fn page(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[tokio::test]
    async fn answers_share_a_budget() {
        let listener = Connections::new(9, 100_000);
        let shared = page(40_000);
        let readers: Vec<_> = (0..4).map(|_| Client::connect(&listener)).collect();
        let [other, last] = std::array::from_fn(|_| Client::connect(&listener));
        let mut taken = Vec::new();
        for reader in &readers {
            taken.push(reader.request(&listener, shared.clone()).await);
        }
        taken.push(other.request(&listener, page(40_000)).await);
        for reader in readers.iter().chain([&other]) {
            assert!(!reader.is_closed().await);
        }
        drop(last.request(&listener, page(40_000)).await);
        // A page is freed with its last reader.
        for reader in &readers {
            assert!(reader.is_closed().await);
        }
        assert!(!other.is_closed().await && !last.is_closed().await);
        taken.push(last.request(&listener, page(200_000)).await);
        assert!(other.is_closed().await && !last.is_closed().await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_client_delays_is_limited_in_time() {
        let listener = Connections::new(9, 100_000);
        let [idle, reader, answered] = std::array::from_fn(|_| Client::connect(&listener));
        let limit = Duration::from_secs(30);
        tokio::time::advance(limit / 2).await;
        answered.0.start_request();
        let _taken = reader.request(&listener, page(1)).await;
        tokio::time::advance(limit / 2).await;
        listener.close_overdue(limit);
        assert!(idle.is_closed().await && !reader.is_closed().await);
        tokio::time::advance(limit / 2).await;
        listener.close_overdue(limit);
        assert!(reader.is_closed().await && !answered.is_closed().await);
    }
}
