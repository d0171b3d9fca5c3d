//! The bytes of a body, bounded in size, in time, and together with all other bodies that are being read.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::error::{Error, Result};

/// The largest body we read.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take. Its headers have had a bound of their own.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// The beginning of each body is not counted: how many there are is bounded by the connections, and small requests go on while large
/// ones are refused.
const UNCOUNTED: usize = 16 * 1024;

/// What one body may need.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In bytes.
    pub most: usize,
    pub wait: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { most: MAX_BODY, wait: BODY_WAIT }
    }
}

/// The whole body as it was sent.
///
/// Errors: 413 it is larger than `bounds.most`; 408 it takes longer than `bounds.wait`; 503 all bodies that are being read are as large
/// as they may be (`HTTP_MAX_BODIES_MB`); 415 it is compressed: it could expand to gigabytes, and a signature is made over the bytes as
/// sent.
pub fn read(req: &HttpRequest, payload: &mut Payload, bounds: Bounds) -> LocalBoxFuture<'static, Result<Bytes>> {
    let header = |name| req.headers().get(name).and_then(|value| value.to_str().ok());
    let is_plain = header(CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    let is_large =
        header(CONTENT_LENGTH).and_then(|length| length.parse().ok()).is_some_and(|length: usize| length > bounds.most);
    let bodies = req.app_data::<web::Data<App>>().and_then(|app| app.bodies.clone());
    let mut payload = payload.take();
    Box::pin(async move {
        if !is_plain {
            return Err(Error::UnsupportedEncoding);
        }
        if is_large {
            return Err(Error::TooLarge);
        }
        let (mut body, mut share) = (BytesMut::new(), Share { bodies, held: None });
        let read = async {
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| Error::Malformed("The body could not be read to its end".into()))?;
                if body.len() + chunk.len() > bounds.most {
                    return Err(Error::TooLarge);
                }
                share.grow(body.len(), chunk.len())?;
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        tokio::time::timeout(bounds.wait, read).await.map_err(|_| Error::BodyTooSlow)??;
        Ok(body.freeze())
    })
}

/// What a body has of the bytes that all bodies may have. It is given back when this is dropped.
struct Share {
    /// A permit is a byte. `None`: there is no such limit.
    bodies: Option<Arc<Semaphore>>,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// For `more` bytes after `there`.
    fn grow(&mut self, there: usize, more: usize) -> Result<()> {
        let counted = (there + more).saturating_sub(there.max(UNCOUNTED));
        let (Some(bodies), Ok(counted @ 1..)) = (&self.bodies, u32::try_from(counted)) else { return Ok(()) };
        let Ok(permit) = Arc::clone(bodies).try_acquire_many_owned(counted) else {
            metrics::counter!("vitrine_http_bodies_refused_total").increment(1);
            return Err(Error::Busy { what: "Too many large requests are being read at this moment", retry_after_s: 2 });
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use futures_util::stream::{self, LocalBoxStream};

    use super::*;

    fn pieces(of: &'static [&'static str]) -> LocalBoxStream<'static, Result<Bytes, PayloadError>> {
        stream::iter(of).map(|text| Ok(Bytes::from_static(text.as_bytes()))).boxed_local()
    }

    #[tokio::test]
    async fn a_body_that_stops_on_its_way_is_not_waited_for_beyond_its_time() {
        let request = TestRequest::default().to_http_request();
        let mut stops = Payload::Stream { payload: pieces(&["{\"a\":"]).chain(stream::pending()).boxed_local() };
        let read = read(&request, &mut stops, Bounds { wait: Duration::from_millis(20), ..Bounds::default() }).await;
        assert!(matches!(read, Err(Error::BodyTooSlow)), "{read:?}");
    }

    #[tokio::test]
    async fn a_body_that_comes_in_pieces_is_read_to_its_end() {
        let request = TestRequest::default().to_http_request();
        let mut comes = Payload::Stream { payload: pieces(&["{", "\"a\"", ":1}"]) };
        let read = read(&request, &mut comes, Bounds::default()).await;
        assert_eq!(read.ok().as_deref(), Some(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn all_bodies_together_have_so_many_bytes_and_small_ones_need_none() {
        let bodies = Arc::new(Semaphore::new(1_000));
        let share = || Share { bodies: Some(Arc::clone(&bodies)), held: None };
        let (mut large, mut second, mut small) = (share(), share(), share());
        assert!(
            large.grow(0, UNCOUNTED).is_ok() && large.grow(UNCOUNTED, 600).is_ok() && large.grow(UNCOUNTED + 600, 300).is_ok()
        );
        assert_eq!(bodies.available_permits(), 100);
        assert!(matches!(second.grow(UNCOUNTED - 50, 151), Err(Error::Busy { .. })));
        assert!(second.grow(UNCOUNTED - 50, 150).is_ok() && small.grow(0, UNCOUNTED).is_ok());
        drop((large, second));
        assert_eq!(bodies.available_permits(), 1_000);
    }
}
