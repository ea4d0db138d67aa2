//! Tells the failing accounts of a host that the host answers again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use url::Url;

use crate::tradernet::Reason;

/// The successes of every host; clones share them.
#[derive(Clone, Debug, Default)]
pub struct HostRecovery(Arc<Mutex<HashMap<String, watch::Sender<()>>>>);

/// Whether a failure may be the host's, so that another account's success ends it.
pub(super) fn may_be_of_host(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Timeout | Reason::Network | Reason::Tls | Reason::HttpStatus | Reason::ApiError
    )
}

impl HostRecovery {
    /// An account of this host succeeded.
    pub(super) fn announce(&self, origin: &Url) {
        self.host(origin).send_replace(());
    }

    /// The successes of this host from now on.
    pub(super) fn subscribe(&self, origin: &Url) -> watch::Receiver<()> {
        self.host(origin).subscribe()
    }

    fn host(&self, origin: &Url) -> watch::Sender<()> {
        let name = origin.origin().ascii_serialization();
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(name).or_default().clone()
    }
}
