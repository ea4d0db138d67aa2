//! Which requests are answered: the web configuration in force, with its rate limit and its users.
//!
//! A password is compared off the serving threads, one at a time, and a comparison that succeeded is
//! remembered until the configuration changes: Prometheus pays for one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use ring::hmac;
use ring::rand::SystemRandom;
use rustls::ServerConfig;
use secrecy::zeroize::Zeroizing;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::response::{Response, text};
use super::turns::Turns;
use crate::config::{RateLimit, WebConfig, WebConfigFile};

/// Between two looks at the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The web configuration in force.
#[derive(Debug)]
pub(super) struct AccessControl {
    current: RwLock<Current>,
    checks: Turns,
    /// Decides which hash stands for an unknown user.
    unknown_users: RandomState,
}

/// What is in force while one request is answered.
#[derive(Clone, Debug)]
pub(super) struct Current {
    policy: Arc<Policy>,
    /// Whether the file can be used now. If not, the last good one is in force for TLS only.
    is_valid: bool,
}

struct Policy {
    config: Arc<WebConfig>,
    bucket: Option<Mutex<TokenBucket>>,
    verified: Verified,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.config.fmt(f)
    }
}

impl AccessControl {
    pub(super) fn new(config: Arc<WebConfig>) -> Self {
        Self {
            current: RwLock::new(Current {
                policy: Arc::new(Policy::new(config)),
                is_valid: true,
            }),
            checks: Turns::new(),
            unknown_users: RandomState::new(),
        }
    }

    /// Keeps up with the file and those that it names, forever.
    pub(super) async fn follow(&self, mut file: WebConfigFile) {
        let mut pace = tokio::time::interval(CHECK_INTERVAL);
        loop {
            pace.tick().await;
            let looked = spawn_blocking(move || {
                let changed = file.read_if_changed();
                (file, changed)
            });
            let Ok((same, changed)) = looked.await else {
                tracing::error!("reading the web configuration panicked; it is not read again");
                return;
            };
            file = same;
            match changed {
                None => {}
                Some(Ok(config)) => {
                    tracing::info!("web configuration reloaded");
                    for warning in &config.warnings {
                        tracing::warn!(warning, "doubtful setting");
                    }
                    let policy = Arc::new(Policy::new(Arc::new(config)));
                    self.set(|current| {
                        *current = Current {
                            policy,
                            is_valid: true,
                        }
                    });
                }
                Some(Err(error)) => {
                    tracing::error!(
                        %error,
                        "web configuration invalid; answering with 500, except for the probes"
                    );
                    self.set(|current| current.is_valid = false);
                }
            }
        }
    }

    fn set(&self, change: impl FnOnce(&mut Current)) {
        change(&mut self.current.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For a new connection.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().policy.config.tls.clone()
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
        let Current { policy, is_valid } = current;
        if !is_valid {
            let reason = "the web configuration is invalid; see the exporter's log";
            return Err(text(StatusCode::INTERNAL_SERVER_ERROR, reason));
        }
        if let Some(bucket) = &policy.bucket {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(Instant::now()).map_err(too_many_requests)?;
        }
        if policy.config.users.is_empty() {
            return Ok(());
        }
        let Some((user, password)) = credentials(headers) else {
            return Err(unauthorized());
        };
        if policy.verified.contains(&user, &password) {
            return Ok(());
        }
        let users = &policy.config.users;
        let known = users.get(&user);
        // An unknown user costs as much as some known one, always the same for a name.
        let index = self.unknown_users.hash_one(&user) % users.len() as u64;
        let other = || {
            users
                .values()
                .nth(usize::try_from(index).unwrap_or_default())
        };
        let hash = known.or_else(other).cloned().unwrap_or_default();
        let password = self.compare(password, hash).await?;
        match password.filter(|_| known.is_some()) {
            Some(password) => {
                policy.verified.insert(user, &password);
                Ok(())
            }
            None => Err(unauthorized()),
        }
    }

    /// The password, where the hash is its own.
    async fn compare(
        &self,
        password: Zeroizing<Vec<u8>>,
        hash: String,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Response> {
        let turn = self.checks.take().await;
        let turn = turn.ok_or_else(|| too_many_requests(Duration::from_secs(1)))?;
        let matches = spawn_blocking(move || {
            let _turn = turn;
            let matches = bcrypt::verify(password.as_slice(), &hash).unwrap_or(false);
            matches.then_some(password)
        });
        Ok(matches.await.unwrap_or_default())
    }
}

impl Current {
    /// Adds the configured headers to an answer.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.policy.config.headers {
            headers.insert(name, value.clone());
        }
    }
}

impl Policy {
    fn new(config: Arc<WebConfig>) -> Self {
        let bucket = config
            .rate_limit
            .map(|limit| Mutex::new(TokenBucket::new(limit)));
        let verified = Verified::default();
        Self {
            config,
            bucket,
            verified,
        }
    }
}

/// The last password of each user that was right, as a tag by a random key.
struct Verified {
    /// None where the system has no randomness: nothing is remembered then.
    key: Option<hmac::Key>,
    tags: Mutex<HashMap<String, hmac::Tag>>,
}

impl Default for Verified {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            key: key.ok(),
            tags: Mutex::default(),
        }
    }
}

impl Verified {
    fn contains(&self, user: &str, password: &[u8]) -> bool {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.key.as_ref().zip(tags.get(user));
        known.is_some_and(|(key, tag)| hmac::verify(key, password, tag.as_ref()).is_ok())
    }

    fn insert(&self, user: String, password: &[u8]) {
        if let Some(key) = &self.key {
            let tag = hmac::sign(key, password);
            let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            tags.insert(user, tag);
        }
    }
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
    let mut response = text(
        StatusCode::UNAUTHORIZED,
        "user name or password missing or wrong",
    );
    let basic = HeaderValue::from_static("Basic realm=\"tradernet-exporter\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}

fn too_many_requests(wait: Duration) -> Response {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests");
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

struct TokenBucket {
    limit: RateLimit,
    /// When all tokens are back.
    full_at: Instant,
}

impl TokenBucket {
    fn new(limit: RateLimit) -> Self {
        let full_at = Instant::now();
        Self { limit, full_at }
    }

    /// Takes a token, or returns the time until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let RateLimit { interval, burst } = self.limit;
        let full_at = self.full_at.max(now);
        let missing = full_at.duration_since(now) + interval;
        match missing.saturating_sub(interval.saturating_mul(burst)) {
            Duration::ZERO => {
                self.full_at = full_at + interval;
                Ok(())
            }
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests;
