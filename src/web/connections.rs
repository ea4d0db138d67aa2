//! The connections of a listener: which of them makes room for another one, or for its answer, and
//! which has kept the listener waiting too long.

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

/// What is expected of one connection.
#[derive(Debug)]
pub(super) struct Connection(Mutex<Status>);

#[derive(Debug)]
struct Status {
    state: State,
    since: Instant,
    /// What the client takes, if that is counted.
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

    /// This body is about to be sent.
    pub(super) fn start_answer(&self, connection: &Connection, body: &Bytes) {
        if body.len() <= MIN_COUNTED_BYTES {
            return connection.change(State::TakesAnswer, Bytes::new());
        }
        connection.change(State::TakesAnswer, body.clone());
        let mut table = self.table();
        loop {
            let (readers, bytes) = counted_answers(&table);
            if readers < 2 || bytes <= self.max_answer_bytes {
                return;
            }
            // This answer is the latest of all.
            close_first(&mut table, |status| {
                (status.answer.is_empty(), status.since)
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
fn counted_answers(table: &Table) -> (usize, usize) {
    let answers = table.iter().filter_map(|(connection, task)| {
        let answer = &connection.status().answer;
        let is_counted = !answer.is_empty() && !task.is_finished();
        is_counted.then(|| (answer.as_ptr(), answer.len()))
    });
    let mut answers: Vec<_> = answers.collect();
    let readers = answers.len();
    answers.sort_unstable();
    answers.dedup();
    (readers, answers.iter().map(|(_, bytes)| bytes).sum())
}

impl Connection {
    /// A connection that owes a request.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Status {
            state: State::OwesRequest,
            since: Instant::now(),
            answer: Bytes::new(),
        }))
    }

    /// A request has arrived.
    pub(super) fn start_request(&self) {
        self.change(State::IsAnswered, Bytes::new());
    }

    /// All that was to be sent has been sent.
    pub(super) fn finish_answer(&self) {
        if self.status().state == State::TakesAnswer {
            self.change(State::OwesRequest, Bytes::new());
        }
    }

    fn change(&self, state: State, answer: Bytes) {
        *self.status() = Status {
            state,
            since: Instant::now(),
            answer,
        };
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// A connection with its task.
    struct Client(Arc<Connection>, tokio::task::JoinHandle<()>);

    impl Client {
        fn connect(listener: &Connections) -> Self {
            let client = Self(Arc::new(Connection::new()), tokio::spawn(pending()));
            listener.insert(Arc::clone(&client.0), client.1.abort_handle());
            client
        }

        async fn is_closed(&self) -> bool {
            // The runtime drops aborted tasks.
            tokio::task::yield_now().await;
            self.1.is_finished()
        }
    }

    fn page(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[tokio::test]
    async fn longest_debtor_makes_room() {
        let listener = Connections::new(3, 100_000);
        let [first, second, third] = std::array::from_fn(|_| Client::connect(&listener));
        first.0.start_request();
        second.0.start_request();
        listener.start_answer(&first.0, &Bytes::new());
        first.0.finish_answer();
        // `second` is being answered, and `third` has owed its request longer than `first`.
        let fourth = Client::connect(&listener);
        assert!(third.is_closed().await);
        fourth.0.start_request();
        listener.start_answer(&fourth.0, &Bytes::new());
        first.0.start_request();
        listener.start_answer(&first.0, &Bytes::new());
        first.0.finish_answer();
        // `fourth` still takes its answer.
        let fifth = Client::connect(&listener);
        assert!(first.is_closed().await);
        fifth.0.start_request();
        let _sixth = Client::connect(&listener);
        assert!(fourth.is_closed().await);
        assert!(!second.is_closed().await && !fifth.is_closed().await);
        second.1.abort();
        assert!(second.is_closed().await);
        let _seventh = Client::connect(&listener);
        assert!(!fifth.is_closed().await);
    }

    #[tokio::test]
    async fn answers_share_a_budget() {
        let listener = Connections::new(9, 100_000);
        let shared = page(40_000);
        let readers: Vec<_> = (0..4).map(|_| Client::connect(&listener)).collect();
        for reader in &readers {
            reader.0.start_request();
            listener.start_answer(&reader.0, &shared);
        }
        let [other, last] = std::array::from_fn(|_| Client::connect(&listener));
        listener.start_answer(&other.0, &page(40_000));
        for reader in readers.iter().chain([&other]) {
            assert!(!reader.is_closed().await);
        }
        listener.start_answer(&last.0, &page(40_000));
        // A page is freed with its last reader.
        for reader in &readers {
            assert!(reader.is_closed().await);
        }
        assert!(!other.is_closed().await && !last.is_closed().await);
        listener.start_answer(&last.0, &page(200_000));
        assert!(other.is_closed().await && !last.is_closed().await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_client_delays_is_limited_in_time() {
        let listener = Connections::new(9, 100_000);
        let [idle, reader, answered] = std::array::from_fn(|_| Client::connect(&listener));
        let limit = Duration::from_secs(30);
        tokio::time::advance(limit / 2).await;
        answered.0.start_request();
        reader.0.start_request();
        listener.start_answer(&reader.0, &Bytes::new());
        tokio::time::advance(limit / 2).await;
        listener.close_overdue(limit);
        assert!(idle.is_closed().await && !reader.is_closed().await);
        tokio::time::advance(limit / 2).await;
        listener.close_overdue(limit);
        assert!(reader.is_closed().await && !answered.is_closed().await);
        answered.1.abort();
        assert!(answered.is_closed().await && !listener.is_empty());
        listener.close_overdue(limit);
        assert!(listener.is_empty());
    }
}
