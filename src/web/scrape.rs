//! The only cache: a page of metrics is rendered at most once a second for each format and
//! encoding, and shared by all requests until then.

use std::collections::BTreeMap;
use std::io;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::accept::ContentCoding;
use super::response::{Response, compress, encoded};
use crate::clock::Timestamps;
use crate::metrics::{Format, Metrics};

/// The last page in each format and encoding, with its headers and the time of its rendering.
#[derive(Debug)]
pub(super) struct ScrapeCache {
    interval: Duration,
    pages: RwLock<BTreeMap<(Format, ContentCoding), (Timestamps, Response)>>,
    rendering: Mutex<()>,
}

impl ScrapeCache {
    /// `interval` is the least time between two renderings of one format and encoding.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            pages: RwLock::default(),
            rendering: Mutex::default(),
        }
    }

    /// The page, at most the interval old. Requests that find it too old wait for one rendering,
    /// which runs on a thread that polls nothing: a large page takes a while.
    pub(super) async fn get(
        &self,
        metrics: &Metrics,
        format: Format,
        coding: ContentCoding,
    ) -> Response {
        if let Some(page) = self.fresh(metrics, format, coding) {
            return page;
        }
        let _turn = self.rendering.lock().await;
        if let Some(page) = self.fresh(metrics, format, coding) {
            return page;
        }
        let now = metrics.clock.now();
        let page = render(metrics.clone(), format, coding).await;
        let is_rendered = page.is_ok();
        let vary = "Accept, Accept-Encoding";
        let response = encoded(vary, format.content_type(), coding, page);
        if is_rendered {
            let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
            pages.insert((format, coding), (now, response.clone()));
        }
        response
    }

    fn fresh(&self, metrics: &Metrics, format: Format, coding: ContentCoding) -> Option<Response> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        let (rendered_at, page) = pages.get(&(format, coding))?;
        let age = metrics.clock.now().age_of(*rendered_at);
        (age < self.interval).then(|| page.clone())
    }
}

async fn render(metrics: Metrics, format: Format, coding: ContentCoding) -> io::Result<Bytes> {
    spawn_blocking(move || compress(metrics.render(format).into(), coding)).await?
}
