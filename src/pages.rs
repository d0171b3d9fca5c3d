//! The few HTML pages of this server. They contain nothing private and run no script.

pub mod document;
mod errors;

use actix_web::{HttpResponse, web};
use minijinja::{Environment, context};

use crate::app::App;
use crate::calendar;
use crate::error::{Error, Result};
use crate::http::json::Path;
use crate::orders::tracking::{self, TrackedStatus};

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The addresses of all pages. They take GET alone.
pub const ADDRESSES: [&str; 8] =
    ["/", "/docs", "/docs/{file:.*}", "/openapi.json", "/errors", "/errors/{slug}", "/tracking/{number}", "/media/demo/{file}"];

pub fn routes(cfg: &mut web::ServiceConfig) {
    crate::catalog::media::routes(cfg);
    errors::routes(cfg);
    cfg.route("/", web::get().to(home)).route("/docs", web::get().to(docs)).route("/tracking/{number}", web::get().to(track));
}

fn page(html: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(html)
}

async fn home() -> HttpResponse {
    page(include_str!("pages/home.html").to_owned())
}

async fn docs() -> HttpResponse {
    HttpResponse::Found().insert_header(("location", "/docs/")).finish()
}

/// The public tracking page. It shows what `/api/orders/tracking/{number}` answers.
async fn track(app: web::Data<App>, Path(number): Path<String>) -> Result<HttpResponse> {
    let found = match tracking::find(&app, &number).await {
        Ok(found) => found,
        Err(Error::NotFound(_)) => {
            return Ok(HttpResponse::NotFound()
                .content_type("text/html; charset=utf-8")
                .insert_header(("content-security-policy", POLICY))
                .body(include_str!("pages/not_found.html")));
        }
        Err(error) => return Err(error),
    };
    let zone = calendar::zone();
    let steps: Vec<_> = found
        .history
        .into_iter()
        .map(|step| {
            let at = step.at.to_zoned(zone.clone()).strftime("%d/%m/%Y %H:%M").to_string();
            context! { description => step.description, place => step.place, at }
        })
        .collect();
    let mut templates = Environment::new();
    templates
        .add_template("tracking.html", include_str!("pages/tracking.html"))
        .and_then(|()| templates.get_template("tracking.html"))
        .and_then(|template| {
            template.render(context! {
                number => found.number, state => TrackedStatus::from(found.status).in_portuguese(), carrier => found.carrier,
                tracking_number => found.tracking_number, items => minijinja::value::Serde(&found.items), steps,
            })
        })
        .map(page)
        .map_err(|e| Error::Internal(format!("tracking page: {e}")))
}
