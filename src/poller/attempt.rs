//! One attempt: the requests that it takes, each in its turn for a slot to the host.
//!
//! It says what came of it; when to try again is the poller's affair.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};
use url::Url;

use super::credential::Credential;
use super::{AccountConfig, Found, Poller};
use crate::poller::host_limiter::Permit;
use crate::poller::login_breaker::CredentialFingerprint;
use crate::tradernet::{AuthError, Credentials, Error, Redactor};

/// What an attempt needs and adds to at the host's limiter.
pub(super) struct SlotRequest {
    /// Whether the last attempt timed out.
    pub(super) last_timed_out: bool,
    /// The wait so far.
    pub(super) queue_wait: Duration,
}

impl Poller {
    /// Waits until the host's limit allows another request.
    async fn permit(&self, origin: &Url, queue: &mut SlotRequest) -> Permit {
        let since = Instant::now();
        let limiter = &self.shared.host_limiter;
        let permit = limiter.acquire(origin, queue.last_timed_out).await;
        queue.queue_wait += since.elapsed();
        permit
    }

    /// Asks once. An SID that is refused means one new login and one retry.
    pub(super) async fn attempt(&mut self, queue: &mut SlotRequest) -> Result<Found, Error> {
        let mut scrubber = self.former.scrubber();
        let result = self.attempt_with(queue, &mut scrubber).await;
        self.former.add_signatures(scrubber.into_signatures());
        result
    }

    async fn attempt_with(
        &mut self,
        queue: &mut SlotRequest,
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

    /// Requests the list, or opens a stream, once the host's limit allows it.
    async fn ask(&self, queue: &mut SlotRequest, scrubber: &mut Redactor) -> Result<Found, Error> {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        let origin = stream.unwrap_or(&self.account.target.origin);
        let _permit = self.permit(origin, queue).await;
        self.ask_now(scrubber).await
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

    async fn log_in(
        &mut self,
        queue: &mut SlotRequest,
        scrubber: &mut Redactor,
    ) -> Result<(), Error> {
        if self.credential.login().is_none() {
            return Ok(());
        }
        self.breaker
            .permit(self.shared.clock.now())
            .map_err(Error::Auth)?;
        let _permit = self.permit(&self.account.target.origin, queue).await;
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
