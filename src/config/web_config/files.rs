//! The files of a web configuration, to see when one of them changes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

use crate::secret::read_regular_file;

/// The configuration, a certificate, a key or CA certificates.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// SHA-256 of each file as it was read last; none where it could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<PathBuf, Option<[u8; 32]>>);

impl Files {
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = read_regular_file(path, MAX_FILE_BYTES);
        let digest = bytes
            .as_ref()
            .ok()
            .map(|bytes| Sha256::digest(bytes).into());
        self.0.insert(path.to_owned(), digest);
        bytes
    }

    pub(super) fn have_changed(&self) -> bool {
        let mut now = Self::default();
        for path in self.0.keys() {
            let _ = now.read(path).map(Zeroizing::new);
        }
        now.0 != self.0
    }
}
