//! The mailbox for people: whom the shop wrote to, what, and how it looks to them. Mails and texts alike, in Portuguese.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, Query, ServiceConfig};
use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use serde::Deserialize;

use crate::books::post::bare_address;
use crate::books::{Books, Mail, Sms};
use crate::formats::html::{escape, put};
use crate::world::World;

/// So many messages are listed, the newest first.
const SHOWN: usize = 200;
/// So much of a message stands under its subject.
const PREVIEW: usize = 110;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A mail runs nothing and loads nothing but pictures; its links open beside it.
const MAIL_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: http: https:; \
                           style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'";

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/mailbox", web::get().to(page))
        .route("/mailbox/lists", web::get().to(lists_anew))
        .route("/mailbox/{id}/html", web::get().to(mail_html));
}

/// What is looked at.
#[derive(Deserialize)]
struct Look {
    to: Option<String>,
    id: Option<String>,
    /// `text`: the plain part.
    part: Option<String>,
    /// `phone`: as narrow as one.
    width: Option<String>,
    version: Option<u64>,
}

enum Message<'a> {
    Mail(&'a Mail),
    Sms(&'a Sms),
}

impl Message<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Mail(mail) => &mail.id,
            Self::Sms(sms) => &sms.id,
        }
    }

    fn at(&self) -> Timestamp {
        match self {
            Self::Mail(mail) => mail.created_at,
            Self::Sms(sms) => sms.created_at,
        }
    }

    fn to(&self) -> Vec<&str> {
        match self {
            Self::Mail(mail) => mail.to.iter().map(|to| bare_address(to)).collect(),
            Self::Sms(sms) => vec![&sms.to],
        }
    }
}

/// Newest first.
fn messages(books: &Books) -> Vec<Message<'_>> {
    let mut all: Vec<Message<'_>> = books.mails().iter().map(Message::Mail).chain(books.sms().iter().map(Message::Sms)).collect();
    all.reverse(); // of the same instant, the later arrival first
    all.sort_by_key(|message| std::cmp::Reverse(message.at()));
    all
}

async fn page(world: Data<World>, look: Query<Look>) -> HttpResponse {
    let (version, lists, reader) = world.write(|books| {
        let all = messages(books);
        let open = opened(&all, &look);
        (books.version(), lists(&all, open, &look), open.map_or_else(nothing, |message| reader(message, &look)))
    });
    // The last two are what people wrote: no template any more.
    let page = include_str!("mailbox.html").replace("{{VERSION}}", &version.to_string());
    let (before, rest) = page.split_once("{{LISTS}}").unwrap_or((&page, ""));
    let (between, after) = rest.split_once("{{READER}}").unwrap_or((rest, ""));
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("cache-control", "no-store"))
        .body([before, &lists, between, &reader, after].concat())
}

/// The lists anew, or 204 while nothing has changed.
async fn lists_anew(world: Data<World>, look: Query<Look>) -> HttpResponse {
    world.write(|books| {
        if look.version == Some(books.version()) {
            return HttpResponse::NoContent().finish();
        }
        let all = messages(books);
        HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("x-version", books.version().to_string()))
            .insert_header(("cache-control", "no-store"))
            .body(lists(&all, opened(&all, &look), &look))
    })
}

async fn mail_html(world: Data<World>, id: Path<String>) -> HttpResponse {
    match world.read(|books| books.mails.get(&id).and_then(|mail| mail.html.clone())) {
        Some(html) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", MAIL_POLICY))
            .body(html.replacen("<head>", "<head><base target=\"_blank\">", 1)),
        None => HttpResponse::NotFound().finish(),
    }
}

/// The one that was asked for, else the newest of the chosen recipient.
fn opened<'m, 'a>(all: &'m [Message<'a>], look: &Look) -> Option<&'m Message<'a>> {
    let asked = look.id.as_ref().and_then(|id| all.iter().find(|message| message.id() == id));
    asked.or_else(|| all.iter().find(|message| is_to(message, look)))
}

fn is_to(message: &Message<'_>, look: &Look) -> bool {
    look.to.as_ref().is_none_or(|to| message.to().iter().any(|one| one.eq_ignore_ascii_case(to)))
}

/// The address of this view with one thing changed.
fn link(look: &Look, changes: &[(&str, Option<&str>)]) -> String {
    let given = [("to", &look.to), ("id", &look.id), ("part", &look.part), ("width", &look.width)];
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in given {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        if let Some(value) = change.map_or(value.as_deref(), |(_, value)| *value) {
            query.append_pair(name, value);
        }
    }
    escape(&format!("/mailbox?{}", query.finish()))
}

fn lists(all: &[Message<'_>], open: Option<&Message<'_>>, look: &Look) -> String {
    let mut people: BTreeMap<String, usize> = BTreeMap::new();
    for to in all.iter().flat_map(Message::to) {
        *people.entry(to.to_ascii_lowercase()).or_default() += 1;
    }
    let mut out = String::from("<nav aria-label=\"Destinatários\"><h2>Destinatários</h2><ul>");
    let person = |out: &mut String, to: Option<&str>, name: &str, count: usize| {
        let current =
            if look.to.as_deref().map(str::to_ascii_lowercase).as_deref() == to { " aria-current=\"true\"" } else { "" };
        let href = link(look, &[("to", to), ("id", None)]);
        put(out, format_args!("<li><a href=\"{href}\"{current}><span>{}</span><b>{count}</b></a></li>", escape(name)));
    };
    person(&mut out, None, "Todos", all.len());
    for (to, count) in &people {
        person(&mut out, Some(to), to, *count);
    }
    out.push_str("</ul></nav><section aria-label=\"Mensagens\"><h2>Mensagens</h2><ul>");
    for message in all.iter().filter(|message| is_to(message, look)).take(SHOWN) {
        let is_open = open.is_some_and(|open| open.id() == message.id());
        entry(&mut out, message, &link(look, &[("id", Some(message.id()))]), is_open);
    }
    if all.is_empty() {
        out.push_str("<li class=\"none\">Nenhuma mensagem ainda. Faça um pedido na loja.</li>");
    }
    out.push_str("</ul></section>");
    out
}

fn entry(out: &mut String, message: &Message<'_>, href: &str, is_open: bool) {
    let current = if is_open { " aria-current=\"true\"" } else { "" };
    let (channel, subject, words) = match message {
        Message::Mail(mail) => ("E-mail", mail.subject.as_str(), mail.text.as_deref().unwrap_or("")),
        Message::Sms(sms) => ("SMS", sms.from.as_deref().unwrap_or("Mensagem de texto"), sms.text.as_str()),
    };
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW).collect();
    put(
        out,
        format_args!(
            "<li><a href=\"{href}\"{current}><small><i class=\"{}\">{channel}</i> {} <time>{}</time></small>\
             <strong>{}</strong><span>{}</span></a></li>",
            channel.to_ascii_lowercase(),
            escape(&message.to().join(", ")),
            short_time(message.at()),
            escape(subject),
            escape(&words),
        ),
    );
}

fn nothing() -> String {
    "<p class=\"empty\">Aqui aparecem os e-mails e SMS que a loja enviar.</p>".to_owned()
}

fn reader(message: &Message<'_>, look: &Look) -> String {
    match message {
        Message::Mail(mail) => mail_reader(mail, look),
        Message::Sms(sms) => sms_reader(sms),
    }
}

fn mail_reader(mail: &Mail, look: &Look) -> String {
    let id = escape(&mail.id);
    let shows_text = look.part.as_deref() == Some("text") || mail.html.is_none();
    let is_narrow = look.width.as_deref() == Some("phone");
    let tab = |name: &str, changes: &[(&str, Option<&str>)], is_on: bool| {
        let with_id: Vec<_> = changes.iter().copied().chain([("id", Some(mail.id.as_str()))]).collect();
        let current = if is_on { " aria-current=\"true\"" } else { "" };
        format!("<a href=\"{}\"{current}>{name}</a>", link(look, &with_id))
    };
    let tabs = [
        tab("Computador", &[("part", None), ("width", None)], !shows_text && !is_narrow),
        tab("Celular", &[("part", None), ("width", Some("phone"))], !shows_text && is_narrow),
        tab("Texto puro", &[("part", Some("text")), ("width", None)], shows_text),
    ]
    .concat();
    let body = if shows_text {
        format!("<pre>{}</pre>", escape(mail.text.as_deref().unwrap_or("")))
    } else {
        let class = if is_narrow { " class=\"phone\"" } else { "" };
        format!(
            "<iframe{class} sandbox=\"allow-popups allow-popups-to-escape-sandbox\" title=\"E-mail\" src=\"/mailbox/{id}/html\"></iframe>"
        )
    };
    let kind = mail.tags.iter().find(|(name, _)| name == "kind").map_or("", |(_, kind)| kind);
    format!(
        "<header><h2>{}</h2><dl><dt>De</dt><dd>{}</dd><dt>Para</dt><dd>{}</dd><dt>Quando</dt><dd>{}</dd></dl>\
         <div class=\"tabs\">{tabs}<small>{} · {} · {}</small></div></header>{body}",
        escape(&mail.subject),
        escape(&mail.from),
        escape(&mail.to.join(", ")),
        long_time(mail.created_at),
        escape(&mail.provider),
        escape(if kind.is_empty() { "sem tipo" } else { kind }),
        escape(&mail.last_event),
    )
}

fn sms_reader(sms: &Sms) -> String {
    let parts = if sms.parts == 1 { "1 SMS".to_owned() } else { format!("cobrado como {} SMS", sms.parts) };
    format!(
        "<header><h2>SMS para {}</h2><dl><dt>De</dt><dd>{}</dd><dt>Quando</dt><dd>{}</dd></dl>\
         <div class=\"tabs\"><small>{} · {} caracteres, {parts} · {}</small></div></header>\
         <div class=\"handset\"><p>{}</p><small>{}</small></div>",
        escape(&sms.to),
        escape(sms.from.as_deref().unwrap_or("número do provedor")),
        long_time(sms.created_at),
        escape(&sms.provider),
        sms.text.chars().count(),
        escape(&sms.status),
        escape(&sms.text),
        short_time(sms.created_at),
    )
}

fn in_brazil(at: Timestamp) -> jiff::Zoned {
    at.to_zoned(TimeZone::fixed(tz::offset(-3)))
}

fn short_time(at: Timestamp) -> String {
    in_brazil(at).strftime("%d/%m %H:%M").to_string()
}

fn long_time(at: Timestamp) -> String {
    in_brazil(at).strftime("%d/%m/%Y às %H:%M:%S").to_string()
}
