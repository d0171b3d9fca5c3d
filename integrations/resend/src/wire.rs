//! The wire format of Resend.

use serde::{Deserialize, Serialize};
use vitrine_kit::http::Refusal;
use vitrine_kit::mail::OutgoingMail;

#[derive(Serialize)]
pub(crate) struct Mail<'a> {
    from: &'a str,
    to: [&'a str; 1],
    subject: &'a str,
    html: &'a str,
    text: &'a str,
    /// An array in requests; an object in events.
    tags: [Tag<'a>; 1],
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'static str,
    value: &'a str,
}

impl<'a> From<&'a OutgoingMail> for Mail<'a> {
    fn from(mail: &'a OutgoingMail) -> Self {
        Self {
            from: &mail.from,
            to: [mail.to.as_str()],
            subject: &mail.subject,
            html: &mail.html,
            text: &mail.text,
            tags: [Tag { name: "kind", value: &mail.kind }],
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
}

pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Error {
        name: String,
        #[serde(default)]
        message: String,
    }
    let Error { name, message } = serde_json::from_slice(body).ok()?;
    Some(Refusal { code: name, message })
}

#[derive(Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) data: EventData,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct EventData {
    pub(crate) email_id: Option<String>,
    pub(crate) to: Vec<String>,
    pub(crate) bounce: Option<Bounce>,
    pub(crate) failed: Option<Failed>,
}

#[derive(Deserialize)]
pub(crate) struct Bounce {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Deserialize)]
pub(crate) struct Failed {
    #[serde(default)]
    pub(crate) reason: String,
}
