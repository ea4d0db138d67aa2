//! Which path answers what, to which methods.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;

use super::compression::whole;
use super::response::{self, Content, Reply};
use super::server::Role;
use super::{App, ReloadRequest, api, csrf, negotiation, page};
use crate::metrics::Format;

/// A scrape of up to so many bytes is written faster than it is handed to another thread.
const LIGHT_BYTES: usize = 256 * 1024;
/// The same for pages, by accounts.
const LIGHT_ACCOUNTS: usize = 250;

// Constants, since a value that is made while answering is looked through for what it must not hold.
const TEXT_004: HeaderValue = HeaderValue::from_static(Format::Text004.content_type());
const OPENMETRICS_100: HeaderValue =
    HeaderValue::from_static(Format::OpenMetrics100.content_type());
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const BY_CODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");
const BY_FORMAT_AND_CODING: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");

/// A path that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Status,
    Telemetry,
    Healthy,
    Ready,
    Reload,
    Accounts,
    Other,
}

impl Route {
    fn of(path: &str, role: Role, telemetry_path: &str) -> Self {
        match (path, role) {
            ("/-/healthy", _) => Self::Healthy,
            ("/-/ready", _) => Self::Ready,
            (_, Role::Probes) => Self::Other,
            (path, Role::Full) if path == telemetry_path => Self::Telemetry,
            ("/", Role::Full) => Self::Status,
            ("/-/reload", Role::Full) => Self::Reload,
            ("/api/v1/accounts", Role::Full) => Self::Accounts,
            (_, Role::Full) => Self::Other,
        }
    }

    /// The label `handler`. The telemetry path has one value wherever it lies, and paths that
    /// strangers make up share one.
    fn handler(self) -> &'static str {
        match self {
            Self::Status => "/",
            Self::Telemetry => "/metrics",
            Self::Healthy => "/-/healthy",
            Self::Ready => "/-/ready",
            Self::Reload => "/-/reload",
            Self::Accounts => "/api/v1/accounts",
            Self::Other => "other",
        }
    }

    /// What `Allow` says to a method that the route does not know; `None` where it knows this one.
    fn refuses(self, method: &Method) -> Option<&'static str> {
        match self {
            Self::Reload => (method != Method::POST).then_some("POST"),
            // Any method is answered alike.
            Self::Other => None,
            _ => (method != Method::GET && method != Method::HEAD).then_some("GET, HEAD"),
        }
    }
}

impl App {
    /// Answers one request and counts it, also where the answer panics.
    pub(super) async fn answer(&self, role: Role, request: Request<Incoming>) -> Reply {
        // No route reads a body; it is dropped, and hyper drains or closes.
        let (parts, _) = request.into_parts();
        let route = Route::of(parts.uri.path(), role, &self.settings.telemetry_path);
        let answer = std::panic::AssertUnwindSafe(self.dispatch(route, &parts));
        let reply = futures_util::FutureExt::catch_unwind(answer)
            .await
            .unwrap_or_else(|_| {
                tracing::error!(handler = route.handler(), "an answer panicked");
                response::internal_error()
            });
        self.metrics
            .count_request(route.handler(), reply.status().as_u16());
        reply
    }

    async fn dispatch(&self, route: Route, request: &Parts) -> Reply {
        if let Some(allow) = route.refuses(&request.method) {
            return response::method_not_allowed(allow);
        }
        let query = request.uri.query().unwrap_or_default();
        match route {
            Route::Healthy => response::text(StatusCode::OK, "healthy"),
            Route::Ready => self.ready(),
            Route::Telemetry => self.telemetry(&request.headers).await,
            Route::Status => self.status_page(&request.headers, query).await,
            Route::Accounts => self.accounts(&request.headers).await,
            Route::Reload => self.reload(&request.headers, query).await,
            Route::Other => response::text(StatusCode::NOT_FOUND, "not found"),
        }
    }

    fn ready(&self) -> Reply {
        if *self.ready.borrow() {
            return response::text(StatusCode::OK, "ready");
        }
        let accounts = self.board.accounts();
        let waiting = accounts
            .iter()
            .filter(|account| account.last_attempt.is_none())
            .count();
        if waiting == 0 && !accounts.is_empty() {
            // The latch is about to say so too.
            return response::text(StatusCode::OK, "ready");
        }
        let all = accounts.len();
        let reason = format!("not ready: {waiting} of {all} accounts have not been asked yet");
        response::text(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    async fn telemetry(&self, headers: &HeaderMap) -> Reply {
        let format = negotiation::format(headers);
        let metrics = self.metrics.clone();
        let last_bytes = Arc::clone(&self.scrape_bytes);
        Content {
            content_type: match format {
                Format::Text004 => TEXT_004,
                Format::OpenMetrics100 => OPENMETRICS_100,
            },
            vary: BY_FORMAT_AND_CODING,
            heavy: last_bytes.load(Ordering::Relaxed) > LIGHT_BYTES,
            body: move || {
                let page = metrics.exposition(format);
                last_bytes.store(page.len(), Ordering::Relaxed);
                Ok(page.into_parts())
            },
        }
        .reply(negotiation::coding(headers))
        .await
    }

    async fn accounts(&self, headers: &HeaderMap) -> Reply {
        let board = self.board.clone();
        let accounts = board.accounts();
        let names = self.names.borrow().clone();
        let now = self.clock.now();
        Content {
            content_type: JSON,
            vary: BY_CODING,
            heavy: accounts.len() > LIGHT_ACCOUNTS,
            body: move || Ok(whole(api::render(&accounts, &board, &names, now)?)),
        }
        .reply(negotiation::coding(headers))
        .await
    }

    async fn status_page(&self, headers: &HeaderMap, query: &str) -> Reply {
        let board = self.board.clone();
        let accounts = board.accounts();
        let names = self.names.borrow().clone();
        let now = self.clock.now();
        let number = page_number(query);
        let telemetry_path = self.settings.telemetry_path.clone();
        let mut reply = Content {
            content_type: HTML,
            vary: BY_CODING,
            heavy: accounts.len() > LIGHT_ACCOUNTS,
            body: move || {
                Ok(whole(page::render(
                    accounts,
                    &board,
                    &names,
                    now,
                    number,
                    &telemetry_path,
                )))
            },
        }
        .reply(negotiation::coding(headers))
        .await;
        if reply.status() == StatusCode::OK {
            let policy = self.page_policy.clone();
            reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply
    }

    async fn reload(&self, headers: &HeaderMap, query: &str) -> Reply {
        if !self.settings.enable_lifecycle {
            let reason = "reload is off: start with --web.enable-lifecycle";
            return response::text(StatusCode::FORBIDDEN, reason);
        }
        if let Err(reason) = csrf::admit(headers, self.settings.external_url.as_ref()) {
            return response::text(StatusCode::FORBIDDEN, reason);
        }
        let account = match account_named(query) {
            Ok(account) => account,
            Err(reason) => return response::text(StatusCode::BAD_REQUEST, reason),
        };
        match self.ask_for_reload(account).await {
            Ok(()) => response::text(StatusCode::OK, "reloaded"),
            Err(reason) => response::text(StatusCode::INTERNAL_SERVER_ERROR, reason),
        }
    }

    async fn ask_for_reload(&self, account: Option<String>) -> Result<(), String> {
        let (answer, outcome) = oneshot::channel();
        let gone = || "the exporter is shutting down".to_owned();
        self.reload
            .send(ReloadRequest { account, answer })
            .await
            .map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// `?page=`, from 1; whatever is no page is the first.
fn page_number(query: &str) -> usize {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "page")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(1)
}

/// `?account=NAME`; none is the whole configuration. A misspelt name of the parameter would be
/// answered as if the account's refused login could be tried again, and it could not.
fn account_named(query: &str) -> Result<Option<String>, &'static str> {
    let mut account = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), &account) {
            ("account", None) if value.is_empty() => return Err("account is empty"),
            ("account", None) => account = Some(value.into_owned()),
            ("account", Some(_)) => return Err("account is given more than once"),
            _ => return Err("unknown parameter: account is the only one"),
        }
    }
    Ok(account)
}

#[cfg(test)]
mod tests;
