//! Which requests are answered: the web configuration in force, with its rate limit and its users.
//!
//! A password is compared off the serving threads, one at a time, and a comparison that succeeded is
//! remembered until the configuration changes: Prometheus pays for one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use ring::hmac;
use rustls::ServerConfig;
use secrecy::zeroize::Zeroizing;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::response::{Response, text, with_header};
use super::turns::Turns;
use crate::config::{RateLimit, WebConfig, WebConfigFile};
use crate::threads::{READ_TIMEOUT, no_answer_within};

/// Between two looks at the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The web configuration in force.
pub(super) struct AccessControl {
    current: watch::Sender<Current>,
    /// When all tokens of the rate limit are back.
    full_at: Mutex<Instant>,
    /// The last password of each user that was right, as a tag by the user's hash.
    verified: Mutex<HashMap<String, hmac::Tag>>,
    checks: Turns,
    /// Decides which hash stands for an unknown user.
    unknown_users: RandomState,
}

/// The configuration in force while one request is answered.
#[derive(Clone)]
pub(super) struct Current {
    config: Arc<WebConfig>,
    /// Whether the file can be used now. If not, the last good one is in force for TLS only.
    is_valid: bool,
}

impl AccessControl {
    pub(super) fn new(config: Arc<WebConfig>) -> Self {
        Self {
            current: watch::Sender::new(Current {
                config,
                is_valid: true,
            }),
            full_at: Mutex::new(Instant::now()),
            verified: Mutex::default(),
            checks: Turns::new(),
            unknown_users: RandomState::new(),
        }
    }

    /// Keeps up with the file and those that it names, forever. A file that is being written may be empty: it
    /// must not open the listener.
    pub(super) async fn follow(&self, mut file: WebConfigFile) {
        let mut pace = tokio::time::interval(CHECK_INTERVAL);
        loop {
            pace.tick().await;
            let mut looked = spawn_blocking(move || {
                let changed = file.read_if_changed();
                (file, changed)
            });
            let looked = match timeout(READ_TIMEOUT, &mut looked).await {
                Ok(looked) => looked,
                Err(_) => {
                    let error = no_answer_within(READ_TIMEOUT);
                    tracing::error!(
                        error,
                        "web configuration not readable; the last one stays in force"
                    );
                    looked.await
                }
            };
            let Ok((same, changed)) = looked else {
                tracing::error!("reading the web configuration panicked; it is not read again");
                return;
            };
            file = same;
            let before = self.current().config;
            let checked = changed.map(|read| {
                let config = read.map_err(|errors| errors.to_string())?;
                let lost = |lost| {
                    format!("the file has no {lost} any more; restart the exporter to serve without {lost}")
                };
                config.lacks(&before).map(lost).map_or(Ok(config), Err)
            });
            match checked {
                None => {}
                Some(Ok(config)) => {
                    tracing::info!("web configuration reloaded");
                    for warning in &config.warnings {
                        tracing::warn!(warning, "doubtful setting");
                    }
                    *lock(&self.full_at) = Instant::now();
                    self.current.send_replace(Current {
                        config: Arc::new(config),
                        is_valid: true,
                    });
                }
                Some(Err(error)) => {
                    tracing::error!(
                        %error,
                        "web configuration invalid; answering with 500, except for the probes"
                    );
                    self.current.send_modify(|current| current.is_valid = false);
                }
            }
        }
    }

    pub(super) fn current(&self) -> Current {
        self.current.borrow().clone()
    }

    /// For a new connection.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().config.tls.clone()
    }

    /// Checks the configuration, the rate limit and the password, in this order.
    ///
    /// # Errors
    ///
    /// The answer to a request that is refused.
    pub(super) async fn check(
        &self,
        current: &Current,
        headers: &HeaderMap,
    ) -> Result<(), Response> {
        let Current { config, is_valid } = current;
        if !is_valid {
            let reason = "the web configuration is invalid; see the exporter's log";
            return Err(text(StatusCode::INTERNAL_SERVER_ERROR, reason));
        }
        if let Some(limit) = config.rate_limit {
            self.take_token(limit, Instant::now())
                .map_err(too_many_requests)?;
        }
        let users = &config.users;
        if users.is_empty() {
            return Ok(());
        }
        let Some((user, password)) = credentials(headers) else {
            return Err(unauthorized());
        };
        let known = users.get(&user);
        if known.is_some_and(|hash| self.has_verified(&user, &password, hash)) {
            return Ok(());
        }
        // An unknown user costs as much as some known one, always the same for a name.
        let other = || Rng::with_seed(self.unknown_users.hash_one(&user)).choice(users.values());
        let hash = known.or_else(other).cloned().unwrap_or_default();
        let compared = self.checks.run(move || {
            let matches = bcrypt::verify(password.as_slice(), &hash).unwrap_or(false);
            matches.then_some(password)
        });
        let compared = compared.await;
        let password = compared.ok_or_else(|| too_many_requests(Duration::from_secs(1)))?;
        let password = password.unwrap_or_default();
        match known.zip(password) {
            Some((hash, password)) => {
                let tag = hmac::sign(&tag_key(hash), &password);
                lock(&self.verified).insert(user, tag);
                Ok(())
            }
            None => Err(unauthorized()),
        }
    }

    /// Takes a token of the rate limit, or returns the time until there is one.
    fn take_token(&self, limit: RateLimit, now: Instant) -> Result<(), Duration> {
        let RateLimit { interval, burst } = limit;
        let mut full_at = lock(&self.full_at);
        let full_then = full_at.max(now) + interval;
        match (full_then - now).saturating_sub(interval.saturating_mul(burst)) {
            Duration::ZERO => {
                *full_at = full_then;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    fn has_verified(&self, user: &str, password: &[u8], hash: &str) -> bool {
        let verified = lock(&self.verified);
        let tag = verified.get(user);
        tag.is_some_and(|tag| hmac::verify(&tag_key(hash), password, tag.as_ref()).is_ok())
    }
}

impl Current {
    /// Adds the configured headers to an answer.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.config.headers {
            headers.insert(name, value.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tag_key(hash: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, hash.as_bytes())
}

/// User and password of `Authorization: Basic`.
fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let user = std::str::from_utf8(user).ok()?.to_owned();
    Some((user, Zeroizing::new(password.get(1..)?.to_vec())))
}

fn unauthorized() -> Response {
    let reason = "user name or password missing or wrong";
    let basic = "Basic realm=\"tradernet-exporter\", charset=\"UTF-8\"";
    with_header(
        text(StatusCode::UNAUTHORIZED, reason),
        WWW_AUTHENTICATE,
        basic,
    )
}

fn too_many_requests(wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let refused = text(StatusCode::TOO_MANY_REQUESTS, "too many requests");
    with_header(refused, RETRY_AFTER, &seconds.to_string())
}

#[cfg(test)]
mod tests;
