//! The only cache: a page of metrics is rendered at most once a second for each format and
//! encoding, and shared by all requests until then.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::accept::ContentCoding;
use super::response::compress;
use crate::clock::Timestamps;
use crate::metrics::{Format, Metrics};

/// The last page in each format and encoding, with the time of its rendering.
#[derive(Debug)]
pub(super) struct ScrapeCache {
    interval: Duration,
    pages: Mutex<BTreeMap<(Format, ContentCoding), (Timestamps, Bytes)>>,
}

impl ScrapeCache {
    /// `interval` is the least time between two renderings of one format and encoding.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            pages: Mutex::default(),
        }
    }

    /// The page, at most the interval old. Requests that find it too old wait for one rendering,
    /// which runs on a thread that polls nothing: a large page takes a while.
    pub(super) async fn get(
        &self,
        metrics: &Metrics,
        format: Format,
        coding: ContentCoding,
    ) -> io::Result<Bytes> {
        let mut pages = self.pages.lock().await;
        let now = metrics.clock.now();
        if let Some((rendered_at, page)) = pages.get(&(format, coding))
            && now.age_of(*rendered_at) < self.interval
        {
            return Ok(page.clone());
        }
        let metrics = metrics.clone();
        let page =
            spawn_blocking(move || compress(metrics.render(format).into(), coding)).await??;
        pages.insert((format, coding), (now, page.clone()));
        Ok(page)
    }
}
