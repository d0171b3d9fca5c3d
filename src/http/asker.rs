//! Who asks is known before what they sent is judged. The framework runs the extractors of a handler side by side and answers the first
//! error, whatever their order. So an extractor that finds out who asks is counted here until it ends, and one that reads a path, a query
//! or a body waits for it before it refuses anything: somebody who may not ask is told that, and not what is wrong with a page number.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::{HttpMessage, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture};
use tokio::sync::Notify;

use crate::error::Result;

/// The extractors of one request that still find out who asks.
#[derive(Debug, Clone, Default)]
struct Asker(Rc<State>);

#[derive(Debug, Default)]
struct State {
    unknown: Cell<usize>,
    known: Notify,
}

/// Held until it is found out who asks.
#[derive(Debug)]
struct Finding(Asker);

impl Finding {
    fn of(req: &HttpRequest) -> Self {
        let asker = req.extensions_mut().get_or_insert_with(Asker::default).clone();
        asker.0.unknown.set(asker.0.unknown.get() + 1);
        Self(asker)
    }
}

impl Drop for Finding {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.unknown.set(state.unknown.get().saturating_sub(1));
        if state.unknown.get() == 0 {
            state.known.notify_waiters();
        }
    }
}

/// Runs what finds out who asks; others wait for it from this call on.
pub fn finding<T: 'static>(
    req: &HttpRequest,
    find: impl Future<Output = Result<T>> + 'static,
) -> LocalBoxFuture<'static, Result<T>> {
    let finding = Finding::of(req);
    Box::pin(async move {
        let found = find.await;
        drop(finding);
        found
    })
}

/// Waits until all that find out who asks have ended. What runs under [`finding`] never awaits it: it would wait for itself.
pub async fn is_known(req: HttpRequest) {
    let Some(asker) = req.extensions().get::<Asker>().cloned() else { return };
    // Ends because each `Finding` is dropped with the future that holds it.
    while asker.0.unknown.get() > 0 {
        asker.0.known.notified().await;
    }
}

/// What an extractor answers: at once what could be read, and an error when it is known who asks.
pub type Judged<T> = Either<Ready<Result<T>>, LocalBoxFuture<'static, Result<T>>>;

pub fn judged<T: 'static>(req: &HttpRequest, read: Result<T>) -> Judged<T> {
    match read {
        Ok(value) => Either::Left(ready(Ok(value))),
        Err(error) => Either::Right(is_known(req.clone()).map(|()| Err(error)).boxed_local()),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use actix_web::test::TestRequest;
    use futures_util::{future, poll};

    use super::*;
    use crate::error::Error;

    fn refused(req: &HttpRequest) -> Judged<()> {
        judged(req, Err(Error::NotFound("This address")))
    }

    #[tokio::test]
    async fn a_refusal_waits_for_all_who_find_out_who_asks_and_for_nobody_else() {
        let request = TestRequest::default().to_http_request();
        assert!(poll!(refused(&request)).is_ready(), "nobody finds it out");
        let mut early = refused(&request);
        let (first, second) = (Finding::of(&request), Finding::of(&request));
        assert!(poll!(judged(&request, Ok(()))).is_ready());
        assert!(poll!(&mut early).is_pending());
        drop(first);
        assert!(poll!(&mut early).is_pending());
        drop(second);
        assert!(matches!(poll!(&mut early), Poll::Ready(Err(Error::NotFound(_)))));
    }

    #[tokio::test]
    async fn the_refusal_is_woken_when_it_stands_before_the_finder() {
        let request = TestRequest::default().to_http_request();
        let found = Finding::of(&request);
        let finder = async move {
            tokio::task::yield_now().await;
            drop(found);
        };
        let (refusal, ()) = future::join(refused(&request), finder).await;
        assert!(matches!(refusal, Err(Error::NotFound(_))));
    }
}
