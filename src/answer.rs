//! One finished answer in its encodings.

use std::io::Write;
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Below this a compressed body saves less than its header costs.
const WORTH_COMPRESSING: usize = 1024;
/// From here on compression runs on a blocking thread: it would hold up an async one.
const BLOCKING_FROM: usize = 16 * 1024;
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 20;
const ZSTD_LEVEL: i32 = 6;
const GZIP_LEVEL: u32 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Br,
    Zstd,
    Gzip,
}

impl Coding {
    /// In order of preference.
    const ALL: [Self; 3] = [Self::Br, Self::Zstd, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// A body as it goes out, with the tag of exactly these bytes.
#[derive(Debug)]
struct Face {
    body: Bytes,
    etag: HeaderValue,
}

/// A finished answer. Each encoding is made when a client first asks for it, and kept.
#[derive(Debug)]
pub struct Answer {
    pub generation: u64,
    pub stale_at: Instant,
    hash: String,
    cache_control: &'static str,
    plain: Face,
    compressed: [OnceCell<Option<Face>>; 3],
}

impl Answer {
    pub fn new(body: Bytes, generation: u64, stale_at: Instant, cache_control: &'static str) -> Self {
        let hash = hash_of(&body);
        let plain = Face { body, etag: tag(&hash, None) };
        Self { generation, stale_at, hash, cache_control, plain, compressed: Default::default() }
    }

    /// Its weight with all its encodings. Each of the three is kept only if it has half of the body's size or less.
    pub fn weight(&self, key: &str) -> u32 {
        const BOOKKEEPING: usize = 1024;
        u32::try_from(self.plain.body.len() * 5 / 2 + key.len() + BOOKKEEPING).unwrap_or(u32::MAX)
    }

    pub async fn respond(&self, asked: &HeaderMap) -> HttpResponse {
        let coding = asked.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).and_then(best);
        let (face, coding) = match coding {
            Some(coding) => match self.face(coding).await {
                Some(face) => (face, Some(coding)),
                None => (&self.plain, None),
            },
            None => (&self.plain, None),
        };
        let known = asked.get(header::IF_NONE_MATCH).is_some_and(|tags| self.is_among(tags));
        let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        answer
            .insert_header((header::ETAG, face.etag.clone()))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(self.cache_control)))
            .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
        if known {
            return answer.finish();
        }
        if let Some(coding) = coding {
            answer.insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(coding.name())));
        }
        answer.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json"))).body(face.body.clone())
    }

    async fn face(&self, coding: Coding) -> Option<&Face> {
        if self.plain.body.len() < WORTH_COMPRESSING {
            return None;
        }
        self.compressed[coding as usize].get_or_init(|| self.compress(coding)).await.as_ref()
    }

    async fn compress(&self, coding: Coding) -> Option<Face> {
        let body = self.plain.body.clone();
        let packed = if body.len() > BLOCKING_FROM {
            tokio::task::spawn_blocking(move || pack(&body, coding)).await.ok()??
        } else {
            pack(&body, coding)?
        };
        let small = packed.len() <= self.plain.body.len() / 2;
        small.then(|| Face { body: packed.into(), etag: tag(&self.hash, Some(coding)) })
    }

    fn is_among(&self, tags: &HeaderValue) -> bool {
        is_among(tags, &self.hash)
    }
}

/// Whether `If-None-Match` names what has this hash; `*` is anything. Compares without the encoding's suffix: under every encoding the
/// content is the same.
pub fn is_among(tags: &HeaderValue, hash: &str) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').any(|tag| {
        let tag = tag.trim();
        let name = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || name.split('-').next() == Some(hash)
    })
}

/// What the tags of a body are made of, in every encoding.
pub fn hash_of(body: &[u8]) -> String {
    hex::encode(&Sha256::digest(body)[..12])
}

fn tag(hash: &str, coding: Option<Coding>) -> HeaderValue {
    let tag = coding.map_or_else(|| format!("\"{hash}\""), |coding| format!("\"{hash}-{}\"", coding.name()));
    HeaderValue::from_str(&tag).expect("hexadecimal digits and letters are fit for a header")
}

/// The encoding that the client prefers; among equals, the first of ours. `None`: uncompressed.
fn best(accept: &str) -> Option<Coding> {
    let mut found: Option<(Coding, f32)> = None;
    for part in accept.split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        let Some(coding) = Coding::ALL.into_iter().find(|coding| name.trim().eq_ignore_ascii_case(coding.name())) else {
            continue;
        };
        let better = found.is_none_or(|(other, best)| quality > best || (quality == best && (coding as usize) < other as usize));
        if quality > 0.0 && better {
            found = Some((coding, quality));
        }
    }
    found.map(|(coding, _)| coding)
}

fn pack(body: &[u8], coding: Coding) -> Option<Vec<u8>> {
    match coding {
        Coding::Br => {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
            writer.write_all(body).ok()?;
            Some(writer.into_inner())
        }
        Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok(),
        Coding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
            writer.write_all(body).ok()?;
            writer.finish().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_client_chooses_the_encoding_and_a_tie_goes_to_the_smaller_body() {
        assert_eq!(best("gzip, deflate, br, zstd"), Some(Coding::Br));
        assert_eq!(best("gzip;q=1.0, br;q=0.5"), Some(Coding::Gzip));
        assert_eq!(best("br;q=0, zstd"), Some(Coding::Zstd));
        assert_eq!(best("BR"), Some(Coding::Br));
        assert_eq!(best("identity"), None);
        assert_eq!(best("gzip;q=garbage"), None);
    }

    #[test]
    fn a_tag_is_known_in_any_encoding_and_a_foreign_one_is_not() {
        let answer = Answer::new(Bytes::from_static(b"{}"), 0, Instant::now(), "public");
        let hash = answer.hash.clone();
        for known in [format!("\"{hash}\""), format!("W/\"{hash}-br\""), format!("\"x\", \"{hash}-gzip\""), "*".to_owned()] {
            assert!(answer.is_among(&HeaderValue::from_str(&known).expect("header")), "{known}");
        }
        assert!(!answer.is_among(&HeaderValue::from_static("\"0123\"")));
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_to_the_same_bytes(body in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let unpack = |coding| -> Vec<u8> {
                let packed = pack(&body, coding).expect("memory");
                let mut out = Vec::new();
                match coding {
                    Coding::Br => brotli::Decompressor::new(&packed[..], 4096).read_to_end(&mut out).expect("br"),
                    Coding::Zstd => zstd::Decoder::new(&packed[..]).expect("zstd").read_to_end(&mut out).expect("zstd"),
                    Coding::Gzip => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut out).expect("gzip"),
                };
                out
            };
            for coding in Coding::ALL {
                prop_assert_eq!(unpack(coding), body.clone());
            }
        }
    }
}
