//! The only cache: a page of metrics is rendered at most once a second for each format and
//! encoding, and shared by all requests until then.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::response::{Response, compress, encoded};
use crate::clock::Timestamps;
use crate::metrics::{Format, Metrics};

/// The time of the rendering, and the page with its headers.
type Page = (Timestamps, Response);

/// The last page in each format and encoding.
#[derive(Debug)]
pub(super) struct ScrapeCache {
    interval: Duration,
    pages: Mutex<BTreeMap<(Format, &'static str), Page>>,
}

impl ScrapeCache {
    /// `interval` is the least time between two renderings of one format and encoding.
    pub(super) fn new(interval: Duration) -> Self {
        let pages = Mutex::default();
        Self { interval, pages }
    }

    /// The page, at most the interval old. Requests that find it too old wait for one rendering,
    /// which runs on a thread that polls nothing: a large page takes a while.
    pub(super) async fn get(
        &self,
        metrics: &Metrics,
        format: Format,
        coding: &'static str,
    ) -> Response {
        let mut pages = self.pages.lock().await;
        let now = metrics.clock.now();
        if let Some((rendered_at, page)) = pages.get(&(format, coding))
            && now.age_of(*rendered_at) < self.interval
        {
            return page.clone();
        }
        let metrics = metrics.clone();
        let page = spawn_blocking(move || compress(metrics.render(format).into(), coding)).await;
        let page = page.unwrap_or_else(|panic| Err(panic.into()));
        let is_rendered = page.is_ok();
        let vary = "Accept, Accept-Encoding";
        let response = encoded(vary, format.content_type(), coding, page);
        if is_rendered {
            pages.insert((format, coding), (now, response.clone()));
        }
        response
    }
}
