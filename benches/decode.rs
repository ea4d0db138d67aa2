//! Reading an answer: the exporter's decoder against building a list of owned sessions, and a
//! tree of JSON values, in one run. `cargo bench --bench decode` prints the ratios.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tradernet_exporter::tradernet::response;

/// The records that a reader of all fields would build.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Owned {
    id: u64,
    owner_login: Option<String>,
    user_login: Option<String>,
    safety_type_id: Option<i64>,
    key_current: Option<String>,
    start_datetime: Option<String>,
    expire_datetime: Option<String>,
    expire: Option<f64>,
    ip: Option<String>,
    ip_client: Option<String>,
}

fn answer(sessions: u64) -> Vec<u8> {
    let sessions: Vec<String> = (0..sessions)
        .map(|n| {
            format!(
                r#"{{"id":{},"owner_login":"desk@example.com","user_login":"desk-{}@example.com","safety_type_id":{},"key_current":"Login, password","start_datetime":"2016-06-14T13:14:13.187","expire_datetime":"2016-06-15T13:14:13.187","expire":{},"ip":"c5u7iip134fdfsxfqt4aq1osqchtg5b","ip_client":"203.0.113.{}"}}"#,
                7_165_011 + n,
                n % 3,
                2 + n % 3,
                85_299 + n,
                n % 250,
            )
        })
        .collect();
    format!("[{}]", sessions.join(",")).into_bytes()
}

/// The best of several rounds, for one call.
fn best(rounds: u32, calls: u32, mut call: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            start.elapsed() / calls
        })
        .min()
        .unwrap()
}

fn main() {
    println!("| sessions | decoder | owned list | JSON tree | owned / decoder | tree / decoder |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for sessions in [1, 10, 1_000, 10_000] {
        let answer = answer(sessions);
        let calls = u32::try_from(20_000 / sessions + 1).unwrap();
        let decoder = best(7, calls, || {
            black_box(response::read(black_box(&answer)).unwrap());
        });
        let owned = best(7, calls, || {
            black_box(serde_json::from_slice::<Vec<Owned>>(black_box(&answer)).unwrap());
        });
        let tree = best(7, calls, || {
            black_box(serde_json::from_slice::<serde_json::Value>(black_box(&answer)).unwrap());
        });
        let ratio = |other: Duration| other.as_secs_f64() / decoder.as_secs_f64();
        println!(
            "| {sessions} | {decoder:.1?} | {owned:.1?} | {tree:.1?} | {:.2} | {:.2} |",
            ratio(owned),
            ratio(tree)
        );
    }
}
