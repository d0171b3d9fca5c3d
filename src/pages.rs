//! The few pages that this server shows to people itself.

use actix_web::{HttpResponse, web};

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/", web::get().to(home)).route("/docs", web::get().to(docs));
}

async fn home() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(include_str!("pages/home.html"))
}

async fn docs() -> HttpResponse {
    HttpResponse::Found().insert_header(("location", "/docs/")).finish()
}
