//! The words of every mail: a layout and two templates per kind, HTML and plain text, embedded in the binary.

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;
use vitrine_kit::Money;

use super::facts::{Order, Refund, Reset, Shop};
use crate::error::{Error, Result};

/// A template's name and source. What ends in `.html` escapes what is put into it, `.txt` does not.
macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("templates/", $name)))),*] };
}

const FILES: [(&str, &str); 18] = files![
    "layout.html",
    "layout.txt",
    "parts.html",
    "parts.txt",
    "order_placed.html",
    "order_placed.txt",
    "order_paid.html",
    "order_paid.txt",
    "order_shipped.html",
    "order_shipped.txt",
    "order_cancelled.html",
    "order_cancelled.txt",
    "refunded.html",
    "refunded.txt",
    "password_reset.html",
    "password_reset.txt",
    "alert.html",
    "alert.txt",
];

/// Longer subjects are cut off by every reader.
const MAX_SUBJECT: usize = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    OrderPlaced,
    OrderPaid,
    OrderShipped,
    OrderCancelled,
    Refunded,
    PasswordReset,
    Alert,
}

impl Kind {
    /// The word in the table, in the provider's key and tag, and in the templates' names.
    pub fn word(self) -> &'static str {
        match self {
            Self::OrderPlaced => "order_placed",
            Self::OrderPaid => "order_paid",
            Self::OrderShipped => "order_shipped",
            Self::OrderCancelled => "order_cancelled",
            Self::Refunded => "refunded",
            Self::PasswordReset => "password_reset",
            Self::Alert => "alert",
        }
    }

    /// Whether it stays unsent where an earlier mail bounced or was called spam.
    pub fn heeds_blocks(self) -> bool {
        !matches!(self, Self::PasswordReset | Self::Alert)
    }

    /// The subject of a mail about the state of an order.
    pub fn subject_of(self, number: &str) -> String {
        match self {
            Self::OrderPaid => format!("Pagamento confirmado – pedido {number}"),
            Self::OrderShipped => format!("Seu pedido {number} está a caminho"),
            Self::OrderCancelled => format!("Seu pedido {number} foi cancelado"),
            _ => format!("Recebemos seu pedido {number}"),
        }
    }
}

/// A rendered mail.
#[derive(Debug)]
pub struct Words {
    /// One line, whatever went into it.
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// What a template may speak of; each kind has its own part of it.
#[derive(Debug, Default, Serialize)]
pub struct Story<'a> {
    pub shop: Shop,
    pub order: Option<&'a Order>,
    pub refund: Option<&'a Refund>,
    pub reset: Option<&'a Reset>,
    pub alert: Option<Alert<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Alert<'a> {
    pub title: &'a str,
    pub text: &'a str,
}

#[derive(Debug)]
pub struct Templates(Environment<'static>);

impl Templates {
    pub fn new() -> Result<Self> {
        let mut env = Environment::new();
        env.set_syntax(syntax().map_err(|e| broken(&e))?);
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        env.set_formatter(write);
        env.add_filter("money", |cents: i64| Money::from_cents(cents).to_string());
        let zone = TimeZone::get("America/Sao_Paulo").unwrap_or_else(|_| TimeZone::fixed(tz::offset(-3)));
        env.add_filter("when", move |time: String| when(&time, &zone));
        for (name, source) in FILES {
            env.add_template(name, source).map_err(|e| broken(&e))?;
        }
        Ok(Self(env))
    }

    /// Both parts of a mail.
    pub fn render(&self, kind: Kind, subject: &str, story: &Story<'_>) -> Result<Words> {
        let subject = one_line(subject);
        let context = minijinja::context! { subject => subject.as_str(), ..Value::from(Serde(story)) };
        let part = |end: &str| {
            let template = self.0.get_template(&format!("{}.{end}", kind.word())).map_err(|e| broken(&e))?;
            template.render(&context).map_err(|e| broken(&e))
        };
        Ok(Words { html: part("html")?, text: without_gaps(&part("txt")?), subject })
    }
}

/// A line with nothing but a block leaves nothing behind.
fn syntax() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

fn broken(error: &minijinja::Error) -> Error {
    Error::Internal(format!("a mail's template: {error:#}"))
}

/// One empty line between paragraphs, whatever the blocks left.
fn without_gaps(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && tidy.ends_with("\n\n")) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

/// As Brazilians write it: `21/11/2025 às 14:05`, in São Paulo's time.
fn when(time: &str, zone: &TimeZone) -> Result<String, minijinja::Error> {
    let time: Timestamp = time.parse().map_err(|_| minijinja::Error::new(ErrorKind::InvalidOperation, "not a time"))?;
    Ok(time.to_zoned(zone.clone()).strftime("%d/%m/%Y às %H:%M").to_string())
}

/// A subject is a header: no line break may end it early.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || "\u{2028}\u{2029}".contains(c) { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

/// Escapes what matters in HTML and leaves the slashes of addresses alone.
fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let is_plain_text = value.kind() == ValueKind::String && !value.is_safe();
    match value.as_str() {
        Some(text) if is_plain_text && *state.auto_escape() == AutoEscape::Html => Ok(out.write_str(&escape(text))?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
