//! Delivery webhooks, signed as by Svix.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use vitrine_kit::{Delivery, Email, Forged, signature};

use crate::wire;

/// Largest difference between their clock and ours; an older delivery is a replay.
const TOLERANCE_S: u64 = 300;

/// A verified event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResendEvent {
    /// The same on retries and replays: the inbox keeps each event once.
    pub event_id: String,
    /// Their name of the event, for the operator.
    pub event: String,
    /// The id that `send` returned; `None` for events that are not about a mail.
    pub email_id: Option<String>,
    /// Recipients; addresses that are not valid are left out.
    pub to: Vec<Email>,
    pub news: MailNews,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailNews {
    Delivered,
    /// Permanent: send no more mail there. Otherwise the mailbox was full, or the server away or undecided.
    Bounced {
        is_permanent: bool,
        reason: String,
    },
    /// The recipient reported spam: send no more mail there.
    Complained,
    /// Resend could not send it.
    Failed {
        reason: String,
    },
    /// Resend no longer sends there, after an earlier bounce or complaint.
    Suppressed,
    /// Signed, but of a type or form that has no effect here.
    Other,
}

/// Checks the signature over the raw bytes, and the time, then reads. `secret` is `whsec_…`, as the dashboard shows it.
pub fn open_webhook(secret: &SecretString, delivery: &Delivery, now: Timestamp) -> Result<ResendEvent, Forged> {
    let header = |name: &str| {
        let branded = delivery.header(&format!("svix-{name}"));
        branded.or_else(|| delivery.header(&format!("webhook-{name}"))).ok_or(Forged)
    };
    let (id, timestamp, signatures) = (header("id")?, header("timestamp")?, header("signature")?);
    let sent_at: i64 = timestamp.parse().map_err(|_| Forged)?;
    if id.is_empty() || now.as_second().abs_diff(sent_at) > TOLERANCE_S {
        return Err(Forged);
    }
    let secret = secret.expose_secret();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| Forged)?;
    if key.is_empty() {
        return Err(Forged); // with an empty secret anybody could sign
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &delivery.body].concat();
    let is_ours = |given: &str| given.strip_prefix("v1,").is_some_and(|mac| signature::verify_base64(&key, &signed, mac));
    if !signatures.split(' ').any(is_ours) {
        return Err(Forged);
    }
    Ok(read_event(id, &delivery.body))
}

/// Reads an event whose signature was checked before.
pub fn read_event(id: &str, body: &[u8]) -> ResendEvent {
    let unreadable = || wire::Event { event: "unreadable".to_owned(), data: wire::EventData::default() };
    let wire::Event { event, data } = serde_json::from_slice(body).unwrap_or_else(|_| unreadable());
    let news = match (event.as_str(), data.bounce, data.failed) {
        ("email.delivered", ..) => MailNews::Delivered,
        ("email.complained", ..) => MailNews::Complained,
        ("email.suppressed", ..) => MailNews::Suppressed,
        ("email.bounced", Some(bounce), _) => {
            MailNews::Bounced { is_permanent: bounce.kind == "Permanent", reason: bounce.message }
        }
        ("email.failed", _, failed) => MailNews::Failed { reason: failed.map(|f| f.reason).unwrap_or_default() },
        _ => MailNews::Other,
    };
    let to = data.to.iter().filter_map(|address| Email::parse(address).ok()).collect();
    ResendEvent { event_id: id.to_owned(), event, email_id: data.email_id, to, news }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &str = r#"{"type":"email.delivered","data":{"email_id":"e1"}}"#;
    const RIGHT: &str = "v1,KCjAATIklJfZjGOjtRBnrZsTurlrGHZaEsjptNorke4=";
    const AT: i64 = 1_790_000_000;

    fn delivery(body: &str, headers: &[(&str, &str)]) -> Delivery {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Delivery::new(Bytes::from(body.to_owned()), headers, "")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn open(body: &str, signature: &str, now: i64) -> Result<ResendEvent, Forged> {
        let headers = [("Svix-Id", "msg_1"), ("Svix-Timestamp", "1790000000"), ("Svix-Signature", signature)];
        open_webhook(&SECRET.into(), &delivery(body, &headers), at(now))
    }

    fn opened(body: &str) -> ResendEvent {
        let key = STANDARD.decode(&SECRET[6..]).expect("base64");
        let mac = signature::hmac_sha256(&key, format!("msg_1.{AT}.{body}").as_bytes());
        open(body, &format!("v1,{}", STANDARD.encode(mac)), AT).expect("well signed")
    }

    #[test]
    fn the_known_signatures_open() {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let other = open_webhook(&SECRET.into(), &delivery(r#"{"test": 2432232314}"#, &headers), at(1_614_265_330));
        assert_eq!(other.expect("well signed").news, MailNews::Other);
        let expected = ResendEvent {
            event_id: "msg_1".to_owned(),
            event: "email.delivered".to_owned(),
            email_id: Some("e1".to_owned()),
            to: vec![],
            news: MailNews::Delivered,
        };
        assert_eq!(open(BODY, RIGHT, AT), Ok(expected));
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        assert!(open(BODY, &format!("v1a,AAAA v1,AAAA {RIGHT}"), AT).is_ok());
    }

    #[test]
    fn a_delivery_is_good_for_five_minutes_either_way() {
        for (now, is_good) in [(AT - 301, false), (AT - 300, true), (AT + 300, true), (AT + 301, false)] {
            assert_eq!(open(BODY, RIGHT, now).is_ok(), is_good, "{now}");
        }
    }

    #[test]
    fn anything_else_is_forged() {
        let v2 = RIGHT.replace("v1,", "v2,");
        for bad in ["", "v1,", "v1", &RIGHT[3..], &RIGHT[..30], &v2, "v1,AAAA"] {
            assert_eq!(open(BODY, bad, AT), Err(Forged), "{bad}");
        }
        assert_eq!(open(&BODY[..30], RIGHT, AT), Err(Forged));
        let whole = [("svix-id", "msg_1"), ("svix-timestamp", "1790000000"), ("svix-signature", RIGHT)];
        for missing in 0..3 {
            let headers: Vec<_> = whole.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, h)| *h).collect();
            assert_eq!(open_webhook(&SECRET.into(), &delivery(BODY, &headers), at(AT)), Err(Forged));
        }
        for changed in [("svix-id", "msg_2"), ("svix-timestamp", "1790000001"), ("svix-timestamp", "now")] {
            let headers: Vec<_> = whole.iter().map(|h| if h.0 == changed.0 { changed } else { *h }).collect();
            assert_eq!(open_webhook(&SECRET.into(), &delivery(BODY, &headers), at(AT)), Err(Forged));
        }
        for secret in ["whsec_", "", "whsec_####", "whsec_AAAA"] {
            assert_eq!(open_webhook(&secret.into(), &delivery(BODY, &whole), at(AT)), Err(Forged), "{secret}");
        }
    }

    #[test]
    fn events_have_their_meaning_and_strange_ones_none() {
        let bounced = opened(include_str!("../fixtures/bounced.json"));
        let reason = "The recipient does not exist.".to_owned();
        assert_eq!(bounced.news, MailNews::Bounced { is_permanent: true, reason });
        assert_eq!(bounced.email_id.as_deref(), Some("49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"));
        assert_eq!(bounced.to, [Email::parse("ana@example.com").expect("valid")]);
        let news = |body: &str| opened(body).news;
        let soft = MailNews::Bounced { is_permanent: false, reason: String::new() };
        assert_eq!(news(r#"{"type":"email.bounced","data":{"bounce":{"type":"Transient"}}}"#), soft);
        assert_eq!(news(r#"{"type":"email.complained","data":{}}"#), MailNews::Complained);
        assert_eq!(news(r#"{"type":"email.suppressed"}"#), MailNews::Suppressed);
        let failed = MailNews::Failed { reason: "quota".to_owned() };
        assert_eq!(news(r#"{"type":"email.failed","data":{"failed":{"reason":"quota"}}}"#), failed);
        for strange in ["", "[]", r#"{"type":"email.bounced"}"#, r#"{"type":"contact.created","data":{"id":"c1"}}"#] {
            assert_eq!(news(strange), MailNews::Other, "{strange}");
        }
    }
}
