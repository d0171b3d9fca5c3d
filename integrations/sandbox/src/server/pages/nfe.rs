//! Invoices for people: a card on the page, the DANFE and the XML behind it.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig};

use crate::books::nfe::{Nfe, NfeStatus};
use crate::formats::html::{escape, reais};
use crate::formats::time::wire_time;
use crate::providers::nfe::{self, danfe, danfe_pdf, xml};
use crate::world::World;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/nfe/{key}/{file:danfe|pdf|xml|cancelamento}", web::get().to(show));
}

async fn show(world: Data<World>, path: Path<(String, String)>) -> HttpResponse {
    let (key, file) = path.into_inner();
    let has_key = |nfe: &&Nfe| nfe.key.as_deref() == Some(&key) && nfe.status != NfeStatus::Denied;
    let Some(nfe) = world.write(|books| nfe::find(books, &key).filter(has_key).cloned()) else {
        return HttpResponse::NotFound().finish();
    };
    let as_xml = |text: String| HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(text);
    match file.as_str() {
        "danfe" => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", POLICY))
            .body(danfe::html(&nfe)),
        "pdf" => HttpResponse::Ok().content_type("application/pdf").body(danfe_pdf::draw(&nfe)),
        "xml" => as_xml(xml::note(&nfe)),
        _ if nfe.status == NfeStatus::Cancelled => as_xml(xml::cancellation(&nfe)),
        _ => HttpResponse::NotFound().finish(),
    }
}

pub(crate) fn card(nfe: &Nfe) -> String {
    let (class, word) = match nfe.status {
        NfeStatus::Processing => ("wait", "em processamento"),
        NfeStatus::Authorized => ("good", "autorizada"),
        NfeStatus::Rejected => ("bad", "rejeitada"),
        NfeStatus::Denied => ("bad", "denegada"),
        NfeStatus::Cancelling => ("wait", "em cancelamento"),
        NfeStatus::Cancelled => ("bad", "cancelada"),
    };
    let title = match nfe.number {
        Some(number) => format!("NF-e {number} · série {}", nfe.series),
        None => "NF-e sem número".to_owned(),
    };
    let kind = if nfe.draft.purpose == 4 { " · devolução" } else { "" };
    let rehearsal = if nfe.draft.production { "" } else { " · homologação, sem valor fiscal" };
    let links = match &nfe.key {
        Some(key) if nfe.status != NfeStatus::Denied => {
            let void = if nfe.status == NfeStatus::Cancelled {
                format!(" <a href=\"/nfe/{key}/cancelamento\">XML do cancelamento</a>")
            } else {
                String::new()
            };
            format!(
                "<p><a href=\"/nfe/{key}/danfe\">DANFE</a> <a href=\"/nfe/{key}/pdf\">PDF</a> <a href=\"/nfe/{key}/xml\">XML</a>{void}</p>\
                 <code>{}</code>",
                danfe::spaced(key)
            )
        }
        _ => String::new(),
    };
    let letters = match nfe.letters.len() {
        0 => String::new(),
        count => format!(" · cartas de correção: {count}"),
    };
    let why = nfe.message.as_deref().filter(|_| nfe.status != NfeStatus::Authorized || nfe.is_cancel_refused);
    let why = why.map(|why| format!("<p>{} {}</p>", escape(nfe.code.as_deref().unwrap_or("")), escape(why))).unwrap_or_default();
    format!(
        "<article class=\"card\"><span class=\"amount\">{}</span><span class=\"tag {class}\">{word}</span> <strong>{title}</strong>\
         <div class=\"soft wrap\">{} · ref {}{kind}{letters}{rehearsal} · {}</div>{why}{links}</article>",
        reais(nfe.total_cents),
        escape(&nfe.provider),
        escape(&nfe.reference),
        wire_time(nfe.created_at),
    )
}
