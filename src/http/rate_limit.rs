//! The limit over all requests of one client address.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, ResponseError, web};

use crate::app::App;
use crate::client_ip::client_ip;

/// The address that a request counts under.
pub fn address(app: &App, req: &HttpRequest) -> IpAddr {
    client_ip(req.peer_addr().map(|a| a.ip()), req.headers(), &app.config.http.trusted_proxies)
}

/// The limit over everything under `/api` and the tracking page. Webhooks are exempt: a provider sends many at once after an
/// outage.
pub async fn global(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let path = req.match_info().as_str(); // decoded, as routes are matched: `/%61pi/orders` is `/api/orders`
    let counted = (path.starts_with("/api/") && !path.starts_with("/api/webhooks/")) || path.starts_with("/tracking/");
    if counted
        && let Some(app) = req.app_data::<web::Data<App>>()
        && app.limiters.global.is_on()
        && let Err(error) =
            app.limiters.global.check(client_ip(req.peer_addr().map(|a| a.ip()), req.headers(), &app.config.http.trusted_proxies))
    {
        return Ok(req.into_response(error.error_response()));
    }
    Ok(next.call(req).await?.map_into_boxed_body())
}
