//! One attempt: the requests that it takes, each in its turn for a slot to the host.
//!
//! It returns the result; the poller decides when to try again.

use tokio::time::Instant;
use tracing::debug;

use super::Poller;
use super::host::{Host, Permit};
use super::login_breaker::fingerprint;
use crate::session::SessionList;
use crate::session::expire_unit::looks_like_seconds;
use crate::session::summary::SessionDetails;
use crate::status::LoginBlock;
use crate::tradernet::{AuthError, Error, Redactor, ResponseHead, Stage, Stream, Transport};

/// A list, and with a streaming transport the stream that sent it.
pub(super) type Answer = (SessionList, Option<Stream>);

impl Poller {
    /// Polls once. A rejected SID means one login and one retry.
    pub(super) async fn attempt(&mut self) -> Result<Answer, Error> {
        self.credential.check()?;
        if self.credential.identity(&self.account.credential).is_some() {
            match self.read_list().await {
                Err(error) if self.may_log_in_after(&error) => self.reject_new_sid(&error),
                result => return result,
            };
            // Where no login may be sent the SID is kept: the server may accept it later.
            self.check_breaker().map_err(Error::Auth)?;
            let account = &*self.account.name;
            debug!(account, "SID rejected; logging in");
            self.credential.forget_sid();
        }
        self.log_in().await?;
        match self.read_list().await {
            Err(error) if self.may_log_in_after(&error) => {
                Err(self.reject_new_sid(&error).map_or(error, Error::Auth))
            }
            result => result,
        }
    }

    /// Whether the login breaker allows a login now.
    pub(super) fn check_breaker(&self) -> Result<(), AuthError> {
        self.breaker.check(self.now(), self.fingerprint())
    }

    /// Why no login may be sent, in short.
    pub(super) fn login_block(&self) -> Option<LoginBlock> {
        self.check_breaker().err().map(|blocked| match blocked {
            AuthError::BlockedAfterRejection(_) => LoginBlock::Rejected,
            _ => LoginBlock::RateLimited,
        })
    }

    /// Identifies the account's next login.
    fn fingerprint(&self) -> Option<u64> {
        let login = self.credential.login(&self.account.credential)?;
        let origin = self.account.target.origin.as_str();
        Some(fingerprint(origin, login.name, login.password))
    }

    fn may_log_in_after(&self, error: &Error) -> bool {
        error.is_cured_by_login() && self.fingerprint().is_some()
    }

    /// Opens the breaker where the SID was never accepted since its login: another login would be
    /// answered with another such SID.
    fn reject_new_sid(&mut self, error: &Error) -> Option<AuthError> {
        let Error::Auth(error) = error else {
            return None;
        };
        if self.credential.sid_accepted || self.login_block() == Some(LoginBlock::Rejected) {
            return None;
        }
        let rejection = AuthError::NewSidRejected(Box::new(error.clone()));
        self.reject_login(rejection.clone());
        Some(rejection)
    }

    /// Counts a rejected login and opens the breaker.
    fn reject_login(&mut self, rejection: AuthError) {
        self.recorder.login_rejected = true;
        self.recorder.status.login_failures += 1;
        if let Some(rejected) = self.fingerprint() {
            self.breaker.trip(rejection, rejected);
        }
    }

    /// Removes from a server's words what this account must not show: every secret of its
    /// credential, and its login except where details are `full`.
    pub(super) fn redactor(&self) -> Redactor {
        let mut secrets: Vec<_> = self.credential.all().collect();
        if self.account.tracking.details != SessionDetails::Full {
            secrets.extend(self.account.login.as_deref().map(Into::into));
        }
        Redactor::new(secrets)
    }

    /// Waits until the host's limit allows another request.
    async fn permit<'a>(&mut self, host: &'a Host) -> Permit<'a> {
        let since = Instant::now();
        let permit = host.permit(self.recorder.last_timed_out()).await;
        self.recorder.queue_wait += since.elapsed();
        permit
    }

    /// Requests the list, or opens a stream, once the host's limit allows it.
    async fn read_list(&mut self) -> Result<Answer, Error> {
        let host = self.list_host();
        let _permit = self.permit(&host).await;
        let (client, target) = (&self.shared.client, &self.account.target);
        let redactor = self.redactor();
        let identity = self.credential.identity(&self.account.credential);
        let none = || Error::Auth(AuthError::NoSessionInLoginResponse(ResponseHead::default()));
        let identity = identity.ok_or_else(none)?;
        let answer = match &self.account.stream {
            Some(stream) => {
                let opened = client.stream(stream, identity, target.timeout, &redactor);
                let opened = client.observed(self.account.transport, opened);
                let (stream, list) = opened.await?;
                (list, Some(stream))
            }
            None => {
                let answer = client.sessions(target, identity, &redactor);
                let answer = client.observed(Transport::Http, answer).await;
                let head = match &answer {
                    Ok((_, head)) => Some(head),
                    Err(error) => error.head(),
                };
                let offset = head.and_then(|head| head.clock_offset);
                let date_s = offset.map(|offset| self.now().wall_seconds() - offset);
                let status = &mut self.recorder.status;
                status.clock_offset_seconds = offset;
                let (list, _) = answer?;
                status.looks_like_seconds =
                    date_s.is_some_and(|date_s| looks_like_seconds(&list, date_s));
                (list, None)
            }
        };
        if self.credential.accept_sid() {
            self.breaker.reset();
        }
        Ok(answer)
    }

    /// Sends a login in its turn, where there is one and the breaker allows it. The wait for the
    /// turn is neither a failure nor a login.
    async fn log_in(&mut self) -> Result<(), Error> {
        if self.fingerprint().is_none() {
            return Ok(());
        }
        self.check_breaker().map_err(Error::Auth)?;
        let since = Instant::now();
        let host = self.shared.hosts.get(&self.account.target.origin);
        let mut turn = host.login_permit().await;
        self.recorder.queue_wait += since.elapsed();
        let _permit = self.permit(&host).await;
        // The wait may have been long enough for the password to change.
        self.read_secrets().await;
        let redactor = self.redactor();
        let Some(login) = self.credential.login(&self.account.credential) else {
            return Ok(());
        };
        self.breaker.record_attempt(self.now());
        self.recorder.status.logins += 1;
        let client = &self.shared.client;
        let answer = client.log_in(&self.account.target, login, &redactor);
        let answer = client.observed(Transport::Http, answer).await;
        match &answer {
            Ok(_) => {
                debug!(account = &*self.account.name, "logged in");
                self.breaker.reset();
            }
            Err(Error::Auth(rejection)) => self.reject_login(rejection.clone()),
            Err(error) => {
                if let Error::RateLimited(_) = error {
                    turn.pause(error.retry_after());
                }
                if error.is_unreadable() {
                    self.breaker.record_unreadable_answer();
                }
                // No server received a login for which there was no connection.
                else if !matches!(error, Error::Connection { stage, .. } if *stage != Stage::Response)
                {
                    self.breaker.record_transient_failure();
                }
            }
        }
        self.credential.keep_sid(answer?);
        Ok(())
    }
}
