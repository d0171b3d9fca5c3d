//! The HTTP server: middleware in order, one `routes` line per feature, graceful drain.

use std::net::TcpListener;

use actix_cors::Cors;
use actix_web::App as ActixApp;
use actix_web::dev::Server;
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::catalog::import::Stock;
use crate::error::{Error, Problem, Result};
use crate::http::body::MAX_BODY;
use crate::http::methods::{Methods, no_route};
use crate::http::{connection, rate_limit, request_id};
use crate::invoices::InvoiceDocument;
use crate::sale::states::MessageStatus;
use crate::{
    admin, auth, cart, catalog, coupons, invoices, mail, openapi, ops, orders, payments, privacy, shipments, shipping, users,
    webhooks,
};

#[derive(OpenApi)]
// Beside the problem of every error, the words that only parameters name: utoipa collects what bodies name.
#[openapi(info(title = "Vitrine"), components(schemas(Problem, MessageStatus, Stock, InvoiceDocument)))]
struct ApiDoc;

/// Every route, by feature. The OpenAPI document is made from the same list, so they cannot differ.
///
/// A request is compared with one route after the other, those with a `{segment}` by a regular expression. So what a shop is asked for
/// most comes first.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    catalog::routes(cfg);
    cart::routes(cfg);
    shipping::routes(cfg);
    orders::routes(cfg);
    payments::routes(cfg);
    webhooks::routes(cfg);
    ops::routes(cfg);
    auth::routes(cfg);
    users::routes(cfg);
    privacy::routes(cfg);
    invoices::routes(cfg);
    shipments::routes(cfg);
    coupons::routes(cfg);
    admin::routes(cfg);
    mail::routes(cfg);
}

/// The OpenAPI document, as `/openapi.json` and `vitrine openapi` give it.
pub fn openapi() -> serde_json::Value {
    let (_, declared) = ActixApp::new().into_utoipa_app().openapi(ApiDoc::openapi()).configure(routes).split_for_parts();
    let declared = serde_json::to_value(declared).expect("texts and lists are JSON");
    openapi::complete(declared)
}

/// Serves on an open listener until the returned server's handle stops it.
pub fn serve(app: Data<App>, listener: TcpListener) -> Result<Server> {
    let api = openapi();
    let methods = Data::new(Methods::of(addresses(&api)));
    let document = Bytes::from(api.to_string());
    let shop = app.clone();
    let server = connection::serve(listener, &app.config, app.config.http.workers, move || {
        let document = document.clone();
        ActixApp::new()
            .into_utoipa_app()
            .map(|actix| {
                actix
                    .wrap(from_fn(rate_limit::global))
                    .wrap(cors(&shop.config.http.allowed_origins))
                    .wrap(from_fn(request_id::track))
                    .wrap(from_fn(connection::one_at_a_time))
            })
            .app_data(shop.clone())
            .app_data(methods.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .configure(routes)
            .map(|actix| {
                actix
                    .configure(crate::pages::document::routes(document))
                    .configure(crate::pages::routes)
                    .default_service(web::to(no_route))
            })
            .into_app()
    });
    server.map_err(|e| Error::Internal(format!("listen: {e}")))
}

/// Every address with its methods: those of the document, and the pages.
fn addresses(api: &serde_json::Value) -> Vec<(String, Method)> {
    let mut found: Vec<(String, Method)> = crate::pages::ADDRESSES.iter().map(|path| ((*path).to_owned(), Method::GET)).collect();
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        let methods = methods.as_object().into_iter().flat_map(|methods| methods.keys());
        found.extend(methods.filter_map(|method| Some((path.clone(), method.to_uppercase().parse().ok()?))));
    }
    found
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, header::IF_MATCH, header::IF_NONE_MATCH])
        .allowed_headers(["x-request-id", "x-cart-token", "x-order-token", "x-device-token", "idempotency-key", "last-event-id"])
        .expose_headers(["x-request-id", "x-cart-token", "x-device-token", "idempotency-replayed", "etag", "retry-after"])
        .max_age(3600);
    if origins.iter().any(|o| o == "*") {
        // Any origin, but without cookies: browsers refuse the combination.
        return cors.allow_any_origin();
    }
    origins.iter().fold(cors.supports_credentials(), |cors, origin| cors.allowed_origin(origin))
}
