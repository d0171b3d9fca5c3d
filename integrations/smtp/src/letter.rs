//! The mail as SMTP sends it: headers, then the text, then the HTML.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::{Address, address::AddressError};
use vitrine_kit::ProviderError;
use vitrine_kit::mail::OutgoingMail;

use crate::NAME;

pub struct Letter {
    pub from: Address,
    pub to: Address,
    /// The `Message-ID` without brackets: made of the key, so that a repeat has the same.
    pub id: String,
    pub bytes: Vec<u8>,
}

impl Letter {
    /// Fails on an address that SMTP cannot carry; the error does not quote it.
    pub fn of(mail: &OutgoingMail) -> Result<Self, ProviderError> {
        let unsendable = |what: &str| ProviderError::Rejected {
            provider: NAME,
            code: "unsendable".to_owned(),
            message: format!("{what} cannot be written to a mail"),
        };
        let sender = mailbox(&mail.from).map_err(|_| unsendable("the sender"))?;
        let to: Address = mail.to.as_str().parse().map_err(|_| unsendable("the recipient"))?;
        let id = format!("{}@{}", plain(&mail.idempotency_key), sender.email.domain());
        let from = sender.email.clone();
        let message = Message::builder()
            .from(sender)
            .to(Mailbox::new(None, to.clone()))
            .subject(one_line(&mail.subject))
            .message_id(Some(format!("<{id}>")))
            // Tells auto-responders not to answer.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Vitrine-Kind", &plain(&mail.kind)))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|_| unsendable("what was given"))?;
        Ok(Self { from, to, id, bytes: message.formatted() })
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// `Loja da Ana, Ltda. <oi@loja.test>` or a bare address. The name may contain anything: it is quoted or encoded.
fn mailbox(text: &str) -> Result<Mailbox, AddressError> {
    let (name, address) = match text.rsplit_once('<') {
        Some((name, rest)) => (name.trim().trim_matches('"').trim(), rest.trim().trim_end_matches('>')),
        None => ("", text.trim()),
    };
    let name = one_line(name);
    Ok(Mailbox::new((!name.is_empty()).then_some(name), address.parse()?))
}

/// Removes line breaks, so that a header cannot be ended early.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Removes characters that are not allowed in an id.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '.' }).collect()
}
