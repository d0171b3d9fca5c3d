//! Answers that are in memory: they need no route, no span and nothing that other origins are told.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, ORIGIN, VARY};
use actix_web::web::Data;

use crate::app::App;
use crate::client_ip::client_ip;

/// Where such answers are.
const ADDRESSES: [&str; 2] = ["/api/products", "/api/categories"];
/// What an answer of these addresses depends on, also where the request names no origin.
const DEPENDS_ON: &str = "accept-encoding, Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// The catalog's answer to this very request, if it is in hand. Requests of other origins and of people who signed in go the long way.
pub async fn answer(req: &ServiceRequest) -> Option<HttpResponse> {
    let headers = req.headers();
    let is_plain = req.method() == Method::GET && !headers.contains_key(ORIGIN) && !headers.contains_key(AUTHORIZATION);
    if !is_plain || !ADDRESSES.iter().any(|start| req.path().starts_with(start)) {
        return None;
    }
    let app = req.app_data::<Data<App>>()?;
    let kept = app.catalog.find(req.uri().path_and_query()?.as_str()).await?;
    let limit = &app.limiters.global;
    if limit.is_on() {
        let address = client_ip(req.peer_addr().map(|peer| peer.ip()), headers, &app.config.http.trusted_proxies);
        limit.check(address).ok()?; // the long way refuses it: what is refused is not counted
    }
    let mut answer = kept.respond(headers).await;
    answer.headers_mut().insert(VARY, HeaderValue::from_static(DEPENDS_ON));
    Some(answer)
}
