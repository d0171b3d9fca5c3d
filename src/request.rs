//! What every answer of a request may name: the request's id, and the address at which the shop is reached.

use std::future::Future;

tokio::task_local! {
    static PUBLIC_URL: String;
}

/// Handles a request of a shop that is reached at `public_url`.
pub async fn at_public_url<F: Future>(public_url: String, work: F) -> F::Output {
    PUBLIC_URL.scope(public_url, work).await
}

/// `PUBLIC_URL` while a request is handled; empty outside of one, so that what follows it is a reference relative to the answer.
pub fn public_url() -> String {
    PUBLIC_URL.try_with(Clone::clone).unwrap_or_default()
}

/// The id of the request at hand; empty outside of one.
pub fn id() -> String {
    vitrine_kit::trace::request_id().unwrap_or_default()
}
