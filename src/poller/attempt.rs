//! One attempt: the requests that it takes, each in its turn for a slot to the host.
//!
//! It says what came of it; when to try again is the poller's affair.

use tokio::time::Instant;
use tracing::{debug, info};
use url::Url;

use super::{PollResult, Poller};
use crate::config::CredentialSource;
use crate::poller::host_limiter::{Permit, SlotRequest};
use crate::session::summary::SessionDetails;
use crate::tradernet::{AuthError, Error, Login, Redactor, StreamProtocol};

impl Poller {
    /// Waits until the host's limit allows another request.
    async fn permit(&self, origin: &Url, queue: &mut SlotRequest) -> Permit {
        let since = Instant::now();
        let limiter = &self.shared.host_limiter;
        let permit = limiter.acquire(origin, queue.last_timed_out).await;
        queue.queue_wait += since.elapsed();
        permit
    }

    /// Polls once. A rejected SID means one login and one retry.
    pub(super) async fn attempt(&mut self, queue: &mut SlotRequest) -> Result<PollResult, Error> {
        self.credential.check()?;
        if self.credential.identity().is_some() {
            let result = self.ask(queue).await;
            match &result {
                Err(error) if self.may_log_in_after(error) => self.reject_new_sid(error),
                _ => return result,
            };
            // Where no login may be sent the SID is kept: the server may accept it later.
            let allowed = self.breaker.check(self.shared.clock.now());
            allowed.map_err(Error::Auth)?;
            debug!(
                account = &*self.account.name,
                "the SID was rejected, logging in"
            );
            self.forget_sid();
        }
        self.log_in(queue).await?;
        let result = self.ask(queue).await;
        match &result {
            Err(error) if self.may_log_in_after(error) => {
                let rejected = self.reject_new_sid(error);
                rejected.map_or(result, |rejection| Err(Error::Auth(rejection)))
            }
            _ => result,
        }
    }

    fn may_log_in_after(&self, error: &Error) -> bool {
        error.is_cured_by_login() && self.credential.login().is_some()
    }

    /// Opens the breaker where the SID was never accepted since its login: another login would be
    /// answered with another such SID.
    fn reject_new_sid(&mut self, error: &Error) -> Option<AuthError> {
        let Error::Auth(error) = error else {
            return None;
        };
        let blocked = self.breaker.check(self.shared.clock.now());
        if self.credential.sid_was_accepted()
            || matches!(blocked, Err(AuthError::BlockedAfterRejection(_)))
        {
            return None;
        }
        let rejection = AuthError::NewSidRejected(Box::new(error.clone()));
        self.reject_login(rejection.clone());
        Some(rejection)
    }

    /// Counts a rejected login and opens the breaker.
    fn reject_login(&mut self, rejection: AuthError) {
        self.recorder.login_rejected = true;
        self.recorder.login_failures += 1;
        if let Some(tried) = self.credential.fingerprint(&self.account.target.origin) {
            self.breaker.trip(rejection, tried);
        }
    }

    /// Removes from a server's words what this account must not show: every secret of its
    /// credential, and its login except where details are `full`.
    pub(super) fn redactor(&self) -> Redactor {
        let mut secrets = self.credential.secrets();
        if self.account.tracking.details != SessionDetails::Full {
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

    /// Drops a rejected SID of a login.
    pub(super) fn forget_sid(&mut self) {
        self.credential.forget_sid();
    }

    /// Requests the list, or opens a stream, once the host's limit allows it.
    async fn ask(&mut self, queue: &mut SlotRequest) -> Result<PollResult, Error> {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        let origin = stream.unwrap_or(&self.account.target.origin);
        let _permit = self.permit(origin, queue).await;
        let mut found = self.ask_now().await?;
        self.credential.keep_signature(found.signature.take());
        if self.credential.accept_sid() {
            self.breaker.reset();
        }
        Ok(found)
    }

    async fn ask_now(&self) -> Result<PollResult, Error> {
        let http = &self.shared.client;
        let target = &self.account.target;
        let redactor = self.redactor();
        let identity = self.credential.identity();
        let identity = identity.ok_or(Error::Auth(AuthError::NoSessionInLoginResponse))?;
        let now = self.shared.clock.now();
        if let Some(stream) = &self.account.stream {
            let opened = http.stream(stream, identity, now, target.timeout, &redactor);
            let (stream, list) = opened.await?;
            return Ok(PollResult {
                list,
                stream: Some(stream),
                signature: None,
            });
        }
        let answer = http.sessions(target, identity, now, &redactor).await?;
        Ok(PollResult {
            list: answer.sessions,
            stream: None,
            signature: answer.signature,
        })
    }

    /// Sends a login in its turn, where there is one and the breaker allows it. The wait for the
    /// turn is neither a failure nor a login.
    async fn log_in(&mut self, queue: &mut SlotRequest) -> Result<(), Error> {
        if self.credential.login().is_none() {
            return Ok(());
        }
        let allowed = self.breaker.check(self.shared.clock.now());
        allowed.map_err(Error::Auth)?;
        let since = Instant::now();
        let origin = self.account.target.origin.clone();
        let mut turn = self.shared.login_pacer.acquire(&origin).await;
        queue.queue_wait += since.elapsed();
        let _permit = self.permit(&origin, queue).await;
        // The wait may have been long enough for the password to change.
        self.read_secrets().await;
        let Some((name, password)) = self.credential.login() else {
            return Ok(());
        };
        let (view_only, user_id) = match self.account.credential {
            CredentialSource::Login {
                view_only, user_id, ..
            } => (view_only, user_id),
            _ => (false, None),
        };
        let login = Login {
            name,
            password,
            view_only,
            user_id,
        };
        self.breaker.record_attempt(self.shared.clock.now());
        self.recorder.logins += 1;
        let http = &self.shared.client;
        let redactor = self.redactor();
        let answer = http.log_in(&self.account.target, login, &redactor);
        match answer.await {
            Ok(sid) => {
                info!(account = &*self.account.name, "logged in");
                self.breaker.record_success();
                self.credential.keep_sid(sid);
                Ok(())
            }
            Err(Error::Auth(rejection)) => {
                self.reject_login(rejection.clone());
                Err(Error::Auth(rejection))
            }
            Err(error) => {
                if let Error::RateLimited(said) = &error {
                    turn.pause(said.retry_after);
                }
                // No server received a login for which there was no connection.
                if !matches!(error, Error::Network { .. } | Error::Tls { .. }) {
                    self.breaker.record_transient_failure();
                }
                Err(error)
            }
        }
    }
}
