//! HEAD: what GET would answer, without its body (RFC 9110, 9.3.2). For monitors, caches and link checkers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use bytes::Bytes;

/// Routes a HEAD request as a GET. `true`: [`without_body`] must follow.
pub fn as_get(req: &mut ServiceRequest) -> bool {
    let is_head = req.method() == Method::HEAD;
    if is_head {
        req.head_mut().method = Method::GET;
    }
    is_head
}

/// The answer without its body, with the length that the body would have had. A stream is not started.
pub fn without_body(res: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    res.map_body(|_, body| {
        let size = match body.size() {
            BodySize::Stream => BodySize::None,
            size => size,
        };
        BoxBody::new(LengthAlone(size))
    })
}

struct LengthAlone(BodySize);

impl MessageBody for LengthAlone {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
