//! Packs bodies.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::negotiation::Coding;

/// A body in up to three parts, which are sent one after the other and never made one.
pub(super) type Parts = [Bytes; 3];

/// A body that is one part.
pub(super) fn whole(body: impl Into<Bytes>) -> Parts {
    [body.into(), Bytes::new(), Bytes::new()]
}

// Both levels are the fast end: the lines repeat so much that more effort buys little.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 1;

/// The body's parts in that coding.
pub(super) fn pack(parts: Parts, coding: Coding) -> io::Result<Parts> {
    let length = || parts.iter().map(Bytes::len).sum::<usize>();
    // The lines are much alike: an eighth is plenty.
    let room = || Vec::with_capacity(length() / 8);
    let packed = match coding {
        Coding::Identity => return Ok(parts),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(room(), Compression::new(GZIP_LEVEL));
            for part in &parts {
                encoder.write_all(part)?;
            }
            encoder.finish()?
        }
        Coding::Zstd => {
            let mut encoder = zstd::Encoder::new(room(), ZSTD_LEVEL)?;
            encoder.set_pledged_src_size(Some(length() as u64))?;
            for part in &parts {
                encoder.write_all(part)?;
            }
            encoder.finish()?
        }
    };
    Ok(whole(packed))
}
