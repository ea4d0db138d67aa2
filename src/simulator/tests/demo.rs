//! The demo's world, with the credentials that the exporter is given for it.

use std::time::{Duration, SystemTime};

use super::client::{Ask, serving, soon};
use crate::demo::simulated::{self, DemoAccount, DemoCredential};
use crate::simulator::Simulator;

fn world() -> Simulator {
    // The time of the paused clock, so that an hour passes in a moment.
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let origin = tokio::time::Instant::now();
    let world = Simulator::with_clock(move || began + origin.elapsed());
    simulated::populate(&world);
    world
}

fn account(name: &str) -> DemoAccount {
    simulated::accounts()
        .into_iter()
        .find(|account| account.account == name)
        .unwrap()
}

/// How many sessions the account's credential reads, or the code of the refusal.
async fn read(
    world: &Simulator,
    account: &DemoAccount,
    address: std::net::SocketAddr,
) -> Result<usize, i64> {
    let now = i64::try_from(
        world
            .now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap();
    let ask = match account.credential {
        DemoCredential::Sid(sid) => Ask::sid(sid),
        DemoCredential::Key { key, secret } if account.api_version == 2 => {
            Ask::v2(key, secret, now.unsigned_abs())
        }
        DemoCredential::Key { key, secret } => Ask::v3(key, secret, now),
        DemoCredential::Login { login, password } => {
            let answer = Ask::login(login, password).answer(address).await;
            match answer.header("set-cookie").strip_prefix("SID=") {
                Some(cookie) => Ask::sid(cookie.split(';').next().unwrap()),
                None => return Err(answer.json()["code"].as_i64().unwrap()),
            }
        }
    };
    let list = ask.answer(address).await.json();
    let list = list.pointer("/0/response/res").unwrap_or(&list);
    if let Some(code) = list["code"].as_i64() {
        Err(code)
    } else {
        Ok(list.as_array().map_or(0, Vec::len))
    }
}

#[tokio::test]
async fn every_account_answers_to_its_credential_as_it_should() {
    let world = world();
    let address = serving(&world).await;
    let wanted = [
        // Two, and the login itself.
        ("desk-1", Ok(3)),
        ("desk-2", Ok(2)),
        ("desk-3", Ok(2)),
        ("bot-alpha", Ok(1)),
        ("bot-beta", Ok(1)),
        ("bot-gamma", Ok(2)),
        ("mobile-1", Err(12)),
        ("reserve", Ok(0)),
        ("terminal-1", Ok(1)),
    ];
    let accounts = simulated::accounts();
    assert_eq!(accounts.len(), wanted.len());
    for (account, (name, wanted)) in accounts.iter().zip(wanted) {
        assert_eq!(account.account, name);
        assert_eq!(read(&world, account, address).await, wanted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_exporters_own_login_goes_with_its_sid_and_comes_again() {
    let world = world();
    let address = serving(&world).await;
    tokio::spawn(simulated::play(
        world.clone(),
        simulated::SEED,
        std::future::pending(),
    ));
    let desk = account("desk-1");
    let DemoCredential::Login { login, password } = desk.credential else {
        panic!("{desk:?}")
    };
    let own = || {
        let addresses = world
            .account(desk.login)
            .open_sessions()
            .into_iter()
            .filter_map(|session| session.client_ip);
        addresses
            .filter(|address| address == "::ffff:127.0.0.1")
            .count()
    };
    for _ in 0..3 {
        let answer = Ask::login(login, password).answer(address).await;
        let sid = answer
            .header("set-cookie")
            .strip_prefix("SID=")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        assert_eq!(own(), 1);
        // Twenty minutes of the paused clock.
        world
            .wait_until(|world| world.login_of_sid(sid).is_none())
            .await;
        assert_eq!(own(), 0);
        assert_eq!(Ask::sid(sid).ids(address).await, Err(12));
    }
}

/// What came of asking, in a word.
fn outcome(answer: Result<std::io::Result<Vec<u8>>, tokio::time::error::Elapsed>) -> &'static str {
    match answer {
        Err(_) => "late",
        Ok(Err(_)) => "reset",
        Ok(Ok(raw)) if raw.starts_with(b"HTTP/1.1 500") => "500",
        Ok(Ok(raw)) if raw.starts_with(b"HTTP/1.1 429") => "429",
        Ok(Ok(raw)) if raw.ends_with(b"]") => "well",
        Ok(Ok(_)) => "garbage",
    }
}

#[tokio::test(start_paused = true)]
async fn one_account_breaks_another_way_each_time_and_is_well_between() {
    let world = world();
    let address = serving(&world).await;
    tokio::spawn(simulated::play(
        world.clone(),
        simulated::SEED,
        std::future::pending(),
    ));
    let DemoCredential::Key { key, secret } = account("bot-beta").credential else {
        panic!("not a key")
    };
    let mut turns = vec![];
    for nonce in 1.. {
        let ask = Ask::v2(key, secret, nonce);
        let answer = tokio::time::timeout(Duration::from_secs(10), ask.raw(address)).await;
        let outcome = outcome(answer);
        if turns.last() != Some(&outcome) {
            turns.push(outcome);
        }
        if turns.len() == 12 {
            break;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let wanted = [
        "well", "500", "well", "garbage", "well", "429", "well", "late", "well", "reset", "well",
        "500",
    ];
    assert_eq!(turns, wanted);
}

#[tokio::test(start_paused = true)]
async fn play_ends_when_it_is_told() {
    let world = world();
    soon(simulated::play(world, simulated::SEED, async {})).await;
}
