//! The templates of mails: a layout, and per kind one for HTML and one for plain text, embedded in the binary.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::Serialize;
use vitrine_kit::Money;

use super::digest_text::Digest;
use super::facts::{self, Account, Invoice, Order, Refund, Reset, Shop};
use super::kind::Kind;
use super::notice::Notice;
use crate::calendar;
use crate::error::{Error, Result};
use crate::lang::Lang;

/// A template's name and source. Values are escaped in `.html`, and not in `.txt`.
macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("templates/", $name)))),*] };
}

const FILES: [(&str, &str); 68] = files![
    "layout.html",
    "layout.txt",
    "parts.html",
    "parts.txt",
    "pt-BR/welcome.html",
    "pt-BR/welcome.txt",
    "pt-BR/password_reset.html",
    "pt-BR/password_reset.txt",
    "pt-BR/email_confirm.html",
    "pt-BR/email_confirm.txt",
    "pt-BR/email_changed.html",
    "pt-BR/email_changed.txt",
    "pt-BR/password_changed.html",
    "pt-BR/password_changed.txt",
    "pt-BR/privacy_request.html",
    "pt-BR/privacy_request.txt",
    "pt-BR/order_link.html",
    "pt-BR/order_link.txt",
    "pt-BR/order_placed.html",
    "pt-BR/order_placed.txt",
    "pt-BR/expiry_reminder.html",
    "pt-BR/expiry_reminder.txt",
    "pt-BR/order_paid.html",
    "pt-BR/order_paid.txt",
    "pt-BR/order_shipped.html",
    "pt-BR/order_shipped.txt",
    "pt-BR/order_delivered.html",
    "pt-BR/order_delivered.txt",
    "pt-BR/order_cancelled.html",
    "pt-BR/order_cancelled.txt",
    "pt-BR/refunded.html",
    "pt-BR/refunded.txt",
    "pt-BR/invoice.html",
    "pt-BR/invoice.txt",
    "pt-BR/alert.html",
    "pt-BR/alert.txt",
    "en/welcome.html",
    "en/welcome.txt",
    "en/password_reset.html",
    "en/password_reset.txt",
    "en/email_confirm.html",
    "en/email_confirm.txt",
    "en/email_changed.html",
    "en/email_changed.txt",
    "en/password_changed.html",
    "en/password_changed.txt",
    "en/privacy_request.html",
    "en/privacy_request.txt",
    "en/order_link.html",
    "en/order_link.txt",
    "en/order_placed.html",
    "en/order_placed.txt",
    "en/expiry_reminder.html",
    "en/expiry_reminder.txt",
    "en/order_paid.html",
    "en/order_paid.txt",
    "en/order_shipped.html",
    "en/order_shipped.txt",
    "en/order_delivered.html",
    "en/order_delivered.txt",
    "en/order_cancelled.html",
    "en/order_cancelled.txt",
    "en/refunded.html",
    "en/refunded.txt",
    "en/invoice.html",
    "en/invoice.txt",
    "en/alert.html",
    "en/alert.txt",
];

/// Mail programs cut longer subjects.
const MAX_SUBJECT: usize = 150;

/// A rendered mail.
#[derive(Debug)]
pub struct Words {
    /// Always one line.
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// The data of a template. Each kind uses a part of it.
#[derive(Debug, Default, Serialize)]
pub struct Story<'a> {
    pub lang: Lang,
    pub shop: Shop,
    pub account: Option<&'a Account>,
    pub order: Option<&'a Order>,
    pub refund: Option<&'a Refund>,
    pub reset: Option<&'a Reset>,
    pub notice: Option<&'a Notice>,
    pub invoice: Option<&'a Invoice>,
    pub digest: Option<&'a Digest>,
}

/// Parsed once per process; the sources are in the binary.
static TEMPLATES: LazyLock<Result<Templates>> = LazyLock::new(Templates::new);

#[derive(Debug)]
pub struct Templates(Environment<'static>);

impl Templates {
    /// The templates of this binary. An error is a bug, which the tests of this folder find.
    pub fn get() -> Result<&'static Self> {
        TEMPLATES.as_ref().map_err(|e| Error::Internal(e.to_string()))
    }

    fn new() -> Result<Self> {
        let mut env = Environment::new();
        env.set_syntax(syntax().map_err(|e| broken(&e))?);
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        env.set_formatter(write);
        env.add_filter("money", |cents: i64, lang: &str| facts::money(Money::from_cents(cents), Lang::of(lang)));
        let zone = calendar::zone();
        env.add_filter("when", move |time: String, lang: &str| when(&time, Lang::of(lang), &zone));
        for (name, source) in FILES {
            env.add_template(name, source).map_err(|e| broken(&e))?;
        }
        Ok(Self(env))
    }

    /// Subject and both parts of a mail, in its language.
    pub fn render(&self, kind: Kind, story: &Story<'_>) -> Result<Words> {
        let subject = one_line(&subject_of(kind, story));
        let context = minijinja::context! { subject => subject.as_str(), ..Value::from(Serde(story)) };
        let part = |end: &str| {
            let template =
                self.0.get_template(&format!("{}/{}.{end}", story.lang.as_str(), kind.word())).map_err(|e| broken(&e))?;
            template.render(&context).map_err(|e| broken(&e))
        };
        Ok(Words { html: part("html")?, text: without_gaps(&part("txt")?), subject })
    }
}

/// A line that holds only a block is removed.
fn syntax() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

fn broken(error: &minijinja::Error) -> Error {
    Error::Internal(format!("a mail's template: {error:#}"))
}

/// Reduces several empty lines to one.
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

/// A time in the language's format, in São Paulo: `21/11/2025 às 14:05`, `21 Nov 2025 at 14:05`.
fn when(time: &str, lang: Lang, zone: &TimeZone) -> Result<String, minijinja::Error> {
    let time: Timestamp = time.parse().map_err(|_| minijinja::Error::new(ErrorKind::InvalidOperation, "not a time"))?;
    let shape = match lang {
        Lang::Pt => "%d/%m/%Y às %H:%M",
        Lang::En => "%-d %b %Y at %H:%M",
    };
    Ok(time.to_zoned(zone.clone()).strftime(shape).to_string())
}

/// A subject is a header, so line breaks are removed from it.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || "\u{2028}\u{2029}".contains(c) { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

/// Escapes for HTML, but not the slashes of addresses.
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

/// The subject of each kind, in both languages.
fn subject_of(kind: Kind, story: &Story<'_>) -> String {
    let number = story.order.map_or("", |order| order.number.as_str());
    let shop = story.shop.name.as_str();
    let refund = story.refund.map(|refund| facts::money(refund.amount_cents, story.lang)).unwrap_or_default();
    if kind == Kind::Alert {
        return format!("[{shop}] {}", story.digest.map(Digest::title).unwrap_or_default());
    }
    match story.lang {
        Lang::Pt => match kind {
            Kind::Welcome | Kind::Alert => format!("Sua conta em {shop} está pronta"),
            Kind::PasswordReset => format!("Redefina sua senha – {shop}"),
            Kind::EmailConfirm => format!("Confirme seu novo e-mail – {shop}"),
            Kind::EmailChanged => format!("Seu e-mail foi alterado – {shop}"),
            Kind::PasswordChanged => format!("Sua senha foi alterada – {shop}"),
            Kind::PrivacyRequest => format!("Seus dados em {shop}"),
            Kind::OrderLink => format!("Novo link do pedido {number}"),
            Kind::OrderPlaced => format!("Recebemos seu pedido {number}"),
            Kind::ExpiryReminder => format!("O PIX do pedido {number} está quase vencendo"),
            Kind::OrderPaid => format!("Pagamento confirmado – pedido {number}"),
            Kind::OrderShipped => format!("Seu pedido {number} está a caminho"),
            Kind::OrderDelivered => format!("Seu pedido {number} foi entregue"),
            Kind::OrderCancelled => format!("Seu pedido {number} foi cancelado"),
            Kind::Refunded => format!("Reembolso de {refund} – pedido {number}"),
            Kind::Invoice => format!("Nota fiscal do pedido {number}"),
        },
        Lang::En => match kind {
            Kind::Welcome | Kind::Alert => format!("Your account at {shop} is ready"),
            Kind::PasswordReset => format!("Reset your password – {shop}"),
            Kind::EmailConfirm => format!("Confirm your new e-mail – {shop}"),
            Kind::EmailChanged => format!("Your e-mail was changed – {shop}"),
            Kind::PasswordChanged => format!("Your password was changed – {shop}"),
            Kind::PrivacyRequest => format!("Your data at {shop}"),
            Kind::OrderLink => format!("New link to order {number}"),
            Kind::OrderPlaced => format!("We have your order {number}"),
            Kind::ExpiryReminder => format!("The PIX for order {number} is about to expire"),
            Kind::OrderPaid => format!("Payment confirmed – order {number}"),
            Kind::OrderShipped => format!("Your order {number} is on its way"),
            Kind::OrderDelivered => format!("Your order {number} was delivered"),
            Kind::OrderCancelled => format!("Your order {number} was cancelled"),
            Kind::Refunded => format!("Refund of {refund} – order {number}"),
            Kind::Invoice => format!("Invoice for order {number}"),
        },
    }
}
