//! The wire format of Resend.

use std::collections::BTreeSet;

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
    tags: [Tag<'a>; 2],
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
            tags: [Tag { name: "kind", value: &mail.kind }, Tag { name: "message", value: &mail.id }],
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
}

#[derive(Deserialize)]
pub(crate) struct SentBatch {
    /// Of the accepted mails, in the order in which they were sent.
    data: Vec<Sent>,
    /// Of the others.
    #[serde(default)]
    errors: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    /// The mail's place in the request, from 0.
    index: usize,
}

impl SentBatch {
    /// For each of `count` mails its id, or `None` if it was refused. `None`: the answer is about another number of mails.
    pub(crate) fn ids(self, count: usize) -> Option<Vec<Option<String>>> {
        let refused: BTreeSet<usize> = self.errors.iter().map(|error| error.index).filter(|index| *index < count).collect();
        if self.data.len() + refused.len() != count {
            return None;
        }
        let mut sent = self.data.into_iter();
        Some((0..count).map(|index| if refused.contains(&index) { None } else { sent.next().map(|mail| mail.id) }).collect())
    }
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
