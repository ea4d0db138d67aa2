//! Which path answers what, to which methods.

use std::io;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_SECURITY_POLICY, HeaderMap, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;

use super::auth::Current;
use super::query::Query;
use super::response::{self, Response, text, with_header};
use super::server::{ListenerKind, Source};
use super::{App, ReloadRequest, accept, api, csrf, page};
use crate::clock::Timestamps;
use crate::config::LOG_LEVELS;
use crate::logging;
use crate::session::safety_type::SafetyNames;
use crate::status::StatusStore;

/// More than the longest level.
const MAX_LEVEL_BYTES: usize = 16;

/// Of a probe listener.
const PROBES: [&str; 2] = ["/-/healthy", "/-/ready"];
/// Of other listeners; `/metrics` is the telemetry path.
const ROUTES: [&str; 7] = [
    "/",
    "/metrics",
    "/api/v1/accounts",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/-/log-level",
];
/// Any other path.
const OTHER: &str = "other";

/// Status and text of an answer other than 200.
type Refusal = (StatusCode, String);
type Answer = Result<Response, Refusal>;

impl App {
    /// Answers one request and counts it; an answer that panics is an internal error.
    pub(super) async fn respond(&self, from: Source, request: Request<Incoming>) -> Response {
        let (request, body) = request.into_parts();
        let access = self.access.current();
        let handler = self.handler(from.kind, request.uri.path());
        let answer = self.route(&access, from, handler, &request, body);
        let response = AssertUnwindSafe(answer).catch_unwind();
        let mut response = response.await.unwrap_or_else(|_| {
            tracing::error!(handler, "answering a request panicked");
            response::internal_error()
        });
        access.add_headers(response.headers_mut());
        self.metrics
            .count_request(handler, response.status().as_str());
        response
    }

    /// The route, also the label `handler`: the telemetry path has one value wherever it is, and
    /// unknown paths share one.
    fn handler(&self, kind: ListenerKind, path: &str) -> &'static str {
        let routes = match kind {
            ListenerKind::Main => &ROUTES[..],
            ListenerKind::Probe => &PROBES[..],
        };
        // A reverse proxy may keep the path of the external URL.
        let stripped = path.strip_prefix(self.settings.path_prefix());
        let names = [Some(path), stripped].into_iter().flatten();
        let names = names.map(|path| match path {
            path if path == self.settings.telemetry_path => "/metrics",
            "/metrics" => OTHER,
            path => path,
        });
        let mut found = names.filter_map(|path| routes.iter().find(|route| **route == path));
        found.next().unwrap_or(&OTHER)
    }

    /// Answers a request that may be answered; probes always may.
    async fn route(
        &self,
        access: &Current,
        from: Source,
        handler: &str,
        request: &Parts,
        body: Incoming,
    ) -> Response {
        let headers = &request.headers;
        if !PROBES.contains(&handler) && from.kind == ListenerKind::Main {
            let external = self.settings.external_url.as_ref();
            if from.is_loopback
                && let Err(reason) = csrf::check_host(headers, external)
            {
                return text(StatusCode::FORBIDDEN, reason);
            }
            if let Err(refused) = self.access.check(access, headers).await {
                return refused;
            }
        }
        let allowed: &[&str] = match handler {
            "/-/reload" => &["POST"],
            "/-/log-level" => &["GET", "HEAD", "PUT"],
            _ => &["GET", "HEAD"],
        };
        if !allowed.contains(&request.method.as_str()) && handler != OTHER {
            let allow = allowed.join(", ");
            let reason = format!("method not allowed; use {allow}");
            return with_header(text(StatusCode::METHOD_NOT_ALLOWED, reason), ALLOW, &allow);
        }
        let query = request.uri.query().unwrap_or_default();
        let answer = match handler {
            "/metrics" => {
                let (format, coding) = (accept::format(headers), accept::coding(headers));
                Ok(self.scrapes.get(&self.metrics, format, coding).await)
            }
            "/-/healthy" => Ok(text(StatusCode::OK, "healthy")),
            "/-/ready" => self.ready(),
            // Boxed: a request for one of these is rare, and each would enlarge every connection.
            "/" => self.status_page(headers, query).boxed().await,
            "/api/v1/accounts" => self.accounts(headers, query).boxed().await,
            "/-/reload" => self.reload(from, headers, query).boxed().await,
            "/-/log-level" => self.log_level(request, body).boxed().await,
            _ => Ok(self.not_found(from.kind, request.uri.path())),
        };
        answer.unwrap_or_else(|(status, reason)| text(status, reason))
    }

    fn ready(&self) -> Answer {
        let ready = Ok(text(StatusCode::OK, "ready"));
        if *self.ready.borrow() {
            return ready;
        }
        let accounts = self.metrics.store.accounts();
        let all = accounts.len();
        let polled = accounts
            .iter()
            .filter(|account| account.last_attempt.is_some())
            .count();
        // The latch follows the last attempt; the page must not show an attempt before it is ready.
        if all > 0 && polled == all {
            return ready;
        }
        let reason = format!("not ready: {polled} of {all} accounts polled");
        Err((StatusCode::SERVICE_UNAVAILABLE, reason))
    }

    async fn accounts(&self, headers: &HeaderMap, query: &str) -> Answer {
        let query = Query::parse(query).map_err(bad_request)?;
        self.render(headers, "application/json", move |store, names, now| {
            Ok(api::render(store, names, &query, now)?)
        })
        .await
    }

    async fn status_page(&self, headers: &HeaderMap, query: &str) -> Answer {
        let query = Query::parse(query).map_err(bad_request)?;
        let (settings, started) = (self.settings.clone(), self.started);
        let page = self.render(
            headers,
            "text/html; charset=utf-8",
            move |store, names, now| {
                let page = page::render(store, names, &query, &settings, started, now);
                Ok(page.map_err(io::Error::other)?.into())
            },
        );
        Ok(with_header(
            page.await?,
            CONTENT_SECURITY_POLICY,
            page::POLICY,
        ))
    }

    /// Renders and compresses a body.
    async fn render(
        &self,
        headers: &HeaderMap,
        content_type: &'static str,
        body: impl FnOnce(&StatusStore, &SafetyNames, Timestamps) -> io::Result<Bytes> + Send + 'static,
    ) -> Answer {
        let coding = accept::coding(headers);
        let metrics = self.metrics.clone();
        let rendered = self.renderings.run(move || {
            let names = metrics.names.borrow().clone();
            let body = body(&metrics.store, &names, metrics.clock.now())?;
            response::encode(coding, |to| to.write_all(&body))
        });
        let rendered = rendered.await.ok_or_else(|| {
            let reason = "too many pages are requested at once; try again";
            (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
        })?;
        let body = rendered.and_then(|body| body);
        Ok(response::encoded(
            "Accept-Encoding",
            content_type,
            coding,
            body,
        ))
    }

    async fn reload(&self, from: Source, headers: &HeaderMap, query: &str) -> Answer {
        self.check_lifecycle(headers)?;
        let account = account_parameter(query).map_err(bad_request)?;
        if let Some(account) = &account
            && self.metrics.store.account(account).is_none()
        {
            return Err((StatusCode::NOT_FOUND, "no account of this name".to_owned()));
        }
        let shutting_down = || "the exporter is shutting down".to_owned();
        let (answer, outcome) = oneshot::channel();
        let client = from.client.map(|client| client.ip().to_canonical());
        let request = ReloadRequest {
            account,
            by: client.map_or("a Unix socket".to_owned(), |ip| ip.to_string()),
            answer,
        };
        let outcome = match self.reload.send(request).await {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err(shutting_down())),
            Err(_) => Err(shutting_down()),
        };
        outcome.map_err(|reason| (StatusCode::INTERNAL_SERVER_ERROR, reason))?;
        Ok(text(StatusCode::OK, "reloaded"))
    }

    /// Shows the level, or sets it to the one in the body.
    async fn log_level(&self, request: &Parts, body: Incoming) -> Answer {
        if request.method == Method::PUT {
            self.check_lifecycle(&request.headers)?;
            let level = Limited::new(body, MAX_LEVEL_BYTES).collect().await.ok();
            let level = level.and_then(|body| String::from_utf8(body.to_bytes().into()).ok());
            let is_named = |text: &str| {
                LOG_LEVELS
                    .into_iter()
                    .find(|(name, _)| *name == text.trim())
            };
            let level = level.and_then(|text| is_named(&text));
            let unknown = "the level must be one of debug, info, warn, error";
            logging::set_level(level.ok_or_else(|| bad_request(unknown))?.1);
        }
        let not_started = (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the log is not started".to_owned(),
        );
        let level = logging::level().ok_or(not_started)?;
        Ok(text(StatusCode::OK, level.as_str().to_lowercase()))
    }

    /// Whether a request may change something.
    fn check_lifecycle(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let allowed = if self.settings.enable_lifecycle {
            csrf::check_same_origin(headers, self.settings.external_url.as_ref())
        } else {
            Err("this is disabled; start the exporter with --web.enable-lifecycle")
        };
        allowed.map_err(|reason| (StatusCode::FORBIDDEN, reason.to_owned()))
    }

    fn not_found(&self, kind: ListenerKind, path: &str) -> Response {
        if kind == ListenerKind::Main && path == self.settings.path_prefix() {
            // To which links within the pages are relative.
            let moved = text(StatusCode::PERMANENT_REDIRECT, "moved");
            return with_header(moved, LOCATION, &format!("{path}/"));
        }
        let telemetry_path = &self.settings.telemetry_path;
        let reason = match kind {
            ListenerKind::Probe => "not found; this address has /-/healthy and /-/ready".to_owned(),
            ListenerKind::Main => format!(
                "not found; this server has / (status page), {telemetry_path}, /api/v1/accounts, \
                 /-/healthy, /-/ready, /-/reload and /-/log-level"
            ),
        };
        text(StatusCode::NOT_FOUND, reason)
    }
}

fn bad_request(reason: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, reason.into())
}

/// `?account=NAME`; `None` is the whole configuration. Other parameters are an error: with a
/// misspelt name the whole configuration would be reloaded.
fn account_parameter(query: &str) -> Result<Option<String>, &'static str> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match (pairs.next(), pairs.next()) {
        (None, _) => Ok(None),
        (Some((key, name)), None) if key == "account" && !name.is_empty() => {
            Ok(Some(name.into_owned()))
        }
        _ => Err("the only parameter is account=NAME"),
    }
}

#[cfg(test)]
mod tests;
