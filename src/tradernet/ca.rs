//! The CA certificates to trust: those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tracing::warn;

use crate::secret::read_regular_file;

/// A larger file holds something else: the system's certificates are less than 1 MiB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads the certificates. It blocks as long as the file system does.
///
/// # Errors
///
/// There are none; the text names the files that were tried.
#[expect(
    clippy::disallowed_methods,
    reason = "the variables of OpenSSL, which its other users read too"
)]
pub(super) fn load() -> Result<RootCertStore, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let file = set("SSL_CERT_FILE").map(PathBuf::from);
    let folders = set("SSL_CERT_DIR").unwrap_or_default();
    let folders = std::env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty());
    let folders = Vec::from_iter(folders);
    if file.is_none() && folders.is_empty() {
        let system = openssl_probe::probe();
        return read(system.cert_file.as_deref(), &system.cert_dir);
    }
    read(file.as_deref(), &folders)
}

fn read(file: Option<&Path>, folders: &[PathBuf]) -> Result<RootCertStore, String> {
    let (mut roots, mut seen, mut errors) = (RootCertStore::empty(), HashSet::new(), Vec::new());
    let mut failed = |path: &Path, error: &dyn Display| {
        let path = path.to_string_lossy();
        errors.push(format!("{}: {error}", path.escape_debug()));
    };
    let mut files = Vec::from_iter(file.map(Path::to_owned));
    for folder in folders {
        match files_of(folder) {
            Ok(found) => files.extend(found),
            Err(error) => failed(folder, &error),
        }
    }
    for path in files {
        match read_regular_file(&path, MAX_FILE_BYTES) {
            Ok(pem) => {
                let mut bad = 0;
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    // A folder has links to the same files under other names.
                    let mut is_known = |it: &CertificateDer<'static>| !seen.insert(it.clone());
                    let used = certificate.is_ok_and(|it| is_known(&it) || roots.add(it).is_ok());
                    bad += usize::from(!used);
                }
                if bad > 0 {
                    failed(&path, &format_args!("unreadable certificates: {bad}"));
                }
            }
            Err(error) => failed(&path, &error),
        }
    }
    if roots.is_empty() && errors.is_empty() {
        let places = file.into_iter().chain(folders.iter().map(PathBuf::as_path));
        let places = Vec::from_iter(places);
        errors.push(format!("none in PEM was found in {places:?}"));
    }
    let errors = errors.join("; ");
    if roots.is_empty() {
        return Err(format!(
            "{errors}; install ca-certificates, or name a file with SSL_CERT_FILE"
        ));
    }
    if !errors.is_empty() {
        warn!(errors, "some CA certificates could not be loaded");
    }
    Ok(roots)
}

/// The files in a folder, except for folders and links that lead nowhere.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if std::fs::metadata(&path).is_ok_and(|entry| !entry.is_dir()) {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_regular_files_of_a_few_mib_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let large = folder.path().join("large");
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        for (path, cause) in [
            (&*fifo, "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
            (folder.path(), "not a regular file"),
            (&large, "larger than 16384 KiB"),
        ] {
            let error = read(Some(path), &[]).unwrap_err();
            let expected = format!("{}: {cause}; ", path.display());
            assert!(error.starts_with(&expected), "{error}");
        }
        let folders = [folder.path().to_owned()];
        let error = read(None, &folders).unwrap_err();
        assert!(error.contains("fifo: not a regular file"), "{error}");
        assert!(error.contains("large: larger than"), "{error}");
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["ca.test".to_owned()]).unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        std::os::unix::fs::symlink("ca.pem", folder.path().join("link.pem")).unwrap();
        assert_eq!(read(None, &folders).unwrap().len(), 1);
    }
}
