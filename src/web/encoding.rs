//! Packs bodies.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::negotiation::Coding;

// Both levels are the fast end: the lines repeat so much that more effort buys little.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 1;

/// The body in that coding.
pub(super) fn pack(body: Bytes, coding: Coding) -> io::Result<Bytes> {
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => {
            let room = Vec::with_capacity(body.len() / 8);
            let mut encoder = GzEncoder::new(room, Compression::new(GZIP_LEVEL));
            encoder.write_all(&body)?;
            encoder.finish().map(Bytes::from)
        }
        Coding::Zstd => zstd::bulk::compress(&body, ZSTD_LEVEL).map(Bytes::from),
    }
}
