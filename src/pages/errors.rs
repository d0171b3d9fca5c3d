//! A page for each type of problem, so that a problem's `type` opens: `docs/errors/*.md` as HTML, or as Markdown on request.

use actix_web::http::header::{ACCEPT, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use pulldown_cmark::{Options, Parser, html};

use super::page;
use crate::error::{Error, ProblemType, Result};
use crate::http::json::Path;

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/errors", web::get().to(all)).route("/errors/{slug}", web::get().to(one));
}

/// Every type of problem, by status.
async fn all(req: HttpRequest) -> HttpResponse {
    let mut text = String::from(
        "# Errors of this API\n\nAn error is `application/problem+json` (RFC 9457). Its `type` is the address of one of these pages. \
         Programs switch on the last part of it, the slug, which never changes.\n\n| status | slug | what it says |\n|---|---|---|\n",
    );
    for ProblemType { status, slug, title, .. } in ProblemType::ALL {
        text.push_str(&format!("| {status} | [{slug}](/errors/{slug}) | {title} |\n"));
    }
    show(&req, "Errors of this API", &text)
}

async fn one(req: HttpRequest, Path(slug): Path<String>) -> Result<HttpResponse> {
    let found = ProblemType::ALL.iter().find(|kind| kind.slug == slug).ok_or(Error::NotFound("This address"))?;
    Ok(show(&req, found.title, found.page))
}

fn show(req: &HttpRequest, title: &str, markdown: &str) -> HttpResponse {
    let accepted = req.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut answer = if accepted.contains("text/markdown") {
        HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(markdown.to_owned())
    } else {
        let mut text = String::new();
        html::push_html(&mut text, Parser::new_ext(markdown, Options::ENABLE_TABLES));
        page(include_str!("error.html").replace("{{ title }}", title).replace("{{ text }}", &text))
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    answer
}
