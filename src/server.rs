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
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::json::MAX_BODY;
use crate::http::methods::{Methods, no_route};
use crate::http::{connection, rate_limit, request_id};
use crate::{
    admin, auth, cart, catalog, coupons, invoices, mail, ops, orders, payments, privacy, shipments, shipping, users, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Vitrine", description = "Backend-for-frontend of a Brazilian online shop. Money is an integer of centavos, times are UTC, errors are problem+json: `type` ends in a stable slug and is the address of a page about it; `/errors` lists them all."),
    components(schemas(Problem)),
    modifiers(&Security)
)]
struct ApiDoc;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        api.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

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

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut api) = ActixApp::new().into_utoipa_app().openapi(ApiDoc::openapi()).configure(routes).split_for_parts();
    for (path, item) in &mut api.paths.paths {
        let name = path.trim_start_matches("/api").replace(['/', '-'], "_").replace(['{', '}'], "");
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}{name}")); // unique, as generators of clients need it
            }
        }
    }
    api
}

/// Serves on an open listener until the returned server's handle stops it.
pub fn serve(app: Data<App>, listener: TcpListener) -> Result<Server> {
    let api = openapi();
    let methods = Data::new(Methods::of(addresses(&api)));
    let document = Bytes::from(api.to_json().map_err(|e| Error::Internal(format!("the document: {e}")))?);
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
fn addresses(api: &utoipa::openapi::OpenApi) -> Vec<(String, Method)> {
    let mut found: Vec<(String, Method)> = crate::pages::ADDRESSES.iter().map(|path| ((*path).to_owned(), Method::GET)).collect();
    for (path, item) in &api.paths.paths {
        let operations = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        found.extend(
            operations.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| (path.clone(), method)),
        );
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
