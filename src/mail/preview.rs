//! `vitrine mail preview`: every message with sample data, as files or on a port of this machine.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use super::kind::Kind;
use super::sms;
use super::templates::Templates;
use super::{TOKEN, samples};
use crate::error::{Error, Result};
use crate::lang::Lang;

/// Which messages are shown: one kind or all, one language or both.
#[derive(Debug, Default)]
pub struct Choice {
    pub kind: Option<String>,
    pub lang: Option<String>,
}

/// File name → content. `index.html` shows the others.
type Pages = BTreeMap<String, String>;

/// Writes the pages into a folder, and makes it if needed.
pub fn write(choice: &Choice, folder: &Path) -> Result<()> {
    let trouble = |e: std::io::Error| Error::Internal(format!("{}: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(trouble)?;
    let pages = pages(choice)?;
    for (name, content) in &pages {
        std::fs::write(folder.join(name), content).map_err(trouble)?;
    }
    println!("{} files in {}: open index.html", pages.len(), folder.display());
    Ok(())
}

/// Serves the pages on this machine alone, until a signal.
pub async fn serve(choice: &Choice, port: u16) -> Result<()> {
    let pages = Data::new(pages(choice)?);
    let server = HttpServer::new(move || App::new().app_data(pages.clone()).default_service(web::to(page)))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", port))
        .map_err(|e| Error::Internal(format!("port {port} cannot be opened: {e}; choose another with --port")))?;
    for address in server.addrs() {
        println!("Messages: http://{address}   (Ctrl-C ends it)");
    }
    let server = server.run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    crate::signal::stop().await?;
    handle.stop(false).await;
    let _ = serving.await;
    Ok(())
}

async fn page(pages: Data<Pages>, req: HttpRequest) -> HttpResponse {
    let name = match req.path().trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    match pages.get(name) {
        Some(content) if name.ends_with(".txt") => {
            HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(content.clone())
        }
        Some(content) => HttpResponse::Ok().content_type("text/html; charset=utf-8").body(content.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}

fn pages(choice: &Choice) -> Result<Pages> {
    let all = || Kind::ALL.map(Kind::word).join(", ");
    let kinds = match choice.kind.as_deref() {
        None => Kind::ALL.to_vec(),
        Some(word) => vec![Kind::named(word).ok_or_else(|| Error::Internal(format!("there is no kind {word}: {}", all())))?],
    };
    let langs = match choice.lang.as_deref() {
        None => Lang::ALL.to_vec(),
        Some("pt" | "pt-BR") => vec![Lang::Pt],
        Some("en") => vec![Lang::En],
        Some(other) => return Err(Error::Internal(format!("there is no language {other}: pt-BR or en"))),
    };
    let templates = Templates::get()?;
    let (mut pages, mut list) = (Pages::new(), String::new());
    for kind in kinds {
        for &lang in &langs {
            let words = samples::words(templates, kind, lang)?;
            let name = format!("{}.{}", kind.word(), lang.as_str());
            let text = format!("{}\n\n{}", words.subject, words.text).replace(TOKEN, "…");
            pages.insert(format!("{name}.html"), words.html.replace(TOKEN, "…"));
            pages.insert(format!("{name}.txt"), text);
            list.push_str(&entry(&name, &format!("{} · {}", kind.word(), lang.as_str()), &words.subject, true));
            if sms::of(kind, samples::order().id).is_some() {
                let name = format!("sms_{name}");
                let order = super::facts::Order { lang, ..samples::shipped() };
                pages.insert(format!("{name}.txt"), sms::words(kind, &samples::shop().name, &order));
                list.push_str(&entry(&name, &format!("SMS · {} · {}", kind.word(), lang.as_str()), "", false));
            }
        }
    }
    pages.insert("index.html".to_owned(), include_str!("preview.html").replace("{{LIST}}", &list));
    Ok(pages)
}

/// One line of the index. Subjects hold no markup.
fn entry(name: &str, what: &str, subject: &str, has_html: bool) -> String {
    let links = match has_html {
        true => format!("<a href=\"{name}.html\">HTML</a> <a href=\"{name}.txt\">texto</a>"),
        false => format!("<a href=\"{name}.txt\">texto</a>"),
    };
    format!("<li><span>{what}</span> <strong>{subject}</strong> {links}</li>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_looked_at_in_both_languages() {
        let pages = pages(&Choice::default()).expect("sound samples");
        assert_eq!(pages.len(), 1 + Kind::ALL.len() * 4 + 4);
        for (name, page) in &pages {
            assert!(!page.contains(TOKEN) && !page.contains("{{"), "{name}");
            assert!(name == "index.html" || pages["index.html"].contains(name.as_str()), "{name} stands in the index");
        }
    }

    #[test]
    fn one_kind_and_one_language_can_be_asked_for() {
        let choice = |kind: &str, lang: &str| Choice { kind: Some(kind.into()), lang: Some(lang.into()) };
        let one = pages(&choice("invoice", "en")).expect("a kind");
        assert_eq!(one.keys().collect::<Vec<_>>(), ["index.html", "invoice.en.html", "invoice.en.txt"]);
        assert!(pages(&choice("newsletter", "en")).is_err() && pages(&choice("invoice", "de")).is_err());
    }
}
