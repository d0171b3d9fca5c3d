//! The page for people, in Portuguese: charges to pay or decline, the mailbox, webhooks and calls.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, Query, ServiceConfig};
use serde::Deserialize;

use crate::books::card::CardStage;
use crate::books::{Books, Call, Charge, ChargeStatus, Delivery, DeliveryState, Mail};
use crate::formats::html::{escape, put, reais};
use crate::formats::signature;
use crate::formats::time::wire_time;
use crate::world::World;

pub(crate) mod mailbox;
mod nfe;
mod parcels;

/// So many of each are shown, the newest first.
const SHOWN: usize = 50;

const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A mail runs nothing and loads nothing but pictures.
const MAIL_POLICY: &str =
    "sandbox; default-src 'none'; img-src data: http: https:; style-src 'unsafe-inline'; frame-ancestors 'self'";

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(nfe::routes)
        .route("/", web::get().to(page))
        .route("/page", web::get().to(fragment))
        .route("/mails/{id}/html", web::get().to(mail_html));
}

async fn page(world: Data<World>) -> HttpResponse {
    let (version, sections) = world.write(|books| (books.version(), sections(books)));
    let page = include_str!("page.html").replace("{{VERSION}}", &version.to_string()).replace("{{SECTIONS}}", &sections); // last: what people wrote is not a template
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("cache-control", "no-store"))
        .body(page)
}

#[derive(Deserialize)]
struct Since {
    version: Option<u64>,
}

/// The sections anew, or 204 while nothing has changed.
async fn fragment(world: Data<World>, since: Query<Since>) -> HttpResponse {
    world.write(|books| {
        if since.version == Some(books.version()) {
            return HttpResponse::NoContent().finish();
        }
        HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("x-version", books.version().to_string()))
            .insert_header(("cache-control", "no-store"))
            .body(sections(books))
    })
}

async fn mail_html(world: Data<World>, id: Path<String>) -> HttpResponse {
    match world.read(|books| books.mails.get(&id).and_then(|mail| mail.html.clone())) {
        Some(html) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", MAIL_POLICY))
            .body(html),
        None => HttpResponse::NotFound().finish(),
    }
}

fn sections(books: &Books) -> String {
    let mut out = String::new();
    section(&mut out, "charges", "Cobranças", books.charges(), "Nenhuma cobrança ainda.", charge);
    section(&mut out, "nfes", "Notas fiscais", books.nfes(), "Nenhuma nota fiscal ainda.", nfe::card);
    section(&mut out, "parcels", "Envios", books.parcels(), "Nenhum envio ainda.", parcels::card);
    section(&mut out, "mails", "E-mails", books.mails(), "Nenhum e-mail ainda.", mail);
    section(&mut out, "webhooks", "Webhooks enviados", books.deliveries(), "Nenhum webhook ainda.", delivery);
    calls(&mut out, books);
    out
}

fn section<T>(out: &mut String, id: &str, title: &str, rows: &[T], none: &str, card: fn(&T) -> String) {
    let cards: String = rows.iter().rev().take(SHOWN).map(card).collect();
    let cards = if rows.is_empty() { format!("<p class=\"soft\">{none}</p>") } else { cards };
    put_section(out, id, title, rows.len(), &cards);
}

/// The hash lets the page leave a section alone that has not changed.
fn put_section(out: &mut String, id: &str, title: &str, count: usize, inner: &str) {
    let hash = signature::sha256_hex(inner.as_bytes());
    put(
        out,
        format_args!("<section id=\"{id}\" data-hash=\"{}\"><h2>{title} <span>{count}</span></h2>{inner}</section>", &hash[..16]),
    );
}

fn charge(charge: &Charge) -> String {
    let (class, word) = match charge.status {
        ChargeStatus::Pending if charge.card.as_ref().is_some_and(|card| card.decline.is_some()) => ("bad", "cartão recusado"),
        ChargeStatus::Pending if charge.card.as_ref().is_some_and(|card| card.stage == CardStage::Processing) => {
            ("wait", "em análise")
        }
        ChargeStatus::Pending => ("wait", "aguardando pagamento"),
        ChargeStatus::Paid => ("good", "paga"),
        ChargeStatus::Expired => ("bad", "expirada"),
        ChargeStatus::Cancelled => ("bad", "cancelada"),
        ChargeStatus::PartiallyRefunded => ("good", "devolvida em parte"),
        ChargeStatus::Refunded => ("good", "devolvida"),
    };
    let id = escape(&charge.payment_id);
    let buttons = match charge.status {
        ChargeStatus::Pending if charge.card.is_some() => format!(
            "<button class=\"main\" data-act=\"pay\" data-id=\"{id}\">Pagar com cartão</button> \
             <button data-act=\"decline\" data-id=\"{id}\">Recusar cartão</button>"
        ),
        ChargeStatus::Cancelled if charge.card.is_some() => String::new(),
        ChargeStatus::Pending => format!(
            "<button class=\"main\" data-act=\"pay\" data-id=\"{id}\">Pagar</button> \
             <button data-act=\"expire\" data-id=\"{id}\">Expirar</button> \
             <button data-act=\"copy\" data-id=\"{}\">Copiar código</button>",
            escape(&charge.copy_paste)
        ),
        ChargeStatus::Expired | ChargeStatus::Cancelled => {
            format!("<button data-act=\"pay\" data-force=\"yes\" data-id=\"{id}\">Pagar mesmo assim</button>")
        }
        _ => String::new(),
    };
    let differs = match charge.paid_cents {
        Some(paid) if paid != charge.amount_cents => format!(" · pago {}", reais(paid)),
        _ => String::new(),
    };
    let provider = escape(&charge.provider);
    let (picture, code, ends) = match charge.card {
        Some(_) => (String::new(), String::new(), String::new()),
        None => (
            format!("<img src=\"/{provider}/qr/{id}.png\" alt=\"QR do PIX\" loading=\"lazy\">"),
            format!("<code>{}</code>", escape(&charge.copy_paste)),
            format!(" · vence {}", wire_time(charge.expires_at)),
        ),
    };
    format!(
        "<article class=\"card charge\">{picture}<div>\
         <span class=\"amount\">{}</span><span class=\"tag {class}\">{word}</span>{differs}\
         <div class=\"soft wrap\">{provider} · {} · pagamento {id} · pedido {}{ends}</div>{code}{buttons}</div></article>",
        reais(charge.amount_cents),
        escape(&charge.description),
        escape(&charge.order_id),
    )
}

fn mail(mail: &Mail) -> String {
    let id = escape(&mail.id);
    let html = match mail.html {
        Some(_) => {
            format!("<iframe sandbox title=\"E-mail\" loading=\"lazy\" src=\"/mails/{id}/html\"></iframe>")
        }
        None => String::new(),
    };
    let text = mail.text.as_deref().map(|text| format!("<pre>{}</pre>", escape(text))).unwrap_or_default();
    format!(
        "<details class=\"card\" id=\"mail-{id}\"><summary><strong>{}</strong> <span class=\"soft\">para {} · {} · {}</span></summary>\
         <div class=\"soft wrap\">de {} · chave {}</div>{html}{text}</details>",
        escape(&mail.subject),
        escape(&mail.to.join(", ")),
        wire_time(mail.created_at),
        escape(&mail.last_event),
        escape(&mail.from),
        escape(mail.idempotency_key.as_deref().unwrap_or("—")),
    )
}

fn delivery(delivery: &Delivery) -> String {
    let (class, word) = match delivery.state {
        DeliveryState::Pending => ("wait", "na fila"),
        DeliveryState::Delivered => ("good", "entregue"),
        DeliveryState::GivenUp => ("bad", "desistiu"),
        DeliveryState::Lost => ("bad", "perdido de propósito"),
    };
    let mut answers = String::new();
    for attempt in &delivery.attempts {
        let status = attempt.status.map_or_else(|| "sem resposta".to_owned(), |status| status.to_string());
        put(&mut answers, format_args!("{} → {status} {}\n", wire_time(attempt.at), escape(&attempt.answer)));
    }
    let id = escape(&delivery.id);
    format!(
        "<details class=\"card\" id=\"delivery-{id}\"><summary><strong>{}</strong> <span class=\"tag {class}\">{word}</span> \
         <span class=\"soft\">{} · {} · tentativas: {}</span></summary><code>{}</code><pre>{answers}</pre></details>",
        escape(&delivery.event),
        escape(&delivery.provider),
        escape(&delivery.about),
        delivery.attempts.len(),
        escape(&delivery.body),
    )
}

fn calls(out: &mut String, books: &Books) {
    let rows: String = books.calls().rev().take(SHOWN).map(call).collect();
    let table = format!(
        "<div class=\"card scroll\"><table><thead><tr><th>Hora</th><th>Provedor</th><th>Chamada</th><th>Resposta</th>\
         <th>Tempo</th><th>Falha</th></tr></thead><tbody>{rows}</tbody></table></div>"
    );
    put_section(out, "calls", "Chamadas recebidas", books.calls().count(), &table);
}

fn call(call: &Call) -> String {
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        call.at.strftime("%H:%M:%S"),
        call.provider,
        escape(&call.endpoint),
        call.status.map_or_else(|| "—".to_owned(), |status| status.to_string()),
        call.duration_ms.map_or_else(|| "—".to_owned(), |ms| format!("{ms} ms")),
        escape(call.fault.as_deref().unwrap_or("")),
    )
}
