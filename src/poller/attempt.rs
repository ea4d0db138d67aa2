//! One attempt: the requests that it takes, each in its turn for a slot to the host.
//!
//! It says what came of it; when to try again is the poller's affair.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};
use url::Url;

use super::credential::Credential;
use super::{AccountConfig, Found, Poller};
use crate::poller::host_limiter::{self, Lane, Slot};
use crate::poller::login_breaker::CredentialFingerprint;
use crate::tradernet::{AuthError, Credentials, Error, Redactor};

/// An attempt's way to its slots.
pub(super) struct Queue {
    /// Whether the last attempt timed out.
    pub(super) hangs: bool,
    /// The wait so far.
    pub(super) waited: Duration,
}

impl Poller {
    /// Waits for a slot to the host. That may take long where many hang, so what is configured
    /// meanwhile is taken up in the queue.
    async fn slot(&mut self, origin: Url, lane: Lane, queue: &mut Queue) -> Slot {
        let lane = match queue.hangs {
            true => Lane::Hanging,
            false => lane,
        };
        let since = Instant::now();
        let slots = self.shared.slots.clone();
        let mut taken = pin!(slots.take(&origin, lane));
        loop {
            tokio::select! {
                slot = &mut taken => {
                    queue.waited += since.elapsed();
                    return slot;
                }
                Ok(()) = self.configured.changed() => {
                    self.take_up(Instant::now());
                }
            }
        }
    }

    /// Asks once. An SID that is refused means one new login and one retry.
    pub(super) async fn attempt(&mut self, queue: &mut Queue) -> Result<Found, Error> {
        let mut scrubber = self.former.scrubber();
        let result = self.attempt_with(queue, &mut scrubber).await;
        self.former.add_signatures(scrubber.into_signatures());
        result
    }

    async fn attempt_with(
        &mut self,
        queue: &mut Queue,
        scrubber: &mut Redactor,
    ) -> Result<Found, Error> {
        if self.credential.identity().is_some() {
            let result = self.ask(queue, scrubber).await;
            let refused = matches!(result, Err(Error::Auth(_)));
            if !refused || !self.forget_sid() {
                return result;
            }
            debug!(
                account = &*self.account.name,
                "the SID was refused, logging in again"
            );
        }
        self.log_in(queue, scrubber).await?;
        let result = self.ask(queue, scrubber).await;
        if matches!(result, Err(Error::Auth(_))) {
            self.forget_sid();
        }
        result
    }

    /// Drops a refused SID; whether there is a way to another one.
    pub(super) fn forget_sid(&mut self) -> bool {
        self.former.add(self.credential.secrets());
        self.credential.forget_sid()
    }

    /// Asks the API, or opens a stream. Where the slot is needed for others that is broken off, which
    /// changes nothing over there, and done again.
    async fn ask(&mut self, queue: &mut Queue, scrubber: &mut Redactor) -> Result<Found, Error> {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        let origin = stream.unwrap_or(&self.account.target.origin).clone();
        let mut lane = Lane::Open;
        loop {
            let mut slot = self.slot(origin.clone(), lane, queue).await;
            let started = Instant::now();
            tokio::select! {
                biased;
                found = self.ask_now(scrubber) => {
                    if found.is_ok() {
                        let took = started.elapsed();
                        slot.answered(took);
                        self.usual = Some(host_limiter::usual(self.usual, took));
                    }
                    return found;
                }
                () = slot.make_room(self.usual) => {}
            }
            lane = Lane::BrokenOff;
            debug!(
                account = &*self.account.name,
                "broken off to make room for others, waiting among those that were"
            );
        }
    }

    async fn ask_now(&self, scrubber: &mut Redactor) -> Result<Found, Error> {
        let http = &self.shared.http;
        let target = &self.account.target;
        let identity = self.credential.identity();
        let identity = identity.ok_or(Error::Auth(AuthError::LoginWithoutSession))?;
        match (&self.account.stream, identity) {
            (Some(stream), Credentials::Sid(sid)) => {
                let opened = http.stream(stream, sid, target.timeout, scrubber).await;
                opened.map(|(stream, list)| Found {
                    list,
                    stream: Some(stream),
                })
            }
            // The configuration gives no stream to a key pair.
            (_, identity) => {
                let now = self.shared.clock.now();
                let list = http.sessions(target, identity, now, scrubber).await?;
                Ok(Found { list, stream: None })
            }
        }
    }

    async fn log_in(&mut self, queue: &mut Queue, scrubber: &mut Redactor) -> Result<(), Error> {
        if self.credential.login().is_none() {
            return Ok(());
        }
        self.breaker
            .permit(self.shared.clock.now())
            .map_err(Error::Auth)?;
        let origin = self.account.target.origin.clone();
        let _slot = self.slot(origin, Lane::Login, queue).await;
        let (Some((login, password)), Some(tried)) = (
            self.credential.login(),
            to_try(&self.account, &self.credential),
        ) else {
            return Ok(());
        };
        self.breaker.note(self.shared.clock.now());
        self.status.logins += 1;
        let target = &self.account.target;
        match self
            .shared
            .http
            .log_in(target, login, password, scrubber)
            .await
        {
            Ok(sid) => {
                info!(account = &*self.account.name, "logged in");
                self.breaker.forget(tried);
                self.credential.keep_sid(sid);
                Ok(())
            }
            Err(error) => {
                if let Error::Auth(refusal) = &error {
                    self.login_refused = true;
                    self.status.login_failures += 1;
                    self.breaker.refuse(refusal.clone(), tried);
                }
                Err(error)
            }
        }
    }
}

/// What the account's next login would be tried with.
pub(super) fn to_try(
    account: &AccountConfig,
    credential: &Credential,
) -> Option<CredentialFingerprint> {
    let (login, password) = credential.login()?;
    let place = account.target.origin.as_str();
    Some(CredentialFingerprint::new(place, login, password))
}
