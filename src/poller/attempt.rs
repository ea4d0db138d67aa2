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
use crate::session::summary::SessionDetails;
use crate::tradernet::{AuthError, Credentials, Error, Redactor, StreamProtocol};

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
        if self.credential.identity().is_some() {
            let result = self.ask(queue).await;
            let refused = matches!(result, Err(Error::Auth(_)));
            if !refused || !self.forget_sid() {
                return result;
            }
            debug!(
                account = &*self.account.name,
                "the SID was refused, logging in again"
            );
        }
        self.log_in(queue).await?;
        let result = self.ask(queue).await;
        if matches!(result, Err(Error::Auth(_))) {
            self.forget_sid();
        }
        result
    }

    /// Removes from a server's words what this account must not show: every secret of its
    /// credential, and its login except where details are `full`.
    pub(super) fn redactor(&self) -> Redactor {
        let mut secrets = self.credential.secrets();
        if self.account.reading.details != SessionDetails::Full {
            let login = self.credential.login().map(|(login, _)| login);
            let stream = self.account.stream.as_ref();
            let subscriber = stream.and_then(|stream| match &stream.dialect {
                StreamProtocol::Socketio { login } => Some(login.as_str()),
                StreamProtocol::Websocket => None,
            });
            secrets.extend([login, subscriber].into_iter().flatten().map(Into::into));
        }
        Redactor::new(secrets)
    }

    /// Drops a refused SID; whether there is a way to another one.
    pub(super) fn forget_sid(&mut self) -> bool {
        self.credential.forget_sid()
    }

    /// Requests the list, or opens a stream, once the host's limit allows it.
    async fn ask(&mut self, queue: &mut SlotRequest) -> Result<Found, Error> {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        let origin = stream.unwrap_or(&self.account.target.origin);
        let _permit = self.permit(origin, queue).await;
        let mut found = self.ask_now().await?;
        self.credential.keep_signature(found.signature.take());
        Ok(found)
    }

    async fn ask_now(&self) -> Result<Found, Error> {
        let http = &self.shared.http;
        let target = &self.account.target;
        let redactor = self.redactor();
        let identity = self.credential.identity();
        let identity = identity.ok_or(Error::Auth(AuthError::LoginWithoutSession))?;
        match (&self.account.stream, identity) {
            (Some(stream), Credentials::Sid(sid)) => {
                let opened = http.stream(stream, sid, target.timeout, &redactor).await;
                opened.map(|(stream, list)| Found {
                    list,
                    stream: Some(stream),
                    signature: None,
                })
            }
            // The configuration gives no stream to a key pair.
            (_, identity) => {
                let now = self.shared.clock.now();
                let answer = http.sessions(target, identity, now, &redactor).await?;
                Ok(Found {
                    list: answer.sessions,
                    stream: None,
                    signature: answer.signature,
                })
            }
        }
    }

    async fn log_in(&mut self, queue: &mut SlotRequest) -> Result<(), Error> {
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
            .log_in(target, login, password, &self.redactor())
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
