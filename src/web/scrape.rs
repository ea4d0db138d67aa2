//! The only cache: a page of metrics is rendered at most once a second for each format and
//! encoding, and shared by all requests until then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::response::{Response, encode, encoded};
use crate::clock::Timestamps;
use crate::metrics::{Format, Metrics};

/// When the rendering began, and the page with its headers once it is rendered.
type Page = (Timestamps, Arc<OnceCell<Response>>);

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
    /// which runs on a thread that polls nothing, and all go on when it is done: with a lock each
    /// would wait until those before it have had a turn.
    pub(super) async fn get(
        &self,
        metrics: &Metrics,
        format: Format,
        coding: &'static str,
    ) -> Response {
        let page = self.page(metrics.clock.now(), (format, coding));
        let vary = "Accept, Accept-Encoding";
        let answer = |body| encoded(vary, format.content_type(), coding, body);
        let rendered = page.get_or_try_init(async || {
            let metrics = metrics.clone();
            let render = move || encode(coding, |to| metrics.render(format, to));
            spawn_blocking(render).await?.map(|page| answer(Ok(page)))
        });
        let rendered = rendered.await.cloned();
        rendered.unwrap_or_else(|error| answer(Err(error)))
    }

    /// Those that are too old are dropped first: another takes as much room.
    fn page(&self, now: Timestamps, key: (Format, &'static str)) -> Arc<OnceCell<Response>> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|_, (began, _)| now.age_of(*began) < self.interval);
        let (_, page) = pages.entry(key).or_insert_with(|| (now, Arc::default()));
        Arc::clone(page)
    }
}
