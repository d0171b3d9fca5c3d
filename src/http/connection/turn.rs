//! What the stream of a connection and the requests on it tell each other.
//!
//! While a request is in hand nothing more is read, but for what its own body still lacks. So the requests of a connection are
//! those that came in one read (`stream::READ_AHEAD`), and they are answered before there are more of them.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// What of an answer is handed over at once: a page of twenty products goes out whole.
const PIECE: usize = 32 * 1024;

/// Of one connection.
#[derive(Debug, Default)]
pub struct Turn {
    in_hand: Cell<u32>,
    /// Requests so far.
    begun: Cell<u64>,
    /// The request in hand waits for more of its body.
    lacks_body: Cell<bool>,
    /// Whoever wanted to read and was refused.
    refused: RefCell<Option<Waker>>,
}

impl Turn {
    /// Whether there is a use for more bytes now. If not, [`Turn::wait`].
    pub(super) fn may_read(&self) -> bool {
        self.in_hand.get() == 0 || self.lacks_body.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_hand.get() == 0
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Wakes this one when reading may go on.
    pub(super) fn wait(&self, waker: &Waker) {
        self.refused.replace(Some(waker.clone()));
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.refused.take() {
            waker.wake();
        }
    }

    fn wants_body(&self, lacks: bool) {
        if self.lacks_body.replace(lacks) != lacks && lacks {
            self.wake();
        }
    }

    pub(super) fn begin(self: &Rc<Self>) -> InHand {
        self.in_hand.set(self.in_hand.get() + 1);
        self.begun.set(self.begun.get() + 1);
        InHand(Rc::clone(self))
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct InHand(Rc<Turn>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.set(self.0.in_hand.get().saturating_sub(1));
        self.0.lacks_body.set(false);
        self.0.wake();
    }
}

/// Middleware, the outermost one: tells the connection that a request is in hand until its answer is handed over, and hands over
/// large answers in pieces.
pub async fn one_at_a_time(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(turn) = req.conn_data::<Rc<Turn>>().cloned() else { return Ok(next.call(req).await?.map_into_boxed_body()) };
    let in_hand = turn.begin();
    let payload = req.take_payload();
    req.set_payload(match payload {
        Payload::None => Payload::None,
        payload => Payload::Stream { payload: Box::pin(Wanted { payload, turn }) },
    });
    let answer = next.call(req).await?;
    Ok(answer.map_body(|_, body| match body.size() {
        // It goes into the buffer whole, before anything more is read.
        BodySize::None => body.boxed(),
        BodySize::Sized(length) if length <= PIECE as u64 => body.boxed(),
        _ => BoxBody::new(Pieces { body: Box::pin(body), rest: Bytes::new(), _in_hand: in_hand }),
    }))
}

/// A request's body, which says when it waits.
struct Wanted {
    payload: Payload,
    turn: Rc<Turn>,
}

impl Stream for Wanted {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.payload.poll_next_unpin(cx);
        self.turn.wants_body(next.is_pending());
        next
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.turn.wants_body(false);
    }
}

/// An answer's body in pieces of [`PIECE`] at most.
struct Pieces<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    _in_hand: InHand,
}

impl<B: MessageBody> MessageBody for Pieces<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        if self.rest.is_empty() {
            match self.body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                other => return other,
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn while_a_request_is_in_hand_only_its_own_body_is_read() {
        let turn = Rc::new(Turn::default());
        assert!(turn.may_read());
        let request = turn.begin();
        assert!(!turn.may_read());
        turn.wants_body(true);
        assert!(turn.may_read());
        turn.wants_body(false);
        assert!(!turn.may_read());
        drop(request);
        assert!(turn.may_read() && turn.is_idle());
    }

    #[tokio::test]
    async fn a_large_answer_is_handed_over_in_pieces_and_is_the_same() {
        let whole = Bytes::from((0..PIECE * 5 / 2).map(|i| (i % 251) as u8).collect::<Vec<_>>());
        let turn = Rc::new(Turn::default());
        let mut pieces = Pieces { body: Box::pin(whole.clone()), rest: Bytes::new(), _in_hand: turn.begin() };
        assert_eq!(pieces.size(), BodySize::Sized(whole.len() as u64));
        let first = std::future::poll_fn(|cx| Pin::new(&mut pieces).poll_next(cx)).await;
        assert_eq!(first.and_then(Result::ok).map(|piece| piece.len()), Some(PIECE));
        assert!(!turn.is_idle());
        let mut rest = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut pieces).poll_next(cx)).await {
            rest.extend_from_slice(&piece.expect("bytes"));
        }
        drop(pieces);
        assert_eq!(rest, whole[PIECE..]);
        assert!(turn.is_idle());
    }
}
